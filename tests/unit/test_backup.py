"""A backup holds all of a store, and is put back only when it is whole."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipeline.errors import ConfigurationError, TransientError
from schemas.annotations import Label
from schemas.backup import BackupManifest
from sinks.annotations import Annotations, beside
from sinks.backup import MANIFEST, back_up, read_manifest
from sinks.placement import Placement
from sinks.restoring import restore
from sinks.store import Store
from tests.records import call, contact
from tests.stores import NOON, batch, interaction_row, letter, outcomes, published, said, shown

PBX = ("pbx", "cdr.csv")
FACTS = batch(
    [call("pbx:cdr.csv:1", "10:00"), contact("c1", "T-anna", account="k1"), shown("T-anna", "+358…67")],
    [letter("pbx:cdr.csv:9")],
)


def all_rows(path: Path) -> dict[str, list[str]]:
    """Return what every table of a store holds, by a plain DuckDB."""
    with duckdb.connect(str(path), read_only=True) as connection:
        names = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {name: sorted(map(str, connection.execute(f"FROM {name}").fetchall())) for name in names}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with rows in bases, deltas and among what is gone."""
    path = published(tmp_path / "bypass.duckdb", {PBX: FACTS}, said([interaction_row("i1"), interaction_row("i2")]))
    with Store.open(path, read_only=False) as opened:
        opened.apply(said([interaction_row("i3", "bypassed")], retracted=["i2"]), 2, {"facts/0": "7"})
    Annotations(beside(path)).add_labels([Label("i1", "correct", "looked it up", "eva", NOON)])
    return path


def taken(store: Path, folder: Path, **parts: Path) -> BackupManifest:
    places = {"annotations": beside(store), **parts}
    return back_up(store, folder, places, taken_at=NOON, bypassflow_version="0.1.0")  # type: ignore[arg-type]


def test_what_is_put_back_holds_every_row_of_every_table(store: Path, tmp_path: Path) -> None:
    taken(store, tmp_path / "kept")
    elsewhere = tmp_path / "new" / "other.duckdb"
    elsewhere.parent.mkdir()

    restore(tmp_path / "kept", elsewhere)

    assert all_rows(elsewhere) == all_rows(store)
    assert Annotations(beside(elsewhere)).labels() == Annotations(beside(store)).labels()
    with Store.open(elsewhere, read_only=False) as opened:
        assert outcomes(opened) == {"i1": "traced", "i3": "bypassed"}


def test_the_manifest_counts_the_rows_of_each_table_and_the_folder_is_its_owners(store: Path, tmp_path: Path) -> None:
    manifest = taken(store, tmp_path / "kept")

    with Store.open(store) as opened:
        for table, count in manifest.row_counts.items():
            assert opened.rows(f"SELECT count(*) AS n FROM {table}") == [{"n": count}]
    assert manifest.row_counts["observation_base"] == 1
    assert manifest.company_id == "acme"
    assert read_manifest(tmp_path / "kept") == manifest
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700


def test_files_beside_the_store_are_kept_when_they_are_named_and_there(store: Path, tmp_path: Path) -> None:
    key, settings, absent = tmp_path / "my.key", tmp_path / "my.toml", tmp_path / "absent.json"
    key.write_text("secret")
    settings.write_text("# mine\n")
    manifest = taken(store, tmp_path / "kept", key=key, configuration=settings, forgotten=absent)
    assert [file.part for file in manifest.files] == ["store", "annotations", "key", "configuration"]

    restore(tmp_path / "kept", tmp_path / "again.duckdb", tmp_path / "company")

    assert (tmp_path / "company" / "my.toml").read_text() == "# mine\n"
    assert (tmp_path / "company" / "my.key").read_text() == "secret"
    assert stat.S_IMODE((tmp_path / "company" / "my.key").stat().st_mode) == 0o600


