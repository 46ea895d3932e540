"""How long logging takes, and which recent days are not settled."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigurationError
from pipeline.estimate import wilson
from sinks.measures import Filters
from sinks.metrics import delay
from sinks.store import Store
from tests.records import Fact, progress
from tests.stores import NOON, interaction_row, published, said

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def logged(name: str, minutes: float, at: datetime = NOON - DAY, **columns: Any) -> dict[str, Any]:
    """Return an interaction that was logged so many minutes after its end."""
    return interaction_row(name, started_at=at, ended_at=at, trace_delay_seconds=minutes * 60, **columns)


def untraced(name: str, outcome: str, at: datetime) -> dict[str, Any]:
    return interaction_row(name, outcome, started_at=at, ended_at=at)


ROWS = [
    # Yesterday: of four traces two in no time, one after 20 minutes, one after 50; one interaction has none.
    logged("a", -3, channel="email"),
    logged("b", 0),
    logged("c", 20),
    logged("d", 50),
    untraced("e", "bypassed", NOON - DAY),
    # Today: ten minutes ago, and half an hour ago. The CRM has been read until now.
    logged("f", 0, NOON - 10 * MINUTE),
    untraced("g", "pending", NOON - 10 * MINUTE),
    untraced("h", "pending", NOON - 30 * MINUTE),
]  # fmt: skip
NOW: dict[tuple[str, str], list[Fact]] = {("crm", "export.csv"): [progress(NOON)]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = published(tmp_path_factory.mktemp("delay") / "bypass.duckdb", NOW, said(ROWS))
    with Store.open(path) as opened:
        yield opened


YESTERDAY = Filters(until=NOON - HOUR)


def test_delays_are_told_by_their_mean_and_quantiles(store: Store) -> None:
    (row,) = delay.delays(store, filters=YESTERDAY)

    assert (row["traced_count"], row["early_count"]) == (4, 1)
    assert row["delay_seconds_mean"] == (-180 + 0 + 1200 + 3000) / 4
    # Between the second and the third of four; a tenth lies 0.3 of the way from the first to the second.
    assert row["delay_seconds_median"] == 600
    assert row["delay_seconds_p10"] == pytest.approx(-180 * 0.7)
    assert row["delay_seconds_p90"] == pytest.approx(1200 + 0.7 * 1800)


def test_delays_stand_by_dimension(store: Store) -> None:
    rows = delay.delays(store, ["channel"], YESTERDAY)

    assert [(row["channel"], row["traced_count"], row["delay_seconds_median"]) for row in rows] == [
        ("call", 3, 1200.0), ("email", 1, -180.0),
    ]  # fmt: skip
    with pytest.raises(ConfigurationError, match="unknown dimension 'day'"):
        delay.delays(store, ["day"])


def test_without_traces_there_are_no_delays(store: Store) -> None:
    (row,) = delay.delays(store, filters=Filters({"outcome": ["bypassed"]}))

    assert (row["traced_count"], row["delay_seconds_mean"], row["delay_seconds_median"]) == (0, None, None)
    assert delay.curve(store, [1], Filters({"outcome": ["bypassed"]}))[0]["logged_share"] is None


def test_the_curve_says_what_was_logged_by_each_hour(store: Store) -> None:
    rows = delay.curve(store, [0, 0.25, 0.5, 1], YESTERDAY)

    assert [(row["hours"], row["logged_count"], row["logged_share"]) for row in rows] == [
        (0, 2, 0.5), (0.25, 2, 0.5), (0.5, 3, 0.75), (1, 4, 1.0),
    ]  # fmt: skip
    assert (rows[2]["logged_share_low"], rows[2]["logged_share_high"]) == wilson(3, 4)


def settling(store: Store, as_of: datetime | None = None, **options: Any) -> list[dict[str, Any]]:
    return delay.settling(store, as_of, longest=HOUR, learned=3 * DAY, **options)


def test_recent_days_are_settled_as_far_as_older_delays_say(store: Store) -> None:
    rows = settling(store)

    # After no time 2 of 4 traces are there, after 20 minutes 3, after 50 all. Today two interactions are younger than
    # 20 minutes and one is older: (0.5 + 0.5 + 0.75) / 3.
    assert [(row["day"], row["interaction_count"], row["pending_count"]) for row in rows] == [
        ("2024-03-03", 5, 0), ("2024-03-04", 3, 2),
    ]  # fmt: skip
    assert rows[0]["settled_share"] == 1
    assert rows[1]["settled_share"] == pytest.approx(1.75 / 3)
    # One trace of 58 % of them stands for 1.71 of three interactions.
    assert rows[1]["expected_bypass_share"] == pytest.approx(1 - 1 / 1.75)
    assert rows[0]["expected_bypass_share"] == pytest.approx(1 / 5)
    assert delay.first_unsettled_day(rows) == "2024-03-04"


def test_a_day_is_not_settled_while_many_are_pending_though_nothing_more_is_expected(store: Store) -> None:
    assert [row["is_settled"] for row in settling(store, settled_from=0.5)] == [True, False]
    assert [row["is_settled"] for row in settling(store, settled_from=0.3)] == [True, True]
    assert delay.first_unsettled_day(settling(store, settled_from=0.3)) is None


def test_looking_back_what_came_later_is_not_known(store: Store) -> None:
    rows = settling(store, NOON - DAY + 30 * MINUTE)

    # Two were logged at once and one after 20 minutes; the one after 50 is not there yet, and nothing of today is.
    assert [(row["day"], row["interaction_count"], row["traced_count"]) for row in rows] == [("2024-03-03", 5, 3)]


def test_the_crm_is_known_no_further_than_it_was_read(store: Store) -> None:
    assert settling(store, NOON + 30 * DAY) == settling(store, NOON) == settling(store)


def test_days_are_whole_local_days(store: Store) -> None:
    assert [row["day"] for row in settling(store, days=1)] == ["2024-03-04"]
    # In Kathmandu, 5:45 ahead, noon of yesterday is yesterday's 17:45.
    assert [row["interaction_count"] for row in settling(store, days=2, zone="Asia/Kathmandu")] == [5, 3]


def test_at_midnight_the_last_day_is_the_one_that_has_just_ended(store: Store) -> None:
    rows = settling(store, datetime(2024, 3, 3, 22), days=1)

    assert [(row["day"], row["settled_share"]) for row in rows] == [("2024-03-03", 1.0)]


def test_conversations_after_the_crms_reach_are_not_settled_at_all(tmp_path: Path) -> None:
    rows = [*ROWS, untraced("z", "pending", NOON + DAY)]
    with Store.open(published(tmp_path / "ahead.duckdb", NOW, said(rows))) as store:
        last = settling(store)[-1]

    assert (last["day"], last["settled_share"], last["expected_bypass_share"]) == ("2024-03-05", 0, None)
    assert not last["is_settled"]


def test_without_a_crm_no_day_is_settled(tmp_path: Path) -> None:
    with Store.open(published(tmp_path / "none.duckdb", changes=said(ROWS[-2:]))) as store:
        (row,) = delay.settling(store)
        assert delay.complete_through(store) is None
    with Store.open(published(tmp_path / "empty.duckdb")) as empty:
        assert delay.settling(empty) == []

    assert (row["settled_share"], row["expected_bypass_share"], row["is_settled"]) == (None, None, False)


def test_lengths_that_make_no_sense_are_refused(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="0 days, delays of up to"):
        delay.settling(store, days=0)
    with pytest.raises(ConfigurationError, match="no less than the longest delay"):
        delay.settling(store, learned=HOUR)


def test_delays_agree_with_counting_the_rows_of_the_view(tmp_path: Path) -> None:
    chance = random.Random(11)
    rows = [
        logged(f"i{n}", round(chance.expovariate(1 / 90), 2), NOON - timedelta(minutes=chance.randrange(9000)))
        if chance.random() < 0.6
        else untraced(f"i{n}", "bypassed", NOON)
        for n in range(300)
    ]
    with Store.open(published(tmp_path / "chance.duckdb", NOW, said(rows))) as store:
        (row,) = delay.delays(store)
        curve = delay.curve(store, [0.5, 1, 2, 8])
        seen = [
            found["trace_delay_seconds"]
            for found in store.rows("SELECT trace_delay_seconds FROM interactions WHERE outcome = 'traced'")
        ]

    assert row["traced_count"] == len(seen) > 100
    assert row["delay_seconds_mean"] == pytest.approx(statistics.fmean(seen))
    assert row["delay_seconds_median"] == pytest.approx(statistics.median(seen))
    assert row["delay_seconds_p90"] == pytest.approx(statistics.quantiles(seen, n=10, method="inclusive")[-1])
    assert [point["logged_count"] for point in curve] == [
        sum(seconds <= hours * 3600 for seconds in seen) for hours in (0.5, 1, 2, 8)
    ]
