"""A worker stops when too many of its records cannot be used."""

from __future__ import annotations

from pipeline.ceiling import Ceiling
from pipeline.intake import DeadEvent, Intaken
from pipeline.sources.registry import DeadLetter


def taken(record_count: int, *reasons: str, was_refused_before: bool = False) -> Intaken:
    letters = [
        DeadEvent(DeadLetter("r", "s", "f", 1, "record", reason, "…"), b"", "raw.calls", "x", was_refused_before)
        for reason in reasons
    ]
    return Intaken({}, letters, record_count)


def test_a_few_records_are_no_reason_to_stop() -> None:
    assert Ceiling(records=100).problem(taken(99, *["no"] * 99)) is None


def test_more_than_the_share_stops_and_says_the_commonest_reason() -> None:
    problem = Ceiling(records=100).problem(taken(100, *["kind: unknown"] * 40, *["no JSON"] * 20))
    assert problem is not None
    assert problem.startswith("60 of the last 100 records cannot be used, more than 50%; 40 of them: kind: unknown.")


def test_the_share_itself_is_still_fine() -> None:
    assert Ceiling(records=100).problem(taken(100, *["no"] * 50)) is None


def test_what_was_good_long_ago_does_not_count() -> None:
    ceiling = Ceiling(records=100)
    assert ceiling.problem(taken(1_000_000)) is None
    assert ceiling.problem(taken(60, *["no"] * 60)) is None
    assert ceiling.problem(taken(60, *["no"] * 60)) is not None


def test_small_batches_add_up() -> None:
    ceiling = Ceiling(records=100)
    said = [ceiling.problem(taken(10, *["no"] * 9)) is not None for _ in range(12)]
    assert said == [False] * 9 + [True] * 3


def test_what_a_parser_of_files_had_refused_does_not_count() -> None:
    ceiling = Ceiling(records=10)
    assert ceiling.problem(taken(100, *["no"] * 100, was_refused_before=True)) is None


def test_an_empty_batch_says_nothing() -> None:
    assert Ceiling().problem(taken(0)) is None
