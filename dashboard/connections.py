"""What one connection, and all together, may take of the server of the pages and the API, whoever is at its other end.

Bounded are the connections at once, the time that a request and its body take to come and an answer to be taken, the
fields and the size of a header, and the size of a body.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS: Final = 256
MOST_FIELDS: Final = 100
# Filters with many values make long questions. Unit of this and the next: bytes.
LONGEST_HEADER: Final = 1_000_000
LARGEST_BODY: Final = 100_000
# How long a whole request may take to come, and how long nothing of an answer may be taken. Unit: seconds.
REQUEST_SECONDS: Final = 15.0
TAKING_SECONDS: Final = 60.0

_REASONS: Final = {
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class Connection(H11Protocol):
    """One connection."""

    request_seconds = REQUEST_SECONDS
    taking_seconds = TAKING_SECONDS
    most_connections = MOST_CONNECTIONS

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._field_count = 0
        self._header_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection in, or turn it away when there is no room."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self._refuse(503)
        else:
            self._begin()

    def data_received(self, data: bytes) -> None:
        """Take what came, up to the limits of a header; what is read before a request is whole has its time."""
        if self.transport.is_closing():
            return
        is_idle = self.cycle is None or self.cycle.response_complete
        if self._deadline is None and is_idle:
            self._begin()
        if self.conn.their_state is h11.IDLE:
            header = data.partition(b"\r\n\r\n")[0]
            self._field_count += header.count(b"\n")
            self._header_size += len(header)
            if is_idle and (self._field_count > MOST_FIELDS or self._header_size > LONGEST_HEADER):
                self._refuse(431)
                return
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._field_count = self._header_size = 0
            if self.conn.their_state is not h11.SEND_BODY:
                self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection that is gone."""
        self._end()
        self._take_up()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the other end to take what was sent, but not for ever."""
        self._taking = self._taking or self.loop.call_later(self.taking_seconds, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on sending."""
        self._take_up()
        super().resume_writing()

    def _begin(self) -> None:
        self._deadline = self.loop.call_later(self.request_seconds, self._refuse, 408)

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _take_up(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _refuse(self, status: int) -> None:
        """Say why, unless an answer was begun, and close."""
        self._end()
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            reason = _REASONS[status]
            retry = "Retry-After: 5\r\n" if status == 503 else ""
            self.transport.write(
                f"HTTP/1.1 {status} {reason}\r\n{retry}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
        self.transport.close()


class Bodies:
    """Stands before the application: refuses bodies that are larger than any form, announced or not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        size = 0

        async def receiving() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > LARGEST_BODY:
                raise HTTPException(413, f"expected a body of at most {LARGEST_BODY:,} bytes", {"Connection": "close"})
            return message

        await self._app(scope, receiving, send)
