"""A store that follows the live log: facts, what correlate says of them, and dead letters.

One batch is one transaction: its rows, and the offsets to go on from. Whatever is delivered again, and in whatever
order the three topics come, the store ends the same; after a crash it stands where its last transaction ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa

from pipeline.envelopes import known, require_known_letter
from pipeline.errors import ConfigurationError
from pipeline.fact_key import FactKey
from pipeline.forgetting import Forgotten
from pipeline.outcomes import Group, OutcomeReader, require_company
from pipeline.sources.registry import DeadLetter, sources
from schemas.closing import Closing
from schemas.log import Entry
from schemas.packing import InvalidPack, unpack
from schemas.topics import DEAD_LETTERS, FACTS, OUTCOMES
from schemas.tracing import UNTRACED, Tracer
from sinks.appending import with_constants
from sinks.arrivals import Arrivals
from sinks.connection import check_file
from sinks.erasure.arrivals import ErasedArrivals
from sinks.failures import explained, is_damaged_log
from sinks.placement import Placement
from sinks.results import RESULTS
from sinks.store import MEMORY_LIMIT, RunRecord, Store

Tell = Callable[[str], None]

TOPICS: Final = (FACTS, OUTCOMES, DEAD_LETTERS)
# The log of writes from which DuckDB brings the file up to date: often enough for a quick start after a crash, and for
# short pauses, since nothing is written meanwhile; each time costs processor.
CHECKPOINT_FROM: Final = "32MB"
NOBODY_FORGOTTEN: Final = Forgotten(b"")
_UNITS: Final = ("line", "byte", "record")


@dataclass(frozen=True)
class Applied:
    """What a batch brought. Counts are of rows that were new; messages and bytes are of all."""

    message_count: int = 0
    byte_count: int = 0
    fact_count: int = 0
    outcome_count: int = 0
    dead_letter_count: int = 0
    late_count: int = 0
    damaged_count: int = 0

    def __add__(self, other: Applied) -> Applied:
        return Applied(**{name: value + getattr(other, name) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Progress:
    """How far a store has come. Offsets are the next ones to read; `folded` is the last fact message spoken of."""

    offsets: Mapping[str, int]
    epoch: int | None = None
    folded: int = -1
    watermark: datetime | None = None
    closed_through: datetime | None = None
    damaged_count: int = 0


@dataclass
class _Batch:
    """What a batch's messages hold, put together before the transaction begins."""

    tables: dict[str, list[pa.Table]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)
    letters: list[tuple[DeadLetter, str]] = field(default_factory=list)
    damaged_count: int = 0


