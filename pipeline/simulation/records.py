"""The CRM's tables as they fill: one row or more for each act of logging."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Final

from pipeline.simulation import numbers, salesforce
from pipeline.simulation.company import DOMAIN, Company, Representative
from pipeline.simulation.customers import Clientele, Contact, Customer, Person
from pipeline.simulation.truth import Interaction, Logged
from pipeline.simulation.worktime import DAY, HOUR, Calendar

if TYPE_CHECKING:
    from pipeline.simulation.crm import Entry

_CALL_SUBJECTS: Final = (
    "Puhelu: {}", "Soitto asiakkaalle: {}", "Soitettu, {}", "Call with {}", "Puhelu asiakkaan kanssa", "Phone call: {}",
)  # fmt: skip
_EMAIL_SUBJECTS: Final = ("Email: {}", "Sähköposti: {}", "[Email] {}")
_GENERAL_SUBJECTS: Final = ("Muistio", "Asiakkaan asia hoidettu", "Lisätietoja annettu", "Sovittu jatkosta")
_TOPICS: Final = ("tarjous", "lasku", "toimitus", "sopimus", "vikatilanne", "tilaus")
_KIND_FIELDS: Final = ("Type", "TaskSubtype", "CallType", "CallDurationInSeconds", "CallObject")
_NO: Final = "false"
_YES: Final = "true"

Row = dict[str, str]


class Ledger:
    """Takes entries in the order in which they are made; ids rise with time. `files()` are the exports."""

    def __init__(
        self, rng: Random, company: Company, clientele: Clientele, calendar: Calendar, ids: salesforce.SalesforceIds
    ) -> None:
        self._rng = rng
        self._company = company
        self._clientele = clientele
        self._calendar = calendar
        self._ids = ids
        self._tasks: list[Row] = []
        self._emails: list[Row] = []
        self._relations: list[Row] = []
        self._cases: list[Row] = []

    def enter(self, entry: Entry) -> None:
        """Write an entry's rows, and note the record with the interactions it was made for."""
        if entry.form == "task":
            self._enter_task(entry)
        elif entry.form == "email_message":
            self._enter_email(entry)
        else:
            self._enter_case(entry)

    def _enter_task(self, entry: Entry) -> None:
        rng = self._rng
        interaction, customer, person = entry.targets[0]
        task_id = self._ids.new("00T")
        draw, topic = rng.random(), rng.choice(_TOPICS)
        kind, subtype, type_, call_type, seconds = entry.channel, "Task", "", "", ""
        if draw < 0.07:
            kind_logged, subject = "task", rng.choice(_GENERAL_SUBJECTS)
        elif draw < 0.27:
            kind_logged = kind
            subject = rng.choice(_CALL_SUBJECTS if kind == "call" else _EMAIL_SUBJECTS).format(topic)
        else:
            kind_logged, subject = kind, f"{'Puhelu' if kind == 'call' else 'Viesti'}, {topic}"
            subtype = type_ = kind.capitalize()
            if kind == "call":
                call_type = "Outbound" if interaction and interaction.direction == "outbound" else "Inbound"
                seconds = str(interaction.talk_seconds) if interaction and rng.random() < 0.5 else ""
        call_id = interaction.keys[0] if interaction and entry.carries_call_id and kind_logged == "call" else ""
        self._add_task(task_id, entry, customer, person, subject, (type_, subtype, call_type, seconds, call_id))
        if interaction:
            interaction.records.append(
                Logged(
                    task_id, "task" if kind_logged == "task" else kind, _customer_id(customer, person), entry.maker,
                    entry.created_at, carries_key=bool(call_id),
                )
            )  # fmt: skip

    def _add_task(
        self,
        task_id: str,
        entry: Entry,
        customer: Customer,
        person: Person,
        subject: str,
        kind_cells: tuple[str, str, str, str, str],
    ) -> None:
        created = self._calendar.salesforce(entry.created_at)
        contact = person.contact
        account = (contact.account_id if contact else customer.account_id) or ""
        what = account if self._rng.random() < 0.6 or contact is None else ""
        user = entry.maker.user_id
        self._tasks.append(
            {
                "Id": task_id,
                "WhoId": contact.record_id if contact else "",
                "WhatId": what,
                "AccountId": account,
                "Subject": subject,
                "ActivityDate": self._calendar.utc_date(entry.created_at),
                "Status": "Completed",
                "Priority": "Normal",
                "IsClosed": _YES,
                "OwnerId": user,
                **dict(zip(_KIND_FIELDS, kind_cells, strict=True)),
                "CompletedDateTime": created,
                "CreatedDate": created,
                "CreatedById": user,
                "LastModifiedDate": self._changed(entry.created_at),
                "IsDeleted": _NO,
                "IsArchived": _NO,
            }
        )

    def _enter_email(self, entry: Entry) -> None:
        """Write an email with its relations; half of them also have the task that shows them."""
        interaction = _interaction(entry)
        email_id = self._ids.new("02s")
        task_id = self._ids.new("00T") if self._rng.random() < 0.5 else ""
        named = {p.contact.record_id: (i, c, p) for i, c, p in entry.targets if p.contact is not None}
        targets = list(named.values()) or entry.targets[:1]
        _, customer, person = targets[0]
        account = (person.contact.account_id if person.contact else customer.account_id) or ""
        related_to = account if person.contact is None or self._rng.random() < 0.6 else ""
        self._add_email(email_id, entry, interaction, "", task_id, related_to)
        self._relate(email_id, entry, interaction, [p.contact for _, _, p in targets if p.contact is not None])
        if task_id:
            self._add_task(task_id, entry, customer, person, "Email: viesti", ("Email", "Email", "", "", ""))
        own_key = bool(interaction.keys)
        at = entry.created_at if own_key else interaction.started_at
        base = task_id or email_id
        for party, customer, person in targets:
            assert party is not None
            activity_id = f"{base}:{person.contact.record_id}" if len(named) > 1 and person.contact else base
            customer_id = _customer_id(customer, person)
            party.records.append(Logged(activity_id, "email", customer_id, entry.maker, at, carries_key=own_key))
        for party, _, _ in entry.targets:
            assert party is not None
            if not any(record.created_at == at for record in party.records):
                party.is_mentioned_only = True

    def _add_email(
        self, email_id: str, entry: Entry, about: Interaction, parent: str, task_id: str, related_to: str
    ) -> None:
        incoming = about.direction == "inbound"
        own = about.representative.address if about.representative else f"info@{DOMAIN}"
        theirs = "; ".join(person.address for _, _, person in entry.targets)
        identifier = f"<{about.keys[0]}>" if about.keys else ""
        created = self._calendar.salesforce(entry.created_at)
        self._emails.append(
            {
                "Id": email_id,
                "ParentId": parent,
                "ActivityId": task_id,
                "RelatedToId": related_to,
                "MessageIdentifier": identifier,
                "FromAddress": theirs if incoming else own,
                "ToAddress": own if incoming else theirs,
                "Subject": "Viesti",
                "MessageDate": self._calendar.salesforce(about.started_at),
                "Incoming": _YES if incoming else _NO,
                "Status": "1" if incoming else "3",
                "CreatedDate": created,
                "CreatedById": entry.maker.user_id,
                "LastModifiedDate": created,
                "IsDeleted": _NO,
            }
        )

    def _relate(self, email_id: str, entry: Entry, about: Interaction, contacts: list[Contact]) -> None:
        incoming = about.direction == "inbound"
        user: Representative | None = about.representative
        ties = [
            (
                c.record_id,
                "FromAddress" if incoming else "ToAddress",
                "Lead" if c.is_lead else "Contact",
                c.person.address,
            )
            for c in contacts
        ]
        if user:
            ties.append((user.user_id, "ToAddress" if incoming else "FromAddress", "User", user.address))
        created = self._calendar.salesforce(entry.created_at)
        for related, role, object_name, address in ties:
            self._relations.append(
                {
                    "Id": self._ids.new("0D5"),
                    "EmailMessageId": email_id,
                    "RelationId": related,
                    "RelationType": role,
                    "RelationObjectType": object_name,
                    "RelationAddress": address,
                    "CreatedDate": created,
                    "IsDeleted": _NO,
                }
            )

    def _enter_case(self, entry: Entry) -> None:
        rng = self._rng
        interaction = _interaction(entry)
        _, customer, person = entry.targets[0]
        case_id = self._ids.new("500")
        is_tied = entry.form == "case"
        contact = person.contact if is_tied else None
        account = ((contact.account_id if contact else customer.account_id) or "") if is_tied else ""
        by_phone = entry.channel == "call"
        phone = numbers.typed(interaction.identifier, rng) if by_phone and interaction.identifier else ""
        closed = entry.created_at + rng.randint(0, 2 * DAY)
        is_closed = closed <= self._calendar.ends_at
        changed = self._calendar.salesforce(closed if is_closed else entry.created_at)
        self._cases.append(
            {
                "Id": case_id,
                "CaseNumber": f"{len(self._cases) + 1:08d}",
                "ContactId": contact.record_id if contact else "",
                "AccountId": account,
                "SuppliedName": person.name,
                "SuppliedEmail": "" if by_phone else person.address,
                "SuppliedPhone": phone,
                "Origin": "Phone" if by_phone else "Email",
                "Subject": f"Asia: {rng.choice(_TOPICS)}",
                "Status": "Closed" if is_closed else "New",
                "Priority": "Medium",
                "OwnerId": entry.maker.user_id,
                "CreatedDate": self._calendar.salesforce(entry.created_at),
                "CreatedById": entry.maker.user_id,
                "ClosedDate": changed if is_closed else "",
                "LastModifiedDate": changed,
                "IsDeleted": _NO,
            }
        )
        customer_id = _customer_id(customer, person) if is_tied else None
        interaction.records.append(Logged(case_id, "ticket", customer_id, entry.maker, entry.created_at))
        if not is_tied and not by_phone and rng.random() < 0.5:
            email_id = self._ids.new("02s")
            self._add_email(email_id, entry, interaction, case_id, "", "")
            interaction.records.append(Logged(email_id, "ticket", None, entry.maker, entry.created_at))

    def _changed(self, created_at: int) -> str:
        """Return when a record was last changed: mostly when it was made."""
        later = self._rng.randint(1, 2 * DAY) if self._rng.random() < 0.1 else 0
        return self._calendar.salesforce(min(created_at + later, self._calendar.ends_at))

    # The exports

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield the exports by object. The CRM's people and firms were entered in the year before."""
        tables = (
            ("Account", salesforce.ACCOUNT, self._account_rows()),
            ("Case", salesforce.CASE, iter(self._cases)),
            ("Contact", salesforce.CONTACT, self._contact_rows()),
            ("EmailMessage", salesforce.EMAIL_MESSAGE, iter(self._emails)),
            ("EmailMessageRelation", salesforce.RELATION, iter(self._relations)),
            ("Lead", salesforce.LEAD, self._lead_rows()),
            ("Task", salesforce.TASK, iter(self._tasks)),
            ("User", salesforce.USER, self._user_rows()),
        )
        for name, header, rows in tables:
            yield f"{salesforce.FOLDER}/{name}.csv", salesforce.export(header, rows)

    def _account_rows(self) -> Iterator[Row]:
        for customer in self._clientele.customers:
            if customer.account_id:
                yield {
                    "Id": customer.account_id,
                    "Name": customer.name,
                    "Phone": customer.account_number,
                    "Website": customer.website,
                    "Type": customer.segment,
                    **self._origin(customer),
                }

    def _contact_rows(self) -> Iterator[Row]:
        for contact in self._clientele.contacts:
            if not contact.is_lead:
                account = {"AccountId": contact.account_id or ""}
                yield {**_person_cells(contact), **account, **self._origin(contact.customer, contact.is_deleted)}

    def _lead_rows(self) -> Iterator[Row]:
        for contact in self._clientele.contacts:
            if contact.is_lead:
                state = {"Company": "Yksityinen", "Status": "Open", "IsConverted": _NO}
                yield {**_person_cells(contact), **state, **self._origin(contact.customer)}

    def _user_rows(self) -> Iterator[Row]:
        for person in self._company.representatives:
            entered = self._entered()
            yield {
                "Id": person.user_id,
                "Username": person.address,
                "Alias": person.representative_id,
                "FirstName": person.first_name,
                "LastName": person.last_name,
                "Name": person.name,
                "Email": person.address,
                "Department": person.team.name,
                "IsActive": _YES,
                "UserType": "Standard",
                "CreatedDate": entered,
                "LastModifiedDate": entered,
            }

    def _origin(self, customer: Customer, is_deleted: bool = False) -> Row:
        """Return the cells that say whose a record is and since when it stands."""
        owner = customer.owner or self._company.representatives[0]
        entered = self._entered()
        return {
            "OwnerId": owner.user_id,
            "CreatedDate": entered,
            "LastModifiedDate": entered,
            "IsDeleted": _YES if is_deleted else _NO,
        }

    def _entered(self) -> str:
        return self._calendar.salesforce(self._calendar.begins_at - self._rng.randint(DAY, 400 * DAY) + 9 * HOUR)


def _person_cells(contact: Contact) -> Row:
    person = contact.person
    return {
        "Id": contact.record_id,
        "FirstName": person.first_name,
        "LastName": person.last_name,
        "Name": person.name,
        "Email": contact.address,
        **contact.phones,
    }


def _customer_id(customer: Customer, person: Person) -> str | None:
    return person.contact.customer_id if person.contact else customer.account_id


def _interaction(entry: Entry) -> Interaction:
    interaction = entry.targets[0][0]
    if interaction is None:
        raise ValueError(f"an entry of form {entry.form} is about nothing")
    return interaction
