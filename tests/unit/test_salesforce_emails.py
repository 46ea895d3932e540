"""Emails that Salesforce keeps twice, over several files, in any order: one activity per customer."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from pipeline.identifiers import Identifiers
from pipeline.sources.message_headers import masked_key, message_key
from pipeline.sources.registry import Batch, ReadContext
from pipeline.sources.salesforce import SOURCE
from pipeline.sources.salesforce_dialect import full_id

READ_AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
IDENTIFIERS = Identifiers(b"0123456789abcdef")

EMAIL, TASK, CASE = full_id("02s8a00000Eeee1"), full_id("00T8a00000Aaaa1"), full_id("5008a00000Kkkk1")
MAIJA, LEENA, LEAD = full_id("0038a00000Cccc1"), full_id("0038a00000Cccc2"), full_id("00Q8a00000Llll1")
FIRM, DEAL = full_id("0018a00000Ffff1"), full_id("0068a00000Oooo1")
MATTI, LIISA = full_id("0058a00000Uuuu1"), full_id("0058a00000Uuuu2")

Row = dict[str, Any]


def table(fields: str, *records: Mapping[str, str]) -> str:
    names = fields.split()
    return (
        "\n".join([",".join(names), *(",".join(record.get(name, "") for name in names) for record in records)]) + "\n"
    )


def email(**changes: str) -> str:
    """Return an export of one outgoing email at noon, whose task is changed later than the email itself."""
    record = {
        "Id": EMAIL,
        "ActivityId": TASK,
        "CreatedById": MATTI,
        "CreatedDate": "2026-03-02 12:00:07",
        "SystemModstamp": "2026-03-02 12:00:07",
        "MessageDate": "2026-03-02 12:00:00",
        "MessageIdentifier": "<A1.b2@mail.example>",
        "Incoming": "0",
        "Status": "3",
        "IsDeleted": "0",
    } | changes
    return table(
        "Id ParentId ActivityId RelatedToId CreatedById CreatedDate SystemModstamp MessageDate MessageIdentifier "
        "FromAddress ToAddress Incoming Status IsDeleted ThreadIdentifier",
        record,
    )


def task(**changes: str) -> str:
    record = {
        "Id": TASK,
        "WhoId": MAIJA,
        "AccountId": FIRM,
        "OwnerId": LIISA,
        "TaskSubtype": "Email",
        "Subject": "Email: offer",
        "CreatedDate": "2026-03-02 12:00:08",
        "SystemModstamp": "2026-03-05 09:00:00",
    } | changes
    return table("Id WhoId AccountId OwnerId TaskSubtype Subject CreatedDate SystemModstamp IsDeleted", record)


def relations(*parties: tuple[str, str]) -> str:
    records = [{"EmailMessageId": EMAIL, "RelationId": party, "RelationType": role} for party, role in parties]
    return table("EmailMessageId RelationId RelationType RelationObjectType RelationAddress", *records)


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)


def read(folder: Path, name: str, options: Mapping[str, Any] | None = None) -> list[Batch]:
    context = ReadContext("crm", name, ZoneInfo("Europe/Helsinki"), IDENTIFIERS, READ_AT, {}, options or {})
    return list(SOURCE.read(folder / name, context))


def activities(batches: Sequence[Batch]) -> list[Row]:
    tables = [batch.facts["activity"] for batch in batches if "activity" in batch.facts]
    found: list[Row] = pa.concat_tables(tables).to_pylist() if tables else []
    return found


def latest(rows: Sequence[Row]) -> dict[str, Row]:
    """Return the version of each activity that counts, as the engine chooses it, without deleted ones."""
    chosen: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (row["updated_at"] or datetime.min, row["raw_id"])):
        chosen[row["activity_id"]] = row
    return {activity_id: row for activity_id, row in chosen.items() if not row["deleted"]}


def test_email_carries_its_own_time_and_key(tmp_path: Path) -> None:
    write(tmp_path, {"EmailMessage.csv": email(ActivityId="", Incoming="1")})

    (row,) = activities(read(tmp_path, "EmailMessage.csv"))

    assert (row["activity_id"], row["kind"], row["direction"]) == (EMAIL, "email", "inbound")
    assert (row["logged_from"], row["precision"]) == (datetime(2026, 3, 2, 12), "second")
    assert row["keys"] == [masked_key("A1.b2@mail.example")]
    assert (row["creator_id"], row["updated_at"]) == (MATTI, datetime(2026, 3, 2, 12, 0, 7))


def test_key_that_holds_an_address_is_masked_as_mailboxes_mask_it(tmp_path: Path) -> None:
    identifier = "<20260302.matti@firm.example>"
    write(tmp_path, {"EmailMessage.csv": email(MessageIdentifier=identifier, FromAddress="Matti@firm.example")})

    (row,) = activities(read(tmp_path, "EmailMessage.csv"))

    assert row["keys"] == [message_key(identifier, {"matti@firm.example"})]
    assert row["keys"][0].startswith("x:")


@pytest.mark.parametrize(
    ("related_to", "contacts", "accounts"), [(FIRM, [], [FIRM]), (DEAL, [], []), (CASE, [], []), ("", [], [])]
)
def test_email_is_tied_to_the_account_it_relates_to(
    tmp_path: Path, related_to: str, contacts: list[str], accounts: list[str]
) -> None:
    write(tmp_path, {"EmailMessage.csv": email(RelatedToId=related_to)})

    (row,) = activities(read(tmp_path, "EmailMessage.csv"))

    assert (row["contact_ids"], row["account_ids"]) == (contacts, accounts)


def test_relations_beside_the_file_give_customers_and_the_user_on_our_side(tmp_path: Path) -> None:
    parties = relations((MATTI, "FromAddress"), (LIISA, "CcAddress"), (MAIJA, "ToAddress"), (MAIJA, "CcAddress"))
    write(tmp_path, {"EmailMessage.csv": email(RelatedToId=FIRM), "EmailMessageRelation_1.csv": parties})

    (row,) = activities(read(tmp_path, "EmailMessage.csv"))

    assert (row["contact_ids"], row["account_ids"], row["owner_id"]) == ([MAIJA], [FIRM], MATTI)


def test_owner_of_an_incoming_email_is_the_first_user_it_went_to(tmp_path: Path) -> None:
    parties = relations((MAIJA, "FromAddress"), (MATTI, "CcAddress"), (LIISA, "ToAddress"))
    write(tmp_path, {"EmailMessage.csv": email(Incoming="1"), "EmailMessageRelation.csv": parties})

    (row,) = activities(read(tmp_path, "EmailMessage.csv"))

    assert (row["contact_ids"], row["owner_id"]) == ([MAIJA], LIISA)


def test_email_to_three_customers_is_three_activities_and_its_task_is_none(tmp_path: Path) -> None:
    parties = relations((MAIJA, "ToAddress"), (LEENA, "ToAddress"), (LEAD, "BccAddress"), (MATTI, "FromAddress"))
    write(tmp_path, {"EmailMessage.csv": email(), "EmailMessageRelation.csv": parties, "Task.csv": task()})

    rows = [row for name in ("Task.csv", "EmailMessage.csv") for row in activities(read(tmp_path, name))]

    chosen = latest(rows)
    assert {key: (row["contact_ids"], row["account_ids"]) for key, row in chosen.items()} == {
        f"{TASK}:{MAIJA}": ([MAIJA], []),
        f"{TASK}:{LEENA}": ([LEENA], []),
        f"{TASK}:{LEAD}": ([LEAD], []),
    }
    assert {row["keys"][0] for row in chosen.values()} == {masked_key("A1.b2@mail.example")}


@pytest.mark.parametrize("order", list(itertools.permutations(["EmailMessage.csv", "Task.csv"])))
def test_email_and_its_task_are_one_activity_whichever_is_read_or_changed_last(
    tmp_path: Path, order: tuple[str, ...]
) -> None:
    write(tmp_path, {"EmailMessage.csv": email(RelatedToId=FIRM), "Task.csv": task()})

    chosen = latest([row for name in order for row in activities(read(tmp_path, name))])

    assert list(chosen) == [TASK]
    assert chosen[TASK]["keys"] == [masked_key("A1.b2@mail.example")]
    assert chosen[TASK]["logged_from"] == datetime(2026, 3, 2, 12)


def test_later_version_of_the_email_replaces_the_earlier_one(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "EmailMessage_a.csv": email(RelatedToId=FIRM, SystemModstamp="2026-03-07 00:00:00", IsDeleted="1"),
            "EmailMessage_b.csv": email(RelatedToId=FIRM),
            "Task.csv": task(),
        },
    )

    rows = [
        row
        for name in ("EmailMessage_a.csv", "EmailMessage_b.csv", "Task.csv")
        for row in activities(read(tmp_path, name))
    ]

    assert latest(rows) == {}


def test_task_says_whose_customer_an_email_without_relations_is(tmp_path: Path) -> None:
    write(tmp_path, {"EmailMessage.csv": email(RelatedToId=DEAL), "Task_1.csv": task()})

    (row,) = activities(read(tmp_path, "EmailMessage.csv"))

    assert (row["activity_id"], row["contact_ids"], row["account_ids"]) == (TASK, [MAIJA], [FIRM])
    assert (row["owner_id"], row["creator_id"]) == (LIISA, MATTI)


def test_email_that_knows_neither_customer_nor_key_leaves_the_activity_to_its_task(tmp_path: Path) -> None:
    write(tmp_path, {"EmailMessage.csv": email(MessageIdentifier=""), "Task.csv": task()})

    rows = activities(read(tmp_path, "EmailMessage.csv", {"siblings": []})) + activities(read(tmp_path, "Task.csv"))

    assert latest(rows)[TASK]["contact_ids"] == [MAIJA]


def test_siblings_given_are_used_and_no_others(tmp_path: Path) -> None:
    elsewhere = tmp_path / "crm"
    elsewhere.mkdir()
    write(tmp_path, {"EmailMessage.csv": email(), "EmailMessageRelation.csv": relations((LEENA, "ToAddress"))})
    write(elsewhere, {"relations": relations((MAIJA, "ToAddress")), "cases": "not,a,salesforce\n"})
    paths = [elsewhere / "relations", elsewhere / "cases", tmp_path / "EmailMessage.csv"]

    (row,) = activities(read(tmp_path, "EmailMessage.csv", {"siblings": paths}))

    assert row["contact_ids"] == [MAIJA]


def test_relation_that_was_deleted_ties_nobody(tmp_path: Path) -> None:
    text = table(
        "EmailMessageId RelationId RelationType IsDeleted RelationAddress",
        {"EmailMessageId": EMAIL, "RelationId": MAIJA, "RelationType": "ToAddress", "IsDeleted": "1"},
        {"EmailMessageId": EMAIL, "RelationId": LEENA, "RelationType": "ToAddress", "IsDeleted": "0"},
    )
    write(tmp_path, {"EmailMessage.csv": email(), "EmailMessageRelation.csv": text})

    assert [row["contact_ids"] for row in activities(read(tmp_path, "EmailMessage.csv"))] == [[LEENA]]


def test_relations_of_a_relational_mover_tell_the_kind_of_party_by_name(tmp_path: Path) -> None:
    guid = "6b86b273-ff34-4ce1-9d6b-804eff5a3f57"
    text = table(
        "Guid EmailMessageId RelationId RelationType RelationObjectType RelationAddress",
        {
            "EmailMessageId": EMAIL,
            "RelationId": guid,
            "RelationType": "ToAddress",
            "RelationObjectType": "Contact",
        },
    )
    write(tmp_path, {"EmailMessage.csv": email(), "email_message_relation.csv": text})

    assert [row["contact_ids"] for row in activities(read(tmp_path, "EmailMessage.csv"))] == [[guid]]


def test_relation_file_itself_is_counted_and_yields_no_fact(tmp_path: Path) -> None:
    write(tmp_path, {"EmailMessageRelation.csv": relations((MAIJA, "ToAddress"), (LEENA, "CcAddress"))})

    (batch,) = read(tmp_path, "EmailMessageRelation.csv")

    assert (batch.record_count, dict(batch.facts)) == (2, {})


def test_broken_relation_file_costs_customers_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, {"EmailMessage.csv": email()})
    (tmp_path / "EmailMessageRelation.csv.gz").write_bytes(
        gzip.compress(relations(*[(MAIJA, "ToAddress")] * 9).encode())[:-9]
    )

    batches = read(tmp_path, "EmailMessage.csv")

    assert len(activities(batches)) == 1
    assert "EmailMessageRelation.csv.gz" in batches[-1].warnings[0]


def test_email_of_a_case_with_a_customer_is_that_customer_s(tmp_path: Path) -> None:
    cases = table(
        "Id CaseNumber ContactId AccountId CreatedDate SuppliedEmail",
        {"Id": CASE, "ContactId": MAIJA, "AccountId": FIRM, "CreatedDate": "2026-03-02 11:59:59"},
    )
    write(tmp_path, {"EmailMessage.csv": email(ParentId=CASE, ActivityId=""), "Case.csv": cases})

    (row,) = activities(read(tmp_path, "EmailMessage.csv"))

    assert (row["kind"], row["contact_ids"], row["account_ids"]) == ("email", [MAIJA], [FIRM])


def test_email_of_a_case_without_a_customer_is_part_of_the_ticket(tmp_path: Path) -> None:
    text = email(
        ParentId=CASE, ActivityId="", Incoming="true", FromAddress="Maija@firm.example", ToAddress="us@us.example"
    )
    write(tmp_path, {"EmailMessage.csv": text})

    (row,) = activities(read(tmp_path, "EmailMessage.csv"))

    assert (row["kind"], row["contact_ids"], row["account_ids"]) == ("ticket", [], [])
    assert row["keys"] == [masked_key("A1.b2@mail.example")]
    assert row["tokens"] == [IDENTIFIERS.email("maija@firm.example").token]


def test_draft_is_no_activity(tmp_path: Path) -> None:
    write(tmp_path, {"EmailMessage.csv": email(Status="5")})

    (batch,) = read(tmp_path, "EmailMessage.csv")

    assert (batch.record_count, activities([batch]), batch.dead_letters) == (1, [], ())


def test_email_whose_sender_s_clock_ran_wild_counts_when_it_was_created(tmp_path: Path) -> None:
    write(tmp_path, {"EmailMessage.csv": email(MessageDate="2036-03-02 12:00:00")})

    (row,) = activities(read(tmp_path, "EmailMessage.csv"))

    assert row["logged_from"] == datetime(2026, 3, 2, 12, 0, 7)


def test_email_without_any_time_is_a_dead_letter(tmp_path: Path) -> None:
    write(tmp_path, {"EmailMessage.csv": email(MessageDate="", CreatedDate="", SystemModstamp="")})

    (batch,) = read(tmp_path, "EmailMessage.csv")

    assert [letter.reason for letter in batch.dead_letters] == [
        "EmailMessage without a MessageDate or CreatedDate in the past"
    ]
