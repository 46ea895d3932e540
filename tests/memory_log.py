"""A log in memory that keeps the same contract as Kafka, see tests/contract/test_log.py; with failures on order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.errors import ConfigurationError, TransientError
from schemas.log import Draft, Entry
from schemas.topics import MAX_MESSAGE_BYTES


class MemoryLog:
    """Topics with their numbers of partitions. `now_ms` is what the next messages are stamped with."""

    def __init__(self, partitions: Mapping[str, int], now_ms: int = 1_700_000_000_000) -> None:
        self.now_ms = now_ms
        self._places: dict[tuple[str, int], list[Entry | None]] = {
            (topic, number): [] for topic, count in partitions.items() for number in range(count)
        }
        self._begins: dict[tuple[str, int], int] = dict.fromkeys(self._places, 0)
        self._kept_of_failure: int | None = None

    def append(self, drafts: Sequence[Draft]) -> list[int]:
        for draft in drafts:
            if draft.value is not None and len(draft.value) > MAX_MESSAGE_BYTES:
                raise ValueError(f"a message of {len(draft.value):,} bytes for {draft.topic}/{draft.partition}")
            self._entries(draft.topic, draft.partition)
        kept, self._kept_of_failure = self._kept_of_failure, None
        offsets = []
        for draft in drafts[:kept]:
            entries = self._entries(draft.topic, draft.partition)
            offsets.append(len(entries))
            entries.append(Entry(len(entries), draft.value, draft.key, dict(draft.headers), self.now_ms))
        if kept is not None:
            raise TransientError("the broker did not confirm what it was sent")
        return offsets

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Entry]:
        entries = self._entries(topic, partition)
        for entry in entries[max(start, self.begin(topic, partition)) : max(0, stop)]:
            if entry is not None:
                yield entry

    def begin(self, topic: str, partition: int) -> int:
        self._entries(topic, partition)
        return self._begins[topic, partition]

    def end(self, topic: str, partition: int) -> int:
        return len(self._entries(topic, partition))

    # What a broker does by itself

    def expire(self, topic: str, partition: int, before: int) -> None:
        """Forget what is before an offset, as retention does."""
        self._begins[topic, partition] = max(before, self.begin(topic, partition))

    def compact(self, topic: str, partition: int) -> None:
        """Keep only the last message of each key; the others leave gaps."""
        entries = self._entries(topic, partition)
        last = {entry.key: entry.offset for entry in entries if entry is not None}
        entries[:] = [entry if entry is not None and last[entry.key] == entry.offset else None for entry in entries]

    def skip(self, topic: str, partition: int, count: int = 1) -> None:
        """Leave a gap at the end, as the markers of transactions do."""
        self._entries(topic, partition).extend([None] * count)

    def fail_next_append(self, kept: int = 0) -> None:
        """Let the next append fail after so many messages were kept all the same."""
        self._kept_of_failure = kept

    def _entries(self, topic: str, partition: int) -> list[Entry | None]:
        try:
            return self._places[topic, partition]
        except KeyError:
            raise ConfigurationError(f"no partition {partition} of topic {topic}") from None
