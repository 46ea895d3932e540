"""The report that travels: one page for a manager, as HTML, PDF or PNG, with nothing to load from elsewhere."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from dashboard.pages.asked import span
from dashboard.pages.languages import Language
from pipeline.errors import ConfigurationError
from sinks import measures, silent
from sinks.measures import Filters
from sinks.metrics import delay, split
from sinks.store import Store

MOST_TEAMS: Final = 12
LEAKS: Final = 3
_MOST_BY_DAY: Final = 62
_MOST_BY_WEEK: Final = 730

Row = dict[str, Any]


@dataclass(frozen=True)
class ManagementReport:
    """Everything that the page says. Rows are those of `split.share`; days are local and both included.

    `cells` has the rows by team and channel of the teams that are shown, which are those that leave most without a
    trace; `hidden_teams` others are not. `change` is None where there is nothing before the period.
    """

    language: Language
    wanted: Mapping[str, Collection[str]]
    first_day: date | None
    last_day: date | None
    overall: Row
    change: Row | None
    interval: str
    trend: Sequence[Row]
    unsettled_from: date | None
    teams: Sequence[str | None]
    hidden_teams: int
    channels: Sequence[str]
    cells: Mapping[tuple[str | None, str], Row]
    leaks: Sequence[Row]
    warnings: Sequence[str]
    complete_through: datetime | None

    @property
    def untraced_count(self) -> int:
        """How many decided interactions left no trace on a customer."""
        return int(self.overall["siloed_count"] + self.overall["bypassed_count"])

    def is_unsettled(self, row: Row) -> bool:
        """Return whether traces of an interval of the trend are still being logged."""
        return self.unsettled_from is not None and span(self.interval, row[self.interval])[1] >= self.unsettled_from

    def about(self) -> str:
        """Return in words what it is about: the days from the first interaction to the last, and the filters."""
        t = self.language
        said = [t.say("no interaction")]
        if self.first_day is not None and self.last_day is not None:
            said = [f"{t.day(self.first_day)} – {t.day(self.last_day)}"]
        for name, values in self.wanted.items():
            said.append(f"{t.title(name)}: {', '.join(t.group(name, each) for each in values)}")
        return " · ".join(said)

    def group(self, row: Row) -> str:
        """Return the name of a team and a channel."""
        return f"{self.language.group('team', row['team'])}, {self.language.title(row['channel'])}"

    def leak(self, row: Row) -> str:
        """Return in words how much of a group leaves no trace."""
        say, t = self.language.say, self.language
        return say(
            "%(untraced)s of %(decided)s left no trace: %(share)s (95 %% interval %(interval)s)",
            untraced=t.count(row["siloed_count"] + row["bypassed_count"]),
            decided=t.count(row["decided_count"]),
            share=t.percent(row["bypass_share"]),
            interval=t.interval(row["bypass_share_low"], row["bypass_share_high"]),
        )

    def doubts(self) -> list[str]:
        """Return in words how sure the number is."""
        say, t, row = self.language.say, self.language, self.overall
        said = []
        if row["pending_count"]:
            said.append(
                say(
                    "%(pending)s interactions are pending and in no share: with them it lies between %(lowest)s and "
                    "%(highest)s.",
                    pending=t.count(row["pending_count"]),
                    lowest=t.percent(row["lowest_bypass_share"]),
                    highest=t.percent(row["highest_bypass_share"]),
                )
            )
        if self.unsettled_from is not None:
            said.append(
                say(
                    "From %(day)s on, traces are still being logged; what is decided so far does not stand for the "
                    "whole.",
                    day=t.day(self.unsettled_from),
                )
            )
        if self.complete_through is not None:
            said.append(say("The CRM has been read to %(moment)s.", moment=t.moment(self.complete_through)))
        said.append(
            say(
                "The interval is that of chance alone; how far matches can be trusted is measured by a placebo and a "
                "judged sample."
            )
        )
        return [*said, *self.warnings]


def gather(store: Store, filters: Filters, language: str) -> ManagementReport:
    """Return the report of the interactions that fit.

    Raises:
        ConfigurationError: when a filter is unknown, or the period ends before it begins.
    """
    t = Language(language, measures.zone_of(store))
    (overall,) = split.share(store, (), None, filters)
    first, last = _days(store, t, filters)
    interval = _interval(first, last)
    groups = split.share(store, ("team", "channel"), None, filters)
    untraced: dict[str | None, int] = {}
    for row in groups:
        untraced[row["team"]] = untraced.get(row["team"], 0) + row["siloed_count"] + row["bypassed_count"]
    most = sorted(untraced, key=lambda team: (-untraced[team], team is None, team))[:MOST_TEAMS]
    teams = sorted(most, key=lambda team: (team is None, team))
    return ManagementReport(
        language=t,
        wanted=filters.values,
        first_day=first,
        last_day=last,
        overall=overall,
        change=_change(store, filters),
        interval=interval,
        trend=split.share(store, (), interval, filters),
        unsettled_from=_unsettled(store, filters, last),
        teams=teams,
        hidden_teams=len(untraced) - len(teams),
        channels=sorted({row["channel"] for row in groups}),
        cells={(row["team"], row["channel"]): row for row in groups if row["team"] in teams},
        leaks=[row for row in split.ranked(groups) if row["siloed_count"] + row["bypassed_count"]][:LEAKS],
        warnings=silent.warnings(store, t.zone, filters.since, filters.until),
        complete_through=delay.complete_through(store),
    )


def write(report: ManagementReport, path: Path, kind: str) -> None:
    """Write the page as html, pdf or png; the file is there whole or not at all.

    Raises:
        ConfigurationError: when it cannot be written.
    """
    content = _WRITERS[kind](report)
    try:
        with tempfile.NamedTemporaryFile(dir=path.absolute().parent, prefix=f".{path.name}.", delete=False) as file:
            file.write(content)
        # Temporary files are their owner's alone; a report is as open as others that the owner writes.
        os.umask(mask := os.umask(0))
        os.chmod(file.name, 0o666 & ~mask)
        os.replace(file.name, path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {(error.strerror or str(error)).lower()}; name another place"
        ) from None


def _days(store: Store, language: Language, filters: Filters) -> tuple[date | None, date | None]:
    where, values = measures.condition(filters.since, filters.until, filters.values)
    (found,) = store.rows(
        f"SELECT min(started_at) AS first, max(started_at) AS last FROM current_interaction{where}", values
    )
    if found["first"] is None:
        return None, None
    return language.local(found["first"]).date(), language.local(found["last"]).date()


def _interval(first: date | None, last: date | None) -> str:
    days = 0 if first is None or last is None else (last - first).days
    return "day" if days < _MOST_BY_DAY else "week" if days < _MOST_BY_WEEK else "month"


def _change(store: Store, filters: Filters) -> Row | None:
    if filters.since is None or filters.until is None:
        return None
    (row,) = split.change(store, (), filters)
    return row if row["bypass_share_change"] is not None else None


def _unsettled(store: Store, filters: Filters, last: date | None) -> date | None:
    """Return from which day on a period that ends with one is not settled; None when all of it is."""
    found = delay.first_unsettled_day(delay.settling(store, filters=filters))
    first = None if found is None else date.fromisoformat(found)
    return first if first is not None and last is not None and first <= last else None


# -- forms -------------------------------------------------------------------------------------------------------------


def to_html(report: ManagementReport) -> bytes:
    """Return the page as HTML in one file."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from dashboard.drawing import trend_points

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = templates.get_template("management_report.html")
    return page.render(
        report=report, t=report.language, _=report.language.say, line=trend_points(report, 1000.0, 220.0)
    ).encode()


def to_pdf(report: ManagementReport) -> bytes:
    """Return the page as a PDF of one page, A4."""
    from dashboard.drawing import drawn

    return drawn(report, "pdf")


def to_png(report: ManagementReport) -> bytes:
    """Return the page as a picture."""
    from dashboard.drawing import drawn

    return drawn(report, "png")


_WRITERS: Final[Mapping[str, Callable[[ManagementReport], bytes]]] = {"html": to_html, "pdf": to_pdf, "png": to_png}
