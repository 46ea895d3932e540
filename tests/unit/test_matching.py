"""The greedy assignment, and what of it can never change again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.matching import DOUBTFUL, FREE, TAKEN, assign, settle

Pair = tuple[int, int]


@dataclass(frozen=True)
class World:
    """Which activities and interactions are open, and pairs in order, best first, as they are now and will be later."""

    open_activities: list[bool]
    open_interactions: list[bool]
    now: list[Pair]
    later: list[Pair]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw a world. Between open elements pairs may yet come; pairs that have one may yet go; all others stay."""
    open_activities = draw(st.lists(st.booleans(), min_size=1, max_size=7))
    open_interactions = draw(st.lists(st.booleans(), min_size=1, max_size=7))
    pairs = [(a, i) for a in range(len(open_activities)) for i in range(len(open_interactions))]
    order = draw(st.permutations(pairs))
    now, later = [], []
    for activity, interaction in order[: draw(st.integers(0, len(order)))]:
        ends = (open_activities[activity], open_interactions[interaction])
        comes = all(ends) and draw(st.booleans())
        goes = any(ends) and not comes and draw(st.booleans())
        now += [] if comes else [(activity, interaction)]
        later += [] if goes else [(activity, interaction)]
    return World(open_activities, open_interactions, now, later)


def brute_force(pairs: Sequence[Pair]) -> list[Pair]:
    taken: list[Pair] = []
    for activity, interaction in pairs:
        if all(activity != a and interaction != i for a, i in taken):
            taken.append((activity, interaction))
    return taken


def test_the_best_pair_is_taken_first_and_each_element_once() -> None:
    assert assign([(0, 1), (0, 0), (1, 1), (1, 0)], 2, 2) == [(0, 1), (1, 0)]


def test_without_pairs_nothing_is_taken() -> None:
    assert assign([], 3, 0) == []
    assert settle([], [False, True], []) == (bytearray([FREE, DOUBTFUL]), bytearray())


@given(worlds())
@settings(max_examples=300)
def test_the_assignment_is_the_naive_one(world: World) -> None:
    counts = len(world.open_activities), len(world.open_interactions)

    assert assign(world.now, *counts) == brute_force(world.now)


@given(worlds())
@settings(max_examples=1_000)
def test_what_is_taken_or_free_stays_so_whatever_pairs_of_open_elements_come_or_go(world: World) -> None:
    settled = settle(world.now, world.open_activities, world.open_interactions)

    now, later = brute_force(world.now), brute_force(world.later)
    for side, states in enumerate(settled):
        for element, state in enumerate(states):
            if state == FREE:
                assert all(pair[side] != element for pair in later)
            if state == TAKEN:
                (pair,) = [pair for pair in now if pair[side] == element]
                assert pair in later


@given(worlds())
@settings(max_examples=300)
def test_where_nothing_is_open_everything_is_settled(world: World) -> None:
    closed = [False] * len(world.open_activities), [False] * len(world.open_interactions)

    activities, interactions = settle(world.now, *closed)

    taken = brute_force(world.now)
    assert [n for n, state in enumerate(activities) if state == TAKEN] == sorted(a for a, _ in taken)
    assert [n for n, state in enumerate(interactions) if state == TAKEN] == sorted(i for _, i in taken)
    assert DOUBTFUL not in (*activities, *interactions)


def test_what_an_open_element_could_take_is_doubtful() -> None:
    # Activity 0 is open: it may yet get a better interaction than 0, which activity 1 would then take.
    activities, interactions = settle([(0, 0), (1, 0)], [True, False], [False])

    assert list(activities) == [DOUBTFUL, DOUBTFUL]
    assert list(interactions) == [DOUBTFUL]


def test_an_open_element_that_comes_too_late_for_a_pair_does_not_shake_it() -> None:
    activities, interactions = settle([(0, 0), (1, 0)], [False, True], [False])

    assert list(activities) == [TAKEN, DOUBTFUL]
    assert list(interactions) == [TAKEN]
