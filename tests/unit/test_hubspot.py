"""HubSpot: who is who, what was logged on whom and when, from its interface and from tables of a warehouse."""

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
from pipeline.sources.hubspot import SOURCE
from pipeline.sources.message_headers import masked_key, message_key
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import address, letters, phone, recognised, rows
from tests.records import Fact, call, email, person

MAIJA, LEENA, MATTI = "maija@customer.example", "leena@customer.example", "matti@acme.example"
NUMBER = "+358401234567"
CREATED, CHANGED = "2024-03-04T09:12:00.500Z", "2024-03-04T09:13:00Z"
BUSY, CONNECTED = "9d9162e7-6cf3-4944-bf63-4dff82258764", "f240bbac-87c9-4f6e-bf70-924b57d47db7"
NO_ANSWER, VOICEMAIL = "73a0d17f-1163-4015-bdd5-ec830791da20", "b2cf5968-551e-4856-9783-52b3da59a7d0"
WRONG_NUMBER = "17b47fee-58de-441e-a44c-c6300d46f273"

Record = dict[str, Any]


def record(record_id: str, properties: Mapping[str, Any], ties: Mapping[str, Sequence[str]] | None = None) -> Record:
    """Return an object as the interface gives it; `ties`: the ids of contacts, companies and tickets."""
    found: Record = {
        "id": record_id,
        "properties": {
            "hs_object_id": record_id,
            "hs_createdate": CREATED,
            "hs_lastmodifieddate": CHANGED,
            **properties,
        },
        "createdAt": CREATED,
        "updatedAt": CHANGED,
        "archived": False,
    }
    if ties is not None:
        found["associations"] = {
            name: {"results": [{"id": other, "type": f"to_{name}"} for other in others]}
            for name, others in ties.items()
        }
    return found


def a_call(record_id: str = "101", ties: Mapping[str, Sequence[str]] | None = None, **properties: Any) -> Record:
    values = {"hs_call_status": "COMPLETED", "hs_timestamp": "2024-03-04T09:00:00Z", "hubspot_owner_id": "77"}
    return record(record_id, values | properties, {"contacts": ["501"]} if ties is None else ties)


def an_email(record_id: str = "201", ties: Mapping[str, Sequence[str]] | None = None, **properties: Any) -> Record:
    values = {"hs_email_direction": "EMAIL", "hs_email_status": "SENT", "hs_timestamp": "2024-03-04T08:00:00Z"}
    return record(record_id, values | properties, {"contacts": ["501"]} if ties is None else ties)


def a_note(record_id: str, created: str, ties: Mapping[str, Sequence[str]] | None = None) -> Record:
    return record(
        record_id, {"hs_note_body": "secret", "hs_createdate": created, "hs_lastmodifieddate": created}, ties or {}
    )


def a_contact(record_id: str = "501", **properties: Any) -> Record:
    values = {
        "email": MAIJA,
        "firstname": "Maija",
        "lastname": None,
        "phone": "040 1234567",
        "lastmodifieddate": CHANGED,
    }
    return record(record_id, values | properties)


OWNER = {
    "id": "77", "email": MATTI, "type": "PERSON", "firstName": "Matti", "lastName": "V", "userId": 9001,
    "userIdIncludingInactive": 9001, "createdAt": CREATED, "updatedAt": CREATED, "archived": False,
}  # fmt: skip


def pages(folder: Path, *records: Record, name: str = "export.json") -> Path:
    path = folder / name
    path.write_bytes(orjson.dumps({"results": records, "paging": {"next": {"after": "200"}}}))
    return path


def table(folder: Path, name: str, *records: Mapping[str, str]) -> Path:
    path = folder / name
    columns = list(dict.fromkeys(column for values in records for column in values))
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(records)
    return path


def batches(
    path: Path, options: Mapping[str, Any] | None = None, mapping: Mapping[str, str] | None = None
) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping, options)


def warnings(read: Sequence[Batch]) -> list[str]:
    return [warning for batch in read for warning in batch.warnings]


def recognised_by(path: Path) -> str:
    recognition = SOURCE.recognise(Sample(path, path.read_bytes()))
    return recognition.evidence if recognition is not None else ""


def activities(folder: Path, *records: Record) -> list[dict[str, Any]]:
    return rows(batches(pages(folder, *records)), "activity")


def outcomes(read: Sequence[Batch], *observed: Fact) -> list[tuple[Any, ...]]:
    """Return outcome, reason and tier of each interaction, in a company where Matti has the extension 201."""
    directory = person("r1", extension="201", email_token=address(MATTI))
    found = parsing.interactions(read, [directory, *observed])
    return [(row["outcome"], row["reason"], row["tier"]) for row in sorted(found, key=lambda row: row["started_at"])]


def test_a_call_that_is_logged_is_traced_and_one_that_is_not_is_bypassed(tmp_path: Path) -> None:
    read = [
        *batches(pages(tmp_path, a_contact(), name="contacts.json")),
        *batches(pages(tmp_path, OWNER, name="owners.json")),
        *batches(pages(tmp_path, a_call(), name="calls.json")),
        *batches(pages(tmp_path, a_note("301", "2024-03-20T12:00:00Z"), name="notes.json")),
    ]
    customer = phone(NUMBER)

    found = outcomes(
        read,
        call("pbx:1", "09:00", 600, customer=customer),
        call("pbx:2", "13:00", 600, customer=customer, outbound=True),
    )

    assert found == [("traced", None, "same_representative"), ("bypassed", "not_logged", None)]


