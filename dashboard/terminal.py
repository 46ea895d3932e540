"""Tables for people at a terminal. Each function takes the objects that the JSON outputs hold and returns something
that Rich can print; nothing here asks the store or decides anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from pipeline.coverage import SourceCoverage
    from pipeline.findings import Finding
    from pipeline.sources.trial import Judgement, Trial

Row = Mapping[str, Any]

# More files of one format in one folder are shown as one line.
MOST_FILES = 8
# A beginning of an id that is enough to find it among a hundred million.
ID_LENGTH = 12
OUTCOME_STYLES = {"traced": "green", "siloed": "yellow", "bypassed": "red", "pending": "dim"}
_EIGHTHS = " ▏▎▍▌▋▊▉█"
NOTHING = "–"


def count(value: int | None) -> str:
    """Return a count with thousands separated.

    >>> count(12345)
    '12,345'
    """
    return NOTHING if value is None else f"{value:,}"


def percent(share: float | None, decimals: int = 1) -> str:
    """Return a share as a percentage.

    >>> percent(0.6123)
    '61.2 %'
    """
    return NOTHING if share is None else f"{100 * share:.{decimals}f} %"


def interval(low: float | None, high: float | None) -> str:
    """Return an interval of shares in per cent, without the sign.

    >>> interval(0.6, 0.623)
    '60.0 – 62.3'
    """
    return NOTHING if low is None or high is None else f"{100 * low:.1f} – {100 * high:.1f}"


def bar(share: float | None, width: int = 12) -> str:
    """Return a share as a bar of block characters, an eighth of a character exact.

    >>> bar(0.5, 4)
    '██··'
    """
    if share is None:
        return "·" * width
    eighths = round(min(1.0, max(0.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width, "·")


def length(seconds: float | None) -> str:
    """Return a length of time as people say it.

    >>> length(3725), length(42), length(-90000)
    ('1 h 02 min', '42 s', '-1 d 1 h')
    """
    if seconds is None:
        return NOTHING
    sign = "-" if seconds < 0 else ""
    whole = round(abs(seconds))
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{sign}{days} d {hour} h"
    if hours:
        return f"{sign}{hours} h {minute:02d} min"
    if minutes:
        return f"{sign}{minutes} min {second:02d} s"
    return f"{sign}{whole} s"


def instant(value: datetime | str | None) -> str:
    """Return an instant to the second, without its zone, which the column's title names."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value.replace("T", " ").removesuffix("Z")[:19]
    return value.strftime("%Y-%m-%d %H:%M:%S")


def table(*columns: Column | str, title: str | None = None, caption: str | None = None) -> Table:
    """Return an empty table in the one style that all tables share."""
    return Table(
        *columns,
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caption,
        caption_justify="left",
        caption_style="dim",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        collapse_padding=True,
    )


def right(title: str, style: str = "") -> Column:
    """Return a column for numbers."""
    return Column(title, justify="right", no_wrap=True, style=style)


def share_cell(share: float | None) -> Text:
    """Return a share with its bar; the colour says how far it is."""
    style = "dim" if share is None else "green" if share < 0.25 else "yellow" if share < 0.5 else "red"
    return Text.assemble((bar(share), style), " ", (percent(share).rjust(7), "bold"))


def headline(row: Row) -> Text:
    """Return the number in one sentence, from a row of a report without dimensions."""
    decided = row["traced_count"] + row["siloed_count"] + row["bypassed_count"]
    if not row["interaction_count"]:
        return Text("No interactions.")
    if not decided:
        return Text.assemble(
            ("Nothing can be said yet: ", "bold"),
            f"all {count(row['interaction_count'])} interactions are pending, because no CRM export reaches past them.",
        )
    bypassed = row["siloed_count"] + row["bypassed_count"]
    text = Text.assemble(
        ("Bypass share ", "bold"),
        (percent(row["bypass_share"]), "bold red"),
        f"  (95 % interval {interval(row['bypass_share_low'], row['bypass_share_high'])}): ",
        f"{count(bypassed)} of {count(decided)} interactions left no trace on a customer in the CRM.",
    )
    if row["pending_count"]:
        text.append(
            f"\n{count(row['pending_count'])} more are pending: the CRM export does not reach past their windows. "
            f"Once decided, the share lies between {percent(row['lowest_bypass_share'])} and "
            f"{percent(row['highest_bypass_share'])}.",
            style="yellow" if row["pending_count"] > decided / 10 else "dim",
        )
    return text


