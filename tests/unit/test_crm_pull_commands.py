"""`bypassflow crm pull` as it is typed, and what ingest makes of what it publishes."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from pipeline.identifiers import Identifiers
from pipeline.intake import Intake
from pipeline.raw_messages import RawMessage
from schemas.log import Entry
from schemas.settings import Configuration
from tests.crm_pulls import Facts, Feed, facts_of, pull, settings
from tests.crm_rows import call, change, fill_suitecrm, put
from tests.crm_schemas import suitecrm
from tests.integration.companies import bypassflow

READ_AT = datetime(2024, 6, 1, tzinfo=UTC)
DATABASE = '[[crm_database]]\nsource = "crm"\nurl = "sqlite:///crm.sqlite"\nmapping = "suitecrm"\n'
TABLES = """
[[crm_database]]
source = "crm"
url = "sqlite:///crm.sqlite"
[[crm_database.table]]
kind = "activity"
table = "calls"
updated = "date_modified"
columns = { activity_kind = "=call", logged_at = "date_entered" }
"""


@pytest.fixture
def company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/crm.sqlite")
    suitecrm().create_all(engine)
    fill_suitecrm(engine)
    engine.dispose()
    (tmp_path / "bypassflow.toml").write_text(DATABASE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def activities(db: Path) -> dict[str, tuple[bool, list[str]]]:
    with duckdb.connect(str(db), read_only=True) as connection:
        rows = connection.execute("SELECT activity_id, deleted, contact_ids FROM activity").fetchall()
    assert len({row[0] for row in rows}) == len(rows)
    return {activity: (deleted, contacts) for activity, deleted, contacts in rows}


def test_a_store_holds_what_the_database_holds_after_each_pull(company: Path) -> None:
    ran = bypassflow("crm", "pull", "--source", "crm", "--db", "flow.duckdb")
    assert ran.exit_code == 0, ran.written
    assert "crm: 15 rows; 18 records are new or changed, 0 are gone; everything logged before 20" in ran.error
    before = activities(company / "flow.duckdb")
    assert before["call-000001"] == (False, ["contact-1"])
    engine = sa.create_engine(f"sqlite:///{company}/crm.sqlite")
    now = datetime.now(UTC).replace(tzinfo=None)
    change(engine, "calls", "call-000001", deleted=True, date_modified=now)
    put(engine, "calls", call(9, 0, date_entered=now, date_modified=now))
    ran = bypassflow("crm", "pull", "--source", "crm", "--db", "flow.duckdb")
    assert ran.exit_code == 0, ran.written
    after = activities(company / "flow.duckdb")
    assert after["call-000001"][0]
    assert after.keys() - before.keys() == {"call-000009"}


def test_files_of_a_store_stay_beside_what_is_pulled(company: Path) -> None:
    (company / "own.jsonl").write_text(
        '{"kind": "activity", "activity_id": "x1", "activity_kind": "call", "logged_at": "2024-05-02T08:00:00Z"}\n'
    )
    assert bypassflow("replay", "own.jsonl", "--db", "flow.duckdb").exit_code == 0
    assert bypassflow("crm", "pull", "--source", "crm", "--db", "flow.duckdb").exit_code == 0
    assert {"x1", "call-000001"} <= activities(company / "flow.duckdb").keys()


@pytest.mark.parametrize(
    ("text", "arguments", "code", "told"),
    [
        (DATABASE, ["--source", "cmr"], 1, "no [[crm_database]] has the source 'cmr'; did you mean 'crm'?"),
        ("", ["--source", "crm"], 1, "the configuration has no [[crm_database]]; for example source ="),
        (DATABASE + DATABASE, ["--source", "crm"], 1, "2 [[crm_database]] have the source 'crm'; keep one of them"),
        (DATABASE.replace("suitecrm", "suite"), ["--source", "crm"], 1, "unknown mapping 'suite'; did you mean"),
        (DATABASE.replace("crm.sqlite", "none.sqlite"), ["--source", "crm"], 1, "none.sqlite is no file"),
        (TABLES, ["--source", "crm"], 1, "has no timezone, and calls.date_modified holds times that name none"),
        (TABLES.replace('"calls"', '"cals"'), ["--source", "crm"], 1, "no table cals; near names are calls"),
        (DATABASE, ["--source", "crm", "--kafka"], 2, "give --db or --kafka, not both"),
        (DATABASE, ["--source", "crm", "--bootstrap", "127.0.0.1:9"], 2, "--bootstrap goes with --kafka"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_in_one_sentence(
    text: str, arguments: list[str], code: int, told: str, company: Path
) -> None:
    (company / "bypassflow.toml").write_text(text)
    ran = bypassflow("crm", "pull", *arguments, "--db", "flow.duckdb")
    assert ran.exit_code == code
    assert told in " ".join(ran.error.replace("│", " ").split())
    assert not (company / "flow.duckdb").exists()


def test_ingest_makes_of_what_is_published_what_a_store_is_given(company: Path) -> None:
    feed = Feed()
    engine = sa.create_engine(f"sqlite:///{company}/crm.sqlite")
    put(engine, "calls", call(9, 0, date_entered=None))
    chosen = settings("sqlite:///crm.sqlite")
    pull(chosen, company, feed, now=lambda: READ_AT)
    identifiers = Identifiers(b"k" * 32, "FI", ())
    intake = Intake(identifiers, Configuration())
    messages = [
        RawMessage(draft.topic, 0, Entry(number, draft.value, draft.key, draft.headers))
        for number, draft in enumerate(feed.drafts)
    ]
    taken = intake.take(messages, READ_AT)
    (letter,) = taken.letters
    assert letter.letter.raw_id.startswith("crm:database/calls:")
    assert not letter.letter.is_raw_event
    ingested: Facts = {}
    for kind, table in taken.facts.items():
        for row in table.to_pylist():
            for name in ("raw_id", "file", "format"):
                row.pop(name, None)
            ingested.setdefault(kind, []).append(sorted((name, repr(value)) for name, value in row.items()))
        ingested[kind].sort()
    given = facts_of(chosen, company, Identifiers(b"k" * 32, "FI", ()), READ_AT)
    given["identifier"] = [
        row for row, before in pairwise([*given["identifier"], []]) if row != before
    ]  # told per file
    assert ingested == given
