"""One run of the live pipeline under faults, from a seed: ingest, correlate and sink on simulated time, in one process.

Processes die and come back at any call of the log, between the parts of a group and the chunks of a checkpoint too;
several workers hold the partition at once; messages are handed over again, or never; the broker compacts and forgets.
Lanes may be read unevenly: then one is at the end of the history when another is at its beginning.
Afterwards everything is given the time to end, and the stored result must be that of one fold over the set of facts.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import pyarrow as pa

from pipeline.checkpoints import Checkpoints
from pipeline.correlation import Correlator, Folding, Limits
from pipeline.engine import Engine
from pipeline.errors import Fenced, TransientError
from pipeline.lanes import latest
from pipeline.outcomes import Group, OutcomeReader
from pipeline.stretches import read_stretch
from schemas.log import Draft, Entry
from schemas.packing import Pack, pack
from schemas.settings import EngineSettings
from schemas.topics import CHECKPOINTS, FACTS, OUTCOMES
from tests.memory_log import MemoryLog
from tests.oracle import Outcomes, outcome
from tests.records import DAY, MONDAY, Fact, activity, by_kind, call, tables
from tests.simulation.model_engine import ModelEngine
from tests.worlds import Ledger, differences, event_time, history

# Between two messages of ingest, in milliseconds; an hour: it was down.
_PAUSES = (0, 4_000, 10_000, 10_000, 3_600_000)
_TOPICS = {FACTS: 1, OUTCOMES: 1, CHECKPOINTS: 1}


class Killed(BaseException):
    """The process is gone; nothing may catch this but the simulator."""


@dataclass(frozen=True)
class Faults:
    """How often a call of the log kills its process, fails, or lets others go on in the middle of it."""

    kill: float
    fail: float
    interrupt: float


@dataclass(frozen=True)
class Plan:
    """What a seed asks for: facts in their order of arrival, and under what they are folded.

    `lanes` are those of the facts, one each; None: messages tell of none, as an earlier version wrote them.
    """

    settings: EngineSettings
    facts: Sequence[Fact]
    make_engine: Callable[[EngineSettings], Folding]
    faults: Faults
    limits: Limits
    batch: int
    has_late: bool
    lanes: Sequence[str] | None = None

    def expected(self) -> Outcomes:
        """Return what all facts at once say: the naive second implementation, or the model."""
        if self.make_engine is not ModelEngine:
            return outcome(by_kind(self.facts), self.settings)
        ledger = Ledger()
        ledger.apply(ModelEngine(self.settings).fold(tables(self.facts)))
        return ledger.outcomes()


class ProcessLog:
    """The log as one process sees it, until it dies."""

    def __init__(self, log: MemoryLog, simulation: Simulation) -> None:
        self._log = log
        self._simulation = simulation

    def append(self, drafts: Sequence[Draft]) -> list[int]:
        offsets = []
        for draft in drafts:
            self._simulation.strike()
            (offset,) = self._log.append([draft])
            offsets.append(offset)
            if draft.topic == FACTS:
                self._simulation.note(list(self._log.read(FACTS, 0, offset, offset + 1)))
        self._simulation.strike()
        return offsets

    def read(self, topic: str, partition: int, start: int, stop: int) -> Iterator[Entry]:
        self._simulation.strike()
        return self._log.read(topic, partition, start, stop)

    def begin(self, topic: str, partition: int) -> int:
        return self._log.begin(topic, partition)

    def end(self, topic: str, partition: int) -> int:
        self._simulation.strike()
        return self._log.end(topic, partition)


class Sink:
    """A store in memory that keeps the real one's rules: rows and position change together or not at all."""

    def __init__(self, company_id: str) -> None:
        self.ledger = Ledger()
        self.groups: list[Group] = []
        self._company_id = company_id
        self._stored: tuple[int, int | None, int] = (0, None, -1)
        self.restart()

    def restart(self) -> None:
        """Lose what was only in memory."""
        position, epoch, last = self._stored
        self._next, self._reader = position, OutcomeReader(self._company_id, epoch, last)

    @property
    def position(self) -> int:
        """From where on the outcomes are still needed."""
        return self._stored[0]

    def apply(self, log: MemoryLog, count: int) -> None:
        """Take up to so many messages."""
        for entry in list(log.read(OUTCOMES, 0, self._next, self._next + count)):
            group = self._reader.feed(entry)
            if group is not None:
                self.ledger.apply(group)
                self.groups.append(group)
            self._next = entry.offset + 1
        if self._reader.position is not None:
            self._stored = (self._reader.position, self._reader.epoch, self._reader.last)


@dataclass(eq=False)
class Worker:
    """A process that correlates, and where its consumer stands."""

    correlator: Correlator
    cursor: int


