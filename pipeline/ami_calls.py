"""Channel events of calls that go on: kept until a call has ended, and then handed on together.

A talk stands between two events, which may be of two calls when one is transferred into the other. So the events of
an ended call are understood beside all others that are kept, in the order in which they were told.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.ami import Line
from pipeline.received import Placing, place_of_lines

# A call of which nothing is heard for so long is handed on: its end may have been told while nobody listened. What is
# told of it later is still understood by what is kept. Unit: seconds.
QUIET: Final = 3600.0


@dataclass(frozen=True)
class Stretch:
    """Lines of a log with their header, and places for those that are handed on now."""

    content: bytes
    place: Placing


@dataclass
class _Kept:
    line: Line
    is_told: bool = False

    @property
    def call(self) -> str:
        return self.line.event.get("linkedid", "")

    @property
    def channel(self) -> str:
        return self.line.event.get("uniqueid", "")

    @property
    def size(self) -> int:
        return len(self.line.text)


class Calls:
    """The events of calls that go on, and of those whose channels may still be told of. Bounded in memory."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: list[_Kept] = []
        self._size = 0
        self._open: OrderedDict[str, float] = OrderedDict()
        self._ended: set[str] = set()
        self._living: set[str] = set()
        self._due: set[str] = set()

    def hear(self, line: Line, now: float) -> None:
        """Keep an event. `now` in seconds, rising."""
        kept = _Kept(line)
        self._kept.append(kept)
        self._size += kept.size
        self._open[kept.call] = now
        self._open.move_to_end(kept.call)
        match line.event.get("eventname"):
            case "LINKEDID_END":
                self._ended.add(kept.call)
            case "CHAN_END":
                self._living.discard(kept.channel)
            case _:
                self._living.add(kept.channel)
        if not kept.call or kept.call in self._ended:
            self._due.add(kept.call)

    def due(self, now: float, *, everything: bool = False) -> Stretch | None:
        """Return the events of calls that ended, are silent or for which there is no room; None without any.

        `told` has to be called once they are handed on.
        """
        if everything:
            self._due |= self._open.keys()
        self._due |= self._silent(now)
        self._make_room()
        lines = [kept for kept in self._kept if kept.is_told or kept.call in self._due]
        if all(kept.is_told for kept in lines):
            return None
        # Others that are kept change nothing but what they are beside: a transfer names their channels.
        return _stretch(self._kept, [not kept.is_told and kept.call in self._due for kept in self._kept])

    def told(self) -> None:
        """Take note that what was due is handed on, and forget what nothing more is told of."""
        for kept in self._kept:
            kept.is_told |= kept.call in self._due
        for call in self._due:
            self._open.pop(call, None)
        self._due.clear()
        going_on = {kept.call for kept in self._kept if kept.channel in self._living}
        self._keep([kept for kept in self._kept if not kept.is_told or kept.call in going_on])
        self._make_room()

    def _silent(self, now: float) -> set[str]:
        silent: set[str] = set()
        for call, heard_at in self._open.items():
            if now - heard_at < QUIET:
                break
            silent.add(call)
        return silent

    def _make_room(self) -> None:
        """Forget the oldest that were handed on; where that is not enough, hand on the oldest calls."""
        excess = self._size - self._most_bytes
        if excess <= 0:
            return
        left: list[_Kept] = []
        for kept in self._kept:
            if kept.is_told and excess > 0:
                excess -= kept.size
            else:
                left.append(kept)
        for kept in left:
            if excess <= 0:
                break
            if not kept.is_told:
                self._due.add(kept.call)
                excess -= kept.size
        self._keep(left)

    def _keep(self, left: list[_Kept]) -> None:
        self._kept = left
        self._size = sum(kept.size for kept in left)
        self._ended &= {kept.call for kept in left}
        self._living &= {kept.channel for kept in left}


def stretch_of(lines: Sequence[Line]) -> Stretch:
    """Return lines of one header, all of which are handed on."""
    return _stretch([_Kept(line) for line in lines], [True] * len(lines))


def _stretch(kept: Sequence[_Kept], is_due: Sequence[bool]) -> Stretch:
    content = "\n".join((kept[0].line.header, *(each.line.text for each in kept))).encode()
    place = place_of_lines(content)
    # The first line is the header.
    return Stretch(content, lambda written: place(written) if is_due[int(written.partition("#")[0]) - 2] else None)
