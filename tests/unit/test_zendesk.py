"""Zendesk: tickets that show what is siloed, who asked, calls behind comments, and chats as conversations."""

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
from pipeline.sources import side_tables
from pipeline.sources.message_headers import masked_key
from pipeline.sources.registry import Batch
from pipeline.sources.zendesk import SOURCE
from tests import parsing
from tests.parsing import address, letters, phone, rows
from tests.records import contact, person

MAIJA, ALICE, MAIJAS_NUMBER = "maija@customer.example", "alice@acme.example", "+358401234567"
API = "https://acme.zendesk.com/api/v2"
FACTS = ("observation", "activity", "crm_user")


def user(user_id: int, role: str = "end-user", **fields: Any) -> dict[str, Any]:
    marks = {"ticket_restriction": None, "moderator": False, "shared_agent": False, "restricted_agent": False}
    return {"id": user_id, "url": f"{API}/users/{user_id}.json", "email": None, "role": role, **marks, **fields}


def ticket(ticket_id: int = 7, **fields: Any) -> dict[str, Any]:
    return {
        "url": f"{API}/tickets/{ticket_id}.json", "id": ticket_id, "via": {"channel": "web", "source": {"from": {}}},
        "created_at": "2024-03-05T09:10:00Z", "updated_at": "2024-03-05T10:00:00Z", "status": "open",
        "subject": "About Maija", "requester_id": 11, "submitter_id": 11, "assignee_id": 22, **fields,
    }  # fmt: skip


def comment(comment_id: int = 70, **fields: Any) -> dict[str, Any]:
    return {
        "id": comment_id, "type": "Comment", "author_id": 11, "public": True, "body": "secret", "audit_id": 1,
        "created_at": "2024-03-06T08:00:00Z", "via": {"channel": "web", "source": {"from": {}, "to": {}}},
        "metadata": {"system": {"message_id": "<m1@customer.example>"}}, "ticket_id": 7, **fields,
    }  # fmt: skip


def chat(chat_id: str = "2403.1.Tq", **fields: Any) -> dict[str, Any]:
    return {
        "id": chat_id, "type": "chat", "visitor": {"id": "1.ab", "email": MAIJA, "phone": "", "name": "Maija"},
        "session": {"id": "240305.1"}, "timestamp": "2024-03-05T09:00:00Z", "end_timestamp": "2024-03-05T09:12:00Z",
        "agent_names": ["ALICE"], "agent_ids": ["4120927"], "missed": False, "started_by": "visitor",
        "count": {"visitor": 3, "agent": 4, "total": 7}, "history": [{"msg": "secret", "name": "Maija"}], **fields,
    }  # fmt: skip


def event(actor: str, at: str = "2024-03-05 09:00:00", **fields: str) -> dict[str, str]:
    return {
        "chat_id": "2403.1.Tq", "created_at": at, "actor_id": actor, "type": "ChatMessage", "message": "secret",
        "original_message": "", "message_id": "", **fields,
    }  # fmt: skip


USERS = [user(11, email=MAIJA, phone=MAIJAS_NUMBER, external_id="C1"), user(22, "agent", email=ALICE)]
TIE = {"chat_id": "2403.1.Tq", "ticket_id": "7", "visitor_id": "1-ab", "user_id": "11", "channel": "chat"}


def page(folder: Path, name: str = "tickets.json", **lists: Sequence[Mapping[str, Any]]) -> Path:
    path = folder / name
    path.write_bytes(orjson.dumps({**lists, "count": 1, "next_page": None}))
    return path


def table(folder: Path, name: str, *records: Mapping[str, Any]) -> Path:
    path = folder / name
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, records[0].keys())
        writer.writeheader()
        writer.writerows(records)
    return path


def read(path: Path, mapping: Mapping[str, str] | None = None, **options: Any) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping, options)


def activities(path: Path, **options: Any) -> list[dict[str, Any]]:
    found = read(path, **options)
    assert letters(found) == []
    return rows(found, "activity")


def warnings(found: Sequence[Batch]) -> list[str]:
    return [warning for batch in found for warning in batch.warnings]


# Tickets


