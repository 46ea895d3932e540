"""The engine gives what was worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.folding import fold_batches
from tests.golden.engine_cases import CASES, COMPANY, Case
from tests.records import Fact
from tests.worlds import case_differences


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_engine_gives_the_outcome_worked_out_by_hand(case: Case) -> None:
    found = fold_batches([case.facts], case.settings).outcomes()

    assert case_differences(case.interactions, case.dispositions, case.activities, found) == []


@pytest.mark.parametrize("company_comes", ["first", "last"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_engine_gives_the_same_when_events_come_one_by_one(case: Case, company_comes: str) -> None:
    events: list[Sequence[Fact]] = [[item] for item in reversed(case.facts) if item not in COMPANY]

    batches = [COMPANY, *events] if company_comes == "first" else [*events, COMPANY]
    found = fold_batches(batches, case.settings).outcomes()

    assert case_differences(case.interactions, case.dispositions, case.activities, found) == []
