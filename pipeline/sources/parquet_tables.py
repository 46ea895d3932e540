"""Tables in Parquet files, packed or not, whose size says nothing of what they hold."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from pipeline.errors import InvalidRecord

PARQUET: Final = b"PAR1"
# It is unpacked in memory, and packed already. Unit of this and the next: bytes.
LARGEST_PACKED_PARQUET: Final = 128 << 20
# A text that stands there once may be that of every record.
LARGEST_BATCH: Final = 256 << 20


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file; a packed one is unpacked in memory.

    Raises:
        InvalidRecord: when it is damaged, or too large to be unpacked in memory.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
            if start == PARQUET:
                return _parquet(path, path.name)
            stream.seek(0)
            reader: Any = (
                gzip.GzipFile(fileobj=stream)
                if start.startswith(b"\x1f\x8b")
                else zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
            )
            data = reader.read(LARGEST_PACKED_PARQUET + 1)
    except (pa.ArrowInvalid, EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError):
        raise InvalidRecord(f"{path.name}: the Parquet file is damaged or cut off; export it again") from None
    if len(data) > LARGEST_PACKED_PARQUET:
        raise InvalidRecord(f"{path.name}: a packed Parquet file of more than 128 MiB; unpack it first")
    return _parquet(io.BytesIO(data), path.name)


def _parquet(file: Path | io.BytesIO, name: str) -> pq.ParquetFile:
    """Open a Parquet file that is not packed, its texts to be read as it stores them, once each; errors as above."""
    try:
        schema = pq.ParquetFile(file).schema
        leaves = [schema.column(place) for place in range(len(schema.names))]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        return pq.ParquetFile(file, read_dictionary=texts)
    except (pa.ArrowException, OSError, ValueError) as error:
        # Arrow calls a header that it cannot read an OSError too, one without a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InvalidRecord(f"{name}: the Parquet file is damaged or cut off; export it again") from None


def rows_of(batch: pa.RecordBatch, place: str) -> Iterator[tuple[Any, ...]]:
    """Return the rows of a batch; `place` says where it stands.

    Raises:
        InvalidRecord: when their texts would take too much.
    """
    if sum(map(_text_size, batch.columns)) > LARGEST_BATCH:
        raise InvalidRecord(
            f"{place}: {batch.num_rows:,} records hold more than 256 MiB of text; leave out the columns that no field "
            "is taken from"
        )
    return zip(*map(_values_of, batch.columns), strict=True)


def _text_size(column: pa.Array) -> int:
    """Return how many bytes the texts of a column have, each counted as often as it stands there."""
    if pa.types.is_dictionary(column.type):
        lengths = pc.binary_length(column.dictionary).cast(pa.int64())
        return int(pc.sum(lengths.take(column.indices)).as_py() or 0)
    return _text_size(column.flatten()) if pa.types.is_list(column.type) else 0


def _values_of(column: pa.Array) -> list[Any]:
    """Return the values of a column; the same text is the same object."""
    if pa.types.is_dictionary(column.type):
        values = column.dictionary.to_pylist()
        return [None if place is None else values[place] for place in column.indices.to_pylist()]
    if pa.types.is_list(column.type):
        members, ends = _values_of(column.flatten()), pc.cumulative_sum(pc.fill_null(pc.list_value_length(column), 0))
        starts = [0, *ends.to_pylist()]
        return [
            members[starts[place] : starts[place + 1]] if is_valid else None
            for place, is_valid in enumerate(column.is_valid().to_pylist())
        ]
    return list(column.to_pylist())
