"""A key is rotated: stored tokens and those of fresh identifiers go on to meet, and whatever is killed can be ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.forgetting import Forgotten
from pipeline.identifiers import Identifiers
from pipeline.keys import CompanyKey, advanced, advanced_digest, digester
from sinks.annotations import Annotations, beside
from sinks.forgotten_list import add, load
from sinks.keyfile import load_key, next_path, read_key
from sinks.store import Store
from tests.integration.companies import Ran, bypassflow, replay, rows_of
from tests.integration.test_forgetting import ADDRESS, NUMBER, ROOT, content, forget, tokens_of, write_company

KEY = CompanyKey(bytes(range(32)))
ONCE = CompanyKey(KEY + b"one link" * 4)
TWICE = CompanyKey(ONCE + b"two link" * 4)


@pytest.fixture
def company(tmp_path: Path) -> Path:
    return write_company(tmp_path / "company", "masked")


@pytest.fixture
def db(company: Path, tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return replay(tmp_path / "data" / "flow.duckdb", company)


def rotate(company: Path, db: Path, *more: str) -> Ran:
    return bypassflow("keys", "rotate", "--db", db, "--config", company / "bypassflow.toml", *more)


def rows(db: Path) -> dict[str, list[str]]:
    """Return what a store holds and shows, but the ids that are made of tokens."""
    but = (
        "token", "tokens", "domains", "from_token", "to_token", "from_domain", "to_domain", "parties", "settings",
        "recipient_tokens", "email_token", "direct_token", "mobile_token", "interaction_id", "key_digest",
    )  # fmt: skip
    found = rows_of(db, but)
    return {name: values for name, values in found.items() if name not in ("shown_identifier", "identifiers")}


@pytest.mark.parametrize("raw", ["+358 40 123 4567", "040 1234567"])
def test_a_fresh_identifier_meets_its_stored_token_after_any_number_of_rotations(raw: str) -> None:
    stored = str(Identifiers(KEY).phone(raw).token)
    for key in (KEY, ONCE, TWICE):
        assert Identifiers(key).phone(raw).token == advanced(key, stored)
        assert Identifiers(key).token_of("phone", "+358401234567") == advanced(key, stored)
    assert len({advanced(key, stored) for key in (KEY, ONCE, TWICE)}) == 3
    assert advanced(TWICE, advanced(ONCE, stored), 1) == advanced(TWICE, stored)
    assert len(advanced(TWICE, stored)) == 12


def test_the_same_token_follows_from_its_digest_alone() -> None:
    digest = digester(KEY)
    assert advanced_digest(TWICE, digest("token", "k3JdPz0aQx7b"), 0) == digest(
        "token", advanced(TWICE, "k3JdPz0aQx7b")
    )


def test_whoever_was_forgotten_stays_so_after_rotations(tmp_path: Path) -> None:
    path = tmp_path / "bypassflow.key.forgotten"
    add(path, KEY, ["first-token"], ["contact-1"])
    add(path, ONCE, ["second-token"])

    known = load(path, TWICE)

    assert known.holds("token", advanced(TWICE, "first-token"))
    assert known.holds("token", advanced(TWICE, "second-token", 1))
    assert known.holds("id", "contact-1")
    assert not Forgotten(TWICE, load(path, KEY).digests).holds("token", advanced(TWICE, "first-token"))


def test_a_rotation_changes_tokens_and_nothing_else(company: Path, db: Path) -> None:
    before, old = rows(db), tokens_of(company)
    with Store.open(db) as store:
        mails = [row["interaction_id"] for row in store.rows("SELECT interaction_id FROM interactions")]
    for interaction_id in mails:
        bypassflow("label", "add", interaction_id, "correct", "--db", db)

    ran = rotate(company, db)

    assert ran.exit_code == 0, ran.error
    assert rows(db) == before
    assert [token for token in old if token in content(db)] == []
    key = load_key(company / "bypassflow.key")
    assert len(key.links) == 1
    new = str(Identifiers(key).phone(NUMBER).token)
    with Store.open(db) as store:
        assert store.rows("SELECT count(*) AS n FROM interactions WHERE token = $token", {"token": new}) == [{"n": 3}]
        (run,) = store.rows("SELECT settings FROM runs")
        domain = Identifiers(key).domain_token("ownfirm.example")
        assert json.loads(run["settings"])["own_domains"] == [domain]
        known = {row["interaction_id"] for row in store.rows("SELECT interaction_id FROM interactions")}
    assert {label.interaction_id for label in Annotations(beside(db)).labels()} == known


def test_a_replay_after_rotations_ends_as_the_rotated_store_does(company: Path, db: Path, tmp_path: Path) -> None:
    rotate(company, db)
    rotate(company, db)
    (tmp_path / "fresh").mkdir()

    fresh = replay(tmp_path / "fresh" / "flow.duckdb", company)

    assert rows_of(fresh, ("settings",)) == rows_of(db, ("settings",))
    # Files of before and after the rotation meet.
    replay(db, company / "crm", config=company / "bypassflow.toml")
    assert rows_of(fresh, ("settings",)) == rows_of(db, ("settings",))


def test_a_person_is_forgotten_before_and_after_a_rotation(company: Path, db: Path, tmp_path: Path) -> None:
    forget(company, db, given=f"{NUMBER}\n")
    rotate(company, db)

    replay(db, company)

    assert [token for token in tokens_of(company)[:2] if token in content(db)] == []
    known = Identifiers(load_key(company / "bypassflow.key"))
    assert str(known.phone(NUMBER).token) not in content(db)
    assert str(known.email(ADDRESS).token) not in content(db)
    assert "zork-contact" not in content(db)


def test_a_store_of_another_key_is_refused_and_no_key_is_rotated(company: Path, db: Path) -> None:
    key_path = company / "bypassflow.key"
    key_path.write_text("11" * 32 + "\n")

    ran = rotate(company, db)

    assert ran.exit_code == 1
    assert "made with another key" in ran.error
    assert not next_path(key_path).exists()


def test_nothing_reads_the_key_while_a_rotation_is_broken_off(company: Path, db: Path) -> None:
    key_path = company / "bypassflow.key"
    shutil.copy(key_path, next_path(key_path))
    ran = bypassflow("replay", company, "--db", db)
    assert ran.exit_code == 1
    assert "keys rotate" in ran.error


def test_a_kill_between_store_and_key_is_ended_by_the_same_command(company: Path, db: Path, tmp_path: Path) -> None:
    before, key_path = rows(db), company / "bypassflow.key"
    old_key, old_store = key_path.read_bytes(), db.read_bytes()
    rotate(company, db)
    new_key = key_path.read_bytes()

    # The store was rotated, the key not yet.
    next_path(key_path).write_bytes(new_key)
    next_path(key_path).chmod(0o600)
    key_path.write_bytes(old_key)
    rotated = db.read_bytes()
    assert rotate(company, db).exit_code == 0
    assert key_path.read_bytes() == new_key
    assert db.read_bytes() == rotated

    # The coming key was written, the store not yet.
    os.replace(shutil.copy(key_path, tmp_path / "coming"), next_path(key_path))
    key_path.write_bytes(old_key)
    db.write_bytes(old_store)
    assert rotate(company, db).exit_code == 0
    assert key_path.read_bytes() == new_key
    assert not next_path(key_path).exists()
    assert rows(db) == before


def test_a_kill_at_any_moment_can_be_ended(company: Path, db: Path) -> None:
    before, key_path = rows(db), company / "bypassflow.key"
    command = [
        sys.executable, str(ROOT / "cli.py"), "keys", "rotate", "--db", str(db), "--config",
        str(company / "bypassflow.toml"),
    ]  # fmt: skip
    for delay in (0.5, 0.8, 1.0, 1.3):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert rotate(company, db).exit_code == 0
        key = read_key(key_path)
        assert rows(db) == before
        with Store.open(db) as store:
            token = Identifiers(key).phone(NUMBER).token
            assert store.rows("SELECT count(*) AS n FROM interactions WHERE token = $t", {"t": token}) == [{"n": 3}]
