"""How fast the live pipeline is: from raw topics to rows in the store, with one process of each kind and the broker.

python -m benchmarks.live throughput 300000              events a second from full raw topics; limits beside it
python -m benchmarks.live latency 500 60 100000          seconds from publishing to a row that a question finds
python -m benchmarks.live soak 60 300 1GB                memory of each process, every minute; the sink's --memory

The first two print JSON and are called by `python -m benchmarks`. BENCH_INGEST, BENCH_CORRELATE and BENCH_SINK hold
what is to run these processes, such as: py-spy record -o ingest.svg --
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

from kafka.admin import NewTopic

from benchmarks.live_company import PREFIX, LiveCompany, Message, Spent, live_company
from benchmarks.live_events import beginning, events
from benchmarks.measuring import BenchmarkFailed, percentile, run_python
from pipeline.errors import ConfigurationError

_EVENTS_PER_CUSTOMER: Final = 20
_POLL_SECONDS: Final = 0.05
_ASK_SECONDS: Final = 1.0
_BEAT: Final = 0.02
_MINUTE: Final = 60.0
# Minutes, events a second, and what the sink may hold.
_SOAK: Final = ("60", "300", "1GB")
CLIENTS: Final = ("kafka", "faust", "runs", "quix")
# Where the environment of requirements/quix.txt is, see the Makefile.
QUIX: Final = Path(__file__).resolve().parent.parent / ".venv-quix" / "bin" / "python"


def throughput(
    count: int, folder: Path, say: Callable[[str], None], clients: Sequence[str] = CLIENTS
) -> dict[str, Any]:
    """Return events a second from full raw topics to stored rows, what each process spent, and the references."""
    customers = max(10, count // _EVENTS_PER_CUSTOMER)
    with live_company(folder) as company:
        say(f"publishing {count:,} raw events")
        begin = time.perf_counter()
        published = company.publish(chain(beginning(customers), events(count, customers)))
        publishing = published / (time.perf_counter() - begin)
        limits = {}
        for client in clients:
            say(f"reference: {client}")
            limits[client] = (
                _quix(company, count, customers) if client == "quix" else _limit(client, company, published)
            )
        say("ingest, correlate and sink")
        load = os.getloadavg()[0]
        before = company.spent()["broker"]
        started_at = time.time()
        company.start()
        status = company.wait(published, patience=60 + published / 500)
        ended_at = datetime.fromisoformat(status["last_batch"]["at"].removesuffix("Z")).replace(tzinfo=UTC).timestamp()
        begun_at = company.first_fact_at()
        spent = company.spent()
        overall = company.answers.report((), None, None).overall
        return {
            "count": count,
            "published": published,
            "publishing_per_second": publishing,
            "limits": limits,
            "seconds": ended_at - begun_at,
            "seconds_from_start": ended_at - started_at,
            "load": load,
            "spent": {role: _row(used, before if role == "broker" else None) for role, used in spent.items()},
            "fact_messages": company.message_count("facts"),
            "outcome_messages": company.message_count("outcomes"),
            "overall": overall,
            "applied": status["applied"],
        }


def latency(rate: int, seconds: int, standing: int, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the seconds from a call's publishing until its transaction is told, beside so many stored events.

    Calls are published in beats; the n-th call stored is taken for the n-th published. Reports are asked for
    meanwhile, and must count whatever was told to be stored before.
    """
    customers = max(10, standing // _EVENTS_PER_CUSTOMER)
    with live_company(folder) as company:
        say(f"{standing:,} events stand in the store beforehand")
        before = company.publish(chain(beginning(customers), events(standing, customers)))
        company.start()
        company.wait(before, patience=60 + before / 500)
        counted_before, stored_before = _counted(company), _stored(company)
        load = os.getloadavg()[0]
        stored: list[tuple[float, int]] = []
        missing: list[int] = []
        stop = Event()

        def watch() -> None:
            while not stop.wait(_POLL_SECONDS):
                stored.append((time.monotonic(), _stored(company) - stored_before))

        def ask() -> None:
            while not stop.wait(_ASK_SECONDS):
                told = stored[-1][1] if stored else 0
                missing.append(max(0, told - (_counted(company) - counted_before)))

        threads = [Thread(target=watch, name="watch"), Thread(target=ask, name="ask")]
        for thread in threads:
            thread.start()
        before_spent = company.spent()
        begun = time.monotonic()
        say(f"{rate} calls a second for {seconds} s")
        try:
            published = list(publish_paced(company, _calls(standing, rate, seconds, customers), rate))
            spent_seconds = time.monotonic() - begun
            after_spent = company.spent()
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and (not stored or stored[-1][1] < len(published)):
                company.require_running()
                time.sleep(_POLL_SECONDS)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        if any(missing) or _counted(company) - counted_before != len(published):
            raise BenchmarkFailed(f"reports counted fewer calls than were told to be stored: {missing}")
        found = delays(published, stored)
        return {
            "rate": len(published) / spent_seconds,
            "count": len(published),
            "load": load,
            "standing": counted_before,
            "p50": percentile(found, 0.5),
            "p95": percentile(found, 0.95),
            "p99": percentile(found, 0.99),
            "longest": found[-1],
            "polls_per_second": len(stored) / (stored[-1][0] - stored[0][0]),
            "reports": len(missing),
            "spent": {role: _row(used, before_spent[role]) for role, used in after_spent.items()},
            "seconds": spent_seconds,
        }


def soak(minutes: float, rate: int, memory: str, folder: Path, say: Callable[[str], None]) -> None:
    """Keep up a pace, and say every minute what each process holds and how far behind the store is."""
    customers = 5_000
    with live_company(folder) as company:
        before = company.publish(beginning(customers))
        company.start(options={"sink": ["--memory", memory]})
        # Facts are more than records: every new identifier is one too.
        already = company.wait(before, patience=120)["applied"]["fact_count"]
        base = company.spent()
        names = list(base)
        say(f"{rate} events/s for {minutes:g} minutes; MiB resident (peak), and processor share of a minute")
        begun = time.monotonic()
        # A day of events in a minute, and the CRM is read every six hours of it: what can be closed, is closed.
        per_day = 60 * rate
        coming = events(int(rate * minutes * 60), customers, per_day=per_day, progress_every=per_day // 4)
        sent, due, last = 0, begun + _MINUTE, base
        for _ in publish_paced(company, coming, rate):
            sent += 1
            if time.monotonic() >= due:
                due += _MINUTE
                now = company.spent()
                status = company.status() or {}
                cells = [
                    f"{name} {now[name].resident_bytes >> 20} ({now[name].peak_bytes >> 20}) "
                    f"{(now[name].processor_seconds - last[name].processor_seconds) / _MINUTE:.0%}"
                    for name in names
                ]
                stored = status.get("applied", {}).get("fact_count", already) - already
                size = company.db.stat().st_size >> 20
                say(
                    f"{(time.monotonic() - begun) / 60:5.1f} min, load {os.getloadavg()[0]:.1f}: {'; '.join(cells)}; "
                    f"sent {sent:,}, facts stored {stored:,}, store {size} MiB"
                )
                last = now
        company.wait(before + sent, patience=120)
        say("all of it is stored")


def _calls(first: int, rate: int, seconds: int, customers: int) -> Iterator[Message]:
    """Yield calls for so many seconds, each an interaction of its own, that come after the first events, as they do."""
    count = rate * seconds
    later = events(count + count // 4 + 10, customers, first=first, per_day=rate * 86_400)
    return islice((message for message in later if message[0] == "raw.calls"), count)


def publish_paced(company: LiveCompany, messages: Iterator[Message], rate: int) -> Iterator[float]:
    """Publish so many a second, in beats; yield for each when its beat was sent, in seconds of the monotonic clock."""
    begun, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - begun) * rate) + 1 - sent
        if due > 0:
            chunk = list(islice(messages, due))
            if not chunk:
                return
            at = time.monotonic()
            company.append(chunk)
            sent += len(chunk)
            yield from [at] * len(chunk)
        time.sleep(_BEAT)


def _counted(company: LiveCompany) -> int:
    return int(company.answers.report((), None, None).overall["interaction_count"])


def _stored(company: LiveCompany) -> int:
    return int(company.answers.health()["applied"]["fact_count"])


def delays(published: Sequence[float], stored: Sequence[tuple[float, int]]) -> list[float]:
    """Return how long each took, sorted: the n-th published until so many were first told to be stored."""
    counts, highest = [], 0
    for _, count in stored:
        highest = max(highest, count)
        counts.append(highest)
    if highest < len(published):
        raise BenchmarkFailed(f"{highest:,} of {len(published):,} calls were stored in the end")
    return sorted(stored[bisect_right(counts, n)][0] - at for n, at in enumerate(published))


def _limit(client: str, company: LiveCompany, count: int) -> float:
    arguments = ("-m", "benchmarks.live_limits", client, company.bootstrap, PREFIX, str(count))
    return float(run_python(*arguments).output.split()[-1])


def _quix(company: LiveCompany, count: int, customers: int) -> float | None:
    """Return records a second of the Quix program, on the same records in one topic of as many partitions.

    None without its environment.
    """
    if not QUIX.exists():
        return None
    company.make_topics([NewTopic(f"{PREFIX}quix", company.settings.partitions, 1)])
    messages = chain(beginning(customers), events(count, customers))
    published = company.publish(("quix", key, value) for _, key, value in messages)
    program = Path(__file__).parent / "quix_program.py"
    arguments = (company.bootstrap, PREFIX, str(published), "quix.duckdb")
    run = run_python(program, *arguments, folder=company.folder, python=QUIX)
    return float(run.output.split()[-1])


def _row(used: Spent, before: Spent | None) -> dict[str, float]:
    return {
        "processor_seconds": used.processor_seconds - (before.processor_seconds if before else 0.0),
        "peak_bytes": used.peak_bytes,
        "resident_bytes": used.resident_bytes,
    }


def _complain(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    what, *values = arguments
    with tempfile.TemporaryDirectory(prefix="bypassflow-live-") as name:
        folder = Path(name)
        try:
            if what == "throughput":
                clients = values[1].split(",") if len(values) > 1 else CLIENTS
                found = throughput(int(values[0]), folder, _complain, [client for client in clients if client])
            elif what == "latency":
                rate, seconds, standing = map(int, values)
                found = latency(rate, seconds, standing, folder, _complain)
            else:
                minutes, pace, memory = [*values, *_SOAK[len(values) :]]
                return soak(float(minutes), int(pace), memory, folder, _complain)
        except ConfigurationError as error:
            found = {"problem": str(error)}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
