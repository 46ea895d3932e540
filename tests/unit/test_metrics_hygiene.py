"""Entries that nothing stands behind, entries twice, and identifiers that the CRM should know."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigurationError
from sinks.measures import Filters
from sinks.metrics import hygiene
from sinks.store import Store
from tests.records import Fact, account, activity, contact
from tests.stores import NOON, interaction_row, published, said, shown

DAY = timedelta(days=1)
CRM = ("crm", "export.csv")


def outcome(activity_id: str, status: str, **columns: Any) -> dict[str, Any]:
    return {"activity_id": activity_id, "status": status, "customer_ids": [], "representative_ids": [], **columns}


ACTIVITIES = [
    activity("a1", NOON, contacts=["c1"], owner="u1"),
    activity("a2", NOON + timedelta(hours=1), "note", contacts=["c1"], owner="u2"),
    activity("a3", NOON + DAY),
    activity("a4", NOON + 2 * DAY, "task"),
    # It was a task before somebody made it a call; the newer version counts.
    activity("a5", NOON + 3 * DAY, "task", updated_at=NOON),
    activity("a5", NOON + 4 * DAY, "call", updated_at=NOON + DAY, raw_id="crm:a5/2", owner="u9"),
    activity("t1", NOON, "ticket"),
]
OUTCOMES = [
    outcome("a1", "trace", tier="exact", interaction_id="i1"),
    outcome("a2", "redundant", tier="same_representative", interaction_id="i1", representative_ids=["r2"]),
    outcome("a3", "unexplained", customer_ids=["k1"]),
    outcome("a4", "unexplained"),
    outcome("a5", "unexplained"),
    outcome("t1", "siloed"),
]
ROWS = [
    interaction_row("i1", activity_id="a1", tier="exact", token="T-known", customer_ids=["k1"]),
    # A number that the CRM does not know: three traces were inferred, two of which say the same customer.
    interaction_row("n1", token="T-new", tier="inferred", activity_id="b1", team="Sales"),
    interaction_row("n2", token="T-new", tier="inferred", activity_id="b2", team="Care", started_at=NOON + DAY),
    interaction_row("n3", token="T-new", tier="inferred", activity_id="b3", team="Care", channel="sms"),
    interaction_row("n4", "bypassed", token="T-new", team="Care", started_at=NOON - DAY),
    *(interaction_row(f"m{n}", "siloed" if n else "bypassed", token="T-often") for n in range(5)),
    *(interaction_row(f"f{n}", "bypassed", token="T-few") for n in range(4)),
    *(interaction_row(f"w{n}", "bypassed", reason="withheld") for n in range(6)),
    *(interaction_row(f"k{n}", "bypassed", token="T-known", customer_ids=["k1"]) for n in range(6)),
]  # fmt: skip
HINTS = [activity("b1", NOON, contacts=["c7"]), activity("b2", NOON, contacts=["c8"]), activity("b3", NOON)]
HINTED = [
    outcome("b1", "trace", customer_ids=["k2"]),
    outcome("b2", "trace", customer_ids=["k2"]),
    outcome("b3", "trace", customer_ids=["k1"]),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    facts = [*ACTIVITIES, *HINTS, shown("T-new", "+358…67")]
    changes = said(ROWS, activities=[*OUTCOMES, *HINTED])
    with Store.open(published(tmp_path_factory.mktemp("hygiene") / "bypass.duckdb", {CRM: facts}, changes)) as opened:
        yield opened


# Activities


def test_activities_are_counted_by_status_and_kind(store: Store) -> None:
    rows = hygiene.activity_counts(store)

    assert [(row["status"], row["kind"], row["activity_count"], row["status_share"]) for row in rows] == [
        ("redundant", "note", 1, 1.0), ("siloed", "ticket", 1, 1.0), ("trace", "call", 4, 4 / 6),
        ("unexplained", "call", 2, 2 / 6), ("unexplained", "task", 1, 1.0),
    ]  # fmt: skip


def test_activities_are_counted_by_when_they_were_logged(store: Store) -> None:
    rows = hygiene.activity_counts(store, Filters(since=NOON + DAY, until=NOON + 4 * DAY))

    assert [(row["status"], row["kind"], row["activity_count"]) for row in rows] == [
        ("unexplained", "call", 1), ("unexplained", "task", 1),
    ]  # fmt: skip


def test_unexplained_activities_are_listed_with_the_latest_first(store: Store) -> None:
    rows = hygiene.activities(store, "unexplained")

    assert [(row["activity_id"], row["kind"], row["logged_from"]) for row in rows] == [
        ("a5", "call", NOON + 4 * DAY), ("a4", "task", NOON + 2 * DAY), ("a3", "call", NOON + DAY),
    ]  # fmt: skip
    assert (rows[0]["owner_id"], rows[0]["raw_id"]) == ("u9", "crm:a5/2")
    assert rows[2]["customer_ids"] == ["k1"]
    assert [row["activity_id"] for row in hygiene.activities(store, "unexplained", Filters(limit=2))] == ["a5", "a4"]
    assert hygiene.activities(store, "unexplained", Filters(until=NOON)) == []


def test_a_redundant_activity_names_the_one_that_was_there(store: Store) -> None:
    (row,) = hygiene.activities(store, "redundant")

    assert (row["activity_id"], row["trace_activity_id"], row["interaction_id"]) == ("a2", "a1", "i1")
    assert (row["interaction_started_at"], row["representative_ids"]) == (NOON, ["r2"])
    assert hygiene.activities(store, "siloed")[0]["trace_activity_id"] is None


def test_activities_are_what_the_view_shows(store: Store) -> None:
    seen = store.rows(
        "SELECT * EXCLUDE (keys, direction) FROM crm_activities WHERE status = 'unexplained' ORDER BY logged_from DESC"
    )

    rows = hygiene.activities(store, "unexplained")
    assert [{name: row[name] for name in seen[0]} for row in rows] == seen


def test_activities_are_chosen_by_status_and_period_alone(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="unknown status 'redundent'; did you mean 'redundant'"):
        hygiene.activities(store, "redundent")
    with pytest.raises(ConfigurationError, match="activities are not chosen by team"):
        hygiene.activities(store, "redundant", Filters({"team": ["Sales"]}))


@pytest.mark.parametrize(("since", "until"), [(None, None), (NOON + 2 * DAY, None), (NOON + DAY, NOON + 3 * DAY)])
def test_counts_of_activities_agree_with_the_rows_of_the_view(
    tmp_path: Path, since: datetime | None, until: datetime | None
) -> None:
    chance = random.Random(4)
    facts, outcomes = [], []
    for n in range(120):
        for version in range(chance.randrange(1, 4)):
            kind = chance.choice(["call", "note"]) if n % 3 else "call"
            logged, changed = NOON + chance.randrange(6) * DAY, NOON + version * DAY
            facts.append(activity(f"a{n}", logged, kind, updated_at=changed, raw_id=f"crm:a{n}/{version}"))
        if n % 7:
            outcomes.append(outcome(f"a{n}", chance.choice(["trace", "unexplained"])))
    with Store.open(published(tmp_path / "counts.duckdb", {CRM: facts}, said(activities=outcomes))) as opened:
        rows = hygiene.activity_counts(opened, Filters(since=since, until=until))
        seen = opened.rows("SELECT status::VARCHAR AS status, kind, logged_from FROM crm_activities")

    fitting = [
        (row["status"], row["kind"])
        for row in seen
        if (since is None or row["logged_from"] >= since) and (until is None or row["logged_from"] < until)
    ]
    assert {(row["status"], row["kind"]): row["activity_count"] for row in rows} == Counter(fitting)


# Identifiers


def test_identifiers_that_the_crm_should_know_come_with_whose_they_probably_are(store: Store) -> None:
    rows = hygiene.missing_identifiers(store)

    assert [(row["token"], row["interaction_count"], row["untraced_count"]) for row in rows] == [
        ("T-new", 4, 1), ("T-often", 5, 5),
    ]  # fmt: skip
    new, often = rows
    assert (new["kind"], new["identifier"], new["inferred_count"], new["agreeing_count"]) == ("phone", "+358…67", 3, 2)
    assert (new["suggested_customer_ids"], new["suggested_contact_ids"]) == (["k2", "k1"], ["c7", "c8"])
    assert (new["channels"], new["teams"]) == (["call", "sms"], ["Care", "Sales"])
    assert (new["first_at"], new["last_at"]) == (NOON - DAY, NOON + DAY)
    assert (often["suggested_customer_ids"], often["agreeing_count"]) == ([], 0)


def test_identifiers_with_few_interactions_count_when_asked_for(store: Store) -> None:
    rows = hygiene.missing_identifiers(store, minimum_interactions=4)

    assert [row["token"] for row in rows] == ["T-new", "T-often", "T-few"]
    assert [row["token"] for row in hygiene.missing_identifiers(store, Filters({"team": ["Sales"]}))] == ["T-new"]
    assert [row["token"] for row in hygiene.missing_identifiers(store, Filters(limit=1))] == ["T-new"]
    with pytest.raises(ConfigurationError, match="a minimum of 0 interactions"):
        hygiene.missing_identifiers(store, minimum_interactions=0)


def test_contacts_that_share_an_identifier_are_those_that_hold_it_now(tmp_path: Path) -> None:
    facts = [
        account("k1"),
        contact("c1", "T-switchboard", "T-one", account="k1"),
        contact("c2", "T-switchboard", account="k1"),
        contact("c3", "T-both", account="k1"),
        contact("c4", "T-both"),
        # One that has given it up, one that is deleted, and one that is in the export twice.
        contact("c5", "T-one", updated_at=NOON),
        contact("c5", "T-other", updated_at=NOON + DAY, raw_id="crm:c5/2"),
        contact("c6", "T-one", deleted=True),
        contact("c7", "T-seven", updated_at=NOON),
        contact("c7", "T-seven", updated_at=NOON + DAY, raw_id="crm:c7/2"),
        shown("T-both", "+358…67"),
    ]
    rows = [interaction_row(f"i{n}", token="T-switchboard") for n in range(3)]
    with Store.open(published(tmp_path / "shared.duckdb", {CRM: facts}, said(rows))) as store:
        found = hygiene.shared_identifiers(store)
        assert hygiene.shared_identifiers(store, 1) == found[:1]

    both = {"token": "T-both", "kind": "phone", "identifier": "+358…67", "contact_count": 2, "customer_count": 2}
    switchboard = {"token": "T-switchboard", "kind": None, "identifier": None, "contact_count": 2, "customer_count": 1}
    assert found == [
        {**both, "contact_ids": ["c3", "c4"], "customer_ids": ["c4", "k1"], "interaction_count": 0},
        {**switchboard, "contact_ids": ["c1", "c2"], "customer_ids": ["k1"], "interaction_count": 3},
    ]


def test_identifiers_agree_with_counting_the_rows_of_the_view(tmp_path: Path) -> None:
    chance = random.Random(2)
    facts: list[Fact] = []
    for n in range(60):
        for version in range(chance.randrange(1, 3)):
            tokens = [f"T-{chance.randrange(40)}" for _ in range(chance.randrange(3))]
            changed = datetime(2024, 1, 1 + version)
            facts.append(contact(f"c{n}", *tokens, updated_at=changed, raw_id=f"crm:c{n}/{version}"))
    rows = [
        interaction_row(
            f"i{n}", chance.choice(["traced", "bypassed"]), token=f"T-{chance.randrange(60)}",
            customer_ids=chance.choice([[], [], ["k1"]]),
        )
        for n in range(400)
    ]  # fmt: skip
    with Store.open(published(tmp_path / "chance.duckdb", {CRM: facts}, said(rows))) as store:
        missing = hygiene.missing_identifiers(store)
        shared = hygiene.shared_identifiers(store)
        seen = store.rows("SELECT token, customer_ids FROM interactions")

    unknown = Counter(row["token"] for row in seen if not row["customer_ids"])
    assert {row["token"]: row["interaction_count"] for row in missing} == {
        token: count for token, count in unknown.items() if count >= 5
    }
    latest = {fact.row["contact_id"]: fact.row for fact in sorted(facts, key=lambda fact: str(fact.row["raw_id"]))}
    holders: dict[str, set[str]] = defaultdict(set)
    for row in latest.values():
        for token in row["tokens"]:
            holders[token].add(row["contact_id"])
    expected = {token: sorted(ids) for token, ids in holders.items() if len(ids) > 1}
    assert {row["token"]: row["contact_ids"] for row in shared} == expected
    assert len(expected) > 5
