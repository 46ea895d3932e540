"""Erasing people from a store: the file is written anew without them, and takes the old one's place in one step."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from pipeline.forgetting import NOBODY, Forgotten
from sinks.erasure.customers import Customers, replace_customers
from sinks.erasure.evidence import Evidence, Row, replace_evidence
from sinks.erasure.names import SHOWN, Names
from sinks.erasure.people import People, find_people
from sinks.placement import Placement
from sinks.rewriting import OLD, Rewriting, rewriting


@dataclass(frozen=True)
class Erased:
    """What was found of the forgotten in a store. `interaction_ids`: old and new, for those who keep such ids."""

    token_count: int = 0
    contact_count: int = 0
    event_count: int = 0
    activity_count: int = 0
    interaction_ids: Mapping[str, str] | None = None

    @property
    def interaction_count(self) -> int:
        """Interactions that now say nothing of whom they were with."""
        return len(self.interaction_ids or {})


@contextmanager
def alone(path: Path) -> Iterator[Placement]:
    """Be the only one who writes a store.

    Raises:
        TransientError: when a sink or a replay is writing it.
    """
    placement = Placement(path)
    placement.acquire()
    try:
        yield placement
    finally:
        placement.clear()
        placement.release()


def erase(
    old: Path,
    new: Path,
    forgotten: Forgotten,
    secret: bytes,
    clear: Sequence[re.Pattern[str]] = (),
    keep: Callable[[People], object] = lambda people: None,
) -> Erased:
    """Write a store without those who were forgotten into a new file; return what was found of them.

    What others see stays as it was: interactions are counted, with their outcomes, times, teams and channels. Tokens,
    customers, contacts, keys and places of theirs become names made with `secret`, which is random and kept nowhere.
    `clear`: how identifiers may stand in names of files and messages; these are replaced in all texts. `keep` hears who
    was found, with what the CRM holds of them, before anything is written.
    """
    names = Names(secret, clear)
    with rewriting(old, new) as both:
        db = both.connection
        db.execute(f"USE {OLD}")
        people = find_people(db, forgotten)
        if not people:
            db.execute("USE memory")
            both.copy(_queries(both, {}, people, names))
            return Erased()
        keep(people)
        evidence = replace_evidence(db, people, names)
        customers = replace_customers(db, people, evidence, names)
        replaced: dict[str, dict[int, Row | None]] = {**customers.rows, "observation_base": {**evidence.rows}}
        for table, rows in replaced.items():
            db.register("incoming_number", pa.table({"number": pa.array(sorted(rows), pa.int64())}))
            db.execute(f"CREATE OR REPLACE TEMP TABLE replaced_{table} AS FROM incoming_number")
            db.unregister("incoming_number")
        db.execute("USE memory")
        both.copy(_queries(both, replaced, people, names))
        for table, rows in replaced.items():
            both.append(table, [row for row in rows.values() if row is not None], names.swept)
        for table, added in customers.added.items():
            both.append(table, added, names.swept)
        _note(db, forgotten, evidence, customers)
        return Erased(
            len(people.tokens),
            len(people.contact_ids),
            len(evidence.rows),
            len(customers.activity_ids),
            customers.interaction_ids,
        )


def _queries(
    both: Rewriting, replaced: Mapping[str, Mapping[int, Row | None]], people: People, names: Names
) -> dict[str, str]:
    """Return for each table that changes the query of the rows that stay."""
    queries = {}
    for table in both.tables:
        condition = f" WHERE rowid NOT IN (SELECT number FROM replaced_{table})" if table in replaced else ""
        columns = _swept_columns(both.connection, table, names.clear) if names.clear else {}
        if table == "run":
            for token in sorted(people.tokens):
                columns["settings"] = f"replace({columns.get('settings', 'settings')}, '{token}', '{NOBODY}')"
        if columns:
            changes = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
            queries[table] = f"SELECT * REPLACE ({changes}) FROM {OLD}.{table}{condition}"
        elif condition:
            queries[table] = f"SELECT * FROM {OLD}.{table}{condition}"
    return queries


def _swept_columns(db: duckdb.DuckDBPyConnection, table: str, clear: Sequence[re.Pattern[str]]) -> dict[str, str]:
    """Return SQL for the columns of texts, with clear identifiers replaced."""
    pattern = "|".join(f"(?:{each.pattern})" for each in clear).replace("'", "''")
    flags = "gi" if any(each.flags & re.IGNORECASE for each in clear) else "g"
    swept = {}
    for name, kind, *_ in db.execute(f"DESCRIBE {OLD}.{table}").fetchall():
        if kind == "VARCHAR":
            swept[name] = f"regexp_replace({name}, '{pattern}', '{SHOWN}', '{flags}')"
        elif kind == "VARCHAR[]":
            swept[name] = (
                f"list_transform({name}, lambda each: regexp_replace(each, '{pattern}', '{SHOWN}', '{flags}'))"
            )
    return swept


def _note(db: duckdb.DuckDBPyConnection, forgotten: Forgotten, evidence: Evidence, customers: Customers) -> None:
    """Note by digests which rows were erased: news of them that a log still brings are not taken in."""
    old = {*evidence.raw_ids, *evidence.evidence_ids, *customers.interaction_ids, *customers.activity_ids}
    # An engine that knows them no longer gives interactions of a message to several by other names: see `identify.sql`.
    shared = db.execute("SELECT DISTINCT evidence_id FROM erased_interaction").fetchall()
    old |= {hashlib.md5(f"{each}|{NOBODY}".encode(), usedforsecurity=False).hexdigest()[:16] for (each,) in shared}
    numbers = pa.array(sorted(forgotten.row_number(each) for each in old), pa.uint64())
    db.register("incoming_number", pa.table({"digest": numbers}))
    db.execute("INSERT INTO new.erased_row SELECT digest FROM incoming_number EXCEPT SELECT digest FROM new.erased_row")
    db.unregister("incoming_number")
