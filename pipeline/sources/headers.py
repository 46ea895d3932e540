"""Headers of tables in text files: the first line that is not blank, and the columns that it names."""

from __future__ import annotations

from typing import Final

from pipeline.sources.reading import split_fields

DELIMITERS: Final = (",", ";", "\t", "|")


def first_line(start: bytes) -> str:
    """Return the header of a text that begins like this; blank lines before it are no records.

    >>> first_line(b"\\r\\nid;name\\r\\n1;Anna")
    'id;name'
    """
    return start.decode("utf-8", "replace").lstrip("\ufeff\r\n").split("\n", 1)[0].rstrip("\r")


def sniff_delimiter(line: str) -> str:
    """Return what stands between the columns of a header: the mark that gives most of them.

    >>> sniff_delimiter('"a,b";c;d')
    ';'
    """
    return max(DELIMITERS, key=lambda mark: len(split_fields(line, mark)[0]))


def column_names(start: bytes) -> list[str]:
    """Return the columns of a text that begins like this, as they are written."""
    line = first_line(start)
    return split_fields(line, sniff_delimiter(line))[0]


def folded_names(start: bytes) -> set[str]:
    """Return the columns of a text that begins like this, in lower case.

    >>> sorted(folded_names(b"Id, Name"))
    ['id', 'name']
    """
    return {name.strip().casefold() for name in column_names(start)}
