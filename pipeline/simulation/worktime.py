"""Working days and the hours people keep, in the company's local time."""

from __future__ import annotations

import math
from bisect import bisect
from datetime import date, datetime, time, timedelta
from itertools import accumulate
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = ZoneInfo("Europe/Helsinki")
DAY: Final = 86400
MINUTE: Final = 60
HOUR: Final = 3600

# Relative traffic per half hour from 8:00 on: a peak before and a smaller one after lunch.
_PROFILE: Final = tuple(accumulate((3, 5, 8, 9, 10, 9, 7, 5, 5, 6, 8, 8, 7, 6, 5, 3, 1)))


def poisson(rng: Random, mean: float) -> int:
    """Return a random count with a mean."""
    if mean <= 0:
        return 0
    if mean > 60:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def long_tailed(rng: Random, median: float, spread: float, low: float, high: float) -> int:
    """Return a random length with many short and few very long ones, between bounds. Unit: as given."""
    return round(min(high, max(low, median * math.exp(rng.gauss(0, spread)))))


class Calendar:
    """The simulated days. An instant is whole seconds of UTC since 1970; `day` counts from 0.

    Local times are right from 5:00 on every day: nothing happens in the hour that a change of clocks repeats.
    """

    def __init__(self, start: date, days: int) -> None:
        self.start = start
        self.days = days
        self._first = start.toordinal()
        self._offsets: dict[int, int] = {}
        self._texts: dict[int, str] = {}
        self._minutes: dict[int, str] = {}

    @property
    def begins_at(self) -> int:
        return self.midnight(0)

    @property
    def ends_at(self) -> int:
        return self.midnight(self.days)

    def midnight(self, day: int) -> int:
        """Return the instant at which a day begins."""
        local = datetime.combine(self.date(day), time(), ZONE)
        return int(local.timestamp())

    def date(self, day: int) -> date:
        return self.start + timedelta(days=day)

    def at(self, day: int, seconds: float) -> int:
        """Return the instant at a local time of day, given in seconds since midnight."""
        ordinal = self._first + day
        return (ordinal - _EPOCH_ORDINAL) * DAY + int(seconds) - self._offset(ordinal)

    def day_of(self, instant: int) -> int:
        ordinal = (instant + 2 * HOUR) // DAY + _EPOCH_ORDINAL
        return (instant + self._offset(ordinal)) // DAY + _EPOCH_ORDINAL - self._first

    def offset(self, instant: int) -> int:
        """Return the local clock's lead over UTC. Unit: seconds."""
        return self._offset((instant + 2 * HOUR) // DAY + _EPOCH_ORDINAL)

    def time_of_day(self, instant: int) -> int:
        """Return the local seconds since midnight."""
        return (instant + self.offset(instant)) % DAY

    def is_workday(self, day: int) -> bool:
        return self.date(day).weekday() < 5

    def is_saturday(self, day: int) -> bool:
        return self.date(day).weekday() == 5

    def next_workday(self, day: int) -> int:
        day += 1
        while not self.is_workday(day):
            day += 1
        return day

    def busy_time(self, rng: Random) -> float:
        """Return a time of day at which traffic comes. Unit: seconds since midnight."""
        slot = bisect(_PROFILE, rng.random() * _PROFILE[-1])
        return 8 * HOUR + (slot + rng.random()) * 30 * MINUTE

    def stamp(self, instant: int) -> str:
        """Return the local time as the exchange writes it: 2025-10-06 09:15:01, without a zone."""
        minute, seconds = divmod(instant, MINUTE)
        text = self._minutes.get(minute)
        if text is None:
            local = instant + self.offset(instant)
            day = self._date_text(local // DAY + _EPOCH_ORDINAL)
            text = self._minutes[minute] = f"{day} {local % DAY // HOUR:02d}:{local // MINUTE % 60:02d}"
        return f"{text}:{seconds:02d}"

    def utc_date(self, instant: int) -> str:
        """Return the date in UTC: 2025-10-06."""
        ordinal = instant // DAY + _EPOCH_ORDINAL
        return self._date_text(ordinal)

    def utc(self, instant: int) -> str:
        """Return the time in UTC: 2025-10-06T06:15:01Z."""
        return f"{self._utc_body(instant)}Z"

    def salesforce(self, instant: int) -> str:
        """Return the time as Salesforce's Data Loader writes it: 2025-10-06T06:15:01.000+0000."""
        return f"{self._utc_body(instant)}.000+0000"

    def _utc_body(self, instant: int) -> str:
        seconds = instant % DAY
        return f"{self.utc_date(instant)}T{seconds // HOUR:02d}:{seconds // MINUTE % 60:02d}:{seconds % 60:02d}"

    def _date_text(self, ordinal: int) -> str:
        text = self._texts.get(ordinal)
        if text is None:
            text = self._texts[ordinal] = date.fromordinal(ordinal).isoformat()
        return text

    def _offset(self, ordinal: int) -> int:
        offset = self._offsets.get(ordinal)
        if offset is None:
            noon = datetime.combine(date.fromordinal(ordinal), time(12), ZONE)
            offset = self._offsets[ordinal] = int(noon.utcoffset().total_seconds())  # type: ignore[union-attr]
        return offset


_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
