"""A long run of kills while a company's records come in: `python -m tests.soak --minutes 20 --seed 1`.

Ingest, correlate, the sink and the broker are killed with SIGKILL at random, one after the other, and started again.
Prints kills and longest recovery of each, the memory of each process over time, and how many rows of the store differ
from those of a replay of the same files: none may. Ends with 1 otherwise.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from agents.broker import start_broker
from schemas.kafka import KafkaSettings
from tests.integration.arrivals import delayed, records_of
from tests.integration.chaos import LATENESS, ROLES, SPREAD, Chaos, wait_through
from tests.integration.companies import replay, simulated
from tests.integration.live import Pipeline, live_rows

_LEAST_RECORDS = 40
# Half a day of the company, so that what waits to be read stays within the lateness.
_MOST_RECORDS = 1_000


def main() -> int:
    """Run; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=0, help="at least so many, whatever the time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="f-soak-") as folder:
        return soak(Path(folder), 60 * options.minutes, options.seed, options.kills)


def soak(folder: Path, seconds: float, seed: int, least_kills: int = 0) -> int:
    """Let a company stream in for so long, under kills; return 0 when its rows are those of a replay."""
    company = simulated(folder / "company", days=14, representatives=25, seed=seed)
    with (company / "bypassflow.toml").open("a", encoding="utf-8") as stream:
        stream.write(f'\n[match]\nlateness = "{LATENESS.days}d"\n')
    expected = live_rows(replay(folder / "replayed.duckdb", company))
    records = delayed(records_of(company), seed, SPREAD)
    random = Random(seed)
    memory: dict[str, list[int]] = {}
    with start_broker(folder / "broker") as broker:
        settings = KafkaSettings.model_validate({"bootstrap": broker.bootstrap, "prefix": "soak."})
        with Pipeline(settings, company, folder / "live") as pipeline:
            for name in ("sink", "ingest", "correlate"):
                pipeline.start(name)
            pipeline.publish(records[:_LEAST_RECORDS])
            wait_through(pipeline)
            chaos = Chaos(pipeline, broker)
            begun, published = time.monotonic(), _LEAST_RECORDS
            kills = 0
            while published < len(records):
                kills += 1
                share = min((time.monotonic() - begun) / seconds, kills / max(1, least_kills))
                due = min(round(len(records) * share), published + _MOST_RECORDS)
                upto = min(len(records), max(due, published + _LEAST_RECORDS))
                role = random.choice(ROLES)
                taken = chaos.kill(role, records[published:upto])
                published = upto
                sizes = pipeline.memory()
                for name, size in sizes.items():
                    memory.setdefault(name, []).append(size)
                now = f"{time.monotonic() - begun:6.0f} s"
                print(f"{now} {role:<10} {taken:5.1f} s  {published:,} of {len(records):,}  {sizes}", flush=True)
                time.sleep(random.random())
            wait_through(pipeline)
            found = pipeline.rows()
            last_words = pipeline.logs()
    print(chaos.table())
    print(f"kills in all: {sum(map(len, chaos.recoveries.values()))}; seed {seed}; {len(records):,} records published")
    for name, found_sizes in memory.items():
        quarter = max(1, len(found_sizes) // 4)
        print(
            f"{name:<10} memory: median of the first quarter {statistics.median(found_sizes[:quarter]):.0f} MB, of the "
            f"last {statistics.median(found_sizes[-quarter:]):.0f} MB, most {max(found_sizes)} MB"
        )
    return report(found, expected, last_words)


def report(found: dict[str, list[str]], expected: dict[str, list[str]], last_words: str) -> int:
    """Print how many rows are lost, there twice, or different; return 0 when none is."""
    lost = surplus = twice = 0
    for name, rows in expected.items():
        have, want = Counter(found[name]), Counter(rows)
        lost += (want - have).total()
        surplus += (have - want).total()
        twice += sum(have[row] - want[row] for row in want if have[row] > want[row])
        if have != want:
            print(f"{name}: {len(found[name])} rows, expected {len(rows)}: {sorted((have - want).elements())[:2]}")
    print(f"rows compared: {sum(map(len, expected.values())):,}; lost {lost}, there twice {twice}, differing {surplus}")
    if lost or surplus:
        print(last_words)
    return int(bool(lost or surplus))


if __name__ == "__main__":
    sys.exit(main())
