"""Zoho CRM: answers of its interface, and the files of a backup."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.sources.message_headers import masked_key
from pipeline.sources.zoho import SOURCE
from tests.crm_files import (
    MAIJA,
    MATTI,
    NUMBER,
    activity,
    assert_survives_damage,
    corpus,
    document,
    outcomes,
    read,
    table,
    warnings,
)
from tests.parsing import address, letters, phone, rows
from tests.records import call, email

ACCOUNT, CONTACT, OTHER, LEAD, USER = (f"3652397000000000{number}" for number in ("900", "501", "502", "601", "077"))
A_CALL = {
    "id": "3652397000000001001", "Owner": {"id": USER, "name": "Matti"}, "Created_By": {"id": USER, "name": "Matti"},
    "Subject": "secret", "Call_Type": "Outbound", "Outgoing_Call_Status": "Completed",
    "Call_Start_Time": "2024-03-04T11:00:00+02:00", "Who_Id": {"id": CONTACT, "name": "Maija"}, "What_Id": None,
    "$se_module": None, "Created_Time": "2024-03-04T11:12:00+02:00", "Modified_Time": "2024-03-04T11:12:00+02:00",
}  # fmt: skip
A_MAIL = {
    "message_id": "de735c09069d3022", "sent": False, "from": {"email": MAIJA}, "to": [{"email": MATTI}], "cc": None,
    "time": "2024-03-04T10:00:00+02:00", "owner": {"id": USER}, "status": [{"type": "received"}],
}  # fmt: skip


def page(folder: Path, *records: dict[str, Any], key: str = "data") -> Path:
    return document(folder, "page.json", {key: list(records), "info": {"more_records": False}})


def test_the_interface_traces_a_call_and_a_mail_and_leaves_another_call_bypassed(tmp_path: Path) -> None:
    paths = corpus("zoho", tmp_path)
    found = read(SOURCE, [path for name, path in paths.items() if name.endswith(".json")])
    customer = phone(NUMBER)

    ends = outcomes(
        found,
        call("pbx:1", "09:00", 600, customer=customer),
        call("pbx:2", datetime(2024, 3, 12, 9), 600, customer=customer),
        email("mail:1", "08:00", address(MAIJA), [str(address(MATTI))]),
    )

    assert letters(found) == []
    assert ends == [
        ("traced", None, "same_representative"), ("traced", None, "same_representative"),
        ("bypassed", "not_logged", None),
    ]  # fmt: skip


def test_a_call_is_logged_when_it_was_created_or_took_place_and_an_attempt_is_none(tmp_path: Path) -> None:
    found = read(SOURCE, [corpus("zoho", tmp_path)["Calls.json"]])

    times = {row["activity_id"][-1]: (row["logged_from"], row["deleted"]) for row in rows(found, "activity")}

    assert times == {
        "1": (datetime(2024, 3, 4, 9, 12), False),
        "2": (datetime(2024, 3, 5, 12), False),
        "3": (datetime(2024, 3, 5, 7, 5), False),
        "4": (datetime(2024, 3, 6, 7, 5), True),
        "5": (datetime(2024, 3, 6, 7, 11), True),
    }
    assert "2 of its records were deleted, canceled, not sent or reached nobody" in warnings(found)[-1]


@pytest.mark.parametrize(
    ("fields", "contacts", "accounts"),
    [
        ({}, [CONTACT], []),
        ({"What_Id": {"id": ACCOUNT}, "$se_module": "Accounts"}, [CONTACT], [ACCOUNT]),
        ({"Who_Id": None, "What_Id": {"id": LEAD}, "$se_module": "Leads"}, [LEAD], []),
        ({"Who_Id": None, "What_Id": {"id": "365239"}, "$se_module": "Deals"}, [], []),
        ({"Who_Id": {"name": "Maija"}}, [], []),
    ],
)
def test_an_activity_is_tied_to_whom_its_lookups_lead(
    tmp_path: Path, fields: dict[str, Any], contacts: list[str], accounts: list[str]
) -> None:
    found = activity(read(SOURCE, [page(tmp_path, {**A_CALL, **fields})]))

    assert (found["contact_ids"], found["account_ids"]) == (contacts, accounts)


def test_a_meeting_has_its_invited_contacts_and_a_note_its_parent(tmp_path: Path) -> None:
    paths = corpus("zoho", tmp_path)

    assert activity(read(SOURCE, [paths["Events.json"]]))["contact_ids"] == [CONTACT]
    assert activity(read(SOURCE, [paths["Notes.json"]]))["contact_ids"] == [CONTACT]


def test_an_email_belongs_to_the_record_that_it_is_linked_to_or_to_those_with_its_addresses(tmp_path: Path) -> None:
    found = read(SOURCE, [corpus("zoho", tmp_path)["Emails.json"]])

    kept = [row for row in rows(found, "activity") if not row["deleted"]]

    assert [(row["contact_ids"], row["direction"], row["keys"]) for row in kept] == [
        ([CONTACT], "inbound", []), ([OTHER], "inbound", []), ([OTHER], "outbound", []),
    ]  # fmt: skip


def test_an_email_that_two_records_are_linked_to_counts_on_each(tmp_path: Path) -> None:
    linked = [
        {**A_MAIL, "linked_record": {"id": other, "module": {"api_name": "Contacts"}}} for other in (CONTACT, OTHER)
    ]

    found = rows(read(SOURCE, [page(tmp_path, *linked, key="Emails")]), "activity")

    assert len({row["activity_id"] for row in found}) == 2
    assert [row["contact_ids"] for row in found] == [[CONTACT], [OTHER]]


def test_zohos_own_id_of_an_email_is_no_key_and_a_message_id_is(tmp_path: Path) -> None:
    own, real = (
        activity(read(SOURCE, [page(tmp_path, {**A_MAIL, "id": "1", "message_id": message}, key="Emails")]))
        for message in ("de735c09069d3022", "<A1.b2@mail.example>")
    )

    assert (own["keys"], real["keys"]) == ([], [masked_key("A1.b2@mail.example")])


def test_a_backup_gives_the_ids_of_the_interface_and_times_in_the_zone_of_the_source(tmp_path: Path) -> None:
    paths = corpus("zoho", tmp_path)

    found = read(SOURCE, [paths["Calls_001.csv"], paths["Contacts_001.csv"]])

    assert activity(found)["activity_id"] == "3652397000000001011"
    assert activity(found)["logged_from"] == datetime(2024, 3, 4, 13, 12)
    assert (activity(found)["contact_ids"], activity(found)["owner_id"]) == ([CONTACT], USER)
    (contact,) = rows(found, "contact")
    assert (contact["contact_id"], contact["account_id"]) == (CONTACT, ACCOUNT)
    assert set(contact["tokens"]) == {phone(NUMBER), phone("+35897654321"), address(MAIJA)}


def test_a_lead_that_was_converted_is_its_accounts(tmp_path: Path) -> None:
    (found,) = rows(read(SOURCE, [corpus("zoho", tmp_path)["Leads.json"]]), "contact")

    assert (found["contact_id"], found["account_id"]) == (LEAD, "3652397000000000901")


def test_a_telephone_systems_own_id_is_a_key(tmp_path: Path) -> None:
    path = page(tmp_path, {**A_CALL, "Telephony_External_ID__s": "1709543.7"})
    other = table(tmp_path, "calls.csv", {
        "Record Id": "zcrm_1", "Call Type": "Inbound", "Call Start Time": "2024-03-04 11:00:00", "PBX": "1709543.8",
        "Created Time": "2024-03-04 11:12:00", "Modified Time": "2024-03-04 11:12:00",
    })  # fmt: skip

    assert activity(read(SOURCE, [path]))["keys"] == ["1709543.7"]
    assert activity(read(SOURCE, [other], mapping={"Telephony_External_ID__s": "PBX"}))["keys"] == ["1709543.8"]


def test_what_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    found = read(SOURCE, [page(tmp_path, {**A_CALL, "id": None}, {**A_CALL, "Created_Time": None})])

    assert [letter.reason for letter in letters(found)] == [
        "id: missing; every record of Calls has one",
        "Created_Time: missing; nothing says when it was logged",
    ]
    with pytest.raises(ConfigurationError, match="cannot be told to hold a module of Zoho CRM; export all of its"):
        read(SOURCE, [page(tmp_path, {"id": "1"})])


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    assert_survives_damage(SOURCE, tmp_path, data)
