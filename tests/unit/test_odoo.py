"""Odoo: its interface, its exported lists and its database tell the same company."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.sources.crm_modules import untied
from pipeline.sources.crm_values import Clock
from pipeline.sources.message_headers import masked_key
from pipeline.sources.odoo import SOURCE
from pipeline.sources.odoo_records import told
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
    "id": 21, "partner_id": [8, "Maija"], "partner_phone": "040 1234567", "state": "done", "direction": "in",
    "create_date": "2024-03-04 09:12:00", "write_date": "2024-03-04 09:12:00", "user_id": [2, "Matti"],
    "opportunity_id": False, "date_closed": False, "create_uid": [2, "Matti"],
}  # fmt: skip
A_MESSAGE = {
    "id": 101, "model": "res.partner", "res_id": 8, "message_type": "comment", "subtype_id": [1, "Discussions"],
    "is_internal": False, "mail_activity_type_id": False, "author_id": [3, "Matti"], "email_from": MATTI,
    "partner_ids": [], "message_id": "<1@odoo.example>", "create_uid": [2, "Matti"],
    "create_date": "2024-03-04 09:12:00", "date": "2024-03-04 09:11:00",
}  # fmt: skip


def records(folder: Path, *values: dict[str, Any], name: str = "records.json") -> Path:
    return document(folder, name, {"jsonrpc": "2.0", "id": 1, "result": list(values)})


def message(folder: Path, **fields: Any) -> dict[str, Any]:
    return activity(read(SOURCE, [records(folder, {**A_MESSAGE, **fields})]))


def test_a_done_activity_and_a_mail_trace_and_another_call_is_bypassed(tmp_path: Path) -> None:
    paths = corpus("odoo", tmp_path)
    names = ("res_partner.json", "res_users.json", "crm_lead.json", "mail_message.json", "mail_activity.json")
    found = read(SOURCE, [paths[name] for name in names])
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


def test_phone_calls_are_logged_when_created_or_closed_as_held(tmp_path: Path) -> None:
    found = read(SOURCE, [corpus("odoo", tmp_path)["crm_phonecall.json"]])

    times = {row["activity_id"]: (row["logged_from"], row["deleted"]) for row in rows(found, "activity")}

    assert times == {
        "crm.phonecall,21": (datetime(2024, 3, 4, 11, 12, 30), False),
        "crm.phonecall,22": (datetime(2024, 3, 5, 12, 20), False),
        "crm.phonecall,23": (datetime(2024, 3, 5, 7, 5), False),
        "crm.phonecall,24": (datetime(2024, 3, 6, 7, 5), True),
    }
    assert "1 of its records were deleted, canceled, not sent or reached nobody" in warnings(found)[-1]


def test_a_company_is_found_as_a_contact_and_as_an_account(tmp_path: Path) -> None:
    found = read(SOURCE, [corpus("odoo", tmp_path)["res_partner.json"]])

    (account,) = rows(found, "account")
    contacts = {row["contact_id"]: row["account_id"] for row in rows(found, "contact")}

    assert (account["account_id"], account["segment"]) == ("res.partner,7", "Forestry")
    assert contacts == {"res.partner,7": "res.partner,7", "res.partner,8": "res.partner,7", "res.partner,9": None}


def test_what_is_logged_on_a_lead_belongs_to_its_partner_when_it_has_one(tmp_path: Path) -> None:
    paths = corpus("odoo", tmp_path)

    found = read(SOURCE, [paths["mail_message.json"], paths["crm_phonecall.json"]])

    assert activity(found, activity_id="mail.message,103")["contact_ids"] == ["res.partner,8"]
    assert activity(found, activity_id="crm.phonecall,22")["contact_ids"] == ["crm.lead,4"]


@pytest.mark.parametrize(
    ("fields", "kind", "direction"),
    [
        ({"message_type": "email"}, "email", "inbound"),
        ({}, "email", None),
        ({"is_internal": True}, "note", None),
        ({"subtype_id": [2, "Note"]}, "note", None),
        ({"message_type": "sms"}, "sms", None),
        ({"message_type": "notification", "mail_activity_type_id": [2, "Call"]}, "call", None),
        ({"message_type": "notification", "mail_activity_type_id": [3, "Meeting"]}, "meeting", None),
        ({"message_type": "notification", "mail_activity_type_id": [9, "Soitto"]}, "other", None),
    ],
)
def test_a_message_is_what_it_says(tmp_path: Path, fields: dict[str, Any], kind: str, direction: str | None) -> None:
    found = message(tmp_path, **fields)

    assert (found["kind"], found["direction"]) == (kind, direction)


@pytest.mark.parametrize(
    "fields",
    [{"message_type": "notification"}, {"message_type": "email_outgoing"}, {"message_type": "user_notification"},
     {"model": "discuss.channel"}],
)  # fmt: skip
def test_changes_mailings_and_channels_tell_nothing(tmp_path: Path, fields: dict[str, Any]) -> None:
    found = read(SOURCE, [records(tmp_path, {**A_MESSAGE, **fields})])

    assert rows(found, "activity") == []
    assert "1 of its records tell of no conversation" in warnings(found)[0]


def test_only_a_mail_counts_at_its_own_time_and_carries_its_message_id(tmp_path: Path) -> None:
    mail, note = message(tmp_path), message(tmp_path, is_internal=True)

    assert (mail["logged_from"], mail["keys"]) == (datetime(2024, 3, 4, 9, 11), [masked_key("1@odoo.example")])
    assert (note["logged_from"], note["keys"]) == (datetime(2024, 3, 4, 9, 12), [])


def test_a_mail_on_another_record_belongs_to_those_that_it_names(tmp_path: Path) -> None:
    sent = message(tmp_path, model="sale.order", res_id=5, partner_ids=[9])
    came = message(tmp_path, model="sale.order", res_id=5, message_type="email", author_id=[8, "Maija"])

    assert (sent["contact_ids"], sent["owner_id"]) == (["res.partner,9"], "2")
    assert (came["contact_ids"], came["owner_id"]) == (["res.partner,8"], None)


def test_a_mail_of_an_unknown_author_is_found_by_its_address_in_the_partners(tmp_path: Path) -> None:
    corpus("odoo", tmp_path)

    found = message(tmp_path, model="sale.order", message_type="email", author_id=False, email_from=f"M <{MAIJA}>")

    assert found["contact_ids"] == ["res.partner,8"]


def test_a_planned_activity_is_a_task_and_is_taken_back_when_it_was_done(tmp_path: Path) -> None:
    found = rows(read(SOURCE, [corpus("odoo", tmp_path)["mail_activity.json"]]), "activity")

    assert [(row["kind"], row["deleted"]) for row in found] == [("task", False), ("task", True)]


def test_a_type_of_activity_is_told_by_its_category_in_any_language(tmp_path: Path) -> None:
    kinds = [
        {"id": 2, "name": "Soitto", "category": "phonecall", "delay_unit": "days"},
        {"id": 4, "name": "Tehtävä", "category": "default", "delay_unit": "days"},
        {"id": 5, "name": {"en_US": "Email", "fi_FI": "Sähköposti"}, "category": "default", "delay_unit": "days"},
    ]
    records(tmp_path, *kinds, name="types.json")

    found = [
        message(tmp_path, message_type="notification", mail_activity_type_id=[number, name])["kind"]
        for number, name in ((2, "Soitto"), (4, "Tehtävä"), (5, "Sähköposti"))
    ]

    assert found == ["call", "task", "email"]


def test_a_note_is_told_by_its_subtype_in_any_language(tmp_path: Path) -> None:
    subtypes = ({"id": number, "internal": number == 2, "hidden": False} for number in (1, 2))
    records(tmp_path, *subtypes, name="subtypes.json")

    kinds = [message(tmp_path, subtype_id=[number, "Aihe"])["kind"] for number in (1, 2)]

    assert kinds == ["email", "note"]


def test_the_table_of_recipients_says_whom_a_mail_went_to(tmp_path: Path) -> None:
    table(tmp_path, "mail_message_res_partner_rel.csv", {"mail_message_id": "101", "res_partner_id": "9"})

    assert message(tmp_path, model="sale.order")["contact_ids"] == ["res.partner,9"]


def test_a_meeting_counts_when_it_was_created_unless_it_is_archived(tmp_path: Path) -> None:
    user = {"id": 2, "login": MATTI, "partner_id": [3, "Matti"], "share": False}
    event = {"id": 1, "allday": False, "start": "2024-03-09 09:00:00", "create_date": "2024-03-04 09:12:00",
             "user_id": [2, "Matti"], "partner_ids": [3, 8], "active": True}  # fmt: skip
    archived = {**event, "id": 2, "active": False}
    on_lead = {**event, "id": 3, "partner_ids": [3], "res_model": "crm.lead", "res_id": 4}
    records(tmp_path, user, name="res_users.json")

    found = rows(read(SOURCE, [records(tmp_path, event, archived, on_lead, name="events.json")]), "activity")

    assert [(row["kind"], row["logged_from"], row["contact_ids"], row["deleted"]) for row in found] == [
        ("meeting", datetime(2024, 3, 4, 9, 12), ["res.partner,8"], False),
        ("meeting", datetime(2024, 3, 4, 9, 12), [], True),
        ("meeting", datetime(2024, 3, 4, 9, 12), ["crm.lead,4"], False),
    ]


def test_a_ticket_without_a_partner_has_only_who_asked(tmp_path: Path) -> None:
    ticket = {"id": 1, "team_id": [1, "Help"], "create_date": "2024-03-04 09:12:00", "user_id": [2, "Matti"]}
    tickets = (
        {**ticket, "partner_id": [8, "Maija"], "partner_email": MAIJA},
        {**ticket, "id": 2, "partner_email": MAIJA},
    )

    found = rows(read(SOURCE, [records(tmp_path, *tickets)]), "activity")

    assert [(row["activity_id"], row["kind"], row["contact_ids"], row["tokens"]) for row in found] == [
        ("helpdesk.ticket,1", "ticket", ["res.partner,8"], [address(MAIJA)]),
        ("helpdesk.ticket,2", "ticket", [], [address(MAIJA)]),
    ]


def test_the_company_itself_is_no_customer_and_a_customer_with_a_login_no_colleague(tmp_path: Path) -> None:
    records(tmp_path, {"id": 1, "partner_id": [1, "Acme"], "paperformat_id": [1, "A4"]}, name="res_company.json")
    guest = {"id": 5, "login": MAIJA, "partner_id": [8, "Maija"], "share": True}
    colleague = {"id": 2, "login": "matti", "partner_id": [3, "Matti"], "share": False}
    users = records(tmp_path, guest, colleague, name="res_users.json")
    us, matti = {"id": 1, "is_company": True}, {"id": 3, "is_company": False, "email": MATTI}
    partners = records(tmp_path, us, matti, {"id": 8, "is_company": False}, name="res_partner.json")

    found = read(SOURCE, [partners, users])

    assert [row["contact_id"] for row in rows(found, "contact")] == ["res.partner,8"]
    assert rows(found, "account") == []
    assert [(row["user_id"], row["email_token"]) for row in rows(found, "crm_user")] == [("2", address(MATTI))]


def test_colleagues_are_no_customers_and_own_what_they_wrote(tmp_path: Path) -> None:
    user = {"id": 2, "login": MATTI, "partner_id": [3, "Matti"], "share": False}
    partner = {"id": 3, "is_company": False, "email": MATTI, "write_date": "2024-01-01 08:00:00"}
    records(tmp_path, user, name="res_users.json")

    found = message(tmp_path, model="sale.order", partner_ids=[3, 9], create_uid=[1, "OdooBot"])
    partners = rows(read(SOURCE, [records(tmp_path, partner, name="res_partner.json")]), "contact")

    assert (found["contact_ids"], found["owner_id"], found["creator_id"]) == (["res.partner,9"], "2", "1")
    assert partners == []


def test_an_exported_list_is_in_the_zone_of_its_user_and_a_table_of_the_database_in_utc(tmp_path: Path) -> None:
    paths = corpus("odoo", tmp_path)

    exported = activity(read(SOURCE, [paths["crm.phonecall.csv"]]))
    stored = activity(read(SOURCE, [paths["crm_phonecall_table.csv"]]))

    assert (exported["activity_id"], exported["logged_from"]) == ("crm.phonecall,31", datetime(2024, 3, 4, 13, 12))
    assert (stored["activity_id"], stored["logged_from"]) == ("crm.phonecall,32", datetime(2024, 3, 4, 14, 13))
    assert exported["contact_ids"] == stored["contact_ids"] == ["res.partner,8"]


def test_names_of_records_are_no_ids_and_external_ids_of_others_are(tmp_path: Path) -> None:
    first = {"id": "base.main_partner", "is_company": "False", "parent_id": "Acme", "phone": "'+358401234567"}
    (found,) = rows(read(SOURCE, [table(tmp_path, "res.partner.csv", first)]), "contact")

    assert (found["contact_id"], found["account_id"]) == ("res.partner,base.main_partner", None)
    assert found["tokens"] == [phone(NUMBER)]


def test_a_row_of_the_database_tells_the_same_as_the_interface(tmp_path: Path) -> None:
    row = {"id": 21, "partner_id": 8, "state": "done", "create_date": datetime(2024, 3, 4, 9, 12, tzinfo=UTC),
           "user_id": 2, "create_uid": 2}  # fmt: skip

    (record,) = told("crm.phonecall", row, Clock(parsing.context(tmp_path / "x")), untied)

    of_file = activity(read(SOURCE, [records(tmp_path, A_CALL)]))
    assert record["logged_at"].replace(tzinfo=None) == of_file["logged_from"]
    assert (record["contact_ids"], record["owner_id"]) == (of_file["contact_ids"], of_file["owner_id"])


def test_a_telephone_systems_own_id_is_a_key_when_a_mapping_names_its_field(tmp_path: Path) -> None:
    path = records(tmp_path, {**A_CALL, "x_call_uid": "1709543.7"})

    assert activity(read(SOURCE, [path], mapping={"call_id": "x_call_uid"}))["keys"] == ["1709543.7"]


def test_what_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    found = read(SOURCE, [records(tmp_path, {**A_CALL, "id": False}, {**A_CALL, "create_date": False})])

    assert [letter.reason for letter in letters(found)] == [
        "id: missing; every crm.phonecall has one. An export of fields with lists has rows without",
        "create_date: missing; nothing says when it was logged",
    ]
    labels = {"ID": "1", "Name": "Maija", "Email": MAIJA, "Phone": NUMBER}
    with pytest.raises(ConfigurationError, match="export it with the names of its fields, not their labels"):
        read(SOURCE, [table(tmp_path, "Contact (res.partner).csv", labels)])


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    assert_survives_damage(SOURCE, tmp_path, data)