def test_a_ticket_has_the_identifiers_of_who_asked_and_is_tied_to_nobody_in_the_crm(tmp_path: Path) -> None:
    (row,) = activities(page(tmp_path, tickets=[ticket()], users=USERS))

    assert (row["activity_id"], row["kind"]) == ("tried:7", "ticket")
    assert row["tokens"] == sorted([str(address(MAIJA)), str(phone(MAIJAS_NUMBER))])
    assert (row["owner_id"], row["creator_id"], row["contact_ids"]) == ("22", None, [])
    assert (row["logged_from"], row["updated_at"]) == (datetime(2024, 3, 5, 9, 10), datetime(2024, 3, 5, 10))


def test_a_ticket_that_an_agent_wrote_down_has_its_creator(tmp_path: Path) -> None:
    (row,) = activities(page(tmp_path, tickets=[ticket(submitter_id=22)], users=USERS))

    assert row["creator_id"] == "22"


def test_users_in_another_file_of_the_folder_say_who_asked(tmp_path: Path) -> None:
    table(tmp_path, "a.csv", *({**each, "phone": each.get("phone", ""), "external_id": ""} for each in USERS))

    (row,) = activities(page(tmp_path, tickets=[ticket()]))

    assert row["tokens"] == sorted([str(address(MAIJA)), str(phone(MAIJAS_NUMBER))])


def test_without_the_users_a_warning_names_the_remedy(tmp_path: Path) -> None:
    found = read(page(tmp_path, tickets=[ticket(), ticket(8, requester_id=12), ticket(9)]))

    assert [row["tokens"] for row in rows(found, "activity")] == [[], [], []]
    assert warnings(found) == [
        "tickets.json: 2 of the people that it names are in no table of users beside it, so their numbers and "
        "addresses are unknown; export the users too, into the same folder"
    ]


def test_what_an_email_or_a_call_shows_of_the_customer_counts_too(tmp_path: Path) -> None:
    caller, called = {"phone": MAIJAS_NUMBER}, {"phone": "+358942450000"}
    sources: list[dict[str, Any]] = [
        {"channel": "email", "source": {"from": {"address": MAIJA}, "to": {"address": "support@acme.example"}}},
        {"channel": "voice", "source": {"rel": "inbound", "from": caller, "to": called}},
        {"channel": "voice", "source": {"rel": "outbound", "from": called, "to": caller}},
    ]

    found = activities(page(tmp_path, tickets=[ticket(number, via=via) for number, via in enumerate(sources)]))

    assert [row["tokens"] for row in found] == [[address(MAIJA)], [phone(MAIJAS_NUMBER)], [phone(MAIJAS_NUMBER)]]


def test_a_deleted_ticket_is_deleted(tmp_path: Path) -> None:
    found = activities(page(tmp_path, tickets=[ticket(status="deleted"), ticket(8)]))

    assert [row["deleted"] for row in found] == [True, False]


def test_an_option_says_which_field_of_a_user_ties_tickets_to_a_contact_of_the_crm(tmp_path: Path) -> None:
    path = page(tmp_path, tickets=[ticket()], users=[user(11, external_id="C1", user_fields={"crm_id": "C2"})])

    assert [row["contact_ids"] for row in activities(path, contact_field="external_id")] == [["C1"]]
    assert [row["contact_ids"] for row in activities(path, contact_field="user_fields_crm_id")] == [["C2"]]
    assert [row["contact_ids"] for row in activities(path)] == [[]]


def test_only_agents_become_users_that_tie_tickets_to_the_directory(tmp_path: Path) -> None:
    found = read(page(tmp_path, users=USERS))

    assert [(row["user_id"], row["email_token"]) for row in rows(found, "crm_user")] == [("22", address(ALICE))]
    assert rows(found, "contact") == []
    assert warnings(found) == ["tickets.json: 1 of its records tell of no conversation and were passed over"]


def test_no_two_records_of_an_answer_stand_at_one_place(tmp_path: Path) -> None:
    found = read(page(tmp_path, tickets=[ticket(), ticket(8)], users=[USERS[1]]))

    places = [row["raw_id"] for kind in ("activity", "crm_user") for row in rows(found, kind)]
    assert places == [f"tried:tickets.json:{number}" for number in (1, 2, 3)]


