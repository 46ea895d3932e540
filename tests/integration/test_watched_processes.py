"""What each live process tells of itself: what it did, and whether it is ready, also when its broker dies."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from agents.broker import start_broker
from schemas.kafka import KafkaSettings
from tests.integration.chaos import small_company, small_records
from tests.integration.live import PATIENCE, Pipeline, free_port


def told(port: int, path: str) -> tuple[int, str]:
    """Return status and text of an answer; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def figures(port: int) -> dict[str, float]:
    """Return the sum of each figure over its labels."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(told(port, "/metrics")[1]):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def wait_until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def test_processes_tell_what_they_did_and_that_they_are_not_ready_without_their_broker(tmp_path: Path) -> None:
    records = small_records()
    with start_broker(tmp_path / "broker") as broker:
        settings = KafkaSettings.model_validate({"bootstrap": broker.bootstrap, "prefix": "watched."})
        with Pipeline(settings, small_company(), tmp_path / "live") as pipeline:
            ports = {role: free_port() for role in ("ingest", "correlate")}
            pipeline.options = {role: ["--metrics", f"127.0.0.1:{port}"] for role, port in ports.items()}
            ports["sink"] = pipeline.port
            for role in ports:
                pipeline.start(role)
            pipeline.publish(records)
            pipeline.wait()

            for role, port in ports.items():
                wait_until(lambda port=port: told(port, "/readyz")[0] == 200, f"{role} is ready")  # type: ignore[misc]
                assert told(port, "/healthz")[0] == 200
                assert figures(port)["process_resident_memory_bytes"] > 10_000_000
            counted = figures(ports["ingest"])
            assert counted["bypassflow_ingest_records_total"] >= len(records)
            assert counted["bypassflow_worker_lag_messages"] == 0
            folded = figures(ports["correlate"])
            assert folded["bypassflow_correlate_facts_total"] > 0
            assert folded["bypassflow_engine_rows"] > 0
            stored = figures(ports["sink"])
            assert stored["bypassflow_sink_facts_total"] > 0
            assert stored["bypassflow_store_interactions"] > 0
            assert 0 < stored["bypassflow_store_bypass_share"] < 6

            broker.kill()
            for role in ("ingest", "correlate"):
                wait_until(lambda port=ports[role]: told(port, "/readyz")[0] == 503, f"{role} misses its broker")  # type: ignore[misc]
                assert "broker" in json.loads(told(ports[role], "/readyz")[1])["reason"]
                assert told(ports[role], "/healthz")[0] == 200
            wait_until(lambda: told(ports["sink"], "/readyz")[0] == 503, "the sink misses its broker")
            assert told(ports["sink"], "/healthz")[0] == 200

            broker.start()
            for role, port in ports.items():
                wait_until(lambda port=port: told(port, "/readyz")[0] == 200, f"{role} is ready again")  # type: ignore[misc]
