"""From the columns of somebody's table to the fields of a canonical record.

A mapping says `field = "Column"`; `field = "=text"` is a constant, `field = "Date+Time"` puts columns
together with a blank between. Fields that the mapping leaves out are taken from columns of their own
name. Everything that can be known from the header alone is checked before the first row is read.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic.fields import FieldInfo

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.written_values import (
    SECONDS_PER_UNIT,
    InstantReader,
    has_no_seconds,
    is_missed_call,
    read_flag,
    read_list,
    read_seconds,
    read_word,
    word_key,
)
from schemas.record import RECORD_MODELS

# More are no number of this world; Python refuses to read thousands.
_MOST_DIGITS: Final = 18
OPTIONS: Final = ("date_format", "duration_unit", "values", "header", "delimiter", "encoding")

_LONGEST_WORD: Final = 100
_NO_WORDS: Final[Mapping[str, str]] = {}

Form = Literal["instant", "day", "seconds", "flag", "list", "word", "number", "text"]
_Getter = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True)
class _Step:
    """How one field of a record is filled."""

    field: str
    form: Form
    get: _Getter
    index: int | None


def field_names(kind: str) -> dict[str, FieldInfo]:
    """Return the fields of a kind of record by the names they have in files."""
    return {info.alias or name: info for name, info in RECORD_MODELS[kind].model_fields.items()}


def required_fields(kind: str) -> set[str]:
    """Return the fields that every record of a kind must have, without its kind."""
    return {name for name, info in field_names(kind).items() if info.is_required()}


def kinds_of(columns: Sequence[str], among: Sequence[str] = tuple(RECORD_MODELS)) -> list[str]:
    """Return the kinds whose required fields all have a column of their name and that know all the columns.

    >>> kinds_of(["contact_id", "account_id", "phones"])
    ['contact']
    """
    names = set(columns)
    fits = [
        kind
        for kind in among
        if required_fields(kind) <= names and names <= field_names(kind).keys() and names & _telling_fields(kind)
    ]
    if set(fits) == {"call", "pbx_leg"}:
        return ["pbx_leg"] if names & {"leg_id", "from_device", "to_device"} else ["call"]
    return fits


def _telling_fields(kind: str) -> set[str]:
    """Return fields of which a table of this kind has at least one; a lone date column tells nothing."""
    if kind in ("call", "pbx_leg"):
        return {"talk_seconds", "answered_at", "status", "duration_seconds"}
    return required_fields(kind)


class ColumnMapping:
    """Reads rows of one table as canonical records, not yet validated.

    `is_open` says that the header lists what a row may have, as in JSON, not what it has.

    Raises:
        ConfigurationError: when mapping, options and header do not fit together.
    """

    def __init__(
        self,
        header: Sequence[str],
        mapping: Mapping[str, str],
        options: Mapping[str, Any],
        file: str,
        is_open: bool = False,
    ) -> None:
        self._file = file
        self._header = [column.strip().lstrip("\ufeff") for column in header]
        self._check_options(options)
        unit = options.get("duration_unit", "seconds")
        self._unit = str(unit)
        self._instants = InstantReader(options.get("date_format"))
        self._own_words = {
            str(field): {word_key(str(word)): str(meaning) for word, meaning in words.items()}
            for field, words in options.get("values", {}).items()
        }
        self._mapping = dict(mapping)
        self._steps: dict[str, list[_Step]] = {}
        self._fields: dict[int, set[str]] = {}
        self.kind: str | None = None
        self._kind = self._kind_getter()
        self.warnings = [] if is_open else self._unused_columns()

    def record(self, cells: Sequence[Any]) -> dict[str, Any]:
        """Return the fields that a row fills, ready to be validated.

        Raises:
            InvalidRecord: when a cell cannot be read, naming the field and never the cell.
        """
        kind = self.kind
        if kind is None:
            kind = str(self._kind(cells) or "").strip().casefold()
            if kind not in RECORD_MODELS:
                raise InvalidRecord(f"kind: expected one of {', '.join(RECORD_MODELS)}")
            if kind not in self._steps:
                self._plan(kind)
        values: dict[str, Any] = {"kind": kind}
        for step in self._steps[kind]:
            cell = cells[step.index] if step.index is not None else step.get(cells)
            if cell is None or cell == "":
                if step.field == "answered_at":
                    values["answered_at"] = None  # said, and empty: nobody answered
                continue
            if step.form == "text" and isinstance(cell, str):
                values[step.field] = cell.strip()
                continue
            try:
                if isinstance(cell, str):
                    self._read(step, cell.strip(), values)
                else:
                    self._take(step, cell, values)
            except InvalidRecord as error:
                raise InvalidRecord(f"{step.field}: {error}") from None
        return values

    def fields_of(self, index: int) -> set[str]:
        """Return the fields that are taken from a column, none when it is not used."""
        return self._fields.get(index, set())

    def _take(self, step: _Step, cell: Any, values: dict[str, Any]) -> None:
        """Take a value that is no text, as files with types hold them."""
        field, form = step.field, step.form
        if isinstance(cell, dict) or (isinstance(cell, list) and form != "list"):
            raise InvalidRecord(f'expected one value; name what is in it, as in {field} = "member.of.it"')
        if form == "instant" and isinstance(cell, date):
            self._place_instant(field, cell, values)
        elif form == "seconds" and isinstance(cell, timedelta):
            values[field] = cell.total_seconds()
        elif form == "seconds" and isinstance(cell, (int, float, Decimal)):
            values[field] = float(cell) * SECONDS_PER_UNIT[self._unit]
        elif form == "word":
            self._read(step, str(cell), values)
        elif form == "text":
            values[field] = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
        else:
            values[field] = cell

    def _read(self, step: _Step, text: str, values: dict[str, Any]) -> None:
        field, form = step.field, step.form
        if not text:
            return
        if form == "instant":
            self._read_instant(field, text, values)
        elif form == "seconds":
            values[field] = read_seconds(text, self._unit)
        elif form == "word" and len(text) > _LONGEST_WORD:
            values[field] = text
        elif form == "word":
            own_words = self._own_words.get(field, _NO_WORDS)
            if field == "direction" and word_key(text) not in own_words and is_missed_call(text):
                values["direction"] = "inbound"
                if values["kind"] in ("call", "pbx_leg"):
                    values.setdefault("status", "unanswered")
            else:
                values[field] = read_word(field, text, own_words)
        elif form == "list":
            values[field] = read_list(text)
        elif form == "text":
            values[field] = text
        elif form == "flag":
            values[field] = read_flag(text)
        elif form == "day":
            moment = self._instants.read(text)
            values[field] = moment.date() if isinstance(moment, datetime) else moment
        else:
            values[field] = int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else text

    def _read_instant(self, field: str, text: str, values: dict[str, Any]) -> None:
        self._place_instant(field, self._instants.read(text), values)
        if field == "logged_at" and field in values and has_no_seconds(text):
            values.setdefault("precision", "minute")

    @staticmethod
    def _place_instant(field: str, moment: date, values: dict[str, Any]) -> None:
        if isinstance(moment, datetime) or field in ("valid_from", "valid_to"):
            values[field] = moment
        elif field == "logged_at":
            values["logged_on"] = moment
        else:
            raise InvalidRecord('a date without a time of day; map both columns, as in "Date+Time"')

    # What the header says

    def _check_options(self, options: Mapping[str, Any]) -> None:
        for option in options:
            if option not in OPTIONS:
                raise self._error(f"unknown option '{option}'{_hint(option, OPTIONS)}; known are {', '.join(OPTIONS)}")
        unit = options.get("duration_unit", "seconds")
        if unit not in SECONDS_PER_UNIT:
            raise self._error(f"options.duration_unit is {unit!r}; expected one of {', '.join(SECONDS_PER_UNIT)}")
        if not isinstance(options.get("date_format", ""), str):
            raise self._error('options.date_format is no text; expected one such as "%d.%m.%Y %H:%M"')
        values = options.get("values", {})
        if not isinstance(values, Mapping) or not all(isinstance(words, Mapping) for words in values.values()):
            raise self._error('options.values is no table of tables; expected { direction = { "A" = "inbound" } }')

    def _kind_getter(self) -> _Getter:
        """Return what tells the kind of a row, and plan its steps when it is the same for all rows."""
        said = self._mapping.pop("kind", None)
        if said is None and self._index("kind") is not None:
            said = "kind"
        if said is None:
            kind = self._inferred_kind()
        elif said not in RECORD_MODELS and self._index(said) is not None:
            known = {name for model in RECORD_MODELS for name in field_names(model)}
            self._check_fields(known, "any record")
            return self._getter("kind", said)
        else:
            kind = said.removeprefix("=").strip().casefold()
            if kind not in RECORD_MODELS:
                raise self._error(
                    f"mapping: kind = {said!r} is no kind of record and no column{_hint(kind, RECORD_MODELS)}; "
                    f"kinds are {', '.join(RECORD_MODELS)}"
                )
        self._check_fields(set(field_names(kind)), f"a {kind}")
        self._plan(kind)
        self.kind = kind
        return lambda _: kind

    def _inferred_kind(self) -> str:
        wanted = [*self._mapping, *(column for column in map(word_key, self._header) if column in _ALL_FIELDS)]
        kinds = kinds_of(list(dict.fromkeys(wanted)))
        if len(kinds) == 1:
            return kinds[0]
        raise self._error(
            'the kind of record is not said; add it to the mapping, for example mapping = { kind = "call", '
            f'started_at = "Start" }}; kinds are {", ".join(RECORD_MODELS)}'
        )

    def _check_fields(self, known: set[str], what: str) -> None:
        for field in self._mapping:
            if field not in known:
                fields = ", ".join(sorted(known))
                raise self._error(f"mapping: '{field}' is no field of {what}{_hint(field, known)}; fields are {fields}")

    def _plan(self, kind: str) -> list[_Step]:
        fields = field_names(kind)
        steps = []
        for field, info in fields.items():
            if field in ("kind",):
                continue
            column = self._mapping.get(field)
            if column is None:
                index = self._index(field)
                if index is None or self._is_taken(index):
                    continue
                column = self._header[index]
            place = None if column.startswith("=") else self._index(column)
            steps.append(_Step(field, _form(info.annotation), self._getter(field, column), place))
        # A word for a missed call in the column of directions yields to a status that is said.
        steps.sort(key=lambda step: step.field == "direction")
        self._check_coverage(kind, {step.field for step in steps})
        self._steps[kind] = steps
        return steps

    def _check_coverage(self, kind: str, covered: set[str]) -> None:
        if kind in ("activity", "ticket") and not covered & {"logged_at", "logged_on"}:
            raise self._error(f"no column for logged_at of a {kind}; map it, or logged_on for a date alone")
        missing = sorted(required_fields(kind) - covered)
        if missing:
            raise self._error(
                f'no column for {missing[0]}, which every {kind} needs; add {missing[0]} = "Column" to the mapping; '
                f"{self._columns()}"
            )
        if kind in ("call", "pbx_leg"):
            if not covered & {"talk_seconds", "answered_at", "status"}:
                raise self._error(
                    "nothing tells whether anybody talked; map talk_seconds, answered_at or status "
                    f'(status = "=answered" when the file holds answered calls only); {self._columns()}'
                )
            if not covered & {"from", "to", "customer"}:
                raise self._error(f"no column for the parties; map from and to, or customer; {self._columns()}")

    def _getter(self, field: str, column: str) -> _Getter:
        if column.startswith("="):
            constant = column[1:].strip()
            return lambda _: constant
        index = self._index(column)
        if index is not None:
            self._fields.setdefault(index, set()).add(field)
            return _cell(index)
        parts = [self._index(part) for part in column.split("+")] if "+" in column else [None]
        if all(part is not None for part in parts):
            indexes = [part for part in parts if part is not None]
            for part in indexes:
                self._fields.setdefault(part, set()).add(field)
            return lambda cells: " ".join(str(cells[part]).strip() for part in indexes if part < len(cells)).strip()
        raise self._error(
            f"mapping: {field} = {column!r}, but there is no column {column!r}{_hint(column, self._header)}; "
            f'{self._columns()}; a constant is written {field} = "={column}"'
        )

    def _index(self, column: str) -> int | None:
        """Return where a column stands: by its name as written, by its name in any case, or by its number."""
        if column in self._header:
            return self._header.index(column)
        key = word_key(column)
        found = [index for index, name in enumerate(self._header) if word_key(name) == key and key]
        if found:
            return found[0]
        return int(key) - 1 if len(key) <= 4 and key.isdecimal() and 1 <= int(key) <= len(self._header) else None

    def _is_taken(self, index: int) -> bool:
        """Return whether the mapping gives this column to another field."""
        return any(
            not said.startswith("=") and self._index(part) == index
            for said in self._mapping.values()
            for part in (said, *said.split("+"))
        )

    def _unused_columns(self) -> list[str]:
        if not self._steps:
            return []
        unused = [
            name
            for index, name in enumerate(self._header)
            if index not in self._fields and word_key(name) not in ("", "kind")
        ]
        known = {field for kind in self._steps for field in field_names(kind)} - {
            step.field for steps in self._steps.values() for step in steps
        }
        for name in unused:
            near = difflib.get_close_matches(word_key(name), sorted(known), n=1, cutoff=0.85)
            if near and not self._mapping:
                raise self._error(
                    f"unknown column '{name}'; did you mean '{near[0]}'? Rename it, or map it: {near[0]} = \"{name}\""
                )
        return [f"{self._file}: columns that are not used: {', '.join(unused)}"] if unused and not self._mapping else []

    def _columns(self) -> str:
        """Return the names of the columns, unless they look like data."""
        if any(sum(letter.isdigit() for letter in name) > 4 or "@" in name for name in self._header):
            return "the first line looks like data; for a file without header set options.header = false"
        return f"columns are {', '.join(self._header)}"

    def _error(self, message: str) -> ConfigurationError:
        return ConfigurationError(f"{self._file}: {message}")


_ALL_FIELDS: Final = frozenset(name for kind in RECORD_MODELS for name in field_names(kind))


def _cell(index: int) -> _Getter:
    def get(cells: Sequence[Any]) -> Any:
        return cells[index] if index < len(cells) else None

    return get


def _hint(word: str, known: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def _form(annotation: Any) -> Form:
    """Return how a field's text is read, from its type in the contract."""
    members = _members(annotation)
    if datetime in members:
        return "instant"
    if date in members:
        return "day"
    if float in members:
        return "seconds"
    if bool in members:
        return "flag"
    if tuple in members:
        return "list"
    if int in members:
        return "number"
    return "text" if str in members else "word"


def _members(annotation: Any) -> set[Any]:
    """Return the plain types inside a type: of its alternatives, without what annotates them."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _members(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return {member for part in typing.get_args(annotation) for member in _members(part)}
    if origin is Literal:
        return {int} if all(isinstance(value, int) for value in typing.get_args(annotation)) else {Literal}
    return {origin or annotation}
