"""How fast the pages of a store come: each over HTTP from `bypassflow serve`, and what a browser sees of the first one.

python -m benchmarks.pages FILE [times]        prints tables in Markdown; FILE is a store, and stays as it is

Each page is asked for once before it is timed; of an interaction and a customer it is another one every time. The
first paint is Chromium's own, of the overview, over a server that has just been started (cold) and again in a browser
without a cache (warm).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import quote

from playwright.sync_api import Browser, sync_playwright

from benchmarks.live_company import spent_by
from benchmarks.measuring import BenchmarkFailed, percentile, table
from sinks.store import Store

TIMES: Final = 100
_PAGES: Final = (
    "/", "/explore?by=team&by=channel", "/explore?by=day", "/interactions",
    "/interactions?outcome=bypassed&channel=call", "/interactions/{interaction}", "/days", "/customers/{customer}",
    "/service", "/service/calls", "/service/lost", "/service/continuity", "/hygiene", "/hygiene/missing",
    "/hygiene/shared", "/hygiene/unexplained", "/hygiene/redundant", "/measures", "/data", "/data/accounts",
)  # fmt: skip
_PAINT: Final = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


@contextmanager
def serving(store: Path) -> Iterator[tuple[str, int]]:
    """Serve a store from a process of its own; give its address and its process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "serve", "--db", str(store), "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise BenchmarkFailed(f"the store {store} is not served")
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(30)


def seconds_of(address: str) -> tuple[float, float]:
    """Return how long an answer took, to its last byte, and how much of it the queries of the store took."""
    begin = time.perf_counter()
    with urllib.request.urlopen(address, timeout=120) as answer:
        answer.read()
        told = answer.headers["Server-Timing"]
    return time.perf_counter() - begin, float(told.removeprefix("store;dur=")) / 1000


def paint(browser: Browser, address: str) -> float:
    """Return the milliseconds until somebody sees something of the overview."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(address, timeout=120_000)
    page.wait_for_function(f"() => Boolean({_PAINT.removesuffix('.startTime')})")
    found = float(page.evaluate(_PAINT))
    context.close()
    return found


def some(store: Path, count: int) -> list[dict[str, str]]:
    """Return so many interactions of all of history, each with a customer of its own."""
    with Store.open(store) as opened:
        rows = opened.rows(
            """
            SELECT min(interaction_id) AS interaction, customer_ids[1] AS customer FROM current_interaction
            WHERE len(customer_ids) > 0 GROUP BY ALL ORDER BY md5(interaction) LIMIT $count
            """,
            {"count": count},
        )
    return [{name: quote(str(value), safe="") for name, value in row.items()} for row in rows]


def main(store: Path, times: int) -> None:
    """Measure and print."""
    chromium = shutil.which("chromium")
    named = some(store, times + 1)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with serving(store) as (address, _):
            cold = paint(browser, address)
        with serving(store) as (address, process):
            rows = []
            for path in _PAGES:
                first, *spent = (seconds_of(address + path.format(**each)) for each in named)
                whole, queries = zip(*spent, strict=True)
                told = (first[0], median(whole), percentile(whole, 0.95), median(queries), percentile(queries, 0.95))
                rows.append([path, *(f"{1000 * each:.0f}" for each in told)])
            warm = sorted(paint(browser, address) for _ in range(times))
            peak = spent_by(process).peak_bytes
        browser.close()
    print(table(("page", "first ms", "p50 ms", "p95 ms", "queries p50", "queries p95"), rows))
    print(f"\nFirst paint of the overview: {cold:.0f} ms cold; warm {median(warm):.0f} ms, at most {warm[-1]:.0f} ms.")
    print(f"The server held {peak >> 20:,} MiB at its peak.", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else TIMES)
