"""Charts at the terminal: where they put what, and how wide they are."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard import charts


def row(dimension: str, value: str | None, share: float | None, count: int = 10) -> dict[str, Any]:
    """Return a row of a report whose interval reaches five points to either side."""
    low, high = (None, None) if share is None else (share - 0.05, share + 0.05)
    return {
        dimension: value, "interaction_count": count, "pending_count": 1,
        "bypass_share": share, "bypass_share_low": low, "bypass_share_high": high,
    }  # fmt: skip


def test_six_weeks_are_shown_by_day_and_a_day_more_by_week() -> None:
    assert charts.step_of([{"day": "2024-03-04"}, {"day": "2024-04-14"}]) == "day"
    assert charts.step_of([{"day": "2024-03-04"}, {"day": "2024-04-15"}]) == "week"


def test_a_trend_has_one_mark_for_each_decided_day_and_the_higher_share_stands_higher() -> None:
    shares = {"2024-03-04": 0.25, "2024-03-05": 0.65, "2024-03-06": None}
    lines = charts.trend([row("day", day, share) for day, share in shares.items()], "day", 72).splitlines()[1:]
    marks = [(height, line.index("o")) for height, line in enumerate(lines) if "o" in line]
    assert len(marks) == 2
    (high, later), (low, earlier) = marks
    assert high < low
    assert later > earlier


def test_a_week_without_interactions_keeps_its_place() -> None:
    weeks = ["2024-W52", "2025-W01", "2025-W04"]
    lines = charts.trend([row("week", week, 0.5) for week in weeks], "week", 72).splitlines()
    (marks,) = [[at for at, sign in enumerate(line) if sign == "o"] for line in lines[1:] if "o" in line]
    assert marks[2] - marks[1] == pytest.approx(3 * (marks[1] - marks[0]), abs=3)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_charts_keep_within_the_width_and_hold_no_control_characters(width: int) -> None:
    drawn = charts.trend([row("day", f"2024-03-{day:02}", 0.5) for day in range(1, 31)], "day", width)
    drawn += "\n" + charts.bars([row("team", "a" * 50, 0.5), row("team", "sales", 0.2)], "team", width)
    assert max(map(len, drawn.splitlines())) <= min(width, 80)
    assert "\x1b" not in drawn


def test_a_bar_is_as_long_as_its_share_and_says_what_it_is_made_of() -> None:
    _, sales, unknown = charts.bars([row("team", "sales", 0.5, 21), row("team", None, None)], "team", 60).splitlines()
    assert sales.count("█") == pytest.approx(sales.count("·"), abs=1)
    assert sales.endswith("50.0 %   45.0 – 55.0  of 20")
    assert unknown.startswith("– ")
    assert "█" not in unknown


def test_nothing_decided_is_said_and_not_drawn() -> None:
    assert charts.trend([row("day", "2024-03-04", None)], "day", 72).startswith("No interaction")
    assert charts.bars([], "team", 72).startswith("No interaction")
