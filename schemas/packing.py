"""Packed messages: many rows in one, because a broker and its clients cost by the message.

A packed message is a head in JSON and Arrow tables, compressed. Its version is written first; a message of another
version is refused and never guessed at.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import pyarrow as pa

VERSION: Final = 1

_MAGIC: Final = b"BYPF"
_PREFIX: Final = struct.Struct("<4sHI")  # magic, version, length of the head
# Beyond this no version is believed: the message is damaged.
_LAST_VERSION: Final = 255
_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="zstd")


class InvalidPack(ValueError):
    """A message that is no packed message of this version, or is damaged."""


class NewerPack(Exception):
    """A packed message that a newer bypassflow wrote. No InvalidPack: whoever passes damaged ones must stop at it."""

    def __init__(self, version: int) -> None:
        super().__init__(f"a packed message of version {version}, expected {VERSION}")
        self.version = version
        self.known = VERSION


@dataclass(frozen=True)
class Pack:
    """One packed message: `head` is JSON, `tables` are Arrow tables by name; empty ones need not be there."""

    head: Mapping[str, Any]
    tables: Mapping[str, pa.Table] = field(default_factory=dict)


def pack(content: Pack) -> bytes:
    """Return the bytes of a packed message."""
    bodies = [_written(table) for table in content.tables.values()]
    sizes = [[name, len(body)] for name, body in zip(content.tables, bodies, strict=True)]
    head = orjson.dumps({"head": content.head, "tables": sizes})
    return b"".join([_PREFIX.pack(_MAGIC, VERSION, len(head)), head, *bodies])


def unpack(data: bytes) -> Pack:
    """Return what `pack` was given.

    Raises:
        InvalidPack: when the bytes are something else, of an older version, cut off or damaged.
        NewerPack: when they are of a newer version.
    """
    written, place = _opened(data)
    try:
        tables = {}
        for name, size in written["tables"]:
            body = data[place : place + size]
            if len(body) != size:
                raise InvalidPack("a packed message that is cut off")
            tables[name] = pa.ipc.open_stream(body).read_all()
            place += size
        return Pack(written["head"], tables)
    except (KeyError, OSError, TypeError, ValueError, pa.ArrowException) as error:
        if isinstance(error, InvalidPack):
            raise
        raise InvalidPack(f"a damaged packed message ({type(error).__name__})") from None


def head_of(data: bytes) -> Mapping[str, Any]:
    """Return the head of a packed message without reading its tables.

    Raises:
        InvalidPack, NewerPack: as `unpack`, as far as the head can tell.
    """
    head: Mapping[str, Any] = _opened(data)[0]["head"]
    return head


def _opened(data: bytes) -> tuple[dict[str, Any], int]:
    """Return head and sizes of the tables, and where the first table begins."""
    if len(data) < _PREFIX.size or not data.startswith(_MAGIC):
        raise InvalidPack("no packed message")
    _, version, length = _PREFIX.unpack_from(data)
    if VERSION < version <= _LAST_VERSION:
        raise NewerPack(version)
    if version != VERSION:
        raise InvalidPack(f"a packed message of version {version}, expected {VERSION}")
    place = _PREFIX.size + length
    try:
        written = orjson.loads(data[_PREFIX.size : place])
    except orjson.JSONDecodeError as error:
        raise InvalidPack(f"a damaged packed message ({type(error).__name__})") from None
    if not isinstance(written, dict) or written.keys() != {"head", "tables"}:
        raise InvalidPack("a damaged packed message (head)")
    return written, place


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
