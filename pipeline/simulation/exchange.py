"""The company's telephone exchange: what it writes about calls into its call records and its queues' log.

The records are those of an Asterisk with all optional columns on. Rows of a call are written when the call ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

from pipeline.simulation.truth import Interaction
from pipeline.simulation.worktime import Calendar

TRUNK: Final = "trunk"
CALL_RECORDS: Final = "asterisk/Master.csv"
QUEUE_LOG: Final = "asterisk/queue_log"
Disposition = Literal["ANSWERED", "NO ANSWER", "BUSY", "FAILED"]
_GARBLED: Final = "\udce4\udcff"  # bytes that are no UTF-8, as telephones send them


@dataclass(eq=False, slots=True)
class Call:
    """One call as the exchange sees it: a linked id, rows of call records, and lines of the queues' log."""

    linked_id: str
    rows: list[str] = field(default_factory=list)
    queue_lines: list[tuple[int, str]] = field(default_factory=list)
    interaction: Interaction | None = None
    ended_at: int = 0


@dataclass(frozen=True, slots=True)
class Side:
    """One channel of a call: its name, its unique id, its account code."""

    channel: str
    unique_id: str
    account: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the rows of one leg share: numbers as shown, the caller's name, and where in the dial plan it is."""

    src: str
    dst: str
    name: str = ""
    context: str = "from-trunk"
    app: str = "Dial"
    data: str = ""


class Exchange:
    """Writes calls. Counters run over all calls, as in one long uptime."""

    def __init__(self, calendar: Calendar, rng: Random) -> None:
        self._calendar = calendar
        self._rng = rng
        self._channels = 0
        self._uniques = 0
        self._sequence = 0
        self.calls: list[Call] = []
        self.loose_queue_lines: list[tuple[int, str]] = []

    def side(self, peer: str, at: int, account: str = "", technology: str = "PJSIP", suffix: str = "") -> Side:
        """Return a new channel. A peer is a trunk, a device, or `201@context` of a Local channel."""
        self._channels += 1
        self._uniques += 1
        if suffix != ";2":
            self._uniques += self._rng.randrange(3)
        return Side(f"{technology}/{peer}-{self._channels:08x}{suffix}", f"{at}.{self._uniques}", account)

    def local_pair(self, peer: str, at: int) -> tuple[Side, Side]:
        """Return the two halves of a Local channel."""
        first = self.side(peer, at, technology="Local", suffix=";1")
        self._uniques += 1
        second = Side(first.channel.replace(";1", ";2"), f"{at}.{self._uniques}")
        return first, second

    def open(self, caller: Side) -> Call:
        call = Call(caller.unique_id)
        self.calls.append(call)
        return call

    def row(
        self,
        call: Call,
        side: Side,
        other: Side | None,
        frame: Frame,
        *,
        start: int,
        answer: int | None,
        end: int,
        disposition: Disposition = "ANSWERED",
    ) -> None:
        """Add a row to a call: one leg, or with no other side a stretch with a menu, queue or voicemail."""
        self._sequence += 1
        stamp = self._calendar.stamp
        clid = f'""{frame.name}"" <{frame.src}>' if frame.name else frame.src
        answered = f'"{stamp(answer)}"' if answer is not None else ""
        billed = end - answer if answer is not None else 0
        call.ended_at = max(call.ended_at, end)
        call.rows.append(
            f'"{side.account}","{frame.src}","{frame.dst}","{frame.context}","{clid}","{side.channel}",'
            f'"{other.channel if other else ""}","{frame.app}","{frame.data}",'
            f'"{stamp(start)}",{answered},"{stamp(end)}",{end - start},{billed},"{disposition}","DOCUMENTATION",'
            f'"{side.unique_id}","",'
            f'"{other.account if other else ""}","{call.linked_id}",{self._sequence}\n'
        )

    def queue_event(self, call: Call | None, at: int, queue: str, agent: str, event: str, *details: object) -> None:
        """Add a line to the queues' log."""
        call_id = call.linked_id if call else "NONE"
        line = f"{at}|{call_id}|{queue}|{agent}|{event}|{'|'.join(map(str, details))}\n"
        (call.queue_lines if call else self.loose_queue_lines).append((at, line))

    def caller_name(self, name: str) -> str:
        """Return what a telephone shows as its owner's name: mostly nothing, now and then rubbish."""
        draw = self._rng.random()
        if draw < 0.7:
            return ""
        return name if draw < 0.999 else name[:3] + _GARBLED

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield both files, and enter each line's place into the evidence of its interaction."""
        lines: list[str] = []
        for call in sorted(self.calls, key=lambda call: (call.ended_at, call.linked_id)):
            if call.interaction is not None:
                places = range(len(lines) + 1, len(lines) + 1 + len(call.rows))
                call.interaction.evidence.extend(f"{CALL_RECORDS}:{place}" for place in places)
            lines.extend(call.rows)
        yield CALL_RECORDS, "".join(lines).encode("utf-8", "surrogateescape")
        entries: list[tuple[int, str, Interaction | None]] = [(at, line, None) for at, line in self.loose_queue_lines]
        entries += [(at, line, call.interaction) for call in self.calls for at, line in call.queue_lines]
        entries.sort(key=lambda entry: entry[0])
        for place, (_, _, interaction) in enumerate(entries, 1):
            if interaction is not None:
                interaction.evidence.append(f"{QUEUE_LOG}:{place}")
        if entries:
            yield QUEUE_LOG, "".join(line for _, line, _ in entries).encode()
