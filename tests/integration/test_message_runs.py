"""Runs of messages through Faust on a real broker: what is acknowledged, and what is read again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.log import KafkaLog
from schemas.kafka import KafkaSettings
from schemas.log import Draft
from tests.brokers import make_topics

TOPICS = ("raw.calls", "raw.emails")
MESSAGES = 6_000
PATIENCE = 60.0

# Writes down each offset when it is processed, and dies by kill -9 in the middle of a batch when told to.
CONSUMER = """
import os, signal, sys
from agents.app import Desk, entries_of, make_app, run

bootstrap, group, path, topics, fatal = sys.argv[1:6]
app = make_app(group, {"broker": f"kafka://{bootstrap}"}, name="only")
desk = Desk("test")
seen = 0

def note(events):
    global seen
    with open(path, "a") as file:
        for topic, partition, entry in entries_of(events):
            seen += 1
            if int(fatal) and seen == int(fatal):
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            file.write(f"{topic}/{partition}@{entry.offset}\\n")

@app.agent(app.topic(*topics.split(","), value_type=bytes), concurrency=1)
async def take(stream):
    async for events in stream.take_events(4, within=0.1):
        await desk.do(lambda: note(events))

run(app)
"""


@pytest.fixture
def topics(kafka_settings: KafkaSettings) -> KafkaSettings:
    make_topics(kafka_settings, *TOPICS)
    publish(kafka_settings, MESSAGES)
    return kafka_settings


def publish(settings: KafkaSettings, count: int) -> None:
    with KafkaLog(settings) as log:
        log.append([Draft(TOPICS[n % 2], n % settings.partitions, b"{}") for n in range(count)])


def start(settings: KafkaSettings, path: Path, fatal: int = 0) -> subprocess.Popen[bytes]:
    here = path.with_suffix(".directory")
    here.mkdir(exist_ok=True)
    names = ",".join(settings.topic(name) for name in TOPICS)
    group = f"{settings.prefix}test"
    arguments = [settings.bootstrap[0], group, str(path), names, str(fatal)]
    return subprocess.Popen([sys.executable, "-c", CONSUMER, *arguments], cwd=here, stderr=subprocess.DEVNULL)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def read(path: Path) -> Counter[str]:
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def test_after_a_kill_in_the_middle_of_a_batch_every_message_is_processed(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    path = tmp_path / "processed"
    killed = start(topics, path, fatal=MESSAGES // 2)
    assert killed.wait(PATIENCE) == -signal.SIGKILL
    assert len(read(path)) < MESSAGES
    going_on = start(topics, path)
    wait_until(lambda: len(read(path)) == MESSAGES)
    going_on.terminate()
    assert going_on.wait(PATIENCE) is not None


def test_after_an_orderly_stop_nothing_is_read_again(topics: KafkaSettings, tmp_path: Path) -> None:
    path = tmp_path / "processed"
    first = start(topics, path)
    wait_until(lambda: len(read(path)) == MESSAGES)
    begun = time.monotonic()
    first.terminate()
    first.wait(PATIENCE)
    assert time.monotonic() - begun < 10
    publish(topics, 100)
    second = start(topics, path)
    wait_until(lambda: len(read(path)) == MESSAGES + 100)
    second.terminate()
    second.wait(PATIENCE)
    assert set(read(path).values()) == {1}, "an offset was processed twice"
    assert not list(path.with_suffix(".directory").iterdir()), "it left something where it was started"
