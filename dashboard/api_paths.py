"""Paths for those who analyse: the share, what is behind it, and how far it is to be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
from fastapi import FastAPI, Path, Query, Request
from starlette.responses import Response

from dashboard import api_models as models
from dashboard.api import EMPTY, Answering, Found, NotThere, counted, described, marked, picked, shares
from dashboard.api_questions import (
    ActivitiesQuestion,
    Day,
    DayQuestion,
    IdentifiersQuestion,
    InteractionsQuestion,
    Nothing,
    Period,
    ShareQuestion,
    TimelineQuestion,
    zoned,
)
from dashboard.formats import schema_of
from dashboard.problems import documented
from sinks import explanations, measures, paging
from sinks.measures import DIMENSIONS, PLAIN, Filters
from sinks.metrics import customers, hygiene
from sinks.paging import Place
from sinks.sources import sources as sources_of
from sinks.store import Store

Row = dict[str, Any]
_MOST_VALUES: Final = 1_000


def add(app: FastAPI, answering: Answering) -> None:
    """Add the paths."""

    def doubts(store: Store, period: Period) -> list[str]:
        return [EMPTY] if period.is_empty else list(answering.silences(store, period.since, period.until))

    def history(store: Store, whose: Row, asked: TimelineQuestion, **named: str) -> Found:
        if not customers.history(store, **named, filters=Filters(limit=1)):
            raise NotThere("no interaction was with such a customer or identifier")
        rows = customers.history(store, **named, filters=asked.filters(asked.limit))
        overall = counted([row["outcome"] for row in rows])
        head = {**whose, **zoned(asked), "overall": overall}
        return Found([picked(models.TimelineRow, row) for row in rows], head, doubts(store, asked))

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
            found = measures.dimension_values(store)
            return Found(
                [
                    {"dimension": name, "is_filter": name in PLAIN, "values": found.get(name, [])[:_MOST_VALUES]}
                    for name in measures.dimensions(store)
                ]
            )

        return answering.answer(request, question, schema_of(models.DimensionRow))

    @app.get("/v1/interactions", tags=["behind the share"], responses=described(models.InteractionsAnswer))
    def interactions(request: Request, asked: Annotated[InteractionsQuestion, Query()]) -> Response:
        """Return interactions, one page after the other; rows that are added meanwhile move no page."""

        def question(store: Store) -> Found:
            after = None if asked.cursor is None else Place.from_text(asked.cursor)
            found = paging.interactions(store, asked.filters(asked.limit + 1), after)
            rows, following = paging.cut(found, asked.limit, "started_at", "interaction_id")
            (overall,) = _report(store, (), asked.filters())
            head = {**zoned(asked), "overall": shares(overall), "next": following}
            return Found([marked(row) for row in rows], head, doubts(store, asked), following)

        return answering.answer(request, question, schema_of(models.InteractionRow))

    @app.get(
        "/v1/interactions/{interaction_id}",
        tags=["behind the share"],
        responses=described(models.ExplanationAnswer, False) | documented(404),
    )
    def interaction(
        request: Request, interaction_id: Annotated[str, Path(max_length=200)], asked: Annotated[Nothing, Query()]
    ) -> Response:
        """Return why an interaction has its outcome: its raw events and every activity that was weighed."""

        def question(store: Store) -> Found:
            sought = {"id": interaction_id}
            if not store.rows("SELECT 1 AS one FROM current_interaction WHERE interaction_id = $id LIMIT 1", sought):
                raise NotThere("there is no interaction with this id; /v1/interactions lists them")
            told = explanations.explain(store, interaction_id, answering.engines.take)
            notes = answering.annotations.labels_of(interaction_id) if answering.annotations is not None else []
            verdicts = [vars(each) | {"offset_seconds": each.offset.total_seconds()} for each in told.verdicts]
            head = {
                "interaction": picked(models.InteractionRow, told.interaction),
                "summary": told.summary,
                "evidence": [picked(models.EvidenceRow, row) for row in told.evidence],
                "holders": [picked(models.HolderRow, row) for row in told.holders],
                "verdicts": [picked(models.VerdictRow, row) for row in verdicts],
                "labels": [picked(models.LabelRow, asdict(each)) for each in notes],
            }
            return Found(None, head)

        return answering.answer(request, question)

    @app.get(
        "/v1/customers/{customer_id:path}/timeline",
        tags=["customers"],
        responses=described(models.TimelineAnswer) | documented(404),
    )
    def timeline(
        request: Request,
        customer_id: Annotated[str, Path(max_length=1_000)],
        asked: Annotated[TimelineQuestion, Query()],
    ) -> Response:
        """Return a customer's interactions over all channels, traced or not, in order of time."""

        def question(store: Store) -> Found:
            return history(store, {"customer_id": customer_id}, asked, customer=customer_id)

        return answering.answer(request, question, schema_of(models.TimelineRow))

    @app.get(
        "/v1/identifiers/{token}/timeline",
        tags=["customers"],
        responses=described(models.IdentifierTimelineAnswer) | documented(404),
    )
    def identifier_timeline(
        request: Request,
        token: Annotated[str, Path(max_length=200)],
        asked: Annotated[TimelineQuestion, Query()],
    ) -> Response:
        """Return the interactions with a number or an address, named by its token, in order of time."""

        def question(store: Store) -> Found:
            return history(store, {"token": token}, asked, token=token)

        return answering.answer(request, question, schema_of(models.TimelineRow))

    @app.get("/v1/days/{day}", tags=["customers"], responses=described(models.DayAnswer) | documented(404))
    def day(request: Request, day: Day, asked: Annotated[DayQuestion, Query()]) -> Response:
        """Return what was done on a local day with each customer."""

        def question(store: Store) -> Found:
            if not _FIRST_DAY <= day <= _LAST_DAY:
                raise NotThere(f"no log reaches that day; expected one from {_FIRST_DAY} to {_LAST_DAY}")
            zone = ZoneInfo(measures.zone_of(store))
            begin, end = (measures.instant(each.isoformat(), zone) for each in (day, day + timedelta(days=1)))
            rows = [picked(models.DayRow, row) for row in customers.day(store, day, filters=Filters(limit=asked.limit))]
            for row in rows:
                row["interactions"] = [marked(each) for each in row["interactions"]]
            (overall,) = _report(store, (), Filters({}, begin, end))
            return Found(rows, {"day": day, "overall": shares(overall)}, answering.silences(store, begin, end))

        return answering.answer(request, question, schema_of(models.DayRow, without=("interactions",)))

    @app.get("/v1/activities", tags=["the CRM"], responses=described(models.ActivitiesAnswer))
    def activities(request: Request, asked: Annotated[ActivitiesQuestion, Query()]) -> Response:
        """Return activities of the CRM and what they explain, one page after the other."""

        def question(store: Store) -> Found:
            if asked.is_empty:
                return Found([], {**zoned(asked), "counts": [], "next": None}, [EMPTY])
            after = None if asked.cursor is None else Place.from_text(asked.cursor)
            found = paging.activities(store, asked.status, asked.since, asked.until, asked.limit + 1, after)
            rows, following = paging.cut(found, asked.limit, "logged_from", "activity_id")
            counts = hygiene.activity_counts(store, Filters({}, asked.since, asked.until))
            head = {**zoned(asked), "counts": counts, "next": following}
            return Found([marked(row) for row in rows], head, (), following)

        return answering.answer(request, question, schema_of(models.ActivityRow))

    @app.get("/v1/identifiers", tags=["the CRM"], responses=described(models.IdentifiersAnswer))
    def identifiers(request: Request, asked: Annotated[IdentifiersQuestion, Query()]) -> Response:
        """Return numbers and addresses that the CRM does not know and should."""

        def question(store: Store) -> Found:
            rows = hygiene.missing_identifiers(
                store, asked.filters(asked.limit), minimum_interactions=asked.minimum_interactions
            )
            return Found([picked(models.IdentifierRow, row) for row in rows], zoned(asked), doubts(store, asked))

        return answering.answer(request, question, schema_of(models.IdentifierRow))

    @app.get("/v1/measures", tags=["measures"], responses=described(models.MeasuresAnswer))
    def company_measures(request: Request, asked: Annotated[Nothing, Query()]) -> Response:
        """Return what the company did so that more is logged."""

        def question(store: Store) -> Found:
            known = answering.annotations.measures() if answering.annotations is not None else []
            return Found([picked(models.MeasureRow, asdict(each)) for each in known])

        return answering.answer(request, question, schema_of(models.MeasureRow))

    @app.get("/v1/sources", tags=["data"], responses=described(models.SourcesAnswer))
    def sources(request: Request, asked: Annotated[Nothing, Query()]) -> Response:
        """Return the sources: what was read of each, and how far it reaches."""

        def question(store: Store) -> Found:
            rows = [marked(row) for row in sources_of(store)]
            return Found(rows, {}, answering.silences(store, None, None))

        return answering.answer(request, question, schema_of(models.SourceRow))

    @app.get("/v1/audit", tags=["data"], responses=described(models.AuditAnswer))
    def audit(request: Request, asked: Annotated[Nothing, Query()]) -> Response:
        """Return what became of every raw event, by source."""

        def question(store: Store) -> Found:
            rows = answering.accounts(store)
            left = sum(row["unaccounted_count"] for row in rows)
            warnings = [f"{left:,} raw events are unaccounted for: a defect of bypassflow"] if left else []
            return Found(rows, {}, warnings)

        return answering.answer(request, question, schema_of(models.AuditRow))


_FIRST_DAY: Final = date(1900, 1, 1)
_LAST_DAY: Final = date(2999, 12, 31)


def _report(store: Store, by: Sequence[str], filters: Filters) -> list[Row]:
    return measures.report(store, by, filters.since, filters.until, None, filters.values)
