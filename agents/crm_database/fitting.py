"""Whether a database has the tables and columns that are to be read: looked at before the first row is."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy import types
from sqlalchemy.dialects.mysql import TIMESTAMP as MYSQL_TIMESTAMP
from sqlalchemy.engine import Connection, Inspector

from agents.crm_database.connection import Database
from pipeline.crm_tables.tables import Layout, Related, Table
from pipeline.errors import ConfigurationError
from schemas.crm_database import CrmDatabaseSettings

_MOST_TOLD: Final = 10


@dataclass(frozen=True)
class Place:
    """A table that is there. `source` is what is selected from; `zoned` columns hold instants that need no zone.

    `types` are the database's own. What SQLite holds in a column of times are texts of any form, so they are selected
    as texts.
    """

    source: sa.FromClause
    types: Mapping[str, Any]
    zoned: frozenset[str] = frozenset()

    @property
    def names(self) -> Collection[str]:
        return self.types.keys()


@dataclass(frozen=True)
class FittedRelated:
    """Related rows as they are there; `link` is null where there is none."""

    related: Related
    place: Place
    link: Place | None


@dataclass(frozen=True)
class Fitted:
    """A table with the columns of it that are there, and what belongs to its rows."""

    table: Table
    place: Place
    columns: tuple[str, ...]
    related: tuple[FittedRelated, ...]


@dataclass(frozen=True)
class Fit:
    """The tables that are read, the zone of their times that name none, and what is to be told about them."""

    tables: tuple[Fitted, ...]
    zone: ZoneInfo
    warnings: tuple[str, ...]


def fit(layout: Layout, database: Database, settings: CrmDatabaseSettings) -> Fit:
    """Return how the tables of a layout stand in a database.

    Raises:
        ConfigurationError: with a sentence for each table or column that is missing or of a wrong type, or when the
            zone of times is not known.
        TransientError: when the database cannot be reached.
    """
    with database.reading() as connection:
        return _Fitter(layout, database, settings, connection).fit()


class _Fitter:
    def __init__(
        self, layout: Layout, database: Database, settings: CrmDatabaseSettings, connection: Connection
    ) -> None:
        self._layout = layout
        self._database = database
        self._settings = settings
        self._connection = connection
        self._inspector: Inspector = sa.inspect(connection)
        self._listed: dict[str | None, list[str]] = {}
        self._places: dict[tuple[str | None, str], Place] = {}
        self._problems: dict[str, None] = {}
        self._unindexed: list[str] = []
        self._zoneless: list[str] = []

    def fit(self) -> Fit:
        fitted = [found for table in self._layout.tables if (found := self._fit(table)) is not None]
        if not self._problems and not any(found.table.kind in ("activity", "ticket") for found in fitted):
            self._problems[
                f"no table of activities; {self._settings.mapping} has them, so is it the right database?"
            ] = None
        if self._problems:
            told = list(self._problems)
            more = [f"and {len(told) - _MOST_TOLD} more"] if len(told) > _MOST_TOLD else []
            where = f"the database {self._database.place} does not fit the mapping of source {self._settings.source!r}"
            raise ConfigurationError("\n".join([f"{where}:", *told[:_MOST_TOLD], *more]))
        zone = self._settings.timezone or self._layout.zone
        if zone is None and self._zoneless:
            raise ConfigurationError(
                f"[[crm_database]] of source {self._settings.source!r} has no timezone, and {self._zoneless[0]} holds "
                'times that name none; say in which zone the CRM writes them, for example timezone = "UTC"'
            )
        warnings: tuple[str, ...] = ()
        if self._unindexed:
            warnings = (
                f"no index begins with {', '.join(self._unindexed)}, so each read looks through those tables as a "
                "whole; an index on each makes it quick",
            )
        return Fit(tuple(fitted), ZoneInfo(zone or "UTC"), warnings)

    def _fit(self, table: Table) -> Fitted | None:
        place = self._query(table) if table.query is not None else self._place(table.table, table.is_optional)
        if place is None:
            return None
        title = table.table if table.query is None else f"query {table.name}"
        must = [
            table.id,
            *([table.updated] if table.updated else []),
            *table.columns,
            *(name for name, _ in table.where),
        ]
        self._require(title, place, must)
        columns = [*dict.fromkeys(must), *(name for name in table.optional if name in place.names)]
        for name in dict.fromkeys([*([table.updated] if table.updated else []), *table.times]):
            self._check_time(title, place, name, is_compared=name == table.updated)
        related = []
        for each in table.related:
            found = self._fit_related(each, place, title)
            if found is not None:
                related.append(found)
        if table.query is None and table.updated is not None:
            self._look_for_index(table.table, table.updated)
        return Fitted(table, place, tuple(columns), tuple(related))

    def _fit_related(self, related: Related, above: Place, title: str) -> FittedRelated | None:
        if related.of is not None:
            if related.is_optional and related.of not in above.names:
                return None
            self._require(title, above, [related.of])
        place = self._place(related.table, related.is_optional)
        if place is None:
            return None
        must = [related.key, *related.columns, *(name for name, _ in related.where)]
        must += [name for name in (related.updated, related.deleted) if name is not None]
        link = None
        if related.link is not None:
            must.append(related.link.on)
            link = self._place(related.link.table, related.is_optional)
            if link is None:
                return None
            asked = [related.link.key, *related.link.columns, *(name for name, _ in related.link.where)]
            self._require(related.link.table, link, [*asked, *([related.link.deleted] if related.link.deleted else [])])
        self._require(related.table, place, must)
        if related.updated is not None:
            self._check_time(related.table, place, related.updated, is_compared=True)
        held = tuple(name for name in related.optional if name in place.names)
        return FittedRelated(replace(related, columns=(*related.columns, *held)), place, link)

    # Tables and columns

    def _place(self, name: str, is_optional: bool = False) -> Place | None:
        schema, _, table = name.rpartition(".")
        where = schema or self._settings.db_schema
        if (where, table) in self._places:
            return self._places[where, table]
        if table not in self._names(where):
            if not is_optional:
                near = _near(table, self._names(where))
                self._problems[f"no table {name}{near}; is it the right database, and may the user see it?"] = None
            return None
        columns = self._inspector.get_columns(table, schema=where)
        found = {column["name"]: column["type"] for column in columns}
        source = sa.Table(
            table,
            sa.MetaData(),
            *(sa.Column(name, self._selected(type_)) for name, type_ in found.items()),
            schema=where,
        )
        place = Place(source, found, _zoned(columns))
        self._places[where, table] = place
        return place

    def _names(self, schema: str | None) -> list[str]:
        if schema not in self._listed:
            tables = self._inspector.get_table_names(schema=schema)
            self._listed[schema] = [*tables, *self._inspector.get_view_names(schema=schema)]
        return self._listed[schema]

    def _query(self, table: Table) -> Place:
        query = (table.query or "").strip().rstrip(";")
        result = self._connection.execute(sa.text(f"SELECT * FROM ({query}) asked WHERE 1 = 0"))
        names = list(result.keys())
        source = sa.text(query).columns(*(sa.column(name) for name in names)).subquery(table.name.replace("-", "_"))
        return Place(source, dict.fromkeys(names, types.NullType()))

    def _selected(self, type_: Any) -> Any:
        is_time = isinstance(type_, (types.Date, types.DateTime))
        return types.String() if is_time and self._database.dialect == "sqlite" else type_

    def _require(self, title: str, place: Place, names: Sequence[str]) -> None:
        for name in names:
            if name not in place.names:
                self._problems[f"{title} has no column {name}{_near(name, place.names)}"] = None

    def _check_time(self, title: str, place: Place, name: str, *, is_compared: bool) -> None:
        if name not in place.names:
            return
        type_ = place.types[name]
        is_text = isinstance(type_, types.String) and (self._database.dialect == "sqlite" or not is_compared)
        if not isinstance(type_, (types.Date, types.DateTime, types.NullType)) and not is_text:
            self._problems[f"{title}.{name} is of type {type_}; expected one that holds a time"] = None
        if name not in place.zoned and not (isinstance(type_, types.Date)):
            self._zoneless.append(f"{title}.{name}")

    def _look_for_index(self, name: str, column: str) -> None:
        schema, _, table = name.rpartition(".")
        indexes = self._inspector.get_indexes(table, schema=schema or self._settings.db_schema)
        if not any(index["column_names"][:1] == [column] for index in indexes):
            self._unindexed.append(f"{name}.{column}")


def _zoned(columns: Sequence[Any]) -> frozenset[str]:
    found = set()
    for column in columns:
        type_ = column["type"]
        if isinstance(type_, MYSQL_TIMESTAMP) or (isinstance(type_, types.DateTime) and type_.timezone):
            found.add(column["name"])
    return frozenset(found)


def _near(name: str, known: Collection[str]) -> str:
    folded = {each.casefold(): each for each in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    return f"; near names are {', '.join(folded[each] for each in near)}" if near else ""
