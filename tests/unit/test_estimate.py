"""Intervals and bounds of shares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.estimate import bounds, newcombe, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Worked out by hand from the formula, to four places.
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
    ],
)
def test_the_interval_is_wilsons(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_nothing_is_said_of_no_trials() -> None:
    assert wilson(0, 0) is None
    assert bounds(0, 0, 0) is None


counts = st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)).map(lambda pair: (min(pair), max(pair)))


@given(counts)
def test_the_interval_lies_within_0_and_1_and_holds_the_share(pair: tuple[int, int]) -> None:
    successes, trials = pair
    interval = wilson(successes, trials)

    if trials:
        assert interval is not None
        assert 0 <= interval[0] <= successes / trials <= interval[1] <= 1


@given(counts)
def test_the_interval_of_failures_mirrors_that_of_successes(pair: tuple[int, int]) -> None:
    successes, trials = pair
    interval, mirrored = wilson(successes, trials), wilson(trials - successes, trials)

    if interval is not None and mirrored is not None:
        assert interval == pytest.approx((1 - mirrored[1], 1 - mirrored[0]))


@given(st.integers(1, 1000))
def test_more_trials_narrow_the_interval(times: int) -> None:
    few, many = wilson(3, 10), wilson(3 * times, 10 * times)

    assert few is not None
    assert many is not None
    assert many[1] - many[0] <= few[1] - few[0]


@given(counts, st.integers(0, 10**6))
def test_bounds_hold_the_share_however_the_pending_end(pair: tuple[int, int], pending: int) -> None:
    successes, trials = pair
    ends = bounds(successes, trials, pending)

    if trials and ends is not None:
        assert ends[0] <= successes / trials <= ends[1]


def test_bounds_are_the_share_when_nothing_is_pending() -> None:
    assert bounds(3, 4, 0) == (0.75, 0.75)


@pytest.mark.parametrize(("successes", "trials", "pending"), [(-1, 2, 0), (3, 2, 0), (1, 2, -1)])
def test_impossible_counts_are_refused(successes: int, trials: int, pending: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        bounds(successes, trials, pending)


@pytest.mark.parametrize(
    ("this", "earlier", "low", "high"),
    [
        # The examples of Newcombe's table II, method 10.
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_the_interval_of_a_difference_is_newcombes(
    this: tuple[int, int], earlier: tuple[int, int], low: float, high: float
) -> None:
    assert newcombe(*this, *earlier) == pytest.approx((low, high), abs=5e-5)


@given(counts, counts)
def test_a_difference_turned_round_has_its_interval_turned_round(
    this: tuple[int, int], earlier: tuple[int, int]
) -> None:
    there, back = newcombe(*this, *earlier), newcombe(*earlier, *this)

    if there is not None and back is not None:
        assert there == pytest.approx((-back[1], -back[0]))
        assert -1 <= there[0] <= this[0] / this[1] - earlier[0] / earlier[1] <= there[1] <= 1


def test_nothing_is_said_of_a_difference_to_no_trials() -> None:
    assert newcombe(1, 2, 0, 0) is None
    assert newcombe(0, 0, 1, 2) is None
