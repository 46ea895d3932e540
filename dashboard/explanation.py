"""One interaction explained: what was recorded, whose number it is, and why each activity won or lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from dashboard.annotating import label_table
from dashboard.terminal import (
    NOTHING,
    OUTCOME_STYLES,
    Row,
    facts_grid,
    instant,
    length,
    or_nothing,
    right,
    table,
    title_of,
)
from pipeline.explain import Verdict
from schemas.annotations import Label


class Explained(Protocol):
    """What is shown, see `sinks.explanations.Explanation`."""

    @property
    def interaction(self) -> Row: ...

    @property
    def evidence(self) -> Sequence[Row]: ...

    @property
    def holders(self) -> Sequence[Row]: ...

    @property
    def verdicts(self) -> Sequence[Verdict]: ...

    @property
    def summary(self) -> str: ...


def explanation(found: Explained, labels: Sequence[Label] = ()) -> RenderableType:
    """Return the explanation of one interaction as a page, with what people said of it, the newest first."""
    row = found.interaction
    outcome = str(row["outcome"])
    return Group(
        Text.assemble(("Interaction ", "bold"), (str(row["interaction_id"]), "bold cyan")),
        Text(found.summary, f"bold {OUTCOME_STYLES.get(outcome, '')}"),
        Text(""),
        facts_grid(_facts(row)),
        *_judgements(labels),
        _evidence(found.evidence),
        _identity(row, found.holders),
        _verdicts(found.verdicts),
    )


def _judgements(labels: Sequence[Label]) -> Iterable[RenderableType]:
    if labels:
        yield Text("\nWhat people said of it; the first counts", "bold")
        yield label_table(labels)


def _facts(row: Row) -> Iterable[tuple[str, RenderableType]]:
    channel = f"{row['channel']}, {title_of(row['line'])}" if row["line"] else str(row["channel"])
    yield "channel", f"{channel}, {or_nothing(row['direction'])}"
    yield "time (UTC)", f"{instant(row['started_at'])} to {instant(row['ended_at'])}"
    if row["talk_seconds"]:
        yield "talk", length(row["talk_seconds"])
    yield "team", or_nothing(row["team"])
    yield "took part", ", ".join(row["participants"]) or NOTHING
    yield "customer", or_nothing(row["identifier"])
    yield "trace possible until", instant(row["window_ends_at"])


def _evidence(rows: Sequence[Row]) -> Table:
    result = table(
        Column("where it stands", overflow="fold"),
        Column("start (UTC)", no_wrap=True),
        right("talk"),
        Column("from", no_wrap=True),
        Column("to", no_wrap=True),
        Column("key", overflow="fold"),
        title=f"Raw events: {len(rows)}",
    )
    for row in rows:
        result.add_row(
            str(row["raw_id"]),
            instant(row["started_at"]),
            length(row["talk_seconds"]) if row["talk_seconds"] else NOTHING,
            _side(row, "from"),
            _side(row, "to"),
            or_nothing(row["event_id"] or row["session_id"]),
        )
    return result


def _side(row: Row, side: str) -> str:
    parts = [str(part) for part in (row[f"{side}_endpoint"], row[f"{side}_identifier"]) if part]
    if not parts and side == "to" and row["recipient_roles"]:
        return f"{len(row['recipient_roles'])} recipients"
    return " ".join(parts) or NOTHING


def _identity(row: Row, holders: Sequence[Row]) -> RenderableType:
    title = "Whose identifier it is"
    if row["token"] is None:
        return Group(Text(title, "bold"), Text("  withheld: it resolves to nobody\n"))
    if not holders and row["customer_ids"]:
        words = f"  no contact holds it; its domain is that of {', '.join(row['customer_ids'])}\n"
        return Group(Text(title, "bold"), Text(words))
    if not holders:
        return Group(Text(title, "bold"), Text("  unknown to the CRM\n"))
    result = table(Column("held by", no_wrap=True), "id", "account", "source", title=title)
    for holder in holders:
        result.add_row(
            str(holder["kind"]), str(holder["id"]), or_nothing(holder["account_id"]), or_nothing(holder["source"])
        )
    return result


def _verdicts(verdicts: Sequence[Verdict]) -> RenderableType:
    title = "Activities around that time"
    if not verdicts:
        return Group(Text(title, "bold"), Text("  none\n"))
    result = table(
        Column("activity", no_wrap=True),
        Column("kind", no_wrap=True),
        Column("logged (UTC)", no_wrap=True),
        right("after the end"),
        Column("tier", no_wrap=True),
        Column("why", overflow="fold"),
        title=f"{title}: {len(verdicts)}",
    )
    for verdict in verdicts:
        style = "green" if verdict.is_trace else "" if verdict.tier else "dim"
        result.add_row(
            verdict.activity_id,
            verdict.kind,
            instant(verdict.logged_from)[: 10 if verdict.precision == "day" else 19],
            length(verdict.offset.total_seconds()),
            title_of(verdict.tier) if verdict.tier else NOTHING,
            verdict.reason,
            style=style,
        )
    return result
