"""What ingest sends on: facts packed for the facts topic, and letters for the dead-letters topic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.envelopes import LETTER_HEADER, LETTER_VERSION
from pipeline.intake import DeadEvent, Intaken
from pipeline.sealing import SEALED, Seal
from schemas.facts import SCHEMAS
from schemas.log import Draft
from schemas.packing import InvalidPack, Pack, pack, unpack
from schemas.topics import DEAD_LETTERS, MAX_MESSAGE_BYTES, partition_of


@dataclass(frozen=True)
class Facts:
    """One message of the facts topic: facts of a company by kind, each with its `file` and `format`."""

    company_id: str
    tables: Mapping[str, pa.Table]
    letter_count: int = 0


def pack_facts(
    intaken: Intaken, company_id: str, largest: int = MAX_MESSAGE_BYTES, *, made_with: str | None = None
) -> list[bytes]:
    """Return the messages that hold a batch's facts: one, or more where one would be too large; none without facts.

    Only the last tells of the lanes: how far they came with all facts up to it. `made_with`: the key's fingerprint.
    """
    head = {"type": "facts", "company_id": company_id, "letters": len(intaken.letters), "lanes": dict(intaken.lanes)}
    if made_with is not None:
        head["key"] = made_with
    return list(_packed(intaken.facts, head, largest))


def _packed(tables: Mapping[str, pa.Table], head: Mapping[str, Any], largest: int) -> Iterator[bytes]:
    row_count = sum(table.num_rows for table in tables.values())
    if not row_count:
        return
    message = pack(Pack(head, {kind: table for kind, table in tables.items() if table.num_rows}))
    if len(message) <= largest or row_count == 1:
        yield message
        return
    first, second = _halves(tables, row_count // 2)
    yield from _packed(first, {**head, "lanes": {}}, largest)
    yield from _packed(second, {**head, "letters": 0}, largest)


def _halves(tables: Mapping[str, pa.Table], row_count: int) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """Return the first rows of all tables, one table after the other, and the rest."""
    first, second = {}, {}
    for kind, table in tables.items():
        first[kind], second[kind] = table.slice(0, row_count), table.slice(row_count)
        row_count = max(0, row_count - table.num_rows)
    return first, second


def unpack_facts(data: bytes) -> Facts:
    """Return what a message of the facts topic holds.

    Raises:
        InvalidPack: when it is damaged, holds something else, or a table lacks a column of its kind.
    """
    content = unpack(data)
    head = content.head
    if head.get("type") != "facts" or not isinstance(head.get("company_id"), str):
        raise InvalidPack("a packed message that holds no facts")
    for kind, table in content.tables.items():
        schema = SCHEMAS.get(kind)
        if schema is None or any(name not in table.column_names for name in schema.names):
            raise InvalidPack("a packed message with a table of no kind of fact")
    return Facts(head["company_id"], content.tables, int(head.get("letters", 0)))


def letter_drafts(letters: Sequence[DeadEvent], company_id: str, partitions: int, seal: Seal) -> list[Draft]:
    """Return the messages of the dead-letters topic: the raw bytes sealed, and all that is known in headers."""
    partition = partition_of(company_id, partitions)
    return [
        Draft(
            topic=DEAD_LETTERS,
            partition=partition,
            value=seal.close(event.value),
            key=event.letter.raw_id.encode(),
            headers={name: text.encode() for name, text in _headers(event, company_id).items()},
        )
        for event in letters
    ]


def _headers(event: DeadEvent, company_id: str) -> dict[str, str]:
    letter = event.letter
    return {
        "raw_id": letter.raw_id,
        "source": letter.source,
        "file": letter.file,
        "position": str(letter.position),
        "unit": letter.unit,
        "format": event.format,
        "is_raw_event": "1" if letter.is_raw_event else "0",
        "reason": letter.reason,
        "outline": letter.raw_text,
        "topic": event.topic,
        "company": company_id,
        "sealed": SEALED,
        LETTER_HEADER: str(LETTER_VERSION),
    }
