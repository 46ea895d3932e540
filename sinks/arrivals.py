"""Facts and dead letters as they arrive: only what the store does not hold yet, and the accounts of their files.

A log delivers at least once. A fact is known by its raw_id and the id of what it tells of; facts of the same time are
asked for, because the store keeps times of whole row groups and passes the others by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigurationError
from pipeline.sources.registry import Batch, DeadLetter, by_name
from schemas.facts import SCHEMAS
from sinks import observations
from sinks.appending import is_constant, with_constants
from sinks.store import Store
from sinks.tally import Tally, file_rows

# What tells facts of a kind apart, and the column by whose span they are looked for. None: among all of them.
_KEYS: Final[Mapping[str, tuple[tuple[str, ...], str | None]]] = {
    "observation": (("raw_id",), "started_at"),
    "directory_entry": (tuple(SCHEMAS["directory_entry"].names), None),
    "contact": (("raw_id", "contact_id"), "updated_at"),
    "account": (("raw_id", "account_id"), "updated_at"),
    "crm_user": (("raw_id", "user_id"), None),
    "activity": (("raw_id", "activity_id"), "logged_from"),
    "feed_progress": (("source", "complete_through"), None),
    "identifier": (("token", "display"), None),
}
_TABLES: Final = {kind: observations.TABLE if kind == "observation" else kind for kind in SCHEMAS}
_PLACED: Final = ("contact", "account", "crm_user", "activity")
_INCOMING: Final = "incoming_key"
# Where a kind has no source of its own.
_DIRECTORY: Final = "directory"
_SEPARATOR: Final = "\0"

File = tuple[str, str]


class Arrivals:
    """Adds to an open store. Every call belongs into a transaction; after one that failed, make a new object."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._db = store.connection
        names = {field.name for field in fields(Tally)}
        rows = store.rows("SELECT * FROM source_file")
        kept = ({name: value for name, value in row.items() if name in names} for row in rows)
        self._tallies = {(row["source"], row["file"]): Tally(**row, carries=_carries(row["format"])) for row in kept}
        self._written = set(self._tallies)
        self._changed: dict[File, Tally] = {}
        self._letter_count: int = store.rows("SELECT count(*) AS n FROM dead_letter")[0]["n"]

    def add(self, tables: Mapping[str, Sequence[pa.Table]]) -> int:
        """Add facts by kind, with their columns `file` and `format`; return how many were new.

        Facts whose raw_id stands among the dead letters take these back: somebody has retried the record.
        """
        by_file: dict[File, dict[str, list[pa.Table]]] = {}
        count = 0
        for kind in SCHEMAS:
            given = [table for table in tables.get(kind, ()) if table.num_rows]
            if not given:
                continue
            rows = self._fresh(kind, pa.concat_tables([_plain(kind, table) for table in given]))
            count += rows.num_rows
            if kind == "identifier":
                self._store.append(kind, rows)
            elif rows.num_rows:
                self._place(kind, rows, by_file)
        if self._letter_count:
            self._take_back(by_file)
        for file, parts in by_file.items():
            facts = {kind: pa.concat_tables(tables) for kind, tables in parts.items()}
            self._count(file, facts)
        return count

    def reject(self, letters: Iterable[tuple[DeadLetter, str]]) -> int:
        """Add dead letters, each with its format; return how many records are rejected that were not before.

        A record of which there are facts was retried: its dead letter is old news. Of several of one record the last
        counts.
        """
        newest = {letter.raw_id: (letter, format) for letter, format in letters}
        for kind in ("observation", *_PLACED):
            newest = {raw_id: newest[raw_id] for raw_id in newest.keys() - self._held(kind, newest)}
        if not newest:
            return 0
        before = self._letter_count
        self._forget(newest)
        by_file: dict[File, list[DeadLetter]] = {}
        for letter, format in newest.values():
            self._tally(letter.source, letter.file, format)
            by_file.setdefault((letter.source, letter.file), []).append(letter)
        for file, found in by_file.items():
            tally = self._changed[file]
            tally.count(Batch({}, len(found), dead_letters=found))
            rows = pa.Table.from_pylist([vars(letter) for letter in found])
            self._store.append("dead_letter", with_constants(rows, {"file_number": (tally.file_number, pa.int32())}))
        self._letter_count += len(newest)
        return self._letter_count - before

    def write_accounts(self) -> None:
        """Write the accounts of all files that changed since the last call."""
        new = [tally for file, tally in self._changed.items() if file not in self._written]
        if new:
            self._store.append("source_file", file_rows(new))
        old = [tally for file, tally in self._changed.items() if file in self._written]
        if old:
            rows = file_rows(old)
            changes = ", ".join(f"{name} = changed.{name}" for name in rows.column_names if name != "file_number")
            self._db.register("changed_file", rows)
            self._db.execute(
                f"UPDATE source_file SET {changes} FROM changed_file AS changed "
                "WHERE source_file.file_number = changed.file_number"
            )
            self._db.unregister("changed_file")
        self._written |= self._changed.keys()
        self._changed.clear()

    # -- facts --------------------------------------------------------------------------------------------------------

    def _fresh(self, kind: str, rows: pa.Table) -> pa.Table:
        """Return the rows of facts that are neither in the store nor earlier in the batch."""
        names, time = _KEYS[kind]
        keys = rows.select([*names, time] if time else [*names])
        keys = keys.append_column("n", pa.array(range(rows.num_rows), pa.int32()))
        self._db.register(_INCOMING, keys)
        try:
            same = " AND ".join(f"held.{name} IS NOT DISTINCT FROM incoming.{name}" for name in names)
            span, ends = _span(keys, time)
            repeated = self._db.execute(
                f"SELECT incoming.n FROM {_TABLES[kind]} AS held JOIN {_INCOMING} AS incoming ON {same}{span}", ends
            ).fetchall()
        finally:
            self._db.unregister(_INCOMING)
        if repeated:
            held = pa.array(sorted({n for (n,) in repeated}), pa.int32())
            rows, keys = (table.filter(pc.invert(pc.is_in(keys.column("n"), held))) for table in (rows, keys))
        firsts = keys.group_by(list(names)).aggregate([("n", "min")]).column("n_min")
        if len(firsts) == rows.num_rows:
            return rows
        return rows.filter(pc.is_in(keys.column("n"), firsts))

    def _place(self, kind: str, rows: pa.Table, by_file: dict[File, dict[str, list[pa.Table]]]) -> None:
        """Write new facts with the numbers of their files, and leave them in `by_file`."""
        if "source" in rows.column_names:
            source = rows.column("source")
        else:
            source = pa.chunked_array([pa.repeat(_DIRECTORY, rows.num_rows)])
        facts = rows.select(SCHEMAS[kind].names)
        for place, part in _parted(facts, [source, rows.column("file"), rows.column("format")]):
            tally = self._tally(*place)
            by_file.setdefault((tally.source, tally.file), {}).setdefault(kind, []).append(part)
            stored = observations.shortened(part) if kind == "observation" else part
            self._store.append(_TABLES[kind], with_constants(stored, {"file_number": (tally.file_number, pa.int32())}))

    def _count(self, file: File, facts: Mapping[str, pa.Table]) -> None:
        observed = facts["observation"].num_rows if "observation" in facts else 0
        listed = facts["directory_entry"].num_rows if "directory_entry" in facts else 0
        places = [pc.unique(facts[kind].column("raw_id")) for kind in _PLACED if kind in facts]
        records = len(pc.unique(pa.chunked_array(places))) if places else 0
        self._changed[file].count(Batch(facts, observed + records + listed))

    def _tally(self, source: str, file: str, format: str) -> Tally:
        tally = self._tallies.get((source, file))
        if tally is None:
            number = 1 + max((known.file_number for known in self._tallies.values()), default=0)
            tally = Tally(number, source, file, format, 0, _carries(format))
            self._tallies[source, file] = tally
        self._changed[source, file] = tally
        return tally

    # -- dead letters -------------------------------------------------------------------------------------------------

    def _take_back(self, by_file: Mapping[File, Mapping[str, Sequence[pa.Table]]]) -> None:
        """Remove the dead letters of records that now are facts."""
        self._forget(
            raw_id
            for parts in by_file.values()
            for kind, tables in parts.items()
            if "raw_id" in SCHEMAS[kind].names
            for table in tables
            for raw_id in table.column("raw_id").to_pylist()
        )

    def _forget(self, raw_ids: Iterable[str]) -> None:
        """Remove dead letters and what their files' accounts say of them."""
        self._db.register(_INCOMING, pa.table({"raw_id": pa.array(list(raw_ids), pa.string())}))
        try:
            gone = self._db.execute(
                f"DELETE FROM dead_letter WHERE raw_id IN (SELECT raw_id FROM {_INCOMING}) "
                "RETURNING file_number, is_raw_event"
            ).fetchall()
        finally:
            self._db.unregister(_INCOMING)
        by_number = {tally.file_number: tally for tally in self._tallies.values()} if gone else {}
        for file_number, is_raw_event in gone:
            tally = by_number[file_number]
            tally.record_count -= 1
            tally.rejected_event_count -= is_raw_event
            tally.rejected_record_count -= not is_raw_event
            self._changed[tally.source, tally.file] = tally
        self._letter_count -= len(gone)

    def _held(self, kind: str, raw_ids: Iterable[str]) -> set[str]:
        """Return those of raw_ids of which the store has a fact."""
        asked = list(raw_ids)
        if not asked:
            return set()
        self._db.register(_INCOMING, pa.table({"raw_id": pa.array(asked, pa.string())}))
        try:
            found = self._db.execute(
                f"SELECT raw_id FROM {_TABLES[kind]} SEMI JOIN {_INCOMING} USING (raw_id)"
            ).fetchall()
        finally:
            self._db.unregister(_INCOMING)
        return {raw_id for (raw_id,) in found}


