"""One exported table of Salesforce: its header, its separator and its records in order."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from pipeline.sources.reading import Block, CsvRecord, LongLine, blocks, head, numbered_lines, split_fields

_DELIMITERS: Final = ",;\t"
_FIRST_RECORDS: Final = 50
MAX_RECORD: Final = 4 << 20
MAX_RECORD_LINES: Final = 20_000

SMALL: Final = 64 << 10
"""Bytes of a stretch that is read record by record when something in it is odd; a longer one is halved."""

_FIRST_STRETCH: Final = 16 << 10
_STRETCH: Final = 4 << 20
MAX_PLAIN_RECORD: Final = 1 << 20
_MARK: Final = "\ufeff".encode()


class Table:
    """A delimited text file with a header. `header` is empty for an empty file.

    `stored` grows while the records are read: how many bytes of the file as stored they have taken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stored = 0
        self.header, self.delimiter, self.first_records = read_top(head(path))

    def records(self) -> Iterator[CsvRecord]:
        """Yield the records after the header; blank lines are none. One that cannot be trusted has a problem.

        Raises:
            InvalidRecord: when an archive ends in the middle or is damaged; whole records before that come first.
        """
        records = self._grouped(self._lines())
        next(records, None)  # the header
        yield from records

    def stretches(self, read: Callable[[bytes, int], bool]) -> Iterator[list[CsvRecord]]:
        """Offer the file to `read` in plain stretches; yield the records, as `records` does, of what it does not take.

        `read` gets whole records and the number of their first line. A plain stretch is written by the book: a
        quotation mark stands at both ends of a field or is doubled. `read` must refuse it when a record has not as
        many fields as the header: only with that do all readers of CSV find the same records in it. Something is
        yielded after each stretch, taken or not.

        Raises:
            InvalidRecord: as `records`.
        """
        is_header_due, carried, line = True, b"", 1
        for unit in self._pieces():
            if isinstance(unit, LongLine):
                records = [*self._records_of(carried, line, False), *self._grouped(iter([unit]))]
                yield records[1:] if is_header_due else records
                is_header_due, carried, line = False, b"", unit.first_line + 1
                continue
            data = carried + unit
            begin, limit, least = 0, len(data), 0
            while begin < len(data):
                part = data[begin : data.find(b"\n", begin + limit - 1) + 1 or len(data)]
                size = 0 if is_header_due else _plain_size(part, self.delimiter.encode())
                records = []
                if not size or not read(part[:size], line):
                    if limit > max(SMALL, least):
                        limit //= 2
                        continue
                    records = self._records_of(part, line, True)
                    size = len(part) if self._unfinished is None else _offset(part, self._unfinished - line)
                    if not size and len(part) < len(data) - begin:
                        least = limit = 2 * limit  # a record longer than this
                        continue
                    if not size:
                        break
                yield records[1:] if is_header_due else records
                is_header_due = is_header_due and not records
                line += part.count(b"\n", 0, size)
                begin, limit, least = begin + size, 2 * limit, 0
            carried = data[begin:]
        if carried:
            records = self._records_of(carried, line, False)
            yield records[1:] if is_header_due else records

    def _records_of(self, data: bytes, first_line: int, more_follows: bool) -> list[CsvRecord]:
        return list(self._grouped(numbered_lines(Block(data, first_line, 0, 0)), more_follows))

    def _pieces(self) -> Iterator[bytes | LongLine]:
        """Yield the file in pieces of whole lines; the first is small, because the header makes it slow to read."""
        size = _FIRST_STRETCH
        for unit in blocks(self.path):
            self.stored = unit.stored
            if isinstance(unit, LongLine):
                yield unit
                continue
            begin = 0
            while begin < len(unit.data):
                end = unit.data.find(b"\n", begin + size) + 1 or len(unit.data)
                yield unit.data[begin:end]
                begin, size = end, _STRETCH

    def _grouped(self, lines: Iterator[tuple[int, str] | LongLine], more_follows: bool = False) -> Iterator[CsvRecord]:
        """Yield lines as records. With `more_follows` one that may go on behind the last line is left out:
        `_unfinished` is the number of its first line."""
        self._unfinished: int | None = None
        again: deque[tuple[int, str] | LongLine] = deque()
        while (unit := again.popleft() if again else next(lines, None)) is not None:
            if isinstance(unit, LongLine):
                problem = f"line of {unit.length:,} bytes is too long to be a record"
                yield CsvRecord(unit.first_line, [], unit.start, problem)
                continue
            number, text = unit
            if text.count('"') % 2 == 0:
                if text.strip():
                    yield self._record(number, text)
                continue
            # The bodies of emails run over hundreds of lines: the record is read once, when its quotes balance.
            taken: list[tuple[int, str] | LongLine] = []
            is_open, size = True, len(text)
            while is_open and size < MAX_RECORD and len(taken) < MAX_RECORD_LINES:
                following = again.popleft() if again else next(lines, None)
                if following is None and more_follows:
                    self._unfinished = number
                    return
                if following is None:
                    break
                taken.append(following)
                if isinstance(following, LongLine):
                    break
                size += len(following[1])
                is_open = following[1].count('"') % 2 == 0
            whole = "\n".join([text, *(unit[1] for unit in taken if not isinstance(unit, LongLine))])
            if not is_open and (fields := self._strictly(whole)):
                yield CsvRecord(number, fields, whole)
            else:  # one stray mark never costs its neighbours
                again.extendleft(reversed(taken))
                yield CsvRecord(number, [], text, "a quotation mark opens and does not close where the record ends")

    def _record(self, number: int, text: str) -> CsvRecord:
        fields, _ = split_fields(text, self.delimiter)
        width = len(self.header)
        if len(fields) == width:
            return CsvRecord(number, fields, text)
        return CsvRecord(number, fields, text, f"has {len(fields)} columns, expected {width} as in the header")

    def _strictly(self, text: str) -> list[str]:
        """Return the fields of a record over several lines; empty unless it is written by the book."""
        try:
            fields = next(csv.reader([text], delimiter=self.delimiter, strict=True))
        except csv.Error:
            return []
        return fields if len(fields) == len(self.header) else []

    def _lines(self) -> Iterator[tuple[int, str] | LongLine]:
        for block in blocks(self.path):
            self.stored = block.stored
            if isinstance(block, LongLine):
                yield block
            else:
                yield from numbered_lines(block)


