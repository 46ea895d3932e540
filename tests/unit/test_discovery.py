"""Which files there are and what each is: recognised by content, named by the configuration, never passed over."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.configuration import load
from pipeline.errors import ConfigurationError, UnknownFormat
from pipeline.sources import registry
from pipeline.sources.discovery import Input, discover, survey
from pipeline.sources.registry import Batch, ReadContext, Recognition, Sample, by_name, family, recognise, sources
from schemas.settings import Configuration

CALLS = "started_at,from,talk_seconds\n2024-05-02 09:15,0401234567,60\n"
DIRECTORY = "representative_id,extension,team,function\nr1,201,Sales,other\n"
CDR = (
    '"","0401234567","201","from-trunk","""M"" <0401234567>","PJSIP/trunk-00000001","PJSIP/201-00000002","Dial",'
    '"PJSIP/201,20","2024-05-02 09:15:00","2024-05-02 09:15:10","2024-05-02 09:16:10",70,60,"ANSWERED",'
    '"DOCUMENTATION","1714630500.1",""\n'
)
MESSAGE = (
    "From: maija@customer.fi\nTo: sales@acme.fi\nDate: Thu, 2 May 2024 09:15:00 +0300\n"
    "Message-ID: <a@customer.fi>\nSubject: x\n\nbody\n"
)
MBOX = "From maija@customer.fi Thu May  2 09:15:00 2024\n" + MESSAGE


