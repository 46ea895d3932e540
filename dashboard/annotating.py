"""Measures and what they changed, labels and what they correct, for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from dashboard.terminal import (
    ID_LENGTH,
    NOTHING,
    count,
    facts_grid,
    instant,
    interval,
    or_nothing,
    percent,
    right,
    table,
    title_of,
)

if TYPE_CHECKING:
    from pipeline.correction import Corrected
    from pipeline.effect import Change, Estimate
    from schemas.annotations import Label, Measure
    from sinks.effects import Effect
    from sinks.labelling import LabelCounts


def measure_table(measures: Iterable[Measure]) -> Table:
    """Return the measures, one line each."""
    result = table(
        right("number"),
        Column("name", overflow="fold"),
        Column("begins (UTC)", no_wrap=True),
        "teams",
        "channels",
        Column("note", overflow="fold"),
        Column("by", no_wrap=True),
    )
    for each in measures:
        result.add_row(
            str(each.measure_id),
            each.name,
            instant(each.begins_at)[:16],
            ", ".join(each.teams) or "all",
            ", ".join(each.channels) or "all",
            or_nothing(each.note),
            or_nothing(each.author),
        )
    return result


def label_table(labels: Iterable[Label]) -> Table:
    """Return labels, one line each."""
    result = table(
        Column("interaction", no_wrap=True, style="cyan"),
        Column("verdict", no_wrap=True),
        Column("note", overflow="fold"),
        Column("by", no_wrap=True),
        Column("when (UTC)", no_wrap=True),
    )
    for each in labels:
        result.add_row(
            each.interaction_id[:ID_LENGTH],
            title_of(each.verdict),
            or_nothing(each.note),
            or_nothing(each.author),
            instant(each.labelled_at)[:16],
        )
    return result


def label_sentence(counts: LabelCounts) -> str:
    """Return how many interactions people judged, and as what."""
    verdicts = ", ".join(f"{count(number)} {title_of(name)}" for name, number in counts.verdicts.items())
    gone = f"; {count(counts.gone_count)} of them are not in this store" if counts.gone_count else ""
    return f"interactions that people judged: {count(counts.judged_count)} ({verdicts}){gone}"


def correction(found: Corrected) -> RenderableType:
    """Return the corrected share, and how it was made."""
    text = Text.assemble(
        ("Corrected bypass share ", "bold"),
        (percent(found.corrected_share), "bold red"),
        f"  (95 % interval {interval(found.corrected_share_low, found.corrected_share_high)}), from "
        f"{count(found.judged_count)} judged interactions of {count(found.judged_customer_count)} customers.\n",
    )
    text.append(
        f"It is (m - f) / (r - f): measured m {percent(found.measured_share)}; of the truly untraced r "
        f"{percent(found.found_share)} are measured as that, of the truly traced f {percent(found.false_share)}.",
        "dim",
    )
    if found.customer_share < 1:
        text.append(f" {percent(1 - found.customer_share)} were no customer's and are taken out of m.", "dim")
    return text


def effect_page(found: Effect) -> RenderableType:
    """Return what a measure changed, and how sure that is; or why nothing can be said."""
    parts: list[RenderableType] = [Text.assemble(("Measure ", "bold"), (found.measure.name, "bold cyan"))]
    if found.spans is not None:
        spans = (found.spans.since, found.spans.at, found.spans.at, found.spans.until)
        before, after = (f"{_minute(begin)} to {_minute(end)}" for begin, end in (spans[:2], spans[2:]))
        pairs: list[tuple[str, RenderableType]] = [
            ("before (UTC)", before),
            ("after (UTC)", after),
            ("holds for", ", ".join(found.measure.teams) or "all teams"),
            ("in", ", ".join(found.measure.channels) or "all channels"),
            ("compared with", ", ".join(found.comparison_teams) or NOTHING),
        ]
        parts += [facts_grid(pairs), Text("")]
    if found.reason:
        return Group(*parts, Text(f"Nothing can be said yet: {found.reason}.", "bold yellow"))
    if found.change is not None:
        parts.append(_changes(found, found.change))
    parts.append(_sentence(found))
    parts += [Text(f"{warning[:1].upper()}{warning[1:]}.", "yellow") for warning in found.warnings]
    return Group(*parts)


def _changes(found: Effect, change: Change) -> Table:
    result = table(
        Column("team", no_wrap=True),
        right("interactions before"),
        right("after"),
        right("bypass share before"),
        right("after"),
        right("change, points"),
        right("95 % interval"),
    )
    groups: Sequence[tuple[str, Change | None, bool]] = (
        ("where it holds", change, True),
        ("compared with", found.comparison.change if found.comparison else None, False),
    )
    for name, whole, is_measured in groups:
        rows = [row for row in found.teams if row["is_measured"] is is_measured]
        for row in rows:
            result.add_row(
                or_nothing(row["team"]),
                count(row["before_count"]),
                count(row["after_count"]),
                percent(row["before_share"]),
                percent(row["after_share"]),
                _points(row["after_share"], row["before_share"]),
                "",
            )
        if whole is not None:
            result.add_row(
                name,
                count(whole.before_count),
                count(whole.after_count),
                percent(whole.before_share),
                percent(whole.after_share),
                f"{100 * whole.change.value:+.1f}",
                _interval(whole.change),
                style="bold",
            )
        result.add_section()
    return result


def _sentence(found: Effect) -> Text:
    if found.comparison is not None:
        beginning, estimate = "Beside the other teams, the bypass share changed by ", found.comparison.difference
    elif found.change is not None:
        beginning, estimate = "The bypass share changed by ", found.change.change
    else:
        return Text("")
    text = Text.assemble(
        beginning,
        (f"{100 * estimate.value:+.1f} points", "bold"),
        f"  (95 % interval {_interval(estimate)}). ",
    )
    if estimate.is_zero_possible:
        text.append("Chance alone may have done this.", "yellow")
    return text


def _points(after: float | None, before: float | None) -> str:
    return NOTHING if after is None or before is None else f"{100 * (after - before):+.1f}"


def _interval(estimate: Estimate) -> str:
    return f"{100 * estimate.low:+.1f} to {100 * estimate.high:+.1f}"


def _minute(moment: datetime) -> str:
    return instant(moment)[:16]
