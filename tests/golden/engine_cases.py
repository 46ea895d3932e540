"""Small worlds whose outcome was worked out by hand; the oracle and the engine must both give it.

Each case names a sentence of the rules. The company: r1 and r2 of Sales (201, 202), r3 of Support
(301), Support's queue 600 and mailbox M-help; the customer Anna (T-anna, E-anna) is a contact of the
account acme. The CRM has been read far enough unless a case says otherwise. Expected interactions are
listed in the order of (started_at, token), with the columns that the case is about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from schemas.settings import EngineSettings
from tests.records import (
    TICK,
    Fact,
    account,
    activity,
    call,
    contact,
    email,
    instant,
    message,
    observation,
    person,
    progress,
    shared,
    user,
)

COMPANY = (
    person("r1", extension="201", email_token="M-r1", mobile_token="N-r1"),
    person("r2", extension="202", email_token="M-r2"),
    person("r3", team="Support", function="contact_center", extension="301", email_token="M-r3"),
    shared("Support", name="Help", extension="600", email_token="M-help"),
    contact("anna", "T-anna", "E-anna", account="acme"),
    account("acme", domains=["D-acme"], segment="large"),
    user("u1", "M-r1"),
    user("u2", "M-r2"),
    user("u3", "M-r3"),
)
READ = (progress("00:00", day=60),)
SETTINGS = EngineSettings(company_id="demo", own_domains=frozenset({"D-own"}))
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Case:
    """Facts and what must come of them; `activities` maps activity_id to (status, tier)."""

    name: str
    facts: Sequence[Fact]
    interactions: Sequence[Mapping[str, Any]]
    dispositions: Mapping[str, str] = field(default_factory=dict)
    activities: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    settings: EngineSettings = SETTINGS


def evidence_id(conversation_id: str, channel: str = "call") -> str:
    """Return the id of an interaction other than an email."""
    return hashlib.md5(f"demo|{channel}|{conversation_id}".encode()).hexdigest()[:16]


def party_id(conversation_id: str, token: str) -> str:
    """Return the id of an email's interaction with one party."""
    return hashlib.md5(f"{evidence_id(conversation_id, 'email')}|{token}".encode()).hexdigest()[:16]


def case(name: str, *facts: Fact, interactions: Sequence[Mapping[str, Any]], **more: Any) -> Case:
    """Return a case of the company whose CRM has been read."""
    return Case(name, (*COMPANY, *READ, *facts), interactions, **more)


def settings(**changes: Any) -> EngineSettings:
    """Return the settings with some changed."""
    return SETTINGS.model_copy(update=changes)


TRACED = {"outcome": "traced", "reason": None}
NOT_LOGGED = {"outcome": "bypassed", "reason": "not_logged", "activity_id": None, "tier": None}
NINE = call("pbx:1", "09:00:00", 55.0)  # 09:00:00 to 09:01:00, r1 with Anna
NINE_START, NINE_END = instant("09:00:00"), instant("09:01:00")
CALLED_BY_UNKNOWN = call("pbx:1", "09:00:00", 55.0, customer="T-stranger")


def window_case(name: str, logged: Any, owner: str | None, tier: str | None, **more: Any) -> Case:
    """Return a case of one call and one activity, which is its trace in the tier or explains nothing."""
    unexplained = ("unexplained", None)
    return case(
        name,
        NINE,
        activity("a", logged, contacts=["anna"], owner=owner, **more),
        interactions=[{**TRACED, "tier": tier, "activity_id": "a"} if tier else NOT_LOGGED],
        activities={"a": ("trace", tier) if tier else unexplained},
    )


