"""How the exports of Salesforce write names, nulls, booleans, ids and times, whichever tool wrote them.

Four ways of writing are met in practice. Data Loader and its kin: ISO times with "+0000", true and false.
The weekly Data Export: everything quoted, times in UTC without saying so, 0 and 1, and
"000000000000000AAA" where a reference is empty. Relational movers: a Guid for a key and #N/A for null.
Warehouses: snake case. None of them is told apart here: every value is read by its own form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pipeline.errors import ConfigurationError, InvalidRecord

NULLS: Final = frozenset({"", "#N/A", "null", "NULL", "Null", "\\N", "<null>"})
NULL_IDS: Final = NULLS | {"000000000000000", "000000000000000AAA"}
_TRUE: Final = frozenset({"true", "1", "yes", "t"})
SUFFIX: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_UTC_ZONE: Final = ZoneInfo("UTC")
_MICROSECOND: Final = timedelta(microseconds=1)
YEARS: Final = range(1970, 2200)


def column_key(name: str) -> str:
    """Return the form under which column names are compared: case and underscores make no difference.

    >>> column_key("CALL_DURATION_IN_SECONDS") == column_key("CallDurationInSeconds")
    True
    """
    return name.strip().strip("\ufeff\"'").replace("_", "").lower()


@lru_cache(maxsize=100_000)
def full_id(short: str) -> str:
    """Return the 18-character form of a 15-character id, so that both forms join.

    Each of the three characters added holds the letter case of five: bit n is set for a capital.
    Source: Salesforce's help on ids of 15 and 18 characters; it held on every id of the exports looked at.

    >>> full_id("001000000000ABc")
    '001000000000ABcAAM'
    """
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << place for place, letter in enumerate(short[start : start + 5]) if "A" <= letter <= "Z")
        suffix += SUFFIX[bits]
    return short + suffix


def is_record_id(text: str) -> bool:
    """Return whether the text is an id that Salesforce gave: 15 letters and digits, or 18 with a right checksum."""
    if len(text) == 15:
        return text.isascii() and text.isalnum()
    return len(text) == 18 and text.isascii() and text.isalnum() and full_id(text[:15]) == text


def read_id(text: str) -> str | None:
    """Return an id in its 18-character form; ids of other systems (a Guid) as they are; None for null."""
    text = text.strip()
    if text in NULL_IDS:
        return None
    return full_id(text) if len(text) == 15 and text.isascii() and text.isalnum() else text


def read_text(text: str) -> str:
    """Return a value without outer white space; empty when it is null."""
    text = text.strip()
    return "" if text in NULLS else text


def read_flag(text: str) -> bool | None:
    """Return a boolean, None when it is null."""
    text = text.strip()
    return None if text in NULLS else text.lower() in _TRUE


class Moment(NamedTuple):
    """A time as exactly as it is known: its first and last instant, UTC without a zone."""

    first: datetime
    last: datetime
    precision: str


@lru_cache(maxsize=1_000)  # the times of one record are often the same
def read_moment(text: str, zone: ZoneInfo) -> Moment | None:
    """Return the time a value stands for, None for null; without an offset it is UTC, a date alone a local day.

    Raises:
        ValueError: when it is no time, or none of this age.
    """
    text = text.strip()
    if text in NULLS:
        return None
    if len(text) <= 10:
        return local_day(text, zone)  # a date alone
    instant = _instant(text)
    if text[16:17] == ":":
        return Moment(instant, instant, "second")
    return Moment(instant, instant + timedelta(minutes=1) - _MICROSECOND, "minute")


def _instant(text: str) -> datetime:
    if text.endswith((" UTC", " utc")):
        text = text[:-4]
    instant = datetime.fromisoformat(text)
    if instant.year not in YEARS:
        raise ValueError("year out of range")
    return instant if instant.tzinfo is None else instant.astimezone(UTC).replace(tzinfo=None)


@lru_cache(maxsize=10_000)
def local_day(text: str, zone: ZoneInfo) -> Moment:
    """Return the whole local day that a value's date part names, whatever time of day is written behind it.

    A due date is a date; exports that write it as a midnight timestamp do not mean an instant, so it is never shifted.

    Raises:
        ValueError: when it does not begin with a date.
    """
    day = date.fromisoformat(text[:10])
    if day.year not in YEARS:
        raise ValueError("year out of range")
    first, after = (
        datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC).replace(tzinfo=None)
        for d in (day, day + timedelta(days=1))
    )
    return Moment(first, after - _MICROSECOND, "day")


class Row:
    """The record at hand by the names of its fields; a field that the file does not have is null."""

    __slots__ = ("_places", "cells")

    def __init__(self, places: Mapping[str, int], cells: Sequence[str] = ()) -> None:
        self._places = places
        self.cells = cells

    def text(self, field: str) -> str:
        """Return the value of a field; empty when null."""
        place = self._places.get(field)
        if place is None:
            return ""
        return read_text(self.cells[place])

    def id(self, field: str) -> str | None:
        """Return the id in a field, None when null."""
        place = self._places.get(field)
        if place is None:
            return None
        text = self.cells[place]
        return None if text in NULL_IDS else read_id(text)

    def flag(self, field: str) -> bool | None:
        """Return a boolean field, None when null."""
        place = self._places.get(field)
        return None if place is None else read_flag(self.cells[place])

    def moment(self, field: str, zone: ZoneInfo) -> Moment | None:
        """Return the time in a field, None when null.

        Raises:
            InvalidRecord: when it cannot be read; the message names the field and nothing of its content.
        """
        place = self._places.get(field)
        if place is None:
            return None
        try:
            return read_moment(self.cells[place], zone)
        except (ValueError, OverflowError):
            raise InvalidRecord(f"unreadable time in {field}; expected ISO 8601 such as 2026-03-01T12:00:00Z") from None

    def changed_at(self) -> datetime | None:
        """Return when the record was last changed, None when nothing readable says it."""
        for field in ("SystemModstamp", "LastModifiedDate", "CreatedDate"):
            try:
                changed = self.moment(field, _UTC_ZONE)
            except InvalidRecord:
                continue
            if changed:
                return changed.first
        return None

    def day(self, field: str, zone: ZoneInfo) -> Moment | None:
        """Return the whole local day of a field's date, None when null.

        Raises:
            InvalidRecord: when it cannot be read; the message names the field and nothing of its content.
        """
        text = self.text(field)
        try:
            return local_day(text[:10], zone) if text else None
        except (ValueError, OverflowError):
            raise InvalidRecord(f"unreadable date in {field}; expected ISO 8601 such as 2026-03-01") from None


def find_columns(header: Sequence[str]) -> dict[str, int]:
    """Return the place of each column by its `column_key`; of two columns that share one the first counts."""
    columns: dict[str, int] = {}
    for place, name in enumerate(header):
        columns.setdefault(column_key(name), place)
    return columns


def place_fields(
    header: Sequence[str], fields: Sequence[str], mapping: Mapping[str, str], object_name: str, known: frozenset[str]
) -> dict[str, int]:
    """Return the place of each field of an object in a file, after the user's mapping of fields to columns.

    A mapping key is a field ("CallObject"), or a field of one object ("Task.CallObject"). A column that a file of this
    object lacks is an error only where the object uses the field.

    Raises:
        ConfigurationError: when a key is no field, or names a column that the file does not have.
    """
    columns = find_columns(header)
    names = {column_key(field): field for field in fields}
    places = {field: columns[key] for key, field in names.items() if key in columns}
    for key, column in mapping.items():
        owner, _, name = key.rpartition(".")
        if column_key(name) not in known:
            raise ConfigurationError(f"the mapping names {key!r}, which is no field of Salesforce that is read here")
        if owner and column_key(owner) != column_key(object_name):
            continue
        field = names.get(column_key(name))
        if field is None:
            continue
        place = columns.get(column_key(column))
        if place is None:
            raise ConfigurationError(
                f"the mapping reads {key!r} from column {column!r}, which this {object_name} file does not have; "
                f"write {object_name}.{name} = ... for one object, or correct the name"
            )
        places[field] = place
    return places
