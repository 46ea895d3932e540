"""Salesforce: activities, emails, cases, contacts, leads, accounts and users, from CSV exports of any tool."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.reading import CsvRecord
from pipeline.sources.registry import Batch, DeadLetter, Format, ReadContext, Recognition, Sample
from pipeline.sources.salesforce_dialect import Row, column_key, find_columns, place_fields
from pipeline.sources.salesforce_objects import FIELDS, KNOWN_FIELDS, OTHER, RecognisedObject, tell_object
from pipeline.sources.salesforce_options import RecordOptions, task_kind
from pipeline.sources.salesforce_records import RecordReader
from pipeline.sources.salesforce_siblings import EmailSiblings
from pipeline.sources.salesforce_stretches import StretchReader
from pipeline.sources.salesforce_table import Table, read_top
from schemas.facts import SCHEMAS

BATCH_RECORDS: Final = 10_000
"""A batch ends after so many records, or after the stretch in which so many were reached."""

DEAD_LETTER_LENGTH: Final = 2_000

# A fresh file of cases says nothing of how far the activities have been exported.
_FEED_OBJECTS: Final = frozenset({"Task", "Event", "EmailMessage"})
_COUNTED_OBJECTS: Final = frozenset({"EmailMessageRelation", OTHER})
_KEY_FIELDS: Final = ("Id", "Guid")
_SIBLING_NAMES: Final = re.compile(r"emailmessagerelation|task|case")


class Salesforce:
    """CSV exports of Salesforce objects: Data Loader, weekly Data Export, relational movers, warehouses."""

    name = "salesforce"
    title = "Salesforce"
    description = (
        "CSV exports of Task, Event, EmailMessage, EmailMessageRelation, Contact, Lead, Account, Case and User. "
        "The object is told by the columns and by the ids, not by the file's name; other objects are counted and "
        "give nothing. Relations, tasks and cases beside an EmailMessage file say who its customers are. "
        "Options: object, call_subject, email_subject, types, segment_field, phone_fields, email_fields, siblings. "
        "Mapping: field = column, or Object.field = column."
    )
    carries = frozenset({"contact", "account", "crm_user", "activity", "feed_progress"})
    formats = (
        Format(
            "Data Loader and command-line exports",
            "activities, emails, cases, contacts, leads, accounts, users",
            "all other objects",
            "documentation",
            "the object reference, and the shape of published exports",
        ),
        Format(
            "weekly Data Export",
            "the same",
            "the same",
            "documentation",
            "the object reference, and the shape of published exports",
        ),
        Format(
            "warehouse tables with snake_case names",
            "the same",
            "the same",
            "records",
            "seeds of a published data model",
        ),
        Format(
            "relational exports with Guid keys",
            "the same",
            "the same",
            "documentation",
            "the shape of published exports",
        ),
    )
    lies = (
        "ActivityDate of a task is the day on which it is due: it counts as a whole day, where nothing better stands.",
        "Calls are often plain tasks without a call type: their subject tells them, by a pattern that can be set.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a table whose columns and ids are those of an object of Salesforce."""
        if sample.is_directory:
            return None
        header, _, first_records = read_top(sample.head)
        told = tell_object(find_columns(header), first_records)
        if told is None:
            return None
        what = "a Salesforce object that is only counted" if told.name == OTHER else f"Salesforce {told.name}"
        return Recognition(told.confidence, f"{what}: {told.evidence}")

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of facts. A file that bears activities ends with how far it reaches.

        Every record is one CRM record read: it gives facts, or none (a relation, a draft, a version that was
        superseded, an object that says nothing), or one dead letter. One activity may come several times under one
        raw id, once per customer of an email.

        Raises:
            ConfigurationError: when the object cannot be told, or the options or the mapping do not fit the file.
            InvalidRecord: when an archive ends in the middle; what came before it has been yielded, without progress.
        """
        table = Table(path)
        if not table.header:
            next(table.records(), None)  # a damaged archive is not an empty file
            yield Batch({}, 0, path.stat().st_size, warnings=(f"{context.file} is empty: it has not even a header",))
            return
        options = RecordOptions.from_options(context.options)
        object_name = _object_of(table, context)
        places = _places(table, object_name, options, context)
        if object_name not in _COUNTED_OBJECTS and places.keys().isdisjoint(_KEY_FIELDS):
            raise ConfigurationError(f"{context.file} has no column Id; name the one that holds it: mapping.Id = ...")
        siblings = EmailSiblings(
            _sibling_paths(path, context) if object_name == "EmailMessage" else (),
            lambda sibling, wanted: _rows_of(sibling, wanted, context),
            lambda row: task_kind(row, options) == "email",
        )
        reader = RecordReader(object_name, context, options, siblings)
        stretches = StretchReader(object_name, table, places, reader, options, context)
        batches = _Batches(table, places, reader, stretches if stretches.is_able else None, context)
        yield from batches.all()
        yield batches.last(object_name, siblings.warnings)


class _Batches:
    """Gathers the facts of one file into batches."""

    def __init__(
        self,
        table: Table,
        places: dict[str, int],
        reader: RecordReader,
        stretches: StretchReader | None,
        context: ReadContext,
    ) -> None:
        self._table = table
        self._reader = reader
        self._stretches = stretches
        self._context = context
        self._row = Row(places)
        self._stored = 0
        self._total = 0
        self._begin()

    def _begin(self) -> None:
        self._count = 0
        self._rows: dict[str, list[tuple[object, ...]]] = {}
        self._tables: dict[str, list[pa.Table]] = {}
        self._dead_letters: list[DeadLetter] = []

    def all(self) -> Iterator[Batch]:
        """Yield a batch per stretch of the file, but for the last one."""
        try:
            if self._stretches is None:
                for record in self._table.records():
                    if self._count >= BATCH_RECORDS:
                        yield self._take({}, ())
                    self._add(record)
                return
            for records in self._table.stretches(self._read):
                for record in records:
                    self._add(record)
                if self._count >= BATCH_RECORDS:
                    yield self._take({}, ())
        except InvalidRecord:
            yield self._take({}, ())
            raise

    def last(self, object_name: str, warnings: Sequence[str]) -> Batch:
        """Return the last batch, with the progress of a file that was read to its end."""
        reader, context = self._reader, self._context
        notes = list(warnings)
        if not self._total and object_name != OTHER:
            notes.append(f"{context.file} has a header of {object_name} and no record")
        if reader.unreadable_changes:
            notes.append(
                f"{context.file}: {reader.unreadable_changes:,} times of the last change could not be read, "
                "so the order of versions may be wrong"
            )
        progress: dict[str, pa.Table] = {}
        if object_name in _FEED_OBJECTS and reader.complete_through > datetime.min:
            progress["feed_progress"] = _table("feed_progress", [(context.source, reader.complete_through)])
        return self._take(progress, notes)

    def _read(self, data: bytes, first_line: int) -> bool:
        """Read a plain stretch by columns; return false, with nothing done, when something in it is odd."""
        found = self._stretches.read(data, first_line) if self._stretches is not None else None
        if found is None:
            return False
        self._close_rows()
        self._count += found.record_count
        self._total += found.record_count
        if found.table.num_rows:
            self._tables.setdefault(found.kind, []).append(found.table)
        return True

    def _close_rows(self) -> None:
        """Turn the rows gathered so far into tables, so that facts stay in the order of the file."""
        for kind, rows in self._rows.items():
            self._tables.setdefault(kind, []).append(_table(kind, rows))
        self._rows = {}

    def _add(self, record: CsvRecord) -> None:
        self._count += 1
        self._total += 1
        try:
            if record.problem is not None:
                raise InvalidRecord(record.problem)
            self._row.cells = record.fields
            for kind, row in self._reader.read(self._row, self._context.raw_id(record.line)):
                self._rows.setdefault(kind, []).append(row)
        except InvalidRecord as error:
            context = self._context
            # Masking comes before the last cut: a number cut in half would not look like one.
            text = context.identifiers.outline(record.text[: 4 * DEAD_LETTER_LENGTH])[:DEAD_LETTER_LENGTH]
            self._dead_letters.append(
                DeadLetter(
                    context.raw_id(record.line), context.source, context.file, record.line, "line", str(error), text,
                    is_raw_event=False,
                )
            )  # fmt: skip

    def _take(self, extra: dict[str, pa.Table], warnings: Sequence[str]) -> Batch:
        self._close_rows()
        facts = {kind: pa.concat_tables(tables) for kind, tables in self._tables.items()} | extra
        moved, self._stored = self._table.stored - self._stored, self._table.stored
        batch = Batch(facts, self._count, moved, tuple(self._dead_letters), tuple(warnings))
        self._begin()
        return batch


def _table(kind: str, rows: Sequence[tuple[object, ...]]) -> pa.Table:
    schema = SCHEMAS[kind]
    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _object_of(table: Table, context: ReadContext) -> str:
    wanted = context.options.get("object")
    if wanted is not None:
        if wanted not in FIELDS:
            raise ConfigurationError(f"object is {wanted!r}; expected one of {', '.join(sorted(FIELDS))}")
        return str(wanted)
    told = _tell(table, context)
    if told is None:
        raise ConfigurationError(
            f"{context.file} cannot be told from its columns to hold an object of Salesforce; "
            f"set object to one of {', '.join(sorted(FIELDS))}"
        )
    return told.name


def _tell(table: Table, context: ReadContext) -> RecognisedObject | None:
    columns = find_columns(table.header)
    for field, column in context.mapping.items():
        if column_key(column) in columns:
            columns.setdefault(column_key(field.rpartition(".")[2]), columns[column_key(column)])
    return tell_object(columns, table.first_records)


def _places(table: Table, object_name: str, options: RecordOptions, context: ReadContext) -> dict[str, int]:
    places = place_fields(table.header, FIELDS[object_name], context.mapping, object_name, KNOWN_FIELDS)
    columns = find_columns(table.header)
    for name in options.extra_fields(object_name):
        place = columns.get(column_key(name))
        if place is not None:
            places[name] = place
        elif name == options.segment_field:
            raise ConfigurationError(f"segment_field is {name!r}, which {context.file} does not have as a column")
    return places


def _sibling_paths(path: Path, context: ReadContext) -> list[Path]:
    """Return the files that may hold relations, tasks and cases: those given, else those beside that are named so."""
    given = context.options.get("siblings")
    if given is not None:
        return [Path(sibling) for sibling in given if Path(sibling) != path]
    return [
        beside
        for beside in path.parent.iterdir()
        if beside != path
        and ".csv" in beside.name.lower()
        and _SIBLING_NAMES.search(beside.name.lower().replace("_", ""))
        and beside.is_file()
    ]


def _rows_of(path: Path, object_name: str, context: ReadContext) -> Iterator[Row]:
    """Yield the good rows of a file if it holds the object, else nothing."""
    table = Table(path)
    if not table.header:
        next(table.records(), None)  # a damaged archive is not an empty file
        return
    told = _tell(table, context)
    if told is None or told.name != object_name:
        return
    row = Row(place_fields(table.header, FIELDS[object_name], context.mapping, object_name, KNOWN_FIELDS))
    for record in table.records():
        if record.problem is None:
            row.cells = record.fields
            yield row


SOURCE: Final = Salesforce()
