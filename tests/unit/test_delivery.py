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
