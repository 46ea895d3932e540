"""Receivers of kind file, as a configuration names them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from agents.receivers.following import Follower
from agents.receivers.outbox import Outbox
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from agents.receivers.running import Receiver
from agents.receivers.site import NOT_BY_LINE, Entry, Make, Site
from pipeline.errors import ConfigurationError
from pipeline.received import Feed
from schemas.receive import FileReceiver


def prepare_files(site: Site, entries: Sequence[Entry[FileReceiver]]) -> Sequence[Make]:
    """Return what makes a follower of each file.

    Raises:
        ConfigurationError: when two follow the same file, or its format cannot be followed.
    """
    makers: list[Make] = []
    seen: dict[Path, str] = {}
    for entry in entries:
        path = site.path(entry.settings.path)
        if path in seen:
            raise ConfigurationError(
                f"{entry.where} follows {entry.settings.path}, as {seen[path]} does; keep one of them"
            )
        seen[path] = entry.where
        parser = site.parser(entry)
        if parser.name in NOT_BY_LINE:
            raise ConfigurationError(
                f"{entry.where}: {parser.name} is not written line by line, so it cannot be followed"
            )
        feed = site.feed(entry, os.path.relpath(path, site.base).replace(os.sep, "/"), tells_progress=True)
        makers.append(partial(_follower, site, feed, path, entry.settings))
    return makers


def _follower(
    site: Site,
    feed: Feed,
    path: Path,
    settings: FileReceiver,
    positions: Positions,
    outbox: Outbox,
    reader: Reader,
) -> Receiver:
    return Follower(
        feed,
        path,
        lookback=settings.lookback,
        from_end=settings.begin == "end",
        positions=positions,
        reader=reader,
        outbox=outbox,
        tell=site.tell,
    )
