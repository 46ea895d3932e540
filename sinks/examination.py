"""What `doctor` looks at in a store and around it: key, folder, disk, version, who holds it, and how fresh it is."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from pipeline.errors import BypassflowError, ConfigurationError
from pipeline.findings import Finding, clock, error, latest, of_error, ok, room, warning
from sinks import catalog, silent
from sinks.connection import check_file, connect
from sinks.failures import explained
from sinks.keyfile import load_key
from sinks.placement import Placement
from sinks.store import Store

_CLOCK: Final = (
    "set the clock of the machine that writes it, and its time zone: [[source]] timezone, or [company] timezone"
)


@dataclass(frozen=True)
class Surroundings:
    """What is known before a store is looked at. `is_live`: a sink follows a log into it.

    `digest` is what a run keeps of a key; `is_served` says whether a running sink answers for the store.
    """

    company_id: str
    zone: ZoneInfo
    key_path: Path
    digest: Callable[[bytes], str]
    is_live: bool
    is_served: Callable[[], bool]
    now: Callable[[], datetime]
    free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free


def examine_key(around: Surroundings) -> list[Finding]:
    """Return what is to be said of the company's key."""
    path = around.key_path
    try:
        load_key(path)
    except FileNotFoundError:
        if around.is_live:
            return [
                error(
                    "key", str(path), "is not there",
                    "copy it from where the company's other processes run; for a new company, make it with: "
                    "bypassflow init",
                )
            ]  # fmt: skip
        return [ok("key", str(path), "is not there yet; the first replay makes it")]
    except ConfigurationError as problem:
        return of_error("key", str(path), problem)
    return [ok("key", str(path), "is there, and its owner alone may read it")]


def examine_folder(around: Surroundings, folder: Path, what: str, store_size: int = 0) -> list[Finding]:
    """Return whether a folder can be written, the clock of its disk agrees with ours, and there is room."""
    place = f"{folder} ({what})"
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".bypassflow-doctor-") as file:
            file.write(b"doctor")
            file.flush()
            written = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        return [
            error(
                "folder", place, f"cannot be written: {reason}",
                "make it, give it to the user that runs bypassflow, or name another one",
            )
        ]  # fmt: skip
    return [
        ok("folder", place, "can be written"),
        clock(place, written, around.now()),
        room(place, around.free(folder), store_size),
    ]


def examine_store(around: Surroundings, path: Path) -> list[Finding]:
    """Return what is to be said of a store and its folder. Nothing is changed."""
    size = path.stat().st_size if path.is_file() else 0
    findings = examine_folder(around, path.absolute().parent, "store", size)
    if not path.exists():
        return [*findings, ok("store", str(path), "is not there yet; a replay or the sink makes it")]
    if _is_locked(Placement(path).lock):
        if around.is_served():
            return [*findings, ok("store", str(path), "is held by a running sink, which answers")]
        return [
            *findings,
            warning(
                "store", str(path), "another process is writing it, so nobody else can open it",
                "wait until it has finished; of a sink, name with --url where it answers",
            ),
        ]  # fmt: skip
    try:
        findings += _inside(around, path)
    except BypassflowError as problem:
        findings += of_error("store", str(path), problem)
    return findings


def _inside(around: Surroundings, path: Path) -> list[Finding]:
    check_file(path)
    with explained(path), closing(connect(str(path), Placement(path), "256MB", None, read_only=True)) as connection:
        version = catalog.version_of(connection)
    place = str(path)
    if version is None:
        return [error("store", place, "is a DuckDB file, but no store of bypassflow", "name another file with --db")]
    if version > catalog.SCHEMA_VERSION:
        found = f"has schema {version}; this bypassflow knows {catalog.SCHEMA_VERSION}"
        return [error("store", place, found.replace(";", ","), "upgrade bypassflow")]
    if version < catalog.SCHEMA_VERSION:
        return [
            warning(
                "store", place, f"has schema {version}, older than {catalog.SCHEMA_VERSION}",
                "take a backup; the next command that opens it brings it up to date and keeps a copy beside it",
            )
        ]  # fmt: skip
    with Store.open(path) as store:
        return [ok("store", place, f"has schema {version}"), *_run(store, around, place), *_feeds(store, around)]


def _run(store: Store, around: Surroundings, place: str) -> Iterator[Finding]:
    runs = store.rows("SELECT company_id, key_digest FROM run ORDER BY run_number DESC LIMIT 1")
    if not runs:
        return
    if runs[0]["company_id"] != around.company_id:
        yield error(
            "store", place, f"is of the company {runs[0]['company_id']}, and the configuration of {around.company_id}",
            "name the configuration of that company with --config, or another store with --db",
        )  # fmt: skip
    try:
        digest = around.digest(load_key(around.key_path))
    except (FileNotFoundError, ConfigurationError):
        return  # told of the key
    if digest != runs[0]["key_digest"]:
        yield error(
            "key", str(around.key_path), f"is another key than the one that {place} was made with",
            "put that key back from its copy: with this one new records meet none of the store's",
        )  # fmt: skip


def _feeds(store: Store, around: Surroundings) -> Iterator[Finding]:
    now = around.now()
    newest = store.rows(
        "SELECT source, max(started_at) AS at FROM observation_base WHERE isfinite(started_at) GROUP BY source "
        "ORDER BY source"
    )
    if not newest:
        return
    for row in newest:
        yield latest("feeds", row["source"], row["at"].replace(tzinfo=UTC), now, _CLOCK)
    # History ends where its files end; a live store should reach until now.
    until = now if around.is_live else max(row["at"] for row in newest).replace(tzinfo=UTC)
    for sentence in silent.still(store, around.zone, until.replace(tzinfo=None)):
        yield warning(
            "feeds", sentence.split(" ", 1)[0], sentence,
            "see that the system still writes, that its receiver or export runs, and that its files are still read",
        )  # fmt: skip


def _is_locked(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
