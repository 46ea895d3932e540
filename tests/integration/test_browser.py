"""The pages in a browser, as analysts and managers use them: by hand, by keyboard, and with a screen reader's rules."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from typer.testing import CliRunner

from cli import app as commands
from dashboard.web import Site, make_app
from sinks.annotations import Annotations, beside
from sinks.asking import Asking
from sinks.metrics import split
from sinks.store import Store
from tests.stores import NOON

PAGES = (
    "/",
    "/explore?by=day",
    "/explore?by=team",
    "/interactions",
    "/days",
    "/service",
    "/hygiene",
    "/measures",
    "/data",
)
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated company, replayed."""
    folder = tmp_path_factory.mktemp("company")
    path = folder / "bypass.duckdb"
    for arguments in (
        ["simulate", str(folder / "company"), "--days", "21", "--representatives", "12", "--seed", "3"],
        ["replay", str(folder / "company"), "--db", str(path)],
    ):
        done = CliRunner().invoke(commands, arguments)
        assert done.exit_code == 0, done.output
    return path


@pytest.fixture(scope="module")
def address(store: Path) -> Iterator[str]:
    with Store.open(store) as opened:
        asking = Asking(opened)
        app = make_app(asking, annotations=beside(store), now=lambda: NOON)
        with Site(app, asking, "127.0.0.1", 0) as site:
            yield site.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium is not None, "chromium is needed to look at the pages; Debian has it as the package chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page of somebody new, on which nothing may go wrong unseen."""
    context = browser.new_context(base_url=address, locale="en-GB", viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda asked: complaints.append(asked.url) if not asked.url.startswith(address) else None)
    yield opened
    context.close()
    assert complaints == []


def visit(page: Page, path: str) -> None:
    page.goto(path)
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_is_accessible_and_fits_a_phone(page: Page, path: str, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    visit(page, path)
    expect(page.locator("h1")).to_be_visible()
    for picture in page.locator("[data-picture]").all():
        expect(picture).to_have_attribute("data-drawn", "yes")
    found = [each for each in Axe().run(page).response["violations"] if each["impact"] in SERIOUS]
    assert [(each["id"], [node["html"][:160] for node in each["nodes"][:3]]) for each in found] == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_explanation_is_accessible(page: Page) -> None:
    visit(page, "/interactions?outcome=traced")
    page.locator("main tbody a").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Why is this one traced?")
    expect(page.locator("svg.way circle.won")).to_have_count(1)
    expect(page.locator("tr.won")).to_have_count(1)
    found = [each for each in Axe().run(page).response["violations"] if each["impact"] in SERIOUS]
    assert [each["id"] for each in found] == []


def test_from_the_share_to_the_reason_of_one_interaction(page: Page, store: Path) -> None:
    with Store.open(store) as opened:
        (overall,) = split.share(opened)
    visit(page, "/?period=all")
    expect(page.locator(".figure")).to_have_text(f"{100 * overall['bypass_share']:.1f}\N{NO-BREAK SPACE}%")
    # Which leaks most for sure: its row leads to the interactions, and each of these to its reason.
    row = page.get_by_role("region", name="Which leaks most, for sure?").locator("tbody tr").first
    team, count = row.locator("th").inner_text(), row.locator("td a").inner_text()
    row.locator("td a").click()
    expect(page.locator("#list-title")).to_have_text(f"{count} interactions")
    expect(page.locator("main tbody tr").first.locator("td").nth(3)).to_have_text(team)
    page.locator("main tbody a").last.click()
    expect(page.locator(".sentence .outcome")).to_have_text("bypassed")
    expect(page.get_by_role("heading", name="The time around it")).to_be_visible()


def test_choosing_a_filter_changes_the_page_and_its_address(page: Page) -> None:
    visit(page, "/")
    before = page.locator(".sentence").inner_text()
    page.locator("select[name=channel]").select_option("email")
    expect(page.locator(".sentence")).not_to_have_text(before)
    assert "channel=email" in page.url
    chosen = page.locator(".sentence").inner_text()
    expect(page.locator("#trend")).to_have_attribute("data-drawn", "yes")
    page.reload()
    expect(page.locator(".sentence")).to_have_text(chosen)
    page.go_back()
    expect(page.locator(".sentence")).to_have_text(before)


def test_language_and_theme_are_toggled_and_kept(page: Page) -> None:
    visit(page, "/")
    page.get_by_role("link", name="Suomi").click()
    expect(page.locator("h1")).to_have_text("Kuinka paljon virtaa CRM:n ohi?")
    button = page.locator("#theme")
    expect(button).to_have_text("Teema: laitteen")
    page.wait_for_load_state("networkidle")
    button.click()
    button.click()
    expect(button).to_have_text("Teema: tumma")
    visit(page, "/data")
    expect(page.locator("h1")).to_have_text("Mihin luku perustuu")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 22, 28)"


