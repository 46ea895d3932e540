"""The change of the share against the time before, of settled days alone: pages, reports and digests tell it alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sinks import measures
from sinks.measures import Filters
from sinks.metrics import delay, split
from sinks.store import Store

_WEEK: Final = timedelta(days=7)
_MOST_WEEKS: Final = 4

Row = dict[str, Any]


@dataclass(frozen=True)
class Changed:
    """A row of `split.change`, and the local days that it is about, both included."""

    row: Row
    days: tuple[date, date]


def settled_change(store: Store, zone: ZoneInfo, filters: Filters) -> Changed | None:
    """Return how the share of the settled part of a period differs from the time before; None when nothing is known.

    Raises:
        ConfigurationError: when a filter is unknown, or the period ends before it begins.
    """
    first, last = days_with_interactions(store, zone, filters)
    compared = _compared(zone, filters, first, last, unsettled_from(store, filters, last))
    row = None if compared is None else _change(store, zone, compared)
    return None if compared is None or row is None else Changed(row, _days_of(zone, compared))


def days_with_interactions(store: Store, zone: ZoneInfo, filters: Filters) -> tuple[date | None, date | None]:
    """Return the local days of the first and the last interaction that fits; None without any."""
    where, values = measures.condition(filters.since, filters.until, filters.values)
    (found,) = store.rows(
        f"SELECT min(started_at) AS first, max(started_at) AS last FROM current_interaction{where}", values
    )
    if found["first"] is None:
        return None, None
    return measures.in_zone(found["first"], zone).date(), measures.in_zone(found["last"], zone).date()


def unsettled_from(store: Store, filters: Filters, last: date | None) -> date | None:
    """Return from which day on a period that ends with one is not settled; None when all of it is."""
    found = delay.first_unsettled_day(delay.settling(store, filters=filters))
    first = None if found is None else date.fromisoformat(found)
    return first if first is not None and last is not None and first <= last else None


def _compared(
    zone: ZoneInfo, filters: Filters, first: date | None, last: date | None, unsettled: date | None
) -> Filters | None:
    """Return the settled time whose share may be compared with the time before it; None without any.

    Of unsettled days only what was logged at once is decided, so they would look better than what they are compared
    with. Without a period these are the last whole weeks, at most half of those that there are; a period that ends
    unsettled is cut, to whole weeks where it has one, so that a Monday meets a Monday.
    """
    if first is None or last is None or last == date.max:
        return None
    end = unsettled or last + timedelta(days=1)
    if filters.since is None or filters.until is None:
        monday = end - timedelta(days=end.weekday())
        weeks = (monday - first) // _WEEK
        count = min(_MOST_WEEKS, weeks // 2)
        return _between(zone, filters, _midnight(monday - count * _WEEK), _midnight(monday)) if count > 0 else None
    if unsettled is None:
        return filters
    begin = measures.in_zone(filters.since, zone).replace(tzinfo=None)
    length = _midnight(end) - begin
    length = length // _WEEK * _WEEK or length
    return _between(zone, filters, begin, begin + length) if length > timedelta(0) else None


def _between(zone: ZoneInfo, filters: Filters, begin: datetime, end: datetime) -> Filters:
    """Return the same filters from one local time to another."""
    since, until = (moment.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None) for moment in (begin, end))
    return replace(filters, since=since, until=until)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min)


def _days_of(zone: ZoneInfo, filters: Filters) -> tuple[date, date]:
    assert filters.since is not None
    assert filters.until is not None
    last = filters.until - timedelta(microseconds=1)
    return measures.in_zone(filters.since, zone).date(), measures.in_zone(last, zone).date()


def _change(store: Store, zone: ZoneInfo, filters: Filters) -> Row | None:
    """Return the change against the time before; None where the records do not reach back to its first day."""
    assert filters.since is not None
    assert filters.until is not None
    begin, _ = split.previous_period(filters.since, filters.until, zone)
    first, _ = days_with_interactions(store, zone, Filters())
    if first is None or first > measures.in_zone(begin, zone).date():
        return None
    (row,) = split.change(store, (), filters)
    return row if row["bypass_share_change"] is not None else None
