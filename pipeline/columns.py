"""Columns of facts: how values become the Arrow columns that `schemas.facts` asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from schemas.facts import INSTANT, SCHEMAS, FactKind

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND

_EPOCH: Final = datetime(1970, 1, 1)
_TICK: Final = timedelta(microseconds=1)
_FIRST: Final = (datetime.min - _EPOCH) // _TICK
_ZONED: Final = pa.timestamp("us", "UTC")
_WORD_BYTES: Final = 8
_WORDS_AT_ONCE: Final = 1 << 17
_LONGEST_MIXED: Final = 4_096


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
    """Return instants in microseconds since 1970, UTC. A value without a zone is local time of `zone`.

    Raises:
        OverflowError: when one lies before the year 1 in UTC, where Python knows no time.
    """
    aware = [value if value is None or value.tzinfo is not None else value.replace(tzinfo=zone) for value in values]
    numbers = pa.array(aware, _ZONED).cast(INSTANT).cast(pa.int64())
    if (pc.min(numbers).as_py() or 0) < _FIRST:
        raise OverflowError("an instant before the year 1")
    instants: list[int | None] = numbers.to_pylist()
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


def digests(texts: pa.Array) -> pa.Array:
    """Return 64 bits of each text (no nulls), the same for the same text in every version and wherever it stands.

    Not those of `digest`, and no secret: made for a million records at once, at a third of the cost of a hash for each.
    """
    lengths = pc.binary_length(texts)
    is_long = pc.greater(lengths, _LONGEST_MIXED)
    has_long = bool(pc.any(is_long).as_py())
    mixed = pc.if_else(is_long, "", texts) if has_long else texts
    word_count = -(-(pc.max(pc.binary_length(mixed)).as_py() or 1) // _WORD_BYTES)
    row_count = max(1, _WORDS_AT_ONCE // word_count)
    parts = [_mixed(mixed.slice(start, row_count), word_count) for start in range(0, len(texts), row_count)]
    sums = pa.chunked_array(parts, pa.uint64()).combine_chunks()
    found = pc.add(sums, pc.multiply(pc.cast(lengths, pa.uint64()), _factor(-1)))
    found = _folded(pc.multiply(_folded(found), _factor(-2)))
    if has_long:
        others = [digest(text.encode()) for text in texts.filter(is_long).to_pylist()]
        found = pc.replace_with_mask(found, is_long, pa.array(others, pa.uint64()))
    return found


def _mixed(texts: pa.Array, word_count: int) -> pa.Array:
    """Return the sum of each text's words, eight bytes each, every one folded and multiplied by its place's factor.

    A text is filled up with zeros, which add nothing: how long its neighbours are makes no difference.
    """
    padded = pc.ascii_rpad(texts, word_count * _WORD_BYTES, "\0")
    words = pa.Array.from_buffers(pa.uint64(), len(texts) * word_count, [None, padded.buffers()[2]])
    factors, lasts = _factors(word_count, max(1, _WORDS_AT_ONCE // word_count))
    products = pc.multiply(_folded(words), factors.slice(0, len(words)))
    sums = pc.cumulative_sum(products).take(lasts.slice(0, len(texts)))
    before = pa.concat_arrays([pa.array([0], pa.uint64()), sums.slice(0, len(sums) - 1)])
    return pc.subtract(sums, before)


def _folded(words: pa.Array) -> pa.Array:
    """Return words whose lower half depends on the upper one too: a product's lower bits see only those below them."""
    return pc.bit_wise_xor(words, pc.shift_right(words, pa.scalar(32, pa.uint64())))


@lru_cache(maxsize=8)
def _factors(word_count: int, row_count: int) -> tuple[pa.Array, pa.Array]:
    """Return the factors of the words of so many texts, and where each text's last word is."""
    factors = pa.array([digest(b"%d" % place) | 1 for place in range(word_count)] * row_count, pa.uint64())
    return factors, pa.array(range(word_count - 1, word_count * row_count, word_count), pa.int32())


def _factor(place: int) -> pa.Scalar:
    return pa.scalar(digest(b"%d" % place) | 1, pa.uint64())


def count_from(first: int, count: int) -> pa.Array:
    """Return so many whole numbers in a row."""
    return pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), count), start=pa.scalar(first - 1, pa.int64()))
