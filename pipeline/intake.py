"""From messages of the raw topics to facts: what an ingest agent asks the core for each batch that it takes.

Nothing that a message may hold raises an error. What cannot be used becomes a letter with a reason that names fields
and never a value; its neighbours, in the batch and in the same array, are used all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from pipeline.columns import DAY, tick
from pipeline.identifiers import Identifiers
from pipeline.lanes import EVENT_TIMES, latest
from pipeline.normalise import Normaliser
from pipeline.parties import Parties
from pipeline.raw_messages import Origin, RawMessage, RawReader, RawRecord, with_value
from pipeline.readings import ReadingReader, read_rejected
from pipeline.sources.canonical_records import OWN_WORDS, RecordOutline, explain
from pipeline.sources.registry import DeadLetter, ReadContext
from pipeline.stretches import Clean
from schemas.facts import SCHEMAS, FactKind
from schemas.raw import Record
from schemas.reading import OUTLINE_LENGTH, READING_MODELS, Rejected
from schemas.record import RAW_EVENT_KINDS, RECORD_MODELS, CanonicalRecord
from schemas.settings import Configuration

_RECORDS: Final[TypeAdapter[Any]] = TypeAdapter(list[CanonicalRecord])
_read_record: Final = TypeAdapter(CanonicalRecord).validator.validate_json
# As our own replay writes them; others are met all the same.
_READING: Final = b'{"kind":"reading"'
_REJECTED: Final = TypeAdapter(Rejected)
_READING_FIELDS: Final = frozenset({"kind", "version", "fact", "row"})
_KINDS: Final = ", ".join([*RECORD_MODELS, *READING_MODELS])
_OTHER_KINDS: Final = frozenset(RECORD_MODELS) - RAW_EVENT_KINDS
_OTHER_FACTS: Final = frozenset(SCHEMAS) - {"observation"}
_VOCABULARY: Final = OWN_WORDS | READING_MODELS.keys()
_LONGEST_ROW_ID: Final = 5_000


@dataclass(frozen=True)
class DeadEvent:
    """A record that cannot be used: the letter that the store keeps, and what is needed to try it again."""

    letter: DeadLetter
    value: bytes
    topic: str
    format: str
    was_refused_before: bool = False  # by the parser of a file, long before it came to intake


@dataclass(frozen=True)
class Intaken:
    """What became of a batch of messages.

    `facts` by kind; all but identifiers have two columns more, `file` and `format`. `record_count` counts every record
    met, used or not; `ignored_count` messages without a value or with an empty array. `lanes`: how far each lane came
    with these facts, see `pipeline.lanes.LaneReach`.
    """

    facts: Mapping[str, pa.Table]
    letters: Sequence[DeadEvent]
    record_count: int
    ignored_count: int = 0
    lanes: Mapping[str, int] = field(default_factory=dict)


class Intake:
    """Turns the raw messages of one company into facts. Bounded in memory; for one thread."""

    def __init__(self, identifiers: Identifiers, configuration: Configuration, clean: Clean = dict) -> None:
        """`clean` is what becomes of facts before they are sent on: see `pipeline.forgetting.Forgotten.blanked`."""
        self._identifiers = identifiers
        self._clean = clean
        self._reader = RawReader()
        self._readings = ReadingReader(identifiers)
        self._parties = Parties(identifiers)
        self._zone = ZoneInfo(configuration.company.timezone)
        self._settings = {settings.name: settings for settings in configuration.source if settings.name}

    def take(self, messages: Sequence[RawMessage], read_at: datetime) -> Intaken:
        """Return the facts and letters of messages. `read_at` bounds the future: a record dated a day later is refused.

        Safe to repeat: the same messages give the same facts, and identifiers may be told again.
        """
        batch = _Batch(self._identifiers)
        readings: dict[FactKind, list[RawRecord]] = {}
        records: list[RawRecord] = []
        valid: list[tuple[RawRecord, Record]] = []
        ignored_count = record_count = 0
        for message in messages:
            # Nearly every message is one record that keeps its contract.
            if (raw := self._reader.whole(message)) is not None and (found := _read(raw.data)) is not None:
                valid.append((raw, found))
                record_count += 1
                continue
            before = record_count
            for record in self._reader.records(message):
                record_count += 1
                kind, problem = record.kind, _problem(record)
                if problem is not None:
                    batch.refuse(record, problem)
                elif kind == "reading":
                    readings.setdefault(record.value["fact"], []).append(record)
                elif kind == "rejected":
                    self._bury(record, batch)
                else:
                    records.append(record)
            ignored_count += record_count == before
        latest = tick(read_at, ZoneInfo("UTC")) + DAY
        for kind, read in readings.items():
            table, used, refused = self._readings.read(kind, [record.value["row"] for record in read], latest)
            if table is not None:
                kept = [read[index] for index in used]
                batch.add(kind, table, [record.origin for record in kept])
                if kind in EVENT_TIMES:
                    batch.reach(kind, table, [record.lane for record in kept])
            for index, reason in refused:
                batch.refuse(read[index], reason)
        self._normalise(chain(valid, _validated(records, batch)), read_at, batch)
        return Intaken(self._clean(batch.facts()), batch.letters, record_count, ignored_count, batch.lanes)

    def _bury(self, record: RawRecord, batch: _Batch) -> None:
        """Keep what a parser refused as the dead letter that it would be from a file."""
        try:
            rejected = _REJECTED.validate_python(record.value)
        except ValidationError as error:
            batch.refuse(record, explain(error))
            return
        letter = read_rejected(rejected)
        event = DeadEvent(letter, record.data, record.topic, record.origin.format, was_refused_before=True)
        batch.letters.append(event)

    def _normalise(self, validated: Iterable[tuple[RawRecord, Record]], read_at: datetime, batch: _Batch) -> None:
        by_place: dict[tuple[Origin, str], list[tuple[RawRecord, Record]]] = {}
        for pair in validated:
            by_place.setdefault((pair[0].origin, pair[0].lane), []).append(pair)
        for (origin, lane), pairs in by_place.items():
            normaliser = Normaliser(self._context(origin, read_at), self._parties)
            found = normaliser.normalise([record for _, record in pairs], [raw.place for raw, _ in pairs])
            for index, reason in found.rejections:
                batch.refuse(with_value(pairs[index][0]), reason)
            for kind, table in found.facts.items():
                batch.add(kind, table, [origin] * table.num_rows)
                batch.reach(kind, table, [lane] * table.num_rows)

    def _context(self, origin: Origin, read_at: datetime) -> ReadContext:
        settings = self._settings.get(origin.source)
        zone = settings.timezone if settings is not None else None
        return ReadContext(
            source=origin.source,
            file=origin.file,
            zone=ZoneInfo(zone) if zone else self._zone,
            identifiers=self._identifiers,
            read_at=read_at,
            options=settings.options if settings is not None else {},
            zone_is_given=zone is not None,
        )


class _Batch:
    """Gathers what the records of a batch become."""

    def __init__(self, identifiers: Identifiers) -> None:
        self._identifiers = identifiers
        self._outline = RecordOutline(identifiers)
        self._tables: dict[str, list[pa.Table]] = {}
        self._origins: dict[str, list[Origin]] = {}
        self.letters: list[DeadEvent] = []
        self.lanes: dict[str, int] = {}

    def add(self, kind: str, table: pa.Table, origins: Sequence[Origin]) -> None:
        """Take facts and where each comes from."""
        if table.num_rows:
            self._tables.setdefault(kind, []).append(table)
            self._origins.setdefault(kind, []).extend(origins)

    def reach(self, kind: str, table: pa.Table, lanes: Sequence[str]) -> None:
        """Take note of how far facts take each lane. Cheap where those of a lane stand together, as they come."""
        start = 0
        for lane, rows in groupby(lanes):
            count = len(list(rows))
            reached = latest({kind: table.slice(start, count)})
            if reached is not None:
                self.lanes[lane] = max(reached, self.lanes.get(lane, reached))
            start += count

    def refuse(self, record: RawRecord, reason: str) -> None:
        """Take a record that cannot be used."""
        letter = DeadLetter(
            raw_id=_raw_id(record),
            source=record.origin.source,
            file=record.origin.file,
            position=record.position,
            unit="record",
            reason=reason,
            raw_text=self._shown(record),
            is_raw_event=_is_raw_event(record),
        )
        self.letters.append(DeadEvent(letter, record.data, record.topic, record.origin.format))

    def _shown(self, record: RawRecord) -> str:
        """Return the outline of a record; what is no object shows no words but those of our own contracts."""
        if type(record.value) is dict:
            return self._outline.shown_json(record.data)
        text = record.data[: 4 * OUTLINE_LENGTH].decode("utf-8", "replace")
        return self._identifiers.outline(text, _VOCABULARY)[:OUTLINE_LENGTH]

    def facts(self) -> dict[str, pa.Table]:
        """Return all facts, each with its file and format, and the identifiers that were first met."""
        found = {}
        for kind, tables in self._tables.items():
            origins = self._origins[kind]
            files = pa.array([origin.file for origin in origins], pa.string()).dictionary_encode()
            formats = pa.array([origin.format for origin in origins], pa.string()).dictionary_encode()
            table = pa.concat_tables(tables).combine_chunks()
            found[kind] = table.append_column("file", files).append_column("format", formats)
        met = self._identifiers.drain()
        if met.num_rows:
            found["identifier"] = met
        return found


def _read(data: bytes) -> Record | None:
    """Return the record that a message is as a whole; None when it is none that keeps its contract."""
    if data.startswith(_READING):
        return None
    try:
        found: Record = _read_record(data)
    except ValidationError:
        return None
    return found


def _problem(record: RawRecord) -> str | None:
    """Return why a record is none that intake knows; whether it keeps its contract is asked later, of many at once."""
    if record.problem is not None:
        return record.problem
    if record.kind == "reading":
        return _reading_problem(record.value)
    if record.kind in RECORD_MODELS or record.kind == "rejected":
        return None
    if type(record.value) is not dict:
        return "expected a JSON object with a kind, or an array of them"
    return f"kind: {'unknown' if 'kind' in record.value else 'missing'}; expected one of {_KINDS}"


def _raw_id(record: RawRecord) -> str:
    """Return the identity of a refused record: a reading's own, so that what replaces it has the same."""
    row = record.value.get("row") if record.kind == "reading" else None
    raw_id = row.get("raw_id") if type(row) is dict else None
    return raw_id if type(raw_id) is str and 0 < len(raw_id) <= _LONGEST_ROW_ID else record.raw_id


