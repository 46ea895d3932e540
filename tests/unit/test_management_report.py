"""The report that travels: its figures are those of the store, and it is one page whatever the company is like."""

from __future__ import annotations

import io
import re
import stat
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import duckdb
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from pypdf import PdfReader
from typer.testing import CliRunner

from cli import app as commands
from dashboard import management_report
from dashboard.drawing import draw_sheet, trend_points
from dashboard.management_report import MOST_TEAMS, ManagementReport, gather
from dashboard.pages.languages import Language
from pipeline.errors import ConfigurationError
from sinks import measures
from sinks.measures import Filters
from sinks.metrics.split import levels
from sinks.store import Store
from tests.acme import HELSINKI
from tests.records import Fact
from tests.served import replayed_acme
from tests.stores import interaction_row, published
from tests.stores import said as changes

_COUNTS = ("traced", "siloed", "bypassed", "pending")


def row(traced: int, siloed: int, bypassed: int, pending: int = 0, **group: Any) -> dict[str, Any]:
    counts = dict(zip((f"{name}_count" for name in _COUNTS), (traced, siloed, bypassed, pending), strict=True))
    whole = {"interaction_count": sum(counts.values()), **counts}
    return group | whole | measures.shares(whole) | levels(whole)


def a_report(
    teams: Sequence[str | None] = ("Sales",),
    channels: Sequence[str] = ("call",),
    days: int = 5,
    language: str = "en",
    counts: tuple[int, int, int, int] = (10, 5, 20, 3),
    hidden: int = 0,
) -> ManagementReport:
    first = date(2024, 3, 4)
    groups = [row(*counts, team=team, channel=channel) for team in teams for channel in channels]
    return ManagementReport(
        language=Language(language, "Europe/Helsinki"),
        wanted={},
        first_day=first,
        last_day=first + timedelta(days=days - 1),
        overall=row(*counts),
        change=None,
        interval="day",
        trend=[row(*counts, day=(first + timedelta(days=n)).isoformat()) for n in range(days)],
        unsettled_from=first + timedelta(days=days - 1),
        teams=teams,
        hidden_teams=hidden,
        channels=channels,
        cells={(each["team"], each["channel"]): each for each in groups},
        leaks=groups[:3],
        warnings=["the source pbx was silent on a day"],
        complete_through=datetime(2024, 3, 10, 22),
    )


