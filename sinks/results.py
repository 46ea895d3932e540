"""Results in the store: what an engine says anew goes to a delta; a large delta is merged into the base.

The newest version of a key counts; of equal versions, what came last. What is older than that loses here and in the
views alike, whatever the order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from sinks.appending import last_of_each, with_constants


class Changes(Protocol):
    """What an engine's fold returns: see `pipeline.engine.Changes`."""

    @property
    def tables(self) -> Mapping[str, pa.Table]: ...


@dataclass(frozen=True)
class Result:
    """One kind of result and its key. `retracted` names the table of keys that are gone; null: none.

    The rows of one writing lie `by` the first of these columns that has a value, of an id by its first digits: the
    store knows the least and the greatest value of every few thousand rows, so one who asks for an id or a rare value
    reads a part of them. Nothing but speed depends on it.
    """

    name: str
    key: str
    retracted: str | None = None
    by: tuple[str, ...] = ()


RESULTS = (
    # In the order of time, as they come: most who ask for interactions ask for a customer's or a period's.
    Result("interaction", "interaction_id", retracted="retracted"),
    Result("disposition", "raw_id", by=("reason", "evidence_id")),
    Result("activity_outcome", "activity_id"),
)
# As many digits as tell some two hundred places apart: sorting by all of them would take five times as long.
_DIGITS = 2


def news(result: Result, changes: Changes, version: int) -> Iterator[pa.Table]:
    """Yield the rows of a kind that changes hold, as rows of its delta: what is gone, then what is there; none empty.

    Tables may bring a `version` of their own per row, as a batch of several packed folds does.
    """
    gone = changes.tables.get(result.retracted) if result.retracted else None
    if gone is not None and gone.num_rows:
        yield _gone(result, gone, version)
    said = changes.tables.get(result.name)
    if said is None or not said.num_rows:
        return
    if result.name == "interaction":
        said = _stored_interactions(said)
    if result.name == "activity_outcome":
        is_deleted = pc.fill_null(pc.equal(said.column("status"), "deleted"), False)
        if pc.any(is_deleted).as_py():
            yield _gone(result, said.filter(is_deleted), version)
            said = said.filter(pc.invert(is_deleted))
    if said.num_rows:
        yield _versioned(said, version, False)


def one_per_key(result: Result, parts: list[pa.Table]) -> pa.Table | None:
    """Return the rows to write of one batch: one per key."""
    if not parts:
        return None
    return last_of_each(pa.concat_tables(parts, promote_options="permissive"), result.key)


def laid(result: Result, rows: pa.Table) -> pa.Table:
    """Return rows of a base as they are to lie in it."""
    if not result.by or not rows.num_rows:
        return rows
    columns = [rows.column(name).cast(pa.string()) for name in result.by]
    columns[-1] = pc.utf8_slice_codeunits(columns[-1], 0, _DIGITS)
    # Few values and many rows: numbers in the order of the values are sorted ten times as fast as the values.
    values = pc.coalesce(*columns).combine_chunks().dictionary_encode(null_encoding="encode")
    places = pc.rank(values.dictionary, tiebreaker="dense").take(values.indices)
    return rows.take(pc.sort_indices(places.cast(pa.uint16())))


def order(result: Result) -> str:
    """Return the ORDER BY that lays rows as `laid` does; empty where their order is nothing to anybody."""
    if not result.by:
        return ""
    *texts, last = result.by
    return f"ORDER BY coalesce({', '.join([*(f'{name}::VARCHAR' for name in texts), f'left({last}, {_DIGITS})'])})"


def merge(connection: duckdb.DuckDBPyConnection, result: Result) -> None:
    """Merge the delta of a kind into its base, inside of the caller's transaction."""
    name, key = result.name, result.key
    connection.execute(f"CREATE OR REPLACE TEMP TABLE standing AS SELECT * FROM standing_{name} {order(result)}")
    connection.execute(f"DELETE FROM {name}_base WHERE {key} IN (SELECT {key} FROM standing)")
    connection.execute(f"DELETE FROM {name}_retracted WHERE {key} IN (SELECT {key} FROM standing)")
    connection.execute(
        f"INSERT INTO {name}_base BY NAME SELECT * EXCLUDE (is_retracted) FROM standing WHERE NOT is_retracted"
    )
    connection.execute(f"INSERT INTO {name}_retracted SELECT {key}, version FROM standing WHERE is_retracted")
    note_version(connection, name, "SELECT max(version) FROM standing")
    connection.execute(f"DELETE FROM {name}_delta")
    connection.execute("DROP TABLE standing")


def note_version(connection: duckdb.DuckDBPyConnection, name: str, version: str) -> None:
    """Note that the base of a kind holds rows up to a version, given as SQL."""
    connection.execute(
        f"UPDATE merged_version SET version = greatest(version, coalesce(({version}), version)) WHERE name = '{name}'"
    )


def keep_last(connection: duckdb.DuckDBPyConnection, result: Result) -> None:
    """Remove all rows of a base but the newest of each key: for writers that cannot tell what was said before."""
    name, key = result.name, result.key
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE repeated AS SELECT {key} FROM {name}_base GROUP BY {key} HAVING count(*) > 1"
    )
    connection.execute(
        f"""
        DELETE FROM {name}_base WHERE rowid IN (
            SELECT rowid FROM (SELECT rowid, {key}, version FROM {name}_base SEMI JOIN repeated USING ({key}))
            QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY version DESC, rowid DESC) > 1
        )
        """
    )
    connection.execute("DROP TABLE repeated")


def _gone(result: Result, table: pa.Table, version: int) -> pa.Table:
    return _versioned(
        table.select([name for name in (result.key, "version") if name in table.column_names]), version, True
    )


def _versioned(table: pa.Table, version: int, is_retracted: bool) -> pa.Table:
    values: dict[str, tuple[object, pa.DataType]] = {"is_retracted": (is_retracted, pa.bool_())}
    if "version" not in table.column_names:
        values["version"] = (version, pa.int64())
    return with_constants(table, values)


def _stored_interactions(table: pa.Table) -> pa.Table:
    """Return interactions as their table has them: sources as one text, an evidence_id only where it differs.

    `keys` are not stored: the evidence has them, and they would cost as much as a quarter of all other columns.
    """
    table = table.select([name for name in table.column_names if name != "keys"])
    index = table.schema.get_field_index("evidence_id")
    same = pc.equal(table.column(index), table.column("interaction_id"))
    table = table.set_column(index, "evidence_id", pc.if_else(same, pa.scalar(None, pa.string()), table.column(index)))
    index = table.schema.get_field_index("sources")
    return table.set_column(index, "sources", pc.binary_join(table.column(index), "+"))
