"""A store is made whole or not at all, keeps the facts that it is given, and tells plainly when a file is none."""

from __future__ import annotations

import stat
import subprocess
import sys
import textwrap
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from pipeline.errors import ConfigurationError, TransientError
from pipeline.sources.registry import Batch
from schemas.facts import SCHEMAS, FactKind, table
from sinks import catalog
from sinks.appending import ROW_GROUP
from sinks.catalog import Migration
from sinks.placement import Placement
from sinks.store import Store
from sinks.windows import Window
from tests.records import Fact, account, activity, call, contact, email, person, progress, tables, user
from tests.stores import RUN, batch, interaction_row, outcomes, published, said, shown

ROOT = Path(__file__).resolve().parents[2]
PBX = ("pbx", "cdr.csv")
FACTS = [
    call("pbx:cdr.csv:1", "10:00", key="s1", ours="201", via_endpoint="600"),
    call("pbx:cdr.csv:2", "10:01", attempt="unanswered", customer=None),
    email("mail:inbox:0", "11:00", "T-anna", ["T-own", "T-other"], message_id="a@b", domains={"T-anna": "D-anna"}),
    person("r1", extension="201", valid_from=datetime(2024, 1, 1)),
    contact("c1", "T-anna", "T-anna-2", account="k1"),
    account("k1", "T-k", domains=["D-k"], segment="big"),
    user("u1", "T-r1"),
    activity("a1", "10:30", contacts=["c1"], owner="u1", keys=["s1"]),
    progress("12:00"),
    shown("T-anna", "+358…67"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bypass.duckdb"


# Ids of an event and of its conversation as systems give them: the same, their own, none.
IDS = [
    call("pbx:cdr.csv:1", "10:00").but(event_id="e1", session_id="e1", key="pbx:e1"),
    call("pbx:cdr.csv:2", "10:00").but(event_id="e2", session_id="e1", key="pbx:e1"),
    call("pbx:cdr.csv:3", "10:00").but(event_id=None, session_id="e1", key=None),
    call("pbx:cdr.csv:4", "10:00").but(event_id="e4", session_id=None, key="pbx:e4"),
    call("pbx:cdr.csv:5", "10:00").but(event_id="e5", session_id=None, key=None),
    call("pbx:cdr.csv:6", "10:00").but(event_id=None, session_id=None, key="pbx:e6"),
    call("pbx:cdr.csv:7", "10:00").but(event_id=None, session_id=None, key=None),
    call("pbx:cdr.csv:8", "10:00").but(event_id="e8", session_id="e8", key="other:e8"),
]


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def repeated(observation: Fact, count: int) -> pa.Table:
    """Return many rows of one observation."""
    return tables([observation])["observation"].take(pa.array([0] * count))


def test_nothing_is_there_before_a_store_is_published(path: Path) -> None:
    with Store.create(path) as store:
        store.begin_file(*PBX, "canonical", 10)
        store.add(batch([call("pbx:cdr.csv:1", "10:00")]), *PBX)
        assert not path.exists()
        store.publish(path)

    assert leftovers(path.parent) == [path.name]


def test_a_store_that_is_not_published_vanishes(path: Path) -> None:
    with Store.create(path) as store:
        store.begin_file(*PBX, "canonical", 10)

    assert leftovers(path.parent) == []


def test_a_published_store_keeps_the_mode_of_the_one_it_replaces(path: Path) -> None:
    published(path)
    path.chmod(0o640)

    published(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_to_a_store_stays_a_link(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "real.duckdb"
    target.parent.mkdir()
    link = tmp_path / "bypass.duckdb"
    link.symlink_to(target)

    published(link)

    assert link.is_symlink()
    assert leftovers(target.parent) == ["real.duckdb"]


def test_the_file_can_be_read_by_the_oldest_supported_duckdb(path: Path) -> None:
    with Store.open(published(path)) as store:
        tags = store.rows("SELECT tags['storage_version'] AS version FROM duckdb_databases() WHERE path IS NOT NULL")

    assert [row["version"] for row in tags] == ["v1.5.0+"]


def test_a_second_writer_is_refused_while_the_first_is_at_work(path: Path) -> None:
    with Store.create(path), pytest.raises(TransientError, match="another run is writing"):
        Store.create(path)

    Store.create(path).close()


def test_a_live_writer_keeps_a_new_build_out(path: Path) -> None:
    with Store.open(published(path), read_only=False), pytest.raises(TransientError, match="another run is writing"):
        Store.create(path)


def test_what_a_killed_run_left_is_removed_by_the_next(path: Path) -> None:
    placement = Placement(path)
    placement.draft.write_bytes(b"half a file")
    placement.draft.with_name(placement.draft.name + ".wal").write_bytes(b"log")
    placement.spill.mkdir()
    (placement.spill / "block").write_bytes(b"spilled")
    placement.lock.touch()

    published(path)

    assert leftovers(path.parent) == [path.name]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no store can be written in .*absent"):
        Store.create(tmp_path / "absent" / "bypass.duckdb")


def test_a_folder_is_no_place_for_a_store(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a directory"):
        Store.create(tmp_path)


def test_a_store_is_published_where_it_was_begun(path: Path) -> None:
    with Store.create(path) as store, pytest.raises(ConfigurationError, match="was begun for"):
        store.publish(path.with_name("other.duckdb"))


def test_facts_come_back_as_they_were_given(path: Path) -> None:
    given = tables(FACTS)
    with Store.create(path) as store:
        store.begin_file(*PBX, "canonical", 10)
        store.add(batch(FACTS), *PBX)
        got = store.fold_facts(store.fold_windows(100)[0])

    assert got.keys() == given.keys() - {"identifier"}
    for kind, rows in got.items():
        assert rows.schema == SCHEMAS[kind], kind
        first = rows.column_names[0]
        assert rows.sort_by(first).equals(given[kind].sort_by(first)), kind


@pytest.mark.parametrize(
    "observations",
    [
        IDS,
        IDS[:1],
        [*IDS, call("mobile:cdr.csv:1", "10:00").but(event_id="e1", session_id="e1", key="mobile:e1")],
        [call("é:cdr.csv:1", "10:00").but(event_id="ä1", session_id="ä1", key="é:ä1")],
    ],
    ids=["of all kinds", "all follow", "of two sources", "not ASCII"],
)
def test_ids_come_back_whatever_follows_from_what(path: Path, observations: list[Fact]) -> None:
    given = tables(observations)["observation"]
    with Store.create(path) as store:
        store.begin_file(*PBX, "canonical", 10)
        store.add(batch(observations), *PBX)
        got = store.fold_facts(Window())["observation"]

    assert got.sort_by("raw_id").equals(given.sort_by("raw_id"))


def test_a_batch_may_hold_dictionary_columns(path: Path) -> None:
    rows = tables(FACTS)["observation"]
    index = rows.schema.get_field_index("channel")
    encoded = rows.set_column(index, "channel", rows.column(index).dictionary_encode())
    with Store.create(path) as store:
        store.begin_file(*PBX, "canonical", 10)
        store.add(Batch({"observation": encoded}, 3), *PBX)
        got = store.fold_facts(Window())["observation"]

    assert sorted(got.column("channel").to_pylist()) == ["call", "call", "email"]


@pytest.mark.parametrize("channel", ["video", "CALL"])
def test_a_word_that_a_column_does_not_know_stops_the_run(path: Path, channel: str) -> None:
    rows = [call("pbx:cdr.csv:1", "10:00"), call("pbx:cdr.csv:2", "10:00", channel=channel)]
    with Store.create(path) as store:
        store.begin_file(*PBX, "canonical", 10)
        store.add(batch(rows), *PBX)
        with pytest.raises(ConfigurationError, match=f"unknown channel '{channel}'.*expected one of call, email"):
            store.finish_files()


def test_what_goes_wrong_while_writing_is_raised_although_the_reader_has_gone_on(path: Path) -> None:
    odd = repeated(call("pbx:cdr.csv:1", "10:00", line="smoke"), ROW_GROUP)
    good = tables([call("pbx:cdr.csv:2", "10:00")])["observation"]
    with Store.create(path) as store:
        store.begin_file(*PBX, "canonical", 10)
        store.add(Batch({"observation": odd}, odd.num_rows), *PBX)
        with pytest.raises(ConfigurationError, match="unknown line 'smoke' in observation;"):  # noqa: PT012
            store.add(Batch({"observation": good}, good.num_rows), *PBX)
            store.fold_windows(10)


def test_many_row_groups_are_stored_and_read_back(path: Path) -> None:
    count = ROW_GROUP + 1000
    many = repeated(call("pbx:f:0", "10:00"), count)
    many = many.set_column(0, "raw_id", pa.array([f"pbx:f:{n}" for n in range(count)]))
    with Store.create(path) as store:
        store.begin_file(*PBX, "canonical", 10)
        for start in range(0, count, 50_000):
            part = many.slice(start, 50_000)
            store.add(Batch({"observation": part}, part.num_rows), *PBX)
        store.publish()

    with Store.open(path) as store:
        assert store.rows("SELECT count(*) AS n, count(DISTINCT raw_id) AS m FROM observation") == [
            {"n": count, "m": count}
        ]


def test_every_kind_of_fact_is_stored_empty_too(path: Path) -> None:
    kinds: list[FactKind] = list(SCHEMAS)  # type: ignore[arg-type]
    with Store.create(path) as store:
        store.begin_file(*PBX, "canonical", 0)
        store.add(Batch({kind: table(kind, []) for kind in kinds}, 0), *PBX)
        store.publish()

    with Store.open(path) as store:
        assert store.rows("SELECT * FROM files")[0]["record_count"] == 0


def test_a_file_is_given_once(path: Path) -> None:
    with Store.create(path) as store:
        store.begin_file(*PBX, "canonical", 10)
        with pytest.raises(ConfigurationError, match="given twice"):
            store.begin_file(*PBX, "canonical", 10)


def test_files_that_are_not_given_again_keep_their_facts(path: Path) -> None:
    old = {
        ("pbx", "a.csv"): [call("pbx:a.csv:1", "10:00", customer="T-a")],
        ("pbx", "b.csv"): [call("pbx:b.csv:1", "10:00", customer="T-b")],
    }
    tokens = [shown(token, token) for token in ("T-a", "T-b")]
    published(path, {**old, ("pbx", "c.csv"): tokens})

    with Store.create(path) as store:
        kept = store.copy_facts_from(path, {("pbx", "b.csv"), ("pbx", "c.csv")})
        store.begin_file("pbx", "b.csv", "canonical", 10)
        store.add(batch([call("pbx:b.csv:7", "11:00")]), "pbx", "b.csv")
        store.publish(path)

    assert kept == 1
    with Store.open(path) as store:
        assert [row["raw_id"] for row in store.rows("SELECT raw_id FROM evidence ORDER BY 1")] == [
            "pbx:a.csv:1", "pbx:b.csv:7",
        ]  # fmt: skip
        # Identifiers belong to no file.
        assert [row["token"] for row in store.rows("SELECT token FROM identifiers ORDER BY 1")] == ["T-a", "T-b"]
        assert len(store.rows("SELECT DISTINCT file_number FROM source_file")) == 2
        assert len(store.rows("SELECT * FROM runs")) == 1


def test_a_store_that_is_not_there_says_how_to_make_one(path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no store at .*bypassflow replay"):
        Store.open(path)


@pytest.mark.parametrize("content", [b"", b"started_at,from,to\n2024-05-02,1,2\n", b"\x00" * 5000])
def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    for read_only in (True, False):
        with pytest.raises(ConfigurationError, match="is not a DuckDB file"):
            Store.open(path, read_only)
    assert path.read_bytes() == content


def test_a_directory_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a directory"):
        Store.open(tmp_path)


def test_somebody_elses_database_is_refused(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE sales (n INTEGER)")

    with pytest.raises(ConfigurationError, match="no store of bypassflow"):
        Store.open(path)


def test_a_cut_off_file_is_refused(path: Path) -> None:
    published(path, {PBX: FACTS})
    path.write_bytes(path.read_bytes()[:9000])

    with pytest.raises((ConfigurationError, TransientError), match=str(path)):
        Store.open(path)


def test_a_store_of_a_newer_bypassflow_is_refused(path: Path) -> None:
    with duckdb.connect(str(published(path))) as connection:
        connection.execute("INSERT INTO schema_version VALUES ($1, 'from_the_future')", [catalog.SCHEMA_VERSION + 1])

    for read_only in (True, False):
        with pytest.raises(ConfigurationError, match="newer bypassflow"):
            Store.open(path, read_only)
    Store.create(path).close()  # The lock was let go.


@pytest.mark.parametrize("read_only", [True, False])
def test_a_store_that_another_process_writes_names_it(path: Path, read_only: bool) -> None:
    code = """
        import sys, duckdb
        connection = duckdb.connect(sys.argv[1])
        print("ready", flush=True)
        sys.stdin.read()
    """
    published(path)
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(ConfigurationError, match=f"in use by process {other.pid}"):
            Store.open(path, read_only)
        other.communicate()


def test_several_readers_share_a_store(path: Path) -> None:
    published(path, changes=said([interaction_row("i1")]))

    with Store.open(path) as one, Store.open(path) as two:
        assert outcomes(one) == outcomes(two) == {"i1": "traced"}


def test_reading_leaves_nothing_behind(path: Path) -> None:
    with Store.open(published(path, {PBX: FACTS})) as store:
        store.fold_facts(Window())

    assert leftovers(path.parent) == [path.name]


def second_version(path: Path) -> None:
    """A store of version 2: it knows of no late facts."""
    published(path, {PBX: IDS}, said([interaction_row("i1")]))
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "DROP VIEW expired; DROP VIEW accounts; DROP VIEW disposition_count; DROP TABLE expired_event; "
            "DROP TABLE expired_interaction; DROP TABLE erased_row; DROP TABLE late_fact; "
            "UPDATE schema_version SET version = 2"
        )


def first_version(path: Path) -> None:
    """A store of version 1: it tells all ids of an observation, though some follow from others."""
    second_version(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            """
            CREATE TEMP TABLE told AS SELECT * FROM observation;
            DELETE FROM observation_base;
            INSERT INTO observation_base SELECT * FROM told;
            DROP VIEW observation;
            ALTER TABLE observation_base RENAME TO observation;
            UPDATE schema_version SET version = 1;
            """
        )


def old_store(path: Path) -> None:
    """A store of a version before the first: its `settings` column has another name, and it lacks a table."""
    first_version(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            """
            DELETE FROM schema_version;
            INSERT INTO schema_version VALUES (0, 'made_up');
            DROP VIEW runs;
            ALTER TABLE run RENAME COLUMN settings TO options;
            DROP TABLE interaction_retracted;
            """
        )


RELEASED = catalog.released()
MIGRATION = Migration(
    1,
    "say_settings",
    "ALTER TABLE run RENAME COLUMN options TO settings; "
    "CREATE TABLE interaction_retracted (interaction_id VARCHAR, version BIGINT)",
)


@pytest.mark.parametrize("read_only", [True, False])
def test_an_older_store_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool) -> None:
    old_store(path)
    monkeypatch.setattr(catalog, "released", lambda: (MIGRATION, *RELEASED))

    with Store.open(path, read_only) as store:
        assert outcomes(store) == {"i1": "traced"}
        assert [row["settings"] for row in store.rows("SELECT settings FROM runs")] == [RUN.settings]
        assert store.rows("SELECT max(version) AS version FROM schema_version") == [{"version": catalog.SCHEMA_VERSION}]


@pytest.mark.parametrize("read_only", [True, False])
def test_ids_of_a_store_of_version_1_stay(path: Path, read_only: bool) -> None:
    first_version(path)

    with Store.open(path, read_only) as store:
        got = store.fold_facts(Window())["observation"]

    assert got.sort_by("raw_id").equals(tables(IDS)["observation"].sort_by("raw_id"))


@pytest.mark.parametrize("read_only", [True, False])
def test_a_store_of_version_2_counts_late_facts_from_now_on(path: Path, read_only: bool) -> None:
    second_version(path)

    with Store.open(path, read_only) as store:
        assert [row["late_count"] for row in store.rows("SELECT late_count FROM accounts")] == [0]
        assert outcomes(store) == {"i1": "traced"}


@pytest.mark.parametrize("read_only", [True, False])
def test_a_copy_of_a_store_stays_when_its_schema_is_changed(path: Path, read_only: bool) -> None:
    second_version(path)

    Store.open(path, read_only).close()

    kept = path.with_name("bypass.duckdb.schema-2.backup")
    assert leftovers(path.parent) == [path.name, kept.name]
    with duckdb.connect(str(kept), read_only=True) as connection:
        assert connection.execute("SELECT max(version) FROM schema_version").fetchall() == [(2,)]
    kept.replace(path)
    with Store.open(path) as store:
        assert outcomes(store) == {"i1": "traced"}


def test_a_migration_that_fails_leaves_the_store_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_store(path)
    broken = Migration(1, "broken", MIGRATION.sql + "; SELECT * FROM nowhere")
    monkeypatch.setattr(catalog, "released", lambda: (broken,))
    with pytest.raises(duckdb.CatalogException):
        Store.open(path, read_only=False)

    monkeypatch.setattr(catalog, "released", lambda: (MIGRATION, *RELEASED))
    with Store.open(path, read_only=False) as store:
        assert outcomes(store) == {"i1": "traced"}


def test_a_missing_migration_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_store(path)
    monkeypatch.setattr(catalog, "released", lambda: ())

    with pytest.raises(ConfigurationError, match="no migration from version 0"):
        Store.open(path)


def test_the_released_migrations_have_no_gap_and_end_at_the_newest_version() -> None:
    versions = [migration.version for migration in catalog.released()]

    assert versions == list(range(2, catalog.SCHEMA_VERSION + 1))