WAREHOUSE = {
    "contact.csv": [
        {"id": "501", "_fivetran_deleted": "false", "_fivetran_synced": "2024-03-20 01:00:00.000",
         "property_email": MAIJA, "property_firstname": "Maija", "property_phone": "040 1234567"},
    ],
    "owner.csv": [{"owner_id": "77", "email": MATTI, "active_user_id": "9001", "portal_id": "1", "type": "PERSON"}],
    "engagement.csv": [{"id": "101", "type": "CALL", "portal_id": "1", "_fivetran_synced": "2024-03-20 01:00:00"}],
    "engagement_call.csv": [
        {"engagement_id": "101", "_fivetran_deleted": "false", "type": "CALL", "property_hs_call_status": "COMPLETED",
         "property_hs_createdate": "2024-03-04 09:12:00.500000", "property_hs_timestamp": "2024-03-04 09:00:00",
         "property_hs_lastmodifieddate": "2024-03-04 09:13:00", "property_hubspot_owner_id": "77"},
    ],
    "engagement_note.csv": [
        {"engagement_id": "301", "type": "NOTE", "property_hs_createdate": "2024-03-20 12:00:00",
         "property_hs_note_body": "secret"},
    ],
    "engagement_contact.csv": [
        {"contact_id": "501", "engagement_id": "101", "engagement_type": "CALL", "type_id": "194",
         "category": "HUBSPOT_DEFINED"},
        {"contact_id": "502", "engagement_id": "101", "engagement_type": "NOTE", "type_id": "202",
         "category": "HUBSPOT_DEFINED"},
    ],
}  # fmt: skip


def warehouse(folder: Path, tables: Mapping[str, Sequence[Mapping[str, str]]] = WAREHOUSE) -> list[Batch]:
    """Write tables into a folder; return what is read from all of them."""
    paths = [table(folder, name, *records) for name, records in tables.items()]
    return [batch for path in paths for batch in batches(path)]


def test_a_warehouse_s_tables_give_the_same_outcomes(tmp_path: Path) -> None:
    customer = phone(NUMBER)

    found = outcomes(
        warehouse(tmp_path), call("pbx:1", "09:00", 600, customer=customer), call("pbx:2", "13:00", customer=customer)
    )

    assert found == [("traced", None, "same_representative"), ("bypassed", "not_logged", None)]


