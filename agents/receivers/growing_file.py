"""A file that another program appends to, read on where it was left: whole lines, each once, over rotations.

A log is rotated in two ways: it is renamed and a new one begun, or it is copied and emptied. In both the rest of the
old one is read first. What stands under one name over time are generations; each has a name of its own, so that no two
of their lines share an identity.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

MOST_BYTES: Final = 4 << 20
# What tells that a file is still the one that was read: its first bytes, and the last ones before the position.
_HEAD: Final = 1024
_TAIL: Final = 64
_LONGEST_FIRST_LINE: Final = 1 << 20
_KEPT_OF_LONG_LINE: Final = 2_000
# A rotated file whose writer may still have it open is left when nothing came for so long. Unit: seconds.
_GRACE: Final = 10.0
# So long a record may stay open inside quotation marks before it is taken as it is. Unit: seconds.
_QUOTE_PATIENCE: Final = 5.0
_ROTATED: Final = re.compile(r"[.-]\d[\d.T_-]*").fullmatch
_PACKED: Final = re.compile(r"[.-]\d[\d.T_-]*\.(?:gz|xz|bz2|zst)").fullmatch


@dataclass(frozen=True)
class Position:
    """How far a generation has been read: `line` lines, which take `offset` bytes.

    `base_offset` and `base_line`: where the look-back begins, in the same units. `head` and `tail` are digests of bytes
    that must still be there.
    """

    generation: str
    device: int
    inode: int
    offset: int = 0
    line: int = 0
    base_offset: int = 0
    base_line: int = 0
    head: str = ""
    tail: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Position:
        return Position(**{name: values[name] for name in Position.__dataclass_fields__})


@dataclass(frozen=True)
class Stretch:
    """New lines, behind the look-back that they are understood by, and where the file has been read with them."""

    content: bytes
    after: Position
    first_line: int  # of the file, that the look-back begins with
    last_known_line: int  # of the file, that the look-back ends with

    def place(self, written: str) -> str | None:
        """Return the line of the file at which a record of the content stands; None for the look-back."""
        record, mark, part = written.partition("#")
        number = int(record)
        # Where the look-back begins further down, the file's first line stands before it: it may name the columns.
        line = number if self.first_line == 1 else 1 if number == 1 else self.first_line + number - 2
        return None if line <= self.last_known_line else f"{line}{mark}{part}"


class GrowingFile:
    """One name in a folder, and what stands under it over time."""

    def __init__(
        self,
        path: Path,
        position: Position | None,
        *,
        lookback: int,
        from_end: bool,
        new_generation: Callable[[], str],
        clock: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        """`clock` in seconds, rising; `tell` hears of what could not be read."""
        self._path = path
        self._position = position
        self._lookback = lookback
        self._from_end = from_end and position is None
        self._new_generation = new_generation
        self._clock = clock
        self._tell = tell
        self._descriptor = -1
        self._quiet_since = clock()
        self._is_renamed = False
        self._quoted_since: float | None = None

    @property
    def position(self) -> Position | None:
        """How far the file has been read; None before it was there."""
        return self._position

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def advance(self, stretch: Stretch) -> None:
        """Go on behind a stretch, which is published now."""
        self._position = stretch.after

    def next(self) -> Stretch | None:
        """Return the next whole lines; None when there are none now.

        The position may have moved to another generation; it is to be kept before anything of that is published.

        Raises:
            OSError: when the file cannot be read now.
        """
        if self._descriptor < 0 and not self._find():
            return None
        if self._is_truncated() and not self._find():
            return None
        stretch = self._stretch(is_last=False)
        if stretch is not None:
            self._quiet_since = self._clock()
            return stretch
        return self._leave() if self._is_rotated() else None

    # Which file

    def _find(self) -> bool:
        """Open the file in which reading goes on, and return whether there is one."""
        self.close()
        if self._position is not None:
            siblings = self._siblings()
            for candidate in (self._path, *siblings):
                if self._open_if(candidate, lambda found: self._is_ours(found) and self._continues(found)):
                    return True
            # Emptied after it was copied: the copy begins with the same bytes.
            for candidate in siblings if self._position.offset else ():
                if self._open_if(candidate, self._continues):
                    found = os.fstat(self._descriptor)
                    self._position = replace(self._position, device=found.st_dev, inode=found.st_ino)
                    return True
        return self._begin(self._path)

    def _begin(self, path: Path) -> bool:
        """Begin a generation with a file; return whether it is there."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        found = os.fstat(descriptor)
        if self._position is not None and self._position.offset:
            packed = self._packed_since(self._position)
            lost = f"; {packed} was packed before it was read" if packed else ""
            self._tell(f"{self._path}: what was read last is not there any more, begins anew with {path.name}{lost}")
        self._open(descriptor, Position(self._new_generation(), found.st_dev, found.st_ino))
        if self._from_end:
            self._from_end = False
            self._skip_to_end()
        return True

    def _open(self, descriptor: int, position: Position) -> None:
        self.close()
        self._descriptor = descriptor
        self._position = position
        self._quiet_since = self._clock()
        self._is_renamed = False
        self._quoted_since = None

    def _open_if(self, path: Path, fits: Callable[[int], bool]) -> bool:
        assert self._position is not None
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        if fits(descriptor):
            self._open(descriptor, self._position)
            return True
        os.close(descriptor)
        return False

    def _is_ours(self, descriptor: int) -> bool:
        assert self._position is not None
        found = os.fstat(descriptor)
        return (found.st_dev, found.st_ino) == (self._position.device, self._position.inode)

    def _continues(self, descriptor: int) -> bool:
        """Return whether a file begins with what was read."""
        position = self._position
        assert position is not None
        if os.fstat(descriptor).st_size < position.offset:
            return False
        if not position.offset:
            return True
        return (position.head, position.tail) == _marks(descriptor, position.offset)

    def _siblings(self) -> list[Path]:
        """Return the files that rotation made of this name, the oldest first."""
        found = []
        for entry in _entries(self._path.parent):
            if entry.name.startswith(self._path.name) and _ROTATED(entry.name[len(self._path.name) :]):
                if entry.is_file():
                    found.append((entry.stat().st_mtime_ns, entry.name))
        return [self._path.parent / name for _, name in sorted(found)]

    def _packed_since(self, position: Position) -> str | None:
        names = [
            entry.name
            for entry in _entries(self._path.parent)
            if entry.name.startswith(self._path.name) and _PACKED(entry.name[len(self._path.name) :])
        ]
        return max(names) if names and position.offset else None

    def _is_truncated(self) -> bool:
        position = self._position
        assert position is not None
        return not self._continues(self._descriptor)

    def _is_rotated(self) -> bool:
        """Return whether something else has taken the name, and nothing comes to the old file any more.

        Its writer may have it open still for a while; not when what came after it was rotated too.
        """
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        own = os.fstat(self._descriptor)
        if (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino) or not there.st_size:
            return False
        if not self._is_renamed:
            self._is_renamed = True
            self._quiet_since = self._clock()
        return self._clock() - self._quiet_since > _GRACE or bool(self._later_siblings())

    def _leave(self) -> Stretch | None:
        """Return the unfinished last line of a rotated file, or go on to the next generation."""
        stretch = self._stretch(is_last=True)
        if stretch is not None:
            return stretch
        following = next(iter(self._later_siblings()), self._path)
        descriptor = os.open(following, os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(descriptor)
        self._open(descriptor, Position(self._new_generation(), found.st_dev, found.st_ino))
        return self._stretch(is_last=False)

    def _later_siblings(self) -> list[Path]:
        """Return the rotated files that were written after the one that is open, the oldest first."""
        own = os.fstat(self._descriptor)
        return [
            path
            for path in self._siblings()
            if (found := path.stat()).st_mtime_ns > own.st_mtime_ns and found.st_ino != own.st_ino
        ]

    # What stands in it

    def _stretch(self, is_last: bool) -> Stretch | None:
        position = self._position
        assert position is not None
        new, length = self._new_lines(position.offset, is_last)
        if not length:
            return None
        before = os.pread(self._descriptor, position.offset - position.base_offset, position.base_offset)
        first = self._first_line() if position.base_line else b""
        offset, line = position.offset + length, position.line + new.count(b"\n") + (not new.endswith(b"\n"))
        base_offset, base_line = position.base_offset, position.base_line
        both = before + new
        # Where lines were left out, counting in what was kept of them would go wrong: the look-back begins behind.
        excess = len(both) - self._lookback if len(new) == length else len(both)
        if excess > 0:
            cut = len(both) if excess >= len(both) else both.find(b"\n", excess - 1) + 1 or len(both)
            base_offset = offset if cut == len(both) else base_offset + cut
            base_line = line if cut == len(both) else base_line + both.count(b"\n", 0, cut)
        head, tail = _marks(self._descriptor, offset)
        after = replace(
            position, offset=offset, line=line, base_offset=base_offset, base_line=base_line, head=head, tail=tail
        )
        return Stretch(first + both, after, position.base_line + 1, position.line)

    def _new_lines(self, offset: int, is_last: bool) -> tuple[bytes, int]:
        """Return whole lines from an offset on, and how many bytes of the file they take."""
        data = os.pread(self._descriptor, MOST_BYTES, offset)
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) == MOST_BYTES:
            return self._long_line(data, offset, is_last)
        if is_last and not cut:
            return data, len(data)
        new = self._without_open_record(data[:cut])
        return new, len(new)

    def _long_line(self, data: bytes, offset: int, is_last: bool) -> tuple[bytes, int]:
        """Return the beginning of a line that is too long to be a record, once it has an end."""
        length = len(data)
        while piece := os.pread(self._descriptor, MOST_BYTES, offset + length):
            end = piece.find(b"\n")
            if end >= 0:
                return data[:_KEPT_OF_LONG_LINE] + b"\n", length + end + 1
            length += len(piece)
        return (data[:_KEPT_OF_LONG_LINE] + b"\n", length) if is_last else (b"", 0)

    def _without_open_record(self, data: bytes) -> bytes:
        """Leave out a last record that goes on behind a line feed inside quotation marks, for a while."""
        if data.count(b'"') % 2 == 0:
            self._quoted_since = None
            return data
        now = self._clock()
        self._quoted_since = self._quoted_since or now
        if now - self._quoted_since > _QUOTE_PATIENCE:
            self._quoted_since = None
            return data
        mark = data.rfind(b'"')
        return data[: data.rfind(b"\n", 0, mark) + 1]

    def _first_line(self) -> bytes:
        data = os.pread(self._descriptor, _LONGEST_FIRST_LINE, 0)
        return data[: data.find(b"\n") + 1] or b"\n"

    def _skip_to_end(self) -> None:
        assert self._position is not None
        offset = line = 0
        for place, piece in self._pieces():
            if b"\n" in piece:
                offset = place + piece.rfind(b"\n") + 1
                line += piece.count(b"\n")
        head, tail = _marks(self._descriptor, offset)
        self._position = replace(
            self._position, offset=offset, line=line, base_offset=offset, base_line=line, head=head, tail=tail
        )

    def _pieces(self) -> Iterator[tuple[int, bytes]]:
        place = 0
        while piece := os.pread(self._descriptor, MOST_BYTES, place):
            yield place, piece
            place += len(piece)


def _marks(descriptor: int, offset: int) -> tuple[str, str]:
    """Return digests of a file's first bytes, and of the last ones before an offset."""
    head = os.pread(descriptor, min(offset, _HEAD), 0)
    start = max(0, offset - _TAIL)
    tail = os.pread(descriptor, offset - start, start)
    return _digest(head), _digest(tail)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
