"""The company's secret key: a file beside the configuration that its owner alone may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import ConfigurationError

KEY_BYTES = 32


def load_or_create_key(path: Path, random_bytes: Callable[[int], bytes]) -> tuple[bytes, bool]:
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


def load_key(path: Path) -> bytes:
    """Return the key that a file holds.

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
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigurationError(f"the key file {path} cannot be read: {_reason(error)}") from None
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"{path} holds no key; expected {2 * KEY_BYTES} hexadecimal digits; restore it from a copy, "
            "or remove it when no store was made with it (a new key gives new tokens)"
        )
    return key


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
