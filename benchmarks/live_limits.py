"""Limits for the live pipeline: consumers that read the same raw topics and do nothing with the messages.

python -m benchmarks.live_limits CLIENT BOOTSTRAP PREFIX COUNT      prints messages a second, from the first one on

CLIENT is kafka (kafka-python, as the sink reads), faust (an agent as in Faust's own documentation) or runs (a Faust
agent as ours are, see `agents.delivery`).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import Any

import faust
from kafka import KafkaConsumer

from agents.app import entries_of, make_app
from schemas.topics import RAW_TOPICS


def read_with_kafka_python(bootstrap: str, topics: list[str], count: int) -> float:
    """Return messages a second."""
    consumer = KafkaConsumer(
        *topics, bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="earliest", metrics_enabled=False
    )
    seen, begun = 0, 0.0
    while seen < count:
        records = consumer.poll(timeout_ms=500)
        begun = begun or (time.perf_counter() if records else 0.0)
        seen += sum(map(len, records.values()))
    return seen / (time.perf_counter() - begun)


def read_with_faust(bootstrap: str, topics: list[str], count: int, in_runs: bool) -> None:
    """Print messages a second and end the process."""
    connection: dict[str, Any] = {"broker": f"kafka://{bootstrap}"}
    if in_runs:
        app = make_app("bench-limit-runs", connection)
    else:
        app = faust.App(
            "bench-limit", **connection, autodiscover=False, store="memory://", value_serializer="raw",
            topic_allow_declare=False, topic_disable_leader=True, stream_wait_empty=True, web_enabled=False,
            consumer_auto_offset_reset="earliest", stream_buffer_maxsize=16_384, worker_redirect_stdouts=False,
            datadir=tempfile.gettempdir(),
        )  # fmt: skip
    seen, begun = 0, 0.0

    def add(more: int) -> None:
        nonlocal seen, begun
        begun = begun or time.perf_counter()
        seen += more
        if seen >= count:
            # Faust has told the terminal something on this line.
            print(f"\n{seen / (time.perf_counter() - begun):.0f}", flush=True)
            os._exit(0)

    @app.agent(app.topic(*topics, value_type=bytes), concurrency=1)
    async def read(stream: Any) -> None:
        if in_runs:
            async for events in stream.take_events(16, within=0.25):
                add(sum(1 for _ in entries_of(events)))
        else:
            async for _ in stream:
                add(1)

    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False, quiet=True).execute_from_commandline()


def main() -> None:
    """See the module."""
    client, bootstrap, prefix, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    topics = [f"{prefix}{name}" for name in RAW_TOPICS]
    if client == "kafka":
        print(f"{read_with_kafka_python(bootstrap, topics, count):.0f}")
    else:
        read_with_faust(bootstrap, topics, count, client == "runs")


if __name__ == "__main__":
    main()
