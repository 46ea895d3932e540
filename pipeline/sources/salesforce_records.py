"""One record of Salesforce, turned into facts: whose it is, what it logs, and when that was logged."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from pipeline.errors import InvalidRecord
from pipeline.sources.message_headers import masked_key
from pipeline.sources.registry import ReadContext
from pipeline.sources.salesforce_dialect import Moment, Row, local_day
from pipeline.sources.salesforce_options import RecordOptions, event_kind, task_kind
from pipeline.sources.salesforce_siblings import EmailSiblings, Relation

PHONES: Final = ("Phone", "MobilePhone", "HomePhone", "OtherPhone", "AssistantPhone", "Fax")
ACCOUNT_PHONES: Final = (
    "Phone", "PersonMobilePhone", "PersonHomePhone", "PersonOtherPhone", "PersonAssistantPhone", "Fax",
)  # fmt: skip
_ADDRESS: Final = re.compile(r"[^\s;,<>\"]+@[^\s;,<>\"]+")
_MAX_ADDRESSES: Final = 4_000
"""Characters of an address list that are looked at; Salesforce keeps no longer ones."""

_DRAFT: Final = frozenset({"5", "draft"})

PRECEDENCE: Final = timedelta(days=365_242)
"""How far the version times of two kinds of record about one email stand apart: a thousand years.

