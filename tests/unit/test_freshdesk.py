"""Freshdesk: tickets that show what is siloed, and by what their requesters are known."""

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
from pipeline.sources.freshdesk import SOURCE
from pipeline.sources.registry import Batch
from tests import parsing
from tests.parsing import address, letters, phone, rows
from tests.records import call, contact, person, tables

NUMBER, EMAIL = "+358401234567", "maija@customer.example"
REQUESTER = {"id": 11, "name": "Maija", "email": EMAIL, "mobile": "040 1234567", "phone": None}
MAIJA = {**REQUESTER, "other_emails": ["m@home.example"], "unique_external_id": "C1", "custom_fields": {"crm": 77}}
ALICE = {"id": 22, "available": True, "occasional": False, "contact": {"name": "Alice", "email": "alice@acme.example"}}
FACTS = ("activity", "crm_user")


def ticket(ticket_id: int = 7, **fields: Any) -> dict[str, Any]:
    return {
        "id": ticket_id, "requester_id": 11, "responder_id": 22, "source": 1, "status": 2, "priority": 1, "spam": False,
        "subject": "About Maija", "created_at": "2024-03-05T09:10:00Z", "updated_at": "2024-03-05T10:00:00Z", **fields,
    }  # fmt: skip


def conversation(conversation_id: int = 70, **fields: Any) -> dict[str, Any]:
    return {
        "id": conversation_id, "incoming": False, "private": False, "user_id": 22, "source": 0, "ticket_id": 7,
        "body_text": "secret", "created_at": "2024-03-06T08:00:00Z", "updated_at": "2024-03-06T08:00:00Z", **fields,
    }  # fmt: skip


def written(folder: Path, *records: Mapping[str, Any], name: str = "tickets.json") -> Path:
    path = folder / name
    path.write_bytes(orjson.dumps(records))
    return path


def read(folder: Path, *records: Mapping[str, Any], **options: Any) -> list[Batch]:
    return parsing.batches(SOURCE, written(folder, *records), options=options)


def activities(folder: Path, *records: Mapping[str, Any], **options: Any) -> list[dict[str, Any]]:
    found = read(folder, *records, **options)
    assert letters(found) == []
    return rows(found, "activity")


def tokens(*texts: str) -> list[str]:
    return sorted(str(address(text) if "@" in text else phone(text)) for text in texts)


def warnings(found: list[Batch]) -> list[str]:
    return [warning for batch in found for warning in batch.warnings]


def test_a_ticket_has_the_identifiers_of_the_requester_that_it_includes(tmp_path: Path) -> None:
    (row,) = activities(tmp_path, ticket(requester=REQUESTER))

    assert (row["activity_id"], row["kind"], row["owner_id"]) == ("tried:7", "ticket", "22")
    assert (row["tokens"], row["contact_ids"]) == (tokens(EMAIL, NUMBER), [])
    assert (row["logged_from"], row["updated_at"]) == (datetime(2024, 3, 5, 9, 10), datetime(2024, 3, 5, 10))


def test_contacts_beside_say_who_asked(tmp_path: Path) -> None:
    written(tmp_path, MAIJA, name="contacts.json")

    (row,) = activities(tmp_path, ticket())

    assert row["tokens"] == tokens(EMAIL, "m@home.example", NUMBER)


def test_without_the_contacts_a_warning_names_the_remedy(tmp_path: Path) -> None:
    found = read(tmp_path, ticket(), ticket(8), ticket(9, email="b@x.example", phone="+358407654321"))

    assert [row["tokens"] for row in rows(found, "activity")] == [[], [], tokens("b@x.example", "+358407654321")]
    assert warnings(found) == [
        "tickets.json: 1 of the people that it names are in no list of contacts beside it, so their numbers and "
        "addresses are unknown; export contacts and agents too, into the same folder"
    ]
    assert warnings(read(tmp_path, ticket(requester=REQUESTER))) == []


@pytest.mark.parametrize("mark", ["spam", "deleted"])
def test_spam_and_deleted_tickets_are_deleted(tmp_path: Path, mark: str) -> None:
    found = activities(tmp_path, ticket(**{mark: True}), ticket(8))

    assert [row["deleted"] for row in found] == [True, False]


def test_an_option_says_which_field_of_a_contact_ties_tickets_to_one_of_the_crm(tmp_path: Path) -> None:
    written(tmp_path, MAIJA, name="contacts.json")

    assert activities(tmp_path, ticket(), contact_field="unique_external_id")[0]["contact_ids"] == ["C1"]
    assert activities(tmp_path, ticket(), contact_field="crm")[0]["contact_ids"] == ["77"]
    assert activities(tmp_path, ticket())[0]["contact_ids"] == []
    with pytest.raises(ConfigurationError, match="contact_field: expected the name of a field of contacts"):
        read(tmp_path, ticket(), contact_field=7)


