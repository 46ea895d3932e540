"""Charts for people at a terminal, of characters alone: they look the same without colour and in a file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal

import plotext
from rich.cells import cell_len, set_cell_size

from dashboard import terminal

Row = Mapping[str, Any]
Step = Literal["day", "week"]

# More days than these are shown as weeks.
MOST_DAYS: Final = 42
NARROWEST: Final = 40
WIDEST: Final = 80
_TREND_HEIGHT: Final = 16
_TICK_WIDTH: Final = 14
_LONGEST_NAME: Final = 24


def step_of(days: Sequence[Row]) -> Step:
    """Return by what a trend is shown, given the rows of a report by day: by day for short spans, else by week.

    >>> step_of([{"day": "2024-03-04"}, {"day": "2024-03-29"}]), step_of([{"day": "2024-03-04"}, {"day": "2024-06-04"}])
    ('day', 'week')
    """
    starts = [date.fromisoformat(row["day"]).toordinal() for row in days]
    return "day" if not starts or max(starts) - min(starts) < MOST_DAYS else "week"


def trend(rows: Iterable[Row], step: Step, width: int) -> str:
    """Return the share by day or week, each an o on the line of its 95 % interval, at most `width` characters wide.

    Days and weeks without a decided interaction are left empty, and keep their place.
    """
    decided = [row for row in rows if row["bypass_share"] is not None]
    if not decided:
        return "No interaction of this period is decided yet, so there is no trend."
    width = _fitting(width)
    places = [_place(row[step], step) for row in decided]
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, _TREND_HEIGHT)
    for place, row in zip(places, decided, strict=True):
        ends = [100 * row["bypass_share_low"], 100 * row["bypass_share_high"]]
        figure.draw(figure.segment([place, place], ends, marker="|"))
    shares = [100 * row["bypass_share"] for row in decided]
    figure.draw(figure.signal(places, shares, marker="o"))
    floor = 10 * math.floor(10 * min(row["bypass_share_low"] for row in decided))
    ceiling = 10 * math.ceil(10 * max(row["bypass_share_high"] for row in decided))
    figure.ruler("y").lim(floor, ceiling)
    marks = list(range(floor, ceiling + 1, 10 if ceiling - floor <= 50 else 20))
    figure.ruler("y").ticks(marks, [f"{mark} %" for mark in marks])
    figure.ruler("x").lim(min(places) - 0.5, max(places) + 0.5)
    every = math.ceil(len(places) / max(1, width // _TICK_WIDTH))
    figure.ruler("x").ticks(places[::every], [row[step] for row in decided][::every])
    drawn = figure.build().string(colorless=True)
    figure.clear()
    lines = "\n".join(line.rstrip() for line in drawn.splitlines())
    return f"Share by {step} (o), 95 % interval (|)\n{lines}"


def bars(rows: Iterable[Row], dimension: str, width: int) -> str:
    """Return one line for each row: its name, its share as a bar and in per cent, its interval, and what is decided."""
    lines = [
        (
            terminal.or_nothing(row[dimension]),
            row["bypass_share"],
            f"{terminal.percent(row['bypass_share']):>7}  "
            f"{terminal.interval(row['bypass_share_low'], row['bypass_share_high']):>12}  "
            f"of {terminal.count(row['interaction_count'] - row['pending_count'])}",
        )
        for row in rows
    ]
    if not lines:
        return f"No interaction lies in this period, so there is no {dimension} to compare."
    room = _fitting(width) - max(len(figures) for _, _, figures in lines) - 2
    named = min(_LONGEST_NAME, room // 2, max(cell_len(name) for name, _, _ in lines))
    room -= named
    shown = [f"{set_cell_size(name, named)} {terminal.bar(share, room)} {figures}" for name, share, figures in lines]
    return "\n".join([f"Share by {dimension}, 95 % interval, count", *shown])


def _fitting(width: int) -> int:
    return min(max(width, NARROWEST), WIDEST)


def _place(name: str, step: Step) -> float:
    """Return where a day or week stands: days since the beginning, or weeks."""
    if step == "day":
        return float(date.fromisoformat(name).toordinal())
    year, week = name.split("-W")
    return date.fromisocalendar(int(year), int(week), 1).toordinal() / 7
