"""A connection to somebody's database: it only reads, and what goes wrong is said without address, user or password."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine

from pipeline.errors import BypassflowError, ConfigurationError, TransientError
from schemas.crm_database import CrmDatabaseSettings

# Drivers that come with `bypassflow[crm]`, for addresses that name none.
_DRIVERS: Final = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PATIENCE_SECONDS: Final = 10

# By the numbers of MySQL and MariaDB, and by the SQLSTATEs of PostgreSQL.
_WRONG_PASSWORD: Final = frozenset({1045, 1698, "28P01", "28000"})
_NO_DATABASE: Final = frozenset({1049, "3D000"})
_NO_RIGHT: Final = frozenset({1044, 1142, 1143, "42501"})
# PostgreSQL says so in words alone while a connection is made.
_WORDS: Final = (
    (re.compile(r"password authentication failed|no password supplied|no pg_hba.conf entry"), "28P01"),
    (re.compile(r'database "[^"]*" does not exist'), "3D000"),
    (re.compile(r'role "[^"]*" does not exist'), "28000"),
)


@dataclass(frozen=True)
class Database:
    """A database that is read. `place` is how it is named to people: host and name, nothing secret."""

    engine: Engine
    place: str

    @property
    def dialect(self) -> str:
        return "mysql" if self.engine.dialect.name == "mariadb" else self.engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection in one transaction, in which everything is seen as of one moment.

        Raises:
            TransientError: when the database cannot be reached now.
            ConfigurationError: when it refuses us, for a reason that does not pass.
        """
        with explained(self.place), self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        self.engine.dispose()


def open_database(settings: CrmDatabaseSettings, environment: Mapping[str, str], base: Path) -> Database:
    """Return the database of the settings; nothing is connected to yet. Files are relative to `base`.

    Raises:
        ConfigurationError: when the address cannot be read, a variable is not set, or a driver is missing.
    """
    where = f"[[crm_database]] of source {settings.source!r}"
    url = _address(settings, environment, where)
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, base, where)
    place = f"{url.host or 'localhost'}{f':{url.port}' if url.port else ''}/{url.database or ''}"
    options: dict[str, Any] = {}
    if url.get_backend_name() == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"
        options["connect_args"] = {"connect_timeout": _PATIENCE_SECONDS, "application_name": "bypassflow"}
    elif url.get_backend_name() in ("mysql", "mariadb"):
        options["isolation_level"] = "REPEATABLE READ"
        options["connect_args"] = {"connect_timeout": _PATIENCE_SECONDS, "charset": "utf8mb4"}
    try:
        engine = sa.create_engine(url, hide_parameters=True, pool_size=1, max_overflow=0, pool_pre_ping=True, **options)
    except (exc.NoSuchModuleError, ModuleNotFoundError):
        ours = url.drivername in _DRIVERS.values()
        remedy = "pip install 'bypassflow[crm]'" if ours else "install the driver of this database"
        raise ConfigurationError(f"{where}: no driver for {url.drivername} is installed; {remedy}") from None
    except (exc.ArgumentError, TypeError, ValueError):
        raise ConfigurationError(f"{where}: the address cannot be used with {url.drivername}; see its manual") from None
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(postgresql_readonly=True)
    elif engine.dialect.name in ("mysql", "mariadb"):
        event.listen(engine, "connect", _prepare_mysql)
    return Database(engine, place)


def _address(settings: CrmDatabaseSettings, environment: Mapping[str, str], where: str) -> URL:
    """Return the address with the values of its variables in their places, which need no quoting there."""

    def value(name: str) -> str:
        found = environment.get(name)
        if not found:
            raise ConfigurationError(f"{where}: the environment variable {name} is not set; it holds what is secret")
        return found

    written = settings.url if settings.url is not None else value(settings.url_env or "")
    try:
        url = sa.make_url(written)
    except exc.ArgumentError:
        raise ConfigurationError(
            f"{where}: the address is none that can be read; expected one such as "
            "mysql://reader:${CRM_PASSWORD}@crm-db.acme.example/suitecrm"
        ) from None

    def filled(text: str | None) -> str | None:
        return None if text is None else _VARIABLE.sub(lambda found: value(found[1]), text)

    password = filled(None if url.password is None else str(url.password))
    url = url.set(
        drivername=_DRIVERS.get(url.drivername, url.drivername),
        username=filled(url.username),
        host=filled(url.host),
        database=filled(url.database),
    )
    return url if password is None else url.set(password=password)


def _sqlite(url: URL, base: Path, where: str) -> Database:
    if not url.database or url.database == ":memory:":
        raise ConfigurationError(f"{where}: the address names no file; expected one such as sqlite:///crm.sqlite")
    path = base / url.database
    if not path.is_file():
        raise ConfigurationError(f"{where}: {path} is no file; a relative one is looked for beside the configuration")

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE_SECONDS)

    # The pool connects in whatever thread asks; a file needs no more than one connection at a time.
    engine = sa.create_engine("sqlite://", creator=connect, hide_parameters=True, poolclass=sa.pool.NullPool)
    return Database(engine, url.database)


def _prepare_mysql(connection: Any, record: object) -> None:
    with connection.cursor() as cursor:
        # A column of type TIMESTAMP is told in the session's zone.
        cursor.execute("SET SESSION time_zone = '+00:00'")
        cursor.execute("SET SESSION TRANSACTION READ ONLY")


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Turn what a driver raises into a sentence of ours, which holds nothing of what the driver says."""
    try:
        yield
    except BypassflowError:
        raise
    except exc.DBAPIError as error:
        _refuse(error, place)
    except exc.SQLAlchemyError as error:
        raise ConfigurationError(f"the database {place} cannot be read ({type(error).__name__})") from None


def _refuse(error: exc.DBAPIError, place: str) -> NoReturn:
    code = _code(error)
    if code in _WRONG_PASSWORD:
        raise ConfigurationError(
            f"the database {place} does not let us in: user or password are wrong, or may not come from this machine; "
            "mend the variable that holds them"
        ) from None
    if code in _NO_DATABASE:
        raise ConfigurationError(
            f"the server has no database {place.rpartition('/')[2]!r}; mend the end of the address"
        ) from None
    if code in _NO_RIGHT:
        raise ConfigurationError(
            f"the user may not read a table of the database {place}; let it: GRANT SELECT on the tables that are read"
        ) from None
    if isinstance(error, (exc.ProgrammingError, exc.DataError, exc.NotSupportedError)):
        raise ConfigurationError(
            f"the database {place} does not understand what it was asked ({code or type(error.orig).__name__}); "
            "has a table been changed? start again, and it is looked at anew"
        ) from None
    detail = f" ({code})" if code else ""
    raise TransientError(
        f"the database {place} cannot be reached{detail}; is it running, and does the address name its host and port?"
    ) from None


def _code(error: exc.DBAPIError) -> int | str | None:
    """Return a driver's number or SQLSTATE of an error."""
    arguments = getattr(error.orig, "args", ())
    if arguments and isinstance(arguments[0], int):
        return arguments[0]
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return str(state)
    words = str(arguments[0]) if arguments else ""
    return next((code for pattern, code in _WORDS if pattern.search(words)), None)
