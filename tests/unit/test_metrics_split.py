"""The share by dimensions, against the period before, and by people."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipeline.errors import ConfigurationError
from pipeline.estimate import newcombe, wilson
from sinks.measures import Filters
from sinks.metrics import split
from sinks.store import Store
from tests.stores import NOON, interaction_row, published, said

HELSINKI = ZoneInfo("Europe/Helsinki")
WEEK = timedelta(days=7)
OUTCOMES = ("traced", "siloed", "bypassed", "pending")


def rows_of(team: str | None, outcomes: str, days: int = 0, **columns: Any) -> list[dict[str, Any]]:
    """Return interactions of a team, one for each letter: t, s, b or p."""
    names = {name[0]: name for name in OUTCOMES}
    started = NOON + timedelta(days=days)
    return [
        interaction_row(f"{team}/{days}/{n}/{columns}", names[letter], team=team, started_at=started, **columns)
        for n, letter in enumerate(outcomes)
    ]


ROWS = [
    *rows_of("Sales", "ttbp", function="other", direction="inbound"),
    *rows_of("Sales", "tb", days=1, function="other", channel="email"),
    *rows_of("Care", "tsbb", function="contact_center"),
    *rows_of(None, "b"),
    # The week before.
    *rows_of("Sales", "tttb", days=-7, function="other"),
    *rows_of("Gone", "bb", days=-7, function="other"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = published(tmp_path_factory.mktemp("split") / "bypass.duckdb", changes=said(ROWS))
    with Store.open(path) as opened:
        yield opened


THIS_WEEK = Filters(since=NOON - timedelta(days=1), until=NOON + timedelta(days=6))


def shown(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def test_a_share_stands_by_interval_first_and_then_by_both_dimensions(store: Store) -> None:
    rows = split.share(store, ("team", "channel"), "day", THIS_WEEK)

    assert list(rows[0])[:3] == ["day", "team", "channel"]
    assert shown(rows, "day", "team", "channel", "decided_count", "bypass_share") == [
        ("2024-03-04", "Care", "call", 4, 0.75),
        ("2024-03-04", "Sales", "call", 3, 1 / 3),
        ("2024-03-04", None, "call", 1, 1.0),
        ("2024-03-05", "Sales", "email", 2, 0.5),
    ]


def test_an_interval_is_one_of_those_known(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="unknown interval 'team'; expected one of hour, day"):
        split.share(store, (), "team")


def test_filters_choose_what_a_share_is_made_of(store: Store) -> None:
    assert shown(split.share(store, filters=Filters({"team": ["Care", "none"]})), "interaction_count") == [(5,)]
    assert shown(split.share(store, ("team",), filters=Filters({"direction": ["inbound"]})), "team") == [("Sales",)]
    with pytest.raises(ConfigurationError, match="unknown filter 'teem'; did you mean 'team'"):
        split.share(store, filters=Filters({"teem": ["Care"]}))


def test_the_three_levels_add_up_and_leave_pending_out(store: Store) -> None:
    (care,) = split.share(store, filters=Filters({"team": ["Care"]}))
    (sales,) = split.share(store, filters=Filters({"team": ["Sales"], "direction": ["inbound"]}))

    assert [care[f"{name}_share"] for name in OUTCOMES[:3]] == [0.25, 0.25, 0.5]
    assert [sales[f"{name}_share"] for name in OUTCOMES[:3]] == [2 / 3, 0.0, 1 / 3]
    assert sales["decided_count"] == 3


def test_levels_of_nothing_decided_are_unknown(store: Store) -> None:
    (row,) = split.share(store, filters=Filters({"outcome": ["pending"]}))

    assert (row["decided_count"], row["traced_share"], row["siloed_share"], row["bypassed_share"]) == (
        0,
        None,
        None,
        None,
    )


def test_the_worst_come_first_by_what_is_sure_of_them(store: Store) -> None:
    rows = split.share(store, ("team",), filters=THIS_WEEK)

    # One of one (from 0.207) is less sure than three of four (from 0.301); two of five (from 0.118) is least.
    assert shown(split.ranked(rows), "team") == [("Care",), (None,), ("Sales",)]


# The period before


def test_a_change_compares_with_the_same_length_before(store: Store) -> None:
    rows = split.change(store, ("team",), THIS_WEEK)

    names = ("team", "decided_count", "bypass_share", "previous_decided_count", "previous_bypass_share")
    assert shown(rows, *names) == [
        ("Care", 4, 0.75, 0, None),
        ("Gone", 0, None, 2, 1.0),
        ("Sales", 5, 0.4, 4, 0.25),
        (None, 1, 1.0, 0, None),
    ]
    changed = rows[2]
    assert changed["bypass_share_change"] == pytest.approx(0.15)
    ends = (changed["bypass_share_change_low"], changed["bypass_share_change_high"])
    assert ends == newcombe(2, 5, 1, 4)
    assert shown(rows, "bypass_share_change")[0] == (None,)
    assert rows[1]["interaction_count"] == 0


def test_a_change_of_the_whole_is_one_row(store: Store) -> None:
    (row,) = split.change(store, filters=THIS_WEEK)

    assert (row["decided_count"], row["previous_decided_count"]) == (10, 6)
    assert row["bypass_share_change"] == pytest.approx(6 / 10 - 3 / 6)


def test_a_change_of_an_empty_period_is_unknown(store: Store) -> None:
    (row,) = split.change(store, filters=Filters(since=NOON - 52 * WEEK, until=NOON - 51 * WEEK))

    assert (row["interaction_count"], row["previous_interaction_count"], row["bypass_share_change"]) == (0, 0, None)


def test_a_change_needs_both_ends_and_no_days(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="a change needs a period"):
        split.change(store, filters=Filters(since=NOON))
    with pytest.raises(ConfigurationError, match="a change by week compares nothing"):
        split.change(store, ("team", "week"), THIS_WEEK)


def test_the_week_before_the_change_to_summer_time_has_seven_local_days() -> None:
    # From Monday 25 March to Monday 1 April 2024, local: an hour is missing.
    since, until = datetime(2024, 3, 24, 22), datetime(2024, 3, 31, 21)

    assert split.previous_period(since, until, HELSINKI) == (datetime(2024, 3, 17, 22), since)


# Where contacts happen


def test_the_contact_centre_stands_beside_the_rest(store: Store) -> None:
    rows = split.contact_centre(store, THIS_WEEK)

    assert shown(rows, "function", "interaction_count", "interaction_share", "bypass_share") == [
        ("contact_center", 4, 4 / 11, 0.75), ("other", 6, 6 / 11, 0.4), (None, 1, 1 / 11, 1.0),
    ]  # fmt: skip
    assert (rows[0]["interaction_share_low"], rows[0]["interaction_share_high"]) == wilson(4, 11)


def test_without_interactions_contacts_happen_nowhere(store: Store) -> None:
    assert split.contact_centre(store, Filters({"team": ["nobody"]})) == []


# People


@pytest.fixture(scope="module")
def staff(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Four representatives in three teams, with 6, 4, 2 and 1 interactions, and two of nobody."""
    rows = [
        *rows_of("Sales", "ttttbb", representative_id="r1"),
        *rows_of("Sales", "tbbb", representative_id="r2"),
        *rows_of("Care", "ts", representative_id="r3"),
        *rows_of("Back", "b", representative_id="r4"),
        *rows_of(None, "bp"),
    ]
    path = published(tmp_path_factory.mktemp("staff") / "bypass.duckdb", changes=said(rows))
    with Store.open(path) as opened:
        yield opened


