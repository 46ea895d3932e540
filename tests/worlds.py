"""Small worlds of facts in which things collide, and the means to compare, shrink and show them.

Few numbers, people and keys, and times on a coarse grid about the edges of the windows: ties,
duplicates, merges and competing activities are the rule here and not the exception. A world is made
from a seed alone, so that a failing case can be made again; `shrink` takes facts away as long as the
case still fails.
"""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import pyarrow as pa
from hypothesis import strategies as st

from schemas.settings import ALL_TIERS, EngineSettings
from tests.oracle import Outcomes
from tests.records import (
    DAY,
    MONDAY,
    TICK,
    Fact,
    account,
    activity,
    call,
    contact,
    email,
    message,
    observation,
    person,
    progress,
    shared,
    user,
)

T = TypeVar("T")

PHONES = ("T00000000001", "T00000000002", "T00000000003", "t00000000004")
ADDRESSES = ("E00000000001", "E00000000002", "E00000000003", "e00000000004")
DOMAINS = {"E00000000001": "D-acme", "E00000000002": "D-acme", "E00000000003": "D-beta", "M-x": "D-own"}
OWN_ADDRESSES = ("M-r1", "M-r2", "M-r3", "M-help", "M-x")
PEOPLE = ("r1", "r2", "R3")
EXTENSIONS = ("201", "202", "301", "600", "99", "sales", "r1", "ANNA", "trunk", None)
CONTACTS = ("c1", "c2", "C3", "cä", "ghost")
ACCOUNTS = ("acme", "beta", "Zeta")
USERS = ("u1", "u2", "u3", "r1", "nobody", None)
KINDS = ("call", "call", "email", "email", "sms", "note", "task", "meeting", "ticket", "ticket", "other", "fax")
STEPS = (0, 0, 0, 1, 5, 10, 29, 30, 31, 60, 300, 900, 1800, 3600)
TALKS = (0.0, 4.75, 5.0, 5.0, 10.0, 30.0, 30.0, 60.25, 600.0)
LINES = {"pbx": "pbx", "gsm": "mobile", "zcc": "contact_center", "alt": "pbx"}


# Columns whose texts are words of the contract and not names.
PLAIN_COLUMNS = {"channel", "line", "direction", "attempt", "function", "kind", "precision", "segment", "role"}


@dataclass(frozen=True, eq=False)
class World:
    """Facts, in an order that means nothing, and the settings under which they are read."""

    facts: tuple[Fact, ...]
    settings: EngineSettings

    def __str__(self) -> str:
        plain = EngineSettings(company_id=self.settings.company_id)
        changed = {name: value for name, value in self.settings if value != getattr(plain, name)}
        lines = [f"settings: company_id={self.settings.company_id!r} {changed}", *map(repr, self.facts)]
        return "\n".join(lines)


# --- Making worlds ----------------------------------------------------------------------------------


def world(rng: random.Random, size: int, rules: EngineSettings | None = None) -> World:
    """Return a world of about `size` conversations and as many activities, all close in time."""
    return _Maker(rng, rules, spread=False).make(size)


def history(rng: random.Random, size: int, rules: EngineSettings | None = None) -> World:
    """Return a world that stretches over weeks, in which nothing reaches back further than its windows.

    For engines that forget: keys are not used again later, an activity carries a key only near to the
    conversation, and a line belongs to a source.
    """
    return _Maker(rng, rules, spread=True).make(size)


def pack(worlds: Sequence[World]) -> World:
    """Return worlds side by side as one: one engine then tries many cases for the price of few.

    All names of a world get its number, so that no two meet; the settings are the first world's, with
    the own and unwanted tokens of all. Feeds are common to all, since the slowest decides for all: they
    are those of the first world.
    """
    facts = [
        numbered(item, number)
        for number, one in enumerate(worlds)
        for item in one.facts
        if item.kind != "feed_progress" or number == 0
    ]
    rules = worlds[0].settings
    common = {
        name: frozenset(f"{token}-{number}" for token in getattr(rules, name) for number in range(len(worlds)))
        for name in ("own_domains", "own_numbers", "never_log")
    }
    return World(tuple(facts), rules.model_copy(update=common))


def numbered(item: Fact, number: int) -> Fact:
    """Return the fact with a world's number at the end of all its names; digits of a device stay digits."""

    def rename(column: str, value: Any) -> Any:
        if isinstance(value, list):
            return [rename(column, part) for part in value]
        if isinstance(value, dict):
            return {name: rename(name, part) for name, part in value.items()}
        if not isinstance(value, str) or column in PLAIN_COLUMNS:
            return value
        return f"{value}{number:02}" if value.isdigit() else f"{value}-{number}"

    return Fact(item.kind, {column: rename(column, value) for column, value in item.row.items()})


