"""The simplest form of the job as a stream program in Quix Streams: a reference for speed.

It does what the plain script does of files (benchmarks/plain_script.py): a call's customer is the contact with the same
number, its trace the nearest activity on that contact within 72 hours, each used once. Records are validated, calls
that come again are passed by, and what became of each is appended to a table in DuckDB, where the last row of a call
counts; the share by team is one query. All else is as Quix Streams has it by itself.

It leaves out queues, transfers, other layouts and zones, activities that come before their call, who took part, tiers,
pending, and whatever else makes the number true; and its records come keyed by the customer's number, which spares it
a topic between. Runs in an environment of its own, see requirements/quix.txt:
python benchmarks/quix_program.py BOOTSTRAP PREFIX COUNT DATABASE
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from functools import cache
from typing import Any

import duckdb
import phonenumbers
import pyarrow as pa
from pydantic import BaseModel, Field
from quixstreams import Application  # type: ignore[import-not-found]  # in an environment of its own
from quixstreams.sinks import BatchingSink  # type: ignore[import-not-found]

WINDOW_SECONDS = 72 * 3600
COLUMNS = pa.schema(
    [(name, pa.string()) for name in ("call_id", "contact_id", "representative", "outcome", "activity_id")]
    + [("ended_at", pa.timestamp("us", "UTC"))]
)


class Call(BaseModel):
    call_id: str
    ended_at: datetime
    caller: str = Field(alias="from")
    to: str
    direction: str
    representative: str


class Activity(BaseModel):
    activity_id: str
    logged_at: datetime
    contact_ids: list[str]


class Rows(BatchingSink):  # type: ignore[misc]  # its base is not here
    """Appends what became of calls to a table, each checkpoint's in one transaction."""

    def __init__(self, database: str) -> None:
        super().__init__()
        self._connection = duckdb.connect(database)
        self._connection.register("rows", COLUMNS.empty_table())
        self._connection.execute("CREATE TABLE became AS SELECT * FROM rows")
        self.written_at = 0.0

    def write(self, batch: Any) -> None:
        self._connection.register("rows", pa.Table.from_pylist([item.value for item in batch], COLUMNS))
        self._connection.execute("INSERT INTO became SELECT * FROM rows")
        self.written_at = time.perf_counter()


@cache
def e164(text: str) -> str | None:
    try:
        return str(phonenumbers.format_number(phonenumbers.parse(text, "FI"), phonenumbers.PhoneNumberFormat.E164))
    except phonenumbers.NumberParseException:
        return None


def match_call(record: dict[str, Any], state: Any) -> dict[str, Any] | None:
    """Keep a call for the activities that come; return its row, or nothing when it came before."""
    call = Call.model_validate(record)
    calls: list[dict[str, Any]] = state.get("calls", [])
    if any(call.call_id == known["call_id"] for known in calls):
        return None
    ended = call.ended_at.timestamp()
    customer = e164(call.caller if call.direction == "inbound" else call.to)
    row = {
        "call_id": call.call_id, "contact_id": state.get("contacts", {}).get(customer), "outcome": "open",
        "representative": call.representative, "activity_id": None, "ended_at": ended,
    }  # fmt: skip
    state.set("calls", [*(known for known in calls if ended - known["ended_at"] <= WINDOW_SECONDS), row])
    return row | {"ended_at": call.ended_at}


def match_activity(record: dict[str, Any], state: Any) -> dict[str, Any] | None:
    """Return the row of the call that an activity explains, if there is one."""
    activity = Activity.model_validate(record)
    logged = activity.logged_at.timestamp()
    calls: list[dict[str, Any]] = state.get("calls", [])
    open_calls = [
        call
        for call in calls
        if call["outcome"] == "open"
        and call["contact_id"] in activity.contact_ids
        and abs(logged - call["ended_at"]) <= WINDOW_SECONDS
    ]
    if not open_calls:
        return None
    best = min(open_calls, key=lambda call: abs(logged - call["ended_at"]))
    best |= {"outcome": "traced", "activity_id": activity.activity_id}
    state.set("calls", calls)
    return best | {"ended_at": datetime.fromtimestamp(best["ended_at"]).astimezone()}


def match(record: dict[str, Any], state: Any) -> dict[str, Any] | None:
    if record["kind"] == "call":
        return match_call(record, state)
    if record["kind"] == "activity":
        return match_activity(record, state)
    if record["kind"] == "contact":
        state.set("contacts", {e164(number): record["contact_id"] for number in record["phones"]})
    return None


def main() -> None:
    """Read so many records and print how many a second they were, from the first one to the last row."""
    bootstrap, prefix, count, database = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    app = Application(
        broker_address=bootstrap, consumer_group=f"{prefix}quix", auto_offset_reset="earliest", loglevel="ERROR"
    )
    records = app.dataframe(app.topic(f"{prefix}quix", value_deserializer="json", key_deserializer="str"))
    stored = Rows(database)
    seen, begun = 0, 0.0

    def note(record: dict[str, Any]) -> None:
        nonlocal seen, begun
        begun = begun or time.perf_counter()
        seen += 1
        if seen == count:
            # It commits when this record is done, and ends; its own count is of rows that come out.
            app.stop()

    outcomes = records.update(note).apply(match, stateful=True)
    outcomes[outcomes.apply(lambda row: row is not None)].sink(stored)
    app.run()
    print(f"{count / (stored.written_at - begun):.0f}")


if __name__ == "__main__":
    main()
