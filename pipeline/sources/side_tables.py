"""What other files of the same export say of an id: indexes of the ids that one file names.

A ticket names its requester by an id, and the address stands in another file. Files are read one by one, so whoever
reads one looks beside it. Pages of an export are thousands of files that all ask the same, so what a folder says is
kept while they are read. Memory is bounded: indexes have a ceiling, and beyond it grow with the ids of one file alone.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

from pipeline.errors import InvalidRecord

# What an index holds for one id is well under a kilobyte.
MOST_IDS: Final = 500_000
MOST_FILES: Final = 5_000
# Ids in an index that the files of a folder share, and folders and questions for which one is kept.
MOST_INDEXED: Final = 200_000
MOST_INDEXES: Final = 4

V = TypeVar("V")


class Ids:
    """Distinct ids, up to a ceiling; those beyond it are only counted, and one of them may count twice."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.left_out_count = 0

    def add(self, value: str | None) -> None:
        """Add an id that a record names, if it names one."""
        if not value or value in self.known:
            return
        if len(self.known) < MOST_IDS:
            self.known.add(value)
        else:
            self.left_out_count += 1


def look_beside(
    path: Path,
    wanted: Collection[str],
    read: Callable[[Path], Iterator[tuple[str, V]]],
    what: Hashable,
    join: Callable[[V, V], V] | None = None,
) -> dict[str, V]:
    """Return what a file and those in its folder say of the ids that are wanted; of several words on one, the last.

    `read` yields what one file says, `what` names that: files of one folder that ask the same share one index of it,
    as long as the folder stays as it is. `join` puts two words on one id together. Words on more ids than an index
    may hold are looked for anew by each file.
    """
    if not wanted:
        return {}
    key = (path.parent, what)
    index = _INDEXES.get(key)
    if index is None or not index.stamp.is_fresh():
        index = _INDEXES[key] = _Index(path, read, join)
        if len(_INDEXES) > MOST_INDEXES:
            _INDEXES.popitem(last=False)
    _INDEXES.move_to_end(key)
    if index.words is None:
        return gather(files_beside(path), wanted, read, join)
    words = index.words
    found = {name: words[name] for name in wanted if name in words}
    # A folder of very many files is not looked at to its end; the file itself counts all the same.
    return found if path in index.files else {**found, **gather([path], wanted, read, join)}


class FolderStamp:
    """How a folder was, and those of its files that said something: `files`, each with its state when it said it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state = folder_state(folder)
        self.files: dict[Path, tuple[int, int]] = {}

    def is_fresh(self) -> bool:
        """Return whether the folder has the same files, and those that said something are as they were."""
        try:
            return folder_state(self._folder) == self._state and all(
                file_state(file) == state for file, state in self.files.items()
            )
        except OSError:
            return False


class _Index:
    """What the files of a folder say of all ids; nothing when these are too many. `files`: those that were read."""

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], Iterator[tuple[str, Any]]],
        join: Callable[[Any, Any], Any] | None,
    ) -> None:
        self.stamp = FolderStamp(path.parent)
        self.words: dict[str, Any] | None = {}
        self.files = sorted(files_beside(path), key=lambda file: file.name)
        words = self.words
        for file in self.files:
            with suppress(InvalidRecord, OSError):
                state = file_state(file)
                for name, value in read(file):
                    self.stamp.files[file] = state
                    words[name] = join(words[name], value) if join is not None and name in words else value
                    if len(words) > MOST_INDEXED:
                        self.words = None
                        return


_INDEXES: Final[OrderedDict[tuple[Path, Hashable], _Index]] = OrderedDict()


def file_state(path: Path) -> tuple[int, int]:
    """Return what is different when a file was written: its size, and when it was."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def folder_state(folder: Path) -> tuple[int, int]:
    """Return what is different when a file came or went: when the folder was changed, and how many are in it."""
    return os.stat(folder).st_mtime_ns, len(os.listdir(folder))


def files_beside(path: Path) -> list[Path]:
    """Return a file and the others in its folder, by name."""
    others = sorted(other for other in path.parent.iterdir() if other != path and not other.name.startswith("."))
    return [path, *(other for other in others[:MOST_FILES] if other.is_file())]


def gather(
    files: Iterable[Path],
    wanted: Collection[str],
    read: Callable[[Path], Iterator[tuple[str, V]]],
    join: Callable[[V, V], V] | None = None,
) -> dict[str, V]:
    """Return what files say of the ids that are wanted; of several words on one id in a file, the last.

    `join` puts two words on one id together, and then all files are asked. A file that is damaged counts as far as it
    can be read: it is told of when it is read itself.
    """
    found: dict[str, V] = {}
    for file in files:
        if join is None and len(found) >= len(wanted):
            break
        with suppress(InvalidRecord, OSError):
            for name, value in read(file):
                if name in wanted:
                    found[name] = join(found[name], value) if join is not None and name in found else value
    return found


def remembered(read: Callable[[Path], V]) -> Callable[[Path], V]:
    """Return what asks `read` once for a file, as long as that stays as it is: pages of an export all look around."""

    @lru_cache(maxsize=MOST_FILES)
    def known(path: Path, size: int, changed_ns: int) -> V:
        return read(path)

    def ask(path: Path) -> V:
        status = path.stat()
        return known(path, status.st_size, status.st_mtime_ns)

    return ask
