"""Folders into which somebody else may write: what they cannot make `bypassflow` read, wait for or fail at."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.acme import CALLS, write_acme
from tests.integration.companies import bypassflow
from tests.integration.hostile.places import SECRET, outside

REFUSED = 1


@pytest.fixture
def acme(tmp_path: Path) -> Path:
    return write_acme(tmp_path / "acme")


def refused(acme: Path, *words: str) -> str:
    """Return what a replay says that must fail in one sentence, without a store."""
    db = acme.parent / "acme.duckdb"
    ran = bypassflow("replay", acme, "--db", db)
    said = " ".join(ran.error.split())
    assert (ran.exit_code, ran.out, db.exists()) == (REFUSED, "", False)
    assert "Traceback" not in said
    assert SECRET not in said
    assert [word for word in words if word not in said] == [], said
    return said


def test_a_link_to_a_file_outside_is_refused(acme: Path) -> None:
    (acme / "pbx" / "more.csv").symlink_to(outside(acme.parent))
    refused(acme, "pbx/more.csv", "a link to something outside")


def test_a_link_to_a_folder_outside_is_refused(acme: Path) -> None:
    (acme / "pbx" / "more").symlink_to(outside(acme.parent).parent, target_is_directory=True)
    refused(acme, "pbx/more", "a link to something outside")


def test_a_link_outside_that_a_pattern_finds_is_refused(acme: Path) -> None:
    (acme / "pbx" / "more.csv").symlink_to(outside(acme.parent))
    with (acme / "bypassflow.toml").open("a") as stream:
        stream.write('\n[[source]]\nname = "pbx"\npath = "pbx/*.csv"\n')
    refused(acme, "pbx/more.csv", "a link to something outside")


def test_a_link_outside_that_the_configuration_names_itself_is_read(acme: Path) -> None:
    calls = acme.parent / "elsewhere.csv"
    (acme / "pbx" / "Master.csv").rename(calls)
    (acme / "pbx" / "Master.csv").symlink_to(calls)
    with (acme / "bypassflow.toml").open("a") as stream:
        stream.write('\n[[source]]\nname = "pbx"\npath = "pbx/Master.csv"\n')
    ran = bypassflow("replay", acme, "--db", acme.parent / "acme.duckdb")
    assert ran.exit_code == 0, ran.error


def test_a_link_to_what_is_read_anyway_is_read_once(acme: Path) -> None:
    (acme / "pbx" / "current.csv").symlink_to(acme / "pbx" / "Master.csv")
    (acme / "pbx" / "round").symlink_to(acme, target_is_directory=True)
    db = acme.parent / "acme.duckdb"
    assert bypassflow("replay", acme, "--db", db).exit_code == 0
    assert f'"raw_count": {len(CALLS)}' in bypassflow("audit", "--db", db, "--format", "json").out


@pytest.mark.parametrize("name", ["zip", "tar"])
def test_an_archive_with_paths_that_lead_out_is_never_unpacked(acme: Path, name: str) -> None:
    packed = io.BytesIO()
    if name == "zip":
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("../../escaped.csv", "x" * 1_000)
    else:
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            member = tarfile.TarInfo("../../escaped.csv")
            member.size = 1_000
            archive.addfile(member, io.BytesIO(b"x" * 1_000))
    (acme / "pbx" / f"calls.{name}").write_bytes(packed.getvalue())
    refused(acme, f"pbx/calls.{name}", "no parser recognises it")
    assert list(acme.parent.parent.rglob("escaped.csv")) == []


def test_a_pipe_that_nobody_writes_into_is_refused_at_once(acme: Path) -> None:
    os.mkfifo(acme / "pbx" / "calls.csv")
    refused(acme, "pbx/calls.csv", "neither a file nor a directory")


def test_folders_nested_without_end_are_refused(acme: Path) -> None:
    place = os.open(acme / "pbx", os.O_RDONLY)
    for _ in range(600):
        os.mkdir("d", dir_fd=place)
        below = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    refused(acme, "folders deep; move what is to be read further up")


def test_a_file_name_cannot_steer_the_terminal(acme: Path) -> None:
    (acme / "pbx" / "\x1b[2Jwell.csv").write_text("remember the milk\n")
    assert "\x1b[2J" not in refused(acme, "well.csv")
