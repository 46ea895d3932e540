"""Answers go on when a new store is moved into the place of the one that is being read, and come from the new one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import duckdb

from pipeline.errors import BypassflowError
from pipeline.groups import OFF, GroupRules
from schemas.closing import Closing
from sinks.asking import Asking
from sinks.store import Store

EVERY_SECONDS: Final = 1.0

_Stamp = tuple[int, int, int, int]


class Following(Closing):
    """Opens the store at a path, and opens what takes its place; `asking` asks the newest that can be read.

    A replay moves a new file into place, a snapshot the folder that a link leads to: both put another file at the path.
    One that cannot be read changes nothing, is told of once, and tried again at every look.
    """

    def __init__(self, path: Path, tell: Callable[[str], None], groups: GroupRules = OFF) -> None:
        """`tell` hears what becomes of the file; `groups`: what may be shown of representatives.

        Raises:
            ConfigurationError: when there is no store at the path that can be read.
        """
        self._path = path
        self._tell = tell
        self._groups = groups
        self._told: object = None
        while True:
            before = _stamp(path)
            self._store = Store.open(path)
            # Opening may have brought it up to date, which changes the file.
            self._stamp = _stamp(path)
            if self._stamp is not None and _is_same(self._stamp, before):
                break
            # Replaced meanwhile: which of the two was opened is not known.
            self._store.close()
        self._store.groups = groups
        self.asking = Asking(self._store)

    def show_groups(self, groups: GroupRules) -> None:
        """Show as much of representatives as these rules allow, from the next question on."""
        self._groups = groups
        self._store.groups = groups

    def run(self, stop: threading.Event, every_seconds: float = EVERY_SECONDS) -> None:
        """Look from time to time until `stop` is set."""
        while not stop.wait(every_seconds):
            self.look()

    def look(self) -> bool:
        """Turn to the file that lies at the path when it is another one; return whether it was."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            self._told = None
            return False
        if stamp is None:
            self._tell_once(None, f"there is no store at {self._path} any more; answers still come from what lay there")
            return False
        if _is_same(stamp, self._stamp):
            self._tell_once(
                stamp[:2],
                f"the store {self._path} was written to while it is being read, and answers may be wrong; "
                "start serve again, and move a new store into place instead of writing over the old one",
            )
            return False
        try:
            store = Store.open_beside(self._path)
            run = store.last_run()
        except (BypassflowError, duckdb.Error, OSError) as error:
            said = error if isinstance(error, BypassflowError) else f"{self._path} cannot be read"
            self._tell_once(stamp[:2], f"answers still come from the store before: {said}")
            return False
        if _stamp(self._path) != stamp:
            # Replaced meanwhile: which of the two was opened is not known.
            store.close()
            return False
        store.groups = self._groups
        self.asking.turn_to(store, self._store.close)
        self._store, self._stamp, self._told = store, stamp, None
        made = "" if run is None else f", made by the run that ended {run.finished_at:%Y-%m-%d %H:%M} (UTC)"
        self._tell(f"the store {self._path} was replaced; answers come from the new one{made}")
        return True

    def close(self) -> None:
        """Take no more questions, and let the file go."""
        self.asking.close()
        self._store.close()

    def _tell_once(self, about: object, sentence: str) -> None:
        if self._told != (about,):
            self._told = (about,)
            self._tell(sentence)


def _stamp(path: Path) -> _Stamp | None:
    """Return which file lies at a path, through links, and when it was last written; None without one."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _is_same(stamp: _Stamp, other: _Stamp | None) -> bool:
    """Return whether it is the same file, perhaps written to. An inode is not used anew while the file is open."""
    return other is not None and stamp[:2] == other[:2]
