"""On companies whose truth is known the share is measured well, and every raw event is accounted for."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from pipeline.simulate import truth_path
from tests.integration.companies import bypassflow, place, replay, simulated

SEEDS = (1, 2, 3)
# More than 20,000 interactions.
DAYS, REPRESENTATIVES = 28, 34


@pytest.fixture(scope="module", params=SEEDS)
def seed(request: pytest.FixtureRequest) -> int:
    """Seed of a company; the tests of one company follow each other."""
    return int(request.param)


@cache
def measured(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return how a simulated company was measured: the evaluation against its truth, and the accounts."""
    directory = simulated(place(f"company-{seed}"), DAYS, REPRESENTATIVES, seed)
    db = replay(directory.with_suffix(".duckdb"), directory)
    evaluation = bypassflow("evaluate", "--db", db, "--truth", truth_path(directory), "--format", "json")
    accounts = bypassflow("audit", "--db", db, "--format", "json")
    assert (evaluation.exit_code, accounts.exit_code) == (0, 0), evaluation.error + accounts.error
    return json.loads(evaluation.out), json.loads(accounts.out)


def test_the_overall_share_is_within_half_a_percentage_point_of_the_truth(seed: int) -> None:
    overall = measured(seed)[0]["overall"]

    assert overall["true_count"] >= 20_000
    assert overall["error_points"] == pytest.approx(0, abs=0.5)


def test_each_large_cell_of_channel_and_team_is_within_one_and_a_half_points(seed: int) -> None:
    cells = [cell for cell in measured(seed)[0]["cells"] if cell["true_count"] >= 400]

    assert len(cells) >= 10
    assert {(c["channel"], c["team"]): c["error_points"] for c in cells if abs(c["error_points"]) > 1.5} == {}


def test_as_many_interactions_are_found_as_there_were(seed: int) -> None:
    interactions = measured(seed)[0]["interactions"]

    assert interactions["found_error_share"] == pytest.approx(0, abs=0.005)
    assert min(interactions["precision"], interactions["recall"]) > 0.99


def test_most_traces_are_the_right_ones(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    evaluation = measured(seed)[0]
    traces = evaluation["traces"]

    with capsys.disabled():
        print(
            f"\nseed {seed}: {evaluation['overall']['true_count']:,} interactions, share "
            f"{evaluation['overall']['error_points']:+.2f} points off, traces: precision {traces['precision']:.2%}, "
            f"recall {traces['recall']:.2%}"
        )
    assert traces["precision"] > 0.9
    assert traces["recall"] > 0.9


def test_every_raw_event_of_a_simulated_company_is_accounted_for(seed: int) -> None:
    accounts = measured(seed)[1]

    assert {account["source"] for account in accounts} == {"asterisk", "mail"}
    for account in accounts:
        parts = ("interaction_count", "duplicate_count", "rejected_count")
        assert account["unaccounted_count"] == 0
        assert account["raw_count"] == sum(account[part] for part in parts) + sum(account["excluded"].values())
