"""Tables as a configuration lists them: `field = "column"`, read as a table of a file would be.

An export of the same columns, read with the same mapping, gives the same records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from pipeline.crm_tables.tables import Layout, Related, Row, Table
from pipeline.errors import ConfigurationError
from pipeline.sources.column_mapping import ColumnMapping, field_names
from pipeline.sources.crm_values import Clock
from pipeline.sources.translation import Fields
from schemas.crm_database import CrmDatabaseSettings, CrmTable

_OWN_ID: Final = {
    "contact": "contact_id",
    "account": "account_id",
    "user": "user_id",
    "activity": "activity_id",
    "ticket": "ticket_id",
}
_OPTIONS: Final = frozenset({"values", "date_format"})


def layout(settings: CrmDatabaseSettings) -> Layout:
    """Return the tables that a configuration lists.

    Raises:
        ConfigurationError: when two have one name, or a mapping does not fit its kind of record.
    """
    tables: dict[str, Table] = {}
    for number, entry in enumerate(settings.table, start=1):
        where = f"[[crm_database.table]] number {number} of source {settings.source!r}"
        table = _table(entry, where)
        if table.name in tables:
            raise ConfigurationError(f"{where} has the name {table.name!r} of an earlier one; give it another `name`")
        tables[table.name] = table
    return Layout("tables", tuple(tables.values()))


def _table(entry: CrmTable, where: str) -> Table:
    for option in entry.options:
        if option not in _OPTIONS:
            raise ConfigurationError(f"{where}: unknown option {option!r}; known are {', '.join(sorted(_OPTIONS))}")
    fields = field_names(entry.kind)
    joined = [(f"join {index}", join) for index, join in enumerate(entry.join, start=1)]
    for _, join in joined:
        for field in join.columns:
            if field not in fields or "tuple" not in str(fields[field].annotation):
                lists = ", ".join(name for name, info in fields.items() if "tuple" in str(info.annotation))
                raise ConfigurationError(f"{where}: a join cannot fill {field!r}; a {entry.kind} has lists in {lists}")
    mapping = {"kind": f"={entry.kind}", **entry.columns}
    mapping.setdefault(_OWN_ID[entry.kind], entry.id)
    columns = list(dict.fromkeys(part for said in mapping.values() for part in _columns_of(said)))
    tell = _Teller(entry.kind, columns, mapping, entry.options, where, joined)
    times = [entry.columns[name] for name in ("logged_at",) if _columns_of(entry.columns.get(name, "="))]
    name = entry.name or (entry.table or "").rpartition(".")[2]
    return Table(
        name=name,
        kind=entry.kind,
        table=entry.table or "",
        query=entry.query,
        columns=tuple(column for column in columns if column not in (entry.id, entry.updated)),
        tell=tell,
        id=entry.id,
        updated=entry.updated,
        times=tuple(times) if "date_format" not in entry.options else (),
        related=tuple(
            Related(
                name, join.table, join.key, tuple(dict.fromkeys(join.columns.values())), updated=join.updated,
                deleted=join.deleted,
            )
            for name, join in joined
        ),
    )  # fmt: skip


def _columns_of(said: str) -> list[str]:
    return [] if said.startswith("=") else [part.strip() for part in said.split("+")]


class _Teller:
    """Tells the records of one table."""

    def __init__(
        self,
        kind: str,
        columns: Sequence[str],
        mapping: Mapping[str, str],
        options: Mapping[str, Any],
        where: str,
        joined: Sequence[tuple[str, Any]],
    ) -> None:
        self._columns = columns
        self._mapping = ColumnMapping(columns, mapping, options, where)
        self._joined = joined

    def __call__(self, row: Row, related: Mapping[str, Sequence[Row]], clock: Clock) -> Sequence[Fields]:
        values = self._mapping.record([_cell(row.get(name)) for name in self._columns])
        for name, join in self._joined:
            for field, column in join.columns.items():
                found = [str(value) for each in related.get(name, ()) if (value := each.get(column)) is not None]
                values[field] = tuple(sorted({*values.get(field, ()), *found}))
        return [values]


def _cell(value: Any) -> Any:
    """Return a value as an export would hold it."""
    if isinstance(value, bytes):
        return str(int.from_bytes(value, "big")) if len(value) == 1 else value.decode("utf-8", "replace")
    return value if value is None or isinstance(value, (bool, date, str)) else str(value)
