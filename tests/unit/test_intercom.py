"""Intercom: conversations as interactions, who of them were people, and by what a customer is known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.intercom import SOURCE
from pipeline.sources.registry import Batch
from tests import parsing
from tests.parsing import address, letters, phone, rows
from tests.records import person

NINE = int(datetime(2024, 3, 5, 9, tzinfo=UTC).timestamp())
MAIJA = {"type": "user", "id": "u1", "name": "Maija", "email": "maija@customer.example"}
ALICE = {"type": "admin", "id": "22", "name": "ALICE", "email": "alice@acme.example"}
BO = {"type": "admin", "id": "23", "name": "BO", "email": ""}
BOT = {"type": "bot", "id": "9", "name": "Operator", "email": "operator@intercom.example"}
DIRECTORY = (person("alice", email_token=address("alice@acme.example")), person("bo"))


def source(author: Mapping[str, Any], delivered_as: str, kind: str = "conversation") -> dict[str, Any]:
    return {"type": kind, "delivered_as": delivered_as, "author": author, "body": "secret", "subject": ""}


def part(author: Mapping[str, Any], minute: int, **fields: Any) -> dict[str, Any]:
    return {
        "type": "conversation_part", "id": "p", "part_type": "comment", "body": "secret", "author": author,
        "created_at": NINE + 60 * minute, **fields,
    }  # fmt: skip


def conversation(*parts: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a conversation that a customer began, as it is retrieved."""
    return {
        "type": "conversation", "id": "191", "created_at": NINE, "updated_at": NINE + 9000, "state": "closed",
        "source": source(MAIJA, "customer_initiated"), "ai_agent_participated": False,
        "contacts": {"type": "contact.list", "contacts": [{"type": "contact", "id": "u1"}]},
        "conversation_parts": {"type": "conversation_part.list", "conversation_parts": parts}, **fields,
    }  # fmt: skip


def listed(**fields: Any) -> dict[str, Any]:
    """Return a conversation as a list has it: without its parts."""
    whole = conversation(**fields)
    del whole["conversation_parts"]
    return {"teammates": {"type": "admin.list", "admins": [{"type": "admin", "id": "22"}]}, **whole}


TALK = conversation(part(BOT, 0), part(ALICE, 5), part(MAIJA, 6))


def written(folder: Path, *conversations: Mapping[str, Any], name: str = "conversations.json") -> Path:
    path = folder / name
    path.write_bytes(orjson.dumps({"type": "conversation.list", "pages": {}, "conversations": conversations}))
    return path


def read(folder: Path, *conversations: Mapping[str, Any]) -> list[Batch]:
    return parsing.batches(SOURCE, written(folder, *conversations))


def observed(folder: Path, *conversations: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = read(folder, *conversations)
    assert letters(found) == []
    return rows(found)


def told(folder: Path, *conversations: Mapping[str, Any]) -> list[dict[str, Any]]:
    return parsing.interactions(read(folder, *conversations), DIRECTORY)


def warnings(found: list[Batch]) -> list[str]:
    return [warning for batch in found for warning in batch.warnings]


def test_a_conversation_is_one_interaction_with_the_admin_who_wrote(tmp_path: Path) -> None:
    (row,) = told(tmp_path, TALK)

    assert (row["channel"], row["direction"], row["token"]) == ("chat", "inbound", address("maija@customer.example"))
    assert (row["started_at"], row["ended_at"]) == (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 9, 6))
    assert row["representative_id"] == "alice"


def test_all_admins_who_wrote_took_part_known_by_address_or_name(tmp_path: Path) -> None:
    (row,) = told(tmp_path, conversation(part(ALICE, 5), part(BO, 7), part(ALICE, 8)))

    assert row["participants"] == ["alice", "bo"]


