"""What one fold costs an engine that holds many open interactions, and how the cost of a hot customer grows.

python -m benchmarks.fold open 200000      seconds per fold of 15 new facts, beside that many open interactions
python -m benchmarks.fold hot 20000        seconds of one fold of a switchboard's interactions, all on one account
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Final

from benchmarks.generated_facts import Company
from pipeline.engine import Engine
from schemas.settings import EngineSettings

NEW_CALLS: Final = 10
NEW_ACTIVITIES: Final = 5
_WARM_UP: Final = 3
_HOT_SPAN: Final = 72 * 3600
_SETTINGS: Final = EngineSettings(company_id="benchmark")


def seconds_beside(
    open_count: int, folds: int = 20, *, begin_counting: Callable[[], None] = lambda: None
) -> dict[str, float | list[float]]:
    """Return how long each fold of 15 new facts takes, and the first of all; wall and processor seconds.

    The new calls go on where the open ones end, on customers drawn from all; a quarter of all calls has an activity.
    `begin_counting` is called before the first fold that counts.
    """
    company = Company(max(10, open_count // 10))
    engine = Engine(_SETTINGS)
    facts = company.standing() | {
        "observation": company.calls(0, open_count),
        "activity": company.activities(0, open_count // 4),
    }
    begin = time.perf_counter()
    first = engine.fold(facts, 0)
    first_seconds = time.perf_counter() - begin
    if first.tables["interaction"].num_rows != open_count:
        raise AssertionError(f"{first.tables['interaction'].num_rows} interactions of {open_count} calls")
    walls: list[float] = []
    processors: list[float] = []
    for number in range(_WARM_UP + folds):
        if number == _WARM_UP:
            begin_counting()
        new = {
            "observation": company.calls(open_count + number * NEW_CALLS, NEW_CALLS),
            "activity": company.activities(open_count // 4 + number * NEW_ACTIVITIES, NEW_ACTIVITIES, every=4),
        }
        begin, busy = time.perf_counter(), time.process_time()
        changes = engine.fold(new, number + 1)
        walls.append(time.perf_counter() - begin)
        processors.append(time.process_time() - busy)
        if changes.tables["interaction"].num_rows < NEW_CALLS:
            raise AssertionError("a fold lost calls")
    return {"first_seconds": first_seconds, "wall": walls[_WARM_UP:], "processor": processors[_WARM_UP:]}


def hot_seconds(interactions: int) -> dict[str, float]:
    """Return what one fold of so many calls of one number costs, a quarter as many activities on its account.

    All lie within 72 hours, where each of them may be the trace of each: pairs grow with the square.
    """
    company = Company(10, representatives=40, seconds_apart=_HOT_SPAN / interactions, switchboard=True)
    engine = Engine(_SETTINGS)
    facts = company.standing() | {
        "observation": company.calls(0, interactions),
        "activity": company.activities(0, interactions // 4),
    }
    begin, busy = time.perf_counter(), time.process_time()
    engine.fold(facts, 0)
    return {"wall": time.perf_counter() - begin, "processor": time.process_time() - busy}


def main(arguments: list[str]) -> None:
    kind, count, *folds = arguments
    if kind == "open":
        print(json.dumps(seconds_beside(int(count), *map(int, folds))))
    else:
        print(json.dumps(hot_seconds(int(count))))


if __name__ == "__main__":
    main(sys.argv[1:])
