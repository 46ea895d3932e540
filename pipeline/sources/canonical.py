"""Canonical records in files: JSON Lines, delimited text and Parquet, plain or packed.

These are the formats to which other systems' records are brought, and the way in for a table that nobody
wrote a parser for: with a column mapping any list of calls is a source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
from pydantic import ValidationError

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.json_text import load_json
from pipeline.sources.canonical_records import RecordGatherer, explain
from pipeline.sources.column_mapping import ColumnMapping, kinds_of
from pipeline.sources.headers import column_names, sniff_delimiter
from pipeline.sources.mapped_json import read_mapped_json
from pipeline.sources.mapped_rows import ALL_FIELDS, BATCH_RECORDS, RECORDS, Rows
from pipeline.sources.parquet_tables import PARQUET, open_parquet, rows_of
from pipeline.sources.reading import (
    Block,
    CsvRecord,
    LongLine,
    blocks,
    group_records,
    numbered_lines,
)
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.source_options import encoding_option
from pipeline.sources.written_values import word_key
from schemas.facts import SCHEMAS
from schemas.record import RECORD_MODELS

BLOCK_BYTES: Final = 4 << 20

_CARRIES: Final = frozenset(SCHEMAS)
# The directory has its own parser, with checks that only a whole directory allows.
_KINDS: Final = tuple(kind for kind in RECORD_MODELS if kind != "representative")


class CanonicalJsonl:
    """JSON Lines: one canonical record per line."""

    name = "canonical_jsonl"
    title = "Canonical records (JSON Lines)"
    description = (
        "One JSON object per line, with its `kind`: "
        f"{', '.join(RECORD_MODELS)}. Recognised by the first line. JSON of any other system with mapping = "
        '{ kind = "message", channel = "=social", started_at = "created_time", from = "sender.handle", ... }: a field '
        "and where it stands, the names of members and numbers of lists with points between, or a constant after =. "
        "Such JSON may be one object a line, documents, a list, or a list in a document, which options.records names. "
        "Options as for CSV, except header, delimiter and encoding. May be packed with gzip or zstd."
    )
    carries = _CARRIES
    formats = (
        Format(
            "JSON Lines",
            "every field of the schema",
            "nothing: an unknown field is an error",
            "records",
            "simulated companies",
        ),
        Format(
            "any other JSON, with a mapping",
            "what the mapping names, at any depth",
            "all else",
            "documentation",
            "samples in the style of several networks' and services' interfaces",
        ),
    )
    lies = ()

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a file whose first line is a JSON object with a known `kind`."""
        line = sample.head.lstrip().split(b"\n", 1)[0].strip()
        if sample.is_directory or not line.startswith(b"{"):
            return None
        try:
            kind = load_json(line).get("kind")
        except orjson.JSONDecodeError:
            return None
        is_known = isinstance(kind, str) and kind in RECORD_MODELS
        return Recognition(0.95, f"the first line is a record of kind {kind}") if is_known else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of facts, in the order of the file.

        Raises:
            ConfigurationError: when mapping or options do not fit.
            InvalidRecord: when a document that is mapped is broken; what came before it is yielded first.
        """
        if context.mapping:
            yield from read_mapped_json(path, context)
            return
        gatherer = RecordGatherer(context, "line")
        for block in blocks(path, BLOCK_BYTES):
            if isinstance(block, LongLine):
                reason = f"line of {block.length:,} bytes is too long to be a record"
                gatherer.reject(block.first_line, reason, gatherer.shown_text(block.start))
            else:
                yield from self._read_block(block, gatherer)
            yield gatherer.take(block.stored)
        yield from gatherer.finish()

    def _read_block(self, block: Block, gatherer: RecordGatherer) -> Iterator[Batch]:
        numbered = [
            (number, line) for number, line in enumerate(block.data.split(b"\n"), block.first_line) if line.strip()
        ]
        for start in range(0, len(numbered), BATCH_RECORDS):
            if start:
                yield gatherer.take()
            chunk = numbered[start : start + BATCH_RECORDS]
            records = _validate_together([line for _, line in chunk])
            if records is not None:
                gatherer.add(records, [number for number, _ in chunk])
                continue
            for number, line in chunk:
                try:
                    gatherer.add([RECORDS.validate_json(b"[" + line + b"]")[0]], [number])
                except ValidationError as error:
                    gatherer.reject(number, explain(error), gatherer.shown_json(line), kind=_kind_of(line))


class CanonicalCsv:
    """Delimited text: one canonical record per row, its columns named or mapped."""

    name = "canonical_csv"
    title = "Canonical records (CSV)"
    description = (
        "A table with a header and commas, semicolons, tabs or bars between columns. Recognised when the columns are "
        'fields of one kind of record; any other table with mapping = { kind = "call", field = "Column", ... }. '
        'A value that starts with = is a constant; "Date+Time" joins columns. '
        "Options: date_format, duration_unit, values, header, delimiter, encoding. May be packed with gzip or zstd."
    )
    carries = _CARRIES
    formats = (
        Format(
            "CSV, with a mapping any table",
            "every field of the schema",
            "columns that no field is taken from",
            "records",
            "simulated companies",
        ),
    )
    lies = ()

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a table whose columns are fields of one kind of record."""
        if sample.is_directory or b"\0" in sample.head[:4096]:
            return None
        return _claim([word_key(name) for name in column_names(sample.head)])

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of facts, in the order of the file. The position of a record is its first line.

        Raises:
            ConfigurationError: when mapping or options do not fit the header.
        """
        gatherer = RecordGatherer(context, "line")
        rows: Rows | None = None
        delimiter = str(context.options.get("delimiter") or _delimiter_of(path))
        if len(delimiter) != 1:
            raise ConfigurationError(f"{context.file}: options.delimiter is {delimiter!r}; expected one character")
        table = _CsvTable(path, delimiter, encoding_option(context))
        for record in table.records():
            if rows is None:
                has_header = context.options.get("header", True) is not False
                header = record.fields if has_header else [str(n) for n in range(1, len(record.fields) + 1)]
                mapping = ColumnMapping(header, context.mapping, context.options, context.file)
                gatherer.warn(*mapping.warnings)
                rows = Rows(mapping, gatherer)
                if has_header:
                    continue
            if record.problem:
                gatherer.reject(record.line, record.problem, gatherer.shown_text(record.text))
            else:
                if "\ufffd" in record.text:
                    gatherer.note_broken_text()
                rows.add(record.line, record.fields)
            if len(rows) + gatherer.record_count >= BATCH_RECORDS:
                rows.flush()
                yield gatherer.take(table.stored)
        if rows is None:
            raise ConfigurationError(f"{context.file} is empty: it has not even a header")
        rows.flush()
        yield gatherer.take(path.stat().st_size)
        yield from gatherer.finish()


class _CsvTable:
    """A delimited text that knows how far it has been read; all its records have as many columns as the first."""

    def __init__(self, path: Path, delimiter: str, encoding: str | None) -> None:
        self._path = path
        self._delimiter = delimiter
        self._encoding = encoding
        self._width: int | None = None
        self.stored = 0

    def records(self) -> Iterator[CsvRecord]:
        """Yield the records, the header first."""
        yield from group_records(self._units(), self._accepts, self._describe, self._delimiter)

    def _units(self) -> Iterator[tuple[int, str] | LongLine]:
        for block in blocks(self._path, BLOCK_BYTES, encoding=self._encoding):
            self.stored = block.stored
            if isinstance(block, LongLine):
                yield block
            else:
                yield from numbered_lines(block)

    def _accepts(self, count: int) -> bool:
        if self._width is None:
            self._width = count
        return count == self._width

    def _describe(self, count: int) -> str:
        return f"has {count} columns, expected {self._width} as in the first line"


class CanonicalParquet:
    """Parquet: one canonical record per row, its columns named or mapped."""

    name = "canonical_parquet"
    title = "Canonical records (Parquet)"
    description = (
        "Recognised when the columns are fields of one kind of record; any other table with a mapping, as for CSV. "
        "The position of a record is its number, from 1. May be packed with gzip or zstd."
    )
    carries = _CARRIES
    formats = (
        Format(
            "Parquet, with a mapping any table",
            "every field of the schema",
            "columns that no field is taken from",
            "records",
            "simulated companies",
        ),
    )
    lies = ()

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a Parquet file whose columns are fields of one kind of record."""
        if sample.is_directory or not sample.head.startswith(PARQUET):
            return None
        try:
            columns = open_parquet(sample.path).schema_arrow.names
        except InvalidRecord:
            return Recognition(0.3, "begins like Parquet, but cannot be read to its end")
        return _claim([word_key(name) for name in columns])

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of facts, in the order of the file.

        Raises:
            ConfigurationError: when mapping or options do not fit the columns.
            InvalidRecord: when the file is damaged.
        """
        gatherer = RecordGatherer(context, "record")
        file = open_parquet(path)
        names = file.schema_arrow.names
        mapping = ColumnMapping(names, context.mapping, context.options, context.file)
        gatherer.warn(*mapping.warnings)
        rows = Rows(mapping, gatherer)
        number = 0
        row_count = max(file.metadata.num_rows, 1)
        size = path.stat().st_size
        try:
            for batch in file.iter_batches(BATCH_RECORDS):
                for cells in rows_of(batch, f"{context.file}, after record {number}"):
                    number += 1
                    rows.add(number, cells)
                rows.flush()
                yield gatherer.take(size * number // row_count)
        except (pa.ArrowException, OSError, ValueError, OverflowError):
            reason = f"{context.file}: the Parquet file is damaged after record {number}; export it again"
            raise InvalidRecord(reason) from None
        yield from gatherer.finish()


def _validate_together(lines: Sequence[bytes]) -> list[Any] | None:
    """Return the records of lines, or None when they have to be looked at one by one."""
    text = b"\n".join(lines)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").removesuffix(b"\r")
    # Every line must be an object of its own, or two broken ones might make up a whole one.
    if text.count(b"}\n{") != len(lines) - 1 or not text.startswith(b"{") or not text.endswith(b"}"):
        return None
    try:
        records: list[Any] = RECORDS.validate_json(b"[" + text.replace(b"\n", b",") + b"]")
    except ValidationError:
        return None
    return records if len(records) == len(lines) else None


def _kind_of(line: bytes) -> str | None:
    """Return the kind of record that a refused line says it is."""
    try:
        values = load_json(line)
    except orjson.JSONDecodeError:
        return None
    kind = values.get("kind") if isinstance(values, dict) else None
    return kind if isinstance(kind, str) and kind in RECORD_MODELS else None


def _delimiter_of(path: Path) -> str:
    for block in blocks(path, BLOCK_BYTES):
        text = block.start if isinstance(block, LongLine) else block.data[: 1 << 16].decode("utf-8", "replace")
        return sniff_delimiter(text.lstrip().split("\n", 1)[0])
    return ","


def _claim(columns: Sequence[str]) -> Recognition | None:
    """Return a claim on a table by its columns."""
    names = [name for name in columns if name]
    if "kind" in names and len(names) >= 3 and all(name in ALL_FIELDS for name in names):
        return Recognition(0.95, "its columns are fields of canonical records, kind among them")
    kinds = kinds_of(names, _KINDS)
    return Recognition(0.9, f"its columns are fields of {kinds[0]} records") if len(kinds) == 1 else None


SOURCES: Final = (CanonicalJsonl(), CanonicalCsv(), CanonicalParquet())
