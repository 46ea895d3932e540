"""What the API answers: the form of each answer and of its rows. Proportions are 0-1, instants UTC."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field

NUMERATOR = "interactions without a trace on a customer: siloed and bypassed; the numerator of the share"
DENOMINATOR = "interactions that are decided: traced, siloed and bypassed; the denominator of the share"


class AsOf(BaseModel):
    """What the store knew when it answered."""

    complete_through: datetime | None = Field(
        description="every CRM source has been read to here; null: none was read, or it does not say"
    )
    run_number: int | None = Field(description="newest run that made or changed the store")
    run_finished_at: datetime | None = Field(description="end of that run")
    position: str = Field(description="changes with everything that is committed; the ETag is made of it")


class Answer(BaseModel):
    """What every answer carries."""

    as_of: AsOf
    timezone: str = Field(description="the company's, in which days and hours are counted")
    warnings: list[str] = Field(description="what makes the answer doubtful, such as sources that were silent")


class Counts(BaseModel):
    """How many interactions there are, and how many of each outcome."""

    interaction_count: int
    traced_count: int
    siloed_count: int
    bypassed_count: int
    pending_count: int = Field(description="not decided yet, in neither part of the share")
    untraced_count: int = Field(description=NUMERATOR)
    decided_count: int = Field(description=DENOMINATOR)


class Shares(Counts):
    """The counts with the share that they make."""

    bypass_share: float | None = Field(description="untraced of decided; null when nothing is decided")
    bypass_share_low: float | None = Field(description="lower end of the 95 % Wilson interval")
    bypass_share_high: float | None = Field(description="upper end of the 95 % Wilson interval")
    lowest_bypass_share: float | None = Field(description="if all pending became traced")
    highest_bypass_share: float | None = Field(description="if no pending became traced")


class ShareRow(Shares):
    """The share of a group: the dimensions that were asked for, and its figures."""

    channel: str | None = None
    line: str | None = None
    team: str | None = None
    function: str | None = None
    direction: str | None = None
    source: str | None = None
    segment: str | None = None
    reason: str | None = None
    hour: int | None = Field(default=None, description="0-23, local")
    weekday: int | None = Field(default=None, description="1 is Monday")
    day: str | None = None
    week: str | None = Field(default=None, description="ISO week")
    month: str | None = None
    representative: str | None = Field(
        default=None, description="a group of representatives, such as 2 of 4: the second quarter by bypass share"
    )


class ShareAnswer(Answer):
    """The share of each group, and of all together."""

    since: datetime | None
    until: datetime | None
    overall: Shares
    rows: list[ShareRow]


class InteractionRow(BaseModel):
    """One interaction; see the view `interactions`."""

    interaction_id: str
    channel: str
    line: str | None
    direction: str | None
    started_at: datetime
    ended_at: datetime
    talk_seconds: float | None
    team: str | None
    function: str | None
    representative_id: str | None
    participants: list[str]
    sources: list[str]
    token: str | None
    identifier: str | None = Field(description="as it may be shown")
    customer_ids: list[str]
    contact_id: str | None
    segment: str | None
    outcome: str
    reason: str | None
    tier: str | None
    activity_id: str | None
    ticket_id: str | None
    trace_delay_seconds: float | None
    window_ends_at: datetime | None


class InteractionsAnswer(Answer):
    """A page of interactions in order of time; `overall` is of all that fit."""

    since: datetime | None
    until: datetime | None
    overall: Shares
    next: str | None = Field(description="cursor of the next page; null: this is the last one")
    rows: list[InteractionRow]


class EvidenceRow(BaseModel):
    """One raw event behind an interaction."""

    raw_id: str
    source: str
    channel: str
    line: str | None
    direction: str | None
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    talk_seconds: float | None
    attempt: str | None
    from_endpoint: str | None
    from_identifier: str | None
    to_endpoint: str | None
    to_identifier: str | None
    via_endpoint: str | None


class HolderRow(BaseModel):
    """A contact or account of the CRM that holds the interaction's identifier."""

    kind: str
    id: str
    account_id: str | None
    source: str | None


class VerdictRow(BaseModel):
    """What came of one activity that was weighed."""

    activity_id: str
    kind: str
    logged_from: datetime
    precision: str
    status: str
    tier: str | None = Field(description="null: it is no candidate")
    offset_seconds: float = Field(description="logged minus the end of the interaction")
    is_trace: bool
    reason: str


class LabelRow(BaseModel):
    """What somebody judged of the interaction."""

    verdict: str
    note: str
    author: str
    labelled_at: datetime


class ExplanationAnswer(Answer):
    """Why an interaction has its outcome."""

    interaction: InteractionRow
    summary: str
    evidence: list[EvidenceRow]
    holders: list[HolderRow]
    verdicts: list[VerdictRow]
    labels: list[LabelRow] = Field(description="the newest first, which counts")


class TimelineRow(BaseModel):
    """One interaction of a customer."""

    interaction_id: str
    started_at: datetime
    ended_at: datetime
    channel: str
    line: str | None
    direction: str | None
    talk_seconds: float | None
    representative_id: str | None
    team: str | None
    function: str | None
    sources: list[str]
    token: str | None
    identifier: str | None
    customer_ids: list[str] | None
    contact_id: str | None
    segment: str | None
    outcome: str
    reason: str | None
    tier: str | None
    activity_id: str | None
    ticket_id: str | None
    trace_delay_seconds: float | None
    is_by_identifier: bool = Field(description="true: only its identifier tells that it was this customer")