def test_an_activity_is_the_same_one_from_a_table_and_from_the_interface(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    of_tables = [row for row in rows(warehouse(tmp_path), "activity") if row["kind"] == "call"]
    of_interface = activities(tmp_path / "api", a_call())

    assert [{**row, "raw_id": ""} for row in of_tables] == [{**row, "raw_id": ""} for row in of_interface]


def test_a_table_without_properties_of_its_kind_is_told_by_the_types_of_its_rows(tmp_path: Path) -> None:
    values = {"_fivetran_deleted": "false", "property_hs_createdate": "2022-03-01 19:43:05.526000",
              "property_hs_timestamp": "2014-08-27 20:50:44.778000"}  # fmt: skip
    path = table(
        tmp_path,
        "engagement_call.csv",
        {"engagement_id": "101", **values, "type": "CALL", "property_hs_object_id": "999"},
        {"engagement_id": "102", **values, "type": "NOTE"},
        {"engagement_id": "103", **values, "type": ""},
        {"engagement_id": "104", **values, "type": "SMS"},
        {"engagement_id": "105", **values, "type": "PIGEON_POST"},
    )

    assert "of type CALL" in recognised_by(path)
    assert [(row["activity_id"], row["kind"]) for row in rows(batches(path), "activity")] == [
        ("call:101", "call"),
        ("note:102", "note"),
        ("call:103", "call"),
        ("communication:104", "sms"),
        ("call:105", "call"),
    ]


OLDER = {
    "engagement.csv": [
        {"id": "101", "type": "CALL", "active": "true", "activity_type": "", "portal_id": "1", "owner_id": "77",
         "created_at": "2024-03-04 09:12:00.500 UTC", "last_updated": "2024-03-04 09:13:00 UTC",
         "timestamp": "2024-03-04 09:00:00 UTC", "_fivetran_synced": "2024-03-20 01:00:00 UTC"},
        {"id": "201", "type": "INCOMING_EMAIL", "portal_id": "1", "owner_id": "0",
         "created_at": "2024-03-04 08:30:00 UTC", "last_updated": "2024-03-04 08:30:00 UTC",
         "timestamp": "2024-03-04 08:00:00 UTC"},
        {"id": "301", "type": "NOTE", "portal_id": "1", "owner_id": "77", "created_at": "2024-03-05 10:00:00 UTC",
         "last_updated": "2024-03-05 10:00:00 UTC", "timestamp": "2023-05-01 18:26:00 UTC"},
    ],
    "engagement_call.csv": [
        {"engagement_id": "101", "callee_object_id": "", "disposition": CONNECTED, "duration_milliseconds": "0",
         "external_id": "aircall-9", "status": "", "body": "secret"},
    ],
    "engagement_email.csv": [
        {"engagement_id": "201", "logged_from": "FACSIMILE", "message_id": "<A1.b2@mail.example>", "status": "",
         "tracker_key": "t", "from_email": MAIJA, "subject": "secret"},
    ],
    "engagement_contact.csv": [{"contact_id": "501", "engagement_id": each, "_fivetran_synced": ""}
                               for each in ("101", "201", "301")],
}  # fmt: skip


def test_older_tables_take_times_and_owners_from_the_table_of_all_engagements(tmp_path: Path) -> None:
    found = rows(warehouse(tmp_path, OLDER), "activity")

    # No table of notes lies beside: the table of all engagements tells of them itself.
    assert [(row["activity_id"], row["kind"], row["logged_from"], row["owner_id"], row["keys"]) for row in found] == [
        ("note:301", "note", datetime(2024, 3, 5, 10), "owner:77", []),
        ("call:101", "call", datetime(2024, 3, 4, 9, 12, 0, 500000), "owner:77", ["aircall-9"]),
        ("email:201", "email", datetime(2024, 3, 4, 8), None, [masked_key("A1.b2@mail.example")]),
    ]
    assert {tuple(row["contact_ids"]) for row in found} == {("contact:501",)}
    assert [row["direction"] for row in found] == [None, None, "inbound"]


def test_an_older_table_without_that_of_all_engagements_lacks_its_times(tmp_path: Path) -> None:
    (letter,) = letters(batches(table(tmp_path, "engagement_call.csv", *OLDER["engagement_call.csv"])))
    meeting = {
        "engagement_id": "401",
        "start_time": "2024-03-04 22:30:00",
        "meeting_outcome": "",
        "_fivetran_synced": "",
    }

    (found,) = rows(batches(table(tmp_path, "engagement_meeting.csv", meeting)), "activity")

    assert "in the table of all engagements: put that beside this file" in letter.reason
    assert (letter.is_raw_event, "secret" in letter.raw_text) == (False, False)
    # Of a meeting the start is known: its whole local day, as good as it gets.
    assert (found["logged_from"], found["precision"]) == (datetime(2024, 3, 4, 22), "day")


def test_an_activity_was_logged_when_it_was_created_and_not_where_it_sits_on_the_timeline(tmp_path: Path) -> None:
    (found,) = activities(tmp_path, a_call(hs_timestamp="1388534400000"))

    assert (found["logged_from"], found["precision"]) == (datetime(2024, 3, 4, 9, 12, 0, 500000), "second")


def test_an_email_from_a_mailbox_has_its_own_time_and_one_logged_by_hand_that_of_its_creation(tmp_path: Path) -> None:
    synchronised = an_email("201", hs_email_message_id="<A1.b2@mail.example>", hs_timestamp="1709539200000")
    by_hand = an_email("202")
    wild = an_email("203", hs_email_message_id="<A1.b3@mail.example>", hs_timestamp="2093-01-01T00:00:00Z")

    found = activities(tmp_path, synchronised, by_hand, wild)

    created = datetime(2024, 3, 4, 9, 12, 0, 500000)
    assert [row["logged_from"] for row in found] == [datetime(2024, 3, 4, 8), created, created]


def test_the_envelope_tells_when_a_record_was_created_where_its_properties_do_not(tmp_path: Path) -> None:
    bare = a_call()
    bare["properties"] = {"hs_call_status": "COMPLETED", "hs_createdate": None}

    (found,) = activities(tmp_path, bare)

    assert found["logged_from"] == datetime(2024, 3, 4, 9, 12, 0, 500000)
    assert found["updated_at"] == datetime(2024, 3, 4, 9, 13)


def test_a_message_id_is_evidence_whenever_the_email_was_logged(tmp_path: Path) -> None:
    sent = an_email(hs_email_message_id="A1.b2@mail.example", hs_timestamp="2024-03-01T08:00:00Z")
    read = [
        *batches(pages(tmp_path, a_contact(), name="contacts.json")),
        *batches(pages(tmp_path, sent, a_note("301", "2024-03-20T12:00:00Z"))),
    ]

    found = outcomes(
        read,
        email("mail:1", "08:00", address(MATTI), [address(MAIJA) or ""], message_id="A1.b2@mail.example"),
        email("mail:2", "09:00", address(MATTI), [address(MAIJA) or ""], message_id="A1.b9@mail.example"),
    )

    assert found == [("traced", None, "exact"), ("bypassed", "not_logged", None)]


def test_a_message_id_that_holds_a_party_s_address_is_masked_as_a_mailbox_masks_it(tmp_path: Path) -> None:
    written = f"<20240304.{MAIJA}>"

    (found,) = activities(tmp_path, an_email(hs_email_message_id=written, hs_email_to_email=f"{LEENA}; {MAIJA}"))

    assert found["keys"] == [message_key(written, {MAIJA})]
    assert found["keys"][0].startswith("x:")


def test_an_email_is_evidence_on_each_of_its_contacts_and_a_call_only_once(tmp_path: Path) -> None:
    two = {"contacts": ["501", "502", "501"], "companies": ["900"]}

    found = activities(tmp_path, an_email("201", two), a_call("101", two))

    assert [(row["activity_id"], row["contact_ids"], row["account_ids"], row["deleted"]) for row in found] == [
        ("email:201", [], [], True),
        ("email:201:contact:501", ["contact:501"], [], False),
        ("email:201:contact:502", ["contact:502"], [], False),
        ("call:101", ["contact:501", "contact:502"], ["company:900"], False),
    ]


def test_with_a_contact_only_a_lone_company_is_tied_too(tmp_path: Path) -> None:
    ties: list[Mapping[str, Sequence[str]]] = [
        {"contacts": ["501"], "companies": ["900"]},
        {"contacts": ["501"], "companies": ["900", "901"]},
        {"companies": ["900", "901"]},
        {},
    ]

    found = activities(tmp_path, *(a_call(str(number), each) for number, each in enumerate(ties, 1)))

    assert [(row["activity_id"], row["contact_ids"], row["account_ids"]) for row in found] == [
        ("call:1", ["contact:501"], ["company:900"]),
        ("call:2", ["contact:501"], []),
        ("call:3:company:900", [], ["company:900"]),
        ("call:3:company:901", [], ["company:901"]),
        ("call:4", [], []),
    ]


@pytest.mark.parametrize(
    ("properties", "is_told"),
    [
        ({}, True),
        ({"hs_call_status": None}, True),
        ({"hs_call_status": "CONNECTING"}, True),  # some tools never say more
        ({"hs_call_status": "NO_ANSWER"}, False),
        ({"hs_call_status": "missed"}, False),
        ({"hs_call_status": "BUSY"}, False),
        ({"hs_call_status": "FAILED"}, False),
        ({"hs_call_status": "CANCELED"}, False),
        ({"hs_call_disposition": BUSY}, False),
        ({"hs_call_disposition": NO_ANSWER.upper()}, False),
        ({"hs_call_disposition": VOICEMAIL}, False),
        ({"hs_call_disposition": WRONG_NUMBER}, True),
        ({"hs_call_disposition": CONNECTED, "hs_call_status": "NO_ANSWER"}, True),
        ({"hs_call_disposition": "11111111-2222-3333-4444-555555555555"}, True),
    ],
)
def test_a_call_on_which_nobody_was_reached_is_no_trace(
    tmp_path: Path, properties: dict[str, Any], is_told: bool
) -> None:
    read = batches(pages(tmp_path, a_call(**properties)))

    # One that is none is taken back, should an earlier export have told of it.
    assert [row["deleted"] for row in rows(read, "activity")] == [not is_told]
    said = "export.json: 1 of its records were not sent or reached nobody: they are no traces and were passed over"
    assert (said in warnings(read)) is not is_told


@pytest.mark.parametrize(("status", "is_told"), [("SENT", True), ("BOUNCED", True), (None, True), ("SCHEDULED", False),
                                                 ("SENDING", False), ("FAILED", False)])  # fmt: skip
def test_an_email_that_was_not_sent_is_no_trace(tmp_path: Path, status: str | None, is_told: bool) -> None:
    assert [row["deleted"] for row in activities(tmp_path, an_email(hs_email_status=status))] == [not is_told]


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"hs_call_title": "x"}, ("call:9", "call")),
        ({"hs_email_subject": "x"}, ("email:9", "email")),
        ({"hs_meeting_title": "x"}, ("meeting:9", "meeting")),
        ({"hs_note_body": "x"}, ("note:9", "note")),
        ({"hs_task_subject": "x", "hs_task_type": "CALL"}, ("task:9", "task")),
        ({"hs_communication_channel_type": "SMS"}, ("communication:9", "sms")),
        ({"hs_communication_channel_type": "WHATS_APP"}, ("communication:9", "chat")),
        ({"hs_communication_channel_type": "LINKEDIN_MESSAGE"}, ("communication:9", "social")),
        ({"hs_communication_channel_type": "PIGEON"}, ("communication:9", "other")),
    ],
)
def test_what_an_activity_is_follows_from_its_properties(
    tmp_path: Path, properties: dict[str, Any], expected: tuple[str, str]
) -> None:
    path = pages(tmp_path, record("9", properties))

    (found,) = rows(batches(path), "activity")

    assert recognised(path) == "hubspot"
    assert (found["activity_id"], found["kind"]) == expected


