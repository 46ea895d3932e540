"""The report that travels: one page for a manager, as HTML, PDF or PNG, with nothing to load from elsewhere."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from dashboard.pages.asked import interval_of, span
from dashboard.pages.languages import Language
from dashboard.wording import GistTold
from pipeline.errors import ConfigurationError
from sinks import measures
from sinks.gist import gist
from sinks.measures import Filters
from sinks.metrics import split
from sinks.store import Store

MOST_TEAMS: Final = 12
# A record with a wrong year must not make a trend of thousands of empty months.
_MOST_INTERVALS: Final = 600

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ManagementReport(GistTold):
    """Everything that the page says.

    `cells` has the rows by team and channel of the teams that are shown, which are those that leave most without a
    trace; `hidden_teams` others are not. Intervals of the trend without an interaction have a row of zeros.
    """

    interval: str
    trend: Sequence[Row]
    teams: Sequence[str | None]
    hidden_teams: int
    channels: Sequence[str]
    cells: Mapping[tuple[str | None, str], Row]
    company: str = ""

    def is_unsettled(self, row: Row) -> bool:
        """Return whether traces of an interval of the trend are still being logged."""
        return self.unsettled_from is not None and span(self.interval, row[self.interval])[1] >= self.unsettled_from


def gather(store: Store, filters: Filters, language: str) -> ManagementReport:
    """Return the report of the interactions that fit.

    Raises:
        ConfigurationError: when a filter is unknown, or the period ends before it begins.
    """
    groups = split.share(store, ("team", "channel"), None, filters)
    told = gist(store, filters, groups)
    first, last = told.first_day, told.last_day
    interval = interval_of(0 if first is None or last is None else (last - first).days + 1)
    run = store.last_run()
    untraced: dict[str | None, int] = {}
    for row in groups:
        untraced[row["team"]] = untraced.get(row["team"], 0) + row["siloed_count"] + row["bypassed_count"]
    most = sorted(untraced, key=lambda team: (-untraced[team], team is None, team))[:MOST_TEAMS]
    teams = sorted(most, key=lambda team: (team is None, team))
    return ManagementReport(
        **vars(told),
        language=Language(language, measures.zone_of(store)),
        interval=interval,
        trend=_with_empty(split.share(store, (), interval, filters), interval),
        teams=teams,
        hidden_teams=len(untraced) - len(teams),
        channels=sorted({row["channel"] for row in groups}),
        cells={(row["team"], row["channel"]): row for row in groups if row["team"] in teams},
        company="" if run is None else run.company_id,
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
