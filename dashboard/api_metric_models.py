"""What the API answers of effects, delays, service and customers. Proportions are 0-1, instants UTC, delays seconds."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from dashboard.api_models import Answer, MeasureRow, Shares

# -- the effect of a measure -------------------------------------------------------------------------------------------


class EstimateOfChange(BaseModel):
    """A difference of shares with its 95 % interval; minus is less bypass."""

    value: float
    low: float
    high: float
    is_zero_possible: bool = Field(description="true: chance alone may have done this")


class ChangeOfShare(BaseModel):
    """The bypass share of a group of teams before and after."""

    before_untraced_count: int
    before_count: int = Field(description="decided interactions")
    before_customer_count: int
    before_share: float
    after_untraced_count: int
    after_count: int = Field(description="decided interactions")
    after_customer_count: int
    after_share: float
    change: EstimateOfChange


class ComparisonOfShares(BaseModel):
    """How the comparison teams changed, and how much more the others did."""

    change: ChangeOfShare
    difference: EstimateOfChange = Field(description="difference in differences: the change beside the other teams")
    early_difference: EstimateOfChange | None = Field(
        description="the same between the halves before the measure, where it should be nothing; null: too few"
    )


class EffectRow(BaseModel):
    """One team before and after."""

    team: str | None
    is_measured: bool = Field(description="true: the measure holds for it; false: it is compared with")
    before_count: int = Field(description="decided interactions")
    before_untraced_count: int
    before_share: float | None
    after_count: int = Field(description="decided interactions")
    after_untraced_count: int
    after_share: float | None


class EffectAnswer(Answer):
    """What a measure changed, or the reason why nothing can be said."""

    measure: MeasureRow
    reason: str | None = Field(description="why nothing can be said; null: the change is known")
    since: datetime | None = Field(description="the time before is from here until the measure began")
    until: datetime | None = Field(description="the time after is from then until here")
    comparison_teams: list[str]
    change: ChangeOfShare | None = Field(description="where the measure holds")
    comparison: ComparisonOfShares | None = Field(description="null: no comparison is possible, see warnings")
    rows: list[EffectRow] = Field(description="each team, those first for which the measure holds")


# -- identifiers on several contacts -----------------------------------------------------------------------------------


class SharedIdentifierRow(BaseModel):
    """An identifier that several contacts of the CRM hold."""

    token: str
    kind: str | None
    identifier: str | None = Field(description="as it may be shown")
    contact_count: int
    customer_count: int = Field(description="from 2 on nobody can know whose an interaction is")
    contact_ids: list[str]
    customer_ids: list[str] = Field(description="accounts; contacts that have none")
    interaction_count: int


class SharedIdentifiersAnswer(Answer):
    """Identifiers on several contacts: those of several customers first, then those with most interactions."""

    rows: list[SharedIdentifierRow]


# -- logging delay -----------------------------------------------------------------------------------------------------


class DelaySpread(BaseModel):
    """How long after the end of an interaction its trace was logged; null without a trace."""

    traced_count: int
    early_count: int = Field(description="logged before the end, a negative delay")
    delay_seconds_mean: float | None
    delay_seconds_p10: float | None
    delay_seconds_p25: float | None
    delay_seconds_median: float | None
    delay_seconds_p75: float | None
    delay_seconds_p90: float | None
    delay_seconds_p99: float | None


class DelayRow(BaseModel):
    """A point of the curve: how many of the traces had been logged so many hours after the end."""

    hours: float
    logged_count: int
    traced_count: int
    logged_share: float | None
    logged_share_low: float | None = Field(description="lower end of the 95 % Wilson interval")
    logged_share_high: float | None = Field(description="upper end of the 95 % Wilson interval")


class DelaysAnswer(Answer):
    """The curve of logging delays, and how they spread."""

    since: datetime | None
    until: datetime | None
    overall: DelaySpread
    rows: list[DelayRow]


class SettlingRow(BaseModel):
    """A local day: how much of what will be logged of it has been logged."""

    day: str
    interaction_count: int
    traced_count: int
    pending_count: int
    settled_share: float | None = Field(description="of the traces expected, those that are there; null: not known")
    expected_bypass_share: float | None = Field(description="the share once all is logged; null: not known")
    is_settled: bool = Field(description="the day's share may be believed")


class SettlingAnswer(Answer):
    """The last local days that have interactions, in order."""

    first_unsettled_day: str | None = Field(description="from this day on shares are too high; null: all are settled")
    rows: list[SettlingRow]


# -- service -----------------------------------------------------------------------------------------------------------


class Interval(BaseModel):
    """The local interval, when one was asked for."""

    day: str | None = None
    week: str | None = Field(default=None, description="ISO week")
    month: str | None = None


class EmailService(BaseModel):
    """What mail of customers got back; shares are of mail that is not open, intervals 95 % Wilson."""

    inbound_count: int
    open_count: int = Field(description="so recent that it may still be answered, in no share")
    answered_count: int
    answered_share: float | None
    answered_share_low: float | None
    answered_share_high: float | None
    acknowledged_count: int = Field(description="a machine of the company wrote back")
    acknowledged_share: float | None
    acknowledged_share_low: float | None
    acknowledged_share_high: float | None
    response_seconds_mean: float | None
    response_seconds_median: float | None
    response_seconds_p90: float | None


class EmailServiceRow(EmailService, Interval):
    """What the mail of an interval got back."""


class EmailServiceAnswer(Answer):
    """What mail of customers got back: all together, and by interval."""

    since: datetime | None
    until: datetime | None
    overall: EmailService
    rows: list[EmailServiceRow]


class CallService(BaseModel):
    """Calls of customers that were taken and missed; intervals 95 % Wilson."""

    answered_count: int
    missed_count: int = Field(description="nobody took them")
    missed_share: float | None = Field(description="missed of answered and missed")
    missed_share_low: float | None
    missed_share_high: float | None
    withheld_count: int = Field(description="missed, without a number to call")
    open_count: int = Field(description="missed, and the time to call back is not over; in no share of those called")
    called_back_count: int
    called_back_share: float | None = Field(description="of the missed that are neither withheld nor open")
    called_back_share_low: float | None
    called_back_share_high: float | None
    called_again_count: int = Field(description="the customer called once more and got through first")
    called_again_share: float | None
    called_again_share_low: float | None
    called_again_share_high: float | None
    lost_count: int = Field(description="neither called back nor called again")
    called_back_seconds_mean: float | None
    called_back_seconds_median: float | None
    called_back_seconds_p90: float | None


class CallServiceRow(CallService, Interval):
    """The calls of an interval."""


class CallServiceAnswer(Answer):
    """Calls of customers, taken and missed: all together, and by interval."""

    since: datetime | None
    until: datetime | None
    overall: CallService
    rows: list[CallServiceRow]


class MissedCallRow(BaseModel):
    """A call of a customer that nobody took."""

    key: str = Field(description="identity of the call")
    source: str
    started_at: datetime
    token: str | None
    identifier: str | None = Field(description="as it may be shown")
    fate: str = Field(description="called_back, called_again, lost, open or withheld")
    interaction_id: str | None = Field(description="what followed")
    followed_at: datetime | None
    followed_seconds: float | None


class MissedCallsAnswer(Answer):
    """Calls that nobody took, the latest first."""

    since: datetime | None
    until: datetime | None
    rows: list[MissedCallRow]


# -- customers ---------------------------------------------------------------------------------------------------------


class Party(BaseModel):
    """A customer, or a party that the CRM does not know."""

    customer_id: str | None = Field(description="null: the CRM does not know the party, see token")
    token: str | None
    identifier: str | None = Field(description="as it may be shown")


class CustomerRow(Shares, Party):
    """What was done with one customer."""

    traced_share: float | None = Field(description="of the decided, as the next two: they add up to 1")
    siloed_share: float | None
    bypassed_share: float | None
    channels: list[str]
    first_at: datetime
    last_at: datetime
    talk_seconds: float | None


class CustomersAnswer(Answer):
    """Customers in the order asked for; an interaction counts for each customer that its party resolves to."""

    since: datetime | None
    until: datetime | None
    rows: list[CustomerRow]
