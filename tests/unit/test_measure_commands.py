"""`bypassflow measure`: note what was changed, and see what came of it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from sinks.annotations import Annotations, beside
from tests.integration.companies import Ran, bypassflow
from tests.stores import published, said
from tests.unit.test_effects import CARE, SALES


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return published(tmp_path / "bypass.duckdb", changes=said([*SALES, *CARE]))


def measure(db: Path, *arguments: str | Path) -> Ran:
    return bypassflow("measure", *arguments, "--db", db)


def added(db: Path, *arguments: str | Path, begins: str = "2024-03-04T00:00:00Z") -> None:
    ran = measure(db, "add", "Click to dial", "--begins", begins, "--team", "Sales", *arguments)
    assert ran.exit_code == 0, ran.error


def test_a_measure_that_was_noted_shows_its_effect(db: Path) -> None:
    added(db, "--note", "pilot", "--author", "Eva")

    listed, shown = measure(db, "list"), measure(db, "effect", "click to dial".capitalize())

    assert "Click to dial" in listed.out
    assert "pilot" in listed.out
    assert "where it holds" in shown.out
    assert "compared with" in shown.out
    assert "Beside the other teams, the bypass share changed by" in shown.out


def test_the_day_of_a_measure_begins_in_the_companys_zone(db: Path) -> None:
    added(db, begins="2024-03-04")

    (kept,) = Annotations(beside(db)).measures()

    # Helsinki is two hours ahead in March.
    assert kept.begins_at == datetime(2024, 3, 3, 22)


def test_the_effect_is_told_as_json_too(db: Path) -> None:
    added(db)

    told = json.loads(measure(db, "effect", "1", "--compare", "Care", "--format", "json").out)

    assert told["comparison_teams"] == ["Care"]
    assert told["change"]["before_count"] == 100
    difference = told["comparison"]["difference"]
    assert difference["low"] < difference["value"] < difference["high"] < 0


def test_too_little_is_said_and_is_no_failure(db: Path) -> None:
    ran = measure(db, "add", "late", "--begins", "2024-03-30", "--team", "Sales")
    assert ran.exit_code == 0

    shown = measure(db, "effect", "late")

    assert shown.exit_code == 0
    assert "Nothing can be said yet: the data reach only until" in shown.out


def test_a_measure_for_a_team_that_is_not_there_is_refused(db: Path) -> None:
    ran = measure(db, "add", "x", "--begins", "2024-03-04", "--team", "sales")

    assert (ran.exit_code, beside(db).exists()) == (1, False)
    assert "unknown team 'sales'; expected one of Care, Sales" in ran.error


def test_a_removed_measure_is_listed_no_more(db: Path) -> None:
    added(db)

    assert measure(db, "remove", "Click to dial").exit_code == 0
    assert "no measures" in measure(db, "list").error


def test_annotations_can_be_kept_elsewhere(db: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "kept.sqlite"
    added(db, "--annotations", elsewhere)

    assert not beside(db).exists()
    assert "no measures" in measure(db, "list").error
    assert json.loads(measure(db, "list", "--annotations", elsewhere, "--format", "json").out)[0]["teams"] == ["Sales"]


def test_a_store_that_is_not_there_has_no_empty_list_of_measures(tmp_path: Path) -> None:
    ran = measure(tmp_path / "mistyped.duckdb", "list")

    assert ran.exit_code == 1
    assert "there is no store at" in ran.error
