"""Customers by contact and by trace, one customer's history, a day, and how scattered it all is."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigurationError
from pipeline.estimate import wilson
from sinks.measures import Filters
from sinks.metrics import customers, scatter
from sinks.store import Store
from tests.records import activity
from tests.stores import NOON, interaction_row, published, said, shown

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CRM = ("crm", "export.csv")


def contact(name: str, outcome: str, after: timedelta = timedelta(0), *ids: str, **columns: Any) -> dict[str, Any]:
    """Return an interaction with these customers, so long after noon."""
    at = NOON + after
    return interaction_row(name, outcome, started_at=at, ended_at=at, customer_ids=list(ids), **columns)


ROWS = [
    # Anna calls, writes, and calls once more from a number that the CRM learned of later.
    contact("a1", "traced", 0 * HOUR, "anna", token="T-anna", team="Sales"),
    contact("a2", "bypassed", HOUR, "anna", token="T-mail", channel="email", team="Care", talk_seconds=0.0),
    contact("a3", "traced", 2 * HOUR, "anna", token="T-anna", team="Sales"),
    contact("a4", "bypassed", -DAY, token="T-anna", reason="unknown_customer"),
    # Bert and Cora share a number.
    contact("b1", "siloed", HOUR, "bert", "cora", token="T-both"),
    contact("b2", "bypassed", DAY, "bert", token="T-bert"),
    contact("b3", "bypassed", DAY + HOUR, "bert", token="T-bert"),
    # Somebody unknown, somebody withheld, and somebody of whom nothing is decided.
    contact("u1", "bypassed", HOUR, token="T-unknown", reason="unknown_customer"),
    contact("w1", "bypassed", HOUR, reason="withheld"),
    contact("w2", "bypassed", 2 * HOUR, reason="withheld"),
    contact("p1", "pending", 3 * HOUR, "dora", token="T-dora"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    facts = {CRM: [shown("T-unknown", "+358…67"), shown("T-anna", "+358…11")]}
    with Store.open(published(tmp_path_factory.mktemp("customers") / "bypass.duckdb", facts, said(ROWS))) as opened:
        yield opened


def shortly(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in ("customer_id", "token", *names)) for row in rows]


# Customers


def test_those_with_most_interactions_come_first(store: Store) -> None:
    rows = customers.customers(store)

    assert shortly(rows, "interaction_count", "traced_count") == [
        ("anna", None, 3, 2), ("bert", None, 3, 0), ("cora", None, 1, 0), ("dora", None, 1, 0),
        (None, "T-anna", 1, 0), (None, "T-unknown", 1, 0),
    ]  # fmt: skip
    anna = rows[0]
    assert (anna["channels"], anna["talk_seconds"]) == (["call", "email"], 120)
    assert (anna["first_at"], anna["last_at"]) == (NOON, NOON + 2 * HOUR)
    assert (anna["bypass_share"], anna["bypassed_share"], anna["traced_share"]) == (1 / 3, 1 / 3, 2 / 3)
    assert (anna["bypass_share_low"], anna["bypass_share_high"]) == wilson(1, 3)
    assert [row["identifier"] for row in rows] == [None, None, None, None, "+358…11", "+358…67"]


def test_those_least_traced_for_sure_come_first(store: Store) -> None:
    rows = customers.customers(store, order="least_traced")

    # Three of three, then one of one, then one of three; nothing is known of Dora.
    assert shortly(rows, "bypass_share") == [
        ("bert", None, 1.0), ("cora", None, 1.0), (None, "T-anna", 1.0), (None, "T-unknown", 1.0),
        ("anna", None, 1 / 3), ("dora", None, None),
    ]  # fmt: skip
    lows = [row["bypass_share_low"] for row in rows[:-1]]
    assert lows == sorted(lows, reverse=True)


def test_customers_are_chosen_by_filters_and_a_limit(store: Store) -> None:
    assert shortly(customers.customers(store, Filters(limit=1))) == [("anna", None)]
    assert shortly(customers.customers(store, Filters({"team": ["Care"]}))) == [("anna", None)]
    known = customers.customers(store, includes_unknown=False)
    assert [row["customer_id"] for row in known] == ["anna", "bert", "cora", "dora"]
    with pytest.raises(ConfigurationError, match="unknown order 'most'; expected one of most_contacts"):
        customers.customers(store, order="most")


# One customer


def test_a_history_stands_over_all_channels_in_order_of_time(store: Store) -> None:
    rows = customers.history(store, customer="anna")

    names = ("interaction_id", "channel", "outcome", "is_by_identifier")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("a4", "call", "bypassed", True),
        ("a1", "call", "traced", False),
        ("a2", "email", "bypassed", False),
        ("a3", "call", "traced", False),
    ]
    assert [row["identifier"] for row in rows] == ["+358…11", "+358…11", None, "+358…11"]


def test_what_belongs_to_another_customer_is_not_in_a_history(store: Store) -> None:
    assert [row["interaction_id"] for row in customers.history(store, customer="cora")] == ["b1"]
    assert [row["interaction_id"] for row in customers.history(store, customer="bert")] == ["b1", "b2", "b3"]
    assert customers.history(store, customer="nobody") == []


def test_a_history_of_a_token_is_all_of_that_number(store: Store) -> None:
    rows = customers.history(store, token="T-anna")

    assert [(row["interaction_id"], row["is_by_identifier"]) for row in rows] == [
        ("a4", True), ("a1", False), ("a3", False),
    ]  # fmt: skip


def test_a_limit_keeps_the_latest_of_a_history(store: Store) -> None:
    rows = customers.history(store, customer="anna", filters=Filters(limit=2))
    emails = customers.history(store, customer="anna", filters=Filters({"channel": ["email"]}))
    before = customers.history(store, customer="anna", filters=Filters(until=NOON + HOUR))

    assert [row["interaction_id"] for row in rows] == ["a2", "a3"]
    assert [row["interaction_id"] for row in emails] == ["a2"]
    assert [row["interaction_id"] for row in before] == ["a4", "a1"]


def test_a_history_is_of_one(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="one customer or of one token"):
        customers.history(store)
    with pytest.raises(ConfigurationError, match="one customer or of one token"):
        customers.history(store, customer="anna", token="T-anna")


# A day


def test_a_day_shows_each_customer_with_what_was_done(store: Store) -> None:
    rows = customers.day(store, date(2024, 3, 4))

    assert shortly(rows, "interaction_count", "traced_count") == [
        ("anna", None, 3, 2), ("bert", None, 1, 0), ("cora", None, 1, 0), (None, "T-unknown", 1, 0),
        ("dora", None, 1, 0), (None, None, 2, 0),
    ]  # fmt: skip
    anna, unknown = rows[0], rows[3]
    assert (anna["channels"], anna["teams"], anna["talk_seconds"]) == (["call", "email"], ["Care", "Sales"], 120)
    assert [(one["interaction_id"], one["channel"], one["outcome"]) for one in anna["interactions"]] == [
        ("a1", "call", "traced"), ("a2", "email", "bypassed"), ("a3", "call", "traced"),
    ]  # fmt: skip
    assert (unknown["identifier"], unknown["interactions"][0]["reason"]) == ("+358…67", "unknown_customer")
    assert len(customers.day(store, date(2024, 3, 4), filters=Filters(limit=2))) == 2


def test_a_day_is_that_of_the_companys_zone(tmp_path: Path) -> None:
    instants = ["2024-03-03T21:59:59", "2024-03-03T22:00:00", "2024-03-04T21:59:59", "2024-03-04T22:00:00"]
    rows = [
        interaction_row(f"i{n}", token=f"T-{n}", started_at=datetime.fromisoformat(at)) for n, at in enumerate(instants)
    ]
    with Store.open(published(tmp_path / "days.duckdb", changes=said(rows))) as clock:
        local = [row["token"] for row in customers.day(clock, date(2024, 3, 4))]
        utc = [row["token"] for row in customers.day(clock, date(2024, 3, 4), zone="UTC")]

    assert (local, utc) == (["T-1", "T-2"], ["T-2", "T-3"])


# Scatter


def test_systems_are_those_that_saw_the_customer_and_those_that_hold_records(tmp_path: Path) -> None:
    rows = [
        contact("a1", "traced", 0 * HOUR, "anna", sources=["pbx", "mobile"], activity_id="t1"),
        contact("a2", "bypassed", 0 * HOUR, "anna", sources=["mail"]),
        contact("b1", "siloed", 0 * HOUR, "bert", sources=["pbx"], ticket_id="t2"),
        contact("c1", "bypassed", 0 * HOUR, "cora", sources=["pbx"]),
        contact("c2", "bypassed", DAY, "cora", sources=["pbx"]),
    ]
    facts = {
        CRM: [
            activity("t1", NOON), activity("t1", NOON, raw_id="crm:t1/2"), activity("t3", NOON),
            activity("t2", NOON, "ticket", source="desk"),
        ]
    }  # fmt: skip
    outcomes = [
        {"activity_id": "t1", "status": "trace", "interaction_id": "a1", "customer_ids": ["anna"]},
        {"activity_id": "t2", "status": "siloed", "customer_ids": []},
        {"activity_id": "t3", "status": "unexplained", "customer_ids": ["nobody"]},
    ]
    with Store.open(published(tmp_path / "systems.duckdb", facts, said(rows, activities=outcomes))) as store:
        found = scatter.scatter(store)
        later = scatter.scatter(store, Filters(since=NOON + HOUR))

    # Anna: pbx, mobile, mail and crm. Bert: pbx and desk. Cora: pbx.
    assert [(row["system_count"], row["customer_count"], row["customer_share"]) for row in found] == [
        (1, 1, 1 / 3), (2, 1, 1 / 3), (4, 1, 1 / 3),
    ]  # fmt: skip
    assert (found[0]["customer_share_low"], found[0]["customer_share_high"]) == wilson(1, 3)
    assert [(row["system_count"], row["customer_count"]) for row in later] == [(1, 1)]


@pytest.mark.parametrize("systems", [["crm"], ["crm", "desk"], ["crm", "desk", "leads"]])
def test_systems_agree_with_counting_the_rows_of_the_views(tmp_path: Path, systems: list[str]) -> None:
    chance = random.Random(len(systems))
    who = [f"k{n}" for n in range(40)]
    facts, outcomes, rows, held = [], [], [], defaultdict[str, set[str]](set)
    for n in range(60):
        source, ties = chance.choice(systems), chance.sample(who, chance.randrange(3))
        outcomes.append({"activity_id": f"t{n}", "status": "unexplained", "customer_ids": ties})
        if n % 9:  # Of some nothing has arrived yet but what is said of them.
            facts.append(activity(f"t{n}", NOON, raw_id=f"{source}:t{n}", source=source))
            for customer in ties:
                held[customer].add(source)
    seen = defaultdict[str, set[str]](set)
    for n in range(50):
        customer, sources = chance.choice(who), chance.sample(["pbx", "mobile", "mail"], chance.randrange(1, 3))
        rows.append(contact(f"i{n}", "bypassed", n * HOUR, customer, sources=sources))
        seen[customer] |= set(sources)
    with Store.open(published(tmp_path / "seen.duckdb", {CRM: facts}, said(rows, activities=outcomes))) as store:
        found = scatter.scatter(store)

    counted = Counter(len(sources | held[customer]) for customer, sources in seen.items())
    assert [(row["system_count"], row["customer_count"]) for row in found] == sorted(counted.items())


# Continuity


def came(name: str, outcome: str, days: float, who: str, channel: str, direction: str = "inbound") -> dict[str, Any]:
    return contact(name, outcome, timedelta(days=days), who, channel=channel, direction=direction, token=f"T-{channel}")


RETURNS = [
    # Anna's call left no trace, so her mail is a broken return; her next mail comes over the same channel.
    came("a1", "bypassed", 0, "anna", "call"),
    came("a2", "traced", 2, "anna", "email"),
    came("a3", "traced", 3, "anna", "email"),
    # Then she calls: her mail is in the CRM.
    came("a4", "bypassed", 4, "anna", "call"),
    # Bert was called and wrote; Cora came back too late; Dora was written to, which is no return.
    came("b1", "siloed", 0, "bert", "call", "outbound"),
    came("b2", "bypassed", 1, "bert", "email"),
    came("c1", "bypassed", 0, "cora", "call"),
    came("c2", "bypassed", 7.01, "cora", "email"),
    came("d1", "bypassed", 0, "dora", "call"),
    came("d2", "bypassed", 1, "dora", "email", "outbound"),
    came("e1", "pending", 0, "emil", "call"),
    came("e2", "pending", 7, "emil", "sms"),
]


@pytest.fixture(scope="module")
def returning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = published(tmp_path_factory.mktemp("returns") / "bypass.duckdb", changes=said(RETURNS))
    with Store.open(path) as opened:
        yield opened


def test_a_return_is_broken_when_the_contact_before_left_no_trace(returning: Store) -> None:
    rows = scatter.returns(returning)

    names = ("customer_id", "first_interaction_id", "interaction_id", "fate")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("emil", "e1", "e2", "pending"),
        ("anna", "a3", "a4", "kept"),
        ("anna", "a1", "a2", "broken"),
        ("bert", "b1", "b2", "broken"),
    ]
    broken = rows[2]
    assert (broken["first_channel"], broken["channel"], broken["first_outcome"]) == ("call", "email", "bypassed")
    assert broken["returned_seconds"] == 2 * 86_400


def test_continuity_is_counted_of_what_is_decided(returning: Store) -> None:
    row = scatter.continuity(returning)
    longer = scatter.continuity(returning, within=8 * DAY)

    low, high = wilson(2, 3) or (None, None)
    assert row == {
        "return_count": 4, "kept_count": 1, "broken_count": 2, "pending_count": 1,
        "broken_share": 2 / 3, "broken_share_low": low, "broken_share_high": high,
    }  # fmt: skip
    assert longer["broken_count"] == 3


def test_filters_choose_the_return_and_not_the_contact_before(returning: Store) -> None:
    emails = scatter.returns(returning, Filters({"channel": ["email"]}, since=NOON + DAY + HOUR))

    assert [row["interaction_id"] for row in emails] == ["a2"]
    assert [row["interaction_id"] for row in scatter.returns(returning, fate="kept")] == ["a4"]
    assert len(scatter.returns(returning, Filters(limit=3))) == 3
    with pytest.raises(ConfigurationError, match="unknown fate 'lost'"):
        scatter.returns(returning, fate="lost")


def test_without_returns_nothing_is_said_of_continuity(returning: Store) -> None:
    row = scatter.continuity(returning, Filters(until=NOON))

    assert (row["return_count"], row["broken_share"]) == (0, None)


# Against plain Python


def test_customers_and_returns_agree_with_counting_the_rows_of_the_view(tmp_path: Path) -> None:
    chance = random.Random(9)
    rows = [
        contact(
            f"i{n:03}", chance.choice(["traced", "siloed", "bypassed", "pending"]),
            timedelta(minutes=chance.randrange(60 * 24 * 40)),
            *chance.sample(["anna", "bert", "cora", "dora"], chance.randrange(3)),
            token=chance.choice([None, "T-1", "T-2", "T-3"]), channel=chance.choice(["call", "email", "sms"]),
            direction=chance.choice(["inbound", "outbound"]),
        )
        for n in range(300)
    ]  # fmt: skip
    with Store.open(published(tmp_path / "chance.duckdb", changes=said(rows))) as store:
        found = customers.customers(store)
        returned = scatter.returns(store, within=DAY)
        seen = store.rows("SELECT * FROM interactions ORDER BY started_at, interaction_id")

    by_party: dict[tuple[str | None, str | None], list[dict[str, Any]]] = defaultdict(list)
    for row in seen:
        for party in [(one, None) for one in row["customer_ids"]] or [(None, row["token"])]:
            by_party[party].append(row)
    by_party.pop((None, None))
    counts = {party: Counter(row["outcome"] for row in held) for party, held in by_party.items()}
    assert len(found) == len(counts) == 7
    for row in found:
        expected = counts[row["customer_id"], row["token"]]
        assert row["interaction_count"] == expected.total()
        assert all(row[f"{name}_count"] == expected[name] for name in ("traced", "siloed", "bypassed", "pending"))
    pairs = {
        (later["interaction_id"], first["interaction_id"])
        for held in by_party.values()
        for first, later in pairwise(held)
        if later["direction"] == "inbound" and later["channel"] != first["channel"]
        and later["started_at"] - first["ended_at"] <= DAY
    }  # fmt: skip
    assert {(row["interaction_id"], row["first_interaction_id"]) for row in returned} == pairs
    assert len(pairs) > 30
