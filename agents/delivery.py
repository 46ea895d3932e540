"""A Faust consumer that hands on runs of messages, where Faust would hand on each one by itself.

For every message Faust makes two tasks, an event, a place in a queue and a turn of the loop, which costs several times
what the message costs otherwise. A run is what one fetch brought of one partition: it goes through all that once, is
acknowledged as a whole, and only when the agent is done with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import faust
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka
from faust.types import TP
from mode.threads import MethodQueue

from agents.standing import Position

# Messages of a run at most. Agents take several at once, and the next process waits for all that one takes: the fewer,
# the sooner all of them work at the same time.
LONGEST_RUN: Final = 500
_CALLS_AT_ONCE: Final = 8
# A partition whose queue was full is left out of a wait for the others, and asked for again after this. Unit: seconds.
_ASK_AGAIN: Final = 0.2


@dataclass(frozen=True)
class Fetch:
    """What is asked of the broker at once.

    `partition_bytes`: what a fetch brings of one partition at most; a larger message comes all the same, by itself.
    The broker answers when it has `least_bytes` of all partitions together, or after `wait` seconds with what it has.
    """

    partition_bytes: int
    least_bytes: int = 1
    wait: float = 1.0


class Run(bytes):
    """The value of a delivered event: empty as bytes, with the messages of a run as `records`, in order.

    Faust passes on bytes as they are; `records` are aiokafka's ConsumerRecords.
    """

    records: Sequence[Any]

    @classmethod
    def of(cls, records: Sequence[Any]) -> Run:
        """Return the run of these records, one at least."""
        run = cls()
        run.records = records
        return run


class ConsumerThread(aiokafka.AIOKafkaConsumerThread):
    """Faust's thread for the client, with what Faust has no settings for."""

    consumer: Consumer
    _method_queue: MethodQueue | None

    @property
    def method_queue(self) -> MethodQueue:
        """The calls that wait for the client, with room for more than two at once.

        A search for committed offsets waits for the end of a rebalance, and that waits for a commit: two searches took
        both places, and the commit never came about.
        """
        if self._method_queue is None:
            self._method_queue = MethodQueue(num_workers=_CALLS_AT_ONCE, loop=self.thread_loop, beacon=self.beacon)
        return self._method_queue

    def _create_worker_consumer(self, transport: Any) -> Any:
        client = super()._create_worker_consumer(transport)
        fetch = self.consumer.transport.fetch
        for name, value in (
            ("_max_partition_fetch_bytes", fetch.partition_bytes),
            ("_fetch_min_bytes", fetch.least_bytes),
            ("_fetch_max_wait_ms", int(fetch.wait * 1000)),
        ):
            if not hasattr(client, name):
                raise TypeError(f"this version of aiokafka keeps its {name.strip('_')} elsewhere")
            setattr(client, name, value)
        return client


class Consumer(aiokafka.Consumer):
    """Faust's consumer, with its own way from fetched messages to the agents' queues."""

    transport: Transport

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def positions(self) -> dict[tuple[str, int], Position]:
        """Return how far each partition is that the consumer has now. Safe from any thread."""
        found = {}
        for place in self.assignment():
            end = self.highwater(place) or 0
            found[place.topic, place.partition] = Position(min(end, self._committed_offset.get(place) or 0), end)
        return found

    async def _drain_messages(self, fetcher: Any) -> None:
        is_whole = True
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)  # type: ignore[arg-type]  # an asyncio.Event serves
                generation = self.app.consumer_generation_id
                if not is_whole:
                    # What was fetched and not handed on is behind the position. What comes after it would be
                    # acknowledged with it: nothing is handed on before it.
                    is_whole = self.flow_active and await self._rewind()
                fetched, active = await self._wait_next_records(_ASK_AGAIN) if is_whole else (None, None)
                await asyncio.sleep(0)
                for place, records in (fetched or {}).items():
                    if active is None or place in active or place in self._buffered_partitions:
                        is_whole &= await self._hand_on(place, records, generation)
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise

    async def _rewind(self) -> bool:
        """Go back to what is acknowledged, or to the beginning where nothing is; return False when a rebalance came.

        Faust's search leaves a partition where it is of which nothing was ever acknowledged.
        """
        await self.perform_seek()
        try:
            for place in self.assignment():
                if self._read_offset[place] is None:
                    await self.seek(place, 0)
        except IllegalStateError:
            return False
        return True

    async def _hand_on(self, place: TP, records: Sequence[Any], generation: int) -> bool:
        """Hand on the records of a partition as runs; return False when a rebalance came before the last one."""
        for start in range(0, len(records), LONGEST_RUN):
            if self.should_stop or not self.flow_active or generation != self.app.consumer_generation_id:
                return False
            if not await self._deliver(place, records[start : start + LONGEST_RUN]):
                return False
        return True

    async def _deliver(self, place: TP, records: Sequence[Any]) -> bool:
        """Hand on the records that were not read before, as the event of the last of them; return whether it worked."""
        before = self._read_offset[place]
        if before is not None:
            records = [record for record in records if record.offset >= before]
        if not records:
            return True
        first, last = records[0].offset, records[-1].offset
        message = self._to_message(place, records[-1])
        message.value = Run.of(records)
        message.headers = None
        delivery = asyncio.ensure_future(self.callback(message))
        await self.wait_first(delivery, self.suspend_flow.wait())
        if delivery.cancelled() or not delivery.done():
            return False
        # To Faust the offsets before the last one are a gap: it counts them as done once the last one is.
        if last > first and self.app.topics.acks_enabled_for(place.topic):
            await self._add_gap(place, first if before is None else min(first, before + 1), last - 1)
        self._read_offset[place] = last
        return True


class Transport(aiokafka.Transport):
    """Faust's transport with that consumer."""

    Consumer = Consumer
    fetch: Fetch


def deliver_runs(app: faust.App, fetch: Fetch) -> None:
    """Let an app that has not started yet consume through `Consumer`; its events' values are then of class `Run`."""
    transport = Transport(app.conf.broker_consumer, app, app.loop)
    transport.fetch = fetch
    app.transport = transport