def text_of(report: ManagementReport, kind: str) -> str:
    """Return what stands on the page, words apart by single blanks."""
    if kind == "pdf":
        reader = PdfReader(io.BytesIO(management_report.to_pdf(report)))
        assert len(reader.pages) == 1
        said = reader.pages[0].extract_text()
    else:
        said = unescape(
            re.sub(r"<style.*?</style>|<[^>]+>", " ", management_report.to_html(report).decode(), flags=re.S)
        )
    return " ".join(said.replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.mark.parametrize("kind", ["html", "pdf"])
def test_its_figures_are_those_of_the_store(acme: Path, kind: str) -> None:
    with Store.open(acme) as store:
        found = gather(store, Filters(), "en")
        (overall,) = measures.report(store)
    said = text_of(found, kind)
    assert found.overall["bypass_share"] == overall["bypass_share"] == 0.75
    assert "75.0 %" in said
    assert "Of 4 interactions that are decided, 3 left no trace on a customer in the CRM." in said
    low, high = (100 * overall[f"bypass_share_{end}"] for end in ("low", "high"))
    assert f"{low:.1f}–{high:.1f} %" in said
    assert "Sales" in said
    assert "Service" in said


def test_the_period_before_is_compared_when_there_is_one(acme: Path) -> None:
    with Store.open(acme) as store:
        # Two of the calls of the day were before half past nine in the morning, local time.
        found = gather(store, Filters({}, datetime(2024, 3, 4, 7, 15), datetime(2024, 3, 4, 7, 45)), "en")
        alone = gather(store, Filters({}, datetime(2024, 3, 4), datetime(2024, 3, 5)), "en")
    assert found.change is not None
    assert found.change["previous_interaction_count"] >= 1
    assert "points against the period before" in text_of(found, "html")
    assert alone.change is None


@pytest.mark.parametrize("kind", ["html", "pdf"])
def test_it_can_be_about_one_team_and_says_so(acme: Path, kind: str) -> None:
    with Store.open(acme) as store:
        said = text_of(gather(store, Filters({"team": ["Service"]}), "en"), kind)
    assert "Team: Service" in said
    assert "Of 1 interactions that are decided, 1 left no trace" in said


def a_company(path: Path, shares: Sequence[tuple[int, int, int]]) -> Path:
    """Make a store with 20 interactions on each day from Monday 4 March on: how many traced, bypassed and pending.

    Traces are logged an hour after the end; the CRM is read to the end of the last day.
    """
    path.mkdir(exist_ok=True)
    rows = []
    for day, (traced, bypassed, pending) in enumerate(shares):
        outcomes = ["traced"] * traced + ["bypassed"] * bypassed + ["pending"] * pending
        for number, outcome in enumerate(outcomes):
            at = datetime(2024, 3, 4, 8) + timedelta(days=day)
            delay = {"trace_delay_seconds": 3600.0} if outcome == "traced" else {}
            rows.append(
                interaction_row(f"{day:02}-{number:02}", outcome, started_at=at, ended_at=at, team="A", **delay)
            )
    reached = datetime(2024, 3, 3, 22) + timedelta(days=len(shares))
    through = Fact("feed_progress", {"source": "crm", "complete_through": reached})
    return published(path / "company.duckdb", {("crm", "all"): [through]}, changes(rows))


LIKE_EVER = (10, 10, 0)
JUST_READ = (10, 0, 10)


def test_what_is_not_settled_makes_no_change(tmp_path: Path) -> None:
    weeks = [LIKE_EVER] * 7 * 3 + [LIKE_EVER] * 4 + [JUST_READ] * 3
    with Store.open(a_company(tmp_path, weeks)) as store:
        asked = gather(
            store, Filters({}, measures.instant("2024-03-18", HELSINKI), measures.instant("2024-04-01", HELSINKI)), "en"
        )
        usual = gather(store, Filters(), "en")
    assert asked.unsettled_from == date(2024, 3, 29)
    assert asked.overall["bypass_share"] == pytest.approx(110 / 250)
    for found in (asked, usual):
        assert found.change is not None
        assert found.change["bypass_share_change"] == 0
    assert asked.compared == (date(2024, 3, 18), date(2024, 3, 24))
    assert "Mon 18 Mar 2024 – Sun 24 Mar 2024: ±0.0 points against the period before" in text_of(asked, "pdf")


def test_without_a_period_the_last_settled_weeks_are_compared_with_those_before(tmp_path: Path) -> None:
    weeks = [(15, 5, 0)] * 14 + [(5, 15, 0)] * 14 + [JUST_READ] * 2
    with Store.open(a_company(tmp_path, weeks)) as store:
        found = gather(store, Filters(), "en")
        cut = gather(
            store, Filters({}, measures.instant("2024-03-04", HELSINKI), measures.instant("2024-03-18", HELSINKI)), "en"
        )
    assert found.compared == (date(2024, 3, 18), date(2024, 3, 31))
    assert found.change is not None
    assert found.change["bypass_share_change"] == pytest.approx(0.5)
    assert "+50.0 points" in text_of(found, "html")
    # Nothing was recorded before the first day, so nothing is compared with it.
    assert cut.change is None


def test_a_day_without_an_interaction_keeps_its_place(tmp_path: Path) -> None:
    with Store.open(a_company(tmp_path, [LIKE_EVER, (0, 0, 0), (0, 0, 0), LIKE_EVER, LIKE_EVER])) as store:
        found = gather(store, Filters(), "en")
    assert [row["day"] for row in found.trend] == [f"2024-03-0{day}" for day in range(4, 9)]
    assert [row["interaction_count"] for row in found.trend] == [20, 0, 0, 20, 20]
    points = trend_points(found, 1000, 200)
    assert [point["y"] is None for point in points] == [False, True, True, False, False]


def test_weeks_and_months_keep_their_places_too(tmp_path: Path) -> None:
    weeks = [LIKE_EVER, *[(0, 0, 0)] * 69, LIKE_EVER]
    with Store.open(a_company(tmp_path / "weeks", weeks)) as store:
        assert [row["week"] for row in gather(store, Filters(), "en").trend] == [f"2024-W{n}" for n in range(10, 21)]
    months = [LIKE_EVER, *[(0, 0, 0)] * 759, LIKE_EVER]
    with Store.open(a_company(tmp_path / "months", months)) as store:
        trend = gather(store, Filters(), "en").trend
    assert len(trend) == 26
    assert (trend[0]["month"], trend[-1]["month"]) == ("2024-03", "2026-04")


def test_the_page_names_the_company(acme: Path) -> None:
    with Store.open(acme) as store:
        found = gather(store, Filters(), "en")
    for kind in ("html", "pdf"):
        assert "acme" in text_of(found, kind)


LONG = [f"{number} a team whose name is so long that no sheet of paper has room for all of it" for number in range(12)]
CHANNELS = ["call", "chat", "email", "fax", "sms", "social"]
SILENCES = [
    f"pbx-{n} wrote no call from Mon 4 Mar 2024 09:00 to Tue 5 Mar 17:00 though usually 41 come" for n in range(4)
]


@pytest.mark.parametrize("language", ["en", "fi"])
@pytest.mark.parametrize("teams", [LONG, ["W" * 24 + str(n) for n in range(12)], ["x" * 225], ["客户服务"]])
@pytest.mark.parametrize("channels", [["call"], CHANNELS])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_nothing_runs_off_the_sheet_or_into_the_table(teams: list[str], channels: list[str], language: str) -> None:
    report = replace(a_report(teams, channels, language=language, hidden=48), warnings=SILENCES)
    figure = Figure(figsize=(8.27, 11.69))
    with rc_context({"font.family": "DejaVu Sans", "text.parse_math": False}):
        draw_sheet(figure, report)
        FigureCanvasAgg(figure)
    width, height = figure.bbox.width, figure.bbox.height
    table = figure.axes[-1].get_window_extent()
    for text in figure.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= width
        assert box.y0 >= 0
        assert box.y1 <= height
        assert not box.width or not (
            box.x0 < table.x1 - 1 and box.x1 > table.x0 + 1 and box.y0 < table.y1 - 1 and box.y1 > table.y0 + 1
        ), text.get_text()


@pytest.mark.filterwarnings("error")
def test_letters_that_the_font_lacks_are_no_noise() -> None:
    assert management_report.to_pdf(a_report(["客户服务"])).startswith(b"%PDF")


@pytest.mark.parametrize("kind", ["html", "pdf"])
@pytest.mark.parametrize("language", ["en", "fi"])
@pytest.mark.parametrize(
    "shape",
    [
        {"days": 1},
        {"days": 62},
        {"teams": [f"Team {n}" for n in range(MOST_TEAMS)], "hidden": 48},
        {"channels": ["call", "chat", "email", "fax", "sms", "social"]},
        {"teams": [None]},
        {"counts": (0, 0, 0, 7)},
        {"teams": ["A team whose name is so long that no sheet of paper has room for all of it" * 3]},
    ],
)
def test_it_is_one_page_whatever_the_company_is_like(kind: str, language: str, shape: dict[str, Any]) -> None:
    said = text_of(a_report(language=language, **shape), kind)
    assert {"en": "How sure is that?", "fi": "Kuinka varmaa se on?"}[language] in said
    if shape.get("hidden"):
        assert {"en": "and 48 more teams", "fi": "ja 48 muuta tiimiä"}[language] in said


@pytest.mark.parametrize("name", ["Cost $x$ and $\\frac{1}{2}$", "<b>&amp; sons</b>", "a\x00b\nc"])
def test_names_are_text_and_never_markup_or_formulas(name: str) -> None:
    report = a_report(teams=[name])
    management_report.to_png(report)
    assert "<b>" not in management_report.to_html(report).decode().split("<main>")[1].replace(name, "")
    if name.isprintable():
        assert name[:12] in text_of(report, "pdf")


def test_the_picture_is_no_empty_sheet() -> None:
    with Image.open(io.BytesIO(management_report.to_png(a_report()))) as picture:
        assert picture.size == (1240, 1753)
        colours = picture.convert("RGB").getcolors(1 << 24) or []
    assert any(colour == (200, 72, 15) and count > 500 for count, colour in colours)


def test_the_same_report_is_the_same_file() -> None:
    for make in (management_report.to_html, management_report.to_pdf, management_report.to_png):
        assert make(a_report()) == make(a_report())


def test_the_page_loads_nothing() -> None:
    page = management_report.to_html(a_report()).decode()
    assert not re.search(r"\b(src|href)=|@import|url\((?!#)|<script", page)


def test_an_empty_store_gives_a_page_that_says_so(tmp_path: Path) -> None:
    path = replayed_acme(tmp_path)
    with duckdb.connect(str(path)) as store:
        store.execute("DELETE FROM interaction_base")
    with Store.open(path) as opened:
        report = gather(opened, Filters(), "en")
    for kind in ("html", "pdf"):
        assert "Nothing is decided in this period." in text_of(report, kind)
        assert "no interaction" in text_of(report, kind)


def test_the_files_are_written_whole(acme: Path, tmp_path: Path) -> None:
    names = [tmp_path / f"report.{kind}" for kind in ("html", "pdf", "png")]
    options = [part for path in names for part in (f"--{path.suffix[1:]}", str(path))]
    done = CliRunner().invoke(commands, ["report", "--db", str(acme), *options])
    assert done.exit_code == 0, done.output
    assert sorted(each.name for each in tmp_path.iterdir()) == ["report.html", "report.pdf", "report.png"]
    assert [path.read_bytes()[:5] for path in names] == [b"<!doc", b"%PDF-", b"\x89PNG\r"]
    assert stat.S_IMODE(names[0].stat().st_mode) & 0o444


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--by", "team"], "leave out --by"),
        (["--chart"], "leave out --by"),
        (["--language", "xx"], "unknown language"),
        (["--since", "2024-03-05", "--until", "2024-03-04"], "--since must be before --until"),
    ],
)
def test_what_does_not_go_together_is_said(acme: Path, tmp_path: Path, options: list[str], said: str) -> None:
    done = CliRunner().invoke(
        commands, ["report", "--db", str(acme), "--pdf", str(tmp_path / "r.pdf"), *options], catch_exceptions=True
    )
    assert done.exit_code != 0
    assert said in " ".join((done.output + str(done.exception)).split())
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_told_with_the_remedy(acme: Path, tmp_path: Path) -> None:
    with Store.open(acme) as store:
        report = gather(store, Filters(), "en")
    with pytest.raises(ConfigurationError, match="cannot be written: no such file or directory; name another place"):
        management_report.write(report, tmp_path / "nowhere" / "r.html", "html")


def test_a_folder_in_its_place_is_told_and_nothing_is_left(acme: Path, tmp_path: Path) -> None:
    (tmp_path / "r.pdf").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        management_report.write(a_report(), tmp_path / "r.pdf", "pdf")
    assert [each.name for each in tmp_path.iterdir()] == ["r.pdf"]


def test_a_running_sink_is_not_taken_for_the_store_that_the_environment_names(acme: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        commands, ["report", "--url", "http://127.0.0.1:9", "--pdf", str(tmp_path / "r.pdf")],
        env={"BYPASSFLOW_DB": str(acme)},
    )  # fmt: skip
    assert done.exit_code == 1
    assert "leave out --url" in " ".join(done.output.split())
    assert not list(tmp_path.iterdir())