def test_a_table_is_downloaded(page: Page) -> None:
    visit(page, "/explore?by=team")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="CSV").click()
    assert waiting.value.suggested_filename == "bypass-share.csv"
    lines = waiting.value.path().read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith('"team","interaction_count"')
    assert len(lines) == 1 + page.locator("main tbody tr").count()


def test_a_measure_is_added_and_drawn_into_the_trend(page: Page, store: Path) -> None:
    visit(page, "/measures")
    page.get_by_label("Name", exact=True).fill("Click to dial")
    page.get_by_label("Your name").fill("Aino")
    with Store.open(store) as opened:
        (day,) = opened.rows("SELECT (max(started_at) - INTERVAL 10 DAY)::DATE AS day FROM current_interaction")
    page.get_by_label("Begins on").fill(day["day"].isoformat())
    page.get_by_label("Teams (none: all)").select_option(index=0)
    page.get_by_role("button", name="Add").click()
    expect(page.locator("h1")).to_have_text("Click to dial")
    expect(page.get_by_role("heading", name="What it changed")).to_be_visible()
    found = [each for each in Axe().run(page).response["violations"] if each["impact"] in SERIOUS]
    assert [each["id"] for each in found] == []
    visit(page, "/")
    assert "Click to dial" in page.locator("#trend-data").inner_text()
    visit(page, "/measures/1")
    page.get_by_role("button", name="Remove this measure").click()
    expect(page.get_by_text("None yet.")).to_be_visible()
    assert Annotations(beside(store)).measures() == []


def test_a_judgement_is_kept_and_shown(page: Page) -> None:
    visit(page, "/interactions?outcome=bypassed")
    page.locator("main tbody a").first.click()
    page.get_by_label("You know better?").select_option("logged_elsewhere")
    page.get_by_label("Note").fill("in the old CRM")
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator("#judgement li")).to_contain_text("in the old CRM")


def test_the_pages_work_by_keyboard_alone(page: Page) -> None:
    visit(page, "/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("From", exact=True)).to_be_focused()


def test_the_pages_work_without_scripts(browser: Browser, address: str) -> None:
    context = browser.new_context(base_url=address, locale="en-GB", java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.locator("select[name=channel]").select_option("email")
    page.get_by_role("button", name="Show").click()
    assert "channel=email" in page.url
    page.goto("/service")
    page.get_by_role("link", name="Missed calls").click()
    assert page.url.startswith(f"{address}/service/calls")
    expect(page.locator("h2").first).to_have_text("Calls that nobody took")
    context.close()


def test_a_page_prints_without_its_controls(page: Page) -> None:
    visit(page, "/")
    page.emulate_media(media="print")
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator(".chooser")).to_be_hidden()
    expect(page.locator(".figure")).to_be_visible()


def test_the_calls_of_the_leakiest_team_since_two_weeks_are_three_clicks_away(page: Page) -> None:
    # "Which team leaks most since the last two weeks, and show me ten such calls."
    visit(page, "/explore")
    page.get_by_label("From", exact=True).fill("2025-10-13")
    page.locator("select[name=channel]").select_option("call")
    page.wait_for_url("**channel=call**")
    row = page.locator("main tbody tr").first
    team = row.locator("th").inner_text()
    row.locator("td a").first.click()
    expect(page.locator("main tbody tr").nth(9)).to_be_visible()
    for number in range(10):
        cells = page.locator("main tbody tr").nth(number).locator("td")
        expect(cells.nth(1)).to_contain_text("call")
        expect(cells.nth(3)).to_have_text(team)