WINDOWS = [
    window_case("same representative, last instant of 72 h", NINE_END + 72 * HOUR, "u1", "same_representative"),
    window_case("same representative, one tick past 72 h", NINE_END + 72 * HOUR + TICK, "u1", None),
    window_case("same representative, first instant before", NINE_START - 15 * MINUTE, "u1", "same_representative"),
    window_case("same representative, one tick too early", NINE_START - 15 * MINUTE - TICK, "u1", None),
    window_case("other representative, last instant of 30 min", NINE_END + 30 * MINUTE, "u2", "other_representative"),
    window_case("other representative, one tick past 30 min", NINE_END + 30 * MINUTE + TICK, "u2", None),
    window_case("no owner counts as another representative", NINE_END, None, "other_representative"),
    window_case("an id of the directory may own an activity", NINE_END + HOUR, "r1", "same_representative"),
    window_case("a creator owns as an owner does", NINE_END + HOUR, "u2", "same_representative", creator_id="u1"),
    window_case("an email activity is no trace of a call", NINE_END, "u1", None, kind="email"),
    window_case("a meeting may be the trace of a call", NINE_END, "u1", "same_representative", kind="meeting"),
    window_case(
        "a date-only activity is the whole day",
        instant("00:00", 3),
        "u1",
        "same_representative",
        until=instant("00:00", 4) - TICK,
    ),
    window_case(
        "a date-only day that ends before the window", instant("00:00", -1), "u1", None, until=instant("00:00") - TICK
    ),
    case(
        "unknown customer: same representative and channel within 1 h",
        CALLED_BY_UNKNOWN,
        activity("a", NINE_END + HOUR, contacts=["anna"], owner="u1"),
        interactions=[{**TRACED, "tier": "inferred", "activity_id": "a", "customer_ids": []}],
        activities={"a": ("trace", "inferred")},
    ),
    case(
        "unknown customer: one tick past 1 h",
        CALLED_BY_UNKNOWN,
        activity("a", NINE_END + HOUR + TICK, contacts=["anna"], owner="u1"),
        interactions=[{"outcome": "bypassed", "reason": "unknown_customer"}],
        activities={"a": ("unexplained", None)},
    ),
    case(
        "unknown customer: a task is not the same channel",
        CALLED_BY_UNKNOWN,
        activity("a", NINE_END, "task", contacts=["anna"], owner="u1"),
        interactions=[{"outcome": "bypassed", "reason": "unknown_customer"}],
        activities={"a": ("unexplained", None)},
    ),
    case(
        "unknown customer: an activity with a better pair anywhere is not inferred, even when redundant",
        NINE,
        call("pbx:2", "09:02:00", customer="T-stranger"),
        activity("a", "09:01:10", contacts=["anna"], owner="u1"),
        activity("b", "09:01:20", contacts=["anna"], owner="u1"),
        interactions=[{**TRACED, "activity_id": "a"}, {"outcome": "bypassed", "reason": "unknown_customer"}],
        activities={"a": ("trace", "same_representative"), "b": ("redundant", "same_representative")},
    ),
    case(
        "a withheld number may be inferred, else it is bypassed as withheld",
        call("pbx:1", "09:00:00", customer=None),
        call("pbx:2", "12:00:00", customer=None),
        activity("a", "09:05", contacts=["anna"], owner="u1"),
        interactions=[
            {**TRACED, "tier": "inferred", "token": None},
            {"outcome": "bypassed", "reason": "withheld", "customer_ids": []},
        ],
        activities={"a": ("trace", "inferred")},
    ),
]

