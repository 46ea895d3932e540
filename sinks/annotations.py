"""What people add to a store, in a small file beside it: measures, labels, and which interactions were drawn to judge.

It is kept apart from the facts, so it survives a new replay of the store, and it may be written while the store is only
read. Several processes and threads may write it at the same time: every call is a connection and a transaction of its
own. There is no file before the first annotation.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pipeline.errors import ConfigurationError, TransientError
from schemas.annotations import VERDICTS, Drawn, Label, Measure

FORM: Final = 1
# Says whose file it is; any number that nobody else has.
_APPLICATION: Final = 0x62796673
# How long a writer waits for another one.
_PATIENCE_SECONDS: Final = 10.0
_LONGEST_NAME: Final = 200
_LONGEST_NOTE: Final = 2_000
_SNAPSHOT: Final = "snapshot-"

_TABLES: Final = """
    CREATE TABLE revision (number INTEGER NOT NULL);
    INSERT INTO revision VALUES (0);
    CREATE TABLE measure (
        measure_id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, begins_at TEXT NOT NULL,
        teams TEXT NOT NULL, channels TEXT NOT NULL, note TEXT NOT NULL, author TEXT NOT NULL, added_at TEXT NOT NULL
    );
    CREATE TABLE label (
        label_id INTEGER PRIMARY KEY AUTOINCREMENT, interaction_id TEXT NOT NULL, verdict TEXT NOT NULL,
        note TEXT NOT NULL, author TEXT NOT NULL, labelled_at TEXT NOT NULL
    );
    CREATE INDEX label_of_interaction ON label (interaction_id);
    CREATE TABLE sample (
        sample_id INTEGER PRIMARY KEY AUTOINCREMENT, drawn_at TEXT NOT NULL, seed INTEGER NOT NULL
    );
    CREATE TABLE drawn (
        sample_id INTEGER NOT NULL, interaction_id TEXT NOT NULL, stratum TEXT NOT NULL,
        stratum_count INTEGER NOT NULL, PRIMARY KEY (sample_id, interaction_id)
    ) WITHOUT ROWID