@pytest.mark.parametrize(
    ("each", "direction"),
    [
        (a_call(hs_call_direction="INBOUND"), "inbound"),
        (a_call(hs_call_direction="OUTBOUND"), "outbound"),
        (a_call(), None),
        (an_email(hs_email_direction="EMAIL"), "outbound"),
        (an_email(hs_email_direction="INCOMING_EMAIL"), "inbound"),
        (an_email(hs_email_direction="FORWARDED_EMAIL"), None),
    ],
)
def test_the_direction_is_the_company_s(tmp_path: Path, each: Record, direction: str | None) -> None:
    (found,) = activities(tmp_path, each)

    assert found["direction"] == direction


def test_owner_and_creator_are_known_by_ids_of_their_own_kinds(tmp_path: Path) -> None:
    (found,) = activities(tmp_path, a_call(hubspot_owner_id="77", hs_created_by_user_id=9001))
    users = rows(batches(pages(tmp_path, OWNER, name="owners.json")), "crm_user")
    others = rows(
        batches(table(tmp_path, "users.csv", {"id": "9001", "primary_team_id": "1", "role_id": "", "email": MATTI})),
        "crm_user",
    )

    assert (found["owner_id"], found["creator_id"]) == ("owner:77", "user:9001")
    assert [(row["user_id"], row["email_token"]) for row in users] == [
        ("owner:77", address(MATTI)),
        ("user:9001", address(MATTI)),
    ]
    assert [(row["user_id"], row["email_token"]) for row in others] == [("user:9001", address(MATTI))]


