"""Paths for those who analyse: the share, what is behind it, and how far it is to be believed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import pyarrow as pa
from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from dashboard import api_models as models
from dashboard.api import EMPTY, Answering, Found, described, shares
from dashboard.api_questions import (
    Nothing,
    Period,
    ShareQuestion,
    zoned,
)  # fmt: skip
from dashboard.formats import schema_of
from sinks import measures
from sinks.measures import DIMENSIONS, PLAIN, Filters
from sinks.store import Store

Row = dict[str, Any]
_MOST_VALUES: Final = 1_000
_ZERO: Final = datetime(1, 1, 1)
_MICROSECOND: Final = timedelta(microseconds=1)


def add(app: FastAPI, answering: Answering) -> None:
    """Add the paths."""

    def doubts(store: Store, period: Period) -> list[str]:
        return [EMPTY] if period.is_empty else answering.silences(store, period.since, period.until)

    @app.get("/v1/bypass-share", tags=["share"], responses=described(models.ShareAnswer))
    def bypass_share(request: Request, asked: Annotated[ShareQuestion, Query()]) -> Response:
        """Return the bypass share by any dimensions, with what it is made of."""
        by = list(dict.fromkeys(asked.by))

        def question(store: Store) -> Found:
            rows = [shares(row) for row in _report(store, by, asked.filters())]
            (overall,) = _report(store, (), asked.filters())
            return Found(rows, {**zoned(asked), "overall": shares(overall)}, doubts(store, asked))

        others = [name for name in DIMENSIONS if name not in by]
        schema = schema_of(models.ShareRow, without=others)
        schema = pa.schema([*(schema.field(name) for name in by), *(each for each in schema if each.name not in by)])
        return answering.answer(request, question, schema)

    @app.get("/v1/dimensions", tags=["share"], responses=described(models.DimensionsAnswer))
    def dimensions(request: Request, asked: Annotated[Nothing, Query()]) -> Response:
        """Return what the share can be divided by, and the values that there are."""

        def question(store: Store) -> Found:
            rows = []
            for name in DIMENSIONS:
                found = measures.report(store, (name,)) if name in PLAIN else []
                values = [row[name] for row in found if row[name] is not None]
                rows.append({"dimension": name, "is_filter": name in PLAIN, "values": values[:_MOST_VALUES]})
            return Found(rows)

        return answering.answer(request, question, schema_of(models.DimensionRow))


def _report(store: Store, by: Any, filters: Filters) -> list[Row]:
    return measures.report(store, by, filters.since, filters.until, None, filters.values)
