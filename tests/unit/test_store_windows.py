"""The store gives its facts back in windows of time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from sinks.store import Store
from sinks.windows import Window
from tests.records import activity, call, contact, person, progress
from tests.stores import NOON, batch, published

PBX = ("pbx", "cdr.csv")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bypass.duckdb"


def windows_of(path: Path, facts: list[object], rows: int) -> tuple[list[Window], list[dict[str, pa.Table]]]:
    with Store.create(path) as store:
        store.begin_file(*PBX, "canonical", 10)
        store.add(batch(facts), *PBX)  # type: ignore[arg-type]
        cuts = store.fold_windows(rows)
        return cuts, [store.fold_facts(window) for window in cuts]


def ids(facts: dict[str, pa.Table], kind: str, column: str = "raw_id") -> list[str]:
    return sorted(facts[kind].column(column).to_pylist())


def test_few_facts_are_one_window(path: Path) -> None:
    cuts, _ = windows_of(path, [call("pbx:f:1", "10:00")], 1)

    assert cuts == [Window(None, None)]


def test_windows_hold_every_observation_once_and_about_as_many_as_asked_for(path: Path) -> None:
    calls = [call(f"pbx:f:{n}", NOON + timedelta(minutes=7 * n)) for n in range(300)]
    cuts, facts = windows_of(path, list(calls), 50)

    assert cuts[0].lo is None
    assert cuts[-1].hi is None
    assert [window.hi for window in cuts[:-1]] == [window.lo for window in cuts[1:]]
    assert sorted(raw_id for part in facts for raw_id in ids(part, "observation")) == sorted(
        item.row["raw_id"] for item in calls
    )
    assert all(0 < part["observation"].num_rows <= 50 for part in facts)


def test_a_crowded_hour_is_cut_by_the_second(path: Path) -> None:
    calls = [call(f"pbx:f:{n}", NOON + timedelta(seconds=n)) for n in range(100)]
    _, facts = windows_of(path, list(calls), 10)

    assert [part["observation"].num_rows for part in facts] == [10] * 10


def test_an_observation_without_a_time_comes_first(path: Path) -> None:
    calls = [call(f"pbx:f:{n}", NOON + timedelta(hours=n)) for n in range(4)]
    _, facts = windows_of(path, [*calls, call("pbx:f:9", NOON).but(started_at=None)], 2)

    assert "pbx:f:9" in ids(facts[0], "observation")


def test_the_first_window_knows_everybody(path: Path) -> None:
    calls = [call(f"pbx:f:{n}", NOON + timedelta(hours=n)) for n in range(4)]
    _, facts = windows_of(path, [*calls, contact("c1", "T-anna"), person("r1"), progress("12:00", day=9)], 2)

    assert len(facts) > 1
    assert [part.keys() for part in facts[1:]] == [{"observation", "activity"}] * (len(facts) - 1)
    assert [facts[0][kind].num_rows for kind in ("contact", "directory_entry", "feed_progress")] == [1, 1, 1]


def test_an_activity_comes_when_it_was_logged(path: Path) -> None:
    calls = [call(f"pbx:f:{n}", NOON + timedelta(hours=n)) for n in range(4)]
    logged = [activity("a1", NOON + timedelta(hours=3)), activity("a2", NOON - timedelta(days=90))]
    _, facts = windows_of(path, [*calls, *logged], 2)

    assert [ids(part, "activity", "activity_id") for part in facts] == [["a2"], ["a1"]]


@pytest.mark.parametrize("own_key", ["event_id", "session_id"])
def test_an_activity_comes_with_the_earliest_observation_whose_key_it_carries(path: Path, own_key: str) -> None:
    calls = [call(f"pbx:f:{n}", NOON + timedelta(hours=n)) for n in range(4)]
    calls[1] = calls[1].but(**{own_key: "s1"})
    calls[3] = calls[3].but(**{own_key: "s1"})
    logged = activity("a1", NOON + timedelta(days=90), keys=["zz", "s1"])
    _, facts = windows_of(path, [*calls, logged], 2)

    assert [ids(part, "activity", "activity_id") for part in facts] == [["a1"], []]


def test_all_versions_of_an_activity_come_together(path: Path) -> None:
    calls = [call(f"pbx:f:{n}", NOON + timedelta(hours=n)) for n in range(4)]
    versions = [
        activity("a1", NOON, raw_id="crm:f:1", updated_at=NOON),
        activity("a1", NOON + timedelta(hours=3), raw_id="crm:f:2", updated_at=NOON + timedelta(hours=4)),
        activity("a1", NOON + timedelta(hours=1), raw_id="crm:f:3", updated_at=None),
    ]
    _, facts = windows_of(path, [*calls, *versions], 2)

    assert [ids(part, "activity") for part in facts] == [[], ["crm:f:1", "crm:f:2", "crm:f:3"]]


def test_facts_of_a_published_store_can_be_folded_again(path: Path) -> None:
    published(path, {PBX: [call("pbx:cdr.csv:1", "10:00"), contact("c1", "T-anna")]})

    with Store.open(path) as store:
        (window,) = store.fold_windows(100)
        assert ids(store.fold_facts(window), "observation") == ["pbx:cdr.csv:1"]
        assert ids(store.fold_facts(window), "contact", "contact_id") == ["c1"]
