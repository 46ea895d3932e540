"""Calls of Microsoft Teams: rows of the two logs, and call records put together from their sessions."""

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
from pipeline.sources.registry import Batch, Sample
from pipeline.sources.teams import SOURCE
from tests import parsing
from tests.parsing import address, letters, rows
from tests.parsing import phone as token
from tests.records import person

CUSTOMER, OTHER, COMPANY = "+358401234567", "+358407654321", "+358942450000"
OURS, THEIRS = "dc368399-474c-4d40-900c-6265431fd81f", "0c0a2a11-0001-4d40-900c-6265431fd81f"
DIRECTORY = (
    person("alice", email_token=address("alice@acme.example")),
    person("bo", name="Bo Berg"),
)
PSTN_CONTEXT = "https://graph.microsoft.com/v1.0/$metadata#Collection(microsoft.graph.callRecords.pstnCallLogRow)"
ROW = {
    "id": "9c4984c7-6c3c-427d-a30c-bd0b2eacee90", "callId": "1835317186_112562680@61.221.3.176",
    "userId": "db03c14b-06eb-4189-939b-7cbf3a20ba27", "userPrincipalName": "alice@acme.example",
    "userDisplayName": "Alice Aalto", "startDateTime": "2024-03-05T09:00:10.2589935Z",
    "endDateTime": "2024-03-05T09:01:30.2589935Z", "duration": 80, "charge": 0.0, "callType": "user_in",
    "currency": "EUR", "calleeNumber": COMPANY, "callerNumber": CUSTOMER, "usageCountryCode": "FI",
    "conferenceId": None, "inventoryType": "Subscriber", "operator": "Microsoft",
}  # fmt: skip
ROUTED = {
    "id": "9e8bba57-dc14-533a-a7dd-f0da6575eed1", "correlationId": "c98e1515-a937-4b81-b8a8-3992afde64e0",
    "userId": "db03c14b-06eb-4189-939b-7cbf3a20ba27", "userPrincipalName": "alice@acme.example",
    "userDisplayName": "Alice Aalto", "inviteDateTime": "2024-03-05T09:00:00Z",
    "startDateTime": "2024-03-05T09:00:10.153Z", "failureDateTime": "0001-01-01T00:00:00Z",
    "endDateTime": "2024-03-05T09:01:30.153Z", "duration": 80, "callType": "ByotIn", "successfulCall": True,
    "callerNumber": CUSTOMER, "calleeNumber": COMPANY, "mediaPathLocation": "EUNO", "finalSipCode": 0,
    "callEndSubReason": 540000, "finalSipCodePhrase": "BYE", "trunkFullyQualifiedDomainName": "sbc.acme.example",
}  # fmt: skip
FAILED = {
    "successfulCall": False, "duration": 0, "startDateTime": "2024-03-05T09:00:00Z", "finalSipCode": 480,
    "endDateTime": "0001-01-01T00:00:00Z", "failureDateTime": "2024-03-05T09:00:30Z",
}  # fmt: skip


def user(name: str, tenant: str | None = OURS, **fields: str) -> dict[str, Any]:
    """Return the end of a session where a user sits, as newer records have it."""
    identity = {"id": f"id-{name}", "displayName": name, "tenantId": tenant, **fields}
    agent = {"@odata.type": "#microsoft.graph.callRecords.clientUserAgent", "platform": "windows"}
    return {"userAgent": agent, "associatedIdentity": {key: held for key, held in identity.items() if held}}


def telephone(number: str = CUSTOMER) -> dict[str, Any]:
    return {"associatedIdentity": {"@odata.type": "#microsoft.graph.communicationsPhoneIdentity", "id": number}}


def service(role: str = "skypeForBusinessAudioVideoMcu", **identity: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "@odata.type": "#microsoft.graph.callRecords.serviceEndpoint",
        "userAgent": {"@odata.type": "#microsoft.graph.callRecords.serviceUserAgent", "role": role},
    }
    return found | ({"associatedIdentity": identity} if identity else {})