class LiveStore(Closing):
    """One company's store, open for live changes; made by `open_live`. For one thread, but for `reader`."""

    def __init__(
        self,
        store: Store,
        company_id: str,
        partition: int,
        forgotten: Forgotten,
        tracer: Tracer = UNTRACED,
        key: FactKey | None = None,
    ) -> None:
        self.store = store
        self._erased = ErasedArrivals(store, forgotten)
        self._company_id = company_id
        self._key = key
        self._partition = partition
        # Spent on merging what is new into what is old.
        self.fold_seconds = 0.0
        self._tracer = tracer
        self._load()

    def close(self) -> None:
        """Let the file go."""
        self.store.close()

    @property
    def progress(self) -> Progress:
        """How far the store has come, as its last transaction says."""
        return self._progress

    def apply(
        self,
        facts: Sequence[Entry] = (),
        outcomes: Sequence[Entry] = (),
        dead_letters: Sequence[Entry] = (),
    ) -> Applied:
        """Write messages, each topic's in their order, in one transaction; safe to repeat.

        Raises:
            ConfigurationError: when a message says what this version does not know, is of another company or was
                made with another key, or outcomes are damaged.
            TransientError: when the disk is full. Nothing of the batch is written then.
        """
        given = {FACTS: facts, OUTCOMES: outcomes, DEAD_LETTERS: dead_letters}
        fresh = {topic: self._fresh(topic, entries) for topic, entries in given.items()}
        entries = [entry for part in fresh.values() for entry in part]
        if not entries:
            return Applied()
        applied = Applied(len(entries), sum(len(entry.value or b"") for entry in entries))
        try:
            batch = self._read(fresh)
            progress = self._after(fresh, batch)
            with self._tracer.span("write"), explained(self.store.path), self.store.transaction():
                applied += self._write(batch)
                self.store.note_positions(_written(progress, self._partition))
        except BaseException:
            self._load()
            raise
        self._progress = progress
        self._fold(None)
        return applied

    def settle(self) -> None:
        """Merge what is new into what is old, and forget late facts of which something was said since."""
        with explained(self.store.path):
            if self.store.rows("SELECT count(*) AS n FROM late_fact")[0]["n"]:
                with self.store.transaction():
                    for key, kind, condition in (
                        ("raw_id", "disposition", "activity_id IS NULL"),
                        ("activity_id", "activity_outcome", "activity_id IS NOT NULL"),
                    ):
                        self.store.connection.execute(
                            f"DELETE FROM late_fact WHERE {condition} AND {key} IN (SELECT {key} FROM current_{kind})"
                        )
        self._fold()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _fold(self, minimum_rows: int | None = 1) -> None:
        begun = time.monotonic()
        with self._tracer.span("fold"):
            self.store.fold(minimum_rows)
        self.fold_seconds += time.monotonic() - begun

    def _load(self) -> None:
        """Take up what the store says of itself."""
        self._progress = _read_progress(self.store.positions(), self._partition)
        self._outcomes = OutcomeReader(self._company_id, self._progress.epoch, self._progress.folded)
        self._arrivals = Arrivals(self.store)

    def _fresh(self, topic: str, entries: Sequence[Entry]) -> list[Entry]:
        """Return messages that were not applied yet, each once."""
        position = self._progress.offsets.get(topic, 0)
        fresh = []
        for entry in entries:
            if entry.offset >= position:
                fresh.append(entry)
                position = entry.offset + 1
        return fresh

    def _read(self, fresh: Mapping[str, Sequence[Entry]]) -> _Batch:
        batch = _Batch()
        for entry in fresh[FACTS]:
            try:
                with known(FACTS, entry.offset):
                    content = unpack(entry.value or b"")
            except InvalidPack:
                batch.damaged_count += 1
                continue
            require_company(content.head.get("company_id"), self._company_id, FACTS, entry.offset)
            if self._key is not None:
                self._key.require(content.head, entry.offset)
            for kind, table in self._erased.cleaned(content.tables).items():
                batch.tables.setdefault(kind, []).append(table)
        groups = [group for entry in fresh[OUTCOMES] if (group := self._outcomes.feed(entry)) is not None]
        batch.groups = [replace(group, tables=self._erased.cleaned(group.tables)) for group in groups]
        for entry in fresh[DEAD_LETTERS]:
            require_known_letter(entry)
            letter = read_dead_letter(entry)
            if letter is None:
                batch.damaged_count += 1
                continue
            require_company(_text(entry, "company"), self._company_id, DEAD_LETTERS, entry.offset)
            batch.letters.append(letter)
        return batch

    def _after(self, fresh: Mapping[str, Sequence[Entry]], batch: _Batch) -> Progress:
        """Return where the store stands when the batch is written."""
        offsets = dict(self._progress.offsets) | {
            topic: entries[-1].offset + 1 for topic, entries in fresh.items() if entries
        }
        if fresh[OUTCOMES] and self._outcomes.position is not None:
            offsets[OUTCOMES] = self._outcomes.position
        progress = replace(
            self._progress,
            offsets=offsets,
            epoch=self._outcomes.epoch,
            folded=self._outcomes.last,
            damaged_count=self._progress.damaged_count + batch.damaged_count,
        )
        if batch.groups:
            newest = batch.groups[-1]
            progress = replace(progress, watermark=newest.watermark, closed_through=newest.closed_through)
        return progress

    def _write(self, batch: _Batch) -> Applied:
        fact_count = self._arrivals.add(batch.tables)
        dead_letter_count = self._arrivals.reject(batch.letters)
        self._arrivals.write_accounts()
        said = _Said(_together(batch.groups))
        outcome_count = self.store.say(said, -1)
        late_count = self._note_late(said.tables.get("late"))
        return Applied(
            fact_count=fact_count,
            outcome_count=outcome_count,
            dead_letter_count=dead_letter_count,
            late_count=late_count,
            damaged_count=batch.damaged_count,
        )

    def _note_late(self, late: pa.Table | None) -> int:
        if late is None or not late.num_rows:
            return 0
        database = self.store.connection
        database.register("incoming_late", late)
        try:
            found = database.execute(
                "INSERT INTO late_fact SELECT DISTINCT raw_id, activity_id FROM incoming_late "
                "EXCEPT SELECT raw_id, activity_id FROM late_fact"
            ).fetchall()
        finally:
            database.unregister("incoming_late")
        return int(found[0][0])


@dataclass(frozen=True)
class _Said:
    tables: Mapping[str, pa.Table]


def open_live(
    path: Path,
    run: RunRecord,
    partition: int,
    *,
    memory_limit: str = MEMORY_LIMIT,
    tell: Tell = lambda sentence: None,
    forgotten: Forgotten = NOBODY_FORGOTTEN,
    tracer: Tracer = UNTRACED,
    key: FactKey | None = None,
) -> LiveStore:
    """Open a company's store for live changes; make it when there is none. `run` says who writes it, and how.

    Facts are taken that were made with `key`; None: with any.

    A store that a replay made is taken over: what the log says counts more than what is there. A log of writes that is
    damaged is moved aside, and the store goes on from its last checkpoint; `tell` hears of both. Nothing is taken in
    that names one of the forgotten.

    Raises:
        ConfigurationError: when the store is another company's or was made with another key, or cannot be used.
        TransientError: when another process is writing it.
    """
    if not Placement(path).target.exists():
        with Store.create(path) as new:
            new.record_run(run)
            new.publish(path)
    # Which facts a format carries is asked of its parser: all are loaded now, not while a batch waits.
    sources()
    store = _open(path, memory_limit, tell)
    try:
        store.connection.execute(f"SET checkpoint_threshold = '{CHECKPOINT_FROM}'")
        _check(store, run)
        _take_over(store, partition, tell)
        live = LiveStore(store, run.company_id, partition, forgotten, tracer, key)
    except BaseException:
        store.close()
        raise
    return live


