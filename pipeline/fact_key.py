"""Which key the facts of the log were made with: tokens of another one would meet none of them, seen by nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pipeline.envelopes import known
from pipeline.errors import ConfigurationError
from pipeline.keys import fingerprint, generations
from schemas.log import Entry, Log
from schemas.packing import InvalidPack, head_of
from schemas.topics import FACTS

# Messages that are read at once when the newest one is looked for, from the end on.
_FIRST_LOOK: Final = 4
_LARGEST_LOOK: Final = 64
# How often a worker reads what others sent on between its own messages, which may be megabytes.
_LOOK_EVERY: Final = timedelta(seconds=10)


class FactKey:
    """A company's key as the facts tell of it: by its fingerprint, and those that it had before its rotations."""

    def __init__(self, key: bytes) -> None:
        self.fingerprint, *self._earlier = (fingerprint(each) for each in generations(key))

    def require(self, head: Mapping[str, Any], offset: int) -> None:
        """See that a message of facts was made with this key, by its head. Those of an earlier version do not say.

        Raises:
            ConfigurationError: when it was made with another.
        """
        if (problem := self.problem(head, offset)) is not None:
            raise ConfigurationError(problem)

    def require_newest(self, log: Log, company_id: str, partition: int) -> int:
        """See that a company's newest facts were made with this key; return the offset up to which was looked.

        Raises:
            ConfigurationError: when they were made with another one, or by a newer bypassflow.
            TransientError: when the broker is silent.
        """
        end = log.end(FACTS, partition)
        for entry in _backwards(log, partition, end):
            if (head := _head_of_facts(entry, company_id)) is not None:
                self.require(head, entry.offset)
                break
        return end

    def problem(self, head: Mapping[str, Any], offset: int) -> str | None:
        """Return what is wrong with the key of a message of facts, and the remedy; None when nothing is."""
        made_with = head.get("key")
        if made_with is None or made_with == self.fingerprint:
            return None
        if made_with in self._earlier:
            return (
                f"{FACTS}@{offset} was made before the last rotation of the key, so today's tokens meet none of its; "
                "begin under another [kafka] prefix"
            )
        return (
            f"{FACTS}@{offset} was made with another key than the configuration's, and tokens of two keys never meet; "
            "copy the company's key file from where its other processes run, or begin under another [kafka] prefix"
        )


class KeyWatch:
    """Sees that the facts that others send on beside a worker's own were made with its key.

    Two workers that begin on an empty log in the same moment both find nothing: so whoever sent on second finds the
    first one's facts before its own. Later ones are looked at now and then, the newest alone.
    """

    def __init__(self, key: FactKey, log: Log, company_id: str, partition: int) -> None:
        self._key = key
        self._log = log
        self._company_id = company_id
        self._partition = partition
        # Up to where is known what stands in the log, and the offsets of what this worker sent on.
        self._known = 0
        self._sent: range = range(0)
        self._sent_count = 0
        self._looked_at: datetime | None = None

    def begin(self) -> None:
        """See that the facts which the log holds already were made with the key.

        Raises:
            ConfigurationError, TransientError: as `FactKey.require_newest`.
        """
        self._known = self._key.require_newest(self._log, self._company_id, self._partition)

    def sent(self, offsets: Sequence[int], now: datetime) -> None:
        """Take note of messages of facts that the worker sent on, at these rising offsets; `now`: aware.

        Raises:
            ConfigurationError: when others sent on facts of another key since the worker last sent some; it says what
                this one had sent on meanwhile.
            TransientError: when the broker is silent.
        """
        if not offsets:
            return
        self._sent_count += len(offsets)
        self._sent = range(self._sent.start if self._sent else offsets[0], offsets[-1] + 1)
        others = sorted(set(range(self._known, offsets[-1])).difference(offsets))
        self._known = offsets[-1] + 1
        if not others or (self._looked_at is not None and now - self._looked_at < _LOOK_EVERY):
            return
        self._looked_at = now
        newest = others[-_FIRST_LOOK:]
        found = self._log.read(FACTS, self._partition, newest[0], newest[-1] + 1)
        for entry in reversed([entry for entry in found if entry.offset in newest]):
            if (head := _head_of_facts(entry, self._company_id)) is not None:
                if (problem := self._key.problem(head, entry.offset)) is not None:
                    raise ConfigurationError(f"{problem}; {self._told()}")
                return

    def _told(self) -> str:
        first, last = self._sent[0], self._sent[-1]
        where = f"{FACTS}@{first}" if first == last else f"between {FACTS}@{first} and {FACTS}@{last}"
        messages = "1 message" if self._sent_count == 1 else f"{self._sent_count:,} messages"
        return (
            f"meanwhile this worker sent on {messages} with its own key, {where}, so correlate ends at the first of "
            "the two that is not of its key: give all processes the same key file and begin under another prefix"
        )


def _head_of_facts(entry: Entry, company_id: str) -> Mapping[str, Any] | None:
    """Return the head of a message of a company's facts; None for what is something else or damaged."""
    try:
        with known(FACTS, entry.offset):
            head = head_of(entry.value or b"")
    except InvalidPack:
        return None
    return head if head.get("type") == "facts" and head.get("company_id") == company_id else None


def _backwards(log: Log, partition: int, stop: int) -> Iterator[Entry]:
    begin, look = log.begin(FACTS, partition), _FIRST_LOOK
    while stop > begin:
        start = max(begin, stop - look)
        yield from reversed(list(log.read(FACTS, partition, start, stop)))
        stop, look = start, min(2 * look, _LARGEST_LOOK)
