"""How fast a store answers what a page of the dashboard asks: each question over four weeks, and over all of history.

python -m benchmarks.dashboard --interactions 5000000              makes a store of so many interactions first
python -m benchmarks.dashboard --db FILE --runs 40                 asks a store that there is
python -m benchmarks.dashboard --db FILE --only missed --only page only questions whose names have one of these words

A question is asked once before it is timed, in one process that has the store open as `serve` has it, with DuckDB on
two threads. What it is compared with is DuckDB counting the same interactions by outcome, without any of our code.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final
from zoneinfo import ZoneInfo

from benchmarks.dashboard_store import make
from benchmarks.measuring import percentile, table
from sinks import explanations, measures, paging, silent
from sinks.measures import Filters
from sinks.metrics import customers, delay, hygiene, missed, scatter, service, split
from sinks.paging import Place
from sinks.store import Store

RUNS: Final = 20
PERIOD: Final = timedelta(weeks=4)
# Rows of a page of many, and one more that tells whether there is another.
_PAGE: Final = 101
_LISTED: Final = 50
_REFERENCE: Final = "DuckDB counting by outcome"
_STATUS: Final = Path("/proc/self/status")


@dataclass(frozen=True)
class Asked:
    """What a question is about: a period with two instants in it, a customer and an interaction of the store."""

    since: datetime | None
    until: datetime | None
    middle: datetime
    customer: str
    token: str
    interaction_id: str
    zone: ZoneInfo

    def filters(self, limit: int | None = None, **values: Sequence[str]) -> Filters:
        """Return the filters of the period."""
        return Filters(values, self.since, self.until, limit)

    @property
    def deep(self) -> Place:
        """Return a place far behind the first page."""
        return Place(self.middle, "8")


Question = Callable[[Store, Asked], object]

# Asked for the period that a page shows. Those that it also asks for all of history when nobody chose a period stand in
# `OF_ALL` once more, or alone when they have no period.
OF_A_PERIOD: Final[Mapping[str, Question]] = {
    "share": lambda store, asked: measures.report(store, (), asked.since, asked.until),
    "share by channel and team": lambda store, asked: split.share(store, ("channel", "team"), None, asked.filters()),
    "share by day": lambda store, asked: split.share(store, (), "day", asked.filters()),
    "share by day, of calls of one function": lambda store, asked: split.share(
        store, (), "day", asked.filters(channel=["call"], function=["other"])
    ),
    "share by day and team": lambda store, asked: split.share(store, ("team",), "day", asked.filters()),
    "change by channel and team": lambda store, asked: split.change(store, ("channel", "team"), asked.filters()),
    "contact centre": lambda store, asked: split.contact_centre(store, asked.filters()),
    "by team, merged": lambda store, asked: split.by_team(store, asked.filters()),
    "silences": lambda store, asked: silent.warnings(store, asked.zone, asked.since, asked.until),
    "delays by team": lambda store, asked: delay.delays(store, ("team",), asked.filters()),
    "delay curve": lambda store, asked: delay.curve(store, filters=asked.filters()),
    "settled days": lambda store, asked: delay.settling(store),
    "emails answered": lambda store, asked: service.emails(store, asked.filters()),
    "emails answered by week": lambda store, asked: service.emails(store, asked.filters(), interval="week"),
    "calls missed": lambda store, asked: missed.calls(store, asked.filters()),
    "calls missed by week": lambda store, asked: missed.calls(store, asked.filters(), interval="week"),
    "missed calls, listed": lambda store, asked: missed.missed_calls(store, asked.filters(_LISTED), fate="lost"),
    "activities by status": lambda store, asked: hygiene.activity_counts(store, asked.filters()),
    "unexplained, listed": lambda store, asked: hygiene.activities(store, "unexplained", asked.filters(_LISTED)),
    "redundant, listed": lambda store, asked: hygiene.activities(store, "redundant", asked.filters(_LISTED)),
    "missing identifiers": lambda store, asked: hygiene.missing_identifiers(store, asked.filters(_LISTED)),
    "customers with most contacts": lambda store, asked: customers.customers(store, asked.filters(_LISTED)),
    "customers least traced": lambda store, asked: customers.customers(
        store, asked.filters(_LISTED), order="least_traced"
    ),
    "a customer's history": lambda store, asked: customers.history(
        store, customer=asked.customer, filters=asked.filters(_LISTED)
    ),
    "a day": lambda store, asked: customers.day(store, asked.middle.date(), filters=Filters(limit=_PAGE)),
    "scatter": lambda store, asked: scatter.scatter(store, asked.filters()),
    "continuity": lambda store, asked: scatter.continuity(store, asked.filters()),
    "page of interactions": lambda store, asked: paging.interactions(store, asked.filters(_PAGE)),
    "page of interactions, deep": lambda store, asked: paging.interactions(store, asked.filters(_PAGE), asked.deep),
    "page of interactions, bypassed calls": lambda store, asked: paging.interactions(
        store, asked.filters(_PAGE, outcome=["bypassed"], channel=["call"])
    ),
    "page of interactions, one customer": lambda store, asked: paging.interactions(
        store, asked.filters(_PAGE, customer=[asked.customer])
    ),
    "page of activities": lambda store, asked: paging.activities(store, (), asked.since, asked.until, _PAGE),
    "page of activities, deep": lambda store, asked: paging.activities(
        store, (), asked.since, asked.until, _PAGE, asked.deep
    ),
    "page of activities, unexplained": lambda store, asked: paging.activities(
        store, ("unexplained",), asked.since, asked.until, _PAGE
    ),
}
_ALSO_OF_ALL: Final = (
    "share", "share by channel and team", "share by day", "contact centre", "by team, merged", "silences",
    "a customer's history", "page of interactions", "page of interactions, deep",
    "page of interactions, bypassed calls", "page of interactions, one customer", "page of activities",
    "page of activities, deep", "page of activities, unexplained", "activities by status", "missing identifiers",
)  # fmt: skip
OF_ALL: Final[Mapping[str, Question]] = {
    **{name: OF_A_PERIOD[name] for name in _ALSO_OF_ALL},
    "values of the dimensions": lambda store, asked: measures.dimension_values(store),
    "files and feeds": lambda store, asked: store.rows("SELECT * FROM files LEFT JOIN feeds USING (source)"),
    "accounts": lambda store, asked: measures.audit(store),
    "shared identifiers": lambda store, asked: hygiene.shared_identifiers(store, _LISTED),
    "history of a number": lambda store, asked: customers.history(
        store, token=asked.token, filters=asked.filters(_LISTED)
    ),
    "an interaction by its id": lambda store, asked: measures.interaction(store, asked.interaction_id[:10]),
    "an interaction explained": lambda store, asked: explanations.explain(store, asked.interaction_id),
}


@dataclass(frozen=True)
class Timed:
    """One question over one period: milliseconds of the median and of the 95 % slowest run, and MiB at its peak.

    `processor` is the mean time of all threads together, which other programs disturb less. The peak is that of the
    whole process while the question was asked; None where the system does not tell.
    """

    name: str
    of: str
    p50: float
    p95: float
    processor: float
    peak: float | None


def measure(path: Path, runs: int = RUNS, only: Sequence[str] = (), threads: int = 2) -> list[Timed]:
    """Ask a store each question so many times; over a period and over all, and each time what it is compared with."""
    with Store.open(path, threads=threads) as store:
        period, whole = _asked(store)
        found = []
        for of, asked, questions in (("four weeks", period, OF_A_PERIOD), ("all", whole, OF_ALL)):
            for name, question in {_REFERENCE: _reference, **questions}.items():
                if name == _REFERENCE or not only or any(word in name for word in only):
                    found.append(_timed(store, name, of, asked, question, runs))
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard", description=__doc__.split("\n")[0])
    parser.add_argument("--interactions", type=int, default=20_000, help="so many at least are in the store; 20000")
    parser.add_argument("--db", type=Path, help="ask this store and make none")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"so many of each question; {RUNS}")
    parser.add_argument("--only", action="append", default=[], help="only questions with this word; may be repeated")
    parser.add_argument("--folder", type=Path, help="where the store is made; default: a temporary folder")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bypassflow-bench-", dir=asked.folder) as scratch:
        path = asked.db or make(Path(scratch), asked.interactions)[0]
        with Store.open(path) as store:
            (counted,) = store.rows("SELECT count(*) AS number FROM current_interaction")
        size = path.stat().st_size / 1e6
        print(f"{counted['number']:,} interactions in {size:,.0f} MB, each question asked {asked.runs} times\n")
        print(table(HEADER, rows(measure(path, asked.runs, asked.only))))
    return 0


HEADER: Final = ("question", "over", "p50 ms", "p95 ms", "processor ms", "p50, counting = 1", "peak MiB")


def rows(timed: Sequence[Timed]) -> list[tuple[str, ...]]:
    """Return the rows of a table, each median beside that of counting over the same period."""
    counting = {each.of: each.p50 for each in timed if each.name == _REFERENCE}
    return [
        (
            each.name,
            each.of,
            f"{each.p50:.0f}",
            f"{each.p95:.0f}",
            f"{each.processor:.0f}",
            f"{each.p50 / counting[each.of]:.1f}",
            "" if each.peak is None else f"{each.peak:,.0f}",
        )
        for each in timed
    ]


# -- inside ------------------------------------------------------------------------------------------------------------


def _asked(store: Store) -> tuple[Asked, Asked]:
    """Return what is asked of the last four weeks, and of all of history."""
    (span,) = store.rows("SELECT min(started_at) AS first, max(started_at) AS last FROM current_interaction")
    until = span["last"] + timedelta(microseconds=1)
    since = until - PERIOD
    (picked,) = store.rows(
        "SELECT customer_ids[1] AS customer, token, interaction_id FROM current_interaction "
        "WHERE started_at >= $since AND channel = 'call' AND outcome = 'traced' AND len(customer_ids) = 1 "
        "ORDER BY started_at, interaction_id LIMIT 1",
        {"since": since},
    )
    zone = ZoneInfo(measures.zone_of(store))
    period = Asked(since, until, until - PERIOD / 2, **picked, zone=zone)
    return period, Asked(None, None, span["first"] + (until - span["first"]) / 2, **picked, zone=zone)


def _reference(store: Store, asked: Asked) -> object:
    return store.rows(
        "SELECT outcome, count(*) AS number FROM interaction_base "
        "WHERE started_at >= coalesce($since, '-infinity'::TIMESTAMP) "
        "AND started_at < coalesce($until, 'infinity'::TIMESTAMP) GROUP BY outcome",
        {"since": asked.since, "until": asked.until},
    )


def _timed(store: Store, name: str, of: str, asked: Asked, question: Question, runs: int) -> Timed:
    question(store, asked)
    _forget_peak()
    spent, busy = [], time.process_time()
    for _ in range(runs):
        begin = time.perf_counter()
        question(store, asked)
        spent.append((time.perf_counter() - begin) * 1000)
    busy = (time.process_time() - busy) / runs * 1000
    return Timed(name, of, median(spent), percentile(spent, 0.95), busy, _peak())


def _forget_peak() -> None:
    """Let the kernel count this process's peak memory anew; Linux alone can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> float | None:
    """Return the MiB of this process's peak memory since it was forgotten."""
    if not _STATUS.exists():
        return None
    fields: dict[str, Any] = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="ascii").splitlines())
    return int(fields["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
