"""Rows in the format that was asked for: JSON, CSV that no spreadsheet runs, an Arrow stream, or Parquet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel

from sinks import export

JSON: Final = "application/json"
CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
PARQUET: Final = "application/vnd.apache.parquet"
FORMATS: Final = (JSON, CSV, ARROW, PARQUET)

Row = Mapping[str, Any]

_TYPES: Final[Mapping[object, pa.DataType]] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    date: pa.date32(),
    datetime: pa.timestamp("us", "UTC"),
}


def preferred(accept: str | None, offered: Sequence[str] = FORMATS) -> str | None:
    """Return which of the offered formats an Accept header asks for; None when it wants none of them.

    Of formats that it wants alike, the one that is offered first.

    >>> preferred("text/csv;q=0.9, application/json;q=0.1"), preferred("*/*"), preferred("image/png")
    ('text/csv', 'application/json', None)

    Source: RFC 9110, 12.5.1.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [_range(part) for part in accept.split(",") if part.strip()]
    weighed = [(_weight(ranges, name), name) for name in offered]
    best = max(weight for weight, _ in weighed)
    return next((name for weight, name in weighed if weight == best), None) if best > 0 else None


def _range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    weight = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key == "q":
            try:
                weight = min(1.0, max(0.0, float(value)))
            except ValueError:
                weight = 0.0
    return name, weight


def _weight(ranges: Sequence[tuple[str, float]], name: str) -> float:
    """Return how much a format is wanted: the most specific range that covers it decides."""
    for covering in (name, f"{name.partition('/')[0]}/*", "*/*"):
        found = [weight for wanted, weight in ranges if wanted == covering]
        if found:
            return max(found)
    return 0.0


def write(rows: Sequence[Row], schema: pa.Schema, format: str, about: Mapping[str, str] | None = None) -> bytes:
    """Return rows as CSV, an Arrow stream or Parquet; the columns are those of the schema.

    `about` is kept in the metadata of Arrow and Parquet. Instants are UTC.
    """
    if format == CSV:
        text = io.StringIO(newline="")
        export.write_csv(rows, schema.names, text)
        return text.getvalue().encode()
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    table = table.replace_schema_metadata(dict(about or {}))
    sink = io.BytesIO()
    if format == PARQUET:
        export.write_parquet(table, sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    return sink.getvalue()


def schema_of(model: type[BaseModel], without: Sequence[str] = ()) -> pa.Schema:
    """Return the columns of a model's rows; the same for no rows as for many."""
    return pa.schema(
        [pa.field(name, _type(field.annotation)) for name, field in model.model_fields.items() if name not in without]
    )


def _type(annotation: object) -> pa.DataType:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        (inner,) = (each for each in get_args(annotation) if each is not type(None))
        return _type(inner)
    if origin is list:
        return pa.list_(_type(get_args(annotation)[0]))
    if origin is dict:
        return pa.string()
    return _TYPES[annotation]
