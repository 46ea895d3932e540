"""Records out of a ledger: as messages for the raw topics, or as batches of facts for a store."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import orjson

from agents.crm_database.ledger import Ledger, Waiting
from pipeline.crm_tables.telling import REJECTED, to_ticks
from pipeline.readings import write_rejected
from pipeline.sources.canonical_records import RecordGatherer
from pipeline.sources.registry import Batch, DeadLetter, ReadContext
from schemas.crm import FeedProgress
from schemas.log import Draft, Log
from schemas.record import RECORD_MODELS
from schemas.topics import RAW_TOPIC_OF_KIND

FORMAT: Final = "crm_database"
CARRIES: Final = frozenset({"contact", "account", "crm_user", "activity", "feed_progress"})
_CHUNK_RECORDS: Final = 2_000
_BATCH_RECORDS: Final = 5_000
_PROGRESS: Final = "progress"
# Making a store takes its time; where nothing but time has gone on, it waits for this much.
_WORTH: Final = timedelta(hours=1)


def file_name(table: str) -> str:
    """Return the name under which the records of a table count."""
    return f"database/{table}"


class Topics:
    """Gives records on to the raw topics, each with the identity of its version.

    The first read's wait until it is complete, and go in the order in which they were logged: the live pipeline closes
    time as it comes along, and what is told behind its back would be late.
    """

    def __init__(self, ledger: Ledger, log: Log, source: str, partitions: int) -> None:
        self._ledger = ledger
        self._log = log
        self._source = source
        self._partitions = partitions

    def give(self) -> None:
        """Publish what waits."""
        if not self._ledger.is_first_read:
            self._publish()

    def _publish(self) -> None:
        while waiting := self._ledger.waiting(_CHUNK_RECORDS):
            self._log.append([self._draft(each) for each in waiting])
            self._ledger.given(waiting)

    def finish(self, progress: datetime | None, changed_count: int) -> None:
        """Publish the rest, and then the progress."""
        self._publish()
        if progress is None:
            return
        value = orjson.dumps({"kind": "feed_progress", "complete_through": progress.isoformat()})
        place = str(max(to_ticks(progress), 0))
        self._log.append([self._message("feed_progress", self._source, _PROGRESS, place, value)])

    def _draft(self, waiting: Waiting) -> Draft:
        if waiting.kind != REJECTED:
            return self._message(waiting.kind, waiting.record_id, waiting.table, waiting.place, waiting.value)
        value = write_rejected(_letter(waiting, self._source))
        return self._message("activity", waiting.record_id, waiting.table, waiting.place, value)

    def _message(self, kind: str, key: str, table: str, place: str, value: bytes) -> Draft:
        headers = {
            "source": self._source.encode(),
            "file": file_name(table).encode(),
            "format": FORMAT.encode(),
            "position": place.encode(),
        }
        written = key.encode()
        return Draft(RAW_TOPIC_OF_KIND[kind], zlib.crc32(written) % self._partitions, value, written, headers)


@dataclass(frozen=True)
class Kept:
    """The records of a table as they stand in a ledger. `file` is the name under which they count."""

    file: str
    byte_count: int
    batches: Iterator[Batch]


class Stores:
    """Gives all records on at the end of a read, for a store that is made anew from whole files."""

    def __init__(
        self,
        ledger: Ledger,
        tables: Sequence[str],
        context: Callable[[str], ReadContext],
        build: Callable[[Sequence[Kept]], None],
    ) -> None:
        """`context` of the file of a name; `build` makes the store."""
        self._ledger = ledger
        self._tables = tables
        self._context = context
        self._build = build
        self._built: datetime | None = None

    def give(self) -> None:
        """A store is made when a read is complete."""

    def finish(self, progress: datetime | None, changed_count: int) -> None:
        """Make the store, unless it would be as it was but for less than an hour of progress."""
        is_near = self._built is not None and progress is not None and progress - self._built < _WORTH
        if is_near and not changed_count:
            return
        kept = [
            Kept(
                file_name(table),
                self._ledger.size(table),
                _batches(self._ledger, table, self._context(file_name(table))),
            )
            for table in self._tables
        ]
        if progress is not None:
            context = self._context(file_name(_PROGRESS))
            kept.append(Kept(context.file, 0, _progress(progress, context)))
        self._build(kept)
        self._ledger.all_given()
        self._built = progress


def _batches(ledger: Ledger, table: str, context: ReadContext) -> Iterator[Batch]:
    gatherer = RecordGatherer(context, "record")
    for waiting in ledger.records(table):
        _gather(waiting, gatherer, context)
        if gatherer.record_count >= _BATCH_RECORDS:
            yield _with_identifiers(gatherer.take(), context)
    yield _with_identifiers(gatherer.take(ledger.size(table)), context)


def _with_identifiers(batch: Batch, context: ReadContext) -> Batch:
    met = context.identifiers.drain()
    return replace(batch, facts={**batch.facts, "identifier": met}) if met.num_rows else batch


def _progress(progress: datetime, context: ReadContext) -> Iterator[Batch]:
    gatherer = RecordGatherer(context, "record")
    gatherer.add([FeedProgress(complete_through=progress)], [0])
    yield gatherer.take()


def _gather(waiting: Waiting, gatherer: RecordGatherer, context: ReadContext) -> None:
    if waiting.kind == REJECTED:
        letter = _letter(waiting, context.source)
        gatherer.reject(waiting.place, letter.reason, letter.raw_text, kind="activity")
        return
    gatherer.add([RECORD_MODELS[waiting.kind].model_validate_json(waiting.value)], [waiting.place])


def _letter(waiting: Waiting, source: str) -> DeadLetter:
    said = orjson.loads(waiting.value)
    file = file_name(waiting.table)
    return DeadLetter(
        raw_id=f"{source}:{file}:{waiting.place}",
        source=source,
        file=file,
        position=int(waiting.place),
        unit="record",
        reason=said["reason"],
        raw_text=said["raw_text"],
        is_raw_event=False,
    )
