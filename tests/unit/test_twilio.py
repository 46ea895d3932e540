"""Twilio's calls and messages: who took part, whether anybody talked, and which legs are one call."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Sample, recognise
from pipeline.sources.twilio import SOURCE
from tests import parsing
from tests.parsing import letters, rows
from tests.parsing import phone as token
from tests.records import person, shared

CUSTOMER, OTHER, COMPANY, MOBILE = "+358401234567", "+358407654321", "+358942450000", "+358505550001"
CALL = {
    "account_sid": "AC1", "status": "completed", "direction": "inbound", "from": CUSTOMER, "to": COMPANY,
    "start_time": "Tue, 05 Mar 2024 09:00:00 +0000", "end_time": "Tue, 05 Mar 2024 09:02:00 +0000", "duration": "120",
    "answered_by": None, "parent_call_sid": None,
}  # fmt: skip
MESSAGE = {
    "account_sid": "AC1", "sid": "SM1", "status": "received", "direction": "inbound", "from": CUSTOMER, "to": COMPANY,
    "date_sent": "Tue, 05 Mar 2024 09:00:00 +0000", "body": "secret",
}  # fmt: skip


def call(sid: str, parent: str | None = None, **fields: Any) -> dict[str, Any]:
    legs = {"direction": "outbound-dial"} if parent else {}
    return {**CALL, "sid": sid, "parent_call_sid": parent, **legs, **fields}


def party(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields given with from_ in place of the keyword."""
    return {name.rstrip("_"): value for name, value in fields.items()}


def batches(path: Path, mapping: Mapping[str, str] | None = None) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping)


def written(folder: Path, records: Sequence[Mapping[str, Any]], name: str = "calls.json") -> Path:
    path = folder / name
    path.write_bytes(orjson.dumps({"calls": records, "page": 0, "uri": "/2010-04-01/Accounts/AC1/Calls.json"}))
    return path


