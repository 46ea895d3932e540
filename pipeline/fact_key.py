"""Which key the facts of the log were made with: tokens of another one would meet none of them, seen by nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.envelopes import known
from pipeline.errors import ConfigurationError
from pipeline.keys import fingerprint, generations
from schemas.log import Entry, Log
from schemas.packing import InvalidPack, head_of
from schemas.topics import FACTS, partition_of

# Messages that are read at once when the newest one is looked for, from the end on.
_FIRST_LOOK: Final = 4
_LARGEST_LOOK: Final = 64


def require_same_key(log: Log, company_id: str, partitions: int, key: bytes) -> None:
    """See that a company's newest facts were made with this key. Those of an earlier version do not say.

    `partitions`: how many the facts topic has.

    Raises:
        ConfigurationError: when they were made with another key, or by a newer bypassflow.
        TransientError: when the broker is silent.
    """
    found = _newest(log, company_id, partition_of(company_id, partitions))
    if found is None:
        return
    offset, made_with = found
    digests = [fingerprint(each) for each in generations(key)]
    if made_with in (None, digests[0]):
        return
    if made_with in digests:
        raise ConfigurationError(
            f"{FACTS}@{offset} was made before the last rotation of the key, so today's tokens meet none of its: "
            "begin under another [kafka] prefix"
        )
    raise ConfigurationError(
        f"{FACTS}@{offset} was made with another key than the configuration's, and new tokens would meet none of its: "
        "copy the company's key file from where its other processes run, or begin under another [kafka] prefix"
    )


def _newest(log: Log, company_id: str, partition: int) -> tuple[int, str | None] | None:
    """Return where the newest facts of a company stand, and the fingerprint of their key; None without any."""
    for entry in _backwards(log, partition):
        try:
            with known(FACTS, entry.offset):
                head = head_of(entry.value or b"")
        except InvalidPack:
            continue
        if head.get("type") == "facts" and head.get("company_id") == company_id:
            made_with = head.get("key")
            return entry.offset, made_with if isinstance(made_with, str) else None
    return None


def _backwards(log: Log, partition: int) -> Iterator[Entry]:
    begin, stop, look = log.begin(FACTS, partition), log.end(FACTS, partition), _FIRST_LOOK
    while stop > begin:
        start = max(begin, stop - look)
        yield from reversed(list(log.read(FACTS, partition, start, stop)))
        stop, look = start, min(2 * look, _LARGEST_LOOK)
