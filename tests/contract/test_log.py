"""What every log promises, in memory and on Kafka."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import pytest
from kafka import TopicPartition

from agents.log import KafkaLog
from pipeline.errors import ConfigurationError
from schemas.kafka import KafkaSettings
from schemas.log import Draft, Entry, Log
from schemas.topics import DEAD_LETTERS, FACTS, MAX_MESSAGE_BYTES, OUTCOMES
from tests.brokers import admin, make_topics
from tests.memory_log import MemoryLog


class LogCase(ABC):
    """A log with topics facts (1 partition) and outcomes (1 partition) and raw.calls (4)."""

    log: Log

    @abstractmethod
    def expire(self, topic: str, partition: int, before: int) -> None: ...


class MemoryCase(LogCase):
    def __init__(self) -> None:
        self.log = self.memory = MemoryLog({FACTS: 1, OUTCOMES: 1, "raw.calls": 4})

    def expire(self, topic: str, partition: int, before: int) -> None:
        self.memory.expire(topic, partition, before)


class KafkaCase(LogCase):
    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = make_topics(settings, FACTS, OUTCOMES, "raw.calls")
        self.log = self.kafka = KafkaLog(settings)

    def expire(self, topic: str, partition: int, before: int) -> None:
        with admin(self.settings) as client:
            client.delete_records({TopicPartition(self.settings.topic(topic), partition): before})


@pytest.fixture(params=["memory", "kafka"])
def case(request: pytest.FixtureRequest) -> Iterator[LogCase]:
    if request.param == "memory":
        yield MemoryCase()
        return
    kafka_case = KafkaCase(request.getfixturevalue("kafka_settings"))
    with kafka_case.kafka:
        yield kafka_case


@pytest.fixture
def log(case: LogCase) -> Log:
    return case.log


def drafts(*values: str, topic: str = FACTS, partition: int = 0) -> list[Draft]:
    return [Draft(topic, partition, value.encode()) for value in values]


def values(entries: Iterator[Entry]) -> list[str]:
    return [(entry.value or b"").decode() for entry in entries]


def test_what_is_appended_is_read_back(log: Log) -> None:
    draft = Draft(FACTS, 0, b"value", b"acme", {"source": b"pbx", "empty": b""})
    assert log.append([draft, Draft(FACTS, 0, None, b"acme")]) == [0, 1]
    first, second = log.read(FACTS, 0, 0, 2)
    assert (first.offset, first.value, first.key, first.headers) == (0, b"value", b"acme", draft.headers)
    assert (second.offset, second.value, second.key, second.headers) == (1, None, b"acme", {})
    assert first.written_at_ms > 1_600_000_000_000


def test_offsets_are_returned_in_the_order_of_the_messages(log: Log) -> None:
    assert log.append(drafts("a", "b")) == [0, 1]
    mixed = [*drafts("c"), *drafts("x", topic=OUTCOMES), *drafts("d"), *drafts("y", topic="raw.calls", partition=3)]
    assert log.append(mixed) == [2, 0, 3, 0]
    assert values(log.read(FACTS, 0, 0, 4)) == ["a", "b", "c", "d"]
    assert [entry.offset for entry in log.read(FACTS, 0, 0, 4)] == [0, 1, 2, 3]


def test_many_messages_keep_their_order(log: Log) -> None:
    numbers = [str(number) for number in range(3000)]
    assert log.append(drafts(*numbers)) == list(range(3000))
    assert values(log.read(FACTS, 0, 0, 3000)) == numbers


def test_nothing_appended_is_nothing(log: Log) -> None:
    assert log.append([]) == []
    assert (log.begin(FACTS, 0), log.end(FACTS, 0)) == (0, 0)
    assert list(log.read(FACTS, 0, 0, 10)) == []


def test_begin_and_end_frame_what_is_kept(log: Log) -> None:
    log.append(drafts("a", "b", "c"))
    assert (log.begin(FACTS, 0), log.end(FACTS, 0)) == (0, 3)
    assert (log.begin("raw.calls", 2), log.end("raw.calls", 2)) == (0, 0)


@pytest.mark.parametrize(
    ("start", "stop", "expected"), [(1, 3, "bc"), (3, 3, ""), (4, 2, ""), (2, 99, "cd"), (9, 99, "")]
)
def test_a_read_begins_at_start_and_ends_before_stop_without_waiting(
    log: Log, start: int, stop: int, expected: str
) -> None:
    log.append(drafts(*"abcd"))
    assert "".join(values(log.read(FACTS, 0, start, stop))) == expected


def test_what_has_expired_is_passed_over(case: LogCase) -> None:
    case.log.append(drafts(*"abcd"))
    case.expire(FACTS, 0, 2)
    assert (case.log.begin(FACTS, 0), case.log.end(FACTS, 0)) == (2, 4)
    assert values(case.log.read(FACTS, 0, 0, 4)) == ["c", "d"]
    case.expire(FACTS, 0, 4)
    assert list(case.log.read(FACTS, 0, 0, 4)) == []
    assert case.log.append(drafts("e")) == [4]


def test_reads_and_appends_may_be_interleaved(log: Log) -> None:
    log.append([*drafts(*"abcd"), *drafts(*"wxyz", topic=OUTCOMES)])
    facts, outcomes = log.read(FACTS, 0, 0, 4), log.read(OUTCOMES, 0, 0, 4)
    seen = ""
    for fact, outcome in zip(facts, outcomes, strict=True):
        seen += f"{(fact.value or b'').decode()}{(outcome.value or b'').decode()}"
        log.append(drafts("later"))
        assert log.end(FACTS, 0) == 4 + fact.offset + 1
    assert seen == "awbxcydz"


def test_a_read_may_be_given_up(log: Log) -> None:
    log.append(drafts(*"abcd"))
    for start in range(3):
        entries = log.read(FACTS, 0, start, 4)
        assert next(entries).offset == start
        del entries
    assert values(log.read(FACTS, 0, 0, 4)) == ["a", "b", "c", "d"]


def test_the_largest_message_passes_and_a_larger_one_is_refused_at_once(log: Log) -> None:
    largest = bytes(MAX_MESSAGE_BYTES)
    assert log.append([Draft(FACTS, 0, largest, b"acme", {"source": b"pbx"}), *drafts("a")]) == [0, 1]
    (entry, _) = log.read(FACTS, 0, 0, 2)
    assert entry.value == largest
    with pytest.raises(ValueError, match="a message of 8,000,001 bytes for facts/0"):
        log.append([*drafts("b"), Draft(FACTS, 0, largest + b"x")])
    assert log.end(FACTS, 0) == 2


@pytest.mark.parametrize(("topic", "partition"), [(DEAD_LETTERS, 0), (FACTS, 1)])
def test_a_topic_or_partition_that_is_not_there_is_a_mistake_of_the_configuration(
    log: Log, topic: str, partition: int
) -> None:
    with pytest.raises(ConfigurationError, match=f"no partition {partition} of topic .*{topic}"):
        log.append([*drafts("a"), Draft(topic, partition, b"")])
    for ask in (log.begin, log.end):
        with pytest.raises(ConfigurationError):
            ask(topic, partition)
    with pytest.raises(ConfigurationError):
        list(log.read(topic, partition, 0, 1))
    assert log.end(FACTS, 0) == 0
