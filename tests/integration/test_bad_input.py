"""Whatever is wrong with the input ends in a clear sentence, and the store is as before or whole."""

from __future__ import annotations

import gzip
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from tests.acme import AALTO, BERG, CALLS, CONFIGURATION, CONTACTS, DIRECTORY, cdr, json_lines, write_acme
from tests.integration.companies import Ran, assert_same_rows, bypassflow, rows_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    return write_acme(tmp_path / "acme")


@pytest.fixture
def db(tmp_path: Path, acme: Path) -> Path:
    """A store that was made when all was well."""
    path = tmp_path / "acme.duckdb"
    assert bypassflow("replay", acme, "--db", path).exit_code == 0
    return path


def replay(acme: Path, db: Path, *options: str) -> Ran:
    return bypassflow("replay", acme, "--db", db, *options)


def assert_refused(acme: Path, db: Path, *words: str) -> None:
    """The replay fails with one message that holds these words, and the store's rows and folder are as before."""
    before, files = rows_of(db), sorted(os.listdir(db.parent))
    ran = replay(acme, db)
    assert ran.exit_code == 1
    assert ran.out == ""
    message = " ".join(ran.error.split())
    assert message.startswith("bypassflow: ")
    assert "Traceback" not in message
    assert [word for word in words if word not in message] == [], message
    assert_same_rows(rows_of(db), before)
    assert sorted(os.listdir(db.parent)) == files


def accounts(db: Path) -> dict[str, int]:
    """Return the account of the PBX; it must add up."""
    import json

    (account,) = json.loads(bypassflow("audit", "--db", db, "--format", "json").out)
    assert account["unaccounted_count"] == 0
    excluded = sum(account["excluded"].values())
    return {name: account[f"{name}_count"] for name in ("raw", "interaction", "rejected")} | {"excluded": excluded}


def pbx(acme: Path) -> Path:
    return acme / "pbx" / "Master.csv"


# Files that cannot be read at all


def test_a_path_that_does_not_exist(acme: Path, db: Path) -> None:
    ran = bypassflow("replay", acme / "absent", "--db", db)
    assert ran.exit_code == 1
    assert "does not exist" in ran.error


def test_a_missing_configuration(acme: Path, db: Path) -> None:
    ran = replay(acme, db, "--config", str(acme / "absent.toml"))
    assert ran.exit_code == 1
    assert "cannot be read: no such file" in ran.error


def test_a_file_that_the_configuration_names_and_that_is_not_there(acme: Path, db: Path) -> None:
    with (acme / "bypassflow.toml").open("a") as stream:
        stream.write('\n[[source]]\npath = "mobile/*.csv"\n')
    assert_refused(acme, db, "[[source]] number 1", "'mobile/*.csv' matches nothing")


def test_an_empty_file(acme: Path, db: Path) -> None:
    (acme / "pbx" / "queue_log").write_bytes(b"")
    assert_refused(acme, db, "pbx/queue_log", "empty")


def test_an_unknown_format(acme: Path, db: Path) -> None:
    (acme / "notes.txt").write_text("remember the milk\n")
    assert_refused(acme, db, "notes.txt", "tried: asterisk_cdr", "--skip-unknown")


def test_an_unknown_format_can_be_skipped_and_is_named(acme: Path, db: Path) -> None:
    (acme / "notes.txt").write_text("remember the milk\n")
    ran = replay(acme, db, "--skip-unknown")
    assert ran.exit_code == 0
    assert "skipped notes.txt" in ran.error
    assert accounts(db)["raw"] == len(CALLS)


def test_binary_noise(acme: Path, db: Path) -> None:
    (acme / "noise").write_bytes(Random(1).randbytes(100_000))
    assert_refused(acme, db, "noise", "binary")


def test_binary_noise_in_a_file_that_the_configuration_names(acme: Path, db: Path) -> None:
    (acme / "noise").write_bytes(Random(2).randbytes(100_000))
    with (acme / "bypassflow.toml").open("a") as stream:
        stream.write('\n[[source]]\nname = "pbx2"\npath = "noise"\nformat = "canonical_jsonl"\n')
    before = rows_of(db)
    ran = replay(acme, db)
    assert "Traceback" not in ran.error
    assert ran.exit_code == 0 or rows_of(db) == before


