"""A fold matches anew what it may change, and leaves alone what it cannot."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pipeline.engine import Changes, Engine
from schemas.settings import EngineSettings
from tests.records import Fact, activity, call, contact, instant, person, progress, tables

COMPANY = (
    person("r1", extension="201"),
    contact("anna", "T-anna"),
    contact("ben", "T-ben"),
    contact("both-a", "T-both"),
    contact("both-b", "T-both"),
)
READ = progress("00:00", day=60)


@pytest.fixture
def engine() -> Engine:
    made = Engine(EngineSettings(company_id="demo"))
    fold(made, *COMPANY)
    return made


def fold(engine: Engine, *facts: Fact) -> Changes:
    return engine.fold(tables(facts))


def traces(parts: Iterable[Changes]) -> dict[str, str | None]:
    """Return the activity that each interaction was last said to have, by when the interaction began."""
    found = {}
    for changes in parts:
        for row in changes.tables["interaction"].to_pylist():
            found[row["interaction_id"]] = (f"{row['started_at']:%d %H:%M}", row["activity_id"])
    return dict(found.values())


def test_a_call_after_all_that_was_logged_does_not_bring_its_customers_history_along(engine: Engine) -> None:
    history = fold(engine, call("pbx:1", "09:00"), activity("a1", "09:10", contacts=["anna"], owner="r1"), READ)
    assert [pair.activity_id for pair in engine.pairs()] == ["a1"]

    later = fold(engine, call("pbx:2", "11:00"))

    assert engine.pairs() == []
    assert traces([history, later]) == {"04 09:00": "a1", "04 11:00": None}


def test_what_is_logged_afterwards_finds_a_call_that_was_left_alone(engine: Engine) -> None:
    parts = [
        fold(engine, call("pbx:1", "09:00"), activity("a1", "09:10", contacts=["anna"], owner="r1")),
        fold(engine, call("pbx:2", "11:00")),
        fold(engine, activity("a2", "11:20", contacts=["anna"], owner="r1")),
    ]

    assert traces(parts) == {"04 09:00": "a1", "04 11:00": "a2"}


def test_a_call_that_begins_within_the_time_before_is_traced(engine: Engine) -> None:
    before = EngineSettings(company_id="demo").before
    logged = instant("11:00") - before
    parts = [
        fold(engine, activity("a1", logged, contacts=["anna"], owner="r1")),
        fold(engine, call("pbx:1", "11:00")),
    ]

    assert traces(parts) == {"04 11:00": "a1"}


def test_a_call_that_comes_late_takes_the_activity_of_another(engine: Engine) -> None:
    parts = [
        fold(engine, call("pbx:1", "09:00")),
        fold(engine, activity("a1", "10:00", contacts=["anna"], owner="r1")),
        fold(engine, call("pbx:2", "09:50")),
    ]

    assert traces(parts) == {"04 09:00": None, "04 09:50": "a1"}


def test_an_exact_pair_counts_however_long_before_it_was_logged(engine: Engine) -> None:
    parts = [
        fold(engine, activity("a1", "09:00", contacts=["anna"], keys=["pbx:2"])),
        fold(engine, call("pbx:2", instant("09:00", day=9))),
    ]

    assert traces(parts) == {"13 09:00": "a1"}


def test_an_activity_of_two_customers_is_found_by_a_call_of_the_second(engine: Engine) -> None:
    parts = [
        fold(engine, activity("a1", "09:10", contacts=["anna", "ben"], owner="r1")),
        fold(engine, call("pbx:1", "09:00", customer="T-ben")),
    ]

    assert traces(parts) == {"04 09:00": "a1"}


def test_a_call_of_two_customers_finds_the_activity_of_the_second(engine: Engine) -> None:
    parts = [
        fold(engine, activity("a1", "09:10", contacts=["both-b"], owner="r1")),
        fold(engine, call("pbx:1", "09:00", customer="T-both")),
    ]

    assert traces(parts) == {"04 09:00": "a1"}
