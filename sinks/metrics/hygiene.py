"""What the CRM could do better: entries without a conversation, entries twice, and identifiers that it should know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipeline.errors import ConfigurationError
from sinks import measures
from sinks.measures import Filters, Query
from sinks.metrics.execution import Row, run
from sinks.store import Store

STATUSES: Final = ("redundant", "unexplained", "siloed", "trace")

_ALL: Final = Filters()
# Of a fact of which several versions came, the latest counts, as in the view latest_activity.
_LATEST: Final = "(coalesce(updated_at, '-infinity'::TIMESTAMP), raw_id)"


# -- activities --------------------------------------------------------------------------------------------------------


def activity_counts_query(filters: Filters = _ALL) -> Query:
    """Return the query of activities by status and kind.

    Raises:
        ConfigurationError: when there are filters besides the period.
    """
    _only_period(filters)
    where, values = _logged(filters)
    only_asked = " SEMI JOIN asked USING (activity_id)" if where else ""
    # Without a period only the kind matters, and fewer versions contradict each other.
    names = ("kind", "logged_from") if where else ("kind",)
    extremes = ", ".join(f"min({name}) AS {name}, max({name}) AS other_{name}" for name in names)
    contradictions = " OR ".join(f"{name} <> other_{name}" for name in names)
    latest = ", ".join(f"arg_max_null({name}, {_LATEST})" for name in names)
    sql = f"""
    WITH asked AS (SELECT DISTINCT activity_id FROM activity{where}),
    version AS (SELECT activity_id, {extremes} FROM activity{only_asked} GROUP BY activity_id),
    outcome AS (SELECT activity_id, status FROM current_activity_outcome{only_asked}),
    -- Most have one version, or several that agree: of the others the latest counts.
    contested AS (SELECT activity_id FROM version WHERE {contradictions}),
    latest AS (
        SELECT activity_id, {", ".join(names)} FROM version ANTI JOIN contested USING (activity_id)
        UNION ALL
        SELECT activity_id, {latest} FROM activity SEMI JOIN contested USING (activity_id) GROUP BY activity_id
    )
    SELECT status::VARCHAR AS status, kind, count(*) AS activity_count
    FROM outcome JOIN latest USING (activity_id){where}
    GROUP BY ALL
    ORDER BY status, kind NULLS LAST
    """
    return Query(sql, values)


def activity_counts(store: Store, filters: Filters = _ALL) -> list[Row]:
    """Return how many activities there are: one row per status and kind, in their order.

    `status` is trace, redundant (a second entry of one conversation: double work), unexplained (nothing stands behind
    it) or siloed (a ticket tied to no customer). `status_share` is the count's part of all activities of the kind. Of
    `filters` the period counts: when they were logged, UTC.

    Raises:
        ConfigurationError: when there are filters besides the period.
    """
    rows = run(store, activity_counts_query(filters))
    totals: dict[str | None, int] = {}
    for row in rows:
        totals[row["kind"]] = totals.get(row["kind"], 0) + row["activity_count"]
    return [row | {"status_share": row["activity_count"] / totals[row["kind"]]} for row in rows]


def activities_query(status: str, filters: Filters = _ALL) -> Query:
    """Return the query of the activities of a status; see `activities`.

    Raises:
        ConfigurationError: when the status is unknown, or there are filters besides the period.
    """
    measures.known(status, STATUSES, "status")
    _only_period(filters)
    where, values = _logged(filters)
    limit = "" if filters.limit is None else f" LIMIT {int(filters.limit)}"
    columns = (
        "kind", "source", "logged_from", "logged_to", "precision", "owner_id", "creator_id", "contact_ids",
        "account_ids", "raw_id",
    )  # fmt: skip
    latest = ", ".join(f"arg_max_null({name}, {_LATEST}) AS {name}" for name in columns)
    only_asked = f" SEMI JOIN (SELECT activity_id FROM activity{where}) AS asked USING (activity_id)" if where else ""
    sql = f"""
    WITH outcome AS (SELECT * FROM current_activity_outcome{only_asked} WHERE status = $status),
    -- First those that are shown, by what orders them: most have one version, or several that agree.
    version AS (
        SELECT activity_id, min(logged_from) AS logged_from, max(logged_from) AS other_logged_from
        FROM activity SEMI JOIN outcome USING (activity_id)
        GROUP BY activity_id
    ),
    contested AS (SELECT activity_id FROM version WHERE logged_from <> other_logged_from),
    shown AS (
        SELECT activity_id, logged_from FROM version ANTI JOIN contested USING (activity_id)
        UNION ALL
        SELECT activity_id, arg_max(logged_from, {_LATEST}) FROM activity SEMI JOIN contested USING (activity_id)
        GROUP BY activity_id
    ),
    chosen AS MATERIALIZED (SELECT activity_id FROM shown{where} ORDER BY logged_from DESC, activity_id{limit}),
    -- Then their other columns, of these rows alone.
    place AS MATERIALIZED (SELECT rowid AS place FROM activity SEMI JOIN chosen USING (activity_id)),
    latest AS (
        SELECT activity_id, {latest} FROM activity WHERE rowid IN (SELECT place FROM place) GROUP BY activity_id
    ),
    explained AS (
        SELECT interaction_id, activity_id AS trace_activity_id, started_at
        FROM current_interaction
        SEMI JOIN (SELECT interaction_id FROM outcome SEMI JOIN chosen USING (activity_id)) AS asked
            USING (interaction_id)
    )
    SELECT
        activity_id, kind, source, status::VARCHAR AS status, tier::VARCHAR AS tier, logged_from, logged_to, precision,
        owner_id, creator_id, representative_ids, customer_ids, contact_ids, account_ids, interaction_id,
        explained.started_at AS interaction_started_at,
        CASE WHEN status = 'redundant' THEN trace_activity_id END AS trace_activity_id, raw_id
    FROM latest
    JOIN outcome USING (activity_id)
    LEFT JOIN explained USING (interaction_id)
    ORDER BY logged_from DESC, activity_id
    """
    return Query(sql, values | {"status": status})


def activities(store: Store, status: str, filters: Filters = _ALL) -> list[Row]:
    """Return the activities of a status, the latest first: `redundant` and `unexplained` are those to look at.

    Columns as of the view `crm_activities`, `interaction_started_at`, and of redundant ones `trace_activity_id`: the
    entry that was there already. Of `filters` the period, when they were logged, and the limit count.

    Raises:
        ConfigurationError: when the status is unknown, or there are filters besides the period.
    """
    return run(store, activities_query(status, filters))


# -- identifiers -------------------------------------------------------------------------------------------------------


def missing_identifiers_query(filters: Filters = _ALL, minimum_interactions: int = 5) -> Query:
    """Return the query of identifiers that the CRM should know; see `missing_identifiers`.

    Raises:
        ConfigurationError: when a filter is unknown or the minimum is no positive number.
    """
    if minimum_interactions < 1:
        raise ConfigurationError(f"a minimum of {minimum_interactions} interactions; expected 1 or more")
    where, values = measures.condition(filters.since, filters.until, filters.values)
    limit = "" if filters.limit is None else f" LIMIT {int(filters.limit)}"
    sql = f"""
    WITH found AS (
        SELECT
            token,
            count(*) AS interaction_count,
            count(*) FILTER (tier = 'inferred') AS inferred_count,
            count(*) FILTER (outcome IN ('siloed', 'bypassed')) AS untraced_count,
            list_sort(list(DISTINCT channel::VARCHAR)) AS channels,
            list_sort(list(DISTINCT team)) AS teams,
            min(started_at) AS first_at,
            max(started_at) AS last_at
        FROM current_interaction{where}{" AND" if where else " WHERE"}
            token IS NOT NULL AND coalesce(len(customer_ids), 0) = 0
        GROUP BY token
        HAVING interaction_count >= $minimum::BIGINT OR inferred_count > 0
    ),
    chosen AS (
        SELECT * FROM found ORDER BY inferred_count > 0 DESC, interaction_count DESC, token{limit}
    ),
    hint AS (
        SELECT DISTINCT token, activity_id
        FROM current_interaction SEMI JOIN chosen USING (token)
        WHERE tier = 'inferred'
    ),
    tied AS (
        SELECT activity_id, arg_max_null(contact_ids, {_LATEST}) AS contact_ids
        FROM activity SEMI JOIN hint USING (activity_id)
        GROUP BY activity_id
    ),
    -- What most of the inferred traces say comes first.
    customer AS (
        SELECT token, customer_id, count(*) AS hint_count
        FROM (
            SELECT token, unnest(customer_ids) AS customer_id
            FROM hint JOIN current_activity_outcome USING (activity_id)
        )
        GROUP BY ALL
    ),
    contact AS (
        SELECT token, contact_id, count(*) AS hint_count
        FROM (SELECT token, unnest(contact_ids) AS contact_id FROM hint JOIN tied USING (activity_id))
        GROUP BY ALL
    ),
    suggested AS (
        SELECT token, list(customer_id ORDER BY hint_count DESC, customer_id) AS suggested_customer_ids,
            max(hint_count) AS agreeing_count
        FROM customer
        GROUP BY token
    ),
    suggested_contact AS (
        SELECT token, list(contact_id ORDER BY hint_count DESC, contact_id) AS suggested_contact_ids
        FROM contact
        GROUP BY token
    ),
    shown AS (
        SELECT token, arg_max(kind, rowid) AS kind, arg_max(display, rowid) AS identifier
        FROM identifier SEMI JOIN chosen USING (token)
        GROUP BY token
    )
    SELECT
        token, shown.kind, shown.identifier, interaction_count, inferred_count, untraced_count, channels, teams,
        first_at, last_at, coalesce(agreeing_count, 0) AS agreeing_count,
        coalesce(suggested_customer_ids, []) AS suggested_customer_ids,
        coalesce(suggested_contact_ids, []) AS suggested_contact_ids
    FROM chosen
    LEFT JOIN suggested USING (token)
    LEFT JOIN suggested_contact USING (token)
    LEFT JOIN shown USING (token)
    ORDER BY inferred_count > 0 DESC, interaction_count DESC, token
    """
    return Query(sql, values | {"minimum": minimum_interactions})


def missing_identifiers(store: Store, filters: Filters = _ALL, *, minimum_interactions: int = 5) -> list[Row]:
    """Return numbers, addresses and handles that the CRM does not know and should: one row per token.

    An identifier stands here when an activity was inferred to be the trace of one of its interactions, which makes it
    probable whose it is, or when it has at least so many interactions. Those with a suggestion come first, then those
    with most interactions. Columns: `token`, `kind`, `identifier` as it may be shown, `interaction_count`,
    `inferred_count` of them traced by inference, `untraced_count`, `channels`, `teams`, `first_at`, `last_at`, and
    `suggested_customer_ids` and `suggested_contact_ids`, whose activities the inferred traces are, the most frequent
    first, and empty without any; `agreeing_count` inferred traces say the first customer.

    Raises:
        ConfigurationError: when a filter is unknown or the minimum is no positive number.
    """
    return run(store, missing_identifiers_query(filters, minimum_interactions))


def shared_identifiers_query(limit: int | None = None) -> Query:
    """Return the query of identifiers on several contacts; see `shared_identifiers`."""
    end = "" if limit is None else f" LIMIT {int(limit)}"
    sql = f"""
    WITH holding AS (SELECT contact_id, unnest(tokens) AS token FROM contact),
    -- Most are on one contact in all versions: only of the others the latest versions matter.
    suspect AS (
        SELECT token FROM holding WHERE token IS NOT NULL GROUP BY token HAVING min(contact_id) <> max(contact_id)
    ),
    latest AS (
        SELECT
            contact_id,
            arg_max_null(tokens, {_LATEST}) AS tokens,
            arg_max_null(account_id, {_LATEST}) AS account_id,
            arg_max_null(deleted, {_LATEST}) AS deleted
        FROM contact
        SEMI JOIN (SELECT contact_id FROM holding SEMI JOIN suspect USING (token)) AS asked USING (contact_id)
        GROUP BY contact_id
    ),
    held AS (
        SELECT DISTINCT contact_id, coalesce(account_id, contact_id) AS customer_id, unnest(tokens) AS token
        FROM latest
        WHERE deleted IS NOT TRUE
    ),
    shared AS (
        SELECT
            token,
            count(*) AS contact_count,
            count(DISTINCT customer_id) AS customer_count,
            list(contact_id ORDER BY contact_id) AS contact_ids,
            list_sort(list(DISTINCT customer_id)) AS customer_ids
        FROM held SEMI JOIN suspect USING (token)
        GROUP BY token
        HAVING contact_count > 1
    ),
    used AS (
        SELECT token, count(*) AS interaction_count
        FROM current_interaction SEMI JOIN shared USING (token)
        GROUP BY token
    ),
    shown AS (
        SELECT token, arg_max(kind, rowid) AS kind, arg_max(display, rowid) AS identifier
        FROM identifier SEMI JOIN shared USING (token)
        GROUP BY token
    )
    SELECT
        token, shown.kind, shown.identifier, contact_count, customer_count, contact_ids, customer_ids,
        coalesce(interaction_count, 0) AS interaction_count
    FROM shared
    LEFT JOIN used USING (token)
    LEFT JOIN shown USING (token)
    ORDER BY customer_count > 1 DESC, coalesce(interaction_count, 0) DESC, token{end}
    """
    return Query(sql)


def shared_identifiers(store: Store, limit: int | None = None) -> list[Row]:
    """Return identifiers that several contacts of the CRM hold now: one row per token.

    Those of several customers come first, for which nobody can know whose an interaction is; then those with most
    interactions. Columns: `token`, `kind`, `identifier` as it may be shown, `contact_count`, `customer_count`,
    `contact_ids`, `customer_ids` (accounts; contacts that have none), `interaction_count`.
    """
    return run(store, shared_identifiers_query(limit))


# -- inside ------------------------------------------------------------------------------------------------------------


def _only_period(filters: Filters) -> None:
    if filters.values:
        raise ConfigurationError(
            f"activities are not chosen by {', '.join(sorted(filters.values))}; only their period and a limit are"
        )


def _logged(filters: Filters) -> tuple[str, dict[str, object]]:
    """Return the condition that an activity was logged in the period, with its values."""
    condition, values = measures.condition(filters.since, filters.until)
    return condition.replace("started_at", "logged_from"), values


def as_lines(rows: Sequence[Row]) -> list[Row]:
    """Return rows whose lists are texts, values apart by semicolons: for a table that a CRM loads.

    >>> as_lines([{"token": "t", "contact_ids": ["a", "b"]}])
    [{'token': 't', 'contact_ids': 'a;b'}]
    """
    return [
        {name: ";".join(map(str, value)) if isinstance(value, list) else value for name, value in row.items()}
        for row in rows
    ]
