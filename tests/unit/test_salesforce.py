"""What the records of each object of Salesforce become, and what becomes of bad ones."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.identifiers import Identifiers
from pipeline.sources.registry import Batch, ReadContext
from pipeline.sources.salesforce import BATCH_RECORDS, SOURCE
from pipeline.sources.salesforce_dialect import full_id

HELSINKI = ZoneInfo("Europe/Helsinki")
READ_AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
IDENTIFIERS = Identifiers(b"0123456789abcdef")

CONTACT, FIRM, USER = full_id("0038a00000Cccc1"), full_id("0018a00000Ffff1"), full_id("0058a00000Uuuu1")
NULL_ID = "000000000000000AAA"


def batches(
    tmp_path: Path,
    data: str | bytes,
    options: Mapping[str, Any] | None = None,
    mapping: Mapping[str, str] | None = None,
    name: str = "export.csv",
) -> list[Batch]:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    context = ReadContext("crm", name, HELSINKI, IDENTIFIERS, READ_AT, mapping or {}, options or {})
    return list(SOURCE.read(path, context))


def rows(read: list[Batch], kind: str) -> list[dict[str, Any]]:
    tables = [batch.facts[kind] for batch in read if kind in batch.facts]
    found: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist() if tables else []
    return found


def tasks(*records: Mapping[str, str], fields: str = "") -> str:
    """Return a Task export with a created time unless the record says otherwise."""
    names = ["Id", "Subject", "CreatedDate", *fields.split()]
    lines = [",".join(names)]
    for number, record in enumerate(records, 1):
        values = {"Id": full_id(f"00T8a00000A{number:04}"), "CreatedDate": "2026-03-02T12:00:00Z"} | dict(record)
        lines.append(",".join(values.get(name, "") for name in names))
    return "\n".join(lines) + "\n"


def token(identifier: str) -> str | None:
    reading = IDENTIFIERS.email(identifier) if "@" in identifier else IDENTIFIERS.phone(identifier)
    return reading.token


# What a task or event is


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({"TaskSubtype": "Call"}, "call"),
        ({"TaskSubtype": "Email", "CallType": "Outbound"}, "email"),
        ({"TaskSubtype": "ListEmail"}, "email"),
        ({"TaskSubtype": "LinkedIn"}, "social"),
        ({"TaskSubtype": "Task", "CallType": "Inbound"}, "call"),
        ({"TaskSubtype": "Task", "CallDurationInSeconds": "61"}, "call"),
        ({"CallObject": "1772454000.17"}, "call"),
        ({"CallDurationInSeconds": "0"}, "task"),
        ({"EmailMessageId": full_id("02s8a00000Eeee1"), "CallDurationInSeconds": "0"}, "email"),
        ({"EmailMessageId": NULL_ID}, "task"),
        ({"Type": "Call", "Subject": "Email: x"}, "call"),
        ({"Type": "Puhelin"}, "call"),
        ({"Type": "Phone call (outbound)"}, "call"),
        ({"Type": "Email"}, "email"),
        ({"Type": "Meeting", "Subject": "Call"}, "meeting"),
        ({"Type": "Other", "Subject": "Puhelu"}, "call"),
        ({"Type": "Other"}, "other"),
        ({"Subject": "Asiakaspuhelu"}, "call"),
        ({"Subject": "Email: offer"}, "email"),
        ({"Subject": "Product recall"}, "task"),
        ({}, "task"),
    ],
)
def test_kind_of_a_task_comes_from_the_best_field_that_says_it(
    tmp_path: Path, record: dict[str, str], kind: str
) -> None:
    fields = "TaskSubtype CallType CallDurationInSeconds CallObject EmailMessageId Type"

    assert [row["kind"] for row in rows(batches(tmp_path, tasks(record, fields=fields)), "activity")] == [kind]


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ("Quarterly review,,", "meeting"),
        ("Call with Maija,,", "call"),
        ("Review,Call,", "call"),
        ("Review,,Call", "call"),
        ("Review,Email,", "meeting"),
    ],
)
def test_event_is_a_meeting_unless_it_says_it_is_a_call(tmp_path: Path, record: str, kind: str) -> None:
    text = f"Id,Subject,Type,EventSubtype,CreatedDate\n{full_id('00U8a00000Aaaa1')},{record},2026-03-02T12:00:00Z\n"

    assert [row["kind"] for row in rows(batches(tmp_path, text), "activity")] == [kind]


def test_options_name_the_company_s_own_types_and_subjects(tmp_path: Path) -> None:
    text = tasks({"Type": "Kampanja"}, {"Subject": "Kontakti 12"}, fields="Type TaskSubtype")
    options = {"types": {"kampanja": "call"}, "call_subject": "^kontakti"}

    assert [row["kind"] for row in rows(batches(tmp_path, text, options), "activity")] == ["call", "call"]


@pytest.mark.parametrize(
    "options",
    [{"types": {"X": "phone call"}}, {"call_subject": "("}, {"phone_fields": 7}, {"object": "Opportunity"}],
)
def test_option_of_the_wrong_form_stops_the_run(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        batches(tmp_path, tasks({}, fields="TaskSubtype"), options)


# Whom it is tied to


def test_task_is_tied_to_its_contact_and_accounts_and_to_nothing_else(tmp_path: Path) -> None:
    other, case, deal = full_id("0018a00000Ffff2"), full_id("5008a00000Cccc1"), full_id("0068a00000Oooo1")
    text = tasks(
        {"WhoId": CONTACT, "AccountId": FIRM, "WhatId": deal},
        {"WhatId": other, "AccountId": FIRM},
        {"WhatId": case, "WhoId": NULL_ID},
        {"WhatId": FIRM, "AccountId": FIRM},
        fields="WhoId WhatId AccountId TaskSubtype",
    )

    activities = rows(batches(tmp_path, text), "activity")

    assert [(row["contact_ids"], row["account_ids"]) for row in activities] == [
        ([CONTACT], [FIRM]),
        ([], [FIRM, other]),
        ([], []),
        ([], [FIRM]),
    ]


def test_case_is_a_ticket_with_its_requester(tmp_path: Path) -> None:
    text = (
        "Id,CaseNumber,ContactId,AccountId,SuppliedEmail,SuppliedPhone,OwnerId,CreatedById,CreatedDate,IsDeleted\n"
        f"{full_id('5008a00000Cccc1')},1,{CONTACT},{FIRM},,,{USER},,2026-03-02T12:00:00Z,0\n"
        f"{full_id('5008a00000Cccc2')},2,,,maija@firm.example,040 555 1234,,{USER},2026-03-03T12:00:00Z,1\n"
    )

    tied, untied = rows(batches(tmp_path, text), "activity")

    assert (tied["kind"], tied["contact_ids"], tied["account_ids"], tied["tokens"]) == (
        "ticket",
        [CONTACT],
        [FIRM],
        [],
    )
    assert (tied["owner_id"], tied["logged_from"]) == (USER, datetime(2026, 3, 2, 12))
    assert untied["tokens"] == sorted([token("maija@firm.example") or "", token("0405551234") or ""])
    assert (untied["contact_ids"], untied["account_ids"], untied["deleted"]) == ([], [], True)


def test_converted_lead_belongs_to_the_account_it_became(tmp_path: Path) -> None:
    text = (
        "Id,Company,Email,IsConverted,ConvertedAccountId,ConvertedContactId\n"
        f"{full_id('00Q8a00000Llll1')},Oy,a@a.example,false,,\n"
        f"{full_id('00Q8a00000Llll2')},Oy,b@b.example,true,{FIRM},{CONTACT}\n"
        f"{full_id('00Q8a00000Llll3')},Oy,c@c.example,true,,{CONTACT}\n"
    )

    contacts = rows(batches(tmp_path, text), "contact")

    assert [row["account_id"] for row in contacts] == [None, FIRM, CONTACT]


def test_account_has_its_numbers_its_own_domain_and_a_segment(tmp_path: Path) -> None:
    text = (
        "Id,Name,Phone,Fax,Website,Industry,Type,Tier__c,PersonEmail,BillingCity\n"
        f"{FIRM},Firma,09 123 4567,,https://www.firm.example.com/fi,Energy,Customer,Gold,,Oulu\n"
        f"{full_id('0018a00000Ffff2')},Maija,,,gmail.com,,Customer,,maija@gmail.com,\n"
    )

    first, second = rows(batches(tmp_path, text), "account")
    third, _ = rows(batches(tmp_path, text, {"segment_field": "tier__c"}), "account")

    assert first["tokens"] == [token("091234567")]
    assert first["domains"] == [IDENTIFIERS.domain_token("example.com")]
    assert (first["segment"], second["segment"], third["segment"]) == ("Energy", "Customer", "Gold")
    assert (second["domains"], second["tokens"]) == ([], [token("maija@gmail.com")])


def test_user_is_known_by_the_address_or_else_by_a_user_name_that_is_one(tmp_path: Path) -> None:
    text = (
        "Id,Username,Email,ProfileId,UserRoleId\n"
        f"{USER},matti@firm.example.sandbox,Matti@firm.example,,\n"
        f"{full_id('0058a00000Uuuu2')},liisa@firm.example,,,\n"
        f"{full_id('0058a00000Uuuu3')},automatedprocess,,,\n"
    )

    users = rows(batches(tmp_path, text), "crm_user")

    assert [row["email_token"] for row in users] == [token("matti@firm.example"), token("liisa@firm.example"), None]


def test_further_columns_of_numbers_and_addresses_are_read_where_named(tmp_path: Path) -> None:
    text = f"Id,LastName,Direct_Line__c,Work_Email__c\n{CONTACT},V,0405551234,maija@firm.example\n"
    options = {"phone_fields": "Direct_Line__c", "email_fields": ["work_email__c", "not_here__c"]}

    assert rows(batches(tmp_path, text, options), "contact")[0]["tokens"] == sorted(
        [token("0405551234") or "", token("maija@firm.example") or ""]
    )


# When it was logged


def test_without_a_created_date_the_completion_counts_and_then_the_local_due_day(tmp_path: Path) -> None:
    text = tasks(
        {"CreatedDate": "", "CompletedDateTime": "2026-03-03 10:00:00", "ActivityDate": "2026-03-05"},
        {"CreatedDate": "", "ActivityDate": "2026-03-05 00:00:00"},
        {"CreatedDate": "2026-03-02", "ActivityDate": "2026-03-05"},
        fields="CompletedDateTime ActivityDate TaskSubtype",
    )

    logged = [
        (row["logged_from"], row["logged_to"], row["precision"]) for row in rows(batches(tmp_path, text), "activity")
    ]

    day = timedelta(days=1, microseconds=-1)
    assert logged == [
        (datetime(2026, 3, 3, 10), datetime(2026, 3, 3, 10), "second"),
        (datetime(2026, 3, 4, 22), datetime(2026, 3, 4, 22) + day, "day"),
        (datetime(2026, 3, 1, 22), datetime(2026, 3, 1, 22) + day, "day"),
    ]


def test_event_with_only_a_start_was_logged_on_its_local_day(tmp_path: Path) -> None:
    text = f"Id,Subject,StartDateTime,EventSubtype\n{full_id('00U8a00000Aaaa1')},x,2026-03-04T22:30:00Z,\n"

    (event,) = rows(batches(tmp_path, text), "activity")

    assert (event["logged_from"], event["precision"]) == (datetime(2026, 3, 4, 22), "day")


def test_feed_reaches_as_far_as_the_greatest_time_of_creation_or_change(tmp_path: Path) -> None:
    text = tasks(
        {"SystemModstamp": "2026-03-04T00:00:00Z"},
        {"CreatedDate": "2026-03-05T00:00:00Z"},
        {"SystemModstamp": "2027-01-01T00:00:00Z"},
        fields="SystemModstamp TaskSubtype",
    )

    read = batches(tmp_path, text)

    assert rows(read, "feed_progress") == [{"source": "crm", "complete_through": datetime(2026, 3, 5)}]


def test_contacts_say_nothing_about_how_far_the_feed_reaches(tmp_path: Path) -> None:
    text = f"Id,LastName,SystemModstamp\n{CONTACT},V,2026-03-05T00:00:00Z\n"

    assert rows(batches(tmp_path, text), "feed_progress") == []


def test_version_that_the_warehouse_superseded_gives_no_fact(tmp_path: Path) -> None:
    text = f"id,last_name,phone,_fivetran_active\n{CONTACT},V,0405551111,false\n{CONTACT},V,0405552222,true\n"

    read = batches(tmp_path, text)

    assert [row["tokens"] for row in rows(read, "contact")] == [[token("0405552222")]]
    assert sum(batch.record_count for batch in read) == 2


# What cannot be used


def test_bad_records_become_dead_letters_and_their_neighbours_live(tmp_path: Path) -> None:
    good = full_id("00T8a00000A0001")
    text = (
        "Id,Subject,CreatedDate,Description\n"
        f"{good},ok,2026-03-02T12:00:00Z,fine\n"
        ",Soita 0405551234,2026-03-02T12:00:00Z,no id\n"
        f"{good},x,2026-03-02T12:00:00Z\n"
        f"{good},x,2026-03-02T12:00:00Z,one,too many\n"
        f'{good},x,2026-03-02T12:00:00Z,"a stray mark\n'
        f"{good},x,02.03.2026 12:00,\n"
        f"{good},x,2026-03-12T12:00:00Z,after tomorrow\n"
        f"{good},x,,nothing says when\n"
        f'{good},ok,2026-03-02T12:00:00Z,"two\nlines, ""quoted"""\n'
    )

    read = batches(tmp_path, text)
    letters = [letter for batch in read for letter in batch.dead_letters]

    assert [row["raw_id"] for row in rows(read, "activity")] == ["crm:export.csv:2", "crm:export.csv:10"]
    assert [(letter.position, letter.unit, letter.is_raw_event) for letter in letters] == [
        (line, "line", False) for line in range(3, 10)
    ]
    assert [letter.reason.split(";")[0].split(":")[0] for letter in letters] == [
        "Task without an Id",
        "has 3 columns, expected 4 as in the header",
        "has 5 columns, expected 4 as in the header",
        "a quotation mark opens and does not close where the record ends",
        "unreadable time in CreatedDate",
        "dated in the future",
        "Task without a time",
    ]
    assert sum(batch.record_count for batch in read) == 9


