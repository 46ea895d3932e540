"""The greedy one-to-one assignment, and what of it can no longer change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

FREE, TAKEN, DOUBTFUL = 0, 1, 2


def assign(pairs: Iterable[tuple[int, int]], activity_count: int, interaction_count: int) -> list[tuple[int, int]]:
    """Return the pairs that are taken, best first: each activity and each interaction at most once.

    `pairs` are (activity, interaction) numbers in order, best first.

    >>> assign([(0, 1), (0, 0), (1, 1)], 2, 2)
    [(0, 1)]
    """
    activity_taken = bytearray(activity_count)
    interaction_taken = bytearray(interaction_count)
    taken = []
    for pair in pairs:
        activity, interaction = pair
        if not activity_taken[activity] and not interaction_taken[interaction]:
            activity_taken[activity] = interaction_taken[interaction] = 1
            taken.append(pair)
    return taken


def settle(
    pairs: Iterable[tuple[int, int]], open_activities: Sequence[int], open_interactions: Sequence[int]
) -> tuple[bytearray, bytearray]:
    """Return, per activity and per interaction, FREE, TAKEN or DOUBTFUL.

    Open elements may still get pairs that nobody has seen, so whatever they could take is doubtful too. What is
    TAKEN or FREE stays so whatever arrives later. The arguments mark open elements with a true value.
    """
    activities = bytearray(DOUBTFUL if is_open else FREE for is_open in open_activities)
    interactions = bytearray(DOUBTFUL if is_open else FREE for is_open in open_interactions)
    for activity, interaction in pairs:
        a, i = activities[activity], interactions[interaction]
        if a == TAKEN or i == TAKEN:
            continue
        state = TAKEN if a == FREE and i == FREE else DOUBTFUL
        activities[activity] = interactions[interaction] = state
    return activities, interactions
