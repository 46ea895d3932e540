"""The report that travels: one page for a manager, as HTML, PDF or PNG, with nothing to load from elsewhere."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from dashboard.comparing import days_with_interactions, settled_change, unsettled_from
from dashboard.pages.asked import interval_of, span
from dashboard.pages.languages import Language
from pipeline.errors import ConfigurationError
from sinks import measures, silent
from sinks.measures import Filters
from sinks.metrics import delay, split
from sinks.store import Store

MOST_TEAMS: Final = 12
LEAKS: Final = 3
# A record with a wrong year must not make a trend of thousands of empty months.
_MOST_INTERVALS: Final = 600

Row = dict[str, Any]


@dataclass(frozen=True)
class ManagementReport:
    """Everything that the page says. Rows are those of `split.share`; days are local and both included.

    `cells` has the rows by team and channel of the teams that are shown, which are those that leave most without a
    trace; `hidden_teams` others are not. `change` is that of the days `compared`, which are settled, against as many
    before them; None where there are none. Intervals of the trend without an interaction have a row of zeros.
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
    company: str = ""
    compared: tuple[date, date] | None = None

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

    def changed(self) -> str:
        """Return in words how the share changed, in which days, and how sure that is; empty when nothing is known."""
        if self.change is None:
            return ""
        t, row = self.language, self.change
        said = t.say("%(points)s points against the period before", points=t.points(row["bypass_share_change"]))
        sure = f"{t.points(row['bypass_share_change_low'])} … {t.points(row['bypass_share_change_high'])}"
        if self.compared is None:
            return f"{said} ({sure})"
        days = " – ".join(t.day(day) for day in dict.fromkeys(self.compared))
        return f"{days}: {said} ({sure})"

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
    first, last = days_with_interactions(store, t, filters)
    interval = interval_of(0 if first is None or last is None else (last - first).days + 1)
    unsettled = unsettled_from(store, filters, last)
    found = settled_change(store, t, filters)
    run = store.last_run()
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
        change=None if found is None else found.row,
        interval=interval,
        trend=_with_empty(split.share(store, (), interval, filters), interval),
        unsettled_from=unsettled,
        teams=teams,
        hidden_teams=len(untraced) - len(teams),
        channels=sorted({row["channel"] for row in groups}),
        cells={(row["team"], row["channel"]): row for row in groups if row["team"] in teams},
        leaks=[row for row in split.ranked(groups) if row["siloed_count"] + row["bypassed_count"]][:LEAKS],
        warnings=silent.warnings(store, t.zone, filters.since, filters.until),
        complete_through=delay.complete_through(store),
        company="" if run is None else run.company_id,
        compared=None if found is None else found.days,
    )


def write(report: ManagementReport, path: Path, kind: str) -> None:
    """Write the page as html, pdf or png; the file is there whole or not at all.

    Raises:
        ConfigurationError: when it cannot be written.
    """
    content = _WRITERS[kind](report)
    try:
        with tempfile.NamedTemporaryFile(dir=path.absolute().parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(content)
                file.close()
                # Temporary files are their owner's alone; a report is as open as others that the owner writes.
                os.umask(mask := os.umask(0))
                os.chmod(file.name, 0o666 & ~mask)
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {(error.strerror or str(error)).lower()}; name another place"
        ) from None


def _with_empty(rows: Sequence[Row], interval: str) -> list[Row]:
    """Return the rows of a trend with those that have no interaction between them, so that each keeps its place."""
    if not rows:
        return []
    known = {row[interval]: row for row in rows}
    day, last = span(interval, rows[0][interval])[0], span(interval, rows[-1][interval])[1]
    names: list[str] = []
    while day <= last < date.max and len(names) <= _MOST_INTERVALS:
        names.append(day.strftime({"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}[interval]))
        day = span(interval, names[-1])[1] + timedelta(days=1)
    if not known.keys() <= set(names):
        return list(rows)
    counts = dict.fromkeys((name for name in rows[0] if name.endswith("_count")), 0)
    nothing = counts | measures.shares(counts) | split.levels(counts)
    return [known.get(name) or {interval: name, **nothing} for name in names]


# -- forms -------------------------------------------------------------------------------------------------------------


def to_html(report: ManagementReport) -> bytes:
    """Return the page as HTML in one file."""
    from dashboard.drawing import trend_points
    from dashboard.pages.rendering import templates

    page = templates().get_template("management_report.html")
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
