"""All receivers in one process: started together, and ended in order, so that what was acknowledged is kept."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

from agents.receivers.outbox import Outbox
from agents.receivers.reading import Reader
from pipeline.errors import BypassflowError
from schemas.announcements import Announcement
from schemas.log import Log
from schemas.receive import ReceiveSettings

# An end takes ten seconds at most: requests that were begun, then what waits for the broker. Unit: seconds.
_FINISHING: Final = 4.0
_SENDING: Final = 4.0


class Receiver(Protocol):
    """Something that takes in events."""

    name: str

    async def open(self) -> None:
        """Make ready.

        Raises:
            ConfigurationError: when that cannot be done as configured.
        """
        ...

    async def run(self) -> None:
        """Work until cancelled."""
        ...

    async def close(self, patience: float) -> None:
        """Take in nothing new, and finish what was begun within so many seconds. Called once `run` was cancelled."""
        ...


Build = Callable[[Outbox, Reader], Sequence[Receiver]]
# Tells of the records on their way while it is entered.
Watch = Callable[[Outbox], AbstractContextManager[object]]


def _unwatched(outbox: Outbox) -> AbstractContextManager[object]:
    return nullcontext()


def run(
    build: Build,
    log: Log,
    partitions: int,
    settings: ReceiveSettings,
    reader: Callable[[], Reader],
    tell: Callable[[str], None],
    watch: Watch = _unwatched,
) -> None:
    """Receive until SIGTERM or SIGINT. `partitions` of each raw topic; `watch` is entered meanwhile.

    Raises:
        BypassflowError: when it cannot start or go on.
    """
    try:
        left = asyncio.run(_run(build, log, partitions, settings, reader, tell, watch))
    except (BypassflowError, OSError):
        raise
    except Exception as error:
        # Without its words, which may hold what somebody sent.
        from agents.app import end_process

        end_process(error)
    if left:
        # A thread still waits for a broker that is away, and an orderly end would wait for it.
        tell(f"ended; {left:,} records were not confirmed by the broker, and so not acknowledged to anybody")
        sys.stderr.flush()
        os._exit(0)


async def _run(
    build: Build,
    log: Log,
    partitions: int,
    settings: ReceiveSettings,
    make_reader: Callable[[], Reader],
    tell: Callable[[str], None],
    watch: Watch,
) -> int:
    """Return how many records were left unconfirmed at the end."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    outbox = Outbox(log, partitions, settings.waiting_records, settings.waiting_bytes, tell)
    reader = make_reader()
    opened: list[Receiver] = []
    try:
        for receiver in build(outbox, reader):
            await receiver.open()
            opened.append(receiver)
            tell(Announcement(f"receiving: {receiver.name}", "receiver ready", receiver=receiver.name))
        with watch(outbox):
            await _work(opened, outbox, stop)
    finally:
        await asyncio.gather(*(receiver.close(_FINISHING) for receiver in opened), return_exceptions=True)
        await outbox.close(_SENDING)
        reader.close()
    return outbox.waiting_count


async def _work(receivers: Sequence[Receiver], outbox: Outbox, stop: asyncio.Event) -> None:
    """Let all receivers work until there is a reason to end.

    Raises:
        BypassflowError: when the broker refuses us for a reason that does not pass.
        Exception: what a receiver did not expect.
    """
    working = [asyncio.create_task(receiver.run(), name=receiver.name) for receiver in receivers]
    stopping = asyncio.create_task(stop.wait())
    waited_for: set[asyncio.Future[object]] = {*working, stopping, outbox.failure}  # type: ignore[arg-type]
    done, _ = await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    if outbox.failure in done:
        raise outbox.failure.result()
    for task in working:
        if task in done and (error := task.exception()) is not None:
            raise error
