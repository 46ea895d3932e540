"""Stretches: consecutive messages of the facts partition, read into the tables that one fold takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.envelopes import known
from pipeline.fact_key import FactKey
from pipeline.lanes import UNNAMED, LaneReach, latest
from pipeline.outcomes import require_company
from schemas.facts import SCHEMAS
from schemas.log import Entry
from schemas.packing import InvalidPack, Pack, unpack
from schemas.topics import FACTS

Clean = Callable[[Mapping[str, pa.Table]], Mapping[str, pa.Table]]

# What the engine does not want.
_KEPT_OUT: Final = frozenset({"identifier"})


@dataclass(frozen=True)
class Stretch:
    """Messages from offset `first` to `last`. `told`: what each tells of its lanes; `damaged` could not be read."""

    first: int
    last: int
    tables: Mapping[str, pa.Table]
    told: tuple[LaneReach, ...] = ()
    damaged: tuple[int, ...] = ()
    message_count: int = 0

    @property
    def fact_count(self) -> int:
        """Facts for the engine, repeated ones included."""
        return sum(table.num_rows for table in self.tables.values())


def read_stretch(entries: Iterable[Entry], company_id: str, clean: Clean = dict, key: FactKey | None = None) -> Stretch:
    """Return what messages, at least one, hold of a company's facts. Those that are damaged count as empty.

    `clean` is what becomes of the tables of each; `key` is what they must have been made with, None: any.

    Raises:
        ConfigurationError: when a message is of another company, or was made with another key.
    """
    return join(_read(entry, company_id, clean, key) for entry in entries)


def read_stretches(
    entries: Iterable[Entry], company_id: str, fact_count: int, clean: Clean = dict, key: FactKey | None = None
) -> Iterator[Stretch]:
    """Yield the messages as stretches of about so many facts, in order.

    Raises:
        ConfigurationError: as `read_stretch`.
    """
    parts: list[Stretch] = []
    for entry in entries:
        parts.append(_read(entry, company_id, clean, key))
        if sum(part.fact_count for part in parts) >= fact_count:
            yield join(parts)
            parts = []
    if parts:
        yield join(parts)


def join(stretches: Iterable[Stretch]) -> Stretch:
    """Return stretches that follow each other, at least one, as one."""
    parts = list(stretches)
    names = dict.fromkeys(name for part in parts for name in part.tables)
    return Stretch(
        parts[0].first,
        parts[-1].last,
        {name: pa.concat_tables([part.tables[name] for part in parts if name in part.tables]) for name in names},
        tuple(told for part in parts for told in part.told),
        tuple(offset for part in parts for offset in part.damaged),
        sum(part.message_count for part in parts),
    )


def join_alike(stretches: Iterable[Stretch], closed_through: datetime | None) -> list[Stretch]:
    """Return stretches that follow each other joined, as far as it cannot change which facts are late.

    An activity of a closed time is late, unless a version of it came in a fold before: so a stretch that holds one
    begins anew when a version of it stands in those before it. See `sql/late.sql`.
    """
    whole: list[Stretch] = []
    waiting: list[Stretch] = []
    seen: set[str] = set()
    for stretch in stretches:
        if waiting and not seen.isdisjoint(_old_activities(stretch, closed_through)):
            whole.append(join(waiting))
            waiting, seen = [], set()
        waiting.append(stretch)
        if closed_through is not None and (activities := stretch.tables.get("activity")) is not None:
            seen.update(activities["activity_id"].to_pylist())
    return [*whole, join(waiting)] if waiting else whole


def _old_activities(stretch: Stretch, closed_through: datetime | None) -> list[str]:
    """Return the ids of activities of a closed time."""
    activities = stretch.tables.get("activity")
    if closed_through is None or activities is None:
        return []
    logged = pc.coalesce(activities["logged_to"], activities["logged_from"])
    found: list[str] = activities.filter(pc.less(logged, closed_through))["activity_id"].to_pylist()
    return found


def _read(entry: Entry, company_id: str, clean: Clean, key: FactKey | None) -> Stretch:
    try:
        with known(FACTS, entry.offset):
            content = _unpacked(entry.value or b"")
        require_company(content.head.get("company_id"), company_id, FACTS, entry.offset)
        if key is not None:
            key.require(content.head, entry.offset)
        tables = dict(clean(_tables(content)))
    except InvalidPack:
        return Stretch(entry.offset, entry.offset, {}, damaged=(entry.offset,), message_count=1)
    told = LaneReach(entry.written_at_ms, _reached(content.head.get("lanes"), tables, entry.written_at_ms))
    return Stretch(entry.offset, entry.offset, tables, (told,), message_count=1)


def _unpacked(data: bytes) -> Pack:
    content = unpack(data)
    if content.head.get("type") != "facts":
        raise InvalidPack("a packed message that holds no facts")
    return content


def _tables(content: Pack) -> dict[str, pa.Table]:
    try:
        return {
            kind: table.select(SCHEMAS[kind].names).cast(SCHEMAS[kind])
            for kind, table in content.tables.items()
            if kind not in _KEPT_OUT and table.num_rows
        }
    except (KeyError, pa.ArrowException) as error:
        raise InvalidPack(f"a table that is of no kind of fact ({type(error).__name__})") from None


def _reached(lanes: Any, tables: Mapping[str, pa.Table], written_at_ms: int) -> Mapping[str, int]:
    """Return what a message says of its lanes; all messages of an earlier version, which said nothing, are one lane."""
    if isinstance(lanes, dict):
        return lanes
    reached = latest(tables, written_at_ms)
    return {} if reached is None else {UNNAMED: reached}
