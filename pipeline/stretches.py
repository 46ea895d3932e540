"""Stretches: consecutive messages of the facts partition, read into the tables that one fold takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.outcomes import require_company
from schemas.facts import SCHEMAS
from schemas.log import Entry
from schemas.packing import InvalidPack, unpack
from schemas.topics import FACTS

_EPOCH: Final = datetime(1970, 1, 1)
# What is dated later than this after it was written says nothing of how far time has come.
_AHEAD: Final = timedelta(days=1)
_EVENT_TIMES: Final = {"observation": "started_at", "activity": "logged_from"}
# What the engine does not want.
_KEPT_OUT: Final = frozenset({"identifier"})


@dataclass(frozen=True)
class Stretch:
    """Messages from offset `first` to `last`. `latest` is the latest event time; `damaged` could not be read."""

    first: int
    last: int
    tables: Mapping[str, pa.Table]
    latest: datetime | None = None
    damaged: tuple[int, ...] = ()
    message_count: int = 0

    @property
    def fact_count(self) -> int:
        """Facts for the engine, repeated ones included."""
        return sum(table.num_rows for table in self.tables.values())


def read_stretch(entries: Iterable[Entry], company_id: str) -> Stretch:
    """Return what messages, at least one, hold of a company's facts. Those that are damaged count as empty.

    Raises:
        ConfigurationError: when a message is of another company.
    """
    return join(_read(entry, company_id) for entry in entries)


def read_stretches(entries: Iterable[Entry], company_id: str, fact_count: int) -> Iterator[Stretch]:
    """Yield the messages as stretches of about so many facts, in order.

    Raises:
        ConfigurationError: when a message is of another company.
    """
    parts: list[Stretch] = []
    for entry in entries:
        parts.append(_read(entry, company_id))
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
        max((part.latest for part in parts if part.latest is not None), default=None),
        tuple(offset for part in parts for offset in part.damaged),
        sum(part.message_count for part in parts),
    )


def has_old_activities(stretch: Stretch, closed_through: datetime | None) -> bool:
    """Return whether an activity is of a closed time: whether it is late then depends on what came before it."""
    activities = stretch.tables.get("activity")
    if closed_through is None or activities is None:
        return False
    logged = pc.min(pc.coalesce(activities["logged_to"], activities["logged_from"])).as_py()
    return logged is not None and logged < closed_through


def _read(entry: Entry, company_id: str) -> Stretch:
    try:
        tables = _tables(entry, company_id)
    except InvalidPack:
        return Stretch(entry.offset, entry.offset, {}, None, (entry.offset,), 1)
    return Stretch(entry.offset, entry.offset, tables, _latest(tables, entry.written_at_ms), (), 1)


def _tables(entry: Entry, company_id: str) -> dict[str, pa.Table]:
    content = unpack(entry.value or b"")
    if content.head.get("type") != "facts":
        raise InvalidPack("a packed message that holds no facts")
    require_company(content.head.get("company_id"), company_id, FACTS, entry.offset)
    try:
        return {
            kind: table.select(SCHEMAS[kind].names).cast(SCHEMAS[kind])
            for kind, table in content.tables.items()
            if kind not in _KEPT_OUT and table.num_rows
        }
    except (KeyError, pa.ArrowException) as error:
        raise InvalidPack(f"a table that is of no kind of fact ({type(error).__name__})") from None


def _latest(tables: Mapping[str, pa.Table], written_at_ms: int) -> datetime | None:
    """Return the latest event time that is believed; one without a time of writing (0) believes all."""
    bound = _EPOCH + timedelta(milliseconds=written_at_ms) + _AHEAD if written_at_ms > 0 else datetime.max
    found = []
    for kind, column in _EVENT_TIMES.items():
        if kind in tables:
            times = tables[kind][column]
            latest = pc.max(times).as_py()
            if latest is not None and latest > bound:
                latest = pc.max(times.filter(pc.less_equal(times, pa.scalar(bound, times.type)))).as_py()
            found.append(latest)
    return max((latest for latest in found if latest is not None), default=None)