def _is_raw_event(record: RawRecord) -> bool:
    """Return whether a refused record counts as a raw event: one that nobody can tell to be something else."""
    if record.kind == "reading":
        fact = record.value.get("fact")
        return type(fact) is not str or fact not in _OTHER_FACTS
    return record.kind not in _OTHER_KINDS


def _reading_problem(value: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a reading apart from its row: what its model says, at a fraction of the cost."""
    if len(value) > len(_READING_FIELDS) or not _READING_FIELDS.issuperset(value):
        return f"unknown field; a reading has {', '.join(sorted(_READING_FIELDS))}"
    version = value.get("version", 1)
    if type(version) is not int or version != 1:
        return "version: expected 1"
    fact = value.get("fact")
    if type(fact) is not str or fact not in SCHEMAS:
        return f"fact: expected one of {', '.join(SCHEMAS)}"
    return None if type(value.get("row")) is dict else "row: expected an object"


def _validated(records: Sequence[RawRecord], batch: _Batch) -> Iterator[tuple[RawRecord, Record]]:
    """Yield the records that keep their contract; the others are refused."""
    try:
        yield from zip(records, _validate(records), strict=True)
        return
    except ValidationError as error:
        places = (
            detail["loc"] for detail in error.errors(include_url=False, include_context=False, include_input=False)
        )
        wrong = {place[0] for place in places if place and isinstance(place[0], int)} or set(range(len(records)))
    fine = []
    for index, record in enumerate(records):
        if index not in wrong:
            fine.append(record)
            continue
        try:
            yield record, _validate([record])[0]
        except ValidationError as error:
            batch.refuse(record, explain(error))
    yield from zip(fine, _validate(fine), strict=True)


def _validate(records: Sequence[RawRecord]) -> list[Any]:
    found: list[Any] = _RECORDS.validate_json(b"[" + b",".join([record.data for record in records]) + b"]")
    return found