def test_a_deletion_counts_as_late_as_it_was_noticed(tmp_path: Path) -> None:
    archived = {**a_call("101"), "archived": True, "archivedAt": "2024-03-09T00:00:00Z"}
    gone = WAREHOUSE["engagement_call.csv"][0] | {
        "_fivetran_deleted": "TRUE",
        "_fivetran_synced": "2024-03-10 00:00:00",
    }

    (of_interface,) = activities(tmp_path, archived)
    (of_table,) = rows(batches(table(tmp_path, "engagement_call.csv", gone)), "activity")

    assert (of_interface["deleted"], of_interface["updated_at"]) == (True, datetime(2024, 3, 9))
    assert (of_table["deleted"], of_table["updated_at"]) == (True, datetime(2024, 3, 10))


def test_a_version_that_the_warehouse_superseded_gives_nothing(tmp_path: Path) -> None:
    row = WAREHOUSE["contact.csv"][0]
    path = table(tmp_path, "contact.csv", row | {"_fivetran_active": "false"}, row | {"_fivetran_active": "true"})

    assert [found["raw_id"] for found in rows(batches(path), "contact")] == ["tried:contact.csv:3"]


def test_a_merged_contact_counts_as_the_one_that_it_became(tmp_path: Path) -> None:
    into = a_contact(
        "501", hs_merged_object_ids="502;503", hs_calculated_merged_vids="502:1709539200000;504:1709539200000"
    )
    gone = {**a_contact("502"), "archived": True, "archivedAt": "2024-04-09T00:00:00Z"}
    read = [
        *batches(pages(tmp_path, gone, into, name="contacts.json")),
        *batches(pages(tmp_path, OWNER, name="owners.json")),
        *batches(pages(tmp_path, a_call("101", {"contacts": ["502"]}))),
    ]

    assert outcomes(read, call("pbx:1", "09:00", 600, customer=phone(NUMBER))) == [
        ("traced", None, "same_representative")
    ]
    ids = [(row["contact_id"], row["account_id"]) for row in rows(read, "contact") if not row["deleted"]]
    assert ids == [
        ("contact:501", None),
        ("contact:502", "contact:501"),
        ("contact:503", "contact:501"),
        ("contact:504", "contact:501"),
    ]


def test_a_deleted_contact_speaks_for_nobody_else(tmp_path: Path) -> None:
    gone = {**a_contact(hs_merged_object_ids="502"), "archived": True}

    assert [row["contact_id"] for row in rows(batches(pages(tmp_path, gone)), "contact")] == ["contact:501"]


@pytest.mark.parametrize(
    ("companies", "associated", "expected"),
    [
        ([("900", "contact_to_company"), ("900", "contact_to_company_unlabeled")], None, "company:900"),
        ([("900", "contact_to_company_unlabeled"), ("901", "contact_to_company")], None, "company:901"),
        ([("900", "contact_to_company_unlabeled"), ("901", "contact_to_company_unlabeled")], None, None),
        ([("900", "contact_to_company")], "902", "company:902"),
        ([], None, None),
    ],
)
def test_a_contact_belongs_to_its_primary_company(
    tmp_path: Path, companies: list[tuple[str, str]], associated: str | None, expected: str | None
) -> None:
    contact = a_contact(associatedcompanyid=associated)
    contact["associations"] = {"companies": {"results": [{"id": each, "type": label} for each, label in companies]}}

    (found,) = rows(batches(pages(tmp_path, contact)), "contact")

    assert found["account_id"] == expected


def test_contacts_and_companies_have_all_their_identifiers(tmp_path: Path) -> None:
    contact = a_contact(
        hs_additional_emails="leena@customer.example; ", mobilephone="+358 50 5550001", direct_line="09 123 4567",
        work_email="m@work.example",
    )  # fmt: skip
    company = record(
        "900",
        {"name": "Firma", "domain": "customer.example", "phone": "09 765 4321", "industry": "ENERGY", "tier": "gold",
         "work_email": "info@customer.example",
         "website": "https://www.customer-shop.example", "hs_additional_domains": "customer.test;customer.invalid"},
    )  # fmt: skip
    options = {"phone_fields": "direct_line", "email_fields": ["work_email"], "segment_field": "tier"}
    path = pages(tmp_path, contact, company)

    (person_,) = rows(batches(path, options), "contact")
    (firm,) = rows(batches(path, options), "account")
    (usual,) = rows(batches(path), "account")

    numbers = [phone(each) for each in ("+358401234567", "+358505550001", "+35891234567")]
    assert person_["tokens"] == sorted(
        str(each) for each in [*numbers, *map(address, (MAIJA, LEENA, "m@work.example"))]
    )
    assert firm["tokens"] == sorted([phone("+35897654321") or "", address("info@customer.example") or ""])
    domain = parsing.IDENTIFIERS.domain_token
    assert firm["domains"] == sorted(
        filter(None, map(domain, ("customer.example", "customer-shop.example", "customer.test", "customer.invalid")))
    )
    assert (firm["account_id"], firm["segment"], usual["segment"]) == ("company:900", "gold", "ENERGY")


def test_a_ticket_is_tied_to_its_contact_and_says_nothing_of_how_far_activities_reach(tmp_path: Path) -> None:
    table(tmp_path, "ticket_contact.csv", {"ticket_id": "601", "contact_id": "501", "category": "HUBSPOT_DEFINED"})
    values = {
        "property_createdate": "2024-03-04 10:00:00", "property_hs_ticket_priority": "HIGH", "is_deleted": "FALSE",
        "property_hubspot_owner_id": "77", "_fivetran_synced": "2024-03-20 01:00:00",
    }  # fmt: skip
    path = table(tmp_path, "ticket.csv", {"id": "601", **values}, {"id": "602", **values})

    read = batches(path)

    found = rows(read, "activity")
    assert [(row["activity_id"], row["kind"], row["contact_ids"], row["owner_id"]) for row in found] == [
        ("ticket:601", "ticket", ["contact:501"], "owner:77"),
        ("ticket:602", "ticket", [], "owner:77"),
    ]
    assert rows(read, "feed_progress") == []


