"""The API and the pages as one application, and the server that runs it beside whatever else a process does.

It listens on this machine alone unless told otherwise, and then a page in a browser that reaches it under another name
is refused. Where others reach it, `dashboard.access` asks who they are.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
import urllib.request
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket
from typing import Any, Final
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.access.opening import Access
from dashboard.access.visitors import narrow
from dashboard.api import add_api
from dashboard.connections import LONGEST_HEADER, Bodies, Connection
from dashboard.counting import Counting, method_of
from dashboard.pages.routes import add_pages
from dashboard.problems import add_problems, problem
from pipeline.errors import ConfigurationError
from schemas.closing import Closing
from schemas.tracing import UNTRACED, Tracer
from sinks.asking import Asking

_LOG: Final = logging.getLogger("bypassflow.web")
_STOP_SECONDS: Final = 5
_WARM_SECONDS: Final = 30
# What an answer says unless it says otherwise itself. The pages send a policy of their own.
_SAFE: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def make_app(
    asking: Asking,
    *,
    status: Callable[[], dict[str, Any]] | None = None,
    is_local: bool = True,
    annotations: Path | None = None,
    access: Access | None = None,
    now: Callable[[], datetime],
    tracer: Tracer = UNTRACED,
) -> FastAPI:
    """Return the application over a store.

    `status` is what a running sink says of itself, None over a file. With `is_local`, only requests to this machine's
    own names are answered. `annotations` is where measures and labels lie. With `access` people and
    programs have to sign in. `now` is UTC without a zone.
    """
    app = FastAPI(
        title="bypassflow",
        version="1",
        summary="The share of a company's customer interactions that leave no trace in its CRM.",
        # Its pages of documentation load from other hosts.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    counting = Counting()
    add_problems(app)
    add_api(app, asking, status=status, annotations=annotations, now=now, counting=counting)
    pages = add_pages(app, asking, status=status, annotations=annotations, now=now)
    if access is not None:
        asking.prepare = narrow
        access.add(app, pages)
    app.add_middleware(Bodies)
    names = access.names if access else frozenset()
    app.add_middleware(Guard, counting=counting, is_local=is_local, names=names, tracer=tracer)
    return app


class Guard:
    """Stands before the application: refuses foreign names, adds what keeps answers safe, counts, and tells defects."""

    def __init__(
        self,
        app: ASGIApp,
        counting: Counting,
        is_local: bool,
        names: Collection[str] = (),
        tracer: Tracer = UNTRACED,
    ) -> None:
        """`names`: hosts that a proxy on this machine answers to, beside its own."""
        self._tracer = tracer
        self._app = app
        self._counting = counting
        self._is_local = is_local
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Whose trace a request says it belongs to is not asked: anybody may say so.
        with self._tracer.span("request") as span:
            status = await self._answer(scope, receive, send)
            method, path = method_of(scope["method"]), _template(scope)
            span.rename(f"{method} {path}")
            span.tell(method=method, route=path, status_code=status)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer one request; return the status that was sent, 0 without one."""
        began = time.perf_counter()
        told = 0

        async def sending(message: Message) -> None:
            nonlocal told
            if message["type"] == "http.response.start":
                told = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _SAFE.items():
                    headers.setdefault(name, value)
            await send(message)

        host = Headers(scope=scope).get("host", "")
        if self._is_local and not is_loopback_name(host) and host.lower() not in self._names:
            refusal = problem(403, "this address answers to 127.0.0.1 and localhost alone")
            await refusal(scope, receive, sending)
        else:
            try:
                await self._app(scope, receive, sending)
            except Exception as error:
                # The text of an error may hold values: only its kind and its place are told.
                last = traceback.extract_tb(error.__traceback__)[-1]
                _LOG.error("%s at %s:%s", type(error).__name__, Path(last.filename).name, last.lineno)
                if told:
                    raise
                failure = problem(500, "this is a defect of bypassflow; its log says where")
                await failure(scope, receive, sending)
        self._counting.count(_template(scope), scope["method"], told, time.perf_counter() - began)
        return told


def _template(scope: Scope) -> str:
    """Return the path of a request without what was filled in, which may name a customer."""
    return str(getattr(scope.get("route"), "path", "other"))


def is_loopback_name(host: str) -> bool:
    """Return whether a Host header names this machine itself.

    >>> is_loopback_name("localhost:8765"), is_loopback_name("[::1]:8765"), is_loopback_name("evil.example")
    (True, True, False)
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


class Site(Closing):
    """Serves an application on threads of its own until it is closed. `url` is where."""

    def __init__(self, app: ASGIApp, asking: Asking, host: str, port: int) -> None:
        """Listen, and serve. Port 0: any that is free. `asking` is closed with it.

        Raises:
            ConfigurationError: when nobody can listen there.
        """
        self._asking = asking
        self._app = app
        family = AF_INET6 if ":" in host else AF_INET
        listening = socket(family, SOCK_STREAM)
        try:
            listening.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            listening.bind((host, port))
            listening.listen(128)
        except OSError as error:
            listening.close()
            asking.close()
            raise ConfigurationError(
                f"nobody can listen on {host}:{port}: {(error.strerror or str(error)).lower()}; name another address"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{listening.getsockname()[1]}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._answer,
                interface="asgi3",
                log_config=None,
                access_log=False,  # questions may name customers
                server_header=False,
                lifespan="off",
                ws="none",
                http=Connection,
                h11_max_incomplete_event_size=2 * LONGEST_HEADER,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name="site")
        self._thread.start()

    def show(self, app: ASGIApp) -> None:
        """Answer with another application from the next request on."""
        self._app = app

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def warm(self) -> None:
        """Ask for the first page once, so that whoever comes next does not wait for what is made only once."""
        with suppress(OSError), urllib.request.urlopen(self.url, timeout=_WARM_SECONDS) as answer:
            answer.read()

    def close(self) -> None:
        """Stop listening, and break off what is being answered."""
        self._server.should_exit = True
        self._asking.interrupt()
        self._thread.join()
        self._asking.close()
