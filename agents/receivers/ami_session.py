"""A session with an Asterisk's manager interface: signing in, events, and a sign of life now and then."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Final

from pipeline.ami import AmiReader, Event, answer_to
from pipeline.errors import TransientError

_PIECE: Final = 64 * 1024
# Units: seconds.
_CONNECT_TIMEOUT: Final = 10.0
_PING: Final = 15.0
_SILENCE: Final = 45.0


class AmiSession:
    """One connection."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: list[Event] = []
        self._events = AmiReader()

    async def open(self, username: str, secret: str) -> None:
        """Connect and sign in for events of calls and their records.

        Raises:
            TransientError: when that is not possible now.
        """
        self._events = AmiReader()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
                self._say(Action="Challenge", AuthType="MD5")
                challenge = (await self._answer()).get("challenge")
                if not challenge:
                    raise TransientError("it offers no challenge; is this the manager interface?")
                self._say(
                    Action="Login",
                    AuthType="MD5",
                    Username=username,
                    Key=answer_to(challenge, secret),
                    Events="call,cdr",
                )
                if (await self._answer()).get("response") != "Success":
                    raise TransientError("it refuses the user name or the secret; see manager.conf")
        except TimeoutError:
            raise TransientError("it does not answer") from None
        except OSError as error:
            raise TransientError(f"it cannot be reached: {(error.strerror or type(error).__name__).lower()}") from None

    async def next(self) -> list[Event]:
        """Return what it told next, some events at once.

        Raises:
            TransientError: when the connection is lost, or nothing is heard any more.
        """
        silence = 0.0
        while not self._waiting:
            reading = asyncio.ensure_future(self._reader.read(_PIECE))
            try:
                done, _ = await asyncio.wait([reading], timeout=_PING)
            finally:
                if not reading.done():
                    reading.cancel()
                    with suppress(asyncio.CancelledError):
                        await reading
            if done:
                self._take(reading)
                silence = 0.0
                continue
            silence += _PING
            if silence >= _SILENCE:
                raise TransientError("nothing is heard of it")
            self._say(Action="Ping")
        found, self._waiting = self._waiting, []
        return found

    @property
    def spoilt_count(self) -> int:
        """How many events were too long to be any."""
        return self._events.spoilt_count

    async def close(self) -> None:
        """Leave."""
        writer, self._writer, self._waiting = self._writer, None, []
        if writer is not None:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _take(self, reading: asyncio.Future[bytes]) -> None:
        try:
            piece = reading.result()
        except OSError as error:
            raise TransientError(f"the connection failed: {(error.strerror or 'broken').lower()}") from None
        if not piece:
            raise TransientError("it closed the connection")
        self._waiting += self._events.feed(piece)

    async def _answer(self) -> Event:
        """Return the answer to what was asked; events may stand before it."""
        while True:
            for place, event in enumerate(self._waiting):
                if "response" in event:
                    return self._waiting.pop(place)
            piece = await self._reader.read(_PIECE)
            if not piece:
                raise TransientError("it closed the connection")
            self._waiting += self._events.feed(piece)
            del self._waiting[1_000:]

    def _say(self, **fields: str) -> None:
        assert self._writer is not None
        text = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._writer.write(f"{text}\r\n".encode())
