"""The placebo moves every activity in time and counts what is still found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from pipeline.engine import Changes, Engine
from pipeline.placebo import chance_matches, shift_activities
from schemas.facts import SCHEMAS
from schemas.settings import EngineSettings
from tests.records import DAY, Fact, activity, call, contact, fact, instant, person, progress, tables, user

SETTINGS = EngineSettings(company_id="acme")


@dataclass(frozen=True)
class Window:
    lo: datetime | None
    hi: datetime | None


class Log:
    """Facts in a list, a window per day; activities come on the day on which they were logged."""

    def __init__(self, facts: Sequence[Fact], days: int = 1) -> None:
        self._facts = facts
        cuts = [instant("00:00", day) for day in range(1, days)]
        self._windows = [Window(lo, hi) for lo, hi in zip([None, *cuts], [*cuts, None], strict=True)]

    def fold_windows(self, rows: int) -> Sequence[Window]:
        return self._windows

    def fold_facts(self, window: Window) -> Mapping[str, pa.Table]:
        empty = {"activity": SCHEMAS["activity"].empty_table()}
        return empty | tables(fact for fact in self._facts if self._is_in(fact, window))

    def apply(
        self, changes: Changes, version: int, positions: Mapping[str, str] | None = None, fresh: bool = False
    ) -> None:
        raise AssertionError("a placebo writes nothing")

    @staticmethod
    def _is_in(item: Fact, window: Window) -> bool:
        at = item.row.get("started_at") or item.row.get("logged_from")
        if at is None:
            return window.lo is None
        return (window.lo is None or at >= window.lo) and (window.hi is None or at < window.hi)


def daily_calls(days: int) -> list[Fact]:
    """Return one call a day of one customer, each logged by who talked; the first with its own key."""
    facts = [
        person("r1", extension="201", email_token="M-r1"),
        user("u1", "M-r1"),
        contact("c1", "T-anna", account="acme"),
        progress("00:00", day=300),
    ]
    for day in range(days):
        facts.append(call(f"pbx:{day}", instant("10:00", day)))
        keys = ["pbx:0"] if day == 0 else []
        facts.append(activity(f"a{day}", instant("10:10", day), contacts=["c1"], owner="u1", keys=keys))
    return facts


def found(facts: Sequence[Fact], by: timedelta, days: int = 1) -> dict[str, int]:
    return dict(chance_matches(Log(facts, days), Engine(SETTINGS), by))


def test_shifting_moves_both_ends_of_when_an_activity_was_logged_and_nothing_else() -> None:
    before = tables([activity("a1", "00:00", until="23:59:59", updated_at=instant("12:00"))])["activity"]

    after = shift_activities(before, timedelta(days=-2, minutes=1))

    (old,), (new,) = before.to_pylist(), after.to_pylist()
    assert new["logged_from"] - old["logged_from"] == new["logged_to"] - old["logged_to"] == -2 * DAY + DAY / 1440
    assert {name for name in old if old[name] != new[name]} == {"logged_from", "logged_to"}
    assert after.schema == before.schema


def test_shifting_by_nothing_changes_nothing() -> None:
    before = tables(daily_calls(2))["activity"]

    assert shift_activities(before, timedelta(0)) == before


def test_an_activity_without_a_time_stays_without_one() -> None:
    before = tables([fact("activity", activity_id="a1")])["activity"]

    assert shift_activities(before, DAY) == before


def test_a_placebo_of_no_days_finds_the_real_traces() -> None:
    assert found(daily_calls(3), timedelta(0)) == {"exact": 1, "same_representative": 2}


def test_far_from_their_time_only_exact_traces_are_found() -> None:
    assert found(daily_calls(3), timedelta(days=100)) == {"exact": 1}


def test_activities_a_day_later_explain_the_next_days_calls_by_chance() -> None:
    # The first stays with its own call. The last finds no call on its day, and those of the days before are taken.
    assert found(daily_calls(4), DAY) == {"exact": 1, "same_representative": 2}


@pytest.mark.parametrize("by", [DAY * 2, DAY * -2], ids=["later", "earlier"])
def test_windows_do_not_change_what_a_placebo_finds(by: timedelta) -> None:
    facts = daily_calls(5)

    assert found(facts, by, days=5) == found(facts, by)