def report_table(rows: Iterable[Row], dimensions: Sequence[str], total: Row | None = None) -> Table:
    """Return the report: one line per row, the asked dimensions first, the total last."""
    result = table(
        *(Column(title_of(name), no_wrap=True) for name in dimensions),
        right("interactions"),
        right("traced", OUTCOME_STYLES["traced"]),
        right("siloed", OUTCOME_STYLES["siloed"]),
        right("bypassed", OUTCOME_STYLES["bypassed"]),
        right("pending", OUTCOME_STYLES["pending"]),
        Column("bypass share", no_wrap=True),
        right("95 % interval"),
    )
    previous: tuple[str, ...] = ()
    for row in rows:
        names = tuple(NOTHING if row.get(name) is None else str(row[name]) for name in dimensions)
        # A name that stands above is not repeated, so that groups can be seen.
        shown = ["" if names[: depth + 1] == previous[: depth + 1] else name for depth, name in enumerate(names[:-1])]
        if previous and len(names) > 1 and names[0] != previous[0]:
            result.add_section()
        previous = names
        result.add_row(*shown, *names[-1:], *_report_cells(row))
    if total is not None and dimensions:
        result.add_section()
        result.add_row("all", *[""] * (len(dimensions) - 1), *_report_cells(total), style="bold")
    return result


def _report_cells(row: Row) -> list[RenderableType]:
    counts = ("interaction_count", "traced_count", "siloed_count", "bypassed_count", "pending_count")
    return [
        *(count(row[name]) for name in counts),
        share_cell(row["bypass_share"]),
        interval(row["bypass_share_low"], row["bypass_share_high"]),
    ]


def title_of(name: str) -> str:
    return name.replace("_", " ")


def account_table(rows: Sequence[Row]) -> Table:
    """Return the accounts: one line per source, what its raw events became, and what is left over."""
    reasons = [name for name in _EXCLUSIONS if any(row["excluded"].get(name) for row in rows)]
    reasons += sorted({name for row in rows for name in row["excluded"]} - set(_EXCLUSIONS))
    has_late = any(row.get("late_count") for row in rows)
    result = table(
        Column("source", no_wrap=True),
        right("raw events"),
        right("interaction"),
        right("duplicate"),
        *(right(title_of(name), "dim") for name in reasons),
        right("rejected"),
        *([right("late")] if has_late else []),
        right("unaccounted"),
        title="Accounts: every raw event in one place",
    )
    for row in rows:
        left_over = row["unaccounted_count"]
        result.add_row(
            str(row["source"]),
            count(row["raw_count"]),
            count(row["interaction_count"]),
            count(row["duplicate_count"]),
            *(count(row["excluded"].get(name, 0)) for name in reasons),
            Text(count(row["rejected_count"]), "yellow" if row["rejected_count"] else ""),
            *([Text(count(row["late_count"]), "yellow")] if has_late else []),
            Text(count(left_over), "bold red" if left_over else "green"),
        )
    return result


_EXCLUSIONS = ("internal", "automated", "bulk", "emergency", "never_log", "unanswered", "no_human", "too_short")


def interaction_table(rows: Iterable[Row]) -> Table:
    """Return the rows behind a report: one line per interaction, its id as far as it is needed."""
    result = table(
        Column("interaction", no_wrap=True, style="cyan"),
        Column("started (UTC)", no_wrap=True),
        Column("channel", no_wrap=True),
        Column("team", no_wrap=True, max_width=20),
        Column("representative", no_wrap=True, max_width=16),
        Column("customer", no_wrap=True, max_width=20),
        right("talk"),
        Column("outcome", no_wrap=True),
        Column("because", no_wrap=True),
    )
    for row in rows:
        outcome = str(row["outcome"])
        because = row.get("reason") or row.get("tier")
        result.add_row(
            str(row["interaction_id"])[:ID_LENGTH],
            instant(row["started_at"])[:16],
            f"{row['channel']} {_WAYS.get(str(row.get('direction')), '')}".strip(),
            or_nothing(row.get("team")),
            or_nothing(row.get("representative_id")),
            or_nothing(row.get("identifier")),
            length(row["talk_seconds"]) if row.get("talk_seconds") else NOTHING,
            Text(outcome, OUTCOME_STYLES.get(outcome, "")),
            NOTHING if because is None else title_of(str(because)),
        )
    return result


_WAYS = {"inbound": "in", "outbound": "out"}


def or_nothing(value: object) -> str:
    return NOTHING if value is None or value == "" else str(value)


