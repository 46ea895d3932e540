"""A replay is a function of the set of its files: how often, in which steps and in which order changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pipeline import replay as replaying
from tests.integration.companies import (
    assert_same_rows,
    replay,
    rows_of,
    two_weeks,
    two_weeks_rows,
    two_weeks_store,
)


def test_the_shared_company_has_every_outcome_and_disposition() -> None:
    interactions = "\n".join(two_weeks_rows()["interactions"])
    for word in ("traced", "siloed", "bypassed", "pending", "not_logged", "unknown_customer", "withheld"):
        assert f"'{word}'" in interactions or f": {word}" in interactions
    counts = "\n".join(two_weeks_rows()["disposition_count"])
    assert all(word in counts for word in ("interaction", "duplicate", "excluded", "internal", "no_human"))
    assert len(two_weeks_rows()["interactions"]) > 1_500


def test_replaying_the_same_files_again_changes_no_row(tmp_path: Path) -> None:
    db = Path(shutil.copy(two_weeks_store(), tmp_path / "flow.duckdb"))

    replay(db, two_weeks().directory)

    assert_same_rows(rows_of(db), two_weeks_rows())


def test_half_of_the_files_and_then_all_of_them_end_in_the_rows_of_one_clean_run(tmp_path: Path) -> None:
    db = tmp_path / "flow.duckdb"

    replay(db, *two_weeks().files[::2], config=two_weeks().config)
    halfway = rows_of(db)
    replay(db, two_weeks().directory)

    assert halfway != two_weeks_rows()
    assert_same_rows(rows_of(db), two_weeks_rows())


def test_the_first_week_and_later_the_second_alone_end_in_the_rows_of_one_clean_run(tmp_path: Path) -> None:
    db = tmp_path / "flow.duckdb"

    replay(db, *two_weeks().common, *two_weeks().first, config=two_weeks().config)
    halfway = rows_of(db)
    replay(db, *two_weeks().second, config=two_weeks().config)

    assert 0 < len(halfway["interactions"]) < len(two_weeks_rows()["interactions"])
    assert_same_rows(rows_of(db), two_weeks_rows())


def test_the_second_week_and_later_the_first_one_with_the_customers_end_in_the_rows_of_one_clean_run(
    tmp_path: Path,
) -> None:
    db = tmp_path / "flow.duckdb"

    replay(db, *reversed(two_weeks().second), config=two_weeks().config)
    replay(db, *two_weeks().first, *reversed(two_weeks().common), config=two_weeks().config)

    assert_same_rows(rows_of(db), two_weeks_rows())


def test_files_given_one_by_one_in_another_order_give_the_same_rows(tmp_path: Path) -> None:
    db = replay(tmp_path / "flow.duckdb", *reversed(two_weeks().files), config=two_weeks().config)

    assert_same_rows(rows_of(db), two_weeks_rows())


@pytest.mark.parametrize("rows", [1_000, 4_000])
def test_folding_in_small_windows_and_forgetting_in_between_gives_the_same_rows(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(replaying, "fold_all", partial(_fold_all, replaying.fold_all, rows, told))

    db = replay(tmp_path / "flow.duckdb", two_weeks().directory)

    assert told[-1][0] == told[-1][1] > 1
    assert_same_rows(rows_of(db), two_weeks_rows())


def _fold_all(
    fold_all: Callable[..., None], rows: int, told: list[tuple[int, int]], log: object, engine: object, **_: object
) -> None:
    """Fold as the command does, but in windows of so many rows."""
    fold_all(log, engine, rows=rows, folded=lambda done, total: told.append((done, total)))
