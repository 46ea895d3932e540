"""The teams of the fictitious company: how busy they are, how customers reach them and how well they log.

The figures are chosen so that all shapes of bypass occur side by side: a team that lives in the CRM, teams
that log at the end of the day, a contact centre whose traces are tickets, and teams that log nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Access = Literal["queue", "ring_group", "direct"]
Cadence = Literal["prompt", "hours", "end_of_day", "next_day", "two_days"]


@dataclass(frozen=True)
class Habit:
    """How a team logs. Shares are of its interactions, 0-1.

    `ticket_share` is the part of logged interactions that become a case tied to the customer;
    `untied_share` the part of all that only become a case tied to nobody. `cadence` weighs how long
    people wait. `carries_call_id_share` is the part of logged calls with the exchange's own id.
    """

    call_share: float
    email_share: float
    cadence: dict[Cadence, float]
    ticket_share: float = 0.0
    untied_share: float = 0.0
    carries_call_id_share: float = 0.0


@dataclass(frozen=True)
class TeamProfile:
    """What is typical of a team. Rates are per representative and working day."""

    name: str
    slug: str
    function: Literal["contact_center", "other"]
    headcount_share: float
    access: Access
    inbound_calls: float
    outbound_calls: float
    emails: float
    habit: Habit
    has_shared_mailbox: bool = False
    owns_customers: bool = False
    dials_by_click_share: float = 0.0
    forwards_to_mobile_share: float = 0.0
    works_on_saturday: bool = False


TEAMS: Final[tuple[TeamProfile, ...]] = (
    TeamProfile(
        name="Customer service",
        slug="service",
        function="contact_center",
        headcount_share=0.235,
        access="queue",
        inbound_calls=20,
        outbound_calls=4,
        emails=9,
        habit=Habit(
            call_share=0.30,
            email_share=0.38,
            cadence={"prompt": 0.85, "hours": 0.12, "end_of_day": 0.03},
            ticket_share=0.4,
            untied_share=0.22,
        ),
        has_shared_mailbox=True,
        works_on_saturday=True,
    ),
    TeamProfile(
        name="Technical support",
        slug="support",
        function="contact_center",
        headcount_share=0.15,
        access="queue",
        inbound_calls=14,
        outbound_calls=6,
        emails=13,
        habit=Habit(
            call_share=0.35,
            email_share=0.45,
            cadence={"prompt": 0.6, "hours": 0.3, "end_of_day": 0.05, "next_day": 0.05},
            ticket_share=0.5,
            untied_share=0.25,
        ),
        has_shared_mailbox=True,
    ),
    TeamProfile(
        name="Inside sales",
        slug="sales",
        function="other",
        headcount_share=0.15,
        access="direct",
        inbound_calls=7,
        outbound_calls=17,
        emails=9,
        habit=Habit(
            call_share=0.80,
            email_share=0.78,
            cadence={"prompt": 0.75, "hours": 0.18, "end_of_day": 0.04, "next_day": 0.03},
            carries_call_id_share=0.5,
        ),
        owns_customers=True,
        dials_by_click_share=0.7,
    ),
    TeamProfile(
        name="Field sales",
        slug="field",
        function="other",
        headcount_share=0.135,
        access="direct",
        inbound_calls=10,
        outbound_calls=9,
        emails=10,
        habit=Habit(
            call_share=0.28,
            email_share=0.25,
            cadence={"prompt": 0.1, "hours": 0.2, "end_of_day": 0.5, "next_day": 0.15, "two_days": 0.05},
        ),
        owns_customers=True,
        forwards_to_mobile_share=0.5,
    ),
    TeamProfile(
        name="Key accounts",
        slug="key-accounts",
        function="other",
        headcount_share=0.085,
        access="direct",
        inbound_calls=8,
        outbound_calls=9,
        emails=15,
        habit=Habit(
            call_share=0.55,
            email_share=0.60,
            cadence={"prompt": 0.3, "hours": 0.4, "end_of_day": 0.2, "next_day": 0.08, "two_days": 0.02},
        ),
        owns_customers=True,
        forwards_to_mobile_share=0.2,
    ),
    TeamProfile(
        name="Dispatch",
        slug="dispatch",
        function="other",
        headcount_share=0.1,
        access="ring_group",
        inbound_calls=17,
        outbound_calls=11,
        emails=5,
        habit=Habit(call_share=0.05, email_share=0.05, cadence={"prompt": 0.3, "hours": 0.4, "end_of_day": 0.3}),
        has_shared_mailbox=True,
        forwards_to_mobile_share=0.1,
    ),
    TeamProfile(
        name="Invoicing",
        slug="invoicing",
        function="other",
        headcount_share=0.085,
        access="ring_group",
        inbound_calls=9,
        outbound_calls=4,
        emails=17,
        habit=Habit(call_share=0.12, email_share=0.20, cadence={"prompt": 0.5, "hours": 0.4, "next_day": 0.1}),
        has_shared_mailbox=True,
    ),
    TeamProfile(
        name="Projects",
        slug="projects",
        function="other",
        headcount_share=0.06,
        access="direct",
        inbound_calls=7,
        outbound_calls=8,
        emails=16,
        habit=Habit(
            call_share=0.08,
            email_share=0.10,
            cadence={"hours": 0.4, "end_of_day": 0.4, "next_day": 0.1, "two_days": 0.1},
        ),
        owns_customers=True,
    ),
)
