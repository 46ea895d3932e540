"""The delays of traces, followed backwards from what can be seen of them."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.settling import arrived_shares


def test_short_delays_of_recent_interactions_do_not_make_logging_look_faster() -> None:
    # Of old ones 40, 20, 20 and 20 in 100 were logged in steps 0 to 3. Those of age 1 show the first two steps alone.
    traces = {(3, 0): 40, (3, 1): 20, (3, 2): 20, (3, 3): 20, (1, 0): 8, (1, 1): 4}

    assert arrived_shares(traces, 3) == pytest.approx([0.4, 0.6, 0.8, 1.0])


def test_what_is_seen_in_part_only_is_left_out() -> None:
    seen = {(3, 0): 40, (3, 1): 20, (3, 2): 20, (3, 3): 20}

    assert arrived_shares(seen | {(0, 1): 7, (3, 4): 9, (-1, 0): 3}, 3) == arrived_shares(seen, 3)


def test_nothing_is_known_without_a_trace() -> None:
    assert arrived_shares({}, 3) is None
    assert arrived_shares({(0, 2): 5}, 3) is None


@given(st.lists(st.integers(0, 5), min_size=1))
def test_when_all_are_old_the_share_is_what_is_counted(delays: list[int]) -> None:
    shares = arrived_shares({(5, delay): count for delay, count in Counter(delays).items()}, 5)

    assert shares == pytest.approx([sum(delay <= age for delay in delays) / len(delays) for age in range(6)])


@given(st.dictionaries(st.tuples(st.integers(-1, 6), st.integers(0, 8)), st.integers(1, 1000)))
def test_shares_never_fall_and_end_at_1(traces: dict[tuple[int, int], int]) -> None:
    shares = arrived_shares(traces, 6)

    if shares is not None:
        assert shares == sorted(shares)
        assert shares[0] >= 0
        assert shares[-1] == 1


def test_known_delays_are_found_again_though_most_interactions_are_recent() -> None:
    chance = random.Random(3)
    steps, chances = range(9), [30, 20, 15, 10, 8, 7, 5, 3, 2]
    traces: Counter[tuple[int, int]] = Counter()
    for age in range(9):
        for delay in chance.choices(steps, chances, k=4000):
            if delay <= age:
                traces[age, delay] += 1

    shares = arrived_shares(traces, 8)

    assert shares == pytest.approx([sum(chances[: age + 1]) / 100 for age in steps], abs=0.015)
    # Counting what is seen would say that 39 % of all are logged at once, and not 30 %.
    assert sum(count for (_, delay), count in traces.items() if delay == 0) / sum(traces.values()) > 0.38