def test_dead_letter_shows_no_identifier_and_is_short(tmp_path: Path) -> None:
    text = f"Id,Phone,Email,AccountId,ReportsToId\n,0405551234,maija@firm.example,,{'x' * 9000}\n"

    (letter,) = [letter for batch in batches(tmp_path, text) for letter in batch.dead_letters]

    assert "5551234" not in letter.raw_text
    assert "maija@" not in letter.raw_text
    assert len(letter.raw_text) <= 2_000
    assert letter.reason == "Contact without an Id"


def test_contact_with_an_unreadable_time_of_change_is_still_a_contact(tmp_path: Path) -> None:
    text = f"Id,LastName,Phone,CreatedDate,SystemModstamp\n{CONTACT},V,0405551234,1.3.2026,2.3.2026 10.00\n"

    read = batches(tmp_path, text)

    assert [row["updated_at"] for row in rows(read, "contact")] == [None]
    assert "2 times" in read[-1].warnings[0]


def test_bytes_that_are_no_text_cost_nothing_but_themselves(tmp_path: Path) -> None:
    text = tasks({"Subject": "Puhelu S\udce4hk\udcf6yhti\udcf6"}, fields="TaskSubtype")

    read = batches(tmp_path, text.encode("utf-8", "surrogateescape"))

    assert [row["kind"] for row in rows(read, "activity")] == ["call"]


