"""Children of a supervisor: real processes, short-lived."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.processes import Child, Failed, Supervisor

FOREVER = "import time; print('here', flush=True); time.sleep(600)"


def child(name: str, program: str) -> Child:
    return Child(name, [sys.executable, "-c", program])


def wait_until(is_so: Callable[[], bool], watch: Callable[[], None] = lambda: None) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        watch()
        time.sleep(0.05)


def test_what_a_child_writes_is_told_with_its_name() -> None:
    told: list[tuple[str, str]] = []
    supervisor = Supervisor([child("sink", FOREVER)], lambda name, line: told.append((name, line)))
    supervisor.start()
    wait_until(lambda: bool(told))
    supervisor.stop()
    assert told == [("sink", "here")]


def test_a_child_that_was_killed_is_started_again() -> None:
    supervisor = Supervisor([child("ingest", FOREVER)], lambda name, line: None)
    supervisor.start()
    first = supervisor.pid("ingest")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervisor.pid("ingest") not in (None, first), supervisor.watch)
    supervisor.stop()
    assert supervisor.pid("ingest") is None


@pytest.mark.parametrize("code", [1, 2, 78])
def test_a_child_that_cannot_begin_ends_the_whole(code: int) -> None:
    supervisor = Supervisor([child("sink", f"raise SystemExit({code})")], lambda name, line: None)
    supervisor.start()
    with pytest.raises(Failed, match=f"sink ended with code {code}"):
        wait_until(lambda: False, supervisor.watch)
    supervisor.stop()


def test_children_end_in_the_reverse_of_their_order(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    program = (
        "import signal, sys, time\n"
        "def end(*_):\n    open({path!r}, 'a').write({name!r}); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\ntime.sleep(600)"
    )
    told: list[str] = []
    names = ["sink ", "correlate ", "ingest "]
    children = [child(name.strip(), program.format(path=str(ends), name=name)) for name in names]
    supervisor = Supervisor(children, lambda name, line: told.append(line))
    supervisor.start()
    wait_until(lambda: len(told) == len(names))
    supervisor.stop()
    assert ends.read_text() == "ingest correlate sink "


def test_a_child_ends_with_its_supervisor(tmp_path: Path) -> None:
    program = (
        "import sys, time; sys.path.insert(0, {root!r})\n"
        "from agents.processes import Child, Supervisor\n"
        "s = Supervisor([Child('x', [sys.executable, '-c', {forever!r}])], lambda name, line: None); s.start()\n"
        "print(s.pid('x'), flush=True); time.sleep(600)"
    )
    import subprocess

    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", program.format(root=root, forever=FOREVER)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    wait_until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes())


def test_a_process_that_gives_way_stands_behind_the_others() -> None:
    told: list[str] = []
    program = "import os; from agents.processes import give_way; give_way(); print(os.nice(0), flush=True)"
    supervisor = Supervisor([child("ingest", program)], lambda name, line: told.append(line))
    supervisor.start()
    wait_until(lambda: bool(told))
    supervisor.stop()
    assert told == [f"{os.nice(0) + 5}"]