class Simulation:
    """One run. Every draw comes from one generator, so a seed is a run."""

    def __init__(self, plan: Plan, rng: random.Random, step_count: int) -> None:
        self._plan = plan
        self._rng = rng
        self._step_count = step_count
        # Messages are stamped later than anything happens, so that every event time is believed; each a bit later.
        self._log = MemoryLog(_TOPICS, now_ms=4_000_000_000_000)
        self._published: list[Entry] = []
        self._ingested = 0
        self._workers: list[Worker] = []
        self._busy: list[object] = []
        self._sink = Sink(plan.settings.company_id)
        self._is_calm = False
        self.counts: Counter[str] = Counter()

    def run(self) -> list[str]:
        """Return in what the stored result is wrong; nothing when it is right."""
        for _ in range(self._step_count):
            self._step()
        self._is_calm = True
        while self._ingested < len(self._plan.facts):
            self._ingest()
        self._begin_worker(catches_up=True)
        self._sink.apply(self._log, self._log.end(OUTCOMES, 0))
        self.counts["closed"] += len({group.closed_through for group in self._sink.groups} - {None})
        return [*self._order_problems(), *self._result_problems()]

    def strike(self) -> None:
        """Let fate have its way with the process that calls."""
        if self._is_calm:
            return
        faults, luck = self._plan.faults, self._rng.random()
        if luck < faults.kill:
            raise Killed
        if luck < faults.kill + faults.fail:
            raise TransientError("the broker did not answer")
        if luck < faults.kill + faults.fail + faults.interrupt and len(self._busy) < 3:
            self._step()

    # -- what happens -------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        actions: list[tuple[int, str, object, Callable[[], None]]] = [
            (4, "ingest", "ingest", self._ingest),
            (3, "sink", "sink", lambda: self._sink.apply(self._log, self._rng.randint(1, 6))),
            (1, "sink dies", "sink", self._sink.restart),
            (1, "compaction", "broker", lambda: self._log.compact(CHECKPOINTS, 0)),
            (1, "retention", "broker", self._expire),
            (4 if not self._workers else 1, "rebalance", object(), self._begin_worker),
        ]
        for worker in self._workers:
            actions.append((4, "fold", worker, partial(self._fold, worker)))
            actions.append((1, "checkpoint", worker, partial(self._checkpoint, worker)))
        free = [action for action in actions if action[2] not in self._busy]
        _, name, actor, act = self._rng.choices(free, [weight for weight, *_ in free])[0]
        self._busy.append(actor)
        self.counts[name] += 1
        try:
            act()
        except Killed:
            self.counts["killed"] += 1
            self._remove(actor)
        except Fenced:
            self.counts["fenced"] += 1
            self._remove(actor)
        except TransientError:
            self.counts["failed"] += 1
            if not isinstance(actor, Worker) or name != "checkpoint":
                self._remove(actor)
        finally:
            self._busy.pop()

    def _remove(self, actor: object) -> None:
        self._workers = [worker for worker in self._workers if worker is not actor]

    def _ingest(self) -> None:
        """Publish the next raw events; who dies in between publishes them again."""
        if not self._is_calm and self._rng.random() < 0.15:
            self._ingested = max(0, self._ingested - self._rng.randint(1, 2 * self._plan.batch))
        count = self._rng.randint(1, self._plan.batch)
        first, stop = self._ingested, min(self._ingested + count, len(self._plan.facts))
        self._log.now_ms += self._rng.choice(_PAUSES)
        if first < stop:
            cut = self._rng.randint(first, stop)
            parts = [range(first, cut), range(cut, stop)]
            ProcessLog(self._log, self).append([self._draft(part) for part in parts if part])
        self._ingested = stop

    def _draft(self, places: range) -> Draft:
        head: dict[str, object] = {"type": "facts", "company_id": self._plan.settings.company_id}
        facts = [self._plan.facts[place] for place in places]
        if self._plan.lanes is not None:
            reached: dict[str, int] = {}
            for place, item in zip(places, facts, strict=True):
                time, lane = latest(tables([item])), self._plan.lanes[place]
                if time is not None:
                    reached[lane] = max(time, reached.get(lane, time))
            head["lanes"] = reached
        return Draft(FACTS, 0, pack(Pack(head, tables(facts))))

    def note(self, entries: Sequence[Entry]) -> None:
        """Remember what stands on the facts partition, whatever the broker forgets."""
        self._published += entries

    def _begin_worker(self, *, catches_up: bool | None = None) -> None:
        """Let a worker take the partition; those that held it may go on as if nothing had happened."""
        while self._workers and (len(self._workers) > 2 or self._rng.random() < 0.4):
            self._workers.pop(self._rng.randrange(len(self._workers)))
        plan, log = self._plan, ProcessLog(self._log, self)
        correlator = Correlator(plan.settings, 0, log, limits=plan.limits, make_engine=plan.make_engine)
        recovery = correlator.start()
        self.counts["restored" if recovery.checkpoint else "began"] += 1
        if catches_up or (catches_up is None and self._rng.random() < 0.5):
            correlator.catch_up()
        cursor = max(0, correlator.position + self._rng.randint(-3, 2))
        self._workers.append(Worker(correlator, min(cursor, self._log.end(FACTS, 0))))

    def _fold(self, worker: Worker) -> None:
        begin = max(worker.cursor, self._log.begin(FACTS, 0))
        entries = list(self._log.read(FACTS, 0, begin, begin + self._rng.randint(1, 4)))
        if entries:
            worker.correlator.fold(entries)
            worker.cursor = entries[-1].offset + 1
            if self._rng.random() < 0.1:
                worker.cursor = max(0, worker.cursor - self._rng.randint(1, 3))

    def _checkpoint(self, worker: Worker) -> None:
        worker.correlator.checkpoint()

    def _expire(self) -> None:
        """Forget what no checkpoint and no sink needs any more."""
        checkpoints = Checkpoints(self._log, 0, self._plan.settings.company_id)
        newest = {manifest.slot: manifest for manifest in reversed(list(checkpoints.manifests()))}
        if len(newest) == 2 and all(checkpoints.load(manifest) is not None for manifest in newest.values()):
            self._log.expire(FACTS, 0, min(manifest.position for manifest in newest.values()))
            needed = [manifest.outcomes_offset for manifest in newest.values()]
            self._log.expire(OUTCOMES, 0, min(*needed, self._sink.position))

    # -- what must hold -----------------------------------------------------------------------------------------------

    def _order_problems(self) -> list[str]:
        """Every facts message is in exactly one group that counts, in order."""
        expected, problems = 0, []
        for group in self._sink.groups:
            if group.first != expected:
                problems.append(f"a group begins at {group.first}, expected {expected}")
            expected = group.last + 1
        if expected != self._log.end(FACTS, 0):
            problems.append(f"groups end at {expected} of {self._log.end(FACTS, 0)}")
        return problems

    def _result_problems(self) -> list[str]:
        plan = self._plan
        if not plan.has_late:
            return differences(plan.expected(), self._sink.ledger.outcomes())
        # What is late depends on when it came: an engine that lives through all of it says what must have been said.
        lasting = plan.make_engine(plan.settings)
        problems, closed = [], None
        for group in self._sink.groups:
            entries = [entry for entry in self._published if group.first <= entry.offset <= group.last]
            stretch = read_stretch(entries, plan.settings.company_id)
            closes = group.closed_through if group.closed_through != closed else None
            said = lasting.fold(stretch.tables, group.last, closes=closes)
            closed = group.closed_through
            if _rows(said.tables) != _rows(group.tables):
                problems.append(
                    f"group {group.first}-{group.last}: expected {_rows(said.tables)}, found {_rows(group.tables)}"
                )
        return problems


