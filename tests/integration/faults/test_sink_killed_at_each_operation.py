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

# CI has it, or fails.
pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None and not os.environ.get("CI"), reason="strace counts and stops the operations"
)

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


def traced(path: Path, point: tuple[str, int] | None = None) -> tuple[list[tuple[str, int]], bool]:
    """Write the second batch in a process; return its operations on the files, and whether it was killed.

    An operation is a name and its number among its like.

    The process is killed when it begins the operation `point`. Strace numbers operations by thread and by name, and
    which thread writes is not always the same: now and then there is no such operation, and it ends well.
    """
    log = path.with_suffix(".log")
    inject = [] if point is None else ["-e", f"inject={point[0]}:signal=SIGKILL:when={point[1]}"]
    done = subprocess.run(
        [
            "strace", "-f", "-o", str(log), "-P", str(path), "-P", f"{path}.wal", "-e", f"trace={CALLS}", *inject,
            sys.executable, str(Path(__file__)), str(path),
        ],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode in (0, 128 + signal.SIGKILL, -signal.SIGKILL), done.stderr
    counts: Counter[tuple[str, str]] = Counter()
    points: dict[tuple[str, int], None] = {}
    for thread, call in re.findall(r"^(\d+) +(\w+)\(", log.read_text(), re.MULTILINE):
        counts[thread, call] += 1
        points[call, counts[thread, call]] = None
    return list(points), done.returncode != 0


def rows(path: Path) -> dict[str, list[str]]:
    with Store.open(path) as store:
        return shown_rows(store)


def test_a_batch_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    first = tmp_path / "first.duckdb"
    apply(first, is_second=False)
    before = rows(first)
    after = rows(replayed(tmp_path / "replayed.duckdb", FILES))
    counted = Path(shutil.copy(first, tmp_path / "counted.duckdb"))
    operations, _ = traced(counted)
    assert len(operations) > 10
    assert rows(counted) == after

    tried = MOST or len(operations)
    points = [operations[place * (len(operations) - 1) // (tried - 1)] for place in range(tried)]
    kept, killed_count = [], 0
    for call, number in dict.fromkeys(points):
        path = Path(shutil.copy(first, tmp_path / f"{call}-{number}.duckdb"))
        _, was_killed = traced(path, (call, number))
        killed_count += was_killed
        with live_store(path):
            pass
        found = rows(path)
        assert found in (before, after), (call, number)
        kept.append(found == after)
        apply(path, is_second=True)
        assert rows(path) == after, (call, number)

    assert killed_count > len(kept) // 2
    # The first operation came too early for the batch, and the last one when all was done.
    assert (kept[0], kept[-1]) == (False, True), kept
    print(f"killed at {killed_count} of {len(operations)} operations; {sum(kept)} times the batch was there")


if __name__ == "__main__":
    apply(Path(sys.argv[1]), is_second=True)
