"""The list of the forgotten: a file beside the company's key, one digest a line, that only its owner may read."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pipeline.errors import ConfigurationError
from pipeline.forgetting import Forgotten
from pipeline.keys import advanced_digest, links_of
from sinks.placement import sync

_HEAD: Final = (
    "# Digests of the people whom bypassflow has forgotten; keep it with the key, which it is worth nothing without."
)
# A digest, and how many rotations of the key there had been when it was made.
_LINE: Final = re.compile(r"([0-9a-f]{32})(?: ([0-9]{1,4}))?").fullmatch


def load(path: Path, key: bytes) -> Forgotten:
    """Return who was forgotten; nobody without a file. Digests of before a rotation of the key are brought up to date.

    Raises:
        ConfigurationError: when the file cannot be read or holds something else.
    """
    found = _read(path)
    return Forgotten(key, {digest for digest, _ in found} | {advanced_digest(key, *each) for each in found})


def add(path: Path, key: bytes, tokens: Iterable[str], ids: Iterable[str] = ()) -> Forgotten:
    """Add people to the list, for good before this returns; return the list. Two that add wait for each other.

    Raises:
        ConfigurationError: when the file cannot be read or written.
    """
    try:
        with path.with_name(f".{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = load(path, key)
            more = Forgotten(key, known.with_more(tokens, ids))
            if more.digests != known.digests:
                generation = len(links_of(key))
                _write(path, _read(path) | {(digest, generation) for digest in more.digests - known.digests})
            return more
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {(error.strerror or str(error)).lower()}; make its folder writable"
        ) from None


def _read(path: Path) -> set[tuple[str, int]]:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    found = set()
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith("#"):
            continue
        if (read := _LINE(line)) is None:
            raise ConfigurationError(
                f"{path}, line {number}: no digest; expected 32 hexadecimal digits; restore the file from a copy"
            )
        found.add((read[1], int(read[2] or 0)))
    return found


def _write(path: Path, digests: Iterable[tuple[str, int]]) -> None:
    """Write the whole list in one step."""
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write("\n".join([_HEAD, *(f"{digest} {generation}" for digest, generation in sorted(digests)), ""]))
        stream.flush()
        os.fsync(descriptor)
    os.replace(draft, path)
    sync(path.parent)
