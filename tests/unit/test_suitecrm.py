"""SuiteCRM and SugarCRM: tables of the database and exports of modules give the same records."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.crm_modules import untied
from pipeline.sources.crm_values import Clock
from pipeline.sources.message_headers import masked_key
from pipeline.sources.registry import Batch
from pipeline.sources.suitecrm import SOURCE
from pipeline.sources.suitecrm_records import told
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

CONTACT, OTHER = "c1a0e9c2-0000-4000-8000-000000000501", "c1a0e9c2-0000-4000-8000-000000000502"
ACCOUNT, USER = "a1a0e9c2-0000-4000-8000-000000000900", "u1a0e9c2-0000-4000-8000-000000000077"
CALL = "d0000001-0000-4000-8000-00000000000"
A_CALL = {
    "id": f"{CALL}1", "date_entered": "2024-03-04 09:12:00", "date_modified": "2024-03-04 09:12:00", "deleted": "0",
    "assigned_user_id": USER, "duration_hours": "0", "duration_minutes": "10", "status": "Held", "direction": "Inbound",
    "parent_type": "Contacts", "parent_id": CONTACT,
}  # fmt: skip


def test_tables_trace_a_call_and_a_mail_and_leave_another_call_bypassed(tmp_path: Path) -> None:
    found = read(SOURCE, corpus("suitecrm", tmp_path).values())
    customer = phone(NUMBER)

    ends = outcomes(
        found,
        call("pbx:1", "09:00", 600, customer=customer),
        call("pbx:2", datetime(2024, 3, 12, 9), 600, customer=customer, outbound=True),
        email("mail:1", "08:00", address(MAIJA), [str(address(MATTI))], message_id="A1.b2@mail.example"),
    )

    assert letters(found) == []
    assert ends == [
        ("traced", None, "exact"), ("traced", None, "same_representative"), ("bypassed", "not_logged", None),
    ]  # fmt: skip


def test_a_call_is_logged_when_it_was_created_and_a_planned_one_when_it_was_held(tmp_path: Path) -> None:
    found = read(SOURCE, [corpus("suitecrm", tmp_path)["calls.csv"]])

    times = {row["activity_id"][-1]: (row["logged_from"], row["deleted"]) for row in rows(found, "activity")}

    assert times == {
        "1": (datetime(2024, 3, 4, 9, 12), False),
        "2": (datetime(2024, 3, 5, 12, 15), False),
        "3": (datetime(2024, 3, 5, 7, 5), False),
        "4": (datetime(2024, 3, 6, 7, 5), True),
        "5": (datetime(2024, 3, 6, 9, 15), True),
    }
    assert "2 of its records were deleted, canceled, not sent or reached nobody" in warnings(found)[-1]


def test_an_activity_is_tied_by_its_parent_and_by_tables_of_pairs_that_are_not_deleted(tmp_path: Path) -> None:
    found = read(SOURCE, [corpus("suitecrm", tmp_path)["calls.csv"]])

    first, second = activity(found, activity_id=f"{CALL}1"), activity(found, activity_id=f"{CALL}2")

    assert (first["contact_ids"], first["account_ids"]) == ([CONTACT], [ACCOUNT])
    assert (second["contact_ids"], second["account_ids"]) == ([OTHER], [])


def test_a_contact_has_the_account_and_the_addresses_that_other_tables_give_it(tmp_path: Path) -> None:
    found = rows(read(SOURCE, [corpus("suitecrm", tmp_path)["contacts.csv"]]), "contact")

    assert [(row["contact_id"], row["account_id"], row["deleted"]) for row in found] == [
        (CONTACT, ACCOUNT, False), (OTHER, None, False), ("c1a0e9c2-0000-4000-8000-000000000503", None, True),
    ]  # fmt: skip
    assert set(found[0]["tokens"]) == {phone(NUMBER), phone("+35897654321"), address(MAIJA)}


def test_an_email_counts_at_its_own_time_for_each_contact_and_a_draft_is_none(tmp_path: Path) -> None:
    found = read(SOURCE, [corpus("suitecrm", tmp_path)["emails.csv"]])

    kept = [row for row in rows(found, "activity") if not row["deleted"]]

    assert [(row["contact_ids"], row["logged_from"], row["keys"]) for row in kept] == [
        ([other], datetime(2024, 3, 4, 8), [masked_key("A1.b2@mail.example")]) for other in (CONTACT, OTHER)
    ]


def test_an_email_on_a_case_that_no_customer_is_known_for_is_a_part_of_a_ticket(tmp_path: Path) -> None:
    mail = {
        "id": "f1", "date_entered": "2024-03-04 10:30:00", "date_modified": "2024-03-04 10:30:00", "deleted": "0",
        "assigned_user_id": USER, "intent": "pick", "type": "inbound", "status": "read", "parent_type": "Cases",
        "parent_id": "k1", "from_addr_name": f"Maija <{MAIJA}>",
    }  # fmt: skip

    found = activity(read(SOURCE, [table(tmp_path, "emails.csv", mail)]))

    assert (found["kind"], found["tokens"]) == ("ticket", [address(MAIJA)])


def test_the_table_of_texts_says_who_asked_in_an_email_on_a_case(tmp_path: Path) -> None:
    mail = {
        "id": "f1", "date_entered": "2024-03-04 10:30:00", "date_modified": "2024-03-04 10:30:00", "deleted": "0",
        "assigned_user_id": USER, "intent": "pick", "type": "inbound", "status": "read", "parent_type": "Cases",
        "parent_id": "k1",
    }  # fmt: skip
    text = {"email_id": "f1", "from_addr": f"Maija <{MAIJA}>", "to_addrs": "help@ours.example", "deleted": "0"}
    table(tmp_path, "emails_text.csv", text)

    found = activity(read(SOURCE, [table(tmp_path, "emails.csv", mail)]))

    assert (found["kind"], found["tokens"]) == ("ticket", [address(MAIJA)])


def test_a_case_and_what_is_logged_on_it_belong_to_the_cases_contacts(tmp_path: Path) -> None:
    case = {"id": "k1", "case_number": "17", "date_entered": "2024-03-09 06:00:00", "deleted": "0",
            "date_modified": "2024-03-09 06:00:00", "account_id": ""}  # fmt: skip
    cases = table(tmp_path, "cases.csv", case)
    table(tmp_path, "pairs.csv", {
        "id": "1", "contact_id": CONTACT, "case_id": "k1", "contact_role": "x", "date_modified": "x", "deleted": "0",
    })  # fmt: skip
    calls = table(tmp_path, "calls.csv", {**A_CALL, "parent_type": "Cases", "parent_id": "k1"})

    found = read(SOURCE, [cases, calls])

    assert [(row["kind"], row["contact_ids"]) for row in rows(found, "activity")] == [
        ("ticket", [CONTACT]), ("call", [CONTACT]),
    ]  # fmt: skip


def test_an_export_of_a_module_is_in_the_zone_of_who_made_it(tmp_path: Path) -> None:
    paths = corpus("suitecrm", tmp_path)

    found = read(SOURCE, [paths["Calls export.csv"], paths["Contacts export.csv"]])

    assert activity(found)["logged_from"] == datetime(2024, 3, 4, 9, 12)
    tokens = set(rows(found, "contact")[0]["tokens"])
    assert tokens == {phone(NUMBER), address(MAIJA), address("maija.v@customer.example")}


def test_an_export_in_the_format_of_a_user_needs_the_format_named(tmp_path: Path) -> None:
    row = {"ID": "d1", "Date Created": "03/04/2024 11:12", "Date Modified": "03/04/2024 11:12", "Deleted": "0",
           "Assigned User ID": USER, "Direction": "Inbound", "Duration Minutes": "5", "Status": "Held"}  # fmt: skip
    path = table(tmp_path, "calls.csv", row)

    refused = read(SOURCE, [path])
    found = read(SOURCE, [path], options={"date_format": "%m/%d/%Y %H:%M"})

    assert "a date that could be two: set options.date_format" in letters(refused)[0].reason
    assert activity(found)["logged_from"] == datetime(2024, 3, 4, 9, 12)


def test_a_row_of_the_database_tells_the_same_as_one_of_a_file(tmp_path: Path) -> None:
    row = {**A_CALL, "date_entered": datetime(2024, 3, 4, 9, 12, tzinfo=UTC), "deleted": 0}

    (record,) = told("calls", row, Clock(parsing.context(tmp_path / "x")), untied)

    of_file = activity(read(SOURCE, [table(tmp_path, "calls.csv", A_CALL)]))
    assert record["logged_at"].replace(tzinfo=None) == of_file["logged_from"]
    assert (record["contact_ids"], record["owner_id"]) == (of_file["contact_ids"], of_file["owner_id"])


def test_a_telephone_systems_own_id_is_a_key_when_a_mapping_names_its_column(tmp_path: Path) -> None:
    path = table(tmp_path, "calls.csv", {**A_CALL, "asterisk_call_id_c": "1709543.7"})

    assert activity(read(SOURCE, [path], mapping={"call_id": "asterisk_call_id_c"}))["keys"] == ["1709543.7"]


def test_what_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    lost = {name: value for name, value in A_CALL.items() if name != "id"}
    unknown = table(tmp_path, "unknown.csv", {"a": "1", "b": "2"})

    with pytest.raises(ConfigurationError, match=r"no column 'id'; export it too, or if another one says it"):
        read(SOURCE, [table(tmp_path, "calls.csv", lost)])
    with pytest.raises(ConfigurationError, match="cannot be told to hold a module of SuiteCRM or SugarCRM; export all"):
        read(SOURCE, [unknown])
    with pytest.raises(ConfigurationError, match="object is 'deals'; expected one of calls, meetings"):
        read(SOURCE, [unknown], options={"object": "deals"})
    with pytest.raises(ConfigurationError, match="did you mean 'call_id'"):
        read(SOURCE, [table(tmp_path, "calls.csv", A_CALL)], mapping={"callid": "x"})


def test_a_record_without_an_id_or_a_time_is_a_dead_letter_that_shows_nothing(tmp_path: Path) -> None:
    found = read(SOURCE, [table(tmp_path, "calls.csv", A_CALL, {**A_CALL, "id": ""},
                                {**A_CALL, "date_entered": "yesterday", "phone_work": NUMBER})])  # fmt: skip

    assert [letter.reason for letter in letters(found)] == [
        "id: missing; every record of calls has one",
        "date_entered: expected a date and time such as 2024-05-02T09:15:04+03:00 or 2.5.2024 9:15",
    ]
    assert not any("1234567" in letter.raw_text for letter in letters(found))


def test_records_of_the_interface_as_json_are_read_too(tmp_path: Path) -> None:
    path = document(tmp_path, "calls.json", {"records": [A_CALL], "next_offset": -1})

    assert parsing.recognised(path) == "suitecrm"
    assert activity(read(SOURCE, [path]))["contact_ids"] == [CONTACT]


def test_a_damaged_table_beside_a_file_is_told_of(tmp_path: Path) -> None:
    calls = table(tmp_path, "calls.csv", A_CALL)
    row = b'{"call_id":"d1","contact_id":"c1","accept_status":"none","date_modified":"x","deleted":0}'
    (tmp_path / "pairs.json").write_bytes(b"[" + row + b",{")

    assert any("pairs.json could not be read to its end" in each for each in warnings(read(SOURCE, [calls])))


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    assert_survives_damage(SOURCE, tmp_path, data)


def test_a_cut_document_gives_what_is_before_the_cut(tmp_path: Path) -> None:
    whole = document(tmp_path, "calls.json", [A_CALL, A_CALL]).read_bytes()
    path = tmp_path / "cut.json"
    path.write_bytes(whole[:-40])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert len(rows(found, "activity")) == 1
