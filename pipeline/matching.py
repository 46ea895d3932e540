"""The greedy one-to-one assignment, and what of it can no longer change."""

from __future__ import annotations

from collections.abc import Iterable

FREE, TAKEN, DOUBTFUL = 0, 1, 2

# Tier, activity number, interaction number.
Pair = tuple[int, int, int]


def assign(pairs: Iterable[Pair], activities: bytearray, interactions: bytearray) -> list[Pair]:
    """Return the pairs that are taken, best first: each activity and each interaction at most once.

    `pairs` come best first. `activities` and `interactions` hold a state per number; they are changed while pairs are
    asked for, so that what yields them can leave out those that change nothing any more. An element that may still get
    pairs that nobody has seen begins as DOUBTFUL, and whatever it could take becomes doubtful too. What ends as TAKEN
    or FREE stays so whatever arrives later.

    >>> assign([(2, 0, 1), (2, 0, 0), (3, 1, 1)], bytearray(2), bytearray(2))
    [(2, 0, 1)]
    """
    taken = []
    for pair in pairs:
        _, activity, interaction = pair
        ends = activities[activity], interactions[interaction]
        if ends == (FREE, FREE):
            activities[activity] = interactions[interaction] = TAKEN
            taken.append(pair)
        elif TAKEN not in ends:
            activities[activity] = interactions[interaction] = DOUBTFUL
    return taken
