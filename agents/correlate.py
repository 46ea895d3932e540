"""Correlate: packed facts become packed outcomes. One engine for each partition that this worker was given."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import faust
from pipeline.correlation import Correlator

from agents.app import Desk, entries_of
from schemas.log import Entry

MOST_RUNS = 8
LINGER = 0.1
# A checkpoint costs as much as is open; without one a restart folds what came since. Unit: seconds.
CHECKPOINT_EVERY = 60.0


class Correlate:
    """One worker's correlators: made for a partition with its first message, given up when the partition is."""

    def __init__(self, make: Callable[[int], Correlator], said: Callable[[str], None]) -> None:
        self._make = make
        self._said = said
        self._correlators: dict[int, Correlator] = {}
        self._checked_at: dict[int, float] = {}

    def fold(self, messages: Mapping[int, Sequence[Entry]]) -> None:
        """Fold messages, by partition; return once the broker keeps what follows from them."""
        for partition, entries in messages.items():
            correlator = self._correlators.get(partition)
            if correlator is None:
                correlator = self._begin(partition)
            correlator.fold(entries)
            if time.monotonic() - self._checked_at[partition] > CHECKPOINT_EVERY:
                self._check(partition)

    def give_up(self, partitions: set[int]) -> None:
        """Forget the engines of partitions that now belong to another worker."""
        for partition in partitions & self._correlators.keys():
            del self._correlators[partition]

    def finish(self) -> None:
        """Leave checkpoints, so that the next start has nothing to fold again."""
        for partition in self._correlators:
            self._check(partition)

    def _begin(self, partition: int) -> Correlator:
        begun = time.monotonic()
        correlator = self._make(partition)
        recovery = correlator.start()
        self._said(
            f"correlate: partition {partition} goes on at {correlator.position}; "
            f"{recovery.fact_count:,} facts folded again in {time.monotonic() - begun:.1f} s"
        )
        self._correlators[partition] = correlator
        self._checked_at[partition] = time.monotonic()
        return correlator

    def _check(self, partition: int) -> None:
        self._correlators[partition].checkpoint()
        self._checked_at[partition] = time.monotonic()


def add_correlate(app: faust.App, correlate: Correlate, topic: str) -> Desk:
    """Let an app's agent fold the facts topic, given by its full name; return the desk at which it works."""
    desk = Desk("correlate")

    @app.agent(app.topic(topic, value_type=bytes), concurrency=1, name="correlate")
    async def fold(stream: Any) -> None:
        async for events in stream.take_events(MOST_RUNS, within=LINGER):
            messages: defaultdict[int, list[Entry]] = defaultdict(list)
            for _, partition, entry in entries_of(events):
                messages[partition].append(entry)
            await desk.do(partial(correlate.fold, messages))

    @app.on_partitions_revoked.connect  # type: ignore[arg-type]  # signals call with keywords that few want
    async def give_up(app: Any, revoked: Any, **_: Any) -> None:
        await desk.do(partial(correlate.give_up, {place.partition for place in revoked if place.topic == topic}))

    return desk
