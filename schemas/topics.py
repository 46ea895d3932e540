"""The topics of a deployment: what each carries, and how the broker is to keep it.

Names are written without the deployment's prefix. Raw topics belong to other people's systems: one JSON record a
message, or an array of them. The others are bypassflow's own and carry packed batches, see `schemas.packing`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

FACTS: Final = "facts"
OUTCOMES: Final = "outcomes"
DEAD_LETTERS: Final = "dead-letters"
CHECKPOINTS: Final = "checkpoints"

# Which raw topic a record of a kind belongs on. Ingest reads any kind from any of them.
RAW_TOPIC_OF_KIND: Final[dict[str, str]] = {
    "call": "raw.calls",
    "pbx_leg": "raw.pbx-legs",
    "email": "raw.emails",
    "message": "raw.messages",
    "contact": "raw.contacts",
    "account": "raw.accounts",
    "user": "raw.users",
    "activity": "raw.activities",
    "ticket": "raw.tickets",
    "feed_progress": "raw.feed-progress",
    "representative": "raw.directory",
}
RAW_TOPICS: Final = tuple(RAW_TOPIC_OF_KIND.values())

# The largest message of ours; brokers and clients have to let it pass.
MAX_MESSAGE_BYTES: Final = 8_000_000


@dataclass(frozen=True)
class Topic:
    """What a topic must be like. `retention` None: kept for ever; `reason` says why it is as it is.

    `largest_message_bytes` None: as the broker has it.
    """

    name: str
    partitions: int
    retention: timedelta | None
    is_compacted: bool
    reason: str
    largest_message_bytes: int | None = None


def partition_of(company_id: str, partitions: int) -> int:
    """Return the partition of our own topics on which all messages of a company stand.

    >>> partition_of("acme", 1)
    0
    """
    return zlib.crc32(company_id.encode()) % partitions
