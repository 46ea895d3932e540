"""Everything that bypassflow runs with may be distributed beside software under Apache-2.0."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dashboard.vendored import SCRIPTS
from release import licences
from release.licences import BY_HAND, UnknownLicence, is_allowed, is_expression, licence_of
from release.locked import packages

ROOT = Path(__file__).resolve().parents[2]
LOCKED = [each.name for each in packages((ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8"))]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
WANTED = sorted({*LOCKED, *(Requirement(each).name for some in EXTRAS.values() for each in some)})


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
    assert set(BY_HAND) <= set(LOCKED)
    assert all(is_expression(each) for each in BY_HAND.values())
    assert not is_expression("Copyright (c) somebody")