def put(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def settings(text: str) -> Configuration:
    return load(text, "bypassflow.toml")


def found(inputs: list[Input]) -> dict[str, tuple[str, str]]:
    """Return source and parser of each input, by the name under which it is recorded."""
    return {item.file: (item.source, item.parser.name) for item in inputs}


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """A company's files as an administrator might lay them out."""
    put(tmp_path / "bypassflow.toml", "[company]\nname = 'Acme'\n")
    put(tmp_path / "bypassflow.key", b"k" * 32)
    put(tmp_path / "directory.csv", DIRECTORY)
    put(tmp_path / "pbx/Master.csv", CDR * 3)
    put(tmp_path / "pbx/Master.csv.1.gz", gzip.compress(CDR.encode() * 2))
    put(tmp_path / "mail/sales.mbox", MBOX)
    put(tmp_path / "crm/contacts.csv", "contact_id,phones\nc1,0401234567\n")
    put(tmp_path / ".hidden/x.bin", b"\0\0")
    return tmp_path


# What is found


def test_a_directory_is_walked_and_each_file_told_by_its_content(company: Path) -> None:
    assert found(discover([company])) == {
        "directory.csv": ("directory", "directory"),
        "pbx/Master.csv": ("asterisk", "asterisk_cdr"),
        "pbx/Master.csv.1.gz": ("asterisk", "asterisk_cdr"),
        "mail/sales.mbox": ("mail", "mbox"),
        "crm/contacts.csv": ("canonical", "canonical_csv"),
    }


def test_an_input_knows_its_size_zone_and_evidence(company: Path) -> None:
    inputs = {item.file: item for item in discover([company], settings("[company]\ntimezone = 'UTC'"), company)}
    item = inputs["pbx/Master.csv"]
    assert item.size_bytes == (company / "pbx/Master.csv").stat().st_size
    assert item.zone.key == "UTC"
    assert item.evidence
    assert item.path == company / "pbx/Master.csv"


def test_own_files_and_hidden_ones_are_no_sources(company: Path) -> None:
    duckdb.connect(str(company / "store.db")).close()
    put(company / "acme.duckdb", b"")
    put(company / "secret.txt", b"key")
    inputs = discover([company], settings("[privacy]\nkey_file = 'secret.txt'"), company)
    assert not {"store.db", "acme.duckdb", "secret.txt", "bypassflow.key", "bypassflow.toml"} & set(found(inputs))


def test_the_name_of_a_file_is_the_same_whether_it_is_asked_for_alone_or_with_all(company: Path) -> None:
    alone = discover([company / "pbx/Master.csv"], Configuration(), company)
    assert [item.file for item in alone] == ["pbx/Master.csv"]


def test_without_a_base_names_are_relative_to_what_was_given(company: Path) -> None:
    assert [item.file for item in discover([company / "pbx/Master.csv"])] == ["Master.csv"]
    both = discover([company / "pbx/Master.csv", company / "mail/sales.mbox"])
    assert [item.file for item in both] == ["pbx/Master.csv", "mail/sales.mbox"]


def test_a_file_reached_twice_is_read_once(company: Path) -> None:
    (company / "pbx/link.csv").symlink_to(company / "pbx/Master.csv")
    inputs = discover([company / "pbx", company / "pbx/Master.csv"])
    assert len(inputs) == 2


def test_links_in_a_circle_end(company: Path) -> None:
    (company / "pbx/again").symlink_to(company, target_is_directory=True)
    assert len(discover([company])) == 5


def test_two_files_of_one_name_keep_names_of_their_own(tmp_path: Path) -> None:
    put(tmp_path / "a/calls.csv", CALLS)
    put(tmp_path / "b/calls.csv", CALLS)
    inputs = discover([tmp_path / "a/calls.csv", tmp_path / "b/calls.csv"])
    assert [item.file for item in inputs] == ["a/calls.csv", "b/calls.csv"]


def test_a_file_outside_of_the_base_keeps_a_name_of_its_own(tmp_path: Path) -> None:
    put(tmp_path / "other/calls.csv", CALLS)
    put(tmp_path / "base/calls.csv", CALLS)
    inputs = discover([tmp_path / "base", tmp_path / "other"], Configuration(), tmp_path / "base")
    assert [item.file for item in inputs] == ["../other/calls.csv", "calls.csv"]


# Directories that are read as a whole


def test_a_maildir_is_one_input(tmp_path: Path) -> None:
    for name in ("cur/1:2,S", "new/2", "tmp/3"):
        put(tmp_path / "anna" / name, MESSAGE)
    (item,) = discover([tmp_path])
    assert (item.file, item.parser.name, item.source) == (".", "maildir", "mail")
    assert item.size_bytes == 3 * len(MESSAGE)


def test_a_folder_of_messages_is_one_input(tmp_path: Path) -> None:
    for number in range(5):
        put(tmp_path / f"mail/anna/{number}.", MESSAGE)
    (item,) = discover([tmp_path], Configuration(), tmp_path)
    assert item.parser.name == "eml"
    assert item.source == "mail"


def test_a_folder_that_holds_more_than_mail_is_not_swallowed_by_it(tmp_path: Path) -> None:
    for number in range(40):
        put(tmp_path / f"mail/{number}.eml", MESSAGE)
    put(tmp_path / "directory.csv", DIRECTORY)
    put(tmp_path / "pbx/deep/Master.csv", CDR * 3)
    assert found(discover([tmp_path])) == {
        "mail": ("mail", "eml"),
        "directory.csv": ("directory", "directory"),
        "pbx/deep/Master.csv": ("asterisk", "asterisk_cdr"),
    }


def test_maildirs_beside_a_file_do_not_swallow_it(tmp_path: Path) -> None:
    for user in ("a", "b", "c", "d", "e"):
        put(tmp_path / user / "cur/1", MESSAGE)
        (tmp_path / user / "new").mkdir()
    put(tmp_path / "directory.csv", DIRECTORY)
    names = found(discover([tmp_path]))
    assert names.pop("directory.csv") == ("directory", "directory")
    assert set(names) == {"a", "b", "c", "d", "e"}


# What the configuration says


def test_a_configured_source_names_the_system_the_zone_and_the_mapping(company: Path) -> None:
    text = """
    [[source]]
    path = "pbx/Master*"
    name = "helsinki"
    timezone = "UTC"
    [[source]]
    path = "crm"
    name = "crm"
    options = { duration_unit = "minutes" }
    """
    inputs = {item.file: item for item in discover([company], settings(text), company)}
    assert inputs["pbx/Master.csv"].source == inputs["pbx/Master.csv.1.gz"].source == "helsinki"
    assert inputs["pbx/Master.csv"].zone.key == "UTC"
    assert inputs["crm/contacts.csv"].source == "crm"
    assert inputs["crm/contacts.csv"].options == {"duration_unit": "minutes"}
    assert inputs["mail/sales.mbox"].source == "mail"
    assert inputs["mail/sales.mbox"].zone.key == "Europe/Helsinki"


def test_a_mapping_with_a_kind_makes_any_table_canonical(tmp_path: Path) -> None:
    put(tmp_path / "calls.csv", "Start;Number\n")
    put(tmp_path / "calls.jsonl", '{"Start":1}\n')
    pq.write_table(pa.table({"Start": ["x"]}), tmp_path / "calls.parquet")
    text = "[[source]]\npath = 'calls.*'\nmapping = { kind = 'call', started_at = 'Start' }"
    inputs = discover([tmp_path], settings(text), tmp_path)
    assert [item.parser.name for item in inputs] == ["canonical_csv", "canonical_jsonl", "canonical_parquet"]
    assert inputs[0].mapping == {"kind": "call", "started_at": "Start"}


def test_a_format_that_is_named_is_taken_even_where_content_says_nothing(tmp_path: Path) -> None:
    put(tmp_path / "x.csv", "a;b\n1;2\n")
    text = "[[source]]\npath = 'x.csv'\nformat = 'canonical_csv'\nname = 'mine'"
    (item,) = discover([tmp_path], settings(text), tmp_path)
    assert (item.source, item.parser.name, item.evidence) == (
        "mine",
        "canonical_csv",
        "the configuration names the format",
    )


def test_a_path_by_its_name_goes_before_a_pattern_and_a_deeper_one_before_a_directory(company: Path) -> None:
    text = (
        "[[source]]\npath = 'pbx/*'\nname = 'pattern'\n[[source]]\npath = 'pbx/Master.csv'\nname = 'exact'\n"
        "[[source]]\npath = 'pbx'\nname = 'folder'"
    )
    names = found(discover([company], settings(text), company))
    assert names["pbx/Master.csv"][0] == "exact"
    assert names["pbx/Master.csv.1.gz"][0] == "pattern"


def test_only_what_was_asked_for_is_read_with_the_directory_that_all_need(company: Path) -> None:
    text = (
        "[company]\ndirectory = 'directory.csv'\n[[source]]\npath = 'pbx'\nname = 'helsinki'\n[[source]]\npath = 'mail'"
    )
    inputs = discover([company / "pbx/Master.csv"], settings(text), company)
    assert found(inputs) == {
        "directory.csv": ("directory", "directory"),
        "pbx/Master.csv": ("helsinki", "asterisk_cdr"),
    }


def test_without_paths_the_configuration_says_what_there_is(company: Path) -> None:
    named = discover([], settings("[[source]]\npath = 'mail/*.mbox'"), company)
    assert set(found(named)) == {"mail/sales.mbox"}
    assert len(discover([], settings("[company]\ndirectory = 'directory.csv'"), company)) == 5


def test_the_directory_of_the_configuration_is_the_only_one(company: Path) -> None:
    put(company / "old/directory.csv", DIRECTORY)
    with pytest.raises(ConfigurationError, match=r"several directories.*directory\.csv, old/directory\.csv"):
        discover([company])
    with pytest.raises(UnknownFormat, match=r"old/directory\.csv: a second directory; company\.directory names"):
        discover([company], settings("[company]\ndirectory = 'directory.csv'"), company)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[source]]\npath = 'pbx/*.log'", "number 1: 'pbx/*.log' matches nothing in"),
        ("[[source]]\npath = 'missing.csv'", "'missing.csv' matches nothing in"),
        (
            "[[source]]\npath = 'pbx'\nformat = 'asterisk'",
            "number 1: unknown format 'asterisk'; did you mean 'asterisk_",
        ),
        ("[company]\ndirectory = 'dir.csv'", "company.directory: 'dir.csv' is no file in"),
        ("[[source]]\npath = 'pbx'\n[[source]]\npath = 'pbx/'", "is named by [[source]] number 1 and by"),
    ],
)
def test_a_source_that_cannot_be_found_is_told_with_the_remedy(company: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        discover([company], settings(text), company)
    assert words in str(caught.value)


# What nobody can read


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty (0 bytes); export it again"),
        (gzip.compress(CALLS.encode() * 1000, mtime=0)[:12], "the archive is damaged or cut off"),
        (b"PK\x03\x04xxxx", "an Excel workbook or ZIP archive; save the sheet as CSV"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\x00\x01\x02" * 50, "binary data"),
        (b'[{"kind":"call"}]', "JSON that begins with a list; one object per line is expected"),
        (b'{"a":1}\n', "JSON whose first line is no canonical record: it has no kind that is known"),
        (b"<html></html>", "XML or HTML"),
        (b"; notes\n[general]\nx=1\n", "settings of some program"),
        (b"Alku;Numero;Kesto\n1;2;3\n", "text with 3 columns between semicolons"),
        (b"just a note\n", "text without columns"),
    ],
)
def test_a_file_that_nobody_recognises_stops_the_run_with_what_it_looks_like(
    company: Path, content: bytes, words: str
) -> None:
    put(company / "odd.bin", content)
    with pytest.raises(UnknownFormat) as caught:
        discover([company])
    sentence = str(caught.value)
    assert f"odd.bin: {words}" in sentence or f"odd.bin: nothing can be read from it: {words}" in sentence
    assert "--skip-unknown" in sentence
    assert "[[source]]" in sentence
    assert "odd.bin" not in found(discover([company], skip_unknown=True))


