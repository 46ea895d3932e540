"""Sentences of the core: text in English, which keeps what it is made of, so that pages can tell it in other languages.

A sentence is text like any other to whoever prints it, sends it or compares it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias


@dataclass(frozen=True)
class Instant:
    """An instant in UTC, without a zone."""

    at: datetime

    def __str__(self) -> str:
        """Return it with its zone, to the minute where it is a full one."""
        return f"{self.at:%Y-%m-%d %H:%M:%S} UTC".replace(":00 UTC", " UTC")


@dataclass(frozen=True)
class LocalTime:
    """An hour and a minute of a day in the company's time zone, without a zone."""

    at: datetime

    def __str__(self) -> str:
        """Return it to the minute."""
        return f"{self.at:%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class Name:
    """What the store calls something, such as a tier or a channel."""

    name: str

    def __str__(self) -> str:
        """Return it as the store has it."""
        return self.name


@dataclass(frozen=True)
class Points:
    """A difference of proportions."""

    change: float

    def __str__(self) -> str:
        """Return it in percentage points with its sign."""
        return f"{100 * self.change:+.1f}"


# What stands in a sentence; a text is something that people named, or a sentence itself.
Value: TypeAlias = "str | int | timedelta | Instant | LocalTime | Name | Points"


class Sentence(str):
    """A sentence, or a part of one, in English. `template` has a place %(name)s for each of the values."""

    template: str
    values: Mapping[str, Value]


def sentence(template: str, **values: Value) -> Sentence:
    """Return a sentence; `make messages` takes its template into the catalogues."""
    sentence = Sentence(template % {name: _english(value) for name, value in values.items()} if values else template)
    sentence.template = template
    sentence.values = values
    return sentence


def words(length: timedelta) -> str:
    """Return a length of time in words, to two units.

    >>> words(timedelta(hours=72, minutes=5))
    '3 d'
    >>> words(timedelta(minutes=15))
    '15 min'
    """
    seconds = abs(int(length.total_seconds()))
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        parts.append((count, unit))
    first = next((n for n, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count) or "0 s"


def _english(value: Value) -> str:
    if isinstance(value, timedelta):
        return words(value)
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
