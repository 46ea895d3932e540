"""What is set up wrongly ends worker, sink and `up` with one clear sentence, and leaves no process behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.broker import Listener, start_broker
from agents.exit_codes import EXIT_CONFIGURATION, EXIT_TRANSIENT
from agents.log import KafkaLog
from agents.topics import create_topics
from schemas.kafka import KafkaSettings
from schemas.log import Draft
from schemas.packing import Pack, pack
from schemas.topics import FACTS, OUTCOMES
from sinks.keyfile import load_or_create_key
from tests.brokers import make_topics
from tests.integration.live import CLI, PATIENCE, ROOT, environment, free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes as Linux shows them")

_MARK = "BYPASSFLOW_TEST_MARK"


@pytest.fixture
def company(tmp_path: Path) -> Path:
    load_or_create_key(tmp_path / "bypassflow.key", os.urandom)
    return tmp_path


def configure(company: Path, settings: KafkaSettings, more: str = "") -> None:
    text = f'[company]\nid = "acme"\n\n[kafka]\nbootstrap = ["{settings.bootstrap[0]}"]\nprefix = "{settings.prefix}"\n'
    (company / "bypassflow.toml").write_text(text + more, encoding="utf-8")


def refusals(company: Path, settings: KafkaSettings, *commands: str, code: int) -> dict[str, str]:
    """Run commands at once; return what each said on its way out, which must come soon and with this code."""
    config = str(company / "bypassflow.toml")
    known = {
        "worker": ["worker", "--only", "correlate"],
        "ingest": ["worker", "--only", "ingest"],
        "sink": ["sink", "--db", str(company / "flow.duckdb"), "--listen", "127.0.0.1:0"],
        "up": [
            "up", "--data", str(company / "up"), "--bootstrap", settings.bootstrap[0],
            "--listen", f"127.0.0.1:{free_port()}",
        ],
    }  # fmt: skip
    marks = {name: uuid.uuid4().hex for name in commands}
    running = {
        name: subprocess.Popen(
            [*CLI, *known[name], "--config", config], cwd=ROOT, env=environment() | {_MARK: marks[name]},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name in commands
    }  # fmt: skip
    said = {}
    for name, process in running.items():
        try:
            said[name], _ = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        assert process.returncode == code, (name, said[name])
        assert "Traceback" not in said[name]
        assert processes_with(marks[name]) == [], said[name]
    return said


def processes_with(mark: str) -> list[str]:
    """Return the processes that were started with a mark in their environment, after a second for those that end."""
    for _ in range(10):
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"{_MARK}={mark}".encode() in path.read_bytes():
                    found.append(path.with_name("cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        if not found:
            return []
        time.sleep(0.1)
    return found


def assert_each_says(said: dict[str, str], sentence: str) -> None:
    for name, text in said.items():
        assert sentence in " ".join(text.split()), f"{name}: {text}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """A broker that asks for a password."""
    listener = Listener("sasl_plaintext", "PLAIN", {"bypassflow": "pike-and-perch"})
    with start_broker(tmp_path_factory.mktemp("guarded"), listener=listener, kind="kafka") as broker:
        yield KafkaSettings(bootstrap=(broker.bootstrap,))


def test_a_wrong_password_is_told_and_not_shown(company: Path, guarded: KafkaSettings) -> None:
    (company / "kafka.password").write_text("zander", encoding="utf-8")
    configure(
        company,
        guarded,
        'security_protocol = "sasl_plaintext"\nsasl_mechanism = "PLAIN"\nusername = "bypassflow"\n'
        'password_file = "kafka.password"\n',
    )

    said = refusals(company, guarded, "worker", "sink", "up", code=EXIT_CONFIGURATION)

    assert_each_says(said, "refuses bypassflow: wrong name or password")
    assert "zander" not in "".join(said.values())


def test_a_missing_key_is_told_and_none_is_made(company: Path, kafka_settings: KafkaSettings) -> None:
    make_topics(kafka_settings)
    configure(company, kafka_settings)
    (company / "bypassflow.key").unlink()

    said = refusals(company, kafka_settings, "worker", "sink", code=EXIT_CONFIGURATION)

    assert_each_says(
        said, "bypassflow.key is not there: copy the company's key file from where its other processes run"
    )
    assert not (company / "bypassflow.key").exists()
    assert not (company / "flow.duckdb").exists()


def test_facts_of_another_key_are_told_before_anything_is_sent_on_or_written(
    company: Path, kafka_settings: KafkaSettings
) -> None:
    create_topics(kafka_settings)
    configure(company, kafka_settings)
    with KafkaLog(kafka_settings) as log:
        log.append([Draft(FACTS, 0, pack(Pack({"type": "facts", "company_id": "acme", "key": "0" * 16})))])

        said = refusals(company, kafka_settings, "ingest", "worker", "sink", "up", code=EXIT_CONFIGURATION)

        assert_each_says(said, "facts@0 was made with another key than the configuration's")
        assert [log.end(topic, 0) for topic in (FACTS, OUTCOMES)] == [1, 0]
    assert not (company / "flow.duckdb").exists()


def test_a_broker_that_cannot_be_reached_is_told(company: Path) -> None:
    settings = KafkaSettings(bootstrap=(f"127.0.0.1:{free_port()}",))
    configure(company, settings)

    said = refusals(company, settings, "worker", "sink", "up", code=EXIT_TRANSIENT)

    assert_each_says(said, "cannot be reached: connection refused")


def test_a_missing_topic_is_told_with_its_remedy(company: Path, kafka_settings: KafkaSettings) -> None:
    make_topics(kafka_settings, *(topic.name for topic in kafka_settings.topics() if topic.name != FACTS))
    configure(company, kafka_settings)

    # `up` makes what is missing; somebody else may be about to.
    said = refusals(company, kafka_settings, "worker", "sink", code=EXIT_TRANSIENT)

    assert_each_says(said, f"missing: {kafka_settings.topic(FACTS)}; make them with: bypassflow topics create")


def test_too_few_partitions_are_told_with_their_remedy(company: Path, kafka_settings: KafkaSettings) -> None:
    make_topics(kafka_settings)
    configure(company, kafka_settings, "fact_partitions = 2\n")

    said = refusals(company, kafka_settings, "worker", "sink", "up", code=EXIT_CONFIGURATION)

    assert_each_says(said, f"{kafka_settings.topic(FACTS)} has 1 of 2 partitions; set [kafka] fact_partitions = 1")


def test_a_company_that_is_not_in_the_settings_is_told_and_never_passed_by(
    company: Path, kafka_settings: KafkaSettings
) -> None:
    create_topics(kafka_settings)
    configure(company, kafka_settings)
    with KafkaLog(kafka_settings) as log:
        log.append([Draft(FACTS, 0, pack(Pack({"type": "facts", "company_id": "globex"})))])

    said = refusals(company, kafka_settings, "worker", "up", code=EXIT_CONFIGURATION)

    assert_each_says(said, "facts@0 is of company 'globex', which is not in these settings, they are of 'acme'")
