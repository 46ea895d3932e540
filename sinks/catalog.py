"""The store's schema: making it, bringing an older one up to date, and reading back what its columns are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

import duckdb

from pipeline.errors import ConfigurationError

SCHEMA_VERSION = 5


@dataclass(frozen=True)
class Migration:
    """Statements that bring a store from the version before to `version`."""

    version: int
    name: str
    sql: str


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, its type in SQL, and the values of an enumeration."""

    name: str
    sql_type: str

    @property
    def values(self) -> tuple[str, ...]:
        """Return the values of an enumeration, in order; empty for other types.

        >>> Column("line", "ENUM('pbx', 'mobile')").values
        ('pbx', 'mobile')
        """
        return tuple(re.findall(r"'([^']*)'", self.sql_type)) if self.sql_type.startswith("ENUM") else ()


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables and views of the newest version in an empty database."""
    connection.execute(_text("schema.sql"))
    connection.execute(_text("views.sql"))


def version_of(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Return the schema version of a database, or None when it is no store of ours."""
    try:
        row = connection.execute("SELECT max(version) FROM schema_version").fetchall()[0]
    except duckdb.CatalogException:
        return None
    return int(row[0]) if row[0] is not None else None


def released() -> tuple[Migration, ...]:
    """Return all migrations that there are, in order."""
    found = []
    for entry in files("sinks").joinpath("migrations").iterdir():
        named = re.fullmatch(r"(\d{4})_(\w+)\.sql", entry.name)
        if named:
            found.append(Migration(int(named[1]), named[2], entry.read_text(encoding="utf-8")))
    return tuple(sorted(found, key=lambda migration: migration.version))


def migrate(connection: duckdb.DuckDBPyConnection, migrations: Iterable[Migration], newest: int) -> None:
    """Bring a store to the newest version: every migration after its own, and the views, in one transaction.

    Raises:
        ConfigurationError: when a step is missing.
    """
    version = version_of(connection) or 0
    connection.execute("BEGIN")
    try:
        for migration in migrations:
            if version < migration.version <= newest:
                if migration.version != version + 1:
                    break
                connection.execute(migration.sql)
                connection.execute(
                    "INSERT INTO schema_version (version, name) VALUES ($1, $2)", [migration.version, migration.name]
                )
                version = migration.version
        if version != newest:
            raise ConfigurationError(
                f"there is no migration from version {version} of the store's schema; replay the files into a new store"
            )
        connection.execute(_text("views.sql"))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def columns(connection: duckdb.DuckDBPyConnection, table: str) -> tuple[Column, ...]:
    """Return the columns of a table, in order."""
    return tuple(Column(row[0], row[1]) for row in connection.execute(f"DESCRIBE {table}").fetchall())


def _text(name: str) -> str:
    return files("sinks").joinpath(name).read_text(encoding="utf-8")
