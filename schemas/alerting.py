"""What a company wants to be told, and whom: `[[alert]]` and `[[digest]]` of `bypassflow.toml`."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.settings_values import VARIABLE_PATTERN, Duration, SettingsTable

Kind = Literal["share", "silence", "dead_letters"]

# What an alert says unless told otherwise: the lower bound of the share, silent stretches, the part of raw events.
RAISE_AT: dict[Kind, float] = {"share": 0.8, "silence": 1.0, "dead_letters": 0.01}
# A year, with the day that some have more.
MOST_DAYS = 366
# An alert is over when its value is this part of what raised it, or less: one that stays near does not flap.
CLEAR_PART = 0.9


def _clock(value: object) -> object:
    if isinstance(value, time):
        return value
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value.strip()):
        return time.fromisoformat(value.strip())
    raise ValueError("a time of day such as 08:00")


Clock = Annotated[time, BeforeValidator(_clock)]
Variable = Annotated[str, Field(pattern=VARIABLE_PATTERN)]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class Notice(SettingsTable):
    """What alerts and digests have in common."""

    name: Name = Field(description="What it is called in messages; no two have the same.", examples=["Leaks"])
    to_env: tuple[Variable, ...] = Field(
        min_length=1,
        description="Names of environment variables that hold where it goes, as addresses of Apprise; never these "
        "themselves, for they hold passwords.",
        examples=[["TEAM_CHAT"]],
    )
    channel: tuple[str, ...] = Field(default=(), description="Only these channels.", examples=[["call"]])
    team: tuple[str, ...] = Field(default=(), description="Only these teams.", examples=[["Sales"]])
    language: Literal["en", "fi"] = Field(default="en", description="Language of its messages.", examples=["fi"])

    @property
    def wanted(self) -> dict[str, tuple[str, ...]]:
        """Return the filters that are set."""
        return {name: values for name, values in (("channel", self.channel), ("team", self.team)) if values}


class AlertSettings(Notice):
    """`[[alert]]`: something that has to be told once it is so, and once it is over."""

    kind: Kind = Field(
        description="share: the lower end of the bypass share's interval; silence: how many stretches there are in "
        "which a source wrote nothing though usually it does, one more when none has written for five days; "
        "dead_letters: the part of raw events that could not be used.",
        examples=["share"],
    )
    raise_at: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="It is raised at this value and above. Default: 0.8 of a share, 1 silence, 0.01 of raw events.",
        examples=[0.85],
    )
    clear_at: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="It is over below this value. Default: nine tenths of raise_at; of silences raise_at.",
        examples=[0.8],
    )
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] | None = Field(
        default=None,
        description="Of so many days: of a share the last settled ones. Default: 28 of a share, 2 of silences. Dead "
        "letters are counted of all that was read.",
        examples=[28],
    )
    remind_after: Duration | None = Field(
        default=None, description="It is told again after so long, while it lasts. Default: never.", examples=["7d"]
    )

    @model_validator(mode="after")
    def _check(self) -> AlertSettings:
        raised, cleared = self.bounds
        if cleared > raised:
            raise PydanticCustomError("inconsistent", "clear_at is above raise_at; it must be as low, or lower")
        if self.kind != "share" and self.wanted:
            raise PydanticCustomError("inconsistent", "channel and team choose of a share alone; leave them out")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Return at which value it is raised, and below which it is over."""
        raised = RAISE_AT[self.kind] if self.raise_at is None else self.raise_at
        usual = raised if self.kind == "silence" else CLEAR_PART * raised
        return raised, usual if self.clear_at is None else self.clear_at


class DigestSettings(Notice):
    """`[[digest]]`: the number, regularly."""

    every: Literal["day", "week"] = Field(
        default="week", description="How often; a week begins on Monday.", examples=["week"]
    )
    at: Clock = Field(default=time(8), description="When, in the company's time zone.", examples=["08:00"])
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] | None = Field(
        default=None,
        description="Of so many days, the last settled ones. Default: 1 of a daily one, 7 of a weekly one.",
        examples=[28],
    )

    @property
    def day_count(self) -> int:
        """Return of how many days it is."""
        return self.days or (1 if self.every == "day" else 7)


def named_twice(notices: tuple[Any, ...]) -> str | None:
    """Return a name that two have; None when all differ."""
    names = [each.name for each in notices]
    return next((name for name in names if names.count(name) > 1), None)
