"""The API: each path asks the store one question, and tells what the store knew when it answered."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa
from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.datastructures import QueryParams
from starlette.responses import Response

from dashboard import formats
from dashboard.access.visitors import is_known, note_rows, visitor
from dashboard.counting import Counting
from dashboard.problems import Problem, documented, problem
from pipeline.groups import OFF, GroupRules
from pipeline.sentences import Sentence
from sinks import measures, silent
from sinks.annotations import Annotations
from sinks.asking import Asking
from sinks.metrics import delay
from sinks.prepared import PreparedEngines
from sinks.store import Store

FORM: Final = "1"
_MOST_KEPT: Final = 64
EMPTY: Final = "nothing lies in this period: it ends before it begins"

Row = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """What a question found.

    `rows` is None where it is no table, `head` stands beside the rows, `next` is the cursor of the next page.
    """

    rows: Sequence[Row] | None
    head: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    next: str | None = None


# What does not exist and what is another team's are told alike: neither can be found out by asking.
OTHER_TEAMS: Final = "this is not of the teams that are open to you, or it does not exist"


def require_filters(store: Store, parameters: QueryParams) -> None:
    """Refuse a question whose parameters pick out what the store's `groups` do not show.

    Raises:
        ConfigurationError: when one does.
    """
    measures.require_filters(store, {name: parameters.getlist(name) for name in parameters})


class NotThere(Exception):
    """What was named does not exist."""


class Answering:
    """Answers questions over a store: asks, tells the position, and writes the format that is wanted."""

    def __init__(self, asking: Asking, annotations: Path | None) -> None:
        self.asking = asking
        self.annotations = Annotations(annotations) if annotations is not None else None
        self.engines = PreparedEngines(asking)
        self._kept: dict[tuple[object, ...], Any] = {}

    def answer(
        self,
        request: Request,
        question: Callable[[Store], Found],
        columns: pa.Schema | None = None,
    ) -> Response:
        """Return the answer to a question; without `columns` it is JSON alone."""
        offered = formats.FORMATS if columns is not None else (formats.JSON,)
        format = formats.preferred(request.headers.get("accept"), offered)
        if format is None:
            return problem(406, f"there is no such format; expected one of {', '.join(offered)}")
        known = request.headers.get("if-none-match")

        def ask(store: Store) -> tuple[str, Row, Found | None]:
            about = self._about(store)
            tag = _tag(about["as_of"]["position"], format, store.groups)
            require_filters(store, request.query_params)
            if known is not None and tag in [each.strip().removeprefix("W/") for each in known.split(",")]:
                return tag, about, None
            return tag, about, question(store)

        try:
            tag, about, found = self.asking.ask(ask)
        except NotThere as error:
            return problem(403, OTHER_TEAMS) if visitor().teams is not None else problem(404, str(error))
        vary = "Accept, Authorization, Cookie" if is_known() else "Accept"
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": vary}
        note_rows(None if found is None else found.rows)
        if found is None:
            return Response(status_code=304, headers=headers)
        if found.next is not None:
            here = request.url.include_query_params(cursor=found.next)
            headers["Link"] = f'<{here.path}?{here.query}>; rel="next"'
        if format == formats.JSON or columns is None:
            body = {**about, "warnings": list(found.warnings), **found.head}
            if found.rows is not None:
                body["rows"] = found.rows
            return Response(_json(body), headers=headers, media_type=formats.JSON)
        told = {"as_of": json.dumps(_plain(about["as_of"])), "warnings": json.dumps(list(found.warnings))}
        headers |= {"Bypassflow-As-Of": told["as_of"], "Bypassflow-Warnings": told["warnings"]}
        headers["Content-Disposition"] = 'attachment; filename="bypassflow' + _ENDINGS[format] + '"'
        return Response(formats.write(found.rows or (), columns, format, told), headers=headers, media_type=format)

    def silences(self, store: Store, since: datetime | None, until: datetime | None) -> list[Sentence]:
        """Return what to know of silent sources in a period; kept while nothing is committed."""
        zone = ZoneInfo(measures.zone_of(store))
        return self._keep(store, ("silences", since, until), lambda: silent.warnings(store, zone, since, until))

    def accounts(self, store: Store) -> list[Row]:
        """Return the accounts, for which every raw event is looked at; kept while nothing is committed."""
        return self._keep(store, ("accounts",), lambda: measures.accounts(store))

    def last_start(self, store: Store) -> datetime | None:
        """Return when the last interaction began; kept while nothing is committed."""
        last = "SELECT max(started_at) AS last FROM current_interaction"
        return self._keep(store, ("last",), lambda: cast("datetime | None", store.rows(last)[0]["last"]))

    def _keep(self, store: Store, question: tuple[object, ...], answer: Callable[[], T]) -> T:
        key = (position(store), *question)
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = answer()
        kept: T = self._kept[key]
        return kept

    def _about(self, store: Store) -> Row:
        run = store.rows("SELECT run_number, finished_at FROM run ORDER BY run_number DESC LIMIT 1")
        revision = self.annotations.revision() if self.annotations is not None else 0
        return {
            "as_of": {
                "complete_through": utc(delay.complete_through(store)),
                "run_number": run[0]["run_number"] if run else None,
                "run_finished_at": utc(run[0]["finished_at"]) if run else None,
                "position": position(store, revision),
            },
            "timezone": measures.zone_of(store),
        }


def position(store: Store, revision: int = 0) -> str:
    """Return a digest that changes with everything that is committed: runs, the log's positions, and annotations.

    Of the last run all that is known goes in: another store may lie at the same path, with as many runs. Who sees only
    some teams has positions of their own, for they are answered otherwise.
    """
    runs = store.rows("FROM run ORDER BY run_number DESC LIMIT 1")
    said = [FORM, str(runs), sorted(store.positions().items()), revision, str(store.path), visitor().key]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:20]


def shares(row: Row) -> Row:
    """Return a row with its counts of outcomes completed by numerator, denominator and share."""
    untraced = row["siloed_count"] + row["bypassed_count"]
    return {**row, "untraced_count": untraced, "decided_count": untraced + row["traced_count"], **measures.shares(row)}


def counted(outcomes: Sequence[str]) -> Row:
    """Return the share of interactions with these outcomes."""
    row: Row = {f"{name}_count": outcomes.count(name) for name in ("traced", "siloed", "bypassed", "pending")}
    return shares({"interaction_count": len(outcomes), **row})


def utc(moment: datetime | None) -> datetime | None:
    """Return an instant of the store with its zone."""
    return None if moment is None else moment.replace(tzinfo=UTC)


def picked(model: type[BaseModel], row: Mapping[str, Any]) -> Row:
    """Return the columns of a row that the model has, instants with their zone."""
    return marked({name: row[name] for name in model.model_fields})


def marked(row: Mapping[str, Any]) -> Row:
    """Return a row whose instants have their zone."""
    return {name: utc(value) if isinstance(value, datetime) else value for name, value in row.items()}


def described(model: type[BaseModel], is_table: bool = True) -> dict[int | str, dict[str, Any]]:
    """Return what the description of the API says of the answers of a path."""
    content: dict[str, Any] = {}
    if is_table:
        content = {
            formats.CSV: {"schema": {"type": "string"}},
            formats.ARROW: {"schema": {"type": "string", "format": "binary"}},
            formats.PARQUET: {"schema": {"type": "string", "format": "binary"}},
        }
    return {
        200: {"model": model, "description": "The answer", "content": content, "headers": _HEADERS},
        304: {"description": "Nothing was committed since the answer with this ETag"},
        **documented(400, 403, 406, 422, 429, 503),
    }


def add_api(
    app: FastAPI,
    asking: Asking,
    *,
    status: Callable[[], dict[str, Any]] | None,
    annotations: Path | None,
    now: Callable[[], datetime],
    counting: Counting,
) -> None:
    """Add the paths of the API to an application."""
    from dashboard import api_metrics, api_operations, api_paths

    answering = Answering(asking, annotations)
    api_operations.add(app, answering, status=status, counting=counting)
    api_paths.add(app, answering)
    api_metrics.add(app, answering)
    _describe_problems(app)


def _describe_problems(app: FastAPI) -> None:
    """Put the form of problems into the description: paths only refer to it."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        schema = made()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" not in schemas:
            told = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= told.pop("$defs")
            schemas["Problem"] = told
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


_ENDINGS: Final = {formats.CSV: ".csv", formats.ARROW: ".arrows", formats.PARQUET: ".parquet"}
_HEADERS: Final = {
    "ETag": {"description": "of the committed position and the format", "schema": {"type": "string"}},
}


def _tag(position: str, format: str, groups: GroupRules) -> str:
    # Who may see more, or less than before, must not be told that nothing has changed.
    rules = "" if groups == OFF else f"-{zlib.crc32(repr(groups).encode()):08x}"
    return f'"{position}-{formats.FORMATS.index(format)}{rules}"'


def _json(body: Mapping[str, Any]) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)


def _plain(values: Mapping[str, Any]) -> Row:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}
