"""The sink follows the log from where its store stands, and nothing that befalls it loses or doubles a record."""

from __future__ import annotations

import pickle
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigurationError, TransientError
from pipeline.outcomes import Group
from schemas.log import Entry
from schemas.topics import DEAD_LETTERS, FACTS, OUTCOMES
from sinks.consumer import Consumer
from sinks.live import TOPICS, Applied, LiveStore
from sinks.store import Store
from tests.live import Files, Script, live_store, log_of, replayed, script_of, shown_rows
from tests.memory_log import MemoryLog
from tests.records import activity, call, contact, person, progress
from tests.stores import NOON, letter

ROOT = Path(__file__).resolve().parents[2]
COUNT = 40


def files() -> Files:
    """Some calls, every fourth of them logged in the CRM, some of them refused."""
    hours = [(f"{9 + n // 6:02}:{n % 6}0", n) for n in range(COUNT)]
    return {
        ("pbx", "cdr.csv"): [
            *(call(f"pbx:cdr.csv:{n}", at, customer=f"T-{n % 7}", ours="201") for at, n in hours),
            *(letter(f"pbx:cdr.csv:{n}") for n in range(COUNT, COUNT + 5)),
        ],
        ("crm", "tasks.csv"): [
            *(contact(f"c{n}", f"T-{n}") for n in range(5)),
            *(activity(f"a{n}", at, contacts=[f"c{n % 7}"], owner="r1") for at, n in hours[::4]),
            progress("23:00", day=2),
        ],
        ("directory", "directory.csv"): [person("r1", extension="201")],
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bypass.duckdb"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    with Store.open(replayed(tmp_path_factory.mktemp("replayed") / "replayed.duckdb", files())) as store:
        return shown_rows(store)


@pytest.fixture
def live(path: Path) -> Iterator[LiveStore]:
    with live_store(path) as opened:
        yield opened


def consumer_of(live: LiveStore, log: MemoryLog, heard: list[str] | None = None, **options: Any) -> Consumer:
    tell = (lambda sentence: None) if heard is None else heard.append
    return Consumer(live, log, 0, now=lambda: NOON, tell=tell, **{"least_free_bytes": 0, **options})


def follow(consumer: Consumer) -> int:
    """Take batches until there is nothing more; return how many."""
    count = 0
    while any(batch := consumer.poll()):
        consumer.take(*batch)
        count += 1
        assert count < 1_000
    return count


@pytest.mark.parametrize("batch_bytes", [1, 20_000, 4_000_000])
def test_following_the_log_ends_as_a_replay_does(
    live: LiveStore, batch_bytes: int, expected: dict[str, list[str]]
) -> None:
    log = log_of(script_of(files(), messages=12).topics)

    follow(consumer_of(live, log, batch_bytes=batch_bytes))

    assert shown_rows(live.store) == expected


def test_a_group_in_more_parts_than_a_batch_holds_is_taken_all_the_same(
    live: LiveStore, expected: dict[str, list[str]]
) -> None:
    group_count = 6
    script = script_of(files(), messages=group_count, part_bytes=2_000)
    assert len(script.topics[OUTCOMES]) > 2 * group_count
    consumer = consumer_of(live, log_of(script.topics), batch_bytes=1)

    for _ in range(200):
        consumer.take(*consumer.poll())

    assert live.progress.offsets[OUTCOMES] == len(script.topics[OUTCOMES])
    assert shown_rows(live.store) == expected


def test_every_raw_event_stands_in_one_account_at_any_time(live: LiveStore) -> None:
    written = script_of(files(), messages=12)
    script = Script(epoch=0)
    log = MemoryLog(dict.fromkeys(TOPICS, 1))
    consumer = consumer_of(live, log)
    chance = random.Random(1)
    while any(len(script.topics[topic]) < len(entries) for topic, entries in written.topics.items()):
        ahead = {topic: len(entries) for topic, entries in script.topics.items()}
        for topic in (FACTS, DEAD_LETTERS):
            script.topics[topic] += written.topics[topic][ahead[topic] : ahead[topic] + chance.randint(0, 6)]
        said = written.topics[OUTCOMES][ahead[OUTCOMES] : ahead[OUTCOMES] + 1]
        script.topics[OUTCOMES] += said if chance.random() < 0.5 and is_known(said, script) else []
        log_of(script.topics, log)
        consumer.take(*consumer.poll())
        for row in live.store.rows("SELECT source, unaccounted_count FROM accounts"):
            assert row["unaccounted_count"] == 0


def is_known(said: list[Entry], script: Script) -> bool:
    """Return whether the facts that an outcome tells of are in the log: correlate says nothing of others."""
    from schemas.packing import head_of

    return all(head_of(entry.value or b"").get("last", -1) < len(script.topics[FACTS]) for entry in said)


def test_facts_wait_until_something_is_said_of_them(live: LiveStore) -> None:
    script = Script()
    script.ingest("pbx", "f", [call("pbx:f:1", "10:00")])
    script.ingest("pbx", "f", [call("pbx:f:2", "10:00")])
    script.claim()
    script.say(Group(0, 0))
    consumer = consumer_of(live, log_of(script.topics))

    follow(consumer)

    assert live.progress.offsets[FACTS] == 1
    assert consumer.status.ends[FACTS] == 2


def test_a_store_goes_on_where_it_was(path: Path, expected: dict[str, list[str]]) -> None:
    script = script_of(files(), messages=12)
    log = MemoryLog(dict.fromkeys(TOPICS, 1))
    for share in (3, 7, 100):
        part = Script(topics={topic: entries[: share * len(entries) // 10] for topic, entries in script.topics.items()})
        log_of((part if share < 10 else script).topics, log)
        with live_store(path) as live:
            consumer = consumer_of(live, log)
            follow(consumer)
            assert follow(consumer) == 0

    with Store.open(path) as store:
        assert shown_rows(store) == expected


def test_gaps_in_a_topic_are_passed(live: LiveStore) -> None:
    script = Script()
    script.ingest("pbx", "f", [call("pbx:f:1", "10:00")])
    script.claim()
    script.say(Group(0, 0))
    log = log_of(script.topics)
    for topic in TOPICS:
        log.skip(topic, 0, 3)

    follow(consumer_of(live, log))

    assert live.progress.offsets[FACTS] == 1


def test_what_retention_took_before_the_store_had_it_stops_the_sink(live: LiveStore) -> None:
    script = script_of(files(), messages=12)
    log = log_of({topic: entries[:2] for topic, entries in script.topics.items()})
    follow(consumer_of(live, log))
    log_of(script.topics, log)
    log.expire(OUTCOMES, 0, 5)

    with pytest.raises(ConfigurationError, match=r"outcomes/0 begins at 5.*needs 2: retention was shorter"):
        consumer_of(live, log).poll()


def test_a_new_store_begins_with_what_is_kept_and_says_so(live: LiveStore) -> None:
    log = log_of(script_of(files(), messages=12).topics)
    log.expire(DEAD_LETTERS, 0, 2)
    heard: list[str] = []

    follow(consumer_of(live, log, heard))

    assert live.store.rows("SELECT count(*) AS n FROM dead_letters") == [{"n": 3}]
    assert heard == ["dead-letters/0 begins at 2: what was before is not kept any more and will be missing"]


def test_a_topic_that_was_made_anew_stops_the_sink(live: LiveStore) -> None:
    follow(consumer_of(live, log_of(script_of(files()).topics)))

    with pytest.raises(ConfigurationError, match="the topic was made anew"):
        consumer_of(live, MemoryLog(dict.fromkeys(TOPICS, 1))).poll()


def test_damaged_outcomes_stop_the_sink(live: LiveStore) -> None:
    script = Script()
    script.claim()
    script.write(OUTCOMES, b"nonsense")
    consumer = consumer_of(live, log_of(script.topics))

    with pytest.raises(ConfigurationError, match="outcomes@1"):
        consumer.take(*consumer.poll())
    assert live.progress.offsets[OUTCOMES] == 0


# As a process


class SilentLog(MemoryLog):
    """A broker that does not answer a number of times."""

    silences = 2

    def end(self, topic: str, partition: int) -> int:
        if self.silences:
            self.silences -= 1
            raise TransientError("the broker is silent")
        return super().end(topic, partition)


def running(consumer: Consumer, is_done: Callable[[], bool]) -> None:
    """Run a consumer in a thread until something holds, and stop it."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            consumer.run(stop)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 20
    while not is_done() and time.monotonic() < deadline and thread.is_alive():
        time.sleep(0.02)
    stop.set()
    thread.join(timeout=5)
    assert not thread.is_alive()
    if failures:
        raise failures[0]
    assert is_done()


class Pause(threading.Event):
    """Ends a consumer at its first pause, and tells how long that would have been."""

    seconds: float | None = None

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds = timeout
        self.set()
        return True


@pytest.mark.parametrize(
    ("bulk_bytes", "seconds", "pause"), [(10**9, 7.0, 0.0), (0, 7.0, 0.3), (0, 0.25, 0.25), (0, 0.01, 0.09)]
)
def test_after_much_the_next_is_gathered_for_as_long_as_it_took_with_a_limit_and_after_little_it_is_not(
    live: LiveStore, bulk_bytes: int, seconds: float, pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = consumer_of(live, log_of(script_of(files()).topics))
    clock, apply = [0.0], live.apply

    def slow(*topics: list[Entry]) -> Applied:
        clock[0] += seconds
        return apply(*topics)

    monkeypatch.setattr("sinks.consumer.BULK_BYTES", bulk_bytes)
    monkeypatch.setattr("sinks.consumer.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(live, "apply", slow)
    stop = Pause()

    consumer.run(stop)

    assert stop.seconds == pytest.approx(pause)


def test_a_silent_broker_is_asked_again(live: LiveStore, expected: dict[str, list[str]]) -> None:
    log = SilentLog(dict.fromkeys(TOPICS, 1))
    log.silences = 0
    script = script_of(files())
    log_of(script.topics, log)
    log.silences = 2
    heard: list[str] = []
    consumer = consumer_of(live, log, heard)

    running(consumer, lambda: live.progress.offsets[OUTCOMES] == len(script.topics[OUTCOMES]))

    assert shown_rows(live.store) == expected
    assert heard == ["waiting: the broker is silent", "going on"]


def test_a_full_disk_pauses_the_sink_before_anything_breaks(live: LiveStore, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [10, 10, 10**9]
    script = script_of(files())
    heard: list[str] = []
    consumer = consumer_of(live, log_of(script.topics), heard, least_free_bytes=10**6)
    usage = lambda folder: type("Usage", (), {"free": free.pop(0) if len(free) > 1 else free[0]})  # noqa: E731
    monkeypatch.setattr("sinks.consumer.shutil.disk_usage", usage)
    monkeypatch.setattr("sinks.consumer._PAUSE", 0.05)

    running(consumer, lambda: live.progress.offsets[OUTCOMES] == len(script.topics[OUTCOMES]))

    assert heard == ["paused: 0.0 MB free on the store's disk, 1.0 MB needed", "going on"]


CHILD = """
    import pickle, random, sys
    from pathlib import Path
    from sinks.consumer import Consumer
    from tests.live import live_store, log_of
    from tests.stores import NOON

    path, seed = Path(sys.argv[1]), int(sys.argv[2])
    log = log_of(pickle.loads(path.with_suffix(".pickle").read_bytes()))
    size = random.Random(seed).choice([1, 3_000, 9_000])
    print("ready", flush=True)
    with live_store(path) as live:
        {prepare}
        consumer = Consumer(live, log, 0, now=lambda: NOON, least_free_bytes=0, batch_bytes=size)
        while any(batch := consumer.poll()):
            consumer.take(*batch)
            if random.random() < 0.2:
                live.settle()
"""


def child_code(path: Path, prepare: str = "pass") -> str:
    """Return a program that follows a log to its end; leave the log beside the store."""
    topics = script_of(files(), messages=30).topics
    path.with_suffix(".pickle").write_bytes(pickle.dumps(topics))
    return textwrap.dedent(CHILD).format(prepare=prepare)


def test_kills_at_any_moment_lose_and_double_nothing(path: Path, expected: dict[str, list[str]]) -> None:
    code = child_code(path)
    chance = random.Random(7)
    for attempt in range(12):
        with subprocess.Popen([sys.executable, "-c", code, str(path), str(attempt)], cwd=ROOT, stdout=-1) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0.0, 0.8))
            child.send_signal(signal.SIGKILL)
    with live_store(path) as live:
        follow(consumer_of(live, log_of(pickle.loads(path.with_suffix(".pickle").read_bytes()))))
        assert shown_rows(live.store) == expected


def test_a_write_that_finds_no_room_loses_nothing_that_was_written(path: Path, expected: dict[str, list[str]]) -> None:
    live_store(path).close()
    limit = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000)); "
        "live.store.connection.execute(\"SET checkpoint_threshold = '1KB'\")"
    )
    failed = subprocess.run(
        [sys.executable, "-c", child_code(path, limit), str(path), "0"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert failed.returncode == 1, failed.stderr
    assert "TransientError: no space left to write" in failed.stderr
    with live_store(path) as live:
        assert live.progress.offsets[FACTS] > 0
        follow(consumer_of(live, log_of(script_of(files(), messages=30).topics)))
        assert shown_rows(live.store) == expected
