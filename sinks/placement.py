"""Where a store's file lies while it is made, and how it gets to its place.

DuckDB leaves a file that cannot be opened when it is killed while it creates one. So a new store grows under a name of
its own beside its place and is moved there whole. A lock file keeps two writers of one store apart; the operating
system lets it go when its holder dies.
"""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from pipeline.errors import ConfigurationError, TransientError

# How the name of a copy ends that was made before the schema was changed.
ASIDE_SUFFIX: Final = ".backup"


class Placement:
    """The files that belong to one store: itself, the draft it grows in, where it spills, its lock."""

    def __init__(self, target: Path) -> None:
        # A link stays a link: the file that it leads to is replaced.
        self.target = Path(os.path.realpath(target))
        folder, name = self.target.parent, self.target.name
        self.draft = folder / f".{name}.building"
        self.spill = folder / f".{name}.spill"
        self.lock = folder / f".{name}.lock"
        self.log = folder / f"{name}.wal"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Become the only writer of the store, and remove what a killed one left.

        Raises:
            ConfigurationError: when the folder is not there or cannot be written.
            TransientError: when another process is writing.
        """
        if self.target.is_dir():
            raise ConfigurationError(f"{self.target} is a directory; name a file for the store")
        while self._descriptor is None:
            try:
                descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise ConfigurationError(
                    f"no store can be written in {self.target.parent}: {(error.strerror or str(error)).lower()}; "
                    "make the folder, or name another one"
                ) from None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                raise TransientError(
                    f"another run is writing the store {self.target}; wait until it has finished"
                ) from None
            # Its last holder may have removed the file between our opening and our locking of it.
            if _is_same_file(descriptor, self.lock):
                self._descriptor = descriptor
            else:
                os.close(descriptor)
        self.clear()

    def release(self) -> None:
        """Let other writers in."""
        if self._descriptor is not None:
            self.lock.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def clear(self) -> None:
        """Remove the draft and what belongs to it."""
        for path in self.draft.parent.glob(f"{glob.escape(self.draft.name)}*"):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.spill, ignore_errors=True)

    def keep_aside(self, reason: str) -> Path:
        """Keep a copy of the store as it is, beside it; return where. To be called while nobody has it open.

        Raises:
            TransientError: when there is not enough room.
        """
        kept = self.target.with_name(f"{self.target.name}.{reason}{ASIDE_SUFFIX}")
        needed, free = self.target.stat().st_size, shutil.disk_usage(self.target.parent).free
        if free < 2 * needed:
            raise TransientError(
                f"{free / 1e6:,.1f} MB free in {self.target.parent}, and {2 * needed / 1e6:,.1f} MB are needed for a "
                "copy of the store before its schema is changed; free some space"
            )
        shutil.copy2(self.target, self.draft)
        sync(self.draft)
        os.replace(self.draft, kept)
        sync(kept.parent)
        return kept

    def settle(self) -> None:
        """Move the finished draft to its place, for good: afterwards no crash can take it back."""
        if self.target.exists():
            os.chmod(self.draft, stat.S_IMODE(self.target.stat().st_mode))
        sync(self.draft)
        # The log of the old store was merged before the draft was begun; a new file must never meet it.
        self.log.unlink(missing_ok=True)
        os.replace(self.draft, self.target)
        sync(self.target.parent)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def sync(path: Path) -> None:
    """Have a file or folder on the disk for good."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
