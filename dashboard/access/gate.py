"""The gate before the application: it finds out who asks, and lets through what their scopes open.

The order: an address that shows many wrong tokens waits; without a sign-in there is nothing but what is open; a scope
or a team that a visitor has not is refused; too many requests wait. What is taken away or shows customers is written
into the trail before a byte of it goes out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard import formats
from dashboard.access.rates import Rates
from dashboard.access.reach import asked_scopes, is_of_other_teams, need_of
from dashboard.access.routes import Need
from dashboard.access.sessions import COOKIE, Sessions, visitor_with
from dashboard.access.tokens import Tokens
from dashboard.access.trail import Trail
from dashboard.access.visitors import Visit, Visitor, visiting
from dashboard.api import OTHER_TEAMS
from dashboard.problems import RETRY_SECONDS, problem
from pipeline.errors import ConfigurationError, TransientError
from schemas.access import Scope as Opened

_LOG: Final = logging.getLogger("bypassflow.access")

Refuse = Callable[[Request, int, str], Response]

_MACHINES: Final = ("/v1/", "/metrics", "/openapi.json", "/healthz", "/readyz")


class Gate:
    """Stands before the routes of an application. `refuse` makes the page that tells a person of a refusal."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Sequence[BaseRoute],
        tokens: Tokens,
        sessions: Sessions,
        rates: Rates,
        trail: Trail,
        refuse: Refuse,
        now: Callable[[], datetime],
    ) -> None:
        self._app = app
        self._routes = routes
        self._tokens = tokens
        self._sessions = sessions
        self._rates = rates
        self._trail = trail
        self._refuse = refuse
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        route, path, need = need_of(self._routes, dict(scope))
        visitor: Visitor | None = None
        try:
            visitor, wait = self._visitor_of(request)
            with nullcontext() if visitor is None else visiting(Visit(visitor)):
                refusal = self._refused(request, need, visitor, wait)
        except ConfigurationError as error:
            # The file of tokens cannot be read: nobody is let in, and the log says why.
            _LOG.error("%s", error)
            refusal = self._told(request, 503, "nobody can sign in now; the log of bypassflow says why", RETRY_SECONDS)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        if visitor is None:
            await self._app(scope, receive, send)
            return
        visit = Visit(visitor)
        with visiting(visit):
            if need.shows_customers or _takes_away(request, need):
                await self._app(scope, receive, self._noting(request, route, path, visit, send))
            else:
                await self._app(scope, receive, send)

    def _visitor_of(self, request: Request) -> tuple[Visitor | None, int | None]:
        """Return who asks, and after how many seconds an address that shows wrong tokens may ask again."""
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return self._sessions.visitor_of(session_cookie(request), self._now()), None
        address = address_of(request)
        wait = self._rates.wait_before_trying(address)
        if wait is not None:
            return None, wait
        token = self._tokens.matching(secret.strip())
        if token is None or token.is_over(self._now()):
            self._rates.failed(address)
            return None, None
        return visitor_with(token), None

    def _refused(self, request: Request, need: Need, visitor: Visitor | None, wait: int | None) -> Response | None:
        if wait is not None:
            return self._told(request, 429, "too many tokens that are none came from this address; wait", wait)
        if need.scopes is None:
            return None
        if visitor is None:
            return self._unknown(request)
        wait = self._rates.wait_of(visitor.name)
        if wait is not None:
            return self._told(request, 429, "too many requests; ask again later, or for more at once", wait)
        missing = sorted(_asked_scopes(request, need) - visitor.scopes)
        if missing:
            return self._told(
                request, 403, f"this needs the scope {' and '.join(missing)}, which {visitor.name} does not have"
            )
        if visitor.teams is not None:
            if is_of_other_teams(need, parse_qsl(request.url.query), visitor.teams):
                return self._told(request, 403, OTHER_TEAMS)
        return None

    def _unknown(self, request: Request) -> Response:
        if _is_for_machines(request):
            return problem(
                401, "sign in with a token: Authorization: Bearer SECRET; `bypassflow access create` makes one",
                {"WWW-Authenticate": 'Bearer realm="bypassflow"'},
            )  # fmt: skip
        if request.method not in ("GET", "HEAD"):
            return self._refuse(request, 401, "sign in first, then send the form again")
        response = RedirectResponse("/sign-in", 303)
        # Where to go next may name a customer, so it stands in no address.
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        self._sessions.keep_journey(response, {"next": there[:1_500]}, self._now(), request.url.scheme == "https")
        return response

    def _told(self, request: Request, status: int, said: str, wait: int | None = None) -> Response:
        machines = _is_for_machines(request)
        response = problem(status, said) if machines else self._refuse(request, status, said)
        if wait is not None:
            response.headers["Retry-After"] = str(wait)
        return response

    def _noting(self, request: Request, route: str, path: dict[str, str], visit: Visit, send: Send) -> Send:
        """Return what sends an answer and first notes it in the trail; what cannot be noted is not sent."""
        is_withheld = False

        async def sending(message: Message) -> None:
            nonlocal is_withheld
            if message["type"] == "http.response.start" and message["status"] < 400:
                kind = MutableHeaders(scope=message).get("content-type", "").partition(";")[0]
                try:
                    self._trail.note(
                        self._now(), visit.visitor.name, route, message["status"], format=kind,
                        asked=parse_qsl(request.url.query), path=path, row_count=visit.row_count,
                    )  # fmt: skip
                except TransientError as error:
                    is_withheld = True
                    failure = problem(503, str(error), {"Retry-After": str(RETRY_SECONDS)})
                    await failure(request.scope, request.receive, send)
            if not is_withheld:
                await send(message)

        return sending


def session_cookie(request: Request) -> str | None:
    """Return the session's cookie as the browser sent it."""
    return cookie_parser(request.headers.get("cookie", "")).get(COOKIE)


def address_of(request: Request) -> str:
    """Return from where a request comes."""
    return request.client.host if request.client is not None else ""


def _takes_away(request: Request, need: Need) -> bool:
    """Return whether the answer is a table to take away, and not something to look at."""
    if need.scopes is not None and "export" in need.scopes:
        return True
    return need.has_tables and formats.preferred(request.headers.get("accept")) not in (None, formats.JSON)


def _asked_scopes(request: Request, need: Need) -> frozenset[Opened]:
    """Return what a request asks of a visitor: what its route does, and what is asked of the route."""
    asked = asked_scopes(need, parse_qsl(request.url.query))
    if _takes_away(request, need):
        asked.add("export")
    return frozenset(asked)


def _is_for_machines(request: Request) -> bool:
    return request.url.path.startswith(_MACHINES) or "authorization" in request.headers
