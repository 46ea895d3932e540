"""Correlate: packed facts become packed outcomes. The worker that holds a company's partition folds it, nobody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from typing import Any

import faust

from agents.app import Desk, entries_of
from agents.figures import CorrelateFigures
from pipeline.correlation import Correlator, Folded
from pipeline.errors import Fenced
from schemas.announcements import Announcement
from schemas.log import Entry
from schemas.tracing import UNTRACED, Span, Tracer

MOST_RUNS = 8
LINGER = 0.05
# After so many bytes there are more to come: they are gathered for as long as the fold took, because planning a fold
# costs as much as folding thousands of facts; not where more waits already than is taken at once. Unit of the second:
# seconds.
BULK_BYTES = 200_000
LONGEST_REST = 0.3
# A checkpoint costs as much as is open, and nothing is said meanwhile; without one a restart folds again what came
# since: so many facts, or so many folds, take it some seconds. Each closing of time is a fold of its own.
CHECKPOINT_FACTS = 500_000
CHECKPOINT_FOLDS = 8
CHECKPOINT_SECONDS = 600.0


@dataclass(frozen=True)
class _Work:
    """What a restart would have to do again since the last checkpoint."""

    message_count: int = 0
    fact_count: int = 0
    fold_count: int = 0

    @property
    def is_much(self) -> bool:
        return self.fact_count >= CHECKPOINT_FACTS or self.fold_count >= CHECKPOINT_FOLDS

    def after(self, folded: Folded) -> _Work:
        return _Work(
            self.message_count + folded.message_count,
            self.fact_count + folded.fact_count,
            self.fold_count + folded.closing_count,
        )


class Correlate:
    """One worker's part: a correlator while the partition is its own. `say` takes sentences for the log."""

    def __init__(
        self,
        make: Callable[[], Correlator],
        say: Callable[[str], None],
        figures: CorrelateFigures,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._tracer = tracer
        self._make = make
        self._say = say
        self._figures = figures
        # What must be done before it can go on. Read by other threads.
        self.busy_with: str | None = None
        self._correlator: Correlator | None = None
        self._checked_at = 0.0
        self._unchecked = _Work()

    def begin(self) -> None:
        """Take up the partition: go on where outcomes end, whatever was acknowledged to the broker."""
        if self._correlator is not None:
            return
        begun = time.monotonic()
        self.busy_with = "the engine is rebuilt from the log"
        self._figures.rebuild(True)
        self._say(Announcement("correlate takes up its partition and rebuilds its engine", "rebuild started"))
        correlator = self._make()
        with self._tracer.span("engine rebuild") as span:
            recovery = correlator.start()
            span.tell(position=recovery.position, messages=recovery.message_count, facts=recovery.fact_count)
        seconds = time.monotonic() - begun
        self._figures.recovered(recovery, seconds)
        self._say(
            Announcement(
                f"correlate goes on at facts {recovery.position}: {recovery.fact_count:,} facts folded again "
                f"in {seconds:.1f} s",
                "engine rebuilt",
                position=recovery.position,
                facts=recovery.fact_count,
                seconds=round(seconds, 3),
            )
        )
        begun = time.monotonic()
        with self._tracer.span("catch up") as span:
            caught_up = correlator.catch_up()
            _tell(span, caught_up)
        self._figures.count(caught_up, time.monotonic() - begun)
        self._tell_sizes(correlator)
        self._correlator, self.busy_with = correlator, None
        self._figures.rebuild(False)
        again = _Work(recovery.message_count, recovery.fact_count, recovery.fold_count)
        self._checked_at, self._unchecked = time.monotonic(), again
        self._note(caught_up)

    def give_up(self) -> None:
        """Let go of the partition: another worker has it now."""
        self._correlator = self.busy_with = None
        self._figures.rebuild(False)

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
        begun = time.monotonic()
        with self._tracer.span("correlate batch") as span:
            folded = self._correlator.fold(entries)
            _tell(span, folded)
            if entries:
                span.tell(first_offset=entries[0].offset, last_offset=entries[-1].offset)
        self._figures.count(folded, time.monotonic() - begun)
        self._note(folded)
        self._tell_sizes(self._correlator)
        if self._unchecked.is_much or time.monotonic() - self._checked_at > CHECKPOINT_SECONDS:
            self.check()

    def _tell_sizes(self, correlator: Correlator) -> None:
        closed = correlator.closed_through
        self._figures.hold(correlator.sizes(), None if closed is None else closed.replace(tzinfo=UTC).timestamp())

    def _note(self, folded: Folded) -> None:
        self._unchecked = self._unchecked.after(folded)

    def check(self) -> None:
        """Write a checkpoint, unless nothing was folded since the last one."""
        if self._correlator is not None and self._unchecked.message_count:
            with self._tracer.span("checkpoint"):
                self._correlator.checkpoint()
            self._checked_at, self._unchecked = time.monotonic(), _Work()

    def finish(self) -> None:
        """Leave a checkpoint, so that the next start has nothing to fold again."""
        try:
            self.check()
        except Fenced:
            self.give_up()


def _tell(span: Span, folded: Folded) -> None:
    span.tell(messages=folded.message_count, facts=folded.fact_count, changes=folded.change_count)


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
                begun = time.monotonic()
                await desk.do(partial(correlate.fold, entries, is_ours))
                is_bulk = sum(len(entry.value or b"") for entry in entries) > BULK_BYTES
                if is_bulk and len(events) < MOST_RUNS:
                    await asyncio.sleep(min(time.monotonic() - begun, LONGEST_REST))

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
