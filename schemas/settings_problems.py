"""What is wrong with a settings file, in sentences: file, line, what was found, what was expected, the remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.toml_lines import TomlPath, key_lines, line_of


class SettingsError(ValueError):
    """Settings that cannot be used. `problems` holds one sentence each, with file and line."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def syntax_problem(message: str, text: str, name: str) -> str:
    """Return the sentence on a text that is no TOML; `message` is the parser's."""
    found = re.search(r"\(at line (\d+), column (\d+)\)", message)
    line = int(found[1]) if found else max(1, text.count("\n") + (not text.endswith("\n")))
    reason = re.sub(r"\s*\(at [^)]*\)", "", message)
    return (
        f"{name}, line {line}: not valid TOML: {reason[:1].lower()}{reason[1:]}; "
        'expected a [table] or key = value, with text in "quotes"'
    )


class ProblemWriter:
    """Words the problems of one file. `tables` are its tables by name; any other key stands outside of them.

    An array whose tables are of several kinds has one of the name and each kind, such as "receiver.file"; an array
    inside another one has both names, such as "crm_database.table".
    """

    def __init__(self, text: str, name: str, tables: Mapping[str, type[BaseModel]]) -> None:
        self._lines = key_lines(text)
        self._name = name
        self._tables = tables

    def sentences(self, error: ValidationError) -> tuple[str, ...]:
        """Return every problem once, in the order of the lines."""
        found = {self._problem(_Complaint.of(detail, self._tables)) for detail in error.errors()}
        return tuple(sentence for _, sentence in sorted(found))

    def _problem(self, complaint: _Complaint) -> tuple[int, str]:
        line = line_of(self._lines, complaint.path) or 1
        place = f"{self._name}, line {line}: "
        if complaint.kind == "extra_forbidden":
            return line, place + self._unknown_key(complaint)
        if complaint.kind.startswith("union_tag"):
            return line, f"{place}{_dotted(complaint.path)}: {complaint.expected}"
        if complaint.kind == "inconsistent":
            return line, f"{place}{_table_name(complaint.path)}: {complaint.expected}"
        expected = self._expectation(complaint)
        if complaint.kind == "missing":
            return line, f"{place}{_table_name(complaint.path[:-1])} has no {complaint.path[-1]}; {expected}"
        return line, f"{place}{_dotted(complaint.path)} is {_found(complaint)}; {expected}"

    def _unknown_key(self, complaint: _Complaint) -> str:
        path, table = complaint.path, complaint.table
        key = str(path[-1])
        where = _table_name(path[:-1])
        owners = [name for name, owner in self._tables.items() if key in owner.model_fields]
        known = list(self._names()) if len(path) == 1 else list(table.model_fields) if table is not None else []
        near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)
        if len(path) == 1:
            if owners:
                return f"unknown key '{key}' outside of a table; it belongs under {_table_name((owners[0],))}"
            if near:
                return f"unknown table or key '{key}'; did you mean {_table_name((near[0],))}?"
            return f"unknown table or key '{key}'; known are {', '.join(known)}"
        if near:
            return f"unknown key '{key}' in {where}; did you mean '{near[0]}'?"
        if owners:
            return f"unknown key '{key}' in {where}; it belongs under {_table_name((owners[0],))}"
        return f"unknown key '{key}' in {where}; known are {', '.join(known)}"

    def _names(self) -> dict[str, None]:
        return dict.fromkeys(name.partition(".")[0] for name in self._tables)

    def _expectation(self, complaint: _Complaint) -> str:
        """Return what was expected, with the field's own example."""
        expected = _WORDING.get(complaint.kind, complaint.expected)
        if complaint.kind == "tuple_type" and len(complaint.path) == 1 and complaint.path[0] in _ARRAYS:
            expected = f"a list of tables, each with the header {_table_name(complaint.path)}"
        if complaint.kind == "missing":
            expected = str(complaint.path[-1])
        example = self._example(complaint)
        return f"expected {expected}" + (f", for example {example}" if example and "such as" not in expected else "")

    def _example(self, complaint: _Complaint) -> str:
        nested = _nested(complaint.path)
        inner = complaint.path[2 * (nested.count(".") + 1) - 2 :] if nested in self._tables else complaint.path
        names = [part for part in inner if isinstance(part, str)]
        table = complaint.table
        field = table.model_fields.get(names[1]) if table is not None and len(names) > 1 else None
        if field is None or not field.examples:
            return ""
        value = field.examples[0]
        if isinstance(value, str):
            return f'{names[1]} = "{value}"'
        if isinstance(value, dict):
            inside = ", ".join(f'{key} = "{item}"' for key, item in value.items())
            return f"{names[1]} = {{ {inside} }}"
        return f"{names[1]} = {value}".replace("'", '"')