ASSIGNMENT = [
    case(
        "the nearer activity is the trace, the other is redundant",
        NINE,
        activity("a", NINE_END + 2 * HOUR, contacts=["anna"], owner="u1"),
        activity("b", NINE_END + HOUR, contacts=["anna"], owner="u1"),
        interactions=[{**TRACED, "activity_id": "b", "trace_delay_seconds": 3600.0}],
        activities={"a": ("redundant", "same_representative"), "b": ("trace", "same_representative")},
    ),
    case(
        "equal distance before and after the end: the smaller activity id wins, capitals before small letters",
        NINE,
        activity("a", NINE_END - SECOND, contacts=["anna"], owner="u1"),
        activity("B", NINE_END + SECOND, contacts=["anna"], owner="u1"),
        interactions=[{**TRACED, "activity_id": "B", "trace_delay_seconds": 1.0}],
        activities={"a": ("redundant", "same_representative"), "B": ("trace", "same_representative")},
    ),
    case(
        "a better tier beats a better fit, a better fit beats a shorter distance",
        NINE,
        activity("a", NINE_END, "call", contacts=["anna"], owner="u2"),
        activity("b", NINE_END + SECOND, "note", contacts=["anna"], owner="u1"),
        activity("c", NINE_END + HOUR, "call", contacts=["anna"], owner="u1"),
        interactions=[{**TRACED, "activity_id": "c", "tier": "same_representative"}],
        activities={
            "a": ("redundant", "other_representative"),
            "b": ("redundant", "same_representative"),
            "c": ("trace", "same_representative"),
        },
    ),
    case(
        "one activity explains one of two calls: the one that ended nearer to it",
        NINE,
        call("pbx:2", "09:10:00", 55.0),
        activity("a", "09:15", contacts=["anna"], owner="u1"),
        interactions=[NOT_LOGGED, {**TRACED, "activity_id": "a"}],
        activities={"a": ("trace", "same_representative")},
    ),
    case(
        "one activity between two calls at equal distance: the smaller interaction id wins",
        NINE,
        call("pbx:2", "09:02:00", 55.0),
        activity("a", "09:02:00", contacts=["anna"], owner="u1"),
        interactions=[
            {"outcome": "traced" if evidence_id("pbx:pbx:1") < evidence_id("pbx:pbx:2") else "bypassed"},
            {"outcome": "bypassed" if evidence_id("pbx:pbx:1") < evidence_id("pbx:pbx:2") else "traced"},
        ],
    ),
    case(
        "two activities serve two calls although both prefer the first",
        NINE,
        call("pbx:2", "08:50:00", 55.0),
        activity("a", NINE_END, contacts=["anna"], owner="u1"),
        activity("b", NINE_END + SECOND, contacts=["anna"], owner="u1"),
        interactions=[{**TRACED, "activity_id": "b"}, {**TRACED, "activity_id": "a"}],
        activities={"a": ("trace", "same_representative"), "b": ("trace", "same_representative")},
    ),
    case(
        "a call id in the activity is exact, at any time and of any kind",
        NINE,
        activity("a", instant("09:00", 20), "email", keys=["pbx:1"]),
        interactions=[{**TRACED, "tier": "exact", "activity_id": "a"}],
        activities={"a": ("trace", "exact")},
    ),
    case(
        "tiers that are switched off give no traces",
        NINE,
        activity("a", NINE_END, contacts=["anna"], owner="u1"),
        activity("b", NINE_END, contacts=["anna"], keys=["pbx:1"]),
        interactions=[{**TRACED, "activity_id": "b", "tier": "other_representative"}],
        activities={"a": ("unexplained", None), "b": ("trace", "other_representative")},
        settings=settings(tiers=frozenset({"other_representative"})),
    ),
    case(
        "nobody of ours known: the owner's team takes the place of the representative",
        call("pbx:1", "09:00:00", ours="600"),
        activity("a", "15:00", contacts=["anna"], owner="u3"),
        activity("b", "09:20", contacts=["anna"], owner="u1"),
        interactions=[
            {**TRACED, "tier": "same_representative", "activity_id": "a", "participants": [], "team": "Support"}
        ],
        activities={"a": ("trace", "same_representative"), "b": ("redundant", "other_representative")},
    ),
    case(
        "the owner is whoever had the user's address when the activity was logged",
        NINE,
        person("r9", email_token="M-old", valid_to=instant("10:00")),
        person("r1", email_token="M-old", valid_from=instant("10:00")),
        user("u9", "M-old"),
        activity("a", "09:59:59", contacts=["anna"], owner="u9"),
        activity("b", "10:00:00", contacts=["anna"], owner="u9"),
        interactions=[{**TRACED, "activity_id": "b"}],
        activities={"a": ("unexplained", None), "b": ("trace", "same_representative")},
    ),
    case(
        "the latest version of an activity counts, and a deleted one vanishes",
        NINE,
        activity("a", NINE_END, contacts=["anna"], owner="u1", updated_at=instant("10:00")),
        activity("a", NINE_END, contacts=["bert"], owner="u1", updated_at=instant("11:00"), raw_id="crm:a2"),
        activity("b", NINE_END, contacts=["anna"], owner="u1", updated_at=None),
        activity("b", NINE_END, contacts=["anna"], owner="u1", updated_at=instant("09:30"), deleted=True),
        interactions=[NOT_LOGGED],
        activities={"a": ("unexplained", None)},
    ),
    case(
        "a later call of another system on the same number leaves the exact trace of the first alone",
        call("zcc:1", instant("09:00", 9), line="contact_center", ours="sales", outbound=True),
        activity("a", NINE_END, contacts=["ghost"], owner="u3", keys=["pbx:1"]),
        NINE,
        interactions=[{**TRACED, "activity_id": "a", "tier": "exact"}, NOT_LOGGED],
        activities={"a": ("trace", "exact")},
    ),
    case(
        "a newer version that drops the call's id explains the call no longer, though it was its exact trace",
        activity("a", NINE_END, contacts=["ghost"], owner="u1", updated_at=instant("11:00"), raw_id="crm:a2"),
        activity("a", NINE_END, contacts=["bert"], keys=["pbx:1"], updated_at=instant("10:00")),
        activity("b", NINE_END + HOUR, contacts=["anna"], owner="u1"),
        NINE,
        interactions=[{**TRACED, "activity_id": "b", "tier": "same_representative"}],
        activities={"a": ("unexplained", None), "b": ("trace", "same_representative")},
    ),
    case(
        "a newer version that gains the call's id is its exact trace, whatever explained it before",
        activity("a", NINE_END, contacts=["bert"], keys=["pbx:1"], updated_at=instant("11:00"), raw_id="crm:a2"),
        activity("a", NINE_END, contacts=["ghost"], owner="u1", updated_at=instant("10:00")),
        activity("b", NINE_END + HOUR, contacts=["anna"], owner="u1"),
        NINE,
        interactions=[{**TRACED, "activity_id": "a", "tier": "exact"}],
        activities={"a": ("trace", "exact"), "b": ("redundant", "same_representative")},
    ),
]

