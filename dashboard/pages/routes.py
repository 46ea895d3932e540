"""The addresses of the pages, the forms that they take, and the files that they load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from dashboard import formats
from dashboard.access.visitors import note_rows
from dashboard.api import NotThere
from dashboard.pages import data, days, explore, hygiene, interaction, measuring, service
from dashboard.pages.overview import overview
from dashboard.pages.rendering import FOLDER, Context, Pages, Row, View, is_from_here
from pipeline.errors import ConfigurationError, TransientError
from schemas.annotations import Label
from sinks import measures
from sinks.annotations import Annotations
from sinks.asking import Asking
from sinks.effects import check_scope
from sinks.store import Store

_STATIC: Final = FOLDER / "static"
_DOWNLOADS: Final[Mapping[str, str]] = {"csv": formats.CSV, "parquet": formats.PARQUET}

Rows = tuple[list[Row], pa.Schema]


def add_pages(
    app: FastAPI,
    asking: Asking,
    *,
    status: Callable[[], dict[str, Any]] | None,
    annotations: Path | None,
    now: Callable[[], datetime],
) -> Pages:
    """Add the pages to an application and return them; arguments as of `dashboard.web.make_app`."""
    pages = Pages(asking, annotations)

    def show(path: str, template: str, question: Callable[[View], Context], has_period: bool = True) -> None:
        def endpoint(request: Request) -> Response:
            return pages.page(request, template, question, has_period=has_period)

        app.add_route(path, endpoint, include_in_schema=False)

    def offer(path: str, name: str, question: Callable[[View], Rows], *endings: str) -> None:
        for ending in endings:

            def endpoint(request: Request, ending: str = ending) -> Response:
                return _download(pages, request, f"{name}.{ending}", question, _DOWNLOADS[ending])

            app.add_route(f"{path}.{ending}", endpoint, include_in_schema=False)

    show("/", "overview.html", overview)
    # A table's file stands beside its page, and comes first: a name of something may hold a point.
    offer("/explore", "bypass-share", explore.share_rows, "csv", "parquet")
    show("/explore", "explore.html", explore.explore)
    offer("/interactions", "interactions", explore.interaction_rows, "csv", "parquet")
    show("/interactions", "interactions.html", explore.interactions)
    show("/interactions/{interaction_id}", "interaction.html", interaction.interaction, False)
    show("/days", "day.html", days.day, False)
    show("/days/{day}", "day.html", days.day, False)
    offer("/customers/{customer_id:path}/interactions", "interactions", days.history_rows, "csv")
    offer("/identifiers/{token:path}/interactions", "interactions", days.history_rows, "csv")
    show("/customers/{customer_id:path}", "customer.html", days.history, False)
    show("/identifiers/{token:path}", "customer.html", days.history, False)
    show("/service", "service.html", service.emails)
    show("/service/calls", "service_calls.html", service.calls)
    show("/service/lost", "service_lost.html", service.lost)
    show("/service/continuity", "service_continuity.html", service.continuity)
    offer("/hygiene/{part}", "identifiers-and-activities", hygiene.part_rows, "csv")
    show("/hygiene", "hygiene.html", hygiene.counts)
    show("/hygiene/{part}", "hygiene_part.html", hygiene.part)
    show("/measures", "measures.html", measuring.measures, False)
    show("/measures/{measure_id}", "measure.html", measuring.measure, False)
    show("/data", "data.html", lambda view: data.data(view, status), False)
    show("/data/accounts", "data_accounts.html", data.accounts, False)
    _add_forms(app, pages, asking, now)
    app.mount("/static", _Files(directory=_STATIC), name="static")
    return pages


def _download(pages: Pages, request: Request, name: str, question: Callable[[View], Rows], format: str) -> Response:
    def table(view: View) -> Context:
        rows, schema = question(view)
        return {"rows": rows, "schema": schema}

    try:
        found = pages.ask(request, table)
    except (ConfigurationError, NotThere, TransientError) as problem:
        return pages.problem(request, problem)
    note_rows(found["rows"])
    return Response(
        formats.write(found["rows"], found["schema"], format),
        media_type=format,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


# -- forms -------------------------------------------------------------------------------------------------------------


def _add_forms(app: FastAPI, pages: Pages, asking: Asking, now: Callable[[], datetime]) -> None:
    """Add what readers write: measures, and what they judge of an interaction."""

    def take(
        path: str,
        write: Callable[[Request, FormData, Annotations], str],
        template: str,
        question: Callable[[View], Context],
    ) -> None:
        """Take a form: `write` keeps what it says and returns where the reader goes next."""

        async def endpoint(request: Request) -> Response:
            notes = pages.answering.annotations
            if not is_from_here(request):
                problem: Exception = ConfigurationError(
                    "this form was not sent by a page of this server; open the page"
                )
                return await run_in_threadpool(pages.problem, request, problem, 403)
            if notes is None:
                problem = ConfigurationError("nothing can be kept here: no file for measures and labels is named")
                return await run_in_threadpool(pages.problem, request, problem)
            form = await request.form(max_files=0)
            try:
                there = await run_in_threadpool(write, request, form, notes)
            except (ConfigurationError, TransientError) as error:
                return await run_in_threadpool(
                    pages.page, request, template, question, has_period=False, status=400, error=str(error)
                )
            return RedirectResponse(there, 303)

        app.add_route(path, endpoint, methods=["POST"], include_in_schema=False)

    def add_measure(request: Request, form: FormData, notes: Annotations) -> str:
        teams, channels = ([str(each) for each in form.getlist(name) if each] for name in ("team", "channel"))

        def begins(store: Store) -> datetime:
            check_scope(store, teams, channels)
            day = _said(form, "begins")
            if not day:
                raise ConfigurationError("the day on which the measure begins is missing")
            return measures.instant(day, ZoneInfo(measures.zone_of(store)))

        added = notes.add_measure(
            _said(form, "name"),
            asking.ask(begins),
            added_at=now(),
            teams=teams,
            channels=channels,
            note=_said(form, "note"),
            author=_said(form, "author"),
        )
        return f"/measures/{added.measure_id}"

    def remove_measure(request: Request, form: FormData, notes: Annotations) -> str:
        number = request.path_params["measure_id"]
        if not notes.remove_measure(number):
            raise ConfigurationError("there is no measure of this number; it may have been removed already")
        return "/measures"

    def add_label(request: Request, form: FormData, notes: Annotations) -> str:
        wanted = str(request.path_params["interaction_id"])
        known = "SELECT 1 AS one FROM current_interaction WHERE interaction_id = $id LIMIT 1"
        if not asking.ask(lambda store: store.rows(known, {"id": wanted})):
            raise ConfigurationError("there is no interaction with this id in the store")
        label = Label(wanted, _said(form, "verdict"), _said(form, "note"), _said(form, "author"), now())
        notes.add_labels([label])
        return f"/interactions/{wanted}#judgement"

    take("/measures", add_measure, "measures.html", measuring.measures)
    take("/measures/{measure_id:int}/remove", remove_measure, "measures.html", measuring.measures)
    take("/interactions/{interaction_id}/labels", add_label, "interaction.html", interaction.interaction)


def _said(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


class _Files(StaticFiles):
    """Files that browsers keep, asking each time whether they are still the same."""

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        """Return a file."""
        response = super().file_response(*arguments, **named)
        response.headers["Cache-Control"] = "no-cache"
        return response