# What stands in them


def test_a_comment_after_the_first_is_a_record_of_its_own_with_the_message_id_of_its_email(tmp_path: Path) -> None:
    page(tmp_path, tickets=[ticket()], users=USERS)
    first = comment(70, created_at="2024-03-05T09:10:00Z")
    reply = comment(71, author_id=22)
    note = comment(72, author_id=22, public=False)
    thanks = comment(73)

    found = activities(page(tmp_path, "comments.json", comments=[first, reply, note, thanks]))

    assert [row["activity_id"] for row in found] == [f"tried:comment:{number}" for number in (71, 72, 73)]
    assert {tuple(row["tokens"]) for row in found} == {tuple(sorted([str(address(MAIJA)), str(phone(MAIJAS_NUMBER))]))}
    assert [(row["creator_id"], row["direction"]) for row in found] == [
        ("22", "outbound"),
        ("22", None),
        (None, "inbound"),
    ]
    assert {tuple(row["keys"]) for row in found} == {(masked_key("m1@customer.example"),)}


def test_what_a_program_wrote_is_no_comment(tmp_path: Path) -> None:
    by_rule = comment(71, via={"channel": "rule"})
    found = read(page(tmp_path, comments=[comment(70, author_id=-1), by_rule]))

    assert rows(found, "activity") == []


def test_audits_tell_the_ticket_of_a_comment_that_the_api_lists_without(tmp_path: Path) -> None:
    page(tmp_path, tickets=[ticket()], users=USERS)
    event = {"id": 71, "type": "Comment", "author_id": 22, "public": True, "body": "secret"}
    audit = {
        "id": 1, "ticket_id": 7, "author_id": 22, "created_at": "2024-03-06T08:00:00Z",
        "via": {"channel": "web", "source": {}}, "metadata": {"system": {"message_id": "<m1@customer.example>"}},
        "events": [event, {"id": 72, "type": "Change", "field_name": "status", "value": "solved"}],
    }  # fmt: skip
    alone = comment(71, author_id=22)
    del alone["ticket_id"]

    (from_audit,) = activities(page(tmp_path, "audits.json", audits=[audit]))
    (from_comments,) = activities(page(tmp_path, "comments.json", comments=[alone]))

    assert from_audit["tokens"] == sorted([str(address(MAIJA)), str(phone(MAIJAS_NUMBER))])
    assert (from_audit["activity_id"], from_audit["keys"]) == (from_comments["activity_id"], from_comments["keys"])
    assert from_comments["tokens"] == []


def voiced(rel: str = "inbound", **data: Any) -> dict[str, Any]:
    told = {
        "from": MAIJAS_NUMBER, "to": "+358942450000", "started_at": "2024-03-06T07:50:00Z", "call_duration": 300,
        "answered_by_id": 22, "call_id": 901, "recording_url": "secret", **data,
    }  # fmt: skip
    return comment(71, type="VoiceComment", author_id=22, via={"channel": "voice", "source": {"rel": rel}}, data=told)


def test_a_voice_comment_is_a_call_and_the_record_that_shows_it_siloed(tmp_path: Path) -> None:
    page(tmp_path, tickets=[ticket()], users=USERS)
    found = read(page(tmp_path, "comments.json", comments=[voiced()]))

    (call,) = rows(found)
    assert (call["direction"], call["line"], call["attempt"]) == ("inbound", "contact_center", "talk")
    assert (call["from_token"], call["to_token"]) == (phone(MAIJAS_NUMBER), address(ALICE))
    assert (call["started_at"], call["talk_seconds"]) == (datetime(2024, 3, 6, 7, 50), 300)
    (interaction,) = parsing.interactions(found, [person("alice", email_token=address(ALICE))])
    assert (interaction["outcome"], interaction["ticket_id"]) == ("siloed", "tried:comment:71")
    assert (interaction["representative_id"], interaction["token"]) == ("alice", phone(MAIJAS_NUMBER))


