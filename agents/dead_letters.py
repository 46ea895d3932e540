"""Dead letters on their topic: who they are, what they hold, and how they are tried again."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from pipeline.envelopes import require_known_letter
from pipeline.errors import ConfigurationError
from pipeline.sealing import Seal
from schemas.log import Draft, Entry, Log
from schemas.topics import DEAD_LETTERS, RAW_TOPICS, partition_of

_CHUNK: Final = 1_000
_PLACE: Final = re.compile(r"\d+(?:#\d+)?").fullmatch


@dataclass(frozen=True)
class Letter:
    """A dead letter; `open` gives the record."""

    raw_id: str
    source: str
    file: str
    position: str
    format: str
    reason: str
    topic: str
    is_raw_event: bool
    written_at: datetime
    open: Callable[[], bytes]

    @property
    def value(self) -> bytes:
        """The bytes as they were received.

        Raises:
            ConfigurationError: when they were sealed with another key.
        """
        return self.open()

    @property
    def place(self) -> str:
        """Position that gives the same raw id again; parts of an array have one of their own."""
        rest = self.raw_id.removeprefix(f"{self.source}:{self.file}:")
        return rest if _PLACE(rest) else self.position


class DeadLetters:
    """The letters of one company. A record that was refused several times is there once, as it was refused last.

    A letter stays until the broker forgets it, even when a later attempt went well.
    """

    def __init__(self, log: Log, company_id: str, fact_partitions: int, seal: Seal) -> None:
        self._log = log
        self._company = company_id.encode()
        self._partition = partition_of(company_id, fact_partitions)
        self._seal = seal

    def find(self, raw_ids: Iterable[str] = (), reason: str | None = None, stop: int | None = None) -> Iterator[Letter]:
        """Yield letters in the order of their refusal: those of some raw ids, or whose reason contains a text, or all.

        `stop`: no letters from this offset on.
        """
        wanted = frozenset(raw_ids)
        stop = self.end() if stop is None else stop
        last = {entry.key: entry.offset for entry in self._entries(stop)}
        for entry in self._entries(stop):
            if last[entry.key] != entry.offset:
                continue
            letter = self._letter(entry)
            if (not wanted or letter.raw_id in wanted) and (reason is None or reason.lower() in letter.reason.lower()):
                yield letter

    def one(self, raw_id: str) -> Letter:
        """Return the letter of a record.

        Raises:
            ConfigurationError: when there is none.
        """
        for letter in self.find([raw_id]):
            return letter
        raise ConfigurationError(
            f"no dead letter {raw_id!r}; `bypassflow dead-letters list` shows those that the broker still has"
        )

    def reasons(self, reason: str | None = None) -> list[tuple[str, str, int]]:
        """Return how many letters there are by source and reason, most first; those whose reason contains a text."""
        counts = Counter((letter.source, letter.reason) for letter in self.find(reason=reason))
        return [(source, reason, count) for (source, reason), count in counts.most_common()]

    def retry(
        self, letters: Iterable[Letter], partitions: int, sent: Callable[[int], None] = lambda count: None
    ) -> int:
        """Publish records to their raw topics again, under the same identity; return how many.

        `partitions` of each raw topic. Safe to repeat.

        Raises:
            TransientError: when the broker did not confirm; some may be published all the same.
        """
        count = 0
        source = iter(letters)
        while chunk := list(islice(source, _CHUNK)):
            self._log.append([_draft(letter, partitions) for letter in chunk])
            count += len(chunk)
            sent(count)
        return count

    def end(self) -> int:
        """Return the offset of the next letter."""
        return self._log.end(DEAD_LETTERS, self._partition)

    def _entries(self, stop: int) -> Iterator[Entry]:
        start = self._log.begin(DEAD_LETTERS, self._partition)
        for entry in self._log.read(DEAD_LETTERS, self._partition, start, stop):
            if entry.value is not None and entry.headers.get("company") == self._company:
                yield entry

    def _letter(self, entry: Entry) -> Letter:
        require_known_letter(entry)

        def text(name: str) -> str:
            return entry.headers.get(name, b"").decode("utf-8", "replace")

        return Letter(
            raw_id=text("raw_id"),
            source=text("source"),
            file=text("file"),
            position=text("position"),
            format=text("format"),
            reason=text("reason"),
            topic=text("topic"),
            is_raw_event=text("is_raw_event") != "0",
            written_at=datetime.fromtimestamp(entry.written_at_ms / 1000, UTC),
            open=lambda: self._value(entry),
        )

    def _value(self, entry: Entry) -> bytes:
        """Return the record; an earlier version wrote it as it was."""
        value = entry.value or b""
        return self._seal.open(value) if "sealed" in entry.headers else value


def _draft(letter: Letter, partitions: int) -> Draft:
    if letter.topic not in RAW_TOPICS:
        raise ConfigurationError(f"dead letter {letter.raw_id!r} came from {letter.topic!r}, which is no raw topic")
    key = letter.raw_id.encode()
    headers = {"source": letter.source, "file": letter.file, "position": letter.place, "format": letter.format}
    return Draft(
        letter.topic,
        zlib.crc32(key) % partitions,
        letter.value,
        key,
        {name: text.encode() for name, text in headers.items() if text},
    )