def test_a_truncated_archive(acme: Path, db: Path) -> None:
    packed = gzip.compress("".join(f"{line}\n" for line in CALLS).encode() * 200)
    pbx(acme).unlink()
    (acme / "pbx" / "Master.csv.gz").write_bytes(packed[: len(packed) // 2])
    assert_refused(acme, db, "Master.csv.gz", "ends in the middle")


# Records that cannot be used


def test_a_line_with_a_wrong_number_of_columns_is_a_dead_letter_with_its_line(acme: Path, db: Path) -> None:
    with pbx(acme).open("a") as stream:
        stream.write("only,five,columns,stand,here\n" + cdr("2024-03-04 14:00:00", BERG, "201", 60, 13) + "\n")
    ran = replay(acme, db)
    assert ran.exit_code == 0
    assert accounts(db) == {"raw": 8, "interaction": 5, "excluded": 2, "rejected": 1}
    checked = bypassflow("check", acme)
    assert f"pbx/Master.csv, line {len(CALLS) + 1}: " in checked.out


def test_a_line_of_two_hundred_megabytes_is_one_dead_letter(acme: Path, db: Path) -> None:
    with pbx(acme).open("ab") as stream:
        for _ in range(200):
            stream.write(b"x" * 1_000_000)
        stream.write(b"\n" + cdr("2024-03-04 14:00:00", BERG, "201", 60, 13).encode() + b"\n")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ran = replay(acme, db)
    assert ran.exit_code == 0
    assert accounts(db) == {"raw": 8, "interaction": 5, "excluded": 2, "rejected": 1}
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    assert grown < 150_000, f"memory grew by {grown} kB"


def test_invalid_utf8_is_read_with_replacement(acme: Path, db: Path) -> None:
    line = cdr("2024-03-04 14:00:00", BERG, "201", 60, 13).encode().replace(b'""""', b'"""M\xe4kel\xe4 \xff""')
    with pbx(acme).open("ab") as stream:
        stream.write(line + b"\n")
    assert replay(acme, db).exit_code == 0
    assert accounts(db) == {"raw": 7, "interaction": 5, "excluded": 2, "rejected": 0}


def test_a_date_in_the_future_is_a_dead_letter(acme: Path, db: Path) -> None:
    future = (datetime.now(ZoneInfo("Europe/Helsinki")) + timedelta(days=30)).strftime("%Y-%m-%d 12:00:00")
    with pbx(acme).open("a") as stream:
        stream.write(cdr(future, BERG, "201", 60, 13) + "\n")
    assert replay(acme, db).exit_code == 0
    assert accounts(db) == {"raw": 7, "interaction": 4, "excluded": 2, "rejected": 1}
    assert "in the future" in bypassflow("check", acme).out


def test_a_log_in_another_time_zone_is_flagged(acme: Path, db: Path) -> None:
    calls = [cdr(f"2024-03-04 1{hour}:00:00", AALTO, "201", 60, hour, ZoneInfo("UTC")) for hour in range(8)]
    pbx(acme).write_text("".join(f"{line}\n" for line in calls))
    for ran in (replay(acme, db), bypassflow("check", acme)):
        assert ran.exit_code == 0
        words = " ".join(ran.written.split())
        assert "Europe/Helsinki" in words
        assert "UTC" in words


# The company's own files


def test_a_directory_with_an_extension_twice(acme: Path, db: Path) -> None:
    (acme / "directory.csv").write_text(DIRECTORY + "otto,Otto Ek,otto@acme.example,201,,,Sales,other\n")
    assert_refused(acme, db, "directory.csv", "201", "2", "5")


def test_an_unknown_key_in_the_configuration(acme: Path, db: Path) -> None:
    (acme / "bypassflow.toml").write_text(CONFIGURATION.replace("timezone", "timezome"))
    assert_refused(acme, db, "line 5", "'timezome'", "did you mean 'timezone'?")


def test_a_configuration_that_is_no_toml(acme: Path, db: Path) -> None:
    (acme / "bypassflow.toml").write_text("[company\n")
    assert_refused(acme, db, "bypassflow.toml, line 1", "not valid TOML")


def test_a_key_that_others_may_read(acme: Path, db: Path) -> None:
    (acme / "bypassflow.key").chmod(0o644)
    assert_refused(acme, db, "chmod 600")


def test_a_key_that_is_another_one_cannot_join_the_facts_that_are_kept(acme: Path, db: Path) -> None:
    (acme / "bypassflow.key").unlink()
    before = rows_of(db)
    ran = bypassflow("replay", acme / "crm", "--db", db, "--config", acme / "bypassflow.toml")
    assert ran.exit_code == 1
    assert "tokens made by another key" in " ".join(ran.error.split())
    assert_same_rows(rows_of(db), before)


# A CRM that tells too little


def test_a_crm_without_contacts_knows_no_customer(acme: Path, db: Path) -> None:
    (acme / "crm" / "contacts.jsonl").unlink()
    db.unlink()
    ran = replay(acme, db)
    assert ran.exit_code == 0
    found = bypassflow("report", "--db", db, "--by", "reason", "--format", "csv").out
    assert "unknown_customer" in found
    assert "not_logged" not in found


def test_without_any_crm_everything_is_pending_and_nothing_bypassed(acme: Path, db: Path) -> None:
    for path in (acme / "crm").iterdir():
        path.unlink()
    db.unlink()
    ran = replay(acme, db)
    assert ran.exit_code == 0
    assert "Nothing can be said yet" in ran.out
    assert '"bypassed_count": 0, "pending_count": 4' in bypassflow("report", "--db", db, "--format", "json").out


def test_contacts_alone_are_no_feed_so_everything_is_pending(acme: Path, db: Path) -> None:
    (acme / "crm" / "activities.jsonl").unlink()
    (acme / "crm" / "contacts.jsonl").write_text(json_lines(CONTACTS))
    db.unlink()
    assert replay(acme, db).exit_code == 0
    assert '"bypassed_count": 0' in bypassflow("report", "--db", db, "--format", "json").out


# The store's own place


@pytest.mark.parametrize("content", [b"", b"no database at all\n" * 100])
def test_a_store_that_is_none_is_refused_and_left_alone(acme: Path, tmp_path: Path, content: bytes) -> None:
    db = tmp_path / "other.duckdb"
    db.write_bytes(content)
    for ran in (replay(acme, db), bypassflow("report", "--db", db)):
        assert ran.exit_code == 1
        assert "other.duckdb" in ran.error
        assert "Traceback" not in ran.error
    assert db.read_bytes() == content


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    for command in (["report"], ["audit"], ["interactions"], ["explain", "abc"]):
        ran = bypassflow(*command, "--db", tmp_path / "absent.duckdb")
        assert ran.exit_code == 1
        assert "absent.duckdb" in ran.error


def test_a_folder_that_does_not_exist(acme: Path, tmp_path: Path) -> None:
    ran = replay(acme, tmp_path / "absent" / "acme.duckdb")
    assert ran.exit_code == 1
    assert "no store can be written in" in ran.error


def limited(kilobytes: int) -> Callable[[], None]:
    """Return what lets a process write no file longer than that: the nearest thing to a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, kilobytes * 1024))

    return limit


@pytest.mark.parametrize("kilobytes", [64, 500, 2_000])
def test_a_full_disk_leaves_the_store_as_it_was(acme: Path, db: Path, kilobytes: int) -> None:
    before = rows_of(db)
    calls = [cdr("2024-03-05 09:00:00", f"05070{number:05}", "201", 60, number) for number in range(1, 20_000)]
    pbx(acme).write_text("".join(f"{line}\n" for line in calls))
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "replay", str(acme), "--db", str(db)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, preexec_fn=limited(kilobytes),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "no space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert_same_rows(rows_of(db), before)
    assert [name for name in os.listdir(db.parent) if "building" in name or "spill" in name] == []


def test_what_a_refused_first_run_leaves_is_nothing(acme: Path, tmp_path: Path) -> None:
    (acme / "notes.txt").write_text("remember the milk\n")
    db = tmp_path / "acme.duckdb"
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert replay(acme, db).exit_code == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_the_key_is_readable_for_its_owner_alone(acme: Path, db: Path) -> None:
    assert stat.S_IMODE((acme / "bypassflow.key").stat().st_mode) == 0o600
