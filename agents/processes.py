"""The processes of a pipeline as children of one: started in order, again when they die, and ended in order."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from agents.exit_codes import EXIT_CONFIGURATION

# How long a child may take to end before it is killed, and how soon a dead one is started again. Unit: seconds.
PATIENCE = 10.0
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
# A child that ran this long is well; its next start waits no longer than its first. Unit: seconds.
WELL_AFTER = 10.0
_PR_SET_PDEATHSIG = 1
# How many steps of the scheduler a process that gives way stands behind the others of its machine.
_STEPS_BEHIND = 5
# What Faust tells a terminal, though there is none.
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Child:
    """One process: its name in the log, its command, and how it is doing."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    started_at: float = 0.0
    delay: float = FIRST_DELAY
    due_at: float = 0.0
    was_well: bool = False


class Failed(Exception):
    """A child ended in a way that starting it again cannot mend; `name` and `code` tell which and how."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} ended with code {code}")
        self.name = name
        self.code = code


class Supervisor:
    """Keeps children running. Their output goes line by line to `write`, after the name of the child."""

    def __init__(self, children: Sequence[Child], write: Callable[[str, str], None]) -> None:
        self._children = list(children)
        self._write = write
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start all children, in order."""
        for child in self._children:
            self._start(child)

    def watch(self) -> None:
        """Look after the children once; to be called several times a second.

        Raises:
            Failed: when a child ends in a way that starting it again cannot mend.
        """
        now = time.monotonic()
        for child in self._children:
            if child.process is None:
                if now >= child.due_at:
                    self._start(child)
                continue
            code = child.process.poll()
            if code is None:
                continue
            is_well = now - child.started_at > WELL_AFTER
            child.was_well |= is_well
            # What it said at its very start will be said again; later it may be the broker that is away.
            if code == EXIT_CONFIGURATION or (code in (1, 2) and not child.was_well):
                raise Failed(child.name, code)
            child.delay = FIRST_DELAY if is_well else min(child.delay * 2, LONGEST_DELAY)
            child.due_at = now + child.delay
            child.process = None
            self._say(child.name, f"ended with code {code}; starts again in {child.delay:.1f} s")

    def stop(self) -> None:
        """End the children, the last one first, each when the one before has ended."""
        for child in reversed(self._children):
            process, child.process = child.process, None
            if process is None or process.poll() is not None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._say(child.name, f"did not end within {PATIENCE:.0f} s and is killed; nothing is lost")
                process.kill()
                process.wait()

    def pid(self, name: str) -> int | None:
        """Return the process id of a child that runs."""
        for child in self._children:
            if child.name == name and child.process is not None and child.process.poll() is None:
                return child.process.pid
        return None

    def _start(self, child: Child) -> None:
        child.started_at = time.monotonic()
        child.process = subprocess.Popen(
            child.command,
            env={**os.environ, **child.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C reaches the whole terminal group: the children wait for the supervisor's order instead.
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        assert child.process.stdout is not None
        threading.Thread(target=self._relay, args=(child.name, child.process.stdout), daemon=True).start()

    def _relay(self, name: str, output: IO[str]) -> None:
        for line in output:
            if text := "".join(filter(str.isprintable, _TERMINAL_CODES.sub("", line))).strip():
                self._say(name, text)

    def _say(self, name: str, text: str) -> None:
        with self._lock:
            self._write(name, text)


def die_with_parent() -> None:
    """Let the kernel end a child whose supervisor was killed (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def give_way() -> None:
    """Let the other processes of this machine run first (POSIX only).

    For what stands early in a pipeline: where processors are scarce, what was read is then carried to its end before
    more is read, and no long tail is left to the last process alone.
    """
    if sys.platform != "win32":
        os.nice(_STEPS_BEHIND)
