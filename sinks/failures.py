"""What DuckDB's errors mean to a user: one sentence with the remedy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipeline.errors import BypassflowError, ConfigurationError, TransientError

_DISK_FULL = ("no space left", "disk quota exceeded", "file too large", "could not write all bytes")
_SPILL_FULL = ("max_temp_directory_size", "failed to offload")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise what DuckDB and the operating system complain of as our own errors; `path` is the file in question.

    Raises:
        TransientError: when the disk is full or the memory too small.
        ConfigurationError: when the file cannot be used as it is.
    """
    try:
        yield
    except duckdb.Error as error:
        meaning = explanation(error, path)
        if meaning is None:
            raise
        raise meaning from error
    except OSError as error:
        if is_disk_full(error):
            raise disk_full(path) from error
        raise


def explanation(error: duckdb.Error, path: Path) -> BypassflowError | None:
    """Return the error to raise for one of DuckDB's; None for what can only be a defect of ours, such as wrong SQL."""
    text = str(error)
    if is_disk_full(error):
        return disk_full(path)
    if isinstance(error, duckdb.OutOfMemoryException):
        return TransientError(
            f"the memory limit is too small to write {path}: {_first_line(text)}; "
            "give the run more memory, or fold smaller windows"
        )
    if "Could not set lock" in text or "Conflicting lock" in text:
        process = re.search(r"PID (\d+)", text)
        holder = f"process {process[1]}" if process else "another process"
        return ConfigurationError(
            f"the store {path} is in use by {holder}; wait until it has finished, stop it, or work on a copy of the "
            "file (one process writes at a time, and nobody reads meanwhile); a running sink answers with --url"
        )
    if "can only read versions" in text or "newer version of DuckDB" in text:
        return ConfigurationError(
            f"the store {path} was written by a newer DuckDB than {duckdb.__version__}; upgrade the duckdb package"
        )
    if isinstance(error, duckdb.PermissionException) or "Permission denied" in text:
        return ConfigurationError(f"the store {path} cannot be opened: permission denied; check its owner and mode")
    if isinstance(error, duckdb.SerializationException) or "not a valid DuckDB database" in text or "WAL" in text:
        return ConfigurationError(
            f"the store {path} is damaged: {_first_line(text)}; restore it from a copy, or remove it and replay"
        )
    if isinstance(error, (duckdb.IOException, duckdb.FatalException)):
        return TransientError(f"DuckDB cannot go on with {path}: {_first_line(text)}")
    return None


def is_damaged_log(error: BaseException | None) -> bool:
    """Return whether DuckDB could not read a log of writes that another process left. A cut off end is no damage."""
    if not isinstance(error, duckdb.Error) or isinstance(error, duckdb.OutOfMemoryException) or is_disk_full(error):
        return False
    return "replaying WAL file" in str(error)


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error says that nothing more can be written to the disk."""
    text = str(error).lower()
    return any(sign in text for sign in (*_DISK_FULL, *_SPILL_FULL))


def disk_full(path: Path) -> TransientError:
    """Return the error of a full disk, with what is free and what was needed so far."""
    folder = path.parent
    free = shutil.disk_usage(folder).free
    written = sum(_size(part) for part in folder.glob(f".{path.name.lstrip('.')}*"))
    return TransientError(
        f"no space left to write {path.name} in {folder}: {megabytes(free)} free after {megabytes(written)} were "
        "written; free some space, or name a file on another disk; the store is as it was before"
    )


def megabytes(count: int) -> str:
    """Return a number of bytes in words.

    >>> megabytes(12_400_000)
    '12.4 MB'
    """
    return f"{count / 1e6:,.1f} MB"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"
