"""Is what runs here what was meant to: Python, the libraries, and import names that are ours alone."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pipeline.findings import Finding, error, ok, warning

DISTRIBUTION: Final = "bypassflow"
# Plain names, which another distribution could bring too.
IMPORT_NAMES: Final = ("agents", "cli", "commands", "dashboard", "pipeline", "schemas", "sinks")
_AGAIN: Final = "install bypassflow anew into an environment of its own, such as with: make setup"


@dataclass(frozen=True)
class Installation:
    """What is installed. `requirements` None: bypassflow itself is not; `locked`: tested versions, where known.

    `owners`: the distributions of each import name; `origins`: the file that an import of it would read.
    """

    python: str
    requires_python: str
    requirements: Sequence[str] | None
    versions: Callable[[str], str | None]
    locked: Mapping[str, str]
    owners: Mapping[str, Sequence[str]]
    origins: Mapping[str, Path | None]
    root: Path


def installation(root: Path) -> Installation:
    """Return what is installed here; `root` is the folder that our own modules lie in."""
    try:
        ours = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        ours = None
    lock = root / "requirements" / "runtime.txt"
    return Installation(
        python=platform.python_version(),
        requires_python=str(ours.metadata["Requires-Python"]) if ours else ">=3.11",
        requirements=None if ours is None else ours.requires or (),
        versions=_version,
        locked=locked(lock.read_text(encoding="utf-8")) if lock.is_file() else {},
        owners=metadata.packages_distributions(),
        origins={name: _origin(name) for name in IMPORT_NAMES},
        root=root,
    )


def locked(text: str) -> dict[str, str]:
    """Return the versions that a lock names, of those lines that apply here.

    >>> locked("duckdb==1.5.0 \\\\\\n    --hash=sha256:00\\n")
    {'duckdb': '1.5.0'}
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.removesuffix("\\").strip())
            if requirement.marker is None or requirement.marker.evaluate():
                found[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return found


def examine(here: Installation) -> list[Finding]:
    """Return what is to be said of an installation."""
    return [_python(here), *_libraries(here), *_names(here)]


def _python(here: Installation) -> Finding:
    if here.python not in SpecifierSet(here.requires_python, prereleases=True):
        return error(
            "Python", here.python, f"Python {here.python}, expected {here.requires_python}",
            "make the environment with a newer one, such as: make setup PYTHON=python3.11",
        )  # fmt: skip
    return ok("Python", here.python, f"fits {here.requires_python}")


def _libraries(here: Installation) -> Iterator[Finding]:
    if here.requirements is None:
        yield warning("libraries", str(here.root), "runs from its folder and is not installed", _AGAIN)
        return
    applying = [each for each in map(Requirement, here.requirements) if each.marker is None or each.marker.evaluate()]
    problems = list(_unfit(here, applying))
    yield from problems
    others = [
        f"{name} {have} instead of {wanted}"
        for name, wanted in sorted(here.locked.items())
        if (have := here.versions(name)) is not None and have != wanted
    ]
    if others:
        yield warning(
            "libraries", "requirements/runtime.txt", f"other versions than those that are tested: {', '.join(others)}",
            _AGAIN,
        )  # fmt: skip
    elif not problems:
        yield ok("libraries", str(here.root), f"{len(applying)} are there in versions that fit")


def _unfit(here: Installation, requirements: Iterable[Requirement]) -> Iterator[Finding]:
    for requirement in requirements:
        have = here.versions(requirement.name)
        if have is None:
            yield error("libraries", requirement.name, "is not installed", _AGAIN)
        elif not requirement.specifier.contains(have, prereleases=True):
            yield error("libraries", requirement.name, f"{have}, expected {requirement.specifier}", _AGAIN)


def _names(here: Installation) -> Iterator[Finding]:
    problems = []
    for name in IMPORT_NAMES:
        if others := sorted(set(here.owners.get(name, ())) - {DISTRIBUTION}):
            problems.append(
                error(
                    "import names", name, f"the distribution {', '.join(others)} has a module of this name too",
                    f"uninstall it from this environment ({others[0]}), or {_AGAIN}",
                )
            )  # fmt: skip
        elif (origin := here.origins.get(name)) is None or not origin.is_relative_to(here.root):
            problems.append(
                error(
                    "import names", name, f"is read from {origin or 'nowhere'}, expected a place in {here.root}",
                    "unset PYTHONPATH, and start in a folder without a module of this name",
                )
            )  # fmt: skip
    yield from problems or [ok("import names", str(here.root), "are bypassflow's alone")]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _origin(name: str) -> Path | None:
    spec = util.find_spec(name)
    return Path(spec.origin).resolve() if spec is not None and spec.origin is not None else None
