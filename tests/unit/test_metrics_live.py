"""Every measure answers of a store that changes live as of one that was made with the same rows at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from sinks.measures import Filters
from sinks.metrics import customers, delay, hygiene, missed, scatter, service, split
from sinks.store import Store
from tests.records import activity, call, email, progress
from tests.stores import NOON, interaction_row, published, said

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PERIOD = Filters(since=NOON - DAY, until=NOON + DAY)

QUESTIONS: list[tuple[str, Callable[[Store], Any]]] = [
    ("share", lambda store: split.share(store, ["team", "channel"], "day")),
    ("change", lambda store: split.change(store, ["team"], PERIOD)),
    ("contact centre", split.contact_centre),
    ("people", lambda store: split.by_team(store, minimum_representatives=1)),
    ("delays", delay.delays),
    ("curve", delay.curve),
    ("settling", delay.settling),
    ("emails", lambda store: service.emails(store, as_of=NOON + 30 * DAY)),
    ("calls", lambda store: missed.calls(store, as_of=NOON + 30 * DAY)),
    ("missed calls", missed.missed_calls),
    ("activity counts", hygiene.activity_counts),
    ("activities", lambda store: hygiene.activities(store, "redundant")),
    ("missing identifiers", lambda store: hygiene.missing_identifiers(store, minimum_interactions=1)),
    ("customers", customers.customers),
    ("history", lambda store: customers.history(store, customer="anna")),
    ("day", lambda store: customers.day(store, date(2024, 3, 4))),
    ("scatter", scatter.scatter),
    ("continuity", scatter.continuity),
    ("returns", scatter.returns),
]

FACTS = {
    ("crm", "export.csv"): [activity("t1", NOON), activity("t2", NOON + HOUR), progress(NOON + DAY)],
    ("pbx", "cdr.csv"): [
        call("pbx:cdr.csv:1", "11:00", customer="T-anna", attempt="unanswered"),
        call("pbx:cdr.csv:2", "11:30", customer="T-bert", attempt="unanswered"),
        email("pbx:cdr.csv:3", "12:01", "T-own", ["T-mail"], automated=True),
    ],
}


def row(name: str, outcome: str, after: timedelta, *ids: str, **columns: Any) -> dict[str, Any]:
    at = NOON + after
    direction = columns.pop("direction", "inbound")
    return interaction_row(
        name, outcome, started_at=at, ended_at=at, customer_ids=list(ids), direction=direction, **columns
    )


def missing(raw_id: str, reason: str = "unanswered") -> dict[str, Any]:
    return {"raw_id": raw_id, "disposition": "excluded", "reason": reason}


def trace(activity_id: str, status: str, *ids: str) -> dict[str, Any]:
    return {"activity_id": activity_id, "status": status, "interaction_id": "a", "customer_ids": list(ids)}


STAYS = [
    row("stays", "bypassed", -2 * HOUR, "anna", token="T-anna", team="Care", channel="sms", representative_id="r1"),
    row("m", "bypassed", 0 * HOUR, token="T-mail", channel="email"),
    row("later", "bypassed", 3 * HOUR, "anna", token="T-anna", channel="sms"),
]
BEFORE = said(
    [
        *STAYS,
        row("a", "bypassed", -HOUR, "anna", token="T-anna", team="Sales", representative_id="r1"),
        row("b", "pending", HOUR, "bert", token="T-bert", representative_id="r2"),
        row("gone", "bypassed", HOUR, "anna", token="T-anna", direction="outbound"),
    ],
    dispositions=[missing("pbx:cdr.csv:1"), missing("pbx:cdr.csv:2")],
    activities=[trace("t1", "unexplained"), trace("t2", "redundant", "anna")],
)
CHANGED = [
    row(
        "a", "traced", -HOUR, "anna", token="T-anna", team="Sales", representative_id="r1", activity_id="t1",
        trace_delay_seconds=3600.0, tier="exact",
    ),
    row("b", "siloed", HOUR, token="T-bert", team="Care", representative_id="r2"),
    row("new", "bypassed", 2 * HOUR, token="T-mail", channel="email", direction="outbound"),
]  # fmt: skip
NEWS = said(
    [{**changed, "said_before": changed["interaction_id"] != "new"} for changed in CHANGED],
    retracted=["gone"],
    dispositions=[{**missing("pbx:cdr.csv:2", "no_human"), "said_before": True}],
    activities=[{**trace("t1", "trace", "anna"), "said_before": True}],
)
AFTER = said(
    [*STAYS, *CHANGED],
    dispositions=[missing("pbx:cdr.csv:1"), missing("pbx:cdr.csv:2", "no_human")],
    activities=[trace("t1", "trace", "anna"), trace("t2", "redundant", "anna")],
)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("live")
    before = published(folder / "before.duckdb", FACTS, BEFORE)
    live = published(folder / "live.duckdb", FACTS, BEFORE)
    with Store.open(live, read_only=False) as store, store.transaction():
        store.say(NEWS, 2)
    return before, live, published(folder / "after.duckdb", FACTS, AFTER)


@pytest.mark.parametrize(("name", "ask"), QUESTIONS, ids=[name for name, _ in QUESTIONS])
def test_a_measure_follows_a_live_store(
    stores: tuple[Path, Path, Path], name: str, ask: Callable[[Store], Any]
) -> None:
    answers = []
    for path in stores:
        with Store.open(path) as store:
            answers.append(ask(store))
    before, live, after = answers

    assert live == after
    assert live != before, f"{name} does not depend on what changed"
