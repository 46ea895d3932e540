"""The first configuration that `init` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.configuration import load
from pipeline.sources.discovery import survey
from pipeline.sources.proposal import Proposal, describe_company, guess_mapping, propose
from schemas.settings import Configuration

DIRECTORY = """\
representative_id,name,email,extension,direct_number,mobile_number,team,function
r1,Aino Virta,aino@acme.example,201,+46 8 505 202 01,,Sales,other
r2,Eero Mäki,eero@acme.example,202,+46 8 505 202 02,,Sales,other
r3,Ola Berg,ola@gmail.com,203,,,Sales,other
"""
CALLS = "Date;Time;Direction;Number;Extension;Talk\n4.3.2024;9:02:10;In;040 123 4567;201;4:35\n"
ACTIVITIES = '{"kind": "activity", "activity_id": "A1", "activity_kind": "call", "logged_at": "2024-03-04T09:10:00Z"}\n'


def proposed(folder: Path) -> Proposal:
    found = survey([folder], Configuration(), folder)
    return propose(found, describe_company("Acme", found.inputs), "Europe/Stockholm")


def configuration(folder: Path) -> Configuration:
    return load(proposed(folder).text, "bypassflow.toml")


def test_the_directory_tells_our_domains_and_the_country_but_never_a_public_mail_domain(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(DIRECTORY)
    company = configuration(tmp_path).company
    assert (company.domains, company.region, company.directory) == (("acme.example",), "SE", "people.csv")
    assert (company.name, company.timezone) == ("Acme", "Europe/Stockholm")


def test_an_empty_folder_gives_a_configuration_that_is_valid_as_it_stands(tmp_path: Path) -> None:
    assert configuration(tmp_path).source == ()


def test_a_folder_of_one_system_is_one_source_and_other_files_are_sources_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "a.jsonl").write_text(ACTIVITIES)
    (tmp_path / "crm" / "b.jsonl").write_text(ACTIVITIES)
    (tmp_path / "more.jsonl").write_text(ACTIVITIES)
    assert [(source.name, source.path) for source in configuration(tmp_path).source] == [
        ("canonical", "crm"),
        ("canonical", "more.jsonl"),
    ]


def test_a_folder_that_also_holds_something_unknown_is_not_claimed_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "a.jsonl").write_text(ACTIVITIES)
    (tmp_path / "crm" / "notes.txt").write_text("nothing of use\n")
    assert [source.path for source in configuration(tmp_path).source] == ["crm/a.jsonl"]


def test_a_table_with_telling_columns_gets_a_mapping_that_works(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text(CALLS)
    (source,) = configuration(tmp_path).source
    assert source.mapping == {
        "kind": "=call",
        "talk_seconds": "Talk",
        "direction": "Direction",
        "customer": "Number",
        "representative": "Extension",
        "started_at": "Date+Time",
    }
    assert proposed(tmp_path).guessed_count == 1
    assert survey([tmp_path], configuration(tmp_path), tmp_path).unknown == ()


def test_a_table_that_lacks_something_stays_a_comment_that_says_what(tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text("Begin;Caller;Called;Remark\n4.3.2024 9:02;040 1;201;x\n")
    assert configuration(tmp_path).source == ()
    assert '# started_at = "?"' in proposed(tmp_path).text
    assert proposed(tmp_path).unread_count == 1


def test_what_is_no_table_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(b"%PDF-1.7\n\0\0")
    assert "# NOT READ: scan.pdf: a PDF document" in proposed(tmp_path).text


def test_names_of_files_and_folders_cannot_break_the_text(tmp_path: Path) -> None:
    folder = tmp_path / 'a "b" \\ c'
    folder.mkdir()
    (folder / "x.jsonl").write_text(ACTIVITIES)
    assert [source.path for source in configuration(tmp_path).source] == ['a "b" \\ c']


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        (["Alkoi", "Kesto", "Soittaja", "Vastaanottaja"], "call"),
        (["ContactId", "Phone", "Email"], "contact"),
        (["Id", "Type", "Created", "Owner", "Contact"], "activity"),
    ],
)
def test_the_kind_of_record_is_told_by_most_columns(columns: list[str], kind: str) -> None:
    assert guess_mapping(columns)[0] == kind
