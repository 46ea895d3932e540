"""What a database's own clock and transactions tell: before which moment nothing can appear in it any more.

A row carries the time at which it was written, and becomes visible when its transaction ends. So a row may turn up that
is older than others that were read long ago. PostgreSQL numbers its transactions, and tells anybody which are still
running; MariaDB and MySQL tell when each began, to whom it is granted. Elsewhere only the overlap stands against it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from agents.crm_database.connection import Database

_LOOK_SECONDS: Final = 0.1
_MOST_MARKS: Final = 50

_NOW: Final = {
    "mysql": "SELECT UTC_TIMESTAMP(6)",
    "mssql": "SELECT SYSUTCDATETIME()",
    "oracle": "SELECT SYS_EXTRACT_UTC(SYSTIMESTAMP) FROM DUAL",
}
# A copy that follows another server is only as far as it has followed.
_POSTGRESQL: Final = """
    SELECT least(now(), CASE WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp() END),
        txid_snapshot_xmin(txid_current_snapshot()), txid_snapshot_xmax(txid_current_snapshot())
"""
_MAY_SEE_ALL: Final = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
_OLDEST_POSTGRESQL: Final = """
    SELECT min(began) FROM (
        SELECT xact_start AS began FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
        UNION ALL SELECT prepared FROM pg_prepared_xacts
    ) AS running
"""
# As an age, because the table tells local time of the server.
_OLDEST_MYSQL: Final = """
    SELECT max(timestampdiff(SECOND, trx_started, now())) FROM information_schema.innodb_trx
    WHERE trx_rows_modified > 0 AND trx_mysql_thread_id <> connection_id()
"""
_NO_PROCESS_RIGHT: Final = frozenset({1227, 1044, 1142, 1109})

# Instants and the numbers that PostgreSQL's transactions had reached by then.
Marks = Sequence[tuple[datetime, int]]


@dataclass(frozen=True)
class Sight:
    """What is known of a database at one moment. `settled` before it, nothing new can appear; None when not known.

    `marks` are to be given again at the next look. `warning` says what keeps it from being known.
    """

    now: datetime
    settled: datetime | None
    marks: Marks = ()
    warning: str | None = None


def look(
    database: Database,
    marks: Marks,
    patience: timedelta,
    now: Callable[[], datetime],
    sleep: Callable[[float], None] = time.sleep,
) -> Sight:
    """Return what can be known now, waiting so long at most for transactions that are running to end.

    `now` tells our own time, for databases that tell none.
    """
    if database.dialect == "postgresql":
        return _look_at_postgresql(database, marks, patience, sleep)
    with database.reading() as connection:
        if database.dialect == "mysql":
            return _look_at_mysql(connection)
        if database.dialect in _NOW:
            moment = _utc(connection.execute(sa.text(_NOW[database.dialect])).scalar_one())
            return Sight(moment, moment)
    moment = now()
    return Sight(moment, moment)


def _look_at_postgresql(database: Database, marks: Marks, patience: timedelta, sleep: Callable[[float], None]) -> Sight:
    first, running, reached = _numbers(database)
    began = time.monotonic()
    while running < reached and time.monotonic() - began < patience.total_seconds():
        sleep(_LOOK_SECONDS)
        _, running, _ = _numbers(database)
    if running >= reached:
        return Sight(first, first)
    ended = [moment for moment, number in marks if number <= running]
    kept = [(moment, number) for moment, number in marks if number > running]
    settled = max(ended, default=None)
    if settled is not None:
        kept = [(settled, 0), *kept]
    # The first marks are those that will be settled first; between the others there may be gaps.
    kept = [*kept[: _MOST_MARKS - 1], (first, reached)]
    with database.reading() as connection:
        if connection.execute(sa.text(_MAY_SEE_ALL)).scalar_one():
            oldest = connection.execute(sa.text(_OLDEST_POSTGRESQL)).scalar_one_or_none()
            oldest = first if oldest is None else min(first, _utc(oldest))
            settled = oldest if settled is None else max(settled, oldest)
    remedy = "" if settled is not None else "; GRANT pg_monitor to the user, and it is known when it began"
    return Sight(
        first, settled, kept, f"a transaction on {database.place} is still open, and so progress stays behind{remedy}"
    )


def _numbers(database: Database) -> tuple[datetime, int, int]:
    with database.reading() as connection:
        moment, running, reached = connection.execute(sa.text(_POSTGRESQL)).one()
    return _utc(moment), int(running), int(reached)


def _look_at_mysql(connection: Connection) -> Sight:
    moment = _utc(connection.execute(sa.text(_NOW["mysql"])).scalar_one())
    try:
        connection.execute(sa.text("SET SESSION time_zone = 'SYSTEM'"))
        age = connection.execute(sa.text(_OLDEST_MYSQL)).scalar_one()
    except exc.DBAPIError as error:
        if not _is_refused(error):
            raise
        return Sight(
            moment,
            moment,
            warning="transactions that are still open cannot be seen: GRANT PROCESS to the user, or have an overlap "
            "longer than any of them",
        )
    finally:
        connection.execute(sa.text("SET SESSION time_zone = '+00:00'"))
    # Whole seconds on both sides.
    return Sight(moment, moment if age is None else moment - timedelta(seconds=int(age) + 2))


def _is_refused(error: exc.DBAPIError) -> bool:
    arguments: Any = getattr(error.orig, "args", ())
    return bool(arguments) and arguments[0] in _NO_PROCESS_RIGHT


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
