"""How far receivers have come, on this machine's disk: written whole or not at all, so that a kill leaves no half."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.errors import ConfigurationError
from schemas.settings import slug


class Positions:
    """The folder of one process: a small file for each receiver that has a position."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, made where there is none.

        Raises:
            ConfigurationError: when another process has it, or it cannot be written.
        """
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigurationError(
                f"{folder} cannot be written: {reason}; name another in [receive] folder"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise ConfigurationError(
                f"{folder} is in use by another `bypassflow receive`; end that one, or name another [receive] folder"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def load(self, name: str) -> dict[str, Any] | None:
        """Return what was saved last under a name; None when nothing was.

        Raises:
            ConfigurationError: when it is damaged.
        """
        path = self._path(name)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            found = None
        if not isinstance(found, dict) or found.get("name") != name:
            raise ConfigurationError(f"{path} is damaged; remove it, and what it was for is read from its beginning")
        return found

    def save(self, name: str, values: Mapping[str, Any]) -> None:
        """Keep values under a name; once this returns they are there, whatever happens."""
        path = self._path(name)
        beside = path.with_suffix(".new")
        with beside.open("w", encoding="utf-8") as stream:
            json.dump({"name": name, **values}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _path(self, name: str) -> Path:
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        return self._folder / f"{slug(name)[-60:]}-{digest}.json"
