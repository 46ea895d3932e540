"""The logs and traces of real processes: the marked company goes through them, and is looked for in all they wrote."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from agents.broker import start_broker
from commands.logs import LogFormat
from schemas.kafka import KafkaSettings
from schemas.log import Draft
from tests.collectors import Collector, collecting
from tests.integration.arrivals import records_of
from tests.integration.companies import place, replay
from tests.integration.live import Pipeline, free_port
from tests.integration.marked import company, found_in
from tests.integration.marked_live import SENT

PROCESSES = ("ingest", "correlate", "sink")
FORGED = b"/v1/customers/0407712345/timeline%0abypassflow:%20forged\x1b[2J?who=zorvika"


@cache
def marked() -> Path:
    """Return the directory of the marked company, which has its key."""
    directory = Path(shutil.copytree(company(), place("marked-logs")))
    replay(place("marked-logs.duckdb"), directory)
    return directory


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    with start_broker(tmp_path_factory.mktemp("broker")) as broker:
        yield KafkaSettings.model_validate({"bootstrap": broker.bootstrap})


@pytest.fixture(scope="module", params=LogFormat)
def run(
    request: pytest.FixtureRequest, settings: KafkaSettings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LogFormat, dict[str, str], Collector]:
    """Run the marked company through ingest, correlate and a sink that serves; return what each wrote."""
    shape = LogFormat(request.param)
    own = settings.model_copy(update={"prefix": f"{shape}."})
    folder = tmp_path_factory.mktemp(shape)
    served = free_port()
    with collecting() as collector, Pipeline(own, marked(), folder) as pipeline:
        pipeline.variables = {
            **collector.environment,
            "BYPASSFLOW_LOG_FORMAT": shape,
            "BYPASSFLOW_LOG_LEVEL": "debug",
            "PYTHONASYNCIODEBUG": "1",
        }
        pipeline.options["sink"] = ["--serve", f"127.0.0.1:{served}"]
        for name in PROCESSES:
            pipeline.start(name)
        pipeline.publish(records_of(marked()))
        pipeline.log.append([Draft("raw.messages", 0, text.encode()) for text in SENT])
        pipeline.wait()
        ask(served, FORGED)
        for name in reversed(PROCESSES):
            pipeline.end(name)
        return shape, {name: (folder / f"{name}.log").read_text(encoding="utf-8") for name in PROCESSES}, collector


def ask(port: int, path: bytes) -> None:
    """Ask for a path as it is, as a client that follows no rules does."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nUser-Agent: zorvika\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 4")


def test_every_process_writes_whole_lines_of_its_form(run: tuple[LogFormat, dict[str, str], Collector]) -> None:
    shape, logs, _ = run
    for name, text in logs.items():
        assert text.endswith("\n"), name
        assert all(sign.isprintable() or sign == "\n" for sign in text), name
        if shape is LogFormat.JSON:
            lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
            assert {line["process"] for line in lines} == {name}
            assert all({"timestamp", "level", "logger", "event"} <= line.keys() for line in lines)
        else:
            assert not text.startswith("{")


def test_what_happened_is_told_by_name_with_its_figures(run: tuple[LogFormat, dict[str, str], Collector]) -> None:
    shape, logs, _ = run
    if shape is LogFormat.CONSOLE:
        assert "folded again" in logs["correlate"]
        assert "stopped; the store is whole" in logs["sink"]
        return
    told = {name: {line["event"]: line for line in map(json.loads, text.splitlines())} for name, text in logs.items()}
    assert {"rebuild started", "engine rebuilt", "stopping"} <= told["correlate"].keys()
    assert told["correlate"]["engine rebuilt"].keys() >= {"position", "facts", "seconds"}
    assert {"sink following", "sink stopped"} <= told["sink"].keys()
    assert "stopping" in told["ingest"]


def test_no_mark_stands_in_the_log_of_a_process(run: tuple[LogFormat, dict[str, str], Collector]) -> None:
    _, logs, _ = run
    for name, text in logs.items():
        assert not found_in(text), name
        assert "forged" not in text


def test_every_process_sends_its_spans_and_no_mark(run: tuple[LogFormat, dict[str, str], Collector]) -> None:
    _, _, collector = run
    assert collector.services() == {f"bypassflow-{name}" for name in PROCESSES}
    names = {span.name for span in collector.spans()}
    assert {"ingest batch", "engine rebuild", "correlate batch", "sink batch", "write", "fold"} <= names
    assert not found_in(b"\n".join(collector.bodies).decode("latin-1"))
