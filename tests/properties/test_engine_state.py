"""An engine that is restored says exactly what the engine would have said that was saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from pipeline import engine
from pipeline.engine import Engine
from pipeline.engine_state import STATE_TABLES, EngineState
from tests.folding import long_worlds_of, seeded, small_worlds_of, some_cases
from tests.records import Fact, tables
from tests.worlds import World, arrivals, check, stream


def _rows(held: Mapping[str, pa.Table]) -> dict[str, list[str]]:
    """Return the rows of each table without regard to their order."""
    return {name: sorted(map(repr, table.to_pylist())) for name, table in held.items() if table.num_rows}


def _moved(folder: Engine) -> Engine:
    """Return another engine with the same state, through the form in which a state is kept."""
    state = folder.save()
    assert set(state.tables) <= set(STATE_TABLES)
    other = Engine(folder.settings)
    other.restore(state)
    assert _rows(other.save().tables) == _rows(state.tables)
    return other


def _fold_both(
    lasting: Engine, moving: Engine, batch: list[Fact], version: int, closes: datetime | None = None
) -> list[str]:
    """Return in what two engines differ when they fold the same."""
    expected, found = (_rows(one.fold(tables(batch), version, closes=closes).tables) for one in (lasting, moving))
    return [
        f"{name}: expected {expected.get(name)}, found {found.get(name)}"
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]


def _in_any_order(number: int) -> Callable[[World], list[str]]:
    def problems(case: World) -> list[str]:
        chance = seeded(number)
        lasting, moving = Engine(case.settings), Engine(case.settings)
        found: list[str] = []
        for version, batch in enumerate(arrivals(number, case.facts)):
            if chance.random() < 0.7:
                moving = _moved(moving)
            found += _fold_both(lasting, moving, batch, version)
        return found

    return problems


def _while_forgetting(number: int) -> Callable[[World], list[str]]:
    def problems(case: World) -> list[str]:
        chance = seeded(number)
        lateness = timedelta(days=chance.choice((0, 1, 7)))
        rules = case.settings.model_copy(update={"lateness": lateness})
        lasting, moving = Engine(rules), Engine(rules)
        found: list[str] = []
        for version, (batch, known) in enumerate(stream(number, case.facts, lateness)):
            closes = known if chance.random() < 0.6 else None
            if chance.random() < 0.7:
                moving = _moved(moving)
            found += _fold_both(lasting, moving, batch, version, closes)
        return found

    return problems


@some_cases
def test_a_restored_engine_says_the_same_of_any_arrival(number: int) -> None:
    check(small_worlds_of(number), _in_any_order(number))


@some_cases
def test_a_restored_engine_says_the_same_while_it_forgets(number: int) -> None:
    check(long_worlds_of(number), _while_forgetting(number))


@pytest.mark.parametrize("number", range(3))
def test_a_restored_engine_says_the_same_of_crowds(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CROWD_PAIRS", 0)

    check(long_worlds_of(number), _while_forgetting(number))


def test_a_state_of_another_layout_is_refused() -> None:
    case = small_worlds_of(1)
    with pytest.raises(ValueError, match="layout"):
        Engine(case.settings).restore(EngineState({}, {}, (), None, None, layout="older"))
