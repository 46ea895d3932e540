"""Which keys stand for one conversation: connected sets of keys, each named by its smallest."""

from __future__ import annotations

from collections.abc import Iterable


def join_labels(edges: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return for each label in the edges the smallest label of its connected set.

    >>> join_labels([("b", "c"), ("a", "b")])
    {'b': 'a', 'c': 'a', 'a': 'a'}
    """
    parent: dict[str, str] = {}

    def root(label: str) -> str:
        top = label
        while (above := parent.setdefault(top, top)) != top:
            top = above
        while parent[label] != top:
            parent[label], label = top, parent[label]
        return top

    for first, second in edges:
        a, b = root(first), root(second)
        if a != b:
            low, high = (a, b) if a < b else (b, a)
            parent[high] = low
    return {label: root(label) for label in parent}
