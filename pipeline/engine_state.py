"""An engine's state as values: all that another engine needs to go on exactly where this one stopped."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import duckdb
import pyarrow as pa

from pipeline.steps import statements

_KEPT: Final = re.compile(r"CREATE TABLE (\w+)")

# The tables of `sql/state.sql` that outlive a fold; late_fact is emptied by the next one.
STATE_TABLES: Final = tuple(
    found[1] for statement in statements("state") if (found := _KEPT.match(statement.text)) and found[1] != "late_fact"
)
# What the steps were told once and for all; beside them `Steps.rows` of the tables matters to the next fold.
LASTING: Final = ("has_stranger", "has_ticket")
# Changes with the tables: a state of another layout cannot be restored.
LAYOUT: Final = hashlib.blake2b(
    "\n".join(statement.text for statement in statements("state")).encode(), digest_size=8
).hexdigest()


@dataclass(frozen=True)
class EngineState:
    """What `Engine.save` returns. `rows` are the engine's own counts, some of them only upper bounds."""

    tables: Mapping[str, pa.Table]
    rows: Mapping[str, int]
    known_endpoints: tuple[str, ...]
    complete_through: datetime | None
    closed_through: datetime | None
    layout: str = LAYOUT


def read_tables(connection: duckdb.DuckDBPyConnection) -> dict[str, pa.Table]:
    """Return the tables that outlive a fold, without those that are empty."""
    tables = {name: connection.sql(f"SELECT * FROM {name}").to_arrow_table() for name in STATE_TABLES}
    return {name: table for name, table in tables.items() if table.num_rows}


def write_tables(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table]) -> None:
    """Let a connection that ran `sql/state.sql` hold these rows and no others."""
    for name in STATE_TABLES:
        connection.execute(f"TRUNCATE {name}")
        if name in tables:
            connection.register("kept_rows", tables[name])
            connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM kept_rows")
            connection.unregister("kept_rows")
