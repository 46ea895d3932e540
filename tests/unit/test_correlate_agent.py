"""One worker's part of correlate: when it claims the partition, and what it does when another one has."""

from __future__ import annotations

import pytest

from agents.correlate import Correlate
from pipeline.correlation import Correlator
from pipeline.errors import Fenced
from pipeline.outcomes import OutcomeReader
from schemas.log import Draft, Entry
from schemas.packing import Pack, pack
from schemas.settings import EngineSettings
from schemas.topics import CHECKPOINTS, FACTS, OUTCOMES
from tests.memory_log import MemoryLog
from tests.records import call, tables

SETTINGS = EngineSettings(company_id="acme")


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog({FACTS: 1, OUTCOMES: 1, CHECKPOINTS: 1})


def worker(log: MemoryLog) -> Correlate:
    return Correlate(lambda: Correlator(SETTINGS, 0, log), lambda sentence: None)


def arrive(log: MemoryLog, number: int) -> list[Entry]:
    """Append a message with a call, and return it as it is handed over."""
    facts = tables([call(f"c{number}", "09:00")])
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
