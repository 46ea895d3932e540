"""One worker's part of correlate: when it claims the partition, and what it does when another one has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import pytest
from prometheus_client import CollectorRegistry

from agents.correlate import Correlate
from agents.figures import CorrelateFigures
from pipeline.correlation import Correlator
from pipeline.errors import Fenced
from pipeline.outcomes import OutcomeReader
from schemas.log import Draft, Entry
from schemas.packing import Pack, pack
from schemas.settings import EngineSettings
from schemas.topics import CHECKPOINTS, FACTS, OUTCOMES
from tests.memory_log import MemoryLog
from tests.records import DAY, MONDAY, call, tables

SETTINGS = EngineSettings(company_id="acme")


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog({FACTS: 1, OUTCOMES: 1, CHECKPOINTS: 1})


def worker(log: MemoryLog) -> Correlate:
    return Correlate(lambda: Correlator(SETTINGS, 0, log), lambda sentence: None, CorrelateFigures(CollectorRegistry()))


def arrive(log: MemoryLog, number: int, start: str | datetime = "09:00") -> list[Entry]:
    """Append a message with a call, and return it as it is handed over."""
    facts = tables([call(f"c{number}", start)])
    (offset,) = log.append([Draft(FACTS, 0, pack(Pack({"type": "facts", "company_id": "acme"}, facts)))])
    return list(log.read(FACTS, 0, offset, offset + 1))


def claims(log: MemoryLog) -> int:
    reader, found = OutcomeReader("acme"), set()
    for entry in log.read(OUTCOMES, 0, 0, log.end(OUTCOMES, 0)):
        reader.feed(entry)
        found.add(reader.epoch)
    return len(found - {None})


def test_a_worker_claims_once_and_folds_while_the_partition_is_its_own(log: MemoryLog) -> None:
    ours = worker(log)
    for number in range(3):
        ours.fold(arrive(log, number), lambda: True)

    assert claims(log) == 1
    assert log.end(OUTCOMES, 0) == 4


def test_nothing_is_claimed_while_the_partition_is_anothers(log: MemoryLog) -> None:
    worker(log).fold(arrive(log, 0), lambda: False)

    assert claims(log) == 0


def test_a_worker_that_slept_never_takes_the_partition_back(log: MemoryLog) -> None:
    slept, other = worker(log), worker(log)
    slept.fold(arrive(log, 0), lambda: True)
    other.fold(arrive(log, 1), lambda: True)

    with pytest.raises(Fenced):
        slept.fold(arrive(log, 2), lambda: True)

    other.fold(list(log.read(FACTS, 0, 2, 3)), lambda: True)
    assert claims(log) == 2


def test_a_worker_that_gave_up_claims_again_when_it_gets_the_partition(log: MemoryLog) -> None:
    ours = worker(log)
    ours.fold(arrive(log, 0), lambda: True)
    ours.give_up()
    ours.fold(arrive(log, 1), lambda: True)

    assert claims(log) == 2


class Watched(MemoryLog):
    """A log that notes what a registry says while it is read."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(dict.fromkeys((FACTS, OUTCOMES, CHECKPOINTS), 1))
        self._registry = registry
        self.seen: set[float | None] = set()

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Entry]:
        self.seen.add(self._registry.get_sample_value("bypassflow_correlate_rebuilding"))
        return super().read(topic, partition, start, stop)


def test_figures_tell_a_rebuild_from_a_worker_that_does_nothing() -> None:
    registry = CollectorRegistry()
    log = Watched(registry)
    ours = Correlate(lambda: Correlator(SETTINGS, 0, log), lambda sentence: None, CorrelateFigures(registry))
    arrived = arrive(log, 0)
    assert log.seen == {0}
    log.seen.clear()

    ours.fold(arrived, lambda: True)

    assert log.seen == {1}
    assert registry.get_sample_value("bypassflow_correlate_rebuilding") == 0


def checkpoint_count(log: MemoryLog) -> int:
    return sum(
        len((entry.key or b"").split(b"/")) == 2 for entry in log.read(CHECKPOINTS, 0, 0, log.end(CHECKPOINTS, 0))
    )


def test_a_worker_that_often_dies_writes_a_checkpoint_before_its_restart_takes_long(
    log: MemoryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.correlate.CHECKPOINT_FOLDS", 4)
    log.now_ms = 4_000_000_000_000
    said: list[str] = []
    for day in range(10):
        entries = []
        for number in range(8):  # within a minute and more, so that what they tell of time counts
            log.now_ms += 10_000
            entries += arrive(log, 8 * day + number, MONDAY + day * DAY)
        Correlate(lambda: Correlator(SETTINGS, 0, log), said.append, CorrelateFigures(CollectorRegistry())).fold(
            entries, lambda: True
        )

    days = [
        int(re.findall(r"([0-9,]+) facts folded again", sentence)[0]) // 8 for sentence in said if "folded" in sentence
    ]
    assert days == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1], "each day closes another one, so each is a fold of its own"
    assert checkpoint_count(log) == 2