def test_an_activity_on_a_ticket_alone_belongs_to_the_ticket_s_customer_or_is_siloed(tmp_path: Path) -> None:
    ticket = record("601", {"subject": "x", "hs_pipeline_stage": "1"}, {"contacts": ["501"]})
    nobody_s = record("602", {"subject": "x", "hs_pipeline_stage": "1"})
    sent = {
        "hs_email_direction": "INCOMING_EMAIL",
        "hs_email_from_email": LEENA,
        "hs_email_message_id": "A1@mail.example",
    }
    pages(tmp_path, ticket, nobody_s, name="tickets.json")
    read = [
        *batches(pages(tmp_path, a_contact(), name="contacts.json")),
        *batches(
            pages(
                tmp_path,
                a_call("101", {"tickets": ["601"]}),
                an_email("201", {"tickets": ["602"]}, **sent),
                a_note("301", "2024-03-20T12:00:00Z", {"contacts": ["501"]}),
            )
        ),
    ]

    found = {row["activity_id"]: row for row in rows(read, "activity")}
    told = [found["call:101"], found["email:201"]]
    assert [(row["kind"], row["contact_ids"], row["tokens"]) for row in told] == [
        ("call", ["contact:501"], []),
        ("ticket", [], [address(LEENA)]),
    ]
    arrived = email("mail:1", "08:00", address(LEENA), [address(MATTI) or ""], message_id="A1@mail.example")
    assert outcomes(read, arrived) == [("siloed", None, None)]


def test_without_any_associations_the_run_is_told_what_is_missing(tmp_path: Path) -> None:
    (remedy,) = warnings(batches(pages(tmp_path, a_call("101", {}), a_call("102", {}))))
    row = WAREHOUSE["engagement_call.csv"][0]
    alone = table(tmp_path, "engagement_call.csv", row)
    (also,) = warnings(batches(alone))
    table(
        tmp_path, "engagement_company.csv", {"company_id": "900", "engagement_id": "101", "category": "HUBSPOT_DEFINED"}
    )

    assert remedy == (
        "export.json: nothing says whom its 2 activities are tied to, so hardly any can be a trace; put the tables "
        "engagement_contact and engagement_company beside it, or ask the interface for "
        "associations=contacts,companies,tickets"
    )
    assert also.startswith("engagement_call.csv: nothing says whom its 1 activities are tied to")
    assert warnings(batches(alone)) == []
    assert [each["account_ids"] for each in rows(batches(alone), "activity")] == [["company:900"]]


def test_a_few_untied_activities_are_nothing_to_speak_of(tmp_path: Path) -> None:
    row = WAREHOUSE["engagement_call.csv"][0]
    path = table(tmp_path, "engagement_call.csv", row, row | {"engagement_id": "102"})
    table(tmp_path, "engagement_contact.csv", *WAREHOUSE["engagement_contact.csv"])
    (tmp_path / "api").mkdir()

    assert [len(found["contact_ids"]) for found in rows(batches(path), "activity")] == [1, 0]
    assert warnings(batches(path)) == []
    assert warnings(batches(pages(tmp_path / "api", a_call("101"), a_call("102", {})))) == []


def test_an_association_that_was_removed_ties_nobody(tmp_path: Path) -> None:
    path = table(tmp_path, "engagement_call.csv", *WAREHOUSE["engagement_call.csv"])
    gone = [row | {"_fivetran_deleted": "true"} for row in WAREHOUSE["engagement_contact.csv"]]
    table(tmp_path, "engagement_contact.csv", *gone)

    assert [found["contact_ids"] for found in rows(batches(path), "activity")] == [[]]


def test_files_beside_may_be_named_instead_of_looked_for(tmp_path: Path) -> None:
    folder = tmp_path / "ties"
    folder.mkdir()
    table(folder, "pairs.csv", *WAREHOUSE["engagement_contact.csv"])
    path = table(tmp_path, "calls.csv", *WAREHOUSE["engagement_call.csv"])

    (found,) = rows(batches(path, {"siblings": ["ties/pairs.csv"]}), "activity")

    assert found["contact_ids"] == ["contact:501"]
    for wrong, reason in (("ties", "expected a list"), (["gone.csv"], "no file beside")):
        with pytest.raises(ConfigurationError, match=reason):
            batches(path, {"siblings": wrong})


def test_a_table_beside_that_breaks_off_is_reported_and_what_it_said_is_kept(tmp_path: Path) -> None:
    tickets = pages(tmp_path, record("601", {"subject": "x", "hs_pipeline_stage": "1"}, {"contacts": ["501"]}),
                    record("602", {"subject": "x"}), name="tickets.json")  # fmt: skip
    tickets.write_bytes(tickets.read_bytes()[:-150])

    read = batches(pages(tmp_path, a_call("101", {"tickets": ["601"]})))

    assert [row["contact_ids"] for row in rows(read, "activity")] == [["contact:501"]]
    assert any("tickets.json could not be read to its end, so some records lack" in each for each in warnings(read))


