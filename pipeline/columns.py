"""Columns of facts: how values become the Arrow columns that `schemas.facts` asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow as pa

from schemas.facts import INSTANT, SCHEMAS, FactKind

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND

_EPOCH: Final = datetime(1970, 1, 1)
_TICK: Final = timedelta(microseconds=1)
_ZONED: Final = pa.timestamp("us", "UTC")


def fact_table(kind: FactKind, columns: Mapping[str, Sequence[object] | pa.Array], row_count: int) -> pa.Table:
    """Return a table of facts of one kind; columns that are not given are null.

    Raises:
        KeyError: when a column is none of the schema's.
    """
    schema = SCHEMAS[kind]
    unknown = columns.keys() - set(schema.names)
    if unknown:
        raise KeyError(f"{kind} has no column {sorted(unknown)[0]!r}")
    arrays = []
    for column in schema:
        values = columns.get(column.name)
        if values is None:
            arrays.append(pa.nulls(row_count, column.type))
        elif isinstance(values, pa.Array):
            arrays.append(values if values.type == column.type else values.cast(column.type))
        elif pa.types.is_timestamp(column.type):
            arrays.append(pa.array(values, pa.int64()).cast(column.type))
        else:
            arrays.append(pa.array(values, column.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def ticks(values: Iterable[datetime | None], zone: ZoneInfo) -> list[int | None]:
    """Return instants in microseconds since 1970, UTC. A value without a zone is local time of `zone`."""
    aware = [value if value is None or value.tzinfo is not None else value.replace(tzinfo=zone) for value in values]
    instants: list[int | None] = pa.array(aware, _ZONED).cast(INSTANT).cast(pa.int64()).to_pylist()
    return instants


def tick(value: datetime | date, zone: ZoneInfo) -> int:
    """Return one instant as `ticks` does; a date means the first instant of that local day.

    >>> tick(date(1970, 1, 2), ZoneInfo("UTC")) == DAY
    True
    """
    if not isinstance(value, datetime):
        value = datetime.combine(value, time.min)
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    return (value.astimezone(UTC).replace(tzinfo=None) - _EPOCH) // _TICK


def digest(content: bytes) -> int:
    """Return 64 bits that are the same for the same content, in every version of Python."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
