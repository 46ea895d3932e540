"""Small stores for tests: facts and results written short, and what a store then holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.sources.registry import Batch, DeadLetter
from schemas.facts import INSTANT, STRINGS
from sinks.store import RunRecord, Store
from tests.records import Fact, tables

NOON = datetime(2024, 3, 4, 12)
RUN = RunRecord(
    started_at=NOON,
    finished_at=NOON,
    bypassflow_version="0.1.0",
    configuration_digest="c1",
    key_digest="k1",
    company_id="acme",
    timezone="Europe/Helsinki",
)

_TEXT = pa.string()
INTERACTION = pa.schema(
    {
        "interaction_id": _TEXT, "evidence_id": _TEXT, "company_id": _TEXT, "channel": _TEXT, "line": _TEXT,
        "direction": _TEXT, "started_at": INSTANT, "ended_at": INSTANT, "talk_seconds": pa.float64(),
        "representative_id": _TEXT, "participants": STRINGS, "team": _TEXT, "function": _TEXT, "sources": STRINGS,
        "token": _TEXT, "customer_ids": STRINGS, "contact_id": _TEXT, "segment": _TEXT, "outcome": _TEXT,
        "reason": _TEXT, "tier": _TEXT, "activity_id": _TEXT, "ticket_id": _TEXT,
        "trace_delay_seconds": pa.float64(), "window_ends_at": INSTANT, "keys": STRINGS, "said_before": pa.bool_(),
    }
)  # fmt: skip
DISPOSITION = pa.schema(
    {"raw_id": _TEXT, "disposition": _TEXT, "reason": _TEXT, "evidence_id": _TEXT, "said_before": pa.bool_()}
)
ACTIVITY_OUTCOME = pa.schema(
    {
        "activity_id": _TEXT, "status": _TEXT, "tier": _TEXT, "interaction_id": _TEXT, "customer_ids": STRINGS,
        "representative_ids": STRINGS, "said_before": pa.bool_(),
    }
)  # fmt: skip
SCHEMAS = {
    "interaction": INTERACTION,
    "disposition": DISPOSITION,
    "activity_outcome": ACTIVITY_OUTCOME,
    "retracted": pa.schema({"interaction_id": _TEXT}),
}

Row = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """What an engine would return."""

    tables: Mapping[str, pa.Table] = field(default_factory=dict)


def interaction_row(interaction_id: str, outcome: str = "traced", **columns: Any) -> Row:
    """Return an interaction that nothing is special about."""
    return {
        "interaction_id": interaction_id,
        "evidence_id": interaction_id,
        "company_id": "acme",
        "channel": "call",
        "started_at": NOON,
        "ended_at": NOON,
        "talk_seconds": 60.0,
        "participants": [],
        "sources": ["pbx"],
        "customer_ids": [],
        "outcome": outcome,
        "window_ends_at": NOON + timedelta(days=3),
        "said_before": False,
        **columns,
    }


def said(
    interactions: Iterable[Row] = (),
    *,
    retracted: Sequence[str] = (),
    dispositions: Iterable[Row] = (),
    activities: Iterable[Row] = (),
    versions: Sequence[int] = (),
) -> Said:
    """Return changes; `versions` gives the interactions, in order, versions of their own."""
    rows = {
        "interaction": list(interactions),
        "retracted": [{"interaction_id": key} for key in retracted],
        "disposition": [{"said_before": False, **row} for row in dispositions],
        "activity_outcome": [{"said_before": False, **row} for row in activities],
    }
    made = {name: pa.Table.from_pylist(values, schema=SCHEMAS[name]) for name, values in rows.items()}
    if versions:
        made["interaction"] = made["interaction"].append_column("version", pa.array(versions, pa.int64()))
    return Said(made)


def batch(facts: Iterable[Fact], letters: Sequence[DeadLetter] = (), record_count: int | None = None) -> Batch:
    """Return a batch of facts, one record each, and of dead letters."""
    gathered = list(facts)
    count = len(gathered) + len(letters) if record_count is None else record_count
    return Batch(tables(gathered), count, dead_letters=letters)


def shown(token: str, display: str) -> Fact:
    """Return how an identifier may be shown."""
    return Fact("identifier", {"token": token, "kind": "phone", "display": display})


def letter(raw_id: str, **fields_: Any) -> DeadLetter:
    """Return the dead letter of a raw event."""
    source, file, position = raw_id.split(":")
    values: dict[str, Any] = {"unit": "line", "reason": "no start", "raw_text": "…", "is_raw_event": True}
    return DeadLetter(raw_id, source, file, int(position), **{**values, **fields_})


def published(
    path: Path,
    files: Mapping[tuple[str, str], Iterable[Fact] | Batch] | None = None,
    changes: Said | None = None,
    run: RunRecord | None = RUN,
    before_publish: Callable[[Store], None] = lambda store: None,
) -> Path:
    """Make a store of these files' facts and of what was said; return its path."""
    with Store.create(path) as store:
        for (source, file), content in (files or {}).items():
            store.begin_file(source, file, "canonical", 100)
            store.add(content if isinstance(content, Batch) else batch(content), source, file)
        store.finish_files()
        if changes is not None:
            store.apply(changes, 1, fresh=True)
        if run is not None:
            store.record_run(run)
        before_publish(store)
        store.publish(path)
    return path


def outcomes(store: Store) -> dict[str, str]:
    """Return the outcome of each interaction that the store shows."""
    rows = store.rows("SELECT interaction_id, outcome::VARCHAR AS outcome FROM interactions ORDER BY interaction_id")
    return {row["interaction_id"]: row["outcome"] for row in rows}