def test_associations_that_the_interface_cut_off_are_counted(tmp_path: Path) -> None:
    cut = a_call()
    cut["associations"]["contacts"]["paging"] = {"next": {"after": "501"}}

    (warning,) = warnings(batches(pages(tmp_path, cut)))

    assert warning.startswith("export.json: 1 records have more associations than the interface gave")


def test_a_connector_s_lists_of_ids_are_associations_too(tmp_path: Path) -> None:
    of_lines = {**a_call("101", {}), "contacts": [501], "companies": ["900"]}
    del of_lines["associations"]
    row = {"id": "102", "createdAt": CREATED, "properties_hs_call_status": "COMPLETED", "contacts": '["502"]',
           "properties_hs_object_id": "102"}  # fmt: skip

    (first,) = activities(tmp_path, of_lines)
    (second,) = rows(batches(table(tmp_path, "calls.csv", row)), "activity")

    assert (first["contact_ids"], first["account_ids"]) == (["contact:501"], ["company:900"])
    assert (second["activity_id"], second["contact_ids"]) == ("call:102", ["contact:502"])


@pytest.mark.parametrize(
    ("each", "reason"),
    [
        ({**a_call(), "id": None, "properties": {"hs_call_status": "COMPLETED"}}, "id: missing; every call of HubSpot"),
        (a_call(hs_createdate="yesterday"), "hs_createdate: expected a date and time"),
        (a_call(hs_createdate="1066-10-14T09:00:00Z"), "hs_createdate: expected a year between 1970"),
        (a_call(hs_createdate="2027-01-01T00:00:00Z"), "dated in the future"),
        (
            {**a_call(), "createdAt": None, "properties": {"hs_call_title": "x", "hs_timestamp": None}},
            "hs_createdate: missing; nothing says when it was logged",
        ),
        (
            record("601", {"subject": "secret", "hs_pipeline_stage": "1", "hs_createdate": "x"}),
            "hs_createdate: expected",
        ),
    ],
)
def test_a_record_that_cannot_be_used_is_a_dead_letter_that_shows_nothing(
    tmp_path: Path, each: Record, reason: str
) -> None:
    each = {**each, "properties": {**each["properties"], "hs_call_to_number": NUMBER, "hs_call_body": "secret"}}
    read = batches(pages(tmp_path, each, a_call("102")))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit, letter.is_raw_event) == (1, "record", False)
    assert "secret" not in letter.raw_text
    assert NUMBER[3:] not in letter.raw_text
    assert len(rows(read, "activity")) == 1


def test_a_change_that_has_not_come_yet_does_not_end_what_is_pending(tmp_path: Path) -> None:
    read = batches(pages(tmp_path, a_call(hs_lastmodifieddate="2093-01-01T00:00:00Z")))

    (progress,) = rows(read, "feed_progress")
    assert progress["complete_through"] == datetime(2024, 3, 4, 9, 12, 0, 500000)


@pytest.mark.parametrize("form", ["page", "pages", "list", "lines", "one", "pretty"])
def test_objects_are_recognised_and_read_however_they_are_put(tmp_path: Path, form: str) -> None:
    records = [a_call("101"), a_call("102")]
    page = {"results": records, "paging": {}}
    text = {
        "page": orjson.dumps(page), "pages": orjson.dumps(page) + b"\n" + orjson.dumps({"results": []}),
        "list": orjson.dumps(records), "lines": b"\n".join(map(orjson.dumps, records)), "one": orjson.dumps(records[0]),
        "pretty": orjson.dumps(page, option=orjson.OPT_INDENT_2),
    }[form]  # fmt: skip
    path = tmp_path / "export"
    path.write_bytes(text)

    assert recognised(path) == "hubspot"
    assert [row["activity_id"] for row in rows(batches(path), "activity")] == ["call:101", "call:102"][
        : len(records) if form != "one" else 1
    ]


def test_a_first_email_that_is_longer_than_the_look_at_a_file_is_recognised(tmp_path: Path) -> None:
    long = an_email(hs_email_html="x" * 100_000)
    long["properties"] = {"hs_email_direction": "EMAIL", "hs_email_status": "SENT", **long["properties"]}
    path = pages(tmp_path, long)

    assert recognised(path) == "hubspot"
    assert [row["activity_id"] for row in rows(batches(path), "activity")] == ["email:201"]


def test_contacts_are_not_taken_for_emails_though_their_properties_begin_alike(tmp_path: Path) -> None:
    contact = a_contact(hs_email_optout="false", hs_email_domain="customer.example", hs_email_delivered="3")
    row = {"id": "502", "_fivetran_synced": "2024-03-20 01:00:00", "property_hs_email_optout": "true",
           "property_firstname": "", "property_email": LEENA, "property_lastmodifieddate": ""}  # fmt: skip

    assert [each["contact_id"] for each in rows(batches(pages(tmp_path, contact)), "contact")] == ["contact:501"]
    assert [each["contact_id"] for each in rows(batches(table(tmp_path, "contact.csv", row)), "contact")] == [
        "contact:502"
    ]


