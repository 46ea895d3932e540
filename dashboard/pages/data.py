"""What the number rests on: sources and how far they reach, the accounts, and records that could not be used."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from dashboard.pages.rendering import Context, View
from sinks import measures
from sinks.sources import sources

MOST_LETTERS: Final = 25

# How a running sink tells of itself; None over a file.
Status = Callable[[], dict[str, Any]] | None


def data(view: View, status: Status) -> Context:
    """Return what is known of the data."""
    store = view.store
    letters = store.rows(
        "SELECT source, reason, count(*) AS letter_count, min(file) AS file, min(position) AS position, "
        "any_value(unit) AS unit FROM dead_letter GROUP BY source, reason "
        f"ORDER BY letter_count DESC, source, reason LIMIT {MOST_LETTERS}"
    )
    return {
        "sources": sources(store),
        "letters": letters,
        "silences": view.answering.silences(store, None, None),
        "live": _live(status) if status is not None else None,
    }


def _live(status: Callable[[], dict[str, Any]]) -> Context:
    """Return what a running sink says of itself, with an instant for its text."""
    told = status()
    watermark = told.get("watermark")
    return told | {"watermark": datetime.fromisoformat(watermark.removesuffix("Z")) if watermark else None}


def accounts(view: View) -> Context:
    """Return what became of every raw event, by source."""
    rows = measures.audited(view.answering.accounts(view.store))
    return {"accounts": rows, "excluded": sorted({reason for row in rows for reason in row["excluded"]})}
