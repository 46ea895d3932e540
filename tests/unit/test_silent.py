"""A report says which sources were silent in its period."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.sources.registry import Batch
from sinks.answers import StoreAnswers
from sinks.store import Store
from tests.records import MONDAY, Fact, call, email
from tests.stores import published, said

DAYS = [MONDAY + timedelta(days=number) for number in range(70)]
SILENT = {MONDAY + timedelta(days=number) for number in range(15, 18)}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreAnswers]:
    path = tmp_path_factory.mktemp("silent") / "silent.duckdb"
    calls: list[Fact] = [
        call(f"pbx:cdr.csv:{day:%m%d}{number}", day + timedelta(hours=8, minutes=number))
        for day in DAYS
        if day not in SILENT
        for number in range(12)
    ]
    mail: list[Fact] = [
        email(f"mail:in:{day:%m%d}", day + timedelta(hours=9), "T-own", ["T-anna"], message_id=f"{day:%m%d}")
        for day in DAYS
    ]
    by_source: dict[tuple[str, str], list[Fact] | Batch] = {("pbx", "cdr.csv"): calls, ("mail", "in"): mail}
    published(path, by_source, said([]))
    with StoreAnswers(Store.open(path)) as opened:
        yield opened


def day(number: int) -> str:
    return f"{DAYS[number]:%Y-%m-%d}"


def test_a_silence_in_the_period_is_a_warning(answers: StoreAnswers) -> None:
    (warning,) = answers.report([], day(7), day(21)).warnings

    assert warning.startswith("pbx has no call from 2024-03-18 11:00 to 2024-03-22 10:00, where there usually are ")
    assert warning.endswith(": its interactions are missing from the number")


def test_a_silence_outside_the_period_is_none(answers: StoreAnswers) -> None:
    assert list(answers.report(["channel"], day(28), day(35)).warnings) == []
    assert len(answers.report([], None, None).warnings) == 1


@pytest.mark.parametrize("since", ["0001-01-02", "9999-12-30"])
def test_the_ends_of_the_calendar_are_periods_too(answers: StoreAnswers, since: str) -> None:
    assert len(answers.report([], since, "9999-12-31").warnings) == (since < day(0))


def test_without_records_there_is_nothing_to_warn_of(tmp_path: Path) -> None:
    path = tmp_path / "empty.duckdb"
    published(path, {("pbx", "cdr.csv"): []}, said([]))

    with StoreAnswers(Store.open(path)) as opened:
        assert list(opened.report([], None, None).warnings) == []
