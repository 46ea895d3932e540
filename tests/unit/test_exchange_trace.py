"""Message traces of Exchange Online: who wrote, and to whom it was delivered."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.exchange_trace import SOURCE
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import address, letters, rows
from tests.records import person

OURS = ("acme.example",)
CUSTOMER, OTHER, ALICE, BO = (
    "maija@customer.example", "pekka@partner.example", "alice@acme.example", "bo@acme.example",
)  # fmt: skip
PEOPLE = (person("alice", email_token=address(ALICE)), person("bo", email_token=address(BO)))
SYSTEM = "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@acme.example"
SUMMARY = {
    "origin_timestamp_utc": "2024-03-05T07:00:00.1230000Z", "sender_address": CUSTOMER,
    "recipient_status": f"{ALICE}##Receive, Deliver", "message_subject": "Tarjous", "total_bytes": "7631",
    "message_id": "<1@mail.customer.example>", "network_message_id": "13fad5b7-39c5-46e7-130e-08d4a138ac67",
    "original_client_ip": "192.0.2.7", "directionality": "1", "connector_id": "", "delivery_priority": "Normal",
}  # fmt: skip
CMDLET = {
    "PSComputerName": "outlook.office365.com", "RunspaceId": "a25d2445", "PSShowComputerName": "False",
    "Organization": "acme.onmicrosoft.com", "MessageId": "<1@mail.customer.example>",
    "Received": "2024-03-05 07:00:00", "SenderAddress": CUSTOMER, "RecipientAddress": ALICE, "Subject": "Tarjous",
    "Status": "Delivered", "ToIP": "", "FromIP": "192.0.2.7", "Size": "7631", "MessageTraceId": "13fad5b7",
    "StartDate": "3/1/2024 12:00:00 AM", "EndDate": "3/9/2024 12:00:00 AM", "Index": "0",
}  # fmt: skip
RESOURCE = {
    "id": "13fad5b7", "senderAddress": CUSTOMER, "recipientAddress": ALICE, "messageId": "<1@mail.customer.example>",
    "receivedDateTime": "2024-03-05T07:00:00Z", "subject": "Tarjous", "status": "delivered", "fromIP": "192.0.2.7",
    "toIP": None, "size": 7631,
}  # fmt: skip


def table(
    folder: Path, *told: Mapping[str, str], encoding: str = "utf-8", delimiter: str = ",", before: str = ""
) -> Path:
    path = folder / "trace.csv"
    with path.open("w", encoding=encoding, newline="") as stream:
        stream.write(before)
        writer = csv.DictWriter(stream, list(told[0]), delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(told)
    return path


def listed(folder: Path, *told: Mapping[str, Any]) -> Path:
    path = folder / "trace.json"
    path.write_bytes(orjson.dumps({"value": told}))
    return path


def batches(path: Path, mapping: Mapping[str, str] | None = None, **options: Any) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping, options)


def warnings(read: Sequence[Batch]) -> list[str]:
    return [warning for batch in read for warning in batch.warnings]


def test_the_time_of_the_summary_has_the_name_that_the_documentation_gives_it_too(tmp_path: Path) -> None:
    row = {name.removesuffix("_utc"): held for name, held in SUMMARY.items()}
    path = table(tmp_path, row)

    assert parsing.recognised(path) == "exchange_trace"
    assert len(rows(batches(path))) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_row_of_the_summary_gives_parties_time_and_keys(tmp_path: Path, encoding: str) -> None:
    path = table(tmp_path, SUMMARY, encoding=encoding)

    assert parsing.recognised(path) == "exchange_trace"
    (found,) = rows(batches(path))
    assert (found["raw_id"], found["event_id"]) == ("tried:trace.csv:2", "1@mail.customer.example")
    assert found["key"] == "m:1@mail.customer.example"
    assert found["started_at"] == datetime(2024, 3, 5, 7, 0, 0, 123_000)
    assert found["from_token"] == address(CUSTOMER)
    assert [(each["role"], each["token"]) for each in found["parties"]] == [("to", address(ALICE))]
    assert (found["automated"], found["bulk"]) == (False, False)


def test_the_cmdlet_and_the_api_give_what_the_summary_does(tmp_path: Path) -> None:
    forms = [
        table(tmp_path, {**SUMMARY, "origin_timestamp_utc": "2024-03-05T07:00:00Z"}).rename(tmp_path / "summary.csv"),
        table(tmp_path, CMDLET).rename(tmp_path / "cmdlet.csv"),
        table(tmp_path, CMDLET, before="#TYPE Deserialized.MessageTrace\r\n").rename(tmp_path / "typed.csv"),
        table(tmp_path, CMDLET, delimiter=";").rename(tmp_path / "semicolons.csv"),
        listed(tmp_path, RESOURCE),
    ]
    facts = []
    for path in forms:
        assert parsing.recognised(path) == "exchange_trace", path.name
        facts += [{**each, "raw_id": ""} for each in rows(batches(path))]

    assert len(facts) == 5
    assert all(each == facts[0] for each in facts)


def test_of_several_recipients_those_count_whom_it_reached(tmp_path: Path) -> None:
    course = (
        f"list@acme.example##Receive, Expand;{CUSTOMER}##Receive, Send; {OTHER}##Receive, Defer, SendExternal;"
        f"gone@customer.example##Receive, Fail;late@customer.example##Receive, Send, Fail;{BO}##Receive, Deliver;"
    )
    path = table(tmp_path, {**SUMMARY, "sender_address": ALICE, "recipient_status": course})

    (found,) = rows(batches(path))
    interactions = parsing.interactions(batches(path), PEOPLE, OURS)

    assert [each["token"] for each in found["parties"]] == [address(CUSTOMER), address(OTHER), address(BO)]
    assert {each["token"] for each in interactions} == {address(CUSTOMER), address(OTHER)}
    assert {(each["direction"], each["representative_id"]) for each in interactions} == {("outbound", "alice")}


@pytest.mark.parametrize(
    "row",
    [
        {**CMDLET, "Status": status}
        for status in ("Expanded", "Failed", "Pending", "Quarantined", "FilteredAsSpam", "GettingStatus", "None")
    ]
    + [
        {**SUMMARY, "recipient_status": course}
        for course in (f"{ALICE}##Receive, Fail", ALICE, "##Receive, Deliver", " ; ")
    ],
)
def test_a_message_that_reached_nobody_is_passed_over(tmp_path: Path, row: dict[str, str]) -> None:
    read = batches(table(tmp_path, row))

    assert (rows(read), letters(read)) == ([], [])
    assert warnings(read) == ["trace.csv: 1 of its records tell of no conversation and were passed over"]


@pytest.mark.parametrize(
    ("sender", "token", "automated"),
    [(CUSTOMER, address(CUSTOMER), False), ("<>", None, True), (SYSTEM, address(SYSTEM), True)],
)
def test_nobody_and_exchange_itself_are_machines(
    tmp_path: Path, sender: str, token: str | None, automated: bool
) -> None:
    (found,) = rows(batches(table(tmp_path, {**SUMMARY, "sender_address": sender})))

    assert (found["from_token"], found["automated"]) == (token, automated)


def test_a_trace_and_the_mailboxes_meet_in_one_interaction(tmp_path: Path) -> None:
    path = table(tmp_path, CMDLET, {**CMDLET, "RecipientAddress": BO, "Index": "1"})

    (found,) = parsing.interactions(batches(path), PEOPLE, OURS)

    assert (found["direction"], found["token"], found["participants"]) == (
        "inbound",
        address(CUSTOMER),
        ["alice", "bo"],
    )


def test_dates_in_the_words_of_a_country_need_the_administrators_help(tmp_path: Path) -> None:
    path = table(tmp_path, {**CMDLET, "Received": "5/3/2024 7.00.00"})

    (letter,) = letters(batches(path))
    assert letter.reason.startswith("received: a date that could be two: set options.date_format")
    (found,) = rows(batches(path, date_format="%d/%m/%Y %H.%M.%S"))
    assert found["started_at"] == datetime(2024, 3, 5, 7)


TOMORROW = parsing.READ_AT + timedelta(days=1, seconds=1)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"receivedDateTime": "yesterday"}, "received: expected a date and time such as"),
        ({"receivedDateTime": None}, "received: missing"),
        ({"receivedDateTime": ["2024"]}, "received: missing"),
        ({"receivedDateTime": 7}, "received: missing, or no text"),
        ({"receivedDateTime": " "}, "received: missing, or no text"),
        ({"receivedDateTime": "2024-03-05"}, "received: a date without a time of day"),
        ({"receivedDateTime": TOMORROW.isoformat()}, "dated in the future"),
        ({"senderAddress": "Maija"}, "sender_address: expected an address, or <>"),
        ({"senderAddress": None}, "sender_address: expected an address, or <>"),
        ({"recipientAddress": None}, "recipient_address and status, or recipient_status: missing"),
        ({"status": {"a": 1}}, "recipient_address and status, or recipient_status: missing"),
        ({"messageId": 7}, "message_id: found a number"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_dead_letter_that_tells_nobody(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    read = batches(listed(tmp_path, {**RESOURCE, **fields}, {**RESOURCE, "messageId": "<2@x.example>"}))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.raw_id, letter.unit, letter.is_raw_event) == ("tried:trace.json:1", "record", True)
    for private in ("maija", "Maija", "customer.example", "Tarjous", "alice"):
        assert private not in letter.raw_text + letter.reason
    assert [each["event_id"] for each in rows(read)] == ["2@x.example"]
    assert sum(batch.record_count for batch in read) == 2


def test_the_subject_tells_copies_without_its_reply_prefixes(tmp_path: Path) -> None:
    subjects = ("Tarjous", "VS: Tarjous", "Kutsu")

    found = rows(batches(listed(tmp_path, *({**RESOURCE, "subject": subject} for subject in subjects))))

    assert found[0]["other_keys"] == found[1]["other_keys"] != found[2]["other_keys"]


def test_a_long_subject_costs_no_message(tmp_path: Path) -> None:
    assert len(rows(batches(listed(tmp_path, {**RESOURCE, "subject": "x" * 5_000})))) == 1


def test_columns_with_other_names_are_mapped_and_lacking_ones_refused(tmp_path: Path) -> None:
    row = {("Who" if name == "SenderAddress" else name): held for name, held in CMDLET.items()}
    path = table(tmp_path, row)

    (found,) = rows(batches(path, {"sender_address": "Who"}))
    assert found["from_token"] == address(CUSTOMER)
    with pytest.raises(ConfigurationError, match="no column 'sender_address'"):
        batches(path)
    without_status = {name: held for name, held in CMDLET.items() if name != "Status"}
    with pytest.raises(ConfigurationError, match="no column 'status'"):
        batches(table(tmp_path, without_status))


def test_an_option_that_means_nothing_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown option 'year'; known are mailbox, folders_left_out, date_f"):
        batches(listed(tmp_path, RESOURCE), year=2024)
    assert len(rows(batches(listed(tmp_path, RESOURCE), mailbox=ALICE))) == 1  # of mailboxes in the same source


@pytest.mark.parametrize(
    "text",
    [
        "Received,SenderAddress,Subject\n",
        "received,senderaddress,recipientaddress,subject,status\n",
        '{"value": [{"messageId": "1", "senderAddress": "a", "receivedDateTime": "2024"}]}',
        '{"value": []}',
        "hello\n",
    ],
)
def test_other_tables_are_left_to_others(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other"

    assert SOURCE.recognise(Sample(path, text.encode())) is None


def test_what_stands_before_the_break_of_a_list_is_kept(tmp_path: Path) -> None:
    path = listed(tmp_path, RESOURCE, RESOURCE)
    path.write_bytes(path.read_bytes()[:-20])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert len(rows(found)) == 1


@pytest.mark.parametrize("form", ["summary", "cmdlet", "resource"])
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, form: str, data: st.DataObject) -> None:
    if form == "resource":
        whole = listed(tmp_path, RESOURCE, {**RESOURCE, "status": "failed"}).read_bytes()
    else:
        whole = table(tmp_path, *([SUMMARY] * 2 if form == "summary" else [CMDLET] * 2)).read_bytes()
    path = tmp_path / "damaged"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
