"""Receivers of kind ami: what an Asterisk tells of calls, published as its logs would have it."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

from agents.receivers.ami_session import Account, AmiSession
from agents.receivers.backing_off import Backoff
from agents.receivers.imap_mailbox import tls_context
from agents.receivers.outbox import Outbox
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from agents.receivers.running import Receiver
from agents.receivers.site import Entry, Make, Site
from pipeline.ami import Event, line_of
from pipeline.ami_calls import Calls, Stretch, stretch_of
from pipeline.errors import ConfigurationError, TransientError
from pipeline.received import Feed
from pipeline.sources.registry import by_name
from schemas.ami_receiver import AmiReceiver

# Units: lines, seconds.
_MOST_AT_ONCE: Final = 500
_PAUSE: Final = 1.0
# What happens while nobody listens is lost, so that tries do not become rare.
_LONGEST_PAUSE: Final = 30.0
# Classes of events, as manager.conf names them: channel events have none of their own.
_CLASSES: Final = {"asterisk_cdr": "cdr", "asterisk_cel": "call"}


def prepare_ami(site: Site, entries: Sequence[Entry[AmiReceiver]]) -> Sequence[Make]:
    """Return what makes a listener to each.

    Raises:
        ConfigurationError: when two listen to the same, or a secret or certificate cannot be read.
    """
    makers: list[Make] = []
    seen: dict[tuple[str, int, str], str] = {}
    for entry in entries:
        settings = entry.settings
        place = (settings.host, settings.port, settings.format)
        if place in seen:
            raise ConfigurationError(
                f"{entry.where} listens to {settings.format} of the same Asterisk as {seen[place]}; keep one of them"
            )
        seen[place] = entry.where
        ca_file = str(site.path(settings.ca_file)) if settings.ca_file else None
        try:
            tls = tls_context("tls" if settings.tls else "none", ca_file)
        except ConfigurationError as error:
            raise ConfigurationError(f"{entry.where}: {error}") from None
        account = Account(
            settings.username, site.secret(entry), settings.authentication == "plain", _CLASSES[settings.format]
        )
        makers.append(partial(_make, site, settings, account, tls))
    return makers


def _make(
    site: Site,
    settings: AmiReceiver,
    account: Account,
    tls: ssl.SSLContext | None,
    positions: Positions,
    outbox: Outbox,
    reader: Reader,
) -> Receiver:
    feed = Feed(
        source=settings.source,
        file="ami",
        parser=by_name(settings.format),
        zone=ZoneInfo(settings.timezone or site.zone),
        zone_is_given=settings.timezone is not None,
    )
    return AmiListener(feed, settings, account, tls, outbox, reader, site.tell)


class AmiListener:
    """One Asterisk."""

    def __init__(
        self,
        feed: Feed,
        settings: AmiReceiver,
        account: Account,
        tls: ssl.SSLContext | None,
        outbox: Outbox,
        reader: Reader,
        tell: Callable[[str], None],
    ) -> None:
        self.name = f"ami {settings.host}:{settings.port}, {settings.format}"
        self._feed = feed
        self._account = account
        self._outbox = outbox
        self._reader = reader
        self._tell = tell
        self._said: set[str] = set()
        self._session = AmiSession(settings.host, settings.port, tls)
        self._calls = Calls(settings.lookback)
        self._untold: list[Stretch] = []

    async def open(self) -> None:
        """Nothing to open: the Asterisk may be away."""

    async def run(self) -> None:
        """Listen and publish for ever.

        Raises:
            ConfigurationError: when the Asterisk refuses us.
        """
        backoff = Backoff(longest=_LONGEST_PAUSE)
        was_connected = False
        lost = ""
        while True:
            try:
                await self._session.open(self._account)
                if lost:
                    self._tell(f"{self.name}: is heard again; what happened meanwhile is known to its logs alone")
                was_connected, lost = True, ""
                backoff.succeed()
                while True:
                    await self._take(await self._session.next())
            except TransientError as error:
                if str(error) != lost:
                    lost = str(error)
                    self._tell(f"{self.name}: {'connection lost: ' if was_connected else ''}{error}; it is tried again")
                was_connected = False
            except ConfigurationError as error:
                raise ConfigurationError(f"{self.name}: {error}") from None
            await self._session.close()
            await self._rest(backoff.fail())

    async def close(self, patience: float) -> None:
        """Leave, and publish what was told, also of calls that go on."""
        try:
            async with asyncio.timeout(patience):
                self._note(await self._session.rest())
                await self._session.close()
                self._find_due(everything=True)
                await self._publish()
        except (TimeoutError, TransientError, ConfigurationError):
            self._tell(f"{self.name}: some of what was told last was not published")

    async def _take(self, events: Sequence[Event]) -> None:
        """Publish what is complete. Until that is done nothing more is read."""
        if self._session.spoilt_count:
            self._say("events too long to be any of Asterisk's are passed over")
        self._note(events)
        self._find_due()
        await self._publish_surely()

    def _note(self, events: Sequence[Event]) -> None:
        lines = [line for event in events if (line := line_of(event)) is not None and line.format == self._format]
        if self._format == "asterisk_cel":
            for line in lines:
                self._calls.hear(line, time.monotonic())
            return
        for _, alike in groupby(lines, lambda line: line.header):
            found = list(alike)
            for start in range(0, len(found), _MOST_AT_ONCE):
                self._untold.append(stretch_of(found[start : start + _MOST_AT_ONCE]))

    @property
    def _format(self) -> str:
        return self._feed.parser.name

    def _find_due(self, *, everything: bool = False) -> None:
        due = self._calls.due(time.monotonic(), everything=everything)
        if due is not None:
            self._untold.append(due)
            self._calls.told()

    async def _rest(self, pause: float) -> None:
        """Wait before the next try; calls do not go on waiting for their end meanwhile."""
        await asyncio.sleep(pause)
        self._find_due()
        await self._publish_surely()

    async def _publish_surely(self) -> None:
        while True:
            try:
                return await self._publish()
            except TransientError:
                await asyncio.sleep(_PAUSE)

    async def _publish(self) -> None:
        """Publish what waits; it is forgotten only when the broker keeps it."""
        while self._untold:
            stretch = self._untold[0]
            received = await self._reader.read(self._feed, stretch.content, stretch.place)
            for warning in received.warnings:
                self._say(warning)
            await self._outbox.send(received.publications)
            del self._untold[0]

    def _say(self, sentence: str) -> None:
        """Say a sentence once."""
        if sentence not in self._said and len(self._said) < 1_000:
            self._said.add(sentence)
            self._tell(f"{self.name}: {sentence}")