def _rows(held: Mapping[str, pa.Table]) -> dict[str, list[str]]:
    return {name: sorted(map(repr, table.to_pylist())) for name, table in sorted(held.items()) if table.num_rows}


# -- plans ------------------------------------------------------------------------------------------------------------


def simulate(seed: int, engine: str = "model") -> tuple[list[str], Counter[str]]:
    """Return what went wrong in the run of a seed, and how often what happened."""
    rng = random.Random(f"{engine} {seed}")
    plan, step_count = (_real_plan(rng), 24) if engine == "real" else (_model_plan(rng), rng.choice((30, 80, 160)))
    simulation = Simulation(plan, rng, step_count)
    return simulation.run(), simulation.counts


def _real_plan(rng: random.Random) -> Plan:
    case = history(rng, rng.randint(2, 6))
    rules = case.settings.model_copy(update={"lateness": timedelta(days=7)})
    facts = _arriving(rng, case.facts, timedelta(days=rng.choice((0, 1, 3))))
    facts, lanes = _unevenly(rng, facts) if rng.random() < 0.5 else (facts, None)
    limits = Limits(rng.choice((10, 1000)), rng.choice((10, 1000)), rng.choice((1_000, 100_000)), 10_000)
    faults = Faults(rng.choice((0.0, 0.03)), rng.choice((0.0, 0.02)), rng.choice((0.0, 0.05)))
    return Plan(
        rules, facts, partial(Engine, threads=1), faults, limits, len(facts) // rng.choice((4, 12)) + 1, False, lanes
    )


