"""JSON of other systems as canonical records, by a mapping that says where each field stands.

So a new network or service needs a mapping and no code: its messages are records of one kind, whatever their channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.canonical_records import TEXT_LENGTH, RecordGatherer
from pipeline.sources.column_mapping import ColumnMapping
from pipeline.sources.json_records import form_of, json_records
from pipeline.sources.mapped_rows import ALL_FIELDS, BATCH_RECORDS, Rows, columns_named
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, ReadContext


def read_mapped_json(path: Path, context: ReadContext) -> Iterator[Batch]:
    """Yield batches of facts from JSON of another system, in the order of the file.

    Raises:
        ConfigurationError: when mapping or options do not fit.
        InvalidRecord: when a document is broken; what came before it is yielded first.
    """
    options = dict(context.options)
    place = options.pop("records", None)
    if place is not None and not isinstance(place, str):
        raise ConfigurationError(f"{context.file}: options.records is {place!r}; expected the name of a list")
    form = form_of(head(path), () if place is None else (place,))
    if form is None:
        raise ConfigurationError(f'{context.file} is no JSON; for a table give format = "canonical_csv"')
    if place is not None and form.place != place:
        raise ConfigurationError(f"{context.file}: its outermost object has no list {place!r}; see options.records")
    gatherer = RecordGatherer(context, form.unit)
    header = list(dict.fromkeys([*columns_named(context.mapping), *ALL_FIELDS]))
    rows = Rows(ColumnMapping(header, context.mapping, options, context.file, is_open=True), gatherer)
    failure: InvalidRecord | None = None
    records = json_records(path, form)
    while failure is None:
        try:
            record = next(records, None)
        except InvalidRecord as error:
            failure, record = error, None
        if record is None:
            break
        if record.problem is not None:
            # Nobody can tell which of its words are what somebody said.
            shown = context.identifiers.outline(record.text[: 2 * TEXT_LENGTH])
            gatherer.reject(record.position, record.problem, shown)
        else:
            rows.add(record.position, [value_at(record.value, name) for name in header])
        if len(rows) + gatherer.record_count >= BATCH_RECORDS:
            rows.flush()
            yield gatherer.take()
    rows.flush()
    yield gatherer.take(path.stat().st_size)
    yield from gatherer.finish()
    if failure is not None:
        raise failure


def value_at(record: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a path in a record, by names of members and numbers of lists, the first being 0.

    >>> value_at({"from": {"phones": ["201"]}, "a.b": 1}, "from.phones.0"), value_at({"a.b": 1}, "a.b")
    ('201', 1)
    """
    if path in record or "." not in path:
        return record.get(path)
    held: Any = record
    for part in path.split("."):
        if isinstance(held, dict):
            held = held.get(part)
        elif isinstance(held, list) and len(part) <= 4 and part.isdecimal() and int(part) < len(held):
            held = held[int(part)]
        else:
            return None
    return held
