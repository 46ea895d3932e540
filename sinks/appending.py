"""How Arrow tables get into the store's tables, at little cost.

Measured: a column of texts costs several times a column of numbers, and finding the best compression for texts is most
of that. So enumerations cross as small numbers, and a column that holds one value only crosses as that value. A table
that one thread makes grow by whole row groups is compressed once; otherwise partial row groups are written again when
they are put together, which doubles the cost.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigurationError
from sinks.catalog import Column, columns

ROW_GROUP = 122_880
_INCOMING = "incoming_rows"


class Appender:
    """Appends Arrow tables to one table of the store; columns are found by name, absent ones become null."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        self._connection = connection
        self.name = name
        self._columns = columns(connection, name)

    def append(self, table: pa.Table) -> None:
        """Append all rows in one statement.

        Raises:
            ConfigurationError: when a value is none of its column's enumeration.
        """
        if not table.num_rows:
            return
        names: list[str] = []
        expressions: list[str] = []
        arrays: list[pa.ChunkedArray] = []
        parameters: list[Any] = []
        for column in self._columns:
            index = table.schema.get_field_index(column.name)
            if index < 0 or table.column(index).null_count == table.num_rows:
                continue
            array = _plain(table.column(index))
            names.append(column.name)
            if is_constant(array):
                parameters.append(array[0].as_py())
                expressions.append(f"${len(parameters)}::{column.sql_type}")
                if column.values and parameters[-1] not in column.values:
                    raise _unknown(self.name, column, parameters[-1])
            elif column.values:
                codes = _codes(self.name, column, array)
                expressions.append(_decoded(f"c{len(arrays)}", column))
                arrays.append(codes)
            else:
                expressions.append(f"c{len(arrays)}")
                arrays.append(array)
        if not arrays:  # Something must say how many rows there are.
            arrays.append(pa.nulls(table.num_rows))
        incoming = pa.table(arrays, names=[f"c{number}" for number in range(len(arrays))])
        self._connection.register(_INCOMING, incoming)
        try:
            self._connection.execute(
                f"INSERT INTO {self.name} ({', '.join(names)}) SELECT {', '.join(expressions)} FROM {_INCOMING}",
                parameters,
            )
        finally:
            self._connection.unregister(_INCOMING)


class BackgroundWriter:
    """Gathers rows of several tables into whole row groups and writes them on a thread of its own.

    DuckDB works without Python's lock, so reading and writing share two processors. What goes wrong on the thread is
    raised at the next call. Memory: at most a row group per table, and sixteen on their way: the results of a window
    are written while the next one is folded.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._appenders: dict[str, Appender] = {}
        self._waiting: dict[str, list[pa.Table]] = {}
        self._tasks: queue.Queue[Callable[[], None] | None] = queue.Queue(maxsize=16)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def put(self, name: str, table: pa.Table) -> None:
        """Take rows to be written to a table, some time later."""
        if not table.num_rows:
            return
        self._check()
        waiting = self._waiting.setdefault(name, [])
        waiting.append(table)
        count = sum(part.num_rows for part in waiting)
        if count >= ROW_GROUP:
            together = pa.concat_tables(waiting, promote_options="permissive")
            whole = count - count % ROW_GROUP
            for start in range(0, whole, ROW_GROUP):
                self._send(name, together.slice(start, ROW_GROUP))
            self._waiting[name] = [together.slice(whole)]

    def drain(self) -> None:
        """Write everything taken so far; return when it is written."""
        for name, waiting in self._waiting.items():
            if waiting:
                self._send(name, pa.concat_tables(waiting, promote_options="permissive"))
        self._waiting.clear()
        self.wait()

    def wait(self) -> None:
        """Return when all whole row groups taken so far are written."""
        self._tasks.join()
        self._check()

    def close(self) -> None:
        """End the thread; what is not written is forgotten."""
        # Also lets go of an error's traceback, which would keep the connection alive.
        self._failure = RuntimeError("the writer is closed")
        if self._thread.is_alive():
            self._tasks.put(None)
            self._thread.join()
        self._waiting.clear()
        self._appenders.clear()
        self._connection.close()

    def _send(self, name: str, table: pa.Table) -> None:
        self._check()
        self._tasks.put(lambda: self._append(name, table))

    def _append(self, name: str, table: pa.Table) -> None:
        if name not in self._appenders:
            self._appenders[name] = Appender(self._connection, name)
        self._appenders[name].append(table)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                if self._failure is None:
                    task()
            except BaseException as error:  # raised again by the thread that puts
                self._failure = error
            finally:
                self._tasks.task_done()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure


def with_constants(table: pa.Table, values: Mapping[str, tuple[object, pa.DataType]]) -> pa.Table:
    """Return a table with further columns, each of one value."""
    for name, (value, type_) in values.items():
        table = table.append_column(name, pa.repeat(pa.scalar(value, type_), table.num_rows))
    return table


def is_constant(array: pa.ChunkedArray) -> bool:
    """Return whether a column of plain values holds the same value, not null, in all rows."""
    if array.null_count or pa.types.is_nested(array.type) or pa.types.is_timestamp(array.type):
        return False
    first = array[0]
    return bool(array[-1] == first and pc.all(pc.equal(array, first)).as_py())


def _plain(array: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without an Arrow dictionary."""
    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array


def _codes(table: str, column: Column, array: pa.ChunkedArray) -> pa.ChunkedArray:
    codes = pc.index_in(array, value_set=pa.array(column.values, array.type))
    if codes.null_count != array.null_count:
        known = pc.or_kleene(pc.is_valid(codes), pc.is_null(array))
        raise _unknown(table, column, array.filter(pc.invert(known))[0].as_py())
    return codes.cast(pa.int8())


def _decoded(name: str, column: Column) -> str:
    """Return SQL that turns small numbers into the values of an enumeration."""
    cases = " ".join(f"WHEN {number} THEN '{value}'::{column.sql_type}" for number, value in enumerate(column.values))
    return f"CASE {name} {cases} END"


def _unknown(table: str, column: Column, value: object) -> ConfigurationError:
    kind = table.removesuffix("_base").removesuffix("_delta")
    return ConfigurationError(
        f"unknown {column.name} {str(value)[:40]!r} in {kind}; expected one of {', '.join(column.values)}"
    )


def last_of_each(table: pa.Table, key: str) -> pa.Table:
    """Return one row per key: the one with the highest version, of equal ones the last."""
    best: dict[object, tuple[int, int]] = {}
    versions = table.column("version").to_pylist()
    for number, (value, version) in enumerate(zip(table.column(key).to_pylist(), versions, strict=True)):
        if value not in best or version >= best[value][0]:
            best[value] = (version, number)
    if len(best) == table.num_rows:
        return table
    return table.take(pa.array(sorted(number for _, number in best.values()), pa.int64()))
