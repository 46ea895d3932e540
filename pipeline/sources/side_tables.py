"""What other files of the same export say of an id: indexes of the ids that one file names.

A ticket names its requester by an id, and the address stands in another file. Files are read one by one, so whoever
reads one looks beside it. Memory grows with the ids that the file names, up to a ceiling, never with the other files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

from pipeline.errors import InvalidRecord

# What an index holds for one id is well under a kilobyte.
MOST_IDS: Final = 500_000
MOST_FILES: Final = 5_000

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


def files_beside(path: Path) -> list[Path]:
    """Return a file and the others in its folder, by name."""
    others = sorted(other for other in path.parent.iterdir() if other != path and not other.name.startswith("."))
    return [path, *(other for other in others[:MOST_FILES] if other.is_file())]


def gather(
    files: Iterable[Path], wanted: Collection[str], read: Callable[[Path], Iterator[tuple[str, V]]]
) -> dict[str, V]:
    """Return what files say of the ids that are wanted; of several words on one id in a file, the last.

    A file that is damaged counts as far as it can be read: it is told of when it is read itself.
    """
    found: dict[str, V] = {}
    for file in files:
        if len(found) >= len(wanted):
            break
        with suppress(InvalidRecord, OSError):
            for name, value in read(file):
                if name in wanted:
                    found[name] = value
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