def _model_plan(rng: random.Random) -> Plan:
    has_late = rng.random() < 0.5
    rules = EngineSettings(company_id="demo", lateness=timedelta(days=2))
    facts = _model_facts(rng, rng.choice((10, 30, 60)), moves=has_late)
    facts = _arriving(rng, facts, timedelta(days=12 if has_late else 0.5))
    facts, lanes = _unevenly(rng, facts) if rng.random() < 0.5 else (facts, None)
    limits = Limits(
        rng.choice((1, 5, 1000)), rng.choice((1, 5, 1000)), rng.choice((1, 300, 100_000)), rng.choice((200, 10_000))
    )
    faults = Faults(rng.choice((0.0, 0.01, 0.05)), rng.choice((0.0, 0.01, 0.05)), rng.choice((0.0, 0.05, 0.2)))
    return Plan(rules, facts, ModelEngine, faults, limits, rng.choice((2, 5, 12)), has_late, lanes)


def _model_facts(rng: random.Random, count: int, *, moves: bool) -> list[Fact]:
    """Return observations of few keys and activities in several versions; with `moves` those are of other times too."""
    facts = []
    for number in range(count):
        key = rng.randrange(max(2, count // 4))
        start = MONDAY + key * timedelta(hours=31) + timedelta(minutes=rng.randrange(120))
        if rng.random() < 0.6:
            attempt = "unanswered" if rng.random() < 0.15 else "talk"
            facts.append(call(f"pbx:{number}", start, key=f"k{key}", attempt=attempt))
        else:
            logged = start + (rng.randint(-9, 9) * DAY if moves else timedelta(0))
            logged = logged if moves else MONDAY + key * timedelta(hours=31)
            updated = start + timedelta(seconds=number)
            facts.append(activity(f"a{key}", logged, updated_at=updated, raw_id=f"crm:{number}"))
    return facts


def _arriving(rng: random.Random, facts: Sequence[Fact], delay: timedelta) -> list[Fact]:
    """Return facts in an order of arrival: by event time and a delay; what has no time comes first."""

    def arrival(item: Fact) -> datetime:
        time = event_time(item)
        return MONDAY - DAY if time is None else time + delay * rng.random()

    return sorted(facts, key=arrival)


def _unevenly(rng: random.Random, facts: Sequence[Fact]) -> tuple[list[Fact], list[str]]:
    """Return facts as they come when lanes with few and with many of them are read at one pace, and the lane of each.

    A lane keeps its order, and is heard of at least once in `len(lanes)` facts until it has ended: within the minute,
    even where each fact is a message. What has no time comes first.
    """
    found = [(item, "raw.contacts/0") for item in facts if event_time(item) is None]
    timed = [item for item in facts if event_time(item) is not None]
    names = ["raw.activities/0", "raw.emails/0", "raw.calls/0", "raw.calls/1"][: rng.randint(2, 4)]
    weights = [4**place for place in range(len(names))]
    lanes: dict[str, list[Fact]] = {name: [] for name in names}
    for item in timed:
        lanes[rng.choices(names, weights)[0]].append(item)
    for place in range(len(timed)):
        found += [(members[place], name) for name, members in lanes.items() if place < len(members)]
    return [item for item, _ in found], [name for _, name in found]


def main() -> int:
    """Run seeds and say which failed; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.simulator", description=simulate.__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--engine", choices=("model", "real"), default="model")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    run = partial(_reported, engine=asked.engine)
    failed = 0
    counts: Counter[str] = Counter()
    with ProcessPoolExecutor(asked.processes) as pool:
        for seed, (report, happened) in enumerate(
            pool.map(run, range(asked.first, asked.first + asked.seeds), chunksize=20), asked.first
        ):
            counts += happened
            if report:
                failed += 1
                print(report, flush=True)
            elif (seed + 1) % 1_000 == 0:
                print(f"{seed + 1} seeds", file=sys.stderr, flush=True)
    print(f"{asked.seeds} seeds, {failed} failed; {dict(sorted(counts.items()))}")
    return 1 if failed else 0


def report(seed: int, engine: str) -> str:
    """Return what went wrong in the run of a seed and the command that repeats it; nothing when all was right."""
    return _reported(seed, engine)[0]


def _reported(seed: int, engine: str) -> tuple[str, Counter[str]]:
    again = f"python -m tests.simulation.simulator --engine {engine} --first {seed}"
    try:
        problems, counts = simulate(seed, engine)
    except Exception:
        return f"seed {seed} broke; again with: {again}\n{traceback.format_exc()}", Counter()
    return ("\n".join([f"seed {seed} failed; again with: {again}", *problems[:10]]) if problems else ""), counts


if __name__ == "__main__":
    sys.exit(main())
