"""Who talked with whom for how long: bridge events of a channel event log, followed one after another.

Two channels talk while both are in one bridge. The event that ends their time together - the first of the two to
leave - is the one that carries it, so every second of talk stands in exactly one record.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pipeline.sources.asterisk import party

# Bridges and calls whose end was never logged (a crash, a rotated file) must not pile up.
_REMEMBERED: Final = 100_000
_CALLED_BY: Final = frozenset({"appdial", "appdial2", "appqueue"})


@dataclass(frozen=True, slots=True)
class Member:
    """A channel in a bridge: since when, and what the log says of it."""

    channel: str
    since: datetime
    number: str
    dialled: str
    context: str
    application: str
    unique_id: str
    linked_id: str

    @property
    def is_called(self) -> bool:
        return self.application.lower() in _CALLED_BY

    @property
    def is_first(self) -> bool:
        return bool(self.unique_id) and self.unique_id == self.linked_id


@dataclass(frozen=True, slots=True)
class Talk:
    """A stretch of talk between a caller and a called party."""

    caller: Member
    called: Member
    since: datetime


class Bridges:
    """The bridges that are open at a place in the log."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, dict[str, Member]] = OrderedDict()
        self._linked: OrderedDict[str, str] = OrderedDict()

    def enter(self, bridge: str, member: Member) -> None:
        """Take note that a channel joined a bridge."""
        members = self._open.setdefault(bridge, {})
        members[member.channel] = member
        self._open.move_to_end(bridge)
        if len(self._open) > _REMEMBERED:
            self._open.popitem(last=False)

    def leave(self, bridge: str, channel: str) -> Talk | None:
        """Take note that a channel left a bridge; return the talk that ended by it, None when there was none."""
        members = self._open.get(bridge)
        if members is None:
            return None
        member = members.pop(channel, None)
        if not members:
            del self._open[bridge]
        if member is None or not members:
            return None
        other = min(members.values(), key=lambda candidate: _distance(member, candidate))
        caller, called = (other, member) if _calls(other, member) else (member, other)
        if not party(called.channel).is_real:
            return None  # the other half of a Local channel carries it
        return Talk(caller, called, max(member.since, other.since))

    def note_call(self, unique_id: str, linked_id: str) -> None:
        """Remember which call a channel belongs to."""
        if unique_id and linked_id:
            self._linked[unique_id] = linked_id
            if len(self._linked) > _REMEMBERED:
                self._linked.popitem(last=False)

    def call_of(self, unique_id: str) -> str:
        """Return the linked id of a channel's call; its unique id when the log has not shown another."""
        return self._linked.get(unique_id, unique_id)


def _distance(member: Member, candidate: Member) -> tuple[bool, datetime, str]:
    """In a conference one is paired with the other kind of party first: a device with a trunk."""
    same_kind = party(member.channel).is_device == party(candidate.channel).is_device
    return same_kind, candidate.since, candidate.channel


def _calls(one: Member, other: Member) -> bool:
    """Return whether `one` is the calling side."""
    if one.is_called != other.is_called:
        return other.is_called
    if one.is_first != other.is_first:
        return one.is_first
    return (one.since, one.channel) < (other.since, other.channel)