@dataclass(frozen=True)
class _Complaint:
    """One error of validation. `table` is that in which it stands, null outside of all."""

    kind: str
    path: TomlPath
    found: object
    expected: str
    table: type[BaseModel] | None

    @staticmethod
    def of(detail: Any, tables: Mapping[str, type[BaseModel]]) -> _Complaint:
        expected = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
        # Members of a union are no part of the file.
        path: TomlPath = tuple(part for part in detail["loc"] if part not in ("datetime", "date"))
        table = tables.get(str(path[0])) if path else None
        nested = _nested(path)
        if nested in tables:
            table = tables[nested]
        elif len(path) > 2 and f"{path[0]}.{path[2]}" in tables:
            table, path = tables[f"{path[0]}.{path[2]}"], (*path[:2], *path[3:])
        kind = str(detail["type"])
        if kind == "union_tag_invalid":
            expected = f"kind is {detail['ctx']['tag'][:80]!r}; expected one of {detail['ctx']['expected_tags']}"
        elif kind == "union_tag_not_found":
            expected = f"has no kind; expected one of {', '.join(_kinds(str(path[0]), tables))}"
        return _Complaint(kind, path, detail["input"], expected, table)


def _nested(path: TomlPath) -> str:
    """Return the name of the innermost array of tables, such as crm_database.table; empty outside of any such."""
    inner = max((place for place, part in enumerate(path) if isinstance(part, int)), default=0)
    return ".".join(str(part) for part in path[:inner] if isinstance(part, str)) if inner > 1 else ""


def _kinds(name: str, tables: Mapping[str, type[BaseModel]]) -> list[str]:
    return [repr(table.partition(".")[2]) for table in tables if table.startswith(f"{name}.")]


_ARRAYS = ("source", "receiver", "crm_database")
_NESTED_ARRAYS = ("crm_database.table", "crm_database.table.join")
_WORDING = {
    "string_type": 'text in "quotes"',
    "tuple_type": 'a list in [brackets] of texts in "quotes"',
    "int_type": "a whole number",
    "float_type": "a number",
    "dict_type": 'a table such as { field = "column" }',
    "model_type": "a table",
    "model_attributes_type": "a table",
    "string_too_short": "text that is not empty",
    "string_pattern_mismatch": "small letters, digits, '-' and '_', beginning with a letter",
}


def _table_name(path: TomlPath) -> str:
    if not path:
        return "the file"
    nested = str(path[0]) if str(path[0]) in _NESTED_ARRAYS else _nested((*path, 0))
    if nested in _NESTED_ARRAYS:
        return f"[[{nested}]]"
    name, dot, kind = str(path[0]).partition(".")
    shown = f"[[{name}]]" if name in _ARRAYS else f"[{name}]"
    return f"{shown} of kind {kind}" if dot else shown


def _dotted(path: TomlPath) -> str:
    """Return a path as people say it: table.key (entry 2), or key of [[source]] number 2."""
    suffix = ""
    if path[0] in _ARRAYS and len(path) > 1 and isinstance(path[1], int):
        if len(path) == 2:
            return f"[[{path[0]}]] number {path[1] + 1}"
        suffix = f" of [[{path[0]}]] number {path[1] + 1}"
        path = path[2:]
    text = ""
    for part in path:
        text += f" (entry {part + 1})" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text + suffix


def _found(complaint: _Complaint) -> str:
    value = complaint.found
    # A customer's identifier, or a password that stands where its variable's name was asked for.
    if "never_log" in complaint.path or str(complaint.path[-1]).endswith(("_env", "url")):
        return "a value that is not shown"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value[:80]}'"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, (list, tuple)):
        return f"the list {list(value)!r}"[:80]
    return f"{value}"
