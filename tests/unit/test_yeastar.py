"""Yeastar's records in their three forms: who took part, which way a call went, and what a machine answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.sources.registry import Batch, Sample
from pipeline.sources.yeastar import SOURCE
from tests import parsing
from tests.parsing import letters, rows
from tests.parsing import phone as token
from tests.records import person

CUSTOMER, OTHER = "+358401234567", "+358407654321"
DIRECTORY = (person("alice", extension="504"), person("bo", extension="505"))


def row(**cells: str) -> dict[str, str]:
    """Return a row of the portal's table: a customer reaches extension 504 and talks for 312 s."""
    usual = {
        "ID": "1709622000.11", "Time": "2024-03-05 09:00:00", "Call From": CUSTOMER, "Call To": "Alice<504>",
        "Call Duration": "00:05:22", "Ring Duration": "00:00:10", "Talk Duration": "00:05:12", "Status": "ANSWERED",
        "Reason": "Alice<504> hung up", "Source Trunk": "Trunk", "Destination Trunk": "",
        "Communication Type": "Inbound",
    }  # fmt: skip
    return {**usual, **{name.replace("_", " "): cell for name, cell in cells.items()}}


def listed(**fields: Any) -> dict[str, Any]:
    """Return the same call as the API lists it."""
    return {
        "id": 301, "time": "03/05/2024 09:00:00 AM", "uid": "20240305AB1", "call_from": f"Maija<{CUSTOMER}>",
        "call_to": "Alice<504>", "timestamp": 1709622000, "duration": 322, "ring_duration": 10, "talk_duration": 312,
        "disposition": "ANSWERED", "call_type": "Inbound", "reason": "", **fields,
    }  # fmt: skip


def event(**fields: Any) -> dict[str, Any]:
    """Return the same call as an event of older systems words it."""
    return {
        "event": "NewCdr", "callid": "1709622000.5", "timestart": "2024-03-05 09:00:00", "callfrom": CUSTOMER,
        "callto": "504", "callduraction": "322", "talkduraction": "312", "status": "ANSWERED", "type": "Inbound",
        "didnumber": "", "sn": "369451090000", **fields,
    }  # fmt: skip


def table(folder: Path, *calls: Mapping[str, str], delimiter: str = ",") -> Path:
    path = folder / "cdr.csv"
    lines = [delimiter.join(calls[0]), *(delimiter.join(call.values()) for call in calls)]
    path.write_text("\r\n".join(lines) + "\r\n", "utf-8")
    return path


def documents(folder: Path, *records: Mapping[str, Any], name: str = "events.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    return path


def page(folder: Path, *records: Mapping[str, Any]) -> Path:
    path = folder / "list.json"
    path.write_bytes(orjson.dumps({"errcode": 0, "errmsg": "SUCCESS", "total_number": 1, "data": records}))
    return path


def batches(
    path: Path, mapping: Mapping[str, str] | None = None, options: Mapping[str, Any] | None = None
) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping, options)


def all_forms(folder: Path) -> list[Path]:
    ended = {"type": 30012, "sn": "3631A2124000", "msg": orjson.dumps(event() | {"call_id": "7"}).decode()}
    return [
        table(folder, row()),
        page(folder, listed()),
        documents(folder, event(), name="older.jsonl"),
        documents(folder, ended, ended | {"msg": event()}),
    ]


def test_a_call_is_the_same_in_every_form(tmp_path: Path) -> None:
    for path in all_forms(tmp_path):
        assert parsing.recognised(path) == "yeastar"
        for found in rows(batches(path)):
            assert (found["channel"], found["line"], found["direction"]) == ("call", "pbx", "inbound")
            assert (found["from_token"], found["to_endpoint"]) == (token(CUSTOMER), "504")
            assert (found["attempt"], found["talk_seconds"]) == ("talk", 312)
            assert (found["started_at"], found["answered_at"], found["ended_at"]) == (
                datetime(2024, 3, 5, 7), datetime(2024, 3, 5, 7, 0, 10), datetime(2024, 3, 5, 7, 5, 22)
            )  # fmt: skip


def test_a_call_is_its_extensions(tmp_path: Path) -> None:
    outgoing = row(ID="2", Call_From="Bo<505>", Call_To="0407654321", Communication_Type="Outbound")

    came_in, went_out = parsing.interactions(batches(table(tmp_path, row(), outgoing)), DIRECTORY)

    assert (came_in["token"], came_in["direction"], came_in["representative_id"]) == (
        token(CUSTOMER),
        "inbound",
        "alice",
    )
    assert (went_out["token"], went_out["direction"], went_out["representative_id"]) == (token(OTHER), "outbound", "bo")


def test_records_with_one_id_are_one_call_of_who_talked_longest(tmp_path: Path) -> None:
    path = table(tmp_path, row(Call_To="Bo<505>", Talk_Duration="00:00:20"), row())

    (found,) = parsing.interactions(batches(path), DIRECTORY)

    assert found["representative_id"] == "alice"


def test_the_number_of_a_record_in_a_list_is_no_id_of_its_call(tmp_path: Path) -> None:
    path = page(tmp_path, listed(uid=""), listed(uid="", timestamp=1709625600), listed(call_id="c1"))

    assert [found["session_id"] for found in rows(batches(path))] == [None, None, "c1"]


def test_an_internal_call_is_no_interaction(tmp_path: Path) -> None:
    path = table(tmp_path, row(Call_From="Bo<505>", Communication_Type="Internal"))

    (leg,) = rows(batches(path))

    assert (leg["direction"], leg["from_endpoint"], leg["to_endpoint"]) == ("internal", "505", "504")
    assert parsing.interactions(batches(path), DIRECTORY) == []


