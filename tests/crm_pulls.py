"""Pulls for the tests: from any database into a log in memory, and what stands in it then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import orjson

from agents.crm_database.delivering import Kept, Stores, Topics
from agents.crm_database.fitting import Fit
from agents.crm_database.ledger import Ledger
from agents.crm_database.pulling import Puller, Summary
from agents.crm_database.running import Pull, opened
from pipeline.identifiers import Identifiers
from pipeline.sources.registry import Batch, ReadContext
from schemas.crm_database import CrmDatabaseSettings
from schemas.log import Draft, Log
from schemas.topics import RAW_TOPICS
from tests.crm_servers import PASSWORD
from tests.memory_log import MemoryLog

Facts = dict[str, list[list[tuple[str, str]]]]
ENVIRONMENT = {"CRM_PASSWORD": PASSWORD}


@dataclass
class Feed:
    """A log in memory, and what was published there, in order."""

    log: MemoryLog = field(default_factory=lambda: MemoryLog(dict.fromkeys(RAW_TOPICS, 1)))
    drafts: list[Draft] = field(default_factory=list)

    def append(self, drafts: list[Draft]) -> list[int]:
        found = self.log.append(drafts)
        self.drafts += drafts
        return found

    @property
    def records(self) -> list[dict[str, Any]]:
        """Every message but those of progress, in order."""
        return [value for value in map(_value, self.drafts) if value["kind"] != "feed_progress"]

    @property
    def identities(self) -> list[str]:
        """The identity of every message but those of progress, in order."""
        return [
            f"{draft.headers['file'].decode()}:{draft.headers['position'].decode()}"
            for draft in self.drafts
            if _value(draft)["kind"] != "feed_progress"
        ]

    @property
    def progress(self) -> datetime | None:
        """How far the feed says that it reaches."""
        found = [value["complete_through"] for value in map(_value, self.drafts) if value["kind"] == "feed_progress"]
        return datetime.fromisoformat(found[-1]) if found else None

    def latest(self, kind: str) -> dict[str, dict[str, Any]]:
        """The version of each record of a kind that counts, by its id; deleted ones are left out."""
        return {key: value for key, value in latest_of(self.records, kind).items() if not value.get("deleted")}


def latest_of(records: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """Return of each record of a kind the version that was changed last."""
    found: dict[str, dict[str, Any]] = {}
    for value in records:
        if value["kind"] == kind:
            key = value[f"{kind}_id"]
            if key not in found or value.get("updated_at", "") >= found[key].get("updated_at", ""):
                found[key] = value
    return found


def settings(url: str, mapping: str = "suitecrm", **values: Any) -> CrmDatabaseSettings:
    """Return settings of a source crm that read a small page at a time and wait for nothing."""
    given = {"source": "crm", "url": url, "mapping": mapping, "batch": 7, "overlap": "5s", **values}
    return CrmDatabaseSettings.model_validate(given)


@contextmanager
def pulling(
    chosen: CrmDatabaseSettings,
    base: Path,
    feed: Feed | None = None,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    patience: timedelta = timedelta(seconds=0.3),
    environment: Mapping[str, str] = ENVIRONMENT,
) -> Iterator[Callable[[], Summary]]:
    """Give what pulls once into a feed."""
    target = feed if feed is not None else Feed()
    identifiers = Identifiers(b"k" * 32, "FI", ())

    def make(ledger: Ledger, fit: Fit) -> Topics:
        return Topics(ledger, cast(Log, target), "crm", 1)

    with opened(
        chosen, base, environment, base / "ledger.sqlite", make, identifiers,
        keeps_values=False, now=now, stop=threading.Event(), patience=patience,
    ) as pull:  # fmt: skip
        yield lambda: _pulled(pull)


def pull(chosen: CrmDatabaseSettings, base: Path, feed: Feed | None = None, **options: Any) -> Summary:
    """Pull once, as a process of its own would."""
    with pulling(chosen, base, feed, **options) as once:
        return once()


def facts_of(chosen: CrmDatabaseSettings, base: Path, identifiers: Identifiers, moment: datetime) -> Facts:
    """Return the facts that a pull gives a store: of each kind its rows, without their places."""
    found: Facts = {}

    def build(kept: Sequence[Kept]) -> None:
        for each in kept:
            gather(found, each.batches)

    def make(ledger: Ledger, fit: Fit) -> Stores:
        def context(file: str) -> ReadContext:
            return ReadContext("crm", file, fit.zone, identifiers, moment)

        return Stores(ledger, [fitted.table.name for fitted in fit.tables], context, build)

    unkept = Identifiers(b"k" * 32, "FI", ())
    with opened(
        chosen, base, ENVIRONMENT, base / "store.sqlite", make, unkept,
        keeps_values=True, now=lambda: moment, stop=threading.Event(),
    ) as pull:  # fmt: skip
        _pulled(pull)
    return found


def gather(found: Facts, batches: Iterable[Batch]) -> None:
    """Add the facts of batches to those that were found, without their places."""
    for batch in batches:
        for kind, table in batch.facts.items():
            for row in table.to_pylist():
                row.pop("raw_id", None)
                found.setdefault(kind, []).append(sorted((name, repr(value)) for name, value in row.items()))
    for rows in found.values():
        rows.sort()


def _pulled(pull: Pull) -> Summary:
    puller: Puller = pull.puller
    found = puller.pull(pull.mapping)
    assert found is not None
    return found


def _value(draft: Draft) -> dict[str, Any]:
    assert draft.value is not None
    value: dict[str, Any] = orjson.loads(draft.value)
    return value