def test_what_was_tried_is_told(company: Path) -> None:
    put(company / "notes.txt", "hello\n")
    with pytest.raises(UnknownFormat) as caught:
        discover([company])
    for source in sources():
        assert source.name in str(caught.value)


def test_nothing_of_a_files_content_is_told(company: Path) -> None:
    put(company / "odd.csv", "Maija;0401234567\nMatti;0407654321\n")
    with pytest.raises(UnknownFormat) as caught:
        discover([company])
    assert "Maija" not in str(caught.value)
    assert "0401234567" not in str(caught.value)


def test_a_survey_tells_everything_at_once(company: Path) -> None:
    for number in range(30):
        put(company / f"odd{number}.txt", "hello\n")
    result = survey([company])
    assert len(result.unknown) == 30
    assert len(result.inputs) == 5
    with pytest.raises(UnknownFormat, match="and 10 more"):
        discover([company])


def test_a_missing_path_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nope\.csv does not exist; check the spelling"):
        discover([tmp_path / "nope.csv"])


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing to read"):
        discover([tmp_path])
    with pytest.raises(ConfigurationError, match="nothing to read"):
        discover([])


# The registry


def test_every_parser_has_a_name_of_its_own_and_says_what_it_carries() -> None:
    names = [source.name for source in sources()]
    assert len(names) == len(set(names))
    assert {"asterisk_cdr", "asterisk_cel", "asterisk_queue_log", "mbox", "maildir", "eml", "salesforce"} <= set(names)
    for source in sources():
        assert source.title
        assert source.description
        assert source.carries
        assert by_name(source.name) is source


