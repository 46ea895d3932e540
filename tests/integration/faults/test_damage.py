"""Damaged messages, a full disk and a damaged log of writes: told, counted, and healed by going on."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

import pytest

from schemas.kafka import KafkaSettings
from schemas.log import Draft
from schemas.topics import FACTS
from tests.integration.arrivals import parts
from tests.integration.chaos import (
    assert_exact,
    small_company,
    small_records,
    small_rows,
    wait_for,
    wait_through,
)
from tests.integration.live import ask, live

ALL = ("ingest", "correlate", "sink")


def test_a_damaged_facts_message_is_counted_and_shown_and_the_rest_is_right(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    first, second = parts(small_records(), 2)
    with live(kafka_settings, small_company(), tmp_path / "live", *ALL) as pipeline:
        pipeline.publish(first)
        wait_for(pipeline, lambda: pipeline.log.end(FACTS, 0) > 0, "there are facts")
        pipeline.log.append([Draft(FACTS, 0, b"BYPF garbage"), Draft(FACTS, 0, b"")])
        pipeline.publish(second)
        wait_through(pipeline)
        status = pipeline.status()

        assert status["sink"]["damaged_count"] == 2
        assert not status["is_well"]
        assert "2 messages of ours were damaged" in " ".join(status["problems"])
        assert_exact(pipeline, small_rows())


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process")
def test_a_full_disk_ends_the_sink_and_what_it_wrote_stays(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    first, second = parts(small_records(), 2)
    with live(kafka_settings, small_company(), tmp_path / "live", *ALL) as pipeline:
        pipeline.publish(first)
        wait_for(pipeline, lambda: bool(ask(f"{pipeline.url}/status")["applied"]["fact_count"]), "the sink stores")
        # No file may grow any more: the nearest thing to a full disk.
        resource.prlimit(pipeline.pid("sink"), resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        pipeline.publish(second)
        wait_for(pipeline, lambda: "no space left" in (pipeline.folder / "sink.log").read_text(), "the sink says so")

        assert_exact(pipeline, small_rows())


def test_a_damaged_log_of_writes_is_put_aside_and_read_again(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    first, second = parts(small_records(), 2)
    with live(kafka_settings, small_company(), tmp_path / "live", *ALL) as pipeline:
        pipeline.publish(first)
        wait_through(pipeline)
        pipeline.end("sink", signal.SIGKILL)
        wal = pipeline.db.with_name(f"{pipeline.db.name}.wal")
        data = bytearray(wal.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 64] = bytes(byte ^ 0xFF for byte in data[middle : middle + 64])
        wal.write_bytes(data)
        pipeline.start("sink")
        pipeline.publish(second)

        assert_exact(pipeline, small_rows())
        assert "is damaged and was moved to" in (pipeline.folder / "sink.log").read_text()
