"""The way to the raw topics: done when the broker keeps it, bounded, and clear about when there is no room."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from agents.receivers.outbox import Busy, Outbox
from pipeline.errors import ConfigurationError, TransientError
from pipeline.received import Publication
from schemas.log import Draft
from tests.memory_log import MemoryLog


class Gate(MemoryLog):
    """A log that confirms nothing until it is let."""

    def __init__(self) -> None:
        super().__init__({"raw.calls": 2})
        self.opened = threading.Event()
        self.opened.set()
        self.error: Exception | None = None
        self.sizes: list[int] = []

    def append(self, drafts: Sequence[Draft]) -> list[int]:
        assert self.opened.wait(10)
        self.sizes.append(len(drafts))
        if self.error is not None:
            raise self.error
        return super().append(drafts)

    def kept(self) -> list[bytes | None]:
        return [entry.value for number in range(2) for entry in self.read("raw.calls", number, 0, 10**9)]


def record(value: bytes = b"{}") -> Publication:
    return Publication("raw.calls", b"key", value, {"source": b"pbx"})


def use(test: Callable[[Gate, Outbox, list[str]], Awaitable[None]], most_records: int = 10) -> None:
    async def run() -> None:
        log, said = Gate(), list[str]()
        outbox = Outbox(log, 2, most_records, 100_000, said.append)
        try:
            await test(log, outbox, said)
        finally:
            log.opened.set()
            await outbox.close(5)

    asyncio.run(run())


def test_a_sender_hears_of_success_when_the_broker_keeps_the_record() -> None:
    async def test(log: Gate, outbox: Outbox, said: list[str]) -> None:
        log.opened.clear()
        delivering = asyncio.create_task(outbox.deliver([record(b"1")], 5))
        await asyncio.sleep(0.05)
        assert not delivering.done()
        log.opened.set()
        await delivering
        assert log.kept() == [b"1"]

    use(test)


def test_there_is_no_room_beyond_the_bound_and_room_again_later() -> None:
    async def test(log: Gate, outbox: Outbox, said: list[str]) -> None:
        log.opened.clear()
        first = asyncio.create_task(outbox.deliver([record()] * 8, 5))
        await asyncio.sleep(0.05)
        with pytest.raises(Busy) as caught:
            await outbox.deliver([record()] * 3, 5)
        assert caught.value.retry_after > 0
        with pytest.raises(Busy):
            await outbox.deliver([record(b"x" * 99_000)], 5)
        log.opened.set()
        await first
        await outbox.deliver([record()] * 3, 5)
        assert len(log.kept()) == 11

    use(test)


def test_who_waits_too_long_is_told_to_come_again_and_frees_the_room() -> None:
    async def test(log: Gate, outbox: Outbox, said: list[str]) -> None:
        log.opened.clear()
        first = asyncio.create_task(outbox.deliver([record(b"first")], 5))
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):
            await outbox.deliver([record(b"impatient")], 0.05)
        log.opened.set()
        await first
        await outbox.deliver([record(b"last")], 5)
        assert log.kept() == [b"first", b"last"]
        assert outbox.waiting_count == 0

    use(test)


def test_who_can_wait_waits_for_room_and_leaves_half_of_it_to_others() -> None:
    async def test(log: Gate, outbox: Outbox, said: list[str]) -> None:
        log.opened.clear()
        sending = [asyncio.create_task(outbox.send([record()] * 3)) for _ in range(5)]
        await asyncio.sleep(0.05)
        assert outbox.waiting_count == 6
        other = asyncio.create_task(outbox.deliver([record()] * 4, 5))
        await asyncio.sleep(0.05)
        log.opened.set()
        await asyncio.gather(*sending, other)
        assert len(log.kept()) == 19

    use(test)


def test_a_broker_that_does_not_confirm_fails_all_who_wait_and_is_told_of_once() -> None:
    async def test(log: Gate, outbox: Outbox, said: list[str]) -> None:
        log.error = TransientError("the broker is silent")
        for _ in range(2):
            with pytest.raises(TransientError):
                await outbox.send([record()])
        with pytest.raises(Busy):
            await outbox.deliver([record()], 5)
        states = [outbox.is_broker_away]
        log.error = None
        await outbox.send([record()])
        assert [*states, outbox.is_broker_away] == [True, False]
        assert said == ["the broker is silent; senders are told to come again", "the broker is back"]

    use(test)


@pytest.mark.parametrize("error", [ConfigurationError("no such topic"), ValueError("x")])
def test_a_failure_that_does_not_pass_is_reported_and_senders_are_told_to_come_again(error: Exception) -> None:
    async def test(log: Gate, outbox: Outbox, said: list[str]) -> None:
        log.error = error
        with pytest.raises(TransientError):
            await outbox.send([record()])
        assert await outbox.failure is error

    use(test)


def test_what_waits_at_the_end_is_sent_and_what_cannot_be_is_counted() -> None:
    async def test(log: Gate, outbox: Outbox, said: list[str]) -> None:
        log.opened.clear()
        sending = [asyncio.create_task(outbox.send([record()])) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert not await outbox.close(0.05)
        assert outbox.waiting_count == 3
        for task in sending:
            task.cancel()

    use(test)


def test_many_senders_share_one_confirmation() -> None:
    async def test(log: Gate, outbox: Outbox, said: list[str]) -> None:
        log.opened.clear()
        sending = [asyncio.create_task(outbox.deliver([record()], 5)) for _ in range(9)]
        await asyncio.sleep(0.05)
        log.opened.set()
        await asyncio.gather(*sending)
        assert len(log.sizes) <= 2
        assert sum(log.sizes) == 9

    use(test)
