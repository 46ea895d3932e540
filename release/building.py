"""A release: wheel, source, bill of materials, the lock that was tested, and checksums. Built twice, the same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from release.bill import bill
from release.locked import packages

SUMS = "SHA256SUMS"


class ReleaseRefused(Exception):
    """Nothing is released, and why."""


def build(root: Path, folder: Path, version: str) -> list[Path]:
    """Build the release of a clean working tree into a new folder; return its files.

    Raises:
        ReleaseRefused: when the tree has changes that are in no commit, or the folder is there.
    """
    if folder.exists():
        raise ReleaseRefused(f"{folder} is there already; remove it, for a release is built into a new folder")
    if changed := _git(root, "status", "--porcelain"):
        raise ReleaseRefused(
            f"the tree has changes that are in no commit, such as {changed.splitlines()[0].strip()}; "
            "commit or remove them, so that others can build the same"
        )
    committed = int(_git(root, "log", "-1", "--format=%ct"))
    folder.mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--target", "sdist", "--directory", folder],
        cwd=root, check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(committed)},
    )  # fmt: skip
    lock = root / "requirements" / "runtime.txt"
    shutil.copyfile(lock, folder / f"bypassflow-{version}-requirements.txt")
    told = bill(version, packages(lock.read_text(encoding="utf-8")), datetime.fromtimestamp(committed, UTC))
    (folder / f"bypassflow-{version}.cdx.json").write_text(told, encoding="utf-8")
    files = sorted(folder.iterdir())
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    (folder / SUMS).write_text(sums, encoding="utf-8")
    return [*files, folder / SUMS]


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()
