"""What was done with whom: customers by contact and by trace, one customer's history, and a day with all of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pipeline.errors import ConfigurationError
from sinks import measures
from sinks.measures import Filters, Query
from sinks.metrics.execution import Row, run
from sinks.metrics.split import levels
from sinks.store import Store

_ALL: Final = Filters()
_OUTCOMES: Final = ("traced", "siloed", "bypassed", "pending")
_COUNTS: Final = ", ".join(f"count(*) FILTER (outcome = '{outcome}') AS {outcome}_count" for outcome in _OUTCOMES)
_UNKNOWN: Final = "coalesce(len(customer_ids), 0) = 0"
# An interaction counts for each customer that its party resolves to; a party unknown to the CRM goes by its token.
PARTY: Final = (
    f"unnest(CASE WHEN {_UNKNOWN} THEN [NULL] ELSE customer_ids END) AS customer_id, "
    f"CASE WHEN {_UNKNOWN} THEN token END AS token"
)
_ORDERS: Final[Mapping[str, str]] = {
    "most_contacts": "interaction_count DESC",
    "least_traced": "low DESC NULLS LAST, interaction_count DESC",
}
ORDERS: Final = tuple(_ORDERS)


def customers_query(filters: Filters = _ALL, order: str = "most_contacts", includes_unknown: bool = True) -> Query:
    """Return the query of customers; see `customers`.

    Raises:
        ConfigurationError: when a filter or the order is unknown.
    """
    by = _ORDERS[measures.known(order, ORDERS, "order")]
    where, values = measures.condition(filters.since, filters.until, filters.values)
    limit = "" if filters.limit is None else f" LIMIT {int(filters.limit)}"
    known = "token IS NOT NULL" if includes_unknown else "false"
    z = "1.959963984540054"
    sql = f"""
    WITH party AS (SELECT {PARTY}, channel, started_at, talk_seconds, outcome FROM current_interaction{where}),
    counted AS (
        SELECT
            customer_id, token, count(*) AS interaction_count, {_COUNTS},
            count(*) FILTER (outcome <> 'pending') AS n,
            -- Lists of all customers would cost more than all else: a bit for each channel, and a list of those shown.
            bit_or((1 << enum_code(channel))::UTINYINT) AS channel_bits,
            enum_range(any_value(channel))::VARCHAR[] AS channels,
            min(started_at) AS first_at, max(started_at) AS last_at, sum(talk_seconds) AS talk_seconds
        FROM party
        WHERE customer_id IS NOT NULL OR {known}
        GROUP BY customer_id, token
    ),
    -- The lower end of the interval as in pipeline/estimate.py.
    weighed AS (
        SELECT *, (n - traced_count) / nullif(n, 0) AS share, pow({z}, 2) / nullif(n, 0) AS weight FROM counted
    ),
    chosen AS (
        SELECT
            * EXCLUDE (n, share, weight),
            -- Of nothing decided nothing is known; greatest would make it 0.
            CASE WHEN n > 0 THEN greatest(0, least(share, (share + weight / 2
                - sqrt(weight * (share * (1 - share) + weight / 4))) / (1 + weight))) END AS low
        FROM weighed
        ORDER BY {by}, customer_id NULLS LAST, token{limit}
    )
    SELECT
        chosen.* EXCLUDE (low, channel_bits) REPLACE (
            list_sort(list_filter(channels, lambda channel, place: (channel_bits >> (place - 1)) & 1 = 1)) AS channels
        ),
        shown.display AS identifier
    FROM chosen
    LEFT JOIN ({_shown("chosen")}) AS shown USING (token)
    ORDER BY {by}, customer_id NULLS LAST, token
    """
    return Query(sql, values)


def customers(
    store: Store, filters: Filters = _ALL, *, order: str = "most_contacts", includes_unknown: bool = True
) -> list[Row]:
    """Return customers with what was done with them: one row per customer, in the order asked for.

    `most_contacts` puts those first with most interactions, `least_traced` those whose share is high for sure: by the
    lower end of its interval. A row has `customer_id`, the contact's account, or the contact where it has none; a
    party that the CRM does not know has None there, and `token` and `identifier` instead. Then the counts, shares and
    levels as of `split.share`, `channels`, `first_at`, `last_at` and `talk_seconds`. An interaction counts for each
    customer that its party resolves to; withheld parties are nobody. `filters.limit` is the number of rows.

    Raises:
        ConfigurationError: when a filter or the order is unknown.
    """
    rows = run(store, customers_query(filters, order, includes_unknown))
    return [row | measures.shares(row) | levels(row) for row in rows]


def history_query(customer: str | None, token: str | None, filters: Filters = _ALL) -> Query:
    """Return the query of one customer's interactions; see `history`.

    Raises:
        ConfigurationError: when not exactly one of customer and token is named, or a filter is unknown.
    """
    if (customer is None) == (token is None):
        raise ConfigurationError("a history is of one customer or of one token; name one of them")
    where, values = measures.condition(filters.since, filters.until, filters.values)
    limit = "" if filters.limit is None else f" LIMIT {int(filters.limit)}"
    if customer is not None:
        own = "coalesce(list_contains(customer_ids, $asked_customer), false)"
        held = f"SELECT token FROM current_interaction WHERE {own}"
        fits = f"({own} OR ({_UNKNOWN} AND token IN ({held})))"
        values["asked_customer"] = customer
        by_identifier = f"NOT {own}"
    else:
        fits, by_identifier = "token = $asked_token", _UNKNOWN
        values["asked_token"] = token
    sql = f"""
    WITH chosen AS MATERIALIZED (
        SELECT *, {by_identifier} AS is_by_identifier FROM current_interaction{where}{" AND" if where else " WHERE"}
            {fits}
        ORDER BY started_at DESC, interaction_id DESC{limit}
    )
    SELECT
        interaction_id, started_at, ended_at, channel::VARCHAR AS channel, line::VARCHAR AS line,
        direction::VARCHAR AS direction, talk_seconds, representative_id, team, function,
        string_split(sources, '+') AS sources, token, shown.display AS identifier, customer_ids, contact_id, segment,
        outcome::VARCHAR AS outcome, reason::VARCHAR AS reason, tier::VARCHAR AS tier, activity_id, ticket_id,
        trace_delay_seconds, is_by_identifier
    FROM chosen
    LEFT JOIN ({_shown("chosen")}) AS shown USING (token)
    ORDER BY started_at, interaction_id
    """
    return Query(sql, values)


def history(
    store: Store, *, customer: str | None = None, token: str | None = None, filters: Filters = _ALL
) -> list[Row]:
    """Return the interactions of one customer over all channels, in order of time, traced or not.

    Named by the CRM's `customer`, also those belong to it that only its numbers and addresses tell: from before the
    CRM knew them, `is_by_identifier`. Named by `token`, all interactions with that number or address. Columns as of the
    view `interactions`. A limit keeps the latest.

    Raises:
        ConfigurationError: when not exactly one of customer and token is named, or a filter is unknown.
    """
    return run(store, history_query(customer, token, filters))


def day_query(filters: Filters) -> Query:
    """Return the query of the customers of a period with their interactions; see `day`.

    Raises:
        ConfigurationError: when a filter is unknown.
    """
    where, values = measures.condition(filters.since, filters.until, filters.values)
    limit = "" if filters.limit is None else f" LIMIT {int(filters.limit)}"
    order = "coalesce(customer_id, token) IS NULL, interaction_count DESC, first_at, customer_id NULLS LAST, token"
    sql = f"""
    WITH party AS (
        SELECT {PARTY}, interaction_id, channel, direction, started_at, ended_at, talk_seconds, team, outcome, reason
        FROM current_interaction{where}
    ),
    counted AS (
        SELECT
            customer_id, token, count(*) AS interaction_count, {_COUNTS},
            list_sort(list(DISTINCT channel::VARCHAR)) AS channels,
            list_sort(list(DISTINCT team)) AS teams,
            min(started_at) AS first_at, max(started_at) AS last_at, sum(talk_seconds) AS talk_seconds,
            list({{
                'interaction_id': interaction_id, 'started_at': started_at, 'channel': channel::VARCHAR,
                'direction': direction::VARCHAR, 'talk_seconds': talk_seconds, 'team': team,
                'outcome': outcome::VARCHAR, 'reason': reason::VARCHAR
            }} ORDER BY started_at, interaction_id) AS interactions
        FROM party
        GROUP BY customer_id, token
    ),
    chosen AS (
        SELECT * FROM counted
        ORDER BY {order}{limit}
    )
    SELECT chosen.*, shown.display AS identifier
    FROM chosen
    LEFT JOIN ({_shown("chosen")}) AS shown USING (token)
    ORDER BY {order}
    """
    return Query(sql, values)


def day(store: Store, of: date, *, filters: Filters = _ALL, zone: str | None = None) -> list[Row]:
    """Return what was done on a local day with each customer, over all channels: those with most interactions first.

    `customer_id`, or None and `token` with `identifier` for a party that the CRM does not know; those that withheld
    their number stand together in one row with neither, the last. Then `interaction_count`, the count of each outcome,
    `channels`, `teams`, `first_at`, `last_at`, `talk_seconds`, and `interactions` in order of time, each with id,
    start, channel, direction, talk, team, outcome and reason. Of `filters` the period is not used; a limit is of rows.

    Raises:
        ConfigurationError: when a filter or the zone is unknown.
    """
    name = ZoneInfo(measures.checked_zone(zone or measures.zone_of(store)))
    begin, end = (measures.instant(moment.isoformat(), name) for moment in (of, of + timedelta(days=1)))
    return run(store, day_query(Filters(filters.values, begin, end, filters.limit)))


def _shown(table: str) -> str:
    """Return the query of how the tokens of a table may be shown."""
    return (
        "SELECT token, arg_max(display, rowid) AS display FROM identifier "
        f"SEMI JOIN (SELECT token FROM {table} WHERE token IS NOT NULL) AS asked USING (token) GROUP BY token"
    )
