"""What other files of an export say of a record: whom it is tied to, and what else is known of it.

Exports keep the contacts of an activity in a table of their own, which may be longer than the table of activities and
in any order. It is put into a temporary database that lies on the disk once it has outgrown a few megabytes, so that
memory stays bounded whatever its size; the file has no name and is gone with the program. Only ids, and what a parser
gives to be remembered, stand in it.
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

from pipeline.errors import TransientError
from pipeline.sources.translation import Fields

MOST_TIES: Final = 1_000
"""Records of one object that one record may be tied to; what goes beyond them is left out."""

_CACHE_KIBIBYTES: Final = 16_384
_ROWS_AT_ONCE: Final = 10_000

Tie = tuple[str, str, str]
"""A record's id, the object that it is tied to, and that one's id."""


class Beside:
    """An index of ties and of notes by a record's id; filled once, then asked."""

    def __init__(self) -> None:
        # A parser may be read in one thread and be given up in another.
        self._db = sqlite3.connect("", check_same_thread=False)
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("CREATE TABLE tie (record TEXT, object TEXT, other TEXT)")
        self._db.execute("CREATE TABLE note (record TEXT, text TEXT)")
        self._is_sorted = False
        # One that is kept for several files has no end but that nobody holds it any more.
        weakref.finalize(self, self._db.close)

    def __enter__(self) -> Beside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def tie(self, ties: Iterable[Tie]) -> None:
        """Remember ties.

        Raises:
            TransientError: when the disk of temporary files is full.
        """
        self._insert("INSERT INTO tie VALUES (?, ?, ?)", ties)

    def note(self, notes: Iterable[tuple[str, str]]) -> None:
        """Remember a text for each of some records. Raises as `tie`."""
        self._insert("INSERT INTO note VALUES (?, ?)", notes)

    def tied(self, record_id: str, object_name: str) -> tuple[str, ...]:
        """Return the ids of one object that a record is tied to, each once, sorted. Raises as `tie`."""
        return tuple(self._ask("tie", "other", "record = ? AND object = ?", (record_id, object_name)))

    def noted(self, record_id: str) -> str | None:
        """Return what was noted of a record; of several texts the greatest. Raises as `tie`."""
        found = self._ask("note", "text", "record = ?", (record_id,))
        return found[-1] if found else None

    def _insert(self, statement: str, rows: Iterable[Sequence[str]]) -> None:
        """Insert rows; those before an error of theirs too."""
        waiting: list[Sequence[str]] = []
        try:
            for row in rows:
                waiting.append(row)
                if len(waiting) == _ROWS_AT_ONCE:
                    self._run(statement, waiting)
                    waiting = []
        finally:
            self._run(statement, waiting)

    def _run(self, statement: str, rows: Sequence[Sequence[str]]) -> None:
        with _explained():
            self._db.executemany(statement, rows)

    def _ask(self, table: str, column: str, condition: str, values: Sequence[str]) -> list[Any]:
        with _explained():
            if not self._is_sorted:
                self._db.execute("CREATE INDEX tie_by_record ON tie (record, object, other)")
                self._db.execute("CREATE INDEX note_by_record ON note (record, text)")
                self._is_sorted = True
            query = f"SELECT DISTINCT {column} FROM {table} WHERE {condition} ORDER BY {column} LIMIT {MOST_TIES}"
            return [row[0] for row in self._db.execute(query, values)]


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise TransientError(
            f"no room for a temporary file ({error}); free the disk, or name another folder in TMPDIR"
        ) from None


def on_customers(activity: Fields, contacts: Sequence[str], accounts: Sequence[str]) -> list[Fields]:
    """Return an activity tied to its customers: one, or for an email one for each contact.

    An email to three customers is an interaction with each of them, so it is evidence on each; then an activity under
    its own id is deleted, which an earlier export may have given when there was one. Of anything else that several took
    part in there is one. Where contacts say whose it is, an account stands beside them only when it is the only one:
    with several, one activity would count on each.
    """
    contacts, accounts = tuple(dict.fromkeys(contacts)), tuple(dict.fromkeys(accounts))
    if activity.get("activity_kind") == "email" and len(contacts) > 1:
        own_id = activity["activity_id"]
        each = [
            {**activity, "activity_id": f"{own_id}:{contact}", "contact_ids": [contact], "account_ids": []}
            for contact in contacts
        ]
        return [{**activity, "deleted": True}, *each]
    if contacts and len(accounts) > 1:
        accounts = ()
    return [{**activity, "contact_ids": list(contacts), "account_ids": list(accounts)}]
