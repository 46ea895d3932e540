"""What receivers take in, read by the parsers of files, so that a record means the same however it comes.

A parser numbers the records of what it is given. Here each gets the place at which it stands for good: a line of a
growing file, or a number that its own content gives, so that what is delivered twice is the same record twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import pyarrow as pa

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.identifiers import Identifiers
from pipeline.raw_topics import TOPIC_OF_IDENTIFIERS, keys_of, topics_of
from pipeline.readings import ReadingWriter, write_rejected
from pipeline.sources.registry import Batch, DeadLetter, ReadContext, Source
from schemas.facts import FactKind
from schemas.topics import RAW_TOPIC_OF_KIND

# A message of a raw topic: brokers take a mebibyte unless told otherwise, and a message has a key and headers too.
LARGEST_MESSAGE: Final = 900_000
# Identifiers that are remembered before all of them are forgotten. They are met again then; nothing else changes.
_MOST_IDENTIFIERS: Final = 50_000
# More digits than this do not fit a position; so many make two records with one number unlikely.
_NUMBER_LIMIT: Final = 10**18
_PARTS: Final = 1_000


@dataclass(frozen=True)
class Feed:
    """Where the records of a receiver belong, and who reads them.

    `tells_progress`: the records come in the order in which they were logged and none is left out, so that the newest
    tells how far the feed reaches.
    """

    source: str
    file: str
    parser: Source
    zone: ZoneInfo
    mapping: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    zone_is_given: bool = False
    tells_progress: bool = False


# From the number that a parser gives a record (7, or 7#2 for a second part of it) to its place for good, of the same
# form; None when it is there for the sake of others alone, and not to be published.
Placing = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Publication:
    """A message for a raw topic; `file` is the name under which its record counts."""

    topic: str
    key: bytes
    value: bytes
    headers: Mapping[str, bytes]

    @property
    def size(self) -> int:
        """About how much of the broker's and our memory it takes. Unit: bytes."""
        return len(self.value) + len(self.key) + 200


@dataclass(frozen=True)
class Received:
    """What became of a stretch: messages in the order of its records, how many records it had that count, warnings."""

    publications: Sequence[Publication]
    record_count: int
    refused_count: int
    warnings: Sequence[str] = ()


def content_number(content: bytes) -> str:
    """Return the number that stands for a record by its content alone.

    >>> content_number(b"a") == content_number(b"a"), content_number(b"a") == content_number(b"b")
    (True, False)
    """
    return str(int.from_bytes(hashlib.sha256(content).digest()[:8], "big") % _NUMBER_LIMIT)


def place_of_document(content: bytes) -> Placing:
    """Return places for the records of one document: its number, and which of its records and parts it is."""
    number = content_number(content)

    def place(written: str) -> str:
        record, _, part = written.partition("#")
        index = (max(int(record), 1) - 1) * _PARTS + int(part or 1)
        return number if index == 1 else f"{number}#{index}"

    return place


def place_of_lines(content: bytes) -> Placing:
    """Return places for records that stand one a line: each by its own line, whatever stands beside it."""
    numbers = [content_number(line) for line in content.split(b"\n")]

    def place(written: str) -> str:
        record, mark, part = written.partition("#")
        return f"{numbers[int(record) - 1]}{mark}{part}"

    return place


class Translator:
    """Turns what is received into messages for raw topics. Bounded in memory; for one thread.

    Raw topics carry clear identifiers, which ingest makes tokens of. `make_identifiers` gives readers of identifiers
    that show them in clear.
    """

    def __init__(self, make_identifiers: Callable[[], Identifiers]) -> None:
        self._make_identifiers = make_identifiers
        self._renew()

    def _renew(self) -> None:
        self._identifiers = self._make_identifiers()
        self._writer = ReadingWriter()
        self._learnt = 0

    def translate(
        self, feed: Feed, path: Path, place: Placing, read_at: datetime, count_as: str | None = None
    ) -> Received:
        """Return the messages of what stands at a path. `count_as`: the file's name in raw ids, where not the feed's.

        What cannot be read at all is a dead letter.

        Raises:
            ConfigurationError: when the mapping does not fit, or the content is none of the parser's.
        """
        if self._learnt > _MOST_IDENTIFIERS:
            self._renew()
        context = ReadContext(
            source=feed.source, file=feed.file, zone=feed.zone, identifiers=self._identifiers, read_at=read_at,
            mapping=feed.mapping, options=feed.options, zone_is_given=feed.zone_is_given,
        )  # fmt: skip
        gatherer = _Gatherer(feed, count_as or feed.file, place, self._writer)
        try:
            for batch in feed.parser.read(path, context):
                met = self._identifiers.drain()
                self._learnt += met.num_rows
                self._writer.learn(met)
                gatherer.add(batch, met)
        except InvalidRecord as error:
            self._writer.learn(self._identifiers.drain())
            # What the parser says of a file it says of the name under which it was given to it.
            gatherer.bury_all(str(error).replace(f"{path.name}: ", ""))
        except ConfigurationError:
            self._renew()
            raise
        return gatherer.received()


