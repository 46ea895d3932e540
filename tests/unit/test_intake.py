"""From raw messages to facts and letters: what is used, what is refused, and that nothing ever raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.configuration import load
from pipeline.fact_messages import letter_drafts, pack_facts, unpack_facts
from pipeline.identifiers import Identifiers
from pipeline.intake import DeadEvent, Intake, Intaken
from pipeline.lanes import instant_of
from pipeline.raw_messages import LONGEST_RECORD, RawMessage
from pipeline.sealing import Seal
from schemas.log import Entry
from schemas.packing import InvalidPack, Pack, head_of, pack
from schemas.settings import Configuration
from schemas.topics import DEAD_LETTERS

READ_AT = datetime(2024, 5, 3, tzinfo=UTC)
CALL = {
    "kind": "call",
    "started_at": "2024-05-02T09:15:04+03:00",
    "talk_seconds": 300,
    "direction": "inbound",
    "from": "+358 40 1234567",
    "to": "201",
    "call_id": "c-1",
}
CONTACT = {"kind": "contact", "contact_id": "003A1", "phones": ["040 1234567"], "emails": ["maija@customer.example"]}
SEAL = Seal(b"key")
READING: dict[str, Any] = {
    "kind": "reading",
    "version": 1,
    "fact": "observation",
    "row": {
        "raw_id": "pbx:Master.csv:7",
        "source": "pbx",
        "record_digest": 2**64 - 1,
        "channel": "call",
        "started_at": "2024-05-02T06:15:04.000001Z",
        "ended_at": "2024-05-02T06:20:04Z",
        "talk_seconds": 300.0,
        "talk_basis": 1,
        "key": "pbx:17",
        "from_token": "phone:+358401234567",
    },
}
REJECTED = {
    "kind": "rejected",
    "raw_id": "pbx:Master.csv:8",
    "source": "pbx",
    "file": "Master.csv",
    "position": 8,
    "unit": "line",
    "reason": "has 3 columns, expected 18",
    "raw_text": "…,…,…",
}
NO_CONFIGURATION = Configuration()


def intake(configuration: Configuration = NO_CONFIGURATION) -> Intake:
    return Intake(Identifiers(b"key"), configuration)


def message(value: Any, offset: int = 0, topic: str = "raw.calls", /, **headers: str | bytes) -> RawMessage:
    data = value if isinstance(value, bytes) or value is None else orjson.dumps(value)
    written = {name: text.encode() if isinstance(text, str) else text for name, text in headers.items()}
    return RawMessage(topic, 2, Entry(offset, data, headers=written))


def take(*values: Any, configuration: Configuration = NO_CONFIGURATION) -> Intaken:
    messages = [
        value if isinstance(value, RawMessage) else message(value, offset) for offset, value in enumerate(values)
    ]
    return intake(configuration).take(messages, READ_AT)


def rows(found: Intaken, kind: str = "observation") -> list[dict[str, Any]]:
    table: pa.Table = found.facts[kind]
    return list(table.to_pylist())


def reasons(found: Intaken) -> list[str]:
    return [event.letter.reason for event in found.letters]


def reading(**columns: Any) -> dict[str, Any]:
    return {**READING, "row": {**READING["row"], **columns}}


# What is used


def test_a_record_of_any_kind_may_stand_on_any_raw_topic() -> None:
    found = take(message(CONTACT, 0, "raw.calls"), message(CALL, 0, "raw.contacts"), message(READING, 0, "raw.x"))
    assert set(found.facts) == {"observation", "contact", "identifier"}
    assert (found.record_count, found.letters) == (3, [])


def test_without_headers_a_record_counts_under_its_topic_partition_and_offset() -> None:
    (row,) = rows(take(message(CALL, 41)))
    assert (row["raw_id"], row["source"], row["file"], row["format"]) == (
        "calls:raw.calls/2:41",
        "calls",
        "raw.calls/2",
        "canonical_json",
    )


def test_headers_say_source_file_position_and_format() -> None:
    (row,) = rows(take(message(CALL, source="pbx", file="a/b.csv", position="7", format="my_pbx")))
    assert (row["raw_id"], row["file"], row["format"]) == ("pbx:a/b.csv:7", "a/b.csv", "my_pbx")


def test_the_records_of_an_array_are_told_apart_by_their_number() -> None:
    found = take(message([CALL, CONTACT, CALL], 5))
    assert [row["raw_id"] for row in rows(found)] == ["calls:raw.calls/2:5#0", "calls:raw.calls/2:5#2"]
    assert [row["raw_id"] for row in rows(found, "contact")] == ["calls:raw.calls/2:5#1"]


def test_the_same_record_in_a_file_has_the_same_token_and_digest() -> None:
    (first,), (second,) = (rows(take(message({**CALL, "from": text}))) for text in ("+358 40 1234567", "0401234567"))
    assert first["from_token"] == second["from_token"] is not None


def test_a_source_of_the_configuration_gives_its_time_zone() -> None:
    configuration = load('[[source]]\npath = "x"\nname = "pbx"\ntimezone = "UTC"\n', "bypassflow.toml")
    local = {**CALL, "started_at": "2024-05-02T09:15:04"}
    found = take(message(local, 0), message(local, 1, source="pbx"), configuration=configuration)
    assert {row["source"]: row["started_at"].hour for row in rows(found)} == {"calls": 6, "pbx": 9}


def test_a_message_without_a_value_is_ignored_and_counted() -> None:
    found = take(None, [], CALL)
    assert (found.record_count, found.ignored_count, found.letters) == (1, 2, [])


def test_a_reading_gives_its_row_and_its_identifiers() -> None:
    found = take(message(READING, file="Master.csv", format="asterisk_cdr"))
    (row,) = rows(found)
    identifiers = Identifiers(b"key")
    assert row["from_token"] == identifiers.phone("0401234567").token
    assert (row["started_at"], row["record_digest"]) == (datetime(2024, 5, 2, 6, 15, 4, 1), 2**64 - 1)
    assert (row["file"], row["format"], row["other_keys"]) == ("Master.csv", "asterisk_cdr", None)
    assert found.facts["identifier"].equals(identifiers.drain())


def test_an_identifier_that_no_fact_mentions_is_told() -> None:
    found = take({"kind": "reading", "fact": "identifier", "row": {"token": "handle:whatsapp:maija"}})
    assert rows(found, "identifier")[0] | {"token": ""} == {"token": "", "kind": "handle", "display": "whatsapp:m…"}


def test_what_a_parser_refused_becomes_the_same_dead_letter() -> None:
    (event,) = take(message(REJECTED, 3, format="asterisk_cdr")).letters
    letter = event.letter
    assert (letter.raw_id, letter.position, letter.unit, letter.raw_text) == ("pbx:Master.csv:8", 8, "line", "…,…,…")
    assert (event.format, event.topic, orjson.loads(event.value)) == ("asterisk_cdr", "raw.calls", REJECTED)


# What is refused


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "no valid JSON"),
        (b"{", "no valid JSON"),
        (b'"\xff"', "in UTF-8"),
        (b'{"kind":"call","a":NaN}', "no valid JSON"),
        (b"[" * 3000 + b"]" * 3000, "nested too deeply"),
        (3, "expected a JSON object"),
        ("text", "expected a JSON object"),
        ([[CALL]], "expected a JSON object"),
        ({}, "kind: missing"),
        ({"kind": "fax"}, "kind: unknown"),
        ({"kind": ["call"]}, "kind: unknown"),
        ({**CALL, "kind": {"a": 1}}, "kind: unknown"),
        ({**CALL, "version": 2}, "version: found a number; expected 1"),
        ({**CALL, "started_at": None}, "started_at: found nothing"),
        ({**CALL, "started": "x"}, "unknown field 'started'; did you mean 'started_at'?"),
        ({**CALL, "started_at": "2030-05-02T09:15:04Z"}, "dated in the future"),
        ({**CALL, "from": "x" * 1001}, "from: found text of 1,001 characters"),
        ({**CALL, "to": "y" * LONGEST_RECORD}, "too long; expected at most 1,048,576"),
        ({**CALL, "status": "unanswered", "duration_seconds": 1e300}, "more than 7 days"),
        ({**CONTACT, "updated_at": "0001-01-01T00:00:00+03:00"}, "out of range"),
        ({"kind": "activity", "activity_id": "a", "activity_kind": "call", "logged_on": "9999-12-31"}, "out of range"),
        ({"kind": "reading"}, "fact: expected one of observation"),
        ({**READING, "fact": ["observation"]}, "fact: expected one of observation"),
        ({**READING, "version": 2}, "version: expected 1"),
        ({**READING, "rows": 1}, "unknown field"),
        ({**READING, "row": []}, "row: expected an object"),
        (reading(colour="red"), "the row has a column that observation does not know"),
        (reading(channel="pigeon"), "channel: expected one of call, chat"),
        (reading(channel=None), "channel: missing; every observation needs it"),
        (reading(started_at="yesterday"), "started_at: expected an instant"),
        (reading(started_at="2024-05-02T06:15:04"), "started_at: expected an instant"),
        (reading(started_at="2030-05-02T06:15:04Z"), "dated in the future: started_at"),
        (reading(record_digest=-1), "record_digest: expected a whole number of 64 bits"),
        (reading(record_digest=1.0), "record_digest: expected a whole number"),
        (reading(talk_basis=300), "talk_basis: expected a small whole number"),
        (reading(talk_seconds="300"), "talk_seconds: expected a number"),
        (reading(bulk=1), "bulk: expected true or false"),
        (reading(other_keys="k"), "other_keys: expected a list of texts"),
        (reading(other_keys=[1]), "other_keys: expected a list of texts"),
        (reading(from_token="0401234567"), "from_token: found a text of 0 characters; expected an identifier"),
        (reading(from_token="phone:040 1234567"), "found a text of 11 characters; expected a canonical phone"),
        (reading(from_token="domain:b.example"), "from_token: expected a phone, email or handle"),
        (reading(from_domain="email:a@b.example"), "from_domain: expected a domain"),
        (reading(from_token=7), "from_token: expected identifiers as text"),
        (reading(parties=[{"role": "to", "tokens": 1}]), "parties: expected parties of role"),
        (reading(parties=[{"role": "spy"}]), "parties: expected a role of"),
        (reading(parties=["to"]), "parties: expected parties of role"),
        (reading(parties={}), "parties: expected a list"),
        ({"kind": "reading", "fact": "identifier", "row": {}}, "token: expected an identifier"),
        ({"kind": "reading", "fact": "identifier", "row": {"token": "fax:1"}}, "expected an identifier of kind phone"),
        ({**REJECTED, "position": -1}, "position: found a negative number"),
        ({**REJECTED, "raw_text": "x" * 2001}, "raw_text: found text of 2,001 characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_a_letter_and_its_neighbours_are_used(value: Any, reason: str) -> None:
    found = take(READING, CALL, value, CALL, reading(raw_id="other"))
    assert len(found.letters) == 1
    assert reason in reasons(found)[0]
    assert len(rows(found)) == 4


def test_no_value_stands_in_a_reason_or_an_outline() -> None:
    secret = "maijamehilainen"
    bad = [
        {**CALL, "from": [secret]},
        {**CALL, "customer": secret, "talk_seconds": "long"},
        reading(from_token=f"phone:{secret}"),
        reading(from_token=secret),
        reading(channel=secret),
        reading(parties=[{"role": secret}]),
        secret,
        {**REJECTED, "unit": secret},
    ]
    found = take(*bad)
    assert len(found.letters) == len(bad)
    for event in found.letters:
        assert secret not in event.letter.reason
        assert secret not in event.letter.raw_text
        assert secret.encode() in event.value


def test_one_bad_element_of_an_array_is_one_letter_with_its_own_bytes() -> None:
    found = take(message([CALL, {"kind": "call", "from": "x"}, READING], 9))
    (event,) = found.letters
    assert (event.letter.raw_id, event.letter.position) == ("calls:raw.calls/2:9#1", 9)
    assert orjson.loads(event.value) == {"kind": "call", "from": "x"}
    assert len(rows(found)) == 2


def test_an_element_that_is_sent_again_by_itself_keeps_its_identity() -> None:
    (row,) = rows(take(message(CALL, 77, source="calls", file="raw.calls/2", position="9#1")))
    assert row["raw_id"] == "calls:raw.calls/2:9#1"


@pytest.mark.parametrize(
    ("name", "value"),
    [("source", "No Source"), ("position", "seven"), ("file", b"\xff"), ("file", ""), ("format", "a\nb")],
)  # fmt: skip
def test_a_header_that_says_nothing_is_a_letter_under_the_topics_place(name: str, value: str | bytes) -> None:
    (event,) = take(message(CALL, 4, **{name: value})).letters
    assert event.letter.reason.startswith(f"header {name}: expected")
    assert event.letter.raw_id == "calls:raw.calls/2:4"


def test_a_reading_that_is_refused_keeps_its_own_identity_and_announces_nobody() -> None:
    found = take(reading(channel="pigeon"))
    assert found.letters[0].letter.raw_id == "pbx:Master.csv:7"
    assert found.facts == {}


@pytest.mark.parametrize(
    ("value", "is_raw_event"),
    [(b"{", True), ({"kind": "contact"}, False), ({"kind": "call"}, True), (reading(key=1), True),
     ({"kind": "reading", "fact": "contact", "row": {}}, False)],
)  # fmt: skip
def test_only_what_can_be_told_to_be_none_is_no_raw_event(value: Any, is_raw_event: bool) -> None:
    assert take(value).letters[0].letter.is_raw_event is is_raw_event


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["call", "reading", "rejected", "2024-05-02T06:15:04Z", "phone:+358401234567"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from([*CALL, *READING, *READING["row"], *REJECTED, "parties"]), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(st.binary(max_size=30), JSON, JSON.map(lambda value: reading(**_columns(value)))), max_size=8)
)
def test_nothing_that_a_message_holds_raises(values: Sequence[Any]) -> None:
    found = take(*values)
    facts = sum(table.num_rows for kind, table in found.facts.items() if kind != "identifier")
    assert facts + len(found.letters) <= found.record_count
    letter_drafts(found.letters, "acme", 1, SEAL)


def _columns(value: Any) -> Mapping[str, Any]:
    return {f"{name}": part for name, part in value.items()} if isinstance(value, dict) else {}


# What is sent on


_SEEDS = [orjson.dumps(value) for value in (CALL, CONTACT, READING, REJECTED, [CALL, CONTACT], {**CALL, "kind": "x"})]
_PIECES = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0", b"007", b"1.", b"null", b"true",
    b'"', b'"\\ud800"', b"\\", b"\x00",
    b"\xff", b"\xef\xbb\xbf", b"[", b"]", b"{", b"}", b",", b":", b" ", b"\n", b"/**/", b'"kind":"contact",',
    b"9" * 400, b"[" * 300,
]  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(_SEEDS),
            st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from([b"", *_PIECES])), max_size=3),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=400, deadline=None)
def test_what_is_read_at_once_is_what_is_read_with_care(
    damaged: list[tuple[bytes, list[tuple[float, int, bytes]]]],
) -> None:
    messages = []
    for offset, (data, damages) in enumerate(damaged):
        for share, length, piece in damages:
            start = int(share * len(data))
            data = data[:start] + piece + data[start + length :]
        messages.append(message(data, offset))
    at_once = intake().take(messages, READ_AT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.intake._read", lambda data: None)
        with_care = intake().take(messages, READ_AT)
    assert (at_once.record_count, at_once.lanes) == (with_care.record_count, with_care.lanes)
    assert sorted(at_once.letters, key=_place_of) == sorted(with_care.letters, key=_place_of)
    assert at_once.facts.keys() == with_care.facts.keys()
    for kind in at_once.facts:
        assert sorted(map(repr, rows(at_once, kind))) == sorted(map(repr, rows(with_care, kind)))


def _place_of(event: DeadEvent) -> str:
    return event.letter.raw_id


def test_facts_go_through_a_message_and_come_back() -> None:
    found = take(CALL, CONTACT, READING, b"{")
    (data,) = pack_facts(found, "acme")
    back = unpack_facts(data)
    assert (back.company_id, back.letter_count, set(back.tables)) == ("acme", 1, set(found.facts))
    assert all(back.tables[kind].equals(found.facts[kind]) for kind in found.facts)


def test_facts_that_fill_no_single_message_are_split_and_none_is_lost() -> None:
    found = take(*[reading(raw_id=f"r{number}") for number in range(50)], CONTACT)
    messages = pack_facts(found, "acme", largest=12_000)
    tables = [unpack_facts(data).tables for data in messages]
    assert len(messages) > 2
    assert [id_ for part in tables if "observation" in part for id_ in part["observation"]["raw_id"].to_pylist()] == [
        f"r{number}" for number in range(50)
    ]
    assert sum(part["contact"].num_rows for part in tables if "contact" in part) == 1


def test_a_batch_without_facts_gives_no_message() -> None:
    assert pack_facts(take(b"{"), "acme") == []


def test_a_message_that_holds_no_facts_is_refused() -> None:
    for content in (
        Pack({"type": "changes", "company_id": "acme"}),
        Pack({"type": "facts"}),
        Pack({"type": "facts", "company_id": "acme"}, {"weather": pa.table({"a": [1]})}),
        Pack({"type": "facts", "company_id": "acme"}, {"contact": pa.table({"a": [1]})}),
    ):
        with pytest.raises(InvalidPack):
            unpack_facts(pack(content))


def test_a_letter_carries_its_bytes_and_all_that_is_known_of_it() -> None:
    events: Sequence[DeadEvent] = take(message(b"{oops", 4, source="pbx", file="f", position="12")).letters
    (draft,) = letter_drafts(events, "acme", 1, SEAL)
    sealed = SEAL.close(b"{oops")
    assert (draft.topic, draft.partition, draft.key, draft.value) == (DEAD_LETTERS, 0, b"pbx:f:12", sealed)
    assert {name: data.decode() for name, data in draft.headers.items()} == {
        "raw_id": "pbx:f:12",
        "source": "pbx",
        "file": "f",
        "position": "12",
        "unit": "record",
        "format": "canonical_json",
        "is_raw_event": "1",
        "reason": "no valid JSON; expected an object or an array of objects",
        "outline": "{…",
        "topic": "raw.calls",
        "company": "acme",
        "sealed": "aes-siv",
        "version": "1",
    }


def test_a_batch_tells_how_far_each_lane_came() -> None:
    def reading(time: str, kind: str = "observation", column: str = "started_at") -> dict[str, Any]:
        return {**READING, "fact": kind, "row": {**READING["row"], column: time}}

    lanes = (
        intake()
        .take(
            [
                message(CALL, 0, "raw.calls", file="a.jsonl", source="pbx"),
                message(reading("2024-05-01T08:00:00Z"), 1),
                message(reading("2024-04-01T08:00:00Z"), 2),
                message(
                    [{**CALL, "started_at": "2024-05-01T00:00:00Z"}, {**CALL, "call_id": "c-9"}], 3, "raw.pbx-legs"
                ),
                message({**CALL, "started_at": "2024-04-30T00:00:00Z"}, 4, "raw.x", file="a.jsonl", source="pbx"),
                message(CONTACT, 5, "raw.contacts"),
                message({**CALL, "started_at": "2031-01-01T00:00:00Z"}, 6, "raw.emails"),
            ],
            READ_AT,
        )
        .lanes
    )

    assert {lane: instant_of(reached) for lane, reached in lanes.items()} == {
        "raw.calls/2": datetime(2024, 5, 2, 6, 15, 4),
        "raw.pbx-legs/2": datetime(2024, 5, 2, 6, 15, 4),
        "raw.x/2": datetime(2024, 4, 30),
    }


def test_only_the_last_message_of_a_batch_tells_of_its_lanes() -> None:
    found = take(*[{**CALL, "call_id": f"c-{number}"} for number in range(200)])

    heads = [head_of(data) for data in pack_facts(found, "acme", largest=12_000)]

    assert len(heads) > 1
    assert [head["lanes"] for head in heads] == [{}] * (len(heads) - 1) + [dict(found.lanes)]
    assert [head["letters"] for head in heads] == [0] * len(heads)
    assert found.lanes
