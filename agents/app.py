"""Faust apps as bypassflow runs them: bytes in, one agent, in order, and nothing acknowledged that is not done.

An exception in a Faust agent acknowledges the event, and of a batch all of them: they would be lost. So whatever an
agent does not expect ends the process at once, and the next start reads the same messages again.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import logging
import os
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import faust

from agents.delivery import Fetch, deliver_runs
from agents.exit_codes import EXIT_CONFIGURATION, EXIT_DEFECT, EXIT_TRANSIENT
from pipeline.errors import BypassflowError, TransientError
from schemas.announcements import Announcement
from schemas.log import NO_HEADERS, Entry
from schemas.topics import MAX_MESSAGE_BYTES

# New objects before the collector looks for cycles: a batch is hundreds of thousands of them, none in a cycle, and
# looking at them again and again was a fifth of what intake costs.
_OBJECTS_BETWEEN_COLLECTIONS: Final = 200_000
# For topics of packed messages: the next one, as soon as there is one.
LARGE_FETCH: Final = Fetch(2 * MAX_MESSAGE_BYTES)
# For topics of single records: small beside the answer's limit (aiokafka: 50 MiB), so that one fetch takes all
# partitions forward together, and not a fetch for every record that comes.
SMALL_FETCH: Final = Fetch(256 * 1024, least_bytes=64 * 1024, wait=0.1)

# A worker that died without a word gives up its partitions after this. Unit: seconds.
SESSION_TIMEOUT: Final = 10.0
_LOG: Final = logging.getLogger("bypassflow")
T = TypeVar("T")


class _App(faust.App):
    """An app without tables, and so without folders for them in the directory that it is started in."""

    def _create_directories(self) -> None:
        pass


class _Worker(faust.Worker):
    """A worker that logs as its process does: its own way would take the place of that."""

    def _setup_logging(self) -> None:
        pass


def make_app(group: str, connection: dict[str, Any], name: str | None = None, fetch: Fetch = LARGE_FETCH) -> faust.App:
    """Return an app of a consumer group; the values of its events are runs, see `agents.delivery`.

    `connection` holds the broker's addresses and credentials as Faust wants them. `name` stays the same over restarts
    of a worker, so that its coming back moves no partitions; two workers of a group never share one.
    """
    app = _App(
        group,
        **connection,
        autodiscover=False,
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        processing_guarantee="at_least_once",
        broker_session_timeout=SESSION_TIMEOUT,
        broker_heartbeat_interval=SESSION_TIMEOUT / 4,
        broker_request_timeout=3 * SESSION_TIMEOUT,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=name,
        # Runs, each of up to thousands of messages.
        stream_buffer_maxsize=16,
        stream_wait_empty=True,
        worker_redirect_stdouts=False,
        web_enabled=False,
        web_tables_enabled=False,
    )
    deliver_runs(app, fetch)
    return app


def entries_of(events: Sequence[Any]) -> Iterator[tuple[str, int, Entry]]:
    """Yield the messages of delivered runs: topic by its full name, partition, and the message as the core has it."""
    for event in events:
        for record in event.value.records:
            headers = dict(record.headers) if record.headers else NO_HEADERS
            yield (
                record.topic,
                record.partition,
                Entry(record.offset, record.value, record.key, headers, record.timestamp),
            )


class Desk:
    """Where an agent's work is done: on one thread of its own, so that the group's heartbeats go on meanwhile."""

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def do(self, work: Callable[[], T]) -> T:
        """Return what the work returns; on an error end the process, so that nothing is acknowledged.

        A cancelled agent acknowledges what it holds: the work is brought to its end before that.
        """
        doing = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            await asyncio.shield(asyncio.wait({doing}))
        except asyncio.CancelledError:
            await asyncio.wait({doing})
            self._outcome(doing)
            raise
        return self._outcome(doing)

    @staticmethod
    def _outcome(done: asyncio.Future[T]) -> T:
        error = done.exception()
        if error is not None:
            end_process(error)
        return done.result()

    def close(self) -> None:
        """Wait for the work that was begun."""
        self._threads.shutdown(wait=True)


def end_process(error: BaseException) -> Any:
    """End this process now, with a sentence in the log. An unexpected error's own words are not shown.

    They might hold what a message held.
    """
    if isinstance(error, BypassflowError):
        sentence = str(error)
        code = EXIT_TRANSIENT if isinstance(error, TransientError) else EXIT_CONFIGURATION
    else:
        places = "".join(
            f"\n  {frame.filename}:{frame.lineno} in {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
        )
        sentence = (
            f"unexpected {type(error).__name__}, nothing was acknowledged; the next start takes it up again{places}"
        )
        code = EXIT_DEFECT
    _LOG.critical("%s", sentence)
    os._exit(code)


async def _nothing() -> None:
    return


def run(app: faust.App, before_stop: Callable[[], Awaitable[None]] = _nothing) -> None:
    """Run an app until SIGTERM or SIGINT; does not return. `before_stop` is awaited before it lets go of the group."""

    @app.on_before_shutdown.connect  # type: ignore[arg-type]  # signals call with keywords that few want
    async def _finish(app: Any, **_: Any) -> None:
        _LOG.info("%s", Announcement("ending; what was begun is brought to its end", "stopping"))
        await before_stop()

    gc.freeze()
    # At the end what is frozen would count as leaked, and DuckDB's binding would say so at length.
    atexit.register(gc.unfreeze)
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    worker = _Worker(app, redirect_stdouts=False, quiet=True)
    # It writes control codes into the log, and turns on every debug message of every library to spin once for each.
    worker.spinner = None
    worker.execute_from_commandline()
