"""No clear identifier of a customer leaves normalisation: marked ones are planted in every source, and looked for."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import duckdb
import pytest

from pipeline.errors import BypassflowError
from tests.integration.companies import assert_same_rows, bypassflow, place, replay, rows_of
from tests.integration.marked import DIRECTORY, MARKS, company, every_row, found_in


@cache
def run() -> tuple[Path, str]:
    """Return the store of a default run, and all that the run wrote."""
    db = place("marked.duckdb")
    ran = bypassflow("replay", company(), "--db", db)
    assert ran.exit_code == 0, ran.error
    return db, ran.written


def test_every_mark_is_found_where_it_was_planted() -> None:
    planted = "".join(path.read_text() for path in company().rglob("*") if path.is_file())

    assert found_in(planted) == set(MARKS)
    assert found_in("+358 (0)40-771 23 45") == {"known number"}


def test_the_marked_records_were_read_and_the_broken_ones_kept() -> None:
    with duckdb.connect(str(run()[0]), read_only=True) as connection:
        letters = connection.execute("SELECT source, count(*) FROM dead_letters GROUP BY ALL").fetchall()
        outcomes = connection.execute("SELECT DISTINCT outcome::VARCHAR FROM interactions").fetchall()
        channels = connection.execute("SELECT DISTINCT channel::VARCHAR FROM interactions").fetchall()

    counts = dict(letters)
    assert counts["pbx"] >= 5
    assert counts["mail"] >= 2
    assert counts["salesforce"] >= 6
    assert counts["chat"] >= 3
    assert {"traced", "bypassed"} <= {outcome for (outcome,) in outcomes}
    assert {channel for (channel,) in channels} == {"call", "email", "sms", "social", "chat"}


def test_no_mark_stands_in_any_table_of_the_store() -> None:
    leaks = [(name, found_in(text), text) for name, text in every_row(run()[0]) if found_in(text)]

    assert not leaks, "\n".join(f"{name}: {sorted(marks)}: {text[:500]}" for name, marks, text in leaks)


def test_no_mark_stands_in_the_bytes_of_the_store() -> None:
    assert not found_in(run()[0].read_bytes().decode("latin-1"))


def test_the_company_key_stands_nowhere_in_the_store() -> None:
    content = run()[0].read_bytes()
    key = (company() / "bypassflow.key").read_text().strip()

    assert len(key) == 64
    assert key.encode() not in content
    assert bytes.fromhex(key) not in content


def test_no_mark_stands_in_what_a_replay_or_a_check_says() -> None:
    assert not found_in(run()[1])
    assert not found_in(bypassflow("check", company()).written)


@pytest.mark.parametrize("shape", ["table", "json", "csv", "parquet"])
def test_no_mark_stands_in_a_list_of_interactions(shape: str) -> None:
    ran = bypassflow("interactions", "--db", run()[0], "--format", shape)

    assert ran.exit_code == 0
    assert not found_in(ran.written)


def test_no_mark_stands_in_explanations_of_interactions() -> None:
    with duckdb.connect(str(run()[0]), read_only=True) as connection:
        ids = [row[0] for row in connection.execute("SELECT interaction_id FROM interactions").fetchall()]

    assert len(ids) >= 8
    for interaction_id in ids[::2]:
        ran = bypassflow("explain", interaction_id, "--db", run()[0])
        assert ran.exit_code == 0
        assert not found_in(ran.written)


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "--by", "channel,team,source,segment,reason,day", "--format", "json"),
        ("report", "--by", "channel,team,source,segment,reason,day", "--format", "csv"),
        ("report",),
        ("audit",),
        ("audit", "--format", "json"),
        ("audit", "--placebo", "7"),
    ],
    ids=" ".join,
)
def test_no_mark_stands_in_reports_and_accounts(arguments: tuple[str, ...]) -> None:
    ran = bypassflow(*arguments, "--db", run()[0])

    assert ran.exit_code == 0, ran.error
    assert not found_in(ran.written)


@pytest.mark.parametrize(
    "content",
    [
        "Vexley Grimbourn called from 050 993 4567, wrote from vexley@gromwell-estate.fi\n" * 3,
        '{"vexley@gromwell-estate.fi": "0509934567"}\n',
        "Vexley;Grimbourn;0509934567;vexley@gromwell-estate.fi\n" * 3,
    ],
    ids=["a letter", "unknown JSON", "an unknown table"],
)
def test_no_mark_stands_in_the_error_about_a_file_that_nobody_knows(content: str, tmp_path: Path) -> None:
    unknown = tmp_path / "notes.txt"
    unknown.write_text(content)

    ran = bypassflow("replay", unknown, "--db", tmp_path / "flow.duckdb")

    assert ran.exit_code == 1
    assert "notes.txt" in ran.error
    assert not found_in(ran.written)
    assert not (tmp_path / "flow.duckdb").exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('representative_id,name', 'Vexley Grimbourn,name'),
        ("+358 40 5550201", "050 993 4567 Vexley Grimbourn vexley@gromwell-estate.fi"),
    ],
    ids=["a broken header", "a broken number"],
)  # fmt: skip
def test_no_mark_stands_in_errors_about_a_broken_directory(old: str, new: str, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(company(), tmp_path / "company"))
    (directory / "directory.csv").write_text(DIRECTORY.replace(old, new))

    ran = bypassflow("replay", directory, "--db", tmp_path / "flow.duckdb")

    assert not found_in(ran.written)


def test_clear_identifiers_change_what_is_shown_and_no_outcome(tmp_path: Path) -> None:
    run()  # makes the key, which is copied with the company
    directory = Path(shutil.copytree(company(), tmp_path / "company"))
    with (directory / "bypassflow.toml").open("a") as settings:
        settings.write('\n[privacy]\nidentifiers = "clear"\n')

    db = replay(tmp_path / "flow.duckdb", directory)

    shown = bypassflow("interactions", "--db", db, "--format", "json").out
    assert {"known number", "known domain", "unknown domain"} <= found_in(shown)
    displayed = ("identifier", "from_identifier", "to_identifier", "display")
    assert_same_rows(rows_of(db, displayed), rows_of(run()[0], displayed))


def test_an_error_of_ours_holds_no_text_of_the_record_that_caused_it(tmp_path: Path) -> None:
    damaged = tmp_path / "company"
    shutil.copytree(company(), damaged)
    (damaged / "salesforce" / "Contact.csv.gz").write_bytes(b"\x1f\x8b\x08\x00Vexley Grimbourn 0509934567")

    try:
        ran = bypassflow("replay", damaged, "--db", tmp_path / "flow.duckdb")
    except BypassflowError as error:  # pragma: no cover - the command line turns it into a sentence
        pytest.fail(f"not caught: {error}")

    assert ran.exit_code == 1
    assert not found_in(ran.written)
