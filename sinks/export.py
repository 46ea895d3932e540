"""Rows in the formats that people take away: CSV, JSON, Markdown, Parquet.

A spreadsheet runs a cell that begins like a formula, and E.164 numbers and names in logs may. In CSV every such text
gets an apostrophe in front; numbers stay numbers.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

Row = Mapping[str, Any]

# What a spreadsheet takes for the beginning of a formula, in full width too, with blanks or marks that are not seen
# before it. It counts at the start of a cell and wherever a program with other separators would start one.
_FORMULA: Final = re.compile(
    r"^(?=[\t\r])|(?:^|(?<=[;\t\r\n]))(?=[\s\x00-\x1f\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20])"
)


def safe_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: an apostrophe stands before what would begin one.

    >>> safe_cell("+358401234567"), safe_cell(" =1+1"), safe_cell("sales")
    ("'+358401234567", "' =1+1", 'sales')
    """
    return _FORMULA.sub("'", text)


def write_csv(rows: Iterable[Row], columns: Sequence[str], stream: IO[str]) -> None:
    """Write rows as CSV with a header: texts quoted, numbers bare, null empty, lists and objects as JSON.

    Instants are UTC in ISO 8601.
    """
    writer = csv.writer(stream, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in columns])
    for row in rows:
        writer.writerow([_csv_cell(row.get(name)) for name in columns])


def write_json(rows: Iterable[Row], stream: IO[str]) -> None:
    """Write rows as a JSON list of objects, one per line; instants are UTC in ISO 8601 with Z."""
    first = True
    for row in rows:
        stream.write("[\n" if first else ",\n")
        stream.write(to_json(row))
        first = False
    stream.write("[]\n" if first else "\n]\n")


def to_json(value: object) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False)


def write_markdown(rows: Iterable[Row], columns: Sequence[str], stream: IO[str]) -> None:
    """Write rows as a Markdown table; columns of numbers are set to the right."""
    gathered = list(rows)
    numeric = {name for name in columns if any(_is_number(row.get(name)) for row in gathered)}
    stream.write(f"| {' | '.join(_markdown_cell(name) for name in columns)} |\n")
    stream.write(f"| {' | '.join('---:' if name in numeric else '---' for name in columns)} |\n")
    for row in gathered:
        stream.write(f"| {' | '.join(_markdown_cell(row.get(name)) for name in columns)} |\n")


def write_parquet(table: pa.Table, stream: IO[bytes]) -> None:
    """Write a table as Parquet, instants marked as UTC; the stream need not be seekable."""
    columns = [
        column.cast(pa.timestamp("us", "UTC")) if column.type == pa.timestamp("us") else column
        for column in table.columns
    ]
    marked = pa.table(columns, names=table.column_names)
    with pq.ParquetWriter(pa.PythonFile(stream, mode="w"), marked.schema, compression="zstd") as writer:
        writer.write_table(marked)


def _csv_cell(value: object) -> object:
    if value is None:
        return _Empty()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, (list, tuple, dict)):
        return safe_cell(to_json(value))
    return safe_cell(str(_plain(value)))


class _Empty(float):
    """Nothing, as a number: the CSV writer quotes what is no number, and null must differ from an empty text."""

    def __new__(cls) -> _Empty:
        return super().__new__(cls, 0.0)

    def __str__(self) -> str:
        return ""

    __repr__ = __str__


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            return value.isoformat()
        return value.isoformat() + "Z"
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _markdown_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:,.1f}"
    text = to_json(value) if isinstance(value, (list, tuple, dict)) else str(_plain(value))
    text = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
    return re.sub(r"\s*[\r\n]+\s*", " ", text)