def told(folder: Path, *records: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the interactions that come of records, in a company whose directory knows its representatives."""
    mobile = token(MOBILE)
    directory = (person("alice"), person("bo", mobile_token=mobile), shared("Sales", name="Sales"))
    return parsing.interactions(batches(written(folder, records)), directory)


def test_a_call_that_is_put_through_is_one_interaction_with_whoever_talked(tmp_path: Path) -> None:
    parts = [
        # As the API lists them: the latest first, and with the caller number that the program chose.
        call("CA2", "CA1", **party({"from_": COMPANY, "to": "client:alice", "duration": "80"})),
        call("CA1"),
    ]

    (found,) = told(tmp_path, *parts)

    assert (found["token"], found["direction"], found["representative_id"]) == (token(CUSTOMER), "inbound", "alice")
    assert found["talk_seconds"] == 80


@pytest.mark.parametrize("to", [MOBILE, "sip:alice@acme.sip.example", f"sip:{MOBILE}@acme.sip.example"])
def test_representatives_are_known_by_mobile_and_by_sip_name(tmp_path: Path, to: str) -> None:
    (found,) = told(tmp_path, call("CA1"), call("CA2", "CA1", to=to))

    assert found["token"] == token(CUSTOMER)
    assert found["representative_id"] == ("alice" if "alice" in to else "bo")


def test_a_call_that_nobody_took_is_no_interaction_though_the_program_answered(tmp_path: Path) -> None:
    unanswered = call("CA2", "CA1", to="client:alice", status="no-answer", duration="0")

    assert told(tmp_path, call("CA1"), unanswered) == []
    assert len(told(tmp_path, call("CA1"))) == 1  # nothing says that it was a program


@pytest.mark.parametrize("caller", ["anonymous", "sip:anonymous@anonymous.invalid"])
def test_a_withheld_caller_is_nobody_of_ours(tmp_path: Path, caller: str) -> None:
    (found,) = told(tmp_path, call("CA1", **party({"from_": caller, "to": "client:alice"})))

    assert (found["token"], found["direction"], found["representative_id"]) == (None, "inbound", "alice")


def test_a_call_from_a_browser_goes_out(tmp_path: Path) -> None:
    first = call("CA1", **party({"from_": "client:alice", "to": ""}))
    dialled = call("CA2", "CA1", **party({"from_": COMPANY, "to": OTHER}))

    (found,) = told(tmp_path, first, dialled)

    assert (found["token"], found["direction"], found["representative_id"]) == (token(OTHER), "outbound", "alice")


def test_a_representative_who_is_rung_first_is_put_through_to_the_customer(tmp_path: Path) -> None:
    first = call("CA1", **party({"direction": "outbound-api", "from_": COMPANY, "to": MOBILE}))
    dialled = call("CA2", "CA1", **party({"from_": COMPANY, "to": OTHER}))

    (found,) = told(tmp_path, dialled, first)

    assert (found["token"], found["direction"], found["representative_id"]) == (token(OTHER), "outbound", "bo")


def test_a_customer_who_is_rung_by_a_program_is_put_through_to_a_client(tmp_path: Path) -> None:
    first = call("CA1", **party({"direction": "outbound-api", "from_": COMPANY, "to": OTHER}))
    dialled = call("CA2", "CA1", **party({"from_": OTHER, "to": "client:alice"}))

    (found,) = told(tmp_path, first, dialled)

    assert (found["token"], found["direction"], found["representative_id"]) == (token(OTHER), "outbound", "alice")


@pytest.mark.parametrize(
    ("fields", "attempt"),
    [
        ({}, "talk"),
        ({"answered_by": "human"}, "talk"),
        ({"answered_by": "machine_end_beep"}, "no_human"),
        ({"answered_by": "fax"}, "no_human"),
        ({"duration": "0"}, "unanswered"),
        ({"duration": None}, "unanswered"),
        ({"status": "busy"}, "unanswered"),
        ({"status": "no-answer"}, "unanswered"),
        ({"status": "canceled", "start_time": None, "date_created": "Tue, 05 Mar 2024 09:00:00 +0000"}, "unanswered"),
        ({"status": "failed"}, "unanswered"),
    ],
)
def test_what_became_of_a_leg(tmp_path: Path, fields: dict[str, Any], attempt: str) -> None:
    (found,) = rows(batches(written(tmp_path, [call("CA1", **fields)])))

    assert found["attempt"] == attempt
    assert found["started_at"] == datetime(2024, 3, 5, 9)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "in-progress"}, "status: the call had not ended"),
        ({"status": "gone"}, "status: expected one of completed"),
        ({"sid": "PN1"}, "sid: expected an id"),
        ({"direction": "sideways"}, "direction: expected one of inbound"),
        ({"status": {"completed": 1}}, "status: expected one of completed"),
        ({"direction": ["inbound"]}, "direction: expected one of inbound"),
        ({"sid": ["CA1"], "parent_call_sid": []}, "sid: expected an id"),
        ({"start_time": "yesterday"}, "start_time: no date and time"),
        ({"start_time": None}, "start_time: missing"),
        ({"duration": "long"}, "duration: expected seconds"),
        ({"end_time": "Tue, 05 Mar 2024 08:00:00 +0000"}, "ended_at is before started_at"),
    ],
)
def test_a_record_that_cannot_be_used_is_a_dead_letter_without_its_parties(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    read = batches(written(tmp_path, [{**call("CA1"), **fields}, call("CA9")]))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit, letter.is_raw_event) == (1, "record", True)
    assert CUSTOMER[3:] not in letter.raw_text
    assert len(rows(read)) == 1
    assert sum(batch.record_count for batch in read) == 2


@pytest.mark.parametrize(
    ("fields", "channel", "sender"),
    [
        ({}, "sms", CUSTOMER),
        ({"from_": f"whatsapp:{CUSTOMER}", "to": f"whatsapp:{COMPANY}"}, "chat", CUSTOMER),
        ({"from_": f"rcs:{CUSTOMER}"}, "sms", CUSTOMER),
    ],
)
def test_a_message_is_of_the_network_that_its_parties_name(
    tmp_path: Path, fields: dict[str, Any], channel: str, sender: str
) -> None:
    path = tmp_path / "message.json"
    path.write_bytes(orjson.dumps({**MESSAGE, **party(fields)}))

    (found,) = rows(batches(path))

    assert (found["channel"], found["direction"], found["from_token"]) == (channel, "inbound", token(sender))
    assert found["event_id"] == "SM1"


def test_a_programs_answer_is_automated_and_what_was_not_sent_is_a_dead_letter(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    reply = {**MESSAGE, "direction": "outbound-reply", "status": "delivered"}
    path.write_bytes(b"\n".join(orjson.dumps(each) for each in (reply, {**MESSAGE, "status": "scheduled"})))

    (batch,) = batches(path)

    assert [row["automated"] for row in rows([batch])] == [True]
    assert [(letter.position, letter.unit) for letter in batch.dead_letters] == [(2, "line")]
    assert "secret" not in batch.dead_letters[0].raw_text


def test_a_broken_line_shows_nothing_of_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(orjson.dumps(MESSAGE) + b"\n" + orjson.dumps({**MESSAGE, "body": "secret"})[:-1] + b"\n")

    (batch,) = batches(path)

    (letter,) = batch.dead_letters
    assert (letter.position, letter.reason) == (2, "no valid JSON; expected one object a line")
    assert "secret" not in letter.raw_text
    assert CUSTOMER[3:] not in letter.raw_text


def table(path: Path, rows: Sequence[Mapping[str, str]], delimiter: str = ",") -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


ROW = {
    "id": "CA1", "direction": "inbound", "from": CUSTOMER[1:], "to": COMPANY[1:], "status": "completed",
    "start_time": "2024-03-05 09:00:00.000000 UTC", "end_time": "2024-03-05 09:02:00.000000 UTC", "duration": "120",
    "parent_call_id": "",
}  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_warehouse_table_gives_what_the_api_does(tmp_path: Path, delimiter: str) -> None:
    path = table(tmp_path / "calls.csv", [ROW | {"trunk_id": "", "queue_time": "0"}], delimiter)
    assert recognise(Sample(path, head(path))).source is SOURCE

    (from_table,) = rows(batches(path))
    (from_api,) = rows(batches(written(tmp_path, [call("CA1")])))

    assert {**from_table, "raw_id": ""} == {**from_api, "raw_id": ""}


def test_columns_with_other_names_are_mapped(tmp_path: Path) -> None:
    row = {("Caller" if name == "from" else name): value for name, value in ROW.items()}
    path = table(tmp_path / "calls.csv", [row])

    (found,) = rows(batches(path, {"from": "Caller"}))
    assert found["from_token"] == token(CUSTOMER)
    with pytest.raises(ConfigurationError, match="the mapping is for 'form', which is no field; did you mean 'from'"):
        batches(path, {"form": "Caller"})


def test_a_table_without_a_column_that_is_needed_is_refused_with_the_remedy(tmp_path: Path) -> None:
    row = {name: value for name, value in ROW.items() if name != "status"}
    path = table(tmp_path / "calls.csv", [row])
    words = tmp_path / "words.csv"
    words.write_text("hello\n")

    with pytest.raises(
        ConfigurationError, match=r"calls\.csv: no column 'status'; .* mapping = \{ status = \"Column\" \}"
    ):
        batches(path)
    with pytest.raises(ConfigurationError, match="no column 'State'"):
        batches(path, {"status": "State"})
    with pytest.raises(ConfigurationError, match="no column 'sid' or 'id'"):
        batches(words)


def test_a_table_of_own_numbers_gives_nothing_and_says_where_they_belong(tmp_path: Path) -> None:
    row = {"id": "PN1", "friendly_name": "Sales", "phone_number": COMPANY, "capabilities_voice": "true"}
    path = table(tmp_path / "numbers.csv", [row])

    (batch,) = batches(path)

    assert recognise(Sample(path, head(path))).source is SOURCE
    assert batch.record_count == 0
    assert "list your own numbers in the directory" in batch.warnings[0]


@pytest.mark.parametrize(
    "records",
    [
        [{**MESSAGE}],
        [call("CA1"), call("CA2")],
    ],
)
@pytest.mark.parametrize("as_lines", [True, False])
def test_resources_are_recognised_by_their_ids(tmp_path: Path, records: list[dict[str, Any]], as_lines: bool) -> None:
    path = tmp_path / "export"
    path.write_bytes(b"\n".join(map(orjson.dumps, records)) if as_lines else orjson.dumps(records))

    assert recognise(Sample(path, head(path))).source is SOURCE


def test_an_empty_page_is_recognised_and_gives_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, [])

    assert recognise(Sample(path, head(path))).source is SOURCE
    assert rows(batches(path)) == []


def test_what_stands_before_the_break_of_a_document_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, [call("CA1"), call("CA2")])
    path.write_bytes(path.read_bytes()[:-200])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert [row["event_id"] for row in rows(found)] == ["CA1"]


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    whole = written(tmp_path, [call("CA1"), call("CA2", "CA1", to="client:alice")]).read_bytes()
    path = tmp_path / "damaged.json"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
