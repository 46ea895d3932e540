"""How far event time has come, lane by lane; a lane is a partition of a raw topic, such as "raw.calls/0".

Ingest reads lanes unevenly when it catches up: one fetch of a topic with few records covers months, one of a busy topic
hours. The latest event time of all would then close time over facts that are still to be read. So the slowest lane
counts, of those that were heard of within the last minute; and what they propose counts when it has stood for a minute,
because a lane may be silent at first: another worker begins later, or all lanes were silent while ingest was down.

All time here is the log's: when facts messages were written. No clock is asked, so every reader finds the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

# Where each kind of facts says when the thing happened.
EVENT_TIMES: Final = {"observation": "started_at", "activity": "logged_from"}
# The lane of messages that tell of none, which an earlier version wrote.
UNNAMED: Final = ""

_EPOCH: Final = datetime(1970, 1, 1)
# What is dated later than this after it was written says nothing of how far time has come.
# Unit of this and all below: milliseconds.
_AHEAD: Final = 24 * 3_600_000
# A lane that was not heard of for so long holds nothing back; and so long a proposal has to stand.
_PATIENCE: Final = 60_000
_BETWEEN_PROPOSALS: Final = 10_000
# Between two messages not more than this counts: while all are silent, nothing is learnt of any lane.
_LONGEST_SILENCE: Final = 10_000
_FORGOTTEN: Final = 24 * 3_600_000


@dataclass(frozen=True)
class LaneReach:
    """What one facts message tells: the latest event time of each lane it has facts of, in microseconds since 1970."""

    written_at_ms: int
    reached: Mapping[str, int]


@dataclass(frozen=True)
class Lane:
    """The latest event time of a lane, in microseconds since 1970, and when it was last heard of."""

    reached: int
    heard_ms: int


@dataclass(frozen=True)
class Lanes:
    """What is known of all lanes after some message. `watermark`: up to then no more facts are expected; only forward.

    `clock_ms` is time of the log since the first message, silences left out. `proposals` wait, the oldest first: since
    when, and the earliest that the slowest lane stood at since then.
    """

    watermark: datetime | None = None
    clock_ms: int = 0
    written_at_ms: int | None = None
    lanes: Mapping[str, Lane] = field(default_factory=dict)
    proposals: tuple[tuple[int, int], ...] = ()

    def after(self, told: LaneReach) -> Lanes:
        """Return what is known after the next message."""
        passed = 0 if self.written_at_ms is None else told.written_at_ms - self.written_at_ms
        clock = self.clock_ms + min(max(0, passed), _LONGEST_SILENCE)
        lanes = {name: lane for name, lane in self.lanes.items() if clock - lane.heard_ms <= _FORGOTTEN}
        for name, reached in told.reached.items():
            before = lanes.get(name)
            if told.written_at_ms <= 0 or reached <= 1_000 * (told.written_at_ms + _AHEAD):
                lanes[name] = Lane(max(reached, before.reached) if before else reached, clock)
            elif before:
                lanes[name] = Lane(before.reached, clock)
        slowest = min((lane.reached for lane in lanes.values() if clock - lane.heard_ms <= _PATIENCE), default=None)
        proposals = list(self.proposals)
        if slowest is not None:
            proposals = [(since, min(earliest, slowest)) for since, earliest in proposals]
            if not proposals or clock - proposals[-1][0] >= _BETWEEN_PROPOSALS:
                proposals.append((clock, slowest))
        watermark = self.watermark
        while proposals and clock - proposals[0][0] >= _PATIENCE:
            stood = instant_of(proposals.pop(0)[1])
            watermark = stood if watermark is None else max(watermark, stood)
        return Lanes(watermark, clock, told.written_at_ms, lanes, tuple(proposals))

    def to_json(self) -> dict[str, Any]:
        """Return all but the watermark as JSON has it."""
        return {
            "clock_ms": self.clock_ms,
            "written_at_ms": self.written_at_ms,
            "lanes": {name: [lane.reached, lane.heard_ms] for name, lane in self.lanes.items()},
            "proposals": [list(proposal) for proposal in self.proposals],
        }

    @staticmethod
    def from_json(said: Mapping[str, Any] | None, watermark: datetime | None) -> Lanes:
        """Return what `to_json` was given; when nothing was said, as an earlier version did, only the watermark."""
        if said is None:
            return Lanes(watermark)
        return Lanes(
            watermark,
            said["clock_ms"],
            said["written_at_ms"],
            {name: Lane(reached, heard_ms) for name, (reached, heard_ms) in said["lanes"].items()},
            tuple((since, earliest) for since, earliest in said["proposals"]),
        )


def latest(tables: Mapping[str, pa.Table], written_at_ms: int = 0) -> int | None:
    """Return the latest event time of facts by kind that is believed; without a time of writing (0) each is.

    Unit: microseconds since 1970.
    """
    bound = _EPOCH + timedelta(milliseconds=written_at_ms + _AHEAD) if written_at_ms > 0 else datetime.max
    found = []
    for kind, column in EVENT_TIMES.items():
        if kind in tables:
            times = tables[kind][column]
            time = pc.max(times).as_py()
            if time is not None and time > bound:
                time = pc.max(times.filter(pc.less_equal(times, pa.scalar(bound, times.type)))).as_py()
            found.append(time)
    return max((_microseconds(time) for time in found if time is not None), default=None)


def instant_of(reached: int) -> datetime:
    """Return an instant given in microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=reached)


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)
