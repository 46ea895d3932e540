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
# Numbers are given as transactions begin to write. Whoever asks for one knows that all which are running have lower
# ones; a snapshot alone does not tell, for it says nothing of the newest of them.
_NUMBER: Final = "SELECT now(), txid_current()"
_LOWEST_RUNNING: Final = "SELECT txid_snapshot_xmin(txid_current_snapshot())"
# A copy that follows another server is only as far as it has followed.
_FOLLOWED: Final = "SELECT CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_xact_replay_timestamp(), now()) END"
_MAY_SEE_ALL: Final = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"
_OLDEST_POSTGRESQL: Final = """
    SELECT min(began) FROM (
        SELECT xact_start AS began FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
        UNION ALL SELECT prepared FROM pg_prepared_xacts
    ) AS running
"""
# As an age, because the table tells local time of the server. It is renewed ten times a second at most: what has just
# ended may still stand there, which only holds progress back until the next look.
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
    followed = _ask(database, _FOLLOWED)[0]
    if followed is not None:
        warning = (
            f"{database.place} is a copy and cannot see open transactions: have an overlap longer than any of them"
        )
        return Sight(_utc(followed), _utc(followed), warning=warning)
    written, number = _ask(database, _NUMBER)
    now = _utc(written)
    began = time.monotonic()
    while (lowest := _ask(database, _LOWEST_RUNNING)[0]) <= number:
        if time.monotonic() - began >= patience.total_seconds():
            return _look_past_open_ones(database, [*marks, (now, int(number))], now, int(lowest))
        sleep(_LOOK_SECONDS)
    return Sight(now, now)


def _look_past_open_ones(database: Database, marks: Marks, now: datetime, lowest: int) -> Sight:
    """Return what is known while transactions are open of which the first has the number `lowest`."""
    settled = max((moment for moment, number in marks if number < lowest), default=None)
    # The first marks are those that will be settled first; between the others there may be gaps.
    waiting = [mark for mark in marks if mark[1] >= lowest]
    kept = [*waiting[: _MOST_MARKS - 1], *waiting[_MOST_MARKS - 1 :][-1:]]
    if _ask(database, _MAY_SEE_ALL)[0]:
        oldest = _ask(database, _OLDEST_POSTGRESQL)[0]
        reached = now if oldest is None else min(now, _utc(oldest))
        settled = reached if settled is None else max(settled, reached)
    elif settled is not None:
        kept = [(settled, 0), *kept]
    remedy = "" if settled is not None else "; GRANT pg_monitor to the user, and it is known when it began"
    warning = f"a transaction on {database.place} is still open, and so progress stays behind{remedy}"
    return Sight(now, settled, kept, warning)


def _ask(database: Database, question: str) -> Any:
    with database.reading() as connection:
        return connection.execute(sa.text(question)).one()


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
