"""Pulls from a real PostgreSQL and a real MariaDB: as many rows as a company has, and while others write."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa

from pipeline.errors import ConfigurationError, TransientError
from pipeline.identifiers import Identifiers
from pipeline.sources.message_headers import masked_key
from tests.crm_pulls import ENVIRONMENT, Facts, Feed, facts_of, latest_of, pull, pulling, settings
from tests.crm_rows import call, fill_suitecrm, put
from tests.crm_schemas import odoo, suitecrm
from tests.crm_servers import Server
from tests.integration.crm_calls import MANY, fill_many

_MESSAGES = f"""
    INSERT INTO mail_message (id, create_uid, create_date, write_date, date, model, res_id, message_type, message_id,
        author_id, subtype_id)
    SELECT number, 2, timestamp '2024-01-01' + number * interval '1 minute',
        timestamp '2024-01-01' + number * interval '1 minute',
        timestamp '2024-01-01' + (number - 1) * interval '1 minute',
        'res.partner', 10 + number % 2, CASE number % 4 WHEN 0 THEN 'notification' ELSE 'email' END,
        '<' || number || '@mail.customer.example>', 20, 1
    FROM generate_series(1, {MANY}) AS number
"""


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def crm(server: Server) -> Iterator[sa.Engine]:
    """A small SuiteCRM on each of the servers."""
    with server.database("crm_small", suitecrm()) as engine:
        fill_suitecrm(engine)
        yield engine


def fill_odoo(engine: sa.Engine) -> None:
    moment = {"create_date": datetime(2024, 1, 1), "write_date": datetime(2024, 1, 1)}
    person = {"is_company": False, "commercial_partner_id": 12, "phone": "+358 40 1234567"}
    put(
        engine,
        "res_partner",
        {"id": 10, **moment, **person},
        {"id": 11, **moment, **person, "email": "maija@customer.example"},
    )
    put(
        engine,
        "res_partner",
        {"id": 12, **moment, "is_company": True, "commercial_partner_id": 12, "website": "customer.example"},
    )
    put(engine, "res_partner", {"id": 20, **moment, "is_company": False, "email": "matti@acme.example"})
    put(engine, "res_users", {"id": 2, **moment, "login": "matti", "partner_id": 20, "share": False})
    put(engine, "mail_message_subtype", {"id": 1, "internal": False})


# As many as a company has


def test_a_hundred_thousand_activities_of_suitecrm_are_complete(mariadb: Server, tmp_path: Path) -> None:
    with mariadb.database("crm_many", suitecrm()) as engine:
        fill_many(engine)
        feed = Feed()
        summary = pull(settings(mariadb.reader_url("crm_many"), batch=5_000), tmp_path, feed)
        assert summary.row_count == MANY + 12
        every = latest_of(feed.records, "activity")
        calls = {key: value for key, value in every.items() if value["activity_kind"] == "call"}
        assert len(calls) == MANY
        assert sum(not value.get("deleted") for value in calls.values()) == MANY - MANY // 50
        assert calls["call-000007"]["contact_ids"] == ["contact-2"]
        assert calls["call-000007"]["logged_at"] == "2024-01-01T00:07:00Z"
        assert len(set(feed.identities)) == len(feed.identities)
        again = pull(settings(mariadb.reader_url("crm_many"), batch=5_000), tmp_path, feed)
        assert (again.row_count, again.changed_count) == (0, 0)


def test_a_hundred_thousand_messages_of_odoo_are_complete(postgresql: Server, tmp_path: Path) -> None:
    with postgresql.database("crm_many", odoo()) as engine:
        fill_odoo(engine)
        with engine.begin() as connection:
            connection.execute(sa.text(_MESSAGES))
        feed = Feed()
        summary = pull(settings(postgresql.reader_url("crm_many"), "odoo", batch=5_000), tmp_path, feed)
        assert summary.row_count == MANY + 4
        emails = feed.latest("activity")
        assert len(emails) == MANY - MANY // 4  # what Odoo itself noted is none
        message = emails["mail.message,7"]
        assert message["logged_at"] == "2024-01-01T00:06:00Z"  # the email's own time
        assert message["keys"] == [masked_key("7@mail.customer.example")]
        assert message["contact_ids"] == ["res.partner,11"]
        assert feed.latest("contact")["res.partner,11"]["account_id"] == "res.partner,12"


# While others write


def now_of(engine: sa.Engine) -> datetime:
    """Return the time by which a CRM writes, UTC without a zone and to the second, as SuiteCRM does."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def write(engine: sa.Engine, seed: int, stop: threading.Event) -> None:
    """Insert and change calls, each in a transaction that ends some time after its rows were stamped."""
    chance = random.Random(seed)
    calls = sa.Table("calls", sa.MetaData(), autoload_with=engine)
    made: list[str] = []
    while not stop.is_set():
        with engine.connect() as connection, connection.begin():
            moment = now_of(engine)
            for _ in range(chance.randint(1, 5)):
                if made and chance.random() < 0.4:
                    change = {"date_modified": moment, "direction": chance.choice(["Inbound", "Outbound"])}
                    connection.execute(calls.update().where(calls.c.id == chance.choice(made)).values(**change))
                else:
                    row = call(len(made), 0, id=f"{seed}-{len(made):05}", date_entered=moment, date_modified=moment)
                    made.append(row["id"])
                    connection.execute(calls.insert().values(**row))
            time.sleep(chance.uniform(0, 0.25))


