"""How fast a live store takes packed batches, empty and beside millions of observations.

python -m benchmarks.live_store [observations beforehand]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.generated_facts import Company
from pipeline.outcomes import Group, pack_claim, pack_group
from schemas.log import Entry
from schemas.packing import Pack, pack
from sinks.live import LiveStore, open_live
from sinks.store import RunRecord

BATCH = 5_000
BATCHES = 40
RUN = RunRecord(datetime(2024, 1, 1), datetime(2024, 1, 1), "0", "c", "k", "acme", "UTC")


def messages(company: Company, first: int, count: int, version: int) -> tuple[Entry, Entry]:
    """Return a message of facts and one of what is said of them: an interaction and a disposition each."""
    observed = company.calls(first, count)
    column = pa.repeat(pa.scalar("log"), count).dictionary_encode()
    facts = pack(
        Pack(
            {"company_id": "acme"},
            {"observation": observed.append_column("file", column).append_column("format", column)},
        )
    )
    found = duckdb.connect()
    found.register("observed", observed)
    dispositions = found.sql(
        "SELECT raw_id, 'interaction' AS disposition, NULL::VARCHAR AS reason, left(md5(raw_id), 16) AS evidence_id, "
        "false AS said_before FROM observed"
    ).to_arrow_table()
    interactions = found.sql(
        "SELECT left(md5(raw_id), 16) AS interaction_id, left(md5(raw_id), 16) AS evidence_id, 'acme' AS company_id, "
        "channel, line, direction, started_at, ended_at, talk_seconds, 'r1' AS representative_id, "
        "['r1'] AS participants, 'Sales' AS team, 'other' AS function, ['pbx'] AS sources, from_token AS token, "
        "['c1'] AS customer_ids, 'c1' AS contact_id, NULL::VARCHAR AS segment, 'bypassed' AS outcome, "
        "'not_logged' AS reason, NULL::VARCHAR AS tier, NULL::VARCHAR AS activity_id, NULL::VARCHAR AS ticket_id, "
        "NULL::DOUBLE AS trace_delay_seconds, ended_at AS window_ends_at, false AS said_before FROM observed"
    ).to_arrow_table()
    group = Group(version, version, {"interaction": interactions, "disposition": dispositions})
    (said,) = pack_group("acme", 0, group, part_bytes=1 << 34)
    return Entry(version, facts), Entry(version + 1, said)


def fill(live: LiveStore, company: Company, count: int) -> None:
    """Put so many observations into the store, with what is said of them, in large batches."""
    step = 500_000
    for number, first in enumerate(range(0, count, step)):
        fact, said = messages(company, first, min(step, count - first), number)
        live.apply([fact], [said])
    live.settle()


def main(beforehand: int) -> None:
    """Measure and print."""
    company = Company(100_000)
    with tempfile.TemporaryDirectory() as folder, open_live(Path(folder) / "live.duckdb", RUN, 0) as live:
        live.apply(outcomes=[Entry(0, pack_claim("acme", "rules"))])
        fill(live, company, beforehand)
        version = live.progress.folded + 1
        batches = [messages(company, beforehand + n * BATCH, BATCH, version + n) for n in range(BATCHES)]
        begun, spent = time.perf_counter(), []
        for fact, said in batches:
            at = time.perf_counter()
            live.apply([fact], [said])
            spent.append(time.perf_counter() - at)
        seconds = time.perf_counter() - begun
        rows = 3 * BATCH * BATCHES
        print(
            f"beside {beforehand:,} observations: {rows / seconds:,.0f} rows/s ({rows / 3 / seconds:,.0f} "
            f"observations/s with their outcomes); a batch of {BATCH:,}: "
            f"median {statistics.median(spent) * 1e3:,.0f} ms, longest {max(spent) * 1e3:,.0f} ms"
        )
        again = [Entry(fact.offset + BATCHES, fact.value) for fact, _ in batches[:10]]
        at = time.perf_counter()
        for entry in again:
            live.apply([entry])
        print(f"a batch that is wholly repeated: {(time.perf_counter() - at) / 10 * 1e3:,.0f} ms")
        scattered = pa.concat_tables([company.calls(n * max(1, beforehand // 100), 1) for n in range(100)])
        column = pa.repeat(pa.scalar("log"), 100)
        content = Pack(
            {"company_id": "acme"},
            {"observation": scattered.append_column("file", column).append_column("format", column)},
        )
        spread = Entry(again[-1].offset + 1, pack(content))
        at = time.perf_counter()
        applied = live.apply([spread])
        print(f"100 facts from all of history: {(time.perf_counter() - at) * 1e3:,.0f} ms, {applied.fact_count} new")
        at = time.perf_counter()
        live.settle()
        print(f"merge at the end: {(time.perf_counter() - at) * 1e3:,.0f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
