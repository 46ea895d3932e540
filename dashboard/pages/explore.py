"""The share divided by anything, down to the interactions behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from dashboard import api_models as models
from dashboard.api import shares
from dashboard.formats import schema_of
from dashboard.pages.asked import Asked
from dashboard.pages.overview import trend
from dashboard.pages.rendering import Context, Row, View
from pipeline.groups import MERGED, REPRESENTATIVE
from sinks import measures, paging
from sinks.measures import DIMENSIONS
from sinks.metrics import split
from sinks.paging import Place

ORDERS: Final = ("surest", "most", "name")
PAGE_ROWS: Final = 50
MOST_SHOWN: Final = 500
MOST_DOWNLOADED: Final = 100_000
_USUAL: Final = ("team",)
_DATED: Final = ("day", "week", "month")


def explore(view: View) -> Context:
    """Return the share by the dimensions that were asked for, by team when none were."""
    asked = view.asked if view.asked.by else view.asked.divided(*_USUAL)
    by = asked.by
    is_dated = by[0] in _DATED
    order = view.parameters.get("order", "")
    order = order if order in ORDERS else "name" if is_dated else "surest"
    rows = split.share(view.store, by, None, view.filters())
    (overall,) = split.share(view.store, (), None, view.filters())
    ordered = _ordered(rows, order)
    return {
        "asked": asked,
        "dimensions": measures.dimensions(view.store),
        "overall": overall,
        "rows": [row | {"link": _link(asked, row), "deeper": _deeper(asked, row)} for row in ordered[:MOST_SHOWN]],
        "row_count": len(rows),
        "order": order,
        "orders": ORDERS,
        "trend": trend(view, by[0]) if is_dated and len(by) == 1 else None,
    }


def share_rows(view: View) -> tuple[list[Row], pa.Schema]:
    """Return the rows of the table to download, all of them."""
    by = view.asked.by or _USUAL
    rows = [shares(row) for row in split.share(view.store, by, None, view.filters())]
    schema = schema_of(models.ShareRow, without=[name for name in DIMENSIONS if name not in by])
    return rows, pa.schema([*(schema.field(name) for name in by), *(each for each in schema if each.name not in by)])


def interactions(view: View) -> Context:
    """Return a page of the interactions that fit, in order of time."""
    cursor = view.parameters.get("cursor", "")
    after = Place.from_text(cursor) if is_cursor(cursor) else None
    found = paging.interactions(view.store, view.filters(PAGE_ROWS + 1), after)
    rows, following = paging.cut(found, PAGE_ROWS, "started_at", "interaction_id")
    (overall,) = split.share(view.store, (), None, view.filters())
    return {"rows": rows, "overall": overall, "next": following, "is_first": after is None}


def interaction_rows(view: View) -> tuple[list[Row], pa.Schema]:
    """Return interactions to download, the first of those that fit."""
    return paging.interactions(view.store, view.filters(MOST_DOWNLOADED)), schema_of(models.InteractionRow)


def is_cursor(text: str) -> bool:
    """Return whether a text is a place in a list."""
    return len(text) >= 16 and len(text) % 2 == 0 and all(digit in "0123456789abcdef" for digit in text)


def _ordered(rows: Sequence[Row], order: str) -> list[Row]:
    if order == "name":
        return list(rows)
    if order == "most":
        return sorted(rows, key=lambda row: -(row["siloed_count"] + row["bypassed_count"]))
    return split.ranked(rows)


def _within(asked: Asked, row: Row) -> Asked | None:
    """Return what is asked of one group alone; None where a dimension cannot be chosen."""
    if REPRESENTATIVE in asked.by or MERGED in row.values():
        return None
    found: Asked | None = asked
    for name in asked.by:
        found = None if found is None else found.within(name, row[name])
    return found


def _link(asked: Asked, row: Row) -> str | None:
    found = _within(asked, row)
    return None if found is None else found.divided().url("/interactions")


def _deeper(asked: Asked, row: Row) -> str | None:
    """Return the address of the same group divided further."""
    found = _within(asked, row)
    if found is None:
        return None
    ways = ("team", "channel", "reason", "segment", "direction")
    return found.divided(next((name for name in ways if name not in found.values), "day")).url("/explore")