def test_a_store_that_is_being_written_is_not_copied(store: Path, tmp_path: Path) -> None:
    script = tmp_path / "hold.py"
    script.write_text(
        "import sys, duckdb\nheld = duckdb.connect(sys.argv[1])\nprint('held', flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script), str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ConfigurationError, match="in use by process"):
            taken(store, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    assert not list(tmp_path.glob(".kept*"))


def test_a_folder_that_holds_something_is_refused(store: Path, tmp_path: Path) -> None:
    taken(store, tmp_path / "kept")
    with pytest.raises(ConfigurationError, match="name a new folder"):
        taken(store, tmp_path / "kept")


@pytest.mark.parametrize("name", ["store.duckdb", "annotations.sqlite"])
def test_a_single_changed_byte_is_found_and_nothing_is_put_back(store: Path, tmp_path: Path, name: str) -> None:
    taken(store, tmp_path / "kept")
    file = tmp_path / "kept" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    with pytest.raises(ConfigurationError, match="another SHA-256"):
        restore(tmp_path / "kept", tmp_path / "again.duckdb")
    assert not (tmp_path / "again.duckdb").exists()


def test_a_file_that_is_cut_off_or_missing_is_said(store: Path, tmp_path: Path) -> None:
    taken(store, tmp_path / "kept")
    file = tmp_path / "kept" / "store.duckdb"
    file.write_bytes(file.read_bytes()[:-4096])
    with pytest.raises(ConfigurationError, match="bytes, and its manifest says"):
        restore(tmp_path / "kept", tmp_path / "again.duckdb")
    file.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        restore(tmp_path / "kept", tmp_path / "again.duckdb")


def test_rows_are_held_against_the_manifest_too(store: Path, tmp_path: Path) -> None:
    taken(store, tmp_path / "kept")
    manifest = tmp_path / "kept" / MANIFEST
    values = json.loads(manifest.read_text())
    values["row_counts"]["interaction_base"] += 1
    manifest.write_text(json.dumps(values))

    with pytest.raises(ConfigurationError, match="rows in interaction_base"):
        restore(tmp_path / "kept", tmp_path / "again.duckdb")
    assert sorted(path.name for path in tmp_path.glob("*again*")) == []


@pytest.mark.parametrize("text", ["", "{}", '{"form": 2}', '{"form": 1, "files": [{"name": "../../etc/passwd"}]}'])
def test_a_manifest_that_cannot_be_read_is_said(store: Path, tmp_path: Path, text: str) -> None:
    taken(store, tmp_path / "kept")
    (tmp_path / "kept" / MANIFEST).write_text(text)
    with pytest.raises(ConfigurationError, match="damaged or of a newer version"):
        restore(tmp_path / "kept", tmp_path / "again.duckdb")


@pytest.mark.parametrize("name", ["..", ".", "a/../../b.key", "/etc/passwd", "a\\b.key", "a\0b.key", "\n", "k" * 256])
def test_a_manifest_that_leads_out_of_the_folder_is_refused(store: Path, tmp_path: Path, name: str) -> None:
    key = tmp_path / "bypassflow.key"
    key.write_text("secret", encoding="utf-8")
    taken(store, tmp_path / "kept", key=key)
    manifest = tmp_path / "kept" / MANIFEST
    values = json.loads(manifest.read_text())
    values["files"][-1]["original_name"] = name
    manifest.write_text(json.dumps(values))
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(ConfigurationError, match="damaged or of a newer version"):
        restore(tmp_path / "kept", tmp_path / "again.duckdb", tmp_path / "company", replaces=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_two_files_never_go_to_one_place(store: Path, tmp_path: Path) -> None:
    taken(store, tmp_path / "kept")
    manifest = tmp_path / "kept" / MANIFEST
    values = json.loads(manifest.read_text())
    values["files"].append(values["files"][0])
    manifest.write_text(json.dumps(values))

    with pytest.raises(ConfigurationError, match="damaged or of a newer version"):
        restore(tmp_path / "kept", tmp_path / "again.duckdb")


@pytest.mark.parametrize("name", [MANIFEST, "store.duckdb", "annotations.sqlite"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_not_read(store: Path, tmp_path: Path, name: str, kind: str) -> None:
    taken(store, tmp_path / "kept")
    file = tmp_path / "kept" / name
    moved = file.rename(tmp_path / name)
    if kind == "link":
        file.symlink_to(moved)
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.mkdir()

    with pytest.raises(ConfigurationError, match="is no file"):
        restore(tmp_path / "kept", tmp_path / "again.duckdb")
    assert not (tmp_path / "again.duckdb").exists()


def test_an_endless_manifest_is_not_read_to_its_end(store: Path, tmp_path: Path) -> None:
    taken(store, tmp_path / "kept")
    with (tmp_path / "kept" / MANIFEST).open("ab") as stream:
        stream.truncate(1 << 40)

    with pytest.raises(ConfigurationError, match="damaged or of a newer version"):
        restore(tmp_path / "kept", tmp_path / "again.duckdb")


def test_another_folder_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no backup"):
        restore(tmp_path, tmp_path / "again.duckdb")


def test_a_store_that_is_there_is_replaced_only_when_that_is_said(store: Path, tmp_path: Path) -> None:
    taken(store, tmp_path / "kept")
    with Store.open(store, read_only=False) as opened:
        opened.apply(said([interaction_row("i4")]), 3)
    with pytest.raises(ConfigurationError, match="--force"):
        restore(tmp_path / "kept", store)
    with Store.open(store) as opened:
        assert "i4" in outcomes(opened)

    restore(tmp_path / "kept", store, replaces=True)

    with Store.open(store) as opened:
        assert outcomes(opened) == {"i1": "traced", "i3": "bypassed"}


def test_a_run_that_was_killed_before_the_store_was_moved_can_be_repeated(store: Path, tmp_path: Path) -> None:
    taken(store, tmp_path / "kept")
    again = tmp_path / "again.duckdb"
    restore(tmp_path / "kept", again)
    again.unlink()  # the annotations were in place already

    restore(tmp_path / "kept", again)

    assert all_rows(again) == all_rows(store)


def test_a_store_that_a_sink_writes_is_not_replaced(store: Path, tmp_path: Path) -> None:
    taken(store, tmp_path / "kept")
    placement = Placement(store)
    placement.acquire()
    try:
        with pytest.raises(TransientError, match="another run is writing"):
            restore(tmp_path / "kept", store, replaces=True)
    finally:
        placement.release()
