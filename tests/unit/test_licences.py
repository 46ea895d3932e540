"""Everything that bypassflow runs with may be distributed beside software under Apache-2.0."""

from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.vendored import SCRIPTS
from release import licences
from release.extras import ExtraNotInstalled, extra_packages
from release.licences import BY_HAND, UnknownLicence, is_allowed, is_expression, licence_of
from release.locked import packages

ROOT = Path(__file__).resolve().parents[2]
LOCKED = [each.name for each in packages((ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8"))]
EXTRAS = extra_packages(ROOT / "pyproject.toml", LOCKED)
WANTED = sorted({*LOCKED, *(name for names in EXTRAS.values() for name in names)})


@pytest.mark.parametrize("name", WANTED)
def test_a_package_has_a_licence_that_is_allowed(name: str) -> None:
    assert is_allowed(licence_of(name))


def test_the_scripts_of_the_pages_have_licences_that_are_allowed() -> None:
    assert all(is_allowed(script.licence) for script in SCRIPTS)


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("AGPL-3.0-or-later", False),
        ("MIT AND GPL-2.0-only", False),
        ("MIT OR GPL-2.0-only", True),
        ("MPL-2.0 AND (Apache-2.0 OR GPL-2.0-only)", True),
        ("SSPL-1.0", False),
    ],
)
def test_copyleft_of_the_whole_is_refused(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) is allowed


def test_a_package_of_which_nobody_knows_the_licence_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licences, "BY_HAND", {})
    with pytest.raises(UnknownLicence, match="imapclient states no licence"):
        licence_of("imapclient")
    with pytest.raises(UnknownLicence, match="is not installed"):
        licence_of("no-such-package")


def test_what_was_read_by_hand_is_needed_and_an_expression() -> None:
    assert set(BY_HAND) <= set(WANTED)
    assert all(is_expression(each) for each in BY_HAND.values())
    assert not is_expression("Copyright (c) somebody")


def project(folder: Path, requirement: str) -> Path:
    file = folder / "pyproject.toml"
    file.write_text(f"[project.optional-dependencies]\nmore = ['{requirement}']\n", encoding="utf-8")
    return file


def test_an_extra_brings_what_its_packages_need_and_nothing_that_is_there_without_it(tmp_path: Path) -> None:
    telemetry = project(tmp_path, "opentelemetry-sdk")
    assert {"opentelemetry-sdk", "opentelemetry-semantic-conventions"} <= set(extra_packages(telemetry, [])["more"])
    assert "opentelemetry-sdk" not in extra_packages(telemetry, ["opentelemetry-sdk"])["more"]


def test_an_extra_of_a_package_brings_what_is_asked_for_with_it(tmp_path: Path) -> None:
    assert "psycopg-binary" in extra_packages(project(tmp_path, "psycopg[binary]"), [])["more"]
    assert "psycopg-binary" not in extra_packages(project(tmp_path, "psycopg"), [])["more"]


def test_an_extra_that_is_not_installed_cannot_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(ExtraNotInstalled, match="no-such-package of an extra is not installed; run: make setup"):
        extra_packages(project(tmp_path, "no-such-package"), [])
