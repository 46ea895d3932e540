"""Which column of a table is what: told by a header, by a mapping, or by the shape of its records."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pipeline.errors import ConfigurationError
from pipeline.sources.reading import group_records, split_fields

_DELIMITERS: Final = (",", ";", "\t", "|")
_TIME: Final = re.compile(r"\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d(?::\d\d)?(?:\.\d+)?|\d{9,10}\.\d+").fullmatch
_LINES_LOOKED_AT: Final = 50


@dataclass(frozen=True)
class Layout:
    """The columns of a file in order, by the names that its format knows; others have a name of their own or none.

    `constants` are fields that a mapping gives a fixed text; `header` is the first line where it names columns.
    """

    columns: tuple[str, ...]
    title: str
    delimiter: str = ","
    header: tuple[str, ...] | None = None
    constants: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Names:
    """The fields of a format: all of them, those without which a record says nothing, and other systems' names."""

    known: Collection[str]
    required: frozenset[str]
    aliases: Mapping[str, str]

    def canonical(self, name: str) -> str:
        """Return a column's name as the format has it, whatever its case and punctuation."""
        plain = re.sub(r"[^a-z0-9]+", "", name.lower())
        return self.aliases.get(plain, plain)


def first_lines(text: bytes) -> list[str]:
    """Return the lines at the beginning of a text that are whole and not blank."""
    lines = text.decode("utf-8", "replace").split("\n")
    return [line.rstrip("\r") for line in (lines[:-1] or lines) if line.strip()]


def by_header(line: str, names: Names, title: str) -> Layout | None:
    """Return the layout that a header line names; None when it lacks a column that is needed."""
    for delimiter in _DELIMITERS:
        cells, _ = split_fields(line, delimiter)
        columns = [names.canonical(cell) for cell in cells]
        if names.required <= set(columns):
            first_only = tuple(name if name not in columns[:place] else "" for place, name in enumerate(columns))
            return Layout(first_only, title, delimiter, tuple(cells))
    return None


def by_shape(
    lines: Sequence[str], headerless: Callable[[Sequence[str]], Layout | None], widths: range
) -> Layout | None:
    """Return the layout of the first record that has one, when at least half of the first records have."""
    numbered = enumerate(lines[:_LINES_LOOKED_AT], 1)
    found = [headerless(record.fields) for record in group_records(numbered, lambda count: count in widths, str)]
    layouts = [layout for layout in found if layout]
    return layouts[0] if layouts and len(layouts) * 2 >= len(found) else None


def by_mapping(mapping: Mapping[str, str], line: str, names: Names, title: str, file: str) -> Layout:
    """Return the layout that a mapping (field = column) makes of a file, given its first line.

    A column is named as the header has it, or by its number, the first being 1; "=text" is a constant. A file with
    a header needs a mapping for those columns alone that have another name.

    Raises:
        ConfigurationError: when the mapping names no field or column, or leaves out what a record needs.
    """
    delimiter = max(_DELIMITERS, key=lambda mark: len(split_fields(line, mark)[0]))
    cells, _ = split_fields(line, delimiter)
    is_headed = not any(map(_TIME, cells))
    columns = [""] * len(cells)
    constants: dict[str, str] = {}
    for name, value in mapping.items():
        if name not in names.known:
            raise ConfigurationError(f"{file}: mapping: unknown field {name!r}; known are {', '.join(names.known)}")
        if value.startswith("="):
            constants[name] = value[1:]
        elif value in cells and is_headed:
            columns[cells.index(value)] = name
        elif value.strip().isdigit() and 1 <= int(value) <= len(cells):
            columns[int(value) - 1] = name
        else:
            raise ConfigurationError(
                f"{file}: mapping: {name} = {value!r} is no column; the file has {len(cells)}, counted from 1"
                + (", or named as in its first line" if is_headed else "")
            )
    if is_headed:
        for place, cell in enumerate(cells):
            name = names.canonical(cell)
            if not columns[place] and name in names.known and name not in columns and name not in constants:
                columns[place] = name
    missing = [name for name in names.known if name in names.required - set(columns) - set(constants)]
    if missing:
        raise ConfigurationError(
            f"{file}: mapping: no column for {', '.join(missing)}; add {missing[0]} = number or name of its column"
        )
    return Layout(tuple(columns), title, delimiter, tuple(cells) if is_headed else None, constants)
