"""One call that two systems saw: which conversations of different sources are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Call:
    """A conversation that may be one with another source's. `line_order`: 0 is the most specific."""

    conversation_id: str
    source: str
    line_order: int
    participants: frozenset[str]


@dataclass
class _Group:
    root: str
    sources: set[str] = field(default_factory=set)
    participants: set[str] = field(default_factory=set)

    def add(self, call: Call) -> None:
        self.sources.add(call.source)
        self.participants |= call.participants

    def admits(self, call: Call) -> bool:
        return call.source not in self.sources and (
            not call.participants or not self.participants or bool(call.participants & self.participants)
        )


def merge(calls: Sequence[Call], overlaps: Iterable[tuple[str, str, int]]) -> dict[str, str]:
    """Return for each conversation the root of its group.

    `overlaps` are (conversation, conversation, distance in time). Classes of calls (line, source) are taken from the
    most specific on; each call joins the nearest group that admits it, each group takes one call of a source.
    """
    near: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for first, second, distance in overlaps:
        near[first].append((second, distance))
        near[second].append((first, distance))
    classes: dict[tuple[int, str], list[Call]] = defaultdict(list)
    for call in calls:
        classes[call.line_order, call.source].append(call)
    group_of: dict[str, _Group] = {}
    for _, members in sorted(classes.items()):
        choices: list[tuple[int, str, str, _Group]] = []
        for call in members:
            nearest: dict[str, tuple[int, _Group]] = {}
            for other, distance in near.get(call.conversation_id, ()):
                group = group_of.get(other)
                if group is not None and group.admits(call):
                    best = nearest.get(group.root)
                    if best is None or distance < best[0]:
                        nearest[group.root] = (distance, group)
            choices += [(distance, call.conversation_id, root, group) for root, (distance, group) in nearest.items()]
        joined: dict[str, _Group] = {}
        filled: set[str] = set()
        for _, conversation_id, root, group in sorted(choices, key=lambda choice: choice[:3]):
            if conversation_id not in joined and root not in filled:
                joined[conversation_id] = group
                filled.add(root)
        for call in members:
            group = joined.get(call.conversation_id) or _Group(call.conversation_id)
            group.add(call)
            group_of[call.conversation_id] = group
    return {conversation_id: group.root for conversation_id, group in group_of.items()}
