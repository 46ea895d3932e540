"""A session with an Asterisk's manager interface: signing in, events, and a sign of life now and then."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from pipeline.ami import GREETING, AmiReader, Event, answer_to
from pipeline.errors import ConfigurationError, TransientError

_PIECE: Final = 64 * 1024
_MOST_PIECES: Final = 64
# Units: seconds.
_MOMENT: Final = 0.05
_CONNECT_TIMEOUT: Final = 10.0
_PING: Final = 15.0
_SILENCE: Final = 45.0


@dataclass(frozen=True)
class Account:
    """Who signs in. `is_plain`: the secret itself is sent; `events`: the class of events that is asked for."""

    username: str
    secret: str
    is_plain: bool
    events: str


class AmiSession:
    """One connection."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: list[Event] = []
        self._events = AmiReader()
        self._silence = 0.0

    async def open(self, account: Account) -> None:
        """Connect and sign in.

        Raises:
            TransientError: when that is not possible now.
            ConfigurationError: when we are refused.
        """
        self._events, self._silence = AmiReader(), 0.0
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                self._reader, self._writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
                await self._be_greeted()
                await self._sign_in(account)
        except TimeoutError:
            raise TransientError("it does not answer") from None
        except ssl.SSLCertVerificationError:
            raise TransientError("its certificate is not trusted, or has another name; see ca_file and host") from None
        except ssl.SSLError:
            raise TransientError("it speaks no TLS at this port; see port and tls") from None
        except OSError as error:
            raise TransientError(f"it cannot be reached: {(error.strerror or type(error).__name__).lower()}") from None

    async def next(self) -> list[Event]:
        """Return what it told next, some events at once; none when it was silent for a while.

        Raises:
            TransientError: when the connection is lost, or nothing is heard any more.
        """
        if not self._waiting:
            try:
                async with asyncio.timeout(_PING):
                    self._waiting += await self._read()
                self._silence = 0.0
            except TimeoutError:
                self._silence += _PING
                if self._silence >= _SILENCE:
                    raise TransientError("nothing is heard of it") from None
                self._say(Action="Ping")
            except OSError as error:
                raise TransientError(f"the connection failed: {(error.strerror or 'broken').lower()}") from None
        found, self._waiting = self._waiting, []
        return found

    async def rest(self) -> list[Event]:
        """Return what it told already and nobody asked for, without waiting for more; nothing when it is gone."""
        found, self._waiting = self._waiting, []
        with suppress(TimeoutError, OSError, TransientError):
            for _ in range(_MOST_PIECES if self._writer is not None else 0):
                async with asyncio.timeout(_MOMENT):
                    found += await self._read()
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
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    async def _be_greeted(self) -> None:
        try:
            line = await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            line = error.partial
            if not line:
                raise TransientError(
                    "it closes the connection without a greeting; see permit in manager.conf, and tls"
                ) from None
        except asyncio.LimitOverrunError:
            line = b""
        if not line.lower().startswith(GREETING):
            raise TransientError("it does not greet as a manager interface; see host, port and tls")

    async def _sign_in(self, account: Account) -> None:
        if account.is_plain:
            proof = {"Secret": account.secret}
        else:
            self._say(Action="Challenge", AuthType="MD5")
            challenge = (await self._answer()).get("challenge")
            if not challenge:
                raise ConfigurationError(
                    'it offers no challenge; set authentication = "plain", which needs tls, or see manager.conf'
                )
            proof = {"AuthType": "MD5", "Key": answer_to(challenge, account.secret)}
        self._say(Action="Login", Username=account.username, **proof, Events=account.events)
        answer = await self._answer()
        if answer.get("response", "").lower() == "success":
            return
        # Its own words are not shown: they may hold what we sent.
        words = answer.get("message", "").lower()
        if "in use" in words:
            raise TransientError("somebody else is signed in; see allowmultiplelogin in manager.conf")
        if "permission" in words:
            raise ConfigurationError("it refuses permission to sign in; see read, deny and permit in manager.conf")
        raise ConfigurationError("it refuses the user name, the secret or our address; see manager.conf")

    async def _answer(self) -> Event:
        """Return the answer to what was asked; events may stand before it."""
        while True:
            for place, event in enumerate(self._waiting):
                if "response" in event:
                    return self._waiting.pop(place)
            self._waiting += await self._read()

    async def _read(self) -> list[Event]:
        piece = await self._reader.read(_PIECE)
        if not piece:
            raise TransientError("it closed the connection")
        return self._events.feed(piece)

    def _say(self, **fields: str) -> None:
        assert self._writer is not None
        text = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._writer.write(f"{text}\r\n".encode())
