"""A replay that is killed leaves the store as it was, or whole, and is simply run again.

The killed replays are processes of their own. They are forked from one that has imported everything: the moments are
then spread over the work, and not over the import of libraries.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import cache
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.integration.companies import (
    assert_same_rows,
    bypassflow,
    few_days,
    few_days_rows,
    place,
    replay,
    rows_of,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads another process's clock as Linux does")

KILL_COUNT = 20
_IMPORTED = (
    "tests.integration.test_replay_killed", "pipeline.engine", "pipeline.replay", "pipeline.sources.discovery",
    "pipeline.sources.asterisk", "pipeline.sources.mailbox", "pipeline.sources.salesforce",
    "pipeline.sources.feeding", "sinks.build", "sinks.measures",
)  # fmt: skip


def moments() -> list[float]:
    """Return random moments in the life of a replay, as shares of it: one in each twentieth."""
    rng = random.Random(20)
    return [(number + rng.random()) / KILL_COUNT for number in range(KILL_COUNT)]


LATER = moments()[::4]
FIRST = [moment for moment in moments() if moment not in LATER]


@pytest.mark.parametrize("moment", FIRST, ids=lambda moment: f"after {moment:.1%} of its work")
def test_a_first_replay_killed_at_any_moment_leaves_no_store_or_a_whole_one_and_is_run_again(
    moment: float, tmp_path: Path
) -> None:
    db = tmp_path / "flow.duckdb"

    kill_after(moment * life_seconds(), started(run, db))

    if db.exists():
        assert_same_rows(rows_of(db), few_days_rows())
    replay(db, few_days())
    assert_same_rows(rows_of(db), few_days_rows())
    assert os.listdir(tmp_path) == [db.name]


@pytest.mark.parametrize("moment", LATER, ids=lambda moment: f"after {moment:.1%} of its work")
def test_a_later_replay_killed_at_any_moment_leaves_the_old_store_or_the_new_one_and_is_run_again(
    moment: float, tmp_path: Path
) -> None:
    db = Path(shutil.copy(older_store(), tmp_path / "flow.duckdb"))

    kill_after(moment * life_seconds(), started(run, db))

    kept = rows_of(db)
    assert_same_rows(kept, older_rows() if kept == older_rows() else few_days_rows())
    replay(db, few_days())
    assert_same_rows(rows_of(db), few_days_rows())
    assert os.listdir(tmp_path) == [db.name]


@pytest.mark.parametrize(
    ("call", "is_done", "is_new"),
    [("fsync", False, False), ("replace", False, False), ("replace", True, True)],
    ids=["before the new store is synced", "before it is moved to its place", "right after it was moved"],
)
def test_a_replay_killed_while_it_publishes_leaves_the_old_store_or_the_new_one(
    call: str, is_done: bool, is_new: bool, tmp_path: Path
) -> None:
    db = Path(shutil.copy(older_store(), tmp_path / "flow.duckdb"))

    process = started(run_and_die, db, call, is_done)
    process.join()

    assert process.exitcode == -signal.SIGKILL
    assert_same_rows(rows_of(db), few_days_rows() if is_new else older_rows())
    replay(db, few_days())
    assert_same_rows(rows_of(db), few_days_rows())
    assert os.listdir(tmp_path) == [db.name]


# Processes


@cache
def forking() -> ForkServerContext:
    """Return what starts processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


def started(work: Callable[..., None], db: Path, *more: object) -> BaseProcess:
    """Start a replay of the company into a store."""
    few_days_rows()  # the company and its key are there
    process = forking().Process(target=work, args=(few_days(), db, *more))
    process.start()
    return process


def run(company: Path, db: Path) -> None:
    """Replay, in a process of its own."""
    sys.exit(bypassflow("replay", company, "--db", db).exit_code)


def run_and_die(company: Path, db: Path, call: str, is_done: bool) -> None:
    """Replay, and kill this very process at its first call of a function, before or after it."""
    original = getattr(os, call)

    def deadly(*arguments: object) -> None:
        if is_done:
            original(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, call, deadly)
    run(company, db)


def kill_after(seconds: float, process: BaseProcess) -> None:
    """Kill a process when it has used so many seconds of processor time; one that was faster has ended well."""
    pid = process.pid
    assert pid is not None
    while process.is_alive():
        if processor_seconds(pid) >= seconds:
            process.kill()
            break
        time.sleep(0.001)
    process.join()
    assert process.exitcode in (-signal.SIGKILL, 0)


@cache
def life_seconds() -> float:
    """Return how much processor time a replay needs."""
    process = started(run, place("measured.duckdb"))
    pid = process.pid
    assert pid is not None
    seconds = 0.0
    while process.is_alive():
        seconds = max(seconds, processor_seconds(pid))
        time.sleep(0.005)
    assert process.exitcode == 0
    return seconds


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process, all its threads; 0 when it has ended. Source: clock_getcpuclockid(3)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


@cache
def older_store() -> Path:
    """Return a store of some of the company's files. To be read only."""
    company = few_days()
    return replay(
        place("older.duckdb"), company / "asterisk", company / "salesforce", config=company / "bypassflow.toml"
    )


@cache
def older_rows() -> dict[str, list[str]]:
    """Return what that store holds."""
    return rows_of(older_store())
