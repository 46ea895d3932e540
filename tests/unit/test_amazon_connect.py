"""Amazon Connect: which version of a contact counts, which contacts are one, and when an agent talked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources import amazon_connect
from pipeline.sources.amazon_connect import SOURCE
from pipeline.sources.registry import Batch, family
from tests import parsing
from tests.parsing import address, letters, phone, rows
from tests.records import person, shared

MAIJA, COMPANY = "+358401234567", "+358942450000"
DIRECTORY = (
    person("alice"), person("bo", email_token=address("bo@acme.example")), shared("Support", extension="Support FI"),
)  # fmt: skip


def day(clock: str) -> str:
    return f"2024-03-05T{clock}Z"


def agent(username: str = "alice", connected: str = "09:02:00", after: str = "09:10:00", talk: int | None = 400) -> Any:
    return {
        "Username": username, "ARN": "arn:aws:connect:eu-west-1:1:instance/i/agent/a", "AgentInteractionDuration": talk,
        "ConnectedToAgentTimestamp": day(connected), "AfterContactWorkStartTimestamp": day(after),
        "CustomerHoldDuration": 80,
    }  # fmt: skip


QUEUE = {"Name": "Support FI", "EnqueueTimestamp": day("09:01:00"), "DequeueTimestamp": day("09:02:00"), "Duration": 60}


def contact(contact_id: str = "c1", **fields: Any) -> dict[str, Any]:
    """Return a record of a call that came in and was taken, unless it says otherwise."""
    return {
        "AWSAccountId": "1", "AWSContactTraceRecordFormatVersion": "2017-03-10", "Agent": agent(), "Channel": "VOICE",
        "AnsweringMachineDetectionStatus": None, "Attributes": {"name": "Maija"}, "ContactId": contact_id,
        "ConnectedToSystemTimestamp": day("09:00:00"), "DisconnectReason": "CUSTOMER_DISCONNECT",
        "CustomerEndpoint": {"Address": MAIJA, "Type": "TELEPHONE_NUMBER"}, "DisconnectTimestamp": day("09:10:00"),
        "InitialContactId": None, "InitiationMethod": "INBOUND", "InitiationTimestamp": day("09:00:00"),
        "LastUpdateTimestamp": day("09:11:00"), "Queue": QUEUE,
        "SystemEndpoint": {"Address": COMPANY, "Type": "TELEPHONE_NUMBER"}, **fields,
    }  # fmt: skip


def written(folder: Path, *records: Mapping[str, Any], name: str = "contacts.jsonl", between: bytes = b"\n") -> Path:
    path = folder / name
    path.write_bytes(between.join(map(orjson.dumps, records)) + b"\n")
    return path


def read(folder: Path, *records: Mapping[str, Any]) -> list[Batch]:
    return parsing.batches(SOURCE, written(folder, *records))


def observed(folder: Path, *records: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = read(folder, *records)
    assert letters(found) == []
    return rows(found)


def told(folder: Path, *records: Mapping[str, Any]) -> list[dict[str, Any]]:
    return parsing.interactions(read(folder, *records), DIRECTORY)


def warnings(found: list[Batch]) -> list[str]:
    return [warning for batch in found for warning in batch.warnings]


def test_a_call_has_its_agent_its_queue_and_the_agents_own_time_as_talk(tmp_path: Path) -> None:
    (leg,) = observed(tmp_path, contact())

    assert (leg["line"], leg["direction"], leg["attempt"]) == ("contact_center", "inbound", "talk")
    assert (leg["from_token"], leg["to_token"], leg["to_endpoint"]) == (phone(MAIJA), phone(COMPANY), "alice")
    assert (leg["via_endpoint"], leg["talk_seconds"]) == ("Support FI", 400)
    assert (leg["session_id"], leg["event_id"]) == ("c1", "c1")
    assert (leg["started_at"], leg["ended_at"]) == (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 9, 10))


def test_versions_of_a_contact_are_one_interaction_and_the_one_updated_last_counts(tmp_path: Path) -> None:
    first = contact(Agent=agent(talk=300))
    second = contact(LastUpdateTimestamp="2024-03-11T03:41:32Z")
    third = contact(LastUpdateTimestamp="2024-03-10T04:09:47Z", Agent=agent(talk=200))

    found = read(tmp_path, first, second, third, contact("c2"))

    assert [(row["event_id"], row["talk_seconds"]) for row in rows(found)] == [("c1", 400), ("c2", 400)]
    assert len(parsing.interactions(found, DIRECTORY)) == 2
    assert warnings(found) == ["contacts.jsonl: 2 earlier versions of its contacts were passed over"]
    assert sum(batch.record_count for batch in found) == 2


def test_of_versions_updated_at_once_the_last_in_the_file_counts(tmp_path: Path) -> None:
    (row,) = observed(tmp_path, contact(Agent=agent(talk=300)), contact())

    assert row["talk_seconds"] == 400


def test_versions_beyond_the_ceiling_are_still_one_interaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amazon_connect, "MOST_CONTACTS", 1)
    later = contact("c2", LastUpdateTimestamp=day("09:12:00"), Agent=agent(talk=300))

    found = read(tmp_path, contact(), contact("c2"), later)

    assert len(rows(found)) == 3
    assert len(parsing.interactions(found, DIRECTORY)) == 2


def test_a_transfer_is_one_interaction_with_all_agents_who_took_part(tmp_path: Path) -> None:
    second = contact(
        "c2", InitialContactId="c1", InitiationMethod="TRANSFER", InitiationTimestamp=day("09:05:00"),
        Agent=agent("bo@acme.example", "09:06:00", talk=500),
    )  # fmt: skip

    (row,) = told(tmp_path, second, contact(DisconnectTimestamp=day("09:06:00")))

    assert (row["token"], row["direction"], row["representative_id"]) == (phone(MAIJA), "inbound", "bo")
    assert (row["participants"], row["talk_seconds"]) == (["bo", "alice"], 900)


def test_a_transferred_contact_of_a_withheld_caller_is_used_too(tmp_path: Path) -> None:
    anonymous = {"Address": "anonymous", "Type": "TELEPHONE_NUMBER"}
    by_address = {"InitiationMethod": "QUEUE_TRANSFER", "Agent": agent("bo@acme.example")}

    (row,) = told(tmp_path, contact(CustomerEndpoint=anonymous, **by_address))

    assert (row["token"], row["representative_id"]) == (None, "bo")


def test_an_agents_leg_ends_when_the_work_after_it_begins(tmp_path: Path) -> None:
    went_on_outside = {"DisconnectTimestamp": day("09:40:00"), "TransferCompletedTimestamp": day("09:08:00")}

    (leg,) = observed(tmp_path, contact(Agent=agent(after="09:08:00", talk=None), **went_on_outside))

    assert leg["ended_at"] == datetime(2024, 3, 5, 9, 8)
    assert leg["talk_seconds"] == 6 * 60


OUT = {"InitiationMethod": "OUTBOUND", "Queue": None}


@pytest.mark.parametrize(
    ("fields", "attempt", "direction"),
    [
        ({}, "talk", "inbound"),
        ({"Agent": None}, "unanswered", "inbound"),
        ({"Agent": None, "Queue": None}, "no_human", "inbound"),
        ({"Agent": {"Username": "alice"}}, "unanswered", "inbound"),
        ({"Agent": agent(talk=0)}, "unanswered", "inbound"),
        ({"InitiationMethod": "WEBRTC_API"}, "talk", "inbound"),
        (OUT, "talk", "outbound"),
        ({**OUT, "ConnectedToSystemTimestamp": None}, "unanswered", "outbound"),
        ({**OUT, "Agent": None}, "unanswered", "outbound"),
        ({**OUT, "AnsweringMachineDetectionStatus": "HUMAN_ANSWERED"}, "talk", "outbound"),
        ({**OUT, "AnsweringMachineDetectionStatus": "VOICEMAIL_BEEP"}, "no_human", "outbound"),
        ({**OUT, "AnsweringMachineDetectionStatus": "SIT_TONE_BUSY"}, "unanswered", "outbound"),
        ({"InitiationMethod": "CALLBACK"}, "talk", "outbound"),
        ({"InitiationMethod": "API"}, "talk", "outbound"),
        ({"InitiationMethod": "DISCONNECT", "InitialContactId": "c0", "Agent": None, "Queue": None}, "no_human", None),
        ({"InitiationMethod": "TRANSFER", "InitialContactId": "c0"}, "talk", None),
    ],
)
def test_what_became_of_a_call_and_which_way_it_went(
    tmp_path: Path, fields: dict[str, Any], attempt: str, direction: str | None
) -> None:
    (leg,) = observed(tmp_path, contact(**fields))

    theirs, ours = ("to", "from") if direction == "outbound" else ("from", "to")
    assert (leg["attempt"], leg["direction"]) == (attempt, direction)
    assert (leg[f"{theirs}_token"], leg[f"{ours}_token"]) == (phone(MAIJA), phone(COMPANY))


def test_supervisors_third_parties_and_tasks_tell_of_no_contact_of_a_customer(tmp_path: Path) -> None:
    listening, calling_out = contact(InitiationMethod="MONITOR"), contact("c2", InitiationMethod="EXTERNAL_OUTBOUND")

    assert observed(tmp_path, listening, calling_out, contact("c3", Channel="TASK")) == []


# Chats and emails


def chat(contact_id: str = "c1", **fields: Any) -> dict[str, Any]:
    return contact(contact_id, **{"Channel": "CHAT", "InitiationMethod": "API", **fields})


def test_a_chat_that_began_through_the_api_came_in_and_is_one_interaction_with_its_transfers(tmp_path: Path) -> None:
    second = chat("c2", InitialContactId="c1", InitiationMethod="TRANSFER", Agent=agent("bo@acme.example"))

    (row,) = told(tmp_path, chat(), second)

    assert (row["channel"], row["direction"], row["token"]) == ("chat", "inbound", phone(MAIJA))
    assert row["participants"] == ["alice", "bo"]
    assert (row["started_at"], row["ended_at"]) == (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 9, 10))


def test_a_chat_that_reached_no_agent_is_no_interaction_unless_a_later_contact_of_it_did(tmp_path: Path) -> None:
    alone = read(
        tmp_path, chat(Agent=None), chat("c2", InitialContactId="c1", InitiationMethod="DISCONNECT", Agent=None)
    )
    later = chat("c2", InitialContactId="c1", InitiationMethod="DISCONNECT")
    served = read(tmp_path, chat(Agent=None), later)

    assert [row["automated"] for row in rows(alone)] == [True]
    assert parsing.interactions(alone, DIRECTORY) == []
    assert [row["representative_id"] for row in parsing.interactions(served, DIRECTORY)] == ["alice"]


@pytest.mark.parametrize(("subtype", "channel"), [("connect:SMS", "sms"), ("connect:WhatsApp", "chat"), (None, "chat")])
def test_a_chat_is_of_the_network_that_it_came_over(tmp_path: Path, subtype: str | None, channel: str) -> None:
    over = {"connect:Subtype": {"ValueString": subtype}}

    (row,) = told(tmp_path, chat(SegmentAttributes=over, InitiationMethod="OUTBOUND"))

    assert (row["channel"], row["direction"], row["token"]) == (channel, "outbound", phone(MAIJA))


def test_emails_go_between_the_customer_and_the_company_and_transfers_of_them_are_none(tmp_path: Path) -> None:
    ends: dict[str, Any] = {
        "Channel": "EMAIL",
        "CustomerEndpoint": {"Address": "maija@customer.example", "Type": "EMAIL_ADDRESS"},
        "SystemEndpoint": {"Address": "support@acme.example", "Type": "EMAIL_ADDRESS"},
    }
    reply = contact("c2", **ends, InitiationMethod="AGENT_REPLY")

    came, went = observed(tmp_path, contact(**ends), reply, contact("c3", **ends, InitiationMethod="TRANSFER"))

    theirs, ours = address("maija@customer.example"), address("support@acme.example")
    assert (came["channel"], came["from_token"], came["parties"][0]["token"]) == ("email", theirs, ours)
    assert (went["from_token"], went["parties"][0]["token"]) == (ours, theirs)


# Forms


def test_records_are_recognised_one_a_line_one_after_the_other_and_in_a_list(tmp_path: Path) -> None:
    both = (contact(), contact("c2"))
    listed = tmp_path / "listed.json"
    listed.write_bytes(orjson.dumps(both))
    paths = [written(tmp_path, *both), written(tmp_path, *both, name="firehose", between=b""), listed]

    assert {parsing.recognised(path) for path in paths} == {family(SOURCE)} == {"amazon_connect"}
    assert {len(rows(parsing.batches(SOURCE, path))) for path in paths} == {2}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"ContactId": None}, "ContactId: missing"),
        ({"Channel": "FAX"}, "Channel: expected one of VOICE, CHAT, TASK, EMAIL"),
        ({"InitiationMethod": ["INBOUND"]}, "InitiationMethod: expected one of INBOUND"),
        ({"DisconnectTimestamp": None}, "DisconnectTimestamp: missing; the call had not ended"),
        ({"InitiationTimestamp": None}, "InitiationTimestamp: missing"),
        ({"Agent": {"ConnectedToAgentTimestamp": "x"}}, "ConnectedToAgentTimestamp: no date"),
        ({"DisconnectTimestamp": "2024-03-04T09:00:00Z"}, "ended_at is before started_at"),
    ],
)
def test_a_record_that_cannot_be_used_is_a_dead_letter_without_its_people(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    found = read(tmp_path, contact(**fields), contact("c2"))

    (letter,) = letters(found)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit, letter.is_raw_event) == (1, "line", True)
    assert MAIJA[3:] not in letter.raw_text
    assert "Maija" not in letter.raw_text
    assert len(rows(found)) == 1


def test_there_is_nothing_to_map(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="have nothing to map; leave it out"):
        parsing.batches(SOURCE, written(tmp_path, contact()), {"ContactId": "id"})


def test_what_stands_before_the_break_of_a_document_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, contact(), contact("c2"), name="firehose", between=b"")
    path.write_bytes(path.read_bytes()[:-200])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert [row["event_id"] for row in rows(found)] == ["c1"]


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data(), between=st.sampled_from([b"\n", b""]))
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject, between: bytes) -> None:
    path = written(tmp_path, contact(), contact(), chat("c2"), between=between)
    path.write_bytes(parsing.damaged(path.read_bytes(), data))

    parsing.assert_survives(SOURCE, path)
