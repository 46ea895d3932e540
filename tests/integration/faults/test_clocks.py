"""Clocks that jump: event times count, and nothing that a machine believes the time to be."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from prometheus_client import CollectorRegistry

from agents.figures import IngestFigures
from agents.ingest import Ingest
from pipeline.ceiling import Ceiling
from pipeline.configuration import FILE_NAME, engine_settings, load
from pipeline.correlation import Correlator
from pipeline.identifiers import Identifiers
from pipeline.intake import Intake
from pipeline.raw_messages import RawMessage
from schemas.log import Entry
from schemas.topics import DEAD_LETTERS, FACTS, OUTCOMES
from sinks.consumer import Consumer
from sinks.keyfile import load_key
from sinks.live import open_live
from sinks.store import RunRecord
from tests.integration.arrivals import parts
from tests.integration.chaos import small_company, small_records, small_rows
from tests.integration.companies import assert_same_rows
from tests.integration.live import live_rows
from tests.memory_log import MemoryLog

# All events are older; a record from a machine's future is refused, and that is another test's.
EARLIEST = datetime(2025, 11, 15, tzinfo=UTC)
TOPICS = {FACTS: 1, OUTCOMES: 1, DEAD_LETTERS: 1, "checkpoints": 1}


def jumping(seed: int) -> Callable[[], datetime]:
    """Return a clock that jumps years to and fro at every look."""
    random = Random(seed)
    return lambda: EARLIEST + random.random() * timedelta(days=2_000)


def test_clocks_that_jump_change_no_row(tmp_path: Path) -> None:
    records = small_records()
    company = small_company()
    configuration = load((company / FILE_NAME).read_text(encoding="utf-8"), FILE_NAME)
    key = load_key(company / "bypassflow.key")
    own = configuration.company
    identifiers = Identifiers(key, own.region, own.outside_prefixes)
    rules = engine_settings(configuration, identifiers)
    clock = jumping(1)
    log = MemoryLog(TOPICS)
    ingest = Ingest(
        Intake(identifiers, configuration),
        log,
        rules.company_id,
        1,
        Ceiling(),
        clock,
        IngestFigures(CollectorRegistry()),
        key,
    )
    correlator = Correlator(rules, 0, log)
    correlator.start()
    naive = EARLIEST.replace(tzinfo=None)
    run = RunRecord(naive, naive, "0", "0", "0", rules.company_id, own.timezone, rules.model_dump_json(), None)
    with open_live(tmp_path / "live.duckdb", run, 0) as live:
        consumer = Consumer(live, log, 0, now=lambda: clock().replace(tzinfo=None))
        offset = 0
        for part in parts(records, 20):
            log.now_ms = int(clock().timestamp() * 1000)
            messages = []
            for record in part:
                place = zlib.crc32(record.key) % 4
                entry = Entry(offset, record.value, record.key, record.headers, int(clock().timestamp() * 1000))
                messages.append(RawMessage(record.topic, place, entry))
                offset += 1
            ingest.take(messages)
            correlator.catch_up()
            consumer.take(*consumer.poll())
        while any(batch := consumer.poll()):
            consumer.take(*batch)

    assert_same_rows(live_rows(tmp_path / "live.duckdb"), small_rows())
