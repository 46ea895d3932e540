"""What is known of a CRM's records, on this machine's disk: which version of each was given on, how far a read came.

A page of rows and the place where to go on are written in one transaction. So a process may be killed at any moment:
what it had not finished is read again, and what was not given on waits here under the same identity. The file is its
owner's alone. Where it feeds a broker, a record's content is kept only until the broker has it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pipeline.crm_tables.telling import REJECTED, CurrentRecord, Version, deletion, version
from pipeline.errors import ConfigurationError, TransientError

_FORM: Final = 3
_MOST_VALUES: Final = 500
_TABLES: Final = """
    CREATE TABLE state (value TEXT NOT NULL);
    CREATE TABLE record (
        table_name TEXT NOT NULL, record_id TEXT NOT NULL, row_id TEXT NOT NULL, kind TEXT NOT NULL, digest INTEGER,
        changed_at INTEGER, place TEXT NOT NULL, value BLOB, remains BLOB, seen INTEGER NOT NULL,
        waits INTEGER NOT NULL, logged_at INTEGER,
        PRIMARY KEY (table_name, kind, record_id)
    ) WITHOUT ROWID;
    CREATE INDEX record_of_row ON record (table_name, row_id);
    CREATE INDEX waiting ON record (logged_at) WHERE waits;
"""


@dataclass(frozen=True)
class Pass:
    """A read that has begun. Instants in microseconds since 1970; `after` as JSON can hold it.

    `settled`: before it, nothing new can appear in the database; None when that is not known.
    """

    is_full: bool
    began: int
    settled: int | None
    table: int = 0
    step: int = 0
    after: list[Any] | None = None
    row_count: int = 0
    changed_count: int = 0


@dataclass(frozen=True)
class State:
    """Where reading stands. `since`: what changed from then on is still to be read; None: everything.

    `progress`: everything logged before it was given on. `number` counts the reads. `form` is that of the file,
    `mapping` tells how rows were told. Instants in microseconds since 1970.
    """

    form: int = _FORM
    mapping: str = ""
    number: int = 0
    full_at: int = 0
    since: int | None = None
    progress: int | None = None
    current: Pass | None = None
    marks: list[list[int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A version of a record that was not given on yet."""

    table: str
    record_id: str
    kind: str
    place: str
    value: bytes


