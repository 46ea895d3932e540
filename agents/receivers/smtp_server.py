"""Receivers of kind smtp: a mail server sends copies, and each is acknowledged once the broker keeps what it says."""

from __future__ import annotations

import asyncio
import hmac
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, cast

from agents.receivers.mail_feeds import mail_feed
from agents.receivers.outbox import Busy, Outbox
from agents.receivers.pacing import Pace, sender_of
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from agents.receivers.running import Receiver
from agents.receivers.site import Entry, Make, Site
from agents.receivers.smtp_session import Desk, Limits, SmtpSession
from pipeline.errors import ConfigurationError, TransientError
from pipeline.journaled import PassedOn
from pipeline.received import Feed, place_of_document
from schemas.mail_receivers import SmtpReceiver

# How long a sender waits for the broker: mail servers wait for ten minutes. Unit: seconds.
_PATIENCE: Final = 20.0
_NOT_ALLOWED: Final = b"554 5.7.1 Not allowed from this address\r\n"
_TOO_MANY: Final = b"421 4.7.0 Too many connections; come again\r\n"


def prepare_smtp(site: Site, entries: Sequence[Entry[SmtpReceiver]]) -> Sequence[Make]:
    """Return what makes a server for each.

    Raises:
        ConfigurationError: when two listen at the same place, or a certificate or secret cannot be read.
    """
    makers: list[Make] = []
    seen: dict[tuple[str, int], str] = {}
    for entry in entries:
        settings = entry.settings
        place = (settings.host, settings.port)
        if settings.port and place in seen:
            raise ConfigurationError(
                f"{entry.where} listens at {settings.host}:{settings.port}, as {seen[place]} does; give it another port"
            )
        seen[place] = entry.where
        # The same message is the same record, through whichever server it comes.
        feed = mail_feed(site, entry.settings.source, "smtp")
        secret = site.secret(entry) if settings.username is not None else None
        makers.append(partial(_make, site, feed, settings, _tls(site, entry), secret))
    return makers


def _make(
    site: Site,
    feed: Feed,
    settings: SmtpReceiver,
    tls: ssl.SSLContext | None,
    secret: str | None,
    positions: Positions,
    outbox: Outbox,
    reader: Reader,
) -> Receiver:
    return SmtpServer(feed, settings, tls, secret, outbox, reader, site.tell)


def _tls(site: Site, entry: Entry[SmtpReceiver]) -> ssl.SSLContext | None:
    settings = entry.settings
    if settings.certificate_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(
            site.path(settings.certificate_file), site.path(settings.key_file) if settings.key_file else None
        )
    except (ssl.SSLError, OSError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigurationError(
            f"{entry.where}: certificate_file {settings.certificate_file} cannot be used: {reason.lower()}; "
            "it is a PEM file with the certificate, and key_file one with its key"
        ) from None
    return context


class SmtpServer:
    """One address at which copies of mail are taken in."""

    def __init__(
        self,
        feed: Feed,
        settings: SmtpReceiver,
        tls: ssl.SSLContext | None,
        secret: str | None,
        outbox: Outbox,
        reader: Reader,
        tell: Callable[[str], None],
    ) -> None:
        self.name = f"smtp {settings.host}:{settings.port}"
        self._feed = feed
        self._settings = settings
        self._tls = tls
        self._outbox = outbox
        self._reader = reader
        self._tell = tell
        self._said: set[str] = set()
        self._networks = [ip_network(network) for network in settings.allowed_networks]
        self._sessions: set[SmtpSession] = set()
        self._server: asyncio.Server | None = None
        self._limits = Limits(
            settings.largest_message,
            settings.recipients,
            settings.data_timeout.total_seconds(),
            settings.idle_timeout.total_seconds(),
            settings.journal_reports,
        )
        pace = Pace(settings.messages_per_minute / 60, time.monotonic)
        self._desk = Desk(self._limits, lambda address: pace.wait(sender_of(address)), self._take, self._say)
        self._credentials = (
            (settings.username.encode(), secret.encode())
            if settings.username is not None and secret is not None
            else None
        )
        self._hostname = socket.gethostname()

    async def open(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: when the address cannot be had.
        """
        host, port = self._settings.host, self._settings.port
        try:
            self._server = await asyncio.get_running_loop().create_server(lambda: _Door(self), host, port)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigurationError(f"cannot listen at {host}:{port}: {reason}; name another port or host") from None
        self.name = f"smtp {host}:{self._server.sockets[0].getsockname()[1]}"

    async def run(self) -> None:
        """Serve until cancelled."""
        await asyncio.Event().wait()

    async def close(self, patience: float) -> None:
        """Let those finish who send a message, and ask all others to come again."""
        if self._server is not None:
            self._server.close()
        deadline = time.monotonic() + patience
        while self._sessions:
            for session in list(self._sessions):
                if not session.is_busy or time.monotonic() > deadline:
                    session.say_goodbye()
            if time.monotonic() > deadline + 1:
                return
            await asyncio.sleep(0.02)

    def refusal(self, address: str) -> bytes | None:
        """Return what is said to somebody who may not connect now; None when they may."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return _NOT_ALLOWED
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        if not any(found in network for network in self._networks):
            return _NOT_ALLOWED
        return _TOO_MANY if len(self._sessions) >= self._settings.connections else None

    def session(self) -> SmtpSession:
        """Return a new session."""
        session = SmtpSession(
            self._desk,
            self._limits,
            self._hostname,
            self._tls,
            self._is_known if self._credentials else None,
            _PATIENCE,
            self._sessions.discard,
        )
        self._sessions.add(session)
        return session

    def _is_known(self, username: bytes, password: bytes) -> bool:
        assert self._credentials is not None
        is_name = hmac.compare_digest(username, self._credentials[0])
        return hmac.compare_digest(password, self._credentials[1]) and is_name

    async def _take(self, passed_on: PassedOn, recipients: list[str]) -> str:
        """Return the reply to a whole message: yes only when the broker keeps its record."""
        header = passed_on.header(recipients, self._settings.addresses)
        received = await self._reader.read(self._feed, header, place_of_document(header))
        for warning in received.warnings:
            self._say(warning)
        try:
            await self._outbox.deliver(received.publications, _PATIENCE)
        except Busy as busy:
            return f"451 4.3.1 {str(busy).capitalize()}; come again in {busy.retry_after} seconds"
        except TransientError:
            return "451 4.3.0 The broker did not confirm; come again"
        return "250 2.0.0 OK: kept"

    def _say(self, sentence: str) -> None:
        """Say a sentence once."""
        if sentence not in self._said and len(self._said) < 1_000:
            self._said.add(sentence)
            self._tell(f"{self.name}: {sentence}")


class _Door(asyncio.Protocol):
    """Lets in who may come, before anything is made for them."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername") or ("",)
        refusal = self._server.refusal(str(peer[0]))
        stream = cast(asyncio.Transport, transport)
        if refusal is not None:
            stream.write(refusal)
            stream.close()
            return
        session = self._server.session()
        stream.set_protocol(session)
        session.connection_made(stream)