def _open(path: Path, memory_limit: str, tell: Tell) -> Store:
    check_file(path)
    try:
        return Store.open(path, read_only=False, memory_limit=memory_limit)
    except ConfigurationError as error:
        log = Placement(path).log
        if not (is_damaged_log(error.__cause__) and log.exists()):
            raise
    aside = next(name for n in range(1, 1000) if not (name := log.with_name(f"{log.name}.damaged-{n}")).exists())
    log.rename(aside)
    tell(f"the log {log.name} of the store is damaged and was moved to {aside.name}; going on from the last checkpoint")
    return Store.open(path, read_only=False, memory_limit=memory_limit)


def _check(store: Store, run: RunRecord) -> None:
    """Refuse the store of another company or key; note how it is written from now on."""
    earlier = store.last_run()
    if earlier is not None and earlier.company_id != run.company_id:
        raise ConfigurationError(
            f"the store {store.path} is of company {earlier.company_id!r}, not of {run.company_id!r}; name another file"
        )
    if earlier is not None and earlier.key_digest != run.key_digest:
        raise ConfigurationError(
            f"the store {store.path} was made with another key than the configuration's; restore the key file, "
            "or name another store"
        )
    same = ("bypassflow_version", "configuration_digest", "timezone", "settings", "complete_through")
    if earlier is None or any(getattr(earlier, name) != getattr(run, name) for name in same):
        store.record_run(run)


def _take_over(store: Store, partition: int, tell: Tell) -> None:
    """Let what the log says count more than results that no log gave."""
    if any(name.endswith(f"/{partition}") for name in store.positions()):
        return
    with explained(store.path), store.transaction():
        count = 0
        for result in RESULTS:
            store.connection.execute(f"UPDATE merged_version SET version = -1 WHERE name = '{result.name}'")
            for part in ("base", "delta"):
                changed = store.connection.execute(f"UPDATE {result.name}_{part} SET version = -1").fetchall()
                count += int(changed[0][0])
        store.note_positions(_written(Progress(dict.fromkeys(TOPICS, 0)), partition))
    if count:
        tell(f"took over {store.path}; what the log says of its records replaces what the replay said")


def _written(progress: Progress, partition: int) -> dict[str, str]:
    """Return progress as the rows of table `position`."""
    values: dict[str, object] = dict(progress.offsets) | {
        "epoch": "" if progress.epoch is None else progress.epoch,
        "folded": progress.folded,
        "damaged": progress.damaged_count,
        "watermark": progress.watermark.isoformat() if progress.watermark else "",
        "closed-through": progress.closed_through.isoformat() if progress.closed_through else "",
    }
    return {f"{name}/{partition}": str(value) for name, value in values.items()}


def _read_progress(positions: Mapping[str, str], partition: int) -> Progress:
    said = {name.rpartition("/")[0]: value for name, value in positions.items() if name.endswith(f"/{partition}")}
    return Progress(
        {topic: int(said.get(topic, 0)) for topic in TOPICS},
        int(said["epoch"]) if said.get("epoch") else None,
        int(said.get("folded", -1)),
        datetime.fromisoformat(said["watermark"]) if said.get("watermark") else None,
        datetime.fromisoformat(said["closed-through"]) if said.get("closed-through") else None,
        int(said.get("damaged", 0)),
    )


def _together(groups: Iterable[Group]) -> dict[str, pa.Table]:
    """Return the tables of all groups as one, each row with its group's version."""
    parts: dict[str, list[pa.Table]] = {}
    for group in groups:
        for name, table in group.tables.items():
            if table.num_rows:
                versioned = with_constants(table, {"version": (group.version, pa.int64())})
                parts.setdefault(name, []).append(versioned)
    return {name: pa.concat_tables(tables, promote_options="permissive") for name, tables in parts.items()}


def read_dead_letter(entry: Entry) -> tuple[DeadLetter, str] | None:
    """Return the dead letter that a message's headers tell of, with its format; None when they tell too little."""
    raw_id, source, file, unit = (_text(entry, name) for name in ("raw_id", "source", "file", "unit"))
    position = _text(entry, "position")
    if not (raw_id and source and file) or unit not in _UNITS or not position.isdecimal():
        return None
    letter = DeadLetter(
        raw_id,
        source,
        file,
        int(position),
        unit,  # type: ignore[arg-type]
        _text(entry, "reason"),
        _text(entry, "outline"),
        _text(entry, "is_raw_event") != "0",
    )
    return letter, _text(entry, "format")


def _text(entry: Entry, header: str) -> str:
    return entry.headers.get(header, b"").decode("utf-8", "replace")
