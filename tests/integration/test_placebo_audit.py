"""`audit --placebo` tells how many traces of each tier chance alone would find."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from pipeline.engine import TIER_NAMES
from sinks.placebo import chance
from sinks.store import Store
from tests.integration.companies import bypassflow, two_weeks_store


@cache
def moved(days: int) -> dict[str, dict[str, Any]]:
    """Return what is found when all activities are moved by so many days, by tier."""
    with Store.open(two_weeks_store()) as store:
        return {row["tier"]: row for row in chance(store, timedelta(days=days))}


def test_the_shared_company_has_traces_of_every_tier() -> None:
    assert list(moved(0)) == list(TIER_NAMES)
    assert all(row["trace_count"] > 0 for row in moved(0).values())


def test_moved_by_no_days_the_placebo_is_the_real_run() -> None:
    assert {tier: row["placebo_count"] for tier, row in moved(0).items()} == {
        tier: row["trace_count"] for tier, row in moved(0).items()
    }


def test_moved_by_a_hundred_days_nothing_but_exact_traces_remains() -> None:
    far = moved(100)

    assert far["exact"]["placebo_count"] == far["exact"]["trace_count"]
    assert [far[tier]["placebo_count"] for tier in TIER_NAMES[1:]] == [0, 0, 0]


@pytest.mark.parametrize("days", [7, -7])
def test_moved_by_a_week_chance_finds_less_than_the_truth_and_more_than_nothing(days: int) -> None:
    same = moved(days)["same_representative"]

    assert 0 < same["placebo_count"] < 0.5 * same["trace_count"]
    assert same["chance_share"] == same["placebo_count"] / same["trace_count"]


def test_the_command_prints_the_same_counts() -> None:
    ran = bypassflow("audit", "--db", two_weeks_store(), "--placebo", "100", "--format", "json")

    assert ran.exit_code == 0, ran.error
    assert {row["tier"]: row for row in json.loads(ran.out)} == moved(100)
