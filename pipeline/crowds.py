"""Crowds: customers with so many interactions and activities that their pairs are not all written down.

The pairs of one customer grow with the square, but the assignment uses few of them. It goes through all pairs, best
first, and one of which an end is taken changes nothing: `Crowd.pairs` leaves out such pairs and keeps the order of all
others, so the assignment is the same. The order is strict (cost, activity, interaction), so there is only one.

Each activity walks along the interactions of its customer and owner, from the time of logging to earlier and to later
ends, and jumps over those that are taken; that yields its own pairs, best first. A heap holds the next pair of each
activity, and the least in the heap is the best of all that are left.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from pipeline.matching import DOUBTFUL, FREE, TAKEN

SAME_REPRESENTATIVE, OTHER_REPRESENTATIVE = 2, 3
# A representative's id, or the name of a team as the only part of a tuple.
Owner = str | tuple[str]
# Cost, activity_id, key of the interaction, number of the activity, number of the interaction; these sort best first.
RankedPair = tuple[int, str, int, int, int]
_Met = tuple[int, int, "Interaction"]  # distance, key of the interaction, the interaction


class Interaction(NamedTuple):
    """An interaction, once for each of its customers. Instants are microseconds; `key` is the id as a number."""

    number: int
    key: int
    customer_id: str
    channel: str
    started: int
    ended: int
    owners: frozenset[Owner]


class Activity(NamedTuple):
    """An activity, once for each of its customers. `channel` is None for a kind that fits every channel."""

    number: int
    activity_id: str
    customer_id: str
    channel: str | None
    logged_from: int
    logged_to: int
    owners: frozenset[Owner]


@dataclass(frozen=True)
class Windows:
    """How long before the start, and by tier how long after the end, a trace may be logged; in microseconds."""

    before: int
    after: Mapping[int, int]


class Crowd:
    """The pairs of tiers 2 and 3 of such customers. `activity_states` and `interaction_states` belong to `assign`."""

    def __init__(
        self,
        activities: Iterable[Activity],
        interactions: Iterable[Interaction],
        windows: Windows,
        activity_states: bytearray,
        interaction_states: bytearray,
    ) -> None:
        self._windows = windows
        self._activity_states = activity_states
        self._interaction_states = interaction_states
        self._groups: defaultdict[tuple[str, Owner | None, str | None], _Group] = defaultdict(_Group)
        for interaction in interactions:
            for owner in (None, *interaction.owners):
                for channel in (None, interaction.channel):
                    self._groups[interaction.customer_id, owner, channel].add(interaction)
        self._next: list[tuple[RankedPair, int, Iterator[RankedPair]]] = []
        for number, activity in enumerate(activities):
            walk = self._walk(activity)
            self._next += ((pair, number, walk) for pair in islice(walk, 1))

    def best_pairs(self) -> list[RankedPair]:
        """Return the best pair of each activity and customer; only before `pairs` are asked for."""
        return [pair for pair, _, _ in self._next]

    def pairs(self) -> Iterator[RankedPair]:
        """Yield the pairs, best first, without those that change nothing when their turn comes. Some come twice."""
        heap = self._next
        heapq.heapify(heap)
        while heap:
            pair, number, walk = heap[0]
            yield pair
            following = None if self._activity_states[pair[3]] == TAKEN else next(walk, None)
            if following is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (following, number, walk))

    def _walk(self, activity: Activity) -> Iterator[RankedPair]:
        """Yield the pairs of an activity, best first, without interactions that are taken by then."""
        for tier, after in sorted(self._windows.after.items()):
            is_own = tier == SAME_REPRESENTATIVE
            names = [
                (activity.customer_id, owner, activity.channel) for owner in (activity.owners if is_own else (None,))
            ]
            walks = [self._walk_group(self._groups[name], activity, after) for name in names if name in self._groups]
            cost = (tier << 60) + ((activity.channel is None) << 58)
            for distance, key, interaction in heapq.merge(*walks):
                if is_own or activity.owners.isdisjoint(interaction.owners):
                    yield cost + distance, activity.activity_id, key, activity.number, interaction.number

    def _walk_group(self, group: _Group, activity: Activity, after: int) -> Iterator[_Met]:
        """Yield the interactions of a group that an activity may be about, the nearest first."""
        first = bisect_left(group.ends, activity.logged_from)
        last = bisect_right(group.ends, activity.logged_to)
        before = self._windows.before
        return heapq.merge(
            self._walk_row(group.ended_within(first, last), 0, activity, after),
            self._walk_row(group.later, last, activity, before + group.longest),
            self._walk_row(group.earlier, len(group.ends) - first, activity, after),
        )

    def _walk_row(self, row: _Row, place: int, activity: Activity, farthest: int) -> Iterator[_Met]:
        """Yield the interactions from a place on until one is too far, but none that began too long after."""
        latest_start = activity.logged_to + self._windows.before
        while True:
            state = self._activity_states[activity.number]
            place = row.next_place(place, self._interaction_states, is_doubtful=state == DOUBTFUL)
            if place == len(row.interactions):
                return
            interaction = row.interactions[place]
            distance = max(activity.logged_from - interaction.ended, interaction.ended - activity.logged_to, 0)
            if distance > farthest:
                return
            if interaction.started <= latest_start:
                yield distance, interaction.key, interaction
            place += 1


class _Group:
    """Interactions of one customer, and perhaps of one owner or channel, by when they ended."""

    def __init__(self) -> None:
        self._interactions: list[Interaction] = []
        self._within: dict[tuple[int, int], _Row] = {}

    def add(self, interaction: Interaction) -> None:
        self._interactions.append(interaction)

    @cached_property
    def later(self) -> _Row:
        return _Row(sorted(self._interactions, key=lambda i: (i.ended, i.key)))

    @cached_property
    def earlier(self) -> _Row:
        return _Row(sorted(self._interactions, key=lambda i: (-i.ended, i.key)))

    @cached_property
    def ends(self) -> list[int]:
        return [interaction.ended for interaction in self.later.interactions]

    @cached_property
    def longest(self) -> int:
        return max(interaction.ended - interaction.started for interaction in self._interactions)

    def ended_within(self, first: int, last: int) -> _Row:
        """Return those at these places of `ends`. Activities of one day or minute share a row."""
        if (first, last) not in self._within:
            self._within[first, last] = _Row(sorted(self.later.interactions[first:last], key=lambda i: i.key))
        return self._within[first, last]


class _Row:
    """Interactions in an order. Who walks along remembers what to jump over, so that nobody passes it again."""

    def __init__(self, interactions: list[Interaction]) -> None:
        self.interactions = interactions
        # The next place that may count, for activities that are free and for those in doubt.
        self._ahead = {False: list(range(len(interactions) + 1)), True: list(range(len(interactions) + 1))}

    def next_place(self, place: int, states: bytearray, *, is_doubtful: bool) -> int:
        """Return the first place from this one on that is free, or in doubt where that would be news."""
        ahead = self._ahead[is_doubtful]
        found = place
        while found < len(self.interactions):
            if ahead[found] > found:
                found = ahead[found]
                continue
            state = states[self.interactions[found].number]
            if state == FREE or (state == DOUBTFUL and not is_doubtful):
                break
            found += 1
            ahead[found - 1] = found
        while place < found:
            ahead[place], place = found, ahead[place]
        return found
