"""Every format's own files: each is recognised as what it is, and no damage to it brings more than a plain error."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.sources.registry import Source, sources
from tests.fuzz import CORPUS, fuzz, seeds
from tests.parsing import recognised

SECONDS = 60.0
FILES = [path for source in sources() if source.name != "maildir" for path in seeds(source.name)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORPUS)))
def test_a_file_is_recognised_as_what_it_is(path: Path) -> None:
    assert recognised(path) == path.relative_to(CORPUS).parts[0]


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".csv"], ids=lambda path: path.name)
def test_what_spreadsheets_write_before_a_table_hides_it_from_nobody(path: Path, tmp_path: Path) -> None:
    for before in (b"\xef\xbb\xbf", b"\r\n"):
        saved = tmp_path / path.name
        saved.write_bytes(before + path.read_bytes())
        assert recognised(saved) == path.relative_to(CORPUS).parts[0]


def test_a_folder_of_mail_is_recognised_as_what_it_is() -> None:
    assert recognised(CORPUS / "maildir" / "box") == "maildir"


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.name)
def test_damage_brings_nothing_worse_than_a_plain_error(source: Source) -> None:
    assert seeds(source.name), "tests/corpus has no file of this format"

    results = list(fuzz(source, SECONDS / len(sources()), first=0))

    assert results
    assert [str(result) for result in results if result is not None] == []
