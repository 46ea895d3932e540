"""The hour under watch is judged by what Prometheus saw: memory, lag, and alerts that nobody's death explains."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from benchmarks.endurance import ALERTS, LAG, MEMORY, judge
from benchmarks.prometheus_server import Series

BEGIN, END = 0.0, 400.0


def level(*quarters: float) -> Series:
    """Return a series that has one value in each quarter of the time, and the last one at the end."""
    return [(at, quarters[min(3, int(at // 100))]) for at in range(0, 401, 10)]


@dataclass
class Seen:
    """What a Prometheus tells."""

    memory: Series = field(default_factory=lambda: level(1e8, 2e8, 2e8, 2e8))
    lag: Series = field(default_factory=lambda: level(900, 10, 10, 0))
    alerts: dict[str, Series] = field(default_factory=dict)

    def series(self, query: str, begin: float, end: float, label: str) -> dict[str, Series]:
        if query == MEMORY:
            return {"sink": self.memory}
        if query == ALERTS:
            return self.alerts
        assert query in LAG.values()
        return {"": self.lag}


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (Seen(), []),
        (Seen(memory=level(1e8, 2e8, 3e8, 4e8)), ["the memory of sink grew"]),
        (Seen(lag=level(0, 100, 500, 900)), ["the lag of"] * 3),
        (Seen(alerts={"StoreDiskLow": [(200.0, 1.0)]}), ["StoreDiskLow fired without a kill"]),
        (Seen(alerts={"FeedSilent": [(50.0, 1.0)]}), []),
    ],
)
def test_what_does_not_hold_is_told(seen: Seen, told: list[str]) -> None:
    problems = judge(seen, BEGIN, END, [])

    assert len(problems) == len(told)
    assert all(problem.startswith(part) for problem, part in zip(problems, told, strict=True))


def test_an_alert_after_a_kill_is_of_the_kill_and_one_before_it_is_not() -> None:
    seen = Seen(alerts={"ProcessDown": [(200.0, 1.0)]})

    assert judge(seen, BEGIN, END, [(150.0, "sink")]) == []
    assert judge(seen, BEGIN, END, [(250.0, "sink")]) != []


def test_an_alert_that_fires_again_or_on_and_on_is_told() -> None:
    again = Seen(alerts={"ProcessDown": [(160.0, 1.0), (300.0, 1.0)]})
    on_and_on: Series = [(float(at), 1.0) for at in range(60, 400, 10)]

    assert len(judge(again, BEGIN, END, [(150.0, "sink")])) == 1
    assert len(judge(Seen(alerts={"ProcessDown": on_and_on}), BEGIN, END, [(50.0, "sink")])) == 1
