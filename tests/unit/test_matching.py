"""The greedy assignment, and what of it can never change again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.matching import DOUBTFUL, FREE, TAKEN, assign

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


def states(is_open: Sequence[bool]) -> bytearray:
    return bytearray(DOUBTFUL if flag else FREE for flag in is_open)


def tiered(pairs: Sequence[Pair]) -> list[tuple[int, int, int]]:
    return [(2, activity, interaction) for activity, interaction in pairs]


def test_the_best_pair_is_taken_first_and_each_element_once() -> None:
    pairs = [(1, 0, 1), (2, 0, 0), (2, 1, 1), (3, 1, 0)]

    assert assign(pairs, bytearray(2), bytearray(2)) == [(1, 0, 1), (3, 1, 0)]


def test_without_pairs_nothing_is_taken() -> None:
    activities, interactions = bytearray([FREE, DOUBTFUL]), bytearray()

    assert assign([], activities, interactions) == []
    assert (activities, interactions) == (bytearray([FREE, DOUBTFUL]), bytearray())


@given(worlds())
@settings(max_examples=300)
def test_the_assignment_is_the_naive_one(world: World) -> None:
    counts = len(world.open_activities), len(world.open_interactions)

    taken = assign(tiered(world.now), bytearray(counts[0]), bytearray(counts[1]))

    assert taken == tiered(brute_force(world.now))


@given(worlds())
@settings(max_examples=1_000)
def test_what_is_taken_or_free_stays_so_whatever_pairs_of_open_elements_come_or_go(world: World) -> None:
    settled = states(world.open_activities), states(world.open_interactions)
    assign(tiered(world.now), *settled)

    now, later = brute_force(world.now), brute_force(world.later)
    for side, side_states in enumerate(settled):
        for element, state in enumerate(side_states):
            if state == FREE:
                assert all(pair[side] != element for pair in later)
            if state == TAKEN:
                (pair,) = [pair for pair in now if pair[side] == element]
                assert pair in later
