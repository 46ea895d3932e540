"""How long after a conversation its trace is logged, and which recent days are not settled therefore."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pipeline.errors import ConfigurationError
from pipeline.estimate import wilson
from pipeline.settling import arrived_shares
from sinks import measures
from sinks.measures import Filters, Query
from sinks.metrics.execution import Row, run
from sinks.store import Store

HOURS: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 24.0, 36.0, 48.0, 60.0, 72.0)
_ALL: Final = Filters()
_QUANTILES: Final = {"p10": 0.1, "p25": 0.25, "median": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99}
# Delays are looked at in steps of a quarter of an hour.
_STEP: Final = timedelta(minutes=15)
_STEP_US: Final = 900_000_000


def delays_query(by: Sequence[str] = (), filters: Filters = _ALL) -> Query:
    """Return the query of the delays of traces: one row per group of the dimensions.

    Raises:
        ConfigurationError: when a dimension is unknown or one of time, or a filter is unknown.
    """
    names = tuple(dict.fromkeys(measures.known(name, tuple(measures.PLAIN), "dimension") for name in by))
    where, values = _of_traces(filters)
    groups = [f"{measures.PLAIN[name]} AS {name}" for name in names]
    order = f" ORDER BY {', '.join(f'{name} NULLS LAST' for name in names)}" if names else ""
    found = [
        "count(*) AS traced_count",
        "count(*) FILTER (trace_delay_seconds < 0) AS early_count",
        "avg(trace_delay_seconds) AS delay_seconds_mean",
        f"quantile_cont(trace_delay_seconds, {list(_QUANTILES.values())}) AS quantiles",
    ]
    parts = [f"quantiles[{n}] AS delay_seconds_{name}" for n, name in enumerate(_QUANTILES, 1)]
    return Query(
        f"SELECT * EXCLUDE (quantiles), {', '.join(parts)} FROM "
        f"(SELECT {', '.join([*groups, *found])} FROM current_interaction{where} GROUP BY ALL){order}",
        values,
    )


def delays(store: Store, by: Sequence[str] = (), filters: Filters = _ALL) -> list[Row]:
    """Return the distribution of logging delays: one row per group, without dimensions one row.

    The delay of a trace is from the end of its interaction to its logging, in seconds, negative when it was logged
    before: `early_count` of them. `delay_seconds_mean`, `_p10`, `_p25`, `_median`, `_p75`, `_p90`, `_p99` are None
    without a trace. Traces of the last days that are still to come are missing: end the period at the first unsettled
    day.

    Raises:
        ConfigurationError: when a dimension is unknown or one of time, or a filter is unknown.
    """
    return run(store, delays_query(by, filters))


def curve_query(filters: Filters = _ALL) -> Query:
    """Return the query of how many traces were logged by each minute after the end; the minute is rounded up."""
    where, values = _of_traces(filters)
    return Query(
        "SELECT ceil(trace_delay_seconds / 60)::BIGINT AS minute, count(*) AS traced_count "
        f"FROM current_interaction{where} GROUP BY ALL ORDER BY minute",
        values,
    )


def curve(store: Store, hours: Sequence[float] = HOURS, filters: Filters = _ALL) -> list[Row]:
    """Return the cumulative delay: one row for each of the hours after the end, in their order.

    `logged_share` of all traces had been logged by then: `logged_count` of `traced_count`, with its 95 % interval;
    None without a trace. Hours count to the minute.
    """
    return curve_of([(row["minute"], row["traced_count"]) for row in run(store, curve_query(filters))], hours)


def curve_of(minutes: Sequence[tuple[int, int]], hours: Sequence[float] = HOURS) -> list[Row]:
    """Return the cumulative delay as `curve` does, from counts of traces by the minute in which they were logged."""
    total = sum(count for _, count in minutes)
    rows: list[Row] = []
    for hour in hours:
        logged = sum(count for minute, count in minutes if minute <= hour * 60)
        low, high = wilson(logged, total) or (None, None)
        rows.append(
            {
                "hours": hour,
                "logged_count": logged,
                "traced_count": total,
                "logged_share": logged / total if total else None,
                "logged_share_low": low,
                "logged_share_high": high,
            }
        )
    return rows


# -- which days are settled --------------------------------------------------------------------------------------------


def complete_through(store: Store) -> datetime | None:
    """Return until when all CRM sources have been read, UTC without a zone; None without any."""
    reached = "SELECT max(complete_through) AS reached FROM feed_progress GROUP BY source"
    found: datetime | None = run(store, Query(f"SELECT min(reached) AS reached FROM ({reached})"))[0]["reached"]
    return found


def arrivals_query(as_of: datetime, longest: timedelta, learned: timedelta, filters: Filters = _ALL) -> Query:
    """Return the query of traces by age and delay in steps, of interactions that ended in the time `learned` before.

    Ages are at most `longest`; `filters` count without their period.
    """
    where, values = measures.condition(None, None, filters.values)
    age = f"least((epoch_us($as_of::TIMESTAMP) - epoch_us(ended_at)) // {_STEP_US}, $longest::BIGINT)"
    return Query(
        f"SELECT {age} AS age, greatest(ceil(trace_delay_seconds * 1000000 / {_STEP_US}), 0)::BIGINT AS delay, "
        f"count(*) AS traced_count FROM current_interaction{where}{' AND' if where else ' WHERE'} outcome = 'traced' "
        "AND trace_delay_seconds IS NOT NULL AND ended_at >= $from::TIMESTAMP AND ended_at < $as_of::TIMESTAMP "
        "GROUP BY ALL",
        {**values, "as_of": as_of, "from": as_of - learned, "longest": longest // _STEP},
    )


def days_query(
    as_of: datetime, since: datetime, until: datetime | None, longest: timedelta, zone: str, filters: Filters = _ALL
) -> Query:
    """Return the query of interactions by local day of their start and by age in steps; of `filters` the values count.

    Of what ended after `as_of` the age is negative. A trace counts when it was logged by `as_of`.
    """
    where, values = measures.condition(since, until, filters.values)
    logged = "epoch_us(ended_at) + trace_delay_seconds * 1000000 <= epoch_us($as_of::TIMESTAMP)"
    inner = (
        f"SELECT epoch_us(started_at) // {_STEP_US} AS quarter, "
        f"least((epoch_us($as_of::TIMESTAMP) - epoch_us(ended_at)) // {_STEP_US}, $longest::BIGINT) AS age, "
        "count(*) AS interaction_count, count(*) FILTER (outcome = 'pending') AS pending_count, "
        f"count(*) FILTER (outcome = 'traced' AND coalesce({logged}, true)) AS traced_count "
        f"FROM current_interaction{where} GROUP BY ALL"
    )
    counts = ", ".join(f"sum({name}_count)::BIGINT AS {name}_count" for name in ("interaction", "pending", "traced"))
    return Query(
        f"SELECT {measures.TEMPORAL['day']} AS day, age, {counts} FROM ({inner}) GROUP BY ALL ORDER BY day, age",
        {**values, "as_of": as_of, "longest": longest // _STEP, "zone": zone},
    )


def settling(
    store: Store,
    as_of: datetime | None = None,
    *,
    days: int = 14,
    longest: timedelta = timedelta(hours=72),
    learned: timedelta = timedelta(days=56),
    settled_from: float = 0.95,
    zone: str | None = None,
    filters: Filters = _ALL,
) -> list[Row]:
    """Return how far each of the last local days is settled: one row per day that has interactions, in order.

    `as_of` is the instant of looking, UTC without a zone; what the CRM's sources have not reached is not known, so it
    is at most that, and that when it is not given. Columns: `day`; `interaction_count`, `traced_count` by `as_of` and
    `pending_count`; `settled_share`, the expected part of the day's traces that has been logged by now;
    `expected_bypass_share`, the share once all are logged; `is_settled`: the settled share is at least `settled_from`,
    and no more than the rest of the interactions are pending. Shares are None where nothing is known of the delays.

    Reporting delays are truncated on the right: of recent interactions only traces with short delays can be there. The
    distribution of delays up to `longest` comes from the last `learned`, see `pipeline.settling.arrived_shares`; each
    interaction of a day counts with what that gives for its age. It assumes that people log as fast as they did. Of
    `filters` the period is not used.

    Raises:
        ConfigurationError: when a filter or the zone is unknown, or a length is not positive.
    """
    if days < 1 or longest < _STEP or learned < longest:
        raise ConfigurationError(
            f"{days} days, delays of up to {longest} learned from {learned}; expected at least 1 day, 15 minutes, and "
            "to learn from no less than the longest delay"
        )
    name = measures.checked_zone(zone or measures.zone_of(store))
    reached = complete_through(store)
    if reached is None:
        last = run(store, Query("SELECT max(started_at) AS started_at FROM current_interaction"))[0]["started_at"]
        moment, until, traces = last or datetime(1970, 1, 1), None, []
    else:
        moment = reached if as_of is None else min(as_of, reached)
        # Looking back, nothing has happened since. The feed of today may have been overtaken by the conversations.
        until = moment if moment < reached else None
        traces = run(store, arrivals_query(moment, longest, learned, filters))
    shares = arrived_shares({(row["age"], row["delay"]): row["traced_count"] for row in traces}, longest // _STEP)
    by_day: dict[str, list[Row]] = defaultdict(list)
    # At midnight the last day is the one that has just ended.
    begin = _days_before(moment - timedelta(microseconds=1), days - 1, ZoneInfo(name))
    for row in run(store, days_query(moment, begin, until, longest, name, filters)):
        by_day[row["day"]].append(row)
    return [_settled(day, ages, shares, settled_from) for day, ages in by_day.items()]


def first_unsettled_day(rows: Sequence[Row]) -> str | None:
    """Return the first day of `settling` from which on the share is not to be believed; None when all are settled."""
    return next((row["day"] for row in rows if not row["is_settled"]), None)


def _settled(day: str, ages: Sequence[Row], shares: Sequence[float] | None, settled_from: float) -> Row:
    counts = {name: sum(row[name] for row in ages) for name in ("interaction_count", "traced_count", "pending_count")}
    total, traced, pending = counts.values()
    settled = expected = None
    if shares is not None:
        settled = sum(row["interaction_count"] * shares[row["age"]] for row in ages if row["age"] >= 0) / total
        expected = 1 - min(1.0, traced / settled / total) if settled else None
    return {
        "day": day,
        **counts,
        "settled_share": settled,
        "expected_bypass_share": expected,
        "is_settled": settled is not None and settled >= settled_from and pending <= (1 - settled_from) * total,
    }


def _days_before(moment: datetime, days: int, zone: ZoneInfo) -> datetime:
    """Return the first instant of the local day so many days before that of a moment; both UTC without a zone."""
    day = moment.replace(tzinfo=UTC).astimezone(zone).date() - timedelta(days=days)
    return datetime.combine(day, time.min, zone).astimezone(UTC).replace(tzinfo=None)


def _of_traces(filters: Filters) -> tuple[str, dict[str, object]]:
    where, values = measures.condition(filters.since, filters.until, filters.values)
    return f"{where}{' AND' if where else ' WHERE'} outcome = 'traced' AND trace_delay_seconds IS NOT NULL", values
