"""Pages of activities, beside what a walk over all their latest versions gives."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sinks import paging
from sinks.paging import Place
from sinks.store import Store
from tests.records import Fact, activity
from tests.stores import NOON, published, said

CRM = ("crm", "export.csv")
STATUSES = ("trace", "unexplained", "redundant")
Shown = tuple[datetime, str, str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, list[Shown]]]:
    """A store of activities that were mostly changed once or twice, and what of it is to be shown, in order."""
    chance = random.Random(3)
    facts: list[Fact] = []
    outcomes, latest = [], []
    for n in range(200):
        # The last versions lie anywhere; the few redundant ones lie at the end, behind all that is looked at first.
        status = "redundant" if n >= 192 else chance.choice(STATUSES[:2])
        for version in range(chance.randrange(1, 4)):
            logged = NOON + timedelta(minutes=chance.randrange(300) + (1_000 if status == "redundant" else 0))
            changed = NOON + timedelta(days=version)
            facts.append(activity(f"a{n}", logged, updated_at=changed, raw_id=f"crm:a{n}/{version}"))
        if chance.random() < 0.9:  # Of a deleted one nothing is said.
            outcomes.append({"activity_id": f"a{n}", "status": status, "customer_ids": [], "representative_ids": []})
            latest.append((logged, f"a{n}", status))
    path = published(tmp_path_factory.mktemp("paging") / "bypass.duckdb", {CRM: facts}, said(activities=outcomes))
    with Store.open(path) as store:
        yield store, sorted(latest)


@pytest.mark.parametrize("statuses", [(), ("trace",), ("redundant",), ("redundant", "unexplained"), ("siloed",)])
@pytest.mark.parametrize(("since", "until"), [(None, None), (NOON + timedelta(minutes=40), NOON + timedelta(hours=4))])
def test_the_pages_together_are_all_activities_that_fit(
    made: tuple[Store, list[Shown]], statuses: tuple[str, ...], since: datetime | None, until: datetime | None
) -> None:
    store, latest = made
    seen: list[Shown] = []
    after: Place | None = None
    while rows := paging.activities(store, statuses, since, until, 40, after):
        seen += [(row["logged_from"], row["activity_id"], row["status"]) for row in rows]
        after = Place(rows[-1]["logged_from"], rows[-1]["activity_id"])

    assert seen == [
        each
        for each in latest
        if (not statuses or each[2] in statuses)
        and (since is None or each[0] >= since)
        and (until is None or each[0] < until)
    ]


def test_a_page_is_full_as_long_as_there_are_more(made: tuple[Store, list[Shown]]) -> None:
    store, latest = made

    assert len(paging.activities(store, limit=len(latest) - 1)) == len(latest) - 1
    assert len(paging.activities(store, ("redundant",), limit=3)) == 3


def test_a_store_without_activities_has_no_page_of_them(tmp_path: Path) -> None:
    with Store.open(published(tmp_path / "empty.duckdb")) as store:
        assert paging.activities(store) == []
