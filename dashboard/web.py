"""The web server of a store: the API put together, guarded, counted, and served."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import uvicorn
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.api import Status, add_api
from dashboard.counting import Counted, add_metrics
from dashboard.problems import add_problems, problem
from pipeline.errors import ConfigurationError
from sinks.annotations import beside
from sinks.asking import Asking
from sinks.running import address
from sinks.store import Store

_STOP_SECONDS: Final = 5
_SUMMARY: Final = "The share of interactions that leave no trace in the CRM, what it is made of, and why."
# Nothing of a page comes from elsewhere, and no other page holds it.
_SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
}


def make_app(
    asking: Asking, *, status: Status | None = None, is_local: bool = True, annotations: Path | None = None
) -> FastAPI:
    """Return the application over a store.

    `status` tells of the process that writes it, None where nobody does. `is_local`: it listens on this machine alone,
    and a page in a browser that reaches it under another name is refused. `annotations` is the file of them.
    """
    # Pages of documentation that the framework brings are loaded from elsewhere.
    app = FastAPI(title="bypassflow", summary=_SUMMARY, version=version("bypassflow"), docs_url=None, redoc_url=None)
    add_problems(app)
    add_api(app, asking, status=status, annotations=annotations)
    counts = add_metrics(app, asking)
    app.add_middleware(_Guard, is_local=is_local, counts=counts)
    return app


@contextmanager
def served(store: Store, listen: str, annotations: Path | None = None, status: Status | None = None) -> Iterator[str]:
    """Serve a store at an address such as 127.0.0.1:8765 meanwhile; gives the URL.

    `annotations` is the file of them, by default the one beside the store; `status` as for `make_app`.

    Raises:
        ConfigurationError: when nobody can listen there.
    """
    host, port = address(listen)
    file = annotations or beside(store.path)
    with closing(Asking(store)) as asking:

        def make(is_local: bool) -> FastAPI:
            return make_app(asking, status=status, is_local=is_local, annotations=file)

        with WebServer(make, host, port) as server:
            yield server.url


class _Guard:
    """Refuses foreign names, sets what browsers should know, and counts each answer."""

    def __init__(self, app: ASGIApp, is_local: bool, counts: Counted) -> None:
        self._app = app
        self._is_local = is_local
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        said = [500]

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                said[0] = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _SAFE.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            if self._is_local and not _is_local_name(Headers(scope=scope).get("host", "")):
                await problem(403, "this address answers to 127.0.0.1 and localhost alone")(scope, receive, told)
            else:
                await self._app(scope, receive, told)
        finally:
            self._counts.answered(scope, said[0], time.perf_counter() - begun)


class WebServer:
    """Serves an app on a thread until it is closed. `url` is where."""

    def __init__(self, make: Callable[[bool], FastAPI], host: str, port: int) -> None:
        """Listen, and serve the app that `make` returns, told whether only this machine can reach it. Port 0: any.

        Raises:
            ConfigurationError: when nobody can listen there.
        """
        try:
            self._socket = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
            )
        except OSError as error:
            raise ConfigurationError(
                f"nobody can listen on {host}:{port}: {(error.strerror or str(error)).lower()}; name another address"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}"
        settings: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False, "lifespan": "off"}
        # On a thread that is not the first one it leaves signals to the process.
        self._server = uvicorn.Server(
            uvicorn.Config(make(_is_local_host(host)), timeout_graceful_shutdown=_STOP_SECONDS, **settings)
        )
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="web")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; what is being answered has some seconds."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


def _is_local_name(name: str) -> bool:
    host = name.rpartition(":")[0] if name.rpartition(":")[2].isdecimal() else name
    return _is_local_host(host.strip("[]"))


def _is_local_host(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
