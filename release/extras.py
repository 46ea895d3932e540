"""What the extras bring, with all that their packages need themselves."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.locked import is_for_here


class ExtraNotInstalled(Exception):
    """A package of an extra is not here to be looked at."""


def extra_packages(project: Path, locked: Iterable[str]) -> dict[str, list[str]]:
    """Return the packages of each extra in a pyproject.toml, by name, but for those that are installed without it.

    Raises:
        ExtraNotInstalled: when one of them is not installed.
    """
    extras = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    without = set(locked)
    return {extra: sorted(_closure(map(Requirement, wanted)) - without) for extra, wanted in sorted(extras.items())}


def _closure(wanted: Iterable[Requirement]) -> set[str]:
    waiting, seen = list(wanted), set[tuple[str, str]]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras} - {chosen for known, chosen in seen if known == name}:
            seen.add((name, extra))
            waiting += (each for each in _requirements(name) if is_for_here(each.marker, extra))
    return {name for name, _ in seen}


def _requirements(name: str) -> list[Requirement]:
    try:
        return [Requirement(each) for each in requires(name) or ()]
    except PackageNotFoundError:
        raise ExtraNotInstalled(f"{name} of an extra is not installed; run: make setup") from None
