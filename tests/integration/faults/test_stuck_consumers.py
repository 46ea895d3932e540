"""Processes that stand still for a while, come, and go: nobody else's work is spoiled, and nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.kafka import KafkaSettings
from tests.integration.arrivals import parts
from tests.integration.chaos import assert_exact, small_company, small_records, small_rows, wait_for
from tests.integration.live import Pipeline, live


@contextmanager
def stopped(pipeline: Pipeline, name: str) -> Iterator[None]:
    """Let a process stand still."""
    os.kill(pipeline.pid(name), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pipeline.pid(name), signal.SIGCONT)


def owners(pipeline: Pipeline) -> list[str]:
    """Return the correlate workers that have taken up the partition so far."""
    return [log.stem for log in pipeline.folder.glob("correlate*.log") if "goes on at facts" in log.read_text()]


def test_consumers_that_stand_still_are_waited_for_or_replaced(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    records = list(parts(small_records(), 6))
    with live(kafka_settings, small_company(), tmp_path / "live", "ingest", "correlate", "sink") as pipeline:
        pipeline.publish(records[0])
        wait_for(pipeline, lambda: owners(pipeline) == ["correlate"], "correlate has the partition")
        for name, part in (("ingest", records[1]), ("sink", records[2])):
            with stopped(pipeline, name):
                pipeline.publish(part)
                time.sleep(1)

        # Longer than a group waits for a member: another worker has the partition when this one wakes, a zombie.
        pipeline.start("correlate-2")
        with stopped(pipeline, "correlate"):
            pipeline.publish(records[3])
            wait_for(pipeline, lambda: len(owners(pipeline)) == 2, "the other worker has the partition")
            pipeline.publish(records[4])
            time.sleep(1)
        pipeline.publish(records[5])

        assert_exact(pipeline, small_rows())


def test_workers_that_join_and_leave_lose_and_repeat_nothing(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    records = list(parts(small_records(), 6))
    with live(kafka_settings, small_company(), tmp_path / "live", "ingest", "correlate", "sink") as pipeline:
        pipeline.publish(records[0])
        for name in ("ingest-2", "correlate-2"):
            pipeline.start(name)
        pipeline.publish(records[1])
        wait_for(pipeline, lambda: pipeline.status()["ingest_workers"] == 2, "the second one has joined")
        pipeline.publish(records[2])
        pipeline.end("ingest")
        pipeline.end("correlate")
        pipeline.publish(records[3])
        wait_for(pipeline, lambda: "correlate-2" in owners(pipeline), "the other one has the partition")
        pipeline.start("ingest")
        pipeline.start("correlate")
        pipeline.publish(records[4])
        for name in ("ingest-2", "correlate-2"):
            pipeline.end(name, signal.SIGKILL)
        pipeline.publish(records[5])

        assert_exact(pipeline, small_rows())
