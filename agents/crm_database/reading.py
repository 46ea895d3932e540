"""Rows, page after page: in the order of ids for everything, in the order of (change, id) for what is new.

Each page is a transaction of its own, which sees rows and what belongs to them as of one moment. Memory holds a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from agents.crm_database.connection import Database
from agents.crm_database.fitting import Fitted, FittedRelated, Place
from pipeline.crm_tables.tables import Condition, Row, flag

# Databases take so many values in one list.
_MOST_IDS: Final = 500
# What clocks are set back by in autumn: local times of an hour come twice.
_HOUR: Final = timedelta(hours=1)
_CHANGED: Final = "bypassflow_changed"
_TO: Final = "bypassflow_to"
_LINK_DELETED: Final = "bypassflow_gone"

# Where reading goes on: the id, or the change and the id, of the last row; as the database holds them.
After = tuple[Any, ...] | None


@dataclass(frozen=True)
class Found:
    """A row, what belongs to it, and when the latest of all that changed; None where nothing says it."""

    row: Row
    related: Mapping[str, Sequence[Row]]
    changed: datetime | None


@dataclass(frozen=True)
class Page:
    """Rows in their order. `after` is where to go on, None when there are no more."""

    found: Sequence[Found]
    after: After


class TableReader:
    """Reads one table."""

    def __init__(self, fitted: Fitted, database: Database, zone: ZoneInfo, batch: int) -> None:
        self._fitted = fitted
        self._database = database
        self._zone = zone
        self._batch = batch
        self._table = fitted.table
        self._source = fitted.place.source
        self._id = self._source.c[fitted.table.id]
        self._is_sqlite = database.dialect == "sqlite"
        self._updated = None if self._table.updated is None else fitted.place.source.c[self._table.updated]

    @property
    def steps(self) -> list[str]:
        """What is read for what is new: rows that changed, those without a time, and those beside which some did."""
        if self._updated is None:
            return ["all"]
        beside = [each.related.name for each in self._fitted.related if each.related.updated and not each.related.of]
        return ["changed", "timeless", *(f"beside {name}" for name in beside)]

    def read(self, step: str, since: datetime | None, after: After) -> Page:
        """Return the next page of a step. `since`: the earliest change, as an instant.

        Raises:
            TransientError: when the database cannot be reached now.
            ConfigurationError: when it refuses.
        """
        with self._database.reading() as connection:
            if step == "all":
                return self._by_id(connection, None, after)
            if step == "timeless":
                return self._by_id(connection, self._updated_column().is_(None), after)
            if since is None:
                raise ValueError("what is new is only known since a time")
            if step == "changed":
                return self._by_change(connection, since, after)
            name = step.removeprefix("beside ")
            (beside,) = (each for each in self._fitted.related if each.related.name == name)
            return self._beside(connection, beside, since, after)

    # Pages

    def _by_id(self, connection: Connection, condition: Any, after: After) -> Page:
        query = self._select()
        if condition is not None:
            query = query.where(condition)
        if after is not None:
            query = query.where(self._id > self._bound(after[0], self._id))
        rows = connection.execute(query.order_by(self._id).limit(self._batch)).mappings().all()
        last = (rows[-1][self._table.id],) if len(rows) == self._batch else None
        return Page(self._complete(connection, rows), last)

    def _by_change(self, connection: Connection, since: datetime, after: After) -> Page:
        updated = self._updated_column()
        query = self._select()
        if after is None:
            query = query.where(
                updated >= self._bound(self._local(since, self._fitted.place, self._table.updated), updated)
            )
        else:
            change, row_id = self._bound(after[0], updated), self._bound(after[1], self._id)
            query = query.where(sa.or_(updated > change, sa.and_(updated == change, self._id > row_id)))
        rows = connection.execute(query.order_by(updated, self._id).limit(self._batch)).mappings().all()
        last = (rows[-1][_CHANGED], rows[-1][self._table.id]) if len(rows) == self._batch else None
        return Page(self._complete(connection, rows), last)

    def _beside(self, connection: Connection, beside: FittedRelated, since: datetime, after: After) -> Page:
        """Return rows beside which something changed."""
        related, source = beside.related, beside.place.source
        key, updated = source.c[related.key], source.c[related.updated or ""]
        bound = self._bound(self._local(since, beside.place, related.updated), updated)
        query = sa.select(key.label("key")).distinct().where(updated >= bound, *_conditions(source, related.where))
        if after is not None:
            query = query.where(key > self._bound(after[0], key))
        keys = [found[0] for found in connection.execute(query.order_by(key).limit(self._batch))]
        rows: list[Mapping[Any, Any]] = []
        for start in range(0, len(keys), _MOST_IDS):
            wanted = self._id.in_(keys[start : start + _MOST_IDS])
            rows += connection.execute(self._select().where(wanted)).mappings().all()
        return Page(self._complete(connection, rows), (keys[-1],) if len(keys) == self._batch else None)

    def _select(self) -> sa.Select[Any]:
        columns = [self._source.c[name] for name in self._fitted.columns]
        if self._updated is not None:
            columns.append(self._updated.label(_CHANGED))
        return sa.select(*columns).where(*_conditions(self._source, self._table.where))

    # What belongs to rows

    def _complete(self, connection: Connection, rows: Sequence[Mapping[Any, Any]]) -> list[Found]:
        plain = [self._plain(row, self._fitted.columns, self._fitted.place) for row in rows]
        related: list[dict[str, list[Row]]] = [{} for _ in rows]
        changed = [_instant(row.get(self._table.updated or "")) for row in plain]
        for each in self._fitted.related:
            of = each.related.of or self._table.id
            places: dict[Any, list[int]] = {}
            keys: dict[Any, None] = {}
            for index, row in enumerate(rows):
                related[index][each.related.name] = []
                if row[of] is not None:
                    places.setdefault(plain[index][of], []).append(index)
                    keys[row[of]] = None
            for found in self._related_rows(connection, each, list(keys)):
                changed_at = _instant(found.pop(_CHANGED, None))
                indexes = places.get(found.pop(_TO), ())
                is_gone = flag(found.pop(_LINK_DELETED, None))
                is_gone = is_gone or (each.related.deleted is not None and flag(found.get(each.related.deleted)))
                for index in indexes:
                    if not is_gone:
                        related[index][each.related.name].append(found)
                    if changed_at is not None:
                        changed[index] = max(changed[index] or changed_at, changed_at)
        return [Found(*parts) for parts in zip(plain, related, changed, strict=True)]

    def _related_rows(self, connection: Connection, each: FittedRelated, keys: Sequence[Any]) -> list[dict[str, Any]]:
        related, source = each.related, each.place.source
        key = source.c[related.key]
        names = [*related.columns, *([related.deleted] if related.deleted else [])]
        columns: list[Any] = [key.label(_TO), *(source.c[name] for name in dict.fromkeys(names))]
        if related.updated is not None and related.of is None:
            columns.append(source.c[related.updated].label(_CHANGED))
        query = sa.select(*columns).where(*_conditions(source, related.where))
        if related.link is not None and each.link is not None:
            link = each.link.source.alias("linked") if each.link.source is source else each.link.source
            columns = [link.c[name] for name in related.link.columns if name not in names]
            if related.link.deleted is not None:
                columns.append(link.c[related.link.deleted].label(_LINK_DELETED))
            query = query.add_columns(*columns).select_from(
                source.join(link, source.c[related.link.on] == link.c[related.link.key])
            )
            query = query.where(*_conditions(link, related.link.where))
        found: list[dict[str, Any]] = []
        for start in range(0, len(keys), _MOST_IDS):
            rows = connection.execute(query.where(key.in_(keys[start : start + _MOST_IDS]))).mappings()
            found += [self._plain(row, row.keys(), each.place, related.updated) for row in rows]
        return found

    # Values

    def _plain(self, row: Mapping[Any, Any], names: Any, place: Place, changed: str | None = None) -> dict[str, Any]:
        values = {}
        for name in names:
            value = row[name]
            if isinstance(value, str):
                value = value.rstrip()  # columns of a fixed length are filled with blanks
            if isinstance(value, datetime):
                zoned = (changed if name == _CHANGED else name) in place.zoned
                value = self._aware(value, zoned)
            elif (
                self._is_sqlite
                and isinstance(value, str)
                and (name == _CHANGED or name == self._table.updated or name in self._table.times)
            ):
                value = self._read(value)
            values[str(name)] = value
        return values

    def _aware(self, value: datetime, is_zoned: bool = False) -> datetime:
        if value.tzinfo is None:
            return value.replace(tzinfo=UTC if is_zoned else self._zone).astimezone(UTC)
        return value.astimezone(UTC)

    def _read(self, text: str) -> Any:
        """Return the time that a text of SQLite holds; the text itself where it holds none."""
        try:
            found = datetime.fromisoformat(text) if len(text) > 10 else date.fromisoformat(text)
        except ValueError:
            return text
        return self._aware(found) if isinstance(found, datetime) else found

    def _updated_column(self) -> Any:
        if self._updated is None:
            raise ValueError(f"{self._table.name} has no time of changes")
        return self._updated

    def _local(self, moment: datetime, place: Place, name: str | None) -> Any:
        """Return an instant as the database writes it, or an earlier time that is safe."""
        if self._is_sqlite:
            return f"{self._naive(moment):%Y-%m-%d %H:%M:%S}"
        if name in place.zoned:
            return moment.replace(tzinfo=None) if self._database.dialect == "mysql" else moment
        return self._naive(moment)

    def _naive(self, moment: datetime) -> datetime:
        local = moment.astimezone(self._zone).replace(tzinfo=None)
        is_fixed = self._zone.key in ("UTC", "Etc/UTC")
        return local if is_fixed else local - _HOUR

    def _bound(self, value: Any, column: Any) -> Any:
        """Return a value for a comparison; SQL Server rounds times, and so must what they are compared with."""
        if isinstance(column.type, sa.Uuid) and column.type.as_uuid and isinstance(value, str):
            value = UUID(value)
        bound = sa.bindparam(None, value, column.type)
        return sa.cast(bound, column.type) if self._database.dialect == "mssql" else bound


def _conditions(source: Any, where: Sequence[Condition]) -> list[Any]:
    return [source.c[name].in_(values) for name, values in where]


def _instant(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None
