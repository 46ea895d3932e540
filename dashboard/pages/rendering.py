"""How a question becomes a page: its language, its period, the query of the store, and the template."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from http.cookies import CookieError
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from dashboard.access.reach import without_closed_ways
from dashboard.access.visitors import is_known, note_rows, visitor
from dashboard.api import OTHER_TEAMS, Answering, NotThere, require_filters
from dashboard.pages import languages
from dashboard.pages.asked import Asked
from dashboard.pages.languages import Language
from dashboard.problems import RETRY_SECONDS
from pipeline.errors import ConfigurationError, NotShown, TransientError
from sinks import measures
from sinks.annotations import Annotations
from sinks.asking import Asking, Busy
from sinks.measures import Filters
from sinks.metrics import delay
from sinks.store import Store

FOLDER: Final = Path(__file__).parents[1]
# Scripts and styles come from here alone; pictures are drawn by them.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Forms name the page that they were sent from, to this server alone.
_SAFE: Final = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
THEMES: Final = ("auto", "light", "dark")
_YEAR_SECONDS: Final = 31_536_000
_CHOICES_SECONDS: Final = 60.0

Row = dict[str, Any]
Context = dict[str, Any]


@dataclass(frozen=True)
class View:
    """What a page is made from: the store, and what was asked, with a period where the page has one."""

    store: Store
    language: Language
    asked: Asked
    answering: Answering
    parameters: Mapping[str, str]
    path: Mapping[str, str]
    last_day: date | None

    @property
    def annotations(self) -> Annotations | None:
        """Return where measures and labels are kept, if they are."""
        return self.answering.annotations

    def filters(self, limit: int | None = None) -> Filters:
        """Return which interactions are meant."""
        return self.asked.filters(self.language.zone, limit)


class Pages:
    """Renders pages over a store."""

    def __init__(self, asking: Asking, annotations: Path | None) -> None:
        self.answering = Answering(asking, annotations)
        self._asking = asking
        self._choices: dict[str, tuple[float, dict[str, list[str]]]] = {}

    def page(
        self,
        request: Request,
        template: str,
        question: Callable[[View], Context],
        *,
        has_period: bool = True,
        status: int = 200,
        error: str | None = None,
    ) -> Response:
        """Return a page; `question` gives what its template shows. `error` is told above everything else."""
        try:
            context = self.ask(request, question, has_period)
        except (ConfigurationError, NotThere, TransientError) as problem:
            return self.problem(request, problem)
        note_rows(context.get("rows"))
        return self._rendered(request, template, context | {"error": error}, status)

    def plain(
        self, request: Request, template: str, context: Context, status: int = 200, error: str | None = None
    ) -> Response:
        """Return a page for which the store is not asked."""
        told = {"t": Language(language_of(request), "UTC"), "asked": Asked(), "error": error}
        return self._rendered(request, template, told | context, status)

    def refusal(self, request: Request, status: int, said: str) -> Response:
        """Return the page that says why somebody is refused."""
        return self.plain(request, "problem.html", {"said": said, "status": status}, status)

    def ask(self, request: Request, question: Callable[[View], Context], has_period: bool = True) -> Context:
        """Return what a question finds, and what every page shows.

        Raises:
            ConfigurationError: when what is asked cannot be.
            NotThere: when what is named does not exist.
            TransientError: when the store cannot answer now.
        """
        asked = Asked.read(request.query_params.multi_items())
        name = language_of(request)

        def answer(store: Store) -> Context:
            require_filters(store, request.query_params)
            language = Language(name, measures.zone_of(store))
            start = self.answering.last_start(store)
            last = None if start is None else language.local(start).date()
            meant = asked if asked.has_period or last is None or not has_period else asked.recent(last)
            parameters = dict(request.query_params)
            view = View(store, language, meant, self.answering, parameters, dict(request.path_params), last)
            filters = view.filters()
            found: Context = {
                "t": language,
                "asked": meant,
                "last_day": last,
                "reached": delay.complete_through(store),
                "run": store.last_run(),
                "choices": self._values(store),
                "warnings": self.answering.silences(store, filters.since, filters.until) if has_period else [],
            }
            found |= question(view)
            # Named as browsers' own tools show it.
            return found | {"timing": f"store;dur={1000 * store.query_seconds:.1f}"}

        return self._asking.ask(answer)

    def problem(self, request: Request, problem: Exception, status: int | None = None) -> Response:
        """Return the page that says what is wrong and what helps; without a status, that of the kind of problem."""
        headers: dict[str, str] = {}
        if status is None and isinstance(problem, NotThere) and visitor().teams is not None:
            return self.refusal(request, 403, OTHER_TEAMS)
        if status is not None:
            pass
        elif isinstance(problem, NotThere):
            status = 404
        elif isinstance(problem, NotShown):
            status = 403
        elif isinstance(problem, ConfigurationError):
            status = 400
        else:
            status = 429 if isinstance(problem, Busy) else 503
            headers["Retry-After"] = str(RETRY_SECONDS)
        context: Context = {
            "t": Language(language_of(request), "UTC"), "asked": Asked(), "said": str(problem), "status": status,
            "error": None,
        }  # fmt: skip
        return self._rendered(request, "problem.html", context, status, headers)

    def _rendered(
        self, request: Request, template: str, context: Context, status: int, headers: Mapping[str, str] | None = None
    ) -> Response:
        language: Language = context["t"]
        told = {
            "_": language.say,
            "many": language.say_many,
            "here": request.url.path,
            "theme": theme_of(request),
            "has_signed_in": is_known(),
            "in_language": lambda name: with_parameter(request, "language", name),
            "languages": languages.LANGUAGES,
        }
        text = templates().get_template(template).render(context | told)
        if is_known():
            text = without_closed_ways(text, visitor(), getattr(request.scope.get("app"), "routes", ()))
        timing = {"Server-Timing": context["timing"]} if "timing" in context else {}
        response = HTMLResponse(text, status, _SAFE | timing | dict(headers or {}))
        if request.query_params.get("language") in languages.LANGUAGES:
            keep(response, "language", language.name)
        return response

    def _values(self, store: Store) -> dict[str, list[str]]:
        """Return the values of the dimensions that a reader can choose; they are looked up once a minute."""
        now, key = time.monotonic(), visitor().key
        found_at, found = self._choices.get(key, (-_CHOICES_SECONDS, {}))
        if not found or now - found_at > _CHOICES_SECONDS:
            found = measures.dimension_values(store)
            self._choices[key] = now, found
        return found


@cache
def templates() -> Environment:
    """Return the templates of the pages and of what else is written as HTML."""
    return Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def language_of(request: Request) -> str:
    """Return the language of a page: as its address says, as the reader chose before, or as the browser asks."""
    try:
        chosen = (request.query_params.get("language"), request.cookies.get("language"))
    except CookieError:
        chosen = (request.query_params.get("language"), None)
    for name in chosen:
        if name in languages.LANGUAGES:
            return str(name)
    return languages.negotiated(request.headers.get("accept-language"))


def theme_of(request: Request) -> str:
    """Return the theme that a reader has chosen; auto is that of the device."""
    chosen = request.cookies.get("theme", "auto")
    return chosen if chosen in THEMES else "auto"


def keep(response: Response, name: str, value: str) -> None:
    """Keep a choice in the browser for a year."""
    response.set_cookie(name, value, max_age=_YEAR_SECONDS, samesite="strict", path="/")


def with_parameter(request: Request, name: str, value: str) -> str:
    """Return the address of this page with one parameter changed."""
    pairs = [(key, each) for key, each in parse_qsl(urlsplit(str(request.url)).query) if key != name]
    return f"{request.url.path}?{urlencode([*pairs, (name, value)])}"


def is_from_here(request: Request) -> bool:
    """Return whether a form was sent by one of these pages, and not by another site that the reader has open."""
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    return urlsplit(origin).netloc == request.headers.get("host")
