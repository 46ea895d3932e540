"""EspoCRM: its interface, its exported lists and its database tell the same company."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.sources.crm_columns import Columns
from pipeline.sources.crm_modules import untied
from pipeline.sources.crm_values import Clock
from pipeline.sources.espocrm import SOURCE
from pipeline.sources.espocrm_records import FIELDS, told
from tests import parsing
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

ACCOUNT, CONTACT, OTHER = "65f0a1b2c3d4e5900", "65f0a1b2c3d4e5501", "65f0a1b2c3d4e5502"
A_CALL = {
    "id": "65f0a1b2c3d4e5101", "createdAt": "2024-03-04 09:12:00", "modifiedAt": "2024-03-04 09:12:00",
    "createdById": "1", "assignedUserId": "2", "status": "Held", "direction": "Outbound",
    "dateStart": "2024-03-04 09:00:00", "parentType": "Contact", "parentId": CONTACT,
}  # fmt: skip


def page(folder: Path, name: str, *records: dict[str, Any]) -> Path:
    return document(folder, name, {"total": len(records), "list": list(records)})


def test_answers_of_the_interface_trace_a_call_and_a_mail_and_leave_another_call_bypassed(tmp_path: Path) -> None:
    found = read(SOURCE, corpus("espocrm", tmp_path).values())
    customer = phone(NUMBER)

    ends = outcomes(
        found,
        call("pbx:1", "09:00", 600, customer=customer),
        call("pbx:2", datetime(2024, 3, 12, 9), 600, customer=customer),
        email("mail:1", "08:00", address(MAIJA), [str(address(MATTI))], message_id="A1.b2@mail.example"),
    )

    assert letters(found) == []
    assert ends == [
        ("traced", None, "exact"), ("traced", None, "same_representative"), ("bypassed", "not_logged", None),
    ]  # fmt: skip


def test_a_call_is_logged_when_it_was_created_and_a_planned_one_when_it_was_held(tmp_path: Path) -> None:
    found = read(SOURCE, [corpus("espocrm", tmp_path)["calls.json"]])

    times = {row["activity_id"][-1]: (row["logged_from"], row["deleted"]) for row in rows(found, "activity")}

    assert times == {
        "1": (datetime(2024, 3, 4, 9, 12), False),
        "2": (datetime(2024, 3, 5, 12, 15), False),
        "3": (datetime(2024, 3, 5, 7, 5), False),
        "4": (datetime(2024, 3, 6, 7, 5), True),
        "5": (datetime(2024, 3, 6, 9, 7), True),
    }
    assert "2 of its records were deleted, canceled, not sent or reached nobody" in warnings(found)[-1]


def test_an_activity_has_its_contacts_its_parent_and_its_account(tmp_path: Path) -> None:
    found = read(SOURCE, [corpus("espocrm", tmp_path)["calls.json"]])

    tied = {row["activity_id"][-1]: (row["contact_ids"], row["account_ids"]) for row in rows(found, "activity")}

    assert tied["1"] == ([CONTACT], [ACCOUNT])
    assert tied["2"] == ([OTHER], [])
    assert tied["3"] == ([OTHER], [])


def test_a_table_of_pairs_ties_where_the_interface_was_not_asked(tmp_path: Path) -> None:
    lone = {name: value for name, value in A_CALL.items() if not name.startswith("parent")}
    path = page(tmp_path, "calls.json", lone)
    before = warnings(read(SOURCE, [path]))
    pair = {"id": "1", "call_id": A_CALL["id"], "contact_id": CONTACT, "status": "None", "deleted": "0"}
    table(tmp_path, "call_contact.csv", pair)

    assert "1 of its 1 activities are tied to no customer; ask for contactsIds" in before[0]
    assert activity(read(SOURCE, [path]))["contact_ids"] == [CONTACT]


def test_an_email_belongs_to_the_contacts_whose_addresses_it_names(tmp_path: Path) -> None:
    found = read(SOURCE, [corpus("espocrm", tmp_path)["emails.json"]])

    kept = [row for row in rows(found, "activity") if not row["deleted"]]

    assert sorted(row["contact_ids"][0] for row in kept) == [CONTACT, OTHER]
    assert {row["logged_from"] for row in kept} == {datetime(2024, 3, 4, 8)}


def test_an_email_that_was_written_down_without_a_message_id_counts_when_that_was_done(tmp_path: Path) -> None:
    mail = {
        "id": "e1", "createdAt": "2024-03-04 10:30:00", "modifiedAt": "2024-03-04 10:30:00", "assignedUserId": "2",
        "status": "Sent", "messageId": None, "dateSent": "2024-03-01 08:00:00", "isReplied": False,
        "to": MAIJA, "from": MATTI, "parentType": "Case", "parentId": "k1",
    }  # fmt: skip

    found = activity(read(SOURCE, [page(tmp_path, "emails.json", mail)]))

    assert (found["kind"], found["tokens"], found["direction"]) == ("ticket", [address(MAIJA)], "outbound")
    assert found["logged_from"] == datetime(2024, 3, 4, 10, 30)


def test_a_contact_has_all_its_numbers_and_addresses(tmp_path: Path) -> None:
    paths = corpus("espocrm", tmp_path)

    first, second = rows(read(SOURCE, [paths["contacts.json"]]), "contact")
    (exported,) = rows(read(SOURCE, [paths["Export_Contact.csv"]]), "contact")

    assert set(first["tokens"]) == {phone(NUMBER), phone("+35897654321"), address(MAIJA)}
    assert set(second["tokens"]) == {
        phone("+358445556667"), address("leena@customer.example"), address("leena.k@customer.example"),
    }  # fmt: skip
    assert set(exported["tokens"]) == {phone(NUMBER), address(MAIJA)}


def test_of_the_stream_only_posts_are_notes(tmp_path: Path) -> None:
    found = read(SOURCE, [corpus("espocrm", tmp_path)["stream.json"]])

    assert [(row["kind"], row["contact_ids"]) for row in rows(found, "activity")] == [("note", [CONTACT])]


def test_a_row_of_the_database_tells_the_same_as_the_interface(tmp_path: Path) -> None:
    row = {
        "id": A_CALL["id"], "created_at": datetime(2024, 3, 4, 9, 12, tzinfo=UTC), "status": "Held", "deleted": 0,
        "direction": "Outbound", "parent_type": "Contact", "parent_id": CONTACT, "assigned_user_id": "2",
    }  # fmt: skip

    (record,) = told("Call", Columns(FIELDS, {}).values(row), Clock(parsing.context(tmp_path / "x")), untied)

    of_file = activity(read(SOURCE, [page(tmp_path, "calls.json", A_CALL)]))
    assert record["logged_at"].replace(tzinfo=None) == of_file["logged_from"]
    assert (record["contact_ids"], record["owner_id"]) == (of_file["contact_ids"], of_file["owner_id"])


def test_a_telephone_systems_own_id_is_a_key_when_a_mapping_names_its_attribute(tmp_path: Path) -> None:
    path = page(tmp_path, "calls.json", {**A_CALL, "voipUniqueid": "1709543.7"})

    assert activity(read(SOURCE, [path], mapping={"call_id": "voipUniqueid"}))["keys"] == ["1709543.7"]


def test_what_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    found = read(SOURCE, [page(tmp_path, "calls.json", {**A_CALL, "id": None}, {**A_CALL, "createdAt": None})])

    assert [letter.reason for letter in letters(found)] == [
        "id: missing; every Call has one",
        "createdAt: missing; nothing says when it was logged",
    ]
    with pytest.raises(ConfigurationError, match="cannot be told to hold an entity of EspoCRM; export all of its"):
        read(SOURCE, [page(tmp_path, "x.json", {"id": "1"})])


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    assert_survives_damage(SOURCE, tmp_path, data)
