"""Are the secrets there that a configuration names: variables of the environment, and files that nobody else reads."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from pipeline.findings import Finding, error, ok, warning
from schemas.settings import Configuration

# In addresses of databases.
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# These hold nothing that is secret.
_PUBLIC: Final = frozenset({"ca_file", "certificate_file"})


def examine(configuration: Configuration, base: Path, environment: Mapping[str, str]) -> list[Finding]:
    """Return what is to be said of the variables and files that hold secrets. The company's key is not among them."""
    named = list(_named(configuration, base))
    found = [
        finding
        for where, name, value in named
        for finding in (_file(where, base / value) if name.endswith("_file") else _variable(where, value, environment))
    ]
    return found or [ok("secrets", str(base), f"{len(named)} are named, and all of them are there")]


def _named(model: BaseModel, base: Path, where: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield where a secret is named, the key that names it, and the name of the variable or file."""
    for key in type(model).model_fields:
        value = getattr(model, key)
        place = f"{where} {key}" if where else f"[{key}]"
        if where == "[privacy]":
            continue
        if isinstance(value, BaseModel):
            yield from _named(value, base, place)
        elif isinstance(value, tuple) and any(isinstance(each, BaseModel) for each in value):
            for number, each in enumerate(value, start=1):
                yield from _named(each, base, f"[{place}] number {number}" if not where else f"{place} number {number}")
        elif key.endswith("_env"):
            for each in (value,) if isinstance(value, str) else value or ():
                yield place, key, each
        elif key.endswith("_file") and isinstance(value, str):
            # One with a name of its own by default is made by bypassflow itself, when it is needed.
            if type(model).model_fields[key].default is None or (base / value).exists():
                yield place, key, value
        elif key == "url" and isinstance(value, str):
            for each in _VARIABLE.findall(value):
                yield place, key, each


def _variable(where: str, name: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    if not environment.get(name, "").strip():
        yield error(
            "secrets", where, f"the environment has no {name}",
            f"set {name} where the process is started, or mend the name",
        )  # fmt: skip


def _file(where: str, path: Path) -> Iterator[Finding]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        with path.open("rb") as stream:
            is_empty = not stream.read(1)
    except OSError as problem:
        reason = (problem.strerror or type(problem).__name__).lower()
        yield error("secrets", where, f"{path} cannot be read: {reason}", "put the file there, or name another one")
        return
    if is_empty:
        yield error("secrets", where, f"{path} is empty", "write the secret into it, or name another file")
    elif mode & 0o077 and where.rsplit(" ", 1)[-1] not in _PUBLIC:
        yield warning("secrets", where, f"{path} has mode {mode:04o}, so others may read it", f"run: chmod 600 {path}")
