"""SIGTERM drains and stops each process within ten seconds, and the next start repeats nothing."""

from __future__ import annotations

from pathlib import Path

import orjson

from agents.spool import Published
from schemas.kafka import KafkaSettings
from schemas.packing import unpack
from schemas.topics import FACTS
from tests.integration.arrivals import parts
from tests.integration.chaos import assert_exact, small_company, small_records, small_rows, wait_for
from tests.integration.live import Pipeline, ask, live

SECONDS = 10.0


def observation_count(records: list[Published]) -> int:
    return sum(orjson.loads(record.value).get("fact") == "observation" for record in records)


def ingested_count(pipeline: Pipeline) -> int:
    """Return how many observations stand in the facts topic, each as often as it was ingested."""
    entries = pipeline.log.read(FACTS, 0, 0, pipeline.log.end(FACTS, 0))
    tables = (unpack(entry.value or b"").tables for entry in entries)
    return sum(found["observation"].num_rows for found in tables if "observation" in found)


def recoveries(pipeline: Pipeline) -> list[str]:
    """Return what correlate said at each of its starts."""
    text = (pipeline.folder / "correlate.log").read_text(encoding="utf-8")
    return [line.partition("goes on at ")[2] for line in text.splitlines() if "goes on at" in line]


def test_each_process_ends_within_ten_seconds_and_repeats_nothing(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    records = small_records()
    first, second, third, fourth = parts(records, 4)
    with live(kafka_settings, small_company(), tmp_path / "live", "ingest", "correlate", "sink") as pipeline:
        pipeline.publish(first)
        pipeline.wait()

        # In the middle of their work; of what is published while one is away, it has everything to do.
        pipeline.publish(second)
        seconds = {"ingest": pipeline.end("ingest")}
        assert pipeline.exit_codes["ingest"] == 0
        pipeline.start("ingest")
        pipeline.publish(third)
        begun = pipeline.log.end(FACTS, 0)
        wait_for(pipeline, lambda: pipeline.log.end(FACTS, 0) > begun, "ingest goes on")
        seconds["correlate"] = pipeline.end("correlate")
        assert pipeline.exit_codes["correlate"] == 0
        pipeline.publish(fourth)
        pipeline.start("correlate")
        pipeline.wait()
        before = ask(f"{pipeline.url}/status")["topics"]
        seconds["sink"] = pipeline.end("sink")
        assert pipeline.exit_codes["sink"] == 0
        pipeline.start("sink")
        wait_for(pipeline, lambda: bool(ask(f"{pipeline.url}/status")), "the sink answers")
        after = ask(f"{pipeline.url}/status")

        assert max(seconds.values()) < SECONDS, seconds
        assert "leaked" not in pipeline.logs(), "DuckDB's binding complains when a process ends"
        assert ingested_count(pipeline) == observation_count(records)
        assert [" 0 facts folded again" in said for said in recoveries(pipeline)] == [True, True], recoveries(pipeline)
        assert {name: place["position"] for name, place in after["topics"].items()} == {
            name: place["position"] for name, place in before.items()
        }
        assert after["applied"]["message_count"] == 0
        assert_exact(pipeline, small_rows())
