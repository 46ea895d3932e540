"""The directory of representatives: read whole, checked whole, refused with the line and the remedy."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipeline.errors import ConfigurationError
from pipeline.identifiers import Identifiers
from pipeline.sources.directory import SOURCE
from pipeline.sources.registry import Batch, ReadContext, Sample
from schemas.facts import DIRECTORY_ENTRY

IDENTIFIERS = Identifiers(b"0123456789abcdef")
HEADER = "representative_id,name,email,extension,direct_number,mobile_number,team,function,valid_from,valid_to\n"


def read(path: Path, mapping: dict[str, str] | None = None) -> Batch:
    context = ReadContext(
        "directory", path.name, ZoneInfo("Europe/Helsinki"), IDENTIFIERS, datetime(2024, 6, 1), mapping or {}
    )
    (batch,) = SOURCE.read(path, context)
    return batch


def directory(tmp_path: Path, rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "directory.csv"
    path.write_text(header + rows, encoding="utf-8")
    return path


def refusal(tmp_path: Path, rows: str, header: str = HEADER) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(directory(tmp_path, rows, header))
    return str(caught.value)


def rows_of(batch: Batch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = batch.facts["directory_entry"].to_pylist()
    return rows


def test_a_directory_becomes_one_fact_per_row(tmp_path: Path) -> None:
    batch = read(
        directory(
            tmp_path,
            "r1,Matti Meikäläinen,Matti@Acme.fi,201,010 555 0201,040 555 0201,Sales,other,2024-01-01,\n"
            ",Support mailbox,support@acme.fi,600,,,Support,contact_center,,\n",
        )
    )
    assert batch.record_count == 2
    assert batch.facts["directory_entry"].schema == DIRECTORY_ENTRY
    first, second = rows_of(batch)
    assert first == {
        "representative_id": "r1", "name": "Matti Meikäläinen", "team": "Sales", "function": "other",
        "extension": "201", "email_token": IDENTIFIERS.email("matti@acme.fi").token,
        "direct_token": IDENTIFIERS.phone("+358105550201").token,
        "mobile_token": IDENTIFIERS.phone("+358405550201").token,
        "valid_from": datetime(2023, 12, 31, 22), "valid_to": None,
    }  # fmt: skip
    assert (second["representative_id"], second["extension"], second["function"]) == (None, "600", "contact_center")


def test_agent_id_names_the_representative_and_other_columns_may_be_missing(tmp_path: Path) -> None:
    path = directory(
        tmp_path, "r1;201;Sales;Other\n;600;Support;Contact centre\n", "Agent_ID;Extension;Team;Function\n"
    )
    assert [row["function"] for row in rows_of(read(path))] == ["other", "contact_center"]
    assert [row["representative_id"] for row in rows_of(read(path))] == ["r1", None]


def test_columns_of_other_names_are_mapped(tmp_path: Path) -> None:
    path = directory(tmp_path, "7,201,Sales\n", "Tunnus,Alanumero,Tiimi\n")
    mapping = {"representative_id": "Tunnus", "extension": "Alanumero", "team": "Tiimi", "function": "=other"}
    assert rows_of(read(path, mapping))[0]["extension"] == "201"


@pytest.mark.parametrize(
    ("header", "is_claimed"),
    [
        (HEADER, True),
        ("agent_id;extension;team;function\n", True),
        ("\ufeffRepresentative_ID,Email,Team,Function\n", True),
        ("id,name,email\n", False),
        ("activity_id,activity_kind,logged_at,team\n", False),
        ("", False),
    ],
)
def test_a_directory_is_recognised_by_its_header(header: str, is_claimed: bool) -> None:
    assert (SOURCE.recognise(Sample(Path("x.csv"), header.encode())) is not None) == is_claimed


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("r1,,,201,,,Sales,other,,\nr2,,,201,,,Sales,other,,\n", "line 3: extension 201 is also in line 2"),
        (
            "r1,,a@acme.fi,,,,Sales,other,,\nr2,,A@Acme.fi,,,,Sales,other,,\n",
            "line 3: email A@Acme.fi is also in line 2",
        ),
        (
            "r1,,,,010 555 0201,,Sales,other,,\nr2,,,,,+358105550201,Sales,other,,\n",
            "line 3: mobile_number +358105550201 is also in line 2 (direct_number 010 555 0201 there)",
        ),
        (",Queue,,600,,,Sales,other,,\n,Other,,600,,,Support,other,,\n", "line 3: extension 600 is also in line 2"),
        (
            "201,,,9,,,Sales,other,,\nr2,,,201,,,Sales,other,,\n",
            "extension 201 is also in line 2 (representative_id 201",
        ),
        ("r1,,,201,,,Sales,other,,\nr1,,,202,,,Support,other,,\n", "representative r1 is in another team in line 2"),
        (
            "r1,,,201,,,Sales,boss,,\n",
            "line 2: function: found text of 4 characters; expected 'contact_center' or 'other'",
        ),
        ("r1,,,201,,,Sales,,,\n", "line 2: function: missing"),
        ("r1,,,201,,,,other,,\n", "line 2: team: missing"),
        ("r1,,,201,,,Sales,other,soon,\n", "line 2: valid_from: expected a date"),
        ("r1,,,201,,,Sales,other,2024-02-01,2024-01-01\n", "line 2: valid_to is not after valid_from"),
        ("r1,,,201,12,,Sales,other,,\n", "line 2: direct_number is not a whole telephone number"),
        ("r1,,matti,201,,,Sales,other,,\n", "line 2: email is not an address"),
        (",Nothing,,,,,Sales,other,,\n", "line 2: neither an id nor anything to be reached by"),
        ("r1,,,201\n", "line 2: has 4 columns, expected 10"),
        ("", "names nobody: it has no rows"),
    ],
)
def test_a_row_that_cannot_count_stops_the_run_with_line_and_remedy(tmp_path: Path, rows: str, words: str) -> None:
    assert words in refusal(tmp_path, rows)


def test_the_remedy_of_a_double_claim_is_named(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, "r1,,,201,,,Sales,other,,\nr2,,,201,,,Sales,other,2024-01-01,\n")
    assert sentence.startswith("directory.csv, line 3: ")
    assert "give it to one of them, or give both rows valid_from and valid_to that do not overlap" in sentence


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, "r1,,,201,,,Sales,boss,,\nr2,,,202,,,,other,,\n" * 15)
    assert sentence.count("\n") == 20
    assert sentence.endswith("directory.csv: and 10 more")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("name,email,team,function\n", "no column representative_id"),
        ("representative_id,extension,function\n", "no column for team"),
        ("representative_id,extension,team\n", "no column for function"),
        ("representative_id,name,team,function\n", "none of the columns extension, email"),
        ("representative_id,extention,team,function\n", "unknown column 'extention'; did you mean 'extension'?"),
    ],
)
def test_a_header_that_lacks_a_column_is_refused(tmp_path: Path, header: str, words: str) -> None:
    assert words in refusal(tmp_path, "a,b,c,d\n"[: 2 * header.count(",") + 1] + "\n", header)


def test_an_extension_may_pass_from_one_to_another(tmp_path: Path) -> None:
    batch = read(
        directory(
            tmp_path,
            "r1,,,201,,,Sales,other,,2024-03-01\nr2,,,201,,,Sales,other,2024-03-01,\nr1,,,202,,,Sales,other,2024-03-01,\n",
        )
    )
    assert batch.record_count == 3
    assert batch.warnings == ()


def test_one_person_may_have_two_rows_that_share_what_is_theirs(tmp_path: Path) -> None:
    rows = "r1,,a@acme.fi,201,,040 555 0201,Sales,other,,\nr1,,a@acme.fi,202,,040 555 0201,Sales,other,,\n"
    assert read(directory(tmp_path, rows)).record_count == 2


def test_a_gap_of_one_day_is_told_of(tmp_path: Path) -> None:
    rows = "r1,,,201,,,Sales,other,,2024-02-29\nr2,,,201,,,Sales,other,2024-03-01,\n"
    (warning,) = read(directory(tmp_path, rows)).warnings
    assert warning == (
        "directory.csv: between lines 2 and 3 one day is nobody's; valid_to is the first day that no longer counts"
    )


def test_a_directory_that_is_no_utf8_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "directory.csv"
    path.write_bytes((HEADER + "r1,Mäkinen,,201,,,Sales,other,,\n").encode("latin-1"))
    assert "save the file as UTF-8" in read(path).warnings[0]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "not even a header" in refusal(tmp_path, "", header="")
