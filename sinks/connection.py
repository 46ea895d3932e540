"""Opening a store's file with DuckDB: the settings that all connections share, and what is refused."""

from __future__ import annotations

from pathlib import Path

import duckdb

from pipeline.errors import ConfigurationError
from sinks import catalog
from sinks.placement import Placement

# Files of this version are read by every DuckDB that we support.
STORAGE_VERSION = "v1.5.0"
_MAGIC = b"DUCK"


def connect(
    database: str, placement: Placement, memory_limit: str, threads: int | None, read_only: bool
) -> duckdb.DuckDBPyConnection:
    """Return a connection that neither asks the network for extensions nor looks at Python's variables.

    What does not fit into the memory goes to the placement's folder for that. Rows have no order of their own.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "temp_directory": str(placement.spill),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
    }
    if threads is not None:
        config["threads"] = str(threads)
    if not read_only and database != ":memory:":
        config["storage_compatibility_version"] = STORAGE_VERSION
    connection = duckdb.connect(database, read_only=read_only, config=config)
    connection.execute("SET enable_progress_bar = false; SET preserve_insertion_order = false")
    return connection


def check_file(path: Path) -> None:
    """Raise a ConfigurationError when a path is no DuckDB file."""
    try:
        if path.is_dir():
            raise ConfigurationError(f"{path} is a directory; name the store's file")
        with path.open("rb") as stream:
            head = stream.read(12)
    except FileNotFoundError:
        raise ConfigurationError(f"there is no store at {path}; make one: bypassflow replay PATH --db {path}") from None
    except OSError as error:
        raise ConfigurationError(f"the store {path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if head[8:12] != _MAGIC:
        raise ConfigurationError(f"{path} is not a DuckDB file; name the store's file, or another place for a new one")


def check_whole(connection: duckdb.DuckDBPyConnection, database: str, path: Path) -> None:
    """Raise a ConfigurationError when the file of an attached database is shorter than it says: half of a copy."""
    ((length,),) = connection.execute(
        "SELECT block_size * total_blocks FROM pragma_database_size() WHERE database_name = ?", [database]
    ).fetchall()
    if path.stat().st_size < length:
        raise ConfigurationError(
            f"the store {path} is not whole: it is still being copied, or a copy was broken off; copy it under another "
            "name and move it into place"
        )


def is_old(connection: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """Return whether a store is of an older version.

    Raises:
        ConfigurationError: when a database is no store, or one of a newer version.
    """
    version = catalog.version_of(connection)
    if version is None:
        raise ConfigurationError(
            f"{path} is a DuckDB file, but no store of bypassflow; name another file, or make one: "
            f"bypassflow replay PATH --db {path.name}"
        )
    if version > catalog.SCHEMA_VERSION:
        raise ConfigurationError(
            f"the store {path} was written by a newer bypassflow (schema {version}; this one knows "
            f"{catalog.SCHEMA_VERSION}); upgrade bypassflow"
        )
    return version < catalog.SCHEMA_VERSION


def require_current(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Raise a ConfigurationError when a database is no store, or one of another version."""
    if is_old(connection, path):
        raise ConfigurationError(
            f"the store {path} was written by an older bypassflow; a command that reads it brings it up to "
            f"date, such as bypassflow audit --db {path.name}"
        )


def quoted(path: Path) -> str:
    """Return a path as a text in SQL."""
    return "'" + str(path).replace("'", "''") + "'"
