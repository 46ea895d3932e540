"""Follows growing files: what a system appends is published as it comes, and a position is kept once it is."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agents.receivers.growing_file import GrowingFile, Position, Stretch
from agents.receivers.outbox import Outbox
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from pipeline.errors import ConfigurationError, TransientError
from pipeline.received import Feed

# Waits between two looks at a file, after a failure, and until a file that nobody understands is tried again. A look
# that took long is followed by a longer wait, so that a busy file does not take a processor. Unit: seconds.
_BEAT: Final = 0.5
_PAUSE: Final = 2.0
_LONG_PAUSE: Final = 30.0
_SHARE: Final = 10


class Follower:
    """One file."""

    def __init__(
        self,
        feed: Feed,
        path: Path,
        *,
        lookback: int,
        from_end: bool,
        positions: Positions,
        reader: Reader,
        outbox: Outbox,
        tell: Callable[[str], None],
    ) -> None:
        self.name = f"file {path}"
        self._feed = feed
        self._positions = positions
        self._reader = reader
        self._outbox = outbox
        self._tell = tell
        self._said: set[str] = set()
        kept = positions.load(self.name)
        self._kept = Position.from_dict(kept) if kept is not None else None
        self._file = GrowingFile(
            path,
            self._kept,
            lookback=lookback,
            from_end=from_end,
            new_generation=lambda: secrets.token_hex(4),
            clock=time.monotonic,
            tell=tell,
        )

    async def open(self) -> None:
        """Nothing to open: the file may come later."""

    async def run(self) -> None:
        """Follow the file for ever."""
        while True:
            begun = time.monotonic()
            try:
                is_done = await self._step()
            except ConfigurationError as error:
                self._say(str(error))
                await asyncio.sleep(_LONG_PAUSE)
            except TransientError:
                await asyncio.sleep(_PAUSE)
            except OSError as error:
                self._say(f"{self.name} cannot be read: {(error.strerror or str(error)).lower()}")
                await asyncio.sleep(_LONG_PAUSE)
            else:
                took = time.monotonic() - begun
                await asyncio.sleep(max(_BEAT, took * _SHARE) if is_done else 0)

    async def close(self, patience: float) -> None:
        """Let go of the file."""
        self._file.close()

    async def _step(self) -> bool:
        """Publish what there is, up to some megabytes; return whether nothing more was there."""
        stretch = await asyncio.to_thread(self._file.next)
        if self._file.position != self._kept:
            # A generation's name must last before a line is known by it.
            await self._keep()
        if stretch is None:
            return True
        await self._publish(stretch)
        self._file.advance(stretch)
        await self._keep()
        return False

    async def _publish(self, stretch: Stretch) -> None:
        count_as = f"{self._feed.file}@{stretch.after.generation}"
        received = await self._reader.read(self._feed, stretch.content, stretch.place, count_as)
        for warning in received.warnings:
            self._say(warning)
        await self._outbox.send(received.publications)

    async def _keep(self) -> None:
        position = self._file.position
        if position is not None:
            await asyncio.to_thread(self._positions.save, self.name, position.to_dict())
            self._kept = position

    def _say(self, sentence: str) -> None:
        """Say a sentence once: files are looked at all the time."""
        if sentence not in self._said and len(self._said) < 1_000:
            self._said.add(sentence)
            self._tell(sentence)