def test_empty_file_yields_nothing_and_says_so(tmp_path: Path) -> None:
    (batch,) = batches(tmp_path, "")

    assert (batch.record_count, dict(batch.facts)) == (0, {})
    assert "empty" in batch.warnings[0]


def test_export_with_a_header_alone_yields_no_progress_and_says_so(tmp_path: Path) -> None:
    (contact,) = batches(tmp_path, "Id,LastName,AccountId,MailingCity,ReportsToId\n")
    (task,) = batches(tmp_path, "Id,WhoId,Subject,TaskSubtype,CallObject\n")

    assert (contact.record_count, dict(contact.facts), dict(task.facts)) == (0, {}, {})
    assert contact.warnings == ("export.csv has a header of Contact and no record",)


def test_object_without_a_meaning_here_is_counted_and_nothing_else(tmp_path: Path) -> None:
    text = "id,name,parent_role_id,rollup_description,forecast_user_id,portal_type\nxyz==,CEO,,,,\nabc==,CFO,,,,\n"

    (batch,) = batches(tmp_path, text)

    assert (batch.record_count, dict(batch.facts), batch.dead_letters) == (2, {}, ())


def test_archive_cut_short_gives_what_came_before_but_no_progress(tmp_path: Path) -> None:
    text = tasks(*({"Subject": f"Puhelu {number * 7919 % 10007}"} for number in range(30_000)), fields="TaskSubtype")
    path = tmp_path / "Task.csv.gz"
    path.write_bytes(gzip.compress(text.encode())[:-20_000])
    context = ReadContext("crm", "Task.csv.gz", HELSINKI, IDENTIFIERS, READ_AT)

    read: list[Batch] = []
    with pytest.raises(InvalidRecord, match=r"Task\.csv\.gz"):
        read.extend(SOURCE.read(path, context))

    assert 0 < sum(batch.record_count for batch in read) < 30_000
    assert rows(read, "feed_progress") == []


