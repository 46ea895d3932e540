"""Makes a picture of each page over a simulated company: light, dark, and on a phone. `make screenshots` runs it.

Usage: python docs/screenshots.py FOLDER
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from dashboard.web import Site, make_app
from sinks.annotations import Annotations, beside
from sinks.asking import Asking
from sinks.store import Store

COMMAND = [sys.executable, "-m", "cli"]
WIDTHS = {"light": 1280, "dark": 1280, "phone": 390}
PAGES = {
    "overview": "/",
    "explore": "/explore?by=team&by=channel",
    "interactions": "/interactions?outcome=bypassed",
    "day": "/days",
    "service": "/service",
    "hygiene": "/hygiene",
    "measures": "/measures",
    "measure": "/measures/1",
    "data": "/data",
}
# The README shows these.
SHOWN = (("overview", "light"), ("interaction", "dark"))


def company(folder: Path) -> Path:
    """Simulate a company and replay it; return its store, with a measure beside it."""
    store = folder / "bypass.duckdb"
    for arguments in (
        ["simulate", str(folder / "company"), "--days", "56", "--representatives", "40"],
        ["replay", str(folder / "company"), "--db", str(store)],
    ):
        subprocess.run([*COMMAND, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with Store.open(store) as opened:
        (row,) = opened.rows(
            "SELECT max(started_at) - INTERVAL 20 DAY AS at, now()::TIMESTAMP AS now FROM interactions"
        )
    Annotations(beside(store)).add_measure("Click to dial", row["at"], teams=["Dispatch"], added_at=row["now"])
    return store


def take(browser: Browser, address: str, folder: Path) -> None:
    """Take the pictures of all pages."""
    for kind, width in WIDTHS.items():
        scheme = "dark" if kind == "dark" else "light"
        context = browser.new_context(
            base_url=address, viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-GB"
        )
        page = context.new_page()
        for name, path in PAGES.items():
            open_page(page, path)
            page.screenshot(path=folder / f"{name}-{kind}.png", full_page=True)
        open_page(page, "/interactions?outcome=traced&channel=call")
        page.locator("main tbody a").nth(8).click()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / f"interaction-{kind}.png", full_page=True)
        context.close()


def open_page(page: Page, path: str) -> None:
    """Open a page and wait until its pictures stand still."""
    page.goto(path)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)


def main() -> None:
    """Make the pictures, and renew those that the README shows."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is needed; Debian has it as the package chromium")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        store = company(Path(place))
        with Store.open(store) as opened:
            asking = Asking(opened)
            (row,) = opened.rows("SELECT now()::TIMESTAMP AS now")
            app = make_app(asking, annotations=beside(store), now=lambda: row["now"])
            with Site(app, asking, "127.0.0.1", 0) as site:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                take(browser, site.url, folder)
                browser.close()
    for name, kind in SHOWN:
        shutil.copy(folder / f"{name}-{kind}.png", Path(__file__).parent / "pictures" / f"{name}.png")


if __name__ == "__main__":
    main()
