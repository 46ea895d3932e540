"""One exported table of Salesforce: its header, its separator and its records in order."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pipeline.sources.reading import CsvRecord, LongLine, blocks, head, numbered_lines, split_fields

_DELIMITERS: Final = ",;\t"
_FIRST_RECORDS: Final = 50
MAX_RECORD: Final = 4 << 20
MAX_RECORD_LINES: Final = 20_000


class Table:
    """A delimited text file with a header. `header` is empty for an empty file.

    `stored` grows while the records are read: how many bytes of the file as stored they have taken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stored = 0
        self.header, self._delimiter, self.first_records = read_top(head(path))

    def records(self) -> Iterator[CsvRecord]:
        """Yield the records after the header; blank lines are none. One that cannot be trusted has a problem.

        Raises:
            InvalidRecord: when an archive ends in the middle or is damaged; whole records before that come first.
        """
        records = self._all_records()
        next(records, None)  # the header
        yield from records

    def _all_records(self) -> Iterator[CsvRecord]:
        lines = self._lines()
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
        fields, _ = split_fields(text, self._delimiter)
        width = len(self.header)
        if len(fields) == width:
            return CsvRecord(number, fields, text)
        return CsvRecord(number, fields, text, f"has {len(fields)} columns, expected {width} as in the header")

    def _strictly(self, text: str) -> list[str]:
        """Return the fields of a record over several lines; empty unless it is written by the book."""
        try:
            fields = next(csv.reader([text], delimiter=self._delimiter, strict=True))
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
