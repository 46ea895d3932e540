"""Correlation: one worker's part of the live pipeline, from the facts partition to the outcomes partition.

What was said decides, and nothing else: a worker begins with a claim on the outcomes partition, reads there how far
the facts were folded, brings an engine to exactly that state, and goes on. Offsets that a consumer group keeps are only
a hint. See docs/adr/0007-emission-is-the-commit.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import pyarrow as pa

from pipeline.checkpoints import CHUNK_BYTES, Checkpoints, Manifest
from pipeline.engine import Changes, Engine
from pipeline.engine_state import LAYOUT, EngineState
from pipeline.errors import ConfigurationError, Fenced, TransientError
from pipeline.fact_key import FactKey
from pipeline.lanes import Lanes
from pipeline.outcomes import PART_BYTES, Group, OutcomeReader, pack_claim, pack_group
from pipeline.stretches import Clean, Stretch, join_alike, read_stretch, read_stretches
from schemas.log import Draft, Entry, Log
from schemas.settings import EngineSettings
from schemas.topics import FACTS, OUTCOMES

_HOUR: Final = timedelta(hours=1)
# Forgetting costs as much as there is open: with so much of it, it waits until a good part can go.
_FEW_OPEN: Final = 10_000
_PART_OF_SPAN: Final = 8
_REMEDY: Final = "reset the live topics and replay"


@dataclass(frozen=True)
class Limits:
    """Facts per group said, and per fold of a rebuild; bytes of a part before compression, and of a chunk."""

    group_facts: int = 100_000
    rebuild_facts: int = 400_000
    part_bytes: int = PART_BYTES
    chunk_bytes: int = CHUNK_BYTES


@dataclass(frozen=True)
class Recovery:
    """How a worker came to where it goes on: from which checkpoint, and what it folded silently after it.

    `position` is the first facts message that was not said. Folds: each closing of time needs one of its own.
    """

    epoch: int
    position: int
    checkpoint: Manifest | None
    message_count: int
    fact_count: int
    fold_count: int


@dataclass(frozen=True)
class Folded:
    """What became of the messages of a call; `change_count` counts rows said. Skipped: said before.

    `closing_count` counts groups after which time was closed further.
    """

    group_count: int = 0
    message_count: int = 0
    fact_count: int = 0
    change_count: int = 0
    late_count: int = 0
    damaged_count: int = 0
    skipped_count: int = 0
    closing_count: int = 0


class Folding(Protocol):
    """What a worker asks of its engine, see `pipeline.engine.Engine`."""

    def fold(
        self,
        facts: Mapping[str, pa.Table],
        version: int = 0,
        *,
        closes: datetime | None = None,
        is_silent: bool = False,
    ) -> Changes: ...

    def save(self) -> EngineState: ...

    def restore(self, state: EngineState) -> None: ...

    def sizes(self) -> dict[str, int]: ...


class Correlator:
    """Folds one company's facts, said once and in order whatever dies, repeats or lingers. For one thread at a time.

    After any error but one of `checkpoint` it is of no more use: make another, or `start` again.
    """

    def __init__(
        self,
        settings: EngineSettings,
        partition: int,
        log: Log,
        *,
        limits: Limits | None = None,
        make_engine: Callable[[EngineSettings], Folding] = Engine,
        clean: Clean = dict,
        key: FactKey | None = None,
    ) -> None:
        """`clean` is what becomes of facts that are read, and of an engine's state: see `Forgotten.blanked`.

        `key` is the company's, whose tokens stand in the settings; None: facts may be of any.
        """
        self.settings = settings
        self._clean = clean
        self._key = key
        self.partition = partition
        self.position = 0
        self.closed_through: datetime | None = None
        self._lanes = Lanes()
        self._log = log
        self._limits = limits or Limits()
        self._make_engine = make_engine
        self._rules = _digest_of_rules(settings)
        self._checkpoints = Checkpoints(log, partition, settings.company_id, self._limits.chunk_bytes)
        self._engine = make_engine(settings)
        self._epoch = self._outcomes_offset = -1
        self._claimed_at_ms = 0
        self._is_sure = False

    def start(self) -> Recovery:
        """Claim the partition and fold silently what was said of it; then `fold` may be called.

        Raises:
            ConfigurationError: when what is needed is no longer kept, was said with other settings, or the facts were
                made with another key. Nothing is claimed when the newest are.
            TransientError: when the broker fails; start again.
        """
        self._is_sure = False
        self._engine = self._make_engine(self.settings)
        if self._key is not None:
            self._key.require_newest(self._log, self.settings.company_id, self.partition)
        (self._epoch,) = self._log.append([self._draft(pack_claim(self.settings.company_id, self._rules))])
        base = self._restore()
        counts = self._rebuild(self._read_said(base))
        self._outcomes_offset = self._epoch + 1
        self._is_sure = True
        return Recovery(self._epoch, self.position, base, *counts)

    def catch_up(self, stop: int | None = None) -> Folded:
        """Fold and say what stands in the facts partition, up to before an offset or to its present end.

        A consumer may be past what a worker took and never said; nothing would hand that over again.

        Raises:
            As `fold`.
        """
        stop = self._log.end(FACTS, self.partition) if stop is None else stop
        return self._tell(self._unbroken(self._log.read(FACTS, self.partition, self.position, stop)), 0)

    def fold(self, entries: Sequence[Entry]) -> Folded:
        """Fold messages of the facts partition, in order, and say what changes. What was said before is skipped.

        Messages that lie between those that were folded and these are read from the log.

        Raises:
            Fenced: when another worker has claimed the partition.
            ConfigurationError: when messages are missing that the log no longer keeps, or one was made with another
                key than the company's: it and what follows it is not folded.
            TransientError: when the broker fails.
        """
        return self._tell(self._unbroken(entries), sum(entry.offset < self.position for entry in entries))

    def checkpoint(self) -> Manifest:
        """Write down the engine's state, so that a restart need not read what is before it.

        Raises:
            Fenced: when another worker has claimed the partition.
            TransientError: when the broker fails; folding may go on, and the checkpoint before is whole.
        """
        self._require_sure()
        self._look_for_claims(self._log.end(OUTCOMES, self.partition))
        return self._checkpoints.write(
            Manifest(
                self.position,
                self._outcomes_offset,
                self._epoch,
                self._claimed_at_ms,
                self._rules,
                self.watermark,
                LAYOUT,
                lanes=self._lanes.to_json(),
            ),
            self._engine.save(),
        )

    @property
    def watermark(self) -> datetime | None:
        """Event time up to which no more facts are expected: see `pipeline.lanes`."""
        return self._lanes.watermark

    def sizes(self) -> dict[str, int]:
        """Return how much the engine holds: see `Engine.sizes`."""
        return self._engine.sizes()

    # -- beginning ----------------------------------------------------------------------------------------------------

    def _restore(self) -> Manifest | None:
        """Restore the newest checkpoint that is whole and of this log; None when there is none."""
        for manifest in self._checkpoints.manifests():
            if manifest.outcomes_offset <= self._epoch and manifest.layout == LAYOUT and self._is_of_log(manifest):
                self._require_rules(manifest.rules)
                state = self._checkpoints.load(manifest)
                if state is not None:
                    self._engine.restore(replace(state, tables=self._clean(state.tables)))
                    self.position, self.closed_through = manifest.position, state.closed_through
                    self._lanes = Lanes.from_json(manifest.lanes, manifest.watermark)
                    return manifest
        self.position, self.closed_through, self._lanes = 0, None, Lanes()
        return None

    def _is_of_log(self, manifest: Manifest) -> bool:
        """Return whether the claim that a checkpoint names stands in the log, as far as it is kept.

        Topics that were made anew leave checkpoints of another log behind.
        """
        if manifest.epoch < self._log.begin(OUTCOMES, self.partition):
            return True
        reader = self._reader()
        for entry in self._log.read(OUTCOMES, self.partition, manifest.epoch, manifest.epoch + 1):
            reader.feed(entry)
        return reader.claim is not None and reader.claim.written_at_ms == manifest.claimed_at_ms

    def _read_said(self, base: Manifest | None) -> list[Group]:
        """Return the groups that were said since a checkpoint, without their tables, and lanes for the last only."""
        start = base.outcomes_offset if base else 0
        reader = self._reader(base.epoch if base else None, self.position - 1)
        entries = self._log.read(OUTCOMES, self.partition, start, self._epoch)
        groups: list[Group] = []
        for entry in entries:
            if (group := reader.feed(entry)) is not None:
                # There may be a hundred thousand groups, and of earlier lanes nothing is asked.
                groups[-1:] = [replace(last, lanes=None) for last in groups[-1:]]
                groups.append(group)
        self._require_kept(OUTCOMES, start)
        if reader.rules is not None:
            self._require_rules(reader.rules)
        for entry in self._log.read(OUTCOMES, self.partition, self._epoch, self._epoch + 1):
            reader.feed(entry)
        if reader.claim is None or reader.claim.offset != self._epoch:
            raise TransientError(f"the claim at outcomes/{self.partition}@{self._epoch} cannot be read back")
        self._claimed_at_ms = reader.claim.written_at_ms
        return groups

    def _rebuild(self, groups: Sequence[Group]) -> tuple[int, int, int]:
        """Fold silently what was said in groups; return how many messages and facts that were, and in how many folds.

        Facts are judged late by what was closed when they were folded, so a batch never goes over a closing.
        """
        start, end = self.position, self._log.end(FACTS, self.partition)
        if groups and groups[-1].last >= end:
            raise ConfigurationError(
                f"facts/{self.partition} ends at {end}, but outcomes tell of facts up to {groups[-1].last}: "
                f"messages were lost or the topic was made anew; {_REMEDY}"
            )
        message_count = fact_count = fold_count = 0
        waiting: list[Stretch] = []
        for group, stretch in self._stretches_of(groups):
            waiting.append(stretch)
            message_count += stretch.message_count
            fact_count += stretch.fact_count
            closes = group.closed_through if group.closed_through != self.closed_through else None
            if closes or sum(part.fact_count for part in waiting) >= self._limits.rebuild_facts:
                fold_count += self._fold_silently(waiting, closes)
                waiting = []
            self.position, self.closed_through = group.last + 1, group.closed_through
        fold_count += self._fold_silently(waiting, None)
        self._require_kept(FACTS, start)
        if groups:
            self._lanes = Lanes.from_json(groups[-1].lanes, groups[-1].watermark)
        return message_count, fact_count, fold_count

    def _stretches_of(self, groups: Sequence[Group]) -> Iterator[tuple[Group, Stretch]]:
        """Yield each group with the messages that it was said of."""
        if not groups:
            return
        entries = self._log.read(FACTS, self.partition, self.position, groups[-1].last + 1)
        entry = next(entries, None)
        for group in groups:
            of_group = []
            while entry is not None and entry.offset <= group.last:
                of_group.append(entry)
                entry = next(entries, None)
            if not of_group:
                self._require_kept(FACTS, group.last)
                raise TransientError(f"facts/{self.partition}@{group.last} cannot be read")
            yield group, read_stretch(of_group, self.settings.company_id, self._clean, self._key)

    def _fold_silently(self, stretches: Sequence[Stretch], closes: datetime | None) -> int:
        """Fold what was said before, all at once where that cannot make a difference; return in how many folds."""
        parts = join_alike(stretches, self.closed_through)
        for part in parts:
            self._engine.fold(part.tables, part.last, closes=closes if part is parts[-1] else None, is_silent=True)
        return len(parts)

    # -- going on -----------------------------------------------------------------------------------------------------

    def _unbroken(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the messages from the position on, with those in between that were not handed over."""
        expected = self.position
        for entry in entries:
            if entry.offset < expected:
                continue
            if entry.offset > expected:
                for missed in self._log.read(FACTS, self.partition, expected, entry.offset):
                    if missed.offset > expected:
                        self._require_kept(FACTS, expected)
                    yield missed
                    expected = missed.offset + 1
                if entry.offset > expected:
                    self._require_kept(FACTS, expected)
            yield entry
            expected = entry.offset + 1

    def _tell(self, entries: Iterable[Entry], skipped_count: int) -> Folded:
        self._require_sure()
        self._is_sure = False
        told = Folded(skipped_count=skipped_count)
        company_id, most = self.settings.company_id, self._limits.group_facts
        for stretch in read_stretches(entries, company_id, most, self._clean, self._key):
            closed_before = self.closed_through
            group = self._say(stretch)
            has_closed = self.closed_through != closed_before
            late_count = group.tables["late"].num_rows
            told = Folded(
                told.group_count + 1,
                told.message_count + stretch.message_count,
                told.fact_count + stretch.fact_count,
                told.change_count + sum(table.num_rows for table in group.tables.values()) - late_count,
                told.late_count + late_count,
                told.damaged_count + len(group.damaged),
                skipped_count,
                told.closing_count + has_closed,
            )
        self._is_sure = True
        return told

    def _say(self, stretch: Stretch) -> Group:
        """Fold a stretch and append what it changes: from then on it is said."""
        lanes = self._lanes
        for told in stretch.told:
            lanes = lanes.after(told)
        closes = self._closing(lanes.watermark)
        changes = self._engine.fold(stretch.tables, stretch.last, closes=closes)
        closed_through = closes or self.closed_through
        group = Group(
            stretch.first,
            stretch.last,
            changes.tables,
            lanes.watermark,
            closed_through,
            stretch.damaged,
            lanes.to_json(),
        )
        messages = pack_group(self.settings.company_id, self._epoch, group, self._limits.part_bytes)
        offsets = self._log.append([self._draft(message) for message in messages])
        if offsets != list(range(self._outcomes_offset, self._outcomes_offset + len(offsets))):
            self._look_for_claims(offsets[-1] + 1)
        self._outcomes_offset = offsets[-1] + 1
        self.position, self.closed_through, self._lanes = stretch.last + 1, closed_through, lanes
        return group

    def _closing(self, watermark: datetime | None) -> datetime | None:
        """Return up to where time may be closed now, a full hour; None when that is not worth it."""
        if watermark is None or watermark - datetime.min <= self.settings.lateness:
            return None
        through = (watermark - self.settings.lateness).replace(minute=0, second=0, microsecond=0)
        if self.closed_through is None:
            return through
        if through - self.closed_through < _HOUR:
            return None
        span = self.settings.lateness + self.settings.window_after
        is_worth_it = (
            through - self.closed_through >= span / _PART_OF_SPAN or self._engine.sizes()["interaction"] < _FEW_OPEN
        )
        return through if is_worth_it else None

    def _look_for_claims(self, stop: int, start: int | None = None) -> None:
        """Make sure that no other worker claimed the partition before an offset; from where this one last looked.

        Raises:
            Fenced: when one did, or when the broker forgot so much that nobody can tell.
        """
        start = self._outcomes_offset if start is None else start
        reader = self._reader(self._epoch)
        for entry in self._log.read(OUTCOMES, self.partition, start, stop):
            reader.feed(entry)
        if reader.epoch != self._epoch:
            self._is_sure = False
            raise Fenced(f"another worker claimed outcomes/{self.partition} at {reader.epoch}, after {self._epoch}")
        if self._log.begin(OUTCOMES, self.partition) > start:
            self._is_sure = False
            raise Fenced(f"outcomes/{self.partition} is not kept from {start} on: others may have claimed it since")

    # -- help ---------------------------------------------------------------------------------------------------------

    def _require_sure(self) -> None:
        if not self._is_sure:
            raise TransientError(f"the worker of facts/{self.partition} has not started, or failed; start it again")

    def _require_rules(self, rules: str) -> None:
        if rules != self._rules:
            raise ConfigurationError(
                f"outcomes/{self.partition} was said with other settings ([company], [match] or [exclude] changed); "
                f"put them back, or {_REMEDY}"
            )

    def _require_kept(self, topic: str, needed: int) -> None:
        """Make sure, after reading, that nothing from an offset on had been forgotten by the broker.

        Raises:
            Fenced: when it was, and others went on meanwhile: it is they who know.
            ConfigurationError: when it was, and is needed.
        """
        begin = self._log.begin(topic, self.partition)
        if begin > needed:
            self._look_for_claims(self._log.end(OUTCOMES, self.partition), self._epoch + 1)
            raise ConfigurationError(
                f"{topic}/{self.partition} is kept from {begin} on, but {needed} is needed: its retention is shorter "
                f"than the worker was away, or its checkpoints are lost; {_REMEDY}"
            )

    def _reader(self, epoch: int | None = None, last: int = -1) -> OutcomeReader:
        return OutcomeReader(self.settings.company_id, epoch, last, with_tables=False)

    def _draft(self, value: bytes) -> Draft:
        return Draft(OUTCOMES, self.partition, value, self.settings.company_id.encode())


def _digest_of_rules(settings: EngineSettings) -> str:
    """Return what tells settings apart that say something else of the same facts; lateness does not."""
    values = {
        name: sorted(value) if isinstance(value, frozenset) else str(value)
        for name, value in settings
        if name != "lateness"
    }
    return hashlib.blake2b(repr(sorted(values.items())).encode(), digest_size=8).hexdigest()
