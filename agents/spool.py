"""The records of a replay into topics, in the order of their events, in a temporary file.

Sorting needs all of them at once, and a history may be larger than memory. The file holds clear identifiers, as the
raw topics do: only its owner can read it, and it is removed when the last record is published.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

import duckdb
import pyarrow as pa

from pipeline.errors import ConfigurationError
from pipeline.raw_topics import TOPIC_OF_IDENTIFIERS, keys_of, topics_of
from pipeline.readings import ReadingWriter, write_rejected
from pipeline.sources.registry import Batch
from schemas.facts import FactKind
from schemas.topics import RAW_TOPIC_OF_KIND

FOLDER_NAME: Final = ".bypassflow-replay"
MEMORY_LIMIT: Final = "1GB"

_RECORDS: Final = "records.duckdb"
_STATE: Final = "state.json"
# First what the others are understood by, then the events, at last how far the feeds reach.
_BEFORE, _EVENTS, _AFTER = 0, 1, 2
_TIME: Final = {"observation": "started_at", "activity": "logged_from"}
_SCHEMA: Final = pa.schema(
    [
        ("phase", pa.int8()),
        ("occurred_at", pa.timestamp("us")),
        ("number", pa.int64()),
        ("topic", pa.string()),
        ("key", pa.string()),
        ("value", pa.binary()),
        ("source", pa.string()),
        ("file", pa.string()),
        ("format", pa.string()),
        ("position", pa.string()),
        ("logged", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class Origin:
    """The file that a batch was read from."""

    source: str
    file: str
    format: str


@dataclass(frozen=True, slots=True)
class Published:
    """A record to be published; `at` is its event's time, UTC without a zone, null where it has none."""

    topic: str
    key: bytes
    value: bytes
    headers: Mapping[str, bytes]
    at: datetime | None


