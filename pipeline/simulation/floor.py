"""The people at their telephones: who is there, who is talking, how long, and what then counts as a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from pipeline.simulation import numbers
from pipeline.simulation.company import Company, Representative
from pipeline.simulation.customers import Clientele, Customer, Person, draw_person
from pipeline.simulation.exchange import Call, Exchange
from pipeline.simulation.truth import Interaction
from pipeline.simulation.worktime import long_tailed

TOO_SHORT_SHARE: Final = 0.025
WITHHELD_SHARE: Final = 0.02
LINE: Final = "pbx"  # what a call's line is follows from the system that saw it
_LEAST_SECONDS: Final = 5
_ABSENT_SHARE: Final = 0.07
_WITHHELD_WORDS: Final = ("anonymous", "anonymous", "anonymous", "unknown", "")

Talks = list[tuple[Representative, int]]


@dataclass(frozen=True, slots=True)
class Party:
    """A customer's side of a call: who, at which number, null when withheld, and how it is shown."""

    customer: Customer
    person: Person
    number: str | None
    src: str
    name: str = ""


class Floor:
    """The state that calls share. `interactions` grows by the calls that truly were conversations."""

    def __init__(self, rng: Random, company: Company, clientele: Clientele, exchange: Exchange) -> None:
        self.rng = rng
        self.company = company
        self.clientele = clientele
        self.exchange = exchange
        self.day = 0
        self.present: list[Representative] = []
        self.busy_until: dict[Representative, int] = {}
        self.interactions: list[Interaction] = []

    def open(self, day: int) -> None:
        """Begin a day: some are absent."""
        self.day = day
        self.present = [p for p in self.company.representatives if self.rng.random() >= _ABSENT_SHARE]

    def free(self, among: Sequence[Representative], at: int) -> list[Representative]:
        busy = self.busy_until
        return [p for p in among if busy.get(p, 0) <= at]

    def account(self, representative: Representative) -> str:
        """Return the account code of a representative's telephone."""
        return representative.team_on(self.day).slug

    def talk_seconds(self) -> int:
        """Return how long a call lasts once answered; some end at once."""
        if self.rng.random() < TOO_SHORT_SHARE:
            return self.rng.randint(1, 3)
        return long_tailed(self.rng, 150, 0.9, 8, 3000)

    def caller(self, customer: Customer) -> Party:
        """Return somebody of a customer who calls in."""
        rng = self.rng
        person = draw_person(customer, rng)
        number = number_of(customer, person, 0.85, rng)
        if rng.random() < WITHHELD_SHARE:
            return Party(customer, person, None, rng.choice(_WITHHELD_WORDS))
        return Party(customer, person, number, numbers.shown(number, rng), self.exchange.caller_name(person.name))

    def conclude(
        self,
        call: Call,
        party: Party,
        direction: Literal["inbound", "outbound"],
        talks: Talks,
        start: int,
        end: int,
    ) -> None:
        """Keep who talked busy until the end, and record the conversation unless it was too short to be one."""
        for representative, _ in talks:
            self.busy_until[representative] = end + self.rng.randint(5, 40)
        total = sum(talk for _, talk in talks)
        if total < _LEAST_SECONDS:
            return
        participants = [p for p, _ in sorted(talks, key=lambda talk: (-talk[1], talk[0].representative_id))]
        profile = participants[0].team_on(self.day)
        number = party.number
        call.interaction = Interaction(
            channel="call",
            line=LINE,
            direction=direction,
            team=profile.name,
            function=profile.function,
            participants=tuple(participants),
            team_members=(),
            customer=party.customer,
            person=party.person,
            identifier=number,
            customer_ids=self.clientele.of_number(number) if number else set(),
            started_at=start,
            ended_at=end,
            talk_seconds=total,
            keys=(call.linked_id,),
        )
        self.interactions.append(call.interaction)


def number_of(customer: Customer, person: Person, switchboard_share: float, rng: Random) -> str:
    """Return the number that a person calls from or is called at; `switchboard_share` is how often the firm's."""
    if customer.switchboard and rng.random() < switchboard_share:
        return customer.switchboard
    return person.numbers[0] if len(person.numbers) == 1 or rng.random() < 0.8 else person.numbers[1]


def national(number: str) -> str:
    """Return a Finnish number as it is dialled at home."""
    return f"0{number[4:]}"
