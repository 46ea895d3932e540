"""Warnings that files of one source share are said once, with their counts added up."""

from __future__ import annotations

from pipeline.summing import summed

PASSED_OVER = "of its records tell of no conversation and were passed over"


def test_counts_of_the_files_of_a_source_are_added_up() -> None:
    warnings = [("pbx", f"cdr/{number}", f"cdr/{number}: {number:,} {PASSED_OVER}") for number in (1, 2, 1000)]

    assert summed(warnings) == [f"pbx, 3 files: 1,003 {PASSED_OVER}"]


def test_sources_are_kept_apart_and_what_one_file_says_stays_as_it_is() -> None:
    warnings = [("pbx", "a", f"a: 1 {PASSED_OVER}"), ("twilio", "b", f"b: 2 {PASSED_OVER}"), ("pbx", "a", "a: odd")]

    assert summed(warnings) == [warning for _, _, warning in warnings]


def test_several_counts_of_one_file_are_all_told_or_all_added() -> None:
    two = [("pbx", "a", f"a: 1 {PASSED_OVER}"), ("pbx", "a", f"a: 2 {PASSED_OVER}")]

    assert summed(two) == [warning for _, _, warning in two]
    assert summed([*two, ("pbx", "b", f"b: 4 {PASSED_OVER}")]) == [f"pbx, 2 files: 7 {PASSED_OVER}"]


def test_a_count_may_stand_behind_a_word() -> None:
    warnings = [("bill", name, f"{name}: in 20 of its records something is hidden") for name in ("a", "b")]

    assert summed(warnings) == ["bill, 2 files: in 40 of its records something is hidden"]


def test_a_sentence_without_a_count_is_said_of_all_files() -> None:
    warnings = [("mail", name, f"{name}: columns that are not used: Fee") for name in ("a", "b", "c")]

    assert summed(warnings) == ["mail, 3 files: columns that are not used: Fee"]


def test_numbers_that_are_no_counts_are_never_added() -> None:
    warnings = [
        ("pbx", "a", "a: times are 2 h off"), ("pbx", "b", "b: times are 3 h off"),
        ("pbx", "c", "c: 2024-05-02 is missing"), ("pbx", "d", "d: 2024-05-03 is missing"),
    ]  # fmt: skip

    assert summed(warnings) == [warning for _, _, warning in warnings]


def test_the_same_sentence_is_said_once() -> None:
    assert summed([("mail", "a", "hidden files passed over: 3"), ("mail", "b", "hidden files passed over: 3")]) == [
        "hidden files passed over: 3"
    ]
