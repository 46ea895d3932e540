"""A store of any number of interactions, quickly: a simulated company is replayed, and its weeks are repeated.

The proportions are the simulation's: missed calls, several legs a call, mail in several mailboxes, activities changed
afterwards. Each repetition lies as many weeks later, with ids of its own and the same customers, laid into the store
as a replay would lay it.

python -m benchmarks.dashboard_store FOLDER 5000000      a store of so many interactions at least, in a new folder
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import duckdb

from benchmarks.measuring import run_python
from sinks.connection import STORAGE_VERSION, quoted
from sinks.results import RESULTS, order

_WEEKS: Final = 4
# So many interactions one simulated representative has in a week, nearly.
_EACH: Final = 150
_MOST_REPRESENTATIVES: Final = 240
_COUNTED: Final = (
    "byte_count", "record_count", "observation_count", "crm_record_count", "activity_count", "rejected_event_count",
    "rejected_record_count",
)  # fmt: skip


def make(folder: Path, interactions: int) -> tuple[Path, int]:
    """Make a store of at least so many interactions in a folder; return its path and how many there are.

    Raises:
        BenchmarkFailed: when the company could not be simulated or replayed.
    """
    weeks = _WEEKS if interactions >= 4 * _EACH * _WEEKS else 1
    representatives = max(4, min(_MOST_REPRESENTATIVES, interactions // (_EACH * weeks)))
    folder.mkdir(parents=True, exist_ok=True)
    company, store = folder / "company", folder / "bypass.duckdb"
    run_python("-m", "cli", "simulate", company, "--days", str(7 * weeks), "--representatives", str(representatives))
    run_python("-m", "cli", "replay", company, "--db", store)
    return store, repeat(store, interactions, 7 * weeks)


def repeat(store: Path, interactions: int, days: int) -> int:
    """Repeat what is in a store, each time so many days later, until there are so many; return how many there are."""
    source = store.with_name("once.duckdb")
    store.replace(source)
    with duckdb.connect(str(source), read_only=True) as once:
        present = int(once.execute("SELECT count(*) FROM interaction_base").fetchall()[0][0])
    copies = -(-interactions // present) - 1
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false; SET threads = 1; SET memory_limit = '2GB'")
        connection.execute(f"ATTACH {quoted(source)} AS once (READ_ONLY)")
        connection.execute(f"ATTACH {quoted(store)} AS store (STORAGE_VERSION '{STORAGE_VERSION}')")
        connection.execute("COPY FROM DATABASE once TO store")
        connection.execute("USE store")
        for copy in range(1, copies + 1):
            for statement in _repetition(copy, copy * days):
                connection.execute(statement)
        connection.execute(
            f"UPDATE feed_progress SET complete_through = complete_through + INTERVAL {copies * days} DAY"
        )
        counts = ", ".join(f"{name} = {name} * {copies + 1}" for name in _COUNTED)
        connection.execute(f"UPDATE source_file SET {counts}, last_at = last_at + INTERVAL {copies * days} DAY")
        connection.execute("CHECKPOINT store")
    source.unlink()
    return present * (copies + 1)


def _repetition(copy: int, days: int) -> list[str]:
    """Return the statements that add one copy: ids end with its number, instants lie so many days later."""

    def id(*names: str) -> list[str]:
        return [f"{name} || '#{copy}' AS {name}" for name in names]

    def hashed(*names: str) -> list[str]:
        return [f"left(md5({name} || '#{copy}'), 16) AS {name}" for name in names]

    def keys(*names: str) -> list[str]:
        return [f"list_transform({name}, lambda each: each || '#{copy}') AS {name}" for name in names]

    def later(*names: str) -> list[str]:
        return [f"{name} + INTERVAL {days} DAY AS {name}" for name in names]

    changed = {
        "observation_base": [
            *id("raw_id", "session_id"),
            # Empty ones stand for what there is not.
            f"CASE WHEN key <> '' THEN key || '#{copy}' ELSE key END AS key",
            f"CASE WHEN event_id <> '' THEN event_id || '#{copy}' ELSE event_id END AS event_id",
            *keys("other_keys"),
            *later("started_at", "answered_at", "ended_at"),
        ],
        "activity": [*id("activity_id", "raw_id"), *keys("keys"), *later("logged_from", "logged_to", "updated_at")],
        "interaction_base": [
            *id("activity_id", "ticket_id"),
            *hashed("interaction_id", "evidence_id"),
            *later("started_at", "ended_at", "window_ends_at"),
        ],
        "disposition_base": [*id("raw_id"), *hashed("evidence_id")],
        "activity_outcome_base": [*id("activity_id"), *hashed("interaction_id")],
    }
    orders = {f"{result.name}_base": order(result) for result in RESULTS}
    return [
        f"INSERT INTO {table} FROM (SELECT * REPLACE ({', '.join(columns)}) FROM once.{table}) {orders.get(table, '')}"
        for table, columns in changed.items()
    ]


if __name__ == "__main__":
    print(make(Path(sys.argv[1]), int(sys.argv[2])))