def test_a_name_stands_for_one_of_ours_and_never_for_a_customer(tmp_path: Path) -> None:
    (found,) = rows(batches(table(tmp_path, row(Call_From="Maija Virtanen", Call_To="Alice"))))

    assert (found["from_token"], found["from_endpoint"], found["to_endpoint"]) == (None, None, "Alice")


def test_numbers_of_their_own_go_before_what_is_shown(tmp_path: Path) -> None:
    shown = listed(call_from="Maija", call_from_number=CUSTOMER, call_to="Alice", call_to_number="504")

    (found,) = rows(batches(page(tmp_path, shown)))

    assert (found["from_token"], found["to_endpoint"]) == (token(CUSTOMER), "504")


@pytest.mark.parametrize(
    ("status", "talk", "attempt"),
    [
        ("ANSWERD", "00:05:12", "talk"),
        ("NO ANSWER", "00:00:00", "unanswered"),
        ("NO ANSWERED", "0", "unanswered"),
        ("no_answer", "", "unanswered"),
        ("BUSY", "", "unanswered"),
        ("FAILED", "", "unanswered"),
        ("ABANDONED", "", "unanswered"),
        ("VOICEMAIL", "00:00:30", "no_human"),
        ("ANSWERED", "", "unanswered"),
        ("", "00:05:12", "talk"),
    ],
)
def test_a_status_says_whether_anybody_talked(tmp_path: Path, status: str, talk: str, attempt: str) -> None:
    assert [found["attempt"] for found in rows(batches(table(tmp_path, row(Status=status, Talk_Duration=talk))))] == [
        attempt
    ]


@pytest.mark.parametrize(("called", "attempt"), [("6400", "no_human"), ("IVR Main", "no_human"), ("504", "talk")])
def test_menus_and_queues_are_named_as_machines(tmp_path: Path, called: str, attempt: str) -> None:
    options = {"machines": ["64*", "IVR*"]}

    assert [found["attempt"] for found in rows(batches(table(tmp_path, row(Call_To=called)), options=options))] == [
        attempt
    ]


def test_a_type_that_is_none_leaves_the_direction_to_the_numbers(tmp_path: Path) -> None:
    assert [found["direction"] for found in rows(batches(table(tmp_path, row(Communication_Type="Transfer"))))] == [
        "inbound"
    ]


def test_a_date_that_could_be_two_needs_a_format(tmp_path: Path) -> None:
    path = table(tmp_path, row(Time="03/05/2024 09:00:00 AM"))

    assert [letter.reason for letter in letters(batches(path))] == [
        "time: a date that could be two: set options.date_format, for example %d/%m/%Y %H:%M"
    ]
    (found,) = rows(batches(path, options={"date_format": "%m/%d/%Y %I:%M:%S %p"}))
    assert found["started_at"] == datetime(2024, 3, 5, 7)


def test_events_of_other_kinds_are_passed_over(tmp_path: Path) -> None:
    other = {"type": 30011, "sn": "3631A2124000", "msg": "{}"}
    path = documents(tmp_path, {"type": 30012, "msg": event()}, other, event(event="Hangup"))

    read = batches(path)

    assert len(rows(read)) == sum(batch.record_count for batch in read) == 1


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        {"From": CUSTOMER, "Time": "2024-03-05 09:00", "To": "504", "Way": "Inbound", "Talk": "9"},
        delimiter=";",
    )
    mapping = {"caller": "From", "called": "To", "type": "Way", "talk_duration": "5"}

    (found,) = rows(batches(path, mapping))

    assert (found["from_token"], found["talk_seconds"]) == (token(CUSTOMER), 9)
    with pytest.raises(ConfigurationError, match="it lacks columns for time, caller"):
        batches(path)
    with pytest.raises(ConfigurationError, match="no column for caller"):
        batches(path, {name: column for name, column in mapping.items() if name != "caller"})
    with pytest.raises(ConfigurationError, match="nothing to map"):
        batches(page(tmp_path, listed()), mapping)
    with pytest.raises(ConfigurationError, match="unknown option 'machine'"):
        batches(path, mapping, {"machine": []})
    path.write_text("")
    assert batches(path) == []


@pytest.mark.parametrize("text", [b"", b"Time,Call From\n", b'{"data": [{"id": 1}]}', b'{"type": 30012}', b"[1]"])
def test_other_files_are_not_claimed(tmp_path: Path, text: bytes) -> None:
    assert SOURCE.recognise(Sample(tmp_path, text)) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Time": ""}, "time: missing"),
        ({"Time": "2024-03-05"}, "time: expected a date and time of day"),
        ({"Status": "SAD"}, "status: expected one of ANSWERED"),
        ({"Talk_Duration": "long"}, "talk_duration: expected seconds"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_dead_letter_without_its_parties(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    read = batches(table(tmp_path, row(ID="1"), row(**change), row(ID="3")))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit) == (3, "line")
    assert CUSTOMER[3:] not in letter.raw_text
    assert "Alice" not in letter.raw_text
    assert len(rows(read)) == 2


def test_an_event_without_its_message_is_a_dead_letter(tmp_path: Path) -> None:
    path = documents(tmp_path, {"type": 30012, "msg": event()}, {"type": 30012, "msg": "{"}, {"type": 30012, "msg": 7})

    assert [letter.reason for letter in letters(batches(path))] == ["msg: no valid JSON", "msg: expected an object"]


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([path.read_bytes() for path in all_forms(tmp_path)]))
    path = tmp_path / "damaged"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