class TimelineAnswer(Answer):
    """A customer's history over all channels, in order of time."""

    customer_id: str
    since: datetime | None
    until: datetime | None
    overall: Shares = Field(description="of the rows")
    rows: list[TimelineRow]


class IdentifierTimelineAnswer(Answer):
    """What was done with one number or address, in order of time."""

    token: str
    since: datetime | None
    until: datetime | None
    overall: Shares = Field(description="of the rows")
    rows: list[TimelineRow]


class DayInteraction(BaseModel):
    """One interaction of a customer's day."""

    interaction_id: str
    started_at: datetime
    channel: str
    direction: str | None
    talk_seconds: float | None
    team: str | None
    outcome: str
    reason: str | None


class DayRow(BaseModel):
    """A customer's day; neither customer nor token: those that withheld their number, together."""

    customer_id: str | None
    token: str | None
    identifier: str | None
    interaction_count: int
    traced_count: int
    siloed_count: int
    bypassed_count: int
    pending_count: int
    channels: list[str]
    teams: list[str]
    first_at: datetime
    last_at: datetime
    talk_seconds: float | None
    interactions: list[DayInteraction]


class DayAnswer(Answer):
    """What was done on a day with each customer."""

    day: date
    overall: Shares = Field(description="of all interactions of the day")
    rows: list[DayRow]


class ActivityRow(BaseModel):
    """One activity or ticket of the CRM; see the view `crm_activities`."""

    activity_id: str
    kind: str
    source: str | None
    status: str
    tier: str | None
    interaction_id: str | None
    logged_from: datetime
    logged_to: datetime
    precision: str | None
    owner_id: str | None
    creator_id: str | None
    representative_ids: list[str] | None
    customer_ids: list[str] | None
    contact_ids: list[str] | None
    account_ids: list[str] | None
    direction: str | None


class StatusCount(BaseModel):
    """How many activities of a kind have a status."""

    status: str
    kind: str | None
    activity_count: int
    status_share: float = Field(description="of all activities of the kind in the period")


class ActivitiesAnswer(Answer):
    """A page of activities by when they were logged; `counts` are of the whole period."""

    since: datetime | None
    until: datetime | None
    counts: list[StatusCount]
    next: str | None = Field(description="cursor of the next page; null: this is the last one")
    rows: list[ActivityRow]


class IdentifierRow(BaseModel):
    """An identifier that the CRM does not know and should."""

    token: str
    kind: str | None
    identifier: str | None
    interaction_count: int
    inferred_count: int
    untraced_count: int
    channels: list[str]
    teams: list[str]
    first_at: datetime
    last_at: datetime
    agreeing_count: int
    suggested_customer_ids: list[str]
    suggested_contact_ids: list[str]


class IdentifiersAnswer(Answer):
    """Identifiers that the CRM should know; those first of which it is probable whose they are."""

    since: datetime | None
    until: datetime | None
    rows: list[IdentifierRow]


class MeasureRow(BaseModel):
    """Something the company did so that more is logged."""

    measure_id: int
    name: str
    begins_at: datetime
    teams: list[str] = Field(description="none: all")
    channels: list[str] = Field(description="none: all")
    note: str
    author: str
    added_at: datetime


class MeasuresAnswer(Answer):
    """The company's measures, in the order in which they began."""

    rows: list[MeasureRow]


class SourceRow(BaseModel):
    """One source: what was read of it, and how far it reaches."""

    source: str
    file_count: int
    byte_count: int
    record_count: int
    observation_count: int = Field(description="raw events that could be used")
    crm_record_count: int = Field(description="records of the CRM or the directory that could be used")
    rejected_count: int = Field(description="records that could not be used")
    first_at: datetime | None
    last_at: datetime | None
    complete_through: datetime | None = Field(description="of a CRM source: read to here")
    is_slowest: bool = Field(description="it holds pending interactions back")


class SourcesAnswer(Answer):
    """All sources."""

    rows: list[SourceRow]


class AuditRow(BaseModel):
    """What became of each raw event of a source; the counts add up to `raw_count`."""

    source: str
    raw_count: int
    interaction_count: int
    duplicate_count: int
    internal_count: int
    automated_count: int
    bulk_count: int
    emergency_count: int
    never_log_count: int
    unanswered_count: int
    no_human_count: int
    too_short_count: int
    rejected_count: int
    late_count: int
    unaccounted_count: int


class AuditAnswer(Answer):
    """The accounts of every source of raw events."""

    rows: list[AuditRow]


class DimensionRow(BaseModel):
    """A dimension of the share, with its values where they are few."""

    dimension: str
    is_filter: bool
    values: list[str] = Field(description="of dimensions that are no times: what there is, at most 1,000")


class DimensionsAnswer(Answer):
    """What the share can be divided by."""

    rows: list[DimensionRow]


class Health(BaseModel):
    """The server answers."""

    state: str


class Readiness(BaseModel):
    """The store answers, and over a running sink it is followed."""

    state: str
    details: dict[str, Any] = Field(default={}, description="what the sink says of itself")
