"""Facts of another key: correlate and the sink stop at the first of them, and what was before it stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.correlation import Correlator
from pipeline.errors import ConfigurationError
from pipeline.fact_key import FactKey
from pipeline.keys import CompanyKey, fingerprint
from schemas.log import Draft, Entry
from schemas.packing import Pack, pack
from schemas.settings import EngineSettings
from schemas.topics import CHECKPOINTS, FACTS, OUTCOMES
from sinks.live import open_live
from tests.live import LIVE_RUN
from tests.memory_log import MemoryLog
from tests.records import call, tables

FIRST = CompanyKey(b"k" * 32)
ROTATED = CompanyKey(FIRST + b"l" * 32)
STRANGE = CompanyKey(b"x" * 32)
OTHER_KEY = r"was made with another key .* copy the company's key file .* another \[kafka\] prefix"
OLD_KEY = r"was made before the last rotation .* another \[kafka\] prefix"


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog({FACTS: 1, OUTCOMES: 1, CHECKPOINTS: 1})


def head(made_with: bytes | None) -> dict[str, str]:
    """Return the head of facts that a worker with this key sends on; None: one of an earlier version."""
    return {"type": "facts", "company_id": "acme"} | ({"key": fingerprint(made_with)} if made_with else {})


def arrive(log: MemoryLog, made_with: bytes | None) -> Entry:
    (offset,) = log.append([Draft(FACTS, 0, pack(Pack(head(made_with), tables([call("pbx:f:1", "10:00")]))))])
    return next(log.read(FACTS, 0, offset, offset + 1))


def correlator(log: MemoryLog, key: bytes = FIRST) -> Correlator:
    return Correlator(EngineSettings(company_id="acme"), 0, log, key=FactKey(key))


def test_correlate_stops_at_the_first_facts_of_another_key_and_says_nothing_of_them(log: MemoryLog) -> None:
    ours = correlator(log)
    ours.start()
    ours.fold([arrive(log, FIRST)])
    said = log.end(OUTCOMES, 0)

    with pytest.raises(ConfigurationError, match=f"facts@1 {OTHER_KEY}"):
        ours.fold([arrive(log, STRANGE)])

    assert (ours.position, log.end(OUTCOMES, 0)) == (1, said)


@pytest.mark.parametrize(("key", "sentence"), [(STRANGE, OTHER_KEY), (ROTATED, OLD_KEY)])
def test_correlate_with_another_key_than_the_newest_facts_takes_the_partition_from_nobody(
    log: MemoryLog, key: bytes, sentence: str
) -> None:
    arrive(log, FIRST)
    log.append([Draft(FACTS, 0, b"damaged")])

    with pytest.raises(ConfigurationError, match=f"facts@0 {sentence}"):
        correlator(log, key).start()

    assert log.end(OUTCOMES, 0) == 0


def test_correlate_stops_where_it_finds_another_key_again_after_a_restart(log: MemoryLog) -> None:
    for key in (FIRST, STRANGE, FIRST):
        arrive(log, key)
    for _ in range(2):
        ours = correlator(log)
        ours.start()
        with pytest.raises(ConfigurationError, match=f"facts@1 {OTHER_KEY}"):
            ours.catch_up()


def test_facts_of_another_key_that_an_earlier_version_folded_stop_the_rebuild(log: MemoryLog) -> None:
    for key in (FIRST, STRANGE, FIRST):
        arrive(log, key)
    earlier = Correlator(EngineSettings(company_id="acme"), 0, log)
    earlier.start()
    earlier.catch_up()

    with pytest.raises(ConfigurationError, match=f"facts@1 {OTHER_KEY}"):
        correlator(log).start()


def test_correlate_folds_facts_of_an_earlier_version_beside_its_own(log: MemoryLog) -> None:
    entries = [arrive(log, None), arrive(log, FIRST)]
    ours = correlator(log)
    ours.start()

    assert ours.fold(entries).message_count == 2


@pytest.mark.parametrize(("key", "sentence"), [(STRANGE, OTHER_KEY), (ROTATED, OLD_KEY)])
def test_the_sink_takes_nothing_of_a_batch_with_facts_of_another_key(tmp_path: Path, key: bytes, sentence: str) -> None:
    made_with = (None, key, key, FIRST)
    entries = [Entry(offset, pack(Pack(head(made)))) for offset, made in enumerate(made_with)]
    with open_live(tmp_path / "flow.duckdb", LIVE_RUN, 0, key=FactKey(key)) as live:
        live.apply(entries[:2])

        with pytest.raises(ConfigurationError, match=f"facts@3 {sentence}"):
            live.apply(entries[2:])

        assert live.progress.offsets[FACTS] == 2
