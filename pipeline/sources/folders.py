"""Folders, whoever wrote what lies in them: found, walked and measured at any depth, without following a link."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pipeline.sources.registry import is_own_name

LARGEST_LOOK: Final = 400
# No system nests its folders deeper; the stack of a walk ends at some hundred.
DEEPEST_FOLDER: Final = 50


def has_control(name: str) -> bool:
    """Return whether a name would steer the terminal that shows it."""
    return any(letter < " " or "\x7f" <= letter <= "\x9f" for letter in name)


def matches_of(path: Path) -> list[Path]:
    """Return the files and folders that a path with wildcards finds, by name; none for one without."""
    if not any(mark in str(path) for mark in "*?["):
        return []
    anchor = Path(path.anchor)
    return sorted(match for match in anchor.glob(str(path.relative_to(anchor))) if not match.name.startswith("."))


def above_pattern(path: Path) -> Path:
    """Return the folder above the first part of a path that has a wildcard."""
    parts = path.parts
    first = next((place for place, part in enumerate(parts) if any(mark in part for mark in "*?[")), len(parts))
    return Path(*parts[:first])


def look_around(root: Path) -> Iterator[Path]:
    """Yield some files at any depth: of every folder the first and the last, and the first of each suffix."""
    count = 0
    for folder, folders, files in _walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        names = sorted(name for name in files if not name.startswith("."))
        chosen = {names[0], names[-1]} if names else set()
        suffixes: dict[str, str] = {}
        for name in names:
            if len(suffixes) < 8:
                suffixes.setdefault(os.path.splitext(name)[1].lower(), name)
        for name in sorted(chosen | set(suffixes.values())):
            yield Path(folder, name)
            count += 1
        if count >= LARGEST_LOOK:
            return


def size_below(root: Path) -> int:
    """Return how many bytes the files below a folder have."""
    size = 0
    for folder, _, files in _walk(root):
        for name in files:
            if is_own_name(name):
                continue
            with suppress(OSError):
                size += os.lstat(os.path.join(folder, name)).st_size
    return size


def _walk(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield folders as `os.walk` does, which fails in folders that are nested too deeply."""
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        folders: list[str] = []
        files: list[str] = []
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                (folders if is_folder else files).append(entry.name)
        yield folder, folders, files
        waiting.extend(os.path.join(folder, name) for name in reversed(folders))
