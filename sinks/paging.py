"""Many rows one page after the other: each page begins behind the last row of the one before.

Rows that are added meanwhile move no page: a page is found by the values of a row and not by its number.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sinks import measures
from sinks.measures import Filters, Query
from sinks.store import Store

Row = dict[str, Any]

_EPOCH: Final = datetime(1970, 1, 1)
_MICROSECOND: Final = timedelta(microseconds=1)
# Positions are written without a sign.
_OFFSET: Final = 1 << 63
_LATEST: Final = "(coalesce(updated_at, '-infinity'::TIMESTAMP), raw_id)"


@dataclass(frozen=True)
class Place:
    """The row behind which a page begins: its instant, UTC without a zone, and its id."""

    at: datetime
    id: str

    def to_text(self) -> str:
        """Return it as hexadecimal digits.

        >>> Place.from_text(Place(datetime(2024, 3, 4, 7), "a1").to_text())
        Place(at=datetime.datetime(2024, 3, 4, 7, 0), id='a1')
        """
        return f"{(self.at - _EPOCH) // _MICROSECOND + _OFFSET:016x}{self.id.encode(errors='replace').hex()}"

    @classmethod
    def from_text(cls, text: str) -> Place:
        """Return the place that 16 or more hexadecimal digits, an even number, stand for: there is always one."""
        microseconds = int(text[:16], 16) - _OFFSET
        try:
            at = _EPOCH + timedelta(microseconds=microseconds)
        except OverflowError:
            at = datetime.min if microseconds < 0 else datetime.max
        return cls(at, bytes.fromhex(text[16:]).decode(errors="replace"))


def interactions_query(filters: Filters, after: Place | None) -> Query:
    """Return the query of a page of interactions, in order of their start and id.

    Raises:
        ConfigurationError: when a filter is unknown.
    """
    where, values = measures.condition(filters.since, filters.until, filters.values)
    if after is not None:
        where += f"{' AND' if where else ' WHERE'} {_behind('started_at', 'interaction_id')}"
        values |= {"after_at": after.at, "after_id": after.id}
    limit = "" if filters.limit is None else f" LIMIT {int(filters.limit)}"
    sql = f"""
    WITH chosen AS MATERIALIZED (
        SELECT * FROM current_interaction{where} ORDER BY started_at, interaction_id{limit}
    ),
    shown AS (
        SELECT token, arg_max(display, rowid) AS identifier
        FROM identifier SEMI JOIN chosen USING (token)
        GROUP BY token
    )
    SELECT
        interaction_id, channel::VARCHAR AS channel, line::VARCHAR AS line, direction::VARCHAR AS direction, started_at,
        ended_at, talk_seconds, team, function, representative_id, coalesce(participants, []) AS participants,
        string_split(sources, '+') AS sources, token, shown.identifier, coalesce(customer_ids, []) AS customer_ids,
        contact_id, segment, outcome::VARCHAR AS outcome, reason::VARCHAR AS reason, tier::VARCHAR AS tier, activity_id,
        ticket_id, trace_delay_seconds, window_ends_at
    FROM chosen
    LEFT JOIN shown USING (token)
    ORDER BY started_at, interaction_id
    """
    return Query(sql, values)


def interactions(store: Store, filters: Filters, after: Place | None = None) -> list[Row]:
    """Return a page of interactions: the first `filters.limit` behind a place, in order of their start and id.

    Who talked is left out unless the store's `groups` allow it.

    Raises:
        ConfigurationError: when a filter is unknown.
    """
    query = interactions_query(filters, after)
    rows = store.rows(query.sql, query.values)
    if not store.groups.shows_single:
        # Added up, such rows are the share of each representative.
        for row in rows:
            row |= {"representative_id": None, "participants": []}
    return rows


def activities_query(
    statuses: Collection[str],
    since: datetime | None,
    until: datetime | None,
    limit: int,
    after: Place | None,
    versions: int,
) -> Query:
    """Return the query of a page of activities, in order of when they were logged and their id.

    It looks at the first so many `versions` of activities that were logged in the period, behind the place. Of what
    lies among them it leaves out nothing, so a page that is not full may go on behind them.
    """
    where, values = _logged(since, until, after)
    chosen = ""
    if statuses:
        chosen = " WHERE list_contains($statuses::VARCHAR[], status::VARCHAR)"
        values["statuses"] = sorted(statuses)
    columns = (
        "kind", "source", "logged_from", "logged_to", "precision", "owner_id", "creator_id", "contact_ids",
        "account_ids", "direction",
    )  # fmt: skip
    latest = ", ".join(f"arg_max_null({name}, {_LATEST}) AS {name}" for name in columns)
    sql = f"""
    WITH looked_at AS MATERIALIZED (
        SELECT activity_id, logged_from FROM activity{where} ORDER BY logged_from, activity_id LIMIT {int(versions)}
    ),
    asked AS (SELECT DISTINCT activity_id FROM looked_at),
    -- First where they stand, for which one column is read; then the others, of these rows alone.
    place AS MATERIALIZED (SELECT rowid AS place FROM activity SEMI JOIN asked USING (activity_id)),
    latest AS (
        SELECT activity_id, {latest} FROM activity WHERE rowid IN (SELECT place FROM place) GROUP BY activity_id
    ),
    -- The latest version counts: where it is not among those looked at, the activity stands elsewhere, or nowhere.
    standing AS (SELECT * FROM latest SEMI JOIN looked_at USING (activity_id, logged_from)),
    outcome AS (SELECT * FROM current_activity_outcome SEMI JOIN asked USING (activity_id))
    SELECT
        activity_id, kind, source, status::VARCHAR AS status, tier::VARCHAR AS tier, interaction_id, logged_from,
        logged_to, precision::VARCHAR AS precision, owner_id, creator_id, representative_ids, customer_ids, contact_ids,
        account_ids, direction::VARCHAR AS direction
    FROM standing
    JOIN outcome USING (activity_id){chosen}
    ORDER BY logged_from, activity_id
    LIMIT {int(limit)}
    """
    return Query(sql, values)


def activities(
    store: Store,
    statuses: Collection[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
    after: Place | None = None,
) -> list[Row]:
    """Return a page of activities of these statuses, of all without any; instants are UTC without a zone."""
    where, values = _logged(since, until, after)
    (logged,) = store.rows(f"SELECT count(*) AS version_count FROM activity{where}", values)
    (said,) = store.rows(
        "SELECT count(*) AS all_count, count(*) FILTER (list_contains($statuses::VARCHAR[], status::VARCHAR)) AS count "
        "FROM current_activity_outcome",
        {"statuses": sorted(statuses)},
    )
    fitting = said["count"] if statuses else said["all_count"]
    # So many are enough when the statuses are spread evenly, and mostly else.
    versions = 100 + 2 * limit * said["all_count"] // max(1, fitting)
    while True:
        query = activities_query(statuses, since, until, limit, after, versions)
        rows = store.rows(query.sql, query.values) if fitting else []
        if len(rows) >= limit or versions >= logged["version_count"] or not fitting:
            return rows
        versions *= 8


def cut(rows: Sequence[Row], limit: int, at: str, id: str) -> tuple[Sequence[Row], str | None]:
    """Return the rows of a page of which one more was asked for, and the cursor of the next page if there is one."""
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], Place(last[at], last[id]).to_text()


def _logged(since: datetime | None, until: datetime | None, after: Place | None) -> tuple[str, dict[str, object]]:
    """Return the condition that a version of an activity was logged in the period, behind a place, with its values."""
    where, values = measures.condition(since, until)
    where = where.replace("started_at", "logged_from")
    if after is not None:
        where += f"{' AND' if where else ' WHERE'} {_behind('logged_from', 'activity_id')}"
        values |= {"after_at": after.at, "after_id": after.id}
    return where, values


def _behind(at: str, id: str) -> str:
    # The first part finds the blocks of rows in which the others are looked at.
    return f"{at} >= $after_at::TIMESTAMP AND ({at} > $after_at::TIMESTAMP OR {id} > $after_id)"
