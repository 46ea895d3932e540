"""A person seen in every channel is forgotten: in the store, its snapshots, exports, and in every later replay."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

import cli
from pipeline.identifiers import Identifiers
from sinks.annotations import Annotations, beside
from sinks.keyfile import load_key
from sinks.snapshots import write_snapshot
from sinks.store import Store
from tests.integration.companies import bypassflow, replay
from tests.stores import NOON

ROOT = Path(__file__).resolve().parents[2]
NUMBER, ADDRESS, HANDLE = "+358 40 771 2345", "zorvika@quillmark-oy.fi", "instagram:zorv_q"
# The core of each identifier, her names in the CRM and what only her records are called.
MARKS = (
    "407712345", "zorvika", "quillmark", "zorv_q", "zork-contact", "zork-account", "zork-task", "zork-email",
    "zork-ticket", "zork-call", "zork-mobile", "zork-text", "zork-chat", "zork-post", "zork-letter",
)  # fmt: skip
CONFIGURATION = """\
[company]
name = "Own Firm"
domains = ["ownfirm.example"]
region = "FI"
directory = "directory.csv"

[crm]
complete_through = 2025-03-20

[privacy]
identifiers = "{identifiers}"

[[source]]
name = "pbx"
path = "pbx"

[[source]]
name = "operator"
path = "operator"

[[source]]
name = "mail"
path = "mail"

[[source]]
name = "messages"
path = "messages"

[[source]]
name = "crm"
path = "crm"
"""
DIRECTORY = """\
representative_id,name,email,extension,direct_number,mobile_number,team,function
r1,Anna Oma,anna@ownfirm.example,201,,,Sales,other
r2,Ben Oma,ben@ownfirm.example,202,,,Service,contact_center
"""
_CALL = {"kind": "call", "talk_seconds": 60, "direction": "inbound"}
_SOCIAL = {"kind": "message", "channel": "social", "namespace": "instagram", "direction": "inbound"}
_TASK = {"kind": "activity", "owner_id": "r1"}
RECORDS: Mapping[str, list[dict[str, Any]]] = {
    "pbx/calls.jsonl": [
        {**_CALL, "call_id": "zork-call-1", "started_at": "2025-03-03T10:00:00Z", "from": NUMBER, "to": "201"},
        {**_CALL, "call_id": "zork-call-2", "started_at": "2025-03-03T11:00:00Z", "from": "0407712345", "to": "202"},
        {**_CALL, "call_id": "other-call-1", "started_at": "2025-03-03T10:30:00Z", "from": "0505551234", "to": "201"},
        {**_CALL, "call_id": "other-call-2", "started_at": "2025-03-03T13:30:00Z", "from": "095550000", "to": "202"},
    ],
    "operator/mobile.jsonl": [
        {
            **_CALL, "call_id": "zork-mobile-1", "started_at": "2025-03-03T10:00:04Z", "line": "mobile",
            "customer": NUMBER, "representative": "r1",
        },
    ],
    "mail/anna.jsonl": [
        {
            "kind": "email", "message_id": "<zork-letter.zorvika@quillmark-oy.fi>", "sent_at": "2025-03-03T12:00:00Z",
            "from": f"Zorvika <{ADDRESS}>", "to": ["anna@ownfirm.example"],
        },
        {
            "kind": "email", "message_id": "<to-both@ownfirm.example>", "sent_at": "2025-03-03T12:30:00Z",
            "from": "anna@ownfirm.example", "to": [ADDRESS, "bob@other.example"],
        },
    ],
    "messages/all.jsonl": [
        {
            "kind": "message", "channel": "sms", "message_id": "zork-text-1", "started_at": "2025-03-03T14:00:00Z",
            "customer": NUMBER, "representative": "r1", "direction": "inbound",
        },
        {
            "kind": "message", "channel": "chat", "conversation_id": "zork-chat-1",
            "started_at": "2025-03-03T14:10:00Z", "customer": ADDRESS, "representative": "r2", "direction": "inbound",
        },
        {
            **_SOCIAL, "message_id": "zork-post-1", "started_at": "2025-03-03T14:20:00Z", "customer": "zorv_q",
            "representative": "r2",
        },
        {
            **_SOCIAL, "message_id": "other-post", "started_at": "2025-03-03T14:30:00Z", "customer": "somebody",
            "representative": "r2",
        },
    ],
    "crm/export.jsonl": [
        {
            "kind": "contact", "contact_id": "zork-contact", "account_id": "zork-account", "phones": ["040 771 2345"],
            "emails": [ADDRESS],
        },
        {"kind": "account", "account_id": "zork-account", "phones": [NUMBER], "segment": "home"},
        {
            "kind": "contact", "contact_id": "other-contact", "account_id": "other-account",
            "phones": ["+358 50 555 1234"], "emails": ["bob@other.example"],
        },
        {
            **_TASK, "activity_id": "zork-task-1", "activity_kind": "call", "logged_at": "2025-03-03T10:05:00Z",
            "contact_ids": ["zork-contact"],
        },
        {
            **_TASK, "activity_id": "zork-task-2", "activity_kind": "note", "logged_at": "2025-03-03T18:00:00Z",
            "account_ids": ["zork-account"],
        },
        {
            **_TASK, "activity_id": "zork-email-1", "activity_kind": "email", "logged_at": "2025-03-03T12:05:00Z",
            "contact_ids": ["zork-contact"], "keys": ["zork-letter.zorvika@quillmark-oy.fi"],
        },
        {
            "kind": "ticket", "ticket_id": "zork-ticket-1", "logged_at": "2025-03-03T14:25:00Z", "owner_id": "r2",
            "requester_emails": [ADDRESS],
        },
        {
            **_TASK, "activity_id": "other-task", "activity_kind": "call", "logged_at": "2025-03-03T10:33:00Z",
            "contact_ids": ["other-contact"],
        },
    ],
}  # fmt: skip


HOLD = """
import sys
from pathlib import Path
from sinks.store import Store
with Store.open(Path(sys.argv[1]), read_only=False):
    print("held", flush=True)
    sys.stdin.read()
