"""What people log, when, where and how often: the habits that the measure is about.

People log minutes later or at the end of the day in one go, some of it twice, on the wrong customer or for a
colleague, and sometimes with nothing behind it. Every record made for an interaction is noted with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from random import Random
from typing import Final, Literal

from pipeline.simulation.company import Company, Representative
from pipeline.simulation.customers import Clientele, Customer, Person, draw_person
from pipeline.simulation.records import Ledger
from pipeline.simulation.teams import Cadence, Habit
from pipeline.simulation.truth import Interaction
from pipeline.simulation.worktime import HOUR, MINUTE, Calendar, long_tailed

TWICE_SHARE: Final = 0.015
WRONG_CUSTOMER_SHARE: Final = 0.01
BY_COLLEAGUE_SHARE: Final = 0.03
NOTHING_BEHIND_SHARE: Final = 0.01
WITH_MESSAGE_ID_SHARE: Final = 0.5
_SECOND_PARTY_SHARE: Final = 0.5
_LONGEST_USUAL_DELAY: Final = 62 * HOUR

Form = Literal["task", "email_message", "case", "untied_case"]


@dataclass(eq=False, slots=True)
class Entry:
    """One act of logging. `targets` are the interactions it is for with the customer and person it names."""

    maker: Representative
    form: Form
    created_at: int
    channel: Literal["call", "email"]
    targets: list[tuple[Interaction | None, Customer, Person]]
    is_in_batch: bool = False
    carries_call_id: bool = False


@dataclass
class Logging:
    """Decides what is logged of all interactions, and hands it to the ledger in the order in which it is entered."""

    rng: Random
    company: Company
    clientele: Clientele
    calendar: Calendar
    ledger: Ledger
    _entries: list[Entry] = field(default_factory=list)

    def log(self, interactions: Sequence[Interaction]) -> None:
        """Log the interactions, which stand in the order of their ends, parties of one email together."""
        habits = {team.profile.name: team.profile.habit for team in self.company.teams}
        for _, group in groupby(interactions, key=lambda interaction: id(interaction.evidence)):
            parties = list(group)
            self._consider(parties, habits[parties[0].team])
        self._add_nothings()
        self._time_batches()
        for entry in sorted(self._entries, key=lambda entry: entry.created_at):
            if entry.created_at <= self.calendar.ends_at:
                self.ledger.enter(entry)

    # What

    def _consider(self, parties: list[Interaction], habit: Habit) -> None:
        rng, first = self.rng, parties[0]
        share = habit.call_share if first.channel == "call" else habit.email_share
        maker = first.representative or (rng.choice(first.team_members) if first.team_members else None)
        draw = rng.random()
        if maker is None or draw >= share + habit.untied_share:
            return
        cadence = rng.choices(list(habit.cadence), list(habit.cadence.values()))[0]
        nameable = [party for party in parties if can_name(party)]
        if draw >= share or not nameable:
            if habit.untied_share:
                self._schedule(maker, "untied_case", first, [first], "prompt")
            return
        if rng.random() < BY_COLLEAGUE_SHARE:
            maker = self._colleague(maker, first)
            cadence = "prompt" if rng.random() < 0.85 else "hours"
        elif rng.random() < WRONG_CUSTOMER_SHARE:
            self._log_wrongly(maker, nameable[0], cadence)
            return
        if rng.random() < habit.ticket_share and len(parties) == 1:
            self._schedule(maker, "case", first, [first], cadence)
        elif first.channel == "email" and rng.random() < WITH_MESSAGE_ID_SHARE:
            self._schedule(maker, "email_message", first, nameable, cadence)
        else:
            for index, party in enumerate(nameable):
                if index == 0 or rng.random() < _SECOND_PARTY_SHARE:
                    entry = self._schedule(maker, "task", party, [party], cadence)
                    entry.carries_call_id = first.channel == "call" and rng.random() < habit.carries_call_id_share
        if rng.random() < TWICE_SHARE:
            again = self._schedule(maker, "task", nameable[0], [nameable[0]], cadence)
            again.created_at += rng.randint(1, 30) * MINUTE

    def _log_wrongly(self, maker: Representative, party: Interaction, cadence: Cadence) -> None:
        other = self._other_customer(maker, party.customer)
        if other is not None:
            entry = self._schedule(maker, "task", party, [], cadence)
            entry.targets = [(party, other, draw_person(other, self.rng))]

    def _other_customer(self, maker: Representative, customer: Customer | None) -> Customer | None:
        for _ in range(20):
            other = self.clientele.portfolios[maker.representative_id].draw(self.rng)
            if other is not customer and any(person.contact for person in other.people):
                return other
        return None

    def _colleague(self, maker: Representative, interaction: Interaction) -> Representative:
        team = self.company.team_of(maker, self.calendar.day_of(interaction.ended_at))
        others = [
            p for p in team.representatives if p is not maker and p not in interaction.participants
        ]  # fmt: skip
        return self.rng.choice(others) if others else maker

    def _add_nothings(self) -> None:
        """Add records that no interaction stands behind, made by those who log, when they log."""
        rng = self.rng
        models = [entry for entry in self._entries if entry.form == "task"]
        for _ in range(round(NOTHING_BEHIND_SHARE * len(self._entries))):
            if not models:
                return
            model = rng.choice(models)
            customer = self._other_customer(model.maker, None)
            if customer is None:
                continue
            person = draw_person(customer, rng)
            at = self._at_work(model.created_at + rng.randint(-3 * HOUR, 3 * HOUR))
            self._entries.append(Entry(model.maker, "task", at, model.channel, [(None, customer, person)]))

    # When

    def _schedule(
        self,
        maker: Representative,
        form: Form,
        about: Interaction,
        targets: list[Interaction],
        cadence: Cadence,
    ) -> Entry:
        at, is_in_batch = self._time_of_logging(about, cadence)
        entry = Entry(
            maker, form, at, about.channel, [(party, party.customer, party.person) for party in targets], is_in_batch
        )
        self._entries.append(entry)
        return entry

    def _time_of_logging(self, about: Interaction, cadence: Cadence) -> tuple[int, bool]:
        rng, calendar, end = self.rng, self.calendar, about.ended_at
        if cadence == "prompt":
            if about.talk_seconds and rng.random() < 0.15:
                return end - rng.randint(0, min(about.talk_seconds, 600)), False
            return self._at_work(end + long_tailed(rng, 240, 0.9, 20, 40 * MINUTE)), False
        if cadence == "hours":
            at = end + long_tailed(rng, 90 * MINUTE, 0.8, 15 * MINUTE, 7 * HOUR)
            if calendar.day_of(at) == calendar.day_of(end) and calendar.time_of_day(at) < 18 * HOUR:
                return self._at_work(at), False
            cadence = "end_of_day"
        day = calendar.day_of(end)
        if cadence in ("next_day", "two_days"):
            for _ in range(1 if cadence == "next_day" else 2):
                day = calendar.next_workday(day)
            at = calendar.at(day, rng.uniform(8 * HOUR, 10.5 * HOUR))
            if at - end <= _LONGEST_USUAL_DELAY or rng.random() < 0.1:
                return at, False
            day = calendar.day_of(end)
        if not calendar.is_workday(day):
            return self._at_work(end), False
        return calendar.at(day, 0), True

    def _at_work(self, at: int) -> int:
        """Return an instant, or where nobody works then, one on the next working morning."""
        calendar = self.calendar
        day, time_of_day = calendar.day_of(at), calendar.time_of_day(at)
        if calendar.is_workday(day) and 7 * HOUR <= time_of_day < 19 * HOUR:
            return at
        if calendar.is_saturday(day) and 8 * HOUR <= time_of_day < 18 * HOUR:
            return at
        if not (calendar.is_workday(day) and time_of_day < 7 * HOUR):
            day = calendar.next_workday(day)
        return calendar.at(day, 8 * HOUR + self.rng.uniform(0, HOUR))

    def _time_batches(self) -> None:
        """Give the records that people enter in one go at the end of their day their times."""
        batches: defaultdict[tuple[str, int], list[Entry]] = defaultdict(list)
        for entry in self._entries:
            if entry.is_in_batch:
                day = self.calendar.day_of(entry.created_at + 6 * HOUR)
                batches[entry.maker.representative_id, day].append(entry)
        for (_, day), entries in batches.items():
            clock = self.calendar.at(day, self.rng.uniform(15.5 * HOUR, 16.75 * HOUR))
            for entry in sorted(entries, key=_end_of_first):
                clock = max(clock + self.rng.randint(20, 90), _end_of_first(entry) + 30)
                entry.created_at = clock


def can_name(interaction: Interaction) -> bool:
    """Return whether the CRM holds anything that a record could be tied to."""
    return interaction.person.contact is not None or interaction.customer.account_id is not None


def _end_of_first(entry: Entry) -> int:
    interaction = entry.targets[0][0]
    return interaction.ended_at if interaction else 0