CONVERSATIONS = [
    case(
        "a transferred call belongs to whoever talked longest",
        call("pbx:1", "09:00:00", 20.0, key="k"),
        call("pbx:2", "09:00:25", 115.0, key="k", ours="301"),
        interactions=[
            {
                "representative_id": "r3",
                "participants": ["r3", "r1"],
                "team": "Support",
                "function": "contact_center",
                "talk_seconds": 135.0,
                "started_at": instant("09:00:00"),
                "ended_at": instant("09:02:25"),
            }
        ],
        dispositions={"pbx:1": "interaction", "pbx:2": "interaction"},
    ),
    case(
        "equal talk: the smaller representative; their team from their own first leg",
        call("pbx:1", "09:00:00", 30.0, key="k", ours="301"),
        call("pbx:2", "09:01:00", 30.0, key="k", ours="201"),
        interactions=[{"representative_id": "r1", "participants": ["r1", "r3"], "team": "Sales"}],
    ),
    case(
        "the best known talk counts for each of ours: bridge events over billing",
        call("pbx:1", "09:00:00", 90.0, key="k", basis=1),
        call("pbx:2", "09:00:00", 10.0, key="k", basis=3),
        call("pbx:3", "09:00:30", 20.0, key="k", basis=3),
        call("pbx:4", "09:01:00", 25.0, key="k", basis=1, ours="202"),
        interactions=[{"representative_id": "r1", "participants": ["r1", "r2"], "talk_seconds": 55.0}],
    ),
    case(
        "losing legs of a queue are members, not talk",
        call("pbx:1", "08:59:00", 0.0, key="k", ours="201", attempt="unanswered", via_endpoint="600"),
        call("pbx:2", "09:00:00", 60.0, key="k", ours="202", via_endpoint="600"),
        call("pbx:3", "08:58:00", 30.0, key="k", ours="600", attempt="no_human"),
        observation("pbx:4", channel="call", key="pbx:k", started_at=instant("08:00"), ended_at=instant("09:30")),
        interactions=[
            {
                "participants": ["r2"],
                "started_at": instant("09:00:00"),
                "ended_at": instant("09:01:05"),
                "team": "Sales",
                "line": "pbx",
            }
        ],
        dispositions=dict.fromkeys(["pbx:1", "pbx:2", "pbx:3", "pbx:4"], "interaction"),
    ),
    case(
        "nobody answered, no human, marks alone and a short word are excluded, each with its reason",
        call("pbx:1", "09:00", 0.0, key="1", attempt="unanswered"),
        call("pbx:2", "09:00", 0.0, key="1", attempt="no_human"),
        call("pbx:3", "09:00", 30.0, key="2", attempt="no_human"),
        observation("pbx:4", channel="call", key="pbx:3", started_at=instant("09:00")),
        call("pbx:5", "09:00", 4.75, key="4"),
        interactions=[],
        dispositions={
            "pbx:1": "excluded:unanswered",
            "pbx:2": "excluded:unanswered",
            "pbx:3": "excluded:no_human",
            "pbx:4": "excluded:no_human",
            "pbx:5": "excluded:too_short",
        },
    ),
    case(
        "five seconds of talk are enough, from several legs too",
        call("pbx:1", "09:00", 5.0, key="1"),
        call("pbx:2", "10:00", 2.5, key="2"),
        call("pbx:3", "10:01", 2.5, key="2", ours="202"),
        interactions=[{"talk_seconds": 5.0}, {"talk_seconds": 5.0}],
    ),
    case(
        "internal goes before automated, automated before emergency, and one member is enough",
        call("pbx:1", "09:00", key="1", customer=None, from_endpoint="202", automated=True),
        call("pbx:2", "09:00", key="2"),
        call("pbx:3", "09:00", key="2", attempt="no_human", automated=True, emergency=True),
        call("pbx:4", "09:00", 1.0, key="3", emergency=True),
        interactions=[],
        dispositions={
            "pbx:1": "excluded:internal",
            "pbx:2": "excluded:automated",
            "pbx:3": "excluded:automated",
            "pbx:4": "excluded:emergency",
        },
    ),
    case(
        "an internal consultation does not make a customer's call internal",
        call("pbx:1", "09:00", 30.0, key="k"),
        call("pbx:2", "09:01", 300.0, key="k", ours="202", customer=None, from_endpoint="201"),
        interactions=[{"participants": ["r1"], "talk_seconds": 30.0, "token": "T-anna"}],
    ),
    case(
        "two to six digits are ours without the directory; more or one are not",
        call("pbx:1", "09:00", key="1", customer=None, ours="99", from_endpoint="123456"),
        call("pbx:2", "10:00", key="2", customer="T-x", ours="99", from_endpoint="1234567"),
        call("pbx:3", "11:00", key="3", customer="T-y", ours="99", from_endpoint="7"),
        interactions=[
            {"token": "T-x", "direction": "inbound", "representative_id": None, "team": None},
            {"token": "T-y", "direction": "inbound"},
        ],
        dispositions={"pbx:1": "excluded:internal"},
    ),
    case(
        "neither side ours: the direction decides, and the queue gives the team",
        call("pbx:1", "09:00", key="1", customer="T-a", ours="trunk", to_token="T-b", direction="outbound"),
        call("pbx:2", "10:00", key="2", customer="T-a", ours=None, to_token="T-b", direction=None, via_endpoint="600"),
        interactions=[
            {"token": "T-b", "direction": "outbound", "team": None},
            {"token": "T-a", "direction": "inbound", "team": "Support", "function": "contact_center"},
        ],
    ),
    case(
        "neither side ours and the source says internal: internal; with one side ours its word does not count",
        call("pbx:1", "09:00", key="1", customer="T-a", ours="trunk", to_token="T-b", direction="internal"),
        call("pbx:2", "10:00", key="2", direction="internal"),
        interactions=[{"token": "T-anna", "direction": "inbound"}],
        dispositions={"pbx:1": "excluded:internal", "pbx:2": "interaction"},
    ),
    case(
        "public numbers and mobile numbers of ours are ours",
        call("pbx:1", "09:00", key="1", ours=None, to_token="N-public"),
        call("pbx:2", "10:00", key="2", ours=None, to_token="N-r1", direction="outbound"),
        interactions=[
            {"token": "T-anna", "direction": "inbound", "representative_id": None},
            {"token": "T-anna", "direction": "inbound", "representative_id": "r1"},
        ],
        settings=settings(own_numbers=frozenset({"N-public"})),
    ),
    case(
        "an endpoint may be a name in any case, or the representative's id",
        person("r7", name="Carla", team="Field"),
        call("pbx:1", "09:00", ours="CARLA"),
        call("pbx:2", "10:00", ours="r7"),
        call("pbx:3", "11:00", ours="help"),
        interactions=[
            {"representative_id": "r7", "team": "Field"},
            {"representative_id": "r7"},
            {"representative_id": None, "team": None},
        ],
    ),
    case(
        "a row of the directory counts from its first instant until before its last",
        person("r8", team="Old", extension="208", valid_to=instant("10:00")),
        person("r8", team="New", extension="208", valid_from=instant("10:00")),
        call("pbx:1", instant("10:00") - TICK, ours="208"),
        call("pbx:2", "10:00:00", ours="208"),
        interactions=[{"team": "Old"}, {"team": "New"}],
    ),
    case(
        "of several rows of one extension a person's comes first, then the smaller id",
        shared("Alpha", extension="210"),
        person("s2", team="Beta", extension="210"),
        person("s1", team="Gamma", extension="210"),
        call("pbx:1", "09:00", ours="210"),
        interactions=[{"representative_id": "s1", "team": "Gamma"}],
    ),
    case(
        "the same record read twice is a duplicate; the smaller raw_id stays",
        call("pbx:2", "09:00", key="k", event_id="e"),
        call("pbx:10", "09:00", key="k", event_id="e"),
        call("pbx:3", "10:00", key="l"),
        call("pbx:3", "10:00", key="l"),
        interactions=[{"talk_seconds": 60.0}, {"talk_seconds": 60.0}],
        dispositions={"pbx:10": "interaction", "pbx:2": "duplicate", "pbx:3": "interaction"},
    ),
    case(
        "messages under one key are one interaction from the first to the last",
        message("sms:1", "09:00", key="k"),
        message("sms:2", "09:30", key="k", customer=None, ours=None, from_endpoint="r2", to_token="T-anna"),
        interactions=[
            {
                "interaction_id": evidence_id("k", "sms"),
                "channel": "sms",
                "line": None,
                "direction": "inbound",
                "started_at": instant("09:00"),
                "ended_at": instant("09:30"),
                "participants": ["r1", "r2"],
                "talk_seconds": 0.0,
            }
        ],
    ),
    case(
        "numbers never to be logged are excluded before it matters whether anybody answered",
        call("pbx:1", "09:00", 0.0, customer="T-doctor", attempt="unanswered"),
        interactions=[],
        dispositions={"pbx:1": "excluded:never_log"},
        settings=settings(never_log=frozenset({"T-doctor"})),
    ),
]

