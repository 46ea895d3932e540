"""How scattered what is known of a customer is: over how many systems, and for whoever takes the next contact."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sinks import measures
from sinks.measures import Filters, Query
from sinks.metrics.clauses import around, check_lengths, with_shares
from sinks.metrics.customers import PARTY
from sinks.metrics.execution import Row, run
from sinks.store import Store

# To compare with: people who look for what is known of a customer are said to search more than four systems, and not to
# find it in 44 % of cases. The figures are quoted in many places; the study behind them could not be found.
PUBLISHED_SYSTEMS: Final = 4
PUBLISHED_NOT_FOUND_SHARE: Final = 0.44

FATES: Final = ("kept", "broken", "pending")

_ALL: Final = Filters()


# -- scatter -----------------------------------------------------------------------------------------------------------


def scatter_query(filters: Filters = _ALL) -> Query:
    """Return the query of customers by the number of systems that hold pieces of their history; see `scatter`.

    Raises:
        ConfigurationError: when a filter is unknown.
    """
    where, values = measures.condition(filters.since, filters.until, filters.values)
    sql = f"""
    WITH talked AS (SELECT DISTINCT unnest(customer_ids) AS customer_id, sources FROM current_interaction{where}),
    -- The CRM's entries, and tickets that only the conversation ties to the customer.
    entry AS (
        SELECT activity_id, customer_ids FROM current_activity_outcome WHERE len(customer_ids) > 0
        UNION ALL
        SELECT ticket_id, customer_ids FROM current_interaction{where}{" AND" if where else " WHERE"}
            ticket_id IS NOT NULL AND len(customer_ids) > 0
    ),
    tied AS (
        SELECT customer_id, activity_id FROM (SELECT unnest(customer_ids) AS customer_id, activity_id FROM entry)
        SEMI JOIN talked USING (customer_id)
    ),
    -- One entry of each customer tells of one system. All entries are asked only of customers of whom another system
    -- may hold some: of nobody, where there is one CRM.
    one AS MATERIALIZED (SELECT customer_id, any_value(activity_id) AS activity_id FROM tied GROUP BY customer_id),
    found AS MATERIALIZED (SELECT customer_id, activity.source FROM one JOIN activity USING (activity_id)),
    possible AS (
        SELECT customer_id, source FROM one, (SELECT DISTINCT source FROM activity WHERE source IS NOT NULL)
    ),
    unasked AS MATERIALIZED (SELECT customer_id FROM possible ANTI JOIN found USING (customer_id, source)),
    asked AS MATERIALIZED (SELECT customer_id, activity_id FROM tied SEMI JOIN unasked USING (customer_id)),
    piece AS (
        SELECT customer_id, unnest(string_split(sources, '+')) AS source FROM talked
        UNION
        SELECT customer_id, source FROM found
        UNION
        SELECT customer_id, activity.source FROM asked JOIN activity USING (activity_id)
    ),
    counted AS (
        SELECT customer_id, count(DISTINCT source) AS system_count
        FROM piece SEMI JOIN talked USING (customer_id)
        GROUP BY customer_id
    )
    SELECT system_count, count(*) AS customer_count FROM counted GROUP BY system_count ORDER BY system_count
    """
    return Query(sql, values)


def scatter(store: Store, filters: Filters = _ALL) -> list[Row]:
    """Return over how many systems customers' histories lie: one row per number of systems that occurs, in order.

    A system is a source: one that saw an interaction with the customer, one that holds an activity on the customer,
    or one that holds the ticket of such an interaction. Customers are those of the CRM with an interaction that fits
    the filters; an activity of any time counts for them. Columns: `system_count`, `customer_count`, `customer_share`
    with its 95 % interval.

    Raises:
        ConfigurationError: when a filter is unknown.
    """
    rows = run(store, scatter_query(filters))
    total = sum(row["customer_count"] for row in rows)
    return [row | with_shares(row, total, "customer") for row in rows]


# -- continuity --------------------------------------------------------------------------------------------------------


def returns_query(filters: Filters = _ALL, within: timedelta = timedelta(days=7)) -> Query:
    """Return the query of customers who came back over another channel; see `returns`.

    Raises:
        ConfigurationError: when a filter is unknown or the length is negative.
    """
    check_lengths(within)
    condition, values = measures.condition(filters.since, filters.until, filters.values)
    wider, wider_values = around(filters, within + timedelta(days=1), timedelta(0))
    period = f" WHERE {wider.removeprefix(' AND ')}" if wider else ""
    fits = condition.removeprefix(" WHERE ") or "true"
    sql = f"""
    WITH contact AS (
        SELECT *, coalesce(customer_id, token) AS party
        FROM (
            SELECT {PARTY}, interaction_id, channel, direction, started_at, ended_at, outcome, ({fits}) AS fits
            FROM current_interaction{period}
        )
    ),
    followed AS (
        SELECT
            *,
            lag(party) OVER contacts AS first_party,
            lag(interaction_id) OVER contacts AS first_interaction_id,
            lag(channel) OVER contacts AS first_channel,
            lag(ended_at) OVER contacts AS first_ended_at,
            lag(outcome) OVER contacts AS first_outcome
        FROM contact
        WHERE party IS NOT NULL
        -- Numbers are sorted in half the time of texts; should two parties have one hash, they are not mixed below.
        WINDOW contacts AS (PARTITION BY hash(party) ORDER BY started_at, interaction_id)
    )
    SELECT
        customer_id, token, interaction_id, started_at, channel::VARCHAR AS channel,
        first_interaction_id, first_channel::VARCHAR AS first_channel, first_outcome::VARCHAR AS first_outcome,
        CASE first_outcome WHEN 'traced' THEN 'kept' WHEN 'pending' THEN 'pending' ELSE 'broken' END AS fate,
        greatest(epoch(started_at - first_ended_at), 0) AS returned_seconds
    FROM followed
    WHERE fits AND party = first_party AND direction = 'inbound' AND channel <> first_channel
        AND started_at <= first_ended_at + $within::INTERVAL
    """
    return Query(sql, values | wider_values | {"within": within})


def returns(
    store: Store, filters: Filters = _ALL, *, within: timedelta = timedelta(days=7), fate: str | None = None
) -> list[Row]:
    """Return the contacts of customers who came back over another channel, the latest first: one row per return.

    A return is an inbound interaction whose customer's contact before it, in whichever direction, was over another
    channel and ended at most `within` before. `fate` tells whether the company can know of it: kept (the contact
    before is traced), broken (it is siloed or bypassed: the customer must explain everything again) or pending.
    Columns: `customer_id`, or `token` where the CRM does not know the party; `interaction_id`, `started_at`, `channel`
    of the return; `first_interaction_id`, `first_channel`, `first_outcome` of the contact before; `returned_seconds`
    between them. `filters` choose the return, and its limit the number of rows.

    Raises:
        ConfigurationError: when a filter or the fate is unknown, or the length is negative.
    """
    query = returns_query(filters, within)
    values = dict(query.values)
    where = ""
    if fate is not None:
        where, values["fate"] = " WHERE fate = $fate", measures.known(fate, FATES, "fate")
    limit = "" if filters.limit is None else f" LIMIT {int(filters.limit)}"
    order = "ORDER BY started_at DESC, interaction_id, customer_id"
    return run(store, Query(f"SELECT * FROM ({query.sql}){where} {order}{limit}", values))


def continuity(store: Store, filters: Filters = _ALL, *, within: timedelta = timedelta(days=7)) -> Row:
    """Return how often a customer who comes back over another channel must explain everything again.

    `return_count` returns as of `returns`, of them `kept_count`, `broken_count` and `pending_count`, and
    `broken_share` of those that are decided, with its 95 % interval.

    Raises:
        ConfigurationError: when a filter is unknown or the length is negative.
    """
    query = returns_query(filters, within)
    counts = ", ".join(f"count(*) FILTER (fate = '{fate}') AS {fate}_count" for fate in FATES)
    (row,) = run(store, Query(f"SELECT count(*) AS return_count, {counts} FROM ({query.sql})", query.values))
    return row | with_shares(row, row["kept_count"] + row["broken_count"], "broken")
