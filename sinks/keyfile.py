"""The company's secret key: a file beside the configuration that its owner alone may read.

Its first line is the key, and each rotation adds a line. While a rotation is at work, the key that will be stands in a
file beside it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import ConfigurationError
from pipeline.keys import KEY_BYTES, CompanyKey


def load_or_create_key(path: Path, random_bytes: Callable[[int], bytes]) -> tuple[CompanyKey, bool]:
    """Return the company's key, and whether it was made just now because there was none.

    Two runs that start at the same time get the same key, and a crash leaves none or a whole one.

    Raises:
        ConfigurationError: when the file may be read by others, holds no key, or cannot be read or made.
    """
    try:
        return load_key(path), False
    except FileNotFoundError:
        pass
    try:
        created = _create(path, random_bytes(KEY_BYTES))
        return load_key(path), created
    except OSError as error:
        raise ConfigurationError(
            f"the key file {path} cannot be made: {_reason(error)}; make its folder writable, "
            "or name another file in [privacy].key_file"
        ) from None


def load_key(path: Path) -> CompanyKey:
    """Return the key that a file holds.

    Raises:
        FileNotFoundError: when there is no file.
        ConfigurationError: when others may read it, when it holds no key, or a rotation was broken off.
    """
    key = read_key(path)
    if next_path(path).exists():
        raise ConfigurationError(
            f"a rotation of {path} is at work or was broken off; wait for it, or run `bypassflow keys rotate` again"
        )
    return key


def next_path(path: Path) -> Path:
    """Return where the key that will be stands while a rotation is at work."""
    return path.with_name(f"{path.name}.next")


def read_key(path: Path) -> CompanyKey:
    """Return the key that a file holds, whatever stands beside it.

    Raises:
        FileNotFoundError: when there is no file.
        ConfigurationError: when others may read it, or when it holds no key.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) and stat.S_IMODE(mode) & 0o077:
            raise ConfigurationError(
                f"the key file {path} has mode {stat.S_IMODE(mode):04o}, so others may read it; "
                f"expected 0600; run: chmod 600 {path}"
            )
        lines = path.read_text(encoding="ascii", errors="replace").split()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigurationError(f"the key file {path} cannot be read: {_reason(error)}") from None
    try:
        keys = [bytes.fromhex(line) for line in lines]
    except ValueError:
        keys = []
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise ConfigurationError(
            f"{path} holds no key; expected {2 * KEY_BYTES} hexadecimal digits; restore it from a copy, "
            "or remove it when no store was made with it (a new key gives new tokens)"
        )
    return CompanyKey(b"".join(keys))


def write_key(path: Path, key: CompanyKey) -> None:
    """Write a key with all its links into a new file, for good."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write("".join(f"{line.hex()}\n" for line in (key.root, *key.links)))
        stream.flush()
        os.fsync(descriptor)


def _create(path: Path, key: bytes) -> bool:
    """Write a key under a name of its own and link it into place; return False when another run was faster."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, key.hex().encode("ascii") + b"\n")
        os.fsync(descriptor)
        os.link(draft, path)
        return True
    except FileExistsError:
        return False
    finally:
        os.close(descriptor)
        draft.unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
