"""The sink as a whole: it follows the log, answers questions and takes snapshots until it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import ByteSize, TypeAdapter, ValidationError

from pipeline.errors import ConfigurationError
from schemas.announcements import Announcement
from schemas.log import Log
from schemas.settings_values import parse_duration
from schemas.tracing import UNTRACED, Tracer
from sinks.consumer import Consumer, status_of
from sinks.live import LiveStore
from sinks.serving import Server
from sinks.snapshots import Snapshots

LEAST_MEMORY_BYTES: Final = 128_000_000
_SIZE: Final = TypeAdapter(ByteSize)


@dataclass(frozen=True)
class SnapshotPlan:
    """Where snapshots go, and how often."""

    folder: Path
    every: timedelta


def run(
    live: LiveStore,
    log: Log,
    partition: int,
    stop: threading.Event,
    *,
    listen: str,
    plan: SnapshotPlan | None,
    now: Callable[[], datetime],
    tell: Callable[[str], None],
    beside: Callable[[Callable[[], dict[str, Any]]], AbstractContextManager[None]] | None = None,
    tracer: Tracer = UNTRACED,
) -> None:
    """Run until `stop` is set; then the store is whole and says where to go on.

    `beside` is entered meanwhile: given what tells the status, it serves the store in its own way.

    Raises:
        ConfigurationError: when the log does not hold what the store needs, or nobody can listen there.
        TransientError: when the store cannot be written any more. Nothing that was written is lost.
    """
    consumer = Consumer(live, log, partition, now=now, tell=tell, tracer=tracer)
    host, port = address(listen)
    with ExitStack() as parts:
        snapshots: Snapshots | None = None
        if plan is not None:
            snapshots = Snapshots(live.store, plan.folder, plan.every, now=now, tell=tell, tracer=tracer)
            thread = threading.Thread(target=snapshots.run, args=(stop,), name="snapshots")
            thread.start()
            parts.callback(thread.join)
        parts.callback(stop.set)

        def status() -> dict[str, Any]:
            told = status_of(consumer, live) | {"partition": partition}
            if snapshots is not None:
                age = None if snapshots.taken_at is None else (now() - snapshots.taken_at).total_seconds()
                told["snapshot"] = {
                    "age_seconds": age,
                    "seconds": snapshots.seconds,
                    "failure_count": snapshots.failure_count,
                }
            return told

        server = parts.enter_context(Server(live.store, status, host, port))
        tell(
            Announcement(
                f"following partition {partition} into {live.store.path}; questions are answered at {server.url}",
                "sink following",
                partition=partition,
            )
        )
        if beside is not None:
            parts.enter_context(beside(status))
        consumer.run(stop)
    tell(Announcement("stopped; the store is whole, and a new start goes on where this one stood", "sink stopped"))


def address(listen: str) -> tuple[str, int]:
    """Return host and port of an address to listen on.

    >>> address("127.0.0.1:8766")
    ('127.0.0.1', 8766)

    Raises:
        ConfigurationError: when it is none.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigurationError(f"{listen!r} is no address to listen on; expected HOST:PORT, such as 127.0.0.1:8766")
    return host.strip("[]"), int(port)


def memory_limit(text: str) -> str:
    """Return a size such as "512MB" as DuckDB's setting.

    Raises:
        ConfigurationError: when it is no size, or a merge might not fit into it.
    """
    try:
        size = _SIZE.validate_python(text)
    except ValidationError:
        size = ByteSize(0)
    if size < LEAST_MEMORY_BYTES:
        raise ConfigurationError(
            f"{text!r} is no memory for the sink; expected {LEAST_MEMORY_BYTES // 1_000_000}MB or more, such as 512MB"
        )
    return f"{int(size)}B"


def snapshot_plan(folder: Path | None, every: str) -> SnapshotPlan | None:
    """Return where snapshots go and how often; None without a folder.

    Raises:
        ConfigurationError: when `every` is no length of time, or too short.
    """
    if folder is None:
        return None
    try:
        length = parse_duration(every)
    except ValueError:
        length = timedelta(0)
    if length < timedelta(seconds=1):
        raise ConfigurationError(f"{every!r} is no time between two snapshots; expected one such as 10min")
    return SnapshotPlan(folder, length)
