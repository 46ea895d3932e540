"""Live logs for tests: what ingest and correlate would write, as entries of three topics; what a store then shows."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.engine import Engine
from pipeline.outcomes import Group, pack_claim, pack_group
from pipeline.replay import fold_all
from pipeline.sources.registry import DeadLetter
from schemas.facts import SCHEMAS
from schemas.log import Draft, Entry
from schemas.packing import Pack, pack
from schemas.settings import EngineSettings
from schemas.topics import DEAD_LETTERS, FACTS, OUTCOMES
from sinks.live import TOPICS, LiveStore, open_live
from sinks.store import RunRecord, Store
from tests.memory_log import MemoryLog
from tests.records import Fact, by_kind, tables
from tests.stores import RUN, batch

SETTINGS = EngineSettings(company_id="acme")
LIVE_RUN = RunRecord(**{**vars(RUN), "settings": SETTINGS.model_dump_json()})
VIEWS = (
    "interactions", "evidence", "crm_activities", "dead_letters", "accounts", "feeds", "daily_share", "identifiers",
)  # fmt: skip

# A file's name with the facts and dead letters that stand in it.
Files = Mapping[tuple[str, str], Sequence[Fact | DeadLetter]]


@dataclass
class Script:
    """Writes the messages of one company's partition."""

    company_id: str = "acme"
    topics: dict[str, list[Entry]] = field(default_factory=lambda: {FACTS: [], OUTCOMES: [], DEAD_LETTERS: []})
    engine: Engine = field(default_factory=lambda: Engine(SETTINGS))
    epoch: int = -1
    part_bytes: int = 6_000_000

    def write(self, topic: str, value: bytes, headers: Mapping[str, bytes] | None = None) -> int:
        """Append a message; return its offset."""
        entries = self.topics[topic]
        entries.append(Entry(len(entries), value, headers=headers or {}))
        return len(entries) - 1

    def ingest(self, source: str, file: str, facts: Iterable[Fact], format: str = "canonical") -> int:
        """Append a message of facts of one file."""
        packed = {}
        for kind, rows in by_kind(facts).items():
            table = pa.Table.from_pylist(rows, schema=SCHEMAS[kind])
            if kind != "identifier":
                for name, value in (("file", file), ("format", format)):
                    column = pa.array([value] * table.num_rows, pa.string()).dictionary_encode()
                    table = table.append_column(name, column)
            packed[kind] = table
        return self.facts(packed)

    def facts(self, tables: Mapping[str, pa.Table]) -> int:
        """Append a message of facts."""
        head = {"type": "facts", "company_id": self.company_id, "letters": 0}
        return self.write(FACTS, pack(Pack(head, tables)))

    def refuse(self, letter: DeadLetter, format: str = "canonical") -> int:
        """Append a dead letter."""
        headers = {
            "raw_id": letter.raw_id, "source": letter.source, "file": letter.file, "position": str(letter.position),
            "unit": letter.unit, "format": format, "is_raw_event": str(int(letter.is_raw_event)),
            "reason": letter.reason, "outline": letter.raw_text, "topic": "raw.calls", "company": self.company_id,
        }  # fmt: skip
        return self.write(DEAD_LETTERS, b"{}", {name: value.encode() for name, value in headers.items()})

    def claim(self) -> None:
        """Let a new worker begin."""
        self.epoch = self.write(OUTCOMES, pack_claim(self.company_id, "rules"))

    def correlate(
        self, first: int, tables: Mapping[str, pa.Table], last: int | None = None, closes: datetime | None = None
    ) -> None:
        """Fold a group of facts messages and append what the engine says."""
        if self.epoch < 0:
            self.claim()
        version = first if last is None else last
        changes = self.engine.fold(tables, version, closes=closes)
        group = Group(first, version, changes.tables, watermark=closes, closed_through=closes)
        self.say(group, part_bytes=self.part_bytes)

    def say(self, group: Group, epoch: int | None = None, part_bytes: int = 6_000_000) -> None:
        """Append a group."""
        for message in pack_group(self.company_id, self.epoch if epoch is None else epoch, group, part_bytes):
            self.write(OUTCOMES, message)


def script_of(files: Files, seed: int = 0, messages: int = 6, part_bytes: int = 6_000_000) -> Script:
    """Return the log of these files: records in any order over so many groups. The facts of a record stay together."""
    chance = random.Random(seed)
    script = Script(part_bytes=part_bytes)
    letters = [item for items in files.values() for item in items if isinstance(item, DeadLetter)]
    chance.shuffle(letters)
    for letter in letters:
        script.refuse(letter)
    records: dict[object, list[tuple[tuple[str, str], Fact]]] = {}
    for place, items in files.items():
        for item in items:
            if isinstance(item, Fact):
                records.setdefault(item.row.get("raw_id") or len(records), []).append((place, item))
    ordered = list(records.values())
    chance.shuffle(ordered)
    size = -(-len(ordered) // messages)
    for start in range(0, len(ordered), size):
        by_file: dict[tuple[str, str], list[Fact]] = {}
        for place, fact in (found for record in ordered[start : start + size] for found in record):
            by_file.setdefault(place, []).append(fact)
        first = len(script.topics[FACTS])
        for (source, file), facts in by_file.items():
            script.ingest(source, file, facts)
        together = tables(fact for facts in by_file.values() for fact in facts)
        script.correlate(first, together, len(script.topics[FACTS]) - 1)
    return script


def log_of(topics: Mapping[str, Sequence[Entry]], log: MemoryLog | None = None) -> MemoryLog:
    """Return a log that holds what was written; with `log`, that one with the rest of it."""
    log = log or MemoryLog(dict.fromkeys(TOPICS, 1))
    for topic, entries in topics.items():
        rest = entries[log.end(topic, 0) :]
        log.append([Draft(topic, 0, entry.value, entry.key, entry.headers) for entry in rest])
    return log


def live_store(path: Path, run: RunRecord = LIVE_RUN, tell: Any = lambda sentence: None) -> LiveStore:
    """Open a store for the log's partition 0."""
    return open_live(path, run, 0, tell=tell)


def replayed(path: Path, files: Files) -> Path:
    """Make a store of the same files without a log."""
    with Store.create(path) as store:
        for (source, file), items in files.items():
            store.begin_file(source, file, "canonical", 0)
            facts = [item for item in items if isinstance(item, Fact)]
            letters = [item for item in items if isinstance(item, DeadLetter)]
            counted = len({item.row.get("raw_id", n) for n, item in enumerate(facts) if _is_record(item)}) + len(
                letters
            )
            store.add(batch(facts, letters, record_count=counted), source, file)
        store.finish_files()
        fold_all(store, Engine(SETTINGS))
        store.record_run(LIVE_RUN)
        store.publish(path)
    return path


def _is_record(fact: Fact) -> bool:
    return fact.kind not in ("identifier", "feed_progress")


def shown_rows(store: Store) -> dict[str, list[str]]:
    """Return the rows of every view that a live store shares with a replayed one, sorted."""
    return {view: sorted(map(repr, store.rows(f"FROM {view}"))) for view in VIEWS}
