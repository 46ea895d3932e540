"""The sink as people run it: a process that follows Kafka, answers questions, and survives what ends processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents.log import KafkaLog
from cli import app
from pipeline.configuration import engine_settings, load
from pipeline.identifiers import Identifiers
from schemas.kafka import KafkaSettings
from schemas.log import Draft
from schemas.topics import DEAD_LETTERS, FACTS, OUTCOMES
from sinks.keyfile import load_or_create_key
from sinks.remote import RemoteAnswers
from sinks.store import Store
from tests.brokers import make_topics
from tests.live import Script, replayed, script_of, shown_rows
from tests.unit.test_live_store import FILES

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = """\
[company]
id = "acme"
timezone = "Europe/Helsinki"

[kafka]
bootstrap = ["{bootstrap}"]
prefix = "{prefix}"
"""


@pytest.fixture
def company(tmp_path: Path, kafka_settings: KafkaSettings) -> Path:
    """A folder with a configuration, and the topics that it needs."""
    make_topics(kafka_settings, FACTS, OUTCOMES, DEAD_LETTERS)
    text = CONFIGURATION.format(bootstrap=kafka_settings.bootstrap[0], prefix=kafka_settings.prefix)
    (tmp_path / "bypassflow.toml").write_text(text)
    load_or_create_key(tmp_path / "bypassflow.key", os.urandom)
    return tmp_path


def publish(settings: KafkaSettings, script: Script) -> None:
    """Write a log to the broker."""
    with KafkaLog(settings) as log:
        for topic, entries in script.topics.items():
            log.append([Draft(topic, 0, entry.value, entry.key, entry.headers) for entry in entries])


@contextmanager
def sink(company: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], RemoteAnswers]]:
    """Run a sink on a port that is free."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), "sink", "--db", "flow.duckdb", "--listen", "127.0.0.1:0", *options],
        cwd=company, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process, RemoteAnswers(listening(process))
        finally:
            process.kill()


def listening(process: subprocess.Popen[str]) -> str:
    """Return where a sink answers, once it says so."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if found := re.search(r"answered at (http://\S+)", line):
            return found[1]
    raise AssertionError(said)


def wait_for(remote: RemoteAnswers, topic: str, position: int) -> None:
    deadline = time.monotonic() + 30
    while remote.status()["topics"][topic]["position"] < position:
        assert time.monotonic() < deadline, remote.status()
        time.sleep(0.1)


def wait_for_snapshots(link: Path, count: int) -> None:
    """Wait for so many new ones: the next may have been begun before."""
    deadline = time.monotonic() + 30
    seen = {link.resolve()}
    while len(seen) <= count:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        seen.add(link.resolve())


def end(process: subprocess.Popen[str], number: int) -> int:
    """Send a signal; return the exit code, which must come within seconds."""
    process.send_signal(number)
    return process.wait(timeout=10)


def test_a_sink_follows_the_log_answers_and_goes_on_after_any_end(
    company: Path, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    script = script_of(FILES)
    publish(kafka_settings, script)
    with sink(company, "--snapshot-dir", "snapshots", "--snapshot-every", "1s") as (process, remote):
        wait_for(remote, OUTCOMES, len(script.topics[OUTCOMES]))
        url = remote._url
        report = CliRunner().invoke(app, ["report", "--url", url, "--by", "channel", "--format", "json"])
        refused = CliRunner().invoke(app, ["report", "--db", str(company / "flow.duckdb")])
        wait_for_snapshots(company / "snapshots" / "current", 2)
        assert end(process, signal.SIGKILL) == -signal.SIGKILL
    assert {row["channel"] for row in json.loads(report.stdout)} == {"call", "email"}
    assert refused.exit_code == 1
    assert "answers with --url" in refused.stderr

    script.ingest("pbx", "more.csv", [FILES["pbx", "cdr.csv"][0].but(raw_id="pbx:more.csv:1")])  # type: ignore[union-attr]
    with KafkaLog(kafka_settings) as log:
        log.append([Draft(FACTS, 0, script.topics[FACTS][-1].value)])
    with sink(company) as (process, remote):
        assert remote.status()["topics"][OUTCOMES]["position"] == len(script.topics[OUTCOMES])
        assert end(process, signal.SIGTERM) == 0
    with (
        Store.open(company / "flow.duckdb") as store,
        Store.open(replayed(tmp_path / "replayed.duckdb", FILES)) as expected,
        Store.open(company / "snapshots" / "current" / "flow.duckdb") as snapshot,
    ):
        # Nothing was said of the last fact yet.
        assert shown_rows(store) == shown_rows(expected) == shown_rows(snapshot)


def test_a_sink_does_not_follow_another_companys_log_into_a_store(company: Path, kafka_settings: KafkaSettings) -> None:
    with sink(company) as (process, _):
        assert end(process, signal.SIGTERM) == 0
    text = (company / "bypassflow.toml").read_text()
    (company / "bypassflow.toml").write_text(text.replace('"acme"', '"globex"'))

    refused = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "sink", "--db", "flow.duckdb"],
        cwd=company, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 78
    assert "is of company 'acme', not of 'globex'" in refused.stderr


def test_the_settings_of_a_sink_are_those_of_its_configuration(company: Path) -> None:
    with sink(company) as (process, _):
        end(process, signal.SIGTERM)
    key = bytes.fromhex((company / "bypassflow.key").read_text().strip())
    text = (company / "bypassflow.toml").read_text()
    expected = engine_settings(load(text, "bypassflow.toml"), Identifiers(key, "FI", ()))
    with Store.open(company / "flow.duckdb") as store:
        run = store.last_run()
    assert run is not None
    assert (run.company_id, run.timezone) == ("acme", "Europe/Helsinki")
    assert json.loads(run.settings)["company_id"] == expected.company_id