def test_archive_cut_short_in_its_header_is_not_taken_for_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecord):
        batches(tmp_path, gzip.compress(tasks({}).encode())[:14], name="Task.csv.gz")


def test_long_files_come_in_batches_that_add_up(tmp_path: Path) -> None:
    text = tasks(*({} for _ in range(100_001)), fields="TaskSubtype")

    read = batches(tmp_path, text)

    assert len(read) > 1
    assert all(batch.record_count >= BATCH_RECORDS for batch in read[:-1])
    assert sum(batch.record_count for batch in read) == 100_001
    assert sum(batch.byte_count for batch in read) == len(text.encode())


def test_field_as_long_as_a_crm_keeps_is_read(tmp_path: Path) -> None:
    body = "\n".join(f'<p class=""x"">line {number}</p>' for number in range(6_000))
    text = f'Id,Subject,CreatedDate,Description\n{full_id("00T8a00000A0001")},Puhelu,2026-03-02T12:00:00Z,"{body}"\n'

    read = batches(tmp_path, text)

    assert [row["kind"] for row in rows(read, "activity")] == ["call"]


# Configuration


def test_renamed_columns_are_read_through_the_mapping(tmp_path: Path) -> None:
    text = (
        "Task ID,Subject,Created (UTC),Call Ref\n"
        f"{full_id('00T8a00000A0001')},Soitto,2026-03-02T12:00:00Z,1772454000.17\n"
    )
    mapping = {"Id": "Task ID", "Task.CreatedDate": "created (utc)", "CallObject": "Call Ref", "Contact.Phone": "Gsm"}

    (activity,) = rows(batches(tmp_path, text, mapping=mapping), "activity")

    assert (activity["keys"], activity["logged_from"]) == (["1772454000.17"], datetime(2026, 3, 2, 12))