@pytest.mark.parametrize(
    ("name", "row", "sentence"),
    [
        ("engagement_deal", {"deal_id": "1", "engagement_id": "101", "category": "HUBSPOT_DEFINED"},
         "a table of deal_id and engagement_id; it is looked up"),
        ("deal_contact", {"deal_id": "1", "contact_id": "501", "category": "HUBSPOT_DEFINED"},
         "a table of contact_id and deal_id; it is looked up"),
        ("deal", {"id": "1", "property_dealname": "x", "property_hs_x": "", "_fivetran_synced": ""},
         "of an object that is not read; it says nothing of interactions"),
        ("owner_team", {"owner_id": "77", "team_id": "1", "_fivetran_synced": ""}, "teams of owners; it says nothing"),
        ("team_user", {"user_id": "9001", "team_id": "1", "is_secondary_user": "", "_fivetran_synced": ""},
         "members of teams; it says nothing"),
        ("history", {"contact_id": "501", "name": "x", "source": "", "value": "x", "_fivetran_synced": ""},
         "the history of contacts' properties; it says nothing"),
    ],
)  # fmt: skip
def test_a_table_that_says_nothing_is_counted_and_gives_nothing_but_a_sentence(
    tmp_path: Path, name: str, row: dict[str, str], sentence: str
) -> None:
    path = table(tmp_path, f"{name}.csv", row, row)

    read = batches(path)

    assert recognised(path) == "hubspot"
    assert [kind for batch in read for kind in batch.facts] == []
    counted, said = warnings(read)
    assert counted == f"{name}.csv: 2 of its records tell of no conversation and were passed over"
    assert sentence in said


def test_deals_of_the_interface_give_nothing_but_a_sentence(tmp_path: Path) -> None:
    path = pages(tmp_path, record("1", {"dealname": "x", "hs_mrr": "1"}))

    assert recognised(path) == "hubspot"
    assert "of a kind that is not read; it says nothing" in warnings(batches(path))[-1]


def test_tables_of_other_systems_are_left_alone(tmp_path: Path) -> None:
    for number, row in enumerate(
        (
            {"id": "1", "properties_email": "a", "properties_name": "b"},
            {"ticket_id": "1", "contact_id": "2", "amount": "3"},
            {"id": "1", "type": "a", "name": "b"},
            {"id": "1", "subject": "x", "status": "open"},
        )
    ):
        path = table(tmp_path, f"{number}.csv", row)
        assert recognised_by(path) == ""
    path = tmp_path / "other.json"
    for value in (
        {"id": 1, "properties": {"a": 1}},
        {"results": [{"id": 1, "name": "x"}]},
        {"email": "x", "userId": 1},
    ):
        path.write_bytes(orjson.dumps(value))
        assert recognised_by(path) == ""


def test_the_object_of_a_file_that_does_not_tell_it_is_named_by_an_option(tmp_path: Path) -> None:
    bare = {"id": "101", "properties": {"hs_object_id": "101", "hs_createdate": CREATED}}
    path = pages(tmp_path, bare)
    table_ = table(tmp_path, "calls.csv", {"Record ID": "103", "Create date": "2024-03-04 09:12"})
    words = tmp_path / "words.csv"
    words.write_text("a,b\n1,2\n")
    renamed = {"id": "Record ID", "hs_createdate": "Create date"}

    assert [row["activity_id"] for row in rows(batches(path, {"object": "meeting"}), "activity")] == ["meeting:101"]
    (found,) = rows(batches(table_, {"object": "call"}, renamed), "activity")
    assert (found["activity_id"], found["precision"]) == ("call:103", "minute")
    with pytest.raises(
        ConfigurationError, match=r"cannot be told to hold an object of HubSpot; .* set object to one of"
    ):
        batches(words)
    with pytest.raises(ConfigurationError, match="object is 'deals'; expected one of call"):
        batches(words, {"object": "deals"})
    with pytest.raises(ConfigurationError, match=r"words\.csv: no column 'id'; .* mapping = \{ id = \"Column\" \}"):
        batches(words, {"object": "call"})


def test_a_property_with_another_name_is_mapped(tmp_path: Path) -> None:
    path = pages(tmp_path, a_call(my_call_id="c-7"))
    row = WAREHOUSE["engagement_call.csv"][0] | {"property_my_call_id": "c-8"}
    of_table = table(tmp_path, "engagement_call.csv", row)

    (first,) = rows(batches(path, mapping={"hs_call_external_id": "my_call_id"}), "activity")
    (second,) = rows(batches(of_table, mapping={"hs_call_external_id": "property_my_call_id"}), "activity")

    assert (first["keys"], second["keys"]) == (["c-7"], ["c-8"])
    with pytest.raises(ConfigurationError, match="no field; did you mean 'hs_call_external_id'"):
        batches(path, mapping={"hs_call_externalid": "x"})
    with pytest.raises(ConfigurationError, match="phone_fields is 7; expected the name of a field or a list"):
        batches(path, {"phone_fields": 7})


def test_what_stands_before_the_break_of_a_document_is_kept(tmp_path: Path) -> None:
    path = pages(tmp_path, a_call("101"), a_call("102"))
    path.write_bytes(path.read_bytes()[:-200])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert [row["activity_id"] for row in rows(found, "activity")] == ["call:101"]


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "whole"
    folder.mkdir(exist_ok=True)
    wholes = [
        pages(folder, a_contact(hs_merged_object_ids="9"), a_call(), an_email("201", {"contacts": ["1", "2"]}), OWNER),
        table(folder, "engagement_call.csv", *WAREHOUSE["engagement_call.csv"]),
    ]
    whole = data.draw(st.sampled_from(wholes))
    table(tmp_path, "engagement_contact.csv", *WAREHOUSE["engagement_contact.csv"])
    path = tmp_path / "damaged"
    path.write_bytes(parsing.damaged(whole.read_bytes(), data))

    parsing.assert_survives(SOURCE, path, ("contact", "account", "crm_user", "activity"))
