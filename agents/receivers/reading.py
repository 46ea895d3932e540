"""Received content given to the parsers of files, on a thread of its own, without a file of it on any disk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from pipeline.received import Feed, Placing, Received, Translator


class Reader:
    """Reads one piece of content after the other."""

    def __init__(self, translator: Translator, now: Callable[[], datetime]) -> None:
        """`now` tells the time, aware: a record dated more than a day later is refused."""
        self._translator = translator
        self._now = now
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reading")

    async def read(self, feed: Feed, content: bytes, place: Placing, count_as: str | None = None) -> Received:
        """Return the messages of some content; arguments and errors as those of `Translator.translate`."""
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._read, feed, content, place, count_as)
        return await asyncio.shield(work)

    def close(self) -> None:
        """Let go of the thread, once it has done what it began."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _read(self, feed: Feed, content: bytes, place: Placing, count_as: str | None) -> Received:
        # A file in memory: parsers read files, and what customers' systems send is to lie nowhere but on the broker.
        descriptor = os.memfd_create("received", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as stream:
                stream.write(content)
            path = Path(f"/proc/self/fd/{descriptor}")
            return self._translator.translate(feed, path, place, self._now(), count_as)
        finally:
            os.close(descriptor)
