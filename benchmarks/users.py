"""What people who look at the pages cost the sink: the same log stored with nobody looking, and with users.

python -m benchmarks.users 1000000 3        so many events, each way so many times; prints JSON

A user opens a page, reads it for some seconds and opens the next; the pages come from the sink's own process, over the
store that grows meanwhile. Both ways take turns.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import Any, Final

from benchmarks.live_company import LiveCompany, live_company
from benchmarks.live_events import beginning, events
from benchmarks.measuring import BenchmarkFailed, percentile
from pipeline.errors import ConfigurationError

USERS: Final = 5
READING_SECONDS: Final = 5.0
# What users open, with what each page loads after it.
PAGES: Final = (
    ("/",), ("/explore?by=team&by=channel",), ("/explore?by=day",), ("/interactions?outcome=bypassed",), ("/days",),
    ("/service", "/service/calls", "/service/continuity"), ("/data", "/data/accounts"),
    ("/hygiene", "/hygiene/missing", "/hygiene/shared", "/hygiene/unexplained", "/hygiene/redundant"),
)  # fmt: skip
_EVENTS_PER_CUSTOMER: Final = 20
_POLL_SECONDS: Final = 0.1


class Users:
    """People who look at the pages until they are told to stop. `seconds` has how long each page took."""

    def __init__(self, address: str, count: int = USERS) -> None:
        self.seconds: list[float] = []
        self.failed: list[str] = []
        self._stop = Event()
        self._address = address
        self._threads = [Thread(target=self._look, args=(number,), name=f"user-{number}") for number in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let them end the page they are at."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _look(self, number: int) -> None:
        dice = random.Random(number)
        # They do not all begin at once.
        while not self._stop.wait(dice.uniform(0, 2 * READING_SECONDS)):
            for path in dice.choice(PAGES):
                begin = time.perf_counter()
                try:
                    with urllib.request.urlopen(self._address + path, timeout=60) as answer:
                        answer.read()
                except urllib.error.HTTPError as error:
                    # Busy is an answer that the page repeats; anything else is a failure.
                    if error.code not in (429, 503):
                        self.failed.append(f"{path}: {error.code}")
                except OSError as error:
                    if not self._stop.is_set():
                        self.failed.append(f"{path}: {type(error).__name__}")
                else:
                    self.seconds.append(time.perf_counter() - begin)


def drop(count: int, repetitions: int, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Return facts stored a second with nobody looking and with users, each time it was measured.

    Raises:
        BenchmarkFailed: when a process dies, a page fails, or both ways do not store the same.
    """
    customers = max(10, count // _EVENTS_PER_CUSTOMER)
    with live_company(folder) as company:
        say(f"publishing {count:,} raw events, ingest and correlate")
        published = company.publish(chain(beginning(customers), events(count, customers)))
        company.start()
        company.wait(published, patience=120 + published / 500)
        company.end()
        speeds: dict[str, list[float]] = {"alone": [], "users": []}
        seconds: list[float] = []
        found: set[str] = set()
        peak = 0
        for number in range(repetitions):
            for way, per_second in speeds.items():
                say(f"sink, {way}, {number + 1} of {repetitions}")
                company.db = folder / f"{way}-{number}.duckdb"
                with _sink(company, way == "users") as users:
                    per_second.append(_stored_per_second(company, published))
                    if users is not None:
                        users.stop()
                        seconds += users.seconds
                        if users.failed:
                            raise BenchmarkFailed(f"pages failed: {', '.join(sorted(set(users.failed)))}")
                        peak = max(peak, company.spent()["sink"].peak_bytes)
                    found.add(str(company.answers.report((), None, None).overall))
                company.db.unlink()
        if len(found) != 1:
            raise BenchmarkFailed(f"the numbers differ: {', '.join(sorted(found))}")
        return {
            "facts": published,
            "user_count": USERS,
            "alone": speeds["alone"],
            "users": speeds["users"],
            "drop": 1 - median(speeds["users"]) / median(speeds["alone"]),
            "pages": len(seconds),
            "page_seconds_median": median(seconds) if seconds else None,
            "page_seconds_p95": percentile(seconds, 0.95) if seconds else None,
            "peak_bytes": peak,
        }


@contextmanager
def _sink(company: LiveCompany, has_users: bool) -> Iterator[Users | None]:
    """Run a sink over a new store, with users or without."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        site = f"127.0.0.1:{probe.getsockname()[1]}"
    # The pages are there both times; only whether somebody looks differs.
    company.start(("sink",), {"sink": ("--serve", site)})
    _wait_for(f"http://{site}/healthz", company)
    users = Users(f"http://{site}") if has_users else None
    try:
        yield users
    finally:
        if users is not None:
            users.stop()
        company.end()


def _wait_for(address: str, company: LiveCompany) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        company.require_running()
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            time.sleep(_POLL_SECONDS)
        else:
            return
    raise BenchmarkFailed(f"nobody answers at {address}")


def _stored_per_second(company: LiveCompany, published: int) -> float:
    """Return the facts a second from the first that is stored to the last."""
    while not (first := company.fact_count()):
        time.sleep(_POLL_SECONDS)
    begun = time.time()
    status = company.wait(published, patience=120 + published / 500)
    ended = datetime.fromisoformat(status["last_batch"]["at"].removesuffix("Z")).replace(tzinfo=UTC).timestamp()
    return (published - first) / (ended - begun)


def main(arguments: Sequence[str]) -> None:
    """Measure and print JSON."""
    count, repetitions = (int(each) for each in (*arguments, "1000000", "3")[:2])
    with tempfile.TemporaryDirectory(prefix="bypassflow-users-") as folder:
        try:
            print(json.dumps(drop(count, repetitions, Path(folder), lambda said: print(said, file=sys.stderr))))
        except (BenchmarkFailed, ConfigurationError) as error:
            print(json.dumps({"problem": str(error)}))


if __name__ == "__main__":
    main(sys.argv[1:])
