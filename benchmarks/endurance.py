"""An hour of the whole live pipeline under watch: a steady pace, processes killed at random, and Prometheus looking on.

python -m benchmarks.endurance 60 1000 PICTURE.png [SEED]    minutes, events a second, where the graphs go

A process is killed with SIGKILL every five minutes or so and started again after some seconds, the broker too. Prints
what memory and lag did, and every alert of the users' own rules. Ends with 1 when memory or lag grew, an alert began to
fire long after a kill or went on firing, or something was not stored.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Final, Protocol

from benchmarks.live_company import ROLES, LiveCompany, Message, live_company
from benchmarks.live_events import beginning, events
from benchmarks.measuring import BenchmarkFailed
from benchmarks.prometheus_server import Series, prometheus
from pipeline.errors import TransientError

CUSTOMERS: Final = 5_000
# Between two kills, and until what was killed is started again. Unit: seconds.
_BETWEEN: Final = (180.0, 420.0)
_AWAY: Final = (1.0, 8.0)
_BEAT: Final = 0.02
_MOST_AT_ONCE: Final = 5_000
# What begins to fire within so long after a kill is of the kill, and for how long it may go on. Unit: seconds.
_OF_A_KILL: Final = 120.0
_LONGEST_ALERT: Final = 300.0
# Looks at an alert that are further apart tell of two. Unit: seconds.
_APART: Final = 60.0
# The events are of another year, and the rule says so.
_TRUE_OF_THE_PAST: Final = frozenset({"FeedSilent"})
# How much more the last quarter may hold than the second one.
_FLAT: Final = 1.15
# A bound that the store's cache reaches in the first quarter: what grows then grows for another reason. With 300 MB it
# is reached only after the hour.
_SINK_MEMORY: Final = "150MB"
_PORTS: Final = {"ingest": 9101, "correlate": 9102, "sink": 8765}


class Asked(Protocol):
    """Gives figures over time, see `benchmarks.prometheus_server.Prometheus`."""

    def series(self, query: str, begin: float, end: float, label: str) -> dict[str, Series]: ...


MEMORY: Final = "process_resident_memory_bytes"
LAG: Final = {
    "ingest": 'sum(bypassflow_worker_lag_messages{job="ingest"})',
    "correlate": 'sum(bypassflow_worker_lag_messages{job="correlate"})',
    "sink": "sum(bypassflow_sink_lag_messages)",
}
PACE: Final = {
    "records taken in": "sum(rate(bypassflow_ingest_records_total[1m]))",
    "facts stored": "sum(rate(bypassflow_sink_facts_total[1m]))",
}
ALERTS: Final = 'ALERTS{alertstate="firing"}'
HELD: Final = "bypassflow_engine_rows"


@dataclass
class Kills:
    """Who is killed when: at random, and started again after a while."""

    company: LiveCompany
    options: dict[str, list[str]]
    random: Random
    done: list[tuple[float, str]] = field(default_factory=list)
    _next: float = 0.0
    _away: tuple[float, str] | None = None

    def __post_init__(self) -> None:
        self._next = time.monotonic() + self.random.uniform(*_BETWEEN)

    def act(self) -> None:
        """Do what is due: kill somebody, or start again who was killed."""
        now = time.monotonic()
        if self._away is not None:
            until, role = self._away
            if now >= until:
                self._away = None
                self._start(role)
        elif now >= self._next:
            role = self.random.choice([*ROLES, "broker"])
            self.done.append((time.time(), role))
            self.company.broker.kill() if role == "broker" else self.company.kill(role)
            self._away = now + self.random.uniform(*_AWAY), role
            self._next = now + self.random.uniform(*_BETWEEN)

    def finish(self) -> None:
        """Start again who is away."""
        if self._away is not None:
            self._start(self._away[1])
            self._away = None

    def revive(self) -> None:
        """Start again who ended by itself while the broker was away, as a service manager does."""
        for role in ROLES:
            if self._away is None or self._away[1] != role:
                if self.company.has_ended(role):
                    self.company.start((role,), self.options)

    def _start(self, role: str) -> None:
        if role == "broker":
            self.company.broker.start()
        else:
            self.company.start((role,), self.options)


def endure(minutes: float, rate: int, picture: Path, seed: int) -> int:
    """Run; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="bypassflow-endurance-") as name, live_company(Path(name)) as company:
        options = {role: ["--metrics", f"127.0.0.1:{port}"] for role, port in _PORTS.items() if role != "sink"}
        options["sink"] = ["--serve", f"127.0.0.1:{_PORTS['sink']}", "--memory", _SINK_MEMORY]
        company.publish(beginning(CUSTOMERS))
        company.start(ROLES, options)
        kills = Kills(company, options, Random(seed))
        with prometheus(
            Path(name) / "prometheus", {role: f"127.0.0.1:{port}" for role, port in _PORTS.items()}
        ) as told:
            begin = time.time()
            per_day = 60 * rate
            coming = events(int(rate * minutes * 60), CUSTOMERS, per_day=per_day, progress_every=per_day // 4)
            sent = _publish(company, coming, rate, kills)
            kills.finish()
            taken = _wait(company, kills)
            time.sleep(30)  # Two more looks at everything.
            end = time.time()
            load = os.getloadavg()[0]
            print(
                f"{sent:,} records, {len(kills.done)} kills, load {load:.1f}; all stored {taken:.0f} s after the last"
            )
            problems = judge(told, begin, end, kills.done)
            draw(told, begin, end, kills.done, picture)
    for problem in problems:
        print(f"NOT HELD: {problem}")
    return int(bool(problems))


def _publish(company: LiveCompany, coming: Iterator[Message], rate: int, kills: Kills) -> int:
    """Publish so many a second, and again what a broker that died did not confirm; return how many."""
    begun, sent = time.monotonic(), 0
    waiting: list[Message] = []
    while True:
        kills.act()
        kills.revive()
        due = min(int((time.monotonic() - begun) * rate) + 1 - sent, _MOST_AT_ONCE)
        if not waiting and due > 0:
            waiting = list(islice(coming, due))
            if not waiting:
                return sent
        if waiting and company.broker.is_running:
            try:
                company.append(waiting)
                sent += len(waiting)
                waiting = []
            except TransientError:
                company.renew_log()
        time.sleep(_BEAT)


def _wait(company: LiveCompany, kills: Kills) -> float:
    """Wait until everything is stored; return the seconds that it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < 600:
        kills.revive()
        try:
            if company.is_done():
                return time.monotonic() - begun
        except (TransientError, BenchmarkFailed):
            pass  # somebody is just starting
        time.sleep(2)
    raise BenchmarkFailed("not everything is stored ten minutes after the last record")


def judge(told: Asked, begin: float, end: float, kills: Sequence[tuple[float, str]]) -> list[str]:
    """Print what memory, lag and alerts did; return what does not hold."""
    problems = []
    for job, series in sorted(told.series(MEMORY, begin, end, "job").items()):
        second, last = (_quarter(series, begin, end, number) for number in (1, 3))
        print(f"{job:<10} memory, MiB: second quarter {second / 2**20:.0f}, last {last / 2**20:.0f} (medians)")
        if last > _FLAT * second:
            problems.append(f"the memory of {job} grew from {second / 2**20:.0f} to {last / 2**20:.0f} MiB")
    for job, query in LAG.items():
        (series,) = told.series(query, begin, end, "none").values()
        second, last = (_quarter(series, begin, end, number) for number in (1, 3))
        most = max(value for _, value in series)
        print(
            f"{job:<10} messages that wait: second quarter {second:.0f}, last {last:.0f}, most {most:.0f}, "
            f"at the end {series[-1][1]:.0f}"
        )
        if series[-1][1] or last > max(100.0, 2 * second):
            problems.append(f"the lag of {job} grew from {second:.0f} to {last:.0f}, and ends at {series[-1][1]:.0f}")
    for alert, series in sorted(told.series(ALERTS, begin, end, "alertname").items()):
        for first, last in _stretches(series):
            print(f"alert {alert}: from {first - begin:.0f} s on, for {last - first:.0f} s")
            if alert in _TRUE_OF_THE_PAST:
                continue
            if not any(0 <= first - at < _OF_A_KILL for at, _ in kills):
                problems.append(f"{alert} fired without a kill, {first - begin:.0f} s after the beginning")
            if last - first > _LONGEST_ALERT:
                problems.append(f"{alert} fired for {last - first:.0f} s")
    return problems


def _stretches(series: Series) -> list[tuple[float, float]]:
    """Return when an alert fired: from the first look to the last of each time."""
    found: list[tuple[float, float]] = []
    for at, _ in series:
        if found and at - found[-1][1] <= _APART:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return found


def _quarter(series: Series, begin: float, end: float, number: int) -> float:
    """Return the median of a quarter of the time; 0 without a value in it."""
    length = (end - begin) / 4
    inside = [value for at, value in series if begin + number * length <= at < begin + (number + 1) * length]
    return median(inside) if inside else 0.0


def draw(told: Asked, begin: float, end: float, kills: Sequence[tuple[float, str]], picture: Path) -> None:
    """Draw pace, lag, memory and what the engine holds over time, with the kills."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 11), layout="constrained")
    panels = figure.subplots(4, 1, sharex=True)
    drawn: list[tuple[str, dict[str, Series], float]] = [
        ("events a second", {name: _only(told, query, begin, end) for name, query in PACE.items()}, 1.0),
        ("messages that wait", {name: _only(told, query, begin, end) for name, query in LAG.items()}, 1.0),
        ("memory, MiB", told.series(MEMORY, begin, end, "job"), 2.0**20),
        ("rows that the engine holds", told.series(HELD, begin, end, "table"), 1.0),
    ]
    for axes, (title, lines, unit) in zip(panels, drawn, strict=True):
        for name, series in sorted(lines.items()):
            axes.plot([(at - begin) / 60 for at, _ in series], [value / unit for _, value in series], label=name, lw=1)
        for at, _ in kills:
            axes.axvline((at - begin) / 60, color="0.8", lw=0.8, zorder=0)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper right", fontsize=8, ncols=4)
    panels[-1].set_xlabel("minutes; each grey line is a kill")
    figure.savefig(picture, dpi=80)


def _only(told: Asked, query: str, begin: float, end: float) -> Series:
    return next(iter(told.series(query, begin, end, "none").values()), [])


if __name__ == "__main__":
    minutes, rate, picture, *seed = sys.argv[1:]
    sys.exit(endure(float(minutes), int(rate), Path(picture), int(seed[0]) if seed else 1))
