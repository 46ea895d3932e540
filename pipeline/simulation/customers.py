"""The customers, and what the CRM knows of them: which is less than what is true.

A customer is a firm with some people or a consumer. The CRM's records are kept beside the people they
describe, so that the truth can say which customers a number or an address leads to in the CRM.
"""

from __future__ import annotations

from bisect import bisect
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Final

from pipeline.simulation import names, numbers
from pipeline.simulation.company import Company, Representative
from pipeline.simulation.salesforce import SalesforceIds

CUSTOMERS_PER_REPRESENTATIVE: Final = 45
FIRM_SHARE: Final = 0.65
SWITCHBOARD_SHARE: Final = 0.12
FOREIGN_SHARE: Final = 0.04
UNKNOWN_TO_CRM_SHARE: Final = 0.06
WITHOUT_NUMBER_SHARE: Final = 0.05
WITHOUT_ADDRESS_SHARE: Final = 0.04
_NEW_COLLEAGUE_SHARE: Final = 0.03  # people of a known firm whom nobody has entered yet
_LEAD_SHARE: Final = 0.3  # of consumers
_CONSULTANT_SHARE: Final = 0.004  # people who are contacts of two firms
_MERGED_SHARE: Final = 0.01  # contacts with a deleted duplicate elsewhere
_SHARED_SWITCHBOARD_SHARE: Final = 0.03  # firms of one business park
_CONSUMER_DOMAINS: Final = ("kotiposti.example", "verkkoposti.example", "lanka.test")
_SEGMENTS: Final = (("Consumer", 0), ("Small", 2), ("Medium", 6), ("Large", 10**9))
_PHONE_FIELDS: Final = ("Phone", "MobilePhone", "HomePhone", "OtherPhone")


@dataclass(eq=False, slots=True)
class Person:
    """Somebody at a customer. `numbers` are the phones they call from and are called on, in E.164."""

    first_name: str
    last_name: str
    address: str
    numbers: tuple[str, ...]
    contact: Contact | None = None

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


@dataclass(eq=False, slots=True)
class Customer:
    """A firm or a consumer. `account_id` is null for consumers and for whom the CRM does not know."""

    name: str
    domain: str | None
    switchboard: str | None
    people: list[Person]
    weight: float
    segment: str
    is_known: bool
    account_id: str | None = None
    website: str = ""
    account_number: str = ""
    owner: Representative | None = None


@dataclass(eq=False, slots=True)
class Contact:
    """A contact or lead in the CRM. `phones` are its fields as typed, `numbers` what they mean."""

    record_id: str
    is_lead: bool
    account_id: str | None
    customer: Customer
    person: Person
    phones: dict[str, str]
    numbers: tuple[str, ...]
    address: str
    is_deleted: bool = False

    @property
    def customer_id(self) -> str:
        return self.account_id or self.record_id


@dataclass
class Portfolio:
    """Customers somebody deals with, drawn by how much they have to say."""

    customers: Sequence[Customer]
    _cumulated: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._cumulated = list(accumulate(customer.weight for customer in self.customers))

    def draw(self, rng: Random) -> Customer:
        return self.customers[bisect(self._cumulated, rng.random() * self._cumulated[-1], hi=len(self.customers) - 1)]


def draw_person(customer: Customer, rng: Random) -> Person:
    """Return one of the customer's people; the first has most to say."""
    people = customer.people
    return people[min(int(rng.expovariate(1.1)), len(people) - 1)]


def _neglect(weight: float) -> float:
    """Return how badly a customer's data is kept against the average: nobody dials a daily number from memory.

    A quarter of the customers weigh more than 3, one in thirteen more than 8, so the mean over all is 1.
    """
    if weight > 8:
        return 0.0
    return 0.4 if weight > 3 else 1.24