DOMAINS = {"E-anna": "D-acme", "E-carl": "D-acme", "E-bert": "D-other", "M-any": "D-own"}
EMAIL = [
    case(
        "an email to three customers is three interactions with one evidence",
        email("mail:1", "09:00", "M-r1", ["E-anna", "E-bert"], ["E-cecilia", "M-r2"], message_id="x"),
        activity("a", instant("09:00", 9), "email", keys=["x"]),
        activity("b", instant("09:00", 8), "email", contacts=["anna"], keys=["x"]),
        activity("c", instant("09:00", 9), "email", contacts=["nobody"], keys=["x"]),
        interactions=[
            {"interaction_id": party_id("h:x", "E-anna"), "evidence_id": evidence_id("h:x", "email")},
            {"interaction_id": party_id("h:x", "E-bert"), "evidence_id": evidence_id("h:x", "email")},
            {"interaction_id": party_id("h:x", "E-cecilia"), "direction": "outbound", "representative_id": "r1"},
        ],
        activities={"a": ("trace", "exact"), "b": ("trace", "exact"), "c": ("unexplained", None)},
    ),
    case(
        "an email to one customer is exact for any activity with its key, whoever that is tied to",
        email("mail:1", "09:00", "M-r1", ["E-anna", "M-r2"], message_id="x"),
        activity("c", instant("09:00", 9), "task", contacts=["nobody"], keys=["x"]),
        interactions=[{**TRACED, "tier": "exact", "trace_delay_seconds": 9 * 86400.0}],
        activities={"c": ("trace", "exact")},
    ),
    case(
        "a copy without a Message-ID belongs to the email by its second key",
        email("mail:1", "09:00", "M-r1", ["E-anna"], message_id="x"),
        email("mail:2", "08:59:59", "M-r1", ["E-anna"], second="x"),
        email("post:1", "09:00", "M-r1", ["E-bert"], message_id="y", second="x"),
        interactions=[
            {"token": "E-anna", "sources": ["mail", "post"], "started_at": instant("08:59:59")},
            {"token": "E-bert", "evidence_id": evidence_id("h:x", "email")},
        ],
    ),
    case(
        "received: people of ours in the order to, cc, delivered and place in the header",
        email("mail:1", "09:00", "E-anna", ["M-help", "M-r2"], ["M-r3"], delivered=["M-r1"], message_id="x"),
        interactions=[
            {
                "direction": "inbound",
                "participants": ["r2", "r3", "r1"],
                "representative_id": "r2",
                "team": "Sales",
                "token": "E-anna",
            }
        ],
    ),
    case(
        "received by a shared mailbox alone: its team and nobody",
        email("mail:1", "09:00", "E-anna", ["M-help"], message_id="x"),
        interactions=[{"participants": [], "representative_id": None, "team": "Support"}],
    ),
    case(
        "places of several copies: the best place of each person counts",
        email("mail:1", "09:00", "E-anna", ["M-r3", "M-r2"], message_id="x"),
        email("mail:2", "09:00", "E-anna", ["M-r2"], ["M-r1"], message_id="x"),
        interactions=[{"participants": ["r2", "r3", "r1"]}],
    ),
    case(
        "internal mail, mail that only was delivered elsewhere, and machines' mail are excluded",
        email("mail:1", "09:00", "M-r1", ["M-any", "M-r2"], message_id="x", domains=DOMAINS),
        email("mail:2", "09:00", "M-r1", ["M-r2"], delivered=["E-anna"], message_id="y"),
        email("mail:3", "09:00", "E-anna", ["M-r2"], message_id="z", automated=True, bulk=True),
        email("mail:4", "09:00", "E-anna", ["M-r2"], message_id="w", bulk=True),
        interactions=[],
        dispositions={
            "mail:1": "excluded:internal",
            "mail:2": "excluded:internal",
            "mail:3": "excluded:automated",
            "mail:4": "excluded:bulk",
        },
    ),
    case(
        "more external recipients than allowed is bulk, over all copies",
        email("mail:1", "09:00", "M-r1", ["E-anna", "E-bert"], message_id="x"),
        email("mail:2", "10:00", "M-r1", ["E-anna", "E-bert"], message_id="y"),
        email("mail:3", "10:00", "M-r1", ["E-carl", "M-r2"], message_id="y"),
        interactions=[{"token": "E-anna"}, {"token": "E-bert"}],
        dispositions={"mail:1": "interaction", "mail:2": "excluded:bulk", "mail:3": "excluded:bulk"},
        settings=settings(bulk_recipients=2),
    ),
    case(
        "a party never to be logged is dropped; without others the email is excluded",
        email("mail:1", "09:00", "M-r1", ["E-anna", "E-doctor"], message_id="x"),
        email("mail:2", "10:00", "M-r1", ["E-doctor", "E-bert"], message_id="y", domains=DOMAINS),
        activity("c", instant("09:00", 9), "task", contacts=["nobody"], keys=["x"]),
        interactions=[{"token": "E-anna", **TRACED, "tier": "exact"}],
        dispositions={"mail:1": "interaction", "mail:2": "excluded:never_log"},
        settings=settings(never_log=frozenset({"E-doctor", "D-other"})),
    ),
    case(
        "an address that nobody holds belongs to the account of its domain",
        email("mail:1", "09:00", "E-carl", ["M-r1"], message_id="x", domains=DOMAINS),
        email("mail:2", "09:00", "E-carl2", ["M-r1"], message_id="y"),
        activity("a", "09:10", "email", accounts=["acme"], owner="u1"),
        interactions=[
            {**TRACED, "customer_ids": ["acme"], "contact_id": None},
            {"outcome": "bypassed", "reason": "unknown_customer"},
        ],
    ),
    case(
        "an email without a sender is one interaction without a token",
        email("mail:1", "09:00", None, ["M-r1"], message_id="x"),
        interactions=[
            {
                "interaction_id": party_id("h:x", ""),
                "token": None,
                "direction": "inbound",
                "outcome": "bypassed",
                "reason": "withheld",
            }
        ],
    ),
]