@pytest.mark.parametrize(
    ("rel", "data", "attempt", "direction"),
    [
        ("voicemail", {"answered_by_id": None}, "no_human", "inbound"),
        ("inbound", {"answered_by_id": None}, "unanswered", "inbound"),
        ("inbound", {"call_duration": "0"}, "unanswered", "inbound"),
        ("outbound", {"answered_by_id": None}, "talk", "outbound"),
        ("", {}, "talk", None),
    ],
)
def test_what_became_of_a_call(
    tmp_path: Path, rel: str, data: dict[str, Any], attempt: str, direction: str | None
) -> None:
    (call,) = rows(read(page(tmp_path, comments=[voiced(rel, **data)])))

    assert (call["attempt"], call["direction"]) == (attempt, direction)


def test_a_ticket_shows_an_interaction_siloed_and_a_tied_one_is_its_trace(tmp_path: Path) -> None:
    spoken = read(table(tmp_path, "events.csv", event("11"), event("agent:22", "2024-03-05 09:05:00")))
    table(tmp_path, "ticket_chat.csv", TIE)
    path = page(tmp_path, tickets=[ticket()], users=USERS)

    (untied,) = parsing.interactions([*spoken, *read(path)])
    (tied,) = parsing.interactions([*spoken, *read(path, contact_field="external_id")], [contact("C1")])

    assert (untied["outcome"], untied["ticket_id"]) == ("siloed", "tried:7")
    assert (tied["outcome"], tied["tier"], tied["activity_id"]) == ("traced", "exact", "tried:7")


# Chats


def test_a_chat_is_one_interaction_with_the_agent_who_wrote(tmp_path: Path) -> None:
    table(tmp_path, "ticket_chat.csv", TIE)
    page(tmp_path, users=USERS)
    said = [
        event("11"),
        event("agent:22", "2024-03-05 09:05:00.250000"),
        event("11", "2024-03-05 09:06:00"),
        event("11", "2024-03-05 09:30:00", type="ChatLeave"),
    ]

    found = read(table(tmp_path, "events.csv", *said))

    assert [(row["direction"], row["event_id"], row["session_id"]) for row in rows(found)] == [
        ("inbound", None, "2403.1.Tq"),
        ("outbound", None, "2403.1.Tq"),
        ("inbound", None, "2403.1.Tq"),
    ]
    (row,) = parsing.interactions(found, [person("alice", email_token=address(ALICE))])
    assert (row["channel"], row["direction"], row["token"]) == ("chat", "inbound", address(MAIJA))
    assert (row["representative_id"], row["ended_at"]) == ("alice", datetime(2024, 3, 5, 9, 6))


@pytest.mark.parametrize(("users", "tie"), [(True, True), (True, False), (False, True)])
def test_an_agent_who_is_not_marked_is_told_by_the_users_or_by_not_being_the_visitor(
    tmp_path: Path, users: bool, tie: bool
) -> None:
    page(tmp_path, users=USERS if users else [])
    table(tmp_path, "ticket_chat.csv", TIE if tie else {**TIE, "chat_id": "another"})

    found = read(table(tmp_path, "events.csv", event("11"), event("22", "2024-03-05 09:05:00")))

    assert [row["direction"] for row in rows(found)] == ["inbound", "outbound"]
    assert len(parsing.interactions(found)) == 1


def test_what_a_program_says_in_a_chat_is_passed_over_and_a_chat_with_it_alone_is_no_interaction(
    tmp_path: Path,
) -> None:
    bot = orjson.dumps({"author": {"type": "BUSINESS"}, "source": {"type": "zd:answerBot"}}).decode()
    said = [
        event("11"),
        event("__trigger"),
        event("agent:", "2024-03-05 09:01:00"),
        event("agent:33", original_message=bot),
    ]
    found = read(table(tmp_path, "events.csv", *said))

    assert [(row["direction"], row["automated"]) for row in rows(found)] == [("inbound", True)]
    assert parsing.interactions(found) == []
    assert "1 of the chats that it names are in no table of chats (ticket_chat) beside it" in warnings(found)[1]


