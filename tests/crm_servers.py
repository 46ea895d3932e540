"""Database servers for the tests: a PostgreSQL and a MariaDB of the test process's own, on free ports of this machine.

Each has a folder of its own and is ended with what started it; no other server is touched.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

# Of signs that an address would have to quote.
PASSWORD = "reader's: p@ss/word%"
_QUOTED = PASSWORD.replace("'", "''")
_ADMIN = "tests"
_UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Server:
    """A server that answers. `reader_url` names a user that may read, with ${CRM_PASSWORD} for its password."""

    kind: str
    port: int
    process: subprocess.Popen[bytes]

    def admin(self, database: str) -> sa.Engine:
        """Return an engine that may do everything."""
        driver = "postgresql+psycopg" if self.kind == "postgresql" else "mysql+pymysql"
        url = sa.URL.create(driver, _ADMIN, _ADMIN, "127.0.0.1", self.port, database)
        return sa.create_engine(url)

    def reader_url(self, database: str) -> str:
        return f"{self.kind}://reader:${{CRM_PASSWORD}}@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def database(self, name: str, metadata: sa.MetaData) -> Iterator[sa.Engine]:
        """Give an engine on a new database with some tables, which the reader may read; dropped at the end."""
        top = "postgres" if self.kind == "postgresql" else "mysql"
        quoted = '"reader"' if self.kind == "postgresql" else "'reader'@'127.0.0.1'"
        control = self.admin(top).execution_options(isolation_level="AUTOCOMMIT")
        with control.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine = self.admin(name)
        metadata.create_all(engine)
        with engine.begin() as connection:
            if self.kind == "postgresql":
                connection.execute(sa.text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {quoted}"))
            else:
                connection.execute(sa.text(f"GRANT SELECT ON {name}.* TO {quoted}"))
        try:
            yield engine
        finally:
            engine.dispose()
            with control.connect() as connection:
                force = " WITH (FORCE)" if self.kind == "postgresql" else ""
                connection.execute(sa.text(f"DROP DATABASE {name}{force}"))
            control.dispose()


@contextlib.contextmanager
def running_postgresql() -> Iterator[Server]:
    """Give a PostgreSQL; skip the tests on a machine that has none, but never in CI."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    tools = folders[-1] if folders else Path(found).parent if found else None
    if tools is None:
        _missing("PostgreSQL")
    assert tools is not None
    with _folder() as folder:
        secret = folder / "password"
        secret.write_text(_ADMIN)
        secret.chmod(0o644)
        data = folder / "data"
        _as_nobody([
            str(tools / "initdb"), "-D", str(data), "-U", _ADMIN, "-A", "scram-sha-256", "--pwfile", str(secret),
            "-E", "UTF8", "--no-sync", "--locale=C",
        ])  # fmt: skip
        port = _free_port()
        command = [
            str(tools / "postgres"), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1",
            "-c", f"unix_socket_directories={folder}", "-c", "fsync=off", "-c", "max_prepared_transactions=4",
        ]  # fmt: skip
        with _serving("postgresql", command, port, folder) as server:
            with server.admin("postgres").execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                connection.execute(sa.text(f"CREATE USER reader PASSWORD '{_QUOTED}'"))
            yield server


@contextlib.contextmanager
def running_mariadb() -> Iterator[Server]:
    """Give a MariaDB; skip the tests on a machine that has none, but never in CI."""
    daemon, install = shutil.which("mariadbd") or "/usr/sbin/mariadbd", shutil.which("mariadb-install-db")
    if install is None or not Path(daemon).exists():
        _missing("MariaDB")
    assert install is not None
    with _folder() as folder:
        data, script = folder / "data", folder / "users.sql"
        script.write_text(
            f"CREATE USER '{_ADMIN}'@'127.0.0.1' IDENTIFIED BY '{_ADMIN}';\n"
            f"GRANT ALL ON *.* TO '{_ADMIN}'@'127.0.0.1' WITH GRANT OPTION;\n"
            f"CREATE USER 'reader'@'127.0.0.1' IDENTIFIED BY '{_QUOTED}';\n"
        )
        script.chmod(0o644)
        _as_nobody([install, "--no-defaults", f"--datadir={data}", "--skip-test-db", "--skip-name-resolve"])
        port = _free_port()
        command = [
            daemon, "--no-defaults", f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1",
            f"--socket={folder / 'mysql.sock'}", f"--pid-file={folder / 'pid'}", "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0", f"--init-file={script}", "--innodb-buffer-pool-size=256M",
        ]  # fmt: skip
        with _serving("mysql", command, port, folder) as server:
            yield server


def _missing(name: str) -> None:
    if os.environ.get("CI"):
        raise RuntimeError(f"{name} is not installed, and CI needs it")
    pytest.skip(f"no {name} on this machine")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Give a folder that the server's user owns; tests may run as root, servers do not."""
    folder = Path(tempfile.mkdtemp(prefix="crm-server-"))
    if os.geteuid() == 0:
        user = pwd.getpwnam(_UNPRIVILEGED)
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(command: Sequence[str]) -> list[str]:
    if os.geteuid() != 0:
        return list(command)
    user = pwd.getpwnam(_UNPRIVILEGED)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *command]


def _as_nobody(command: Sequence[str]) -> None:
    ran = subprocess.run(_unprivileged(command), capture_output=True, cwd="/", check=False)
    if ran.returncode:
        raise RuntimeError(f"{command[0]} failed: {(ran.stdout + ran.stderr).decode()[-2000:]}")


@contextlib.contextmanager
def _serving(kind: str, command: Sequence[str], port: int, folder: Path) -> Iterator[Server]:
    log = folder / "log"
    with log.open("wb") as stream:
        # A zone that is neither ours nor that of any row.
        environment = {**os.environ, "TZ": "America/New_York"}
        process = subprocess.Popen(_unprivileged(command), stdout=stream, stderr=stream, cwd="/", env=environment)
    server = Server(kind, port, process)
    try:
        deadline = time.monotonic() + 60
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start: {log.read_text(errors='replace')[-2000:]}")
            try:
                server.admin("postgres" if kind == "postgresql" else "mysql").connect().close()
                break
            except sa.exc.DBAPIError:
                time.sleep(0.2)
        yield server
    finally:
        # PostgreSQL ends its clients at SIGINT, and waits for them at SIGTERM.
        process.send_signal(signal.SIGINT if kind == "postgresql" else signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