@pytest.mark.parametrize(
    ("fields", "ended"),
    [
        ({"part_type": "assignment"}, 5),
        ({"part_type": "close", "body": None}, 0),
        ({"part_type": "note"}, 0),
        ({"part_type": "assignment", "body": ""}, 0),
    ],
)
def test_what_has_a_text_is_a_message_but_a_note(tmp_path: Path, fields: dict[str, Any], ended: int) -> None:
    (row,) = observed(tmp_path, conversation(part(ALICE, 5, **fields)))

    assert row["ended_at"] == datetime(2024, 3, 5, 9, ended)
    assert (row["to_token"] is not None) is (ended > 0)


AI = {**ALICE, "from_ai_agent": True}


@pytest.mark.parametrize(
    ("talk", "count"),
    [
        (conversation(part(ALICE, 5)), 1),
        (conversation(), 1),
        (conversation(part(BOT, 1)), 0),
        (conversation(part(AI, 1)), 0),
        (conversation(ai_agent_participated=True), 0),
        (conversation(source=source(ALICE, "admin_initiated")), 1),
        (conversation(source=source(ALICE, "campaigns_initiated")), 0),
        (conversation(part(MAIJA, 5), source=source(ALICE, "campaigns_initiated")), 0),
        (conversation(part(MAIJA, 5), part(BO, 6), source=source(ALICE, "campaigns_initiated")), 1),
        (conversation(source=source(BOT, "operator_initiated")), 0),
        (conversation(part(BO, 2), source=source(BOT, "customer_initiated")), 1),
    ],
)
def test_a_conversation_counts_unless_a_program_was_alone_with_the_customer_or_with_nobody(
    tmp_path: Path, talk: dict[str, Any], count: int
) -> None:
    assert len(told(tmp_path, talk)) == count


def test_a_campaign_is_nobodys_message_whoever_it_is_signed_by(tmp_path: Path) -> None:
    (row,) = told(tmp_path, conversation(part(MAIJA, 5), part(BO, 6), source=source(ALICE, "campaigns_initiated")))

    assert (row["direction"], row["participants"]) == ("outbound", ["bo"])


def test_a_conversation_that_a_customer_began_with_a_bot_came_in(tmp_path: Path) -> None:
    (row,) = told(tmp_path, conversation(part(BO, 2), source=source(BOT, "customer_initiated")))

    assert row["direction"] == "inbound"


@pytest.mark.parametrize(
    ("kind", "channel"),
    [("whatsapp", "chat"), ("sms", "sms"), ("facebook", "social"), ("instagram", "social"), ("push", "chat")],
)
def test_a_conversation_is_of_the_channel_that_it_came_over(tmp_path: Path, kind: str, channel: str) -> None:
    (row,) = told(tmp_path, conversation(part(ALICE, 5), source=source(MAIJA, "customer_initiated", kind)))

    assert (row["channel"], row["token"]) == (channel, address("maija@customer.example"))


@pytest.mark.parametrize("kind", ["email", "phone_call", "phone_switch"])
def test_emails_and_calls_are_told_elsewhere(tmp_path: Path, kind: str) -> None:
    found = read(tmp_path, conversation(part(ALICE, 5), source=source(MAIJA, "customer_initiated", kind)))

    assert rows(found) == []
    assert "1 of its records tell of no conversation" in warnings(found)[0]


# People beside


def test_contacts_and_admins_beside_say_who_stands_behind_ids(tmp_path: Path) -> None:
    contact = {"type": "contact", "id": "u1", "role": "user", "email": None, "phone": "040 1234567", "name": "Maija"}
    paths = [tmp_path / "contacts.json", tmp_path / "admins.json"]
    paths[0].write_bytes(orjson.dumps({"type": "list", "data": [contact], "total_count": 1}))
    paths[1].write_bytes(orjson.dumps({"type": "admin.list", "admins": [ALICE]}))
    replies = {"first_contact_reply_at": NINE, "first_admin_reply_at": NINE + 60, "last_admin_reply_at": NINE + 300}
    nameless = {**MAIJA, "email": ""}

    (row,) = told(tmp_path, listed(source=source(nameless, "customer_initiated"), statistics=replies))

    assert {parsing.recognised(path) for path in paths} == {"intercom"}
    assert (row["token"], row["representative_id"]) == (phone("+358401234567"), "alice")
    assert row["ended_at"] == datetime(2024, 3, 5, 9, 5)
    assert [parsing.batches(SOURCE, path)[0].record_count for path in paths] == [0, 0]


