"""Correlate: packed facts become packed outcomes. The worker that holds a company's partition folds it, nobody else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import faust

from agents.app import Desk, entries_of
from pipeline.correlation import Correlator, Folded
from pipeline.errors import Fenced
from schemas.log import Entry

MOST_RUNS = 8
LINGER = 0.05
# A checkpoint costs as much as is open, and nothing is said meanwhile; without one a restart folds again what came
# since: so many facts take it some seconds.
CHECKPOINT_FACTS = 500_000
CHECKPOINT_SECONDS = 600.0


class Correlate:
    """One worker's part: a correlator while the partition is its own. `say` takes sentences for the log."""

    def __init__(self, make: Callable[[], Correlator], say: Callable[[str], None]) -> None:
        self._make = make
        self._say = say
        self._correlator: Correlator | None = None
        self._checked_at = 0.0
        self._unchecked = 0

    def begin(self) -> None:
        """Take up the partition: go on where outcomes end, whatever was acknowledged to the broker."""
        if self._correlator is not None:
            return
        begun = time.monotonic()
        correlator = self._make()
        recovery = correlator.start()
        self._say(
            f"correlate goes on at facts {recovery.position}: {recovery.fact_count:,} facts folded again "
            f"in {time.monotonic() - begun:.1f} s"
        )
        caught_up = correlator.catch_up()
        self._correlator = correlator
        self._checked_at, self._unchecked = time.monotonic(), recovery.fact_count
        self._note(caught_up)

    def give_up(self) -> None:
        """Let go of the partition: another worker has it now."""
        self._correlator = None

    def fold(self, entries: Sequence[Entry], is_ours: Callable[[], bool]) -> None:
        """Fold messages; return once the broker keeps what follows from them, or when the partition is another's.

        Raises:
            Fenced: when another worker has claimed the partition. This process must end, and join the group anew: one
                that slept believes the partition its own until then, and if it claimed it back, the two would take it
                from each other for ever.
            TransientError, ConfigurationError: as `pipeline.correlation.Correlator`.
        """
        if not is_ours():
            return
        self.begin()
        assert self._correlator is not None
        self._note(self._correlator.fold(entries))
        if self._unchecked > CHECKPOINT_FACTS or time.monotonic() - self._checked_at > CHECKPOINT_SECONDS:
            self.check()

    def _note(self, folded: Folded) -> None:
        # A message without a fact is something to read again, too.
        self._unchecked += folded.fact_count + folded.message_count

    def check(self) -> None:
        """Write a checkpoint, unless nothing was folded since the last one."""
        if self._correlator is not None and self._unchecked:
            self._correlator.checkpoint()
            self._checked_at, self._unchecked = time.monotonic(), 0

    def finish(self) -> None:
        """Leave a checkpoint, so that the next start has nothing to fold again."""
        try:
            self.check()
        except Fenced:
            self.give_up()


def add_correlate(app: faust.App, correlate: Correlate, topic: str, partition: int) -> Desk:
    """Let an app's agent fold a partition of the facts topic, given by its full name; return its desk."""
    desk = Desk("correlate")
    place = faust.types.TP(topic, partition)

    def is_ours() -> bool:
        return place in app.consumer.assignment()

    @app.agent(app.topic(topic, value_type=bytes), concurrency=1, name="correlate")
    async def fold(stream: Any) -> None:
        async for events in stream.take_events(MOST_RUNS, within=LINGER):
            entries = [entry for _, found, entry in entries_of(events) if found == partition]
            if entries:
                await desk.do(partial(correlate.fold, entries, is_ours))

    @app.on_partitions_assigned.connect  # type: ignore[arg-type]  # signals call with keywords that few want
    async def take_up(app: Any, assigned: Any, **_: Any) -> None:
        # What was folded and never said has no message that would come again; a rebalance must not wait for it.
        if place in assigned:
            app.add_future(desk.do(partial(correlate.fold, (), is_ours)))

    @app.on_partitions_revoked.connect  # type: ignore[arg-type]
    async def give_up(app: Any, revoked: Any, **_: Any) -> None:
        if place in revoked:
            await desk.do(correlate.give_up)

    return desk
