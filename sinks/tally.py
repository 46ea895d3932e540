"""The account of one file while it is read: what the reader met, and what became of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.registry import Batch
from schemas.facts import INSTANT

_CRM_RECORDS = ("contact", "account", "crm_user", "activity")
_COUNTED = ("observation", *_CRM_RECORDS, "directory_entry")


@dataclass
class Tally:
    """Counts of one file. `carries` names the facts that its format yields; None: judge by what it yielded."""

    file_number: int
    source: str
    file: str
    format: str
    byte_count: int
    carries: Collection[str] | None = None
    has_own_ids: bool = False
    record_count: int = 0
    observation_count: int = 0
    crm_record_count: int = 0
    contact_count: int = 0
    account_count: int = 0
    crm_user_count: int = 0
    activity_count: int = 0
    directory_entry_count: int = 0
    rejected_event_count: int = 0
    rejected_record_count: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None

    def count(self, batch: Batch) -> None:
        """Add a batch of the file."""
        self.record_count += batch.record_count
        for kind in _COUNTED:
            name = f"{kind}_count"
            setattr(self, name, getattr(self, name) + _row_count(batch.facts.get(kind)))
        self.crm_record_count += _crm_records(batch)
        events = sum(letter.is_raw_event for letter in batch.dead_letters)
        self.rejected_event_count += events
        self.rejected_record_count += len(batch.dead_letters) - events
        for kind, column in (("observation", "started_at"), ("activity", "logged_from")):
            if _row_count(batch.facts.get(kind)):
                self._widen(pc.min_max(batch.facts[kind].column(column)).as_py())
        observations = batch.facts.get("observation")
        if not self.has_own_ids and _row_count(observations) and observations is not None:
            placed = pc.starts_with(observations.column("raw_id"), f"{self.source}:")
            self.has_own_ids = not pc.all(placed).as_py()

    @property
    def carries_raw_events(self) -> bool:
        """Whether the records met that are no CRM records are raw events, to be accounted for."""
        if self.observation_count or self.rejected_event_count:
            return True
        if self.carries is not None:
            return "observation" in self.carries and not self.crm_record_count
        return not (self.crm_record_count or self.rejected_record_count)

    def row(self) -> dict[str, object]:
        """Return the row of `source_file`."""
        fields = {name: value for name, value in vars(self).items() if name != "carries"}
        return {**fields, "carries_raw_events": self.carries_raw_events}

    def _widen(self, span: dict[str, datetime | None]) -> None:
        first, last = span["min"], span["max"]
        if first is not None and (self.first_at is None or first < self.first_at):
            self.first_at = first
        if last is not None and (self.last_at is None or last > self.last_at):
            self.last_at = last


def file_rows(tallies: Collection[Tally]) -> pa.Table:
    """Return the rows of `source_file` for these files."""
    rows = [tally.row() for tally in tallies]
    instants = {"first_at", "last_at"}
    return pa.table(
        {name: pa.array([row[name] for row in rows], INSTANT if name in instants else None) for name in rows[0]}
    )


def _row_count(table: pa.Table | None) -> int:
    return 0 if table is None else int(table.num_rows)


def _crm_records(batch: Batch) -> int:
    """Return how many records of the CRM or the directory the batch's facts come from.

    One record may give several facts: an activity for each customer, a contact and its account.
    """
    places = [batch.facts[kind].column("raw_id") for kind in _CRM_RECORDS if _row_count(batch.facts.get(kind))]
    distinct = len(pc.unique(pa.chunked_array([chunk for place in places for chunk in place.chunks]))) if places else 0
    return distinct + _row_count(batch.facts.get("directory_entry"))
