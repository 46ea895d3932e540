"""Pieces that the measures of service share: periods made longer, local intervals, shares and spreads."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from pipeline.errors import ConfigurationError
from pipeline.estimate import wilson
from sinks import measures
from sinks.measures import Filters, Query
from sinks.metrics.execution import Row, run
from sinks.store import Store

INTERVALS: Final = ("day", "week", "month")

_QUARTER_US: Final = 900_000_000


def seen_through(store: Store, channel: str) -> datetime | None:
    """Return the start of the last interaction over a channel, UTC without a zone; None without any."""
    sql = "SELECT max(started_at) AS started_at FROM current_interaction WHERE channel = $channel"
    found: datetime | None = run(store, Query(sql, {"channel": channel}))[0]["started_at"]
    return found


def after_last(store: Store, channel: str) -> datetime:
    """Return the first instant after the last interaction that was seen over a channel."""
    return (seen_through(store, channel) or datetime(1970, 1, 1)) + timedelta(microseconds=1)


def with_shares(row: Row, total: int, *names: str) -> Row:
    """Return the share of each count of a row in a total, with its 95 % Wilson interval."""
    found: Row = {}
    for name in names:
        count = row[f"{name}_count"]
        low, high = wilson(count, total) or (None, None)
        found |= {
            f"{name}_share": count / total if total else None,
            f"{name}_share_low": low,
            f"{name}_share_high": high,
        }
    return found


def spread(column: str, condition: str, name: str | None = None) -> str:
    """Return mean, median and 90 % quantile of a column, of the rows that fit."""
    name = name or column
    return (
        f"avg({column}) FILTER ({condition}) AS {name}_mean, "
        f"quantile_cont({column}, 0.5) FILTER ({condition}) AS {name}_median, "
        f"quantile_cont({column}, 0.9) FILTER ({condition}) AS {name}_p90"
    )


def interval_column(interval: str | None, values: dict[str, object], zone: str) -> str:
    """Return the local interval of `started_at` as a column, its zone put into `values`; without interval nothing.

    Raises:
        ConfigurationError: when the interval is unknown.
    """
    if interval is None:
        return ""
    name = measures.known(interval, INTERVALS, "interval")
    values["zone"] = zone
    # A quarter of an hour is what the expression of an interval is made of.
    expression = measures.TEMPORAL[name].replace("quarter", f"(epoch_us(started_at) // {_QUARTER_US})")
    return f"{expression} AS {name},"


def grouped(interval: str | None) -> str:
    """Return the end of a query that has the column of the interval, or nothing."""
    return f"GROUP BY {interval} ORDER BY {interval}" if interval else ""


def between(filters: Filters) -> tuple[str, dict[str, object]]:
    """Return the period as further conditions, with their values."""
    return around(filters, timedelta(0), timedelta(0), prefix="")


def around(
    filters: Filters, before: timedelta, after: timedelta, prefix: str = "around_"
) -> tuple[str, dict[str, object]]:
    """Return the period, made longer at both ends, as further conditions with their values, named with the prefix.

    Raises:
        ConfigurationError: when it ends before it begins.
    """
    measures.condition(filters.since, filters.until)
    conditions, values = "", dict[str, object]()
    if filters.since is not None:
        conditions += f" AND started_at >= ${prefix}since::TIMESTAMP"
        values[f"{prefix}since"] = filters.since - before
    if filters.until is not None:
        conditions += f" AND started_at < ${prefix}until::TIMESTAMP"
        values[f"{prefix}until"] = filters.until + after
    return conditions, values


def check_lengths(*lengths: timedelta) -> None:
    """Refuse lengths of time that are negative.

    Raises:
        ConfigurationError: when one is.
    """
    for length in lengths:
        if length < timedelta(0):
            raise ConfigurationError(f"a length of {length} makes no sense; expected 0 or more")
