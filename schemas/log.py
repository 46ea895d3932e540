"""Logs as the core sees them: numbered messages in partitions of a topic, whatever broker keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

NO_HEADERS: Final[Mapping[str, bytes]] = MappingProxyType({})


class Entry(NamedTuple):
    """A message at its place. `written_at_ms`: milliseconds since 1970, as the broker or the producer says.

    A plain tuple, because there is one for each message.
    """

    offset: int
    value: bytes | None
    key: bytes | None = None
    headers: Mapping[str, bytes] = NO_HEADERS
    written_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that is to be appended to a partition."""

    topic: str
    partition: int
    value: bytes | None
    key: bytes | None = None
    headers: Mapping[str, bytes] = field(default_factory=dict)


class Log(Protocol):
    """Topics of one broker. Offsets rise within a partition; a compacted or expired one may leave gaps."""

    def append(self, drafts: Sequence[Draft]) -> list[int]:
        """Append messages and return their offsets once all of them are kept by the broker, in their order.

        Raises:
            TransientError: when the broker did not confirm them; some may be kept all the same.
        """
        ...

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Entry]:
        """Yield what is kept from offset `start` to before `stop`, in order."""
        ...

    def begin(self, topic: str, partition: int) -> int:
        """Return the first offset that is still kept."""
        ...

    def end(self, topic: str, partition: int) -> int:
        """Return the offset that the next message will get."""
        ...