class Ledger:
    """One file, and one process that has it."""

    def __init__(self, path: Path, keeps_values: bool) -> None:
        """Open a ledger, made where there is none. `keeps_values`: records stay in it after they were given on.

        Raises:
            ConfigurationError: when another process has it, it is damaged or of another version, or cannot be written.
        """
        self._path = path
        self._keeps_values = keeps_values
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            self.state = self._open()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise ConfigurationError(
                    f"{path} is in use by another `bypassflow crm pull` of the same source; end that one first"
                ) from None
            raise ConfigurationError(f"{path} cannot be written: {error}") from None
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None
        except (sqlite3.DatabaseError, ValueError, TypeError, KeyError):
            raise ConfigurationError(f"{path} is damaged; remove it, and everything is read again") from None

    def _open(self) -> State:
        # Held until the end: two processes would give on the same records twice.
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("BEGIN IMMEDIATE")
        if not self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            for statement in _TABLES.split(";"):
                self._db.execute(statement)
            self._db.execute("INSERT INTO state VALUES (?)", (_written(State()),))
        ((text,),) = self._db.execute("SELECT value FROM state").fetchall()
        self._db.execute("COMMIT")
        values = json.loads(text)
        if values["form"] != _FORM:
            raise ConfigurationError(
                f"{self._path} was written by another version of bypassflow; remove it, and everything is read again"
            )
        current = values.pop("current")
        return State(**values, current=None if current is None else Pass(**current))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    # What is read

    def keep(self, state: State) -> None:
        """Keep where reading stands."""
        with self._writing():
            self._keep(state)

    def take(self, table: str, rows: Sequence[tuple[str, Sequence[CurrentRecord]]], state: State) -> int:
        """Take in what rows tell now, each by its id, and where to go on; return how many records are new or changed.

        What a row told before and tells no more is taken back.
        """
        now = state.current.began if state.current is not None else 0
        rows = list({row_id: (row_id, told) for row_id, told in rows}.values())
        known = self._known(table, [row_id for row_id, _ in rows])
        changed: list[tuple[Any, ...]] = []
        seen: list[tuple[int, str, str, str]] = []
        usable: list[tuple[str, str, str]] = []  # that were refused before
        for row_id, records in rows:
            before = known.get(row_id, {})
            for told in records:
                record_id = told.record_id
                old = before.pop((told.kind, record_id), None)
                if old is not None and old[0] == told.digest:
                    seen.append((state.number, table, told.kind, record_id))
                    continue
                made = version(table, told, old[1] if old else None, old is not None, now)
                changed.append(_row(table, row_id, told.kind, told.digest, made, record_id, told.left, state.number))
            for (kind, record_id), (digest, known_at, left) in before.items():
                if kind == REJECTED:
                    usable.append((table, kind, record_id))
                if left is not None and digest is not None:
                    made = deletion(table, record_id, left, known_at, now)
                    changed.append(_row(table, row_id, kind, None, made, record_id, left, state.number))
        with self._writing():
            self._db.executemany(_UPSERT, changed)
            self._db.executemany(_DELETE, usable)
            self._db.executemany(f"UPDATE record SET seen = ? {_WHICH}", seen)
            if state.current is not None:
                count = state.current.changed_count + len(changed)
                state = replace(state, current=replace(state.current, changed_count=count))
            self._keep(state)
        return len(changed)

    def _known(self, table: str, row_ids: Sequence[str]) -> dict[str, dict[tuple[str, str], tuple[Any, ...]]]:
        known: dict[str, dict[tuple[str, str], tuple[Any, ...]]] = {}
        for start in range(0, len(row_ids), _MOST_VALUES):
            part = row_ids[start : start + _MOST_VALUES]
            marks = ",".join("?" * len(part))
            query = "SELECT row_id, kind, record_id, digest, changed_at, remains FROM record WHERE table_name = ?"
            for row_id, kind, record_id, *rest in self._db.execute(f"{query} AND row_id IN ({marks})", (table, *part)):
                known.setdefault(row_id, {})[kind, record_id] = tuple(rest)
        return known

    # What is gone

    def unseen(self, table: str, number: int) -> tuple[int, int]:
        """Return how many records of a table were not met by a full read, and how many there are; both not deleted."""
        query = (
            "SELECT count(*) FILTER (WHERE seen < ?), count(*) FROM record WHERE table_name = ? AND digest IS NOT NULL"
        )
        ((gone, known),) = self._db.execute(query, (number, table)).fetchall()
        return int(gone), int(known)

    def take_back(self, table: str, state: State) -> int:
        """Take back what a full read did not meet; return how many records."""
        now = state.current.began if state.current is not None else 0
        query = """
            SELECT record_id, row_id, kind, changed_at, remains FROM record
            WHERE table_name = ? AND digest IS NOT NULL AND seen < ? LIMIT 5000
        """
        count = 0
        while found := self._db.execute(query, (table, state.number)).fetchall():
            with self._writing():
                for record_id, row_id, kind, known_at, left in found:
                    if left is None:
                        self._db.execute(
                            "DELETE FROM record WHERE table_name = ? AND kind = ? AND record_id = ?",
                            (table, kind, record_id),
                        )
                        continue
                    made = deletion(table, record_id, left, known_at, now)
                    row = _row(table, row_id, kind, None, made, record_id, left, state.number)
                    self._db.execute(_UPSERT, row)
            count += len(found)
        return count

    # What is given on

    @property
    def is_first_read(self) -> bool:
        """Whether the first read of all is still going on: its rows come in no order of time."""
        return self.state.since is None and self.state.current is not None

    def waiting(self, most: int) -> list[Waiting]:
        """Return versions that were not given on, so many at most: customers first, then by when it was logged."""
        query = "SELECT table_name, record_id, kind, place, value FROM record WHERE waits ORDER BY logged_at LIMIT ?"
        return [Waiting(*row) for row in self._db.execute(query, (most,))]

    def given(self, waiting: Sequence[Waiting]) -> None:
        """Remember that versions were given on."""
        keep = "" if self._keeps_values else ", value = NULL"
        statement = (
            f"UPDATE record SET waits = 0{keep} WHERE table_name = ? AND kind = ? AND record_id = ? AND place = ?"
        )
        with self._writing():
            self._db.executemany(statement, [(each.table, each.kind, each.record_id, each.place) for each in waiting])

    def all_given(self) -> None:
        """Remember that everything was given on."""
        with self._writing():
            self._db.execute("UPDATE record SET waits = 0 WHERE waits")

    def records(self, table: str) -> Iterator[Waiting]:
        """Yield the newest version of every record of a table that was kept."""
        query = """
            SELECT table_name, record_id, kind, place, value FROM record
            WHERE table_name = ? AND value IS NOT NULL ORDER BY kind, record_id
        """
        for row in self._db.execute(query, (table,)):
            yield Waiting(*row)

    def size(self, table: str) -> int:
        """Return how many bytes the records of a table take."""
        ((size,),) = self._db.execute(
            "SELECT coalesce(sum(length(value)), 0) FROM record WHERE table_name = ?", (table,)
        ).fetchall()
        return int(size)

    def _keep(self, state: State) -> None:
        self._db.execute("UPDATE state SET value = ?", (_written(state),))
        self.state = state

    def _writing(self) -> _Writing:
        return _Writing(self._db, self._path)


class _Writing:
    """A transaction: all of it or nothing."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._db.execute("COMMIT")
                return
            except sqlite3.OperationalError as failure:
                self._db.execute("ROLLBACK")
                raise TransientError(f"{self._path} cannot be written ({failure}); free the disk") from None
        self._db.execute("ROLLBACK")
        if isinstance(error, sqlite3.OperationalError):
            raise TransientError(f"{self._path} cannot be written ({error}); free the disk") from None


_WHICH: Final = "WHERE table_name = ? AND kind = ? AND record_id = ?"
_DELETE: Final = f"DELETE FROM record {_WHICH}"
_UPSERT: Final = """
    INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)
    ON CONFLICT DO UPDATE SET
        row_id = excluded.row_id, kind = excluded.kind, digest = excluded.digest, changed_at = excluded.changed_at,
        place = excluded.place, value = excluded.value, remains = excluded.remains, seen = excluded.seen, waits = 1,
        logged_at = excluded.logged_at
"""


def _row(
    table: str,
    row_id: str,
    kind: str,
    digest: int | None,
    made: Version,
    record_id: str,
    left: bytes | None,
    seen: int,
) -> tuple[Any, ...]:
    return table, record_id, row_id, kind, digest, made.changed_at, made.place, made.value, left, seen, made.logged_at


def _written(state: State) -> str:
    return json.dumps(asdict(state))