def test_a_customer_without_address_and_number_is_known_by_the_id_that_zendesk_gave(tmp_path: Path) -> None:
    table(tmp_path, "ticket_chat.csv", TIE)
    path = table(tmp_path, "events.csv", event("11"), event("agent:22"))
    nameless, known_by_number = user(11), user(11, phone="040 1234567")

    page(tmp_path, "users.json", users=[nameless])
    tokens = {row["from_token"] or row["to_token"] for row in rows(read(path))}
    page(tmp_path, "users.json", users=[known_by_number])
    (number,) = {row["from_token"] or row["to_token"] for row in rows(read(path))}

    assert tokens == {parsing.IDENTIFIERS.handle("user 11", "zendesk").token}
    assert number == phone(MAIJAS_NUMBER)


def test_a_chat_of_the_api_is_one_interaction_with_all_agents_who_took_part(tmp_path: Path) -> None:
    found = read(page(tmp_path, chats=[chat(agent_names=["ALICE", "BO"])]))

    (row,) = parsing.interactions(found, [person("alice"), person("bo")])
    assert (row["channel"], row["direction"], row["token"]) == ("chat", "inbound", address(MAIJA))
    assert (row["started_at"], row["ended_at"]) == (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 9, 12))
    assert row["participants"] == ["alice", "bo"]
    assert {each["event_id"] for each in rows(found)} == {"2403.1.Tq"}


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 1),
        ({"missed": True, "agent_names": []}, 0),
        ({"count": {"visitor": 2, "agent": 0}}, 0),
        ({"type": "offline_msg", "agent_names": None, "count": None, "end_timestamp": None}, 1),
        ({"started_by": "agent", "count": {"visitor": 0, "agent": 2}}, 0),
    ],
)
def test_a_chat_counts_when_a_person_of_ours_and_a_visitor_took_part_and_a_message_that_was_left_always(
    tmp_path: Path, fields: dict[str, Any], count: int
) -> None:
    assert len(parsing.interactions(read(page(tmp_path, chats=[chat(**fields)])))) == count


def test_a_chat_that_an_agent_began_goes_out_and_lasts_as_long_as_it_says(tmp_path: Path) -> None:
    (row,) = rows(read(page(tmp_path, chats=[chat(started_by="agent", end_timestamp=None, duration=90)])))

    assert (row["direction"], row["to_token"], row["from_endpoint"]) == ("outbound", address(MAIJA), "ALICE")
    assert row["ended_at"] == datetime(2024, 3, 5, 9, 1, 30)


# Forms


def test_one_ticket_is_the_same_in_every_form(tmp_path: Path) -> None:
    flat = {name: value for name, value in ticket().items() if name != "via"} | {"via_channel": "web"}
    forms = [orjson.dumps(ticket()), orjson.dumps([ticket()]), orjson.dumps({"ticket": ticket(), "users": USERS})]
    forms += [
        orjson.dumps(ticket()) + b"\n" + orjson.dumps(ticket()),
        orjson.dumps({"results": [ticket()], "count": 1}),
    ]
    paths = [tmp_path / f"{number}.json" for number in range(len(forms))]
    for path, form in zip(paths, forms, strict=True):
        path.write_bytes(form)
    page(tmp_path, "users.json", users=USERS)
    paths += [page(tmp_path, "page.json", tickets=[ticket()]), table(tmp_path, "ticket.csv", flat)]

    assert {parsing.recognised(path) for path in paths} == {"zendesk"}
    told = [{**activities(path)[0], "raw_id": ""} for path in paths]

    assert told == [told[0]] * len(paths)
    assert len(told[0]["tokens"]) == 2