"""


def write_company(folder: Path, identifiers: str) -> Path:
    for name, text in {
        "bypassflow.toml": CONFIGURATION.format(identifiers=identifiers),
        "directory.csv": DIRECTORY,
        **{name: "".join(json.dumps(record) + "\n" for record in records) for name, records in RECORDS.items()},
    }.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return folder


def tokens_of(company: Path) -> list[str]:
    known = Identifiers(load_key(company / "bypassflow.key"))
    found = [known.phone(NUMBER).token, known.email(ADDRESS).token, known.handle("zorv_q", "instagram").token]
    return [str(token) for token in found]


def content(path: Path) -> str:
    """Return all that a file holds: its bytes, and the rows of a store or a Parquet file."""
    text = path.read_bytes().decode("latin-1")
    with duckdb.connect() as connection:
        if path.suffix == ".parquet":
            text += str(connection.execute(f"FROM '{path}'").fetchall())
        elif path.suffix == ".duckdb":
            connection.execute(f"ATTACH '{path}' AS it (READ_ONLY); USE it")
            names = connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'it'").fetchall()
            text += "\n".join(str(connection.execute(f"FROM {name}").fetchall()) for (name,) in names)
    return text


def found(folder: Path, marks: list[str]) -> dict[str, list[str]]:
    """Return the marks that stand anywhere in the files of a folder, by file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    texts = {path.name: content(path).lower() for path in files}
    return {name: there for name, text in texts.items() if (there := [m for m in marks if m.lower() in text])}


def counted(db: Path) -> list[str]:
    with Store.open(db) as store:
        rows = store.rows(
            "SELECT channel, line, direction, outcome, reason, tier, team, segment, started_at, representative_id, "
            "sources, count(*) AS n FROM interactions GROUP BY ALL"
        )
        accounts = store.rows("FROM accounts ORDER BY source")
        activities = store.rows(
            "SELECT kind, status, tier, count(*) AS n FROM crm_activities GROUP BY ALL ORDER BY ALL"
        )
    return [*sorted(map(str, rows)), *map(str, accounts), *map(str, activities)]


