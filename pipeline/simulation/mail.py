"""Who writes to whom: threads with customers, and all the mail that is no interaction with anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from pipeline.simulation.company import (
    DOMAIN,
    FORMER_DOMAIN,
    NEVER_LOGGED_DOMAIN,
    Company,
    Representative,
    Team,
)
from pipeline.simulation.customers import Clientele, Customer, Person, draw_person
from pipeline.simulation.mailbox import Address, Message, PostOffice
from pipeline.simulation.truth import Interaction
from pipeline.simulation.worktime import HOUR, MINUTE, Calendar, long_tailed, poisson

WITHOUT_MESSAGE_ID_SHARE: Final = 0.03
SEVERAL_RECIPIENTS_SHARE: Final = 0.06
_MESSAGES_PER_THREAD: Final = 2.2
_REPLY_SHARE: Final = 0.6
_LONGEST_THREAD: Final = 6
_SUBJECTS: Final = (
    "Tarjouspyyntö", "Lasku", "Sopimus", "Huoltokäynti", "Toimitusaika", "Reklamaatio", "Mittarilukema", "Tilaus",
    "Yhteystietojen muutos", "Aurinkopaneelit", "Kokouksen muistio", "Delivery", "Offer", "Liittymä", "Vikailmoitus",
)  # fmt: skip
_REPORT: Final = """\
--b1
Content-Type: text/plain

