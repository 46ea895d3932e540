"""The store: one DuckDB file that holds the facts, what the engine said of them, and how both came about.

A store is either being built, under a name of its own until `publish` moves it into place, or open, for reading or for
live changes. Facts are the log from which every result can be folded again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigurationError
from pipeline.groups import OFF, GroupRules
from pipeline.sources.registry import Batch, DeadLetter
from schemas.closing import Closing
from schemas.facts import SCHEMAS
from sinks import catalog, observations, windows
from sinks.appending import Appender, BackgroundWriter, with_constants
from sinks.connection import STORAGE_VERSION, check_file, check_whole, connect, is_old, quoted, require_current
from sinks.copying import copy_facts
from sinks.failures import explained
from sinks.placement import Placement
from sinks.results import RESULTS, Changes, Result, keep_last, laid, merge, news, note_version, one_per_key
from sinks.tally import Tally, file_rows
from sinks.windows import Window

# What DuckDB may keep in memory. It fills it with what it has written, so a build, which needs little of its own, gets
# less: its peak must not grow with history.
MEMORY_LIMIT = "1GB"
BUILD_MEMORY_LIMIT = "256MB"
# Rows of a delta from which a merge into the base is worth its price.
MERGE_FROM = 20_000
# A merge looks at the whole base: so many merges for each doubling of it, at most.
MERGE_SHARE = 40

_ALIAS = "store"


@dataclass(frozen=True)
class RunRecord:
    """What is kept of a run. Instants are UTC without a zone; `settings` is JSON; digests are of any form."""

    started_at: datetime
    finished_at: datetime
    bypassflow_version: str
    configuration_digest: str
    key_digest: str
    company_id: str
    timezone: str
    settings: str = "{}"
    complete_through: datetime | None = None


class Store(Closing):
    """One deployment's facts and results. Made by `create`, `open` or `sinks.build.build`; to be closed."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, placement: Placement | None) -> None:
        self.path = path
        # Of a reader, the store that it reads: the same for all that read one opening of a file.
        self.origin: Store = self
        # Spent on queries since it was opened.
        self.query_seconds = 0.0
        # What may be shown of representatives; whoever opens the store for others says so.
        self.groups: GroupRules = OFF
        self._db = connection
        self._placement = placement
        self._writer: BackgroundWriter | None = None
        self._appenders: dict[str, Appender] = {}
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._file_count = 0
        self._scheduled = False
        self._is_attached = False
        self._unchecked: set[str] = set()
        self._fresh_count = 0
        self._merge_from = MERGE_FROM

    # -- coming and going ---------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, *, memory_limit: str = BUILD_MEMORY_LIMIT) -> Store:
        """Begin a new store that will lie at `path`; nothing is there before `publish`, and what is there stays.

        Raises:
            TransientError: when another process is writing the same store, or the disk is full.
            ConfigurationError: when its folder is not there or cannot be written.
        """
        placement = Placement(path)
        placement.acquire()
        try:
            with explained(placement.target):
                # One thread of DuckDB's fills row groups, see sinks.appending; the reader's thread and the writer's
                # work side by side all the same.
                connection = connect(":memory:", placement, memory_limit, 1, read_only=False)
                # A draft needs no log: until it is published it is worth nothing, and then it has a checkpoint.
                connection.execute(
                    f"ATTACH {quoted(placement.draft)} AS {_ALIAS} "
                    f"(STORAGE_VERSION '{STORAGE_VERSION}', RECOVERY_MODE no_wal_writes)"
                )
                connection.execute(f"USE {_ALIAS}")
                catalog.create(connection)
                store = cls(connection, placement.target, placement)
                store._writer = BackgroundWriter(store._cursor())
        except BaseException:
            placement.clear()
            placement.release()
            raise
        return store

    @classmethod
    def open(
        cls, path: Path, read_only: bool = True, *, memory_limit: str = MEMORY_LIMIT, threads: int | None = None
    ) -> Store:
        """Open a store that was published. One of an older version is brought up to date first; a copy of it stays.

        Raises:
            ConfigurationError: when there is none, it is none, a newer version wrote it, or another process holds it.
            TransientError: when `read_only` is false and a run is writing the same store.
        """
        check_file(path)
        placement = Placement(path)
        if not read_only:
            placement.acquire()
        connection: duckdb.DuckDBPyConnection | None = None
        try:
            with explained(path):
                connection = connect(str(placement.target), placement, memory_limit, threads, read_only)
                if is_old(connection, path):
                    if not read_only:
                        version = catalog.version_of(connection)
                        connection.execute("CHECKPOINT")
                        connection.close()
                        placement.keep_aside(f"schema-{version}")
                        connection = connect(str(placement.target), placement, memory_limit, threads, read_only)
                        catalog.migrate(connection, catalog.released(), catalog.SCHEMA_VERSION)
                    else:
                        connection.close()
                        cls.open(path, read_only=False, memory_limit=memory_limit).close()
                        connection = connect(str(placement.target), placement, memory_limit, threads, read_only)
                store = cls(connection, path, None if read_only else placement)
                store._file_count = store._count("SELECT max(file_number) FROM source_file")
        except BaseException:
            if connection is not None:
                connection.close()
            placement.release()
            raise
        return store

    @classmethod
    def open_beside(cls, path: Path, *, memory_limit: str = MEMORY_LIMIT) -> Store:
        """Open for reading what was moved to the place of a store that this process still reads.

        DuckDB takes a path that it has open for the same file, so this one is attached to an instance of its own.

        Raises:
            ConfigurationError: when there is none, it is none or not whole, another version wrote it, or another
                process holds it.
        """
        check_file(path)
        placement = Placement(path)
        # Before 2.0 two instances that spill into one folder take each other's files for their own.
        placement.spill = placement.spill.with_name(f"{placement.spill.name}-{os.getpid()}-{path.stat().st_ino}")
        with explained(path):
            connection = connect(":memory:", placement, memory_limit, None, read_only=False)
            try:
                connection.execute(f"ATTACH {quoted(placement.target)} AS {_ALIAS} (READ_ONLY); USE {_ALIAS}")
                check_whole(connection, _ALIAS, path)
                require_current(connection, path)
            except BaseException:
                connection.close()
                raise
        store = cls(connection, path, None)
        store._is_attached = True
        return store

    def close(self) -> None:
        """Let the file go. A store that is being built and was not published vanishes."""
        is_draft = self._writer is not None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._db.close()
        if self._placement is not None:
            if is_draft:
                self._placement.clear()
            self._placement.release()
            self._placement = None

    # -- facts --------------------------------------------------------------------------------------------------------

    def begin_file(
        self, source: str, file: str, format: str, size: int, carries: Collection[str] | None = None
    ) -> None:
        """Begin the account of a file. `carries`: the facts that its format may yield.

        Raises:
            ConfigurationError: when the file was begun before.
        """
        stored = "SELECT count(*) FROM source_file WHERE source = $1 AND file = $2"
        if (source, file) in self._tallies or self._count(stored, [source, file]):
            raise ConfigurationError(f"the file {file} of source {source} is given twice; give every file once")
        self._file_count += 1
        self._tallies[source, file] = Tally(self._file_count, source, file, format, size, carries)

    def add(self, batch: Batch, source: str, file: str) -> None:
        """Append a batch of a file that was begun: its facts, its dead letters, and their counts.

        Raises:
            ConfigurationError: when a fact holds a word that its column does not know.
            TransientError: when the disk is full.
        """
        tally = self._tallies[source, file]
        tally.count(batch)
        number: dict[str, tuple[object, pa.DataType]] = {"file_number": (tally.file_number, pa.int32())}
        with explained(self.path):
            for kind, table in batch.facts.items():
                rows = table.select(SCHEMAS[kind].names)
                if kind == "observation":
                    self._put(observations.TABLE, with_constants(observations.shortened(rows), number))
                else:
                    self._put(kind, rows if kind == "identifier" else with_constants(rows, number))
            if batch.dead_letters:
                self._put("dead_letter", with_constants(_letters(batch.dead_letters), number))

    def copy_facts_from(self, old: Path, except_files: Collection[tuple[str, str]]) -> int:
        """Copy the facts of another store's files, but those given here as (source, file); return how many files.

        Runs are copied too. To be called before the first `begin_file`.

        Raises:
            ConfigurationError: when the other store cannot be read.
        """
        check_file(old)
        with explained(old):
            count = copy_facts(self._db, old, except_files)
            self._file_count = self._count("SELECT max(file_number) FROM source_file")
        return count

    def finish_files(self) -> None:
        """Write the facts that are still on their way, and the files' accounts."""
        if self._tallies:
            with explained(self.path):
                self._put("source_file", file_rows(self._tallies.values()))
                if self._writer is not None:
                    self._writer.drain()
            self._tallies.clear()

    # -- windows for the fold -----------------------------------------------------------------------------------------

    def fold_windows(self, rows: int) -> list[Window]:
        """Return windows of about `rows` observations that together hold every fact, in order."""
        self.finish_files()
        with explained(self.path):
            return windows.cut(self._db, rows)

    def fold_facts(self, window: Window) -> dict[str, pa.Table]:
        """Return the facts of a window: its observations and the activities that belong with them.

        The first window also has all facts about customers, users, the directory and the feeds. An activity comes
        when it was logged, or with the earliest observation whose own keys it carries.
        """
        self.finish_files()
        with explained(self.path):
            if not self._scheduled:
                windows.schedule_activities(self._db)
                self._scheduled = True
            return windows.facts(self._db, window)

    # -- results ------------------------------------------------------------------------------------------------------

    def apply(
        self, changes: Changes, version: int, positions: Mapping[str, str] | None = None, fresh: bool = False
    ) -> None:
        """Write what an engine said anew, with the readers' next positions, in one transaction; safe to repeat.

        Tables may bring a `version` per row instead. A row of an older version than the store's loses. With `fresh`,
        in a store that is being built, rows whose `said_before` is false go straight to the base; a table without
        that column is checked for repetitions at the end.
        """
        with explained(self.path):
            if self._writer is not None:
                self._fresh_count += fresh
                self.note_positions(positions or {})
                for result in RESULTS:
                    self._build_on(result, changes, version, fresh)
                return
            with self.transaction():
                self.say(changes, version)
                self.note_positions(positions or {})
        self.fold(self._merge_from)

    def say(self, changes: Changes, version: int) -> int:
        """Write what `apply` writes of live changes, inside of the caller's transaction; return how many rows."""
        count = 0
        for result in RESULTS:
            rows = one_per_key(result, list(news(result, changes, version)))
            if rows is not None:
                self.append(f"{result.name}_delta", rows)
                count += rows.num_rows
        return count

    def fold(self, minimum_rows: int | None = 1) -> bool:
        """Merge deltas of at least so many rows into their bases; return whether there were any.

        None: of as many as make it worth its price, which grows with the base; and of one delta, so that nobody waits
        for all of them.
        """
        merged = False
        with explained(self.path):
            for result in RESULTS:
                waiting = self._count(f"SELECT count(*) FROM {result.name}_delta")
                if waiting < (self._merge_from if minimum_rows is None else max(1, minimum_rows)):
                    continue
                base = f"SELECT count(*) FROM {result.name}_base"
                if minimum_rows is None and waiting < self._count(base) // MERGE_SHARE:
                    continue
                with self.transaction():
                    merge(self._db, result)
                merged = True
                if minimum_rows is None:
                    break
        return merged

    def positions(self) -> dict[str, str]:
        """Return how far each reader has come, by name."""
        return dict(self._db.execute("SELECT name, value FROM position").fetchall())

    def record_run(self, run: RunRecord) -> None:
        """Keep what is to be known of a run."""
        names = ", ".join(vars(run))
        marks = ", ".join(f"${number}" for number in range(1, len(vars(run)) + 1))
        with explained(self.path):
            self._db.execute(
                f"INSERT INTO run (run_number, {names}) SELECT coalesce(max(run_number), 0) + 1, {marks} FROM run",
                list(vars(run).values()),
            )

    def last_run(self) -> RunRecord | None:
        """Return the newest run that was recorded, or None."""
        names = ", ".join(field.name for field in fields(RunRecord))
        found = self._db.execute(f"SELECT {names} FROM run ORDER BY run_number DESC LIMIT 1").fetchall()
        return RunRecord(*found[0]) if found else None

    # -- live changes, inside of one transaction of the caller's ------------------------------------------------------

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The store's own connection; it serves one thread."""
        return self._db

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write everything inside or nothing."""
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            # A disk that is full has ended the transaction already, and the first error is the one that says why.
            with suppress(duckdb.Error):
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def append(self, name: str, table: pa.Table) -> None:
        """Append rows to one of the store's tables; columns are found by name, absent ones become null."""
        self._put(name, table)

    def note_positions(self, positions: Mapping[str, str]) -> None:
        """Write how far readers have come, by name."""
        if positions:
            names, values = list(positions), list(positions.values())
            self._db.execute("DELETE FROM position WHERE list_contains($1::VARCHAR[], name)", [names])
            self._db.execute(
                "INSERT INTO position SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[])", [names, values]
            )

    def reader(self) -> Store:
        """Return the same store for another thread, for reading only; to be closed."""
        reader = Store(self._cursor() if self._is_attached else self._db.cursor(), self.path, None)
        reader._is_attached = self._is_attached
        reader.origin = self.origin
        reader.groups = self.groups
        return reader

    def narrow_to_teams(self, teams: Collection[str]) -> None:
        """Let this reader see the interactions of these teams alone, whatever it is asked; for a reader only.

        A view of its connection covers the one of the store, which every question about interactions reads.
        """
        (here,) = self.rows("SELECT current_database() AS name")
        place = '"' + here["name"].replace('"', '""') + '".main.current_interaction'
        names = ", ".join("'" + team.replace("'", "''") + "'" for team in sorted(teams)) or "NULL"
        with explained(self.path):
            self._db.execute(f"CREATE TEMP VIEW current_interaction AS SELECT * FROM {place} WHERE team IN ({names})")

    # -- reading ------------------------------------------------------------------------------------------------------

    def query(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> pa.Table:
        """Return what a query finds, as an Arrow table."""
        began = time.perf_counter()
        with explained(self.path):
            found = self._db.sql(sql, params=parameters or None).to_arrow_table()
        self.query_seconds += time.perf_counter() - began
        return found

    def rows(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()) -> list[dict[str, Any]]:
        """Return what a query finds, one dictionary per row."""
        found: list[dict[str, Any]] = self.query(sql, parameters).to_pylist()
        return found

    # -- the end of a build -------------------------------------------------------------------------------------------

    def publish(self, target: Path | None = None, last: Callable[[Path], None] = lambda draft: None) -> None:
        """Finish the store and move it to its place; from then on it is there for good. The store is closed.

        `last` is given the finished file before it is moved, and may replace it.

        Raises:
            ConfigurationError: when `target` is another place than the store was created for.
            TransientError: when the disk is full; the old store is then still in place.
        """
        placement, writer = self._placement, self._writer
        if placement is None or writer is None:
            raise ConfigurationError("only a store that is being built can be published")
        if target is not None and Placement(target).target != placement.target:
            raise ConfigurationError(f"the store was begun for {placement.target}, not for {target}")
        try:
            with explained(placement.target):
                self.finish_files()
                writer.drain()
                writer.close()
                for result in RESULTS:
                    note_version(self._db, result.name, f"SELECT max(version) FROM {result.name}_base")
                    # The number is a count of interactions: a fold that says one twice must not count it twice.
                    if result.name in self._unchecked or (result.name == "interaction" and self._fresh_count > 1):
                        keep_last(self._db, result)
                self.fold()
                self._db.execute(
                    "DELETE FROM identifier WHERE rowid NOT IN (SELECT max(rowid) FROM identifier GROUP BY token)"
                )
                for result in RESULTS:  # There is no older news of what this store never said.
                    self._db.execute(f"DELETE FROM {result.name}_retracted")
                self._db.execute(f"CHECKPOINT {_ALIAS}")
                self._db.execute("USE memory")
                self._db.execute(f"DETACH {_ALIAS}")
                last(placement.draft)
                placement.settle()
        finally:
            self.close()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _put(self, name: str, table: pa.Table) -> None:
        if self._writer is not None:
            self._writer.put(name, table)
            return
        if name not in self._appenders:
            self._appenders[name] = Appender(self._db, name)
        self._appenders[name].append(table)

    def _build_on(self, result: Result, changes: Changes, version: int, fresh: bool) -> None:
        delta: list[pa.Table] = []
        for rows in news(result, changes, version):
            if not fresh or rows.column("is_retracted")[0].as_py():
                delta.append(rows)
            elif "said_before" not in rows.column_names:
                self._unchecked.add(result.name)
                self._put(f"{result.name}_base", laid(result, rows))
            else:
                is_known = rows.column("said_before")
                if pc.any(is_known).as_py():  # Mostly nothing is, and a filter copies all columns.
                    delta.append(rows.filter(is_known))
                    rows = rows.filter(pc.invert(is_known))
                self._put(f"{result.name}_base", laid(result, rows))
        if (together := one_per_key(result, delta)) is not None:
            self._put(f"{result.name}_delta", together)

    def _count(self, query: str, parameters: Sequence[object] = ()) -> int:
        """Return a query's one number; 0 for null."""
        return int(self._db.execute(query, list(parameters)).fetchall()[0][0] or 0)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._db.cursor()
        cursor.execute(f"USE {_ALIAS}")
        return cursor


def _letters(letters: Sequence[DeadLetter]) -> pa.Table:
    return pa.Table.from_pylist([vars(letter) for letter in letters])
