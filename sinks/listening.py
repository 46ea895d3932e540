"""A listener for few clients that know each other: a thread for each connection, their number and time bounded."""

from __future__ import annotations

import time
from contextlib import suppress
from http.server import ThreadingHTTPServer
from socket import SHUT_RDWR, socket
from typing import Any, Final

MOST_CONNECTIONS: Final = 64
# How long a question may take to come, however it drips. Unit: seconds.
ASKING_SECONDS: Final = 10.0
_FULL: Final = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"


class Listener(ThreadingHTTPServer):
    """Turns away connections that there is no room for, and lets go of those that do not ask in time."""

    # A stop waits for answers that are on their way.
    daemon_threads = False
    # As many may come at once as there is room for: whoever finds this queue full is tried again by the system, later
    # than who came after.
    request_queue_size = 2 * MOST_CONNECTIONS
    asking_seconds = ASKING_SECONDS
    most_connections = MOST_CONNECTIONS

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # When each connection was opened that is still open; None once its question came.
        self._opened: dict[socket, float | None] = {}

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection on a thread of its own."""
        if len(self._opened) >= self.most_connections:
            with suppress(OSError):
                request.sendall(_FULL)
            super().shutdown_request(request)
            return
        self._opened[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, and forget it."""
        self._opened.pop(request, None)
        super().shutdown_request(request)

    def asked(self, connection: socket) -> None:
        """Take note that the question of a connection came whole."""
        if connection in self._opened:
            self._opened[connection] = None

    def service_actions(self) -> None:
        """Let go of those that ask too slowly; called a few times a second."""
        latest = time.monotonic() - self.asking_seconds
        for connection, opened_at in list(self._opened.items()):
            if opened_at is not None and opened_at < latest:
                with suppress(OSError):
                    connection.shutdown(SHUT_RDWR)