class Clientele:
    """All customers, the CRM's records of them, and what an identifier leads to there."""

    def __init__(self, rng: Random, company: Company, ids: SalesforceIds) -> None:
        self._rng = rng
        self._ids = ids
        self._plan = numbers.NumberPlan(rng)
        self._by_number: defaultdict[str, set[str]] = defaultdict(set)
        self._by_address: defaultdict[str, set[str]] = defaultdict(set)
        self._by_domain: defaultdict[str, set[str]] = defaultdict(set)
        self.contacts: list[Contact] = []
        count = max(10, CUSTOMERS_PER_REPRESENTATIVE * len(company.representatives))
        self.customers = [self._customer(index) for index in range(count)]
        self._share_switchboards()
        self._assign_owners(company)
        for customer in self.customers:
            if customer.is_known:
                self._enter(customer)
        self._enter_twice()
        everybody = Portfolio(self.customers)
        self.portfolios: dict[str, Portfolio] = {}
        for representative in company.representatives:
            own = [customer for customer in self.customers if customer.owner is representative]
            self.portfolios[representative.representative_id] = Portfolio(own) if own else everybody
        self.everybody = everybody

    def of_number(self, number: str) -> set[str]:
        """Return the customers in the CRM that a number leads to."""
        return self._by_number.get(number, set())

    def of_address(self, address: str) -> set[str]:
        """Return the customers in the CRM that an address leads to: by itself, else by its domain."""
        address = address.lower()
        return self._by_address.get(address) or self._by_domain.get(address.split("@")[1], set())

    def _customer(self, index: int) -> Customer:
        rng = self._rng
        weight = min(rng.paretovariate(1.25), 80.0)
        is_known = rng.random() >= UNKNOWN_TO_CRM_SHARE * _neglect(weight)
        is_foreign = rng.random() < FOREIGN_SHARE
        if rng.random() >= FIRM_SHARE:
            first, last = rng.choice(names.FIRST_NAMES), rng.choice(names.LAST_NAMES)
            address = f"{names.ascii_slug(first)}.{names.ascii_slug(last)}{index}@{rng.choice(_CONSUMER_DOMAINS)}"
            person = Person(first, last, address, (self._own_number(is_foreign),))
            return Customer(person.name, None, None, [person], weight, "Consumer", is_known)
        name = names.firm(index)
        domain = f"{names.ascii_slug(name.rsplit(' ', 1)[0])}.example"
        switchboard = self._plan.switchboard() if rng.random() < SWITCHBOARD_SHARE / FIRM_SHARE else None
        size = 1 + min(int(rng.expovariate(0.9 if switchboard is None else 0.4)), 11)
        people: list[Person] = []
        for _ in range(size):
            first, last = rng.choice(names.FIRST_NAMES), rng.choice(names.LAST_NAMES)
            local = f"{names.ascii_slug(first)}.{names.ascii_slug(last)}"
            if any(person.address.startswith(f"{local}@") for person in people):
                local += str(len(people))
            second = (self._plan.mobile(),) if rng.random() < 0.1 else ()
            people.append(Person(first, last, f"{local}@{domain}", (self._own_number(is_foreign), *second)))
        segment = next(label for label, top in _SEGMENTS if size <= top)
        return Customer(name, domain, switchboard, people, weight, segment, is_known)

    def _own_number(self, is_foreign: bool) -> str:
        return self._plan.foreign() if is_foreign else self._plan.mobile()

    def _share_switchboards(self) -> None:
        before: Customer | None = None
        for customer in self.customers:
            if customer.switchboard:
                if before is not None and self._rng.random() < _SHARED_SWITCHBOARD_SHARE:
                    customer.switchboard = before.switchboard
                before = customer

    def _assign_owners(self, company: Company) -> None:
        """Give customers to the teams that own customers; the heaviest firms to whoever keeps key accounts."""
        owners = [team for team in company.teams if team.profile.owns_customers]
        if not owners:
            return
        key_team = next((team for team in owners if team.profile.slug == "key-accounts"), None)
        others = [team for team in owners if team is not key_team] or owners
        firms = [customer for customer in self.customers if customer.domain]
        firms.sort(key=lambda customer: -customer.weight)
        key_firms = set(map(id, firms[: len(firms) // 8])) if key_team else set()
        sizes = [len(team.representatives) for team in others]
        for customer in self.customers:
            if key_team and id(customer) in key_firms:
                team = key_team
            else:
                team = self._rng.choices(others, sizes)[0]
            customer.owner = self._rng.choice(team.representatives)

    # What the CRM knows

    def _enter(self, customer: Customer) -> None:
        rng = self._rng
        if customer.domain:
            customer.account_id = self._ids.new("001")
            if rng.random() < 0.9:
                customer.website = rng.choice(("https://www.{}", "www.{}", "http://{}/", "{}")).format(customer.domain)
                self._by_domain[customer.domain].add(customer.account_id)
            if customer.switchboard and rng.random() < 0.9:
                customer.account_number = numbers.typed(customer.switchboard, rng)
                self._by_number[customer.switchboard].add(customer.account_id)
        for index, person in enumerate(customer.people):
            if index and rng.random() < _NEW_COLLEAGUE_SHARE:
                continue
            is_lead = not customer.domain and rng.random() < _LEAD_SHARE
            is_callable = rng.random() >= WITHOUT_NUMBER_SHARE * _neglect(customer.weight)
            known = person.numbers if is_callable else ()
            has_address = rng.random() >= WITHOUT_ADDRESS_SHARE
            person.contact = self._contact(customer, person, known, has_address, is_lead)

    def _contact(
        self, customer: Customer, person: Person, known: tuple[str, ...], has_address: bool, is_lead: bool
    ) -> Contact:
        rng = self._rng
        phones: dict[str, str] = {}
        fields = ["MobilePhone", "Phone"] if is_lead or rng.random() < 0.6 else ["Phone", "OtherPhone", "HomePhone"]
        if known and customer.switchboard and rng.random() < 0.6:
            known = (*known, customer.switchboard)
            fields = ["MobilePhone", "OtherPhone", "Phone"]
        if len(known) > len(fields):
            known = known[: len(fields)]
        for name, number in zip(fields, known, strict=False):
            phones[name] = numbers.typed(number, rng)
        address = person.address if has_address else ""
        if rng.random() < 0.1:
            address = address.capitalize()
        contact = Contact(
            record_id=self._ids.new("00Q" if is_lead else "003"),
            is_lead=is_lead,
            account_id=None if is_lead else customer.account_id,
            customer=customer,
            person=person,
            phones=phones,
            numbers=known,
            address=address,
        )
        self.contacts.append(contact)
        self._know(contact)
        return contact

    def _know(self, contact: Contact) -> None:
        for number in contact.numbers:
            self._by_number[number].add(contact.customer_id)
        if contact.address:
            self._by_address[contact.address.lower()].add(contact.customer_id)

    def _enter_twice(self) -> None:
        """Let some people be contacts of a second firm, and some have a deleted duplicate there."""
        rng = self._rng
        firms = [customer for customer in self.customers if customer.account_id]
        if len(firms) < 2:
            return
        for contact in list(self.contacts):
            draw = rng.random()
            if contact.is_lead or draw >= _CONSULTANT_SHARE + _MERGED_SHARE:
                continue
            other = rng.choice(firms)
            if other is contact.customer:
                continue
            phones = {
                name: numbers.typed(number, rng) for name, number in zip(_PHONE_FIELDS, contact.numbers, strict=False)
            }
            twin = Contact(
                self._ids.new("003"), False, other.account_id, other, contact.person, phones, contact.numbers,
                contact.address, is_deleted=draw >= _CONSULTANT_SHARE,
            )  # fmt: skip
            self.contacts.append(twin)
            if not twin.is_deleted:
                self._know(twin)
