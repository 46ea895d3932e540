"""Times of syslog lines: ISO 8601, or the older form that names neither year nor zone ("Nov 21 20:35:10").

Lines of a log follow each other, so the year of each is that which brings it nearest to the line before it. What
remains is the year of the first: a line in ISO 8601 tells it, as does 29 February to some degree; otherwise the log
is taken to have been read within a year of its latest line. A log that is silent for half a year defies all this.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pipeline.errors import InvalidRecord
from pipeline.sources.local_time import to_utc

_MONTHS: Final = {
    "Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6, "Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11,
    "Dec": 12,
}  # fmt: skip
_DAYS: Final = 366  # every year is counted as one that has a leap day
_DAYS_OF_MONTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAYS_BEFORE: Final = (0, *(sum(_DAYS_OF_MONTHS[:month]) for month in range(12)))
_MEMORY: Final = 1_024
_STAMP: Final = re.compile(
    r"(?:([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d:\d\d:\d\d)|(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^ ]{0,20})) "
).match
_SLACK: Final = timedelta(days=1)
# Leap years are eight years apart at most.
_YEARS_TRIED: Final = 9


class Stamp(NamedTuple):
    """The time of a line as it is written: month, day and clock, and all of it where it names the year."""

    month: int
    day: int
    clock: time
    whole: datetime | None = None


class FirstYear(NamedTuple):
    """The year of a log's first line. `latest`: the year of its latest one where nothing but the reading tells it."""

    year: int
    latest: int | None = None


def split_stamp(line: str) -> tuple[Stamp, str] | None:
    """Return the time of a line and what follows it; None when it does not begin with a time.

    >>> split_stamp("Mar  5 09:00:00 mx postfix/qmgr[7]: A1: removed")
    (Stamp(month=3, day=5, clock=datetime.time(9, 0), whole=None), 'mx postfix/qmgr[7]: A1: removed')
    """
    found = _STAMP(line)
    stamp = None if found is None else _read(found[1], found[2], found[3], found[4])
    return None if found is None or stamp is None else (stamp, line[found.end() :])


@lru_cache(maxsize=_MEMORY)
def _read(month: str | None, day: str | None, clock: str | None, whole: str | None) -> Stamp | None:
    try:
        if whole is not None:
            moment = datetime.fromisoformat(whole)
            return Stamp(moment.month, moment.day, moment.time(), moment)
        stamp = Stamp(_MONTHS[month or ""], int(day or ""), time.fromisoformat(clock or ""))
    except (KeyError, ValueError):
        return None
    return stamp if 1 <= stamp.day <= _DAYS_OF_MONTHS[stamp.month - 1] else None


def first_year(lines: Iterable[tuple[int, str]], zone: ZoneInfo, read_at: datetime) -> FirstYear:
    """Return the year of a log's first line; all of its lines are looked at unless one of them names its year.

    `read_at`: the latest line is not more than a day later.
    """
    count = _YearCount()
    leap_years: set[int] = set()
    latest: tuple[int, Stamp] | None = None
    for _, line in lines:
        found = split_stamp(line)
        if found is None:
            continue
        stamp = found[0]
        year = count.year_of(stamp)
        if stamp.whole is not None:
            return FirstYear(stamp.whole.year - year)
        if (stamp.month, stamp.day) == (2, 29):
            leap_years.add(year)
        if latest is None or (year, stamp) > latest:
            latest = year, stamp
    bound = (read_at if read_at.tzinfo else read_at.replace(tzinfo=UTC)).astimezone(zone).replace(tzinfo=None) + _SLACK
    if latest is None:
        return FirstYear(bound.year)
    turns, stamp = latest
    for tried in range(bound.year, bound.year - _YEARS_TRIED, -1):
        is_past = tried < bound.year or (stamp.month, stamp.day, stamp.clock) <= (bound.month, bound.day, bound.time())
        if is_past and all(calendar.isleap(tried - turns + year) for year in leap_years):
            return FirstYear(tried - turns, tried)
    return FirstYear(bound.year - turns, bound.year)


class SyslogClock:
    """Turns the times of a log's lines into instants, line after line; `year` is that of the first."""

    def __init__(self, year: int, zone: ZoneInfo) -> None:
        self._year = year
        self._zone = zone
        self._count = _YearCount()
        self._before: datetime | None = None
        self._last: Stamp | None = None

    def instant(self, stamp: Stamp) -> datetime:
        """Return the instant of the next line. Of two readings of an hour that comes twice, the line before decides.

        Raises:
            InvalidRecord: when its year has no such day.
        """
        if stamp is self._last and self._before is not None:
            return self._before.replace(tzinfo=UTC)
        year = self._year + self._count.year_of(stamp)
        try:
            if stamp.whole is not None and stamp.whole.tzinfo is not None:
                moment = stamp.whole.astimezone(UTC).replace(tzinfo=None)
            else:
                local = stamp.whole or datetime.combine(datetime(year, stamp.month, stamp.day), stamp.clock)
                moment = to_utc(local, self._zone, self._before)
        except (ValueError, OverflowError):
            raise InvalidRecord("its day does not exist in the year that it must be of; give options.year") from None
        self._before, self._last = moment, stamp
        return moment.replace(tzinfo=UTC)


class _YearCount:
    """Counts how often the year turned, by the days of lines in their order."""

    def __init__(self) -> None:
        self._year = 0
        self._day: int | None = None

    def year_of(self, stamp: Stamp) -> int:
        """Return the year of the next line, counted from that of the first."""
        day = _DAYS_BEFORE[stamp.month] + stamp.day
        if self._day is not None and day != self._day:
            # Whatever brings it nearest: half a year is the farthest that two days of a year can be apart.
            step = day - self._day
            self._year += (step < -_DAYS // 2) - (step > _DAYS // 2)
        self._day = day
        return self._year
