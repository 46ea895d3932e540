"""Work at a desk: brought to its end before anything is acknowledged, and never acknowledged when it failed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from agents.app import Desk
from agents.exit_codes import EXIT_CONFIGURATION, EXIT_DEFECT, EXIT_TRANSIENT

FAILING = """
import asyncio
from agents.app import Desk
from commands import logs
from pipeline.errors import ConfigurationError, TransientError

logs.begin()

def work():
    raise {error}

async def agent():
    await Desk("test").do(work)
    print("acknowledged")

asyncio.run(agent())
"""


def test_work_is_done_on_another_thread_and_its_result_returned() -> None:
    assert asyncio.run(Desk("test").do(threading.get_ident)) != threading.get_ident()


def test_a_cancelled_agent_brings_its_work_to_an_end_first() -> None:
    done: list[str] = []

    def work() -> None:
        time.sleep(0.3)
        done.append("work")

    async def agent() -> None:
        try:
            await Desk("test").do(work)
        finally:
            done.append("acknowledged")

    async def cancelled() -> None:
        task = asyncio.create_task(agent())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert done == ["work", "acknowledged"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("ValueError('+358401234567')", EXIT_DEFECT),
        ("TransientError('the broker is away')", EXIT_TRANSIENT),
        ("ConfigurationError('no such topic')", EXIT_CONFIGURATION),
    ],
)
def test_an_error_ends_the_process_before_anything_is_acknowledged(error: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAILING.format(error=error)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code
    assert "acknowledged\n" not in done.stdout
    assert done.stderr.startswith("bypassflow: ")
    # An unexpected error's words may quote a message.
    assert "358401234567" not in done.stderr
