"""What a worker or a receiver tells those who run it, over HTTP: its figures, that it lives, and whether it is ready.

It tells numbers, names of topics and reasons, and nothing of anybody, so it asks for no password; still it listens on
this machine alone unless told otherwise.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from types import MappingProxyType
from typing import Final

import faust
import orjson
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from agents.figures import OutboxCollector, PositionCollector, new_registry
from agents.probe import probe
from agents.receivers.outbox import Outbox
from agents.standing import BrokerWatch, Standing, positions_of
from pipeline.errors import ConfigurationError
from schemas.announcements import Announcement
from schemas.closing import Closing
from schemas.kafka import KafkaSettings, Secrets

_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"


class Watched(Closing):
    """Answers /metrics, /healthz and /readyz until it is closed. `url` is where."""

    def __init__(self, registry: CollectorRegistry, problem: Callable[[], str | None], host: str, port: int) -> None:
        """Listen, and answer on threads of their own. Port 0: any that is free.

        `problem` says why the process is not ready, None when it is; it is asked by several threads.

        Raises:
            ConfigurationError: when nobody can listen there.
        """

        class Handler(_Handler):
            answers = MappingProxyType(
                {
                    "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
                    "/healthz": lambda: (200, _JSON, orjson.dumps({"state": "running"})),
                    "/readyz": lambda: _readiness(problem()),
                }
            )

        class Listener(ThreadingHTTPServer):
            address_family = AF_INET6 if ":" in host else AF_INET
            daemon_threads = True

        try:
            self._server = Listener((host, port), Handler)
        except OSError as error:
            raise ConfigurationError(
                f"nobody can listen on {host}:{port}: {(error.strerror or str(error)).lower()}; name another --metrics"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._server.server_address[1]}"
        # The process ends when its own work does, whoever is still asking.
        threading.Thread(target=self._server.serve_forever, args=(0.2,), name="watched", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class WorkerWatch:
    """A worker's figures, and where they are told, if anywhere."""

    def __init__(
        self,
        app: faust.App,
        settings: KafkaSettings,
        secrets: Secrets,
        address: tuple[str, int] | None,
        say: Callable[[str], None],
    ) -> None:
        """`app` has not started yet; `address` is host and port; `say` takes sentences for the log."""
        self.registry = new_registry()
        self._positions = positions_of(app)
        self._broker = BrokerWatch(lambda: probe(settings, secrets), time.monotonic)
        self._address = address
        self._say = say
        self.registry.register(PositionCollector(self._positions, settings.prefix))

    def begin(self, busy_with: Callable[[], str | None] = lambda: None) -> None:
        """Tell from now on; `busy_with` is what the worker must do before it can go on.

        Raises:
            ConfigurationError: when nobody can listen at the address.
        """
        if self._address is not None:
            standing = Standing(self._positions, self._broker, time.monotonic, busy_with)
            watched = Watched(self.registry, standing.problem, *self._address)
            self._say(Announcement(f"figures at {watched.url}/metrics", "figures", url=f"{watched.url}/metrics"))


def watch_receivers(
    outbox: Outbox, settings: KafkaSettings, secrets: Secrets, address: tuple[str, int], say: Callable[[str], None]
) -> Watched:
    """Tell how receivers stand towards the broker, until what is returned is closed.

    Raises:
        ConfigurationError: when nobody can listen at the address.
    """
    registry = new_registry()
    registry.register(OutboxCollector(lambda: (outbox.waiting_count, outbox.confirmed_count)))
    broker = BrokerWatch(lambda: probe(settings, secrets), time.monotonic)
    watched = Watched(registry, lambda: broker.problem() or outbox.problem(), *address)
    say(Announcement(f"figures at {watched.url}/metrics", "figures", url=f"{watched.url}/metrics"))
    return watched


def _readiness(problem: str | None) -> tuple[int, str, bytes]:
    if problem is None:
        return 200, _JSON, orjson.dumps({"state": "running"})
    return 503, _JSON, orjson.dumps({"state": "not ready", "reason": problem})


class _Handler(BaseHTTPRequestHandler):
    answers: Mapping[str, Callable[[], tuple[int, str, bytes]]] = MappingProxyType({})
    timeout = 10

    def do_GET(self) -> None:
        """Answer."""
        answer = self.answers.get(self.path.partition("?")[0])
        known = ", ".join(self.answers)
        self._send(*(answer() if answer else (404, _TEXT, f"there is nothing here; ask one of {known}\n".encode())))

    def _send(self, code: int, kind: str, content: bytes) -> None:
        with suppress(ConnectionError, TimeoutError):
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing of who asks."""
