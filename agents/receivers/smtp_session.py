"""SMTP as a mail server speaks it to us: what a message may have, and that its body is dropped as it comes."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Final

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session, syntax

from pipeline.journaled import PassedOn

# A longer line comes in pieces of this size. Unit: bytes.
_PIECE: Final = 64 * 1024
_END: Final = b"\r\n.\r\n"
# Whoever does not know the password after so many tries guesses.
_MOST_GUESSES: Final = 3

# The library would write senders and addresses to the log.
logging.getLogger("mail.log").disabled = True
# Settings allow that on a machine's own addresses alone.
warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")


@dataclass(frozen=True)
class Limits:
    """What one connection may ask. Units: bytes, seconds. `may_report`: whether messages may be journal reports."""

    largest_message: int
    recipients: int
    data_timeout: float
    idle_timeout: float
    may_report: bool = False


class Desk:
    """What a session asks: whether a message may come, and what became of it. Answers are replies of SMTP."""

    def __init__(
        self,
        limits: Limits,
        may_send: Callable[[str], int],
        take: Callable[[PassedOn, list[str]], Awaitable[str]],
        tell: Callable[[str], None],
    ) -> None:
        """`may_send` gives the seconds that a sender has to wait; `take` the reply once the broker answered."""
        self._limits = limits
        self._may_send = may_send
        self.take = take
        self._tell = tell

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer to a sender that begins a message."""
        if self._may_send(str((session.peer or ("",))[0])):
            return "451 4.7.1 Too many messages; come again in a minute"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer to a recipient."""
        if len(envelope.rcpt_tos) >= self._limits.recipients:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_exception(self, error: Exception) -> str:
        """Answer to what nobody expected, without the words of it."""
        self._tell(f"a message was not taken: {type(error).__name__}; its sender is told to come again")
        return "451 4.3.0 Could not be taken; come again"


class SmtpSession(SMTP):
    """One connection. A message of any size takes what its header takes."""

    line_length_limit = _PIECE

    def __init__(
        self,
        desk: Desk,
        limits: Limits,
        hostname: str,
        tls: SSLContext | None,
        is_known: Callable[[bytes, bytes], bool] | None,
        patience: float,
        forget: Callable[[SmtpSession], None],
    ) -> None:
        """`is_known` tells whether a user name and password fit, where one is wanted; `forget` hears of its end."""
        self._desk = desk
        self._limits = limits
        self._patience = patience
        self._forget = forget
        self.is_busy = False
        self.guess_count = 0
        super().__init__(
            desk,
            data_size_limit=limits.largest_message,
            enable_SMTPUTF8=True,
            hostname=hostname,
            ident="bypassflow",
            tls_context=tls,
            require_starttls=tls is not None,
            timeout=limits.idle_timeout,
            auth_required=is_known is not None,
            auth_require_tls=tls is not None or is_known is None,
            auth_exclude_mechanism=["LOGIN", "PLAIN"] if is_known is None else None,
            authenticator=_authenticator(is_known) if is_known else None,
            loop=asyncio.get_running_loop(),
        )

    def connection_lost(self, error: Exception | None) -> None:
        """Tell that the sender is gone."""
        super().connection_lost(error)
        self._forget(self)

    def say_goodbye(self) -> None:
        """Close, and tell the sender to come again."""
        if self.transport is not None:
            with suppress(RuntimeError, OSError):
                self._writer.write(b"421 4.4.2 Come again\r\n")
            self.transport.close()

    def _timeout_cb(self) -> None:
        self.say_goodbye()

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:
        """Take a message, and answer once it is certain that it is kept."""
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        envelope: Any = self.envelope
        if not envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        self.is_busy = True
        try:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            self._reset_timeout(self._limits.data_timeout)
            passed_on = PassedOn(may_report=self._limits.may_report)
            size = await self._read(passed_on)
            self._reset_timeout(self._patience + self._limits.idle_timeout)
            if size > self._limits.largest_message:
                reply = "552 5.3.4 Error: message is larger than allowed"
            else:
                reply = await self._desk.take(passed_on, envelope.rcpt_tos)
            self.envelope = self._create_envelope()
            await self.push(reply)
        finally:
            self.is_busy = False

    async def _read(self, passed_on: PassedOn) -> int:
        """Read up to the line of one dot, and return how many bytes came."""
        size, is_line_start = 0, True
        while not passed_on.has_enough:
            line = await self._piece(b"\r\n")
            if is_line_start and line == b".\r\n":
                return size
            size += len(line)
            passed_on.add(line[1:] if is_line_start and line.startswith(b".") else line)
            is_line_start = line.endswith(b"\r\n")
        while True:
            if is_line_start:
                # The end may come at once, and its first line break was read already.
                first = await self._reader.readexactly(1)
                size += 1
                is_break = first == b"\r"
                while first == b"\r":
                    first = await self._reader.readexactly(1)
                    size += 1
                if is_break and first == b"\n":
                    continue
                if first == b"." and not is_break:
                    line = await self._piece(b"\r\n")
                    if line == b"\r\n":
                        return size
                    size += len(line)
                    is_line_start = line.endswith(b"\r\n")
                    continue
            while True:
                piece = await self._piece(_END)
                size += len(piece)
                if piece.endswith(_END):
                    return size

    async def _piece(self, end: bytes) -> bytes:
        """Return what comes up to an end, or as much of it as is there when it is long."""
        try:
            return await self._reader.readuntil(end)
        except asyncio.LimitOverrunError as error:
            return await self._reader.readexactly(max(error.consumed, 1))


def _authenticator(is_known: Callable[[bytes, bytes], bool]) -> Callable[..., AuthResult]:
    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
        is_right = isinstance(given, LoginPassword) and is_known(given.login, given.password)
        if not is_right and isinstance(server, SmtpSession):
            server.guess_count += 1
            if server.guess_count >= _MOST_GUESSES:
                server.say_goodbye()
        return AuthResult(success=is_right, handled=is_right)

    return authenticate