The message could not be delivered.
--b1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Action: failed
Status: 5.1.1
--b1--
"""


@dataclass(frozen=True, slots=True)
class Thread:
    """The two ends of an exchange of emails. `representative` is null where only the shared mailbox takes part."""

    team: Team
    representative: Representative | None
    customer: Customer
    person: Person
    subject: str


class MailTraffic:
    """Plays the mail of one day after another. `interactions` grows by one per external party of each email."""

    def __init__(
        self, rng: Random, company: Company, clientele: Clientele, post: PostOffice, calendar: Calendar
    ) -> None:
        self._rng = rng
        self._company = company
        self._clientele = clientele
        self._post = post
        self._calendar = calendar
        self._count = 0
        self._day = 0
        self.interactions: list[Interaction] = []

    def play(self, day: int) -> None:
        """Play the threads that begin on a day, to their ends, and the day's other mail."""
        self._day = day
        rng = self._rng
        is_workday = self._calendar.is_workday(day)
        load = 1.0 if is_workday else 0.06
        for team in self._company.teams:
            for member in team.members_on(day):
                for _ in range(poisson(rng, team.profile.emails * load / _MESSAGES_PER_THREAD)):
                    self._thread(team, member, begins_inside=is_workday and rng.random() < 0.4)
        if not is_workday:
            return
        for representative in self._company.representatives:
            for _ in range(poisson(rng, 1.3)):
                self._internal(representative)
            for _ in range(poisson(rng, 0.25)):
                self._newsletter(representative)
            if rng.random() < 0.02:
                self._never_logged(representative)
        if self._calendar.date(day).weekday() == 1:
            self._mass_mailing()

    # Threads

    def _thread(self, team: Team, member: Representative, *, begins_inside: bool) -> None:
        rng = self._rng
        portfolio = (
            self._clientele.portfolios[member.representative_id]
            if team.profile.owns_customers
            else self._clientele.everybody
        )
        customer = portfolio.draw(rng)
        person = draw_person(customer, rng)
        subject = f"{rng.choice(_SUBJECTS)} {rng.randint(10000, 99999)}"
        uses_shared = bool(team.address) and rng.random() < 0.65
        if begins_inside:
            at = self._calendar.at(self._day, self._calendar.busy_time(rng))
        else:
            at = self._calendar.at(self._day, rng.triangular(6 * HOUR, 22 * HOUR, 11 * HOUR))
        thread = Thread(team, member, customer, person, subject)
        outbound, previous = begins_inside, None
        for index in range(_LONGEST_THREAD):
            if at >= self._calendar.ends_at:
                return
            if outbound:
                previous = self._send(thread, at, previous, from_shared=uses_shared and rng.random() < 0.3)
            else:
                previous = self._receive(
                    thread, at, previous, to_shared=uses_shared and (index == 0 or rng.random() < 0.3)
                )
            if rng.random() >= _REPLY_SHARE:
                return
            outbound = not outbound
            at = self._reply_time(at, by_representative=outbound)

    def _reply_time(self, at: int, *, by_representative: bool) -> int:
        rng, calendar = self._rng, self._calendar
        at += long_tailed(rng, (80 if by_representative else 150) * MINUTE, 1.1, 2 * MINUTE, 60 * HOUR)
        time_of_day, day = calendar.time_of_day(at), calendar.day_of(at)
        if by_representative and not (calendar.is_workday(day) and 8 * HOUR <= time_of_day < 17 * HOUR):
            day = day if calendar.is_workday(day) and time_of_day < 8 * HOUR else calendar.next_workday(day)
            return calendar.at(day, 8 * HOUR + rng.expovariate(1 / (70 * MINUTE)))
        if not 6 * HOUR <= time_of_day < 23 * HOUR:
            return calendar.at(day + (time_of_day >= 23 * HOUR), 7 * HOUR + rng.randint(0, 2 * HOUR))
        return at

    def _receive(self, thread: Thread, at: int, previous: Message | None, *, to_shared: bool) -> Message:
        """Let the customer write. The team's mailbox may hand copies to some of the team."""
        rng, team, member = self._rng, thread.team, thread.representative
        assert member is not None
        day = self._calendar.day_of(at)
        delivered: list[Representative] = []
        cc_members: list[Representative] = []
        if to_shared:
            to = [Address(team.address, team.profile.name)]
            if rng.random() < 0.35:
                members = team.members_on(day)
                delivered = rng.sample(members, min(len(members), rng.randint(1, 2)))
        elif rng.random() < 0.015:
            to = [Address(member.address.replace(DOMAIN, FORMER_DOMAIN))]
            delivered = [member]
        else:
            to = [Address(member.address, member.name if rng.random() < 0.8 else "")]
        if rng.random() < 0.08:
            cc_members = [p for p in rng.sample(self._company.representatives, 1) if p is not member]
        cc = [Address(p.address, p.name) for p in cc_members]
        if rng.random() < 0.05 and len(thread.customer.people) > 1:
            colleague = rng.choice(thread.customer.people)
            if colleague is not thread.person:
                cc.append(Address(colleague.address, colleague.name))
        message = self._message(
            thread, at, Address(_as_written(thread.person, rng), thread.person.name), to, cc, previous
        )
        if to_shared:
            self._post.deliver(message, f"{team.address.split('@')[0]}.mbox", team.address)
        elif not delivered:
            self._post.deliver(message, member.mailbox, member.address)
            if rng.random() < 0.004:
                self._post.deliver_again(member.mailbox)
        for person in (*cc_members, *delivered):
            self._post.deliver(message, person.mailbox, person.address, keeps_id=rng.random() >= 0.005)
        own = [] if to_shared or delivered else [member]
        named = [*own, *cc_members]
        participants = [*named, *sorted((p for p in delivered if p not in named), key=_by_id)]
        self._conclude(message, thread, "inbound", participants, [thread.person], [thread.customer], at)
        if rng.random() < 0.02 and member not in delivered and not to_shared:
            self._answer_automatically(message, Address(member.address, member.name), thread.person, member.mailbox)
        if to_shared and previous is None and team.profile.slug == "support":
            shared = Address(team.address, team.profile.name)
            self._answer_automatically(message, shared, thread.person, f"{team.address.split('@')[0]}.mbox")
        return message

    def _send(self, thread: Thread, at: int, previous: Message | None, *, from_shared: bool) -> Message:
        """Let the representative write: in their own name or the team's, sometimes to several customers at once."""
        rng, team, member = self._rng, thread.team, thread.representative
        assert member is not None
        sender = Address(team.address, team.profile.name) if from_shared else Address(member.address, member.name)
        people, customers = [thread.person], [thread.customer]
        while rng.random() < (SEVERAL_RECIPIENTS_SHARE if len(people) == 1 else 0.3) and len(people) < 4:
            same = len(thread.customer.people) > 1 and rng.random() < 0.6
            customer = thread.customer if same else self._clientele.everybody.draw(rng)
            person = rng.choice(customer.people)
            if all(person.address != other.address for other in people):
                people.append(person)
                customers.append(customer)
        split = rng.randint(1, len(people))
        to = [Address(_as_written(p, rng), p.name if rng.random() < 0.7 else "") for p in people[:split]]
        cc = [Address(p.address, p.name) for p in people[split:]]
        colleagues = [p for p in rng.sample(self._company.representatives, 1) if p is not member and rng.random() < 0.1]
        cc += [Address(p.address, p.name) for p in colleagues]
        message = self._message(thread, at, sender, to, cc, previous)
        self._post.deliver(message, f"{team.address.split('@')[0]}.mbox" if from_shared else member.mailbox)
        for person_ in colleagues:
            self._post.deliver(message, person_.mailbox, person_.address, keeps_id=rng.random() >= 0.005)
        self._conclude(message, thread, "outbound", [] if from_shared else [member], people, customers, at)
        box = (f"{team.address.split('@')[0]}.mbox", team.address) if from_shared else (member.mailbox, member.address)
        draw = rng.random()
        if draw < 0.025:
            self._answer_automatically(message, to[0], None, box[0], box[1])
        elif draw < 0.029:
            self._bounce(message, *box)
        return message

    def _message(
        self,
        thread: Thread,
        at: int,
        sender: Address,
        to: Sequence[Address],
        cc: Sequence[Address],
        previous: Message | None,
    ) -> Message:
        rng = self._rng
        prefix = "" if previous is None else "VS: " if rng.random() < 0.2 else "Re: "
        message_id = None if rng.random() < WITHOUT_MESSAGE_ID_SHARE else self._message_id(at, sender.address)
        return Message(
            at, sender, to, f"{prefix}{thread.subject}", message_id, cc, previous.message_id if previous else None
        )

    def _message_id(self, at: int, sender: str) -> str:
        self._count += 1
        return f"{at}.{self._rng.getrandbits(40):010x}.{self._count}@mail.{sender.split('@')[1].lower()}"

    def _conclude(
        self,
        message: Message,
        thread: Thread,
        direction: str,
        participants: list[Representative],
        people: list[Person],
        customers: list[Customer],
        at: int,
    ) -> None:
        day = self._calendar.day_of(at)
        team = self._company.team_of(participants[0], day) if participants else thread.team
        members = () if participants else tuple(thread.team.members_on(day))
        for person, customer in zip(people, customers, strict=True):
            self.interactions.append(
                Interaction(
                    channel="email",
                    line=None,
                    direction="inbound" if direction == "inbound" else "outbound",
                    team=team.profile.name,
                    function=team.profile.function,
                    participants=tuple(participants),
                    team_members=members,
                    customer=customer,
                    person=person,
                    identifier=person.address,
                    customer_ids=self._clientele.of_address(person.address),
                    started_at=at,
                    ended_at=at,
                    keys=(message.message_id,) if message.message_id else (),
                    evidence=message.evidence,
                    parties=len(people),
                )
            )

    # Mail that is no interaction

    def _answer_automatically(
        self, message: Message, sender: Address, to: Person | None, box: str, delivered_to: str | None = None
    ) -> None:
        at = message.sent_at + self._rng.randint(2, 50)
        receiver = Address(to.address, to.name) if to else message.sender
        reply = Message(
            at, sender, [receiver], f"Automaattinen vastaus: {message.subject}", self._message_id(at, sender.address),
            in_reply_to=message.message_id, extra=["Auto-Submitted: auto-replied", "X-Auto-Response-Suppress: All"],
        )  # fmt: skip
        self._post.deliver(reply, box, delivered_to)

    def _bounce(self, message: Message, box: str, address: str) -> None:
        at = message.sent_at + self._rng.randint(2, 50)
        host = message.to[0].address.split("@")[1].lower()
        sender = Address(f"mailer-daemon@{host}", "Mail Delivery System")
        extra = ['Content-Type: multipart/report; report-type=delivery-status; boundary="b1"', "MIME-Version: 1.0"]
        subject = "Undelivered Mail Returned to Sender"
        report = Message(
            at, sender, [Address(address)], subject, self._message_id(at, sender.address), extra=extra, body=_REPORT
        )  # fmt: skip
        self._post.deliver(report, box, address)

    def _internal(self, sender: Representative) -> None:
        rng = self._rng
        count = min(len(self._company.representatives), rng.randint(1, 3))
        receivers = [p for p in rng.sample(self._company.representatives, count) if p is not sender]
        if not receivers:
            return
        at = self._calendar.at(self._day, self._calendar.busy_time(rng))
        message = Message(
            at, Address(sender.address, sender.name), [Address(p.address, p.name) for p in receivers],
            rng.choice(("Palaveri", "Lomalista", "Kysymys", "Viikkopalaveri")), self._message_id(at, sender.address),
        )  # fmt: skip
        self._post.deliver(message, sender.mailbox)
        for person in receivers:
            self._post.deliver(message, person.mailbox, person.address)

    def _newsletter(self, receiver: Representative) -> None:
        rng = self._rng
        at = self._calendar.at(self._day, rng.uniform(6 * HOUR, 18 * HOUR))
        sender = Address(f"uutiset@ammattilehti{rng.randint(1, 5)}.example", "Ammattilehti")
        extra = [
            "List-Id: <uutiskirje.ammattilehti.example>",
            "Precedence: bulk",
            "List-Unsubscribe: <mailto:pois@ammattilehti.example>",
        ]
        to = [Address(receiver.address)]
        message = Message(at, sender, to, "Viikon uutiset", self._message_id(at, sender.address), extra=extra)
        self._post.deliver(message, receiver.mailbox, receiver.address)

    def _never_logged(self, sender: Representative) -> None:
        at = self._calendar.at(self._day, self._calendar.busy_time(self._rng))
        to = [Address(f"ajanvaraus@{NEVER_LOGGED_DOMAIN}")]
        message_id = self._message_id(at, sender.address)
        message = Message(at, Address(sender.address, sender.name), to, "Ajanvaraus", message_id)
        self._post.deliver(message, sender.mailbox)

    def _mass_mailing(self) -> None:
        """Write to more customers at once than anybody talks to: once with a list's header, once without."""
        rng = self._rng
        team = next((team for team in self._company.teams if team.address), None)
        if team is None:
            return
        at = self._calendar.at(self._day, 10 * HOUR + rng.randint(0, HOUR))
        sender = Address(team.address, team.profile.name)
        for count, extra in ((8, ["Precedence: bulk", f"List-Id: <tiedotteet.{DOMAIN}>"]), (30, [])):
            people = {draw_person(self._clientele.everybody.draw(rng), rng).address for _ in range(count * 3)}
            to = [Address(address) for address in sorted(people)[:count]]
            if len(to) < count:  # too small a company to write to so many
                continue
            message = Message(at, sender, to, "Asiakastiedote", self._message_id(at, team.address), extra=extra)
            self._post.deliver(message, f"{team.address.split('@')[0]}.mbox")


def _as_written(person: Person, rng: Random) -> str:
    """Return an address in the letter case of somebody's mail program."""
    if rng.random() < 0.05:
        local, _, host = person.address.partition("@")
        return f"{local.title()}@{host}"
    return person.address


def _by_id(representative: Representative) -> str:
    return representative.representative_id
