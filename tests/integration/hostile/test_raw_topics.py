"""Messages of raw topics that were made to harm: each ends in a letter with a reason, and its neighbours are used.

An error in an agent stops it, and the message that raised it would stop it again: one would hold up a company for good.
"""

from __future__ import annotations

import resource
from datetime import UTC, datetime

import orjson
import pytest

from pipeline.identifiers import Identifiers
from pipeline.intake import Intake, Intaken
from pipeline.json_text import DEEPEST
from pipeline.raw_messages import LONGEST_RECORD, MOST_RECORDS, RawMessage
from schemas.log import Entry
from schemas.settings import Configuration
from schemas.topics import MAX_MESSAGE_BYTES

READ_AT = datetime(2024, 5, 3, tzinfo=UTC)
CALL = {
    "kind": "call",
    "started_at": "2024-05-02T09:15:04+03:00",
    "talk_seconds": 300,
    "direction": "inbound",
    "from": "+358 40 1234567",
    "to": "201",
}


def take(*values: bytes, **headers: bytes) -> Intaken:
    """Take messages in, and a call that is well behind them."""
    messages = [
        RawMessage("raw.calls", 0, Entry(offset, value, headers=headers if value is not values[-1] else {}))
        for offset, value in enumerate(values)
    ]
    return Intake(Identifiers(b"key"), Configuration()).take(messages, READ_AT)


def reasons(value: bytes, **headers: bytes) -> list[str]:
    """Return why a message was refused; the call behind it must be used."""
    found = take(value, orjson.dumps(CALL), **headers)
    assert found.facts["observation"].num_rows == 1
    assert len(found.letters) == found.record_count - 1
    return [event.letter.reason for event in found.letters]


def nested(levels: int, *, objects: bool) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels if objects else b"[" * levels + b"]" * levels


@pytest.mark.parametrize("objects", [False, True])
@pytest.mark.parametrize("levels", [DEEPEST + 1, 260, 500, 1_000, 100_000])
@pytest.mark.parametrize("around", [b"%s", b"[%s]", b'{"kind":"call","from":%s}', b'[{"kind":"call","to":%s}]'])
def test_a_message_that_is_nested_too_deeply_is_a_letter(levels: int, objects: bool, around: bytes) -> None:
    (reason,) = reasons(around % nested(levels, objects=objects))
    assert reason.startswith(("nested too deeply", "no valid JSON")), reason


@pytest.mark.parametrize("field", [b"kind", b"version", b"fact", b"row"])
def test_a_reading_that_is_nested_in_any_field_is_a_letter(field: bytes) -> None:
    written = {b"kind": b'"reading"', b"version": b"1", b"fact": b'"observation"', b"row": b"{}"}
    written[field] = nested(DEEPEST - 2, objects=False)
    assert reasons(b"{" + b",".join(b'"%s":%s' % pair for pair in written.items()) + b"}")


def test_an_array_of_millions_is_one_letter_in_bounded_memory() -> None:
    value = b"[" + b"0," * ((MAX_MESSAGE_BYTES - 2) // 2) + b"0]"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (reason,) = reasons(value)
    assert reason.endswith(f"expected at most {MOST_RECORDS:,} in a message")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


def test_a_record_of_megabytes_is_one_letter() -> None:
    (reason,) = reasons(b'{"kind":"call","to":"' + b"1" * (MAX_MESSAGE_BYTES - 100) + b'"}')
    assert reason.endswith(f"expected at most {LONGEST_RECORD:,}")


@pytest.mark.parametrize("number", [b"9" * 5_000, b"1e999", b"-1e999", b"NaN", b"Infinity"])
def test_a_number_without_end_is_a_letter(number: bytes) -> None:
    assert len(reasons(b'{"kind":"call","talk_seconds":%s}' % number)) == 1


def test_a_field_that_comes_thousands_of_times_is_one_record() -> None:
    assert len(reasons(b"{" + b'"kind":"call",' * 50_000 + b'"kind":"call"}')) == 1


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_an_instant_before_or_behind_all_calendars_is_a_letter(instant: str) -> None:
    (reason,) = reasons(orjson.dumps({**CALL, "started_at": instant}))
    assert reason.startswith(("a value is out of range", "dated in the future"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", b"../../other"),
        ("source", b"x'; DROP TABLE interaction; --"),
        ("file", b"\x1b[2J\x00"),
        ("file", b"x" * 5_000),
        ("position", b"9" * 40),
        ("format", b"\xff\xfe"),
    ],
)
def test_a_header_that_would_be_a_path_or_a_program_is_a_letter(name: str, value: bytes) -> None:
    (reason,) = reasons(orjson.dumps(CALL), **{name: value})
    assert reason.startswith(f"header {name}: expected")


def test_text_that_is_sql_is_text() -> None:
    found = take(orjson.dumps({**CALL, "call_id": "'; DROP TABLE observation; --"}))
    assert found.facts["observation"].num_rows == 1
