"""A broker in memory for tests of receivers, that confirms nothing until it is let, or fails; and a receiver on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from agents.receivers.assembly import Assembly
from agents.receivers.outbox import Outbox
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from agents.receivers.running import Receiver
from pipeline.configuration import load
from pipeline.identifiers import Identifiers
from pipeline.received import Translator
from schemas.log import Draft
from schemas.topics import RAW_TOPICS
from tests.memory_log import MemoryLog

# After all that the samples tell of.
READ_AT = datetime(2027, 1, 1, tzinfo=UTC)


class Broker(MemoryLog):
    """A log that confirms nothing until it is let, or fails."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(RAW_TOPICS, 1))
        self.opened = threading.Event()
        self.opened.set()
        self.error: Exception | None = None
        self.said: list[str] = []

    def append(self, drafts: Sequence[Draft]) -> list[int]:
        assert self.opened.wait(20)
        if self.error is not None:
            raise self.error
        return super().append(drafts)

    def end(self, topic: str, partition: int) -> int:
        if self.error is not None:
            raise self.error
        return super().end(topic, partition)

    def messages(self) -> list[dict[str, Any]]:
        """Return all that it keeps."""
        return [orjson.loads(entry.value or b"") for topic in RAW_TOPICS for entry in self.read(topic, 0, 0, 10**9)]

    def rows(self) -> list[dict[str, Any]]:
        """Return the observations that it keeps."""
        return [found["row"] for found in self.messages() if found.get("fact") == "observation"]


def use_receiver(
    folder: Path, text: str, test: Callable[[Broker, Receiver], Awaitable[None]], **environment: str
) -> Broker:
    """Open the one receiver of a configuration, let a test use it while it runs, and close it."""
    broker = Broker()

    async def run() -> None:
        configuration = load(text, "bypassflow.toml")
        assembly = Assembly(configuration, folder, environment, broker.said.append)
        outbox = Outbox(broker, 1, configuration.receive.waiting_records, configuration.receive.waiting_bytes)
        reader = Reader(Translator(lambda: Identifiers(b"any", clear=True)), lambda: READ_AT)
        with Positions(folder / "positions") as positions:
            (receiver,) = assembly.make(positions, outbox, reader)
            await receiver.open()
            running = asyncio.create_task(receiver.run())
            try:
                await test(broker, receiver)
            finally:
                broker.opened.set()
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await receiver.close(2)
                await outbox.close(2)
                reader.close()

    asyncio.run(run())
    return broker
