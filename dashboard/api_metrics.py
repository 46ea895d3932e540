"""Paths for what is measured besides the share: effects, shared identifiers, logging delays, service and customers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
from fastapi import FastAPI, Path, Query, Request
from pydantic import BaseModel, BeforeValidator
from starlette.responses import Response

from dashboard import api_metric_models as models
from dashboard.api import EMPTY, Answering, Found, NotThere, described, picked, shares, utc
from dashboard.api_models import MeasureRow
from dashboard.api_questions import (
    CallServiceQuestion,
    Chosen,
    CustomersQuestion,
    EffectQuestion,
    EmailServiceQuestion,
    MissedCallsQuestion,
    Period,
    SettlingQuestion,
    SharedIdentifiersQuestion,
    whole,
    zoned,
)
from dashboard.formats import schema_of
from dashboard.problems import documented
from pipeline.effect import Change, Comparison, Estimate
from schemas.annotations import Measure
from sinks import effects, measures
from sinks.measures import Filters
from sinks.metrics import clauses, customers, delay, hygiene, missed, service
from sinks.store import Store

Row = dict[str, Any]
_FIRST: Final = datetime(1900, 1, 1)
_LAST: Final = datetime(2999, 12, 31)


def add(app: FastAPI, answering: Answering) -> None:
    """Add the paths."""

    def doubts(store: Store, period: Period) -> list[str]:
        return [EMPTY] if period.is_empty else list(answering.silences(store, period.since, period.until))

    @app.get(
        "/v1/measures/{measure_id}/effect",
        tags=["measures"],
        responses=described(models.EffectAnswer) | documented(404),
    )
    def effect(
        request: Request,
        measure_id: Annotated[int, BeforeValidator(whole), Path()],
        asked: Annotated[EffectQuestion, Query()],
    ) -> Response:
        """Return what a measure changed: before and after, and beside teams that it left alone."""

        def question(store: Store) -> Found:
            known = answering.annotations.measures() if answering.annotations is not None else []
            measure = next((each for each in known if each.measure_id == measure_id), None)
            if measure is None:
                raise NotThere("there is no measure of this number; /v1/measures lists them")
            found = effects.effect(
                store, measure, compare_with=asked.compare_with, span=timedelta(days=asked.days), others=known
            )
            return Found(
                [picked(models.EffectRow, row) for row in found.teams], _effect(measure, found), found.warnings
            )

        return answering.answer(request, question, schema_of(models.EffectRow))

    @app.get("/v1/identifiers/shared", tags=["the CRM"], responses=described(models.SharedIdentifiersAnswer))
    def shared_identifiers(request: Request, asked: Annotated[SharedIdentifiersQuestion, Query()]) -> Response:
        """Return identifiers that several contacts of the CRM hold."""

        def question(store: Store) -> Found:
            rows = hygiene.shared_identifiers(store, asked.limit)
            return Found([picked(models.SharedIdentifierRow, row) for row in rows])

        return answering.answer(request, question, schema_of(models.SharedIdentifierRow))

    @app.get("/v1/delays", tags=["delay"], responses=described(models.DelaysAnswer))
    def delays(request: Request, asked: Annotated[Chosen, Query()]) -> Response:
        """Return how long after an interaction its trace is logged: what part of the traces by each hour."""

        def question(store: Store) -> Found:
            (overall,) = delay.delays(store, filters=asked.filters())
            rows = delay.curve(store, filters=asked.filters())
            head = {**zoned(asked), "overall": picked(models.DelaySpread, overall)}
            return Found(rows, head, [*doubts(store, asked), *_unsettled(store, asked)])

        return answering.answer(request, question, schema_of(models.DelayRow))

    @app.get("/v1/delays/settling", tags=["delay"], responses=described(models.SettlingAnswer))
    def settling(request: Request, asked: Annotated[SettlingQuestion, Query()]) -> Response:
        """Return how far each of the last days is settled: of recent ones traces are still to come."""

        def question(store: Store) -> Found:
            values = {name: getattr(asked, name) for name in ("channel", "team") if getattr(asked, name)}
            rows = delay.settling(store, days=asked.days, filters=Filters(values))
            head = {"first_unsettled_day": delay.first_unsettled_day(rows)}
            return Found([picked(models.SettlingRow, row) for row in rows], head)

        return answering.answer(request, question, schema_of(models.SettlingRow))

    @app.get("/v1/service/emails", tags=["service"], responses=described(models.EmailServiceAnswer))
    def emails(request: Request, asked: Annotated[EmailServiceQuestion, Query()]) -> Response:
        """Return what mail of customers got back: answers, and notices that it has come."""

        def question(store: Store) -> Found:
            def found(interval: str | None) -> list[Row]:
                return service.emails(
                    store,
                    _in_reach(asked),
                    within=timedelta(days=asked.within_days),
                    acknowledged_within=timedelta(minutes=asked.acknowledged_within_minutes),
                    openings_only=asked.openings_only,
                    interval=interval,
                )

            (overall,) = found(None)
            rows = [overall] if asked.interval is None else found(asked.interval)
            return Found(rows, {**zoned(asked), "overall": overall}, doubts(store, asked))

        return answering.answer(request, question, _by_interval(models.EmailServiceRow, asked.interval))

    @app.get("/v1/service/calls", tags=["service"], responses=described(models.CallServiceAnswer))
    def calls(request: Request, asked: Annotated[CallServiceQuestion, Query()]) -> Response:
        """Return how many calls of customers were taken and missed, and what followed those missed."""

        def question(store: Store) -> Found:
            def found(interval: str | None) -> list[Row]:
                within = timedelta(days=asked.within_days)
                return missed.calls(store, _in_reach(asked), within=within, interval=interval)

            (overall,) = found(None)
            rows = [overall] if asked.interval is None else found(asked.interval)
            return Found(rows, {**zoned(asked), "overall": overall}, doubts(store, asked))

        return answering.answer(request, question, _by_interval(models.CallServiceRow, asked.interval))

    @app.get("/v1/service/missed-calls", tags=["service"], responses=described(models.MissedCallsAnswer))
    def missed_calls(request: Request, asked: Annotated[MissedCallsQuestion, Query()]) -> Response:
        """Return calls of customers that nobody took, the latest first, each with what followed."""

        def question(store: Store) -> Found:
            filters = _in_reach(asked, asked.limit)
            rows = missed.missed_calls(store, filters, within=timedelta(days=asked.within_days), fate=asked.fate)
            return Found([picked(models.MissedCallRow, row) for row in rows], zoned(asked), doubts(store, asked))

        return answering.answer(request, question, schema_of(models.MissedCallRow))

    @app.get("/v1/customers", tags=["customers"], responses=described(models.CustomersAnswer))
    def company_customers(request: Request, asked: Annotated[CustomersQuestion, Query()]) -> Response:
        """Return customers with what was done with them: those most talked with, or least traced, first."""

        def question(store: Store) -> Found:
            found = customers.customers(
                store, asked.filters(asked.limit), order=asked.order, includes_unknown=asked.includes_unknown
            )
            rows = [picked(models.CustomerRow, shares(row)) for row in found]
            return Found(rows, zoned(asked), doubts(store, asked))

        return answering.answer(request, question, schema_of(models.CustomerRow))


# -- inside ------------------------------------------------------------------------------------------------------------


def _in_reach(period: Period, limit: int | None = None) -> Filters:
    """Return the filters of a period, its ends within the time of which there are logs.

    Service looks beyond both ends, which the calendar must leave room for. Of an empty period nothing is found.
    """
    since, until = period.since, period.until
    begin = None if since is None else max(since, _FIRST)
    end = None if until is None else min(until, _LAST)
    if (begin is not None and begin >= (end or _LAST)) or (end is not None and end <= (begin or _FIRST)):
        begin, end = _FIRST, _FIRST + timedelta(microseconds=1)
    values = {} if period.is_empty else period.filters().values
    return Filters(values, begin, end, limit)


def _by_interval(model: type[BaseModel], interval: str | None) -> pa.Schema:
    return schema_of(model, without=[name for name in clauses.INTERVALS if name != interval])


def _unsettled(store: Store, asked: Chosen) -> list[str]:
    """Return the warning that a period holds days of which traces are still to come."""
    day = None if asked.is_empty else delay.first_unsettled_day(delay.settling(store))
    if day is None:
        return []
    begin = measures.instant(day, ZoneInfo(measures.zone_of(store)))
    if asked.until is not None and asked.until <= begin:
        return []
    return [f"traces of {day} and later are still to come, so delays look shorter than they are; ask until that day"]


def _effect(measure: Measure, found: effects.Effect) -> Row:
    spans = found.spans
    return {
        "measure": picked(MeasureRow, asdict(measure)),
        "reason": found.reason or None,
        "since": None if spans is None else utc(spans.since),
        "until": None if spans is None else utc(spans.until),
        "comparison_teams": list(found.comparison_teams),
        "change": None if found.change is None else _change(found.change),
        "comparison": None if found.comparison is None else _comparison(found.comparison),
    }


def _comparison(found: Comparison) -> Row:
    early = found.early_difference
    return {
        "change": _change(found.change),
        "difference": _estimate(found.difference),
        "early_difference": None if early is None else _estimate(early),
    }


def _change(found: Change) -> Row:
    return {**vars(found), "change": _estimate(found.change)}


def _estimate(found: Estimate) -> Row:
    return {**vars(found), "is_zero_possible": found.is_zero_possible}
