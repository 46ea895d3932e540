"""The first page: the share, since when it is so, where it leaks most, and how far to believe it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from dashboard.access.visitors import may
from dashboard.pages import pictures
from dashboard.pages.asked import Asked, interval_of, span
from dashboard.pages.rendering import Context, Row, View
from pipeline.groups import MERGED
from sinks.metrics import customers, delay, split
from sinks.metrics.comparing import settled_change

UNTRACED: Final = ("siloed", "bypassed")
_MOST_RANKED: Final = 10
_MOST_CUSTOMERS: Final = 5


def overview(view: View) -> Context:
    """Return what the first page shows."""
    store, filters = view.store, view.filters()
    (overall,) = split.share(store, (), None, filters)
    if not overall["interaction_count"]:
        return {"overall": overall}
    groups = split.share(store, ("team", "channel"), None, filters)
    return {
        "overall": overall,
        "change": settled_change(store, view.language.zone, filters),
        "trend": trend(view),
        "heat": heat(groups),
        "ranked": [row for row in split.ranked(groups) if row["decided_count"]][:_MOST_RANKED],
        "places": split.contact_centre(store, filters),
        "least_traced": _least_traced(view) if may("customer") else [],
        "unsettled": _unsettled(view),
        # Small teams together are no team that could be asked for.
        "merged": MERGED,
    }


def _least_traced(view: View) -> list[Row]:
    return customers.customers(view.store, view.filters(_MOST_CUSTOMERS), order="least_traced")


def trend(view: View, dimension: str | None = None) -> Context:
    """Return the share over time: as rows, and as a picture with what happened meanwhile."""
    interval = dimension or interval_of(view.asked.day_count)
    rows = split.share(view.store, (), interval, view.filters())
    first = _unsettled(view) if interval in ("day", "week") else None
    unsettled = {row[interval] for row in rows if first is not None and span(interval, row[interval])[1] >= first}
    links = {row[interval]: _link(view.asked, interval, row) for row in rows}
    picture = pictures.trend(
        view.language,
        rows,
        interval,
        lambda row: links[row[interval]] if may("customer") else None,
        unsettled=unsettled,
        notes=_notes(view, interval, rows),
    )
    return {"interval": interval, "rows": rows, "picture": picture, "unsettled": unsettled, "links": links}


def heat(rows: Sequence[Row]) -> Context:
    """Return the share by team and channel as a table of cells; `step` 0-10 is how dark a cell is."""
    channels = sorted({row["channel"] for row in rows})
    lines: dict[str | None, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        share = row["bypass_share"]
        lines[row["team"]][row["channel"]] = row | {"step": None if share is None else round(10 * share)}
    teams = sorted(lines, key=lambda team: (team is None, team))
    return {"channels": channels, "teams": [{"team": team, "cells": lines[team]} for team in teams]}


def _link(asked: Asked, interval: str, row: Row) -> str:
    narrowed = asked.within(interval, row[interval])
    return (narrowed or asked).url("/interactions")


def _unsettled(view: View) -> date | None:
    first = delay.first_unsettled_day(delay.settling(view.store, filters=view.filters()))
    return None if first is None else date.fromisoformat(first)


def _notes(view: View, interval: str, rows: Sequence[Row]) -> Mapping[str, Sequence[str]]:
    """Return the names of the company's measures by the interval in which they began."""
    found: dict[str, list[str]] = defaultdict(list)
    for measure in view.annotations.measures() if view.annotations is not None else ():
        day = view.language.local(measure.begins_at).date()
        for row in rows:
            first, last = span(interval, row[interval])
            if first <= day <= last:
                found[row[interval]].append(measure.name)
    return found
