"""Records of other systems, each told in the words of a canonical record.

A parser of such a system is a function from its record to the fields of a canonical one. All else is here: what is
wrong with a record becomes a dead letter with its place, and memory stays bounded.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.canonical_records import TEXT_LENGTH, RecordGatherer, explain
from pipeline.sources.headers import first_line, sniff_delimiter
from pipeline.sources.json_records import JsonForm, JsonRecord, json_records
from pipeline.sources.reading import CsvRecord, csv_records
from pipeline.sources.registry import Batch, ReadContext
from schemas.record import RECORD_MODELS

BATCH_RECORDS: Final = 5_000

# From a record to the fields of a canonical one; raises InvalidRecord, naming the field and never its value. What tells
# of several events (a conversation of many sessions) gives several, each a record of its own; what tells of none, none.
Fields = dict[str, Any]
Translate = Callable[[Mapping[str, Any]], Fields | Sequence[Fields]]


def translated(
    records: Iterable[JsonRecord],
    translate: Translate,
    context: ReadContext,
    unit: Literal["line", "record"],
    size: int,
    kind: str | None = None,
) -> Iterator[Batch]:
    """Yield batches of facts: each record becomes one canonical record or one dead letter. `size`: bytes of the file.

    Of several records that one gives, the second stands at "7#2" when the first stands at 7. One that gives none is
    counted nowhere but in a warning at the end. `kind` says what a record is that cannot be read; without it, it counts
    as a raw event.

    Raises:
        InvalidRecord: as the records do; what came before is yielded first.
    """
    gatherer = RecordGatherer(context, unit)
    failure: InvalidRecord | None = None
    silent_count = 0
    source = iter(records)
    while failure is None:
        try:
            record = next(source, None)
        except InvalidRecord as error:
            failure, record = error, None
        if record is None:
            break
        silent_count += not _add(record, translate, gatherer, context, kind)
        if gatherer.record_count >= BATCH_RECORDS:
            yield gatherer.take()
    if silent_count:
        gatherer.warn(f"{context.file}: {silent_count:,} of its records tell of no conversation and were passed over")
    yield gatherer.take(size)
    yield from gatherer.finish()
    if failure is not None:
        raise failure


def named_records(path: Path, start: bytes, form: JsonForm | None = None) -> Iterator[JsonRecord]:
    """Yield the objects of a JSON file of this form, or the rows of a table by the names of its header.

    `start` is the beginning of the file.

    Raises:
        InvalidRecord: when a document is broken, or the header cannot be read.
    """
    if form is not None:
        return json_records(path, form)
    return table_records(csv_records(path, sniff_delimiter(first_line(start))))


def table_records(records: Iterable[CsvRecord]) -> Iterator[JsonRecord]:
    """Yield the rows of a delimited text by the names of its header, in lower case; empty cells are left out.

    Raises:
        InvalidRecord: when the header cannot be read.
    """
    source = iter(records)
    header = next(source, None)
    if header is None:
        return
    if header.problem is not None:
        raise InvalidRecord(f"the header, in line {header.line}: {header.problem}; export the table again")
    names = [name.strip().lstrip("\ufeff").casefold() for name in header.fields]
    for record in source:
        if record.problem:
            yield JsonRecord(record.line, {}, record.problem, record.text)
        else:
            yield JsonRecord(record.line, {name: cell for name, cell in zip(names, record.fields, strict=True) if cell})


def renaming(
    context: ReadContext, fields: Collection[str], other_names: Mapping[str, str]
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return what takes a record's fields by the system's own names, by those of the mapping, or by other usual ones.

    It leaves out what is nested: a field here holds a text, a number, or yes or no.

    Raises:
        ConfigurationError: when the mapping is for a field that the system has not.
    """
    check_mapping(context, fields)
    places = []
    for name in fields:
        given = context.mapping.get(name)
        usual = (name, other_names.get(name, name))
        places.append((name, (given, given.casefold()) if given else usual))

    def rename(value: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, columns in places:
            for column in columns:
                held = value.get(column)
                if isinstance(held, (str, int, float)):
                    found[name] = held
                    break
        return found

    return rename


def check_mapping(context: ReadContext, fields: Collection[str]) -> None:
    """Make sure that the mapping is for fields that the system has.

    Raises:
        ConfigurationError: when it is for another one.
    """
    for name in context.mapping:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; expected some of {', '.join(fields)}"
            raise ConfigurationError(f"{context.file}: the mapping is for {name!r}, which is no field{hint}")


def require_columns(
    context: ReadContext, columns: Collection[str], fields: Collection[str], other_names: Mapping[str, str]
) -> None:
    """Make sure that a table has a column for each of these fields, given its columns in lower case.

    Raises:
        ConfigurationError: when it has not.
    """
    for name in fields:
        given = context.mapping.get(name)
        names = [given] if given else list(dict.fromkeys((name, other_names.get(name, name))))
        if not any(column.casefold() in columns for column in names):
            raise ConfigurationError(
                f"{context.file}: no column {' or '.join(map(repr, names))}; if another one says it, "
                f'give mapping = {{ {name} = "Column" }}; if the file is of another system, leave out format'
            )


def _add(
    record: JsonRecord, translate: Translate, gatherer: RecordGatherer, context: ReadContext, kind: str | None
) -> bool:
    """Add what a record tells, or why it cannot be used; return whether it tells anything."""
    if record.problem is not None:
        # Nobody can tell which of its words are what somebody said.
        shown = context.identifiers.outline(record.text[: 2 * TEXT_LENGTH])
        gatherer.reject(record.position, record.problem, shown, kind)
        return True
    try:
        told = translate(record.value)
    except InvalidRecord as error:
        gatherer.reject(record.position, str(error), gatherer.shown_values(record.value), kind)
        return True
    parts = (told,) if isinstance(told, dict) else told
    for number, values in enumerate(parts, 1):
        position = record.position if number == 1 else f"{record.position}#{number}"
        try:
            model = RECORD_MODELS[values["kind"]].model_validate(values)
        except ValidationError as error:
            gatherer.reject(position, explain(error), gatherer.shown_values(record.value), kind=values["kind"])
        else:
            gatherer.add([model], [position])
    return bool(parts)