class Spool:
    """Records of one replay, first gathered, then arranged, then read in their order, from where it was stopped."""

    def __init__(self, folder: Path, inputs: str) -> None:
        self._folder = folder
        self._inputs = inputs
        self._number = 0
        self._writer = ReadingWriter()
        self.record_count = 0
        self.acknowledged_count = 0
        self._connection = _connect(folder)

    @classmethod
    def create(cls, folder: Path, inputs: str) -> Spool:
        """Begin a new replay; what an earlier one left is removed. `inputs` is the same for the same inputs."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        spool = cls(folder, inputs)
        columns = ", ".join(f"{field.name} {_sql_type(field.type)}" for field in _SCHEMA)
        spool._connection.execute(f"CREATE TABLE gathered ({columns})")
        return spool

    @classmethod
    def resume(cls, folder: Path, inputs: str) -> Spool:
        """Go on with the replay that was stopped while it was publishing.

        Raises:
            ConfigurationError: when there is none, or it was one of other inputs.
        """
        try:
            state = json.loads((folder / _STATE).read_text())
        except FileNotFoundError:
            raise ConfigurationError(f"nothing to resume in {folder}; run it without --resume") from None
        except (OSError, ValueError):
            raise ConfigurationError(f"{folder / _STATE} cannot be read; run it without --resume") from None
        if state.get("inputs") != inputs:
            raise ConfigurationError(
                f"{folder} holds a replay of other files, or the files, settings or key have changed since; "
                "run it without --resume"
            )
        spool = cls(folder, inputs)
        spool.record_count = int(state["records"])
        spool.acknowledged_count = int(state["acknowledged"])
        return spool

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    # Gathering

    def add(self, batch: Batch, origin: Origin) -> None:
        """Take what a batch holds. Its identifiers are clear: see `ReadingWriter.learn`."""
        identifiers = batch.facts.get("identifier")
        if identifiers is not None:
            self._writer.learn(identifiers)
        for kind, table in batch.facts.items():
            if kind != "identifier" and table.num_rows:
                self._add_facts(cast(FactKind, kind), table, origin)
        unmentioned = self._writer.write_unmentioned(batch.facts)
        if unmentioned:
            keys = [str(number) for number in range(self._number, self._number + len(unmentioned))]
            self._insert(origin, unmentioned, _BEFORE, None, TOPIC_OF_IDENTIFIERS, keys, None)
        letters = batch.dead_letters
        if letters:
            values = [write_rejected(letter) for letter in letters]
            # Where and when they are published is known when the file has been read.
            self._insert(
                origin,
                values,
                _EVENTS,
                None,
                None,
                [letter.raw_id for letter in letters],
                _positions([letter.raw_id for letter in letters], origin),
                [not letter.is_raw_event for letter in letters],
            )

    def _add_facts(self, kind: FactKind, table: pa.Table, origin: Origin) -> None:
        time = _TIME.get(kind)
        phase = _EVENTS if time else _AFTER if kind == "feed_progress" else _BEFORE
        raw_ids = table.column("raw_id").to_pylist() if "raw_id" in table.column_names else None
        self._insert(
            origin,
            self._writer.write(kind, table),
            phase,
            table.column(time or "complete_through") if phase != _BEFORE else None,
            topics_of(kind, table),
            keys_of(kind, table),
            _positions(raw_ids, origin) if raw_ids else None,
            pa.repeat(kind == "activity", table.num_rows),
        )

    def _insert(
        self,
        origin: Origin,
        values: Sequence[bytes],
        phase: int,
        at: Any,
        topics: Any,
        keys: Sequence[str],
        positions: Sequence[str | None] | None,
        logged: Any = None,
    ) -> None:
        count = len(values)
        columns: dict[str, Any] = {
            "phase": pa.repeat(pa.scalar(phase, pa.int8()), count),
            "occurred_at": at,
            "number": range(self._number, self._number + count),
            "topic": pa.repeat(topics, count) if isinstance(topics, str) else topics,
            "key": keys,
            "value": values,
            "source": pa.repeat(origin.source, count),
            "file": pa.repeat(origin.file, count),
            "format": pa.repeat(origin.format, count),
            "position": positions,
            "logged": logged,
        }
        arrays = [
            pa.nulls(count, field.type)
            if columns[field.name] is None
            else columns[field.name]
            if isinstance(columns[field.name], (pa.Array, pa.ChunkedArray))
            else pa.array(columns[field.name], field.type)
            for field in _SCHEMA
        ]
        self._number += count
        self._connection.register("incoming", pa.Table.from_arrays(arrays, schema=_SCHEMA))
        try:
            self._connection.execute("INSERT INTO gathered SELECT * FROM incoming")
        finally:
            self._connection.unregister("incoming")

    # Arranging

    def arrange(self) -> None:
        """Bring the records into the order in which they are published; the same records always give the same order.

        Directory, customers and users come first, then all events by their time, at last how far the feeds reach. A
        refused record stands before the first event of its file. At the beginning of each day of a source that logs
        activities it is said that everything before has been read.
        """
        self._add_marks()
        execute = self._connection.execute
        execute("""
            CREATE TABLE first_of_file AS
            SELECT source, file, min(occurred_at) FILTER (phase = 1) AS occurred_at, arg_min(topic, number) AS topic
            FROM gathered WHERE topic IS NOT NULL GROUP BY ALL
        """)
        # At one instant the mark of a day stands before what was logged then, and a refused record before its file's.
        execute("""
            CREATE TABLE arranged AS
            WITH placed AS (
                SELECT
                    CASE WHEN g.topic IS NULL AND f.occurred_at IS NULL THEN 0 ELSE g.phase END AS phase,
                    CASE WHEN g.phase = 1 THEN coalesce(g.occurred_at, f.occurred_at) END AS occurred_at,
                    CASE WHEN g.topic = $progress THEN 0 WHEN g.topic IS NULL THEN 1 ELSE 2 END AS precedence, g.number,
                    coalesce(g.topic, f.topic, CASE WHEN g.logged THEN $activities ELSE $calls END) AS topic,
                    g.key, g.value, g.source, g.file, g.format, g.position
                FROM gathered AS g LEFT JOIN first_of_file AS f ON g.topic IS NULL AND f.source = g.source
                    AND f.file = g.file
            )
            SELECT row_number() OVER (ORDER BY phase, occurred_at NULLS FIRST, precedence, number) - 1 AS place, *
            FROM placed ORDER BY place
        """, {
            "activities": RAW_TOPIC_OF_KIND["activity"],
            "calls": RAW_TOPIC_OF_KIND["call"],
            "progress": RAW_TOPIC_OF_KIND["feed_progress"],
        })  # fmt: skip
        ((self.record_count,),) = execute("SELECT count(*) FROM arranged").fetchall()
        execute("DROP TABLE gathered")
        execute("CHECKPOINT")
        self.acknowledge(0)

    def _add_marks(self) -> None:
        """Say at each full day how far a source's activities have been published."""
        reaches = self._connection.execute("""
            SELECT
                a.source, min(a.occurred_at), least(max(a.occurred_at), max(p.occurred_at)),
                arg_min(p.file, p.number), arg_min(p.format, p.number)
            FROM gathered AS a JOIN (FROM gathered WHERE phase = 2) AS p ON p.source = a.source
            WHERE a.logged AND a.topic IS NOT NULL
            GROUP BY a.source ORDER BY a.source
        """).fetchall()
        schema = pa.schema([("source", pa.string()), ("complete_through", pa.timestamp("us"))])
        for source, first, last, file, format in reaches:
            days = list(_days(first, last))
            table = pa.Table.from_arrays(
                [pa.array([source] * len(days)), pa.array(days, schema.types[1])], schema=schema
            )
            values = self._writer.write("feed_progress", table)
            topic = RAW_TOPIC_OF_KIND["feed_progress"]
            keys = [source] * len(days)
            self._insert(Origin(source, file, format), values, _EVENTS, table.column(1), topic, keys, None)

    # Publishing

    def read(self, count: int) -> Iterator[list[Published]]:
        """Yield the records that were not acknowledged, in their order, so many at a time."""
        for start in range(self.acknowledged_count, self.record_count, count):
            rows = self._connection.execute(
                "SELECT topic, key, value, source, file, format, position, occurred_at FROM arranged "
                "WHERE place >= ? AND place < ? ORDER BY place",
                [start, start + count],
            ).fetchall()
            yield [_published(*row) for row in rows]

    def acknowledge(self, count: int) -> None:
        """Remember that the broker keeps so many records more, those that come first."""
        self.acknowledged_count += count
        state = {"inputs": self._inputs, "records": self.record_count, "acknowledged": self.acknowledged_count}
        beside = self._folder / f"{_STATE}.new"
        with beside.open("w") as stream:
            json.dump(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(self._folder / _STATE)

    def remove(self) -> None:
        """Remove the file; nothing is left to be published."""
        self._connection.close()
        shutil.rmtree(self._folder)


def _connect(folder: Path) -> duckdb.DuckDBPyConnection:
    options: dict[str, Any] = {"memory_limit": MEMORY_LIMIT, "temp_directory": str(folder / "sorting")}
    try:
        connection = duckdb.connect(str(folder / _RECORDS), config=options)
    except duckdb.IOException:
        raise ConfigurationError(
            f"{folder / _RECORDS} cannot be opened: another replay is using it, or it is damaged; "
            "wait for that one, or run it without --resume"
        ) from None
    connection.execute("SET enable_progress_bar = false")
    return connection


def _sql_type(type_: pa.DataType) -> str:
    return {pa.int8(): "TINYINT", pa.int64(): "BIGINT", pa.timestamp("us"): "TIMESTAMP", pa.binary(): "BLOB",
            pa.bool_(): "BOOLEAN"}.get(type_, "VARCHAR")  # fmt: skip


def _positions(raw_ids: Sequence[str], origin: Origin) -> list[str | None]:
    """Return the positions that raw ids tell; null for an id of the sender's own."""
    prefix = f"{origin.source}:{origin.file}:"
    rests = (raw_id[len(prefix) :] if raw_id.startswith(prefix) else "" for raw_id in raw_ids)
    return [rest if rest.isdecimal() else None for rest in rests]


def _days(first: datetime, last: datetime) -> Iterator[datetime]:
    day = datetime(first.year, first.month, first.day) + timedelta(days=1)
    while day <= last:
        yield day
        day += timedelta(days=1)


def _published(
    topic: str,
    key: str,
    value: bytes,
    source: str,
    file: str,
    format: str,
    position: str | None,
    at: datetime | None,
) -> Published:
    headers = {"source": source.encode(), "file": file.encode(), "format": format.encode()}
    if position is not None:
        headers["position"] = position.encode()
    return Published(topic, key.encode(), value, headers, at)
