"""What the tables of settings share: the frozen base, lengths of time, counts, zones, names."""

from __future__ import annotations

import difflib
import re
import zoneinfo
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(seconds?|sec|s|minutes?|min|m|hours?|h|days?|d|weeks?|w)", re.I)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST_SECONDS = 10 * 366 * 86400


def parse_duration(value: object) -> timedelta:
    """Return the length of time that a text such as "72h", "1h 30min" or a number of seconds means.

    >>> parse_duration("1h 30min")
    datetime.timedelta(seconds=5400)

    Raises:
        ValueError: when the value is neither, or is negative.
    """
    seconds: float
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = value
    elif isinstance(value, str) and re.fullmatch(rf"\s*(?:{_DURATION_PART.pattern}\s*)+", value, re.I):
        seconds = sum(float(number) * _UNIT_SECONDS[unit[0].lower()] for number, unit in _DURATION_PART.findall(value))
    else:
        raise ValueError('a length of time such as "30s", "15min", "72h" or "7d", or a number of seconds')
    if not 0 <= seconds <= _LONGEST_SECONDS:
        raise ValueError('a length of time from zero to ten years, such as "72h"')
    return timedelta(seconds=seconds)


Duration = Annotated[timedelta, BeforeValidator(parse_duration, json_schema_input_type=str | float)]
Count = Annotated[int, Strict(), Field(ge=0)]
GroupSize = Annotated[int, Strict(), Field(ge=5)]
Seconds = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]


SOURCE_NAME_PATTERN: Final = r"^[a-z][a-z0-9_-]*$"
# The name of a variable of the environment, in which a secret stands; never the secret itself.
VARIABLE_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"


def _time_zone(value: str) -> str:
    zones = zoneinfo.available_timezones()
    if value in zones:
        return value
    cities = {zone.rsplit("/", 1)[-1].lower(): zone for zone in sorted(zones, reverse=True)}
    wanted = value.rsplit("/", 1)[-1].strip().lower().replace(" ", "_")
    near = difflib.get_close_matches(wanted, cities, n=1, cutoff=0.7)
    hint = f"; did you mean {cities[near[0]]!r}?" if near else ""
    raise ValueError(f"an IANA time zone such as 'Europe/Helsinki'{hint}")


TimeZoneName = Annotated[str, BeforeValidator(lambda value: _time_zone(value) if isinstance(value, str) else value)]
# A column may be told by its number, which TOML writes without quotes.
ColumnName = Annotated[
    str, BeforeValidator(lambda value: str(value) if type(value) is int else value, json_schema_input_type=str | int)
]


class SettingsTable(BaseModel):
    """A table of settings: it cannot be changed, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)
