"""One call that two systems saw becomes one interaction; two calls at once stay two."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from pipeline.merging import Call, merge


def call(conversation_id: str, source: str, line_order: int = 1, *participants: str) -> Call:
    return Call(conversation_id, source, line_order, frozenset(participants))


def groups(calls: Iterable[Call], overlaps: Iterable[tuple[str, str, int]]) -> set[frozenset[str]]:
    """Return which conversations are one."""
    roots = merge(list(calls), overlaps)
    return {frozenset(name for name in roots if roots[name] == root) for root in roots.values()}


def test_the_most_specific_line_is_the_root() -> None:
    calls = [call("gsm:1", "gsm", 2), call("pbx:1", "pbx", 1), call("cc:1", "cc", 0)]
    overlaps = [("cc:1", "pbx:1", 0), ("cc:1", "gsm:1", 0), ("gsm:1", "pbx:1", 0)]

    assert set(merge(calls, overlaps).values()) == {"cc:1"}


def test_calls_of_one_source_are_never_one() -> None:
    calls = [call("pbx:1", "pbx"), call("pbx:2", "pbx"), call("gsm:1", "gsm", 2)]

    assert groups(calls, [("gsm:1", "pbx:1", 5), ("gsm:1", "pbx:2", 1)]) == {
        frozenset({"pbx:1"}),
        frozenset({"pbx:2", "gsm:1"}),
    }


def test_different_representatives_keep_two_calls_apart() -> None:
    calls = [call("pbx:1", "pbx", 1, "r1"), call("gsm:1", "gsm", 2, "r2")]

    assert len(groups(calls, [("gsm:1", "pbx:1", 0)])) == 2


def test_an_unknown_representative_fits_any() -> None:
    calls = [call("pbx:1", "pbx", 1, "r1"), call("gsm:1", "gsm", 2)]

    assert len(groups(calls, [("gsm:1", "pbx:1", 0)])) == 1


def test_who_joined_counts_for_those_who_come_later() -> None:
    calls = [call("cc:1", "cc", 0), call("pbx:1", "pbx", 1, "r1"), call("gsm:1", "gsm", 2, "r2")]
    overlaps = [("cc:1", "pbx:1", 0), ("cc:1", "gsm:1", 0)]

    assert groups(calls, overlaps) == {frozenset({"cc:1", "pbx:1"}), frozenset({"gsm:1"})}


def test_the_nearest_pair_goes_first_and_a_group_takes_one_call_of_a_source() -> None:
    calls = [call("pbx:1", "pbx"), call("gsm:1", "gsm", 2), call("gsm:2", "gsm", 2)]

    assert groups(calls, [("gsm:1", "pbx:1", 9), ("gsm:2", "pbx:1", 3)]) == {
        frozenset({"pbx:1", "gsm:2"}),
        frozenset({"gsm:1"}),
    }


def test_equally_near_calls_are_told_apart_by_their_ids() -> None:
    calls = [call("pbx:1", "pbx"), call("gsm:1", "gsm", 2), call("gsm:2", "gsm", 2)]

    assert frozenset({"pbx:1", "gsm:1"}) in groups(calls, [("gsm:1", "pbx:1", 3), ("gsm:2", "pbx:1", 3)])


@st.composite
def _calls(draw: st.DrawFn) -> tuple[list[Call], list[tuple[str, str, int]]]:
    calls = [
        call(f"{source}:{number}", source, draw(st.integers(0, 3)), *draw(st.sets(st.sampled_from(["r1", "r2"]))))
        for source in ("a", "b", "c")
        for number in range(draw(st.integers(0, 3)))
    ]
    pairs = [(x, y) for x in calls for y in calls if x.source < y.source]
    chosen = [pair for pair in pairs if draw(st.booleans())]
    return calls, [(x.conversation_id, y.conversation_id, draw(st.integers(0, 3))) for x, y in chosen]


@given(_calls(), st.randoms(use_true_random=False))
def test_the_order_of_calls_and_overlaps_means_nothing(
    world: tuple[list[Call], list[tuple[str, str, int]]], rng: random.Random
) -> None:
    calls, overlaps = world
    shuffled, turned = list(calls), [(b, a, distance) for a, b, distance in overlaps]
    rng.shuffle(shuffled)
    rng.shuffle(turned)

    assert merge(shuffled, turned) == merge(calls, overlaps)


@given(_calls())
def test_every_call_is_in_one_group_and_a_group_has_one_call_of_a_source(
    world: tuple[list[Call], list[tuple[str, str, int]]],
) -> None:
    calls, overlaps = world

    roots = merge(calls, overlaps)

    assert roots.keys() == {item.conversation_id for item in calls}
    assert all(roots[root] == root for root in roots.values())
    sources = Counter((roots[item.conversation_id], item.source) for item in calls)
    assert set(sources.values()) <= {1}
