"""The placebo: how many traces are found when every activity is moved in time, and so cannot be true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine import Engine
from pipeline.replay import WINDOW_ROWS, FactLog, W


def shift_activities(activities: pa.Table, by: timedelta) -> pa.Table:
    """Return the activities with the times at which they were logged moved; all else stays."""
    length = pa.scalar(by, pa.duration("us"))
    for name in ("logged_from", "logged_to"):
        index = activities.schema.get_field_index(name)
        field = activities.schema.field(index)
        activities = activities.set_column(index, field, pc.add(activities.column(index), length))
    return activities


def chance_matches(log: FactLog[W], engine: Engine, by: timedelta, rows: int = WINDOW_ROWS) -> Mapping[str, int]:
    """Return how many interactions are traced in each tier when all activities are moved by a length of time.

    `exact` traces have no time limit and stay; what stays of the other tiers is found by chance.
    """
    tier_of: dict[str, str] = {}
    for number, window in enumerate(log.fold_windows(rows), start=1):
        facts = dict(log.fold_facts(window))
        facts["activity"] = shift_activities(facts["activity"], by)
        changes = engine.fold(facts, number).tables
        for interaction_id in changes["retracted"]["interaction_id"].to_pylist():
            tier_of.pop(interaction_id, None)
        told = changes["interaction"]
        for interaction_id, tier in zip(told["interaction_id"].to_pylist(), told["tier"].to_pylist(), strict=True):
            if tier is None:
                tier_of.pop(interaction_id, None)
            else:
                tier_of[interaction_id] = tier
        if window.hi is not None:
            # Activities that were moved back come after their time: keep it open for them.
            engine.retire(window.hi + min(by, timedelta(0)))
    return Counter(tier_of.values())
