"""Answers while the store at a path is replaced: from the new one, or the old one while there is no other."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from fastapi.testclient import TestClient

from dashboard.web import make_app
from sinks.annotations import beside
from sinks.following import Following
from sinks.snapshots import write_snapshot
from sinks.store import RunRecord, Store
from tests.served import replayed_acme
from tests.stores import NOON, RUN, interaction_row, published, said

ROOT = Path(__file__).resolve().parents[2]


def store_of(path: Path, *outcomes: str, run: RunRecord = RUN) -> Path:
    """Make a store of one interaction for each outcome at a path, as a replay does."""
    rows = [interaction_row(f"i{number}", outcome) for number, outcome in enumerate(outcomes)]
    return published(path, changes=said(rows), run=run)


def later(days: int) -> RunRecord:
    return replace(RUN, finished_at=NOON + timedelta(days=days))


def open_files(name: str) -> list[str]:
    """Return which files of a name this process has open; of one that was replaced, with what Linux adds."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:
            continue
        if Path(target.removesuffix(" (deleted)")).name == name:
            found.append(target)
    return sorted(found)


class Served:
    """The application over what lies at a path, and what is said of that."""

    def __init__(self, path: Path) -> None:
        self.told: list[str] = []
        self.following = Following(path, self.told.append)
        app = make_app(self.following.asking, annotations=beside(path), now=lambda: NOON)
        self.client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)

    def count(self) -> int:
        answer = self.client.get("/v1/bypass-share")
        assert answer.status_code == 200
        return int(answer.json()["overall"]["interaction_count"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return store_of(tmp_path / "bypass.duckdb", "traced")


@pytest.fixture
def served(path: Path) -> Iterator[Served]:
    made = Served(path)
    yield made
    made.following.close()


def test_a_store_that_was_replaced_answers_anew_under_another_etag(path: Path, served: Served) -> None:
    first = served.client.get("/v1/bypass-share")
    store_of(path, "traced", "bypassed", run=later(1))

    assert served.following.look()
    known = {"If-None-Match": first.headers["etag"]}
    again = served.client.get("/v1/bypass-share", headers=known)

    assert first.json()["overall"]["interaction_count"] == 1
    assert (again.status_code, again.json()["overall"]["interaction_count"]) == (200, 2)
    assert served.told == [
        f"the store {path} was replaced; answers come from the new one, made by the run that ended 2024-03-05 12:00 "
        "(UTC)"
    ]
    assert not served.following.look()


def test_two_stores_of_as_many_runs_that_ended_at_the_same_time_have_two_etags(path: Path, served: Served) -> None:
    first = served.client.get("/v1/bypass-share").headers["etag"]
    store_of(path, "bypassed", run=replace(RUN, configuration_digest="c2"))
    served.following.look()
    assert served.client.get("/v1/bypass-share").headers["etag"] != first


def test_a_store_may_be_replaced_many_times_and_only_the_newest_stays_open(path: Path, served: Served) -> None:
    for number in range(2, 6):
        store_of(path, *["traced"] * number, run=later(number))
        assert served.following.look()
        assert served.count() == number
        assert set(open_files(path.name)) == {str(path)}


def test_a_question_under_way_ends_on_the_store_on_which_it_began(path: Path, served: Served) -> None:
    began, replaced = threading.Event(), threading.Event()
    seen: list[tuple[int, int]] = []

    def question(store: Store) -> None:
        def count() -> int:
            return int(store.rows("SELECT count(*) AS n FROM interactions")[0]["n"])

        before = count()
        began.set()
        replaced.wait(20)
        seen.append((before, count()))

    asking = threading.Thread(target=served.following.asking.ask, args=(question,))
    asking.start()
    assert began.wait(20)
    store_of(path, "traced", "bypassed", run=later(1))
    assert served.following.look()

    assert served.count() == 2
    assert any(name.endswith("(deleted)") for name in open_files(path.name))
    replaced.set()
    asking.join()
    assert seen == [(1, 1)]
    assert set(open_files(path.name)) == {str(path)}


def test_two_stores_that_are_open_at_the_same_time_spill_into_folders_of_their_own(path: Path) -> None:
    # Into one folder, DuckDB 1.5 would write over what the other instance put there, and neither could go on.
    def spill(store: Store) -> str:
        return str(store.rows("SELECT current_setting('temp_directory') AS folder")[0]["folder"])

    def work(store: Store) -> int:
        store.connection.execute("SET memory_limit = '60MB'; SET threads = 2")
        return int(store.rows("SELECT count(DISTINCT hash(range)) AS n FROM range(5000000)")[0]["n"])

    with Store.open(path) as old:
        store_of(path, "traced", "bypassed", run=later(1))
        with Store.open_beside(path) as new:
            assert spill(old) != spill(new)
            with ThreadPoolExecutor(2) as threads:
                assert list(threads.map(work, (old, new))) == [5_000_000, 5_000_000]
    assert [entry.name for entry in path.parent.glob(".*spill*")] == []


def test_every_answer_under_concurrent_questions_is_whole_and_of_one_store(path: Path, served: Served) -> None:
    # Store n holds n interactions and its run ended n days later: an answer of two stores would show.
    stop = threading.Event()
    seen: set[tuple[int, datetime]] = set()
    failures: list[int] = []

    def ask() -> None:
        while not stop.is_set():
            answer = served.client.get("/v1/bypass-share")
            if answer.status_code != 200:
                failures.append(answer.status_code)
                continue
            told = answer.json()
            ended = datetime.fromisoformat(told["as_of"]["run_finished_at"]).replace(tzinfo=None)
            seen.add((told["overall"]["interaction_count"], ended))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    newest = 5
    try:
        for number in range(2, newest + 1):
            store_of(path, *["traced"] * number, run=later(number))
            served.following.look()
            assert served.count() == number
    finally:
        stop.set()
        for thread in asking:
            thread.join()

    assert failures == []
    ends = {1: RUN.finished_at} | {number: later(number).finished_at for number in range(2, newest + 1)}
    assert seen <= set(ends.items())


def test_a_snapshot_is_followed_through_its_link(tmp_path: Path) -> None:
    source = tmp_path / "live.duckdb"
    folder = tmp_path / "snapshots"
    store_of(source, "traced")
    with Store.open(source, read_only=False) as store:
        write_snapshot(store, folder, NOON)
    served = Served(folder / "current" / source.name)
    assert served.count() == 1
    store_of(source, "traced", "bypassed", run=later(1))
    for hours in (1, 2, 3):  # The first folder goes with the third snapshot.
        with Store.open(source, read_only=False) as store:
            write_snapshot(store, folder, NOON + timedelta(hours=hours))
        assert served.following.look()
        assert served.count() == 2
    served.following.close()


def lay(content: Path, path: Path) -> None:
    """Move a file into the place of another one."""
    os.replace(content, path)


def text(path: Path) -> Path:
    made = path.with_name("text")
    made.write_text("this is no store")
    return made


def empty(path: Path) -> Path:
    made = path.with_name("empty")
    made.touch()
    return made


def foreign(path: Path) -> Path:
    made = path.with_name("foreign")
    duckdb.connect(str(made)).close()
    return made


def of_version(path: Path, version: str) -> Path:
    made = store_of(path.with_name("other.duckdb"), "traced", "traced")
    with duckdb.connect(str(made)) as database:
        database.execute(f"UPDATE schema_version SET version = {version}")
    return made


def newer(path: Path) -> Path:
    return of_version(path, "version + 1")


def older(path: Path) -> Path:
    return of_version(path, "version - 1")


def half(path: Path) -> Path:
    whole = store_of(path.with_name("other.duckdb"), "traced", "traced")
    made = path.with_name("half")
    content = whole.read_bytes()
    made.write_bytes(content[: len(content) // 2])
    return made


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (text, "is not a DuckDB file"),
        (empty, "is not a DuckDB file"),
        (foreign, "no store of bypassflow"),
        (newer, "was written by a newer bypassflow"),
        (older, "was written by an older bypassflow"),
        (half, "is damaged|is not whole|cannot go on"),
    ],
)
def test_a_file_that_is_no_store_to_read_is_told_once_and_the_old_one_answers(
    path: Path, served: Served, make: Callable[[Path], Path], why: str
) -> None:
    lay(make(path), path)
    for _ in range(3):
        assert not served.following.look()
    assert served.count() == 1
    (sentence,) = served.told
    assert sentence.startswith("answers still come from the store before: ")
    assert any(part in sentence for part in why.split("|"))

    store_of(path.with_name("good.duckdb"), "traced", "bypassed", "siloed", run=later(1))
    lay(path.with_name("good.duckdb"), path)
    assert served.following.look()
    assert served.count() == 3


def test_a_copy_that_is_still_growing_is_read_when_it_is_whole(path: Path, served: Served) -> None:
    rows = [interaction_row(f"i{number}") for number in range(20_000)]
    whole = published(path.with_name("other.duckdb"), changes=said(rows), run=later(1)).read_bytes()
    copy = path.with_name("copy.duckdb")
    copy.write_bytes(b"")
    lay(copy, path)
    with path.open("ab") as stream:
        for part in range(4):
            stream.write(whole[part * len(whole) // 4 : (part + 1) * len(whole) // 4])
            stream.flush()
            is_whole = part == 3
            assert served.following.look() is is_whole
            assert served.count() == (20_000 if is_whole else 1)
    assert [sentence.partition(";")[0].partition(":")[0] for sentence in served.told] == [
        "answers still come from the store before",
        f"the store {path} was replaced",
    ]


def test_a_store_that_another_process_holds_is_read_when_that_lets_it_go(path: Path, served: Served) -> None:
    other = store_of(path.with_name("other.duckdb"), "traced", "bypassed", run=later(1))
    hold = f"import duckdb; held = duckdb.connect({str(other)!r}); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        lay(other, path)
        assert not served.following.look()
        assert served.count() == 1
        holder.stdin.write("\n")
    assert served.following.look()
    assert served.count() == 2
    assert "in use by" in served.told[0]
    assert len(served.told) == 2


def test_a_store_that_is_taken_away_goes_on_answering(path: Path, served: Served) -> None:
    path.unlink()
    for _ in range(2):
        assert not served.following.look()
    assert served.count() == 1
    assert served.told == [f"there is no store at {path} any more; answers still come from what lay there"]


def test_writing_over_the_file_is_told_because_nobody_can_read_on(path: Path, served: Served) -> None:
    other = store_of(path.with_name("other.duckdb"), "traced", "bypassed")
    shutil.copyfile(other, path)
    os.utime(path, (1, 1))
    for _ in range(2):
        assert not served.following.look()
    (sentence,) = served.told
    assert "was written to while it is being read" in sentence


def test_serve_follows_a_replay(tmp_path: Path) -> None:
    acme = replayed_acme(tmp_path)
    command = [sys.executable, str(ROOT / "cli.py"), "serve", "--db", str(acme), "--listen", "127.0.0.1:0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stderr is not None
            assert running.stdout.readline().startswith("http://127.0.0.1:")
            replayed_acme(tmp_path)
            assert running.stderr.readline().startswith(f"the store {acme} was replaced; answers come from the new one")
            running.send_signal(signal.SIGTERM)
            assert running.wait(20) == 0
        finally:
            running.kill()
