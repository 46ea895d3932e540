"""The gist of a period: its share, how that changed, what leaks most and what makes it doubtful."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sinks import measures, silent
from sinks.measures import Filters
from sinks.metrics import delay, split
from sinks.metrics.comparing import days_with_interactions, settled_change, unsettled_from
from sinks.store import Store

LEAKS: Final = 3

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Gist:
    """What is said of a period in a few lines. Rows are those of `split.share`; days are local and both included.

    `change` is that of the days `compared`, which are settled, against as many before them; None where there are none.
    `leaks`: the groups by team and channel that leave most without a trace for sure, the worst first.
    """

    wanted: Mapping[str, tuple[str, ...]]
    first_day: date | None
    last_day: date | None
    overall: Row
    change: Row | None
    compared: tuple[date, date] | None = None
    unsettled_from: date | None
    leaks: Sequence[Row]
    warnings: Sequence[str]
    complete_through: datetime | None


def gist(store: Store, filters: Filters, groups: Sequence[Row] | None = None) -> Gist:
    """Return the gist of the interactions that fit; `groups`: their share by team and channel, where it is known.

    Raises:
        ConfigurationError: when a filter is unknown, or the period ends before it begins.
    """
    zone = ZoneInfo(measures.zone_of(store))
    (overall,) = split.share(store, (), None, filters)
    first, last = days_with_interactions(store, zone, filters)
    found = settled_change(store, zone, filters)
    if groups is None:
        groups = split.share(store, ("team", "channel"), None, filters)
    return Gist(
        wanted={name: tuple(values) for name, values in filters.values.items()},
        first_day=first,
        last_day=last,
        overall=overall,
        change=None if found is None else found.row,
        compared=None if found is None else found.days,
        unsettled_from=unsettled_from(store, filters, last),
        leaks=[row for row in split.ranked(groups) if row["siloed_count"] + row["bypassed_count"]][:LEAKS],
        warnings=silent.warnings(store, zone, filters.since, filters.until),
        complete_through=delay.complete_through(store),
    )
