"""Legs of 3CX: which end is ours, what a queue took, and the legs of one call."""

from __future__ import annotations

import csv
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
from pipeline.sources.threecx_legs import SOURCE
from tests import parsing
from tests.parsing import letters, rows
from tests.parsing import phone as token
from tests.records import person

CUSTOMER, OTHER, MOBILE = "+358401234567", "+358407654321", "+358505550001"
DIRECTORY = (person("alice", extension="504"), person("bo", extension="505", mobile_token=token(MOBILE)))


def leg(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Return a leg: a customer reaches extension 504, which answers after 10 s and talks for 312 s."""
    return {
        "cdr_id": f"leg-{number}", "call_history_id": "call-1", "source_entity_type": "external_line",
        "source_dn_number": "10021", "source_dn_type": "provider", "source_dn_name": "Trunk",
        "source_participant_name": "Maija", "source_participant_phone_number": CUSTOMER,
        "destination_entity_type": "extension", "destination_dn_number": "504", "destination_dn_type": "extension",
        "destination_participant_phone_number": "", "cdr_started_at": "2024-03-05 09:00:00.123456+00",
        "cdr_ended_at": "2024-03-05 09:05:22+00", "cdr_answered_at": "2024-03-05 09:00:10+00",
        "main_call_history_id": "call-1", **fields,
    }  # fmt: skip


def queued(number: int = 2, **fields: Any) -> dict[str, Any]:
    """Return a leg that ends in queue 960, which answers at once."""
    to_queue = {
        "destination_entity_type": "queue",
        "destination_dn_number": "960",
        "cdr_answered_at": "2024-03-05 09:00:01+00",
    }
    return leg(number, **(to_queue | fields))


def outgoing(number: int = 3, **fields: Any) -> dict[str, Any]:
    """Return a leg of another call: extension 504 calls a customer."""
    out = {
        "call_history_id": "call-2", "main_call_history_id": "call-2", "source_entity_type": "extension",
        "source_dn_number": "504", "source_participant_phone_number": "504",
        "destination_entity_type": "external_line", "destination_dn_number": "10021",
        "destination_participant_phone_number": "0407654321",
    }  # fmt: skip
    return leg(number, **(out | fields))


def table(folder: Path, *legs: Mapping[str, Any]) -> Path:
    path = folder / "cdroutput.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(legs[0]))
        writer.writeheader()
        writer.writerows(legs)
    return path


def batches(
    path: Path, mapping: Mapping[str, str] | None = None, options: Mapping[str, Any] | None = None
) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping, options)


def facts(folder: Path, *legs: Mapping[str, Any], **options: Any) -> list[dict[str, Any]]:
    return rows(batches(table(folder, *legs), options=options))


def told(folder: Path, *legs: Mapping[str, Any]) -> list[dict[str, Any]]:
    return parsing.interactions(batches(table(folder, *legs)), DIRECTORY)


def test_the_facts_of_a_leg(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, leg())

    assert (found["channel"], found["line"], found["direction"]) == ("call", "pbx", "inbound")
    assert (found["from_token"], found["to_endpoint"], found["via_endpoint"]) == (token(CUSTOMER), "504", None)
    assert (found["attempt"], found["talk_seconds"]) == ("talk", 312)
    assert found["started_at"] == datetime(2024, 3, 5, 9, 0, 0, 123456)
    assert (found["event_id"], found["session_id"]) == ("leg-1", "call-1")


def test_a_call_through_a_queue_is_of_the_extension_that_answered(tmp_path: Path) -> None:
    rang = leg(4, destination_dn_number="505", cdr_answered_at="")

    (found,) = told(tmp_path, queued(), rang, leg())

    assert (found["token"], found["representative_id"]) == (token(CUSTOMER), "alice")
    assert found["talk_seconds"] == 312
    assert [(fact["attempt"], fact["via_endpoint"]) for fact in facts(tmp_path, queued(), rang)] == [
        ("no_human", "960"), ("unanswered", None)
    ]  # fmt: skip


def test_a_caller_who_gave_up_in_a_queue_talked_with_nobody(tmp_path: Path) -> None:
    assert told(tmp_path, queued()) == []


def test_a_call_out_is_its_extensions(tmp_path: Path) -> None:
    (found,) = told(tmp_path, outgoing())

    assert (found["token"], found["direction"], found["representative_id"]) == (token(OTHER), "outbound", "alice")


def test_an_internal_call_is_no_interaction(tmp_path: Path) -> None:
    inside = outgoing(destination_entity_type="extension", destination_dn_number="505")

    (fact,) = facts(tmp_path, inside)

    assert (fact["direction"], fact["from_endpoint"], fact["to_endpoint"]) == ("internal", "504", "505")
    assert told(tmp_path, inside) == []


def test_a_call_that_is_sent_on_to_a_mobile_of_ours_is_its_owners(tmp_path: Path) -> None:
    forwarded = leg(
        destination_entity_type="outbound_rule", destination_dn_number="10021",
        destination_participant_phone_number="0505550001",
    )  # fmt: skip

    (found,) = told(tmp_path, forwarded)

    assert (found["token"], found["direction"], found["representative_id"]) == (token(CUSTOMER), "inbound", "bo")


@pytest.mark.parametrize(
    ("fields", "attempt"),
    [
        ({}, "talk"),
        ({"cdr_answered_at": ""}, "unanswered"),
        ({"destination_entity_type": "ivr"}, "no_human"),
        ({"destination_entity_type": "ring_group"}, "no_human"),
        ({"destination_entity_type": "VoiceMail"}, "no_human"),
        ({"destination_entity_type": "", "destination_dn_type": "queue"}, "no_human"),
        ({"destination_dn_number": "801"}, "no_human"),
        ({"cdr_answered_at": "2024-03-05 08:59:59+00"}, "talk"),
        ({"cdr_ended_at": ""}, "unanswered"),
    ],
)
def test_what_a_machine_answered_is_no_talk(tmp_path: Path, fields: dict[str, Any], attempt: str) -> None:
    assert [fact["attempt"] for fact in facts(tmp_path, leg(**fields), machines=["80*"])] == [attempt]


def test_a_withheld_caller_is_nobody_of_ours(tmp_path: Path) -> None:
    (found,) = told(tmp_path, leg(source_participant_phone_number=""))

    assert (found["token"], found["direction"], found["representative_id"]) == (None, "inbound", "alice")


def test_rows_may_be_json(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    for text in (
        orjson.dumps([leg(), outgoing()]), orjson.dumps({"data": [leg(), outgoing()]}),
        orjson.dumps(leg()) + b"\n" + orjson.dumps(outgoing() | {"cdr_answered_at": None}),
    ):  # fmt: skip
        path.write_bytes(text)

        assert parsing.recognised(path) == "threecx_legs"
        assert [fact["direction"] for fact in rows(batches(path))] == ["inbound", "outbound"]


def test_what_is_no_such_table_is_said(tmp_path: Path) -> None:
    path = table(tmp_path, {"id" if name == "cdr_id" else name: value for name, value in leg().items()})

    with pytest.raises(ConfigurationError, match="no column 'cdr_id'"):
        batches(path)
    assert [fact["event_id"] for fact in rows(batches(path, {"cdr_id": "id"}))] == ["leg-1"]
    with pytest.raises(ConfigurationError, match="unknown option 'machine'"):
        batches(path, {"cdr_id": "id"}, {"machine": []})
    path.write_text('{"a": 1}')
    with pytest.raises(ConfigurationError, match="holds no rows of cdroutput"):
        batches(path)
    path.write_text("")
    assert batches(path) == []
    for text in (b"", b"cdr_id,call_history_id\n", b'{"cdr_id": 1}'):
        assert SOURCE.recognise(Sample(path, text)) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cdr_started_at": ""}, "cdr_started_at: missing"),
        ({"cdr_ended_at": "late"}, "cdr_ended_at: "),
        ({"cdr_ended_at": "2024-03-05 08:00:00+00", "cdr_answered_at": ""}, "ended_at is before started_at"),
        ({"main_call_history_id": "", "call_history_id": "", "cdr_id": ""}, "call_id: "),
    ],
)
def test_a_row_that_cannot_be_used_is_a_dead_letter_without_its_parties(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    read = batches(table(tmp_path, leg(), leg(**change), outgoing()))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit) == (3, "line")
    assert CUSTOMER[3:] not in letter.raw_text
    assert "Maija" not in letter.raw_text
    assert len(rows(read)) == 2


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    whole = table(tmp_path, queued(), leg(), outgoing()).read_bytes()
    path = tmp_path / "damaged.csv"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
