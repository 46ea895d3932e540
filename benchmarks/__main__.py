"""All benchmarks in one run, as tables in Markdown on standard output; what is going on goes to standard error.

python -m benchmarks                100 k and 1 M call records, 100 k emails, folds, the live path, and the dashboard
python -m benchmarks --huge         10 M call records too: about 4 GB of disk and a long time
python -m benchmarks --only dashboard --interactions 5000000    what pages ask, of so many interactions: 3.5 GB of disk
python -m benchmarks --quick        tiny sizes, to see that everything works; the figures mean nothing
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.measuring import BenchmarkFailed, run_python, table
from benchmarks.replay import HEADER, PLAIN, READING, REPLAY, Measurement, measure_calls, measure_mail

PARTS = ("calls", "mail", "parsing", "fold", "hot", "rebuild", "live", "latency", "users", "dashboard")

LIVE_REFERENCES = {
    "quix": "a Quix Streams program, the simplest form of the job",
    "faust": "a bare Faust agent",
    "runs": "a bare Faust agent that is handed runs",
    "kafka": "a bare kafka-python consumer",
}


@dataclass(frozen=True)
class Sizes:
    """How much is measured. A size of calls comes with its repetitions."""

    calls: Sequence[tuple[int, int]]
    messages: int
    mail_repetitions: int
    open_interactions: int
    folds: int
    hot: Sequence[int]
    parsed_megabytes: float = 8.0
    live_events: int = 300_000
    # Calls a second, for so many seconds, beside so many events.
    latency: tuple[int, int, int] = (500, 60, 100_000)
    # Events that the sink stores while people look at the pages, and how often.
    users: tuple[int, int] = (600_000, 3)
    # Interactions that pages ask about, and how often each question is asked.
    dashboard: tuple[int, int] = (20_000, 20)


USUAL = Sizes([(100_000, 5), (1_000_000, 3)], 100_000, 3, 200_000, 20, (2_500, 5_000, 10_000, 20_000))
HUGE = Sizes([*USUAL.calls, (10_000_000, 1)], 100_000, 3, 200_000, 20, USUAL.hot)
QUICK = Sizes([(1_000, 2), (2_000, 1)], 200, 1, 500, 5, (100, 200), 0.02, 1_000, (100, 2, 500), (1_000, 1), (1_000, 2))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and print it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures speed, memory and growth.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes; the figures mean nothing")
    parser.add_argument("--huge", action="store_true", help="ten million call records too")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be repeated")
    parser.add_argument("--interactions", type=int, help="so many at least in the store that the dashboard's part asks")
    parser.add_argument("--folder", type=Path, help="where the companies are written; default: a temporary folder")
    asked = parser.parse_args(arguments)
    sizes = QUICK if asked.quick else HUGE if asked.huge else USUAL
    parts = asked.only or PARTS
    with tempfile.TemporaryDirectory(prefix="bypassflow-bench-", dir=asked.folder) as scratch:
        try:
            _print_machine()
            if "calls" in parts or "mail" in parts:
                _print_replays(Path(scratch), sizes, parts)
            if "parsing" in parts:
                _print_parsing(sizes.parsed_megabytes)
            if "fold" in parts:
                _print_folds(sizes.open_interactions, sizes.folds)
            if "hot" in parts:
                _print_hot(sizes.hot)
            if "rebuild" in parts:
                _print_rebuild(sizes.open_interactions)
            if "live" in parts:
                _print_live(sizes.live_events)
            if "latency" in parts:
                _print_latency(*sizes.latency)
            if "users" in parts:
                _print_users(*sizes.users)
            if "dashboard" in parts:
                _print_dashboard(Path(scratch), asked.interactions or sizes.dashboard[0], sizes.dashboard[1])
        except BenchmarkFailed as failure:
            print(failure, file=sys.stderr)
            return 1
    return 0


def _print_machine() -> None:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, load {load}\n")


def _print_replays(scratch: Path, sizes: Sizes, parts: Sequence[str]) -> None:
    calls: list[Measurement] = []
    done: list[Measurement] = []
    if "calls" in parts:
        for records, repetitions in sizes.calls:
            calls.append(measure_calls(scratch / f"calls-{records}", records, repetitions, _say))
            shutil.rmtree(scratch / f"calls-{records}")
    if "mail" in parts:
        done.append(measure_mail(scratch / "mail", sizes.messages, sizes.mail_repetitions, _say))
        shutil.rmtree(scratch / "mail")
    _print_table(HEADER, [row for measurement in [*calls, *done] for row in measurement.rows()])
    for measurement in calls:
        replay, plain, reading = (measurement.typical(name) for name in (REPLAY, PLAIN, READING))
        print(
            f"{measurement.title}: a replay is {plain.wall_seconds / replay.wall_seconds:.2f} times as fast as the "
            f"plain script, takes {replay.wall_seconds / reading.wall_seconds:.1f} times as long as DuckDB's reading "
            f"alone, and stores {measurement.records_per_second(REPLAY):,.0f} call records a second."
        )
    for small, large in pairwise(calls):
        before, after = small.typical(REPLAY), large.typical(REPLAY)
        print(
            f"{large.record_count / small.record_count:.0f} times the records, {small.title} to {large.title}: "
            f"{after.wall_seconds / before.wall_seconds:.1f} times the time, "
            f"{after.processor_seconds / before.processor_seconds:.1f} times the processor time, "
            f"{after.peak_bytes / before.peak_bytes:.2f} times the peak memory."
        )
    for measurement in done:
        print(f"{measurement.title}: {measurement.records_per_second(REPLAY):,.0f} emails a second.")


def _print_parsing(megabytes: float) -> None:
    rows = []
    for name in run_python("-m", "benchmarks.parsing").output.split():
        _say(f"parsing: {name}")
        run = run_python("-m", "benchmarks.parsing", name, str(megabytes))
        found = json.loads(run.output)
        speed = found["records"] / found["seconds"] if found["seconds"] else 0.0
        ratio = found["seconds"] / found["reference_seconds"] if found["reference_seconds"] else 0.0
        size = f"{found['bytes'] / 1e6:.1f}"
        peak = f"{run.usage.peak_bytes / (1 << 20):,.0f}"
        rows.append(
            [name, size, f"{found['records']:,}", f"{speed:,.0f}", ", ".join(found["readers"]), f"{ratio:.1f}", peak]
        )
    header = ("format", "MB", "records", "records/s", "reference", "processor time, reference = 1", "peak MiB")
    _print_table(header, rows)


def _print_folds(open_interactions: int, folds: int) -> None:
    _say(f"folds of 15 facts beside {open_interactions:,} open interactions")
    found = json.loads(run_python("-m", "benchmarks.fold", "open", str(open_interactions), str(folds)).output)
    walls, busy = sorted(found["wall"]), sorted(found["processor"])
    header = ("open interactions", "folds of 15 facts", "median ms", "slowest ms", "processor ms", "first fold s")
    row = [
        f"{open_interactions:,}",
        str(len(walls)),
        f"{median(walls) * 1000:.0f}",
        f"{walls[-1] * 1000:.0f}",
        f"{median(busy) * 1000:.0f}",
        f"{found['first_seconds']:.1f}",
    ]
    _print_table(header, [row])


def _print_hot(sizes: Sequence[int]) -> None:
    rows = []
    for interactions in sizes:
        _say(f"one customer with {interactions:,} interactions in a window")
        found = json.loads(run_python("-m", "benchmarks.fold", "hot", str(interactions)).output)
        each = found["wall"] / interactions * 1_000_000
        row = [f"{interactions:,}", f"{interactions // 4:,}", f"{found['wall']:.2f}", f"{found['processor']:.2f}"]
        rows.append([*row, f"{each:.0f}"])
    _print_table(("interactions of one customer", "activities", "wall s", "processor s", "wall µs each"), rows)


def _print_rebuild(open_interactions: int) -> None:
    _say(f"a worker comes back to {open_interactions:,} open interactions")
    found = json.loads(run_python("-m", "benchmarks.rebuild", str(open_interactions)).output)
    header = ("facts", "first said s", "rebuilt s", "facts a second", "checkpoint MB", "written s", "restored s")
    row = [
        f"{found['facts']:,}",
        f"{found['said_seconds']:.1f}",
        f"{found['rebuild_seconds']:.1f}",
        f"{found['facts'] / found['rebuild_seconds']:,.0f}",
        f"{found['checkpoint_bytes'] / 1e6:.1f}",
        f"{found['checkpoint_seconds']:.1f}",
        f"{found['restore_seconds']:.1f}",
    ]
    _print_table(header, [row])


def _print_live(events: int) -> None:
    _say(f"live: {events:,} events from full raw topics to stored rows")
    found = json.loads(run_python("-m", "benchmarks.live", "throughput", str(events)).output)
    if "problem" in found:
        print(f"live: not measured; {found['problem']}\n")
        return
    stored = found["published"] / found["seconds"]
    rows = [["bypassflow live: ingest, correlate, sink", f"{stored:,.0f}"]]
    for name, title in LIVE_REFERENCES.items():
        speed = found["limits"][name]
        rows.append(
            [title, "not measured: no environment, see `make bench-quix`" if speed is None else f"{speed:,.0f}"]
        )
    _print_table((f"{found['published']:,} raw events in the topics, load {found['load']:.1f}", "events/s"), rows)
    print(
        f"From the start of the processes {found['published'] / found['seconds_from_start']:,.0f} events a second; "
        f"{found['fact_messages']} messages of facts, {found['outcome_messages']} of outcomes."
    )
    _print_spent(found["spent"], found["published"])


def _print_latency(rate: int, seconds: int, standing: int) -> None:
    _say(f"latency: {rate} calls a second for {seconds} s beside {standing:,} events")
    arguments = ("-m", "benchmarks.live", "latency", str(rate), str(seconds), str(standing))
    found = json.loads(run_python(*arguments).output)
    if "problem" in found:
        print(f"latency: not measured; {found['problem']}\n")
        return
    header = ("calls/s", "calls", "beside interactions", "p50 s", "p95 s", "p99 s", "longest s", "load")
    row = [f"{found['rate']:.0f}", f"{found['count']:,}", f"{found['standing']:,}"]
    row += [f"{found[name]:.2f}" for name in ("p50", "p95", "p99", "longest")]
    _print_table(header, [[*row, f"{found['load']:.1f}"]])
    print(f"{found['reports']} reports meanwhile counted whatever was told to be stored.\n")
    _print_spent(found["spent"], found["count"])


def _print_users(count: int, repetitions: int) -> None:
    _say(f"sink: {count:,} events, with nobody looking and with users")
    found = json.loads(run_python("-m", "benchmarks.users", str(count), str(repetitions)).output)
    if "problem" in found:
        print(f"users: not measured; {found['problem']}\n")
        return
    rows = [
        [title, f"{median(found[way]):,.0f}", ", ".join(f"{each:,.0f}" for each in found[way])]
        for way, title in (("alone", "nobody looks"), ("users", f"{found['user_count']} users look"))
    ]
    _print_table(("sink", "facts/s, median", "each time"), rows)
    print(f"With users it stores {100 * found['drop']:.0f} % less.", end="")
    if found["pages"]:
        print(
            f" They opened {found['pages']} pages and parts, in {found['page_seconds_median']:.2f} s in the median and "
            f"{found['page_seconds_p95']:.2f} s for one of twenty; the sink held {found['peak_bytes'] >> 20:,} MiB."
        )
    print(flush=True)


def _print_dashboard(scratch: Path, interactions: int, runs: int) -> None:
    _say(f"dashboard: a store of {interactions:,} interactions")
    folder = scratch / "dashboard"
    run_python("-m", "benchmarks.dashboard_store", folder, str(interactions))
    store = folder / "bypass.duckdb"
    _say(f"dashboard: each question {runs} times")
    print(run_python("-m", "benchmarks.dashboard", "--db", store, "--runs", str(runs)).output, flush=True)
    shutil.rmtree(folder)


def _print_spent(spent: Mapping[str, Mapping[str, float]], events: int) -> None:
    rows = []
    for role, used in spent.items():
        each = used["processor_seconds"] / events * 1_000_000
        rows.append([role, f"{used['processor_seconds']:.1f}", f"{each:.0f}", f"{used['peak_bytes'] / (1 << 20):,.0f}"])
    total = sum(used["processor_seconds"] for used in spent.values())
    rows.append(["all", f"{total:.1f}", f"{total / events * 1_000_000:.0f}", ""])
    _print_table(("process", "processor s", "processor µs an event", "peak MiB"), rows)


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"\n{table(header, rows)}\n", flush=True)


def _say(step: str) -> None:
    print(step, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
