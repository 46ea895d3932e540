"""The engine and the naive second implementation say the same of the same facts."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import engine
from tests.folding import PACK_COUNT, PACK_SIZE, expected, fold_once, long_worlds_of, many_cases, small_worlds_of
from tests.worlds import World, check, differences, pack, small_worlds, switchboard, world


def _against_oracle(case: World) -> list[str]:
    return differences(expected(case), fold_once(case))


@many_cases
def test_engine_equals_oracle(number: int) -> None:
    check(small_worlds_of(number), _against_oracle)


@many_cases
def test_engine_equals_oracle_over_weeks(number: int) -> None:
    check(long_worlds_of(number), _against_oracle)


@settings(max_examples=PACK_COUNT, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cases=st.lists(small_worlds(), min_size=PACK_SIZE, max_size=PACK_SIZE))
def test_engine_equals_oracle_on_the_smallest_worlds(cases: list[World]) -> None:
    check(pack(cases), _against_oracle)


@pytest.mark.parametrize(("seed", "size"), [(1, 160), (2, 300), (3, 600)])
def test_engine_equals_oracle_on_bigger_worlds(seed: int, size: int) -> None:
    check(world(random.Random(seed), size), _against_oracle)


def test_engine_equals_oracle_on_a_busy_switchboard() -> None:
    case = switchboard(random.Random(4), calls=3000, activities=1500)

    assert differences(expected(case), fold_once(case))[:20] == []


@pytest.mark.parametrize("seed", range(6))
def test_engine_equals_oracle_when_every_customer_is_a_crowd(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CROWD_PAIRS", 0)

    check(small_worlds_of(seed), _against_oracle)
    check(long_worlds_of(seed), _against_oracle)
