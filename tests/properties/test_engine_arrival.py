"""The rows do not depend on how the facts arrive: order, repetition, size of batches, or forgetting.

The rows of one batch are the oracle's (`test_engine_equals_oracle`), so the oracle stands for them here: it is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline import engine
from pipeline.engine import Engine
from pipeline.placebo import shift_activities
from tests.folding import expected, fold_in_any_order, fold_once, long_worlds_of, many_cases, seeded, small_worlds_of
from tests.records import DAY, Fact, tables
from tests.worlds import Ledger, World, check, differences, stream


def _in_any_order(number: int) -> Callable[[World], list[str]]:
    return lambda case: differences(expected(case), fold_in_any_order(case, number))


@many_cases
def test_any_order_repetition_and_batch_size_give_the_rows_of_one_batch(number: int) -> None:
    check(small_worlds_of(number), _in_any_order(number))


def _folded_again(number: int) -> Callable[[World], list[str]]:
    def problems(case: World) -> list[str]:
        folder, ledger = Engine(case.settings), Ledger()
        ledger.apply(folder.fold(tables(case.facts), 0))
        some = seeded(number).sample(case.facts, len(case.facts) // 2)
        again = [folder.fold(tables(case.facts), 1), folder.fold(tables(some), 2), folder.fold({}, 3)]
        return [
            f"fold {count} after the first: {name} has {table.to_pylist()}"
            for count, changes in enumerate(again, start=1)
            for name, table in changes.tables.items()
            if table.num_rows
        ]

    return problems


@many_cases
def test_folding_twice_is_folding_once(number: int) -> None:
    check(small_worlds_of(number + 1), _folded_again(number))


def _while_forgetting(number: int) -> Callable[[World], list[str]]:
    def problems(case: World) -> list[str]:
        chance = seeded(number)
        lateness = timedelta(days=chance.choice((0, 1, 7)))
        forgetful, ledger = Engine(case.settings.model_copy(update={"lateness": lateness})), Ledger()
        for version, (batch, known) in enumerate(stream(number, case.facts, lateness)):
            if chance.random() < 0.6:
                ledger.apply(forgetful.fold(tables(batch), version, closes=known))
            else:
                ledger.apply(forgetful.fold(tables(batch), version))
                forgetful.retire(known)
        return differences(expected(case), ledger.outcomes())

    return problems


@many_cases
def test_forgetting_what_is_final_changes_nothing(number: int) -> None:
    check(long_worlds_of(number + 1), _while_forgetting(number))


@pytest.mark.parametrize("number", range(4))
def test_forgetting_what_is_final_changes_nothing_when_every_customer_is_a_crowd(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CROWD_PAIRS", 0)

    check(long_worlds_of(number), _while_forgetting(number))


def _placebo(days: int) -> Callable[[World], list[str]]:
    """Return the problems of a run whose activities were shifted there and back."""

    def shift(rows: list[Fact], by: timedelta) -> list[Fact]:
        return [Fact("activity", row) for row in shift_activities(tables(rows)["activity"], by).to_pylist()]

    def problems(case: World) -> list[str]:
        activities = [item for item in case.facts if item.kind == "activity"]
        others = [item for item in case.facts if item.kind != "activity"]
        if activities:
            activities = shift(shift(activities, days * DAY), -days * DAY)
        return differences(expected(case), fold_once(replace(case, facts=(*others, *activities))))

    return problems


@many_cases
def test_placebo_of_zero_days_is_the_real_run(number: int) -> None:
    check(small_worlds_of(number + 2), _placebo(0))


@many_cases
def test_a_placebo_shifted_back_is_the_real_run(number: int) -> None:
    check(long_worlds_of(number + 2), _placebo(7))
