"""Pulls killed at random moments: the same records in the end, and none twice in effect."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson
import sqlalchemy as sa

from agents.log import KafkaLog
from schemas.kafka import KafkaSettings
from schemas.topics import RAW_TOPICS
from tests.brokers import make_topics
from tests.crm_pulls import ENVIRONMENT, Feed, latest_of, pull, settings
from tests.crm_rows import call, fill_suitecrm, put
from tests.crm_schemas import suitecrm
from tests.crm_servers import Server
from tests.integration.crm_calls import MANY, fill_many

KILL_COUNT = 20
ROOT = Path(__file__).resolve().parents[2]


def test_a_pull_killed_twenty_times_publishes_the_same_records_and_none_twice_in_effect(
    mariadb: Server, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    chance = random.Random(20)
    topics = make_topics(kafka_settings)
    with mariadb.database("crm_killed", suitecrm()) as engine:
        fill_many(engine, MANY // 4)
        whole = Feed()
        (tmp_path / "whole").mkdir()
        pull(settings(mariadb.reader_url("crm_killed"), batch=5_000), tmp_path / "whole", whole)
        write_configuration(tmp_path, mariadb.reader_url("crm_killed"), topics, "batch = 500\n")
        killed = 0
        for _ in range(KILL_COUNT):
            process = start(tmp_path, "--kafka")
            wait_for_ledger(tmp_path, process)
            time.sleep(chance.uniform(0.02, 0.6))
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
        ended = start(tmp_path, "--kafka")
        assert ended.wait(120) == 0, ended.stderr.read() if ended.stderr else ""
    messages = list(published(topics))
    values: dict[str, bytes] = {}
    for identity, value in messages:
        assert values.setdefault(identity, value) == value
    assert killed >= KILL_COUNT // 2
    assert values.keys() == set(whole.identities)
    records = [orjson.loads(value) for value in values.values()]
    assert latest_of(records, "activity") == latest_of(whole.records, "activity")
    # What was published again is what no broker had confirmed when the process died.
    assert len(messages) - len(values) <= killed * 2_000


def test_a_pull_into_a_store_killed_at_random_moments_gives_the_store_of_one_that_was_not(
    postgresql: Server, tmp_path: Path
) -> None:
    with postgresql.database("crm_stored", suitecrm()) as engine:
        fill_suitecrm(engine)
        check_stores(engine, postgresql.reader_url("crm_stored"), tmp_path)


def check_stores(crm: sa.Engine, url: str, tmp_path: Path) -> None:
    put(crm, "calls", *(call(number, number) for number in range(100, 400)))
    chance = random.Random(5)
    counts = []
    for name, kills in (("killed", 4), ("whole", 0)):
        base = tmp_path / name
        base.mkdir()
        write_configuration(base, url, None, "batch = 5\n")
        for _ in range(kills):
            process = start(base, "--db", "flow.duckdb")
            wait_for_ledger(base, process)
            time.sleep(chance.uniform(0.0, 1.5))
            process.send_signal(signal.SIGKILL)
            process.wait()
        ended = start(base, "--db", "flow.duckdb")
        assert ended.wait(120) == 0, ended.stderr.read() if ended.stderr else ""
        counts.append(stored(base / "flow.duckdb"))
    assert counts[0] == counts[1]
    assert len(counts[0]) == 313


def test_a_pull_that_follows_publishes_what_comes_and_ends_when_it_is_told_to(
    postgresql: Server, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    topics = make_topics(kafka_settings)
    with postgresql.database("crm_followed", suitecrm()) as engine:
        fill_suitecrm(engine)
        write_configuration(tmp_path, postgresql.reader_url("crm_followed"), topics, 'poll = "1s"\noverlap = "1min"\n')
        process = start(tmp_path, "--kafka", "--follow")
        try:
            wait_until(lambda: len(list(published(topics))) == 18)
            now = datetime.now(UTC).replace(tzinfo=None)
            put(engine, "calls", call(9, 0, date_entered=now, date_modified=now))
            wait_until(lambda: any(b"call-000009" in value for _, value in published(topics)))
        finally:
            process.terminate()
        assert process.wait(30) == 0
        assert len(list(published(topics))) == 19


def wait_until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.2)


def stored(db: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(db), read_only=True) as connection:
        columns = "raw_id, activity_id, kind, logged_from, contact_ids, account_ids, deleted"
        return connection.execute(f"SELECT {columns} FROM activity ORDER BY ALL").fetchall()


def write_configuration(base: Path, url: str, topics: KafkaSettings | None, more: str) -> None:
    broker = f'[kafka]\nbootstrap = ["{topics.bootstrap[0]}"]\nprefix = "{topics.prefix}"\n' if topics else ""
    database = f'[[crm_database]]\nsource = "crm"\nurl = "{url}"\nmapping = "suitecrm"\n{more}'
    (base / "bypassflow.toml").write_text(f'[company]\nname = "Acme"\n{broker}{database}')


def start(base: Path, *options: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "cli", "crm", "pull", "--source", "crm", *options]
    return subprocess.Popen(
        command, cwd=base, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def wait_for_ledger(base: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a pull is at work: its ledger's log has been begun anew."""
    before = time.time_ns()
    while process.poll() is None:
        logs = list((base / ".bypassflow-crm").glob("*-wal")) if (base / ".bypassflow-crm").exists() else []
        if any(log.stat().st_mtime_ns > before for log in logs):
            return
        time.sleep(0.01)


def published(topics: KafkaSettings) -> Iterator[tuple[str, bytes]]:
    with KafkaLog(topics) as log:
        for topic in RAW_TOPICS:
            for partition in range(topics.partitions):
                for entry in log.read(topic, partition, 0, log.end(topic, partition)):
                    if topic != "raw.feed-progress":
                        assert entry.value is not None
                        headers = entry.headers
                        yield f"{headers['file'].decode()}:{headers['position'].decode()}", entry.value
