"""The trail of access: who took tables away or looked at customers, when, and what was asked, one JSON a line.

It lies beside the store and is only ever appended to. Nobody's identifier is in it in clear: whom a route names is a
keyed digest, the same for the same one, so that it can be told who looked at somebody without listing everybody.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from pipeline.errors import ConfigurationError, TransientError

# What of a question is kept with its values; of all else only that it was asked.
_PLAIN: Final = frozenset({
    "since", "until", "through", "period", "by", "channel", "line", "team", "function", "direction", "source",
    "segment", "reason", "outcome", "tier", "status", "limit", "days", "interval", "order",
})  # fmt: skip
_MOST_VALUES: Final = 20
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d($|[T ])")
_FEW_DIGITS: Final = 6
_LONGEST: Final = 60
# Parts of paths that say whom or what they are about.
_NAMING: Final = ("customer_id", "token", "interaction_id", "representative_id")

Row = dict[str, Any]


def beside(store: Path) -> Path:
    """Return where the trail of a store lies.

    >>> beside(Path("data/bypass.duckdb")).name
    'bypass.access.jsonl'
    """
    return store.with_name(f"{store.name.removesuffix('.duckdb')}.access.jsonl")


class Trail:
    """The trail in one file; `key` is that of the digests."""

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self._key = key

    def digest(self, name: str) -> str:
        """Return what stands for a customer, an identifier or an interaction."""
        return hmac.digest(self._key, f"trail:{name}".encode(errors="replace"), "sha256").hex()[:16]

    def note(
        self,
        at: datetime,
        who: str,
        route: str,
        status: int,
        *,
        format: str,
        asked: Iterable[tuple[str, str]],
        path: Mapping[str, Any],
        row_count: int | None,
    ) -> None:
        """Append one line; `at` is UTC without a zone.

        Raises:
            TransientError: when it cannot be written; what was asked must then not be answered.
        """
        filters: dict[str, list[str]] = {}
        for name, value in asked:
            kept = filters.setdefault(name if name in _PLAIN else "others", [])
            if len(kept) < _MOST_VALUES:
                kept.append(value[:_LONGEST] if name in _PLAIN and not _may_name(value) else "hidden")
        about = next((self.digest(str(path[name])) for name in _NAMING if name in path), None)
        row: Row = {
            "at": at, "who": who, "route": route, "status": status, "format": format, "filter": filters, "about": about,
            "row_count": row_count,
        }  # fmt: skip
        line = orjson.dumps(row, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
        try:
            # One write of a whole line: other processes may append to the same file.
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                if os.write(descriptor, line) < len(line):
                    raise OSError(None, "the disk is full")
            finally:
                os.close(descriptor)
        except OSError as error:
            raise TransientError(
                f"the trail of access cannot be written: {(error.strerror or str(error)).lower()}; nothing is shown "
                "until it can"
            ) from None


def _may_name(value: str) -> bool:
    """Return whether a value may be a number or an address that somebody wrote where it does not belong."""
    return "@" in value or (not _DAY.match(value) and sum(character.isdigit() for character in value) >= _FEW_DIGITS)


def read(path: Path) -> Iterator[Row]:
    """Yield the lines of a trail, the oldest first; none without a file.

    Raises:
        ConfigurationError: when it cannot be read, or a line is none of a trail.
    """
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError:
                    row = None
                if not isinstance(row, dict) or "who" not in row:
                    raise ConfigurationError(
                        f"{path}, line {number} is no line of a trail of access; it was changed or cut off: compare it "
                        "with a copy"
                    )
                yield row
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
