"""The one place that runs the queries of the measures."""

from __future__ import annotations

from typing import Any

from sinks.measures import Query
from sinks.store import Store

Row = dict[str, Any]


def run(store: Store, query: Query) -> list[Row]:
    """Return what a query finds, one dictionary for each row."""
    return store.rows(query.sql, query.values)
