"""When something is told: raised once, over once, and again only after the time that was asked for.

Pure functions of what stood, what is seen, and the time; instants are UTC without a zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

_WEEK_DAYS: Final = 7


class AlertNews(StrEnum):
    """What is said of an alert."""

    RAISED = "raised"
    REMINDED = "reminded"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Standing:
    """How an alert stands: since when it is raised, None when it is not, and when it was last told."""

    raised_at: datetime | None = None
    told_at: datetime | None = None


@dataclass(frozen=True)
class Rule:
    """An alert is raised at a value of `raise_at` and above, and over below `clear_at`; `remind_after` None: never."""

    raise_at: float
    clear_at: float
    remind_after: timedelta | None = None


def judge(rule: Rule, standing: Standing, value: float | None, now: datetime) -> tuple[AlertNews | None, Standing]:
    """Return what is to be told of an alert whose value is seen now, and how it stands then.

    A value of None, nothing known, changes nothing. Between both bounds an alert stays as it is.
    """
    if standing.raised_at is None:
        if value is not None and value >= rule.raise_at:
            return AlertNews.RAISED, Standing(now, now)
        return None, standing
    if value is not None and value < rule.clear_at:
        return AlertNews.RESOLVED, Standing(None, now)
    told_at = standing.told_at or standing.raised_at
    if rule.remind_after is not None and now - told_at >= rule.remind_after:
        return AlertNews.REMINDED, Standing(standing.raised_at, now)
    return None, standing


def last_due(every: str, at: time, zone: ZoneInfo, now: datetime) -> datetime:
    """Return when a digest was last due: today or before at a local time, of weekly ones on a Monday.

    A time that the clock leaves out or has twice is the first instant at or after it.

    >>> last_due("week", time(8), ZoneInfo("Europe/Helsinki"), datetime(2024, 3, 6, 12))
    datetime.datetime(2024, 3, 4, 6, 0)
    """
    local = now.replace(tzinfo=UTC).astimezone(zone)
    day = local.date()
    step = 1 if every == "day" else _WEEK_DAYS
    if every == "week":
        day -= timedelta(days=day.weekday())
    while True:
        due = datetime.combine(day, at, zone).astimezone(UTC).replace(tzinfo=None)
        if due <= now:
            return due
        day -= timedelta(days=step)
