"""The simplest form of the job as a stream program in Quix Streams: a reference for speed, not for the number.

Calls and activities of a customer meet in one state; an activity explains the nearest call of the last 72 hours; what
became of a call is appended to a table in DuckDB, where its last row counts. All else is as Quix Streams has it by
itself. It leaves out identity, duplicates, teams, tiers, pending and whatever else makes the number true. Runs in an
environment of its own, see requirements/quix.txt: python benchmarks/quix_program.py BOOTSTRAP PREFIX COUNT DATABASE
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa
from quixstreams import Application  # type: ignore[import-not-found]  # in an environment of its own
from quixstreams.sinks import BatchingSink  # type: ignore[import-not-found]

WINDOW_SECONDS = 72 * 3600
COLUMNS = pa.schema([("call_id", pa.string()), ("outcome", pa.string()), ("activity_id", pa.string())])


class Rows(BatchingSink):  # type: ignore[misc]  # its base is not here
    """Appends outcomes to a table, each checkpoint's in one transaction; `written_at` is when the last one was."""

    def __init__(self, database: str) -> None:
        super().__init__()
        self._connection = duckdb.connect(database)
        self._connection.execute("CREATE TABLE outcome (call_id VARCHAR, outcome VARCHAR, activity_id VARCHAR)")
        self.written_at = 0.0

    def write(self, batch: Any) -> None:
        rows = pa.Table.from_pylist([item.value for item in batch], COLUMNS)
        self._connection.register("rows", rows)
        self._connection.execute("INSERT INTO outcome SELECT * FROM rows")
        self._connection.unregister("rows")
        self.written_at = time.perf_counter()


def main() -> None:
    """Read so many records and print how many a second they were."""
    bootstrap, prefix, count, database = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    app = Application(
        broker_address=bootstrap, consumer_group=f"{prefix}quix", auto_offset_reset="earliest", loglevel="ERROR"
    )
    records = app.dataframe(app.topic(f"{prefix}quix", value_deserializer="json", key_deserializer="str"))
    stored = Rows(database)
    seen = 0
    begun = 0.0

    def match(record, state):  # type: ignore[no-untyped-def]
        nonlocal seen, begun
        begun = begun or time.perf_counter()
        seen += 1
        waiting = state.get("calls", [])
        if record["kind"] == "call":
            ended = datetime.fromisoformat(record["ended_at"]).timestamp()
            waiting = [call for call in waiting if ended - call[1] <= WINDOW_SECONDS]
            waiting.append((record["call_id"], ended))
            state.set("calls", waiting)
            return {"call_id": record["call_id"], "outcome": "open"}
        if record["kind"] != "activity" or not waiting:
            return None
        logged = datetime.fromisoformat(record["logged_at"]).timestamp()
        best = min(waiting, key=lambda call: abs(logged - call[1]))
        waiting.remove(best)
        state.set("calls", waiting)
        return {"call_id": best[0], "outcome": "traced", "activity_id": record["activity_id"]}

    outcomes = records.apply(match, stateful=True)
    outcomes[outcomes.apply(lambda outcome: outcome is not None)].sink(stored)
    app.run(count=count)
    print(f"{seen / (stored.written_at - begun):.0f}")


if __name__ == "__main__":
    main()
