"""Answers in the media type that a client accepts: JSON, CSV, an Arrow stream or Parquet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
from fastapi import Response

from sinks import export

JSON: Final = "application/json"
CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
PARQUET: Final = "application/vnd.apache.parquet"
# In the order in which they are preferred where a client has no preference.
MEDIA_TYPES: Final = (JSON, CSV, ARROW, PARQUET)
# What a link may ask for, which cannot send a header.
SHORT_NAMES: Final[Mapping[str, str]] = {"json": JSON, "csv": CSV, "arrow": ARROW, "parquet": PARQUET}


def chosen(accept: str | None, short_name: str | None = None) -> str | None:
    """Return the media type for an Accept header (RFC 9110, 12.5.1), or by its short name; None when none is accepted.

    >>> chosen("text/csv;q=0.5, application/json"), chosen("text/*"), chosen("image/png"), chosen(None)
    ('application/json', 'text/csv', None, 'application/json')
    """
    if short_name is not None:
        return SHORT_NAMES.get(short_name)
    ranges = [_range(part) for part in (accept or "*/*").split(",") if part.strip()] or [("*/*", 1.0)]
    weights = {name: _weight(name, ranges) for name in MEDIA_TYPES}
    best = max(MEDIA_TYPES, key=lambda name: weights[name])
    return best if weights[best] > 0 else None


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (each.strip().lower() for each in part.split(";"))
    weight = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                weight = min(1.0, max(0.0, float(value)))
            except ValueError:
                weight = 0.0
    return name, weight


def _weight(name: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return how much a media type is wanted: what names it most exactly counts."""
    for pattern in (name, f"{name.partition('/')[0]}/*", "*/*"):
        for given, weight in ranges:
            if given == pattern:
                return weight
    return 0.0


def rendered(
    media_type: str, document: Mapping[str, Any], table: pa.Table, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a document as JSON, or the table in it as anything else; instants are UTC."""
    given = dict(headers or {})
    if media_type == JSON:
        return Response(export.to_json(document), headers=given, media_type=JSON)
    if media_type == CSV:
        text = io.StringIO()
        export.write_csv(table.to_pylist(), table.column_names, text)
        return Response(text.getvalue(), headers=given, media_type=f"{CSV}; charset=utf-8; header=present")
    content = io.BytesIO()
    if media_type == PARQUET:
        export.write_parquet(table, content)
    else:
        with pa.ipc.new_stream(content, table.schema) as stream:
            stream.write_table(table)
    return Response(content.getvalue(), headers=given, media_type=media_type)
