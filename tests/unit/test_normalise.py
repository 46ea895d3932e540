"""What canonical records mean: one fact or one rejection each, and never a guess."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter

from pipeline.identifiers import Identifiers
from pipeline.normalise import Normaliser
from pipeline.sources.message_headers import masked_key, message_key, second_key, subject_core
from pipeline.sources.registry import ReadContext
from schemas.facts import SCHEMAS
from schemas.record import CanonicalRecord

RECORDS: TypeAdapter[Any] = TypeAdapter(list[CanonicalRecord])
IDENTIFIERS = Identifiers(b"0123456789abcdef")
CUSTOMER = "+358 40 1234567"
TOKEN = IDENTIFIERS.phone(CUSTOMER).token
START = "2024-05-02T09:15:00+03:00"
STARTED = datetime(2024, 5, 2, 6, 15)


def context(zone: str = "Europe/Helsinki") -> ReadContext:
    return ReadContext("pbx", "calls.jsonl", ZoneInfo(zone), IDENTIFIERS, datetime(2024, 6, 1))


def normalised(*records: dict[str, Any], zone: str = "Europe/Helsinki") -> tuple[dict[str, list[Any]], dict[int, str]]:
    result = Normaliser(context(zone)).normalise(RECORDS.validate_python(records), range(1, len(records) + 1))
    for kind, table in result.facts.items():
        assert table.schema == SCHEMAS[kind]
    return {kind: table.to_pylist() for kind, table in result.facts.items()}, dict(result.rejections)


def observed(**fields: Any) -> dict[str, Any]:
    """Return the observation of one record, a call unless it says otherwise."""
    facts, rejections = normalised({"kind": "call", "started_at": START} | fields)
    assert rejections == {}
    (row,) = facts["observation"]
    return dict(row)


def refused(**fields: Any) -> str:
    facts, rejections = normalised({"kind": "call", "started_at": START} | fields)
    assert facts.get("observation", []) == []
    return rejections[0]


# How a call went


def test_an_answered_call_is_an_observation_with_every_column() -> None:
    row = observed(
        **{"from": CUSTOMER}, to="201", direction="inbound", call_id="c-1", answered_at="2024-05-02T09:15:12+03:00",
        ended_at="2024-05-02T09:20:12+03:00", talk_seconds=300, line="mobile", queue="sales",
    )  # fmt: skip
    assert row.pop("record_digest") > 0
    assert row == {
        "raw_id": "pbx:calls.jsonl:1", "source": "pbx", "channel": "call", "line": "mobile", "direction": "inbound",
        "started_at": STARTED, "answered_at": datetime(2024, 5, 2, 6, 15, 12),
        "ended_at": datetime(2024, 5, 2, 6, 20, 12), "talk_seconds": 300.0, "talk_basis": 1, "attempt": "talk",
        "key": "pbx:c-1", "other_keys": None, "event_id": "c-1", "session_id": "c-1", "from_endpoint": None,
        "from_token": TOKEN, "from_domain": None, "to_endpoint": "201", "to_token": None, "to_domain": None,
        "via_endpoint": "sales", "parties": None, "automated": False, "bulk": False, "emergency": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "attempt", "talk"),
    [
        ({"talk_seconds": 60}, "talk", 60.0),
        ({"talk_seconds": 0}, "unanswered", 0.0),
        ({"status": "answered", "talk_seconds": 0}, "unanswered", 0.0),
        ({"status": "answered", "duration_seconds": 70}, "talk", 70.0),
        ({"status": "answered", "ended_at": "2024-05-02T09:16:00+03:00"}, "talk", 60.0),
        ({"answered_at": "2024-05-02T09:15:20+03:00", "ended_at": "2024-05-02T09:16:00+03:00"}, "talk", 40.0),
        ({"answered_at": "2024-05-02T09:15:20+03:00", "duration_seconds": 60}, "talk", 40.0),
        ({"answered_at": None, "ended_at": "2024-05-02T09:16:00+03:00"}, "unanswered", 0.0),
        ({"status": "unanswered", "duration_seconds": 25}, "unanswered", 0.0),
        ({"status": "busy"}, "unanswered", 0.0),
        ({"status": "failed", "talk_seconds": 9}, "unanswered", 0.0),
        ({"status": "voicemail", "talk_seconds": 30}, "no_human", 0.0),
        ({"status": "ivr", "talk_seconds": 30}, "no_human", 0.0),
    ],
)
def test_talk_and_attempt_follow_from_what_the_record_says(fields: dict[str, Any], attempt: str, talk: float) -> None:
    row = observed(to="201", **fields)
    assert (row["attempt"], row["talk_seconds"]) == (attempt, talk)
    assert row["talk_basis"] == (1 if attempt == "talk" else 0)
    assert (row["answered_at"] is not None) == (attempt == "talk")


def test_the_end_and_the_answer_follow_from_durations() -> None:
    row = observed(to="201", duration_seconds=312, talk_seconds=300)
    assert row["ended_at"] == datetime(2024, 5, 2, 6, 20, 12)
    assert row["answered_at"] == datetime(2024, 5, 2, 6, 15, 12)
    row = observed(to="201", talk_seconds=300)
    assert (row["answered_at"], row["ended_at"]) == (STARTED, datetime(2024, 5, 2, 6, 20))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "cannot tell whether anybody talked"),
        ({"duration_seconds": 20}, "cannot tell whether anybody talked"),
        ({"status": "answered"}, "without its length"),
        ({"ended_at": "2024-05-02T09:14:00+03:00", "talk_seconds": 1}, "ended_at is before started_at"),
        ({"answered_at": "2024-05-02T09:14:00+03:00", "talk_seconds": 1}, "answered_at is not between"),
        ({"talk_seconds": 700_000}, "check the unit"),
        ({"ended_at": "2024-05-20T09:14:00+03:00", "talk_seconds": 1}, "check the unit"),
        ({"started_at": "2024-06-02T03:30:00+03:00", "talk_seconds": 9}, "dated in the future"),
    ],
)
def test_a_record_that_says_too_little_or_contradicts_itself_is_rejected(fields: dict[str, Any], words: str) -> None:
    assert words in refused(to="201", **fields)


def test_a_record_of_up_to_a_day_ahead_is_no_future() -> None:
    assert observed(started_at="2024-06-02T02:30:00+03:00", talk_seconds=9)["attempt"] == "talk"


def test_a_time_without_offset_is_local_time_of_the_source() -> None:
    record = {"kind": "call", "started_at": "2024-01-02T09:15:00", "talk_seconds": 9}
    helsinki, _ = normalised(record)
    utc, _ = normalised(record, zone="UTC")
    assert helsinki["observation"][0]["started_at"] == datetime(2024, 1, 2, 7, 15)
    assert utc["observation"][0]["started_at"] == datetime(2024, 1, 2, 9, 15)


# Who it was


@pytest.mark.parametrize(
    ("fields", "caller", "called"),
    [
        # endpoint and token of each side
        ({"from": CUSTOMER, "to": "201"}, (None, TOKEN), ("201", None)),
        ({"from": "anonymous", "to": "201"}, (None, None), ("201", None)),
        ({"from": "", "to": "Ext. 201"}, (None, None), ("201", None)),
        ({"customer": CUSTOMER, "representative": "r1", "direction": "inbound"}, (None, TOKEN), ("r1", None)),
        ({"customer": CUSTOMER, "representative": "r1", "direction": "outbound"}, ("r1", None), (None, TOKEN)),
        ({"customer": CUSTOMER, "representative": "r1"}, (None, TOKEN), ("r1", None)),
        ({"from": "201", "to": CUSTOMER, "representative": "r1"}, ("r1", None), (None, TOKEN)),
        ({"from": CUSTOMER, "representative": "Maija Virtanen"}, (None, TOKEN), ("Maija Virtanen", None)),
        ({"from": CUSTOMER, "to": "201", "representative": "r1", "direction": "inbound"}, (None, TOKEN), ("r1", None)),
        ({"from": "201", "to": "202", "direction": "internal"}, ("201", None), ("202", None)),
        # a name is kept on our side only
        ({"from": "Matti", "to": "sales", "direction": "inbound"}, (None, None), ("sales", None)),
        ({"from": "sales", "to": "Matti", "direction": "outbound"}, ("sales", None), (None, None)),
        ({"from": "Matti", "to": "sales"}, (None, None), (None, None)),
        ({"from": CUSTOMER, "to": "201", "queue": "600"}, (None, TOKEN), ("201", None)),
    ],
)
def test_each_side_has_its_endpoint_or_its_token(
    fields: dict[str, Any], caller: tuple[str | None, ...], called: tuple[str | None, ...]
) -> None:
    row = observed(talk_seconds=9, **fields)
    assert (row["from_endpoint"], row["from_token"]) == caller
    assert (row["to_endpoint"], row["to_token"]) == called
    assert row["via_endpoint"] == fields.get("queue")


def test_a_representative_may_be_given_by_number_or_address() -> None:
    row = observed(talk_seconds=9, customer=CUSTOMER, representative="matti@acme.fi", direction="inbound")
    assert row["to_token"] == IDENTIFIERS.email("matti@acme.fi").token
    assert row["to_domain"] == IDENTIFIERS.domain_token("acme.fi")
    row = observed(talk_seconds=9, customer=CUSTOMER, representative="010 555 0201", direction="outbound")
    assert (row["from_token"], row["from_endpoint"]) == (IDENTIFIERS.phone("+358105550201").token, None)


def test_a_representative_without_a_side_is_rejected() -> None:
    reason = refused(talk_seconds=9, to=CUSTOMER, representative="r1", **{"from": "010 555 0201"})
    assert "cannot tell on which side the representative is; give direction" in reason


def test_a_long_number_is_never_kept_as_an_endpoint() -> None:
    row = observed(
        kind="pbx_leg", call_id="1", talk_seconds=9, to_device="PJSIP/0401234567", from_device="trunk", to=CUSTOMER
    )
    assert (row["from_endpoint"], row["to_endpoint"], row["to_token"]) == ("trunk", None, TOKEN)
    assert observed(talk_seconds=9, queue="+358401234567")["via_endpoint"] is None


def test_a_system_may_name_its_people_and_queues_by_guids_however_many_digits_stand_in_a_row() -> None:
    guid = "8dd0819f-9903-4913-8512-220010388859"
    row = observed(
        kind="pbx_leg", call_id="1", talk_seconds=9, to_device=guid, queue=guid, customer=CUSTOMER, direction="inbound"
    )
    assert (row["to_endpoint"], row["via_endpoint"], row["from_token"]) == (guid, guid, TOKEN)
    row = observed(talk_seconds=9, representative=guid, customer=CUSTOMER, direction="inbound")
    assert (row["to_endpoint"], row["to_token"]) == (guid, None)
    row = observed(talk_seconds=9, direction="inbound", to="201", **{"from": guid})
    assert (row["from_endpoint"], row["from_token"]) == (None, None)


def test_an_emergency_number_is_marked() -> None:
    assert observed(**{"from": "201"}, to="112", talk_seconds=9, direction="outbound")["emergency"] is True


def test_no_identifier_of_a_customer_stands_in_an_observation() -> None:
    facts, _ = normalised(
        {"kind": "call", "started_at": START, "talk_seconds": 9, "from": CUSTOMER, "representative": "0401234567"},
        {"kind": "message", "channel": "chat", "started_at": START, "from": "maija.v", "to": "acme", "namespace": "x"},
        {"kind": "email", "sent_at": START, "from": "maija@customer.fi", "to": ["a@acme.fi"], "subject": "secret"},
    )
    text = str(facts)
    for clear in ("1234567", "maija", "customer.fi", "secret"):
        assert clear not in text


# What belongs together


def test_legs_of_one_call_share_their_key_and_keep_their_own_ids() -> None:
    leg = {"kind": "pbx_leg", "call_id": "17.1", "started_at": START, "from": CUSTOMER}
    facts, _ = normalised(
        leg | {"leg_id": "17.2", "to_device": "201", "status": "unanswered"},
        leg | {"leg_id": "17.3", "to_device": "202", "talk_seconds": 60},
    )
    rows = facts["observation"]
    assert {row["key"] for row in rows} == {"pbx:17.1"}
    assert [row["event_id"] for row in rows] == ["17.2", "17.3"]
    assert {row["session_id"] for row in rows} == {"17.1"}
    assert {row["line"] for row in rows} == {"pbx"}


def test_the_same_record_without_an_id_has_the_same_key_and_digest_wherever_it_stands() -> None:
    record = {"kind": "call", "started_at": START, "talk_seconds": 60, "from": CUSTOMER, "to": "201"}
    facts, _ = normalised(record, record | {"talk_seconds": 61}, record)
    first, other, again = facts["observation"]
    assert (first["key"], first["record_digest"]) == (again["key"], again["record_digest"])
    assert first["raw_id"] != again["raw_id"]
    assert first["key"] != other["key"]


def test_a_digest_is_the_same_in_every_version() -> None:
    assert observed(talk_seconds=60, call_id="c")["record_digest"] == 15955162937632522062


# Email


def test_an_email_has_the_keys_that_a_mailbox_gives_it() -> None:
    facts, _ = normalised(
        {
            "kind": "email", "message_id": "<A1.b2@mail.customer.fi>", "sent_at": START, "subject": "VS: Tilaus",
            "from": "Maija <Maija@Customer.FI>", "to": ["sales@acme.fi", "sales@acme.fi"], "cc": ["info@gmail.com"],
            "delivered_to": ["sales@acme.fi"],
        }
    )  # fmt: skip
    (row,) = facts["observation"]
    seconds = int((STARTED - datetime(1970, 1, 1)).total_seconds())
    second = second_key("maija@customer.fi", ["sales@acme.fi", "info@gmail.com"], subject_core(b"VS: Tilaus"), seconds)
    assert row["key"] == "m:A1.b2@mail.customer.fi"
    assert row["other_keys"] == [second]
    assert row["event_id"] == message_key("<A1.b2@mail.customer.fi>")
    assert row["from_token"] == IDENTIFIERS.email("maija@customer.fi").token
    assert row["from_domain"] == IDENTIFIERS.domain_token("customer.fi")
    sales = IDENTIFIERS.email("sales@acme.fi")
    assert row["parties"] == [
        {"role": "to", "token": sales.token, "domain": sales.domain},
        {"role": "cc", "token": IDENTIFIERS.email("info@gmail.com").token, "domain": None},
        {"role": "delivered", "token": sales.token, "domain": sales.domain},
    ]
    assert (row["attempt"], row["to_token"], row["line"], row["direction"]) == (None, None, None, None)
    assert row["started_at"] == row["ended_at"] == STARTED


def test_an_email_without_a_message_id_is_known_by_its_second_key() -> None:
    facts, _ = normalised({"kind": "email", "sent_at": START, "from": "a@customer.fi", "to": ["b@acme.fi"]})
    (row,) = facts["observation"]
    assert row["key"].startswith("h:")
    assert (row["other_keys"], row["event_id"]) == (None, None)


@pytest.mark.parametrize(
    ("fields", "automated", "bulk"),
    [
        ({}, False, False),
        ({"auto_submitted": "auto-replied"}, True, False),
        ({"auto_submitted": "no"}, False, False),
        ({"return_path": "<>"}, True, False),
        ({"return_path": "<a@b.fi>"}, False, False),
        ({"precedence": "bulk"}, False, True),
        ({"list_id": "<news.x.fi>"}, False, True),
        ({"automated": True, "bulk": True}, True, True),
    ],
)
def test_machines_and_lists_are_told_by_headers(fields: dict[str, Any], automated: bool, bulk: bool) -> None:
    facts, _ = normalised({"kind": "email", "sent_at": START, "from": "a@customer.fi", "to": ["b@acme.fi"]} | fields)
    (row,) = facts["observation"]
    assert (row["automated"], row["bulk"]) == (automated, bulk)


# Messages


def test_messages_of_one_conversation_share_its_key() -> None:
    message = {
        "kind": "message",
        "channel": "chat",
        "started_at": START,
        "conversation_id": "c9",
        "direction": "inbound",
    }
    facts, _ = normalised(
        message | {"message_id": "1", "from": "maija.v"}, message | {"message_id": "2", "from": "maija.v"}
    )
    rows = facts["observation"]
    assert {row["key"] for row in rows} == {"pbx:c9"}
    assert [row["event_id"] for row in rows] == ["1", "2"]
    assert {row["attempt"] for row in rows} == {None}
    assert {row["from_token"] for row in rows} == {IDENTIFIERS.handle("maija.v", "chat").token}


def test_a_message_alone_is_known_by_its_own_id_and_else_by_its_content() -> None:
    sms = {"kind": "message", "channel": "sms", "started_at": START, "from": CUSTOMER, "to": "+358 45 7654321"}
    facts, _ = normalised(sms | {"message_id": "SM1"}, sms, sms)
    keys = [row["key"] for row in facts["observation"]]
    assert keys[0] == "pbx:SM1"
    assert keys[1] == keys[2] != keys[0]
    assert facts["observation"][0]["from_token"] == TOKEN


def test_handles_numbers_and_addresses_are_told_apart_in_a_chat() -> None:
    message = {"kind": "message", "channel": "social", "started_at": START, "namespace": "instagram"}
    facts, _ = normalised(
        message | {"from": "@Maija.V"}, message | {"from": CUSTOMER}, message | {"from": "maija@customer.fi"}
    )
    assert [row["from_token"] for row in facts["observation"]] == [
        IDENTIFIERS.handle("maija.v", "instagram").token,
        TOKEN,
        IDENTIFIERS.email("maija@customer.fi").token,
    ]


def test_a_short_number_or_a_name_sends_an_sms_as_a_party_and_not_as_our_extension() -> None:
    sms = {"kind": "message", "channel": "sms", "started_at": START, "direction": "inbound", "to": "+358457654321"}
    facts, _ = normalised(sms | {"from": "16100"}, sms | {"from": "Posti"}, sms | {"from": "anonymous"})
    rows = facts["observation"]
    assert [row["from_endpoint"] for row in rows] == [None, None, None]
    assert [row["from_token"] is None for row in rows] == [False, False, True]


def test_a_fax_is_an_attempt() -> None:
    fax = {"kind": "message", "channel": "fax", "started_at": START, "from": CUSTOMER}
    facts, _ = normalised(fax, fax | {"status": "failed"})
    assert [row["attempt"] for row in facts["observation"]] == ["talk", "unanswered"]


def test_a_message_that_ends_before_it_starts_or_lies_ahead_is_rejected() -> None:
    message = {"kind": "message", "channel": "chat", "started_at": START, "from": "maija.v"}
    _, rejections = normalised(
        message | {"ended_at": "2024-05-02T09:14:00+03:00"}, message | {"started_at": "2025-01-01T00:00:00Z"}
    )
    assert "ended_at is before" in rejections[0]
    assert "dated in the future" in rejections[1]


# Customers, activities, the directory


def test_a_contact_has_the_tokens_of_all_that_reaches_it() -> None:
    facts, _ = normalised(
        {"kind": "contact", "contact_id": "c1", "account_id": "", "phones": [CUSTOMER, "040-123 4567", "201", ""],
         "emails": ["Maija@Customer.fi", "none"], "handles": ["instagram:maija.v"], "updated_at": START}
    )  # fmt: skip
    (row,) = facts["contact"]
    assert row["tokens"] == sorted(
        str(token)
        for token in (
            TOKEN,
            IDENTIFIERS.email("maija@customer.fi").token,
            IDENTIFIERS.handle("maija.v", "instagram").token,
        )
    )
    assert (row["account_id"], row["updated_at"], row["deleted"]) == (None, STARTED, False)
    assert (row["raw_id"], row["source"]) == ("pbx:calls.jsonl:1", "pbx")


def test_an_account_has_domains_but_no_public_ones() -> None:
    facts, _ = normalised(
        {"kind": "account", "account_id": "a1", "domains": ["https://www.customer.fi/x", "gmail.com"], "segment": "key"}
    )
    (row,) = facts["account"]
    assert row["domains"] == [IDENTIFIERS.domain_token("customer.fi")]
    assert row["segment"] == "key"


@pytest.mark.parametrize(
    ("fields", "first", "last", "precision"),
    [
        ({"logged_at": START}, STARTED, STARTED, "second"),
        ({"logged_at": START, "precision": "minute"}, STARTED, datetime(2024, 5, 2, 6, 15, 59, 999999), "minute"),
        (
            {"logged_on": "2024-05-02"},
            datetime(2024, 5, 1, 21),
            datetime(2024, 5, 2, 20, 59, 59, 999999),
            "day",
        ),
        (
            {"logged_at": "2024-05-01T22:30:00Z", "precision": "day"},
            datetime(2024, 5, 1, 21),
            datetime(2024, 5, 2, 20, 59, 59, 999999),
            "day",
        ),
        # the day on which the clocks go forward has 23 hours
        (
            {"logged_on": "2024-03-31"},
            datetime(2024, 3, 30, 22),
            datetime(2024, 3, 31, 20, 59, 59, 999999),
            "day",
        ),
    ],
)
def test_an_activity_lies_between_the_ends_of_its_precision(
    fields: dict[str, Any], first: datetime, last: datetime, precision: str
) -> None:
    facts, _ = normalised({"kind": "activity", "activity_id": "t1", "activity_kind": "call"} | fields)
    (row,) = facts["activity"]
    assert (row["logged_from"], row["logged_to"], row["precision"]) == (first, last, precision)


@pytest.mark.parametrize("kind", ["call", "note", "task", "other"])
def test_an_activity_meets_a_call_whose_id_is_written_like_a_message_id(kind: str) -> None:
    call_id = "a84b4c76e66710@10.0.0.1"
    facts, _ = normalised(
        {"kind": "call", "call_id": call_id, "started_at": START, "talk_seconds": 60, "from": "+358401234567"},
        {"kind": "activity", "activity_id": "t1", "activity_kind": kind, "logged_at": START, "keys": [call_id]},
    )
    (leg,), (activity,) = facts["observation"], facts["activity"]
    assert {leg["event_id"], leg["session_id"]} & set(activity["keys"])


@pytest.mark.parametrize("kind", ["email", "note", "task", "other"])
def test_an_activity_meets_an_email_whose_id_holds_the_address_of_its_sender(kind: str) -> None:
    message_id = "<77.maija@customer.fi>"
    facts, _ = normalised(
        {"kind": "email", "message_id": message_id, "sent_at": START, "from": "maija@customer.fi", "to": ["us@our.fi"]},
        {"kind": "activity", "activity_id": "t1", "activity_kind": kind, "logged_at": START, "keys": [message_id]},
    )
    (mail,), (activity,) = facts["observation"], facts["activity"]
    assert {mail["event_id"], mail["session_id"]} & set(activity["keys"])


def test_an_activity_carries_the_keys_of_interactions_as_these_have_them() -> None:
    facts, _ = normalised(
        {"kind": "activity", "activity_id": "t1", "activity_kind": "email", "logged_at": START, "owner_id": "u1",
         "keys": ["<A1.b2@mail.customer.fi>", " 1714630504.17 ", ""], "contact_ids": ["c1", "c1", ""]}
    )  # fmt: skip
    (row,) = facts["activity"]
    assert row["keys"] == ["1714630504.17", masked_key("A1.b2@mail.customer.fi")]
    assert (row["contact_ids"], row["account_ids"], row["owner_id"]) == (["c1"], [], "u1")


def test_an_activity_on_several_accounts_is_one_on_each() -> None:
    facts, _ = normalised(
        {"kind": "activity", "activity_id": "t1", "activity_kind": "email", "logged_at": START,
         "account_ids": ["b", "a"], "contact_ids": ["c1"]}
    )  # fmt: skip
    assert [(row["activity_id"], row["account_ids"], row["contact_ids"]) for row in facts["activity"]] == [
        ("t1:a", ["a"], []),
        ("t1:b", ["b"], []),
    ]


def test_a_ticket_is_an_activity_with_its_requester() -> None:
    facts, _ = normalised({"kind": "ticket", "ticket_id": "k1", "logged_at": START, "requester_phones": [CUSTOMER]})
    (row,) = facts["activity"]
    assert (row["kind"], row["activity_id"], row["tokens"]) == ("ticket", "k1", [TOKEN])


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"kind": "activity", "activity_id": "t", "activity_kind": "note"}, "exactly one of logged_at and logged_on"),
        (
            {"kind": "ticket", "ticket_id": "t", "logged_at": START, "logged_on": "2024-05-02"},
            "exactly one of logged_at and logged_on",
        ),
        (
            {"kind": "activity", "activity_id": "t", "activity_kind": "note", "logged_at": "2024-06-03T00:00:00Z"},
            "dated in the future",
        ),
        ({"kind": "feed_progress", "complete_through": "2024-06-03T00:00:00Z"}, "dated in the future"),
        (
            {"kind": "representative", "representative_id": "r", "team": "a", "function": "other",
             "valid_from": "2024-02-01", "valid_to": "2024-02-01"},
            "valid_to is not after valid_from",
        ),
        (
            {"kind": "representative", "representative_id": "r", "team": "a", "function": "other",
             "direct_number": "201"},
            "direct_number is not a whole telephone number",
        ),
        (
            {"kind": "representative", "representative_id": "r", "team": "a", "function": "other", "email": "matti"},
            "email is not an address",
        ),
    ],
)  # fmt: skip
def test_a_record_of_a_crm_that_contradicts_itself_is_rejected(record: dict[str, Any], words: str) -> None:
    _, rejections = normalised(record)
    assert words in rejections[0]


def test_users_progress_and_representatives_become_their_facts() -> None:
    facts, _ = normalised(
        {"kind": "user", "user_id": "u1", "email": "Matti@Acme.fi"},
        {"kind": "feed_progress", "complete_through": "2024-05-31T00:00:00"},
        {"kind": "representative", "representative_id": "r1", "name": "Matti", "email": "matti@acme.fi",
         "extension": "201", "direct_number": "010 555 0201", "mobile_number": CUSTOMER, "team": "sales",
         "function": "other", "valid_from": "2024-01-01", "valid_to": "2024-07-01"},
    )  # fmt: skip
    matti = IDENTIFIERS.email("matti@acme.fi").token
    assert facts["crm_user"] == [
        {"raw_id": "pbx:calls.jsonl:1", "source": "pbx", "user_id": "u1", "email_token": matti}
    ]
    assert facts["feed_progress"] == [{"source": "pbx", "complete_through": datetime(2024, 5, 30, 21)}]
    assert facts["directory_entry"] == [
        {
            "representative_id": "r1", "name": "Matti", "team": "sales", "function": "other", "extension": "201",
            "email_token": matti, "direct_token": IDENTIFIERS.phone("0105550201").token, "mobile_token": TOKEN,
            "valid_from": datetime(2023, 12, 31, 22), "valid_to": datetime(2024, 6, 30, 21),
        }
    ]  # fmt: skip


def test_every_record_gives_a_fact_or_a_rejection_in_a_mixed_batch() -> None:
    facts, rejections = normalised(
        {"kind": "call", "started_at": START, "talk_seconds": 9},
        {"kind": "contact", "contact_id": "c1"},
        {"kind": "call", "started_at": START},
        {"kind": "email", "sent_at": START},
        {"kind": "activity", "activity_id": "t", "activity_kind": "note"},
        {"kind": "pbx_leg", "call_id": "1", "started_at": START, "status": "busy"},
    )
    assert sorted(rejections) == [2, 4]
    assert sorted(row["raw_id"] for row in facts["observation"]) == [f"pbx:calls.jsonl:{n}" for n in (1, 4, 6)]
    assert [row["raw_id"] for row in facts["contact"]] == ["pbx:calls.jsonl:2"]


# What no column holds


def test_a_value_that_no_column_holds_costs_its_own_record_and_no_other() -> None:
    good = [{"kind": "contact", "contact_id": f"c{number}"} for number in range(5)]
    wild = {"kind": "contact", "contact_id": "wild", "updated_at": "0001-01-01T00:00:00+03:00"}
    calls = [{"kind": "call", "started_at": START, "direction": "inbound", "from": CUSTOMER, "talk_seconds": 9}] * 2
    facts, rejections = normalised(*good[:3], wild, calls[0], *good[3:], wild, calls[1])
    assert [row["contact_id"] for row in facts["contact"]] == ["c0", "c1", "c2", "c3", "c4"]
    assert [row["raw_id"] for row in facts["observation"]] == ["pbx:calls.jsonl:5", "pbx:calls.jsonl:9"]
    assert rejections == dict.fromkeys((3, 7), "a value is out of range (OverflowError)")


def test_an_unanswered_call_of_ages_is_refused() -> None:
    assert "more than 7 days" in refused(status="unanswered", duration_seconds=1e300)


def test_a_day_that_no_instant_stands_for_is_refused_by_its_name() -> None:
    entry = {"kind": "representative", "representative_id": "r1", "team": "Sales", "function": "other"}
    facts, rejections = normalised({**entry, "valid_from": "0001-01-01"})
    assert facts == {}
    assert "valid_from is out of range" in rejections[0]
