"""Tokens of people and programs: each is a secret that is shown once, and of which only a digest is kept.

The file beside the configuration is JSON and its owner's alone. A secret has 256 random bits, so a plain SHA-256 of it
can be kept: nobody guesses it, and a slow hash would only slow every request.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import ConfigurationError
from schemas.access import NAME, SCOPES, Scope

FORM: Final = 1
PREFIX: Final = "bypassflow_"
SECRET_BYTES: Final = 32
_LONGEST_DAYS: Final = 3_660


class Token(BaseModel):
    """What is kept of a token. Instants are UTC without a zone; without `teams` it sees all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    digest: str
    scopes: tuple[Scope, ...]
    teams: tuple[str, ...] = ()
    created_at: datetime
    expires_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Return whether it has expired."""
        return self.expires_at is not None and now >= self.expires_at


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid")

    form: int
    tokens: list[Token]


class Tokens:
    """The tokens in one file. Every method raises ConfigurationError when others may read it or it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[tuple[int, int, int], list[Token]] | None = None

    def all(self) -> list[Token]:
        """Return all tokens in order of their names; none without a file."""
        try:
            state = self._path.stat()
        except FileNotFoundError:
            self._known = None
            return []
        except OSError as error:
            raise self._unreadable(error) from None
        mode = stat.S_IMODE(state.st_mode)
        if mode & 0o077:
            raise ConfigurationError(
                f"the file of tokens {self._path} has mode {mode:04o}, so others may read it; expected 0600; "
                f"run: chmod 600 {self._path}"
            )
        # It is replaced as a whole, so another content is another file.
        shape = (state.st_ino, state.st_mtime_ns, state.st_size)
        if self._known is None or self._known[0] != shape:
            self._known = shape, self._read()
        return self._known[1]

    def named(self, name: str) -> Token | None:
        """Return the token of this name; None when there is none."""
        return next((each for each in self.all() if each.name == name), None)

    def matching(self, secret: str) -> Token | None:
        """Return the token with this secret, expired or not; each is compared in constant time."""
        wanted = digest(secret)
        found = None
        for each in self.all():
            if hmac.compare_digest(each.digest, wanted):
                found = each
        return found

    def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        teams: Sequence[str] = (),
        days: int | None = None,
        now: datetime,
        random_bytes: Callable[[int], bytes],
    ) -> str:
        """Make a token and return its secret, which is kept nowhere.

        Raises:
            ConfigurationError: when the name is taken or none, a scope is unknown, or it would never be valid.
        """
        if not NAME.fullmatch(name):
            raise ConfigurationError(
                f"{name!r} is no name of a token; expected small letters, digits, '.', '_' and '-', such as grafana"
            )
        known: list[Scope] = [each for each in SCOPES if each in scopes]
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not known:
            said = f"unknown scope {unknown[0]!r}" if unknown else "the token has no scope"
            raise ConfigurationError(f"{said}; expected one or more of {', '.join(SCOPES)} with --scope")
        if days is not None and not 1 <= days <= _LONGEST_DAYS:
            raise ConfigurationError(f"a token for {days} days makes no sense; expected 1 to {_LONGEST_DAYS}")
        secret = PREFIX + random_bytes(SECRET_BYTES).hex()
        made = Token(
            name=name,
            digest=digest(secret),
            scopes=tuple(known),
            teams=tuple(dict.fromkeys(teams)),
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
        )
        with self._alone():
            tokens = self.all()
            if any(each.name == name for each in tokens):
                raise ConfigurationError(
                    f"there is a token {name!r} already; revoke it with `bypassflow access revoke {name}`, "
                    "or give this one another name"
                )
            self._write([*tokens, made])
        return secret

    def revoke(self, name: str) -> None:
        """Take a token back: from now on it opens nothing, and sessions that began with it end.

        Raises:
            ConfigurationError: when there is none of this name.
        """
        with self._alone():
            tokens = self.all()
            left = [each for each in tokens if each.name != name]
            if len(left) == len(tokens):
                raise ConfigurationError(f"there is no token {name!r}; `bypassflow access list` shows them")
            self._write(left)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let others who make or revoke tokens wait: of two who write what they have read, one would be lost."""
        try:
            descriptor = os.open(self._path.with_name(f".{self._path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> list[Token]:
        try:
            kept = _Kept.model_validate_json(self._path.read_bytes())
        except OSError as error:
            raise self._unreadable(error) from None
        except ValidationError:
            kept = None
        if kept is None or kept.form != FORM:
            raise ConfigurationError(
                f"{self._path} holds no tokens that this version knows; restore it from a copy, or remove it and make "
                "the tokens anew with `bypassflow access create`"
            )
        return sorted(kept.tokens, key=lambda each: each.name)

    def _write(self, tokens: Sequence[Token]) -> None:
        told = {"form": FORM, "tokens": [each.model_dump(mode="json") for each in tokens]}
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            draft.unlink(missing_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(told, stream, indent=1)
                stream.write("\n")
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(draft, self._path)
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"the file of tokens {self._path} cannot be written: {(error.strerror or str(error)).lower()}; make "
            "its folder writable, or name another file in [access].tokens_file"
        )

    def _unreadable(self, error: OSError) -> ConfigurationError:
        reason = (error.strerror or str(error)).lower()
        return ConfigurationError(f"the file of tokens {self._path} cannot be read: {reason}")


def digest(secret: str) -> str:
    """Return what is kept of a secret.

    >>> digest("bypassflow_00")[:16]
    'ad19bf749c215aef'
    """
    return hashlib.sha256(secret.encode()).hexdigest()
