"""Columns of a plain stretch of an export, each value read as `Row` reads it, but once per distinct text.

Only ids and times have so many distinct texts that they are worth an arithmetic of their own; their common forms
have one, and what is written otherwise is read by the functions that read single records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from pipeline.sources.salesforce_dialect import NULL_IDS, SUFFIX, YEARS, read_flag, read_id, read_moment, read_text
from schemas.facts import INSTANT

TEXT: Final = pa.string()
WORDS: Final = pa.dictionary(pa.int32(), pa.string())

_MANY: Final = frozenset(
    """
    Id Guid WhoId WhatId AccountId CallObject CreatedDate LastModifiedDate SystemModstamp ConvertedAccountId
    ConvertedContactId EmailMessageId MessageIdentifier
    """.split()  # noqa: SIM905
)
"""Fields with about as many texts as records."""

_BASE: Final = len("2026-03-02T12:30:05")
_SOME_TIME: Final = datetime(2000, 1, 1)
_UTC_ZONE: Final = ZoneInfo("UTC")
_DURATION: Final = pa.duration("us")
_NULL_ID_SET: Final = pa.array(sorted(NULL_IDS), TEXT)
_IS_CAPITAL: Final = bytes(1 if 65 <= byte <= 90 else 0 for byte in range(256))
_SUFFIX_TABLE: Final = SUFFIX.encode().ljust(256, b"\0")


class NotPlain(Exception):
    """The stretch holds a record that must be read by itself; never leaves the readers of Salesforce."""


@dataclass(frozen=True)
class Moments:
    """Times as exactly as they are known, by column; null where the record has none."""

    first: pa.Array
    last: pa.Array
    precision: pa.Array


class Columns:
    """The records of a plain stretch by the names of their fields; a field that the file does not have is null.

    Raises:
        NotPlain: when a record has another number of columns than the header.
    """

    def __init__(
        self, data: bytes, width: int, delimiter: str, places: Mapping[str, int], fields: Sequence[str], zone: ZoneInfo
    ) -> None:
        self._names = {field: str(places[field]) for field in fields if field in places}
        self._zone = zone
        many = {name for field, name in self._names.items() if field in _MANY}
        wanted = sorted(set(self._names.values()))
        try:
            self._table = pv.read_csv(
                pa.BufferReader(data),
                read_options=pv.ReadOptions(column_names=[str(i) for i in range(width)], block_size=len(data) + 1),
                parse_options=pv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=pv.ConvertOptions(
                    column_types={name: TEXT if name in many else WORDS for name in wanted},
                    include_columns=wanted,
                    strings_can_be_null=False,
                    check_utf8=False,
                ),
            ).combine_chunks()
        except pa.ArrowInvalid:
            raise NotPlain from None

    def __len__(self) -> int:
        count: int = self._table.num_rows
        return count

    def keep(self, rows: pa.Array) -> None:
        """Keep the rows where a boolean is true; texts that only the others had are forgotten."""
        if not pc.all(rows).as_py():
            schema = pa.schema([pa.field(name, TEXT) for name in self._table.column_names])
            self._table = self._table.cast(schema).filter(rows).combine_chunks()

    def has(self, field: str) -> bool:
        """Return whether the file has a field."""
        return field in self._names

    def read(self, field: str, decide: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
        """Return what `decide` says of each text, which is empty where null; it is asked once per distinct one."""
        if field not in self._names:
            return pa.array([decide("")], kind).take(pa.repeat(pa.scalar(0, pa.int32()), len(self)))
        return _by_text(self._column(field), lambda text: decide(read_text(text)), kind)

    def texts(self, field: str) -> tuple[list[str], pa.Array]:
        """Return the distinct texts of a field, empty where null, and each row's place among them."""
        if field not in self._names:
            return [], pa.nulls(len(self), pa.int32())
        encoded = _encoded(self._column(field))
        return [read_text(text) for text in encoded.dictionary.to_pylist()], encoded.indices

    def text(self, field: str) -> pa.Array:
        """Return the values of a field, null where it is null."""
        column = self._column(field) if field in self._names else None
        if column is None or _is_empty(column):
            return pa.nulls(len(self), TEXT)
        return _by_text(column, lambda text: read_text(text) or None, TEXT)

    def flag(self, field: str) -> pa.Array:
        """Return a boolean field, null where it is null."""
        if field not in self._names:
            return pa.nulls(len(self), pa.bool_())
        return _by_text(self._column(field), read_flag, pa.bool_())

    def id(self, field: str) -> pa.Array:
        """Return the ids in a field, null where it is null."""
        if field not in self._names:
            return pa.nulls(len(self), TEXT)
        column = self._column(field)
        if pa.types.is_dictionary(column.type):
            return _by_text(column, read_id, TEXT)
        if _is_empty(column):
            return pa.nulls(len(self), TEXT)
        lengths, is_plain = pc.binary_length(column), pc.ascii_is_alnum(column)
        is_null = pc.is_in(column, value_set=_NULL_ID_SET)
        is_short = pc.and_not(pc.and_(is_plain, pc.equal(lengths, 15)), is_null)
        is_other = pc.invert(pc.or_(is_null, pc.or_(is_short, pc.and_(is_plain, pc.equal(lengths, 18)))))
        if _any(is_short):
            column = pc.replace_with_mask(column, is_short, _full_ids(column.filter(is_short)))
        if _any(is_other):
            column = pc.replace_with_mask(column, is_other, _by_text(column.filter(is_other), read_id, TEXT))
        return pc.if_else(is_null, pa.scalar(None, TEXT), column) if _any(is_null) else column

    def moment(self, field: str) -> Moments:
        """Return the times in a field.

        Raises:
            NotPlain: when one cannot be read.
        """
        column = self._column(field) if field in self._names else None
        if column is None or _is_empty(column):
            return Moments(pa.nulls(len(self), INSTANT), pa.nulls(len(self), INSTANT), pa.nulls(len(self), TEXT))
        is_whole = pc.greater_equal(pc.binary_length(column), _BASE)
        try:
            instants = _instants(pc.if_else(is_whole, column, pa.scalar(None, TEXT)))
        except pa.ArrowInvalid:  # some other way of writing a time
            is_whole = pa.repeat(False, len(self))
            instants = pa.nulls(len(self), INSTANT)
        if pc.all(is_whole).as_py():
            return Moments(instants, instants, pa.repeat("second", len(self)))
        others = pc.if_else(is_whole, pa.scalar(None, TEXT), column).dictionary_encode()
        try:
            found = [read_moment(text, self._zone) for text in others.dictionary.to_pylist()]
        except (ValueError, OverflowError):
            raise NotPlain from None
        first, last, precision = (
            pa.array([moment and moment[part] for moment in found], kind).take(others.indices)
            for part, kind in enumerate((INSTANT, INSTANT, TEXT))
        )
        return Moments(
            pc.if_else(is_whole, instants, first),
            pc.if_else(is_whole, instants, last),
            pc.if_else(is_whole, pa.scalar("second"), precision),
        )

    def _column(self, field: str) -> pa.Array:
        column = self._table.column(self._names[field])
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def lists(*parts: pa.Array) -> pa.Array:
    """Return one list per row of the values of some columns, in the order of the columns, nulls left out."""
    count = len(parts[0])
    filled = [part for part in parts if part.null_count < count]
    if not filled:
        return pa.ListArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), count + 1), pa.array([], TEXT))
    lengths = pc.cast(pc.is_valid(filled[0]), pa.int32())
    for part in filled[1:]:
        lengths = pc.add(lengths, pc.cast(pc.is_valid(part), pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    values = filled[0]
    if len(filled) > 1:
        places = [place + row for row in range(count) for place in range(0, len(filled) * count, count)]
        values = pa.concat_arrays(filled).take(pa.array(places, pa.int64()))
    return pa.ListArray.from_arrays(offsets, pc.drop_null(values))


def _instants(column: pa.Array) -> pa.Array:
    """Return times that are written to the second, with whatever behind it, as UTC; nulls stay null.

    Raises:
        pyarrow.ArrowInvalid: when one does not begin with a date and a time.
        NotPlain: when one is of no age that is read, or something unknown stands behind it.
    """
    raw = column.cast(pa.binary())
    base = pc.binary_slice(raw, 0, _BASE).cast(TEXT).cast(INSTANT)
    limits = pc.min_max(base)
    if limits["min"].as_py() is None:
        return base
    if limits["min"].as_py().year not in YEARS or limits["max"].as_py().year not in YEARS:
        raise NotPlain
    # Without an end Arrow may reckon with a buffer of negative size.
    behind = pc.binary_slice(raw, _BASE, pc.max(pc.binary_length(raw)).as_py()).dictionary_encode()
    try:
        shifts = [_shift(text.decode("utf-8")) for text in behind.dictionary.to_pylist()]
    except (ValueError, OverflowError):
        raise NotPlain from None
    return pc.add(base, pa.array(shifts, _DURATION).take(behind.indices)) if any(shifts) else base


@lru_cache(maxsize=10_000)
def _shift(behind: str) -> timedelta:
    """Return how far from its date and time a value stands for that ends in this fraction and offset."""
    moment = read_moment(_SOME_TIME.isoformat() + behind, _UTC_ZONE)
    if moment is None:
        raise ValueError("no time")
    return moment.first - _SOME_TIME


def _full_ids(column: pa.Array) -> pa.Array:
    """Return ids of 15 letters and digits in their 18-character form: `full_id` for many, a character at a time."""
    count = len(column)
    data = "".join(column.to_pylist()).encode()
    is_capital = data.translate(_IS_CAPITAL)
    whole = bytearray(18 * count)
    for place in range(15):
        whole[place::18] = data[place::15]
    for group in range(3):
        bits = pa.repeat(pa.scalar(0, pa.uint8()), count)
        for place in range(5):
            weighed = is_capital[5 * group + place :: 15].translate(bytes([0, 1 << place]).ljust(256, b"\0"))
            part = pa.Array.from_buffers(pa.uint8(), count, [None, pa.py_buffer(weighed)])
            bits = pc.add(bits, part)
        letters = bytes(memoryview(bits.buffers()[1])[:count]).translate(_SUFFIX_TABLE)
        whole[15 + group :: 18] = letters
    offsets = pa.array(range(0, 18 * count + 1, 18), pa.int32())
    return pa.Array.from_buffers(TEXT, count, [None, offsets.buffers()[1], pa.py_buffer(bytes(whole))])


def _encoded(column: pa.Array) -> pa.DictionaryArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _by_text(column: pa.Array, decide: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    encoded = _encoded(column)
    return pa.array([decide(text) for text in encoded.dictionary.to_pylist()], kind).take(encoded.indices)


def _is_empty(column: pa.Array) -> bool:
    if pa.types.is_dictionary(column.type):
        return bool(column.dictionary.to_pylist() == [""])
    return not pc.max(pc.binary_length(column)).as_py()


def _any(column: pa.Array) -> bool:
    return bool(pc.any(column).as_py())
