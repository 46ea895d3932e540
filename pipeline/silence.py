"""When a source was silent that usually is not: the commonest reason of a wrong number.

What is usual is what the source wrote on average in an hour of that kind of day: Monday to Friday, Saturday or Sunday.
The silence itself is part of that average, so that it is found the harder the longer it is, and never invented.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain, pairwise
from statistics import median
from typing import Final

from pipeline.sentences import LocalTime, Name, Sentence, Value, sentence

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)

# Records that a stretch usually has before its emptiness is told. By chance alone a stretch with as many stays empty
# once in 500 million times; records come in bunches, so the bound is wide.
USUAL_COUNT: Final = 20.0
# A day is told when it has less than a third of what its weekday usually has, or more than three times as much.
_FACTOR: Final = 3
_WEEKS: Final = 4
# Where all were silent for less than this it was a holiday, and no source that failed.
_HOLIDAYS: Final = 3 * DAY
_SATURDAY: Final = 5

Stream = tuple[str, str]
"""(source, channel)"""
Hours = Mapping[datetime, int]
"""Records by the local hour in which they began, without zone; hours without any are left out."""


@dataclass(frozen=True)
class Silence:
    """A stretch of local time, half open, without a record. `usual_count` is how many such a stretch usually has.

    `is_general`: no other source has one there either.
    """

    source: str
    channel: str
    since: datetime
    until: datetime
    usual_count: float
    is_general: bool

    @property
    def is_holiday(self) -> bool:
        """Whether it looks like a day on which nobody worked, and not like a source that failed."""
        return self.is_general and self.until - self.since < _HOLIDAYS

    def __str__(self) -> str:
        """Return it as a sentence."""
        return self.sentence

    @property
    def sentence(self) -> Sentence:
        """What a reader is told."""
        values: dict[str, Value] = {
            "source": self.source,
            "channel": Name(self.channel),
            "since": LocalTime(self.since),
            "until": LocalTime(self.until),
            "usual": round(self.usual_count),
        }
        if self.is_general:
            return sentence(
                "%(source)s has no %(channel)s from %(since)s to %(until)s, where there usually are %(usual)s; "
                "nothing else either",
                **values,
            )
        return sentence(
            "%(source)s has no %(channel)s from %(since)s to %(until)s, where there usually are %(usual)s", **values
        )


@dataclass(frozen=True)
class UnusualDay:
    """A day with far fewer or far more records than its weekday usually has."""

    source: str
    channel: str
    day: date
    count: int
    usual_count: float

    def __str__(self) -> str:
        """Return it as a sentence."""
        return (
            f"{self.source} has {self.count:,} of {self.channel} on {self.day:%Y-%m-%d}, a {self.day:%A}; "
            f"usually there are {self.usual_count:,.0f}"
        )


def silences(streams: Mapping[Stream, Hours], since: datetime, until: datetime) -> list[Silence]:
    """Return the silences of a period of local time, half open, in whole hours; the most records missed first."""
    present = {stream: sorted(hours) for stream, hours in streams.items()}
    found = [
        Silence(source, channel, begin, end, usual, _is_empty(present, (source, channel), begin, end))
        for (source, channel), hours in streams.items()
        for begin, end, usual in _empty_stretches(hours, since, until)
    ]
    return sorted(found, key=lambda each: (-each.usual_count, each.source, each.channel, each.since))


def unusual_days(streams: Mapping[Stream, Hours], since: datetime, until: datetime) -> list[UnusualDay]:
    """Return whole days of a period that have records, but a third or three times of the usual; the latest last."""
    found = []
    for (source, channel), hours in streams.items():
        by_day: dict[date, int] = defaultdict(int)
        for hour, count in hours.items():
            by_day[hour.date()] += count
        days = [day for day in _days(since, until) if since <= datetime.combine(day, datetime.min.time())]
        by_weekday: dict[int, list[int]] = defaultdict(list)
        for day in days:
            by_weekday[day.weekday()].append(by_day.get(day, 0))
        for day in days:
            counts, count = by_weekday[day.weekday()], by_day.get(day, 0)
            usual = median(counts)
            is_far = count * _FACTOR < usual or count > usual * _FACTOR
            if count and len(counts) >= _WEEKS and max(usual, count / _FACTOR) >= USUAL_COUNT and is_far:
                found.append(UnusualDay(source, channel, day, count, usual))
    return sorted(found, key=lambda each: (each.day, each.source, each.channel))


def _empty_stretches(hours: Hours, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime, float]]:
    """Yield stretches without a record that usually have many: begin, end, and how many."""
    begin, end = _whole_hour(since), _whole_hour(until - timedelta(microseconds=1)) + HOUR
    present = sorted(hour for hour in hours if begin <= hour < end)
    usual = _usual_rates(hours, present, begin, end)
    edges = chain([begin - HOUR], present, [end])
    for before, after in pairwise(edges):
        if after - before <= HOUR:
            continue
        empty = list(_hours(before + HOUR, after))
        expected = sum(usual[_kind(hour)] for hour in empty)
        if expected >= USUAL_COUNT:
            yield empty[0], after, expected


def _usual_rates(
    hours: Hours, present: Sequence[datetime], begin: datetime, end: datetime
) -> dict[tuple[int, int], float]:
    totals: dict[tuple[int, int], int] = defaultdict(int)
    for hour in present:
        totals[_kind(hour)] += hours[hour]
    days: dict[int, int] = defaultdict(int)
    for day in _days(begin, end):
        days[max(0, day.weekday() - _SATURDAY + 1)] += 1
    rates: dict[tuple[int, int], float] = defaultdict(float)
    for kind, total in totals.items():
        rates[kind] = total / max(1, days[kind[0]])
    return rates


def _kind(hour: datetime) -> tuple[int, int]:
    """Return the kind of day, 0 for Monday to Friday, 1 for Saturday, 2 for Sunday, and the hour."""
    return max(0, hour.weekday() - _SATURDAY + 1), hour.hour


def _is_empty(present: Mapping[Stream, Sequence[datetime]], but: Stream, begin: datetime, end: datetime) -> bool:
    """Return whether no other stream has an hour from `begin` to `end`; of each its hours in order."""
    return not any(
        bisect_left(hours, begin) < bisect_left(hours, end) for stream, hours in present.items() if stream != but
    )


def _whole_hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0)


def _hours(begin: datetime, end: datetime) -> Iterator[datetime]:
    while begin < end:
        yield begin
        begin += HOUR


def _days(since: datetime, until: datetime) -> Iterator[date]:
    day = since.date()
    while datetime.combine(day, datetime.min.time()) < until:
        yield day
        day += DAY
