"""Pipedrive: both versions of its interface, and the lists that people export."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.sources.message_headers import masked_key
from pipeline.sources.pipedrive import SOURCE
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

A_CALL = {
    "id": 1, "type": "call", "subject": "secret", "done": True, "due_date": "2024-03-04", "user_id": 2, "person_id": 8,
    "org_id": 7, "add_time": "2024-03-04 09:12:00", "update_time": "2024-03-04 09:12:00",
    "marked_as_done_time": "2024-03-04 09:12:00", "participants": [],
}  # fmt: skip


def page(folder: Path, *records: dict[str, Any], name: str = "page.json") -> Path:
    return document(folder, name, {"success": True, "data": list(records), "additional_data": {}})


def test_the_interface_traces_a_call_and_a_mail_and_leaves_another_call_bypassed(tmp_path: Path) -> None:
    paths = corpus("pipedrive", tmp_path)
    found = read(SOURCE, [path for name, path in paths.items() if name.endswith(".json")])
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


def test_an_activity_is_logged_when_it_was_created_or_marked_as_done(tmp_path: Path) -> None:
    found = read(SOURCE, [corpus("pipedrive", tmp_path)["activities.json"]])

    told = {row["activity_id"]: (row["kind"], row["logged_from"], row["deleted"]) for row in rows(found, "activity")}

    assert told == {
        "activity:1": ("call", datetime(2024, 3, 4, 9, 12, 1), False),
        "activity:2": ("call", datetime(2024, 3, 5, 12, 20), False),
        "activity:3": ("call", datetime(2024, 3, 5, 7, 5), False),
        "activity:4": ("call", datetime(2024, 3, 6, 7, 5, 30), True),
        "activity:5": ("meeting", datetime(2024, 3, 8, 13), False),
        "activity:6": ("task", datetime(2024, 3, 18, 6), False),
        "activity:7": ("other", datetime(2024, 3, 7, 6), False),
    }
    assert "1 of its records were deleted, canceled, not sent or reached nobody" in warnings(found)[-1]


def test_an_activity_has_its_person_its_participants_and_its_organisation(tmp_path: Path) -> None:
    record = {**A_CALL, "participants": [{"person_id": 9, "primary_flag": False}], "org_id": {"name": "C", "value": 7}}

    found = activity(read(SOURCE, [page(tmp_path, record)]))

    assert (found["contact_ids"], found["account_ids"]) == (["person:8", "person:9"], ["organization:7"])


def test_both_versions_of_the_interface_tell_the_same(tmp_path: Path) -> None:
    newer = {name: value for name, value in A_CALL.items() if name != "user_id"}
    newer = {**newer, "owner_id": 2, "is_deleted": False, "add_time": "2024-03-04T09:12:00Z",
             "update_time": "2024-03-04T09:12:00Z", "marked_as_done_time": "2024-03-04T09:12:00Z"}  # fmt: skip

    first = activity(read(SOURCE, [page(tmp_path, A_CALL)]))
    second = activity(read(SOURCE, [page(tmp_path, newer)]))

    assert first == second


def test_persons_of_both_versions_have_their_numbers_addresses_and_organisation(tmp_path: Path) -> None:
    paths = corpus("pipedrive", tmp_path)

    maija, gone = rows(read(SOURCE, [paths["persons.json"]]), "contact")
    (leena,) = rows(read(SOURCE, [paths["persons_v2.json"]]), "contact")

    assert set(maija["tokens"]) == {phone(NUMBER), phone("+35897654321"), address(MAIJA)}
    assert (maija["account_id"], gone["deleted"]) == ("organization:7", True)
    assert leena["tokens"] == [address("leena@customer.example")]


def test_a_mail_belongs_to_linked_persons_or_to_those_with_its_addresses_and_a_draft_is_none(tmp_path: Path) -> None:
    found = read(SOURCE, [corpus("pipedrive", tmp_path)["mail_messages.json"]])

    kept = {
        row["activity_id"]: (row["contact_ids"], row["keys"], row["direction"])
        for row in rows(found, "activity")
        if not row["deleted"]
    }

    assert kept == {
        "mail:101:person:8": (["person:8"], [masked_key("A1.b2@mail.example")], "inbound"),
        "mail:101:person:9": (["person:9"], [masked_key("A1.b2@mail.example")], "inbound"),
        "mail:102": (["person:9"], [masked_key("c3@mail.example")], "outbound"),
    }


def test_exported_lists_are_in_the_zone_of_the_source(tmp_path: Path) -> None:
    paths = corpus("pipedrive", tmp_path)

    found = read(SOURCE, [paths["activities-list.csv"], paths["people-list.csv"], paths["organizations-list.csv"]])

    assert activity(found)["logged_from"] == datetime(2024, 3, 4, 13, 12)
    assert (activity(found)["contact_ids"], activity(found)["kind"]) == (["person:8"], "call")
    (person,), (organisation,) = rows(found, "contact"), rows(found, "account")
    assert set(person["tokens"]) == {
        phone(NUMBER), phone("+35897654321"), phone("+35897654322"), address(MAIJA),
    }  # fmt: skip
    assert (person["account_id"], organisation["account_id"]) == ("organization:7", "organization:7")


def test_an_activity_of_a_list_without_ids_is_tied_to_nobody_and_says_so(tmp_path: Path) -> None:
    path = table(tmp_path, "list.csv", {
        "Activity - Subject": "x", "Activity - ID": "1", "Activity - Type": "Call", "Activity - Add time": "2024-03-04",
        "Person - Name": "Maija",
    })  # fmt: skip

    found = read(SOURCE, [path])

    assert (activity(found)["contact_ids"], activity(found)["precision"]) == ([], "day")
    assert "1 of its 1 activities are tied to no customer; export the ids" in warnings(found)[0]


def test_deals_are_told_and_passed_over(tmp_path: Path) -> None:
    path = page(tmp_path, {"id": 1, "title": "x", "stage_id": 1, "pipeline_id": 1, "person_id": 8})

    found = read(SOURCE, [path])

    assert parsing.recognised(path) == "pipedrive"
    assert "it says nothing of interactions and gives nothing" in warnings(found)[-1]


def test_a_telephone_systems_own_id_is_a_key_when_a_mapping_names_its_field(tmp_path: Path) -> None:
    path = page(tmp_path, {**A_CALL, "aircall_id": "1709543.7"})

    assert activity(read(SOURCE, [path], mapping={"call_id": "aircall_id"}))["keys"] == ["1709543.7"]


def test_what_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    timeless = {**A_CALL, "add_time": "", "marked_as_done_time": ""}
    found = read(SOURCE, [page(tmp_path, {**A_CALL, "id": None}, timeless)])

    assert [letter.reason for letter in letters(found)] == [
        "id: missing; every activity has one",
        "add_time: missing; nothing says when it was logged",
    ]
    with pytest.raises(ConfigurationError, match="no column 'id'; export it too"):
        read(SOURCE, [table(tmp_path, "people.csv", {"Person - Name": "Maija", "Person - Owner": "Matti"})])


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    assert_survives_damage(SOURCE, tmp_path, data)
