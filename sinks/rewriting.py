"""Copying a store into a new file, table by table: the one way to leave behind what was deleted.

DuckDB keeps the blocks of rows that are gone until their place is needed. A file that is written anew holds what its
tables hold and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from sinks import catalog
from sinks.connection import STORAGE_VERSION, check_file, check_whole, connect, quoted, require_current
from sinks.failures import explained
from sinks.placement import Placement, sync

MEMORY_LIMIT: Final = "512MB"
OLD: Final = "old"
NEW: Final = "new"


@dataclass(frozen=True)
class Rewriting:
    """A store, attached as `old` for reading only, and an empty one of the same version, attached as `new`."""

    connection: duckdb.DuckDBPyConnection

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the old store's tables, sorted."""
        return _tables(self.connection, OLD)

    def copy(self, rows: Mapping[str, str] | None = None) -> dict[str, int]:
        """Copy every table; return how many rows each has now. `rows`: for tables that change, a query of all rows."""
        counts = {}
        for name in self.tables:
            # The two tables that a new store has rows in of its own.
            self.connection.execute(f"DELETE FROM {NEW}.{name}")
            query = (rows or {}).get(name, f"FROM {OLD}.{name}")
            ((counts[name],),) = self.connection.execute(f"INSERT INTO {NEW}.{name} BY NAME {query}").fetchall()
        return counts

    def append(self, table: str, rows: Sequence[Mapping[str, Any]], text: Callable[[str], str] = str) -> None:
        """Append rows to a table of the new store. `text` is what becomes of every text in them."""
        if not rows:
            return
        given = self.connection.sql(f"FROM {NEW}.{table} LIMIT 0").to_arrow_table().schema
        # DuckDB turns texts into values of an enumeration by itself.
        schema = pa.schema([(field.name, _without_dictionary(field.type)) for field in given])
        values = [{name: _with_texts(value, text) for name, value in row.items()} for row in rows]
        self.connection.register("incoming_row", pa.Table.from_pylist(values, schema=schema))
        self.connection.execute(f"INSERT INTO {NEW}.{table} BY NAME FROM incoming_row")
        self.connection.unregister("incoming_row")


@contextmanager
def rewriting(old: Path, new: Path) -> Iterator[Rewriting]:
    """Give both stores meanwhile; at the end the new file is whole and on the disk. Nobody may write the old one.

    Raises:
        ConfigurationError: when the old one is no store, not whole, of another version, or somebody writes it.
        TransientError: when the disk is full.
    """
    check_file(old)
    placement = Placement(old)
    placement.spill = placement.spill.with_name(f"{placement.spill.name}-{os.getpid()}-{new.name}")
    with explained(old):
        connection = connect(":memory:", placement, MEMORY_LIMIT, None, read_only=False)
        try:
            # Rows that were written one after the other stay together: they compress better.
            connection.execute("SET preserve_insertion_order = true")
            connection.execute(f"ATTACH {quoted(placement.target)} AS {OLD} (READ_ONLY); USE {OLD}")
            check_whole(connection, OLD, old)
            require_current(connection, old)
            with explained(new):
                connection.execute(
                    f"ATTACH {quoted(new)} AS {NEW} "
                    f"(STORAGE_VERSION '{STORAGE_VERSION}', RECOVERY_MODE no_wal_writes); USE {NEW}"
                )
                catalog.create(connection)
                connection.execute("USE memory")
                yield Rewriting(connection)
                connection.execute(f"CHECKPOINT {NEW}; DETACH {NEW}")
                sync(new)
        finally:
            connection.close()


def row_counts(path: Path) -> dict[str, int]:
    """Return how many rows each table of a store has, which is read whole.

    Raises:
        ConfigurationError: when it is no store, not whole, of another version, or damaged.
    """
    check_file(path)
    placement = Placement(path)
    with explained(path):
        connection = connect(":memory:", placement, MEMORY_LIMIT, None, read_only=False)
        try:
            connection.execute(f"ATTACH {quoted(placement.target)} AS {OLD} (READ_ONLY); USE {OLD}")
            check_whole(connection, OLD, path)
            require_current(connection, path)
            return counted(connection)
        finally:
            connection.close()


def counted(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return how many rows each table of the attached old store has."""
    counts = {}
    for name in _tables(connection, OLD):
        ((counts[name],),) = connection.execute(f"SELECT count(*) FROM {OLD}.{name}").fetchall()
    return counts


def _without_dictionary(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _with_texts(value: Any, text: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return text(value)
    return [_with_texts(each, text) for each in value] if isinstance(value, list) else value


def _tables(connection: duckdb.DuckDBPyConnection, database: str) -> tuple[str, ...]:
    found = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? ORDER BY table_name", [database]
    ).fetchall()
    return tuple(name for (name,) in found)
