"""Whatever dies, repeats, lingers or comes back: the stored result is that of one fold over the set of facts.

A failing seed names the command that repeats it. `make simulate-faults SEEDS=50000` runs as many as one likes.
"""

from __future__ import annotations

import os

import pytest

from tests.simulation.simulator import report

# Runs with the model engine, and with the real one, which takes seconds for a run.
MODEL_SEEDS = int(os.environ.get("BYPASSFLOW_FAULT_SEEDS", "400"))
REAL_SEEDS = max(1, MODEL_SEEDS // 16)
_SEEDS_A_TEST = 25


def _reports(engine: str, first: int, count: int) -> str:
    return "\n".join(filter(None, (report(seed, engine) for seed in range(first, first + count))))


@pytest.mark.parametrize("first", range(0, MODEL_SEEDS, _SEEDS_A_TEST))
def test_any_faults_leave_the_result_of_one_fold(first: int) -> None:
    assert _reports("model", first, min(_SEEDS_A_TEST, MODEL_SEEDS - first)) == ""


@pytest.mark.parametrize("first", range(0, REAL_SEEDS, 5))
def test_any_faults_leave_what_the_oracle_says_of_all_facts(first: int) -> None:
    assert _reports("real", first, min(5, REAL_SEEDS - first)) == ""
