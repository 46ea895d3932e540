"""Chance matches of a store: what its interactions would be traced by if every activity were moved in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pipeline.engine import TIER_NAMES, Engine
from pipeline.errors import ConfigurationError
from pipeline.placebo import chance_matches
from schemas.settings import EngineSettings
from sinks.store import Store


def chance(store: Store, by: timedelta) -> list[dict[str, Any]]:
    """Return one row per tier: its traces, how many are found in the moved activities, and what share is chance.

    An exact trace is found at any time, so the share of that tier is null.

    Raises:
        ConfigurationError: when the store holds no run.
    """
    found = chance_matches(store, Engine(settings_of(store)), by)
    counted = store.rows("SELECT tier, count(*) AS trace_count FROM interactions WHERE tier IS NOT NULL GROUP BY tier")
    traces = {str(row["tier"]): int(row["trace_count"]) for row in counted}
    return [
        {
            "tier": tier,
            "trace_count": traces.get(tier, 0),
            "placebo_count": found.get(tier, 0),
            "chance_share": found.get(tier, 0) / traces[tier] if traces.get(tier) and tier != "exact" else None,
        }
        for tier in TIER_NAMES
    ]


def longest_window(store: Store) -> timedelta:
    """Return how far from an interaction its trace may lie; a shorter shift finds true traces again.

    Raises:
        ConfigurationError: when the store holds no run.
    """
    settings = settings_of(store)
    return max(settings.before, settings.window_after)


def settings_of(store: Store) -> EngineSettings:
    """Return the settings of the last run.

    Raises:
        ConfigurationError: when the store holds no run.
    """
    run = store.last_run()
    if run is None:
        raise ConfigurationError(f"the store {store.path} holds no run; make one: bypassflow replay PATH --db FILE")
    return EngineSettings.model_validate_json(run.settings)
