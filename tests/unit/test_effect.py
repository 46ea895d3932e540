"""The effect of a measure is what changed where it holds, beside where it does not, and chance deals out customers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.effect import Change, Comparison, Group, change_of, compare
from pipeline.estimate import TooLittle, student

# Of one customer: untraced and decided in the first half before, in the second, and after.
Customer = Sequence[tuple[int, int]]
NOBODY: Customer = ((0, 0), (0, 0), (0, 0))


def group(customers: Sequence[Customer], times: Sequence[int] | None = None) -> Group:
    numbers = np.array(customers, dtype=float)
    return Group(numbers[:, :, 0], numbers[:, :, 1], np.array(times or [1] * len(customers), dtype=float))


def shares(customers: Sequence[Customer]) -> tuple[float, float]:
    """Return the shares before and after, counted one by one."""
    early, late, after = (
        (sum(each[period][0] for each in customers), sum(each[period][1] for each in customers)) for period in range(3)
    )
    return (early[0] + late[0]) / (early[1] + late[1]), after[0] / after[1]


ALIKE: list[Customer] = [((1, 2), (1, 2), (1, 4))] * 25
MIXED: list[Customer] = [
    ((number % 3, 2), (number % 2, 1 + number % 4), (number % 5, 4 + number % 2)) for number in range(30)
]


def test_the_change_is_the_share_after_less_the_share_before() -> None:
    found = change_of(group(ALIKE))

    assert isinstance(found, Change)
    # 25 customers: 50 of 100 before, 25 of 100 after.
    assert (found.before_untraced_count, found.before_count, found.before_share) == (50, 100, 0.5)
    assert (found.after_untraced_count, found.after_count, found.after_share) == (25, 100, 0.25)
    assert (found.before_customer_count, found.after_customer_count) == (25, 25)
    assert found.change.value == -0.25


def test_customers_who_are_all_alike_leave_nothing_to_chance() -> None:
    found = change_of(group(ALIKE))

    assert isinstance(found, Change)
    assert found.change.low == pytest.approx(-0.25)
    assert found.change.high == pytest.approx(-0.25)


def test_the_interval_is_that_of_leaving_out_one_customer_at_a_time() -> None:
    found = change_of(group(MIXED))

    before, after = shares(MIXED)
    count = len(MIXED)
    left = [shares(MIXED[:at] + MIXED[at + 1 :]) for at in range(count)]
    variance = (count - 1) / count * sum((late - early - (after - before)) ** 2 for early, late in left)
    sizes = [[each[0][1] + each[1][1] for each in MIXED], [each[2][1] for each in MIXED]]
    effective = min(sum(size) ** 2 / sum(one * one for one in size) for size in sizes)
    half = student(effective - 1) * math.sqrt(variance)
    assert isinstance(found, Change)
    assert (found.change.low, found.change.high) == pytest.approx((after - before - half, after - before + half))


def test_rows_that_stand_for_several_customers_are_those_customers() -> None:
    times = [6, 5, 7, 6, 6]
    told = change_of(group(MIXED[:5], times))
    one_by_one = change_of(group([each for each, count in zip(MIXED[:5], times, strict=True) for _ in range(count)]))

    assert isinstance(told, Change)
    assert isinstance(one_by_one, Change)
    assert replace(told, change=one_by_one.change) == one_by_one
    assert (told.change.low, told.change.high) == pytest.approx((one_by_one.change.low, one_by_one.change.high))


def test_customers_of_other_teams_do_not_touch_a_change() -> None:
    assert change_of(group(MIXED)) == change_of(group([*MIXED, *[NOBODY] * 50]))


def test_the_difference_in_differences_is_how_much_more_the_measured_teams_changed() -> None:
    # Before: half. After: a quarter of the measured teams', three of eight of the others'.
    others: list[Customer] = [((1, 2), (1, 2), (3, 8))] * 25

    found = compare(group([*ALIKE, *[NOBODY] * 25]), group([*[NOBODY] * 25, *others]))

    assert isinstance(found, Comparison)
    assert found.change.change.value == -0.125
    assert found.difference.value == -0.125
    assert found.early_difference is not None
    assert found.early_difference.value == 0


def test_one_customer_of_both_groups_is_left_out_of_both_at_once() -> None:
    # What a customer does alike with both groups cancels out: apart, it would look like chance.
    together = compare(group(MIXED), group(MIXED))
    apart = compare(group([*MIXED, *[NOBODY] * 30]), group([*[NOBODY] * 30, *MIXED]))

    assert isinstance(together, Comparison)
    assert isinstance(apart, Comparison)
    assert together.difference.value == apart.difference.value == 0
    assert together.difference.high == pytest.approx(0)
    assert apart.difference.high > 0.05


def test_halves_that_moved_apart_before_the_measure_are_seen() -> None:
    falling: list[Customer] = [((4, 4), (number % 2, 4), (0, 4)) for number in range(60)]
    steady: list[Customer] = [((2 + number % 2, 4), (2 + number % 2, 4), (2, 4)) for number in range(60)]

    found = compare(group([*falling, *[NOBODY] * 60]), group([*[NOBODY] * 60, *steady]))

    assert isinstance(found, Comparison)
    assert found.early_difference is not None
    assert not found.early_difference.is_zero_possible


def test_a_team_that_never_logs_has_an_interval_all_the_same() -> None:
    found = change_of(group([((2, 2), (2, 2), (4, 4))] * 25))

    assert isinstance(found, Change)
    assert found.change.value == 0
    assert found.change.low < -0.05
    assert found.change.high > 0.05


@pytest.mark.parametrize(
    ("customers", "reason"),
    [
        ([((1, 2), (1, 2), (1, 1))] * 25, "after it, 25 decided interactions of 25 customers are too few"),
        ([((1, 5), (1, 5), (1, 10))] * 10, "before it, 100 decided interactions of 10 customers are too few"),
        ([NOBODY] * 3, "before it, 0 decided interactions of 0 customers"),
        ([((1, 1), (1, 1), (1, 1))] * 30 + [((9, 999), (9, 999), (9, 999))], "a few of the 31 customers make up"),
    ],
)
def test_too_little_is_said_to_be_too_little(customers: list[Customer], reason: str) -> None:
    found = change_of(group(customers))

    assert isinstance(found, TooLittle)
    assert reason in found.reason


def test_comparison_teams_with_too_little_give_no_comparison() -> None:
    assert isinstance(compare(group(ALIKE), group([NOBODY] * 25)), TooLittle)


@given(
    st.lists(
        st.lists(st.integers(0, 6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=3, max_size=3),
        min_size=20, max_size=60,
    )
)  # fmt: skip
def test_an_interval_holds_its_value_and_stays_possible(customers: list[Customer]) -> None:
    found = change_of(group(customers))

    if isinstance(found, Change):
        before, after = shares(customers)
        assert found.change.value == pytest.approx(after - before)
        assert -1 <= found.change.low <= found.change.value <= found.change.high <= 1
