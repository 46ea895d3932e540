"""Whether a worker is ready: it tells the truth about its broker, its partitions and what it is busy with."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry, Gauge

from agents.standing import PATIENCE, BrokerWatch, Place, Position, Standing
from agents.watched import Watched
from pipeline.errors import BypassflowError, ConfigurationError, TransientError

CALLS: Place = ("raw.calls", 0)


@dataclass
class World:
    """A worker's surroundings, and a clock that is moved by hand."""

    positions: Mapping[Place, Position] | None = field(default_factory=lambda: {CALLS: Position(5, 5)})
    broker: BypassflowError | None = None
    busy_with: str | None = None
    now: float = 1000.0
    asked_count: int = 0

    def standing(self) -> Standing:
        def ask() -> BypassflowError | None:
            self.asked_count += 1
            return self.broker

        watch = BrokerWatch(ask, lambda: self.now)
        return Standing(lambda: self.positions, watch, lambda: self.now, lambda: self.busy_with)


def test_a_worker_that_is_done_with_everything_is_ready_however_long_nothing_comes() -> None:
    world = World()
    standing = world.standing()

    for _ in range(10):
        world.now += PATIENCE
        assert standing.problem() is None


def test_a_worker_that_is_behind_and_goes_on_is_ready() -> None:
    world = World()
    standing = world.standing()

    for done in range(10):
        world.positions = {CALLS: Position(done, 1_000)}
        world.now += PATIENCE - 1
        assert standing.problem() is None


def test_a_worker_that_is_done_with_nothing_while_messages_wait_is_not_ready() -> None:
    world = World(positions={CALLS: Position(5, 7), ("raw.mail", 1): Position(3, 3)})
    standing = world.standing()

    assert standing.problem() is None
    world.now += PATIENCE + 1

    assert "raw.calls/0: 2 messages wait" in (standing.problem() or "")


def test_time_in_which_nothing_waited_does_not_count() -> None:
    world = World()
    standing = world.standing()
    standing.problem()
    world.now += 10 * PATIENCE
    world.positions = {CALLS: Position(5, 6)}

    assert standing.problem() is None
    world.now += PATIENCE - 1
    assert standing.problem() is None


def test_a_worker_without_partitions_stands_by_and_is_ready_and_one_that_has_not_joined_is_not() -> None:
    assert World(positions={}).standing().problem() is None
    assert "has not joined" in (World(positions=None).standing().problem() or "")


def test_a_worker_that_rebuilds_is_not_ready() -> None:
    assert World(busy_with="the engine is rebuilt").standing().problem() == "the engine is rebuilt"


def test_a_broker_that_is_away_is_told_and_not_asked_for_everybody() -> None:
    world = World(broker=TransientError("the broker is away"))
    standing = world.standing()

    assert [standing.problem() for _ in range(5)] == ["the broker is away"] * 5
    assert world.asked_count == 1
    world.broker = None
    world.now += 11
    assert standing.problem() is None


def asked(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_figures_and_readiness_are_told_over_http() -> None:
    registry = CollectorRegistry()
    Gauge("bypassflow_test_rows", "Rows", registry=registry).set(3)
    problems: list[str | None] = ["it waits", None]

    with Watched(registry, lambda: problems.pop(0), "127.0.0.1", 0) as watched:
        assert "bypassflow_test_rows 3.0" in asked(f"{watched.url}/metrics")[1]
        status, text = asked(f"{watched.url}/readyz")
        assert (status, json.loads(text)) == (503, {"state": "not ready", "reason": "it waits"})
        assert asked(f"{watched.url}/readyz") == (200, '{"state":"running"}')
        assert asked(f"{watched.url}/healthz")[0] == 200
        assert asked(f"{watched.url}/other")[0] == 404


def test_an_address_that_is_taken_is_told_with_the_option_to_change() -> None:
    with Watched(CollectorRegistry(), lambda: None, "127.0.0.1", 0) as watched:
        port = int(watched.url.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match="name another --metrics"):
            Watched(CollectorRegistry(), lambda: None, "127.0.0.1", port)
