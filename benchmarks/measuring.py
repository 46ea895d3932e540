"""What one process costs: wall time, processor time and peak memory of the whole of it, as the kernel counts them.

The measuring process must stay small: Linux counts the memory of the process that starts another as that one's peak.
So whatever needs memory runs in a process of its own, and this module imports nothing of ours.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

_KIBIBYTE: Final = 1024
_ROOT: Final = Path(__file__).resolve().parent.parent


class BenchmarkFailed(Exception):
    """A measured process did not end well; the message has the end of what it said."""


@dataclass(frozen=True)
class Usage:
    """Seconds of wall and processor time (user and system, all threads) and peak resident bytes of a process."""

    wall_seconds: float
    processor_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Run:
    """A process that ended well: what it cost and what it printed."""

    usage: Usage
    output: str


def run_python(*arguments: str | Path, python: Path | None = None, folder: Path = _ROOT) -> Run:
    """Run the interpreter of this process, or another, with arguments in the project's root; return what that cost.

    Raises:
        BenchmarkFailed: when it exits with another code than 0.
    """
    command = [str(python or sys.executable), *map(str, arguments)]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=complained, cwd=folder, env=environment(os.environ)
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        complained.seek(0)
        if process.returncode:
            end = complained.read().decode(errors="replace")[-2_000:]
            raise BenchmarkFailed(f"{' '.join(command[1:])} ended with {process.returncode}:\n{end}")
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else _KIBIBYTE)
        return Run(Usage(wall, usage.ru_utime + usage.ru_stime, peak), said.read().decode())


def typical(usages: Sequence[Usage]) -> Usage:
    """Return the median of each cost over repetitions.

    >>> typical([Usage(3, 4, 5), Usage(1, 2, 7), Usage(2, 9, 6)])
    Usage(wall_seconds=2, processor_seconds=4, peak_bytes=6)
    """
    return Usage(
        median(usage.wall_seconds for usage in usages),
        median(usage.processor_seconds for usage in usages),
        int(median(usage.peak_bytes for usage in usages)),
    )


def spread(values: Sequence[float]) -> float:
    """Return how far apart repetitions are: greatest minus smallest, as a share of the median; 0 for one value."""
    return (max(values) - min(values)) / median(values) if median(values) else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5)
    2.0
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown that is readable as it stands.

    >>> print(table(["a", "b"], [["1", "22"]]))
    | a | b  |
    | - | -- |
    | 1 | 22 |
    """
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a measured process: byte code may be kept, as everywhere in use."""
    return {name: value for name, value in inherited.items() if name not in ("PYTHONDONTWRITEBYTECODE", "COLUMNS")}
