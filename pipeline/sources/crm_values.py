"""Values of a CRM's records, as interfaces and warehouses write them: texts, ids, yes and no, instants.

Interfaces of CRMs give instants in UTC, and warehouses store them so, with or without saying it: here a time without
an offset is UTC, unless a file is known to have been written in somebody's own zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.json_text import load_json
from pipeline.sources.local_time import to_utc
from pipeline.sources.registry import ReadContext
from pipeline.sources.source_options import text_option
from pipeline.sources.translation import Fields
from pipeline.sources.written_values import InstantReader, has_no_seconds

# What tools that write tables put where nothing is.
_NOTHING: Final = frozenset({"null", "none", "nan", "nat", "\\n", "#n/a", "<null>", "<na>"})
_YES: Final = frozenset({"true", "t", "yes", "y", "1"})
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# A column of whole numbers with gaps is written as fractions by tools that have no whole number for a gap.
_WHOLE: Final = re.compile(r"(\d{1,20})\.0")
_YEARS: Final = range(1970, 2200)
# As many as one record may be tied to; see `Beside`.
_MOST_IDS: Final = 1_000
_ADDRESS: Final = re.compile(r"[^\s;,<>\"]{1,128}@[^\s;,<>\"]{1,255}")


def text_of(value: object) -> str:
    """Return a value as text without white space around it; empty where there is none.

    >>> text_of(501.0), text_of("NULL"), text_of(True), text_of({"id": 1})
    ('501', '', 'true', '')
    """
    if isinstance(value, str):
        text = value.strip()
        return "" if text.casefold() in _NOTHING else text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else ("" if value != value else str(value))
    return str(value) if isinstance(value, int) else ""


def flag_of(value: object) -> bool:
    """Return whether a value says yes."""
    return text_of(value).casefold() in _YES


def id_of(value: object) -> str | None:
    """Return the id that a value holds, None where it holds none.

    >>> id_of("501.0"), id_of(" 0F9C-aa "), id_of(0), id_of("two words")
    ('501', '0F9C-aa', None, None)
    """
    text = _WHOLE.sub(r"\1", text_of(value))
    return text if _ID.fullmatch(text) and text != "0" else None


def texts_of(values: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Return the texts that stand in these fields, in their order; each as long as a word may be."""
    return [text[:1_000] for name in names if (text := text_of(values.get(name)))]


def addresses_in(value: object) -> list[str]:
    """Return the email addresses in a text, in lower case; at most a hundred.

    >>> addresses_in("Maija V <Maija@customer.example>; matti@acme.example")
    ['maija@customer.example', 'matti@acme.example']
    """
    return _ADDRESS.findall(text_of(value)[:20_000].lower())[:100]


def ids_in(value: object) -> list[str]:
    """Return the ids that a value holds: one, an object that has one, or a list of them, also as JSON in a table.

    >>> ids_in([7, {"id": "8"}]), ids_in('["9","10"]'), ids_in({"value": 5, "name": "x"}), ids_in(None)
    (['7', '8'], ['9', '10'], ['5'], [])
    """
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        with suppress(orjson.JSONDecodeError):
            value = load_json(value)
    if isinstance(value, dict):
        value = value.get("id", value.get("value"))
    each = value[:_MOST_IDS] if isinstance(value, list) else [value]
    found = (id_of(other.get("id", other.get("value")) if isinstance(other, dict) else other) for other in each)
    return [other for other in found if other is not None]


def named_fields(option: str, context: ReadContext) -> tuple[str, ...]:
    """Return the fields that an option names: one, or a list of them.

    Raises:
        ConfigurationError: when it is neither.
    """
    value = context.options.get(option) or ()
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{option} is {value!r}; expected the name of a field or a list of them")
    return tuple(names)


class Clock:
    """Reads the instants of one file's records.

    `zone` is that of times without an offset. In a file that a person exported in a zone and a format of their own,
    the option `date_format` may name the format.
    """

    def __init__(self, context: ReadContext, zone: ZoneInfo | None = None) -> None:
        self._zone = zone
        self._reader = InstantReader(text_option(context, "date_format") if zone is not None else None)
        read_at = context.read_at if context.read_at.tzinfo is not None else context.read_at.replace(tzinfo=UTC)
        # The same day of grace as a record's own time has.
        self._latest = read_at + timedelta(days=1)

    def instant(self, values: Mapping[str, Any], *names: str) -> datetime | date | None:
        """Return the first instant that stands in these fields, or a date where it is no more; None without one.

        Raises:
            InvalidRecord: when it cannot be read; naming the field.
        """
        for name in names:
            text = _written(values.get(name))
            if text:
                return self._read(name, text)
        return None

    def logged(self, values: Mapping[str, Any], *names: str) -> Fields | None:
        """Return the fields that say when a record was logged, as exactly as the first of these fields says it.

        Raises:
            InvalidRecord: as `instant`.
        """
        for name in names:
            text = _written(values.get(name))
            if not text:
                continue
            found = self._read(name, text)
            if not isinstance(found, datetime):
                return {"logged_on": found}
            return {"logged_at": found, "precision": "minute" if has_no_seconds(text) else "second"}
        return None

    def day(self, values: Mapping[str, Any], *names: str) -> Fields | None:
        """Return the fields that say that a record was logged some time on the local day of an instant.

        Raises:
            InvalidRecord: as `instant`.
        """
        found = self.instant(values, *names)
        if found is None:
            return None
        return {"logged_at": found, "precision": "day"} if isinstance(found, datetime) else {"logged_on": found}

    def changed(self, values: Mapping[str, Any], *names: str) -> datetime | None:
        """Return when a record was last changed; None where nothing readable says it, or where it has not come yet.

        A wrong time here would only put versions in a wrong order; one in the future would end what is pending.
        """
        for name in names:
            try:
                found = self.instant(values, name)
            except InvalidRecord:
                continue
            if isinstance(found, datetime) and found <= self._latest:
                return found
        return None

    def is_past(self, fields: Fields) -> bool:
        """Return whether a time at which something was logged, or said to be sent, has come."""
        moment = fields.get("logged_at")
        return not isinstance(moment, datetime) or moment <= self._latest

    def _read(self, name: str, text: str) -> datetime | date:
        try:
            found = self._reader.read(text)
        except InvalidRecord as error:
            raise InvalidRecord(f"{name}: {error}") from None
        if found.year not in _YEARS:
            raise InvalidRecord(f"{name}: expected a year between {_YEARS[0]} and {_YEARS[-1]}")
        if isinstance(found, datetime) and found.tzinfo is None:
            return (found if self._zone is None else to_utc(found, self._zone)).replace(tzinfo=UTC)
        return found


def _written(value: object) -> str:
    """Return an instant as text: a database gives it as a value of its own."""
    return value.isoformat() if isinstance(value, date) else text_of(value)