"""
_LABEL: Final = "interaction_id, verdict, note, author, labelled_at"
_MEASURE: Final = "measure_id, name, begins_at, teams, channels, note, author, added_at"


def beside(store: Path) -> Path:
    """Return where the annotations of a store lie; those of a snapshot lie beside the snapshots, which go away.

    >>> beside(Path("data/bypass.duckdb")).name
    'bypass.annotations.sqlite'
    """
    folder = store.absolute().parent.resolve()
    if folder.name.startswith(_SNAPSHOT):
        folder = folder.parent
    return folder / f"{store.name.removesuffix('.duckdb')}.annotations.sqlite"


class Annotations:
    """The annotations in one file. Every method may be called by any thread.

    Every method raises ConfigurationError when the file is damaged, no such file, of a newer version, or cannot be
    written, and TransientError when it is locked for long or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def revision(self) -> int:
        """Return a number that grows with every change; 0 without a file."""
        ((number,),) = self._rows("SELECT number FROM revision") or ((0,),)
        return int(number)

    # -- measures -----------------------------------------------------------------------------------------------------

    def add_measure(
        self,
        name: str,
        begins_at: datetime,
        *,
        added_at: datetime,
        teams: Collection[str] = (),
        channels: Collection[str] = (),
        note: str = "",
        author: str = "",
    ) -> Measure:
        """Add a measure and return it. Instants are UTC without a zone.

        Raises:
            ConfigurationError: when the name is missing, too long or taken.
        """
        title, remark = _text(name, "name of a measure", _LONGEST_NAME), _note(note)
        if not title:
            raise ConfigurationError("the measure has no name; give one, such as 'Click to dial'")
        scope = (tuple(sorted(set(teams))), tuple(sorted(set(channels))))
        texts = [json.dumps(names, ensure_ascii=False) for names in scope]
        values = (title, _written(begins_at), *texts, remark, _author(author), _written(added_at))
        with self._writing() as db:
            if db.execute("SELECT 1 FROM measure WHERE name = ?", (title,)).fetchall():
                raise ConfigurationError(f"there is a measure {title!r} already; give this one another name")
            added = db.execute(
                "INSERT INTO measure (name, begins_at, teams, channels, note, author, added_at) "
                f"VALUES ({_marks(values)})",
                values,
            )
            number = int(added.lastrowid or 0)
        return Measure(number, title, begins_at, *scope, remark, values[5], added_at)

    def measures(self) -> list[Measure]:
        """Return all measures, in the order in which they began."""
        return [_measure(row) for row in self._rows(f"SELECT {_MEASURE} FROM measure ORDER BY begins_at, measure_id")]

    def measure(self, name_or_number: str) -> Measure:
        """Return the measure of this name, or of this number.

        Raises:
            ConfigurationError: when there is none.
        """
        known = self.measures()
        for fits in (lambda each: each.name == name_or_number, lambda each: str(each.measure_id) == name_or_number):
            for each in known:
                if fits(each):
                    return each
        names = ", ".join(repr(each.name) for each in known[:8]) or "none"
        raise ConfigurationError(
            f"there is no measure {name_or_number!r}; known: {names}; `bypassflow measure add` adds one"
        )

    def remove_measure(self, measure_id: int) -> bool:
        """Remove a measure; return whether it was there."""
        if not self.path.exists():
            return False
        with self._writing() as db:
            return db.execute("DELETE FROM measure WHERE measure_id = ?", (measure_id,)).rowcount > 0

    def rename(self, interaction_ids: Mapping[str, str]) -> None:
        """Give interactions, old and new, their new ids; safe to repeat."""
        if not self.path.exists() or not interaction_ids:
            return
        with self._writing() as db:
            for old, new in interaction_ids.items():
                for table in ("label", "drawn"):
                    db.execute(f"UPDATE {table} SET interaction_id = ? WHERE interaction_id = ?", (new, old))

    # -- forgetting ---------------------------------------------------------------------------------------------------

    def forget(self, interaction_ids: Mapping[str, str], swept: Callable[[str], str]) -> int:
        """Give interactions, old and new, their new ids, and forget the notes on them; return how many labels had one.

        `swept` is what becomes of every other note. What was overwritten leaves the file.
        """
        if not self.path.exists():
            return 0
        with self._writing() as db:
            count = 0
            for old, new in interaction_ids.items():
                values = (new, old)
                count += db.execute(
                    "UPDATE label SET interaction_id = ?, note = '' WHERE interaction_id = ?", values
                ).rowcount
                db.execute("UPDATE drawn SET interaction_id = ? WHERE interaction_id = ?", values)
            for table in ("label", "measure"):
                for number, note in db.execute(f"SELECT {table}_id, note FROM {table}").fetchall():
                    if swept(note) != note:
                        db.execute(f"UPDATE {table} SET note = ? WHERE {table}_id = ?", (swept(note), number))
        with self._explained(), closing(self._connect(writes=True)) as db:
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    # -- labels -------------------------------------------------------------------------------------------------------

    def add_labels(self, labels: Iterable[Label]) -> int:
        """Add labels, all or none; return how many. Whether their interactions exist is for the caller to know.

        Raises:
            ConfigurationError: when a verdict is unknown or a note too long.
        """
        rows = []
        for each in labels:
            said = _verdict(each.verdict), _note(each.note), _author(each.author), _written(each.labelled_at)
            rows.append((each.interaction_id, *said))
        if rows:
            with self._writing() as db:
                db.executemany(f"INSERT INTO label ({_LABEL}) VALUES (?, ?, ?, ?, ?)", rows)
        return len(rows)

    def labels(self) -> list[Label]:
        """Return the label of every judged interaction, in the order of their ids: the newest where there are more."""
        newest = "SELECT max(label_id) FROM label GROUP BY interaction_id"
        rows = self._rows(f"SELECT {_LABEL} FROM label WHERE label_id IN ({newest}) ORDER BY interaction_id")
        return [_label(row) for row in rows]

    def labels_of(self, interaction_id: str) -> list[Label]:
        """Return all labels of one interaction, the newest first; that one counts."""
        query = f"SELECT {_LABEL} FROM label WHERE interaction_id = ? ORDER BY label_id DESC"
        return [_label(row) for row in self._rows(query, (interaction_id,))]

    # -- samples ------------------------------------------------------------------------------------------------------

    def keep_sample(self, drawn: Sequence[Drawn], *, seed: int, drawn_at: datetime) -> int:
        """Keep which interactions were drawn to be judged; return the number of the sample."""
        with self._writing() as db:
            kept = db.execute("INSERT INTO sample (drawn_at, seed) VALUES (?, ?)", (_written(drawn_at), seed))
            number = int(kept.lastrowid or 0)
            db.executemany(
                "INSERT INTO drawn VALUES (?, ?, ?, ?)",
                [(number, each.interaction_id, each.stratum, each.stratum_count) for each in drawn],
            )
        return number

    def samples(self) -> dict[int, list[Drawn]]:
        """Return what was drawn, by the number of the sample."""
        found: dict[int, list[Drawn]] = {}
        query = "SELECT sample_id, interaction_id, stratum, stratum_count FROM drawn ORDER BY sample_id, interaction_id"
        for number, *values in self._rows(query):
            found.setdefault(number, []).append(Drawn(*values))
        return found

    # -- inside -------------------------------------------------------------------------------------------------------

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        if not self.path.exists():
            return []
        with self._explained(), closing(self._connect(writes=False)) as db:
            return [] if self._is_empty(db) else db.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection inside of a transaction: all of it or nothing."""
        with self._explained():
            # Notes speak of people: the file is its owner's and the owner's group's, as the store is.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660))
            with closing(self._connect(writes=True)) as db:
                db.execute("BEGIN IMMEDIATE")
                try:
                    if self._is_empty(db):
                        for statement in _TABLES.split(";"):
                            db.execute(statement)
                        db.execute(f"PRAGMA application_id = {_APPLICATION}")
                        db.execute(f"PRAGMA user_version = {FORM}")
                    yield db
                    db.execute("UPDATE revision SET number = number + 1")
                    db.execute("COMMIT")
                except BaseException:
                    # A disk that is full has ended the transaction already, and the first error says why.
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise

    def _connect(self, writes: bool) -> sqlite3.Connection:
        # A reader opens the file for writing too where it may: the log beside it is shared memory.
        mode = "rw" if writes or os.access(self.path, os.W_OK) else "ro"
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        db = sqlite3.connect(address, uri=True, timeout=_PATIENCE_SECONDS, isolation_level=None)
        try:
            if mode == "rw":
                db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
        except BaseException:
            db.close()
            raise
        return db

    def _is_empty(self, db: sqlite3.Connection) -> bool:
        """Return whether nothing was ever written.

        Raises:
            ConfigurationError: when it is another program's file, or a newer version wrote it.
        """
        ((count,),) = db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        if not count:
            return True
        ((application,),) = db.execute("PRAGMA application_id").fetchall()
        ((form,),) = db.execute("PRAGMA user_version").fetchall()
        if application != _APPLICATION:
            raise ConfigurationError(
                f"{self.path} is a database, but not of annotations; name another file with --annotations"
            )
        if form != FORM:
            raise ConfigurationError(
                f"{self.path} was written by a newer version of bypassflow (form {form}; this one knows {FORM}); "
                "use that version"
            )
        return False

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            text = str(error)
            if "locked" in text:
                raise TransientError(
                    f"{self.path} is being written by another process for more than {_PATIENCE_SECONDS:.0f} s; "
                    "try again"
                ) from None
            if "full" in text or "disk I/O" in text:
                raise TransientError(f"{self.path} cannot be written ({text}); free the disk") from None
            raise ConfigurationError(
                f"{self.path} cannot be read or written ({text}); make it and its folder writable, or name another "
                "file with --annotations"
            ) from None
        except sqlite3.DatabaseError:
            raise ConfigurationError(
                f"{self.path} is damaged; restore it from a copy, or move it away to begin with no annotations"
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"{self.path} cannot be written: {(error.strerror or str(error)).lower()}; make its folder writable, "
                "or name another file with --annotations"
            ) from None


def _measure(row: Sequence[Any]) -> Measure:
    number, name, begins_at, teams, channels, note, author, added_at = row
    scope = (tuple(json.loads(teams)), tuple(json.loads(channels)))
    return Measure(number, name, _read(begins_at), *scope, note, author, _read(added_at))


def _label(row: Sequence[Any]) -> Label:
    interaction_id, verdict, note, author, labelled_at = row
    return Label(interaction_id, verdict, note, author, _read(labelled_at))


def _verdict(name: str) -> str:
    if name not in VERDICTS:
        raise ConfigurationError(f"unknown verdict {name!r}; expected one of {', '.join(VERDICTS)}")
    return name


def _note(text: str) -> str:
    return _text(text, "note", _LONGEST_NOTE)


def _author(text: str) -> str:
    return _text(text, "author's name", _LONGEST_NAME)


def _text(text: str, what: str, longest: int) -> str:
    plain = text.strip()
    if len(plain) > longest:
        raise ConfigurationError(f"the {what} has {len(plain):,} characters; expected at most {longest:,}")
    return "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in plain)


def _written(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="microseconds")


def _read(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
