"""The notebook for analysts tells what the product itself tells, of a store, of a snapshot, and over the API."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dashboard.web import Site, make_app
from sinks import measures
from sinks.asking import Asking
from sinks.measures import Filters
from sinks.metrics import delay
from sinks.snapshots import write_snapshot
from sinks.store import Store
from tests.stores import NOON, interaction_row, published, said

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "notebooks" / "first_questions.py"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def notebook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("first_questions", NOTEBOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def talk(name: str, team: str | None, outcome: str, at: datetime, minutes: float | None = None) -> dict[str, Any]:
    seconds = None if minutes is None else 60 * minutes
    return interaction_row(name, outcome, team=team, started_at=at, ended_at=at, trace_delay_seconds=seconds)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        # Care leaks most, 15 of 20, and Sales 4 of 20; Desk leaked all of its two, which may be chance. Care's leaks of
        # five weeks ago are another story.
        *(talk(f"c{n:02}", "Care", "bypassed" if n % 4 else "traced", NOON - n * DAY / 3, n) for n in range(1, 21)),
        *(talk(f"s{n:02}", "Sales", "traced" if n % 5 else "siloed", NOON - n * DAY / 3, 100) for n in range(1, 21)),
        *(talk(f"d{n}", "Desk", "bypassed", NOON - n * DAY) for n in (1, 2)),
        *(talk(f"o{n:02}", "Sales", "bypassed", NOON - 35 * DAY) for n in range(40)),
        # What is pending ends the two weeks; what was quickly logged after it is not believed.
        talk("p", "Sales", "pending", NOON),
        talk("q", "Sales", "traced", NOON + DAY / 4, 0),
    ]
    rows = [row if row["outcome"] == "traced" else {**row, "trace_delay_seconds": None} for row in rows]
    return published(tmp_path_factory.mktemp("notebook") / "bypass.duckdb", changes=said(rows))


def ran(notebook: ModuleType, source: Path, url: str = "") -> Mapping[str, Any]:
    """Return what the cells of the notebook define when all of it is run."""
    _, defined = notebook.app.run(defs={"source": str(source), "url": url})
    return dict(defined)


@pytest.fixture(scope="module")
def defined(notebook: ModuleType, db: Path) -> Mapping[str, Any]:
    return ran(notebook, db)


def test_weeks_are_those_of_the_report(defined: Mapping[str, Any], db: Path) -> None:
    with Store.open(db) as store:
        reported = measures.report(store, ("week",))
    names = ("week", "pending_count", "bypass_share", "bypass_share_low", "bypass_share_high")
    assert [[row[name] for name in names] for row in defined["weeks"]] == [
        [row[name] for name in names] for row in reported
    ]
    assert len(reported) > 2


def test_the_worst_team_of_two_weeks_is_bad_for_sure(defined: Mapping[str, Any]) -> None:
    assert [(row["team"], row["untraced_count"], row["decided_count"]) for row in defined["teams"]] == [
        ("Care", 15, 20),
        ("Desk", 2, 2),
        ("Sales", 4, 20),
    ]
    assert defined["worst"] == defined["teams"][0]
    assert defined["period"] == (NOON - 14 * DAY, NOON)


def test_the_delays_are_those_of_what_is_decided(defined: Mapping[str, Any], db: Path) -> None:
    hours = [row["hours"] for row in defined["delays"]]
    with Store.open(db) as store:
        curve = delay.curve(store, hours, Filters(until=NOON))
    names = ("hours", "logged_count", "traced_count", "logged_share")
    assert [[row[name] for name in names] for row in defined["delays"]] == [
        [row[name] for name in names] for row in curve
    ]
    # Of 21 traces five come within twenty minutes.
    assert {row["hours"]: row["logged_count"] for row in defined["delays"]}[0.5] == 5


def test_the_examples_are_the_last_ten_of_that_team_without_a_trace(defined: Mapping[str, Any]) -> None:
    found = [row["interaction_id"] for row in defined["examples"]]
    assert found == [f"c{n:02}" for n in range(1, 21) if n % 4][:10]


def test_a_snapshot_tells_the_same(notebook: ModuleType, defined: Mapping[str, Any], db: Path, tmp_path: Path) -> None:
    # What the notebook has open is not opened for writing by the same process.
    source = Path(shutil.copyfile(db, tmp_path / "source.duckdb"))
    with Store.open(source, read_only=False) as store:
        folder = write_snapshot(store, tmp_path / "snapshots", NOON)
    (folder / source.name).unlink()  # The Parquet files are enough.
    found = ran(notebook, folder)
    for name in ("weeks", "teams", "delays", "examples"):
        assert found[name] == defined[name]


def test_the_api_tells_the_same_weeks(notebook: ModuleType, db: Path) -> None:
    with Store.open(db) as store:
        asking = Asking(store)
        with Site(make_app(asking, now=lambda: NOON), asking, "127.0.0.1", 0) as site:
            found = ran(notebook, db, site.url)
    assert found["told"] == found["weeks"]


def test_channels_can_be_chosen(notebook: ModuleType, db: Path) -> None:
    connection = notebook.opened(db)
    assert notebook.share_by_week(connection, ["call"]) == notebook.share_by_week(connection)
    assert notebook.share_by_week(connection, ["email"]) == []


def test_the_example_of_the_guide_gives_the_teams(
    notebook: ModuleType, db: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "howto" / "analyse.md").read_text(encoding="utf-8")
    example = text.partition("```python\n")[2].partition("```")[0]
    monkeypatch.setitem(sys.modules, "first_questions", notebook)
    monkeypatch.chdir(db.parent)
    exec(example, {})
    assert capsys.readouterr().out.splitlines() == ["Care: 15 of 20", "Desk: 2 of 2", "Sales: 4 of 20"]


def test_it_can_be_sent_on_as_a_page(db: Path, tmp_path: Path) -> None:
    # marimo keeps what the cells showed beside the notebook.
    copy, page = Path(shutil.copyfile(NOTEBOOK, tmp_path / NOTEBOOK.name)), tmp_path / "page.html"
    command = [sys.executable, "-m", "marimo", "export", "html", str(copy), "-o", str(page), "--", "--db", str(db)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout
    assert "15 of 20" in page.read_text(encoding="utf-8")


def test_a_store_that_was_replaced_is_seen_when_it_is_opened_again(notebook: ModuleType, tmp_path: Path) -> None:
    path = published(tmp_path / "bypass.duckdb", changes=said([talk("a", "Care", "bypassed", NOON)]))
    before = notebook.opened(path)
    published(path, changes=said([talk(name, "Care", "bypassed", NOON) for name in "ab"]))
    counts = [notebook.share_by_week(opened)[0]["untraced_count"] for opened in (before, notebook.opened(path))]
    assert counts == [1, 2]


def test_an_empty_store_has_answers_too(notebook: ModuleType, tmp_path: Path) -> None:
    found = ran(notebook, published(tmp_path / "empty.duckdb"))
    assert (found["weeks"], found["teams"], found["delays"], found["examples"]) == ([], [], [], [])
