"""Backups: a folder with a copy of the store and what belongs to it, which is there whole or not at all."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import stat
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pipeline.errors import ConfigurationError, TransientError
from schemas.backup import BackupFile, BackupManifest
from sinks import catalog
from sinks.failures import is_disk_full, megabytes
from sinks.placement import sync
from sinks.rewriting import OLD, counted, rewriting, row_counts

MANIFEST: Final = "manifest.json"
# Hundreds of times what a manifest has.
_LONGEST_MANIFEST: Final = 1_000_000
Part = Literal["store", "annotations", "configuration", "key", "forgotten"]
_NAMES: Final[Mapping[Part, str]] = {
    "store": "store.duckdb",
    "annotations": "annotations.sqlite",
    "configuration": "bypassflow.toml",
    "key": "bypassflow.key",
    "forgotten": "forgotten.txt",
}


def back_up(
    store: Path, folder: Path, beside: Mapping[Part, Path], *, taken_at: datetime, bypassflow_version: str
) -> BackupManifest:
    """Copy a store, and the files beside it that are there, into a new folder; return its manifest.

    The store must have no writer meanwhile: a store file or a snapshot. Annotations may be written; the copy is of one
    moment.

    Raises:
        ConfigurationError: when the folder is there and not empty or cannot be made, or the store cannot be read.
        TransientError: when somebody writes the store, or the disk is full.
    """
    draft = folder.absolute().with_name(f".{folder.absolute().name}.draft")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} is there already; name a new folder for the backup")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True, mode=0o700)
        _check_room(store, draft)
    except OSError as error:
        raise ConfigurationError(f"no backup can be written in {folder.parent}: {_reason(error)}") from None
    try:
        manifest = _fill(draft, store, beside, taken_at, bypassflow_version)
        draft.replace(folder)
        sync(folder.absolute().parent)
    except OSError as error:
        if is_disk_full(error):
            raise TransientError(f"no space left for the backup in {folder.parent}; free some space") from None
        raise ConfigurationError(f"the backup {folder} cannot be written: {_reason(error)}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def read_manifest(folder: Path) -> BackupManifest:
    """Return the manifest of a backup whose files are as it says: each there, of its size and checksum.

    Raises:
        ConfigurationError: when the folder is no backup, a newer version wrote it, or it is damaged.
    """
    try:
        _require_file(folder / MANIFEST)
        with (folder / MANIFEST).open("rb") as stream:
            text = stream.read(_LONGEST_MANIFEST)
    except OSError:
        raise ConfigurationError(
            f"{folder} is no backup: it has no {MANIFEST}; name the folder that `bypassflow backup` made"
        ) from None
    try:
        manifest = BackupManifest.model_validate_json(text)
    except ValueError:
        raise ConfigurationError(
            f"{folder / MANIFEST} is damaged or of a newer version of bypassflow; use another backup, or that version"
        ) from None
    for file in manifest.files:
        _check(folder / file.name, file)
    if not any(file.part == "store" for file in manifest.files):
        raise ConfigurationError(f"{folder / MANIFEST} names no store; use another backup")
    return manifest


def check_rows(path: Path, manifest: BackupManifest) -> None:
    """Raise a ConfigurationError when a copy of a backup's store has other rows than its manifest says."""
    found = row_counts(path)
    for table, expected in manifest.row_counts.items():
        if found.get(table) != expected:
            raise ConfigurationError(
                f"the backup's store has {found.get(table, 0):,} rows in {table}, and its manifest says {expected:,}; "
                "it is damaged, use another backup"
            )


def copy_annotations(old: Path, new: Path) -> None:
    """Copy a file of annotations as it is at one moment, while others may write it."""
    with (
        closing(sqlite3.connect(f"{old.absolute().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(new)) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fill(
    draft: Path, store: Path, beside: Mapping[Part, Path], taken_at: datetime, bypassflow_version: str
) -> BackupManifest:
    copy = draft / _NAMES["store"]
    with rewriting(store, copy) as both:
        counts = counted(both.connection)
        both.copy()
        company = both.connection.execute(f"SELECT arg_max(company_id, run_number) FROM {OLD}.run").fetchall()
    originals: dict[Part, Path] = {"store": store}
    for part, path in beside.items():
        if not path.exists():
            continue
        if part == "annotations":
            copy_annotations(path, draft / _NAMES[part])
        else:
            shutil.copyfile(path, draft / _NAMES[part])
        originals[part] = path
    files = []
    for part, path in originals.items():
        copied = draft / _NAMES[part]
        copied.chmod(0o600)
        sync(copied)
        files.append(
            BackupFile(
                name=copied.name,
                part=part,
                original_name=path.name,
                byte_count=copied.stat().st_size,
                sha256=digest_of(copied),
            )
        )
    manifest = BackupManifest(
        taken_at=taken_at,
        bypassflow_version=bypassflow_version,
        schema_version=catalog.SCHEMA_VERSION,
        company_id=company[0][0],
        files=tuple(files),
        row_counts=counts,
    )
    check_rows(copy, manifest)
    (draft / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    sync(draft / MANIFEST)
    sync(draft)
    return manifest


def _check(path: Path, file: BackupFile) -> None:
    remedy = "the backup is damaged, use another one"
    try:
        _require_file(path)
        size = path.stat().st_size
        if size != file.byte_count:
            raise ConfigurationError(f"{path} has {size:,} bytes, and its manifest says {file.byte_count:,}; {remedy}")
        if digest_of(path) != file.sha256:
            raise ConfigurationError(f"{path} has another SHA-256 than its manifest says; {remedy}")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {_reason(error)}; {remedy}") from None


def _require_file(path: Path) -> None:
    """See that a path is a file: no link to another, and no device or pipe, of which reading may never end."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ConfigurationError(f"{path} is no file, and backups are made of files alone; use another one")


def _check_room(store: Path, draft: Path) -> None:
    free, needed = shutil.disk_usage(draft).free, store.stat().st_size if store.exists() else 0
    if free < needed:
        shutil.rmtree(draft, ignore_errors=True)
        raise TransientError(f"{megabytes(free)} free for the backup, and {megabytes(needed)} are needed; free some")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