def mobile(raw_id: str, start: Any, talk: float = 60.0, **columns: Any) -> Fact:
    """Return a call as the mobile operator saw it, of r1's mobile unless another token is given."""
    return call(raw_id, start, talk, **{"line": "mobile", "ours": None, "to_token": "N-r1", "ring": 0.0, **columns})


MERGE = [
    case(
        "the PBX and the operator saw one call: the PBX's times, both sources' members",
        call("pbx:1", "09:00:00", 60.0),
        mobile("gsm:1", "09:00:20", 40.0),
        interactions=[
            {
                "interaction_id": evidence_id("pbx:pbx:1"),
                "line": "pbx",
                "sources": ["gsm", "pbx"],
                "talk_seconds": 60.0,
                "started_at": instant("09:00:00"),
                "participants": ["r1"],
            }
        ],
    ),
    case(
        "talk that starts 30 s after the other's end still overlaps",
        call("pbx:1", "09:00:00", 55.0),
        mobile("gsm:1", "09:01:30"),
        interactions=[{"sources": ["gsm", "pbx"]}],
    ),
    case(
        "talk that starts one tick later does not",
        call("pbx:1", "09:00:00", 55.0),
        mobile("gsm:1", instant("09:01:30") + TICK),
        interactions=[{"sources": ["pbx"]}, {"sources": ["gsm"], "line": "mobile"}],
    ),
    case(
        "different known people or different customers stay apart; an unknown person fits any",
        call("pbx:1", "09:00:00", ours="202"),
        mobile("gsm:1", "09:00:05"),
        call("pbx:2", "09:00:00", ours="202", customer="T-bert"),
        mobile("gsm:2", "09:00:05", customer="T-bert", to_token="N-unknown"),
        call("pbx:3", "09:00:00", customer=None),
        mobile("gsm:3", "09:00:00", customer=None),
        interactions=[
            {"token": None},
            {"token": None},
            {"token": "T-anna", "sources": ["pbx"], "participants": ["r2"]},
            {"token": "T-bert", "sources": ["gsm", "pbx"], "participants": ["r2"]},
            {"token": "T-anna", "sources": ["gsm"], "participants": ["r1"]},
        ],
    ),
    case(
        "three systems: the contact centre is the root, people are listed in the order of lines",
        call("pbx:1", "09:00:02", ours="600"),
        mobile("gsm:1", "09:00:04", 80.0),
        call("zcc:1", "09:00:00", ours="301", line="contact_center", key="c"),
        call("zcc:2", "09:01:05", 10.0, ours="201", line="contact_center", key="c"),
        interactions=[
            {
                "interaction_id": evidence_id("zcc:c"),
                "line": "contact_center",
                "participants": ["r3", "r1"],
                "representative_id": "r3",
                "team": "Support",
                "talk_seconds": 70.0,
                "sources": ["gsm", "pbx", "zcc"],
            }
        ],
    ),
    case(
        "the first system that knows the person gives person and team",
        call("pbx:1", "09:00:00", ours="600", line="contact_center"),
        mobile("gsm:1", "09:00:04"),
        interactions=[{"representative_id": "r1", "team": "Sales", "participants": ["r1"], "line": "contact_center"}],
    ),
    case(
        "two calls of one switchboard at one time stay two, and each mobile leg joins the nearer",
        call("pbx:1", "09:00:00", 300.0, ours="600"),
        call("pbx:2", "09:00:10", 300.0, ours="600"),
        mobile("gsm:1", "09:00:14", 280.0),
        mobile("gsm:2", "09:00:02", 280.0, to_token="N-r2", to_endpoint="r2"),
        mobile("gsm:3", "09:00:02", 280.0, to_token="N-r3", to_endpoint="r3"),
        interactions=[
            {"interaction_id": evidence_id("pbx:pbx:1"), "sources": ["gsm", "pbx"], "participants": ["r2"]},
            {"interaction_id": evidence_id("gsm:gsm:3"), "sources": ["gsm"], "participants": ["r3"]},
            {"interaction_id": evidence_id("pbx:pbx:2"), "sources": ["gsm", "pbx"], "participants": ["r1"]},
        ],
    ),
    case(
        "an unanswered call of one system does not hide the talk that another saw",
        call("pbx:1", "09:00:00", 0.0, attempt="unanswered"),
        mobile("gsm:1", "09:00:05"),
        interactions=[{"sources": ["gsm"], "line": "mobile"}],
        dispositions={"pbx:1": "excluded:unanswered", "gsm:1": "interaction"},
    ),
]