VOICE_APPLICATION = {
    "associatedIdentity": {
        "@odata.type": "#microsoft.graph.communicationsApplicationInstanceIdentity",
        "id": "x",
        "displayName": "Main line",
        "tenantId": OURS,
    }
}
ALICE, BO = user("Alice Aalto", userPrincipalName="alice@acme.example"), user("Bo Berg")


def session(caller: Any, callee: Any, start: int = 0, end: int = 90, **fields: Any) -> dict[str, Any]:
    """Return a session of a call record, its start and end in seconds after nine o'clock."""
    times = [f"2024-03-05T09:{second // 60:02}:{second % 60:02}Z" for second in (start, end)]
    return {"caller": caller, "callee": callee, "startDateTime": times[0], "endDateTime": times[1], **fields}


def record(*sessions: Mapping[str, Any], organizer: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a call record; it is of ours when the organiser is one of our users."""
    end = organizer or telephone()
    return {
        "version": 1,
        "type": "groupCall" if len(sessions) > 1 else "peerToPeer",
        "modalities": ["audio"],
        "startDateTime": "2024-03-05T09:00:00Z",
        "endDateTime": "2024-03-05T09:30:00Z",
        "id": "e523d2ed-2966-4b6b-925b-754a88034cc5",
        "organizer_v2": {"id": "x", "identity": {"user": end["associatedIdentity"]} if organizer else {}},
        "sessions": list(sessions),
        **fields,
    }


def written(folder: Path, *records: Mapping[str, Any], form: str = "page") -> Path:
    path = folder / "calls.json"
    if form == "lines":
        path.write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in records))
    elif form == "list":
        path.write_bytes(orjson.dumps(records))
    elif form == "one":
        path.write_bytes(orjson.dumps(records[0], option=orjson.OPT_INDENT_2))
    else:
        path.write_bytes(orjson.dumps({"@odata.context": PSTN_CONTEXT, "@odata.count": 1000, "value": records}))
    return path


def table(path: Path, *records: Mapping[str, Any], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, records[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(records)
    return path


def batches(
    path: Path, mapping: Mapping[str, str] | None = None, options: Mapping[str, Any] | None = None
) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping, options)


def facts(folder: Path, *records: Mapping[str, Any], tenant: str | None = None) -> list[dict[str, Any]]:
    read = batches(written(folder, *records), options={"tenant": tenant} if tenant else {})
    assert letters(read) == []
    return rows(read)


def told(folder: Path, *records: Mapping[str, Any], tenant: str | None = None) -> list[dict[str, Any]]:
    options = {"tenant": tenant} if tenant else {}
    return parsing.interactions(batches(written(folder, *records), options=options), DIRECTORY)


# Rows of the logs.


def test_the_facts_of_a_row_of_the_telephone_networks_log(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, ROW)

    assert (found["channel"], found["line"], found["direction"]) == ("call", "pbx", "inbound")
    assert (found["from_token"], found["from_endpoint"]) == (token(CUSTOMER), None)
    assert (found["to_token"], found["to_endpoint"]) == (address("alice@acme.example"), "Alice Aalto")
    assert found["started_at"] == datetime(2024, 3, 5, 9, 0, 10, 258993)
    assert (found["attempt"], found["talk_seconds"]) == ("talk", 80)
    assert found["session_id"] == found["event_id"] == ROW["id"]


def test_the_facts_of_a_row_of_direct_routing(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, ROUTED)

    assert (found["direction"], found["from_token"]) == ("inbound", token(CUSTOMER))
    assert found["started_at"] == datetime(2024, 3, 5, 9)
    assert found["ended_at"] == datetime(2024, 3, 5, 9, 1, 30, 153000)
    assert found["answered_at"] == datetime(2024, 3, 5, 9, 0, 10, 153000)
    assert (found["attempt"], found["talk_seconds"]) == ("talk", 80)


@pytest.mark.parametrize("row", [ROW, ROUTED])
def test_a_representative_is_known_by_principal_name_or_by_name(tmp_path: Path, row: dict[str, Any]) -> None:
    (first,) = told(tmp_path, row)
    (second,) = told(tmp_path, row | {"userPrincipalName": None, "userDisplayName": "Bo Berg"})

    assert (first["representative_id"], second["representative_id"]) == ("alice", "bo")
    assert first["token"] == second["token"] == token(CUSTOMER)
    assert (first["direction"], first["talk_seconds"]) == ("inbound", 80)


@pytest.mark.parametrize(
    ("call_type", "direction", "attempt"),
    [
        ("user_in", "inbound", "talk"),
        ("user_out", "outbound", "talk"),
        ("user_out_conf", "outbound", "talk"),
        ("conf_in", "inbound", "talk"),
        ("conf_out", "outbound", "talk"),
        ("ucap_in", "inbound", "no_human"),
        ("ucap_out", "outbound", "no_human"),
        ("dr_in", "inbound", "talk"),
        ("dr_out", "outbound", "talk"),
        ("dr_out_user_conf", "outbound", "talk"),
        ("dr_in_ucap", "inbound", "no_human"),
        ("dr_emergency_out", "outbound", "talk"),
        ("ByotIn", "inbound", "talk"),
        ("ByotOut", "outbound", "talk"),
    ],
)
def test_what_a_type_of_call_means(tmp_path: Path, call_type: str, direction: str, attempt: str) -> None:
    numbers = {"callerNumber": COMPANY, "calleeNumber": CUSTOMER} if direction == "outbound" else {}

    (found,) = facts(tmp_path, ROW | {"callType": call_type} | numbers)

    assert (found["direction"], found["attempt"]) == (direction, attempt)
    ours, theirs = ("from", "to") if direction == "outbound" else ("to", "from")
    assert found[f"{theirs}_token"] == token(CUSTOMER)
    assert (found[f"{ours}_endpoint"], found[f"{theirs}_endpoint"]) == ("Alice Aalto", None)


@pytest.mark.parametrize("call_type", ["user_out_forwarding", "user_out_transfer", "dr_out_user_forwarding"])
def test_the_way_to_where_a_call_is_passed_on_is_no_talk_of_its_own(tmp_path: Path, call_type: str) -> None:
    (batch,) = batches(written(tmp_path, ROW, ROW | {"id": "2", "callType": call_type, "calleeNumber": OTHER}))

    assert [row["session_id"] for row in rows([batch])] == [ROW["id"]]
    assert batch.record_count == 1
    assert "1 of its records" in batch.warnings[0]


@pytest.mark.parametrize(
    ("fields", "attempt"),
    [
        (FAILED, "unanswered"),
        (FAILED | {"finalSipCode": 486}, "unanswered"),
        (FAILED | {"successfulCall": "False"}, "unanswered"),
        ({"successfulCall": False}, "unanswered"),
        ({"duration": 0}, "unanswered"),
        ({"duration": 0, "callType": "dr_in_ucap"}, "unanswered"),
        ({"successfulCall": "True"}, "talk"),
    ],
)
def test_a_call_that_was_not_set_up_is_no_talk(tmp_path: Path, fields: dict[str, Any], attempt: str) -> None:
    (found,) = facts(tmp_path, ROUTED | fields)

    assert found["attempt"] == attempt
    assert found["started_at"] == datetime(2024, 3, 5, 9)


def test_a_call_that_failed_ended_when_it_did(tmp_path: Path) -> None:
    (failed,) = facts(tmp_path, ROUTED | FAILED)
    (unsaid,) = facts(tmp_path, {name: value for name, value in (ROUTED | FAILED).items() if name != "successfulCall"})

    assert failed["ended_at"] == unsaid["ended_at"] == datetime(2024, 3, 5, 9, 0, 30)
    assert unsaid["attempt"] == "unanswered"


@pytest.mark.parametrize("shown", ["+3584012***", "anonymous", "", None])
def test_a_number_that_is_hidden_is_nobodys(tmp_path: Path, shown: str | None) -> None:
    (found,) = told(tmp_path, ROW | {"callerNumber": shown})

    assert (found["token"], found["direction"], found["representative_id"]) == (None, "inbound", "alice")


def test_a_row_of_direct_routing_without_an_id_is_known_by_its_correlation(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, ROUTED | {"id": None})

    assert found["session_id"] == ROUTED["correlationId"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"callType": "sideways"}, "callType: expected a type such as user_in"),
        ({"callType": None}, "callType: missing; expected a row of a call log"),
        ({"startDateTime": None}, "startDateTime: missing"),
        ({"startDateTime": "0001-01-01T00:00:00Z"}, "startDateTime: missing"),
        ({"startDateTime": "yesterday"}, "startDateTime: "),
        ({"endDateTime": "2024-03-05"}, "endDateTime: expected a date and time of day"),
        ({"duration": "long"}, "duration: expected seconds"),
        ({"id": None}, "id: missing"),
        ({"endDateTime": "2024-03-05T08:00:00Z"}, "ended_at is before started_at"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_dead_letter_without_its_parties(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    read = batches(written(tmp_path, ROW | fields, ROW | {"id": "2"}))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit) == (1, "record")
    assert CUSTOMER[3:] not in letter.raw_text + letter.reason
    assert len(rows(read)) == 1


@pytest.mark.parametrize("row", [ROW, ROUTED])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_table_of_rows_gives_what_the_api_does(tmp_path: Path, row: dict[str, Any], delimiter: str) -> None:
    path = table(tmp_path / "calls.csv", row, delimiter=delimiter)

    (from_table,) = rows(batches(path))
    (from_api,) = facts(tmp_path, row)

    assert parsing.recognised(path) == "teams"
    assert from_table | {"raw_id": ""} == from_api | {"raw_id": ""}


def test_columns_with_other_names_and_times_without_a_zone_are_read(tmp_path: Path) -> None:
    row = {
        "Call ID": "17", "Caller": CUSTOMER, "Callee": COMPANY, "Call type": "ByotIn",
        "Start time (UTC)": "2024-03-05 09:00:10",
        "End time (UTC)": "2024-03-05 09:01:30", "Duration": "80", "Display name": "Bo Berg",
    }  # fmt: skip
    mapping = {
        "id": "Call ID", "callerNumber": "Caller", "calleeNumber": "Callee", "callType": "Call type",
        "userDisplayName": "Display name",
        "startDateTime": "Start time (UTC)", "endDateTime": "End time (UTC)", "duration": "Duration",
    }  # fmt: skip
    path = table(tmp_path / "calls.csv", row)

    (found,) = rows(batches(path, mapping))

    assert (found["started_at"], found["ended_at"]) == (
        datetime(2024, 3, 5, 9, 0, 10),
        datetime(2024, 3, 5, 9, 1, 30),
    )
    assert (found["from_token"], found["to_endpoint"], found["talk_seconds"]) == (token(CUSTOMER), "Bo Berg", 80)
    with pytest.raises(ConfigurationError, match="no column 'callType' or 'calltype'"):
        batches(path)
    with pytest.raises(ConfigurationError, match="the mapping is for 'caller', which is no field"):
        batches(path, {"caller": "Caller"})


def test_numbers_that_stand_the_wrong_way_round_are_swapped_by_the_mapping(tmp_path: Path) -> None:
    path = written(tmp_path, ROW | {"callerNumber": COMPANY, "calleeNumber": CUSTOMER})

    (found,) = rows(batches(path, {"callerNumber": "calleeNumber", "calleeNumber": "callerNumber"}))

    assert found["from_token"] == token(CUSTOMER)


# Call records.


def test_a_call_from_the_telephone_network_to_a_user(tmp_path: Path) -> None:
    (found,) = told(tmp_path, record(session(telephone(), ALICE)))
    (leg,) = facts(tmp_path, record(session(telephone(), ALICE)))

    assert (found["token"], found["direction"]) == (token(CUSTOMER), "inbound")
    assert (found["representative_id"], found["talk_seconds"]) == ("alice", 90)
    assert (leg["started_at"], leg["ended_at"]) == (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 9, 1, 30))
    assert leg["session_id"] == "e523d2ed-2966-4b6b-925b-754a88034cc5"


def test_who_called_whom_is_told_by_the_session_not_by_the_organiser(tmp_path: Path) -> None:
    assert [leg["direction"] for leg in facts(tmp_path, record(session(telephone(), ALICE), organizer=ALICE))] == [
        "inbound"
    ]


def test_a_call_of_a_user_to_the_telephone_network(tmp_path: Path) -> None:
    (found,) = told(tmp_path, record(session(BO, telephone(OTHER)), organizer=BO))

    assert (found["token"], found["direction"]) == (token(OTHER), "outbound")
    assert (found["representative_id"], found["talk_seconds"]) == ("bo", 90)


def test_older_records_have_a_set_of_identities(tmp_path: Path) -> None:
    caller = {"identity": {"user": None, "phone": {"id": CUSTOMER}, "device": None}}
    alice = {"identity": {"user": {"id": "1", "displayName": "Bo Berg", "tenantId": OURS.upper()}}}
    old = record(session(caller, alice))
    del old["organizer_v2"]

    (inbound,) = told(tmp_path, old | {"organizer": {"phone": {"id": CUSTOMER}}})
    bridged = record(session(caller, service()), session(alice, service()))
    del bridged["organizer_v2"]
    (outbound,) = told(tmp_path, bridged | {"organizer": alice["identity"]})

    assert (inbound["token"], inbound["direction"], inbound["representative_id"]) == (token(CUSTOMER), "inbound", "bo")
    assert (outbound["direction"], outbound["representative_id"]) == ("outbound", "bo")


@pytest.mark.parametrize("second", [ALICE, user("Nobody Known"), VOICE_APPLICATION, service("voicemail")])
def test_a_call_between_users_is_internal_though_the_directory_lacks_one(
    tmp_path: Path, second: dict[str, Any]
) -> None:
    internal = record(session(BO, second), organizer=BO)

    (leg,) = facts(tmp_path, internal)

    assert (leg["direction"], leg["attempt"]) == ("internal", "talk")
    assert leg["from_endpoint"] == leg["to_endpoint"] == "Bo Berg"
    assert told(tmp_path, internal) == []


def test_the_id_of_a_tenant_is_the_same_in_any_case(tmp_path: Path) -> None:
    (leg,) = facts(tmp_path, record(session(ALICE, user("Bo Berg", OURS.upper())), organizer=ALICE))

    assert leg["direction"] == "internal"


def test_a_meeting_of_our_own_is_internal(tmp_path: Path) -> None:
    meeting = record(session(ALICE, service(), 0, 600), session(BO, service(), 60, 660), organizer=ALICE)

    (leg,) = facts(tmp_path, meeting)

    assert leg["direction"] == "internal"
    assert (leg["started_at"], leg["ended_at"]) == (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 9, 11))
    assert told(tmp_path, meeting) == []


def test_a_queue_passes_a_call_on_to_who_takes_it(tmp_path: Path) -> None:
    passed = record(
        session(
            telephone(), service("skypeForBusinessCallQueues", id="q", displayName="Sales", tenantId=OURS), 15, 180
        ),
        session(service(), user("Early Bird"), 0, 10),
        session(service(), BO, 20, 40, failureInfo={"stage": "callSetup", "reason": "not answered"}),
        session(service(), ALICE, 45, 180),
    )

    (found,) = told(tmp_path, passed)
    (leg,) = facts(tmp_path, passed)

    assert (found["token"], found["direction"], found["representative_id"]) == (token(CUSTOMER), "inbound", "alice")
    assert found["talk_seconds"] == 135
    assert (leg["started_at"], leg["answered_at"]) == (datetime(2024, 3, 5, 9, 0, 15), datetime(2024, 3, 5, 9, 0, 45))


def test_each_moment_of_a_call_of_several_counts_once(tmp_path: Path) -> None:
    meeting = record(
        session(ALICE, service(), 0, 300),
        session(BO, service(), 60, 500),
        session(telephone(), service(), 100, 400),
        organizer=ALICE,
    )

    legs = facts(tmp_path, meeting)

    assert [(leg["from_endpoint"], leg["talk_seconds"]) for leg in legs] == [("Alice Aalto", 200), ("Bo Berg", 100)]
    assert [leg["to_token"] for leg in legs] == [token(CUSTOMER)] * 2
    assert sum(leg["talk_seconds"] for leg in told(tmp_path, meeting)) == 300


def test_who_is_connected_to_one_customer_is_not_there_for_another(tmp_path: Path) -> None:
    legs = facts(tmp_path, record(session(telephone(), ALICE), session(telephone(OTHER), service())))

    assert [(leg["from_token"], leg["attempt"]) for leg in legs] == [
        (token(CUSTOMER), "talk"),
        (token(OTHER), "no_human"),
    ]


@pytest.mark.parametrize(
    ("role", "fields", "attempt"),
    [
        ("skypeForBusinessAutoAttendant", {}, "no_human"),
        ("voicemail", {}, "no_human"),
        ("skypeForBusinessCallQueues", {"failureInfo": {"stage": "callSetup"}}, "unanswered"),
        ("skypeForBusinessCallQueues", {"failureInfo": {"stage": "midcall"}}, "no_human"),
    ],
)
def test_a_call_that_nobody_took(tmp_path: Path, role: str, fields: dict[str, Any], attempt: str) -> None:
    taken_by_none = record(session(telephone(), service(role), **fields))

    (leg,) = facts(tmp_path, taken_by_none)

    assert (leg["attempt"], leg["from_token"], leg["direction"]) == (attempt, token(CUSTOMER), "inbound")
    assert told(tmp_path, taken_by_none) == []


def test_a_call_that_was_not_set_up_was_not_answered(tmp_path: Path) -> None:
    failed = record(session(BO, telephone(), failureInfo={"stage": "callSetup"}), organizer=BO)
    broken_off = record(session(BO, telephone(), failureInfo={"stage": "midcall"}), organizer=BO)

    assert [leg["attempt"] for leg in facts(tmp_path, failed, broken_off)] == ["unanswered", "talk"]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (telephone("+35840123****"), None),
        ({"associatedIdentity": {"id": CUSTOMER}}, token(CUSTOMER)),
        ({"associatedIdentity": {"id": "abc", "displayName": "Matti Meikalainen"}}, None),
        ({"identity": {"guest": {"id": "abc", "displayName": "Matti Meikalainen"}}}, None),
        (service("mediationServer"), None),
        ({"associatedIdentity": {"@odata.type": "#x.azureCommunicationServicesUserIdentity", "id": "8:acs"}}, None),
    ],
)
def test_who_is_no_user_of_ours_is_from_outside(tmp_path: Path, end: dict[str, Any], expected: str | None) -> None:
    (leg,) = facts(tmp_path, record(session(end, ALICE)))

    assert (leg["direction"], leg["attempt"], leg["from_token"]) == ("inbound", "talk", expected)
    assert (leg["from_endpoint"], leg["to_endpoint"]) == (None, "Alice Aalto")


@pytest.mark.parametrize(
    "bot",
    [
        VOICE_APPLICATION,
        {"identity": {"applicationInstance": {"id": "x", "displayName": "Main line", "tenantId": OURS}}},
        service("customBot", id="x", displayName="Main line", tenantId=OURS),
        None,
        "nobody",
    ],
)  # fmt: skip
def test_a_queue_a_menu_and_a_bot_are_nobody(tmp_path: Path, bot: object) -> None:
    (leg,) = facts(tmp_path, record(session(telephone(), bot)))

    assert (leg["attempt"], leg["to_endpoint"]) == ("no_human", None)


def test_users_of_other_tenants_are_customers_once_ours_is_known(tmp_path: Path) -> None:
    partner = user("Matti Meikalainen", THEIRS, userPrincipalName="matti@buyer.example")
    federated = record(session(partner, ALICE))

    (letter,) = letters(batches(written(tmp_path, federated)))
    (found,) = told(tmp_path, federated, tenant=OURS.upper())
    (leg,) = facts(tmp_path, federated, tenant=OURS)

    assert letter.reason == "sessions: users of several tenants; give the id of yours as options.tenant"
    assert "Matti" not in letter.raw_text
    assert (found["token"], found["representative_id"]) == (address("matti@buyer.example"), "alice")
    assert leg["from_endpoint"] is None
    with pytest.raises(ConfigurationError, match=r"options\.tenant is 7; expected the id of your tenant"):
        batches(written(tmp_path, federated), options={"tenant": 7})


def test_a_record_of_services_alone_tells_of_no_call(tmp_path: Path) -> None:
    (batch,) = batches(written(tmp_path, record(session(service(), service("voicemail")))))

    assert (batch.record_count, rows([batch])) == (0, [])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": None}, "id: missing"),
        ({"sessions": None}, "sessions: missing; export call records with $expand=sessions"),
        ({"sessions": []}, "sessions: missing; export call records with $expand=sessions"),
        ({"sessions": [session(telephone(), user("Bo Berg", None)) | {"startDateTime": None}]}, "sessions.startDateT"),
        ({"sessions": [session({"identity": {"user": {"id": "1"}}}, telephone())]}, "sessions: users without tenantId"),
        ({"sessions": [session(telephone(), ALICE) | {"endDateTime": "soon"}]}, "sessions.endDateTime: "),
        ({"sessions": [session(telephone(), ALICE, 90, 0)]}, "ended_at is before started_at"),
    ],
)
def test_a_call_record_that_cannot_be_used_is_a_dead_letter(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    read = batches(written(tmp_path, record(session(telephone(), ALICE), **fields), record(session(telephone(), BO))))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert CUSTOMER[3:] not in letter.raw_text + letter.reason
    assert len(rows(read)) == 1


# Files.


@pytest.mark.parametrize("form", ["page", "lines", "list", "one"])
@pytest.mark.parametrize("value", [ROW, ROUTED, record(session(telephone(), ALICE))])
def test_answers_of_the_api_are_recognised_in_every_form(tmp_path: Path, form: str, value: dict[str, Any]) -> None:
    path = written(tmp_path, value, value, form=form)

    assert parsing.recognised(path) == "teams"
    assert len(rows(batches(path))) == (1 if form == "one" else 2)


def test_an_empty_page_and_a_cut_one_are_recognised(tmp_path: Path) -> None:
    empty = written(tmp_path)
    assert parsing.recognised(empty) == "teams"
    assert rows(batches(empty)) == []

    whole = written(tmp_path, record(session(telephone(), ALICE))).read_bytes()
    claim = SOURCE.recognise(Sample(empty, whole[: len(whole) // 2]))
    assert claim is not None
    for other in (b"", b"{}", b'{"value": []}', b'{"type": "x", "modalities": [], "id": 1}', b"callType,duration\n"):
        assert SOURCE.recognise(Sample(empty, other)) is None


def test_what_stands_before_the_break_of_a_document_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, ROW, ROW)
    path.write_bytes(path.read_bytes()[:-200])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert [row["session_id"] for row in rows(found)] == [ROW["id"]]
    assert SOURCE.recognise(Sample(path, head(path))) is not None


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    records: Sequence[Mapping[str, Any]] = (
        ROW,
        ROUTED,
        record(session(telephone(), service(), 0, 180), session(service(), ALICE, 45, 180)),
    )
    if data.draw(st.booleans()):
        whole = written(tmp_path, *records, form=data.draw(st.sampled_from(("page", "lines")))).read_bytes()
    else:
        whole = table(tmp_path / "calls.csv", ROW, ROW | {"id": "2"}).read_bytes()
    path = tmp_path / "damaged"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
