"""Genesys Cloud: who of a conversation were people, how long they talked with the customer, and what is one contact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.genesys import SOURCE
from pipeline.sources.registry import Batch
from tests import parsing
from tests.parsing import address, letters, phone, rows
from tests.records import person, shared

MAIJA, COMPANY = "+358401234567", "+358942450000"
ALICE, BO = "8dd0819f-9903-4913-8512-220010388859", "2eb54224-120e-47b0-aab1-8c2daeac20d9"
ALICES_ADDRESS = "alice@acme.example"
QUEUE = "39988345-a7c5-4ce5-851e-334cb54efc79"
DIRECTORY = (person("alice", extension=ALICE), person("bo", extension=BO), shared("Support", extension="Support FI"))


def at(clock: str) -> str:
    """Return an instant of the day as the API writes it: "9:05" or "9:05:30"."""
    hour, minute, *second = clock.split(":")
    return f"2024-03-05T{int(hour):02}:{minute}:{(second or ['00'])[0]}.000Z"


def segment(kind: str, start: str, end: str | None, **fields: Any) -> dict[str, Any]:
    return {
        "segmentType": kind, "segmentStart": at(start), "segmentEnd": at(end) if end else None, "conference": False,
        "queueId": QUEUE, **fields,
    }  # fmt: skip


def part(
    purpose: str, *segments: Mapping[str, Any], user: str | None = None, name: str | None = None, **session: Any
) -> dict[str, Any]:
    """Return a participant with one session of a voice call that came in, unless it says otherwise."""
    told = {
        "mediaType": "voice", "direction": "inbound", "ani": f"tel:{MAIJA}", "dnis": f"tel:{COMPANY}",
        "sessionId": f"s-{purpose}-{user or name}", "segments": segments, **session,
    }  # fmt: skip
    known = {key: value for key, value in (("userId", user), ("participantName", name)) if value is not None}
    return {"participantId": f"p-{purpose}", "purpose": purpose, **known, "sessions": [told]}


def conversation(*participants: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "conversationId": "c-1", "conversationStart": at("9:00"), "conversationEnd": at("9:10"),
        "originatingDirection": "inbound", "divisionIds": ["d-1"], "participants": participants, **fields,
    }  # fmt: skip


CUSTOMER = part("customer", segment("system", "9:00", "9:00"), segment("interact", "9:00", "9:10"), name="Maija")
IVR = part("ivr", segment("ivr", "9:00", "9:01"), name="Welcome")
ACD = part("acd", segment("delay", "9:01", "9:01"), segment("interact", "9:01", "9:02"), name="Support FI")
TALKED = part(
    "agent", segment("alert", "9:01:30", "9:02"), segment("interact", "9:02", "9:06"), segment("hold", "9:06", "9:07"),
    segment("interact", "9:07", "9:10"), segment("wrapup", "9:10", "9:15"), user=ALICE,
)  # fmt: skip
RUNG = part("agent", segment("alert", "9:01", "9:01:20"), segment("wrapup", "9:01:20", "9:02:20"), user=BO)
CALL = conversation(CUSTOMER, IVR, ACD, RUNG, TALKED)


def written(folder: Path, *conversations: Mapping[str, Any], name: str = "conversations.json") -> Path:
    path = folder / name
    path.write_bytes(orjson.dumps({"conversations": conversations, "totalHits": len(conversations)}))
    return path


def read(folder: Path, *conversations: Mapping[str, Any]) -> list[Batch]:
    return parsing.batches(SOURCE, written(folder, *conversations))


def observed(folder: Path, *conversations: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = read(folder, *conversations)
    assert letters(found) == []
    return rows(found)


def told(folder: Path, *conversations: Mapping[str, Any]) -> list[dict[str, Any]]:
    return parsing.interactions(read(folder, *conversations), DIRECTORY)


# Calls


def test_a_call_belongs_to_the_agent_who_talked_and_holding_is_no_talk(tmp_path: Path) -> None:
    (row,) = told(tmp_path, CALL)

    assert (row["channel"], row["line"], row["direction"]) == ("call", "contact_center", "inbound")
    assert (row["token"], row["representative_id"], row["participants"]) == (phone(MAIJA), "alice", ["alice"])
    assert row["talk_seconds"] == 7 * 60
    assert (row["started_at"], row["ended_at"]) == (datetime(2024, 3, 5, 9, 1, 30), datetime(2024, 3, 5, 9, 10))


def test_each_of_ours_who_was_rung_or_talked_is_a_leg_of_the_call(tmp_path: Path) -> None:
    bo, alice = observed(tmp_path, CALL)

    assert [(leg["to_endpoint"], leg["attempt"]) for leg in (bo, alice)] == [(BO, "unanswered"), (ALICE, "talk")]
    assert {leg["session_id"] for leg in (bo, alice)} == {"c-1"}
    assert (alice["event_id"], alice["via_endpoint"]) == (f"s-agent-{ALICE}", "Support FI")
    assert (alice["from_token"], alice["to_token"]) == (phone(MAIJA), phone(COMPANY))
    assert alice["answered_at"] == datetime(2024, 3, 5, 9, 2)


def test_a_transfer_between_agents_is_one_interaction_of_both(tmp_path: Path) -> None:
    second = part("agent", segment("interact", "9:06", "9:10"), user=BO)
    first = part("agent", segment("interact", "9:02", "9:06"), user=ALICE)

    (row,) = told(tmp_path, conversation(CUSTOMER, ACD, first, second))

    assert sorted(row["participants"]) == ["alice", "bo"]
    assert row["talk_seconds"] == 8 * 60


@pytest.mark.parametrize(
    ("others", "attempt"),
    [
        ([IVR], "no_human"),
        ([IVR, ACD], "unanswered"),
        ([ACD], "unanswered"),
        ([ACD, RUNG], "unanswered"),
        ([IVR, part("voicemail", segment("interact", "9:02", "9:03"))], "no_human"),
        ([IVR, ACD, part("voicemail", segment("system", "9:02", "9:03"))], "unanswered"),
        ([part("workflow", segment("system", "9:00", "9:01"))], "no_human"),
        ([], "unanswered"),
    ],
)
def test_ivr_queue_and_voicemail_are_no_people(
    tmp_path: Path, others: Sequence[Mapping[str, Any]], attempt: str
) -> None:
    found = read(tmp_path, conversation(CUSTOMER, *others))

    assert [row["attempt"] for row in rows(found)] == [attempt]
    assert parsing.interactions(found, DIRECTORY) == []


def test_what_goes_on_before_the_customer_answers_is_no_talk(tmp_path: Path) -> None:
    way = {"direction": "outbound", "ani": f"tel:{COMPANY}", "dnis": f"tel:{MAIJA}"}
    caller = part("user", segment("interact", "9:00", "9:05"), user=ALICE, **way)
    answered = part("external", segment("dialing", "9:00", "9:01"), segment("interact", "9:01", "9:05"), **way)
    not_answered = part("external", segment("dialing", "9:00", "9:05"), **way)

    (row,) = told(tmp_path, conversation(caller, answered, originatingDirection="outbound"))
    (attempt,) = observed(tmp_path, conversation(caller, not_answered))

    assert (row["direction"], row["token"], row["representative_id"]) == ("outbound", phone(MAIJA), "alice")
    assert row["talk_seconds"] == 4 * 60
    assert (attempt["attempt"], attempt["from_endpoint"], attempt["to_token"]) == ("unanswered", ALICE, phone(MAIJA))


def test_a_machine_that_answered_a_campaign_is_voicemail(tmp_path: Path) -> None:
    way = {"direction": "outbound", "ani": f"tel:{COMPANY}", "dnis": f"tel:{MAIJA}"}
    machine = "disposition.classification.callable.machine"
    dialled = part("customer", segment("interact", "9:00", "9:01"), dispositionName=machine, **way)

    agent = part("agent", segment("interact", "9:00", "9:01"), user=ALICE, **way)

    (row,) = observed(tmp_path, conversation(dialled))

    assert (row["attempt"], row["direction"], row["to_token"]) == ("no_human", "outbound", phone(MAIJA))
    assert [row["attempt"] for row in observed(tmp_path, conversation(dialled, agent))] == ["no_human"]


def test_a_third_party_that_an_agent_calls_in_is_not_the_customer(tmp_path: Path) -> None:
    third = part("external", segment("interact", "8:59", "9:10"), direction="outbound", dnis="tel:+358407654321")

    (row,) = told(tmp_path, conversation(third, CUSTOMER, ACD, TALKED))

    assert (row["token"], row["direction"]) == (phone(MAIJA), "inbound")


def test_a_callback_is_one_interaction_with_the_call_in_which_it_was_asked_for(tmp_path: Path) -> None:
    asked = part("customer", segment("interact", "9:00", "9:01"))
    request = part("acd", segment("interact", "9:01", "9:05"), mediaType="callback", callbackNumbers=[MAIJA])
    way = {"direction": "outbound", "ani": f"tel:{COMPANY}", "dnis": f"tel:{MAIJA}"}
    called = part("customer", segment("dialing", "9:05", "9:06"), segment("interact", "9:06", "9:10"), **way)
    agent = part("agent", segment("interact", "9:05", "9:10"), user=ALICE, **way)

    (row,) = told(tmp_path, conversation(asked, request, called, agent))

    assert (row["token"], row["direction"], row["representative_id"]) == (phone(MAIJA), "outbound", "alice")
    assert row["talk_seconds"] == 4 * 60


def test_a_callback_that_nobody_made_tells_of_no_conversation(tmp_path: Path) -> None:
    request = part("acd", segment("interact", "9:01", "9:05"), mediaType="callback", callbackNumbers=[MAIJA])

    found = read(tmp_path, conversation(request))

    assert rows(found) == []
    assert [warning for batch in found for warning in batch.warnings] == [
        "conversations.json: 1 of its records tell of no conversation and were passed over"
    ]


@pytest.mark.parametrize("role", ["monitoredParticipantId", "coachedParticipantId"])
def test_a_supervisor_who_listens_takes_no_part(tmp_path: Path, role: str) -> None:
    listener = part("user", segment("interact", "9:02", "9:10"), user=BO, **{role: "p-agent"})

    (row,) = told(tmp_path, conversation(CUSTOMER, ACD, TALKED, listener))

    assert row["participants"] == ["alice"]


def test_a_call_of_two_of_ours_is_internal(tmp_path: Path) -> None:
    caller = part("user", segment("interact", "9:00", "9:05"), user=ALICE, direction="outbound")
    called = part("user", segment("alert", "9:00", "9:01"), segment("interact", "9:01", "9:05"), user=BO)

    (row,) = observed(tmp_path, conversation(called, caller))

    assert (row["direction"], row["from_endpoint"], row["to_endpoint"]) == ("internal", ALICE, BO)
    assert row["talk_seconds"] == 4 * 60
    assert told(tmp_path, conversation(called, caller)) == []


@pytest.mark.parametrize(
    ("ani", "token"),
    [
        ("sip:+358401234567@trunk.example;user=phone", phone(MAIJA)),
        ("sip:%2B358401234567@trunk.example", phone(MAIJA)),
        (MAIJA, phone(MAIJA)),
        ("sip:anonymous@anonymous.invalid", None),
        ("sip:65a5609eefe87a1b57549613+acme@localhost", None),
        ("tel:anonymous", None),
        (None, None),
    ],
)
def test_a_customer_is_known_by_a_number_however_it_is_written_or_withheld(
    tmp_path: Path, ani: str | None, token: str | None
) -> None:
    customer = part("customer", segment("interact", "9:00", "9:10"), ani=ani)

    (row,) = told(tmp_path, conversation(customer, TALKED))

    assert (row["token"], row["representative_id"]) == (token, "alice")


def test_users_beside_tie_agents_to_the_directory_by_their_addresses(tmp_path: Path) -> None:
    users = tmp_path / "users.json"
    user = {"id": ALICE, "name": "Alice", "email": ALICES_ADDRESS, "selfUri": f"/api/v2/users/{ALICE}"}
    users.write_bytes(orjson.dumps({"entities": [user], "pageCount": 1}))
    known_by_address = [person("alice", email_token=address(ALICES_ADDRESS))]

    found = read(tmp_path, conversation(CUSTOMER, TALKED))

    assert parsing.recognised(users) == "genesys"
    assert parsing.interactions(found, known_by_address)[0]["representative_id"] == "alice"
    assert [warning for batch in found for warning in batch.warnings] == []
    assert parsing.batches(SOURCE, users)[0].record_count == 0


def test_without_the_users_a_warning_names_the_remedy(tmp_path: Path) -> None:
    (note,) = [warning for batch in read(tmp_path, CALL) for warning in batch.warnings]

    assert note == (
        "conversations.json: 2 of the users that it names are in no list of users beside it; put the answers of "
        "/api/v2/users into the same folder, or their ids into the directory, as extension"
    )


# Other media


def handle(name: str, namespace: str) -> str | None:
    return parsing.IDENTIFIERS.handle(name, namespace).token


def chat(purpose: str, *segments: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    told = {"mediaType": "message", "messageType": "whatsapp", "addressFrom": MAIJA[1:], "addressTo": "acme"}
    return part(purpose, *segments, **{"ani": None, "dnis": None, **told, **fields})


WROTE = chat("customer", segment("interact", "9:00", "9:10"))
ANSWERED = chat("agent", segment("interact", "9:02", "9:05"), segment("wrapup", "9:05", "9:06"), user=ALICE)


def test_a_chat_is_one_interaction_with_all_who_took_part(tmp_path: Path) -> None:
    second = chat("agent", segment("interact", "9:05", "9:08"), user=BO)

    (row,) = told(tmp_path, conversation(WROTE, ANSWERED, second))

    assert (row["channel"], row["direction"], row["token"]) == ("chat", "inbound", phone(MAIJA))
    assert (row["started_at"], row["ended_at"]) == (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 9, 10))
    assert row["participants"] == ["alice", "bo"]


@pytest.mark.parametrize(
    ("fields", "channel", "token"),
    [
        ({"messageType": "sms", "addressFrom": MAIJA}, "sms", phone(MAIJA)),
        ({"messageType": "sms", "addressFrom": MAIJA[1:]}, "sms", phone(MAIJA)),
        ({"messageType": "facebook", "addressFrom": "77"}, "social", handle("77", "facebook")),
        ({"messageType": "webmessaging", "addressFrom": "ab-1"}, "chat", handle("ab-1", "webmessaging")),
        ({"mediaType": "chat", "messageType": None, "addressFrom": None}, "chat", None),
    ],
)  # fmt: skip
def test_a_message_is_of_the_channel_that_its_kind_means(
    tmp_path: Path, fields: dict[str, Any], channel: str, token: str | None
) -> None:
    medium = {key: value for key, value in fields.items() if key == "mediaType"}
    wrote = chat("customer", segment("interact", "9:00", "9:10"), **fields)
    agent = chat("agent", segment("interact", "9:02", "9:05"), user=ALICE, **medium)

    (row,) = told(tmp_path, conversation(wrote, agent))

    assert (row["channel"], row["token"], row["representative_id"]) == (channel, token, "alice")


def test_a_message_that_went_out_went_to_the_customer(tmp_path: Path) -> None:
    way = {"direction": "outbound", "addressFrom": "acme", "addressTo": MAIJA[1:]}
    sent = chat("customer", segment("interact", "9:00", "9:10"), **way)

    (row,) = told(tmp_path, conversation(sent, chat("agent", segment("interact", "9:00", "9:01"), user=ALICE)))

    assert (row["direction"], row["token"]) == ("outbound", phone(MAIJA))


QUEUED = chat("acd", segment("interact", "9:01", "9:05"))
NOT_TAKEN = chat("agent", segment("alert", "9:01", "9:02"), user=BO)


@pytest.mark.parametrize("alone", [[], [QUEUED], [QUEUED, NOT_TAKEN]])
def test_a_chat_in_which_no_person_of_ours_took_part_is_no_interaction(
    tmp_path: Path, alone: Sequence[Mapping[str, Any]]
) -> None:
    found = read(tmp_path, conversation(WROTE, *alone))

    assert [row["automated"] for row in rows(found)] == [True]
    assert parsing.interactions(found, DIRECTORY) == []


def test_a_call_in_a_conversation_that_began_as_a_chat_is_an_interaction_of_its_own(tmp_path: Path) -> None:
    found = told(tmp_path, conversation(WROTE, ANSWERED, CUSTOMER, TALKED))

    assert sorted(row["channel"] for row in found) == ["call", "chat"]


def test_the_email_that_a_conversation_began_with_counts(tmp_path: Path) -> None:
    mail = {"mediaType": "email", "addressFrom": "maija@customer.example", "addressTo": "support@acme.example"}
    subject = segment("interact", "9:00", "9:10", subject="Re: Maija's order")
    agent = part("agent", segment("interact", "9:02", "9:05"), user=ALICE, mediaType="email")
    found = read(tmp_path, conversation(part("customer", subject, cc=["b@x.example", 7], **mail), agent))

    (row,) = rows(found)
    assert (row["channel"], row["started_at"]) == ("email", datetime(2024, 3, 5, 9))
    assert row["from_token"] == address("maija@customer.example")
    assert [party["token"] for party in row["parties"]] == [address("support@acme.example"), address("b@x.example")]
    assert row["automated"] is False
    (interaction,) = parsing.interactions(found, [shared("Support", email_token=address("support@acme.example"))])
    assert (interaction["direction"], interaction["team"]) == ("inbound", "Support")


def test_an_email_that_no_agent_sent_is_automated_and_one_without_addresses_tells_nothing(tmp_path: Path) -> None:
    mail = {"mediaType": "email", "direction": "outbound", "addressFrom": "support@acme.example"}
    notice = part("customer", segment("system", "9:00", "9:00"), addressTo="maija@customer.example", **mail)
    nobodys = part("customer", segment("interact", "9:00", "9:10"), mediaType="email")
    unanswered = part("customer", segment("interact", "9:00", "9:10"), **{**mail, "direction": "inbound"})

    found = observed(tmp_path, *(conversation(each) for each in (notice, nobodys, unanswered)))

    assert [row["automated"] for row in found] == [True, False]


def test_other_media_tell_of_no_conversation(tmp_path: Path) -> None:
    assert (
        observed(tmp_path, conversation(part("customer", segment("interact", "9:00", "9:10"), mediaType="cobrowse")))
        == []
    )


def test_a_customer_whose_session_tells_nothing_was_connected_all_the_while(tmp_path: Path) -> None:
    (row,) = told(tmp_path, conversation(part("customer"), TALKED))

    assert row["talk_seconds"] == 7 * 60


# Forms


def test_conversations_are_recognised_in_every_form_however_long_the_first_is(tmp_path: Path) -> None:
    long = conversation(part("customer", *[segment("interact", "9:00", "9:10")] * 2000), TALKED)
    forms = [
        orjson.dumps(CALL),
        orjson.dumps([CALL]),
        orjson.dumps(CALL) + b"\n" + orjson.dumps(CALL),
        orjson.dumps(long),
    ]
    paths = [written(tmp_path, CALL, name="page.json"), written(tmp_path, long, name="long.json")]
    for number, form in enumerate(forms):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_bytes(form)

    assert {parsing.recognised(path) for path in paths} == {"genesys"}
    assert {len(parsing.interactions(parsing.batches(SOURCE, path), DIRECTORY)) for path in paths} == {1}


def test_the_same_conversation_in_two_answers_counts_once(tmp_path: Path) -> None:
    (row,) = told(tmp_path, CALL, CALL)

    assert row["talk_seconds"] == 7 * 60


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"conversationEnd": None}, "conversationEnd: the call had not ended"),
        ({"conversationId": 7}, "conversationId: missing"),
        ({"participants": [part("customer", {"segmentStart": None})]}, "segmentStart: missing"),
        ({"participants": [part("customer", {"segmentStart": at("9:00"), "segmentEnd": "x"})]}, "segmentEnd: no date"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_used_is_a_dead_letter_without_its_people(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    found = read(tmp_path, {**CALL, **changes}, {**CALL, "conversationId": "c-2"})

    (letter,) = letters(found)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.is_raw_event) == (1, True)
    assert MAIJA[3:] not in letter.raw_text
    assert "Maija" not in letter.raw_text
    assert len(rows(found)) == 2


def test_an_unfinished_chat_is_told_as_far_as_it_went(tmp_path: Path) -> None:
    wrote = chat("customer", segment("interact", "9:00", None))

    (row,) = told(tmp_path, conversation(wrote, ANSWERED, conversationEnd=None))

    assert row["ended_at"] == datetime(2024, 3, 5, 9, 5)


def test_there_is_nothing_to_map(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="have nothing to map; leave it out"):
        parsing.batches(SOURCE, written(tmp_path, CALL), {"ani": "caller"})


def test_what_stands_before_the_break_of_a_document_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, CALL, {**CALL, "conversationId": "c-2"})
    path.write_bytes(path.read_bytes()[:-200])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert {row["session_id"] for row in rows(found)} == {"c-1"}


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    path = written(tmp_path, CALL, conversation(WROTE, ANSWERED, IVR), name="damaged.json")
    path.write_bytes(parsing.damaged(path.read_bytes(), data))

    parsing.assert_survives(SOURCE, path)