def test_what_is_written_during_pulls_is_never_missed_and_progress_is_never_ahead_of_it(
    crm: sa.Engine, server: Server, tmp_path: Path
) -> None:
    feed, stop = Feed(), threading.Event()
    chosen = settings(server.reader_url("crm_small"), batch=20, overlap="2s")
    writers = [threading.Thread(target=write, args=(crm, seed, stop)) for seed in range(3)]
    for writer in writers:
        writer.start()
    try:
        ends = time.monotonic() + 8
        while time.monotonic() < ends:
            pull(chosen, tmp_path, feed)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    pull(chosen, tmp_path, feed)
    calls = sa.Table("calls", sa.MetaData(), autoload_with=crm)
    with crm.connect() as connection:
        held = {row.id.strip(): row for row in connection.execute(calls.select().where(~calls.c.deleted))}
    delivered = feed.latest("activity")
    written = {key for key in held if key[0].isdigit()}
    assert len(written) > 100
    assert written == {key for key in delivered if key[0].isdigit()}
    assert {key: held[key].direction.lower() for key in written} == {
        key: delivered[key]["direction"] for key in written
    }
    assert_never_ahead(feed, {key: held[key].date_entered.replace(tzinfo=UTC) for key in written})


def assert_never_ahead(feed: Feed, logged: dict[str, datetime]) -> None:
    """Assert that whenever progress was told, everything logged before it had been delivered."""
    delivered: set[str] = set()
    marks = []
    for draft in feed.drafts:
        value = orjson.loads(draft.value or b"")
        if value["kind"] == "activity":
            delivered.add(value["activity_id"])
        elif value["kind"] == "feed_progress":
            mark = datetime.fromisoformat(value["complete_through"])
            marks.append(mark)
            assert not {key for key, moment in logged.items() if moment < mark} - delivered
    assert marks == sorted(marks)
    assert len(marks) > 1


def test_progress_waits_for_a_transaction_that_stays_open_longer_than_the_overlap(
    crm: sa.Engine, server: Server, tmp_path: Path
) -> None:
    if server.kind == "mysql":
        with server.admin("mysql").begin() as connection:
            connection.execute(sa.text("GRANT PROCESS ON *.* TO 'reader'@'127.0.0.1'"))
    feed = Feed()
    chosen = settings(server.reader_url("crm_small"), overlap="1s")
    pull(chosen, tmp_path, feed)
    calls = sa.Table("calls", sa.MetaData(), autoload_with=crm)
    with crm.connect() as connection:
        moment = now_of(crm)
        late = call(0, 0, id="late", date_entered=moment, date_modified=moment)
        connection.execute(calls.insert().values(**late))
        time.sleep(4)
        put(crm, "calls", call(0, 0, id="early", date_entered=now_of(crm), date_modified=now_of(crm)))
        pull(chosen, tmp_path, feed)
        assert "early" in feed.latest("activity")
        assert feed.progress is not None
        assert feed.progress <= moment.replace(tzinfo=UTC)
        assert feed.progress > moment.replace(tzinfo=UTC) - timedelta(minutes=1)
        connection.commit()
    # InnoDB keeps what it tells of running transactions for a tenth of a second.
    time.sleep(0.5)
    pull(chosen, tmp_path, feed)
    assert "late" in feed.latest("activity")
    assert feed.progress > moment.replace(tzinfo=UTC)
    assert_never_ahead(feed, {"late": moment.replace(tzinfo=UTC)})


def test_who_may_see_transactions_is_told_how_far_the_feed_reaches_while_one_stays_open(
    postgresql: Server, tmp_path: Path
) -> None:
    with postgresql.database("crm_small", suitecrm()) as engine, engine.connect() as connection:
        fill_suitecrm(engine)
        connection.execute(sa.text("INSERT INTO users (id) VALUES ('open')"))
        began = datetime.now(UTC)
        blind = Feed()
        (tmp_path / "blind").mkdir()
        summary = pull(settings(postgresql.reader_url("crm_small")), tmp_path / "blind", blind)
        assert summary.progress is None
        assert "GRANT pg_monitor" in summary.warnings[0]
        with postgresql.admin("postgres").begin() as admin:
            admin.execute(sa.text("GRANT pg_monitor TO reader"))
        try:
            seen = pull(settings(postgresql.reader_url("crm_small"), overlap="1s"), tmp_path, Feed())
        finally:
            with postgresql.admin("postgres").begin() as admin:
                admin.execute(sa.text("REVOKE pg_monitor FROM reader"))
        assert seen.progress is not None
        assert began - timedelta(seconds=30) < seen.progress <= began - timedelta(seconds=1)
        connection.rollback()


# What is gone, and what two servers say alike


