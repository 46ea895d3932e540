"""How a worker stands towards its topics: how far behind it is, and why it does not go on, if it does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import faust

from pipeline.errors import BypassflowError

# A worker that has messages to read and is done with none for so long is stuck. A fold of very many facts takes
# seconds. Unit: seconds.
PATIENCE: Final = 60.0
# An answer about the broker holds for so long. Unit: seconds.
_ASKED_AGAIN: Final = 10.0

# A topic by its full name, and a partition.
Place = tuple[str, int]


@dataclass(frozen=True)
class Position:
    """The next offset that is not done, and the next that will be written, as far as the worker knows."""

    next: int
    end: int

    @property
    def behind(self) -> int:
        """Messages that are not done."""
        return max(0, self.end - self.next)


class Positions(Protocol):
    """Tells the positions of the partitions that a worker has now; None while it has joined no group."""

    def __call__(self) -> Mapping[Place, Position] | None: ...


class BrokerWatch:
    """Knows whether a broker lets us in, without asking it for everybody who wants to know. Serves all threads."""

    def __init__(self, ask: Callable[[], BypassflowError | None], clock: Callable[[], float]) -> None:
        """`ask` says why no broker lets us in, None when one does. `clock` is in seconds, from anywhere."""
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._told: tuple[float, str | None] | None = None

    def problem(self) -> str | None:
        """Return why no broker lets us in; None when one does."""
        with self._lock:
            if self._told is None or self._clock() - self._told[0] > _ASKED_AGAIN:
                found = self._ask()
                self._told = self._clock(), None if found is None else str(found)
            return self._told[1]


class Standing:
    """The truth about one worker, for whoever asks whether it is ready. Serves all threads."""

    def __init__(
        self,
        positions: Positions,
        broker: BrokerWatch,
        clock: Callable[[], float],
        busy_with: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`busy_with`: what the worker must do before it can go on. `clock` is in seconds, from anywhere."""
        self._positions = positions
        self._broker = broker
        self._clock = clock
        self._busy_with = busy_with
        self._lock = threading.Lock()
        self._seen: dict[Place, tuple[int, float]] = {}

    def problem(self) -> str | None:
        """Return why the worker is not ready; None when it is. One without partitions stands by, and is ready."""
        if (broker := self._broker.problem()) is not None:
            return broker
        positions = self._positions()
        if positions is None:
            return "the worker has not joined its group yet"
        if (work := self._busy_with()) is not None:
            return work
        stuck = [place for place, since in self._waiting(positions).items() if since > PATIENCE]
        if stuck:
            topic, partition = min(stuck)
            behind = positions[topic, partition].behind
            return (
                f"{topic}/{partition}: {behind:,} messages wait, and none was done with for more than "
                f"{PATIENCE:.0f} seconds; see the worker's log, and end the worker: a new start takes them up again"
            )
        return None

    def _waiting(self, positions: Mapping[Place, Position]) -> dict[Place, float]:
        """Return for how many seconds messages wait without any that was done with, by partition where some do."""
        now = self._clock()
        with self._lock:
            seen = {}
            for place, position in positions.items():
                if position.behind:
                    before = self._seen.get(place)
                    seen[place] = before if before is not None and before[0] == position.next else (position.next, now)
            self._seen = seen
            return {place: now - since for place, (_, since) in seen.items()}


def positions_of(app: faust.App) -> Positions:
    """Return what tells the positions of an app that has not started yet."""
    joined: list[Any] = []

    @app.on_partitions_assigned.connect  # type: ignore[arg-type]  # signals call with keywords that few want
    async def note(app: Any, assigned: Any, **_: Any) -> None:
        joined.append(app.consumer)

    def positions() -> Mapping[Place, Position] | None:
        return joined[-1].positions() if joined else None

    return positions