def facts_grid(pairs: Iterable[tuple[str, RenderableType]]) -> Table:
    """Return a plain list of names and values."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, value in pairs:
        grid.add_row(name, value)
    return grid


def problem_list(problems: Sequence[str], limit: int = 10) -> RenderableType:
    """Return the first problems, one a line, and how many more there are."""
    lines: list[RenderableType] = [Text(f"  {problem}", "yellow") for problem in problems[:limit]]
    if len(problems) > limit:
        lines.append(Text(f"  and {count(len(problems) - limit)} more", "dim"))
    return Group(*lines)


def file_table(rows: Iterable[Row], title: str = "") -> Table:
    """Return what was read: one line per file or folder."""
    result = table(
        Column("source", no_wrap=True),
        Column("file", overflow="fold"),
        Column("format", no_wrap=True),
        right("records"),
        right("rejected"),
        Column("from (UTC)", no_wrap=True),
        Column("to (UTC)", no_wrap=True),
        title=title or None,
    )
    previous = None
    for row in _gathered(rows):
        rejected = row["rejected_count"]
        result.add_row(
            "" if row["source"] == previous else str(row["source"]),
            str(row["file"]),
            str(row["format"]),
            count(row["record_count"]),
            Text(count(rejected), "bold yellow" if rejected else "dim"),
            instant(row["first_at"])[:16],
            instant(row["last_at"])[:16],
        )
        previous = row["source"]
    return result


def coverage_table(covered: Iterable[SourceCoverage]) -> Table:
    """Return what the sources cover, side by side: one line per source and channel."""
    result = table(
        Column("source", no_wrap=True),
        Column("channel", no_wrap=True),
        right("records"),
        Column("from (local)", no_wrap=True),
        Column("to (local)", no_wrap=True),
        right("nobody of ours"),
        right("no identifier"),
        right("extensions not listed"),
        title="Sources side by side",
    )
    for each in covered:
        result.add_row(
            each.source,
            each.channel,
            count(each.record_count),
            instant(each.first_at)[:16],
            instant(each.last_at)[:16],
            percent(each.stranger_count / each.record_count),
            percent(each.nameless_count / each.record_count),
            count(len(each.unlisted)),
        )
    return result


def _gathered(rows: Iterable[Row]) -> Iterable[Row]:
    """Yield one row for each folder with very many files of one format, and each other row as it is."""
    folders: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        folders.setdefault((row["source"], row["format"], str(row["file"]).rpartition("/")[0]), []).append(row)
    for (_, _, folder), members in folders.items():
        if len(members) <= MOST_FILES:
            yield from members
            continue
        yield {
            **members[0],
            "file": f"{folder or '.'} ({count(len(members))} files)",
            "record_count": sum(member["record_count"] for member in members),
            "rejected_count": sum(member["rejected_count"] for member in members),
            "first_at": min((member["first_at"] for member in members if member["first_at"]), default=None),
            "last_at": max((member["last_at"] for member in members if member["last_at"]), default=None),
        }


def source_table(rows: Iterable[Row]) -> Table:
    """Return the formats that are known, and how each is recognised."""
    result = table(
        Column("format", style="cyan", no_wrap=True), Column("what it is", min_width=24), "how to recognise it"
    )
    for row in rows:
        result.add_row(str(row["format"]), str(row["title"]), str(row["description"]), end_section=True)
    return result


def judgement_table(judgements: Iterable[Judgement]) -> Table:
    """Return what each parser says of a file, the surest first."""
    result = table(Column("format", style="cyan", no_wrap=True), right("confidence"), "evidence")
    for each in judgements:
        sure = NOTHING if each.confidence is None else f"{each.confidence:.2f}"
        result.add_row(each.format, sure, each.evidence or "", style="" if each.confidence else "dim")
    return result


def trial_summary(trial: Trial) -> RenderableType:
    """Return what the beginning of a file becomes: counts, the first facts, and what cannot be used."""
    if trial.chosen is None:
        return Text("")
    counts = ", ".join(f"{count(number)} {title_of(kind)}" for kind, number in (trial.fact_counts or {}).items())
    lines: list[RenderableType] = [
        Text(
            f"read as {trial.chosen}: of its first {count(trial.record_count)} records "
            f"{counts or 'no facts'}; {count(trial.rejected_count)} cannot be used"
        )
    ]
    for fact in trial.facts:
        lines.append(Text("  " + ", ".join(f"{name} {value}" for name, value in fact.items()), "dim"))
    problems = [*trial.reasons, *trial.warnings, *([trial.failure] if trial.failure else [])]
    return Group(*lines, problem_list(problems)) if problems else Group(*lines)


def topic_table(rows: Iterable[Row]) -> Table:
    """Return the topics of the live pipeline, and how they are kept."""
    result = table(
        Column("topic", style="cyan", no_wrap=True), right("partitions"), right("copies"), "kept for", right("largest"),
        "what it holds",
    )  # fmt: skip
    for row in rows:
        cells = [str(row["partitions"]), str(row["replication"]), or_nothing(row["kept"])]
        cells.append(count(row["largest_message_bytes"]))
        if not row["is_there"]:
            cells = ["missing", "", "", ""]
        result.add_row(str(row["topic"]), *cells, str(row["reason"]))
    return result


def finding_table(findings: Iterable[Finding]) -> Table:
    """Return a row for each finding, the remedy under what was found."""
    styles = {"ok": "green", "warning": "yellow", "error": "red"}
    found = table(Column("", no_wrap=True), "what", "where", Column("found, and what to do", overflow="fold"))
    for each in findings:
        text = f"{each.found}\n→ {each.remedy}" if each.remedy else each.found
        found.add_row(Text(each.level, styles[each.level]), each.subject, each.place, text)
    return found


def letter_table(rows: Sequence[Row]) -> Table:
    """Return dead letters, or counts of them; all rows have the same columns."""
    names = list(rows[0])
    result = table(*(right(name) if name == "count" else name.replace("_", " ") for name in names))
    for row in rows:
        cells = (count(row[name]) if name == "count" else _letter_cell(row[name]) for name in names)
        result.add_row(*cells)
    return result


def _letter_cell(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)