IDENTITY = [
    case(
        "a contact without an account is its own customer; the only holder of a number is the contact",
        contact("bert", "T-bert"),
        call("pbx:1", "09:00", customer="T-bert"),
        interactions=[{"customer_ids": ["bert"], "contact_id": "bert", "segment": None, **NOT_LOGGED}],
    ),
    case(
        "a number of several contacts of one account is the account's",
        contact("albert", "T-anna", account="acme"),
        call("pbx:1", "09:00"),
        interactions=[{"customer_ids": ["acme"], "contact_id": None, "segment": "large"}],
    ),
    case(
        "a number of two accounts: either may have logged it",
        account("beta", "T-anna"),
        NINE,
        activity("a", NINE_END, accounts=["beta"], owner="u1"),
        interactions=[{**TRACED, "customer_ids": ["acme", "beta"], "contact_id": "anna", "activity_id": "a"}],
    ),
    case(
        "the latest version of a contact counts, one without a time is the oldest",
        contact("bert", "T-bert", account="beta", updated_at=instant("08:00")),
        contact("bert", "T-bert", account="acme", updated_at=instant("12:00"), raw_id="crm:bert2"),
        contact("bert", "T-bert", account="last", updated_at=None, raw_id="crm:bert9"),
        contact("gone", "T-gone", updated_at=instant("08:00")),
        contact("gone", "T-gone", updated_at=instant("08:00"), raw_id="crm:gone2", deleted=True),
        call("pbx:1", "09:00", customer="T-bert"),
        call("pbx:2", "10:00", customer="T-gone"),
        interactions=[{"customer_ids": ["acme"]}, {"customer_ids": [], "reason": "unknown_customer"}],
    ),
    case(
        "an activity on the contact is on its account; on an unknown contact it is on nobody else",
        NINE,
        activity("a", NINE_END, contacts=["ghost"], owner="u1"),
        interactions=[NOT_LOGGED],
        activities={"a": ("unexplained", None)},
    ),
]

