"""Live and replay give the same rows: whole companies, out of order, some of it twice, by one worker and by several."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from schemas.kafka import KafkaSettings
from tests.integration.arrivals import delayed, parts, records_of
from tests.integration.companies import assert_same_rows, replay, simulated
from tests.integration.live import Pipeline, live, live_rows

# Records come up to six days late; a week is allowed.
SPREAD = timedelta(days=6)
RAW_EVENTS = 50_000


def join_and_leave(pipeline: Pipeline, part: int) -> None:
    """Let a second worker of each role join, and then both it and the first one leave for others."""
    if part == 1:
        pipeline.start("ingest-2")
        pipeline.start("correlate-2")
    elif part == 4:
        pipeline.end("ingest")
        pipeline.end("correlate")
    elif part == 5:
        pipeline.start("ingest")
        pipeline.start("correlate")
    elif part == 7:
        pipeline.end("ingest-2")
        pipeline.end("correlate-2")


@pytest.mark.parametrize(
    ("seed", "workers", "is_moving"),
    [(1, 1, False), (2, 3, False), (3, 1, True)],
    ids=["one worker of each role", "three workers of each role", "two workers joining and leaving"],
)
def test_the_live_pipeline_stores_what_a_replay_of_the_same_records_stores(
    seed: int, workers: int, is_moving: bool, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    company = simulated(tmp_path / "company", days=14, representatives=55, seed=seed)
    expected = live_rows(replay(tmp_path / "replayed.duckdb", company))
    records = delayed(records_of(company), seed, SPREAD)
    names = [f"{role}-{n}" if n else role for role in ("ingest", "correlate") for n in range(workers)]

    with live(kafka_settings, company, tmp_path / "live", "sink", *names) as pipeline:
        for number, part in enumerate(parts(records, 10)):
            if is_moving:
                join_and_leave(pipeline, number)
            pipeline.publish(part)
        pipeline.wait()
        found = pipeline.rows()

    assert len(expected["current_disposition"]) > RAW_EVENTS
    assert_same_rows(found, expected)
