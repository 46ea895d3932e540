"""A broker of one's own: it keeps what it was sent over a crash, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents import broker as brokers
from agents.broker import Listener, resolve_jars, start_broker
from agents.log import KafkaLog
from agents.topics import create_topics
from pipeline.errors import ConfigurationError, TransientError
from schemas.kafka import KafkaSettings
from schemas.log import Draft
from schemas.topics import FACTS

ROOT = Path(__file__).resolve().parents[2]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that ended and that nobody asked about is still listed.
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"


def test_it_keeps_its_address_and_what_it_was_sent_over_crash_and_restart(tmp_path: Path) -> None:
    with start_broker(tmp_path, kind="kafka") as broker:
        settings = KafkaSettings(bootstrap=(broker.bootstrap,))
        assert len(create_topics(settings)) == len(settings.topics())
        with KafkaLog(settings) as log:
            assert log.append([Draft(FACTS, 0, b"a")]) == [0]
        first = broker.pid
        broker.kill()
        assert not broker.is_running
        broker.start()
        assert broker.pid != first
        with KafkaLog(settings) as log:
            assert log.append([Draft(FACTS, 0, b"b")]) == [1]
            assert [entry.value for entry in log.read(FACTS, 0, 0, 2)] == [b"a", b"b"]
        second = broker.pid
    assert second is not None
    assert not is_alive(second)


def test_make_broker_prints_an_address_and_ends_with_all_of_its_processes(tmp_path: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "agents.broker", str(tmp_path / "data")],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert started.stdout is not None
        line = started.stdout.readline()
        assert line.startswith("127.0.0.1:")
        KafkaSettings(bootstrap=(line.strip(),))
        (child,) = children(started.pid)
        started.send_signal(signal.SIGINT)
        assert started.wait(60) == 0
        assert not is_alive(child)
    finally:
        started.kill()
        started.wait()


def test_a_broker_does_not_outlive_a_process_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import time\nfrom pathlib import Path\nfrom agents.broker import start_broker\n"
        f"broker = start_broker(Path({str(tmp_path)!r}), kind='tansu')\nprint(broker.pid, flush=True)\ntime.sleep(60)\n"
    )
    started = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    pid = int(started.stdout.readline())
    assert is_alive(pid)
    started.kill()
    started.wait()
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(pid)


def test_the_embedded_broker_carries_topics_and_messages(tmp_path: Path) -> None:
    with start_broker(tmp_path, kind="tansu") as broker:
        settings = KafkaSettings(bootstrap=(broker.bootstrap,))
        create_topics(settings)
        with KafkaLog(settings) as log:
            assert log.append([Draft(FACTS, 0, b"a", b"acme", {"source": b"pbx"})]) == [0]
            assert log.append([Draft(FACTS, 0, b"b")]) == [1]
            assert [entry.value for entry in log.read(FACTS, 0, 0, 2)] == [b"a", b"b"]
            # It tells too low an end after several messages at once; what is known to be there is read all the same.
            offsets = log.append([Draft(FACTS, 0, str(number).encode()) for number in range(100)])
            assert [entry.offset for entry in log.read(FACTS, 0, offsets[0], offsets[-1] + 1)] == offsets


def test_the_embedded_broker_is_taken_where_there_is_no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brokers, "_has_java", lambda: False)
    with start_broker(tmp_path) as broker:
        assert broker.kind == "tansu"
    with pytest.raises(ConfigurationError, match="no passwords and no certificates"):
        start_broker(tmp_path, listener=Listener("sasl_plaintext", "PLAIN", {"a": "b"}))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="needs java and mvn"):
        resolve_jars()


def test_a_broker_that_does_not_start_says_its_last_words(tmp_path: Path) -> None:
    with pytest.raises((TransientError, ConfigurationError), match=r"num\.io\.threads"):
        start_broker(tmp_path, kind="kafka", options={"num.io.threads": "0"})


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]