OUTCOMES = [
    Case("without any feed everything is pending", (*COMPANY, NINE), [{"outcome": "pending", "reason": None}]),
    Case(
        "the feed ends exactly with the window: bypassed",
        (*COMPANY, NINE, progress(NINE_END + 72 * HOUR)),
        [{**NOT_LOGGED, "window_ends_at": NINE_END + 72 * HOUR}],
    ),
    Case(
        "the feed ends one tick earlier: pending",
        (*COMPANY, NINE, progress(NINE_END + 72 * HOUR - TICK)),
        [{"outcome": "pending", "reason": None}],
    ),
    Case(
        "the slowest of two feeds decides, each by its greatest mark",
        (*COMPANY, NINE, *READ, progress("08:00", "help", 30), progress("09:00", "help", 2)),
        [NOT_LOGGED],
    ),
    Case(
        "one of two feeds has not been read far enough: pending",
        (*COMPANY, NINE, *READ, progress("09:00", "help", 2)),
        [{"outcome": "pending"}],
    ),
    Case(
        "the window is that of the enabled tiers",
        (*COMPANY, NINE, progress(NINE_END + 30 * MINUTE)),
        [{"outcome": "bypassed", "window_ends_at": NINE_END + 30 * MINUTE}],
        settings=settings(tiers=frozenset({"exact", "other_representative"})),
    ),
    case(
        "a ticket tied to a customer is an activity, worse than one of the same channel",
        NINE,
        activity("a", NINE_END, "ticket", contacts=["anna"], owner="u1"),
        activity("b", NINE_END + SECOND, "call", contacts=["anna"], owner="u1"),
        interactions=[{**TRACED, "activity_id": "b"}],
        activities={"a": ("redundant", "same_representative"), "b": ("trace", "same_representative")},
    ),
    case(
        "a ticket tied to nobody known makes the call siloed, in the window of the representative",
        NINE,
        call("pbx:2", "20:00", customer="T-bert"),
        activity("t1", NINE_END + 72 * HOUR, "ticket", tokens=["T-anna"]),
        activity("t2", NINE_END + 2 * HOUR, "ticket", contacts=["ghost"], tokens=["T-anna"]),
        activity("t3", NINE_END + 2 * HOUR, "ticket", tokens=["T-anna"]),
        activity("t4", instant("20:01", 9), "ticket", tokens=["T-bert"]),
        interactions=[
            {"outcome": "siloed", "ticket_id": "t2", "activity_id": None, "reason": None},
            {"outcome": "bypassed", "reason": "unknown_customer", "ticket_id": None},
        ],
        activities=dict.fromkeys(["t1", "t2", "t3", "t4"], ("siloed", None)),
    ),
    case(
        "a ticket tied to nobody known that carries the call's id is about it at any time",
        call("pbx:1", "09:00", key="k", customer=None),
        activity("t1", instant("20:01", 9), "ticket", keys=["k"]),
        interactions=[{"outcome": "siloed", "ticket_id": "t1"}],
    ),
    case(
        "a trace goes before a ticket, and a silo needs no feed",
        NINE,
        activity("t1", NINE_END, "ticket", tokens=["T-anna"]),
        activity("a", NINE_END + HOUR, contacts=["anna"], owner="u1"),
        interactions=[{**TRACED, "activity_id": "a", "ticket_id": None}],
        activities={"a": ("trace", "same_representative"), "t1": ("siloed", None)},
    ),
]

CASES: list[Case] = [*WINDOWS, *ASSIGNMENT, *CONVERSATIONS, *EMAIL, *MERGE, *IDENTITY, *OUTCOMES]
