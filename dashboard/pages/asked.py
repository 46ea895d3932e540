"""What a page is asked for, as it stands in its address: a period in local days, filters, and what to divide by."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from pipeline.errors import ConfigurationError
from sinks import measures
from sinks.measures import DIMENSIONS, FILTERS, PERSONAL, Filters

USUAL_DAYS: Final = 28
WHOLE: Final = "all"
_MOST_BY_DAY: Final = 62
_MOST_BY_WEEK: Final = 730
_MOST_VALUES: Final = 50
_LONGEST: Final = 200
_FIRST: Final = date(1900, 1, 1)
_LAST: Final = date(2999, 12, 31)


@dataclass(frozen=True)
class Asked:
    """What is asked: days both included, None where open; `values` are filters as of `measures.Filters`."""

    since: date | None = None
    through: date | None = None
    is_whole: bool = False
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by: tuple[str, ...] = ()

    @classmethod
    def read(cls, parameters: Iterable[tuple[str, str]]) -> Asked:
        """Return what the parameters of an address ask; those of other purposes are passed over.

        Raises:
            ConfigurationError: when a day or a dimension is none, the period ends before it begins, or a person is
                named.
        """
        days: dict[str, date] = {}
        values: dict[str, list[str]] = {}
        by: list[str] = []
        is_whole = False
        for name, value in parameters:
            text = value.strip()
            if name in ("since", "through") and text:
                days[name] = _day(text, name)
            elif name == "period":
                is_whole = text == WHOLE
            elif name == "by" and text:
                by += [measures.known(each, DIMENSIONS, "dimension") for each in text.split(",")]
            elif name in PERSONAL and text:
                raise ConfigurationError(
                    "nobody is named in the question of an address, which browsers and proxies keep; the page of a "
                    "customer is /customers/ID, that of an identifier /identifiers/TOKEN"
                )
            elif name in FILTERS and text:
                values.setdefault(name, []).append(text[:_LONGEST])
        since, through = days.get("since"), days.get("through")
        if since is not None and through is not None and since > through:
            raise ConfigurationError(
                f"the period ends on {through} before it begins on {since}; change one of the days"
            )
        chosen = {name: tuple(dict.fromkeys(each))[:_MOST_VALUES] for name, each in values.items()}
        return cls(since, through, is_whole and not days, chosen, tuple(dict.fromkeys(by)))

    @property
    def has_period(self) -> bool:
        """Return whether a period was asked for, be it all that there is."""
        return self.is_whole or self.since is not None or self.through is not None

    @property
    def day_count(self) -> int | None:
        """Return how many days the period has; None where an end is open."""
        return None if self.since is None or self.through is None else (self.through - self.since).days + 1

    def filters(self, zone: ZoneInfo, limit: int | None = None) -> Filters:
        """Return which interactions are meant."""
        since = None if self.since is None else measures.instant(self.since.isoformat(), zone)
        after = None if self.through is None else self.through + timedelta(days=1)
        until = None if after is None else measures.instant(after.isoformat(), zone)
        return Filters(self.values, since, until, limit)

    def recent(self, last: date, days: int = USUAL_DAYS) -> Asked:
        """Return the same of the days that end with one."""
        return replace(self, since=last - timedelta(days=days - 1), through=last, is_whole=False)

    def of(self, since: date | None, through: date | None) -> Asked:
        """Return the same of another period."""
        return replace(self, since=since, through=through, is_whole=since is None and through is None)

    def only(self, **values: object) -> Asked:
        """Return the same with other values of filters; None stands for no value, an empty tuple for any."""
        chosen = dict(self.values)
        for name, value in values.items():
            if value == ():
                chosen.pop(name, None)
            else:
                each = value if isinstance(value, tuple) else (value,)
                chosen[name] = tuple("none" if one is None else str(one) for one in each)
        return replace(self, values=chosen)

    def divided(self, *by: str) -> Asked:
        """Return the same, divided by other dimensions."""
        return replace(self, by=by)

    def within(self, dimension: str, value: object) -> Asked | None:
        """Return the same of one group of a dimension alone; None where that cannot be chosen."""
        if dimension in FILTERS:
            return self.only(**{dimension: value})
        if value is None or dimension in ("hour", "weekday"):
            return None
        since, through = span(dimension, str(value))
        return self.of(max(since, self.since or since), min(through, self.through or through))

    def parameters(self) -> list[tuple[str, str]]:
        """Return it as parameters of an address."""
        pairs = [("by", name) for name in self.by]
        if self.is_whole:
            pairs.append(("period", WHOLE))
        pairs += [
            (name, day.isoformat())
            for name, day in (("since", self.since), ("through", self.through))
            if day is not None
        ]
        return pairs + [(name, value) for name in FILTERS for value in self.values.get(name, ())]

    def url(self, path: str, **more: object) -> str:
        """Return the address of a page that is asked this, with parameters of its own."""
        pairs = self.parameters() + [(name, str(value)) for name, value in more.items() if value is not None]
        return f"{path}?{urlencode(pairs)}" if pairs else path


def span(interval: str, value: str) -> tuple[date, date]:
    """Return the first and the last day of a day, week or month as `measures.report` names them.

    >>> span("week", "2024-W09"), span("month", "2024-02")[1]
    ((datetime.date(2024, 2, 26), datetime.date(2024, 3, 3)), datetime.date(2024, 2, 29))
    """
    if interval == "day":
        day = date.fromisoformat(value)
        return day, day
    year, part = value.split("-")
    if interval == "week":
        monday = date.fromisocalendar(int(year), int(part.removeprefix("W")), 1)
        return monday, monday + timedelta(days=6)
    first = date(int(year), int(part), 1)
    return first, first.replace(day=monthrange(first.year, first.month)[1])


def interval_of(days: int | None) -> str:
    """Return into which intervals so many days are divided so that a reader can tell them apart; None: any number.

    >>> interval_of(28), interval_of(364), interval_of(None)
    ('day', 'week', 'month')
    """
    if days is None or days > _MOST_BY_WEEK:
        return "month"
    return "day" if days <= _MOST_BY_DAY else "week"


def _day(text: str, name: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{name} is no day; expected one such as 2024-05-31") from None
    if not _FIRST <= day <= _LAST:
        raise ConfigurationError(f"{name} lies outside of {_FIRST.year} to {_LAST.year}; name another day")
    return day
