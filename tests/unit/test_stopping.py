"""Ctrl-C and SIGTERM end a process, whatever it is just doing."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The main thread holds the event's lock whenever it begins or ends to wait.
PROGRAM = """
import os, sys
from commands.stopping import stop_at_signals
stop = stop_at_signals()
with stop._cond:
    os.kill(os.getpid(), int(sys.argv[1]))
sys.exit(0 if stop.wait(20) else 1)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_taken_while_the_event_is_held(number: signal.Signals) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(int(number))], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0
