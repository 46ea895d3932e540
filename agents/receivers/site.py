"""What makers of receivers share: where a `[[receiver]]` stands, and what is around all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from zoneinfo import ZoneInfo

from agents.receivers.outbox import Outbox
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from agents.receivers.running import Receiver
from pipeline.errors import ConfigurationError
from pipeline.received import Feed
from pipeline.sources.registry import Source, by_name
from schemas.receive import ParsedReceiver, ReceiveSettings

Settings = TypeVar("Settings", covariant=True)
# Makes a receiver, once everything is known to be right.
Make = Callable[[Positions, Outbox, Reader], Receiver]
# Formats whose records stand in files of their own, or not one a line.
NOT_BY_LINE: Final = frozenset({"mbox", "maildir", "eml", "canonical_parquet"})


@dataclass(frozen=True)
class Entry(Generic[Settings]):
    """One `[[receiver]]`; `where` names it in errors."""

    where: str
    settings: Settings


# Looks at all receivers of one kind, which may share something, and raises ConfigurationError where one is wrong.
Prepare = Callable[["Site", Sequence[Entry[Any]]], Sequence[Make]]


@dataclass(frozen=True)
class Site:
    """What is around all receivers. Files are relative to `base`; `zone` is the company's."""

    base: Path
    environment: Mapping[str, str]
    zone: str
    receive: ReceiveSettings
    tell: Callable[[str], None]

    def path(self, written: str) -> Path:
        """Return the whole path of a file."""
        return Path(os.path.abspath(self.base / written))

    def feed(self, entry: Entry[ParsedReceiver], file: str, *, tells_progress: bool) -> Feed:
        """Return where the records of a receiver belong. `file`: the name under which they count.

        Raises:
            ConfigurationError: when there is no such format.
        """
        settings = entry.settings
        return Feed(
            source=settings.source,
            file=file,
            parser=self.parser(entry),
            zone=ZoneInfo(settings.timezone or self.zone),
            mapping=settings.mapping,
            options=settings.options,
            zone_is_given=settings.timezone is not None,
            tells_progress=tells_progress,
        )

    def parser(self, entry: Entry[ParsedReceiver]) -> Source:
        """Return the parser of a receiver.

        Raises:
            ConfigurationError: when there is no such format.
        """
        try:
            return by_name(entry.settings.format)
        except ConfigurationError as error:
            raise ConfigurationError(f"{entry.where}: {error}") from None
