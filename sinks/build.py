"""Building a store from files: all of it or nothing.

The new store grows beside the old one and takes its place at the very end. Whatever happens before, a kill or a full
disk, the old store is as it was, and the same run started again begins anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

from pipeline.errors import ConfigurationError
from pipeline.sources.registry import Batch
from sinks.placement import Placement
from sinks.store import BUILD_MEMORY_LIMIT, RunRecord, Store

# Enough to see what is wrong; a file of a million odd records must not fill the memory with the same words.
WARNING_LIMIT = 1_000


@dataclass(frozen=True)
class InputInfo:
    """A file or folder to read: its source, its name there, the format's name, its size, what the format may yield."""

    source: str
    file: str
    format: str
    byte_count: int
    carries: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[str, str]:
        """Identity of the file in the store."""
        return self.source, self.file


@dataclass(frozen=True)
class Progress:
    """How far a build has come. `phase` is read, fold or publish; bytes and records are of the reading, all files."""

    phase: str
    byte_count: int
    byte_total: int
    record_count: int
    info: InputInfo | None = None


@dataclass(frozen=True)
class FileSummary:
    """What was read of one file."""

    info: InputInfo
    record_count: int = 0
    observation_count: int = 0
    activity_count: int = 0
    rejected_count: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunSummary:
    """What a build did. `kept_file_count`: files of the old store that were not given again and whose facts stay."""

    files: tuple[FileSummary, ...]
    kept_file_count: int
    run: RunRecord

    @property
    def record_count(self) -> int:
        """Records met in all files."""
        return sum(file.record_count for file in self.files)


def build(
    target: Path,
    inputs: Iterable[tuple[InputInfo, Iterable[Batch]]],
    fold: Callable[[Store], None],
    run: RunRecord,
    *,
    now: Callable[[], datetime] | None = None,
    progress: Callable[[Progress], None] = lambda step: None,
    memory_limit: str = BUILD_MEMORY_LIMIT,
    last: Callable[[Path], None] = lambda draft: None,
) -> RunSummary:
    """Read all inputs into a new store, fold it, and put it in the place of the one at `target`.

    Facts of files that the old store has and that are not given again are kept. `fold` asks the store for its windows
    and applies what the engine says. `now` tells the end of the run, UTC without a zone. Batches are read one at a
    time, on this thread, while another one writes. `last` is given the finished file before it takes its place.

    Raises:
        ConfigurationError: when the old store cannot be read or belongs to another company or key, its folder cannot
            be written, or a file is given twice.
        TransientError: when another run writes the same store, or the disk is full.
    """
    given = list(inputs)
    total = sum(info.byte_count for info, _ in given)
    _prepare(target)
    done = 0
    records = 0
    summaries: list[FileSummary] = []
    with Store.create(target, memory_limit=memory_limit) as store:
        kept = _keep_facts(store, target, run, [info for info, _ in given])
        for info, batches in given:
            store.begin_file(info.source, info.file, info.format, info.byte_count, info.carries or None)
            summary = FileSummary(info)
            start = done
            progress(Progress("read", done, total, records, info))
            for batch in batches:
                store.add(batch, info.source, info.file)
                summary = _with_batch(summary, batch)
                records += batch.record_count
                done = min(done + batch.byte_count, start + info.byte_count)
                progress(Progress("read", done, total, records, info))
            done = start + info.byte_count
            summaries.append(summary)
        store.finish_files()
        progress(Progress("fold", done, total, records))
        fold(store)
        progress(Progress("publish", done, total, records))
        finished = replace(run, finished_at=now()) if now is not None else run
        store.record_run(finished)
        store.publish(target, last)
    return RunSummary(tuple(summaries), kept, finished)


def _prepare(target: Path) -> None:
    """Bring the old store, when there is one, to a state from which it can be read: its log merged, its schema new.

    Opening does both. A file that is no store of ours is refused here, before anything is written.
    """
    placement = Placement(target)
    if placement.target.exists():
        Store.open(target, read_only=not placement.log.exists()).close()


def _keep_facts(store: Store, target: Path, run: RunRecord, given: Sequence[InputInfo]) -> int:
    """Copy the facts of files that are not given again; return how many files."""
    if not target.exists():
        return 0
    with Store.open(target) as old:
        files = [(row["source"], row["file"]) for row in old.rows("SELECT source, file FROM source_file")]
    again = {info.key for info in given}
    kept = store.copy_facts_from(target, again | {file for file in files if _is_given(file, again)})
    earlier = store.last_run()
    if earlier is None:
        return kept
    if earlier.company_id != run.company_id:
        raise ConfigurationError(
            f"the store {target} is of company {earlier.company_id!r}, not of {run.company_id!r}; name another file"
        )
    if kept and earlier.key_digest != run.key_digest:
        raise ConfigurationError(
            f"the store {target} holds facts of {kept} files that are not given now, with tokens made by another key; "
            "restore the key file, or give all files again"
        )
    return kept


def _is_given(old: tuple[str, str], given: Collection[tuple[str, str]]) -> bool:
    """Return whether a file of the old store is given again, by itself or in a folder.

    Raises:
        ConfigurationError: when it is a folder and only a part of it is given.
    """
    source, mine = old[0], PurePosixPath(old[1])
    for place in (PurePosixPath(name) for of, name in given if of == source):
        if mine in place.parents:
            raise ConfigurationError(
                f"the store was made from the folder {mine} as a whole, and now only {place} of it is given; "
                "give the folder, or name another store with --db"
            )
        if mine == place or place in mine.parents:
            return True
    return False


def _with_batch(summary: FileSummary, batch: Batch) -> FileSummary:
    def count(kind: str) -> int:
        table = batch.facts.get(kind)
        return 0 if table is None else int(table.num_rows)

    room = WARNING_LIMIT - len(summary.warnings)
    fresh = [warning for warning in dict.fromkeys(batch.warnings) if warning not in summary.warnings]
    return replace(
        summary,
        record_count=summary.record_count + batch.record_count,
        observation_count=summary.observation_count + count("observation"),
        activity_count=summary.activity_count + count("activity"),
        rejected_count=summary.rejected_count + len(batch.dead_letters),
        warnings=(*summary.warnings, *fresh[:room]),
    )
