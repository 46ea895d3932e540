"""Receivers of kind ami: what an Asterisk tells of calls, published as its logs would have it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from agents.receivers.ami_session import AmiSession
from agents.receivers.backing_off import Backoff
from agents.receivers.imap_mailbox import tls_context
from agents.receivers.outbox import Outbox
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from agents.receivers.running import Receiver
from agents.receivers.site import Entry, Make, Site
from pipeline.ami import Event, Line, OpenCalls, line_of
from pipeline.errors import ConfigurationError, TransientError
from pipeline.received import Feed, Placing, place_of_lines
from pipeline.sources.registry import by_name
from schemas.ami_receiver import AmiReceiver

# What waits for the broker at most; then nothing is read, and the Asterisk keeps what its connection takes.
_MOST_WAITING: Final = 20_000
_MOST_AT_ONCE: Final = 500
_PAUSE: Final = 1.0


def prepare_ami(site: Site, entries: Sequence[Entry[AmiReceiver]]) -> Sequence[Make]:
    """Return what makes a listener to each.

    Raises:
        ConfigurationError: when two listen to the same, or a secret or certificate cannot be read.
    """
    makers: list[Make] = []
    seen: dict[tuple[str, int], str] = {}
    for entry in entries:
        settings = entry.settings
        place = (settings.host, settings.port)
        if place in seen:
            raise ConfigurationError(f"{entry.where} listens to the same Asterisk as {seen[place]}; keep one of them")
        seen[place] = entry.where
        ca_file = str(site.path(settings.ca_file)) if settings.ca_file else None
        try:
            tls = tls_context("tls" if settings.tls else "none", ca_file)
        except ConfigurationError as error:
            raise ConfigurationError(f"{entry.where}: {error}") from None
        makers.append(partial(_make, site, settings, site.secret(entry), tls))
    return makers


def _make(
    site: Site,
    settings: AmiReceiver,
    secret: str,
    tls: ssl.SSLContext | None,
    positions: Positions,
    outbox: Outbox,
    reader: Reader,
) -> Receiver:
    feeds = {
        format: Feed(
            source=settings.source,
            file="ami",
            parser=by_name(format),
            zone=ZoneInfo(settings.timezone or site.zone),
            zone_is_given=settings.timezone is not None,
        )
        for format in ("asterisk_cdr", "asterisk_cel")
    }
    return AmiListener(feeds, settings, secret, tls, outbox, reader, site.tell)


class AmiListener:
    """One Asterisk."""

    def __init__(
        self,
        feeds: Mapping[str, Feed],
        settings: AmiReceiver,
        secret: str,
        tls: ssl.SSLContext | None,
        outbox: Outbox,
        reader: Reader,
        tell: Callable[[str], None],
    ) -> None:
        self.name = f"ami {settings.host}:{settings.port}"
        self._feeds = feeds
        self._settings = settings
        self._secret = secret
        self._outbox = outbox
        self._reader = reader
        self._tell = tell
        self._said: set[str] = set()
        self._session = AmiSession(settings.host, settings.port, tls)
        self._waiting: asyncio.Queue[Line] = asyncio.Queue(_MOST_WAITING)
        self._batch: list[Line] = []
        self._open_calls = OpenCalls(settings.lookback)

    async def open(self) -> None:
        """Nothing to open: the Asterisk may be away."""

    async def run(self) -> None:
        """Listen and publish for ever."""
        publishing = asyncio.create_task(self._publish_all())
        listening = asyncio.create_task(self._listen())
        try:
            done, _ = await asyncio.wait([publishing, listening], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (publishing, listening):
                task.cancel()
            await asyncio.gather(publishing, listening, return_exceptions=True)

    async def close(self, patience: float) -> None:
        """Leave, and publish what was told."""
        await self._session.close()
        try:
            async with asyncio.timeout(patience):
                while self._batch or not self._waiting.empty():
                    await self._publish()
        except (TimeoutError, TransientError):
            self._tell(f"{self.name}: {len(self._batch) + self._waiting.qsize():,} events were not published")

    async def _listen(self) -> None:
        backoff = Backoff()
        was_connected = is_lost = False
        while True:
            try:
                await self._session.open(self._settings.username, self._secret)
                if is_lost:
                    self._tell(f"{self.name}: is heard again; what happened meanwhile is known to its logs alone")
                was_connected, is_lost = True, False
                backoff.succeed()
                while True:
                    await self._take(await self._session.next())
            except TransientError as error:
                if not is_lost:
                    lost = "connection lost: " if was_connected else ""
                    self._tell(f"{self.name}: {lost}{error}; it is tried again")
                is_lost = True
            finally:
                await self._session.close()
            await asyncio.sleep(backoff.fail())

    async def _take(self, events: Sequence[Event]) -> None:
        if self._session.spoilt_count:
            self._say("events too long to be any of Asterisk's are passed over")
        for event in events:
            line = line_of(event)
            if line is not None:
                await self._waiting.put(line)

    async def _publish_all(self) -> None:
        while True:
            if not self._batch:
                self._batch.append(await self._waiting.get())
            try:
                await self._publish()
            except TransientError:
                await asyncio.sleep(_PAUSE)

    async def _publish(self) -> None:
        """Publish what waits, up to some hundreds; it is forgotten only when the broker keeps it."""
        while len(self._batch) < _MOST_AT_ONCE and not self._waiting.empty():
            self._batch.append(self._waiting.get_nowait())
        for header in dict.fromkeys(line.header for line in self._batch):
            await self._send([line for line in self._batch if line.header == header])
        for line in self._batch:
            if line.format == "asterisk_cel":
                self._open_calls.note(line)
        self._batch = []

    async def _send(self, lines: Sequence[Line]) -> None:
        """Publish lines of one form."""
        known = self._open_calls.lines() if lines[0].format == "asterisk_cel" else []
        before = [lines[0].header, *known]
        content = "\n".join((*before, *(line.text for line in lines))).encode()
        place = _behind(len(before), place_of_lines(content))
        received = await self._reader.read(self._feeds[lines[0].format], content, place)
        for warning in received.warnings:
            self._say(warning)
        await self._outbox.send(received.publications)

    def _say(self, sentence: str) -> None:
        """Say a sentence once."""
        if sentence not in self._said and len(self._said) < 1_000:
            self._said.add(sentence)
            self._tell(f"{self.name}: {sentence}")


def _behind(known_count: int, place: Placing) -> Placing:
    """Return places for the lines behind those that are there to be understood by."""
    return lambda written: place(written) if int(written.partition("#")[0]) > known_count else None