def test_a_ticket_shows_a_call_siloed_and_a_tied_one_is_its_trace(tmp_path: Path) -> None:
    written(tmp_path, MAIJA, name="contacts.json")
    known = [
        call("pbx:1", datetime(2024, 3, 5, 9), customer=phone(NUMBER), ours="201"),
        person("alice", extension="201", email_token=address("alice@acme.example")),
        contact("C1", str(phone(NUMBER))),
    ]
    agents = parsing.batches(SOURCE, written(tmp_path, ALICE, name="agents.json"))

    def outcome(**options: Any) -> tuple[str, str | None]:
        found = [*read(tmp_path, ticket(), **options), *agents]
        calls = Batch({"observation": tables([known[0]])["observation"]}, 1)
        (row,) = parsing.interactions([*found, calls], known[1:])
        return row["outcome"], row["tier"]

    assert outcome() == ("siloed", None)
    assert outcome(contact_field="unique_external_id") == ("traced", "same_representative")


def test_replies_and_notes_are_records_of_their_own(tmp_path: Path) -> None:
    written(tmp_path, MAIJA, name="contacts.json")
    written(tmp_path, ticket(), name="all tickets.json")
    parts = [conversation(70), conversation(71, private=True), conversation(72, incoming=True, user_id=11)]

    found = activities(tmp_path, *parts)

    assert [row["activity_id"] for row in found] == [f"tried:conversation:{number}" for number in (70, 71, 72)]
    assert {tuple(row["tokens"]) for row in found} == {tuple(tokens(EMAIL, "m@home.example", NUMBER))}
    assert [(row["creator_id"], row["direction"]) for row in found] == [
        ("22", "outbound"),
        ("22", None),
        (None, "inbound"),
    ]


def test_somebody_else_may_have_written_into_a_ticket(tmp_path: Path) -> None:
    bo = {**REQUESTER, "id": 12, "email": "bo@customer.example", "mobile": None, "other_emails": []}
    written(tmp_path, MAIJA, bo, name="contacts.json")
    written(tmp_path, ticket(), name="all tickets.json")

    (row,) = activities(tmp_path, conversation(incoming=True, user_id=12))

    assert row["tokens"] == tokens("bo@customer.example")


def test_conversations_that_a_ticket_includes_are_told_with_it(tmp_path: Path) -> None:
    found = activities(tmp_path, ticket(requester=REQUESTER, conversations=[conversation(), {"id": 1}, None]))

    assert [row["raw_id"] for row in found] == ["tried:tickets.json:1", "tried:tickets.json:1#2"]
    assert {tuple(row["tokens"]) for row in found} == {tuple(tokens(EMAIL, NUMBER))}


def test_requesters_that_tickets_beside_include_are_known_without_contacts(tmp_path: Path) -> None:
    written(tmp_path, ticket(requester=REQUESTER), name="all tickets.json")

    found = read(tmp_path, conversation(incoming=True, user_id=11))

    assert rows(found, "activity")[0]["tokens"] == tokens(EMAIL, NUMBER)
    assert warnings(found) == []


def test_only_agents_become_users_that_tie_tickets_to_the_directory(tmp_path: Path) -> None:
    found = [*read(tmp_path, ALICE), *parsing.batches(SOURCE, written(tmp_path, MAIJA, name="contacts.json"))]

    assert [(row["user_id"], row["email_token"]) for row in rows(found, "crm_user")] == [
        ("22", address("alice@acme.example"))
    ]
    assert rows(found, "contact") == []


# Forms


def test_resources_are_recognised_in_every_form(tmp_path: Path) -> None:
    forms = [orjson.dumps(ticket()), orjson.dumps(ticket()) + b"\n" + orjson.dumps(ticket(8))]
    forms += [orjson.dumps({"results": [ticket()], "total": 1}), orjson.dumps([conversation(body="x" * 100_000)])]
    forms += [orjson.dumps([MAIJA]), orjson.dumps([ALICE])]
    paths = [tmp_path / str(number) for number in range(len(forms))]
    for path, form in zip(paths, forms, strict=True):
        path.write_bytes(form)

    assert {parsing.recognised(path) for path in paths} == {"freshdesk"}
    counts = [sum(len(rows(parsing.batches(SOURCE, path), kind)) for kind in FACTS) for path in paths]
    assert counts == [1, 2, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (ticket(created_at=None), "created_at: missing"),
        (ticket(updated_at="soon"), "updated_at: no date"),
        (ticket(id=None), "id: missing; expected an id"),
        (ticket(created_at="2031-01-01T00:00:00Z"), "dated in the future"),
        ({"name": "Maija", "body": "secret"}, "expected a ticket, conversation, contact or agent"),
    ],
)
def test_a_record_that_cannot_be_used_is_a_dead_letter_without_its_people(
    tmp_path: Path, record: dict[str, Any], reason: str
) -> None:
    found = read(tmp_path, ticket(8), record)

    (letter,) = letters(found)
    assert letter.reason.startswith(reason)
    for word in ("Maija", "maija", "secret"):
        assert word not in letter.raw_text
    assert sum(batch.record_count for batch in found) == 2


def test_there_is_nothing_to_map(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="have nothing to map; leave it out"):
        parsing.batches(SOURCE, written(tmp_path, ticket()), {"id": "number"})


def test_what_stands_before_the_break_of_a_document_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, ticket(), ticket(8))
    path.write_bytes(path.read_bytes()[:-40])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert [row["activity_id"] for row in rows(found, "activity")] == ["tried:7"]


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    path = written(tmp_path, ticket(requester=REQUESTER, conversations=[conversation()]), ticket(8), MAIJA, ALICE)
    path.write_bytes(parsing.damaged(path.read_bytes(), data))

    parsing.assert_survives(SOURCE, path, FACTS)