def test_tables_and_pages_are_recognised_whatever_they_are_called(tmp_path: Path) -> None:
    organisation = {"id": 5, "name": "Customer", "shared_tickets": False, "shared_comments": False}
    paths = [
        table(tmp_path, "1", TIE),
        table(tmp_path, "2", event("11")),
        table(
            tmp_path, "3", {"id": 1, "created": "2024-03-06 08:00:00", "public": "TRUE", "ticket_id": 7, "user_id": 11}
        ),
        table(tmp_path, "4", USERS[0]),
        page(tmp_path, "5", comments=[comment()]),
        page(tmp_path, "6", chats=[chat(history=[{"msg": "x" * 200_000}])]),
        page(tmp_path, "7", organizations=[organisation]),
        table(tmp_path, "8", organisation),
    ]

    assert {parsing.recognised(path) for path in paths} == {"zendesk"}
    counts = [tuple(len(rows(read(path), kind)) for kind in FACTS) for path in paths]
    event_or_chat, comment_only, nothing = (1, 0, 0), (0, 1, 0), (0, 0, 0)
    assert counts == [
        nothing, event_or_chat, comment_only, nothing, comment_only, event_or_chat, nothing, nothing
    ]  # fmt: skip


def test_columns_with_other_names_are_mapped_and_a_table_without_one_is_refused(tmp_path: Path) -> None:
    row = {"id": 7, "opened": "2024-03-05 09:10:00", "requester_id": 11, "submitter_id": 11, "via_channel": "web"}
    path = table(tmp_path, "ticket.csv", row)

    assert rows(read(path, {"created_at": "Opened"}), "activity")[0]["logged_from"] == datetime(2024, 3, 5, 9, 10)
    with pytest.raises(ConfigurationError, match=r"no column 'created_at' or 'created'; .* mapping = "):
        read(path)
    with pytest.raises(ConfigurationError, match="the mapping is for 'requester', which is no field; did you mean"):
        read(path, {"requester": "id"})
    with pytest.raises(ConfigurationError, match="contact_field: expected the name of a field of users"):
        read(path, {"created_at": "opened"}, contact_field=7)


@pytest.mark.parametrize(
    ("lists", "reason"),
    [
        ({"tickets": [ticket(created_at=None)]}, "created_at: missing"),
        ({"tickets": [ticket(created_at="yesterday")]}, "created_at: no date and time"),
        ({"tickets": [ticket(id=None)]}, "id: missing; expected an id"),
        ({"tickets": [ticket(created_at="2031-01-01T00:00:00Z")]}, "dated in the future"),
        ({"comments": [voiced(call_duration="long")]}, "data_call_duration: expected seconds"),
        ({"chats": [chat(timestamp=["2024"])]}, "timestamp: no date and time"),
        ({"chats": [chat(end_timestamp="2024-03-05T08:00:00Z")]}, "ended_at is before started_at"),
    ],
)
def test_a_record_that_cannot_be_used_is_a_dead_letter_without_its_people(
    tmp_path: Path, lists: dict[str, Any], reason: str
) -> None:
    found = read(page(tmp_path, **lists))

    (letter,) = letters(found)
    assert letter.reason.startswith(reason)
    for word in ("Maija", "maija", "secret", MAIJAS_NUMBER[3:]):
        assert word not in letter.raw_text
    assert sum(batch.record_count for batch in found) == 1


def test_what_stands_before_the_break_of_a_document_is_kept(tmp_path: Path) -> None:
    path = page(tmp_path, tickets=[ticket(), ticket(8)])
    path.write_bytes(path.read_bytes()[:-200])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert [row["activity_id"] for row in rows(found, "activity")] == ["tried:7"]


def test_ids_beyond_the_ceiling_are_counted_with_those_that_nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_tables, "MOST_IDS", 1)

    found = read(
        page(tmp_path, tickets=[ticket(), ticket(8, requester_id=12)], users=[*USERS, user(12, email="b@x.example")])
    )

    assert [len(row["tokens"]) for row in rows(found, "activity")] == [2, 0]
    assert "1 of the people that it names" in warnings(found)[0]


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    whole = data.draw(
        st.sampled_from(
            (
                page(tmp_path, "1.json", tickets=[ticket()], users=USERS).read_bytes(),
                page(tmp_path, "1.json", comments=[comment(), voiced()]).read_bytes(),
                page(tmp_path, "1.json", chats=[chat()]).read_bytes(),
                table(tmp_path, "1.json", event("11"), event("agent:22")).read_bytes(),
                table(tmp_path, "1.json", *USERS[:1]).read_bytes(),
            )
        )
    )
    path = tmp_path / "1.json"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path, FACTS)
