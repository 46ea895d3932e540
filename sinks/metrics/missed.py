"""Calls of customers that nobody took, and what followed: called back, called again, or lost."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Final

from pipeline.errors import ConfigurationError
from sinks import measures
from sinks.measures import Filters, Query
from sinks.metrics.clauses import (
    INTERVALS,
    after_last,
    around,
    between,
    check_lengths,
    grouped,
    interval_column,
    spread,
    with_shares,
)
from sinks.metrics.execution import Row, run
from sinks.store import Store

FATES: Final = ("called_back", "called_again", "lost", "open", "withheld")

_ALL: Final = Filters()
# Two systems' clocks differ by so much when they saw the same call.
_TOLERANCE: Final = timedelta(seconds=30)


def missed_query(
    as_of: datetime, own_tokens: frozenset[str], filters: Filters = _ALL, within: timedelta = timedelta(days=3)
) -> Query:
    """Return the query of the calls that nobody took, each with what followed; see `missed_calls`.

    Raises:
        ConfigurationError: when there are filters besides the period, or the length is negative.
    """
    check_lengths(within)
    if filters.values:
        raise ConfigurationError(
            f"calls that nobody took have no {', '.join(sorted(filters.values))}; only their period can be chosen"
        )
    legs, leg_values = around(filters, timedelta(hours=1), timedelta(hours=1))
    later, values = around(filters, _TOLERANCE, within, prefix="later_")
    period, period_values = between(filters)
    values |= leg_values | period_values | {
        "own_tokens": sorted(own_tokens), "as_of": as_of, "within": within, "tolerance": _TOLERANCE,
    }  # fmt: skip
    sql = f"""
    WITH own_token AS (
        SELECT unnest($own_tokens::VARCHAR[]) AS token
        UNION SELECT direct_token FROM directory_entry
        UNION SELECT mobile_token FROM directory_entry
    ),
    own_endpoint AS (
        SELECT extension AS endpoint FROM directory_entry WHERE extension IS NOT NULL
        UNION SELECT representative_id FROM directory_entry WHERE representative_id IS NOT NULL
    ),
    leg AS (
        SELECT
            key, source, started_at, from_token,
            coalesce(regexp_full_match(from_endpoint, '[0-9]{{2,6}}'), false)
                OR from_endpoint IN (SELECT endpoint FROM own_endpoint)
                OR from_token IN (SELECT token FROM own_token WHERE token IS NOT NULL) AS from_is_own,
            coalesce(regexp_full_match(to_endpoint, '[0-9]{{2,6}}'), false)
                OR to_endpoint IN (SELECT endpoint FROM own_endpoint)
                OR to_token IN (SELECT token FROM own_token WHERE token IS NOT NULL) AS to_is_own,
            direction
        FROM observation
        SEMI JOIN (SELECT raw_id FROM current_disposition WHERE reason = 'unanswered') AS unanswered USING (raw_id)
        WHERE channel = 'call' AND attempt IS NOT NULL{legs}
    ),
    -- As the engine decides it: where both sides are ours, or neither, the source's own word.
    sided AS (
        SELECT *, CASE WHEN coalesce(from_is_own, false) = coalesce(to_is_own, false)
            THEN coalesce(direction = 'outbound', false) ELSE coalesce(from_is_own, false) END AS is_ours
        FROM leg
    ),
    attempt AS (
        SELECT
            key, min(source) AS source, min(started_at) AS started_at,
            arg_min(from_token, started_at) FILTER (from_token IS NOT NULL AND NOT coalesce(from_is_own, false))
                AS token
        FROM sided
        GROUP BY key
        HAVING NOT arg_min(is_ours, started_at)
    ),
    -- What two systems saw is one call.
    missed AS (
        SELECT key, source, started_at, token FROM attempt
        WHERE started_at < $as_of::TIMESTAMP{period}
        WINDOW calls AS (PARTITION BY token ORDER BY started_at, source, key)
        QUALIFY token IS NULL OR NOT coalesce(
            lag(source) OVER calls <> source AND started_at - lag(started_at) OVER calls <= $tolerance::INTERVAL, false
        )
    ),
    talk AS (
        SELECT interaction_id, token, started_at, direction FROM current_interaction
        SEMI JOIN missed USING (token)
        WHERE channel = 'call' AND started_at < $as_of::TIMESTAMP{later}
    ),
    back AS (
        SELECT missed.*, talk.started_at AS back_at, talk.interaction_id AS back_id
        FROM missed ASOF LEFT JOIN (SELECT * FROM talk WHERE direction = 'outbound') AS talk
            ON talk.token = missed.token AND talk.started_at >= missed.started_at
    ),
    -- A call that another system saw taken began at about the same time.
    again AS (
        SELECT back.*, talk.started_at AS again_at, talk.interaction_id AS again_id
        FROM back ASOF LEFT JOIN (SELECT * FROM talk WHERE direction = 'inbound') AS talk
            ON talk.token = back.token AND talk.started_at >= back.started_at - $tolerance::INTERVAL
    ),
    followed AS (
        SELECT
            *,
            coalesce(back_at <= started_at + $within::INTERVAL, false)
                AND back_at < coalesce(again_at, 'infinity'::TIMESTAMP) AS is_back,
            coalesce(again_at <= started_at + $within::INTERVAL, false) AS is_again
        FROM again
    )
    SELECT
        key, source, started_at, token,
        CASE WHEN token IS NULL THEN 'withheld'
            WHEN is_back THEN 'called_back' WHEN is_again THEN 'called_again'
            WHEN started_at + $within::INTERVAL > $as_of::TIMESTAMP THEN 'open'
            ELSE 'lost' END AS fate,
        started_at + $within::INTERVAL > $as_of::TIMESTAMP AS is_recent,
        CASE WHEN is_back THEN back_id WHEN is_again THEN again_id END AS interaction_id,
        CASE WHEN is_back THEN back_at WHEN is_again THEN again_at END AS followed_at,
        CASE WHEN is_back THEN epoch(back_at - started_at)
            WHEN is_again THEN greatest(epoch(again_at - started_at), 0) END AS followed_seconds
    FROM followed
    """
    return Query(sql, values)


def missed_calls(
    store: Store,
    filters: Filters = _ALL,
    *,
    as_of: datetime | None = None,
    within: timedelta = timedelta(days=3),
    fate: str | None = None,
) -> list[Row]:
    """Return the calls of customers that nobody took, the latest first, each with what followed.

    `fate` is called_back (a representative reached the number `within` the time given), called_again (the customer
    called once more and got through, before anybody called back), lost (neither), open (neither, and the time is not
    over at `as_of`, by default the last call that was seen) or withheld (there is no number to call). Columns: `key`
    of the call, `source`, `started_at`, `token`, `identifier` as it may be shown, `fate`, and `interaction_id`,
    `followed_at`, `followed_seconds` of what followed. Of `filters` the period and the limit count.

    Raises:
        ConfigurationError: when there are other filters, the fate is unknown, or the length is negative.
    """
    query = missed_query(as_of or after_last(store, "call"), _own_tokens(store), filters, within)
    values = dict(query.values)
    where, limit = "", ""
    if fate is not None:
        where, values["fate"] = " WHERE fate = $fate", measures.known(fate, FATES, "fate")
    if filters.limit is not None:
        limit = f" LIMIT {int(filters.limit)}"
    sql = f"""
    WITH chosen AS MATERIALIZED (
        SELECT * FROM ({query.sql}){where} ORDER BY started_at DESC, key{limit}
    ),
    shown AS (
        SELECT token, arg_max(display, rowid) AS display FROM identifier SEMI JOIN chosen USING (token) GROUP BY token
    )
    SELECT
        key, source, started_at, token, shown.display AS identifier, fate, interaction_id, followed_at, followed_seconds
    FROM chosen
    LEFT JOIN shown USING (token)
    ORDER BY started_at DESC, key
    """
    return run(store, Query(sql, values))


def calls_query(missed: Query, filters: Filters = _ALL, *, interval: str | None = None, zone: str = "UTC") -> Query:
    """Return the query of inbound calls that were taken and missed, `missed` being the query of the latter.

    Raises:
        ConfigurationError: when the interval is unknown.
    """
    values = dict(missed.values)
    period, period_values = between(filters)
    values |= period_values
    key = "" if interval is None else measures.known(interval, INTERVALS, "interval")
    column = interval_column(interval, values, zone)
    join = f"FULL JOIN answered USING ({key})" if key else "CROSS JOIN answered"
    counted = ", ".join(
        f"coalesce(missed.{name}, 0) AS {name}"
        for name in ("missed_count", "withheld_count", "open_count", "called_back_count", "called_again_count")
    )
    delays = ("called_back_seconds_mean", "called_back_seconds_median", "called_back_seconds_p90")
    sql = f"""
    WITH missed AS (
        SELECT
            {column}
            count(*) AS missed_count,
            count(*) FILTER (token IS NULL) AS withheld_count,
            count(*) FILTER (token IS NOT NULL AND is_recent) AS open_count,
            count(*) FILTER (fate = 'called_back' AND NOT is_recent) AS called_back_count,
            count(*) FILTER (fate = 'called_again' AND NOT is_recent) AS called_again_count,
            {spread("followed_seconds", "fate = 'called_back' AND NOT is_recent", "called_back_seconds")}
        FROM ({missed.sql})
        {grouped(interval)}
    ),
    answered AS (
        SELECT {column} count(*) AS answered_count FROM current_interaction
        WHERE channel = 'call' AND direction = 'inbound' AND started_at < $as_of::TIMESTAMP{period}
        {grouped(interval)}
    )
    SELECT {f"{key}," if key else ""} coalesce(answered_count, 0) AS answered_count, {counted}, {", ".join(delays)}
    FROM missed {join}{f" ORDER BY {key}" if key else ""}
    """
    return Query(sql, values)


def calls(
    store: Store,
    filters: Filters = _ALL,
    *,
    as_of: datetime | None = None,
    within: timedelta = timedelta(days=3),
    interval: str | None = None,
    zone: str | None = None,
) -> list[Row]:
    """Return how many calls of customers were missed and followed: one row, or one per day, week or month.

    Columns: `answered_count`, conversations of inbound calls; `missed_count`, calls that nobody took, and
    `missed_share` of both together; of the missed, `withheld_count` without a number and `open_count` for which the
    time `within` which somebody calls back is not over; of the others `called_back_count` and `called_back_share`,
    `called_again_count` and `called_again_share` (the customer called once more and got through first) with their 95 %
    intervals, `lost_count`; and `called_back_seconds_mean`, `_median` and `_p90`. See `missed_calls`.

    Raises:
        ConfigurationError: when there are filters besides the period, the interval or zone is unknown, or the length
            is negative.
    """
    name = measures.checked_zone(zone or measures.zone_of(store))
    missed = missed_query(as_of or after_last(store, "call"), _own_tokens(store), filters, within)
    rows = []
    for row in run(store, calls_query(missed, filters, interval=interval, zone=name)):
        judged = row["missed_count"] - row["withheld_count"] - row["open_count"]
        all_calls = row["missed_count"] + row["answered_count"]
        rows.append(
            row
            | {"lost_count": judged - row["called_back_count"] - row["called_again_count"]}
            | with_shares(row, all_calls, "missed")
            | with_shares(row, judged, "called_back", "called_again")
        )
    return rows


def _own_tokens(store: Store) -> frozenset[str]:
    """Return the company's public numbers, as the last run had them."""
    found = store.last_run()
    return frozenset(json.loads(found.settings).get("own_numbers", ())) if found else frozenset()
