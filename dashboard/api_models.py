"""What the API is asked and what it answers, as its description has it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from sinks.measures import DIMENSIONS, FILTERS

MOST_ROWS: Final = 1_000

# Read by `sinks.measures.instant`, which also takes an instant without an offset.
Moment = Annotated[
    str, WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]})
]
Dimension = Annotated[str, StringConstraints(pattern=f"^({'|'.join(DIMENSIONS)})$")]
# Control characters are in no name, and a zero ends a text in some places.
Name = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f]*$", max_length=500)]
Cursor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=500)]
Names = Annotated[list[Name], Field(default_factory=list, max_length=100)]
Share = Annotated[float | None, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Format = Literal["json", "csv", "arrow", "parquet"]


class Shaped(BaseModel):
    """What every question may say: `format` in place of an Accept header, for links."""

    model_config = ConfigDict(extra="forbid")

    format: Annotated[Format | None, Query(description="The media type, for links that cannot send Accept.")] = None


class Asked(Shaped):
    """Which interactions: half open in time by their start; of each name the values that fit, "none" for no value."""

    since: Annotated[
        Moment | None, Query(description="A day, or an instant; without an offset in the company's zone.")
    ] = None
    until: Annotated[Moment | None, Query(description="Before this day or instant.")] = None
    channel: Names
    line: Names
    team: Names
    function: Names
    direction: Names
    source: Names
    segment: Names
    reason: Names
    outcome: Names
    tier: Names
    company: Names
    token: Names
    contact: Names
    activity: Names
    ticket: Names
    representative: Names
    customer: Names

    def wanted(self) -> dict[str, Sequence[str]]:
        """Return the filters that were given."""
        return {name: values for name in FILTERS if (values := getattr(self, name))}


class ShareAsked(Asked):
    """The share of these interactions, by dimensions; hours to months are local time of `zone`."""

    by: Annotated[list[Dimension], Field(default_factory=list, max_length=4)]
    zone: Annotated[
        Name | None,
        Query(description="Time zone of hours to months, by default the company's, such as Europe/Helsinki."),
    ] = None


class ListAsked(Asked):
    """A page of these interactions."""

    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100
    cursor: Annotated[
        Cursor | None, Query(description="What `next` said of the page before; the list then goes on behind it.")
    ] = None


class ShareRow(BaseModel):
    """The share of one group; its dimensions stand beside these. Shares are 0-1 and null where nothing is decided."""

    model_config = ConfigDict(extra="allow")

    interaction_count: Count
    traced_count: Count
    siloed_count: Count
    bypassed_count: Count
    pending_count: Count
    numerator: Annotated[Count, Field(description="Siloed and bypassed.")]
    denominator: Annotated[Count, Field(description="Traced, siloed and bypassed.")]
    bypass_share: Share
    bypass_share_low: Annotated[Share, Field(description="Lower end of the 95 % Wilson interval.")]
    bypass_share_high: Annotated[Share, Field(description="Upper end of the 95 % Wilson interval.")]
    lowest_bypass_share: Annotated[Share, Field(description="If all pending became traced.")]
    highest_bypass_share: Annotated[Share, Field(description="If none of the pending did.")]


class Stood(BaseModel):
    """Every answer says up to when the CRM's records were read."""

    as_of: datetime | None


class ShareAnswer(Stood):
    """The share as a whole and by group; `warnings` say what makes it doubtful."""

    zone: str
    overall: ShareRow
    rows: list[ShareRow]
    warnings: list[str]


class ListAnswer(Stood):
    """A page of interactions, columns as in the view `interactions`, and where the next page begins; null: no more."""

    rows: list[dict[str, Any]]
    next: str | None


class ExplanationAnswer(Stood):
    """Everything that decided about one interaction."""

    summary: str
    interaction: dict[str, Any]
    evidence: list[dict[str, Any]]
    holders: list[dict[str, Any]]
    activities: list[dict[str, Any]]


class RowsAnswer(Stood):
    """Rows, one per thing that was asked about."""

    rows: list[dict[str, Any]]


class Health(BaseModel):
    """How the process is doing."""

    state: str
