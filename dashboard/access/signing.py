"""The pages on which people sign in and out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response

from dashboard.access.gate import address_of, session_cookie
from dashboard.access.openid import Provider
from dashboard.access.rates import Rates
from dashboard.access.sessions import JOURNEY, Sessions
from dashboard.access.tokens import Tokens
from dashboard.pages.rendering import Pages, is_from_here
from pipeline.errors import ConfigurationError, TransientError

_LONGEST_FORM: Final = 10_000


@dataclass(frozen=True)
class SigningIn:
    """What signing in is made of. `public_url` is where browsers reach the pages, when that is not where we listen."""

    tokens: Tokens
    sessions: Sessions
    rates: Rates
    provider: Provider | None
    public_url: str | None
    now: Callable[[], datetime]

    def add(self, app: FastAPI, pages: Pages) -> None:
        """Add the addresses."""

        def shown(request: Request, status: int = 200, error: str | None = None) -> Response:
            return pages.plain(request, "sign_in.html", {"has_provider": self.provider is not None}, status, error)

        def sign_in(request: Request) -> Response:
            return shown(request)

        async def with_token(request: Request) -> Response:
            if not is_from_here(request) or int(request.headers.get("content-length") or 0) > _LONGEST_FORM:
                return shown(request, 403, "this form was not sent by a page of this server; open the page")
            address = address_of(request)
            wait = self.rates.wait_before_trying(address)
            if wait is not None:
                refused = shown(request, 429, "too many tokens that are none came from this address; wait")
                refused.headers["Retry-After"] = str(wait)
                return refused
            form = await request.form(max_files=0)
            token = self.tokens.matching(str(form.get("secret", "")).strip())
            if token is None or token.is_over(self.now()):
                self.rates.failed(address)
                return shown(request, 403, "this token opens nothing: it is none, has expired or was revoked")
            response = RedirectResponse(self._next(request), 303)
            self.sessions.begin_with_token(response, token, self.now(), _is_https(request))
            return response

        async def to_provider(request: Request) -> Response:
            return await coming(request, self._leave)

        async def from_provider(request: Request) -> Response:
            return await coming(request, self._arrive)

        async def coming(request: Request, step: Callable[[Request, Provider], Awaitable[Response]]) -> Response:
            if self.provider is None:
                return shown(request, 404, "nobody signs in at a provider here; sign in with a token")
            try:
                return await step(request, self.provider)
            except ConfigurationError as error:
                return await run_in_threadpool(shown, request, 403, str(error))
            except TransientError as error:
                return await run_in_threadpool(shown, request, 503, str(error))

        async def sign_out(request: Request) -> Response:
            if not is_from_here(request):
                return shown(request, 403, "this form was not sent by a page of this server; open the page")
            response = RedirectResponse("/sign-in", 303)
            self.sessions.end(response, session_cookie(request), self.now())
            return response

        for path, endpoint, method in (
            ("/sign-in", sign_in, "GET"), ("/sign-in", with_token, "POST"), ("/sign-in/openid", to_provider, "GET"),
            ("/sign-in/callback", from_provider, "GET"), ("/sign-out", sign_out, "POST"),
        ):  # fmt: skip
            app.add_route(path, endpoint, methods=[method], include_in_schema=False)

    async def _leave(self, request: Request, provider: Provider) -> Response:
        kept = self._journey(request)
        request.scope["session"] = {}
        answer = await provider.send_there(request, f"{self._here(request)}/sign-in/callback")
        claims = {"next": kept.get("next", "/"), "openid": request.scope["session"]}
        self.sessions.keep_journey(answer, claims, self.now(), _is_https(request))
        return answer

    async def _arrive(self, request: Request, provider: Provider) -> Response:
        request.scope["session"] = self._journey(request).get("openid") or {}
        visitor = await provider.visitor_of(request)
        # A page of ours leads on: the browser then sends the new cookie, though it came from another site.
        response = RedirectResponse(self._next(request), 303)
        self.sessions.begin_with_visitor(response, visitor, self.now(), _is_https(request))
        return response

    def _journey(self, request: Request) -> dict[str, object]:
        return self.sessions.journey(cookie_parser(request.headers.get("cookie", "")).get(JOURNEY), self.now())

    def _next(self, request: Request) -> str:
        there = str(self._journey(request).get("next", "/"))
        # Only a page of this server: "//name" and "/\\name" lead elsewhere.
        return there if there.startswith("/") and there[1:2] not in ("/", "\\") else "/"

    def _here(self, request: Request) -> str:
        return self.public_url or f"{request.url.scheme}://{request.headers.get('host', '')}"


def _is_https(request: Request) -> bool:
    return request.url.scheme == "https"
