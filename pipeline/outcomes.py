"""The log of outcomes: what correlate says, group by group, and how every reader tells whose word counts.

A group is what one fold of consecutive facts messages says anew, in one message or several parts. A worker that begins
appends a claim; the claim's offset is its epoch, and all that it says carries it. Whoever reads takes a message only
when its epoch is the latest claim before it: what a worker goes on saying after another one claimed counts for nobody.
A group counts when its last part stands in the log, and not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from pipeline.envelopes import known
from pipeline.errors import ConfigurationError
from schemas.log import Entry
from schemas.packing import InvalidPack, Pack, head_of, pack, unpack
from schemas.topics import MAX_MESSAGE_BYTES, OUTCOMES

# Of a part's tables before compression: what compresses badly still fits, with its head and the tables' schemas.
PART_BYTES: Final = MAX_MESSAGE_BYTES * 3 // 4


@dataclass(frozen=True)
class Group:
    """What one fold said anew, whole. `tables` are those of `pipeline.engine.Changes`; empty ones may be missing.

    `first` and `last` are the offsets of the facts messages that were folded; `last` is the version of all rows.
    `damaged` are the offsets of those among them that could not be read. `lanes` is how far each lane had come, as
    `pipeline.lanes.Lanes.to_json` writes it; none in groups of an earlier version.
    """

    first: int
    last: int
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    watermark: datetime | None = None
    closed_through: datetime | None = None
    damaged: tuple[int, ...] = ()
    lanes: Mapping[str, Any] | None = None

    @property
    def version(self) -> int:
        """Rows of a higher version replace those of a lower one."""
        return self.last


@dataclass(frozen=True)
class Claim:
    """That a worker has begun. `rules` is the digest of the settings it folds with."""

    offset: int
    rules: str
    written_at_ms: int


class OutcomeReader:
    """Takes the messages of an outcomes partition in order and returns the groups of one company that count.

    A reader that goes on where another stopped is given what that one had: `epoch` and `last`, read together with its
    `position` after any message. `claim` is the latest that was read, `rules` those of the last group.
    """

    def __init__(self, company_id: str, epoch: int | None = None, last: int = -1, *, with_tables: bool = True) -> None:
        """Begin without a claim, or in the middle. Without tables (`with_tables`) groups come with their heads only."""
        self.epoch = epoch
        self.last = last
        self.position: int | None = None
        self.claim: Claim | None = None
        self.rules: str | None = None
        self._company_id = company_id
        self._with_tables = with_tables
        self._heads: list[Mapping[str, Any]] = []
        self._tables: list[Mapping[str, pa.Table]] = []
        self._begun_at = 0

    @property
    def unfinished(self) -> tuple[int, int] | None:
        """First and last facts message of the group whose parts are not all there yet, if there is one."""
        return (self._heads[0]["first"], self._heads[0]["last"]) if self._heads else None

    def feed(self, entry: Entry) -> Group | None:
        """Take the next message; return the group that it completes, if it counts.

        Afterwards `position` is the offset from which a reader with this `epoch` and `last` has to go on.

        Raises:
            ConfigurationError: when the message is none of ours, of another company, or damaged.
        """
        group = self._take(entry)
        self.position = self._begun_at if self._heads else entry.offset + 1
        return group

    def _take(self, entry: Entry) -> Group | None:
        try:
            with known(OUTCOMES, entry.offset):
                content = unpack(entry.value or b"") if self._with_tables else Pack(head_of(entry.value or b""))
        except InvalidPack as error:
            raise ConfigurationError(
                f"outcomes@{entry.offset}: {error}; what was said there is lost: reset the live topics and replay"
            ) from None
        head = content.head
        require_company(head["company_id"], self._company_id, OUTCOMES, entry.offset)
        if head["type"] == "claim":
            self.epoch = entry.offset
            self.claim = Claim(entry.offset, head["rules"], entry.written_at_ms)
            self._drop()
            return None
        if head["epoch"] != self.epoch or head["first"] <= self.last:
            return None
        if head["part"] == 0:
            self._drop()
            self._begun_at = entry.offset
        elif not self._goes_on(head):
            return None
        self._heads.append(head)
        self._tables.append(content.tables)
        return self._complete() if len(self._heads) == head["parts"] else None

    def _goes_on(self, head: Mapping[str, Any]) -> bool:
        """Return whether a part is the next of the group that has begun; a producer's retry may send one twice."""
        return head["part"] == len(self._heads) and (head["first"], head["last"]) == self.unfinished

    def _complete(self) -> Group:
        head = self._heads[0]
        names = dict.fromkeys(name for tables in self._tables for name in tables)
        tables = {name: pa.concat_tables([part[name] for part in self._tables if name in part]) for name in names}
        self._drop()
        self.last = head["last"]
        self.rules = self.claim.rules if self.claim else self.rules
        return Group(
            head["first"],
            head["last"],
            tables,
            _instant(head["watermark"]),
            _instant(head["closed_through"]),
            tuple(head["damaged"]),
            head.get("lanes"),
        )

    def _drop(self) -> None:
        self._heads, self._tables = [], []


def require_company(found: str | None, company_id: str, topic: str, offset: int) -> None:
    """See that a message is of the company that the settings are of.

    Raw records name no company: two companies on the same topics would be counted as one, each in the other's store.

    Raises:
        ConfigurationError: when it is of another.
    """
    if found != company_id:
        raise ConfigurationError(
            f"{topic}@{offset} is of company {found!r}, which is not in these settings, they are of {company_id!r}: "
            "give each company a [kafka] prefix of its own, or put back [company] id"
        )


def pack_claim(company_id: str, rules: str) -> bytes:
    """Return the message with which a worker begins."""
    return pack(Pack({"type": "claim", "company_id": company_id, "rules": rules}))


def pack_group(company_id: str, epoch: int, group: Group, part_bytes: int = PART_BYTES) -> list[bytes]:
    """Return the messages of a group, at least one; they belong into one append."""
    parts = _parted({name: table for name, table in group.tables.items() if table.num_rows}, part_bytes)
    head = {
        "type": "changes",
        "company_id": company_id,
        "epoch": epoch,
        "first": group.first,
        "last": group.last,
        "parts": len(parts),
        "watermark": group.watermark and group.watermark.isoformat(),
        "closed_through": group.closed_through and group.closed_through.isoformat(),
        "damaged": list(group.damaged),
    }
    first = {"lanes": group.lanes}
    return [
        pack(Pack(head | {"part": number} | ({} if number else first), tables)) for number, tables in enumerate(parts)
    ]


def _parted(tables: Mapping[str, pa.Table], part_bytes: int) -> list[Mapping[str, pa.Table]]:
    """Return the tables cut by rows into parts of so many bytes before compression; one row is never cut."""
    if sum(table.nbytes for table in tables.values()) <= part_bytes:
        return [tables]
    if sum(table.num_rows for table in tables.values()) == 1:
        return [tables]
    if len(tables) > 1:
        return [part for name, table in tables.items() for part in _parted({name: table}, part_bytes)]
    ((name, table),) = tables.items()
    half = table.num_rows // 2
    return [*_parted({name: table.slice(0, half)}, part_bytes), *_parted({name: table.slice(half)}, part_bytes)]


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