def first_lines(data: bytes, first_line: int) -> list[int] | None:
    """Return the number of the first line of each record of a plain stretch; None when one is too long to be plain."""
    numbers: list[int] = []
    is_open, size = False, 0
    for number, line in enumerate(data.split(b"\n"), first_line):
        if is_open:
            size += len(line)
            if size >= MAX_PLAIN_RECORD or number - numbers[-1] >= MAX_RECORD_LINES:
                return None
        elif line:
            numbers.append(number)
            size = len(line)
        if line.count(b'"') % 2:
            is_open = not is_open
    return numbers


def _plain_size(data: bytes, delimiter: bytes) -> int:
    """Return how much of a stretch is whole records written by the book; 0 when something is odd."""
    if b"\0" in data or data.startswith(_MARK):
        return 0
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        return 0
    if _is_all_quoted(data, delimiter):
        return len(data)
    size = _closed_size(data)
    before, behind = delimiter + b"\n", delimiter + b"\r\n"  # of a field in quotation marks
    # Every other part stands outside of quotes: between them there are delimiters, line ends or, doubled, nothing.
    outside = data[:size].split(b'"')[::2]
    first, last = outside[0], outside[-1]
    if (first and first[-1] not in before) or (last and last[0] not in behind):
        return 0
    between = set(outside[1:-1])
    is_plain = all(not part or (part[0] in behind and part[-1] in before) for part in between)
    return size if is_plain else 0


def _is_all_quoted(data: bytes, delimiter: bytes) -> bool:
    """Return whether all fields are quoted and no mark stands inside one: the commonest case, told by counting.

    Then every mark but the first and the last belongs to one of two kinds of border, and no border shares its marks.
    """
    if not data.startswith(b'"') or not data.endswith((b'"', b'"\n')):
        return False
    across, down = b'"' + delimiter + b'"', b'"\n"'
    if across + down[1:] in data or down + across[1:] in data:
        return False
    return data.count(b'"') == 2 * (data.count(across) + data.count(down)) + 2


def _closed_size(data: bytes) -> int:
    """Return where the last line ends that has an even number of quotation marks up to its end."""
    is_open, end = data.count(b'"') % 2 == 1, len(data)
    while is_open:
        cut = data.rfind(b"\n", 0, end - 1) + 1
        is_open ^= data.count(b'"', cut, end) % 2 == 1
        end = cut
    return end


def _offset(data: bytes, lines: int) -> int:
    """Return how many bytes so many lines take."""
    offset = 0
    for _ in range(lines):
        offset = data.index(b"\n", offset) + 1
    return offset


def read_top(text: bytes) -> tuple[list[str], str, list[list[str]]]:
    """Return the header, the delimiter and the first records of a table, from its first bytes.

    Exports are separated by commas; a spreadsheet that saved one again may have used semicolons or tabs.
    """
    lines = [line.rstrip("\r") for line in text.decode("utf-8", "replace").removeprefix("\ufeff").split("\n")]
    while lines and not lines[0].strip():
        del lines[0]
    if not lines:
        return [], _DELIMITERS[0], []
    delimiter = max(_DELIMITERS, key=lines[0].count)
    return split_fields(lines[0], delimiter)[0], delimiter, _rows(lines[1:], delimiter)


def _rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter)
    while len(rows) < _FIRST_RECORDS:
        try:
            row = next(reader, None)
        except csv.Error:
            continue
        if row is None:
            break
        if row:
            rows.append(row)
    return rows
