"""Publishes the records of a replay to the raw topics, at the pace of their events or as fast as the broker takes them.

At least once: what the broker kept while the process was killed is published again by a resumed replay.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Final

from agents.spool import Origin, Published, Spool
from pipeline.errors import ConfigurationError
from pipeline.sources.registry import Batch
from schemas.log import Draft, Log

CHUNK_RECORDS: Final = 2_000
# Records of so much time are published together when the pace is that of the events.
_BEAT: Final = timedelta(milliseconds=200)


def parse_speed(text: str) -> float | None:
    """Return how many times faster than the events to publish; None: as fast as the broker takes it.

    Raises:
        ConfigurationError: when it is neither max nor a number above zero.

    >>> parse_speed("60x"), parse_speed("max")
    (60.0, None)
    """
    if text == "max":
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x?", text)
    if found is None or not float(found[1]) > 0:
        raise ConfigurationError(f"--speed {text!r} is neither max nor a number of times such as 60x")
    return float(found[1])


@dataclass(frozen=True)
class Pace:
    """How fast to publish. `speed` None: as fast as possible. `now` and `sleep` are the caller's clock, in seconds."""

    speed: float | None
    now: Callable[[], float]
    sleep: Callable[[float], None]

    def paced(self, records: Iterable[Published]) -> Iterator[list[Published]]:
        """Yield records that are due together, once they are due; what has no time is due at once."""
        if self.speed is None:
            iterator = iter(records)
            while chunk := list(islice(iterator, CHUNK_RECORDS)):
                yield chunk
            return
        begin: datetime | None = None
        started = self.now()
        beat = _BEAT * self.speed

        def beat_of(record: Published) -> int:
            nonlocal begin
            if record.at is None:
                return 0
            begin = begin or record.at
            return (record.at - begin) // beat

        for number, due in groupby(records, beat_of):
            wait = started + number * _BEAT.total_seconds() - self.now()
            if wait > 0:
                self.sleep(wait)
            yield list(due)


def gather(
    spool: Spool, inputs: Iterable[tuple[Origin, Iterable[Batch]]], read: Callable[[int, int], None]
) -> list[str]:
    """Read all inputs into the spool and arrange it; return what the parsers warned of.

    `read` hears how many bytes and records each batch moved on.
    """
    warnings: dict[str, None] = {}
    for origin, batches in inputs:
        for batch in batches:
            spool.add(batch, origin)
            warnings |= dict.fromkeys(batch.warnings)
            read(batch.byte_count, batch.record_count)
    spool.arrange()
    return list(warnings)


def publish(
    spool: Spool,
    log: Log,
    partitions: int,
    pace: Pace,
    published: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Publish what the spool holds and nobody has acknowledged; remove the spool when all of it is published.

    `partitions` of each raw topic. `published` hears how many records of all are acknowledged.

    Raises:
        TransientError: when the broker did not confirm; a resumed replay goes on there.
        ConfigurationError: when a topic is not there or refuses the records.
    """
    published(spool.acknowledged_count, spool.record_count)
    records = (record for chunk in spool.read(CHUNK_RECORDS) for record in chunk)
    for due in pace.paced(records):
        for start in range(0, len(due), CHUNK_RECORDS):
            chunk = due[start : start + CHUNK_RECORDS]
            log.append(drafts_of(chunk, partitions))
            spool.acknowledge(len(chunk))
            published(spool.acknowledged_count, spool.record_count)
    spool.remove()


def drafts_of(records: Sequence[Published], partitions: int) -> list[Draft]:
    return [
        Draft(record.topic, zlib.crc32(record.key) % partitions, record.value, record.key, record.headers)
        for record in records
    ]
