"""How far a measurement can be trusted: chance matches, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Column, Table

from dashboard.terminal import NOTHING, Row, count, or_nothing, percent, right, table, title_of


def placebo_table(rows: Iterable[Row], days: float) -> Table:
    """Return what matches by chance, per tier, beside what matches in truth."""
    result = table(
        Column("tier", no_wrap=True),
        right("traces"),
        right("by chance"),
        right("chance in traces"),
        title=f"Placebo: all activities moved by {days:g} days",
    )
    for row in rows:
        result.add_row(
            title_of(str(row["tier"])),
            count(row["trace_count"]),
            count(row["placebo_count"]),
            percent(row["chance_share"]),
        )
    return result


def evaluation(values: Row, least_count: int = 400) -> RenderableType:
    """Return a measurement beside the truth: the cells that are large enough, the total, and how exact both are."""
    cells = table(
        Column("channel", no_wrap=True),
        Column("team", no_wrap=True),
        right("interactions"),
        right("measured"),
        right("true share"),
        right("measured share"),
        right("error"),
        title="Measured beside the truth",
        caption=f"Cells of {least_count} interactions or more; the error is in percentage points.",
    )
    for cell in values["cells"]:
        if cell["true_count"] >= least_count:
            cells.add_row(cell["channel"], or_nothing(cell["team"]), *_cell(cell))
    cells.add_section()
    cells.add_row("all", "", *_cell(values["overall"]), style="bold")
    found, traces = values["interactions"], values["traces"]
    exactness = table("", right("true"), right("measured"), right("right"), right("precision"), right("recall"))
    for name, row, right_count in (
        ("interactions", found, found["matched_count"]),
        ("traces", traces, traces["right_count"]),
    ):
        counts = (count(row["true_count"]), count(row["measured_count"]), count(right_count))
        exactness.add_row(name, *counts, percent(row["precision"], 2), percent(row["recall"], 2))
    return Group(cells, exactness)


def _cell(cell: Row) -> tuple[RenderableType, ...]:
    error = cell["error_points"]
    return (
        count(cell["true_count"]),
        count(cell["measured_count"]),
        percent(cell["true_share"]),
        percent(cell["measured_share"]),
        NOTHING if error is None else f"{error:+.2f}",
    )
