"""What is said of raw events and conversations: dispositions, interactions with their evidence, rows of reports."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.directory import Function
from schemas.raw import Channel, Direction, Line
from schemas.settings import Tier

Outcome = Literal["traced", "siloed", "bypassed", "pending"]
BypassReason = Literal["not_logged", "unknown_customer", "withheld"]
ExclusionReason = Literal[
    "internal", "automated", "bulk", "emergency", "never_log", "unanswered", "no_human", "too_short"
]
Disposition = Literal["interaction", "duplicate", "excluded", "rejected"]
ActivityStatus = Literal["trace", "redundant", "unexplained", "siloed"]
Dimension = Literal[
    "channel",
    "line",
    "team",
    "function",
    "direction",
    "source",
    "segment",
    "reason",
    "hour",
    "weekday",
    "day",
    "week",
    "month",
    "representative",
]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evidence(_Row):
    """One raw event behind an interaction, and where it stands."""

    raw_id: str = Field(description="Identity of the raw event: source:file:position.", examples=["pbx:Master.csv:17"])
    source: str = Field(description="Source that wrote it.", examples=["pbx"])
    file: str | None = Field(default=None, description="File, relative to the source.", examples=["Master.csv"])
    position: int | None = Field(
        default=None, description="Line from 1, or byte offset in a mailbox, or record number from 1.", examples=[17]
    )
    key: str | None = Field(
        default=None, description="The system's own key: Message-ID or call id.", examples=["1714630504.17"]
    )


class Interaction(_Row):
    """One conversation with one external party over one channel, and what became of it. Key: `interaction_id`."""

    interaction_id: str = Field(
        description="Identity; the same raw events always give the same.", examples=["9f86d081884c7d65"]
    )
    evidence_id: str = Field(
        description="Identity of the set of evidence; shared by the interactions of one email to several customers.",
        examples=["9f86d081884c7d65"],
    )
    company_id: str = Field(description="Company that is measured.", examples=["acme"])
    channel: Channel = Field(description="What the customer used.", examples=["call"])
    line: Line | None = Field(
        default=None, description="Of a call: the most specific line that saw it.", examples=["pbx"]
    )
    direction: Direction | None = Field(default=None, description="From the company's view.", examples=["inbound"])
    started_at: datetime = Field(description="Start, UTC.", examples=["2024-05-02T06:15:04Z"])
    ended_at: datetime = Field(description="End, UTC.", examples=["2024-05-02T06:20:16Z"])
    talk_seconds: float = Field(default=0.0, ge=0, description="Talk. Unit: seconds.", examples=[300.0])
    representative_id: str | None = Field(
        default=None,
        description="Who talked longest; of an email, its sender or first recipient of ours.",
        examples=["r017"],
    )
    participants: tuple[str, ...] = Field(
        default=(), description="All representatives who took part, most talk first.", examples=[["r017", "r004"]]
    )
    team: str | None = Field(default=None, description="Team it belongs to.", examples=["sales"])
    function: Function | None = Field(default=None, description="Function of the team.", examples=["other"])
    sources: tuple[str, ...] = Field(default=(), description="Sources that saw it.", examples=[["pbx", "mobile"]])
    token: str | None = Field(
        default=None,
        description="Token of the external party's identifier; null when withheld.",
        examples=["k3JdPz0aQx7b"],
    )
    customer_ids: tuple[str, ...] = Field(
        default=(), description="Customers whom the identifier resolves to.", examples=[["001B7"]]
    )
    contact_id: str | None = Field(default=None, description="Contact, when exactly one holds it.", examples=["003A1"])
    segment: str | None = Field(default=None, description="Segment of the customer.", examples=["key account"])
    outcome: Outcome = Field(description="traced, siloed, bypassed or pending.", examples=["bypassed"])
    reason: BypassReason | None = Field(
        default=None, description="Why it is bypassed; null for other outcomes.", examples=["not_logged"]
    )
    tier: Tier | None = Field(
        default=None, description="Tier of the trace; null without one.", examples=["same_representative"]
    )
    activity_id: str | None = Field(default=None, description="Activity that is its trace.", examples=["00T9K"])
    ticket_id: str | None = Field(
        default=None, description="Ticket that shows it, tied to no customer, when siloed.", examples=["500C2"]
    )
    trace_delay_seconds: float | None = Field(
        default=None,
        description="From its end to its trace; negative when logged before. Unit: seconds.",
        examples=[210.0],
    )
    window_ends_at: datetime | None = Field(
        default=None, description="Until when a trace may come, UTC.", examples=["2024-05-05T06:20:16Z"]
    )
    keys: tuple[str, ...] = Field(
        default=(), description="Its own keys: Message-IDs, call ids.", examples=[["1714630504.17"]]
    )


class InteractionRow(_Row):
    """One object of `bypassflow interactions --format json`. Key: `interaction_id`."""

    interaction_id: str = Field(description="Identity of the interaction.", examples=["9f86d081884c7d65"])
    channel: Channel = Field(description="What the customer used.", examples=["call"])
    line: Line | None = Field(
        default=None, description="Of a call: the most specific line that saw it.", examples=["pbx"]
    )
    direction: Direction | None = Field(default=None, description="From the company's view.", examples=["inbound"])
    started_at: datetime = Field(description="Start, UTC.", examples=["2024-05-02T06:15:04Z"])
    ended_at: datetime = Field(description="End, UTC.", examples=["2024-05-02T06:20:16Z"])
    talk_seconds: float = Field(default=0.0, ge=0, description="Talk. Unit: seconds.", examples=[300.0])
    team: str | None = Field(default=None, description="Team it belongs to.", examples=["sales"])
    representative_id: str | None = Field(default=None, description="Who talked longest.", examples=["r017"])
    participants: tuple[str, ...] = Field(
        default=(), description="All representatives who took part.", examples=[["r017", "r004"]]
    )
    identifier: str | None = Field(
        default=None,
        description="The external party as it may be shown, masked unless configured otherwise; null: withheld.",
        examples=["+358…67"],
    )
    outcome: Outcome = Field(description="traced, siloed, bypassed or pending.", examples=["bypassed"])
    reason: BypassReason | None = Field(default=None, description="Why it is bypassed.", examples=["not_logged"])
    tier: Tier | None = Field(default=None, description="Tier of the trace.", examples=["exact"])
    activity_id: str | None = Field(default=None, description="Activity that is its trace.", examples=["00T9K"])
    evidence_id: str = Field(
        description="Identity of the raw events behind it; the parties of one email share it.",
        examples=["9f86d081884c7d65"],
    )
    company_id: str = Field(description="Company that is measured.", examples=["acme-oy"])
    function: str | None = Field(default=None, description="Function of the team.", examples=["other"])
    sources: tuple[str, ...] = Field(default=(), description="Sources that saw it.", examples=[["pbx"]])
    token: str | None = Field(
        default=None, description="Token of the external party; null: withheld.", examples=["k3JdPz0aQx7b"]
    )
    customer_ids: tuple[str, ...] = Field(
        default=(), description="Customers that the identifier resolves to.", examples=[["0015i00000abcde"]]
    )
    contact_id: str | None = Field(
        default=None, description="The only contact that holds the identifier.", examples=["0035i00000abcde"]
    )
    segment: str | None = Field(default=None, description="Segment of the customer.", examples=["key account"])
    ticket_id: str | None = Field(
        default=None, description="Of a siloed one: the ticket that tells of it.", examples=["5005i00000abcde"]
    )
    trace_delay_seconds: float | None = Field(
        default=None,
        description="When the trace was logged, from the end of the interaction. Unit: seconds.",
        examples=[720.0],
    )
    window_ends_at: datetime = Field(
        description="Until when a trace may be logged, UTC.", examples=["2024-05-05T06:20:16Z"]
    )
    evidence: tuple[Evidence, ...] = Field(
        description="The raw events behind it.",
        examples=[[{"raw_id": "pbx:Master.csv:17", "source": "pbx", "file": "Master.csv", "position": 17}]],
    )


class ReportRow(_Row):
    """One object of `bypassflow report --format json`: the dimensions asked for, and the number."""

    channel: str | None = Field(default=None, description="Dimension: channel.", examples=["call"])
    line: str | None = Field(default=None, description="Dimension: line.", examples=["pbx"])
    team: str | None = Field(default=None, description="Dimension: team.", examples=["sales"])
    function: str | None = Field(default=None, description="Dimension: function of the team.", examples=["other"])
    direction: str | None = Field(default=None, description="Dimension: direction.", examples=["inbound"])
    source: str | None = Field(default=None, description="Dimension: source.", examples=["pbx"])
    segment: str | None = Field(default=None, description="Dimension: customer segment.", examples=["key account"])
    reason: str | None = Field(default=None, description="Dimension: reason of bypass.", examples=["not_logged"])
    hour: int | None = Field(default=None, description="Dimension: local hour of the start, 0-23.", examples=[9])
    weekday: int | str | None = Field(default=None, description="Dimension: local weekday of the start.", examples=[4])
    day: str | None = Field(default=None, description="Dimension: local day.", examples=["2024-05-02"])
    week: str | None = Field(default=None, description="Dimension: local ISO week.", examples=["2024-W18"])
    month: str | None = Field(default=None, description="Dimension: local month.", examples=["2024-05"])
    representative: str | None = Field(
        default=None, description="Dimension: a group of representatives, see [privacy].", examples=["2 of 4"]
    )
    interaction_count: int = Field(ge=0, description="Interactions.", examples=[1200])
    traced_count: int = Field(ge=0, description="Of them traced.", examples=[400])
    siloed_count: int = Field(ge=0, description="Of them siloed.", examples=[50])
    bypassed_count: int = Field(ge=0, description="Of them bypassed.", examples=[700])
    pending_count: int = Field(ge=0, description="Of them pending.", examples=[50])
    bypass_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="(bypassed + siloed) / (traced + bypassed + siloed), 0-1; null when nothing is decided.",
        examples=[0.652],
    )
    bypass_share_low: float | None = Field(
        default=None, ge=0, le=1, description="Lower end of the 95 % Wilson interval, 0-1.", examples=[0.624]
    )
    bypass_share_high: float | None = Field(
        default=None, ge=0, le=1, description="Upper end of the 95 % Wilson interval, 0-1.", examples=[0.679]
    )
    lowest_bypass_share: float | None = Field(
        default=None, ge=0, le=1, description="The share if all pending ended traced, 0-1.", examples=[0.625]
    )
    highest_bypass_share: float | None = Field(
        default=None, ge=0, le=1, description="The share if all pending ended bypassed, 0-1.", examples=[0.667]
    )


class AuditRow(_Row):
    """One object of `bypassflow audit --format json`: the account of one source. Key: `source`."""

    source: str = Field(description="Name of the source.", examples=["pbx"])
    raw_count: int = Field(ge=0, description="Raw events read.", examples=[5000])
    interaction_count: int = Field(ge=0, description="Members of an interaction.", examples=[3100])
    duplicate_count: int = Field(ge=0, description="Duplicates of another raw event.", examples=[40])
    excluded: dict[ExclusionReason, int] = Field(
        description="Excluded, by reason; reasons without any may be left out.",
        examples=[{"internal": 900, "unanswered": 950}],
    )
    rejected_count: int = Field(ge=0, description="Dead letters.", examples=[10])
    late_count: int = Field(
        default=0,
        ge=0,
        description="Came live after their time was closed; the next replay folds them.",
        examples=[0],
    )
    unaccounted_count: int = Field(
        description="Raw events without a disposition; anything but 0 is a defect.", examples=[0]
    )
