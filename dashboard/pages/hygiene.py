"""What the CRM could do better, as lists that can be loaded into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import pyarrow as pa

from dashboard import api_models as models
from dashboard.api import NotThere
from dashboard.pages.rendering import Context, Row, View
from sinks.metrics import hygiene as lists

MOST_SHOWN: Final = 25
MOST_DOWNLOADED: Final = 100_000
PARTS: Final = ("missing", "shared", "unexplained", "redundant")


def counts(view: View) -> Context:
    """Return how many activities have a conversation behind them, by kind."""
    rows = lists.activity_counts(view.store, replace(view.filters(), values={}))
    kinds: dict[str | None, Row] = {}
    for row in rows:
        kinds.setdefault(row["kind"], {})[row["status"]] = row["activity_count"]
    table = [
        {"kind": kind, "total": sum(found.values()), **{name: found.get(name, 0) for name in lists.STATUSES}}
        for kind, found in sorted(kinds.items(), key=lambda each: (each[0] is None, each[0]))
    ]
    return {"kinds": table, "statuses": ("trace", "redundant", "unexplained", "siloed")}


def part(view: View) -> Context:
    """Return the beginning of one of the lists."""
    name = _named(view)
    rows = _QUESTIONS[name](view, MOST_SHOWN + 1)
    return {"part": name, "rows": rows[:MOST_SHOWN], "is_cut": len(rows) > MOST_SHOWN}


def part_rows(view: View) -> tuple[list[Row], pa.Schema]:
    """Return one of the lists to download, as texts."""
    name = _named(view)
    rows = lists.as_lines(_QUESTIONS[name](view, MOST_DOWNLOADED))
    model = models.IdentifierRow if name == "missing" else models.ActivityRow
    # Without rows the most important columns stand there all the same.
    return rows, pa.schema([(each, pa.string()) for each in (rows[0] if rows else model.model_fields)])


def _named(view: View) -> str:
    name = view.path["part"]
    if name not in PARTS:
        raise NotThere(f"there is no such list; expected one of {', '.join(PARTS)}")
    return name


def _missing(view: View, limit: int) -> list[Row]:
    return lists.missing_identifiers(view.store, view.filters(limit))


def _shared(view: View, limit: int) -> list[Row]:
    return lists.shared_identifiers(view.store, limit)


def _activities(status: str) -> Callable[[View, int], list[Row]]:
    def question(view: View, limit: int) -> list[Row]:
        return lists.activities(view.store, status, replace(view.filters(limit), values={}))

    return question


_QUESTIONS: Final[Mapping[str, Callable[[View, int], list[Row]]]] = {
    "missing": _missing,
    "shared": _shared,
    "unexplained": _activities("unexplained"),
    "redundant": _activities("redundant"),
}
