"""Faults for a live pipeline: processes and broker are killed while records come in; and how soon it is back."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final

from agents.broker import Broker
from agents.log import KafkaLog
from agents.spool import Published
from pipeline.configuration import FILE_NAME
from pipeline.errors import TransientError
from schemas.packing import head_of
from schemas.topics import FACTS, OUTCOMES
from sinks.measures import audit
from sinks.store import Store
from tests.integration.arrivals import delayed, records_of
from tests.integration.companies import assert_same_rows, place, replay, simulated
from tests.integration.live import PATIENCE, Pipeline, ask, live_rows

PROCESSES: Final = ("ingest", "correlate", "sink")
ROLES: Final = (*PROCESSES, "broker")
# So that time is closed while a few days come in.
LATENESS: Final = timedelta(days=2)
SPREAD: Final = timedelta(days=1, hours=20)


@cache
def small_company() -> Path:
    """Return the directory of a company of some thousand raw events. To be read only."""
    company = simulated(place("small-company"), days=9, representatives=6, seed=7)
    with (company / FILE_NAME).open("a", encoding="utf-8") as stream:
        stream.write(f'\n[match]\nlateness = "{LATENESS.days}d"\n')
    return company


@cache
def small_rows() -> dict[str, list[str]]:
    """Return what a replay of it stores."""
    return live_rows(replay(place("small-company.duckdb"), small_company()))


@cache
def small_records(seed: int = 1) -> list[Published]:
    """Return its records as they arrive: late, out of order, a tenth of them twice."""
    small_rows()  # the company has its key then
    return delayed(records_of(small_company()), seed, SPREAD)


def assert_exact(pipeline: Pipeline, expected: dict[str, list[str]]) -> None:
    """Wait until all is done; then the store holds the rows of a replay, and every raw event is in one account."""
    wait_through(pipeline)
    assert_same_rows(pipeline.rows(), expected)
    with Store.open(pipeline.db) as store:
        accounts = audit(store)
    assert accounts
    assert [account["source"] for account in accounts if account["unaccounted_count"]] == []


def wait_through(pipeline: Pipeline) -> None:
    """Wait until everything published stands in the store, and start again what ends meanwhile."""
    wait_for(pipeline, lambda: bool(pipeline.status()["is_done"]), "all is stored", pause=0.5)


def wait_for(pipeline: Pipeline, reached: Callable[[], bool], what: str, pause: float = 0.05) -> None:
    """Wait for something, and start again what ends meanwhile, as a service manager does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if reached():
                return
        except (OSError, TransientError):
            pass  # the sink or the broker is away
        assert time.monotonic() < deadline, f"waited in vain until {what}{pipeline.logs()}"
        pipeline.revive()
        time.sleep(pause)


@dataclass
class Chaos:
    """Kills what runs, while records come in, and keeps how long each role took to be at work again, in seconds."""

    pipeline: Pipeline
    broker: Broker
    recoveries: dict[str, list[float]] = field(default_factory=lambda: {role: [] for role in ROLES})

    def kill(self, role: str, records: Sequence[Published]) -> float:
        """Kill a role with SIGKILL, publish records, start it again; return the seconds until it did new work."""
        facts, outcomes = self._end(FACTS), self._end(OUTCOMES)
        begun = time.monotonic()
        if role == "broker":
            self._publish(records[: len(records) // 2])
            begun = time.monotonic()
            self.broker.kill()
            self.broker.start()
            # An unflushed tail may be gone from its files, never what it confirmed: it only died, the machine did not.
            self._publish(records[len(records) // 2 :])
        else:
            self.pipeline.end(role, signal.SIGKILL)
            if role != "sink":
                self._publish(records)
            self.pipeline.start(role)
        if role == "sink":
            # It had read facts that far, or was just about to.
            wait_for(self.pipeline, lambda: self._stored() >= outcomes, "the sink stores again")
            seconds = time.monotonic() - begun
            self._publish(records)
        else:
            works = (
                (lambda: self._end(FACTS) > facts) if role == "ingest" else (lambda: self._has_folded(facts, outcomes))
            )
            wait_for(self.pipeline, works, f"{role} works again")
            seconds = time.monotonic() - begun
        self.recoveries[role].append(seconds)
        return seconds

    def table(self) -> str:
        """Return kills and the longest recovery of each role, as lines of text."""
        return "\n".join(
            f"{role:<10} {len(times):>4} kills, longest recovery {max(times, default=0):5.1f} s, "
            f"median {sorted(times)[len(times) // 2] if times else 0:5.1f} s"
            for role, times in self.recoveries.items()
        )

    def _publish(self, records: Sequence[Published]) -> None:
        """Publish, again when the broker did not confirm: what it kept all the same then stands there twice."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.pipeline.publish(records)
                return
            except TransientError:
                assert time.monotonic() < deadline
                self._renew_log()

    def _end(self, topic: str) -> int:
        try:
            return self.pipeline.log.end(topic, 0)
        except TransientError:
            self._renew_log()
            raise

    def _has_folded(self, fact_offset: int, outcomes_offset: int) -> bool:
        """Return whether something was said, from an offset on, of a message of facts from an offset on."""
        said = self.pipeline.log.read(OUTCOMES, 0, outcomes_offset, self._end(OUTCOMES))
        return any(head_of(entry.value or b"").get("last", -1) >= fact_offset for entry in said)

    def _renew_log(self) -> None:
        self.pipeline.log.close()
        self.pipeline.log = KafkaLog(self.pipeline.settings, patience=timedelta(seconds=10))

    def _stored(self) -> int:
        return int(ask(f"{self.pipeline.url}/status")["topics"][OUTCOMES]["position"])
