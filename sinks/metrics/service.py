"""What customers who write get back: answers, and notices that their mail has come."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sinks import measures
from sinks.measures import Filters, Query
from sinks.metrics.clauses import after_last, around, check_lengths, grouped, interval_column, spread, with_shares
from sinks.metrics.execution import Row, run
from sinks.store import Store

# To compare with. Source: SuperOffice, Customer Service Benchmark Report (2018): one mail with a question to each of
# 1,000 companies. They are shares of companies and of first mails; `openings_only` comes nearest.
PUBLISHED_SOURCE: Final = "SuperOffice, Customer Service Benchmark Report, 2018: one mail to each of 1,000 companies"
PUBLISHED_UNANSWERED_SHARE: Final = 0.62
PUBLISHED_UNACKNOWLEDGED_SHARE: Final = 0.90
PUBLISHED_RESPONSE: Final = timedelta(hours=12, minutes=10)

_ALL: Final = Filters()


def emails_query(
    as_of: datetime,
    filters: Filters = _ALL,
    *,
    within: timedelta = timedelta(days=7),
    acknowledged_within: timedelta = timedelta(hours=1),
    openings_only: bool = False,
    interval: str | None = None,
    zone: str = "UTC",
) -> Query:
    """Return the query of what inbound mail got back; see `emails`.

    Raises:
        ConfigurationError: when a filter or the interval is unknown, or a length is negative.
    """
    check_lengths(within, acknowledged_within)
    where, values = measures.condition(filters.since, filters.until, filters.values)
    wider, bounds = around(filters, _longer(within), within)
    values |= bounds | {"as_of": as_of, "within": within, "acknowledged_within": acknowledged_within}
    earlier = (
        f"""
        ASOF LEFT JOIN (SELECT token, started_at FROM current_interaction WHERE channel = 'email'{wider}) AS earlier
            ON earlier.token = mail.token AND earlier.started_at < mail.started_at
        WHERE earlier.started_at IS NULL OR earlier.started_at < mail.started_at - $within::INTERVAL
        """
        if openings_only
        else ""
    )
    sql = f"""
    WITH mail AS (
        SELECT mail.token, mail.started_at FROM (
            SELECT token, started_at FROM current_interaction{where}{" AND" if where else " WHERE"}
                channel = 'email' AND direction = 'inbound' AND token IS NOT NULL AND started_at < $as_of::TIMESTAMP
        ) AS mail{earlier}
    ),
    answer AS (
        SELECT token, started_at FROM current_interaction
        WHERE channel = 'email' AND direction = 'outbound' AND started_at < $as_of::TIMESTAMP{wider}
    ),
    -- Whom a machine of ours has written to: a customer's own machine writes to our addresses.
    notice AS (
        SELECT DISTINCT party.token AS token, started_at
        FROM (
            SELECT unnest(parties) AS party, from_token, started_at FROM observation_base
            WHERE channel = 'email' AND automated AND started_at < $as_of::TIMESTAMP{wider}
        )
        WHERE party.role IN ('to', 'cc', 'bcc') AND party.token IS DISTINCT FROM from_token
    ),
    answered AS (
        SELECT mail.token, mail.started_at, answer.started_at AS answered_at
        FROM mail ASOF LEFT JOIN answer ON answer.token = mail.token AND answer.started_at > mail.started_at
    ),
    judged AS (
        SELECT
            answered.started_at,
            answered.started_at + $within::INTERVAL > $as_of::TIMESTAMP AS is_open,
            CASE WHEN answered_at <= answered.started_at + $within::INTERVAL
                THEN epoch(answered_at - answered.started_at) END AS response_seconds,
            coalesce(notice.started_at <= answered.started_at + $acknowledged_within::INTERVAL, false)
                AS is_acknowledged
        FROM answered
        ASOF LEFT JOIN notice ON notice.token = answered.token AND notice.started_at >= answered.started_at
    )
    SELECT
        {interval_column(interval, values, zone)}
        count(*) AS inbound_count,
        count(*) FILTER (is_open) AS open_count,
        count(*) FILTER (NOT is_open AND response_seconds IS NOT NULL) AS answered_count,
        count(*) FILTER (NOT is_open AND is_acknowledged) AS acknowledged_count,
        {spread("response_seconds", "NOT is_open")}
    FROM judged
    {grouped(interval)}
    """
    return Query(sql, values)


def emails(
    store: Store,
    filters: Filters = _ALL,
    *,
    as_of: datetime | None = None,
    within: timedelta = timedelta(days=7),
    acknowledged_within: timedelta = timedelta(hours=1),
    openings_only: bool = False,
    interval: str | None = None,
    zone: str | None = None,
) -> list[Row]:
    """Return what inbound mail got back: one row, or one per day, week or month of its arrival.

    A mail is answered by the first outbound mail of a person to the same address after it and `within` the time given,
    and acknowledged when a machine of ours wrote to that address at once or `acknowledged_within`. Mail that had not
    yet so much time at `as_of` (UTC without a zone; by default the last mail that was seen) is open and in no share:
    those answered quickly would be over-represented. `openings_only` leaves out mail before which as much as one mail
    was exchanged with the address within that time: what goes on is often a word of thanks that needs no answer.

    Columns: `inbound_count`, of them `open_count`; of the others `answered_count` and `answered_share`,
    `acknowledged_count` and `acknowledged_share` with their 95 % intervals, and `response_seconds_mean`, `_median` and
    `_p90` of those answered, in elapsed time.

    Raises:
        ConfigurationError: when a filter, interval or zone is unknown, or a length is negative.
    """
    moment = as_of or after_last(store, "email")
    name = measures.checked_zone(zone or measures.zone_of(store))
    query = emails_query(
        moment, filters, within=within, acknowledged_within=acknowledged_within, openings_only=openings_only,
        interval=interval, zone=name,
    )  # fmt: skip
    return [
        row | with_shares(row, row["inbound_count"] - row["open_count"], "answered", "acknowledged")
        for row in run(store, query)
    ]


def _longer(length: timedelta) -> timedelta:
    # Whether the mail before lies within the length is decided by its exact time.
    return length + timedelta(seconds=1)
