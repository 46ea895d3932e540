"""Indexes of what other files say: only of the ids that are wanted, and no further than needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import InvalidRecord
from pipeline.sources import side_tables
from pipeline.sources.side_tables import Ids, files_beside, gather, look_beside, remembered


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


def test_files_of_a_folder_share_what_it_says_until_it_changes(tmp_path: Path) -> None:
    asked: list[str] = []

    def read(file: Path) -> Iterator[tuple[str, str]]:
        asked.append(file.name)
        for line in file.read_text().split():
            yield line[0], line

    def ask(*wanted: str) -> dict[str, str]:
        return look_beside(tmp_path / "b", set(wanted), read, tmp_path)

    (tmp_path / "a").write_text("1a 2a")
    (tmp_path / "b").write_text("2b")

    assert (ask("1", "2", "3"), ask("1"), ask()) == ({"1": "1a", "2": "2b"}, {"1": "1a"}, {})
    assert asked == ["a", "b"]
    (tmp_path / "a").write_text("1a 2a 3a")  # the folder itself does not show it
    assert ask("3") == {"3": "3a"}
    (tmp_path / "c").write_text("4c")
    assert ask("4") == {"4": "4c"}
    (tmp_path / "a").unlink()
    assert ask("1", "2") == {"2": "2b"}


def test_words_on_one_id_may_be_joined(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)

    def read(file: Path) -> Iterator[tuple[str, str]]:
        yield "id", file.read_text()

    assert look_beside(tmp_path / "b", {"id"}, read, "joined", lambda one, other: one + other) == {"id": "ab"}
    assert gather([tmp_path / "a", tmp_path / "b"], {"id"}, read, lambda one, other: other + one) == {"id": "ba"}


def test_a_folder_that_says_too_much_is_asked_for_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_tables, "MOST_INDEXED", 2)
    (tmp_path / "a").write_text("1 2 3 4")
    asked: list[str] = []

    def read(file: Path) -> Iterator[tuple[str, str]]:
        asked.append(file.name)
        yield from ((word, word) for word in file.read_text().split())

    assert look_beside(tmp_path / "a", {"4"}, read, "much") == {"4": "4"}
    assert look_beside(tmp_path / "a", {"1"}, read, "much") == {"1": "1"}
    assert asked == ["a", "a", "a"]


def test_a_file_beyond_those_that_are_looked_at_still_says_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_tables, "MOST_FILES", 1)
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)

    def read(file: Path) -> Iterator[tuple[str, str]]:
        yield file.read_text(), file.name

    # Each sees the first of the others, and itself.
    assert look_beside(tmp_path / "a", {"a", "b", "c"}, read, "many") == {"a": "a", "b": "b"}
    assert look_beside(tmp_path / "c", {"a", "b", "c"}, read, "many") == {"a": "a", "b": "b", "c": "c"}


def test_indexes_are_kept_for_few_folders(tmp_path: Path) -> None:
    for number in range(2 * side_tables.MOST_INDEXES):
        look_beside(tmp_path / "a", {"a"}, lambda _: iter(()), number)

    assert len(side_tables._INDEXES) == side_tables.MOST_INDEXES