def test_files_of_one_system_are_one_family() -> None:
    assert {family(by_name(name)) for name in ("mbox", "maildir", "eml")} == {"mail"}
    assert {family(by_name(name)) for name in ("asterisk_cdr", "asterisk_queue_log")} == {"asterisk"}


def test_an_unknown_format_is_told_with_the_nearest_name() -> None:
    with pytest.raises(ConfigurationError, match="unknown format 'salesforc'; did you mean 'salesforce'"):
        by_name("salesforc")


class Fictitious:
    """A parser of another distribution."""

    name = "acme_pbx"
    title = "Acme PBX"
    description = "Begins with ACME."
    carries = frozenset({"observation"})

    def recognise(self, sample: Sample) -> Recognition | None:
        return Recognition(0.99, "begins with ACME") if sample.head.startswith(b"ACME") else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        yield Batch({}, 0)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Entry points as if other distributions were installed."""
    entries: list[Any] = []
    monkeypatch.setattr(registry, "entry_points", lambda group: entries if group == "bypassflow.sources" else [])
    registry._sources.cache_clear()
    yield entries
    registry._sources.cache_clear()


def entry(thing: object, name: str = "acme") -> SimpleNamespace:
    def load_it() -> object:
        if isinstance(thing, Exception):
            raise thing
        return thing

    return SimpleNamespace(name=name, value=f"{name}:SOURCE", load=load_it)


def test_parsers_of_other_distributions_are_found(tmp_path: Path, installed: list[Any]) -> None:
    installed.append(entry(Fictitious()))
    assert recognise(Sample(Path("x"), b"ACME 1")).source.name == "acme_pbx"
    put(tmp_path / "x.log", "ACME 1\n")
    assert found(discover([tmp_path])) == {"x.log": ("acme", "acme_pbx")}


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (ImportError("no module"), r"cannot be loaded \(ImportError: no module\); mend or remove its package"),
        (object(), "is no source"),
        (by_name, "is no source"),
    ],
)
def test_a_parser_that_cannot_be_used_is_told_by_name(installed: list[Any], thing: object, words: str) -> None:
    installed.append(entry(thing))
    with pytest.raises(ConfigurationError, match=words):
        sources()


def test_a_parser_cannot_take_a_name_that_is_taken(installed: list[Any]) -> None:
    installed.extend([entry(Fictitious()), entry((Fictitious(),), "again")])
    with pytest.raises(ConfigurationError, match="takes the name 'acme_pbx', which is taken"):
        sources()
