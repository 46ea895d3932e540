"""Where the time of a replay, or of a small fold, goes: processor and wall seconds of each stage and SQL statement.

Stages are inside of each other (a statement inside its fold), and while files are read another thread writes: the
seconds of the writing thread are its own, those of the engine's statements are of all DuckDB threads together.

    python -m benchmarks.stages replay DIR
    python -m benchmarks.stages fold 200000
"""

from __future__ import annotations

import functools
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, Final

Clock = Callable[[], float]
_SHOWN: Final = 60


@dataclass
class Stopwatch:
    """Seconds by stage: wall, processor, and how often."""

    wall: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    processor: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    times: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def clear(self) -> None:
        """Forget everything counted so far."""
        for counts in (self.wall, self.processor, self.times):
            counts.clear()

    @contextmanager
    def stage(self, name: str, busy: Clock = time.process_time) -> Iterator[None]:
        """Count what runs inside."""
        begin, begin_busy = time.perf_counter(), busy()
        try:
            yield
        finally:
            self.wall[name] += time.perf_counter() - begin
            self.processor[name] += busy() - begin_busy
            self.times[name] += 1

    def watch(self, owner: Any, name: str, label: str | Callable[..., str], busy: Clock = time.process_time) -> None:
        """Replace a function of a class or module by one that is counted; `label` may be made of its arguments."""
        watched = getattr(owner, name)

        @functools.wraps(watched)
        def counted(*arguments: Any, **options: Any) -> Any:
            with self.stage(label if isinstance(label, str) else label(*arguments), busy):
                return watched(*arguments, **options)

        setattr(owner, name, counted)

    def lines(self, least_share: float = 0.002) -> Iterator[str]:
        """Yield the stages, the costliest first, as lines of a table."""
        whole = max(self.processor.values(), default=0.0)
        ranked = sorted(self.processor, key=self.processor.__getitem__, reverse=True)
        yield f"{'processor':>9} {'wall':>9} {'times':>7}  stage"
        for name in ranked[:_SHOWN]:
            if self.processor[name] >= whole * least_share:
                yield f"{self.processor[name]:8.3f}s {self.wall[name]:8.3f}s {self.times[name]:7}  {name}"


def watch_engine(watch: Stopwatch) -> None:
    """Count folds, SQL statements and the plain loops between them."""
    import pipeline.engine as engine
    from pipeline.steps import Statement, Steps

    def statement_label(_: Steps, statement: Statement) -> str:
        made = statement.makes or statement.grows or statement.changes or "-"
        verb = "make" if statement.makes else "add to" if statement.grows else "change" if statement.changes else "run"
        return f"sql     {verb} {made}"

    watch.watch(engine.Engine, "fold", "engine  fold")
    watch.watch(engine.Engine, "retire", "engine  retire")
    watch.watch(Steps, "_run", statement_label)
    watch.watch(engine.Engine, "_insert", lambda _, table, *rest: f"python  rows into {table}")
    watch.watch(engine.Engine, "_table", lambda _, table, *rest: f"arrow   {table}")
    for name in ("assign", "merge", "join_labels"):
        if hasattr(engine, name):
            watch.watch(engine, name, f"python  {name}")


def watch_replay(watch: Stopwatch) -> None:
    """Count reading, by format, and the store's work."""
    from pipeline.identifiers import Identifiers
    from pipeline.sources import discovery, feeding
    from sinks.appending import Appender
    from sinks.store import Store

    watch.watch(discovery, "discover", "files   recognise")
    watch.watch(Identifiers, "phone_table", "tokens  distinct numbers", time.thread_time)
    watch.watch(Appender, "append", lambda appender, _: f"write   {appender.name}", time.thread_time)
    watch.watch(Store, "add", "store   hand over a batch", time.thread_time)
    for name in ("finish_files", "fold_windows", "fold_facts", "apply", "publish"):
        if hasattr(Store, name):
            watch.watch(Store, name, f"store   {name}")
    feed = feeding.feed

    def counted_feed(item: discovery.Input, *arguments: Any, **options: Any) -> Iterator[Any]:
        batches = feed(item, *arguments, **options)
        while True:
            with watch.stage(f"read    {item.parser.name}", time.thread_time):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    feeding.feed = counted_feed


def replay_stages(folder: Path) -> Stopwatch:
    """Replay a folder into a store that is thrown away, in this process."""
    watch = Stopwatch()
    with watch.stage("all"), tempfile.TemporaryDirectory(dir=folder) as scratch:
        with watch.stage("import"):
            import cli

            watch_engine(watch)
            watch_replay(watch)
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            cli.app(["replay", str(folder), "--db", f"{scratch}/store.duckdb"], standalone_mode=False)
    return watch


def fold_stages(open_count: int) -> Stopwatch:
    """Fold 15 new facts, some times, beside so many open interactions; the first fold is not counted."""
    from benchmarks import fold

    watch = Stopwatch()
    watch_engine(watch)
    fold.seconds_beside(open_count, begin_counting=watch.clear)
    return watch


def main(arguments: list[str]) -> None:
    kind, subject = arguments
    watch = replay_stages(Path(subject)) if kind == "replay" else fold_stages(int(subject))
    print("\n".join(watch.lines()))


if __name__ == "__main__":
    main(sys.argv[1:])
