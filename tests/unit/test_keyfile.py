"""The company's key file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError
from sinks.keyfile import load_key, load_or_create_key


def fixed_bytes(count: int) -> bytes:
    return bytes(range(count))


def never(count: int) -> bytes:
    raise AssertionError("no key should be made")


def test_the_first_run_makes_a_key_that_only_its_owner_may_read(tmp_path: Path) -> None:
    path = tmp_path / "bypassflow.key"
    key, created = load_or_create_key(path, fixed_bytes)
    assert (key, created) == (bytes(range(32)), True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["bypassflow.key"]


def test_later_runs_read_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "bypassflow.key"
    first, _ = load_or_create_key(path, fixed_bytes)
    assert load_or_create_key(path, never) == (first, False)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "bypassflow.key"
    load_or_create_key(path, fixed_bytes)
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_key(path)


@pytest.mark.parametrize("text", ["", "abc", "00" * 31, "zz" * 32])
def test_a_file_without_a_key_is_refused_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bypassflow.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="holds no key"):
        load_or_create_key(path, never)
    assert path.read_text() == text


def test_a_folder_that_does_not_exist_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be made: no such file or directory"):
        load_or_create_key(tmp_path / "absent" / "bypassflow.key", fixed_bytes)


def test_a_run_that_comes_second_takes_the_key_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "bypassflow.key"

    def slower(count: int) -> bytes:
        load_or_create_key(path, fixed_bytes)
        return b"\xff" * count

    assert load_or_create_key(path, slower) == (bytes(range(32)), False)
