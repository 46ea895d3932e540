"""The API: questions about the number over HTTP, each answer with what it rests on."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
from fastapi import APIRouter, FastAPI, Query, Request, Response

from dashboard import formats
from dashboard.api_models import (
    Asked,
    ExplanationAnswer,
    Health,
    ListAnswer,
    ListAsked,
    RowsAnswer,
    Shaped,
    ShareAnswer,
    ShareAsked,
)
from dashboard.problems import MEDIA_TYPE, NotFound, Problem, problem
from pipeline.errors import ConfigurationError, TransientError
from sinks import explanations, measures, silent
from sinks.annotations import Annotations
from sinks.asking import Asking
from sinks.measures import DIMENSIONS, Filters, instant
from sinks.standing import standing
from sinks.store import Store

Row = dict[str, Any]
Found = tuple[Mapping[str, Any], pa.Table]
Status = Callable[[], Mapping[str, Any]]

_EPOCH: Final = datetime(1970, 1, 1)
_CURSOR: Final = re.compile(r"(-?\d{1,18}):(.{1,200})", re.DOTALL)
_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": said}
    for status, said in {
        400: "The question cannot be understood",
        404: "Not in the store",
        406: "No media type that this can be told in",
        429: "Too many ask at once",
        503: "No answer in time",
    }.items()
}
_TABLES: Final[dict[int | str, dict[str, Any]]] = {
    **_PROBLEMS,
    200: {"content": {name: {} for name in formats.MEDIA_TYPES[1:]}},
    304: {"description": "Nothing was written since the answer with this ETag"},
}


@dataclass(frozen=True)
class _Api:
    """Answers the questions over one store."""

    asking: Asking
    annotations: Annotations | None

    def answer(self, request: Request, shape: Shaped, question: Callable[[Store], Found]) -> Response:
        """Ask, and answer in the media type that is accepted; 304 when the client has that answer already."""
        media_type = formats.chosen(request.headers.get("accept"), shape.format)
        if media_type is None:
            return problem(406, f"expected Accept to hold one of {', '.join(formats.MEDIA_TYPES)}")
        revision = self.annotations.revision() if self.annotations is not None else 0

        def ask(store: Store) -> Response:
            where = standing(store)
            told = f"{where.version} {revision} {media_type} {request.url.path}?{request.url.query}"
            tag = f'"{hashlib.sha256(told.encode()).hexdigest()[:32]}"'
            headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept"}
            if tag in _tags(request.headers.get("if-none-match", "")):
                return Response(status_code=304, headers=headers)
            document, table = question(store)
            return formats.rendered(media_type, {"as_of": where.as_of, **document}, table, headers)

        return self.asking.ask(ask)

    def share(self, store: Store, asked: ShareAsked) -> Found:
        zone = measures.checked_zone(asked.zone or measures.zone_of(store))
        since, until = _span(store, asked)
        by, wanted = list(dict.fromkeys(asked.by)), asked.wanted()
        (overall,) = measures.report(store, (), since, until, zone, wanted)
        rows = measures.report(store, by, since, until, zone, wanted) if by else []
        told = [_with_parts(row) for row in rows]
        document = {
            "zone": zone,
            "overall": _with_parts(overall),
            "rows": told,
            "warnings": silent.warnings(store, ZoneInfo(measures.zone_of(store)), since, until),
        }
        return document, pa.Table.from_pylist(told or [_with_parts(overall)])

    def interactions(self, store: Store, asked: ListAsked) -> Found:
        since, until = _span(store, asked)
        after = None if asked.cursor is None else _position(asked.cursor)
        found = measures.interactions(store, Filters(asked.wanted(), since, until, asked.limit + 1, after))
        has_more = found.num_rows > asked.limit
        table = found.slice(0, asked.limit)
        rows = table.to_pylist()
        return {"rows": rows, "next": _cursor(rows[-1]) if has_more else None}, table


def add_api(app: FastAPI, asking: Asking, *, status: Status | None = None, annotations: Path | None = None) -> None:
    """Let an app answer questions about a store.

    `status` tells of the process that writes the store, see `sinks.consumer.status_of`; None where nobody writes it.
    """
    api = _Api(asking, Annotations(annotations) if annotations is not None else None)
    _add_numbers(app, api)
    _add_accounts(app, api)
    _add_health(app, asking, status)


def _add_numbers(app: FastAPI, api: _Api) -> None:
    router = APIRouter(prefix="/v1", tags=["numbers"])

    @router.get("/bypass-share", response_model=ShareAnswer, responses=_TABLES)
    def bypass_share(request: Request, asked: Annotated[ShareAsked, Query()]) -> Response:
        """Return the bypass share, as a whole and by dimensions."""
        return api.answer(request, asked, lambda store: api.share(store, asked))

    @router.get("/interactions", response_model=ListAnswer, responses=_TABLES)
    def interactions(request: Request, asked: Annotated[ListAsked, Query()]) -> Response:
        """List interactions with their raw events, in the order of their start, a page at a time."""
        return api.answer(request, asked, lambda store: api.interactions(store, asked))

    @router.get("/interactions/{interaction_id}", response_model=ExplanationAnswer, responses=_TABLES)
    def explain(request: Request, interaction_id: str, asked: Annotated[Shaped, Query()]) -> Response:
        """Explain one interaction: its raw events, whose identifier it is, and why each activity won or lost.

        The beginning of an id is enough where it is the only one. As a table: the activities.
        """
        return api.answer(request, asked, lambda store: _explained(store, interaction_id))

    app.include_router(router)


def _add_accounts(app: FastAPI, api: _Api) -> None:
    router = APIRouter(prefix="/v1", tags=["accounts"])

    @router.get("/audit", response_model=RowsAnswer, responses=_TABLES)
    def audit(request: Request, asked: Annotated[Shaped, Query()]) -> Response:
        """Account for every raw event: one row per source."""
        return api.answer(request, asked, lambda store: _rows(measures.audit(store)))

    @router.get("/sources", response_model=RowsAnswer, responses=_TABLES)
    def sources(request: Request, asked: Annotated[Shaped, Query()]) -> Response:
        """List the files and feeds that were read: one row per file, with what came of it."""
        return api.answer(request, asked, lambda store: _rows(store.rows("SELECT * FROM files ORDER BY source, file")))

    @router.get("/feeds", response_model=RowsAnswer, responses=_TABLES)
    def feeds(request: Request, asked: Annotated[Shaped, Query()]) -> Response:
        """List the CRM sources and how far each reaches."""
        return api.answer(request, asked, lambda store: _rows(store.rows("SELECT * FROM feeds ORDER BY source")))

    @router.get("/dimensions", response_model=RowsAnswer, responses=_TABLES)
    def dimensions(request: Request, asked: Annotated[Shaped, Query()]) -> Response:
        """List what the share can be divided by: one row per dimension and value; those of time without values."""
        return api.answer(request, asked, lambda store: _rows(_dimensions(store)))

    @router.get("/measures", response_model=RowsAnswer, responses=_TABLES)
    def taken(request: Request, asked: Annotated[Shaped, Query()]) -> Response:
        """List the measures that were taken so that more is logged."""
        known = api.annotations.measures() if api.annotations is not None else []
        return api.answer(request, asked, lambda store: _rows([asdict(each) for each in known]))

    app.include_router(router)


def _add_health(app: FastAPI, asking: Asking, status: Status | None) -> None:
    router = APIRouter(tags=["health"])

    @router.get("/healthz", response_model=Health)
    def healthz() -> Health:
        """Say that the process answers."""
        return Health(state="running")

    @router.get("/readyz", response_model=Health, responses={503: _PROBLEMS[503]})
    def readyz() -> Health:
        """Say whether the store can be asked and, where it is written, whether its writer runs."""
        asking.ask(lambda store: store.rows("SELECT 1 AS one"), _READY_SECONDS)
        if status is not None:
            found = status()
            if found["state"] != "running":
                raise TransientError(f"{found['state']}: {found['reason']}")
        return Health(state="running")

    app.include_router(router)


_READY_SECONDS: Final = 5.0


def _explained(store: Store, interaction_id: str) -> Found:
    try:
        found = explanations.explain(store, interaction_id)
    except ConfigurationError as error:
        raise NotFound(str(error)) from None
    activities = [asdict(verdict) for verdict in found.verdicts]
    for each in activities:
        each["offset_seconds"] = each.pop("offset") / timedelta(seconds=1)
    document = {
        "summary": found.summary,
        "interaction": found.interaction,
        "evidence": found.evidence,
        "holders": found.holders,
        "activities": activities,
    }
    return document, pa.Table.from_pylist(activities)


def _dimensions(store: Store) -> list[Row]:
    """Return every dimension with its values; those of time have too many, and one row without a value."""
    rows: list[Row] = []
    for name in DIMENSIONS:
        if name not in measures.PLAIN:
            rows.append({"dimension": name, "value": None, "interaction_count": None})
            continue
        for row in measures.report(store, (name,)):
            rows.append({"dimension": name, "value": row[name], "interaction_count": row["interaction_count"]})
    return rows


def _rows(rows: Sequence[Mapping[str, Any]]) -> Found:
    return {"rows": list(rows)}, pa.Table.from_pylist(list(rows))


def _with_parts(row: Row) -> Row:
    untraced = row["siloed_count"] + row["bypassed_count"]
    return {**row, "numerator": untraced, "denominator": untraced + row["traced_count"]}


def _span(store: Store, asked: Asked) -> tuple[datetime | None, datetime | None]:
    """Return the instants that are meant, in the company's time zone."""
    zone = ZoneInfo(measures.zone_of(store))
    since, until = (None if text is None else instant(text, zone) for text in (asked.since, asked.until))
    return since, until


def _tags(header: str) -> Iterable[str]:
    return (each.strip().removeprefix("W/") for each in header.split(","))


def _cursor(row: Mapping[str, Any]) -> str:
    started_at = row["started_at"].replace(tzinfo=UTC) - _EPOCH.replace(tzinfo=UTC)
    place = f"{started_at // timedelta(microseconds=1)}:{row['interaction_id']}"
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _position(cursor: str) -> tuple[datetime, str]:
    """Return start and id of the interaction behind which a page begins.

    Raises:
        ConfigurationError: when it is no cursor of ours.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        if (found := _CURSOR.fullmatch(text)) is not None:
            return _EPOCH + timedelta(microseconds=int(found[1])), found[2]
    except (binascii.Error, UnicodeDecodeError, OverflowError):
        pass
    raise ConfigurationError("the cursor is none; send what `next` said of the page before, or none for the first page")
