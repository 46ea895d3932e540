"""Snapshots of a store that is being written: a compact store and a Parquet file of each view, for everybody else.

A snapshot is a folder that appears whole; the link `current` beside it leads to the newest one and is moved in one
step, so nobody ever sees half of one. All that is in it is of one moment.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

from pipeline.errors import BypassflowError, ConfigurationError, TransientError
from schemas.announcements import Announcement
from schemas.tracing import UNTRACED, Tracer
from sinks import catalog
from sinks.connection import STORAGE_VERSION, quoted
from sinks.failures import explained, megabytes
from sinks.placement import sync
from sinks.reference import VIEWS
from sinks.results import RESULTS
from sinks.store import Store

CURRENT: Final = "current"
# The one before stays for those who are reading it.
KEPT: Final = 2
PREFIX: Final = "snapshot-"
_ALIAS: Final = "snapshot"


class Snapshots:
    """Takes a snapshot of a store from time to time.

    `taken_at` is when the newest one was taken, `seconds` how long that took.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        every: timedelta,
        *,
        now: Callable[[], datetime],
        tell: Callable[[str], None] = lambda sentence: None,
        tracer: Tracer = UNTRACED,
    ) -> None:
        """`now` gives the time, UTC; `tell` hears why there is no snapshot."""
        self.taken_at: datetime | None = None
        self.seconds: float | None = None
        self.failure_count = 0
        self._store = store.reader()
        self._folder = folder
        self._every = every
        self._now = now
        self._tell = tell
        self._tracer = tracer

    def run(self, stop: threading.Event) -> None:
        """Take snapshots until `stop` is set. One that fails is tried again the next time."""
        try:
            while not stop.wait(self._every.total_seconds()):
                try:
                    self.take()
                except BypassflowError as error:
                    self.failure_count += 1
                    sentence = f"no snapshot was taken: {error}"
                    self._tell(Announcement(sentence, "snapshot failed", "warning", reason=str(error)))
        finally:
            self._store.close()

    def take(self) -> Path:
        """Take a snapshot now; return its folder."""
        taken_at, begun = self._now(), time.monotonic()
        with self._tracer.span("snapshot"):
            folder = write_snapshot(self._store, self._folder, taken_at)
        self.taken_at, self.seconds = taken_at, time.monotonic() - begun
        sentence = f"a snapshot was taken in {self.seconds:.1f} s"
        self._tell(Announcement(sentence, "snapshot taken", seconds=round(self.seconds, 3)))
        return folder


def write_snapshot(store: Store, folder: Path, taken_at: datetime) -> Path:
    """Write a snapshot of a store into a folder of its own in `folder`, and let `current` lead to it; return it.

    `store` is a reader of its own, see `Store.reader`.

    Raises:
        TransientError: when there is not enough room.
        ConfigurationError: when the folder cannot be written.
    """
    target = folder / f"{PREFIX}{taken_at:%Y%m%dT%H%M%S%fZ}"
    draft = folder / f".{target.name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f".{PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        _check_room(store.path, folder)
        draft.mkdir()
    except OSError as error:
        raise ConfigurationError(
            f"no snapshot can be written in {folder}: {(error.strerror or str(error)).lower()}; name another folder"
        ) from None
    try:
        with explained(draft / store.path.name):
            _fill(store, draft)
        for path in draft.iterdir():
            sync(path)
        os.replace(draft, target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    link = folder / f".{CURRENT}"
    link.unlink(missing_ok=True)
    link.symlink_to(target.name)
    os.replace(link, folder / CURRENT)
    sync(folder)
    for old in sorted(folder.glob(f"{PREFIX}*"))[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def renew_snapshots(path: Path, folder: Path, taken_at: datetime) -> None:
    """Remove all snapshots in a folder, and take one of a store that nobody writes."""
    (folder / CURRENT).unlink(missing_ok=True)
    for old in [*folder.glob(f"{PREFIX}*"), *folder.glob(f".{PREFIX}*")]:
        shutil.rmtree(old)
    with Store.open(path, read_only=False) as store:
        write_snapshot(store, folder, taken_at)


def _fill(store: Store, draft: Path) -> None:
    """Write the files of a snapshot, all of one moment."""
    database = store.connection
    ((own,),) = database.execute("SELECT current_database()").fetchall()
    database.execute(
        f"ATTACH {quoted(draft / store.path.name)} AS {_ALIAS} "
        f"(STORAGE_VERSION '{STORAGE_VERSION}', RECOVERY_MODE no_wal_writes)"
    )
    try:
        database.execute("BEGIN")
        database.execute(f"USE {_ALIAS}")
        catalog.create(database)
        database.execute(f'USE "{own}"')
        _copy(store)
        for view in VIEWS:
            path = quoted(draft / f"{view}.parquet")
            database.execute(f"COPY (FROM {view}) TO {path} (FORMAT parquet, COMPRESSION zstd)")
        database.execute("COMMIT")
        database.execute(f"CHECKPOINT {_ALIAS}")
    except BaseException:
        with suppress(duckdb.Error):  # It may have ended already; the first error is the one that says why.
            database.execute("ROLLBACK")
        raise
    finally:
        database.execute(f'USE "{own}"; DETACH {_ALIAS}')


def _copy(store: Store) -> None:
    """Copy facts and bookkeeping as they are, and of the results what counts."""
    database = store.connection
    found = store.rows("SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()")
    own = {row["table_name"] for row in found}
    results = {f"{result.name}_{part}" for result in RESULTS for part in ("base", "delta", "retracted")}
    for name in sorted(own - results - {"schema_version", "merged_version"}):
        database.execute(f"INSERT INTO {_ALIAS}.{name} BY NAME SELECT * FROM {name}")
    for result in RESULTS:
        database.execute(f"INSERT INTO {_ALIAS}.{result.name}_base BY NAME SELECT * FROM current_{result.name}")
        newest = f"SELECT max(version) FROM {_ALIAS}.{result.name}_base"
        database.execute(
            f"UPDATE {_ALIAS}.merged_version SET version = coalesce(({newest}), version) WHERE name = '{result.name}'"
        )


def _check_room(path: Path, folder: Path) -> None:
    """Refuse to begin what would fill the disk: a full disk ends the sink."""
    needed = 2 * path.stat().st_size + 256_000_000
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise TransientError(f"{megabytes(free)} free in {folder}, and a snapshot may need {megabytes(needed)}")
