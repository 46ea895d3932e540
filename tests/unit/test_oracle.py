"""The oracle gives what was worked out by hand."""

from __future__ import annotations

import pytest

from tests.golden.engine_cases import CASES, SETTINGS, Case
from tests.oracle import outcome
from tests.records import by_kind
from tests.worlds import case_differences


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_oracle_gives_the_outcome_worked_out_by_hand(case: Case) -> None:
    found = outcome(by_kind(case.facts), case.settings)

    assert case_differences(case.interactions, case.dispositions, case.activities, found) == []


def test_no_facts_have_no_outcome() -> None:
    found = outcome({}, SETTINGS)

    assert (found.interactions, found.dispositions, found.activity_outcomes) == ([], {}, {})


def test_names_of_cases_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
