"""Ingest: nothing is sent on with another key than that of the facts which the log holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from prometheus_client import CollectorRegistry

from agents.figures import IngestFigures
from agents.ingest import Ingest
from pipeline.ceiling import Ceiling
from pipeline.errors import ConfigurationError
from pipeline.fact_messages import pack_facts
from pipeline.identifiers import Identifiers
from pipeline.intake import Intake
from pipeline.keys import CompanyKey, fingerprint
from pipeline.raw_messages import RawMessage
from schemas.log import Draft, Entry
from schemas.packing import Pack, pack
from schemas.settings import Configuration
from schemas.topics import DEAD_LETTERS, FACTS
from tests.memory_log import MemoryLog

FIRST = CompanyKey(b"k" * 32)
ROTATED = CompanyKey(FIRST + b"l" * 32)
STRANGE = CompanyKey(b"x" * 32)
READ_AT = datetime(2024, 5, 3, tzinfo=UTC)
CALL = {
    "kind": "call", "call_id": "c-1", "started_at": "2024-05-02T09:15:04+03:00", "talk_seconds": 300,
    "direction": "inbound", "from": "+358 40 1234567", "to": "201",
}  # fmt: skip
MESSAGE = RawMessage("raw.calls", 0, Entry(0, orjson.dumps(CALL)))


def empty_log() -> MemoryLog:
    return MemoryLog({FACTS: 1, DEAD_LETTERS: 1})


def ingest_of(log: MemoryLog, key: bytes, now: Callable[[], datetime] = lambda: READ_AT) -> Ingest:
    intake = Intake(Identifiers(key), Configuration())
    figures = IngestFigures(CollectorRegistry())
    return Ingest(intake, log, "acme", 1, Ceiling(most_share=1.0), now, figures, key)


def facts_of(key: bytes, company: str = "acme") -> Draft:
    """Return a message that holds no facts and tells its key."""
    return Draft(FACTS, 0, pack(Pack({"type": "facts", "company_id": company, "key": fingerprint(key)})))


def log_of(key: bytes) -> MemoryLog:
    log = empty_log()
    ingest_of(log, key).take([MESSAGE])
    return log


def test_the_first_facts_of_a_log_are_sent_on_with_any_key_and_more_with_the_same() -> None:
    log = log_of(FIRST)
    again = ingest_of(log, FIRST)
    again.begin()
    again.take([MESSAGE])
    assert log.end(FACTS, 0) == 2


def test_another_key_than_that_of_the_facts_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"facts@0 was made with another key .* copy the company's key file"):
        ingest_of(log_of(FIRST), STRANGE).begin()


def test_a_worker_that_began_on_an_empty_log_sends_nothing_on_after_others_of_another_key() -> None:
    log = empty_log()
    late = ingest_of(log, STRANGE)
    late.begin()
    ingest_of(log, FIRST).take([MESSAGE])
    with pytest.raises(ConfigurationError, match="another key"):
        late.take([MESSAGE, RawMessage("raw.calls", 0, Entry(1, b"{"))])
    assert (log.end(FACTS, 0), log.end(DEAD_LETTERS, 0)) == (1, 0)


def test_after_a_rotation_the_log_of_before_is_refused_with_its_own_remedy() -> None:
    with pytest.raises(ConfigurationError, match=r"before the last rotation .* another \[kafka\] prefix"):
        ingest_of(log_of(FIRST), ROTATED).begin()


def test_a_key_file_without_the_last_rotation_is_another_key() -> None:
    with pytest.raises(ConfigurationError, match="another key"):
        ingest_of(log_of(ROTATED), FIRST).begin()


def test_facts_of_an_earlier_version_say_nothing_of_their_key() -> None:
    log = empty_log()
    taken = Intake(Identifiers(STRANGE), Configuration()).take([MESSAGE], READ_AT)
    log.append([Draft(FACTS, 0, data) for data in pack_facts(taken, "acme")])
    ingest_of(log, FIRST).begin()


def test_what_stands_behind_the_newest_facts_hides_their_key_from_nobody() -> None:
    log = log_of(FIRST)
    log.append([Draft(FACTS, 0, b"damaged"), Draft(FACTS, 0, None), facts_of(STRANGE, "globex")] * 40)
    log.skip(FACTS, 0, 20)
    with pytest.raises(ConfigurationError, match="facts@0 was made with another key"):
        ingest_of(log, STRANGE).begin()


def test_facts_that_the_broker_has_forgotten_bind_nobody() -> None:
    log = log_of(FIRST)
    log.expire(FACTS, 0, 1)
    ingest_of(log, STRANGE).begin()


class RacedLog(MemoryLog):
    """A log to which others append before the next of a worker's own: they looked in the same moment as it did."""

    def __init__(self) -> None:
        super().__init__({FACTS: 1, DEAD_LETTERS: 1})
        self.others: list[Ingest] = []

    def append(self, drafts: Sequence[Draft]) -> list[int]:
        others, self.others = self.others, []
        for other in others:
            other.take([MESSAGE])
        return super().append(drafts)


def test_of_two_workers_of_two_keys_that_begin_on_an_empty_log_at_once_the_second_ends_and_tells_what_it_sent_on() -> (
    None
):
    log = RacedLog()
    second = ingest_of(log, STRANGE)
    log.others = [ingest_of(log, FIRST)]
    with pytest.raises(ConfigurationError, match=r"facts@0 was made with another key .* 1 message .*, facts@1, so"):
        second.take([MESSAGE])
    assert log.end(FACTS, 0) == 2


def test_workers_of_one_key_that_begin_on_an_empty_log_at_once_go_on() -> None:
    log = RacedLog()
    second = ingest_of(log, FIRST)
    log.others = [ingest_of(log, FIRST), ingest_of(log, FIRST)]
    second.take([MESSAGE])
    second.take([MESSAGE])
    assert log.end(FACTS, 0) == 4


def test_facts_of_another_key_that_others_send_on_later_are_met_before_long() -> None:
    log, clock = empty_log(), [READ_AT]
    ours = ingest_of(log, FIRST, now=lambda: clock[0])
    ours.take([MESSAGE])
    log.append([facts_of(FIRST)])
    ours.take([MESSAGE])
    log.append([facts_of(STRANGE)])
    clock[0] += timedelta(seconds=9)
    ours.take([MESSAGE])
    log.append([facts_of(STRANGE), Draft(FACTS, 0, b"damaged"), Draft(FACTS, 0, None)])
    clock[0] += timedelta(seconds=1)
    with pytest.raises(ConfigurationError, match=r"facts@5 .* 4 messages .*, between facts@0 and facts@8, so"):
        ours.take([MESSAGE])


class CountedLog(MemoryLog):
    """A log that counts what is read of it."""

    read_count = 0

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Entry]:
        self.read_count += stop - start
        return super().read(topic, partition, start, stop)


def test_a_worker_alone_reads_nothing_back_and_one_among_others_little() -> None:
    log = CountedLog({FACTS: 1, DEAD_LETTERS: 1})
    ours = ingest_of(log, FIRST)
    for _ in range(5):
        ours.take([MESSAGE])
    assert log.read_count == 0
    for _ in range(5):
        log.append([facts_of(FIRST)] * 9)
        ours.take([MESSAGE])
    assert log.read_count == 4
