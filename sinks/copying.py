"""Facts of an older store that a new one keeps: those of files that are not given again."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import duckdb
import pyarrow as pa

from schemas.facts import SCHEMAS
from sinks import observations
from sinks.connection import quoted

_OF_FILES = (
    "source_file",
    "dead_letter",
    "expired_event",
    *(observations.TABLE if kind == "observation" else kind for kind in SCHEMAS if kind != "identifier"),
)


def copy_facts(connection: duckdb.DuckDBPyConnection, old: Path, except_files: Collection[tuple[str, str]]) -> int:
    """Copy the facts of another store's files, but those given here, and its runs; return how many files."""
    connection.execute(f"ATTACH {quoted(old.resolve())} AS old (READ_ONLY)")
    try:
        connection.register("excepted", _pairs(except_files))
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE kept_file AS "
            "SELECT * FROM old.source_file ANTI JOIN excepted USING (source, file)"
        )
        connection.unregister("excepted")
        count = int(connection.execute("SELECT count(*) FROM kept_file").fetchall()[0][0])
        connection.execute("INSERT INTO run BY NAME SELECT * FROM old.run")
        if count:
            for name in _OF_FILES:
                kept = f"SELECT * FROM old.{name} SEMI JOIN kept_file USING (file_number)"
                connection.execute(f"INSERT INTO {name} BY NAME {kept}")
            # Identifiers belong to no file: all are kept.
            connection.execute("INSERT INTO identifier SELECT * FROM old.identifier")
        connection.execute("DROP TABLE kept_file")
    finally:
        connection.execute("DETACH old")
    return count


def _pairs(files: Collection[tuple[str, str]]) -> pa.Table:
    ordered = sorted(files)
    return pa.table(
        {
            "source": pa.array([source for source, _ in ordered], pa.string()),
            "file": pa.array([file for _, file in ordered], pa.string()),
        }
    )
