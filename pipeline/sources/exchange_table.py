"""Tables as Exchange and its PowerShell write them: comments between the rows, and a header that may be one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Set
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipeline.errors import InvalidRecord
from pipeline.sources.headers import sniff_delimiter
from pipeline.sources.json_records import JsonRecord
from pipeline.sources.reading import LongLine, blocks, group_records, head, numbered_lines, split_fields
from pipeline.sources.written_values import InstantReader

BLOCK_SIZE: Final = 4 << 20
# Files of one source share its options: those of its mailboxes, and those of its tables.
EXCHANGE_OPTIONS: Final = ("mailbox", "folders_left_out", "date_format")

_FIELDS: Final = re.compile(r"#\s*fields:\s*(.*)", re.IGNORECASE).match
# Who sends what Exchange itself writes: delivery reports, copies for a journal, notices of quotas.
_SYSTEM: Final = re.compile(r"<?microsoftexchange329e71ec88ae4615bbc36ab6ce41109e@", re.IGNORECASE).match
# Mailboxes and senders of the probes by which Exchange watches itself.
_PROBE: Final = re.compile(r"<?(?:healthmailbox[0-9a-f]{6,32}|inboundproxy)@", re.IGNORECASE).match

# The usual name of a column, given its name.
Usual = Callable[[str], str]


def is_system(sender: str) -> bool:
    """Return whether Exchange itself is the sender."""
    return _SYSTEM(sender) is not None


def is_probe(address: str) -> bool:
    """Return whether an address belongs to the probes by which Exchange watches itself."""
    return _PROBE(address) is not None


def columns_of(start: bytes, usual: Usual) -> Set[str]:
    """Return the names of the columns of a table that begins like this, in lower case and as they are usual."""
    names = _split(_first_header(start))
    return {column for name in names for column in (name, usual(name))}


def table_rows(path: Path, usual: Usual) -> Iterator[JsonRecord]:
    """Yield the rows by the names of the header that stands last before them.

    Each cell stands under its column's name in lower case and under the usual one. Several files in one keep their
    headers.

    Raises:
        InvalidRecord: when an archive ends in the middle or is damaged; whole lines before that come first.
    """
    columns: list[str] = []

    def rows() -> Iterator[tuple[int, str] | LongLine]:
        nonlocal columns
        for block in blocks(path, BLOCK_SIZE):
            if isinstance(block, LongLine):
                yield block
                continue
            for number, line in numbered_lines(block):
                if line.startswith("#") or not columns:
                    columns = _split(_header(line)) or columns
                else:
                    yield number, line

    def accepts(count: int) -> bool:
        return count == len(columns)

    def describe(count: int) -> str:
        return f"has {count} columns, expected {len(columns)}"

    delimiter = sniff_delimiter(_first_header(head(path)))
    for record in group_records(rows(), accepts, describe, delimiter):
        if record.problem:
            yield JsonRecord(record.line, {}, record.problem, record.text)
        else:
            cells = dict(zip(columns, record.fields, strict=True))
            yield JsonRecord(record.line, {**cells, **{usual(name): cell for name, cell in cells.items()}})


def utc_instant(name: str, text: object, instants: InstantReader) -> datetime:
    """Return an instant that is UTC where it names no zone.

    Raises:
        InvalidRecord: when there is none or it cannot be read; with the field's name.
    """
    if not isinstance(text, str) or not text.strip():
        raise InvalidRecord(f"{name}: missing, or no text")
    try:
        read = instants.read(text)
    except InvalidRecord as error:
        raise InvalidRecord(f"{name}: {error}") from None
    if not isinstance(read, datetime):
        raise InvalidRecord(f"{name}: a date without a time of day")
    return read.replace(tzinfo=read.tzinfo or UTC)


def _header(line: str) -> str:
    """Return the columns that a line names, as it writes them; empty for a comment."""
    fields = _FIELDS(line)
    return fields[1] if fields else "" if line.startswith("#") else line


def _first_header(start: bytes) -> str:
    lines = start.decode("utf-8", "replace").splitlines()
    return next((header for line in lines if (header := _header(line)).strip()), "")


def _split(header: str) -> list[str]:
    names = split_fields(header, sniff_delimiter(header))[0] if header.strip() else []
    return [name.strip().casefold() for name in names]
