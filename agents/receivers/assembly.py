"""Receivers as a configuration names them: everything that can be wrong with it is found before anything is opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from agents.receivers.following import Follower
from agents.receivers.outbox import Outbox
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from agents.receivers.running import Receiver
from pipeline.errors import ConfigurationError
from pipeline.received import Feed
from pipeline.sources.registry import Source, by_name
from schemas.receive import FileReceiver
from schemas.settings import Configuration

# Formats whose records stand in files of their own, or not one a line.
_NOT_BY_LINE: Final = frozenset({"mbox", "maildir", "eml", "canonical_parquet"})
_Make = Callable[[Positions, Outbox, Reader], Receiver]


class Assembly:
    """The receivers of a configuration, ready to be made. Files are relative to `base`."""

    def __init__(
        self, configuration: Configuration, base: Path, environment: Mapping[str, str], tell: Callable[[str], None]
    ) -> None:
        """
        Raises:
            ConfigurationError: when there is none, a format is unknown, or two would read the same.
        """
        if not configuration.receiver:
            raise ConfigurationError(
                'nothing to receive: the configuration has no [[receiver]]; for example kind = "file", '
                'source = "pbx", format = "asterisk_cdr", path = "/var/log/asterisk/cdr-csv/Master.csv"'
            )
        self._base = base
        self._environment = environment
        self._tell = tell
        self._zone = configuration.company.timezone
        self._makers: list[_Make] = []
        paths: dict[str, str] = {}
        for number, settings in enumerate(configuration.receiver, start=1):
            where = f"[[receiver]] number {number}"
            path = os.path.abspath(base / settings.path)
            if path in paths:
                raise ConfigurationError(f"{where} follows {settings.path}, as {paths[path]} does; keep one of them")
            paths[path] = where
            self._makers.append(self._follower(settings, Path(path), where))

    def make(self, positions: Positions, outbox: Outbox, reader: Reader) -> Sequence[Receiver]:
        """Return the receivers, in the order of the configuration."""
        return [make(positions, outbox, reader) for make in self._makers]

    def _follower(self, settings: FileReceiver, path: Path, where: str) -> _Make:
        parser = self._parser(settings.format, where)
        if parser.name in _NOT_BY_LINE:
            raise ConfigurationError(f"{where}: {parser.name} is not written line by line, so it cannot be followed")
        feed = Feed(
            source=settings.source,
            file=os.path.relpath(path, self._base).replace(os.sep, "/"),
            parser=parser,
            zone=ZoneInfo(settings.timezone or self._zone),
            mapping=settings.mapping,
            options=settings.options,
            zone_is_given=settings.timezone is not None,
            tells_progress=True,
        )
        return partial(self._make_follower, feed, path, settings)

    def _make_follower(
        self, feed: Feed, path: Path, settings: FileReceiver, positions: Positions, outbox: Outbox, reader: Reader
    ) -> Receiver:
        return Follower(
            feed,
            path,
            lookback=settings.lookback,
            from_end=settings.begin == "end",
            positions=positions,
            reader=reader,
            outbox=outbox,
            tell=self._tell,
        )

    def _parser(self, name: str, where: str) -> Source:
        try:
            return by_name(name)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from None
