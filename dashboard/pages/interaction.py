"""One interaction explained: its time line with every activity that was weighed, and what people say of it."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Final

from dashboard.access.visitors import may
from dashboard.api import NotThere
from dashboard.pages.rendering import Context, Row, View
from pipeline.errors import ConfigurationError
from schemas.annotations import VERDICTS
from schemas.settings import EngineSettings
from sinks import explanations
from sinks.explanations import Explanation

# The time line is 1000 wide; close to the end of the interaction a minute is as wide as a day far from it.
WIDTH: Final = 1000.0
_LANES: Final = 4
_UNIT: Final = timedelta(minutes=2)
# Beside those that are nearest, only candidates are in the first part of the table.
_NEAREST: Final = 10
_LEAST_BETWEEN_TICKS: Final = 70.0
_TICKS: Final = (
    -timedelta(days=1), -timedelta(hours=1), -timedelta(minutes=15), timedelta(0), timedelta(minutes=15),
    timedelta(hours=1), timedelta(hours=4), timedelta(days=1), timedelta(days=3), timedelta(days=14),
)  # fmt: skip


def interaction(view: View) -> Context:
    """Return why an interaction has its outcome; enough of the beginning of its id names it.

    Raises:
        NotThere: when there is no interaction with this id, or more than one.
    """
    try:
        told = explanations.explain(view.store, view.path["interaction_id"], view.answering.engines.take)
    except ConfigurationError:
        raise NotThere(
            "there is no interaction with this id in the store; a replay may have given it another one"
        ) from None
    wanted = told.interaction["interaction_id"]
    run = view.store.last_run()
    settings = EngineSettings.model_validate_json(run.settings if run is not None else "{}")
    return {
        "told": told,
        "row": told.interaction,
        "line": time_line(told, settings),
        "near": [each for place, each in enumerate(told.verdicts) if place < _NEAREST or each.tier],
        "far": [each for place, each in enumerate(told.verdicts) if place >= _NEAREST and not each.tier],
        "verdicts": VERDICTS,
        "labels": view.annotations.labels_of(wanted) if view.annotations is not None else [],
        "can_label": view.annotations is not None and may("admin"),
    }


def time_line(told: Explanation, settings: EngineSettings) -> Context:
    """Return the places of everything on the time line, 0-1000 from left to right."""
    row = told.interaction
    end: datetime = row["ended_at"]
    moments = [each.logged_from for each in told.verdicts] + [each["started_at"] for each in told.evidence]
    window_end = row["window_ends_at"] or end + settings.window_after
    first = min([*moments, row["started_at"] - settings.before]) - end
    last = max([*moments, window_end]) - end
    scale = Scale(first, last)
    windows = [
        ("same_representative", settings.same_representative_after),
        ("other_representative", settings.other_representative_after),
    ]
    if not row["customer_ids"]:
        windows = [("inferred", settings.inferred_after)]
    return {
        "raw": [
            _bar(scale, each["started_at"] - end, (each["ended_at"] or each["started_at"]) - end)
            | {"raw_id": each["raw_id"]}
            for each in told.evidence
        ],
        "windows": [
            _bar(scale, row["started_at"] - settings.before - end, after) | {"tier": tier}
            for tier, after in windows
            if tier in settings.tiers
        ],
        "activities": [
            {
                "x": scale.place(each.logged_from - end),
                "lane": number % _LANES,
                "kind": "won" if each.is_trace else "candidate" if each.tier else "other",
                "activity": each,
            }
            for number, each in enumerate(told.verdicts)
        ],
        "ticks": _ticks(scale, first, last),
    }


class Scale:
    """A scale of time that is fine around 0 and coarse far from it."""

    def __init__(self, first: timedelta, last: timedelta) -> None:
        self._first = _bent(first)
        self._width = max(_bent(last) - self._first, 1e-9)

    def place(self, offset: timedelta) -> float:
        """Return where an offset lies, 0-1000."""
        return round(WIDTH * (_bent(offset) - self._first) / self._width, 1)


def _ticks(scale: Scale, first: timedelta, last: timedelta) -> list[Row]:
    """Return the ticks that have room for their words; the end of the interaction comes first."""
    found: dict[float, float] = {}
    for each in sorted(_TICKS, key=abs):
        x = scale.place(each)
        if first <= each <= last and all(abs(x - other) >= _LEAST_BETWEEN_TICKS for other in found):
            found[x] = each.total_seconds()
    return [{"x": x, "seconds": seconds} for x, seconds in sorted(found.items())]


def _bent(offset: timedelta) -> float:
    return math.asinh(offset / _UNIT)


def _bar(scale: Scale, begin: timedelta, end: timedelta) -> Row:
    left = scale.place(begin)
    return {"x": left, "width": max(scale.place(end) - left, 2.0)}
