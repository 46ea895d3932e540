"""Dead letters on their topic: found by id and reason, and published again under the same identity."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest

from agents.dead_letters import DeadLetters
from pipeline.errors import ConfigurationError
from pipeline.fact_messages import letter_drafts
from pipeline.identifiers import Identifiers
from pipeline.intake import Intake, Intaken
from pipeline.keys import CompanyKey
from pipeline.raw_messages import RawMessage
from pipeline.sealing import Seal
from schemas.log import Draft, Entry
from schemas.settings import Configuration
from schemas.topics import DEAD_LETTERS, RAW_TOPICS
from tests.memory_log import MemoryLog

PARTITIONS = 4
SEAL = Seal(b"key")
READ_AT = datetime(2024, 5, 3, tzinfo=UTC)


def take(*messages: RawMessage) -> Intaken:
    return Intake(Identifiers(b"key"), Configuration()).take(messages, READ_AT)


def message(value: bytes, offset: int = 0, **headers: str) -> RawMessage:
    return RawMessage(
        "raw.calls", 1, Entry(offset, value, headers={name: text.encode() for name, text in headers.items()})
    )


def log_of(*messages: RawMessage, company: str = "acme") -> MemoryLog:
    log = MemoryLog({DEAD_LETTERS: 1, **dict.fromkeys(RAW_TOPICS, PARTITIONS)})
    log.append(letter_drafts(take(*messages).letters, company, 1, SEAL))
    return log


def published(log: MemoryLog) -> list[RawMessage]:
    return [
        RawMessage(topic, partition, entry)
        for topic in RAW_TOPICS
        for partition in range(PARTITIONS)
        for entry in log.read(topic, partition, 0, log.end(topic, partition))
    ]


def test_letters_are_found_by_id_and_by_reason() -> None:
    log = log_of(message(b"{", 1), message(b'{"kind":"x"}', 2), message(b"[", 3))
    letters = DeadLetters(log, "acme", 1, SEAL)
    assert [letter.position for letter in letters.find()] == ["1", "2", "3"]
    assert [letter.position for letter in letters.find(reason="KIND: unknown")] == ["2"]
    assert letters.one("calls:raw.calls/1:3").value == b"["
    assert [(source, count) for source, _, count in letters.reasons()] == [("calls", 2), ("calls", 1)]


def test_a_letter_that_is_not_there_is_said_so() -> None:
    with pytest.raises(ConfigurationError, match="no dead letter 'x'"):
        DeadLetters(log_of(), "acme", 1, SEAL).one("x")


def test_a_record_refused_twice_is_one_letter() -> None:
    log = log_of(message(b"{", 1), message(b"[", 1), message(b"{", 2))
    assert [letter.value for letter in DeadLetters(log, "acme", 1, SEAL).find()] == [b"[", b"{"]


def test_letters_of_another_company_are_not_shown() -> None:
    assert list(DeadLetters(log_of(message(b"{")), "other", 1, SEAL).find()) == []


def test_a_retried_record_keeps_its_identity() -> None:
    bad = orjson.dumps({"kind": "call"})
    first = take(message(b"[1," + bad + b"]", 5), message(bad, 6, source="pbx", file="f", position="9", format="x"))
    log = MemoryLog({DEAD_LETTERS: 1, **dict.fromkeys(RAW_TOPICS, PARTITIONS)})
    log.append(letter_drafts(first.letters, "acme", 1, SEAL))
    letters = DeadLetters(log, "acme", 1, SEAL)
    assert letters.retry(letters.find(), PARTITIONS) == 3
    again = take(*published(log))
    assert sorted((e.letter.raw_id, e.value, e.format) for e in again.letters) == sorted(
        (e.letter.raw_id, e.value, e.format) for e in first.letters
    )
    assert {e.letter.raw_id for e in again.letters} == {"calls:raw.calls/1:5#0", "calls:raw.calls/1:5#1", "pbx:f:9"}


def test_a_retried_reading_keeps_the_identity_of_its_row() -> None:
    reading = {"kind": "reading", "fact": "observation", "row": {"raw_id": "sent-by-them", "source": "pbx"}}
    log = log_of(message(orjson.dumps(reading), 5))
    letters = DeadLetters(log, "acme", 1, SEAL)
    letters.retry(letters.find(), PARTITIONS)
    assert [event.letter.raw_id for event in take(*published(log)).letters] == ["sent-by-them"]


def test_what_was_refused_stands_on_its_topic_sealed_and_is_read_with_the_key_alone() -> None:
    log = log_of(message(b'{"kind": "x", "from": "+358 40 555 0100"}'))
    (entry,) = log.read(DEAD_LETTERS, 0, 0, 1)
    assert b"555" not in (entry.value or b"") + b"".join(entry.headers.values())

    stranger = DeadLetters(log, "acme", 1, Seal(b"another key"))
    (letter,) = stranger.find()
    assert "kind: unknown" in letter.reason
    with pytest.raises(ConfigurationError, match="sealed with another key"):
        stranger.retry([letter], PARTITIONS)
    assert DeadLetters(log, "acme", 1, SEAL).one(letter.raw_id).value == b'{"kind": "x", "from": "+358 40 555 0100"}'


def test_letters_from_before_a_rotation_are_tried_again_after_it() -> None:
    first, link = bytes(range(32)), b"link" * 8
    log = MemoryLog({DEAD_LETTERS: 1, **dict.fromkeys(RAW_TOPICS, PARTITIONS)})
    for offset, key in enumerate((first, first + link, first + link + link)):
        letters = take(message(b"{" + b" " * offset, offset)).letters
        log.append(letter_drafts(letters, "acme", 1, Seal(CompanyKey(key))))

    letters_now = DeadLetters(log, "acme", 1, Seal(CompanyKey(first + link + link)))
    assert letters_now.retry(letters_now.find(), PARTITIONS) == 3
    assert sorted(message.entry.value or b"" for message in published(log)) == [b"{", b"{ ", b"{  "]


def test_an_old_copy_of_the_key_opens_no_letter_from_after_a_rotation() -> None:
    first, link = bytes(range(32)), b"link" * 8
    old = Seal(CompanyKey(first))
    assert old.open(old.close(b"{")) == b"{"
    with pytest.raises(ConfigurationError, match="sealed with another key"):
        old.open(Seal(CompanyKey(first + link)).close(b"{"))


def test_a_letter_of_an_earlier_version_that_sealed_none_is_read_as_it_is() -> None:
    log = log_of(message(b"{"))
    (entry,) = log.read(DEAD_LETTERS, 0, 0, 1)
    headers = {name: data for name, data in entry.headers.items() if name != "sealed"}
    log.append([Draft(DEAD_LETTERS, 0, b"{", b"calls:raw.calls/1:8", {**headers, "raw_id": b"calls:raw.calls/1:8"})])

    assert DeadLetters(log, "acme", 1, SEAL).one("calls:raw.calls/1:8").value == b"{"
