"""The report that travels: its figures are those of the store, and it is one page whatever the company is like."""

from __future__ import annotations

import io
import re
import stat
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import duckdb
import pytest
from PIL import Image
from pypdf import PdfReader
from typer.testing import CliRunner

from cli import app as commands
from dashboard import management_report
from dashboard.management_report import MOST_TEAMS, ManagementReport, gather
from dashboard.pages.languages import Language
from pipeline.errors import ConfigurationError
from sinks import measures
from sinks.measures import Filters
from sinks.metrics.split import levels
from sinks.store import Store
from tests.served import replayed_acme

_COUNTS = ("traced", "siloed", "bypassed", "pending")


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replayed_acme(tmp_path_factory.mktemp("acme"))


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
