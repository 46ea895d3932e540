"""Unpacking: the text inside a file, whether it is plain, gzip or zstd, UTF-8 or UTF-16.

A truncated archive must never look like a short file. The streaming readers at hand either do not tell
(zstd) or lose what they had read when they do (gzip), so the frames are followed here.
"""

from __future__ import annotations

import codecs
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import zstandard

from pipeline.errors import InvalidRecord

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE: Final = b"\x2a\x4d\x18"  # after one byte 0x50-0x5f
_PIECE: Final = 1 << 16
# A packed byte may stand for 1,032 bytes in gzip, and four for 128 KiB in zstd: small slices bound the memory.
_GZIP_SLICE: Final = 1 << 14
_ZSTD_SLICE: Final = 1 << 10
# Logs and exports become ten to fifty times as long. What becomes longer than this and more than so many times as long
# was packed to take time and room; whoever knows better unpacks it first. Unit: bytes.
UNSUSPECTED_SIZE: Final = 256 << 20
MOST_GROWTH: Final = 250


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class _Stored(io.RawIOBase):
    """A file as stored, that knows its name and how far it has been read."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.position = 0
        self._file = path.open("rb", buffering=0)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size) or b""
        self.position += len(data)
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


class Text(io.RawIOBase):
    """The text in a file: unpacked and in UTF-8."""

    def __init__(self, stored: _Stored, read: Callable[[], bytes]) -> None:
        self._stored = stored
        self._read = read
        self._left = b""

    @property
    def stored_position(self) -> int:
        return self._stored.position

    def readable(self) -> bool:
        return True

    def read_piece(self) -> bytes:
        """Return the next piece of text, of any length; empty at the end."""
        if self._left:
            piece, self._left = self._left, b""
            return piece
        return self._read()

    def readinto(self, buffer: Any) -> int:
        piece = self.read_piece()
        count = min(len(piece), len(buffer))
        buffer[:count] = piece[:count]
        self._left = piece[count:]
        return count

    def close(self) -> None:
        self._stored.close()
        super().close()


def open_text(path: Path, encoding: str | None = None) -> Text:
    """Open a file as UTF-8 text without a byte order mark. What it is packed in is told by its first bytes.

    `encoding` is that of a file that is no UTF-8; UTF-16 is known without it.
    """
    stored = _Stored(path)
    try:
        return Text(stored, _decoded(_unpacked(stored), encoding))
    except BaseException:
        stored.close()
        raise


def _unpacked(stored: _Stored) -> Callable[[], bytes]:
    first = stored.read(4)
    while 0 < len(first) < 4 and (more := stored.read(4 - len(first))):
        first += more
    if first.startswith(_GZIP):
        return _inflate(stored, first, "gzip archive", lambda: zlib.decompressobj(wbits=31), _GZIP_SLICE)
    if first == _ZSTD or first[1:] == _ZSTD_SKIPPABLE:
        unpacker = zstandard.ZstdDecompressor()
        return _inflate(stored, first, "zstd archive", unpacker.decompressobj, _ZSTD_SLICE)
    pending = [first]

    def plain() -> bytes:
        return pending.pop() or stored.read(_PIECE) if pending else stored.read(4 * _PIECE)

    return plain


def _inflate(
    stored: _Stored, first: bytes, what: str, start: Callable[[], _Decompressor], slice_size: int
) -> Callable[[], bytes]:
    def unpack() -> Iterator[bytes]:
        packed, unpacked_size = first, 0
        unpacker = start()
        while True:
            for begin in range(0, len(packed), slice_size):
                piece = packed[begin : begin + slice_size]
                while piece:
                    if unpacker.eof:
                        if not piece.strip(b"\0"):
                            break  # archives on tapes and some servers are padded with zeros
                        unpacker = start()
                    try:
                        text = unpacker.decompress(piece)
                    except (zlib.error, zstandard.ZstdError):
                        raise InvalidRecord(
                            f"{stored.name}: the {what} is damaged near byte {stored.position:,}, after "
                            f"{unpacked_size:,} bytes of text; copy or export the file again"
                        ) from None
                    piece = unpacker.unused_data if unpacker.eof else b""
                    unpacked_size += len(text)
                    if unpacked_size > UNSUSPECTED_SIZE and unpacked_size > MOST_GROWTH * stored.position:
                        raise InvalidRecord(
                            f"{stored.name}: the {what} holds more than {MOST_GROWTH} times what it is long, "
                            f"{unpacked_size:,} bytes by byte {stored.position:,}; unpack it first if that is right"
                        )
                    if text:
                        yield text
            packed = stored.read(4 * _PIECE)
            if not packed:
                break
        if not unpacker.eof:
            raise InvalidRecord(
                f"{stored.name}: the {what} ends in the middle, at byte {stored.position:,}, after {unpacked_size:,} "
                "bytes of text; copy the file again once it is written whole"
            )

    pieces = unpack()
    return lambda: next(pieces, b"")


def _decoded(read: Callable[[], bytes], given: str | None = None) -> Callable[[], bytes]:
    """Return a reader of UTF-8 without a mark: UTF-16, told by its mark or its zeros, is recoded, or what is given."""
    started = False
    decoder: codecs.IncrementalDecoder | None = None

    def decoded() -> bytes:
        nonlocal started, decoder
        if not started:
            started = True
            data = b""
            while len(data) < 512 and (piece := read()):
                data += piece
            encoding = _utf16(data) or given
            if encoding is None or data.startswith(codecs.BOM_UTF8):
                return data.removeprefix(codecs.BOM_UTF8) or read()
            decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
            text = decoder.decode(data).removeprefix("\ufeff")
            return text.encode("utf-8", "replace") or decoded()
        if decoder is None:
            return read()
        while piece := read():
            if text := decoder.decode(piece):
                return text.encode("utf-8", "replace")
        return decoder.decode(b"", final=True).encode("utf-8", "replace")

    return decoded


def _utf16(data: bytes) -> str | None:
    if data.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    if data.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    sample = data[:512]
    pairs = len(sample) // 2
    even, odd = sample[0 : 2 * pairs : 2].count(0), sample[1 : 2 * pairs : 2].count(0)
    if pairs >= 8 and odd > 0.6 * pairs and even == 0:
        return "utf-16-le"
    if pairs >= 8 and even > 0.6 * pairs and odd == 0:
        return "utf-16-be"
    return None