class _Gatherer:
    """Gathers the messages of one stretch."""

    def __init__(self, feed: Feed, file: str, place: Placing, writer: ReadingWriter) -> None:
        self._feed = feed
        self._place = place
        self._writer = writer
        self._file = file
        self._own_prefix = f"{feed.source}:{feed.file}:"
        self._prefix = f"{feed.source}:{file}:"
        self._headers = {"source": feed.source.encode(), "file": file.encode(), "format": feed.parser.name.encode()}
        self._publications: list[Publication] = []
        self._counted: set[str] = set()
        self._refused_count = 0
        self._warnings: dict[str, None] = {}

    def add(self, batch: Batch, met: pa.Table) -> None:
        self._warnings |= dict.fromkeys(batch.warnings)
        facts = {kind: table for kind, table in batch.facts.items() if kind != "identifier" and table.num_rows}
        if batch.record_count == 0 and not self._feed.tells_progress:
            facts.pop("feed_progress", None)
        names = self._writer.write_unmentioned({**facts, "identifier": met})
        self._publish(names, [TOPIC_OF_IDENTIFIERS] * len(names), [str(number) for number in range(len(names))], ())
        for kind, table in facts.items():
            self._add_facts(cast(FactKind, kind), table)
        for letter in batch.dead_letters:
            self._add_letter(letter)

    def bury_all(self, reason: str) -> None:
        """Add a dead letter for content that cannot be read to its end. Nothing of it is shown."""
        place = self._place("1")
        if place is not None:
            raw_id = f"{self._prefix}{place}"
            self._bury(DeadLetter(raw_id, self._feed.source, self._file, _number(place), "record", reason, "…"))

    def received(self) -> Received:
        return Received(self._publications, len(self._counted), self._refused_count, list(self._warnings))

    def _add_facts(self, kind: FactKind, table: pa.Table) -> None:
        raw_ids: list[str] = []
        if "raw_id" in table.column_names:
            table, raw_ids = self._placed(table)
        if table.num_rows:
            topics = topics_of(kind, table)
            topics = [topics] * table.num_rows if isinstance(topics, str) else topics.to_pylist()
            self._publish(self._writer.write(kind, table), topics, keys_of(kind, table), raw_ids, kind == "observation")
            self._counted.update(raw_ids)

    def _placed(self, table: pa.Table) -> tuple[pa.Table, list[str]]:
        """Return the facts that are to be published, with their raw ids for good; keys that are raw ids follow."""
        given = table.column("raw_id").to_pylist()
        placed = [self._raw_id(raw_id) for raw_id in given]
        mask = pa.array([raw_id is not None for raw_id in placed], pa.bool_())
        columns: dict[str, list[Any]] = {"raw_id": placed}
        if "key" in table.column_names:
            keys = table.column("key").to_pylist()
            columns["key"] = [new if key == old else key for key, old, new in zip(keys, given, placed, strict=True)]
        for name, values in columns.items():
            index = table.schema.get_field_index(name)
            table = table.set_column(index, table.schema.field(index), pa.array(values, pa.string()))
        return table.filter(mask), [raw_id for raw_id in placed if raw_id is not None]

    def _raw_id(self, raw_id: str) -> str | None:
        """Return the raw id for good; a sender's own id stays. None when the record is not to be published."""
        if not raw_id.startswith(self._own_prefix):
            return raw_id
        place = self._place(raw_id[len(self._own_prefix) :])
        return None if place is None else f"{self._prefix}{place}"

    def _add_letter(self, letter: DeadLetter) -> None:
        # Files of messages have names of their own below the feed's; content that is received has none.
        raw_id = self._raw_id(letter.raw_id)
        if raw_id is not None:
            place = raw_id.removeprefix(self._prefix)
            self._bury(replace(letter, raw_id=raw_id, file=self._file, position=_number(place)))

    def _bury(self, letter: DeadLetter) -> None:
        kind = "call" if letter.is_raw_event else "activity"
        value = write_rejected(letter)
        self._publish([value], [RAW_TOPIC_OF_KIND[kind]], [letter.raw_id], [letter.raw_id])
        self._counted.add(letter.raw_id)
        self._refused_count += 1

    def _publish(
        self,
        values: Iterable[bytes],
        topics: Sequence[str],
        keys: Sequence[str],
        raw_ids: Sequence[str],
        is_raw_event: bool = False,
    ) -> None:
        for index, (value, topic, key) in enumerate(zip(values, topics, keys, strict=True)):
            raw_id = raw_ids[index] if raw_ids else ""
            headers = self._headers
            if raw_id.startswith(self._prefix):
                headers = {**headers, "position": raw_id[len(self._prefix) :].encode()}
            if len(value) > LARGEST_MESSAGE and raw_id:
                self._refuse_large(raw_id, len(value), is_raw_event)
            else:
                self._publications.append(Publication(topic, key.encode(), value, headers))

    def _refuse_large(self, raw_id: str, size: int, is_raw_event: bool) -> None:
        """Bury a record that no message can hold: the broker would refuse it, and all that waits behind it."""
        number = _number(raw_id.removeprefix(self._prefix))
        reason = f"what it says takes {size:,} bytes; expected at most {LARGEST_MESSAGE:,}"
        self._bury(DeadLetter(raw_id, self._feed.source, self._file, number, "record", reason, "…", is_raw_event))


def _number(place: str) -> int:
    number = place.partition("#")[0]
    return int(number) if number.isdecimal() else 0
