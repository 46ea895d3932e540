"""The store's facts in windows of time, so that a fold of any history needs bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa

from schemas.facts import SCHEMAS

_EPOCH = datetime(1970, 1, 1)
_HOUR = 3_600_000_000
_SECOND = 1_000_000
# Who is who and who owns what must be known before the first interaction.
_WHOLE = ("directory_entry", "contact", "account", "crm_user", "feed_progress")


@dataclass(frozen=True)
class Window:
    """A stretch of time, UTC without a zone: from `lo` to before `hi`; None: without end on that side."""

    lo: datetime | None = None
    hi: datetime | None = None

    @property
    def is_first(self) -> bool:
        """Whether nothing comes before."""
        return self.lo is None


def cut(connection: duckdb.DuckDBPyConnection, rows: int) -> list[Window]:
    """Return windows of about `rows` observations each, in order and without gaps; one when there are few.

    Cuts fall on full hours, and on full seconds within an hour that alone holds more than half of that.
    """
    hours = _histogram(connection, _HOUR)
    if sum(count for _, count in hours) <= rows:
        return [Window()]
    crowded = [number for number, count in hours if count > rows / 2]
    finer = dict[int, list[tuple[int, int]]]()
    for number, count in _histogram(connection, _SECOND, crowded):
        finer.setdefault(number * _SECOND // _HOUR, []).append((number * _SECOND, count))
    steps = (step for number, count in hours for step in finer.get(number, [(number * _HOUR, count)]))
    cuts = [_EPOCH + timedelta(microseconds=start) for start in _cuts(steps, rows)]
    return [Window(lo, hi) for lo, hi in zip([None, *cuts], [*cuts, None], strict=True)]


def _cuts(steps: Iterable[tuple[int, int]], rows: int) -> Iterator[int]:
    """Yield the starts of the steps that begin a new window."""
    gathered = 0
    for start, count in steps:
        if gathered and gathered + count > rows:
            yield start
            gathered = 0
        gathered += count


def _histogram(
    connection: duckdb.DuckDBPyConnection, width: int, hours: list[int] | None = None
) -> list[tuple[int, int]]:
    only = "true"
    if hours is not None:
        if not hours:
            return []
        only = f"epoch_us(started_at) // {_HOUR} IN ({', '.join(map(str, hours))})"
    query = (
        f"SELECT epoch_us(started_at) // {width} AS step, count(*) FROM observation "
        f"WHERE started_at IS NOT NULL AND {only} GROUP BY step ORDER BY step"
    )
    return [(int(step), int(count)) for step, count in connection.execute(query).fetchall()]


def schedule_activities(connection: duckdb.DuckDBPyConnection) -> None:
    """Work out which activities come at another time than their own, into the temporary table `activity_schedule`.

    All versions of an activity come together, at the time when its newest one was logged, or at the start of the
    earliest observation whose own keys it carries: an exact trace has no limit of time.
    """
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE activity_schedule AS
        WITH several AS (
            SELECT activity_id FROM activity GROUP BY activity_id HAVING count(*) > 1
            UNION
            SELECT activity_id FROM activity WHERE len(keys) > 0
        ),
        moved AS (
            SELECT activity_id, logged_from, keys FROM (FROM activity SEMI JOIN several USING (activity_id))
            QUALIFY row_number() OVER (PARTITION BY activity_id ORDER BY updated_at DESC NULLS LAST, raw_id DESC) = 1
        ),
        carried AS (
            SELECT activity_id, unnest(keys) AS carried_key FROM moved
        ),
        met AS (
            SELECT activity_id, started_at FROM carried JOIN observation ON event_id = carried_key
            UNION ALL
            SELECT activity_id, started_at FROM carried JOIN observation ON session_id = carried_key
        ),
        earliest AS (
            SELECT activity_id, min(started_at) AS started_at FROM met GROUP BY activity_id
        )
        SELECT activity_id, coalesce(started_at, logged_from) AS scheduled_at
        FROM moved
        LEFT JOIN earliest USING (activity_id)
        """
    )


def facts(connection: duckdb.DuckDBPyConnection, window: Window) -> dict[str, pa.Table]:
    """Return the facts of a window, with the schemas of `schemas.facts`; activities were scheduled before."""
    own_time = f"FROM activity ANTI JOIN activity_schedule USING (activity_id) WHERE {_within('logged_from', window)}"
    moved = (
        "FROM activity SEMI JOIN (SELECT activity_id FROM activity_schedule "
        f"WHERE {_within('scheduled_at', window)}) AS moved USING (activity_id)"
    )
    tables = {
        "observation": _read(connection, "observation", f"FROM observation WHERE {_within('started_at', window)}"),
        "activity": pa.concat_tables([_read(connection, "activity", tail) for tail in (own_time, moved)]),
    }
    if window.is_first:
        tables |= {kind: _read(connection, kind, f"FROM {kind}") for kind in _WHOLE}
    return tables


def _within(column: str, window: Window) -> str:
    """Return SQL for "in the window"; what has no time comes with the first one."""
    ends = [
        f"{column} {sign} TIMESTAMP '{instant.isoformat(sep=' ')}'"
        for sign, instant in ((">=", window.lo), ("<", window.hi))
        if instant is not None
    ]
    if not ends:
        return "true"
    return " AND ".join(ends) if window.lo is not None else f"({ends[0]} OR {column} IS NULL)"


def _read(connection: duckdb.DuckDBPyConnection, kind: str, tail: str) -> pa.Table:
    # Enumerations come as Arrow dictionaries; Arrow turns them into texts at a fraction of what SQL needs for it.
    schema = SCHEMAS[kind]
    return connection.sql(f"SELECT {', '.join(schema.names)} {tail}").to_arrow_table().cast(schema)