def test_one_small_team_alone_is_joined_by_the_next(staff: Store) -> None:
    rows = split.by_team(staff, Filters({"team": ["Sales", "Care"]}), minimum_representatives=2)

    assert shown(rows, "team", "interaction_count", "group_count") == [(split.MERGED, 12, 2)]


def test_teams_of_few_people_are_merged(staff: Store) -> None:
    rows = split.by_team(staff, minimum_representatives=2)

    assert shown(rows, "team", "representative_count", "interaction_count", "group_count") == [
        ("Sales", 2, 10, 1), (None, 0, 2, 1), (split.MERGED, 2, 3, 2),
    ]  # fmt: skip


def test_where_all_groups_are_large_none_is_merged(staff: Store) -> None:
    assert shown(split.by_team(staff, minimum_representatives=1), "team", "group_count") == [
        ("Back", 1), ("Care", 1), ("Sales", 1), (None, 1),
    ]  # fmt: skip


def test_people_are_chosen_by_filters_like_everything_else(staff: Store) -> None:
    rows = split.by_team(staff, Filters({"team": ["Sales"]}), minimum_representatives=2)

    assert shown(rows, "team", "traced_share") == [("Sales", 0.5)]


# Against plain Python


def test_shares_agree_with_counting_the_rows_of_the_view(tmp_path: Path) -> None:
    chance = random.Random(7)
    rows = [
        interaction_row(
            f"i{n}", chance.choice(OUTCOMES), team=chance.choice(["Sales", "Care", None]),
            channel=chance.choice(["call", "email", "sms"]),
            started_at=datetime(2024, 3, 1) + timedelta(minutes=chance.randrange(60 * 24 * 60)),
        )
        for n in range(400)
    ]  # fmt: skip
    since, until = datetime(2024, 3, 9, 22), datetime(2024, 4, 9, 21)
    with Store.open(published(tmp_path / "chance.duckdb", changes=said(rows))) as store:
        found = split.share(store, ("team", "channel"), "week", Filters({"channel": ["call", "email"]}, since, until))
        seen = store.rows("SELECT team, channel, started_at, outcome FROM interactions")

    counted: Counter[tuple[Any, ...]] = Counter()
    for row in seen:
        if since <= row["started_at"] < until and row["channel"] != "sms":
            local = row["started_at"].replace(tzinfo=UTC).astimezone(HELSINKI)
            counted[f"{local:%G-W%V}", row["team"], row["channel"], row["outcome"]] += 1
    groups = {key[:3] for key in counted}
    assert len(found) == len(groups) > 10
    for row in found:
        numbers = [counted[row["week"], row["team"], row["channel"], outcome] for outcome in OUTCOMES]
        assert [row[f"{outcome}_count"] for outcome in OUTCOMES] == numbers
        traced, siloed, bypassed, _ = numbers
        untraced, decided = siloed + bypassed, traced + siloed + bypassed
        assert row["bypass_share"] == (untraced / decided if decided else None)
        assert (row["bypass_share_low"], row["bypass_share_high"]) == (wilson(untraced, decided) or (None, None))
