"""Every raw event ends in one place: the accounts of samples, of odd collections, and of a replay repeated."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.integration.companies import assert_same_rows, bypassflow, place, replay, rows_of, two_weeks_store

# Samples that real systems wrote lie beside the repository, or where this variable says.
SAMPLES = Path(os.environ.get("BYPASSFLOW_SAMPLES", Path(__file__).parents[2] / ".." / "shared" / "data")).resolve()

MESSAGES = {
    "1.eml": "From: a@one.example\nTo: b@two.example\nDate: Mon, 3 Mar 2025 10:00:00 +0000\nSubject: one\n\nx\n",
    "2.eml": "From: c@two.example\nTo: a@one.example\nDate: Mon, 3 Mar 2025 11:00:00 +0000\nSubject: two\n\nx\n",
    "3.eml": "From: d@two.example\nTo: a@one.example\nSubject: no date\n\nx\n",
}


def accounts(db: Path) -> list[dict[str, Any]]:
    """Return the accounts as the command prints them, after looking that they add up."""
    ran = bypassflow("audit", "--db", db, "--format", "json")
    assert ran.exit_code == 0, ran.error
    found: list[dict[str, Any]] = json.loads(ran.out)
    for account in found:
        parts = ("interaction_count", "duplicate_count", "rejected_count")
        assert account["unaccounted_count"] == 0
        assert account["raw_count"] == sum(account[part] for part in parts) + sum(account["excluded"].values())
    return found


def sample(name: str, tmp_path: Path) -> Path:
    """Return a copy of a folder of samples; skip the test where there are none."""
    if not (SAMPLES / name).is_dir():
        pytest.skip(f"no samples at {SAMPLES / name}")
    folder = tmp_path / name
    folder.mkdir()
    for file in (SAMPLES / name).iterdir():
        shutil.copyfile(file, folder / file.name)
    return folder


def test_every_line_of_the_sampled_exchange_is_accounted_for(tmp_path: Path) -> None:
    folder = sample("asterisk", tmp_path)
    logs = ("Master.csv", "cel_Master.csv", "queue_log")
    line_count = sum(len((folder / log).read_text().splitlines()) for log in logs)

    ran = bypassflow("replay", folder, "--db", tmp_path / "flow.duckdb", "--skip-unknown")

    assert ran.exit_code == 0, ran.error
    (account,) = accounts(tmp_path / "flow.duckdb")
    assert account["raw_count"] == line_count
    assert account["rejected_count"] == 0
    assert account["interaction_count"] > 0


def test_every_sampled_message_is_accounted_for(tmp_path: Path) -> None:
    folder = sample("eml", tmp_path)
    message_count = len(list(folder.iterdir()))

    (account,) = accounts(replay(tmp_path / "flow.duckdb", folder))

    assert account["raw_count"] == message_count


def test_every_record_of_the_sampled_crm_is_read(tmp_path: Path) -> None:
    folder = sample("salesforce_warehouse", tmp_path)

    db = replay(tmp_path / "flow.duckdb", folder)

    assert accounts(db) == []
    with duckdb.connect(str(db), read_only=True) as connection:
        (counts,) = connection.execute(
            "SELECT sum(record_count), sum(contact_count), sum(account_count), sum(activity_count), "
            "(SELECT count(*) FROM dead_letters) FROM source_file"
        ).fetchall()
    # Three of the ten accounts are versions that the warehouse itself superseded.
    assert counts == (55, 5, 7, 20, 0)


def test_a_folder_of_messages_with_its_key_and_store_replayed_twice_keeps_its_accounts(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.eml").write_text(MESSAGES["1.eml"].replace("10:00:00", f"10:00:{number:02}"))

    db = replay(tmp_path / "flow.duckdb", tmp_path)
    first = (accounts(db), rows_of(db, ["byte_count"]))
    replay(db, tmp_path)

    assert first[0][0]["raw_count"] == 12
    assert accounts(db) == first[0]
    assert_same_rows(rows_of(db, ["byte_count"]), first[1])


def test_a_folder_of_few_messages_replayed_twice_keeps_its_accounts(tmp_path: Path) -> None:
    folder = tmp_path / "messages"
    folder.mkdir()
    for name, text in MESSAGES.items():
        (folder / name).write_text(text)

    db = replay(tmp_path / "flow.duckdb", folder)
    first = (accounts(db), rows_of(db))
    replay(db, folder)

    assert first[0][0]["raw_count"] == len(MESSAGES)
    assert accounts(db) == first[0]
    assert_same_rows(rows_of(db), first[1])


def test_a_store_beside_few_messages_is_no_source(tmp_path: Path) -> None:
    for name, text in MESSAGES.items():
        (tmp_path / name).write_text(text)

    db = replay(tmp_path / "flow.duckdb", tmp_path)
    replay(db, tmp_path)

    assert accounts(db)[0]["raw_count"] == len(MESSAGES)


def test_one_message_of_a_folder_replayed_alone_later_counts_once_or_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "messages"
    folder.mkdir()
    for name, text in MESSAGES.items():
        (folder / name).write_text(text)
    config = tmp_path / "bypassflow.toml"
    config.write_text('[[source]]\nname = "mail"\npath = "messages"\n')
    db = replay(tmp_path / "flow.duckdb", tmp_path)

    ran = bypassflow("replay", folder / "1.eml", "--db", db, "--config", config)

    assert ran.exit_code == 0 or "messages" in ran.error
    assert accounts(db)[0]["raw_count"] == len(MESSAGES)


def test_the_accounts_of_a_simulated_company_add_up_and_hold_every_line_of_its_logs() -> None:
    found = {account["source"]: account for account in accounts(two_weeks_store())}

    folder = place("two-weeks")
    line_count = sum(len(log.read_bytes().splitlines()) for log in (folder / "asterisk").iterdir())
    message_count = sum(box.read_bytes().count(b"\nMIME-Version:") for box in (folder / "mail").iterdir())
    assert found["asterisk"]["raw_count"] == line_count
    assert found["mail"]["raw_count"] >= message_count > 0
    assert set(found) == {"asterisk", "mail"}


def test_a_file_that_is_not_there_any_more_keeps_its_accounts(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.mbox").write_text(
            f"From a@one.example Mon Mar  3 10:00:00 2025\nFrom: a@one.example\nTo: b{number}@two.example\n"
            f"Date: Mon, 3 Mar 2025 1{number}:00:00 +0000\nSubject: {number}\n\nx\n"
        )
    db = replay(tmp_path / "flow.duckdb", tmp_path)
    (tmp_path / "1.mbox").unlink()

    replay(db, tmp_path)

    assert accounts(db)[0]["raw_count"] == 2
