"""Putting a backup back: everything is checked first, and the store takes its place last, in one step."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pipeline.errors import ConfigurationError
from schemas.backup import BackupFile, BackupManifest
from sinks.annotations import beside
from sinks.backup import check_rows, digest_of, read_manifest
from sinks.failures import explained
from sinks.placement import Placement, sync


def restore(folder: Path, store: Path, company: Path | None = None, *, replaces: bool = False) -> dict[Path, str]:
    """Put a backup's store and annotations in their places; return what each place holds now.

    `company`: the folder that configuration, key and the list of the forgotten go to as well; None: they stay in the
    backup. A file that is there already with the very same content is no obstacle, so a run that was killed can be
    repeated.

    Raises:
        ConfigurationError: when the backup is damaged, or files stand in their places and `replaces` is not said.
        TransientError: when another process writes the store, or the disk is full. Nothing has changed then.
    """
    manifest = read_manifest(folder)
    places = _places(manifest, store, company)
    taken = [path for path, file in places.items() if path.exists() and not _is_same(path, file)]
    if taken and not replaces:
        names = ", ".join(str(path) for path in taken)
        raise ConfigurationError(f"{names}: there already; name other places, or replace with --force")
    placement = Placement(store)
    placement.acquire()
    try:
        with explained(store):
            shutil.copyfile(folder / _of_store(manifest).name, placement.draft)
            check_rows(placement.draft, manifest)
            drafts = {path: _drafted(folder / file.name, path, file) for path, file in places.items() if path != store}
            for path, draft in drafts.items():
                for log in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                    log.unlink(missing_ok=True)  # of the file that is replaced; a new one must never meet it
                os.replace(draft, path)
                sync(path.parent)
            placement.settle()
    finally:
        placement.clear()
        placement.release()
    return {path: file.part for path, file in places.items()}


def _places(manifest: BackupManifest, store: Path, company: Path | None) -> dict[Path, BackupFile]:
    places: dict[Path, BackupFile] = {}
    for file in manifest.files:
        if file.part == "store":
            places[store] = file
        elif file.part == "annotations":
            places[beside(store)] = file
        elif company is not None:
            places[company / file.original_name] = file
    return places


def _of_store(manifest: BackupManifest) -> BackupFile:
    return next(file for file in manifest.files if file.part == "store")


def _is_same(path: Path, file: BackupFile) -> bool:
    return path.is_file() and path.stat().st_size == file.byte_count and digest_of(path) == file.sha256


def _drafted(source: Path, target: Path, file: BackupFile) -> Path:
    """Return a copy of a file, whole and on the disk, under a name beside its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.restored")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o660 if file.part == "annotations" else 0o600))
    shutil.copyfile(source, draft)
    sync(draft)
    return draft
