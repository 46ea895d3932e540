"""The HTTP server of webhooks: what a hostile sender can take of it is bounded before any of its words are read.

Bounded are the time that a header and a body take, their sizes, the connections at once, also those of one address,
the requests of one sender, and what pipelining may bring ahead. Compressed bodies are refused, so that nothing grows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from agents.receivers.pacing import Pace, sender_of
from pipeline.errors import ConfigurationError
from pipeline.webhooks.exchange import Answer, Refused, Request
from schemas.webhooks import WebSettings

# A header has at most as many fields, each of at most so many bytes.
_MOST_FIELDS: Final = 64
_LONGEST_FIELD: Final = 8_190
# What is read ahead of a body, for each connection. Unit: bytes.
_AHEAD: Final = 64 * 1024
# How long what is left of a refused body is passed over, and how long an answer may take to be taken. Unit: seconds.
_LINGERING: Final = 1.0
_ANSWERING: Final = 5.0
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_SAFE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
# Bodies in memory at once, of all senders. Unit: bytes.
_MOST_HELD: Final = 64 * 1024 * 1024
_CLOSING: Final = frozenset({400, 408, 413, 431})

# Gives the rest of a request its body, within the limits.
Read = Callable[[], Awaitable[Request]]


@dataclass(frozen=True)
class Endpoint:
    """What stands at a path: how it is asked, and what answers. Whatever answers raises Refused for what it refuses."""

    methods: tuple[str, ...]
    answer: Callable[[Request, Read], Awaitable[Answer]]


class WebServer:
    """A server of endpoints by their paths."""

    def __init__(
        self,
        settings: WebSettings,
        endpoints: Mapping[str, Endpoint],
        now: Callable[[], datetime],
        tell: Callable[[str], None],
    ) -> None:
        """`now` tells the time, aware; `tell` hears of failures of our own, without anything of a request."""
        self._settings = settings
        self._endpoints = endpoints
        self._now = now
        self._tell = tell
        self._pace = Pace(settings.requests_per_second, time.monotonic)
        self._held = 0
        self._most_held = max(_MOST_HELD, 2 * settings.largest_body)
        self._web: web.Server | None = None
        self._listener: asyncio.Server | None = None

    async def open(self) -> int:
        """Listen, and return at which port.

        Raises:
            ConfigurationError: when that cannot be done.
        """
        self._web = web.Server(
            self._serve,
            keepalive_timeout=self._settings.header_timeout.total_seconds(),
            lingering_time=_LINGERING,
            read_bufsize=_AHEAD,
            max_line_size=_LONGEST_FIELD,
            max_field_size=_LONGEST_FIELD,
            max_headers=_MOST_FIELDS,
            auto_decompress=False,
            access_log=None,
            logger=_silent(),
        )
        host, port = self._settings.host, self._settings.port
        try:
            self._listener = await asyncio.get_running_loop().create_server(self._door, host, port, backlog=256)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigurationError(
                f"cannot listen at {host}:{port}: {reason}; name others in [receive] host and port"
            ) from None
        return int(self._listener.sockets[0].getsockname()[1])

    async def close(self, patience: float) -> None:
        """Take no more connections, and finish the requests that were begun within so many seconds."""
        if self._listener is not None:
            self._listener.close()
        if self._web is not None:
            self._web.pre_shutdown()
            # It waits twice: for the request, and for what its end takes.
            await self._web.shutdown(patience / 2)

    # Connections

    def _door(self) -> asyncio.Protocol:
        assert self._web is not None
        return _Door(self._web, self._has_room)

    def _has_room(self, address: str) -> bool:
        assert self._web is not None
        connections = self._web.connections
        if len(connections) >= self._settings.connections:
            return False
        if self._settings.behind_proxy:
            return True
        sender = sender_of(address)
        own_count = sum(sender_of(_address(connection.peername)) == sender for connection in connections)
        return own_count < self._settings.connections_per_sender

    # Requests

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        bodies: list[bytes] = []
        try:
            answer = await self._answer(http, bodies)
        except Refused as refused:
            answer = refused.answer
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            # Without its words, which may hold what somebody sent. Whoever sent it may try again.
            where = http.path if http.path in self._endpoints else "a request"
            self._tell(f"{where}: {type(error).__name__} at {_place(error)}; the sender was answered 500")
            answer = Answer(500, "failed here; try again\n", headers={"Retry-After": "30"})
        finally:
            self._held -= sum(map(len, bodies))
        response = web.Response(
            status=answer.status,
            body=answer.text.encode(),
            content_type=answer.content_type,
            charset="utf-8",
            headers={**_SAFE, **answer.headers},
        )
        if answer.status in _CLOSING:
            response.force_close()
        # Sent here and not behind our back, so that one who never reads it does not hold the connection for ever.
        try:
            async with asyncio.timeout(_ANSWERING):
                await response.prepare(http)
                await response.write_eof()
        except TimeoutError:
            if http.transport is not None:
                http.transport.abort()
        return response

    async def _answer(self, http: web.BaseRequest, bodies: list[bytes]) -> Answer:
        wait = self._pace.wait(self._sender(http))
        if wait:
            raise Refused(429, "too many requests", {"Retry-After": str(wait)})
        endpoint = self._endpoints.get(http.path)
        if endpoint is None:
            raise Refused(404, "nothing is here")
        if http.method not in endpoint.methods:
            raise Refused(405, "this is not how it is asked", {"Allow": ", ".join(endpoint.methods)})
        request = Request(
            method=http.method,
            query=http.rel_url.raw_query_string,
            headers={name.lower(): value for name, value in http.headers.items()},
            received_at=self._now(),
        )

        async def read() -> Request:
            await self._read(http, bodies)
            body = b"".join(bodies)
            return Request(request.method, request.query, request.headers, request.received_at, body)

        return await endpoint.answer(request, read)

    def _sender(self, http: web.BaseRequest) -> str:
        forwarded = http.headers.getall("X-Forwarded-For", []) if self._settings.behind_proxy else []
        # The last one is what the proxy in front itself saw; those before it are anybody's words.
        return sender_of(forwarded[-1].rpartition(",")[2] if forwarded else http.remote or "")

    async def _read(self, http: web.BaseRequest, parts: list[bytes]) -> None:
        """Read the body of a request, a part after the other.

        Raises:
            Refused: when it is too large, too slow, compressed or not announced, or too much is held of all senders.
        """
        most = self._settings.largest_body
        too_large = f"more than {most:,} bytes; [receive] largest_body allows more"
        if http.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise Refused(415, "compressed; send the body as it is", {"Accept-Encoding": "identity"})
        if http.content_length is None and "chunked" not in http.headers.get("Transfer-Encoding", "").lower():
            raise Refused(411, "expected Content-Length")
        if (http.content_length or 0) > most:
            raise Refused(413, too_large)
        if http.headers.get("Expect", "").strip().lower() == "100-continue":
            await http.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # It is no part of the answer, whose size tells whether one was begun.
            http.writer.output_size = 0
        size = 0
        try:
            async with asyncio.timeout(self._settings.body_timeout.total_seconds()):
                while part := await http.content.readany():
                    size += len(part)
                    if size > most:
                        raise Refused(413, too_large)
                    if self._held + len(part) > self._most_held:
                        raise Refused(503, "too much at once", {"Retry-After": "5"})
                    self._held += len(part)
                    parts.append(part)
        except TimeoutError:
            raise Refused(408, "the body took too long") from None
        except web.RequestPayloadError:
            raise Refused(400, "the body is broken") from None


class _Door(asyncio.Protocol):
    """Lets a connection in when there is room, and turns it away before a word is read when there is none."""

    def __init__(self, server: web.Server, has_room: Callable[[str], bool]) -> None:
        self._server = server
        self._has_room = has_room

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if not self._has_room(_address(transport.get_extra_info("peername"))):
            transport.write(_FULL)
            transport.close()
            return
        protocol = self._server()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


def _address(peer: Any) -> str:
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__', '')}:{trace.tb_lineno}" if trace is not None else "?"


def _silent() -> logging.Logger:
    """Return a log that nobody reads: the server's own words may quote what somebody sent."""
    logger = logging.Logger("webhooks")
    logger.addHandler(logging.NullHandler())
    return logger
