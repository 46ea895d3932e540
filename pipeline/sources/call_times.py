"""Instants and lengths of time as switchboards write them: epochs, stamps, seconds."""

from __future__ import annotations

from datetime import UTC, date, datetime

from pipeline.errors import InvalidRecord
from pipeline.sources.written_values import InstantReader


def epoch(field: str, text: object, per_second: int = 1) -> datetime | None:
    """Return the instant that is so many parts of a second after 1970; None for an empty field and for 0: never.

    Raises:
        InvalidRecord: when it is no such number, or stands for no year of people who telephone.
    """
    written = str(text if text is not None else "").strip()
    if not written:
        return None
    try:
        seconds = int(written) / per_second
        instant = datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (ValueError, OverflowError, OSError):
        raise InvalidRecord(f"{field}: expected the seconds since 1970") from None
    return instant


def stamp(field: str, text: object, reader: InstantReader) -> datetime | None:
    """Return the instant that a stamp says, in the switch's local time unless it names an offset; None when empty.

    Raises:
        InvalidRecord: when it cannot be read, or has no time of day.
    """
    written = str(text if text is not None else "").strip()
    if not written:
        return None
    try:
        found: datetime | date = reader.read(written)
    except InvalidRecord as error:
        raise InvalidRecord(f"{field}: {error}") from None
    if not isinstance(found, datetime):
        raise InvalidRecord(f"{field}: expected a date and time of day")
    return found


def seconds(field: str, text: object) -> float:
    """Return a length of time in seconds; an empty field is none.

    Raises:
        InvalidRecord: when it is no number, or less than none.
    """
    written = str(text if text is not None else "").strip()
    try:
        length = float(written or 0)
    except ValueError:
        raise InvalidRecord(f"{field}: expected seconds") from None
    if not 0 <= length < float("inf"):
        raise InvalidRecord(f"{field}: expected seconds, 0 or more")
    return length


def utc_stamp(field: str, text: object, reader: InstantReader) -> datetime | None:
    """Return the instant that a stamp says, in UTC where it names no offset; None when empty or a year before 1970.

    Systems write the year 1 for what never happened.

    Raises:
        InvalidRecord: when it cannot be read, or has no time of day.
    """
    found = stamp(field, text, reader)
    if found is None or found.year < 1970:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
