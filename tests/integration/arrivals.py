"""Raw records of a company as they reach the topics in life: late, out of order, some of them twice."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from random import Random

from agents.publisher import CHUNK_RECORDS, drafts_of, gather
from agents.spool import Origin, Published, Spool
from pipeline import configuration as configurations
from pipeline.configuration import FILE_NAME, load
from pipeline.identifiers import Identifiers
from pipeline.sources import discovery
from pipeline.sources.feeding import feed
from schemas.log import Log
from schemas.topics import RAW_TOPIC_OF_KIND
from sinks.keyfile import load_key

_MARKS = RAW_TOPIC_OF_KIND["feed_progress"]
_MOMENT = timedelta(seconds=1)


def records_of(company: Path) -> list[Published]:
    """Return what `bypassflow replay --kafka` publishes of a company that has its key, in that order."""
    configuration = load((company / FILE_NAME).read_text(encoding="utf-8"), FILE_NAME)
    settings = configuration.company
    key = load_key(company / configuration.privacy.key_file)
    identifiers = Identifiers(key, settings.region, settings.outside_prefixes, clear=True)
    configurations.engine_settings(configuration, identifiers)
    complete_through = configurations.complete_through(configuration)
    inputs = discovery.discover([company], configuration, company, False)
    folder = Path(tempfile.mkdtemp(prefix="f-spool-"))
    try:
        with Spool.create(folder / "spool", "") as spool:
            feeds = (
                (
                    Origin(item.source, item.file, item.parser.name),
                    feed(item, identifiers, datetime.now(UTC), complete_through),
                )
                for item in inputs
            )
            gather(spool, feeds, lambda *_: None)
            return [record for chunk in spool.read(CHUNK_RECORDS) for record in chunk]
    finally:
        shutil.rmtree(folder)


def delayed(records: Sequence[Published], seed: int, spread: timedelta, repeated_share: float = 0.1) -> list[Published]:
    """Return records as they arrive: each up to `spread` after its event, a share of them once more later.

    The second arrival of a record is not later than `spread` after its event either. A mark of a feed arrives when
    all that it speaks of is there.
    """
    random = Random(seed)
    times = [record.at for record in records if record.at is not None]
    begin, end = min(times), max(times)
    arrivals: list[tuple[datetime, int, Published]] = []

    def arrive(at: datetime, record: Published) -> None:
        arrivals.append((at, len(arrivals), record))

    for record in records:
        if record.topic == _MARKS:
            arrive((record.at or end) + spread + _MOMENT, record)
            continue
        event = record.at or begin
        delay = random.random() * spread
        arrive(event + delay, record)
        if random.random() < repeated_share:
            arrive(event + delay + random.random() * (spread - delay), record)
    return [record for _, _, record in sorted(arrivals, key=itemgetter(0, 1))]


def send(log: Log, records: Sequence[Published], partitions: int) -> None:
    """Publish records to the raw topics as the publisher does, and return when the broker keeps them."""
    for start in range(0, len(records), CHUNK_RECORDS):
        log.append(drafts_of(records[start : start + CHUNK_RECORDS], partitions))


def parts(records: Sequence[Published], count: int) -> Iterator[list[Published]]:
    """Yield the records in so many parts of about the same length, in their order."""
    for number in range(count):
        yield list(records[len(records) * number // count : len(records) * (number + 1) // count])
