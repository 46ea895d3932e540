"""Itemisations of operators: what a subscription was billed for, row by row.

There is no standard. Columns are found by their names in Finnish, Swedish or English, or mapped; everything else that
a table of somebody's columns needs is the business of the column mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.column_mapping import ColumnMapping, field_names
from pipeline.sources.headers import sniff_delimiter
from pipeline.sources.itemisation_words import (
    columns_of,
    direction_of,
    is_in_minutes,
    is_itemisation,
    is_masked,
    is_total,
    service_of,
)
from pipeline.sources.json_records import JsonRecord
from pipeline.sources.reading import HEAD_SIZE, group_records, head, lines, split_fields
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.source_options import check_options, encoding_option
from pipeline.sources.translation import Fields, translated
from pipeline.sources.written_values import is_missed_call, word_key

_FIELDS: Final = (
    "started_at", "talk_seconds", "direction", "service", "representative", "from", "to", "customer", "status", "line",
    "call_id",
)  # fmt: skip
_OPTIONS: Final = ("encoding", "delimiter", "header", "date_format", "duration_unit", "values", "numbers_are_cut")
_SERVICE_WORDS: Final = ("call", "voicemail", "sms", "fax", "none")
_PARTIES: Final = ("customer", "from", "to")
# Titles, addresses and the like that some write above the table.
_MOST_LINES_ABOVE: Final = 30


class OperatorItemisation:
    """Itemised bills and usage reports of operators."""

    name = "operator_itemisation"
    title = "Operator's itemisation"
    description = (
        "Calls and messages of subscriptions as an operator itemises them, as a table. Columns are known by common "
        'Finnish, Swedish and English names; others by mapping = { started_at = "Pvm+Klo", talk_seconds = "Kesto", '
        'representative = "Liittymä", customer = "Numero", service = "Laji", direction = "Suunta" }, by name or '
        "counted from 1; from and to for tables with A and B numbers; a value that begins with = is the same for every "
        "row. representative is the subscription, a number of yours. Without a direction the service's name tells, or "
        "which number is the subscription's, else a row went out. Options: encoding, delimiter, header, date_format, "
        'duration_unit, values, as in options = { values = { service = { "Lanka" = "call", "Kuitu" = "none" } } } '
        "(call, voicemail, sms, fax, or none for what is no conversation), and numbers_are_cut = true where the "
        "last digits of numbers are left out. May be packed with gzip or zstd."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "table with a header of known names",
            "when, how long, subscription, other party, direction, service: calls, messages, faxes",
            "data, fees, prices, totals, lines above the table",
            "documentation",
            "the words that such tables use; no operator publishes a format",
        ),
        Format(
            "any other table, by mapping",
            "the columns that are mapped",
            "all others",
            "documentation",
            "the same",
        ),
    )
    lies = (
        "A number whose last digits are hidden (04012345xx, +35840123****) is of nobody in particular: it counts as "
        "withheld, and a warning says how many there were.",
        "Where the switchboard saw a call too, a hidden number keeps the two from being known as one: it counts twice; "
        "leave such subscriptions out, or get whole numbers.",
        "A number whose last digits are left out looks like another number; say so with numbers_are_cut.",
        "Most itemise only what costs: calls that came in, and those that nobody answered, may be missing altogether.",
        "A row without a direction counts as outgoing, unless its numbers or its service say otherwise.",
        "A call that was forwarded from the subscription is a row like an outgoing one.",
        "Times are rounded to the minute by some; two equal rows count once.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a table whose header has the names of an itemisation's columns."""
        if sample.is_directory or b"\0" in sample.head[:4096]:
            return None
        found = _find_header(sample.head, {}, {}, _guessed_encoding(sample.head))
        if found is None:
            return None
        told = ", ".join(f"{field} = {column!r}" for field, column in found.mapping.items())
        return Recognition(0.7, f"names of columns, as mapping = {{ {told} }}")

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each call, message or fax.

        Raises:
            ConfigurationError: when mapping or options do not fit the table, or its columns are unknown.
            InvalidRecord: when an archive ends in the middle.
        """
        check_options(context, _OPTIONS)
        _check_mapping(context)
        start = head(path)
        if not start:
            return
        encoding = encoding_option(context) or _guessed_encoding(start)
        table = _find_header(start, context.mapping, context.options, encoding)
        if table is None:
            raise ConfigurationError(
                f"{context.file}: no line names the columns of an itemisation; say which is which, for example mapping "
                '= { started_at = "Date+Time", talk_seconds = "Duration", representative = "Subscription", customer = '
                '"Number", service = "Type" }, or by number with options = { header = false }'
            )
        rows = _Rows(table, context)
        yield from translated(_records(path, table), rows.told, context, "line", path.stat().st_size)
        if rows.masked_count:
            note = (
                f"{context.file}: in {rows.masked_count:,} of its records the other party's number is masked or cut; "
                "they count as withheld; ask the operator for whole numbers"
            )
            yield Batch({}, 0, warnings=(note,))


@dataclass(frozen=True)
class _Table:
    """Where a table begins and which column is which: its columns, the line of its first row."""

    header: Sequence[str]
    first_line: int
    delimiter: str
    encoding: str | None
    mapping: Mapping[str, str]


class _Rows:
    """What the rows of a table tell; counts the parties whose numbers are masked."""

    def __init__(self, table: _Table, context: ReadContext) -> None:
        self._table = table
        self._identifiers = context.identifiers
        self._are_cut = bool(context.options.get("numbers_are_cut", False))
        words = dict(context.options.get("values", {}))
        self._own_services = {word_key(word): service for word, service in dict(words.pop("service", {})).items()}
        options = {name: context.options[name] for name in ("date_format", "duration_unit") if name in context.options}
        if is_in_minutes(table.mapping.get("talk_seconds", "")):
            options.setdefault("duration_unit", "minutes")
        columns = {field: column for field, column in table.mapping.items() if field != "service"}
        self._service = table.mapping.get("service")
        self._calls: ColumnMapping | None = None
        if {"talk_seconds", "status"} & columns.keys():
            calls = {"line": "=mobile", **columns, "kind": "=call"}
            self._calls = self._reader(calls, {**options, "values": words}, context.file)
        messages = {field: column for field, column in columns.items() if field in field_names("message")}
        messages |= {"kind": "=message", "channel": "=sms"}
        self._messages = self._reader(messages, {**options, "values": words}, context.file)
        self.masked_count = 0

    def _reader(self, mapping: Mapping[str, str], options: Mapping[str, Any], file: str) -> ColumnMapping:
        # A column that nobody mapped may have the name of a field that it is not: "Line" is a number here.
        used = {part for said in mapping.values() for part in (said, *said.split("+"))}
        used |= {word_key(part) for part in used}
        header = [name if name in used or word_key(name) in used else "" for name in self._table.header]
        return ColumnMapping(header, mapping, options, file)

    def told(self, value: Mapping[str, Any]) -> Fields | list[Fields]:
        """Return what a row tells: a call or a message, or nothing when it is no conversation."""
        text = self._service_text(value)
        service = self._service_of(text)
        if service == "none":
            return []
        cells = [value.get(name, "") for name in self._table.header]
        if service in ("sms", "fax"):
            fields = self._messages.record(cells)
            fields["channel"] = service
        elif self._calls is None:
            raise InvalidRecord("talk_seconds: no column has the length of calls; name it in the mapping")
        else:
            fields = self._calls.record(cells)
            if service == "voicemail":
                fields["status"] = "voicemail"
            elif is_missed_call(text):
                fields.setdefault("status", "unanswered")
                fields.setdefault("direction", "inbound")
        direction = fields.get("direction") or direction_of(text) or self._direction(fields)
        fields["direction"] = direction
        self._hide(fields, direction)
        return fields

    def _service_text(self, value: Mapping[str, Any]) -> str:
        if self._service is None:
            return ""
        return self._service[1:] if self._service.startswith("=") else str(value.get(self._service_column) or "")

    @cached_property
    def _service_column(self) -> str:
        """The column of services by the name that it has in the header."""
        named = [
            name
            for name in self._table.header
            if name == self._service or word_key(name) == word_key(str(self._service))
        ]
        return named[0] if named else self._table.header[int(str(self._service)) - 1]

    def _service_of(self, text: str) -> str:
        if self._service is None:
            return "call"
        service = self._own_services.get(word_key(text)) or service_of(text)
        if service is None and (direction_of(text) or is_missed_call(text)):
            return "call"  # some name the direction alone
        if service is None:
            raise InvalidRecord(
                "service: a name that is not known; say what it is in options.values.service: "
                + ", ".join(_SERVICE_WORDS)
            )
        return service

    def _direction(self, fields: Mapping[str, Any]) -> str | None:
        """Return the direction by which number is ours; null where only the directory can tell."""
        mapped = self._table.mapping
        ours = self._token(fields.get("representative"))
        if "representative" in mapped and {"from", "to"} & mapped.keys():
            if ours is not None and ours == self._token(fields.get("to")):
                return "inbound"
            is_from_other = "to" not in mapped and ours != self._token(fields.get("from"))
            return "inbound" if is_from_other else "outbound"
        if {"from", "to"} <= mapped.keys():
            return None
        return "inbound" if "from" in mapped and "customer" not in mapped else "outbound"

    def _token(self, number: object) -> str | None:
        return self._identifiers.phone(str(number)).token if number else None

    def _hide(self, fields: Fields, direction: str | None) -> None:
        """Leave out numbers of which digits are missing: they are of nobody in particular."""
        other = {"inbound": "from", "outbound": "to"}.get(direction or "")
        hidden = [
            name
            for name in _PARTIES
            if (number := fields.get(name)) and (is_masked(number) or (self._are_cut and name in ("customer", other)))
        ]
        for name in hidden:
            del fields[name]
        self.masked_count += bool(hidden)


def _guessed_encoding(start: bytes) -> str | None:
    """Return cp1252 for a text that is no UTF-8, as spreadsheets of Western Europe write it, else null."""
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        is_cut = error.start >= len(start) - 3 and len(start) == HEAD_SIZE
        return None if is_cut else "cp1252"
    return None


def _check_mapping(context: ReadContext) -> None:
    for name in context.mapping:
        if name not in _FIELDS:
            raise ConfigurationError(
                f"{context.file}: mapping: {name!r} is no field of an itemisation; fields are {', '.join(_FIELDS)}"
            )
    words = context.options.get("values", {})
    services = words.get("service", {}) if isinstance(words, Mapping) else None
    if not isinstance(services, Mapping) or not all(service in _SERVICE_WORDS for service in services.values()):
        raise ConfigurationError(
            f'{context.file}: options.values: expected tables of words, as in {{ service = {{ "Lanka" = "call" }} }}; '
            f"kinds of service are {', '.join(_SERVICE_WORDS)}"
        )
    if not isinstance(context.options.get("numbers_are_cut", False), bool):
        raise ConfigurationError(f"{context.file}: options.numbers_are_cut: expected true or false")


def _find_header(
    start: bytes, mapping: Mapping[str, str], options: Mapping[str, Any], encoding: str | None
) -> _Table | None:
    """Return the table that a file holds: its first line whose columns tell enough, together with the mapping."""
    lines = start.decode(encoding or "utf-8", "replace").split("\n")
    for number, line in enumerate(lines[:_MOST_LINES_ABOVE], 1):
        text = line.strip("\r").lstrip("\ufeff")
        delimiter = str(options.get("delimiter") or sniff_delimiter(text))
        if not text.strip() or len(delimiter) != 1:
            continue
        cells = [cell.strip() for cell in split_fields(text, delimiter)[0]]
        if options.get("header", True) is False:
            numbers = [str(place) for place in range(1, len(cells) + 1)]
            return _Table(numbers, number, delimiter, encoding, mapping) if mapping else None
        first = {cell: place for place, cell in reversed(list(enumerate(cells)))}
        cells = [cell if first[cell] == place else "" for place, cell in enumerate(cells)]
        used = {part for said in mapping.values() for part in (said, *said.split("+"))}
        guessed = columns_of([cell if cell not in used else "" for cell in cells])
        columns = {**{field: column for field, column in guessed.items() if field not in mapping}, **mapping}
        is_whole = is_itemisation(columns) or (bool(mapping) and {"started_at"} <= columns.keys())
        if len(cells) > 2 and is_whole and _has_columns(cells, mapping):
            return _Table(cells, number + 1, delimiter, encoding, columns)
    return None


def _has_columns(cells: Sequence[str], mapping: Mapping[str, str]) -> bool:
    """Return whether a line has every column that a mapping names; a number fits any line that is long enough."""
    names = {word_key(cell) for cell in cells if cell}
    wanted = [
        part
        for said in mapping.values()
        if not said.startswith("=")
        for part in ([said] if word_key(said) in names else said.split("+"))
    ]
    return all(word_key(part) in names or (part.isdecimal() and 1 <= int(part) <= len(cells)) for part in wanted)


def _records(path: Path, table: _Table) -> Iterator[JsonRecord]:
    """Yield the rows of a table by the names of its columns; lines above it and sums are left out."""
    width = len(table.header)
    units = lines(path, table.encoding)
    rows = group_records(
        units, lambda count: count == width, lambda count: f"has {count} columns, expected {width} as in the header",
        table.delimiter,
    )  # fmt: skip
    for row in rows:
        if row.line < table.first_line or (row.fields and is_total(row.fields)):
            continue
        yield JsonRecord(row.line, dict(zip(table.header, row.fields, strict=False)), row.problem, row.text)


SOURCE: Final = OperatorItemisation()
