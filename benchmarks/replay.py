"""A replay from files to stored rows, beside a plain script that does the simplest form of the job and DuckDB reading.

All three read the same files, one after the other, in each repetition anew, each as a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measuring import Usage, run_python, spread, typical

REPLAY: Final = "bypassflow replay"
PLAIN: Final = "plain script"
READING: Final = "DuckDB reading"
_MEBIBYTE: Final = 1 << 20
# In a process of its own: see measuring about memory.
_WRITE: Final = (
    "import pathlib, sys; from benchmarks import company; "
    "getattr(company, sys.argv[1])(pathlib.Path(sys.argv[2]), int(sys.argv[3]))"
)


@dataclass(frozen=True)
class Measurement:
    """What contenders cost on one company: a usage per repetition."""

    title: str
    record_count: int
    usages: Mapping[str, Sequence[Usage]]

    def typical(self, name: str) -> Usage:
        """Return the median cost of a contender."""
        return typical(self.usages[name])

    def records_per_second(self, name: str) -> float:
        """Return records by wall time."""
        return self.record_count / self.typical(name).wall_seconds

    def rows(self) -> list[list[str]]:
        """Return a table's rows: a contender, its costs, and how they compare with those of a replay."""
        replay = self.typical(REPLAY)
        rows = []
        for name, repetitions in self.usages.items():
            usage = self.typical(name)
            against = "" if name == REPLAY else f"{usage.wall_seconds / replay.wall_seconds:.2f}"
            against_busy = "" if name == REPLAY else f"{usage.processor_seconds / replay.processor_seconds:.2f}"
            rows.append(
                [
                    self.title,
                    name,
                    f"{usage.wall_seconds:.1f}",
                    f"{usage.processor_seconds:.1f}",
                    f"{usage.peak_bytes / _MEBIBYTE:,.0f}",
                    f"{self.records_per_second(name):,.0f}",
                    against,
                    against_busy,
                    f"{spread([usage.wall_seconds for usage in repetitions]):.0%}" if len(repetitions) > 1 else "",
                ]
            )
        return rows


HEADER: Final = (
    "read",
    "by",
    "wall s",
    "processor s",
    "peak MiB",
    "records/s",
    "wall, replay = 1",
    "processor, replay = 1",
    "spread of wall",
)


def measure_calls(
    folder: Path, records: int, repetitions: int, say: Callable[[str], None] = lambda step: None
) -> Measurement:
    """Generate a company of so many call records, and measure the three on it.

    Raises:
        BenchmarkFailed: when one of the processes fails.
    """
    say(f"writing a company of {records:,} call records")
    run_python("-c", _WRITE, "write_calls", folder, str(records))
    contenders = {
        PLAIN: ("-m", "benchmarks.plain_script", str(folder)),
        READING: ("-m", "benchmarks.duckdb_only", str(folder)),
    }
    return _measure(f"{records:,} call records", folder, records, contenders, repetitions, say)


def measure_mail(
    folder: Path, messages: int, repetitions: int, say: Callable[[str], None] = lambda step: None
) -> Measurement:
    """Generate an mbox of so many messages, and measure a replay of it beside a plain script.

    Raises:
        BenchmarkFailed: when one of the processes fails.
    """
    say(f"writing {messages:,} messages")
    run_python("-c", _WRITE, "write_mail", folder, str(messages))
    contenders = {PLAIN: ("-m", "benchmarks.plain_mail", str(folder))}
    return _measure(f"{messages:,} emails", folder, messages, contenders, repetitions, say)


def _measure(
    title: str,
    folder: Path,
    records: int,
    contenders: Mapping[str, Sequence[str]],
    repetitions: int,
    say: Callable[[str], None],
) -> Measurement:
    store = folder / "store.duckdb"
    commands = {REPLAY: ("-m", "cli", "replay", str(folder), "--db", str(store)), **contenders}
    usages: dict[str, list[Usage]] = {name: [] for name in commands}
    for repetition in range(repetitions):
        for name, command in commands.items():
            say(f"{title}: {name}, {repetition + 1} of {repetitions}")
            usages[name].append(run_python(*command).usage)
            store.unlink(missing_ok=True)
    return Measurement(title, records, usages)
