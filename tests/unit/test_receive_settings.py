"""Receivers as an administrator writes them, and what is said when they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.receivers.assembly import Assembly
from agents.receivers.positions import Positions
from pipeline.configuration import load
from pipeline.errors import ConfigurationError

FILE = '[[receiver]]\nkind = "file"\nsource = "pbx"\npath = "Master.csv"\nformat = "asterisk_cdr"\n'


def problem(text: str, base: Path, **environment: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        Assembly(load(text, "bypassflow.toml"), base, environment, lambda sentence: None)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the configuration has no [[receiver]]"),
        (FILE.replace("asterisk_cdr", "asterisk_cdrs"), "did you mean 'asterisk_cdr'?"),
        (FILE.replace("asterisk_cdr", "maildir"), "not written line by line"),
        (FILE + FILE, "[[receiver]] number 2 follows Master.csv, as [[receiver]] number 1 does"),
        (FILE.replace('"file"', '"fax"'), "[[receiver]] number 1: kind is 'fax'; expected one of 'file'"),
        (FILE.replace('kind = "file"\n', ""), "[[receiver]] number 1: has no kind; expected one of 'file'"),
        (FILE + "lookbac = 1\n", "unknown key 'lookbac' in [[receiver]]; did you mean 'lookback'?"),
        (FILE + "lookback = -1\n", "lookback of [[receiver]] number 1 is the number -1"),
        ("[receive]\nwaiting_records = 1\n", "1000"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    assert words in problem(text, tmp_path)


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    with Positions(tmp_path / "positions"), pytest.raises(ConfigurationError, match="in use by another"):
        Positions(tmp_path / "positions")
    with Positions(tmp_path / "positions"):
        pass


def test_a_position_is_there_after_a_new_start_and_a_damaged_one_is_told_of(tmp_path: Path) -> None:
    with Positions(tmp_path / "positions") as positions:
        assert positions.load("file Master.csv") is None
        positions.save("file Master.csv", {"offset": 7})
        positions.save("file master.csv", {"offset": 8})
    with Positions(tmp_path / "positions") as positions:
        assert positions.load("file Master.csv") == {"name": "file Master.csv", "offset": 7}
        for path in (tmp_path / "positions").glob("*.json"):
            path.write_text("{")
        with pytest.raises(ConfigurationError, match=r"damaged; remove it"):
            positions.load("file Master.csv")


def test_a_folder_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="name another in"):
        Positions(tmp_path / "file" / "positions")
