"""Instants of systems that state UTC: ISO 8601 with an offset or without, and seconds or milliseconds since 1970."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.errors import InvalidRecord
from pipeline.sources.written_values import InstantReader

# No system is older, and none writes of later than this: beyond it arithmetic with offsets fails.
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_READER: Final = InstantReader()


def read_utc(value: Mapping[str, Any], *names: str) -> datetime:
    """Return the first of these instants that a record gives; without an offset it is UTC.

    Raises:
        InvalidRecord: when none is given, or it cannot be read.
    """
    found = utc_if_given(value, *names)
    if found is None:
        raise InvalidRecord(f"{names[0]}: missing; expected a date and time")
    return found


def utc_if_given(value: Mapping[str, Any], *names: str) -> datetime | None:
    """Return the first of these instants that a record gives, or None.

    Raises:
        InvalidRecord: when it cannot be read.

    >>> str(utc_if_given({"sent": None, "made": "2024-03-05 09:00:00"}, "sent", "made"))
    '2024-03-05 09:00:00+00:00'
    """
    for name in names:
        written = value.get(name)
        if written is not None and written != "":
            return _instant(written, name)
    return None


def _instant(written: object, name: str) -> datetime:
    if isinstance(written, (str, int, float)) and not isinstance(written, bool):
        try:
            read = _READER.read(str(written))
        except InvalidRecord:
            read = None
        if isinstance(read, datetime) and _FIRST_YEAR <= read.year <= _LAST_YEAR:
            return read if read.tzinfo else read.replace(tzinfo=UTC)
    raise InvalidRecord(f"{name}: no date and time, such as 2024-03-05T09:00:00Z")
