"""Reading a CRM's database, on SQLite: what rows say, what is read again, what is gone, and what is refused."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.errors import ConfigurationError, TransientError
from pipeline.sources.message_headers import masked_key
from tests.crm_pulls import Feed, latest_of, pull, pulling, settings
from tests.crm_rows import at, call, change, fill_suitecrm, pair, put, remove
from tests.crm_schemas import suitecrm

URL = "sqlite:///crm.sqlite"
WHEN = datetime(2024, 5, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crm") / "crm.sqlite"
    engine = sa.create_engine(f"sqlite:///{path}")
    suitecrm().create_all(engine)
    fill_suitecrm(engine)
    engine.dispose()
    return path


@pytest.fixture
def crm(filled: Path, tmp_path: Path) -> sa.Engine:
    shutil.copy(filled, tmp_path / "crm.sqlite")
    return sa.create_engine(f"sqlite:///{tmp_path}/crm.sqlite")


def pull_at(moment: datetime, base: Path, feed: Feed, **values: Any) -> Any:
    return pull(settings(URL, **values), base, feed, now=lambda: moment)


def test_rows_become_the_records_that_an_export_would_give(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    summary = pull_at(WHEN, tmp_path, feed)
    assert summary.is_full
    contacts, activities = feed.latest("contact"), feed.latest("activity")
    assert contacts["contact-1"]["account_id"] == "account-1"
    assert contacts["contact-1"]["phones"] == ["+358 40 1234567"]
    assert contacts["contact-1"]["emails"] == ["maija@customer.example"]  # the third address was taken away
    assert contacts["lead-1"]["phones"] == ["+358 40 7654321"]
    assert feed.latest("account")["account-1"]["domains"] == ["http://customer.example"]
    assert [record["email"] for record in feed.records if record["kind"] == "user"] == ["matti@acme.example"]
    assert activities["call-000001"]["contact_ids"] == ["contact-1"]
    assert activities["call-000001"]["direction"] == "inbound"
    assert activities["note-1"]["contact_ids"] == ["contact-1"]
    assert activities["task-1"]["contact_ids"] == ["lead-1"]
    assert feed.latest("ticket")["case-1"]["account_ids"] == ["account-1"]


def test_what_is_planned_counts_from_when_it_was_logged_and_what_was_not_held_does_not(
    crm: sa.Engine, tmp_path: Path
) -> None:
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    activities = feed.latest("activity")
    assert activities["call-000003"]["logged_at"] == "2024-05-02T08:12:00Z"
    assert "call-000002" not in activities
    assert "email-3" not in activities  # a draft


def test_an_email_has_its_own_time_unless_its_clock_was_ahead(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    activities = feed.latest("activity")
    assert activities["email-1"]["logged_at"] == "2024-05-02T08:15:00Z"
    assert activities["email-1"]["keys"] == [masked_key("a1@mail.customer.example")]
    assert activities["email-2:contact-1"]["logged_at"] == "2024-05-02T08:21:00Z"


def test_an_email_to_several_contacts_is_evidence_on_each(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    activities = feed.latest("activity")
    assert {"email-2:contact-1", "email-2:contact-2"} <= activities.keys()
    assert "email-2" not in activities


def test_something_logged_on_a_case_is_tied_to_its_account(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    assert feed.latest("activity")["meeting-1"]["account_ids"] == ["account-1"]


def test_the_first_read_is_published_in_the_order_in_which_things_were_logged(crm: sa.Engine, tmp_path: Path) -> None:
    put(crm, "calls", call(7, 5), call(8, 35))
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    logged = [record.get("logged_at", "") for record in feed.records]
    assert logged == sorted(logged)
    assert len(set(logged)) > 10


def test_a_second_read_gives_on_nothing_but_what_changed(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    count = len(feed.records)
    again = pull_at(WHEN + timedelta(minutes=1), tmp_path, feed)
    assert not again.is_full
    assert len(feed.records) == count
    change(crm, "calls", "call-000001", date_modified=at(241), direction="Outbound")
    put(crm, "calls", call(7, 241))
    pull_at(WHEN + timedelta(minutes=2), tmp_path, feed)
    assert [record["activity_id"] for record in feed.records[count:]] == ["call-000001", "call-000007"]
    assert feed.latest("activity")["call-000001"]["direction"] == "outbound"


def test_the_same_rows_have_the_same_identity_wherever_they_are_read(crm: sa.Engine, tmp_path: Path) -> None:
    one, other = Feed(), Feed()
    (tmp_path / "other").mkdir()
    pull_at(WHEN, tmp_path, one)
    pull(settings(f"sqlite:///{tmp_path}/crm.sqlite"), tmp_path / "other", other, now=lambda: WHEN + timedelta(days=1))
    assert one.identities == other.identities
    assert len(set(one.identities)) == len(one.identities)


def test_a_row_that_changes_within_its_second_is_a_later_version(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    put(crm, "calls", call(7, 240))
    pull_at(WHEN, tmp_path, feed)
    change(crm, "calls", "call-000007", direction="Outbound")  # its date_modified stays
    pull_at(WHEN + timedelta(seconds=1), tmp_path, feed)
    newest = latest_of(feed.records, "activity")["call-000007"]
    assert newest["direction"] == "outbound"
    assert newest["updated_at"] == "2024-05-02T12:00:00.000001+00:00"


def test_a_change_beside_a_row_makes_it_new(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    put(crm, "calls_contacts", pair("cc-2", 241, call_id="call-000003", contact_id="contact-2"))
    change(crm, "email_addr_bean_rel", "rel-0", deleted=True, date_modified=at(241))
    pull_at(WHEN + timedelta(minutes=2), tmp_path, feed)
    assert feed.latest("activity")["call-000003"]["contact_ids"] == ["contact-2"]
    assert "emails" not in feed.latest("contact")["contact-1"]


def test_a_row_that_is_marked_as_deleted_counts_no_more(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    change(crm, "contacts", "contact-1", deleted=True, date_modified=at(241))
    change(crm, "calls", "call-000001", deleted=True, date_modified=at(241))
    pull_at(WHEN + timedelta(minutes=2), tmp_path, feed)
    assert "contact-1" not in feed.latest("contact")
    assert "call-000001" not in feed.latest("activity")


def test_rows_that_are_gone_are_taken_back_when_everything_is_read_again(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    remove(crm, "calls", "call-000001")
    remove(crm, "contacts", "contact-1")
    assert pull_at(WHEN + timedelta(hours=1), tmp_path, feed).gone_count == 0
    summary = pull_at(WHEN + timedelta(hours=25), tmp_path, feed)
    assert summary.is_full
    assert summary.gone_count == 2
    assert "call-000001" not in feed.latest("activity")
    gone = latest_of(feed.records, "contact")["contact-1"]
    changed = "2024-05-02T08:01:00.000001+00:00"
    assert gone == {"contact_id": "contact-1", "deleted": True, "kind": "contact", "updated_at": changed}


def test_a_row_that_comes_back_with_its_old_time_counts_again(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    remove(crm, "calls", "call-000001")
    pull_at(WHEN + timedelta(hours=25), tmp_path, feed)
    put(crm, "calls", call(1, 10))
    pull_at(WHEN + timedelta(hours=50), tmp_path, feed)
    assert "call-000001" in feed.latest("activity")


def test_an_email_that_loses_one_of_several_contacts_counts_on_the_other_alone(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    change(crm, "emails_beans", "eb-2", deleted=True, date_modified=at(241))
    pull_at(WHEN + timedelta(minutes=2), tmp_path, feed)
    activities = feed.latest("activity")
    assert activities["email-2"]["contact_ids"] == ["contact-1"]
    assert not {"email-2:contact-1", "email-2:contact-2"} & activities.keys()


def test_merged_contacts_give_what_was_logged_to_the_one_that_stays(crm: sa.Engine, tmp_path: Path) -> None:
    # What SuiteCRM's merger does: the loser is deleted, the rows between are written anew.
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    change(crm, "contacts", "contact-1", deleted=True, date_modified=at(241))
    change(crm, "contacts", "contact-2", phone_mobile="+358 40 1234567", date_modified=at(241))
    change(crm, "calls_contacts", "cc-1", deleted=True, date_modified=at(241))
    put(crm, "calls_contacts", pair("cc-9", 241, call_id="call-000001", contact_id="contact-2"))
    pull_at(WHEN + timedelta(minutes=2), tmp_path, feed)
    assert feed.latest("contact")["contact-2"]["phones"] == ["+358 40 1234567"]
    assert "contact-1" not in feed.latest("contact")
    assert feed.latest("activity")["call-000001"]["contact_ids"] == ["contact-2"]


def test_progress_stays_behind_by_the_overlap_and_comes_last(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    summary = pull_at(WHEN, tmp_path, feed, overlap="10min")
    assert feed.progress == summary.progress == WHEN - timedelta(minutes=10)
    assert feed.drafts[-1].topic == "raw.feed-progress"


def test_a_row_that_becomes_visible_late_is_found_within_the_overlap(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    pull_at(WHEN, tmp_path, feed, overlap="10min")
    put(crm, "calls", call(7, 231))  # logged nine minutes before that read
    pull_at(WHEN + timedelta(minutes=1), tmp_path, feed, overlap="10min")
    assert "call-000007" in feed.latest("activity")


def test_a_broker_that_fails_is_given_the_same_records_again(crm: sa.Engine, tmp_path: Path) -> None:
    whole, feed = Feed(), Feed()
    (tmp_path / "whole").mkdir()
    pull(settings(f"sqlite:///{tmp_path}/crm.sqlite"), tmp_path / "whole", whole, now=lambda: WHEN)
    feed.log.fail_next_append(kept=0)
    with pytest.raises(TransientError):
        pull_at(WHEN, tmp_path, feed)
    assert feed.progress is None
    pull_at(WHEN, tmp_path, feed)
    assert sorted(feed.identities) == sorted(whole.identities)


def test_a_row_that_cannot_be_used_is_refused_with_nothing_of_its_text(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    put(crm, "calls", {**call(7, 10), "date_entered": None, "parent_id": "Maija Virtanen"})
    pull_at(WHEN, tmp_path, feed)
    (refused,) = (record for record in feed.records if record["kind"] == "rejected")
    assert refused["raw_id"].startswith("crm:database/calls:")
    assert not refused["is_raw_event"]
    assert refused["reason"] == "date_entered: missing; nothing says when it was logged"
    assert "Virtanen" not in str(refused)


def test_rows_without_a_time_of_change_are_read_too(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    put(crm, "calls", {**call(7, 10), "date_modified": None})
    pull_at(WHEN + timedelta(minutes=1), tmp_path, feed)
    assert "call-000007" in feed.latest("activity")


def test_the_tables_of_a_module_that_is_installed_later_are_read_as_a_whole(crm: sa.Engine, tmp_path: Path) -> None:
    feed = Feed()
    with crm.begin() as connection:
        connection.execute(sa.text("ALTER TABLE tasks RENAME TO tasks_of_later"))
    pull_at(WHEN, tmp_path, feed)
    assert "task-1" not in feed.latest("activity")
    with crm.begin() as connection:
        connection.execute(sa.text("ALTER TABLE tasks_of_later RENAME TO tasks"))
    assert pull_at(WHEN + timedelta(minutes=1), tmp_path, feed).is_full
    assert "task-1" in feed.latest("activity")


# Any tables


def tables_at(base: Path, *statements: str) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{base}/crm.sqlite")
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    return engine


EVENTS = "CREATE TABLE events (no INTEGER PRIMARY KEY, made DATETIME, changed DATETIME, kind TEXT)"
EVENT: dict[str, Any] = {
    "kind": "activity", "table": "events", "id": "no", "updated": "changed",
    "columns": {"activity_kind": "kind", "logged_at": "made"},
}  # fmt: skip


def test_an_hour_that_comes_twice_in_autumn_is_not_passed_over(tmp_path: Path) -> None:
    engine = tables_at(
        tmp_path, EVENTS, "INSERT INTO events VALUES (1, '2024-10-26 12:00', '2024-10-26 12:00', 'call')"
    )
    feed, zone = Feed(), {"timezone": "Europe/Helsinki"}
    first = datetime(2024, 10, 27, 0, 50, tzinfo=UTC)  # 03:50, before clocks are set back to 03:00
    pull(settings(URL, "tables", table=[EVENT], **zone), tmp_path, feed, now=lambda: first)
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO events VALUES (2, '2024-10-27 03:10', '2024-10-27 03:10', 'call')"))
    later = datetime(2024, 10, 27, 1, 20, tzinfo=UTC)
    pull(settings(URL, "tables", table=[EVENT], **zone), tmp_path, feed, now=lambda: later)
    assert feed.latest("activity").keys() == {"1", "2"}


def test_a_query_and_a_join_fill_records(tmp_path: Path) -> None:
    tables_at(
        tmp_path,
        EVENTS,
        "CREATE TABLE event_people (event_no INTEGER, person_no INTEGER, gone INTEGER)",
        "INSERT INTO events VALUES (1, '2024-05-02 10:00:00', '2024-05-02 10:00:00', 'call')",
        "INSERT INTO events VALUES (2, '2024-05-02 10:00:00', '2024-05-02 10:00:00', 'draft')",
        "INSERT INTO event_people VALUES (1, 7, 0), (1, 9, 0), (1, 8, 1)",
    )
    join = {"table": "event_people", "key": "event_no", "columns": {"contact_ids": "person_no"}, "deleted": "gone"}
    query = "SELECT no, made, changed, kind FROM events WHERE kind <> 'draft'"
    entry = {**EVENT, "table": None, "query": query, "name": "done", "join": [join]}
    feed = Feed()
    pull(settings(URL, "tables", table=[entry], timezone="UTC"), tmp_path, feed, now=lambda: WHEN)
    assert feed.identities[0].startswith("database/done:")
    (record,) = feed.records
    assert record["contact_ids"] == ["7", "9"]
    assert record["logged_at"] == "2024-05-02T10:00:00Z"


def test_a_table_without_a_time_of_changes_is_read_as_a_whole_each_time(tmp_path: Path) -> None:
    engine = tables_at(tmp_path, EVENTS, "INSERT INTO events VALUES (1, '2024-05-02 10:00', NULL, 'call')")
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO events VALUES (2, '2024-05-02 11:00', NULL, 'call')"))
    chosen = settings(URL, "tables", table=[{**EVENT, "updated": None}], timezone="UTC")
    feed = Feed()
    pull(chosen, tmp_path, feed, now=lambda: WHEN)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE events SET kind = 'email' WHERE no = 1"))
        connection.execute(sa.text("DELETE FROM events WHERE no = 2"))
    summary = pull(chosen, tmp_path, feed, now=lambda: WHEN + timedelta(minutes=1))
    assert (summary.changed_count, summary.gone_count) == (1, 1)
    assert {key: value["activity_kind"] for key, value in feed.latest("activity").items()} == {"1": "email"}


def test_a_mapping_that_does_not_fit_its_kind_is_named_with_its_table(tmp_path: Path) -> None:
    tables_at(tmp_path, EVENTS)
    wrong = {**EVENT, "columns": {"logged": "made", "activity_kind": "kind"}}
    told = refusal(tmp_path, mapping="tables", table=[wrong], timezone="UTC")
    assert "[[crm_database.table]] number 1 of source 'crm': mapping: 'logged' is no field of a activity" in told


# What is refused


def refusal(base: Path, url: str = URL, mapping: str = "suitecrm", **values: Any) -> str:
    with pytest.raises(ConfigurationError) as caught, pulling(settings(url, mapping, **values), base) as once:
        once()
    return str(caught.value)


def test_a_missing_table_and_a_missing_column_are_each_named_with_near_names(crm: sa.Engine, tmp_path: Path) -> None:
    with crm.begin() as connection:
        connection.execute(sa.text("ALTER TABLE calls RENAME COLUMN date_entered TO date_enterd"))
        connection.execute(sa.text("ALTER TABLE contacts RENAME TO contact"))
    told = refusal(tmp_path)
    assert "calls has no column date_entered; near names are date_enterd" in told
    assert "no table contacts; near names are contact" in told


def test_a_time_in_a_column_of_numbers_is_named(crm: sa.Engine, tmp_path: Path) -> None:
    with crm.begin() as connection:
        connection.execute(sa.text("ALTER TABLE calls DROP COLUMN date_entered"))
        connection.execute(sa.text("ALTER TABLE calls ADD COLUMN date_entered INTEGER"))
    assert "calls.date_entered is of type INTEGER; expected one that holds a time" in refusal(tmp_path)


def test_an_unknown_mapping_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    told = refusal(tmp_path, mapping="suitcrm")
    assert "unknown mapping 'suitcrm'; did you mean 'suitecrm'" in told


def test_an_empty_database_is_refused_and_tells_no_progress(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/crm.sqlite")
    suitecrm().create_all(engine)
    put(engine, "users", {"id": "1", "date_modified": at(0)})
    assert "nothing in them; is it the right database?" in refusal(tmp_path)


def test_a_file_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    assert "crm.sqlite is no file" in refusal(tmp_path)
    assert not (tmp_path / "crm.sqlite").exists()


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    assert "the environment variable NOT_SET is not set" in refusal(
        tmp_path, url="mysql://reader:${NOT_SET}@127.0.0.1/x"
    )


def test_a_driver_that_is_not_installed_is_named(tmp_path: Path) -> None:
    assert "no driver for oracle+oracledb is installed" in refusal(tmp_path, url="oracle+oracledb://reader@127.0.0.1/x")


def test_rows_that_vanish_by_the_half_stop_the_read(crm: sa.Engine, tmp_path: Path) -> None:
    put(crm, "calls", *(call(number, 60) for number in range(100, 220)))
    feed = Feed()
    pull_at(WHEN, tmp_path, feed)
    remove(crm, "calls", *(f"call-{number:06}" for number in range(100, 220)))
    with pytest.raises(ConfigurationError, match=r"are gone from the database .* at once"):
        pull_at(WHEN + timedelta(days=2), tmp_path, feed)
    assert "call-000150" in feed.latest("activity")


def test_one_ledger_has_one_process(crm: sa.Engine, tmp_path: Path) -> None:
    with pulling(settings(URL), tmp_path) as once:
        once()
        with pytest.raises(ConfigurationError, match="in use by another"), pulling(settings(URL), tmp_path):
            pass


def test_a_damaged_ledger_is_named(crm: sa.Engine, tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database" * 1000)
    assert "is damaged; remove it" in refusal(tmp_path)


def test_a_ledger_of_another_version_is_not_called_damaged(crm: sa.Engine, tmp_path: Path) -> None:
    pull_at(WHEN, tmp_path, Feed())
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE state SET value = json_set(value, '$.form', 0)")
    assert "was written by another version of bypassflow; remove it" in refusal(tmp_path)


def test_the_ledger_keeps_no_identifiers_that_were_given_on_and_is_its_owners_alone(
    crm: sa.Engine, tmp_path: Path
) -> None:
    pull_at(WHEN, tmp_path, Feed())
    ledger = tmp_path / "ledger.sqlite"
    assert ledger.stat().st_mode & 0o077 == 0
    with sa.create_engine(f"sqlite:///{ledger}").connect() as connection:
        kept = connection.execute(sa.text("SELECT count(*) FROM record WHERE value IS NOT NULL")).scalar_one()
    assert kept == 0
