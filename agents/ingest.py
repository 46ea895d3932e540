"""Ingest: raw messages become packed facts and dead letters. Stateless: any number of workers share the raw topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import faust

from agents.app import Desk, entries_of
from agents.figures import IngestFigures
from pipeline.ceiling import Ceiling
from pipeline.errors import ConfigurationError
from pipeline.fact_key import FactKey, KeyWatch
from pipeline.fact_messages import letter_drafts, pack_facts
from pipeline.intake import Intake
from pipeline.raw_messages import RawMessage
from pipeline.sealing import Seal
from schemas.log import Draft, Log
from schemas.topics import FACTS, partition_of
from schemas.tracing import UNTRACED, Span, Tracer

# A batch costs a fold of its own further on, so it may grow while it waits. Unit of the second: seconds.
MOST_RUNS = 16
LINGER = 0.1


class Ingest:
    """One worker's part: what it takes in it sends on, and only then is it done."""

    def __init__(
        self,
        intake: Intake,
        log: Log,
        company_id: str,
        partitions: int,
        ceiling: Ceiling,
        now: Callable[[], datetime],
        figures: IngestFigures,
        key: bytes,
        tracer: Tracer = UNTRACED,
    ) -> None:
        """`partitions`: how many the facts topic has; `now` tells the time, aware; `key` is the company's."""
        self._tracer = tracer
        self._intake = intake
        self._log = log
        self._company_id = company_id
        self._partitions = partitions
        self._partition = partition_of(company_id, partitions)
        self._ceiling = ceiling
        self._now = now
        self._figures = figures
        self._key = FactKey(key)
        self._watch = KeyWatch(self._key, log, company_id, self._partition)
        self._seal = Seal(key)
        self._has_begun = False

    def begin(self) -> None:
        """See that the facts which the log holds already were made with this key.

        Raises:
            ConfigurationError: when they were made with another one.
            TransientError: when the broker is silent.
        """
        self._watch.begin()

    def take(self, messages: Sequence[RawMessage]) -> None:
        """Send on what messages mean; return once the broker keeps it.

        Raises:
            TransientError: when the broker did not confirm it.
            ConfigurationError: when too many of the last messages cannot be used, or the log's facts were made with
                another key; nothing is sent on then. Also when others send on facts of another key at the same time;
                then it says what this worker had sent on.
        """
        if not self._has_begun:
            # Others may have sent on since the start, and a log that was empty then told nothing.
            self.begin()
            self._has_begun = True
        with self._tracer.span("ingest batch") as span:
            self._take(messages, span)

    def _take(self, messages: Sequence[RawMessage], span: Span) -> None:
        begun = time.monotonic()
        now = self._now()
        taken = self._intake.take(messages, now)
        if (problem := self._ceiling.problem(taken)) is not None:
            raise ConfigurationError(problem)
        packed = pack_facts(taken, self._company_id, made_with=self._key.fingerprint)
        facts = [Draft(FACTS, self._partition, value) for value in packed]
        letters = letter_drafts(taken.letters, self._company_id, self._partitions, self._seal)
        offsets = self._log.append(facts + letters)
        self._watch.sent(offsets[: len(facts)], now)
        self._figures.count(taken, time.monotonic() - begun)
        span.tell(
            messages=len(messages),
            records=taken.record_count,
            facts=sum(table.num_rows for table in taken.facts.values()),
            dead_letters=len(taken.letters),
        )


def add_ingest(app: faust.App, ingest: Ingest, topics: Sequence[str], prefix: str) -> Desk:
    """Let an app's agent take in these topics, given by full names; return the desk at which it works."""
    desk = Desk("ingest")

    @app.agent(app.topic(*topics, value_type=bytes), concurrency=1, name="ingest")
    async def take_in(stream: Any) -> None:
        async for events in stream.take_events(MOST_RUNS, within=LINGER):
            messages = [
                RawMessage(topic.removeprefix(prefix), partition, entry)
                for topic, partition, entry in entries_of(events)
            ]
            await desk.do(partial(ingest.take, messages))

    return desk
