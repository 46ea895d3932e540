"""The share divided: by dimensions and interval, against the period before, and by people as far as privacy allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from pipeline.errors import ConfigurationError
from pipeline.estimate import newcombe, wilson
from pipeline.groups import MERGED as MERGED
from pipeline.groups import small_groups
from sinks import measures
from sinks.measures import Filters, Query
from sinks.metrics.execution import Row, run
from sinks.store import Store

INTERVALS: Final = ("hour", "day", "week", "month")
_ALL: Final = Filters()
_CALENDAR: Final = ("day", "week", "month")
_OUTCOMES: Final = ("traced", "siloed", "bypassed", "pending")
_COUNTS: Final = ("interaction_count", *(f"{outcome}_count" for outcome in _OUTCOMES))


def share(
    store: Store,
    by: Sequence[str] = (),
    interval: str | None = None,
    filters: Filters = _ALL,
    zone: str | None = None,
) -> list[Row]:
    """Return the share: one row per interval and group, in their order; without both one row.

    `interval` is hour (of the day), day, week (ISO) or month, in local time, and stands first in each row; intervals
    without an interaction have no row. Columns as of `measures.report`, and those of `levels`.

    Raises:
        ConfigurationError: when a dimension, interval, filter or the zone is unknown.
    """
    first = () if interval is None else (measures.known(interval, INTERVALS, "interval"),)
    rows = measures.report(store, (*first, *by), filters.since, filters.until, zone, filters.values)
    return [row | levels(row) for row in rows]


def levels(row: Row) -> Row:
    """Return the three levels of a row with counts: how many are decided, and which share of them each level has.

    `decided_count` is traced + siloed + bypassed; `traced_share`, `siloed_share` and `bypassed_share` add up to 1 and
    are None where nothing is decided. The bypass share is the last two together.
    """
    decided = sum(row[f"{outcome}_count"] for outcome in _OUTCOMES[:3])
    parts = {f"{name}_share": row[f"{name}_count"] / decided if decided else None for name in _OUTCOMES[:3]}
    return {"decided_count": decided, **parts}


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Return rows of a share with the worst first: by the lower end of the interval, so that small groups do not lead.

    Rows in which nothing is decided come last; equal ones keep their order.
    """
    return sorted(
        rows, key=lambda row: -1.0 if row["bypass_share_low"] is None else row["bypass_share_low"], reverse=True
    )


