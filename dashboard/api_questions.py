"""What can be asked of the API: parameters of each path, with what they may say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from sinks.measures import FILTERS, PERSONAL, Filters

MOST_ROWS: Final = 10_000
CURSOR: Final = r"^[0-9a-f]{16}(?:[0-9a-f]{2}){0,300}$"
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_WHOLE: Final = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _instant(value: object) -> object:
    """Return an instant, UTC without a zone; the ends of the calendar stand for what lies beyond."""
    if not isinstance(value, str):
        return value
    # A plus sign that was not escaped arrives as a blank.
    text = re.sub(r" (\d\d:\d\d)$", r"+\1", value) if value.count(" ") and "+" not in value[10:] else value
    if not _INSTANT.fullmatch(text):
        raise ValueError("expected an instant with its zone, such as 2024-05-31T18:00:00Z or 2024-06-01T00:00:00+03:00")
    # A leap second is the last instant of its minute.
    moment = datetime.fromisoformat(re.sub(r":60(?=[.Zz+-])", ":59", text.upper(), count=1))
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return datetime.min if moment.year == 1 else datetime.max


def whole(value: object) -> object:
    """Return a value unless it is text that writes a whole number in another way than digits.

    Raises:
        ValueError: when it is.
    """
    if isinstance(value, str) and not _WHOLE.fullmatch(value):
        raise ValueError("expected a whole number")
    return value


def _day(value: object) -> object:
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("expected a day such as 2024-05-31")
    return value


def _truth(value: object) -> object:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("expected true or false")
    return value


def _split(value: object) -> object:
    """Return the parts of values that are apart by commas."""
    return [part for each in value for part in str(each).split(",")] if isinstance(value, list) else value


Instant = Annotated[
    datetime | None, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Text = Annotated[str, Field(max_length=200)]
Texts = Annotated[list[Text], Field(max_length=50)]
Dimension = Literal[
    "channel", "line", "team", "function", "direction", "source", "segment", "reason", "hour", "weekday", "day",
    "week", "month", "representative",
]  # fmt: skip
Channel = Literal["call", "email", "sms", "chat", "social", "fax"]
Truth = Annotated[bool, BeforeValidator(_truth)]
Interval = Literal["day", "week", "month"]
Fate = Literal["called_back", "called_again", "lost", "open", "withheld"]
Status = Literal["trace", "redundant", "unexplained", "siloed"]


class Question(BaseModel):
    """A question; what it does not know is refused."""

    model_config = ConfigDict(extra="forbid")


class Period(Question):
    """A period, half open: from `since` on, before `until`."""

    since: Instant = Field(default=None, description="from this instant on, RFC 3339 with its zone")
    until: Instant = Field(default=None, description="before this instant, RFC 3339 with its zone")

    @property
    def is_empty(self) -> bool:
        """Return whether nothing can lie in it."""
        return self.since is not None and self.until is not None and self.since >= self.until

    def filters(self, limit: int | None = None) -> Filters:
        """Return which interactions are meant; of an empty period none."""
        if self.is_empty:
            return Filters({"channel": []}, None, None, limit)
        return Filters({}, self.since, self.until, limit)


class Chosen(Period):
    """Which interactions: each filter with the values that fit; `none` stands for no value.

    Nobody is named here: whoever is asked about stands in the path.
    """

    channel: list[Literal["call", "email", "sms", "chat", "social", "fax", "none"]] = Field(
        default=[], description="only these channels"
    )
    line: list[Literal["contact_center", "pbx", "mobile", "none"]] = Field(
        default=[], description="only these lines of calls"
    )
    team: Texts = Field(default=[], description="only these teams")
    function: Texts = Field(default=[], description="only these functions of teams: contact_center, other")
    direction: list[Literal["inbound", "outbound", "none"]] = Field(default=[], description="only these directions")
    source: Texts = Field(default=[], description="only what these sources saw; several sources joined by +")
    segment: Texts = Field(default=[], description="only these segments of customers")
    reason: list[Literal["not_logged", "unknown_customer", "withheld", "none"]] = Field(
        default=[], description="only these reasons of a bypass"
    )
    outcome: list[Literal["traced", "siloed", "bypassed", "pending"]] = Field(
        default=[], description="only these outcomes"
    )
    tier: list[Literal["exact", "same_representative", "other_representative", "inferred", "none"]] = Field(
        default=[], description="only these tiers of the trace"
    )
    company: Texts = Field(default=[], description="only these companies")
    activity: Texts = Field(default=[], description="only those with these traces")
    ticket: Texts = Field(default=[], description="only those with these tickets")

    def filters(self, limit: int | None = None) -> Filters:
        """Return which interactions are meant; of an empty period none."""
        values: dict[str, list[Any]] = {
            name: getattr(self, name) for name in FILTERS if name not in PERSONAL and getattr(self, name)
        }
        if self.is_empty:
            return Filters({**values, "channel": []}, None, None, limit)
        return Filters(values, self.since, self.until, limit)


class ShareQuestion(Chosen):
    """By which dimensions, of which interactions."""

    by: Annotated[list[Dimension], BeforeValidator(_split)] = Field(
        default=[], description="dimensions; may be repeated, or apart by commas"
    )


class Paged(Question):
    """One page of many rows."""

    limit: Annotated[int, BeforeValidator(whole)] = Field(default=100, ge=1, le=MOST_ROWS, description="rows at most")
    cursor: Annotated[str | None, WithJsonSchema({"type": "string", "pattern": CURSOR})] = Field(
        default=None, pattern=CURSOR, description="`next` of the page before"
    )


class InteractionsQuestion(Chosen, Paged):
    """Which interactions, and which page of them."""


class ActivitiesQuestion(Period, Paged):
    """Which activities, by when they were logged, and which page of them."""

    status: list[Status] = Field(default=[], description="only these statuses")


class TimelineQuestion(Period):
    """Which part of a history."""

    limit: Annotated[int, BeforeValidator(whole)] = Field(
        default=1_000, ge=1, le=MOST_ROWS, description="rows at most: the latest"
    )


class DayQuestion(Question):
    """How many customers of a day."""

    limit: Annotated[int, BeforeValidator(whole)] = Field(
        default=1_000, ge=1, le=MOST_ROWS, description="customers at most: those with most interactions"
    )


class IdentifiersQuestion(Chosen):
    """Which identifiers."""

    limit: Annotated[int, BeforeValidator(whole)] = Field(default=100, ge=1, le=MOST_ROWS, description="rows at most")
    minimum_interactions: Annotated[int, BeforeValidator(whole)] = Field(
        default=5, ge=1, le=1_000_000, description="of those without a hint whose they are, so many interactions"
    )


class EffectQuestion(Question):
    """How long before and after, and beside whom."""

    days: Annotated[int, BeforeValidator(whole)] = Field(
        default=28, ge=7, le=3_660, description="days before and after, at most; whole weeks are best"
    )
    compare_with: Texts = Field(default=[], description="comparison teams; without any all that it left alone")


class SharedIdentifiersQuestion(Question):
    """How many shared identifiers."""

    limit: Annotated[int, BeforeValidator(whole)] = Field(default=100, ge=1, le=MOST_ROWS, description="rows at most")


class SettlingQuestion(Question):
    """How many of the last days, of which interactions."""

    days: Annotated[int, BeforeValidator(whole)] = Field(default=14, ge=1, le=366, description="so many last days")
    channel: list[Channel] = Field(default=[], description="only these channels")
    team: Texts = Field(default=[], description="only these teams")


class EmailServiceQuestion(Chosen):
    """Which mail, by which interval, and what counts as an answer."""

    interval: Interval | None = Field(default=None, description="one row for each; without it one for all")
    within_days: Annotated[int, BeforeValidator(whole)] = Field(
        default=7, ge=0, le=366, description="an answer comes within so many days"
    )
    acknowledged_within_minutes: Annotated[int, BeforeValidator(whole)] = Field(
        default=60, ge=0, le=100_000, description="a notice of a machine comes within so many minutes"
    )
    openings_only: Truth = Field(default=False, description="leave out mail that goes on with what was written before")


class CallServiceQuestion(Period):
    """Which calls, by which interval, and until when calling back counts."""

    interval: Interval | None = Field(default=None, description="one row for each; without it one for all")
    within_days: Annotated[int, BeforeValidator(whole)] = Field(
        default=3, ge=0, le=366, description="somebody calls back within so many days"
    )


class MissedCallsQuestion(Period):
    """Which missed calls."""

    fate: Fate | None = Field(default=None, description="only those of which this came")
    within_days: Annotated[int, BeforeValidator(whole)] = Field(
        default=3, ge=0, le=366, description="somebody calls back within so many days"
    )
    limit: Annotated[int, BeforeValidator(whole)] = Field(
        default=100, ge=1, le=MOST_ROWS, description="rows at most: the latest"
    )


class CustomersQuestion(Chosen):
    """Which customers, and in which order."""

    order: Literal["most_contacts", "least_traced"] = Field(
        default="most_contacts", description="least_traced: by the lower end of the share's interval"
    )
    includes_unknown: Truth = Field(default=True, description="false: only customers that the CRM knows")
    limit: Annotated[int, BeforeValidator(whole)] = Field(default=100, ge=1, le=MOST_ROWS, description="rows at most")


class Nothing(Question):
    """Nothing more is asked."""


def zoned(period: Period) -> Mapping[str, datetime | None]:
    """Return the ends of a period, in UTC."""
    return {
        name: None if moment is None else moment.replace(tzinfo=UTC)
        for name, moment in (("since", period.since), ("until", period.until))
    }
