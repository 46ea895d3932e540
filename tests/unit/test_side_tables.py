"""Indexes of what other files say: only of the ids that are wanted, and no further than needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import InvalidRecord
from pipeline.sources import side_tables
from pipeline.sources.side_tables import Ids, files_beside, gather, remembered


def test_a_file_comes_before_its_neighbours_and_hidden_ones_and_folders_are_none(tmp_path: Path) -> None:
    for name in ("b", "a", "c", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()

    assert [file.name for file in files_beside(tmp_path / "c")] == ["c", "a", "b"]


def test_only_wanted_ids_are_kept_and_the_search_ends_when_all_are_found(tmp_path: Path) -> None:
    said = {"a": [("1", "old"), ("1", "new"), ("2", "x")], "b": [("3", "y")], "c": [("4", "z")]}
    asked: list[str] = []

    def read(file: Path) -> Iterator[tuple[str, str]]:
        asked.append(file.name)
        yield from said[file.name]

    assert gather([Path(name) for name in said], {"1", "3"}, read) == {"1": "new", "3": "y"}
    assert asked == ["a", "b"]


def test_a_damaged_file_counts_as_far_as_it_can_be_read() -> None:
    def read(file: Path) -> Iterator[tuple[str, str]]:
        yield file.name, "said"
        raise InvalidRecord("cut off")

    assert gather([Path("1"), Path("2")], {"1", "2"}, read) == {"1": "said", "2": "said"}


def test_ids_are_kept_up_to_a_ceiling_and_counted_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_tables, "MOST_IDS", 2)
    ids = Ids()

    for value in ("1", "2", None, "", "2", "3", "4", "1"):
        ids.add(value)

    assert (ids.known, ids.left_out_count) == ({"1", "2"}, 2)


def test_a_file_is_looked_at_again_only_when_it_changed(tmp_path: Path) -> None:
    asked: list[str] = []

    def read(path: Path) -> str:
        asked.append(path.name)
        return path.read_text()

    ask, path = remembered(read), tmp_path / "a"
    path.write_text("one")

    assert [ask(path), ask(path)] == ["one", "one"]
    path.write_text("three")
    assert ask(path) == "three"
    assert asked == ["a", "a"]