def test_partners_that_odoo_merged_give_what_was_logged_to_the_one_that_stays(
    postgresql: Server, tmp_path: Path
) -> None:
    with postgresql.database("crm_merged", odoo()) as engine:
        fill_odoo(engine)
        moment = datetime(2024, 1, 2)
        put(
            engine,
            "mail_message",
            {
                "id": 1,
                "create_uid": 2,
                "create_date": moment,
                "write_date": moment,
                "date": moment,
                "model": "res.partner",
                "res_id": 10,
                "message_type": "comment",
                "subtype_id": 1,
            },
        )
        feed = Feed()
        chosen = settings(postgresql.reader_url("crm_merged"), "odoo", reread="0s")
        pull(chosen, tmp_path, feed)
        assert feed.latest("activity")["mail.message,1"]["contact_ids"] == ["res.partner,10"]
        # Its assistant writes so, and changes no time.
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE mail_message SET res_id = 11 WHERE res_id = 10"))
            connection.execute(sa.text("DELETE FROM res_partner WHERE id = 10"))
        assert pull(chosen, tmp_path, feed).gone_count == 1
        assert feed.latest("activity")["mail.message,1"]["contact_ids"] == ["res.partner,11"]
        assert "res.partner,10" not in feed.latest("contact")


def test_rows_that_are_deleted_are_taken_back(crm: sa.Engine, server: Server, tmp_path: Path) -> None:
    feed = Feed()
    chosen = settings(server.reader_url("crm_small"), reread="0s")
    pull(chosen, tmp_path, feed)
    with crm.begin() as connection:
        connection.execute(sa.text("DELETE FROM calls WHERE id = 'call-000001'"))
        connection.execute(sa.text("UPDATE contacts SET deleted = true WHERE id = 'contact-1'"))
        connection.execute(sa.text("UPDATE calls SET deleted = true WHERE id = 'call-000003'"))
    pull(chosen, tmp_path, feed)
    assert not {"call-000001", "call-000003"} & feed.latest("activity").keys()
    assert "contact-1" not in feed.latest("contact")


def test_every_server_gives_the_same_facts_of_the_same_rows(crm: sa.Engine, server: Server, tmp_path: Path) -> None:
    read_at = datetime(2024, 6, 1, tzinfo=UTC)
    sqlite = sa.create_engine(f"sqlite:///{tmp_path}/crm.sqlite")
    suitecrm().create_all(sqlite)
    fill_suitecrm(sqlite)
    (tmp_path / "server").mkdir()

    def facts(url: str, base: Path) -> Facts:
        found = facts_of(settings(url), base, Identifiers(b"k" * 32, "FI", ()), read_at)
        found.pop("feed_progress", None)  # of a server that is far ahead of the reading's time
        return found

    assert facts(server.reader_url("crm_small"), tmp_path / "server") == facts("sqlite:///crm.sqlite", tmp_path)


# What is refused


def test_a_server_that_refuses_is_told_in_one_sentence_without_secrets(
    crm: sa.Engine, server: Server, tmp_path: Path
) -> None:
    url = server.reader_url("crm_small")

    def refusal(url: str, kind: type[Exception], environment: dict[str, str] = ENVIRONMENT) -> str:
        with pytest.raises(kind) as caught:
            pull(settings(url), tmp_path, environment=environment)
        told = str(caught.value)
        assert not {"reader", "wrong-word", ENVIRONMENT["CRM_PASSWORD"]} & set(told.split())
        return told

    assert "user or password are wrong" in refusal(url, ConfigurationError, {"CRM_PASSWORD": "wrong-word"})
    assert "cannot be reached" in refusal(url.replace(str(server.port), "1"), TransientError)
    expected = "no database 'crm_other'" if server.kind == "postgresql" else "may not read"
    assert expected in refusal(url.replace("crm_small", "crm_other"), ConfigurationError)


def test_a_connection_that_was_lost_is_made_anew(postgresql: Server, tmp_path: Path) -> None:
    with postgresql.database("crm_lost", suitecrm()) as engine:
        fill_suitecrm(engine)
        feed = Feed()
        with pulling(settings(postgresql.reader_url("crm_lost")), tmp_path, feed) as once:
            once()
            with postgresql.admin("postgres").begin() as connection:
                ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'reader'"
                assert connection.execute(sa.text(ended)).scalar_one() > 0
            put(engine, "calls", call(9, 0, date_entered=now_of(engine), date_modified=now_of(engine)))
            once()
        assert "call-000009" in feed.latest("activity")


def test_the_database_refuses_whatever_is_more_than_reading(crm: sa.Engine, server: Server, tmp_path: Path) -> None:
    from agents.crm_database.connection import open_database

    url = f"{server.kind}://tests:${{ADMIN}}@127.0.0.1:{server.port}/crm_small"
    database = open_database(settings(url), {"ADMIN": "tests"}, tmp_path)
    with pytest.raises((ConfigurationError, TransientError)), database.reading() as connection:
        connection.execute(sa.text("DELETE FROM calls"))
    database.close()
    with crm.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM calls")).scalar_one() == 4
