"""Keys that stand for one conversation are named by the smallest of them."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pipeline.components import join_labels

EDGES = st.lists(st.tuples(st.sampled_from("abcdefghij"), st.sampled_from("abcdefghij")), max_size=15)


def test_keys_that_nothing_joins_are_not_listed() -> None:
    assert join_labels([]) == {}


def test_a_key_joined_with_itself_stands_for_itself() -> None:
    assert join_labels([("a", "a")]) == {"a": "a"}


def test_a_chain_has_the_smallest_key_of_all_for_its_label() -> None:
    assert join_labels([("e", "d"), ("d", "c"), ("b", "c"), ("x", "y")]) == {
        **dict.fromkeys("bcde", "b"),
        **dict.fromkeys("xy", "x"),
    }


def test_a_long_chain_needs_no_deep_recursion() -> None:
    names = [f"{number:06}" for number in range(50_000)]
    edges = list(zip(names[1:], names[:-1], strict=True))

    assert set(join_labels(reversed(edges)).values()) == {names[0]}


@given(EDGES)
def test_labels_are_those_of_the_naive_closure(edges: list[tuple[str, str]]) -> None:
    sets = [{name} for edge in edges for name in edge]
    for first, second in edges:
        joined = [members for members in sets if members & {first, second}]
        sets = [members for members in sets if not members & {first, second}] + [set[str]().union(*joined)]

    assert join_labels(edges) == {name: min(members) for members in sets for name in members}


@given(EDGES, st.randoms(use_true_random=False))
def test_the_order_of_edges_means_nothing(edges: list[tuple[str, str]], rng: random.Random) -> None:
    shuffled = [(b, a) for a, b in edges]
    rng.shuffle(shuffled)

    assert join_labels(shuffled) == join_labels(edges)