def previous_period(since: datetime, until: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the period of the same length that ends where this one begins; all UTC without a zone.

    The length is that of the local clock: before a week of local days lies a week of local days, also where the clocks
    were changed in between.

    >>> previous_period(datetime(2024, 3, 30, 22), datetime(2024, 3, 31, 21), ZoneInfo("Europe/Helsinki"))
    (datetime.datetime(2024, 3, 29, 22, 0), datetime.datetime(2024, 3, 30, 22, 0))
    """
    begin, end = (moment.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) for moment in (since, until))
    before = (begin - (end - begin)).replace(tzinfo=zone)
    return before.astimezone(UTC).replace(tzinfo=None), since


def change(store: Store, by: Sequence[str] = (), filters: Filters = _ALL, zone: str | None = None) -> list[Row]:
    """Return the share of a period beside that of the period of the same length before it: one row per group.

    Columns as of `share`; the counts and the share of the period before under `previous_`; and
    `bypass_share_change`, this share minus the previous one, with its 95 % Newcombe interval `bypass_share_change_low`
    and `bypass_share_change_high`, None where either period has nothing decided. A group of either period has its row,
    with counts of 0 where it had nothing. Without dimensions there is one row.

    Raises:
        ConfigurationError: when the period has no begin or end, or a dimension names days, weeks or months: those of
            one period are not those of the other.
    """
    if filters.since is None or filters.until is None:
        raise ConfigurationError("a change needs a period; name its begin and its end (since and until)")
    if calendar := [name for name in by if name in _CALENDAR]:
        raise ConfigurationError(
            f"a change by {calendar[0]} compares nothing: the period before has other ones; ask for the share by it"
        )
    name = measures.checked_zone(zone or measures.zone_of(store))
    since, until = previous_period(filters.since, filters.until, ZoneInfo(name))
    names = tuple(dict.fromkeys(by))
    this = _by_group(share(store, by, None, filters, name), names)
    before = _by_group(share(store, by, None, replace(filters, since=since, until=until), name), names)
    groups = sorted({**this, **before}, key=lambda group: [(value is None, value) for value in group])
    return [
        dict(zip(names, group, strict=True)) | _compared(this.get(group, _NOTHING), before.get(group, _NOTHING))
        for group in groups
    ]


def contact_centre(store: Store, filters: Filters = _ALL) -> list[Row]:
    """Return where contacts happen: one row per function of a team: contact_center, other, None where unknown.

    Columns as of `share`, and `interaction_share`: the part of all interactions, with its 95 % Wilson interval.
    """
    rows = share(store, ("function",), None, filters)
    total = sum(row["interaction_count"] for row in rows)
    found = []
    for row in rows:
        low, high = wilson(row["interaction_count"], total) or (None, None)
        part = {"interaction_share": row["interaction_count"] / total}
        found.append(row | part | {"interaction_share_low": low, "interaction_share_high": high})
    return found


# -- people ------------------------------------------------------------------------------------------------------------


def people_query(filters: Filters = _ALL) -> Query:
    """Return the query of interactions by team.

    Beside the counts stands `representative_count`, how many different ones are behind a row.

    Raises:
        ConfigurationError: when a filter is unknown.
    """
    where, values = measures.condition(filters.since, filters.until, filters.values)
    counts = ", ".join(f"count(*) FILTER (outcome = '{outcome}') AS {outcome}_count" for outcome in _OUTCOMES)
    return Query(
        f"SELECT team, count(DISTINCT representative_id) AS representative_count, "
        f"count(*) AS interaction_count, {counts} FROM current_interaction{where} GROUP BY ALL "
        f"ORDER BY team NULLS LAST",
        values,
    )


def by_team(store: Store, filters: Filters = _ALL, *, minimum_representatives: int = 8) -> list[Row]:
    """Return the share by team, with teams of fewer representatives merged into one row: a small team is a person.

    Those count that talked in the period. A row has `group_count`, 1 or how many teams are merged in it, under the name
    `MERGED`. What has no team stands under None.
    """
    rows = run(store, people_query(filters))
    sizes = {row["team"]: int(row["representative_count"]) for row in rows if row["team"] is not None}
    small = small_groups(sizes, minimum_representatives)
    kept = [row | {"group_count": 1} for row in rows if row["team"] not in small]
    if small:
        merged = [row for row in rows if row["team"] in small]
        sums = {count: sum(row[count] for row in merged) for count in ("representative_count", *_COUNTS)}
        kept.append({"team": MERGED, **sums, "group_count": len(small)})
    return [_with_shares(row) for row in kept]


# -- inside ------------------------------------------------------------------------------------------------------------


def _with_shares(counts: Row) -> Row:
    return counts | measures.shares(counts) | levels(counts)


_NOTHING: Final[Row] = _with_shares(dict.fromkeys(_COUNTS, 0))


def _by_group(rows: Sequence[Row], names: Sequence[str]) -> dict[tuple[object, ...], Row]:
    """Return the columns that measure, by those that name the group."""
    return {
        tuple(row[name] for name in names): {key: value for key, value in row.items() if key not in names}
        for row in rows
    }


def _compared(this: Row, before: Row) -> Row:
    both = [(row["siloed_count"] + row["bypassed_count"], row["decided_count"]) for row in (this, before)]
    low, high = newcombe(*both[0], *both[1]) or (None, None)
    is_known = low is not None
    return {
        **this,
        **{f"previous_{key}": value for key, value in before.items()},
        "bypass_share_change": this["bypass_share"] - before["bypass_share"] if is_known else None,
        "bypass_share_change_low": low,
        "bypass_share_change_high": high,
    }
