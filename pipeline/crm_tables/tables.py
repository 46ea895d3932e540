"""The words in which a CRM's tables are described: which rows are read, and what tells them as canonical records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pipeline.sources.beside import Tie
from pipeline.sources.crm_modules import Tied
from pipeline.sources.crm_values import Clock
from pipeline.sources.translation import Fields
from schemas.crm_database import CrmKind

# A row by the names of its columns. Instants are aware, whatever the database holds.
Row = Mapping[str, Any]
# From a row and the rows that belong to it, by their names, to the fields of canonical records.
# Raises InvalidRecord, naming the column and never its value.
Tell = Callable[[Row, Mapping[str, Sequence[Row]], Clock], Sequence[Fields]]
# A column, and the values of which it has one in every row that is read.
Condition = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Link:
    """A table that says more of each related row: its column `key` is their column `on`."""

    table: str
    on: str
    key: str
    columns: tuple[str, ...]
    deleted: str | None = None
    where: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Related:
    """A table with any number of rows for one row: its column `key` is that one's column `of`, None for its id.

    `columns` must be there, `optional` ones may. A row whose column `deleted` says yes does not count; its change does.
    `updated`: a change here makes the row above new, None where nothing tells of it. One that is optional is passed
    over where it is not there.
    """

    name: str
    table: str
    key: str
    columns: tuple[str, ...]
    optional: tuple[str, ...] = ()
    of: str | None = None
    updated: str | None = None
    deleted: str | None = None
    where: tuple[Condition, ...] = ()
    link: Link | None = None
    is_optional: bool = False


@dataclass(frozen=True)
class Table:
    """A table, or a query in its place, of which each row tells records of one kind.

    `columns` must be there, `optional` ones may; `times` are those among them that hold a time. `name` is what its
    records count under.
    """

    name: str
    kind: CrmKind
    table: str
    columns: tuple[str, ...]
    tell: Tell
    id: str = "id"
    updated: str | None = None
    optional: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    related: tuple[Related, ...] = ()
    query: str | None = None
    is_optional: bool = False


@dataclass(frozen=True)
class Layout:
    """The tables of a CRM. `zone`: in which it writes times that name none; None where that must be said."""

    name: str
    tables: tuple[Table, ...]
    zone: str | None = None


def text(value: object) -> str:
    """Return a value of a column as text; empty where there is none.

    >>> text(" 7 "), text(7), text(None)
    ('7', '7', '')
    """
    return "" if value is None else str(value).strip()


def texts(row: Row, *names: str) -> list[str]:
    """Return what stands in columns, without those that are empty or not there."""
    return [found[:1_000] for name in names if (found := text(row.get(name)))]


def flag(value: object) -> bool:
    """Return whether a column says yes; databases say so by numbers, letters and bits."""
    if isinstance(value, bytes):
        return any(value)
    return text(value).casefold() in ("1", "true", "t", "yes", "y")


def written(row: Row) -> dict[str, Any]:
    """Return a row as an export would hold it: instants as texts, bits as numbers."""
    return {name: _written(value) for name, value in row.items()}


def _written(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        return int.from_bytes(value, "big") if len(value) == 1 else value.decode("utf-8", "replace")
    return value


def by_ties(ties: Iterable[Tie]) -> Tied:
    """Return what tells the ids that rows tie a record to, each once, sorted; as files beside one another do."""
    found: dict[tuple[str, str], set[str]] = {}
    for record, what, other in ties:
        found.setdefault((record, what), set()).add(other)
    return lambda record, what: tuple(sorted(found.get((record, what), ())))
