"""Replay: all facts of a log through one engine, window by window, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Protocol, TypeVar

import pyarrow as pa

from pipeline.engine import Changes, Engine

WINDOW_ROWS = 500_000


class Window(Protocol):
    """A stretch of event time; the last window has no end."""

    @property
    def hi(self) -> datetime | None: ...


W = TypeVar("W", bound=Window)


class FactLog(Protocol[W]):
    """Facts that can be read in windows of event time, and a place for what follows from them.

    The facts of a window are read on a thread of their own while another one's results are written.
    """

    def fold_windows(self, rows: int) -> Sequence[W]: ...

    def fold_facts(self, window: W) -> Mapping[str, pa.Table]: ...

    def apply(
        self, changes: Changes, version: int, positions: Mapping[str, str] | None = None, fresh: bool = False
    ) -> None: ...


def fold_all(
    log: FactLog[W],
    engine: Engine,
    rows: int = WINDOW_ROWS,
    folded: Callable[[int, int], None] | None = None,
) -> None:
    """Fold every fact of a log and write what the engine says back to it.

    `rows` is about how many observations are folded at once; `folded` is told how many windows of how many are done.
    """
    windows = log.fold_windows(rows)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="next-window") as reader:
        coming = reader.submit(log.fold_facts, windows[0])
        for number, window in enumerate(windows, start=1):
            facts = coming.result()
            if number < len(windows):
                coming = reader.submit(log.fold_facts, windows[number])
            changes = engine.fold(facts, number, closes=window.hi, is_last=window.hi is None)
            del facts
            log.apply(changes, number, fresh=True)
            if folded is not None:
                folded(number, len(windows))
