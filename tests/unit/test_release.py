"""A release: what is in it, and that everybody who builds the same commit gets the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import cli
from dashboard.vendored import SCRIPTS
from release.bill import bill
from release.building import SUMS, ReleaseRefused, build
from release.locked import Package, packages

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
MADE_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def cloned(folder: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("release")
    build(cloned(place / "tree"), place / "out", cli.__version__)
    return place / "out"


def test_a_release_has_wheel_source_bill_lock_and_checksums(released: Path) -> None:
    version = cli.__version__
    assert set(contents(released)) == {
        f"bypassflow-{version}-py3-none-any.whl", f"bypassflow-{version}.tar.gz", f"bypassflow-{version}.cdx.json",
        f"bypassflow-{version}-requirements.txt", SUMS,
    }  # fmt: skip
    assert (released / f"bypassflow-{version}-requirements.txt").read_text(encoding="utf-8") == LOCK


def test_the_same_commit_gives_the_same_bytes_wherever_and_by_whomever_it_is_built(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")  # of somebody else's build
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with umask(0o077):
        build(cloned(tmp_path / "elsewhere"), tmp_path / "out", cli.__version__)

    assert contents(tmp_path / "out") == contents(released)


def test_the_checksums_are_those_of_the_files(released: Path) -> None:
    lines = (released / SUMS).read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(contents(released)) - 1
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((released / name).read_bytes()).hexdigest() == digest


def test_the_wheel_holds_no_tool_of_the_release(released: Path) -> None:
    (wheel,) = released.glob("*.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("release/")]


def test_a_tree_with_changes_is_not_released(tmp_path: Path) -> None:
    tree = cloned(tmp_path / "tree")
    (tree / "README.md").write_text("changed", encoding="utf-8")

    with pytest.raises(ReleaseRefused, match=r"README\.md; commit or remove"):
        build(tree, tmp_path / "out", cli.__version__)
    assert not (tmp_path / "out").exists()


def test_nothing_is_released_into_a_folder_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(ReleaseRefused, match="is there already"):
        build(ROOT, tmp_path, cli.__version__)


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bill("1.2.3", packages(LOCK), MADE_AT))
    return found


def test_the_bill_names_every_package_of_the_lock_and_every_script(told: dict[str, Any]) -> None:
    named = {part["purl"] for part in told["components"]}
    assert named == {f"pkg:pypi/{each.name}@{each.version}" for each in packages(LOCK)} | {
        f"pkg:npm/{script.package}@{script.version}" for script in SCRIPTS
    }
    assert all(part["licenses"] for part in told["components"])
    (tree,) = (each for each in told["dependencies"] if each["ref"] == "bypassflow@1.2.3")
    assert set(tree["dependsOn"]) == named


def test_the_bill_names_no_address_and_no_tool(told: dict[str, Any]) -> None:
    text = json.dumps({name: value for name, value in told.items() if name != "$schema"})
    assert "://" not in text
    assert set(told["metadata"]) == {"component", "timestamp"}


def test_the_bill_is_numbered_by_what_is_in_it(told: dict[str, Any]) -> None:
    again = json.loads(bill("1.2.3", packages(LOCK), MADE_AT))
    other = json.loads(bill("1.2.4", packages(LOCK), MADE_AT))

    assert again["serialNumber"] == told["serialNumber"] != other["serialNumber"]


def test_what_is_not_installed_here_is_no_part() -> None:
    lock = (
        "anyio==4.1 \\\n    --hash=sha256:00\n    # via x\n"
        "colorama==0.4 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
        "contourpy==1.3.3 ; python_full_version < '3.12' \\\n    --hash=sha256:00\n"
        "contourpy==1.4.0 ; python_full_version >= '3.12' \\\n    --hash=sha256:00\n"
    )
    assert packages(lock) == [Package("anyio", "4.1"), Package("contourpy", "1.3.3")]