Salesforce keeps an email twice: as an EmailMessage and as a Task that shows it in the activity history.
Both become versions of one activity, and the later version counts. Either may be changed later than the
other and be read first or last, so the EmailMessage's version time is moved ahead of every real time; behind
every real time where it knows neither a customer nor a key and the Task can only know more. Among
versions of one record the order stays as it was.
"""


# Tuples, not lists: half the garbage to collect.
Strings = tuple[str, ...]


class ActivityRow(NamedTuple):
    """A row of `schemas.facts.ACTIVITY`, in its order."""

    raw_id: str
    source: str
    activity_id: str
    kind: str
    logged_from: datetime
    logged_to: datetime
    precision: str
    owner_id: str | None
    creator_id: str | None
    contact_ids: Strings
    account_ids: Strings
    keys: Strings
    tokens: Strings
    direction: str | None
    updated_at: datetime | None
    deleted: bool


Fact = tuple[str, tuple[object, ...]]


class RecordReader:
    """Reads the records of one file, all of one object.

    `complete_through` is the greatest time of creation or change met so far that is not after the reading itself.
    """

    def __init__(self, object_name: str, context: ReadContext, options: RecordOptions, siblings: EmailSiblings) -> None:
        read_at = context.read_at
        self.now = read_at if read_at.tzinfo is None else read_at.astimezone(UTC).replace(tzinfo=None)
        self._object = object_name
        self._context = context
        self._options = options
        self._siblings = siblings
        self._tokens = context.identifiers
        self.complete_through = datetime.min
        self.unreadable_changes = 0
        self._readers = {
            "Task": self._task, "Event": self._event, "EmailMessage": self._email, "Case": self._case,
            "Contact": self._contact, "Lead": self._lead, "Account": self._account, "User": self._user,
        }  # fmt: skip

    def read(self, row: Row, raw_id: str) -> Iterable[Fact]:
        """Return the facts of one record: none where it has none to give.

        Raises:
            InvalidRecord: when it has no id, no readable time, or a time that has not come yet.
        """
        reader = self._readers.get(self._object)
        if reader is None or row.flag("_fivetran_active") is False:  # a version that the warehouse itself superseded
            return ()
        record_id = row.id("Id") or row.id("Guid")
        if record_id is None:
            raise InvalidRecord(f"{self._object} without an Id")
        return reader(row, raw_id, record_id)

    # Who

    def _contact(self, row: Row, raw_id: str, contact_id: str) -> Iterable[Fact]:
        return self._person(row, raw_id, contact_id, row.id("AccountId"))

    def _lead(self, row: Row, raw_id: str, lead_id: str) -> Iterable[Fact]:
        return self._person(row, raw_id, lead_id, row.id("ConvertedAccountId") or row.id("ConvertedContactId"))

    def _person(self, row: Row, raw_id: str, contact_id: str, account_id: str | None) -> Iterable[Fact]:
        _, updated, deleted = self._state(row, is_activity=False)
        tokens = self._identities(row, (*PHONES, *self._options.phone_fields), ("Email", *self._options.email_fields))
        yield "contact", (raw_id, self._context.source, contact_id, account_id, tokens, updated, deleted)

    def _account(self, row: Row, raw_id: str, account_id: str) -> Iterable[Fact]:
        _, updated, deleted = self._state(row, is_activity=False)
        options = self._options
        tokens = self._identities(row, (*ACCOUNT_PHONES, *options.phone_fields), ("PersonEmail", *options.email_fields))
        domain = self._tokens.domain_token(row.text("Website"))
        domains = _listed(domain)
        segment = row.text(options.segment_field) if options.segment_field else row.text("Industry") or row.text("Type")
        source = self._context.source
        yield "account", (raw_id, source, account_id, tokens, domains, segment or None, updated, deleted)

    def _user(self, row: Row, raw_id: str, user_id: str) -> Iterable[Fact]:
        email = self._tokens.email(row.text("Email")).token or self._tokens.email(row.text("Username")).token
        yield "crm_user", (raw_id, self._context.source, user_id, email)

    def _identities(self, row: Row, phones: Iterable[str], emails: Iterable[str]) -> Strings:
        """Return the tokens of the numbers and addresses in some fields, each once, sorted."""
        found = [self._tokens.phone(text).token for field in phones if (text := row.text(field))]
        found += [self._tokens.email(text).token for field in emails if (text := row.text(field))]
        return tuple(sorted({token for token in found if token}))

    # What was logged

    def _task(self, row: Row, raw_id: str, task_id: str) -> Iterable[Fact]:
        return self._logged_by_hand(row, raw_id, task_id, task_kind(row, self._options))

    def _event(self, row: Row, raw_id: str, event_id: str) -> Iterable[Fact]:
        return self._logged_by_hand(row, raw_id, event_id, event_kind(row, self._options))

    def _logged_by_hand(self, row: Row, raw_id: str, activity_id: str, kind: str) -> Iterable[Fact]:
        created, updated, deleted = self._state(row, is_activity=True)
        logged = created or self._past("CompletedDateTime", row) or self._due(row)
        who, account, what = row.id("WhoId"), row.id("AccountId"), row.id("WhatId")
        accounts = _listed(account)
        if what and what[:3] == "001" and what != account:
            accounts = (*accounts, what)
        keys = _listed(row.text("CallObject"))
        if message := masked_key(row.text("MessageIdentifier")):
            keys = (*keys, message)
        call_type = row.text("CallType").lower()
        yield "activity", ActivityRow(
            raw_id, self._context.source, activity_id, kind, *logged, row.id("OwnerId"), row.id("CreatedById"),
            _listed(who), accounts, keys, (),
            call_type if call_type in ("inbound", "outbound") else None, updated, deleted,
        )  # fmt: skip

    def _case(self, row: Row, raw_id: str, case_id: str) -> Iterable[Fact]:
        created, updated, deleted = self._state(row, is_activity=True)
        if created is None:
            raise InvalidRecord("Case without a CreatedDate: nothing says when it was opened")
        contact, account = row.id("ContactId"), row.id("AccountId")
        tokens = self._identities(
            row, ("SuppliedPhone", "ContactPhone", "ContactMobile", "ContactFax"), ("SuppliedEmail", "ContactEmail")
        )
        yield "activity", ActivityRow(
            raw_id, self._context.source, case_id, "ticket", *created, row.id("OwnerId"), row.id("CreatedById"),
            _listed(contact), _listed(account), (), tokens, None, updated, deleted,
        )  # fmt: skip

    def _email(self, row: Row, raw_id: str, email_id: str) -> Iterable[Fact]:
        created, updated, deleted = self._state(row, is_activity=True)
        if row.text("Status").lower() in _DRAFT:
            return
        logged = self._sent(row) or created
        if logged is None:
            raise InvalidRecord("EmailMessage without a MessageDate or CreatedDate in the past")
        task_id, case_id = row.id("ActivityId"), row.id("ParentId")
        incoming = row.flag("Incoming")
        relations = self._siblings.relations(email_id)
        contacts, accounts, owner = _tied(relations, incoming, row.id("RelatedToId"))
        task = self._siblings.task(task_id) if task_id else None
        if task is not None:
            if not contacts and not accounts:
                contacts, accounts = _listed(task.contact_id), _listed(task.account_id)
            owner = owner or task.owner_id
        if case_id and not contacts and not accounts:
            case = self._siblings.case(case_id)
            contacts, accounts = (_listed(case.contact_id), _listed(case.account_id)) if case else ((), ())
        key = masked_key(row.text("MessageIdentifier")[:1_000])
        kind, tokens = "email", _listed(None)
        if case_id and not contacts and not accounts:
            # Part of a ticket that no customer is known for: it may show a silo, it is no trace.
            kind, tokens = "ticket", self._requesters(row, incoming)
        version = updated or logged.first
        if task_id:
            version += PRECEDENCE if key or contacts or accounts else -PRECEDENCE
        activity = ActivityRow(
            raw_id, self._context.source, task_id or email_id, kind, *logged, owner, row.id("CreatedById"), contacts,
            accounts, _listed(key), tokens, _email_direction(incoming), version, deleted,
        )  # fmt: skip
        for version_of_customer in _per_customer(activity):
            yield "activity", version_of_customer

    def _requesters(self, row: Row, incoming: bool | None) -> Strings:
        fields = ("ToAddress",) if incoming is False else ("FromAddress",)
        addresses = [a for field in fields for a in _ADDRESS.findall(row.text(field)[:_MAX_ADDRESSES])]
        tokens = (self._tokens.email(address).token for address in addresses)
        return tuple(sorted({token for token in tokens if token}))

    # When

    def _state(self, row: Row, is_activity: bool) -> tuple[Moment | None, datetime | None, bool]:
        """Return when the record was created and last changed, and whether it is deleted.

        Only an activity needs to know when it was created: a contact without that is a contact.
        """
        created = None
        if is_activity or self._readable("CreatedDate", row):
            created = self._past("CreatedDate", row)
        updated = created.first if created else None
        for field in ("SystemModstamp", "LastModifiedDate"):
            changed = self._readable(field, row)
            if changed:
                updated = changed.first
                break
        for instant in (updated, created.first if created else None):
            if instant:
                self.advance(instant)
        return created, updated, bool(row.flag("IsDeleted") or row.flag("_fivetran_deleted"))

    def advance(self, instant: datetime) -> None:
        """Take note of a time of creation or change."""
        if self.complete_through < instant <= self.now:
            self.complete_through = instant

    def _readable(self, field: str, row: Row) -> Moment | None:
        try:
            return row.moment(field, self._context.zone)
        except InvalidRecord:
            self.unreadable_changes += 1
            return None

    def _past(self, field: str, row: Row) -> Moment | None:
        moment = row.moment(field, self._context.zone)
        if moment and moment.first > self.now + timedelta(days=1):
            raise InvalidRecord(f"dated in the future: {field} is more than a day after the file was read")
        return moment

    def _sent(self, row: Row) -> Moment | None:
        """Return the email's own time; None when its sender's clock ran wild."""
        try:
            return self._past("MessageDate", row)
        except InvalidRecord:
            return None

    def _due(self, row: Row) -> Moment:
        zone = self._context.zone
        due = row.day("ActivityDate", zone)
        for field in ("ActivityDateTime", "StartDateTime"):
            if due is None and (start := row.moment(field, zone)):
                local = start.first.replace(tzinfo=UTC).astimezone(zone)
                due = local_day(local.date().isoformat(), zone)
        if due is None:
            raise InvalidRecord(f"{self._object} without a time: CreatedDate and ActivityDate are empty")
        return due


def _email_direction(incoming: bool | None) -> str | None:
    return None if incoming is None else "inbound" if incoming else "outbound"


def _listed(value: str | None) -> Strings:
    return (value,) if value else ()


def _tied(
    relations: Iterable[Relation], incoming: bool | None, related_to: str | None
) -> tuple[Strings, Strings, str | None]:
    """Return the contacts and accounts an email is tied to, and the user on our side of it."""
    contacts = {r.id for r in relations if r.is_contact}
    accounts = {r.id for r in relations if r.is_account}
    if related_to and related_to[:3] == "001":
        accounts.add(related_to)
    if related_to and related_to[:3] in ("003", "00Q"):
        contacts.add(related_to)
    users = sorted((r.role, r.id) for r in relations if r.is_user and (r.is_sender is not bool(incoming)))
    return tuple(sorted(contacts)), tuple(sorted(accounts)), users[0][1] if users else None


def _per_customer(activity: ActivityRow) -> Iterable[ActivityRow]:
    """Return one activity per customer that an email is tied to.

    With one contact its account goes with it. With several contacts each has an activity of its own, tied to that
    contact alone, and an activity under the record's own id is deleted, so that a shadow Task does not stay.
    """
    contacts, accounts = activity.contact_ids, activity.account_ids
    if len(contacts) < 2 and len(accounts) < 2:
        return [activity]
    base = activity.activity_id
    ties = [(_listed(c), _listed(None)) for c in contacts] or [(_listed(None), _listed(a)) for a in accounts]
    if len(ties) == 1:
        return [activity]
    split = [activity._replace(activity_id=f"{base}:{(c or a)[0]}", contact_ids=c, account_ids=a) for c, a in ties]
    return [activity._replace(contact_ids=(), account_ids=(), tokens=(), deleted=True), *split]