def _plain(kind: str, table: pa.Table) -> pa.Table:
    """Return facts with the columns and types of their kind, and their file and format."""
    schema = SCHEMAS[kind]
    facts = table.select(schema.names).cast(schema)
    if kind == "identifier":
        return facts
    for name in ("file", "format"):
        facts = facts.append_column(name, table.column(name).cast(pa.string()))
    return facts


def _span(keys: pa.Table, time: str | None) -> tuple[str, list[Any]]:
    """Return SQL that keeps to the time of the facts asked for, with its values."""
    if time is None:
        return "", []
    column = keys.column(time)
    ends = pc.min_max(column).as_py()
    if ends["min"] is None:
        return f" WHERE held.{time} IS NULL", []
    untimed = f" OR held.{time} IS NULL" if column.null_count else ""
    return (
        f" WHERE (held.{time} BETWEEN $1::TIMESTAMP AND $2::TIMESTAMP{untimed})",
        [ends["min"], ends["max"]],
    )


def _parted(rows: pa.Table, columns: Sequence[pa.ChunkedArray]) -> Iterable[tuple[tuple[str, ...], pa.Table]]:
    """Yield the rows of each combination of values of these columns, in order of appearance."""
    if all(is_constant(column) for column in columns):
        yield tuple(column[0].as_py() for column in columns), rows
        return
    combined = pc.binary_join_element_wise(*columns, _SEPARATOR)
    for place in pc.unique(combined).to_pylist():
        yield tuple(place.split(_SEPARATOR)), rows.filter(pc.equal(combined, place))


def _carries(format: str) -> frozenset[str] | None:
    """Return what facts a format may yield; None when no parser of that name is installed here."""
    try:
        return by_name(format).carries
    except ConfigurationError:
        return None
