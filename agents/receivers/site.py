"""What makers of receivers share: where a `[[receiver]]` stands, and what is around all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo

from agents.receivers.outbox import Outbox
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from agents.receivers.running import Receiver
from pipeline.errors import ConfigurationError
from pipeline.received import Feed
from pipeline.sources.registry import Source, by_name
from schemas.receive import ReceiveSettings

Settings = TypeVar("Settings", covariant=True)
# Makes a receiver, once everything is known to be right.
Make = Callable[[Positions, Outbox, Reader], Receiver]
# Formats whose records stand in files of their own, or not one a line.
NOT_BY_LINE: Final = frozenset({"mbox", "maildir", "eml", "canonical_parquet"})


class Parsed(Protocol):
    """Settings of receivers whose records a parser of files reads."""

    @property
    def source(self) -> str: ...

    @property
    def format(self) -> str: ...

    @property
    def timezone(self) -> str | None: ...

    @property
    def mapping(self) -> Mapping[str, str]: ...

    @property
    def options(self) -> Mapping[str, Any]: ...


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

    def feed(self, entry: Entry[Parsed], file: str, *, tells_progress: bool) -> Feed:
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

    def secret(self, entry: Entry[Any], name: str = "secret") -> str:
        """Return a secret that a receiver's settings name, as NAME_env or NAME_file.

        Raises:
            ConfigurationError: when it is not there. A secret is never shown.
        """
        variable = getattr(entry.settings, f"{name}_env")
        if variable is not None:
            found = self.environment.get(variable, "").strip()
            if not found:
                raise ConfigurationError(
                    f"{entry.where}: {name}_env: the environment has no {variable}; set it, "
                    f"or name a file in {name}_file"
                )
            return found
        path = self.path(getattr(entry.settings, f"{name}_file"))
        try:
            found = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = (
                "is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else f"cannot be read: {_reason(error)}"
            )
            raise ConfigurationError(f"{entry.where}: {name}_file: {path} {reason}") from None
        if not found:
            raise ConfigurationError(f"{entry.where}: {name}_file: {path} is empty")
        return found

    def parser(self, entry: Entry[Parsed]) -> Source:
        """Return the parser of a receiver.

        Raises:
            ConfigurationError: when there is no such format.
        """
        try:
            return by_name(entry.settings.format)
        except ConfigurationError as error:
            raise ConfigurationError(f"{entry.where}: {error}") from None


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
