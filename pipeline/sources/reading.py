"""Files as text, whatever they are packed in, in bounded memory.

Exports come compressed, cut off, in UTF-16, with a byte order mark, with bytes that are no text and with
lines of two hundred megabytes. Parsers should not notice: what they get from here is UTF-8 without a mark,
and what cannot be read is an error that says where and what to do.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.errors import InvalidRecord
from pipeline.sources.unpacking import Text, open_text

HEAD_SIZE: Final = 65_536
BLOCK_SIZE: Final = 16 << 20
MAX_LINE: Final = 1 << 20
MAX_RECORD_LINES: Final = 2_000
START_KEPT: Final = 2_000
_SHORTEST_REACH: Final = 20
UNFINISHED: Final = "the text ends inside quotation marks"

# The default limit of 128 KiB is less than a long text field of a CRM.
csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_LINE))


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a file: valid UTF-8, the last line with or without its line feed.

    `first_line` counts from 1; `offset` is where the block begins in the unpacked text, `stored` how many
    bytes of the file as stored had been read when the block was complete.
    """

    data: bytes
    first_line: int
    offset: int
    stored: int


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line too long to be a record; only its beginning is kept. Places as in `Block`; `length` in bytes."""

    start: str
    first_line: int
    offset: int
    length: int
    stored: int


@dataclass(frozen=True, slots=True)
class CsvRecord:
    """One record of a delimited text: `line` is its first physical line, `text` how it is written.

    `problem` says why the fields cannot be trusted; null for a good record.
    """

    line: int
    fields: list[str]
    text: str
    problem: str | None = None


def open_bytes(path: Path) -> io.BufferedReader:
    """Open a file for reading as UTF-8 bytes, unpacked from gzip or zstd, without a byte order mark.

    What it is packed in is told by its first bytes, never by its name. UTF-16 is turned into UTF-8. Bytes that
    are no UTF-8 stay as they are: see `blocks`, `lines` and `csv_records`, which replace them.

    Raises:
        InvalidRecord: while reading, when an archive ends in the middle or is damaged.
        OSError: when the file cannot be opened.
    """
    return io.BufferedReader(open_text(path), HEAD_SIZE)


def head(path: Path, size: int = HEAD_SIZE) -> bytes:
    """Return the first bytes of the text in a file, as `open_bytes` gives them; what can be read of a damaged one."""
    kept = bytearray()
    with open_bytes(path) as stream:
        try:
            while len(kept) < size:
                piece = stream.read1(size - len(kept))
                if not piece:
                    break
                kept += piece
        except InvalidRecord:
            pass
    return bytes(kept)


def blocks(
    path: Path, size: int = BLOCK_SIZE, max_line: int = MAX_LINE, encoding: str | None = None
) -> Iterator[Block | LongLine]:
    """Yield a file as blocks of whole lines of about `size` bytes, in order; bytes that are no UTF-8 are replaced.

    `encoding` is that of a file that is written in another one. Memory stays within a few times `size + max_line`,
    however long a line is.

    Raises:
        InvalidRecord: when an archive ends in the middle or is damaged; whole lines before that come first.
    """
    with open_text(path, encoding) as raw:
        yield from _blocks(raw, size, max_line)


def lines(path: Path, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    """Yield the number and text of each line, without its line end; a line too long is cut at 2,000 characters.

    Raises:
        InvalidRecord: as `blocks`.
    """
    for block in blocks(path, encoding=encoding):
        if isinstance(block, LongLine):
            yield block.first_line, block.start
        else:
            yield from numbered_lines(block)


def numbered_lines(block: Block) -> Iterator[tuple[int, str]]:
    """Yield the number and text of each line of a block, without its line end."""
    texts = block.data.decode("utf-8").split("\n")
    if texts[-1] == "":
        texts.pop()
    for number, text in enumerate(texts, block.first_line):
        yield number, text.removesuffix("\r")


def csv_records(
    path: Path, delimiter: str = ",", width: int | None = None, quoting: bool = True
) -> Iterator[CsvRecord]:
    """Yield the records of a delimited text file, one per physical line or more where a quoted field has line feeds.

    Blank lines are no records. `width` is the number of columns that a record must have; None: as many as the
    first record, which is yielded too. A record that is unlike that, a quotation mark that never closes and a
    line too long have a `problem`, and reading goes on with the next line.

    Raises:
        InvalidRecord: as `blocks`.
    """
    expected = width

    def accepts(count: int) -> bool:
        nonlocal expected
        if expected is None:
            expected = count
        return count == expected

    def describe(count: int) -> str:
        return f"has {_counted(count, 'column')}, expected {expected}"

    def units() -> Iterator[tuple[int, str] | LongLine]:
        for block in blocks(path):
            if isinstance(block, LongLine):
                yield block
            else:
                yield from numbered_lines(block)

    yield from group_records(units(), accepts, describe, delimiter, quoting)


def group_records(
    units: Iterable[tuple[int, str] | LongLine],
    accepts: Callable[[int], bool],
    describe: Callable[[int], str],
    delimiter: str = ",",
    quoting: bool = True,
    more_follows: bool = False,
) -> Iterator[CsvRecord]:
    """Yield numbered lines as records; `accepts` judges a count of columns and `describe` words the refusal.

    A quotation mark opened on one line may close on a later one only if the record is then accepted. Otherwise
    the first line alone is refused and the next line starts anew: one stray mark never costs its neighbours.
    With `more_follows` the last record has the problem UNFINISHED when it may go on behind the last line.
    """
    waiting: list[tuple[int, str] | LongLine] = []
    source = iter(units)
    # How many lines a record may go on for. A file in which marks open and never close would be read again from each of
    # its lines: looking in vain costs half of it, and every record that is found earns its lines.
    reach = MAX_RECORD_LINES

    def following(place: int) -> tuple[int, str] | LongLine | None:
        while len(waiting) <= place:
            unit = next(source, None)
            if unit is None:
                return None
            waiting.append(unit)
        return waiting[place]

    while (unit := following(0)) is not None:
        del waiting[0]
        if isinstance(unit, LongLine):
            yield CsvRecord(
                unit.first_line, [], unit.start, f"line of {unit.length:,} bytes is too long to be a record"
            )
            continue
        number, text = unit
        if not text.strip():
            continue
        fields, is_open = split_fields(text, delimiter, quoting)
        if not is_open:
            yield CsvRecord(number, fields, text, None if accepts(len(fields)) else describe(len(fields)))
            continue
        record = _Continued(text, following, reach)
        try:
            fields = next(csv.reader(iter(record), delimiter=delimiter, strict=True))
            is_whole = accepts(len(fields))
        except csv.Error:
            is_whole = False
        if record.is_at_end and more_follows:
            yield CsvRecord(number, [], record.text, UNFINISHED)
            return
        if is_whole:
            del waiting[: len(record.lines) - 1]
            reach = min(MAX_RECORD_LINES, reach + len(record.lines))
            yield CsvRecord(number, fields, record.text)
        else:
            if record.is_given_up:
                reach = max(_SHORTEST_REACH, reach // 2)
            yield CsvRecord(number, [], text, "a quotation mark opens and does not close where the record ends")


class _Continued:
    """The lines that a record may go on for, each given once, so that no mark has what came before it read again."""

    def __init__(self, first: str, following: Callable[[int], tuple[int, str] | LongLine | None], reach: int) -> None:
        """`following` gives the lines behind the first one by their places, from 0; at most `reach` of them count."""
        self.lines = [first]
        self.is_at_end = False
        self.is_given_up = False
        self._following = following
        self._reach = reach

    def __iter__(self) -> Iterator[str]:
        """Yield the lines, as long as they are asked for and there may be more."""
        size = len(self.lines[0])
        yield f"{self.lines[0]}\n"
        while len(self.lines) <= self._reach and size < MAX_LINE:
            unit = self._following(len(self.lines) - 1)
            self.is_at_end = unit is None
            if unit is None or isinstance(unit, LongLine):
                break
            self.lines.append(unit[1])
            size += len(unit[1])
            yield f"{unit[1]}\n"
        self.is_given_up = True

    @property
    def text(self) -> str:
        """How they are written."""
        return "\n".join(self.lines)


def split_fields(text: str, delimiter: str = ",", quoting: bool = True) -> tuple[list[str], bool]:
    """Return the fields of one record and whether a quotation mark is still open at its end.

    >>> split_fields('1,"a ""b"", c",')
    (['1', 'a "b", c', ''], False)
    """
    if not quoting or '"' not in text:
        return text.split(delimiter), False
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True)), False
    except csv.Error as error:
        is_open = "unexpected end" in str(error)
    try:
        return next(csv.reader([text], delimiter=delimiter)), is_open
    except csv.Error:  # a field over the limit, a carriage return outside quotes
        return text.split(delimiter), False


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _blocks(text: Text, size: int, max_line: int) -> Iterator[Block | LongLine]:
    line, offset = 1, 0  # of what `held` begins with
    held = bytearray()
    failure: InvalidRecord | None = None
    at_end = False
    while not at_end:
        try:
            wanted = len(held) + size
            while len(held) < wanted and (piece := text.read_piece()):
                held += piece
            at_end = len(held) < wanted
        except InvalidRecord as error:
            failure, at_end = error, True
        # The last line of a broken archive is not whole either.
        cut = len(held) if at_end and not failure else held.rfind(b"\n") + 1
        with memoryview(held) as view:
            whole = bytes(view[:cut])
        del held[:cut]
        yield from _cut_long_lines(whole, line, offset, max_line, text.stored_position)
        line += whole.count(b"\n")
        offset += len(whole)
        if len(held) > max_line and not at_end:
            start, length = bytes(held[:START_KEPT]), len(held)
            held.clear()
            try:
                while piece := text.read_piece():
                    end = piece.find(b"\n")
                    if end >= 0:
                        length += end + 1
                        held += piece[end + 1 :]
                        break
                    length += len(piece)
                else:
                    at_end = True
            except InvalidRecord as error:
                failure, at_end = error, True
            yield LongLine(start.decode("utf-8", "replace"), line, offset, length, text.stored_position)
            line += 1
            offset += length
    if failure:
        raise failure


def _cut_long_lines(data: bytes, line: int, offset: int, max_line: int, stored: int) -> Iterator[Block | LongLine]:
    """Yield the block, or the blocks around the lines in it that are too long."""
    begin = place = 0
    while len(data) - place > max_line:
        end = data.rfind(b"\n", place, place + max_line + 1)
        if end >= 0:
            place = end + 1
            continue
        if place > begin:
            yield _block(data[begin:place], line, offset + begin, stored)
            line += data.count(b"\n", begin, place)
        end = data.find(b"\n", place) + 1 or len(data)
        start = data[place : min(end, place + START_KEPT)].decode("utf-8", "replace").rstrip("\r\n")
        yield LongLine(start, line, offset + place, end - place, stored)
        line += 1
        begin = place = end
    if begin < len(data):
        yield _block(data[begin:], line, offset + begin, stored)


def _block(data: bytes, line: int, offset: int, stored: int) -> Block:
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            data = data.decode("utf-8", "replace").encode("utf-8")
    return Block(data, line, offset, stored)
