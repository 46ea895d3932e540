"""What only a real broker can show of a log: gaps, silence, crashes, and how fast it is to come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from kafka import KafkaProducer

from agents.broker import Broker, start_broker
from agents.log import KafkaLog
from agents.topics import create_topics
from pipeline.errors import BypassflowError, ConfigurationError, TransientError
from schemas.kafka import KafkaSettings, client_options
from schemas.log import Draft
from schemas.topics import CHECKPOINTS, FACTS, OUTCOMES
from tests.brokers import EAGER, admin, make_topics


@pytest.fixture
def log(kafka_settings: KafkaSettings) -> Iterator[KafkaLog]:
    make_topics(kafka_settings, FACTS, OUTCOMES, CHECKPOINTS)
    with KafkaLog(kafka_settings) as log:
        yield log


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Broker]:
    """A broker of the test's own, to be killed."""
    with start_broker(tmp_path / "broker", kind="kafka", options=EAGER) as broker:
        yield broker


def test_a_read_ends_where_only_markers_of_transactions_are_left(log: KafkaLog, kafka_settings: KafkaSettings) -> None:
    producer = KafkaProducer(**client_options(kafka_settings), transactional_id=kafka_settings.prefix)
    producer.init_transactions()
    for value in (b"a", b"b"):
        producer.begin_transaction()
        producer.send(kafka_settings.topic(FACTS), value, partition=0)
        producer.commit_transaction()
    producer.close()
    assert log.end(FACTS, 0) == 4
    assert [(entry.offset, entry.value) for entry in log.read(FACTS, 0, 0, 4)] == [(0, b"a"), (2, b"b")]
    assert list(log.read(FACTS, 0, 3, 4)) == []


def test_a_compacted_partition_is_read_over_its_gaps(log: KafkaLog, kafka_settings: KafkaSettings) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType

    eager = {"segment.ms": "200", "min.cleanable.dirty.ratio": "0.01", "min.compaction.lag.ms": "0"}
    with admin(kafka_settings) as client:
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, kafka_settings.topic(CHECKPOINTS), eager)])
    for round_number in range(5):
        keys = ("a", "b", "c") if round_number else ("a", "b", "c", "only once")
        log.append([Draft(CHECKPOINTS, 0, f"{key}{round_number}".encode(), key.encode()) for key in keys])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.5)
        # Only closed segments are compacted, and a message closes them.
        log.append([Draft(CHECKPOINTS, 0, b"now", b"tick")])
        end = log.end(CHECKPOINTS, 0)
        entries = list(log.read(CHECKPOINTS, 0, 0, end))
        if len(entries) < 8:
            break
    assert len(entries) < 8
    newest = {entry.key: entry.value for entry in entries}
    assert newest == {b"a": b"a4", b"b": b"b4", b"c": b"c4", b"only once": b"only once0", b"tick": b"now"}
    offsets = [entry.offset for entry in entries]
    assert offsets == sorted(offsets)
    assert list(log.read(CHECKPOINTS, 0, 0, 3)) == []


def test_messages_of_several_threads_are_each_kept_once(log: KafkaLog) -> None:
    offsets: list[int] = []

    def write(name: int) -> None:
        for number in range(20):
            offsets.extend(log.append([Draft(FACTS, 0, f"{name}/{number}/{part}".encode()) for part in range(3)]))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(offsets) == list(range(240))
    values = [(entry.value or b"").decode() for entry in log.read(FACTS, 0, 0, 240)]
    assert len(set(values)) == 240
    # Messages of one call stand side by side.
    assert all(values[place + 1] == f"{values[place][:-1]}1" for place in range(0, 240, 3))


def test_what_was_confirmed_outlives_a_crash_of_the_broker(mortal: Broker) -> None:
    settings = KafkaSettings(bootstrap=(mortal.bootstrap,))
    make_topics(settings, FACTS)
    with KafkaLog(settings, patience=timedelta(seconds=5)) as log:
        assert log.append([Draft(FACTS, 0, b"a"), Draft(FACTS, 0, b"b")]) == [0, 1]
        mortal.kill()
        with pytest.raises(TransientError, match=mortal.bootstrap):
            log.append([Draft(FACTS, 0, b"lost")])
        with pytest.raises(TransientError):
            log.end(FACTS, 0)
        mortal.start()
        offsets = append_until_kept(log, Draft(FACTS, 0, b"c"))
        assert offsets == [2]
        assert [entry.value for entry in log.read(FACTS, 0, 0, 99)] == [b"a", b"b", b"c"]


def test_a_read_says_that_the_broker_is_silent(mortal: Broker) -> None:
    settings = KafkaSettings(bootstrap=(mortal.bootstrap,))
    make_topics(settings, FACTS)
    with KafkaLog(settings, patience=timedelta(seconds=5)) as log:
        # More than one answer holds.
        log.append([Draft(FACTS, 0, bytes(7_000_000)) for _ in range(8)])
        entries = log.read(FACTS, 0, 0, 8)
        next(entries)
        mortal.kill()
        started_at = time.monotonic()
        with pytest.raises(TransientError, match=r"is silent at bypassflow\.facts/0@|cannot be reached|in time"):
            list(entries)
        assert time.monotonic() - started_at < 20


def append_until_kept(log: KafkaLog, draft: Draft) -> list[int]:
    """Return the offsets of a message, after as many tries as a broker that comes back takes."""
    for _ in range(20):
        try:
            return log.append([draft])
        except TransientError:
            time.sleep(0.5)
    raise AssertionError("the broker did not come back")


def test_an_unreachable_broker_is_told_within_the_patience() -> None:
    settings = KafkaSettings(bootstrap=("127.0.0.1:9",))
    started_at = time.monotonic()
    with (
        KafkaLog(settings, patience=timedelta(seconds=2)) as log,
        pytest.raises(TransientError, match=r"127\.0\.0\.1:9"),
    ):
        log.end(FACTS, 0)
    assert time.monotonic() - started_at < 10


def test_messages_that_a_topic_refuses_for_their_size_are_a_mistake_of_its_configuration(
    log: KafkaLog, kafka_settings: KafkaSettings
) -> None:
    with admin(kafka_settings) as client:
        name = kafka_settings.topic("small")
        client.create_topics({name: {"num_partitions": 1, "configs": {"max.message.bytes": "1000"}}})
        client.wait_for_topics([name])
    with pytest.raises(ConfigurationError, match=r"max\.message\.bytes"):
        log.append([Draft("small", 0, bytes(5_000))])
    assert log.append([Draft("small", 0, b"a")]) == [0]


def test_errors_are_ours(kafka_settings: KafkaSettings) -> None:
    with KafkaLog(kafka_settings) as log, pytest.raises(BypassflowError):
        log.append([Draft(FACTS, 0, b"a")])
    create_topics(kafka_settings, only=[FACTS])
    with KafkaLog(kafka_settings) as log:
        assert log.append([Draft(FACTS, 0, b"a")]) == [0]