def random_settings(rng: random.Random) -> EngineSettings:
    """Return settings: often the defaults, sometimes short windows, few tiers, unwanted tokens."""
    values: dict[str, Any] = {
        "company_id": rng.choice(("demo", "höyry")),
        "own_domains": frozenset({"D-own"}),
        "own_numbers": frozenset(rng.choice(((), ("N-public",)))),
        "never_log": frozenset(rng.choice(((), (), (), (PHONES[1],), (ADDRESSES[1],), ("D-beta",)))),
        "merge_tolerance": timedelta(seconds=rng.choice((30, 30, 0, 60))),
        "too_short_seconds": rng.choice((5.0, 5.0, 0.0, 10.0)),
        "bulk_recipients": rng.choice((20, 20, 2, 1)),
    }
    if rng.random() < 0.3:
        minutes = [timedelta(minutes=rng.choice((0, 5, 30, 60))) for _ in range(4)]
        names = ("before", "same_representative_after", "other_representative_after", "inferred_after")
        values |= zip(names, minutes, strict=True)
    if rng.random() < 0.25:
        values["tiers"] = frozenset(tier for tier in sorted(ALL_TIERS) if rng.random() < 0.6)
    return EngineSettings(**values)


class _Maker:
    """Draws the parts of one world. Every draw comes from `rng`, in a fixed order."""

    def __init__(self, rng: random.Random, rules: EngineSettings | None, *, spread: bool) -> None:
        self.rng = rng
        self.spread = spread
        self.counter = 0
        self.settings = rules or random_settings(rng)
        if spread:
            gaps = [rng.choice((0, 1, 2, 3, 5, 8)) for _ in range(6)]
            self.anchors = [MONDAY + DAY * sum(gaps[: index + 1]) + timedelta(hours=9) for index in range(6)]
        else:
            self.anchors = [MONDAY + timedelta(hours=hours) for hours in rng.sample((9, 9.5, 10, 23.75, 33, 80), 2)]
        self.keys: dict[str, list[str]] = {}
        self.holders: dict[str, list[str]] = {}  # token -> contacts that hold it in some version

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def some(self, choices: Sequence[T], most: int) -> list[T]:
        return [self.rng.choice(choices) for _ in range(self.rng.randint(0, most))]

    def time(self) -> datetime:
        return self.rng.choice(self.anchors) + timedelta(seconds=self.rng.choice(STEPS))

    def raw_id(self, source: str) -> str:
        """Return a new raw_id whose order has nothing to do with time; 9 stands after 10."""
        self.counter += 1
        return f"{source}:f:{self.rng.choice((self.counter, self.counter * 7919 % 1000 + 1000))}.{self.counter}"

    def key(self, channel: str, source: str) -> str:
        """Return the identity of a conversation, now and then one that was used before."""
        used = self.keys.setdefault(f"{channel} {source}", [])
        if used and not self.spread and self.chance(0.15):
            return self.rng.choice(used)
        self.counter += 1
        used.append(f"{channel[0]}{self.counter}")
        return used[-1]

    def make(self, size: int) -> World:
        facts = [*self.directory(), *self.register()]
        scenarios = [self.simple_call, self.simple_call, self.queue_call, self.transfer, self.odd_call]
        scenarios += [self.email, self.email, self.messages, self.call_of_two_systems, self.call_of_two_systems]
        observations: list[Fact] = []
        for _ in range(size):
            observations += self.rng.choice(scenarios)()
        observations += [self.copy(self.rng.choice(observations)) for _ in range(self.rng.randint(0, size // 3))]
        activities: list[Fact] = []
        for _ in range(self.rng.randint(size // 2, size + 2)):
            activities += self.activity(observations)
        facts += observations + activities + self.progress(observations)
        self.rng.shuffle(facts)
        return World(tuple(facts), self.settings)

    # The company and its CRM

    def directory(self) -> list[Fact]:
        """Return three people, a queue, and perhaps a change of team, a shared extension, a second mailbox."""
        middle = self.rng.choice(self.anchors)
        rows = [
            person("r1", "Sales", name="Anna", extension="201", email_token="M-r1", mobile_token="N-r1"),
            person("r2", "Sales", extension="202", email_token="M-r2", direct_token="N-r2"),
            person("R3", "Support", function="contact_center", extension="301", email_token="M-r3"),
            shared("Support", name=self.rng.choice(("Help", None)), extension="600", email_token="M-help"),
        ]
        if self.chance(0.3):
            rows[0] = rows[0].but(valid_to=middle)
            rows.append(rows[0].but(team="Field", valid_from=middle, valid_to=None))
        if self.chance(0.2):
            rows.append(person("r2", "Support", function="contact_center", extension="201", valid_from=middle))
        if self.chance(0.2):
            rows.append(shared("Alpha", function="other", extension="sales", email_token="M-r2"))
        if self.chance(0.1):
            rows.append(person("q9", "Sales", extension="600", direct_token=PHONES[2], valid_to=middle))
        return rows

    def register(self) -> list[Fact]:
        """Return contacts, accounts and users with their versions."""
        rng = self.rng
        facts: list[Fact] = []
        identifiers = (*PHONES[:3], *ADDRESSES[:3])
        for contact_id in rng.sample(CONTACTS[:4], rng.randint(1, 4)):
            for _ in range(rng.choice((1, 1, 2))):
                updated = rng.choice((None, self.time(), self.time() - DAY))
                tokens = [rng.choice(identifiers), *self.some(identifiers, 2)]
                for token in tokens:
                    self.holders.setdefault(token, []).append(contact_id)
                deleted = self.chance(0.1)
                account_id = rng.choice((*ACCOUNTS[:2], None))
                raw_id = self.raw_id("crm")
                facts.append(
                    contact(contact_id, *tokens, account=account_id, updated_at=updated, deleted=deleted, raw_id=raw_id)
                )
        for account_id in rng.sample(ACCOUNTS, rng.randint(0, 3)):
            for _ in range(rng.choice((1, 1, 1, 2))):
                facts.append(
                    account(
                        account_id,
                        *self.some(identifiers, 1),
                        domains=self.some(("D-acme", "D-beta"), 1),
                        segment=rng.choice((None, "large")),
                        updated_at=rng.choice((None, self.time())),
                        deleted=self.chance(0.1),
                        raw_id=self.raw_id("crm"),
                    )
                )
        facts += [user("u1", "M-r1"), user("u2", "M-r2"), user("u3", rng.choice(("M-r3", "M-help", None)))]
        if self.chance(0.2):
            facts.append(user("u2", rng.choice(("M-r1", "M-help")), source="help"))
        return facts

    # Conversations

    def customer(self) -> str | None:
        return self.rng.choice((*PHONES, PHONES[0], PHONES[0], PHONES[1], None))

    def leg(self, key: str, start: datetime, source: str = "pbx", **columns: Any) -> Fact:
        values: dict[str, Any] = {
            "talk": self.rng.choice(TALKS),
            "ring": self.rng.choice((0.0, 0.0, 5.0)),
            "customer": PHONES[0],
            "ours": self.rng.choice(EXTENSIONS),
            "line": LINES[source],
            "event_id": self.rng.choice((key, f"{key}.{self.counter}", None)),
        }
        values |= columns
        return call(self.raw_id(source), start, key=key, **values)

    def simple_call(self) -> list[Fact]:
        source = self.rng.choice(("pbx", "pbx", "gsm", "zcc", "alt"))
        leg = self.leg(
            self.key("call", source),
            self.time(),
            source,
            customer=self.customer(),
            outbound=self.chance(0.4),
            attempt=self.rng.choice(("talk", "talk", "talk", "talk", "unanswered", "no_human")),
        )
        return [leg]

    def queue_call(self) -> list[Fact]:
        """Return a call that rang at several, with what bridge events and the queue's log say about it."""
        key, start, customer = self.key("call", "pbx"), self.time(), self.customer()
        common: dict[str, Any] = {"customer": customer, "via_endpoint": self.rng.choice(("600", "sales", None))}
        line = "pbx" if self.spread else self.rng.choice(("pbx", "pbx", "contact_center"))
        facts = [
            self.leg(key, start, ours=extension, attempt="unanswered", talk=0.0, **common)
            for extension in self.some(EXTENSIONS[:3], 2)
        ]
        if self.chance(0.4):
            facts.append(self.leg(key, start, ours="600", attempt="no_human", **common))
        if self.chance(0.8):
            winner = self.rng.choice(EXTENSIONS[:4])
            bases = self.rng.choice(((1,), (1, 3), (2, 2), (1, 2, 3), (3, 3)))
            facts += [self.leg(key, start, ours=winner, basis=basis, line=line, **common) for basis in bases]
        if self.chance(0.3):
            facts.append(self.mark(key, start))
        return facts or [self.mark(key, start)]

    def mark(self, key: str, start: datetime) -> Fact:
        """Return a line of a log that describes no leg."""
        return observation(
            self.raw_id("pbx"),
            channel="call",
            line="pbx",
            key=f"pbx:{key}",
            session_id=key,
            started_at=start - timedelta(seconds=self.rng.choice((0, 60))),
            ended_at=self.rng.choice((start, start + timedelta(hours=1), None)),
            emergency=self.chance(0.1),
        )

    def transfer(self) -> list[Fact]:
        """Return a call that two or three talked on, perhaps with an internal consultation."""
        key, start, customer = self.key("call", "pbx"), self.time(), self.customer()
        facts = []
        for extension in self.rng.sample(EXTENSIONS, self.rng.randint(2, 3)):
            facts.append(self.leg(key, start, ours=extension, customer=customer, basis=self.rng.choice((1, 1, 3))))
            start += timedelta(seconds=self.rng.choice((0, 10, 60)))
        if self.chance(0.4):
            facts.append(self.leg(key, start, ours="202", customer=None, from_endpoint="201"))
        if self.chance(0.2):
            facts.append(self.leg(self.key("call", "pbx"), start, other_keys=[f"pbx:{key}"]))
        return facts

    def odd_call(self) -> list[Fact]:
        """Return a call with something special: internal, emergency, both sides unknown, a fax."""
        special: dict[str, Any] = self.rng.choice(
            (
                {"customer": None, "from_endpoint": "202", "ours": "201"},
                {"customer": "N-r1", "ours": "202"},
                {"emergency": True},
                {"automated": True},
                {"ours": "trunk", "to_token": PHONES[2], "direction": "outbound"},
                {"ours": "trunk", "to_token": PHONES[2], "direction": "internal"},
                {"ours": "201", "direction": "internal"},
                {"ours": None, "to_token": PHONES[2], "direction": None, "via_endpoint": "600"},
                {"ours": None, "to_token": "N-public"},
                {"ours": None, "to_token": "N-r1", "direction": "outbound"},
                {"ours": None, "to_domain": "D-own", "from_domain": "D-beta"},
                {"channel": "fax", "line": None},
                {"channel": "fax", "line": None, "attempt": "unanswered"},
                {"line": None},
                {"from_endpoint": "1234567", "talk_basis": None},
            )
        )
        return [self.leg(self.key(special.get("channel", "odd"), "pbx"), self.time(), **special)]

    def call_of_two_systems(self) -> list[Fact]:
        """Return calls as two or three systems saw them, their talk apart by about the tolerance."""
        start, customer = self.time(), self.rng.choice((*PHONES[:2], PHONES[0], None))
        tolerance = int(self.settings.merge_tolerance.total_seconds())
        facts = []
        for source in self.rng.choice((("pbx", "gsm"), ("pbx", "zcc"), ("zcc", "pbx", "gsm"), ("alt", "pbx"))):
            for _ in range(self.rng.choice((1, 1, 1, 2))):
                shift = self.rng.choice((0, 0, 1, 2, 5, 10, 60, 60 + tolerance, 61 + tolerance))
                columns: dict[str, Any] = {"ours": self.rng.choice((*EXTENSIONS[:4], "trunk"))}
                if source == "gsm":
                    columns = {"ours": None, "to_token": self.rng.choice(("N-r1", "N-r2", "N-public"))}
                columns |= {"customer": customer, "talk": 60.0, "ring": 0.0, "attempt": "talk"}
                if self.chance(0.1):
                    columns |= {"attempt": "unanswered"}
                key = self.key("call", source)
                facts.append(self.leg(key, start + timedelta(seconds=shift), source, **columns))
        return facts

    def email(self) -> list[Fact]:
        """Return one to three mailboxes' copies of an email, some without their Message-ID."""
        rng = self.rng
        sent, message_id = self.time(), self.key("email", "")
        second = rng.choice((message_id, self.key("email", "second")))
        anybody = (*ADDRESSES, *OWN_ADDRESSES)
        sender = rng.choice((*anybody, *OWN_ADDRESSES, None))
        to, cc = self.some(anybody, 3), self.some(anybody, 1)
        flags = {"automated": self.chance(0.05), "bulk": self.chance(0.05)}
        facts = []
        for _ in range(rng.choice((1, 1, 2, 3))):
            source = rng.choice(("mail", "post"))
            copy = email(
                self.raw_id(source),
                sent + timedelta(seconds=rng.choice((0, 0, 1))),
                sender if self.chance(0.95) else rng.choice(anybody),
                to if self.chance(0.8) else self.some(anybody, 2),
                cc,
                delivered=self.some(OWN_ADDRESSES, 1),
                message_id=message_id if self.chance(0.8) else None,
                second=second,
                domains=DOMAINS,
                **flags,
            )
            facts.append(copy)
        return facts

    def messages(self) -> list[Fact]:
        """Return the messages of one conversation by text or chat."""
        channel, start = self.rng.choice(("sms", "chat")), self.time()
        key = self.key(channel, "msg")
        facts = []
        for _ in range(self.rng.randint(1, 3)):
            columns: dict[str, Any] = {"customer": self.customer(), "ours": self.rng.choice(EXTENSIONS)}
            if self.chance(0.3):
                columns = {"customer": None, "ours": None, "from_endpoint": "r1", "to_token": self.customer()}
            facts.append(message(self.raw_id("msg"), start, channel=channel, key=f"msg:{key}", **columns))
            start += timedelta(seconds=self.rng.choice(STEPS))
        return facts

    def copy(self, original: Fact) -> Fact:
        """Return the record read again: at another place, or (rarely) by another source."""
        if self.chance(0.15):
            # Two systems never write one conversation's key; if they did, their records would differ.
            return original.but(raw_id=self.raw_id("mirror"), source="mirror", record_digest=self.counter)
        return original.but(raw_id=self.raw_id(original.row["source"]))

    # The CRM's activities

    def activity(self, observations: Sequence[Fact]) -> list[Fact]:
        """Return an activity about something that happened, in one version or more."""
        rng = self.rng
        about = rng.choice(observations).row
        logged = self.logging_time(about)
        until = None
        if self.chance(0.15):
            midnight = logged.replace(hour=0, minute=0, second=0, microsecond=0)
            logged, until = midnight, midnight + DAY - TICK
        keys = [about["event_id"], about["session_id"]] if self.chance(0.3) else []
        if self.spread and not about["started_at"] <= logged <= about["started_at"] + DAY:
            keys = []
        tokens = [about["from_token"], about["to_token"], *(party["token"] for party in about["parties"] or ())]
        holders = [name for token in tokens for name in self.holders.get(token, ())]
        channel = about["channel"]
        values: dict[str, Any] = {
            "kind": rng.choice((*KINDS, *[channel] * 12)),
            "contacts": [rng.choice(holders)] if holders and self.chance(0.7) else self.some(CONTACTS, 2),
            "accounts": self.some(ACCOUNTS, 1),
            "owner": rng.choice(USERS[:3] if self.chance(0.6) else USERS),
            "creator_id": rng.choice((None, None, *USERS)),
            "keys": [key for key in keys if key is not None] + self.some(("stray",), 1),
            "tokens": self.some([token for token in tokens if token] or PHONES, 2),
        }
        if values["kind"] == "ticket" and self.chance(0.6):
            values |= {"contacts": self.some(("ghost",), 1), "accounts": []}
        self.counter += 1
        activity_id = f"{rng.choice('aBä')}{self.counter}"
        versions = []
        for _ in range(rng.choice((1, 1, 1, 1, 2))):
            updated = rng.choice((None, logged, logged + timedelta(hours=1)))
            deleted, raw_id = self.chance(0.05), self.raw_id("crm")
            versions.append(
                activity(activity_id, logged, until=until, updated_at=updated, deleted=deleted, raw_id=raw_id, **values)
            )
            values |= {"contacts": self.some(CONTACTS, 1) or values["contacts"], "owner": rng.choice(USERS)}
            values |= {"keys": rng.choice(([], values["keys"]))}
        return versions

    def logging_time(self, about: Mapping[str, Any]) -> datetime:
        """Return a time near to the conversation or exactly about the edge of a window."""
        start, end = about["started_at"], about["ended_at"] or about["started_at"]
        rules = self.settings
        edges = (
            end,
            start - rules.before,
            end + rules.same_representative_after,
            end + rules.other_representative_after,
            end + rules.inferred_after,
        )
        if self.chance(0.5):
            edge: datetime = self.rng.choice(edges)
            return edge + self.rng.choice((-TICK, timedelta(0), TICK))
        seconds = self.rng.choice((-60, -10, -1, 0, 0, 1, 10, 60, 600, 1200, 3600))
        moment: datetime = end + timedelta(seconds=seconds)
        return moment

    def progress(self, observations: Sequence[Fact]) -> list[Fact]:
        """Return no marks, early ones, late ones, or one exactly about the end of a window; of one or two feeds.

        Over weeks, a feed may move on day by day.
        """
        facts = []
        if self.spread and self.chance(0.6):
            for source in self.rng.choice((("crm",), ("crm", "help"))):
                days = range(0, self.rng.choice((5, 20, 60)), self.rng.choice((1, 3)))
                facts += [progress("12:00", source, day) for day in days]
            return facts
        for source in self.rng.choice(((), ("crm",), ("crm",), ("crm", "crm"), ("crm", "help"))):
            about = self.rng.choice(observations).row
            end = (about["ended_at"] or about["started_at"]) + self.settings.window_after
            choices = (max(self.anchors) + 60 * DAY, MONDAY, end - TICK, end, end + TICK)
            facts.append(progress(self.rng.choice((choices[0], *choices)), source))
        return facts


@st.composite
def small_worlds(draw: st.DrawFn) -> World:
    """Draw a world of a few facts each part of which shrinks: for the cases that a seed cannot make simpler."""
    seconds = st.sampled_from((0, 1, 30, 60, 900, 1800, 3600, 259200))
    sign = st.sampled_from((1, -1))
    nine = MONDAY + timedelta(hours=9)
    facts = [
        person("r1", "Sales", extension="201", email_token="M-r1"),
        person("r2", "Support", extension="202", email_token="M-r2"),
        shared("Support", extension="600"),
        contact("c1", PHONES[0], ADDRESSES[0], account=draw(st.sampled_from((None, "acme")))),
        contact("c2", draw(st.sampled_from(PHONES[:2])), account="beta"),
    ]
    for number in range(draw(st.integers(1, 4))):
        source = draw(st.sampled_from(("pbx", "gsm")))
        leg = call(
            f"{source}:{number}",
            nine + timedelta(seconds=draw(seconds)),
            draw(st.sampled_from((60.0, 5.0, 4.0))),
            customer=draw(st.sampled_from((PHONES[0], PHONES[1], None))),
            ours=draw(st.sampled_from(("201", "202", "600"))),
            key=draw(st.sampled_from("kl")),
            line=LINES[source],
            attempt=draw(st.sampled_from(("talk", "unanswered", None))),
        )
        facts.append(leg)
    for number in range(draw(st.integers(0, 2))):
        own = draw(st.booleans())
        addresses = st.lists(st.sampled_from(ADDRESSES[:3]), min_size=1, max_size=3)
        facts.append(
            email(
                f"mail:{number}",
                nine + timedelta(seconds=draw(seconds)),
                "M-r1" if own else ADDRESSES[0],
                draw(addresses) if own else ["M-r1"],
                message_id=draw(st.sampled_from((None, "x", "y"))),
                second=draw(st.sampled_from("xy")),
                domains=DOMAINS,
            )
        )
    for number in range(draw(st.integers(0, 4))):
        facts.append(
            activity(
                f"a{number}",
                nine + timedelta(seconds=60 + draw(sign) * draw(seconds)),
                draw(st.sampled_from(("call", "email", "task", "ticket"))),
                contacts=draw(st.sampled_from((["c1"], ["c2"], ["c1", "c2"], []))),
                owner=draw(st.sampled_from(("r1", "r2", None))),
                keys=draw(st.sampled_from(([], ["x"], ["k"]))),
            )
        )
    if draw(st.booleans()):
        facts.append(progress(nine + timedelta(days=draw(st.sampled_from((9, 1))))))
    return World(tuple(facts), EngineSettings(company_id="demo", own_domains=frozenset({"D-own"})))


# --- Bigger worlds ----------------------------------------------------------------------------------


def switchboard(rng: random.Random, calls: int, activities: int) -> World:
    """Return one account whose switchboard number is on everything, all within three days."""
    people = [f"r{number}" for number in range(10)]
    facts: list[Fact] = [person(name, extension=str(300 + number)) for number, name in enumerate(people)]
    facts += [contact(f"c{number}", PHONES[0], account="acme") for number in range(5)]
    for number in range(calls):
        start = MONDAY + timedelta(seconds=rng.randrange(3 * 86400))
        ours = str(300 + rng.randrange(12))
        facts.append(call(f"pbx:{number}", start, 60.0, ours=ours, customer=PHONES[0]))
    for number in range(activities):
        logged = MONDAY + timedelta(seconds=rng.randrange(4 * 86400))
        owner, kind = rng.choice((*people, None)), rng.choice(("call", "call", "note"))
        facts.append(activity(f"a{number}", logged, kind, contacts=[f"c{number % 5}"], owner=owner))
    facts.append(progress(MONDAY + 30 * DAY))
    rng.shuffle(facts)
    return World(tuple(facts), EngineSettings(company_id="demo"))


# --- Arrival ----------------------------------------------------------------------------------------


def luck(number: int, item: Fact, use: str) -> float:
    """Return a number from 0 to below 1 that belongs to a seed, a fact and a use.

    A fact keeps its luck, and so its place in the order of arrival, when others are taken away.
    """
    content = f"{number} {use} {item!r}".encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=6).digest()) / 2**48


def arrivals(number: int, facts: Sequence[Fact]) -> list[list[Fact]]:
    """Return the facts in batches: shuffled, some repeated in another batch."""
    batches: list[list[Fact]] = [[] for _ in range(random.Random(number).choice((1, 2, 3, 5)))]
    for item in facts:
        batches[int(luck(number, item, "batch") * len(batches))].append(item)
        if luck(number, item, "repeat") < 0.3:
            batches[int(luck(number, item, "second batch") * len(batches))].append(item)
    return [sorted(batch, key=lambda item: luck(number, item, "place")) for batch in batches]


def event_time(fact: Fact) -> datetime | None:
    """Return when the thing happened that a fact tells of; None for what is known beforehand."""
    column = {"observation": "started_at", "activity": "logged_from", "feed_progress": "complete_through"}
    name = column.get(fact.kind)
    time: datetime | None = fact.row[name] if name else None
    return time


def stream(number: int, facts: Sequence[Fact], lateness: timedelta) -> Iterator[tuple[list[Fact], datetime]]:
    """Yield batches about in the order of event time, each with the instant up to which all is known after it.

    A fact is late by up to `lateness`; what has no event time comes first.
    """

    def arrival(item: Fact) -> datetime:
        time = event_time(item)
        return MONDAY - DAY if time is None else time + lateness * luck(number, item, "delay")

    order = sorted(facts, key=lambda item: (arrival(item), luck(number, item, "place")))
    rng = random.Random(number)
    last = max(map(arrival, facts), default=MONDAY)
    cuts = [MONDAY + timedelta(hours=rng.randrange(24 * 35)) for _ in range(rng.choice((2, 4, 6)))]
    start = 0
    for cut in [*sorted(cuts), max(last, *cuts)]:
        end = bisect_right(order, cut, key=arrival)
        yield order[start:end], cut - lateness
        start = end


# --- Keeping what the engine says -------------------------------------------------------------------


class Changes(Protocol):
    """What a fold returns."""

    @property
    def tables(self) -> Mapping[str, pa.Table]: ...


class Ledger:
    """The rows as a store would hold them after all changes so far."""

    def __init__(self) -> None:
        self.interactions: dict[str, dict[str, Any]] = {}
        self.dispositions: dict[str, tuple[str, str | None, str | None]] = {}
        self.activity_outcomes: dict[str, dict[str, Any]] = {}

    def apply(self, changes: Changes) -> int:
        """Apply changes and return how many rows they had."""
        rows = {name: table.to_pylist() for name, table in changes.tables.items()}
        told = {row["interaction_id"] for row in rows.get("interaction", ())}
        for row in rows.get("retracted", ()):
            assert row["interaction_id"] not in told, "told and retracted at once"
            assert row["interaction_id"] in self.interactions, "retracted before it was told"
            del self.interactions[row["interaction_id"]]
        for row in rows.get("interaction", ()):
            self.interactions[row["interaction_id"]] = row
        for row in rows.get("disposition", ()):
            self.dispositions[row["raw_id"]] = (row["disposition"], row["reason"], row["evidence_id"])
        for row in rows.get("activity_outcome", ()):
            self.activity_outcomes[row["activity_id"]] = row
            if row["status"] == "deleted":
                del self.activity_outcomes[row["activity_id"]]
        return sum(map(len, rows.values()))

    def outcomes(self) -> Outcomes:
        """Return all rows held, in the form of the oracle."""
        interactions = [self.interactions[name] for name in sorted(self.interactions)]
        return Outcomes(interactions, dict(self.dispositions), dict(self.activity_outcomes))


# --- Comparing --------------------------------------------------------------------------------------

# Lists that are sets: their order means nothing.
UNORDERED = {"sources", "customer_ids", "representative_ids"}


def _plain(name: str, value: Any) -> Any:
    if name in UNORDERED:
        return sorted(value or ())
    if name == "participants":
        return list(value or ())
    if name == "trace_delay_seconds" and value is not None:
        return round(value, 6)
    return value


def differences(expected: Outcomes, found: Outcomes) -> list[str]:
    """Return one line for each row or value in which two outcomes differ; none when they are equal."""
    lines = _row_differences(
        "interaction",
        {row["interaction_id"]: row for row in expected.interactions},
        {row["interaction_id"]: row for row in found.interactions},
    )
    for raw_id in sorted(expected.dispositions.keys() | found.dispositions.keys()):
        one, other = expected.dispositions.get(raw_id), found.dispositions.get(raw_id)
        if one != other:
            lines.append(f"disposition of {raw_id}: expected {one}, found {other}")
    return lines + _row_differences("activity", expected.activity_outcomes, found.activity_outcomes)


def _row_differences(
    name: str, expected: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    lines = []
    for identity in sorted(expected.keys() | found.keys()):
        if identity not in found:
            lines.append(f"{name} {identity}: expected, not found: {expected[identity]}")
        elif identity not in expected:
            lines.append(f"{name} {identity}: found, not expected: {found[identity]}")
        else:
            for column, value in expected[identity].items():
                one, other = _plain(column, value), _plain(column, found[identity].get(column, "no such column"))
                if one != other:
                    lines.append(f"{name} {identity}: {column}: expected {one!r}, found {other!r}")
    return lines


def case_differences(
    interactions: Sequence[Mapping[str, Any]],
    dispositions: Mapping[str, str],
    activities: Mapping[str, tuple[str, str | None]],
    found: Outcomes,
) -> list[str]:
    """Return in what an outcome differs from a case worked out by hand, which tells only some columns."""
    rows = sorted(found.interactions, key=lambda row: (row["started_at"], row["token"] or ""))
    lines = []
    if len(rows) != len(interactions):
        lines.append(f"expected {len(interactions)} interactions, found {len(rows)}: {rows}")
    for number, (told, row) in enumerate(zip(interactions, rows, strict=False)):
        for column, value in told.items():
            if _plain(column, row.get(column, "no such column")) != _plain(column, value):
                lines.append(f"interaction {number}: {column}: expected {value!r}, found {row.get(column)!r}")
    for raw_id, disposition in dispositions.items():
        kind, reason, _ = found.dispositions.get(raw_id, ("missing", None, None))
        name = f"{kind}:{reason}" if reason else kind
        if name != disposition:
            lines.append(f"disposition of {raw_id}: expected {disposition}, found {name}")
    for activity_id, (status, tier) in activities.items():
        outcome = found.activity_outcomes.get(activity_id, {})
        if (outcome.get("status"), outcome.get("tier")) != (status, tier):
            lines.append(f"activity {activity_id}: expected {status} {tier}, found {outcome}")
    return lines


# --- Making a failure small -------------------------------------------------------------------------


def shrink(case: World, fails: Callable[[World], bool], most_trials: int = 1500) -> World:
    """Return a smaller world that still fails: no single fact and no setting can be left out of it.

    Facts are taken away in ever smaller stretches; settings are put back to their defaults.
    After `most_trials` the smallest so far is returned.
    """
    trials = 0

    def still_fails(candidate: World) -> bool:
        nonlocal trials
        trials += 1
        return trials <= most_trials and fails(candidate)

    for smaller in _simpler_settings(case):
        if still_fails(smaller):
            case = smaller
            break
    length = max(1, len(case.facts) // 2)
    while True:
        before = len(case.facts)
        start = 0
        while start < len(case.facts):
            candidate = replace(case, facts=case.facts[:start] + case.facts[start + length :])
            if still_fails(candidate):
                case = candidate
            else:
                start += length
        if length == 1 and len(case.facts) == before:
            break
        length = max(1, length // 2)
    for name in EngineSettings.model_fields:
        default = getattr(EngineSettings(company_id="demo"), name)
        candidate = replace(case, settings=case.settings.model_copy(update={name: default}))
        if candidate.settings != case.settings and still_fails(candidate):
            case = candidate
    return case


def _simpler_settings(case: World) -> Iterable[World]:
    yield replace(case, settings=EngineSettings(company_id="demo", own_domains=case.settings.own_domains))


def check(case: World, problems: Callable[[World], list[str]]) -> None:
    """Fail with the smallest world found that has problems, its facts and its problems.

    Raises:
        AssertionError: when the world has problems.
    """
    if not problems(case):
        return
    small = shrink(case, lambda candidate: bool(problems(candidate)))
    raise AssertionError("\n".join(["", str(small), "", *problems(small)]))
