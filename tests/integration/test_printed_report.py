"""The report for managers in a browser: printed it is one sheet, and it is read without barriers, in light and dark."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright
from pypdf import PdfReader

from dashboard import management_report
from sinks.measures import Filters
from sinks.store import Store
from tests.stores import interaction_row, published, said

CHANNELS = ("call", "chat", "email", "fax", "sms", "social")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a company with many teams of long names over all channels."""
    folder = tmp_path_factory.mktemp("report")
    rows = [
        interaction_row(
            f"{team}-{channel}-{n}", outcome, channel=channel, team=f"{team} a team whose name is long " * 4
        )
        for team in range(60)
        for channel in CHANNELS
        for n, outcome in enumerate(("traced", "bypassed", "siloed", "pending"))
    ]
    path = published(folder / "company.duckdb", changes=said(rows))
    target = folder / "report.html"
    with Store.open(path) as store:
        management_report.write(management_report.gather(store, Filters(), "en"), target, "html")
    return Path(target).as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium is not None, "chromium is needed to print the report; Debian has it as the package chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


def test_printed_it_is_one_sheet_with_everything_on_it(browser: Browser, page: str) -> None:
    opened = browser.new_page()
    opened.goto(page)
    (sheet,) = PdfReader(io.BytesIO(opened.pdf(prefer_css_page_size=True))).pages
    words = " ".join(sheet.extract_text().split())
    assert (round(sheet.mediabox.width), round(sheet.mediabox.height)) == (595, 842)
    assert "and 48 more teams" in words
    assert "How sure is that?" in words


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1000])
def test_it_is_read_without_barriers(browser: Browser, page: str, theme: Literal["light", "dark"], width: int) -> None:
    opened = browser.new_page(color_scheme=theme, viewport={"width": width, "height": 900})
    opened.goto(page)
    assert Axe().run(opened).response["violations"] == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