def test_without_them_a_warning_names_the_remedy_and_the_id_stands_for_the_customer(tmp_path: Path) -> None:
    found = read(tmp_path, listed(source=source({**MAIJA, "email": ""}, "customer_initiated")))

    assert [row["from_token"] for row in rows(found)] == [parsing.IDENTIFIERS.handle("u1", "intercom").token]
    assert warnings(found) == [
        "conversations.json: 2 of the people that it names show no address, and are in no list of contacts or admins "
        "beside it; put these into the same folder"
    ]
    assert warnings(read(tmp_path, TALK)) == []


def test_a_list_tells_by_times_of_replies_whether_anybody_answered(tmp_path: Path) -> None:
    answered = {"first_contact_reply_at": NINE, "first_admin_reply_at": NINE + 60}

    assert len(told(tmp_path, listed(statistics=answered, teammates=None, ai_agent_participated=True))) == 1
    assert told(tmp_path, listed(statistics={"first_contact_reply_at": NINE}, ai_agent_participated=True)) == []
    began_by_campaign = source(ALICE, "campaigns_initiated")
    assert len(told(tmp_path, listed(statistics=answered, source=began_by_campaign))) == 1


# Forms


def test_conversations_are_recognised_in_every_form_however_long_the_first_is(tmp_path: Path) -> None:
    long = conversation(part(ALICE, 5, body="x" * 100_000))
    forms = [
        orjson.dumps(TALK),
        orjson.dumps([TALK]),
        orjson.dumps(TALK) + b"\n" + orjson.dumps(TALK),
        orjson.dumps(long),
    ]
    paths = [written(tmp_path, TALK)]
    for number, form in enumerate(forms):
        paths.append(tmp_path / f"{number}")
        paths[-1].write_bytes(form)

    assert {parsing.recognised(path) for path in paths} == {"intercom"}
    assert {len(parsing.interactions(parsing.batches(SOURCE, path), DIRECTORY)) for path in paths} == {1}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": None}, "id: missing; expected the id"),
        ({"source": None}, "source: missing; export conversations with version 2.0"),
        ({"source": {"type": "pigeon"}}, "source.type: expected one of conversation"),
        ({"source": {"type": ["conversation"]}}, "source.type: expected one of conversation"),
        ({"created_at": None}, "created_at: missing"),
        ({"statistics": {"last_admin_reply_at": "soon"}}, "last_admin_reply_at: no date"),
    ],
)
def test_a_record_that_cannot_be_used_is_a_dead_letter_without_its_people(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    found = read(tmp_path, conversation(part(ALICE, 5), **fields), {**TALK, "id": "192"})

    (letter,) = letters(found)
    assert letter.reason.startswith(reason)
    for word in ("Maija", "maija", "secret"):
        assert word not in letter.raw_text
    assert len(rows(found)) == 1


def test_there_is_nothing_to_map(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="have nothing to map; leave it out"):
        parsing.batches(SOURCE, written(tmp_path, TALK), {"id": "number"})


def test_what_stands_before_the_break_of_a_document_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, TALK, {**TALK, "id": "192"})
    path.write_bytes(path.read_bytes()[:-100])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert [row["session_id"] for row in rows(found)] == ["191"]


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    path = written(tmp_path, TALK, listed(statistics={"first_admin_reply_at": NINE}), name="damaged")
    path.write_bytes(parsing.damaged(path.read_bytes(), data))

    parsing.assert_survives(SOURCE, path)