@pytest.fixture(params=["masked", "clear"])
def company(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_company(tmp_path / "company", request.param)


@pytest.fixture
def db(company: Path, tmp_path: Path) -> Path:
    """A store in a folder of its own, with a snapshot, and a label with a note that names her."""
    folder = tmp_path / "data"
    folder.mkdir()
    path = replay(folder / "flow.duckdb", company)
    with Store.open(path) as store:
        (hers,) = store.rows(
            "SELECT interaction_id FROM interactions WHERE token = $token AND channel = 'sms'",
            {"token": tokens_of(company)[0]},
        )
    ran = bypassflow("label", "add", hers["interaction_id"], "correct", "--note", "Zorvika told me", "--db", path)
    assert ran.exit_code == 0, ran.error
    with Store.open(path, read_only=False) as store:
        write_snapshot(store, folder / "snapshots", NOON)
    return path


def forget(company: Path, db: Path, *more: str, given: str = f"{NUMBER}\n{ADDRESS}\n{HANDLE}\n") -> Any:
    arguments = ["forget", "--db", db, "--config", company / "bypassflow.toml", "--file", "-", *more]
    ran = CliRunner().invoke(cli.app, [str(each) for each in arguments], input=given)
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return ran


def test_a_person_seen_in_every_channel_is_found_nowhere_afterwards(company: Path, db: Path, tmp_path: Path) -> None:
    marks = [*MARKS, *tokens_of(company)]
    before = counted(db)
    there = {mark for found_there in found(db.parent, marks).values() for mark in found_there}
    assert there >= {*tokens_of(company), "zork-contact", "zork-call", "zorvika"}
    others = "FROM interactions WHERE {} ORDER BY interaction_id"
    with Store.open(db) as store:
        kept = store.rows(others.format("token NOT IN $hers OR token IS NULL"), {"hers": tokens_of(company)})

    ran = forget(company, db, "--snapshot-dir", str(db.parent / "snapshots"))

    assert ran.exit_code == 0, ran.stderr
    assert "7 interactions stay counted" in ran.stderr, ran.stderr
    assert not [mark for mark in MARKS if mark in ran.output.lower()]
    assert found(db.parent, marks) == {}
    assert counted(db) == before
    with Store.open(db) as store:
        ids = {row["interaction_id"] for row in kept}
        rows = [row for row in store.rows(others.format("true")) if row["interaction_id"] in ids]
    assert rows == kept
    for shape in ("csv", "json"):
        assert not [mark for mark in marks if mark in bypassflow("interactions", "--db", db, "--format", shape).out]
    (label,) = Annotations(beside(db)).labels()
    assert (label.verdict, label.note) == ("correct", "")
    with Store.open(db) as store:
        assert store.rows("SELECT channel FROM interactions WHERE interaction_id = $id", {"id": label.interaction_id})


def test_a_replay_of_the_same_files_forgets_them_again_and_counts_the_same(
    company: Path, db: Path, tmp_path: Path
) -> None:
    before, marks = counted(db), tokens_of(company)
    forget(company, db)

    replay(db, company)
    (tmp_path / "fresh").mkdir()
    fresh = replay(tmp_path / "fresh" / "flow.duckdb", company)

    for path in (db, fresh):
        assert [mark for mark in [*marks, "zork-contact", "zork-call", "zork-task"] if mark in content(path)] == []
        assert counted(path) == before


def test_a_file_that_is_named_after_a_person_gets_another_name(company: Path, tmp_path: Path) -> None:
    for name in (ADDRESS, "0407712345", "+358407712345"):
        shutil.copyfile(company / "pbx" / "calls.jsonl", company / "pbx" / f"{name}.jsonl")
    db = replay(tmp_path / "flow.duckdb", company)
    before = counted(db)

    forget(company, db)

    assert [mark for mark in ("407712345", "zorvika") if mark in content(db).lower()] == []
    assert counted(db) == before


def test_after_a_restore_all_who_were_forgotten_are_erased_again(company: Path, db: Path, tmp_path: Path) -> None:
    settings = ("--config", company / "bypassflow.toml")
    assert bypassflow("backup", tmp_path / "kept", "--db", db, *settings).exit_code == 0
    forget(company, db)
    assert bypassflow("restore", tmp_path / "kept", "--db", db, "--force").exit_code == 0
    assert tokens_of(company)[0] in content(db)

    ran = bypassflow("forget", "--again", "--db", db, *settings)

    assert ran.exit_code == 0, ran.error
    assert [mark for mark in [*tokens_of(company), "zork-contact", "zork-call"] if mark in content(db)] == []


def test_a_store_that_is_being_written_is_refused_with_the_remedy(company: Path, db: Path) -> None:
    before = db.read_bytes()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(db)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder, holder.stdin:
        holder.stdout.readline()
        ran = forget(company, db)
    assert ran.exit_code == 1
    assert "stop" in ran.stderr, ran.stderr
    assert db.read_bytes() == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "no identifier was given"),
        ("0401112223\nhello world\n", "identifier 2"),
        ("anna@ownfirm.example", "directory"),
    ],
)
def test_what_cannot_be_forgotten_is_said_without_the_text(company: Path, db: Path, given: str, said: str) -> None:
    before = db.read_bytes()
    ran = forget(company, db, given=given)
    assert ran.exit_code == 1
    assert said in ran.stderr
    assert "hello" not in ran.stderr
    assert db.read_bytes() == before
    assert not (company / "bypassflow.key.forgotten").exists()


def test_a_kill_at_any_moment_leaves_a_whole_store_and_the_same_command_ends_it(company: Path, db: Path) -> None:
    before, marks = counted(db), [*tokens_of(company), "zork-contact", "zork-call"]
    original = db.with_name("original.bytes")
    shutil.copyfile(db, original)
    arguments = ["forget", "--db", str(db), "--config", str(company / "bypassflow.toml"), "--file", "-"]
    for delay in (0.3, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4):
        shutil.copyfile(original, db)
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "cli.py"), *arguments], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdin is not None
        process.stdin.write(f"{NUMBER}\n{ADDRESS}\n{HANDLE}\n".encode())
        process.stdin.close()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert counted(db) == before
        assert forget(company, db).exit_code == 0
        assert [mark for mark in marks if mark in content(db)] == []
        assert counted(db) == before
        assert sorted(path.name for path in db.parent.iterdir() if path.name.startswith(".flow")) == []