@pytest.mark.parametrize(
    ("mapping", "message"),
    [({"CallObject": "Call Ref"}, "Call Ref"), ({"Colour": "Subject"}, "Colour")],
)
def test_mapping_that_does_not_fit_stops_the_run_and_says_how_to_mend_it(
    tmp_path: Path, mapping: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        batches(tmp_path, tasks({}, fields="TaskSubtype"), mapping=mapping)


def test_object_can_be_named_where_nothing_tells_it(tmp_path: Path) -> None:
    text = "Guid,Email\n6b86b273-ff34-4ce1-9d6b-804eff5a3f57,maija@firm.example\n"

    with pytest.raises(ConfigurationError, match="set object to one of"):
        batches(tmp_path, text)
    (contact,) = rows(batches(tmp_path, text, {"object": "Contact"}), "contact")

    assert contact["contact_id"] == "6b86b273-ff34-4ce1-9d6b-804eff5a3f57"


def test_file_without_a_key_column_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no column Id"):
        batches(tmp_path, "Subject,TaskSubtype,CallObject,WhoId\nx,,,\n")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from('0AaÄ",;\n\r\t\x00 -:+#N/A<>@.\ufeff\U0001f600'), max_size=200))
def test_every_record_of_any_text_is_one_activity_or_one_dead_letter(tmp_path: Path, text: str) -> None:
    header = "Id,WhoId,Subject,ActivityDate,CreatedDate,TaskSubtype,CallObject\n"
    line = f"{full_id('00T8a00000A0001')},,{text},,2026-03-02T12:00:00Z,,\n"

    read = batches(tmp_path, header + text + "\n" + line)

    used = len(rows(read, "activity")) + sum(len(batch.dead_letters) for batch in read)
    assert sum(batch.record_count for batch in read) == used
