"""The pairs of a crowd, walked along, lead to the same assignment as all pairs written down."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.crowds import Activity, Crowd, Interaction, Owner, RankedPair, Windows
from pipeline.matching import DOUBTFUL, TAKEN, Pair, assign

CHANNELS = ("call", "email")
OWNERS: tuple[Owner, ...] = ("r1", "r2", ("Sales",))
CHANNELS_OF_KINDS: tuple[str | None, ...] = (None, *CHANNELS)
BEFORE, AFTER = 3, {2: 9, 3: 4}


def all_pairs(
    activities: Iterable[Activity], interactions: Iterable[Interaction], windows: Windows
) -> list[RankedPair]:
    """Return every pair, best first: the rules again, in plain loops."""
    found = []
    for a in activities:
        for i in interactions:
            tier = 2 if a.owners & i.owners else 3
            fits = a.customer_id == i.customer_id and a.channel in (None, i.channel) and tier in windows.after
            if fits and a.logged_to >= i.started - windows.before and a.logged_from <= i.ended + windows.after[tier]:
                distance = max(a.logged_from - i.ended, i.ended - a.logged_to, 0)
                cost = (tier << 60) + ((a.channel is None) << 58) + distance
                found.append((cost, a.activity_id, i.key, a.number, i.number))
    return sorted(set(found))


def plain(pairs: Iterable[RankedPair]) -> Iterator[Pair]:
    """Yield the pairs as the assignment wants them, one at a time."""
    return ((cost >> 60, activity, interaction) for cost, _, _, activity, interaction in pairs)


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[Activity], list[Interaction], Windows]:
    """Draw customers on whom much happens at the same few instants, so that ties are the rule."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    instants = draw(st.sampled_from((6, 20, 60)))
    keys = rng.sample(range(1000), draw(st.integers(0, 25)))
    interactions = []
    for number, key in enumerate(keys):
        started, owners = rng.randrange(instants), frozenset(rng.sample(OWNERS, rng.choice((0, 1, 1, 2))))
        ended, channel = started + rng.choice((0, 1, 1, 7)), rng.choice(CHANNELS)
        for customer in rng.sample(("c1", "c2"), rng.choice((1, 1, 2))):
            interactions.append(Interaction(number, key, customer, channel, started, ended, owners))
    activities = []
    for number in range(draw(st.integers(0, 15))):
        logged, owners = rng.randrange(instants + 5), frozenset(rng.sample(OWNERS, rng.choice((0, 1, 1, 2))))
        logged_to, kind = logged + rng.choice((0, 0, 2, 10)), rng.choice(CHANNELS_OF_KINDS)
        for customer in rng.sample(("c1", "c2"), rng.choice((1, 1, 2))):
            name = f"a{number * 7 % 16:x}"
            activities.append(Activity(number, name, customer, kind, logged, logged_to, owners))
    tiers = draw(st.sampled_from(((2, 3), (2, 3), (2,), (3,), ())))
    return activities, interactions, Windows(BEFORE, {tier: AFTER[tier] for tier in tiers})


Case = tuple[list[Activity], list[Interaction], Windows]


@given(crowds())
@settings(max_examples=500, deadline=None)
def test_a_crowd_is_assigned_as_if_all_its_pairs_were_written_down(case: Case) -> None:
    lazy, eager = (bytearray(15), bytearray(25)), (bytearray(15), bytearray(25))

    taken = assign(plain(Crowd(*case, *lazy).pairs()), *lazy)

    assert taken == assign(plain(all_pairs(*case)), *eager)


@given(crowds(), st.lists(st.integers(0, 14), max_size=4), st.lists(st.integers(0, 24), max_size=4))
@settings(max_examples=500, deadline=None)
def test_doubt_spreads_in_a_crowd_as_if_all_its_pairs_were_written_down(
    case: Case, open_activities: list[int], open_interactions: list[int]
) -> None:
    lazy, eager = (bytearray(15), bytearray(25)), (bytearray(15), bytearray(25))
    crowd = Crowd(*case, *lazy)  # the first pairs are found while everything is free
    for activities, interactions in (lazy, eager):
        for number in open_activities:
            activities[number] = DOUBTFUL
        for number in open_interactions:
            interactions[number] = DOUBTFUL

    taken = assign(plain(crowd.pairs()), *lazy)

    assert (taken, lazy) == (assign(plain(all_pairs(*case)), *eager), eager)


@given(crowds(), st.randoms())
@settings(max_examples=300, deadline=None)
def test_pairs_from_elsewhere_may_be_taken_in_between(case: Case, rng: random.Random) -> None:
    others = sorted({(rng.randrange(1 << 61), "b", n, rng.randrange(15), rng.randrange(25)) for n in range(20)})
    lazy, eager = (bytearray(15), bytearray(25)), (bytearray(15), bytearray(25))

    taken = assign(plain(heapq.merge(others, Crowd(*case, *lazy).pairs())), *lazy)

    assert taken == assign(plain(sorted([*others, *all_pairs(*case)])), *eager)


@given(crowds())
@settings(max_examples=300, deadline=None)
def test_while_nothing_is_taken_a_crowd_has_all_its_pairs_and_knows_the_best_of_each_activity(case: Case) -> None:
    pairs = all_pairs(*case)
    crowd = Crowd(*case, bytearray(15), bytearray(25))

    best = {activity: min(p for p in crowd.best_pairs() if p[3] == activity) for _, _, _, activity, _ in pairs}

    assert best == {activity: min(p for p in pairs if p[3] == activity) for _, _, _, activity, _ in pairs}
    assert list(dict.fromkeys(crowd.pairs())) == pairs


def test_a_crowd_of_thousands_takes_steps_in_proportion_to_its_size() -> None:
    """Most walk past what others have taken: without jumping over it, steps would grow with the square."""
    steps = []
    for size in (1_000, 2_000):
        interactions = [Interaction(n, n, "c", "call", n, n, frozenset({"r1"})) for n in range(size)]
        activities = [Activity(n, f"a{n:06}", "c", "call", 0, size, frozenset({"r1"})) for n in range(size)]
        both = bytearray(size), bytearray(size)
        crowd = Crowd(activities, interactions, Windows(0, {2: size, 3: size}), *both)
        seen = list(crowd.best_pairs())
        for pair in crowd.pairs():
            seen.append(pair)
            assign(plain([pair]), *both)
        assert all(state == TAKEN for state in both[0])
        steps.append(len(seen))

    assert steps[1] < 2.2 * steps[0]
