"""Where Faust's consumer goes on when what it fetched was not handed on."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import IllegalStateError

from agents.delivery import Consumer

READ, UNREAD = "a partition with acknowledged messages", "one without"


def rewind(is_rebalanced: bool = False) -> tuple[bool, list[tuple[str, int]]]:
    """Rewind two partitions; return what was answered, and where it sought."""
    sought: list[tuple[str, int]] = []
    offsets: dict[str, int | None] = defaultdict(lambda: None)

    async def perform_seek() -> None:
        offsets[READ] = 7

    async def seek(place: str, offset: int) -> None:
        if is_rebalanced:
            raise IllegalStateError(place)
        sought.append((place, offset))

    consumer: Any = SimpleNamespace(
        perform_seek=perform_seek, seek=seek, assignment=lambda: {READ, UNREAD}, _read_offset=offsets
    )
    return asyncio.run(Consumer._rewind(consumer)), sought


def test_a_partition_of_which_nothing_was_acknowledged_is_read_from_its_beginning() -> None:
    assert rewind() == (True, [(UNREAD, 0)])


def test_a_rebalance_meanwhile_is_told() -> None:
    assert rewind(is_rebalanced=True) == (False, [])


def test_nothing_is_fetched_before_what_was_left_behind_is_read_again() -> None:
    steps: list[str] = []
    rewinds = iter((False, True))

    async def drain() -> None:
        fetcher = SimpleNamespace(_stopped=asyncio.Event())

        async def fetch(timeout: float) -> tuple[dict[str, list[int]], None]:
            steps.append("fetch")
            return {READ: [1]}, None

        async def hand_on(place: str, records: list[int], generation: int) -> bool:
            steps.append("hand on")
            if steps.count("hand on") == 2:
                fetcher._stopped.set()
            return steps.count("hand on") == 2

        async def rewind() -> bool:
            steps.append("go back")
            return next(rewinds)

        consumer: Any = SimpleNamespace(
            _stopped=asyncio.Event(), flow_active=True, app=SimpleNamespace(consumer_generation_id=1),
            consumer_stopped_errors=(), _buffered_partitions=set(),
            _wait_next_records=fetch, _hand_on=hand_on, _rewind=rewind,
        )  # fmt: skip
        await Consumer._drain_messages(consumer, fetcher)

    asyncio.run(drain())

    assert steps == ["fetch", "hand on", "go back", "go back", "fetch", "hand on"], "a rebalance interrupted the first"
