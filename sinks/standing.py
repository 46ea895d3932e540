"""Up to when a store knows, and which state of it this is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sinks.metrics.delay import complete_through
from sinks.store import Store


@dataclass(frozen=True)
class Standing:
    """`as_of` is until when all CRM sources have been read, UTC without a zone, None without any.

    `version` is the same as long as nothing was written, and never comes again.
    """

    as_of: datetime | None
    version: str


def standing(store: Store) -> Standing:
    """Return where a store stands: its last run, and the positions that its last transaction wrote."""
    runs = store.rows("SELECT run_number, finished_at FROM run ORDER BY run_number DESC LIMIT 1")
    positions = store.rows("SELECT name, value FROM position ORDER BY name")
    written = repr([tuple(row.values()) for row in (*runs, *positions)])
    return Standing(complete_through(store), hashlib.sha256(written.encode()).hexdigest()[:32])
