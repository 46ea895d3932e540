"""Tables and progress in a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from rich.console import Console, RenderableType

from dashboard import terminal
from dashboard.exactness import evaluation, placebo_table
from dashboard.reading import Reading


def shown(thing: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(thing)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def row(traced: int, siloed: int, bypassed: int, pending: int, **dimensions: str | None) -> Mapping[str, Any]:
    decided = traced + siloed + bypassed
    share = (siloed + bypassed) / decided if decided else None
    return {
        **dimensions,
        "interaction_count": decided + pending,
        "traced_count": traced,
        "siloed_count": siloed,
        "bypassed_count": bypassed,
        "pending_count": pending,
        "bypass_share": share,
        "bypass_share_low": share,
        "bypass_share_high": share,
        "lowest_bypass_share": 0.25,
        "highest_bypass_share": 0.75,
    }


def test_a_group_is_named_once_and_the_total_stands_last() -> None:
    rows = [row(1, 0, 1, 0, channel="call", team="Sales"), row(1, 0, 3, 0, channel="call", team=None)]
    lines = shown(terminal.report_table(rows, ["channel", "team"], row(2, 0, 4, 0))).splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [["call", "Sales"], ["–", "4"], ["all", "6"]]


def test_a_share_that_nobody_knows_is_a_dash() -> None:
    assert "–" in shown(terminal.report_table([row(0, 0, 0, 5, team="Sales")], ["team"]))


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((0, 0, 0, 0), "No interactions."),
        ((0, 0, 0, 7), "Nothing can be said yet: all 7 interactions are pending"),
        ((1, 1, 2, 0), "Bypass share 75.0 %"),
        ((1, 0, 1, 3), "3 more are pending"),
    ],
)
def test_the_headline_says_what_is_known(counts: tuple[int, int, int, int], words: str) -> None:
    assert words in " ".join(shown(terminal.headline(row(*counts))).split())


def test_accounts_show_only_reasons_that_occur_and_unknown_ones_too() -> None:
    account = {
        "source": "pbx", "raw_count": 9, "interaction_count": 3, "duplicate_count": 1,
        "excluded": {"internal": 2, "new_reason": 1}, "rejected_count": 1, "unaccounted_count": 1,
    }  # fmt: skip
    header, _, line = shown(terminal.account_table([account])).splitlines()[1:]
    assert "internal" in header
    assert "new reason" in header
    assert "bulk" not in header
    assert line.split() == ["pbx", "9", "3", "1", "2", "1", "1", "1"]


def test_many_files_of_one_folder_are_one_line() -> None:
    def file(number: int, folder: str) -> dict[str, Any]:
        return {
            "source": "mail", "file": f"{folder}/{number}.mbox", "format": "mbox", "record_count": 10,
            "rejected_count": 1, "first_at": datetime(2024, 3, number), "last_at": datetime(2024, 4, number),
        }  # fmt: skip

    many = [file(number, "mail") for number in range(1, 13)]
    few = [file(number, "other") for number in range(1, 4)]
    text = shown(terminal.file_table([*many, *few]))
    assert "mail (12 files)" in text
    assert "other/3.mbox" in text
    assert "2024-03-01 00:00" in text
    assert "2024-04-12 00:00" in text


def test_an_interaction_shows_why_it_is_what_it_is() -> None:
    interaction = {
        "interaction_id": "0123456789abcdef", "started_at": datetime(2024, 3, 4, 9), "channel": "call", "line": "pbx",
        "direction": "inbound", "team": None, "representative_id": "r1", "identifier": None, "talk_seconds": 65.0,
        "outcome": "bypassed", "reason": "withheld", "tier": None,
    }  # fmt: skip
    line = shown(terminal.interaction_table([interaction])).splitlines()[-1]
    assert line.split() == [
        "0123456789ab", "2024-03-04", "09:00", "call", "in", "–", "r1", "–", "1", "min", "05", "s", "bypassed",
        "withheld",
    ]  # fmt: skip


def test_the_rest_of_many_problems_is_counted() -> None:
    assert "and 5 more" in shown(terminal.problem_list([f"line {n}" for n in range(15)]))


def test_chance_is_shown_per_tier() -> None:
    rows = [{"tier": "same_representative", "trace_count": 200, "placebo_count": 3, "chance_share": 0.015}]
    assert "1.5 %" in shown(placebo_table(rows, 14))


def test_small_cells_are_left_out_of_an_evaluation() -> None:
    def cell(team: str | None, count: int) -> dict[str, Any]:
        return {
            "channel": "call", "team": team, "true_count": count, "measured_count": count, "true_share": 0.5,
            "measured_share": 0.51, "error_points": 1.0,
        }  # fmt: skip

    found = {"true_count": 9, "measured_count": 9, "precision": 1.0, "recall": 1.0}
    values = {
        "cells": [cell("Large", 400), cell("Small", 399)],
        "overall": cell(None, 799),
        "interactions": {**found, "matched_count": 9},
        "traces": {**found, "right_count": 9},
    }
    text = shown(evaluation(values))
    assert "Large" in text
    assert "Small" not in text
    assert "+1.00" in text


def test_progress_shows_rate_and_time_left_on_a_terminal_and_nothing_elsewhere() -> None:
    for is_terminal in (True, False):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=is_terminal, width=120)
        with Reading(console, 1_000) as reading:
            reading.advance(500, 5_000)
            reading.begin("folding", 1, 2)
        assert ("records/s" in stream.getvalue() or "reading" in stream.getvalue()) is is_terminal
