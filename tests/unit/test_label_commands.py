"""`bypassflow label`, and where labels are shown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.settings import EngineSettings
from sinks.annotations import Annotations, beside
from tests.integration.companies import Ran, bypassflow
from tests.records import call
from tests.stores import RUN, published, said
from tests.unit.test_labelling import company

Verdict = Callable[[dict[str, str]], str]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    facts = {("pbx", "cdr.csv"): [call("pbx:cdr.csv:1", "12:00", key="s1")]}
    run = replace(RUN, settings=EngineSettings(company_id="acme").model_dump_json())
    return published(tmp_path / "bypass.duckdb", facts, changes=said(company()), run=run)


def label(db: Path, *arguments: str | Path) -> Ran:
    return bypassflow("label", *arguments, "--db", db)


def judge(db: Path, verdict: Verdict, size: int = 400) -> Ran:
    """Draw a sample, fill it in, and take it in."""
    rows = list(csv.DictReader(io.StringIO(label(db, "sample", "--size", str(size)).out)))
    judged = db.with_name("judged.csv")
    with judged.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "verdict": verdict(row)} for row in rows)
    return label(db, "import", judged, "--author", "Eva")


def test_a_judged_sample_corrects_the_share(db: Path) -> None:
    taken = judge(db, lambda row: "logged_elsewhere" if row["outcome"] == "siloed" else "correct")
    assert "took in 400 labels; 0 rows have no verdict yet" in taken.error

    shown = bypassflow("report", "--corrected", "--db", db)

    # 200 of 500 are bypassed, and the 100 siloed were logged elsewhere.
    assert "Corrected bypass share 40.0 %" in shown.out
    assert "measured m 60.0 %" in shown.out
    assert "judged: 400 (333 correct, 67 logged elsewhere)" in shown.error


@pytest.mark.parametrize("format", ["json", "csv", "markdown"])
def test_the_corrected_share_is_told_in_every_format(db: Path, format: str) -> None:
    judge(db, lambda row: "correct")

    shown = bypassflow("report", "--corrected", "--db", db, "--format", format)

    assert shown.exit_code == 0
    assert "corrected_share_low" in shown.out


def test_too_small_a_sample_is_refused_with_the_reason(db: Path) -> None:
    judge(db, lambda row: "correct", size=80)

    shown = bypassflow("report", "--corrected", "--db", db)

    assert (shown.exit_code, shown.out) == (1, "")
    assert "no corrected share: 40 interactions of" in shown.error


def test_there_is_no_corrected_share_of_each_group_or_without_a_store(db: Path) -> None:
    by, asked = (
        bypassflow("report", "--corrected", *more) for more in (("--db", db, "--by", "team"), ("--url", "http://x"))
    )

    assert by.exit_code == asked.exit_code == 1
    assert "leave out --by" in by.error
    assert "with --db" in asked.error


def test_rows_without_a_verdict_are_left_for_later(db: Path) -> None:
    taken = judge(db, lambda row: "correct" if row["channel"] == "email" else "")

    assert "rows have no verdict yet" in taken.error
    assert 0 < len(Annotations(beside(db)).labels()) < 400


def test_a_table_that_is_no_utf_8_is_refused(db: Path) -> None:
    table = db.with_name("latin.csv")
    table.write_bytes("interaction_id,verdict,note\ni0001,correct,ää\n".encode("latin-1"))

    ran = label(db, "import", table)

    assert ran.exit_code == 1
    assert "save it as CSV in UTF-8" in ran.error


def test_a_label_is_shown_where_the_interaction_is_explained(db: Path) -> None:
    assert label(db, "add", "i0000", "no_customer", "--note", "our landlord", "--author", "Eva").exit_code == 0

    explained, listed = bypassflow("explain", "i0000", "--db", db), label(db, "list")

    for text in ("What people said of it", "no customer", "our landlord", "Eva"):
        assert text in explained.out
    assert "What people said of it" not in bypassflow("explain", "i0001", "--db", db).out
    assert "our landlord" in listed.out


def test_labels_are_counted_under_a_report(db: Path) -> None:
    before = bypassflow("report", "--db", db)
    label(db, "add", "i0000", "no_customer")
    after = bypassflow("report", "--db", db)

    assert "judged" not in before.error
    assert "interactions that people judged: 1 (1 no customer)" in after.error
    assert before.out == after.out


def test_labels_are_listed_as_json(db: Path) -> None:
    assert "no labels" in label(db, "list").error
    label(db, "add", "i0000", "correct")

    (listed,) = json.loads(label(db, "list", "--format", "json").out)

    assert (listed["interaction_id"], listed["verdict"]) == ("i0000", "correct")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("x1", "correct"), "no interaction's id begins with 'x1'"), (("i0000", "fine"), "unknown verdict 'fine'")],
)
def test_what_there_is_not_cannot_be_labelled(db: Path, arguments: tuple[str, ...], words: str) -> None:
    ran = label(db, "add", *arguments)

    assert ran.exit_code == 1
    assert words in ran.error
    assert not beside(db).exists()
