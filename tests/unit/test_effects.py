"""The effect of a measure, asked of a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigurationError
from schemas.annotations import Measure
from sinks.effects import Effect, check_scope, effect
from sinks.store import Store
from tests.stores import NOON, Row, interaction_row, published, said

BEGIN = datetime(2024, 3, 4)
MEASURE = Measure(1, "Click to dial", BEGIN, ("Sales",), (), "", "", NOON)


def talks(team: str | None, before: Sequence[int], after: Sequence[int], **columns: Any) -> list[Row]:
    """Return interactions of a team with customers of its own over four weeks before and after the measure.

    `before` and `after` are how many of 100 interactions of 25 customers are untraced, and how many traced.
    """
    rows = []
    for when, (untraced, traced) in ((-1, before), (1, after)):
        for number in range(untraced + traced):
            # Over the days in the order 0, 11, 22, ... so that halves are alike.
            day = timedelta(days=28 * ((number * 0.382) % 1.0))
            at = BEGIN + (day if when > 0 else day - timedelta(days=28))
            outcome = ("bypassed" if number % 4 else "siloed") if number < untraced else "traced"
            rows.append(
                interaction_row(
                    f"{team}{columns.get('channel', '')}{when}{number}", outcome, team=team, started_at=at,
                    token=f"T-{team}-{(number * 7) % 25}", **columns,
                )
            )  # fmt: skip
    return rows


SALES = talks("Sales", (60, 40), (30, 70))
CARE = talks("Care", (50, 50), (45, 55))
DESK = talks("Desk", (80, 20), (75, 25))


def asked(folder: Path, rows: Sequence[Row], measure: Measure = MEASURE, **options: Any) -> Effect:
    with Store.open(published(folder / "bypass.duckdb", changes=said(rows))) as store:
        return effect(store, measure, **options)


def test_the_effect_is_told_beside_all_other_teams_by_name(tmp_path: Path) -> None:
    found = asked(tmp_path, [*SALES, *CARE, *DESK])

    assert found.comparison_teams == ("Care", "Desk")
    assert found.change is not None
    assert found.comparison is not None
    assert found.change.change.value == pytest.approx(-0.3)
    # 130 of 200 before, 120 of 200 after.
    assert found.comparison.change.change.value == pytest.approx(-0.05)
    assert found.comparison.difference.value == pytest.approx(-0.25)
    assert found.comparison.difference.high < 0
    assert [(row["team"], row["before_share"], row["after_share"], row["is_measured"]) for row in found.teams] == [
        ("Sales", 0.6, 0.3, True), ("Care", 0.5, 0.45, False), ("Desk", 0.8, 0.75, False),
    ]  # fmt: skip


def test_comparison_teams_can_be_named(tmp_path: Path) -> None:
    found = asked(tmp_path, [*SALES, *CARE, *DESK], compare_with=["Care"])

    assert found.comparison_teams == ("Care",)
    assert found.comparison is not None
    assert found.comparison.change.before_count == 100


def test_a_team_that_was_not_there_before_is_no_comparison(tmp_path: Path) -> None:
    new = [row for row in talks("New", (50, 50), (50, 50)) if row["started_at"] >= BEGIN]

    assert asked(tmp_path, [*SALES, *CARE, *new]).comparison_teams == ("Care",)


def test_interactions_of_no_known_team_are_in_neither_group(tmp_path: Path) -> None:
    strange = talks(None, (100, 0), (0, 100))

    assert asked(tmp_path, [*SALES, *CARE, *strange]).comparison == asked(tmp_path, [*SALES, *CARE]).comparison


def test_only_the_channels_of_the_measure_are_looked_at(tmp_path: Path) -> None:
    mail = talks("Sales", (0, 100), (100, 0), channel="email")

    found = asked(tmp_path, [*SALES, *CARE, *mail], replace(MEASURE, channels=("call",)))

    assert found.change is not None
    assert found.change.change.value == pytest.approx(-0.3)


def test_a_measure_for_all_teams_has_no_comparison_and_says_so(tmp_path: Path) -> None:
    found = asked(tmp_path, [*SALES, *CARE], replace(MEASURE, teams=()))

    assert found.change is not None
    assert (found.change.before_count, found.comparison) == (200, None)
    assert any("it holds for all teams" in warning for warning in found.warnings)


def test_a_customer_of_the_crm_counts_once_with_all_numbers(tmp_path: Path) -> None:
    rows = [{**row, "customer_ids": ["k1"], "token": f"T{at}"} for at, row in enumerate(SALES)]

    assert "of 1 customers are too few" in asked(tmp_path, rows).reason


def test_after_the_first_pending_interaction_nothing_is_counted(tmp_path: Path) -> None:
    # The window of a conversation counts from its end, so a long one holds back nothing.
    end = BEGIN + timedelta(days=14)
    late = interaction_row("late", "pending", team="Desk", started_at=BEGIN - timedelta(days=9), ended_at=end)

    found = asked(tmp_path, [*SALES, *CARE, late])

    assert found.spans is not None
    assert found.spans.until == BEGIN + timedelta(days=14)
    assert found.change is not None
    assert found.change.after_count < 60
    assert "only 14 d of 28 days after it are known" in found.warnings


@pytest.mark.parametrize(
    ("begins_at", "reason"),
    [
        (BEGIN - timedelta(days=25), "less than 7 days before it began"),
        (BEGIN + timedelta(days=25), "the data reach only until"),
    ],
)
def test_without_a_week_on_both_sides_nothing_is_said(tmp_path: Path, begins_at: datetime, reason: str) -> None:
    found = asked(tmp_path, [*SALES, *CARE], replace(MEASURE, begins_at=begins_at))

    assert found.change is None
    assert reason in found.reason


def test_what_is_pending_is_named_as_what_is_missing(tmp_path: Path) -> None:
    end = BEGIN + timedelta(days=3)
    late = interaction_row("late", "pending", started_at=end, ended_at=end)

    assert "interactions are decided only until 2024-03-07" in asked(tmp_path, [*SALES, late]).reason


def test_an_empty_store_has_no_effect_to_show(tmp_path: Path) -> None:
    assert asked(tmp_path, []).reason == "the store holds no interactions"


def test_another_measure_of_the_same_time_is_warned_of(tmp_path: Path) -> None:
    near, far, elsewhere = (
        replace(MEASURE, measure_id=number, name=name, begins_at=BEGIN + timedelta(days=days), teams=teams)
        for number, name, days, teams in ((2, "near", 7, ("Care",)), (3, "far", 90, ()), (4, "elsewhere", 7, ("X",)))
    )

    found = asked(tmp_path, [*SALES, *CARE], others=[MEASURE, near, far, elsewhere])

    assert [warning.split()[0] for warning in found.warnings if "same time" in warning] == ["'near'"]


def test_teams_that_moved_apart_before_are_warned_of(tmp_path: Path) -> None:
    rows = [
        {**row, "outcome": "bypassed" if row["started_at"] < BEGIN - timedelta(days=14) else "traced"} for row in SALES
    ]

    assert any("moved apart before it already" in warning for warning in asked(tmp_path, [*rows, *CARE]).warnings)
    assert not any("apart" in warning for warning in asked(tmp_path, [*SALES, *CARE]).warnings)


def test_another_mix_of_the_comparison_teams_is_warned_of(tmp_path: Path) -> None:
    # Nobody's habit changes, but the team that logs nothing talks three times as much.
    few, many = talks("Care", (10, 90), (10, 90)), talks("Desk", (100, 0), (300, 0))

    (warning,) = [each for each in asked(tmp_path, [*SALES, *few, *many]).warnings if "mix" in each]

    # 110 of 200 before, 310 of 400 after.
    assert warning.startswith("+22.5 points")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"compare_with": ["Nobody"]}, "unknown team 'Nobody'; expected one of Care, Sales"),
        ({"compare_with": ["Sales"]}, "the measure holds for Sales"),
        ({"span": timedelta(days=3)}, "3 days are too short"),
    ],
)
def test_questions_without_an_answer_are_refused(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        asked(tmp_path, [*SALES, *CARE], **options)


def test_a_measure_for_all_teams_cannot_be_compared_with_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="none to compare with"):
        asked(tmp_path, [*SALES, *CARE], replace(MEASURE, teams=()), compare_with=["Care"])


def test_a_scope_that_no_interaction_has_is_refused(tmp_path: Path) -> None:
    with Store.open(published(tmp_path / "bypass.duckdb", changes=said(SALES))) as store:
        check_scope(store, ["Sales"], ["call", "fax"])
        with pytest.raises(ConfigurationError, match="unknown team 'sales'"):
            check_scope(store, ["sales"], [])
        with pytest.raises(ConfigurationError, match="unknown channel 'phone'"):
            check_scope(store, [], ["phone"])
