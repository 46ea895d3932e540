"""A message that a newer bypassflow wrote stops whoever meets it with a sentence; a damaged one does not."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents.app import end_process
from agents.dead_letters import DeadLetters
from agents.exit_codes import EXIT_CONFIGURATION
from pipeline.checkpoints import Checkpoints
from pipeline.envelopes import LETTER_HEADER, newer
from pipeline.errors import ConfigurationError
from pipeline.fact_messages import letter_drafts
from pipeline.identifiers import Identifiers
from pipeline.intake import Intake
from pipeline.outcomes import OutcomeReader, pack_claim
from pipeline.raw_messages import RawMessage
from pipeline.sealing import Seal
from pipeline.stretches import read_stretch
from schemas.log import Draft, Entry
from schemas.packing import VERSION, InvalidPack, NewerPack, Pack, pack, unpack
from schemas.settings import Configuration
from schemas.topics import CHECKPOINTS, DEAD_LETTERS, RAW_TOPICS
from tests.live import live_store
from tests.memory_log import MemoryLog
from tests.records import call, tables

SEAL = Seal(b"key")
FACTS_MESSAGE = pack(Pack({"type": "facts", "company_id": "acme"}, tables([call("pbx:f:1", "10:00")])))
STOPS = r"@7 was written by a newer bypassflow \(version 2 .* this one knows 1\); upgrade bypassflow here"


def of_version(message: bytes, version: int) -> bytes:
    """Return a packed message as another version would write it."""
    return message[:4] + struct.pack("<H", version) + message[6:]


@pytest.mark.parametrize("version", [2, 3, 255])
def test_a_newer_packed_message_is_told_from_a_damaged_one(version: int) -> None:
    with pytest.raises(NewerPack, match=f"version {version}, expected {VERSION}"):
        unpack(of_version(FACTS_MESSAGE, version))


@pytest.mark.parametrize("version", [0, 256, 65535])
def test_a_version_that_nobody_writes_is_damage(version: int) -> None:
    with pytest.raises(InvalidPack):
        unpack(of_version(FACTS_MESSAGE, version))


def test_correlate_stops_at_newer_facts() -> None:
    with pytest.raises(ConfigurationError, match=f"facts{STOPS}"):
        read_stretch([Entry(7, of_version(FACTS_MESSAGE, 2))], "acme")


@pytest.mark.parametrize("with_tables", [True, False])
def test_sink_and_correlate_stop_at_newer_outcomes(with_tables: bool) -> None:
    claim = of_version(pack_claim("acme", "rules"), 2)
    with pytest.raises(ConfigurationError, match=f"outcomes{STOPS}"):
        OutcomeReader("acme", with_tables=with_tables).feed(Entry(7, claim))


def test_the_sink_stops_at_newer_facts_and_writes_nothing_of_the_batch(tmp_path: Path) -> None:
    with live_store(tmp_path / "x.duckdb") as live:
        before = live.progress
        with pytest.raises(ConfigurationError, match=f"facts{STOPS}"):
            live.apply([Entry(0, FACTS_MESSAGE), Entry(7, of_version(FACTS_MESSAGE, 2))])

        assert live.progress == before
        assert live.store.rows("FROM observation_base") == []


def letters(version: bytes | None) -> list[Draft]:
    taken = Intake(Identifiers(b"key"), Configuration()).take(
        [RawMessage("raw.calls", 1, Entry(1, b"{"))], datetime(2024, 5, 3, tzinfo=UTC)
    )
    (draft,) = letter_drafts(taken.letters, "acme", 1, SEAL)
    assert draft.headers[LETTER_HEADER] == b"1"
    headers = {name: text for name, text in draft.headers.items() if name != LETTER_HEADER}
    if version is not None:
        headers[LETTER_HEADER] = version
    return [Draft(draft.topic, draft.partition, draft.value, draft.key, headers)]


@pytest.mark.parametrize("version", [None, b"1"])
def test_letters_of_earlier_versions_are_read(version: bytes | None, tmp_path: Path) -> None:
    (draft,) = letters(version)
    log = MemoryLog({DEAD_LETTERS: 1, **dict.fromkeys(RAW_TOPICS, 1)})
    log.append([draft])

    assert [letter.value for letter in DeadLetters(log, "acme", 1, SEAL).find()] == [b"{"]
    with live_store(tmp_path / "x.duckdb") as live:
        assert live.apply([], [], [Entry(0, draft.value, draft.key, draft.headers)]).dead_letter_count == 1


def test_whoever_reads_dead_letters_stops_at_a_newer_one(tmp_path: Path) -> None:
    (draft,) = letters(b"2")
    log = MemoryLog({DEAD_LETTERS: 1, **dict.fromkeys(RAW_TOPICS, 1)})
    log.append([draft])

    with pytest.raises(ConfigurationError, match="dead-letters@0 was written by a newer bypassflow"):
        list(DeadLetters(log, "acme", 1, SEAL).find())
    with live_store(tmp_path / "x.duckdb") as live, pytest.raises(ConfigurationError, match=f"dead-letters{STOPS}"):
        live.apply([], [], [Entry(7, draft.value, draft.key, draft.headers)])


def test_a_worker_stops_at_a_newer_checkpoint() -> None:
    log = MemoryLog({CHECKPOINTS: 1})
    log.append([Draft(CHECKPOINTS, 0, orjson.dumps({"form": 2, "more": True}), b"acme/0")])

    with pytest.raises(ConfigurationError, match="checkpoints@0 was written by a newer bypassflow"):
        list(Checkpoints(log, 0, "acme").manifests())


def test_a_worker_that_stops_ends_with_the_code_of_a_configuration(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[Any] = []
    monkeypatch.setattr("os._exit", codes.append)

    end_process(newer("facts", 7, 2, 1))

    assert codes == [EXIT_CONFIGURATION]
    assert caplog.messages[-1].startswith("facts@7 was written by a newer bypassflow")
