"""Local times of a log, turned into UTC.

Logs write the server's wall clock and no offset. Twice a year that is not enough: one hour comes twice and
one does not come at all. What came before the time in question - a channel's epoch, the start of the same
call - decides between the two readings of the hour that comes twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from schemas.facts import INSTANT

# An epoch may be noted a little before or after the clock is read.
_SLACK = timedelta(seconds=120)


class Transition(NamedTuple):
    """A change of a zone's offset: the instant (UTC, naive), and the offset before and after."""

    instant: datetime
    before: timedelta
    after: timedelta

    @property
    def is_backward(self) -> bool:
        return self.after < self.before


def offset_at(zone: ZoneInfo, instant: datetime) -> timedelta:
    """Return the zone's offset from UTC at a naive UTC instant."""
    return instant.replace(tzinfo=UTC).astimezone(zone).utcoffset() or timedelta(0)


@lru_cache(maxsize=4096)
def transitions(zone: ZoneInfo, year: int) -> tuple[Transition, ...]:
    """Return the zone's changes of offset in a UTC year, in order."""
    found = []
    day = datetime(year, 1, 1)
    while day.year == year:
        after = day + timedelta(days=1)
        if offset_at(zone, day) != offset_at(zone, after):
            low, high = day, after
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                if offset_at(zone, middle) == offset_at(zone, day):
                    low = middle
                else:
                    high = middle
            found.append(Transition(high, offset_at(zone, low), offset_at(zone, high)))
        day = after
    return tuple(found)


def to_utc(local: datetime, zone: ZoneInfo, not_before: datetime | None = None) -> datetime:
    """Return the UTC instant (naive) of a local time; of two, the first one that is not before `not_before`.

    A local time that does not exist is read with the offset before the gap.
    """
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC).replace(tzinfo=None)
    if not_before is None or first >= not_before - _SLACK:
        return first
    second = local.replace(tzinfo=zone, fold=1).astimezone(UTC).replace(tzinfo=None)
    return second if second > first else first


def column_to_utc(
    local: pa.Array, zone: ZoneInfo, not_before: Callable[[Sequence[int]], Sequence[datetime | None]]
) -> pa.Array:
    """Return a column of local times as UTC instants; nulls stay null.

    `not_before` is asked for the rows, by number, whose hour comes twice.
    """
    limits = pc.min_max(local)
    low, high = limits["min"].as_py(), limits["max"].as_py()
    if low is None:
        return local
    years = range(max(low.year - 1, 1), min(high.year + 1, 9998) + 1)
    if len(years) > 200:
        return _row_by_row(local, zone, not_before)
    day = timedelta(days=1)
    changes = [
        change
        for year in years
        for change in transitions(zone, year)
        if low - day <= change.instant <= high + day  # no offset is longer than a day
    ]
    start = max(low, datetime.min + 2 * day) - day
    if not changes:
        return pc.subtract(local, _duration(offset_at(zone, start)))
    offsets: Any = _duration(changes[0].before)
    for change in changes:
        threshold = pa.scalar(change.instant + max(change.before, change.after), INSTANT)
        offsets = pc.if_else(pc.greater_equal(local, threshold), _duration(change.after), offsets)
    instants = pc.subtract(local, offsets)
    for change in changes:
        if change.is_backward:
            instants = _settle(instants, local, change, not_before)
    return instants


def _duration(offset: timedelta) -> pa.Scalar:
    return pa.scalar(offset, pa.duration("us"))


def _settle(
    instants: pa.Array,
    local: pa.Array,
    change: Transition,
    not_before: Callable[[Sequence[int]], Sequence[datetime | None]],
) -> pa.Array:
    is_twice = pc.and_(
        pc.greater_equal(local, pa.scalar(change.instant + change.after, INSTANT)),
        pc.less(local, pa.scalar(change.instant + change.before, INSTANT)),
    )
    rows = pc.indices_nonzero(pc.fill_null(is_twice, False)).to_pylist()
    if not rows:
        return instants
    values = instants.to_pylist()
    for row, bound in zip(rows, not_before(rows), strict=True):
        if bound is not None and values[row] < bound - _SLACK:
            values[row] += change.before - change.after
    return pa.array(values, INSTANT)


def _row_by_row(
    local: pa.Array, zone: ZoneInfo, not_before: Callable[[Sequence[int]], Sequence[datetime | None]]
) -> pa.Array:
    """Some row has a year out of this world: the column spans too long to list the changes of offset."""
    bounds = not_before(range(len(local)))

    def convert(value: datetime | None, bound: datetime | None) -> datetime | None:
        if value is None or not 2 <= value.year <= 9997:
            return value
        return to_utc(value, zone, bound)

    return pa.array([convert(value, bound) for value, bound in zip(local.to_pylist(), bounds, strict=True)], INSTANT)
