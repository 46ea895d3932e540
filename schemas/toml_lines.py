"""Where each key of a TOML text stands, so that a complaint about a setting can name its line.

The parser of the standard library returns values without positions. This one reads positions
without values, and only from text that the real parser has accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

TomlPath = tuple[str | int, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*")
_PARTS = re.compile(_PART)
# What moves the scanner inside a value: comments, strings and brackets.
_TOKEN = re.compile(r'#|"""|\'\'\'|"(?:[^"\\]|\\.)*"|\'[^\']*\'|[\[\]{}]')


def key_lines(text: str) -> dict[TomlPath, int]:
    """Return the line, from 1, of every table header and key; entries of an array of tables are numbered from 0.

    >>> key_lines('[company]\\nname = "Acme"\\n[[source]]\\npath = "logs"')[("source", 0, "path")]
    4
    """
    lines: dict[TomlPath, int] = {}
    entry_counts: dict[TomlPath, int] = {}
    table: TomlPath = ()
    for number, statement in _statements(text):
        if statement.startswith("[["):
            name = _parts(statement[2:])
            path = (*_resolve(name[:-1], entry_counts), name[-1])
            index = entry_counts.get(path, 0)
            entry_counts[path] = index + 1
            table = (*path, index)
            lines.setdefault(path, number)
            lines[table] = number
        elif statement.startswith("["):
            table = _resolve(_parts(statement[1:]), entry_counts)
            lines[table] = number
        else:
            names = _parts(statement)
            for depth in range(1, len(names) + 1):
                lines.setdefault((*table, *names[:depth]), number)
    return lines


def line_of(lines: dict[TomlPath, int], path: TomlPath) -> int | None:
    """Return the line of a path, or of the nearest thing that holds it."""
    for depth in range(len(path), 0, -1):
        if path[:depth] in lines:
            return lines[path[:depth]]
    return None


def _parts(text: str) -> tuple[str, ...]:
    found = _KEY.match(text)
    if found is None:
        return ("",)
    return tuple(part.strip("\"'") if part[0] in "\"'" else part for part in _PARTS.findall(found[1]))


def _resolve(names: tuple[str, ...], entry_counts: dict[TomlPath, int]) -> TomlPath:
    """Return the path of a table: a name of an array of tables means its last entry."""
    path: TomlPath = ()
    for name in names:
        path = (*path, name)
        if path in entry_counts:
            path = (*path, entry_counts[path] - 1)
    return path


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield the first line of every statement with its number; lines inside a value are passed over."""
    open_string = ""
    depth = 0
    for number, line in enumerate(text.splitlines(), start=1):
        position = 0
        if not open_string and depth == 0:
            statement = line.strip()
            if not statement or statement.startswith("#"):
                continue
            yield number, statement
            if statement.startswith("["):
                continue
            key = _KEY.match(line)
            position = key.end() if key else 0
        while position < len(line):
            if open_string:
                end = line.find(open_string, position)
                if end < 0:
                    break
                position = end + len(open_string)
                open_string = ""
                continue
            token = _TOKEN.search(line, position)
            if token is None or token[0] == "#":
                break
            position = token.end()
            if token[0] in ('"""', "'''"):
                open_string = token[0]
            elif token[0] in ("[", "{"):
                depth += 1
            elif token[0] in ("]", "}"):
                depth -= 1
