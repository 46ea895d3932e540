"""The views that analysts query say what the store holds, and say what they are."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from schemas.facts import SCHEMAS
from sinks import catalog, reference, results
from sinks.store import Store
from tests.records import activity, call, contact, person, progress
from tests.stores import NOON, batch, interaction_row, letter, published, said, shown

ROOT = Path(__file__).resolve().parents[2]
PBX = ("pbx", "cdr.csv")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bypass.duckdb"


def test_every_raw_event_stands_in_one_account(path: Path) -> None:
    calls = [call(f"pbx:cdr.csv:{n}", "10:00") for n in range(1, 5)]
    records = [contact("c1", "T-anna"), activity("a1", "10:00"), activity("a1-k2", "10:00").but(raw_id="crm:a1")]
    crm_letter = letter("crm:tasks.csv:4", is_raw_event=False)
    changes = said(
        dispositions=[
            {"raw_id": "pbx:cdr.csv:1", "disposition": "interaction", "evidence_id": "i1"},
            {"raw_id": "pbx:cdr.csv:2", "disposition": "duplicate"},
            {"raw_id": "pbx:cdr.csv:3", "disposition": "excluded", "reason": "too_short"},
        ]
    )
    files = {
        PBX: batch(calls, [letter("pbx:cdr.csv:9")]),
        ("crm", "tasks.csv"): batch(records, [crm_letter], record_count=3),
    }
    with Store.open(published(path, files, changes)) as store:
        (account_row,) = store.rows("SELECT * FROM accounts")
        (feed,) = store.rows("SELECT source, record_count, activity_count, rejected_count FROM feeds")

    assert {name: value for name, value in account_row.items() if value} == {
        "source": "pbx",
        "raw_count": 5,
        "interaction_count": 1,
        "duplicate_count": 1,
        "too_short_count": 1,
        "rejected_count": 1,
        "unaccounted_count": 1,
    }
    assert feed == {"source": "crm", "record_count": 3, "activity_count": 2, "rejected_count": 1}


def test_late_facts_wait_until_something_is_said_of_them(path: Path) -> None:
    def note_late(store: Store) -> None:
        store.connection.execute(
            "INSERT INTO late_fact VALUES ('pbx:cdr.csv:1', NULL), ('pbx:cdr.csv:2', NULL), ('crm:a1', 'a1')"
        )

    files = {
        PBX: [call(f"pbx:cdr.csv:{n}", "10:00") for n in (1, 2)],
        ("crm", "tasks.csv"): [activity("a1", "10:00"), activity("a2", "10:00")],
    }
    changes = said(dispositions=[{"raw_id": "pbx:cdr.csv:2", "disposition": "duplicate"}])
    with Store.open(published(path, files, changes, before_publish=note_late)) as store:
        (account_row,) = store.rows("SELECT raw_count, duplicate_count, late_count, unaccounted_count FROM accounts")
        dispositions = store.rows("SELECT raw_id, disposition FROM evidence ORDER BY raw_id")
        (feed,) = store.rows("SELECT source, activity_count, late_count FROM feeds")

    assert account_row == {"raw_count": 2, "duplicate_count": 1, "late_count": 1, "unaccounted_count": 0}
    assert [row["disposition"] for row in dispositions] == ["late", "duplicate"]
    assert feed == {"source": "crm", "activity_count": 2, "late_count": 1}


def test_records_that_a_reader_lost_are_unaccounted_for(path: Path) -> None:
    with Store.open(published(path, {PBX: batch([], record_count=7)})) as store:
        (account_row,) = store.rows("SELECT raw_count, unaccounted_count FROM accounts")

    assert account_row == {"raw_count": 7, "unaccounted_count": 7}


def test_a_file_of_raw_events_and_records_accounts_for_its_raw_events(path: Path) -> None:
    mixed = batch([call("all:events.jsonl:1", "10:00"), contact("c1", "T-anna"), contact("c2", "T-bo")])
    changes = said(dispositions=[{"raw_id": "all:events.jsonl:1", "disposition": "duplicate"}])
    with Store.open(published(path, {("all", "events.jsonl"): mixed}, changes)) as store:
        (account_row,) = store.rows("SELECT raw_count, unaccounted_count FROM accounts")

    assert account_row == {"raw_count": 1, "unaccounted_count": 0}


def test_an_empty_relation_file_of_the_crm_is_no_source_of_raw_events(path: Path) -> None:
    with Store.create(path) as store:
        store.begin_file("crm", "relations.csv", "salesforce", 10, carries={"activity"})
        store.add(batch([], record_count=12), "crm", "relations.csv")
        store.publish()

    with Store.open(path) as store:
        assert store.rows("SELECT * FROM accounts") == []


def test_senders_own_ids_are_counted_for_their_source(path: Path) -> None:
    changes = said(dispositions=[{"raw_id": "evt-1", "disposition": "duplicate"}])
    own = [call("evt-1", "10:00").but(source="chat")]
    with Store.open(published(path, {("chat", "log.jsonl"): own}, changes)) as store:
        (account_row,) = store.rows("SELECT source, raw_count, duplicate_count, unaccounted_count FROM accounts")

    assert account_row == {"source": "chat", "raw_count": 1, "duplicate_count": 1, "unaccounted_count": 0}


def test_a_source_whose_name_begins_with_anothers_has_its_own_account(path: Path) -> None:
    files = {(source, "f"): [call(f"{source}:f:1", "10:00")] for source in ("pbx", "pbx2", "pbx-2")}
    changes = said(dispositions=[{"raw_id": f"{source}:f:1", "disposition": "duplicate"} for source, _ in files])
    with Store.open(published(path, files, changes)) as store:
        rows = store.rows("SELECT source, duplicate_count, unaccounted_count FROM accounts ORDER BY source")

    assert [tuple(row.values()) for row in rows] == [("pbx", 1, 0), ("pbx-2", 1, 0), ("pbx2", 1, 0)]


def test_evidence_shows_where_each_raw_event_stands(path: Path) -> None:
    names = [shown("T-anna", "+358…67")]
    changes = said(dispositions=[{"raw_id": "mail:in:box/x:0", "disposition": "interaction", "evidence_id": "i1"}])
    facts = [call("mail:in:box/x:0", "10:00", key="s1"), *names]
    content = batch(facts, [letter("mail:bad.eml:3")], record_count=2)
    with Store.open(published(path, {("mail", "in:box"): content}, changes)) as store:
        used, rejected = store.rows(
            "SELECT source, file, position, disposition, evidence_id, session_id, from_identifier "
            "FROM evidence ORDER BY file DESC"
        )

    assert list(used.values()) == ["mail", "in:box/x", 0, "interaction", "i1", "s1", "+358…67"]
    assert list(rejected.values()) == ["mail", "bad.eml", 3, "rejected", None, None, None]


def test_activities_show_what_they_explain(path: Path) -> None:
    facts = [
        activity("a1", "10:00", raw_id="crm:t:1", updated_at=NOON),
        activity("a1", "11:00", raw_id="crm:t:2", updated_at=NOON + timedelta(days=1)),
    ]
    changes = said(activities=[{"activity_id": "a1", "status": "trace", "tier": "exact", "interaction_id": "i1"}])
    with Store.open(published(path, {("crm", "t"): facts}, changes)) as store:
        (row,) = store.rows("SELECT activity_id, status::VARCHAR AS status, interaction_id, raw_id FROM crm_activities")

    assert list(row.values()) == ["a1", "trace", "i1", "crm:t:2"]


def test_the_directory_is_no_feed(path: Path) -> None:
    with Store.open(published(path, {("directory", "d.csv"): [person("r1")], ("crm", "t"): [contact("c1")]})) as store:
        assert [row["source"] for row in store.rows("SELECT source FROM feeds")] == ["crm"]


def test_an_identifier_is_stored_once_as_it_was_shown_last(path: Path) -> None:
    facts = [shown("T-anna", "+358…67"), shown("T-bo", "m…@….fi"), shown("T-anna", "+358401234567")]
    with Store.open(published(path, {PBX: facts})) as store:
        assert store.rows("SELECT count(*) AS n FROM identifier") == [{"n": 2}]
        assert store.rows("SELECT identifier FROM identifiers WHERE token = 'T-anna'") == [
            {"identifier": "+358401234567"}
        ]


def test_the_slowest_feed_is_marked(path: Path) -> None:
    facts = [progress("10:00", "crm"), progress("12:00", "crm"), progress("11:00", "desk")]
    with Store.open(published(path, {("crm", "t"): facts})) as store:
        rows = store.rows("SELECT source, complete_through, is_slowest FROM feeds ORDER BY source")

    assert [(row["source"], row["complete_through"].hour, row["is_slowest"]) for row in rows] == [
        ("crm", 12, False), ("desk", 11, True),
    ]  # fmt: skip


def test_days_are_the_companys(path: Path) -> None:
    late = datetime(2024, 3, 4, 22, 30)  # 00:30 on the 5th in Helsinki
    rows = [interaction_row("i1", "bypassed", started_at=late), interaction_row("i2", started_at=NOON)]
    with Store.open(published(path, changes=said(rows))) as store:
        days = store.rows("SELECT day, bypass_share, bypass_share_low, bypass_share_high FROM daily_share ORDER BY day")

    assert [(str(row["day"]), row["bypass_share"]) for row in days] == [("2024-03-04", 0.0), ("2024-03-05", 1.0)]
    assert days[1]["bypass_share_low"] == pytest.approx(0.20654931)
    assert days[1]["bypass_share_high"] == 1.0


def test_what_is_undecided_has_no_share(path: Path) -> None:
    with Store.open(published(path, changes=said([interaction_row("i1", "pending")]))) as store:
        (row,) = store.rows("SELECT pending_count, bypass_share, bypass_share_low FROM daily_share")

    assert row == {"pending_count": 1, "bypass_share": None, "bypass_share_low": None}


def test_the_reference_page_is_fresh() -> None:
    page = (ROOT / "docs" / "reference" / "store.md").read_text(encoding="utf-8")

    assert page == reference.page(), "run: python -m sinks.reference > docs/reference/store.md"


def test_every_view_for_analysts_is_described_column_by_column() -> None:
    with duckdb.connect(":memory:") as connection:
        catalog.create(connection)
        views = dict(connection.execute("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").fetchall())
        behind = {"company_zone", "observation", "latest_activity", "shown_identifier", "disposition_count"}
        behind |= {"waiting_event", "waiting_activity"}
        behind |= {f"{kind}_{result.name}" for kind in ("current", "standing") for result in results.RESULTS}
        assert {name for name, comment in views.items() if comment is None} == behind
        silent = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() "
            "WHERE comment IS NULL AND list_contains($1, table_name)",
            [sorted(views.keys() - behind)],
        ).fetchall()
    assert silent == []
    page = reference.page()
    assert all(f"## {name}\n" in page for name in views.keys() - behind)


def test_fact_tables_have_the_columns_of_the_contract() -> None:
    with duckdb.connect(":memory:") as connection:
        catalog.create(connection)
        for kind, schema in SCHEMAS.items():
            names = [column.name for column in catalog.columns(connection, kind)]
            assert names == (schema.names if kind == "identifier" else ["file_number", *schema.names]), kind
