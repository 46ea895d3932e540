"""The sink killed at each operation on its files while it writes one batch: the batch is there whole, or not at all."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from schemas.topics import DEAD_LETTERS, FACTS, OUTCOMES
from sinks.store import Store
from tests.live import Script, live_store, replayed, script_of, shown_rows
from tests.unit.test_live_store import FILES

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace counts and stops the operations")

ROOT = Path(__file__).resolve().parents[3]
CALLS = "write,pwrite64,writev,fsync,fdatasync,ftruncate,unlink,rename"
# So many are tried, spread over all of them; 0: each.
MOST = int(os.environ.get("BYPASSFLOW_OPERATIONS", "12"))


def cut(script: Script) -> dict[str, int]:
    """Return how many messages of each topic the first batch holds: half of them, all that is said of these."""
    return {topic: len(script.topics[topic]) // 2 for topic in (FACTS, OUTCOMES, DEAD_LETTERS)}


def apply(path: Path, is_second: bool) -> None:
    """Write a batch and close the store."""
    script = script_of(FILES)
    ends = cut(script)
    with live_store(path) as live:
        if is_second:
            live.apply(*(script.topics[topic] for topic in ends))
        else:
            live.apply(*(script.topics[topic][:end] for topic, end in ends.items()))


def killed_at(path: Path, number: int | None, log: Path) -> int:
    """Write the second batch in a process that is killed at one of its operations; return how many it began.

    Operations are counted for each thread by itself; nearly all are the main thread's.
    """
    inject = [] if number is None else ["-e", f"inject={CALLS}:signal=SIGKILL:when={number}"]
    done = subprocess.run(
        [
            "strace", "-f", "-o", str(log), "-P", str(path), "-P", f"{path}.wal", "-e", f"trace={CALLS}", *inject,
            sys.executable, str(Path(__file__)), str(path),
        ],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode in (0, 128 + signal.SIGKILL, -signal.SIGKILL), done.stderr
    assert (done.returncode == 0) is (number is None), done.stderr
    return max(Counter(re.findall(r"^(\d+) +\w+\(", log.read_text(), re.MULTILINE)).values())


def rows(path: Path) -> dict[str, list[str]]:
    with Store.open(path) as store:
        return shown_rows(store)


def test_a_batch_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    first = tmp_path / "first.duckdb"
    apply(first, is_second=False)
    before = rows(first)
    after = rows(replayed(tmp_path / "replayed.duckdb", FILES))
    counted = Path(shutil.copy(first, tmp_path / "counted.duckdb"))
    operations = killed_at(counted, None, tmp_path / "counted.log")
    assert operations > 5
    assert rows(counted) == after

    tried = MOST or operations
    numbers = sorted({1 + place * (operations - 1) // (tried - 1) for place in range(tried)})
    kept = []
    for number in numbers:
        path = Path(shutil.copy(first, tmp_path / f"killed-{number}.duckdb"))
        killed_at(path, number, tmp_path / f"{number}.log")
        with live_store(path):
            pass
        found = rows(path)
        assert found in (before, after), number
        kept.append(found == after)
        apply(path, is_second=True)
        assert rows(path) == after, number

    assert kept == sorted(kept), kept


if __name__ == "__main__":
    apply(Path(sys.argv[1]), is_second=True)
