"""Rows of EspoCRM, told in the fields of canonical records; they may come of its interface, of files or of a database.

Its ids are unique in all entities. Source: the definitions of its entities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.errors import InvalidRecord
from pipeline.sources.beside import Tie, on_customers
from pipeline.sources.crm_activities import (
    address_ties,
    as_ticket,
    contacts_by_address,
    keys_of,
    time_logged,
    version_of,
)
from pipeline.sources.crm_modules import Tied
from pipeline.sources.crm_values import Clock, addresses_in, flag_of, id_of, ids_in, text_of, texts_of
from pipeline.sources.translation import Fields

FIELDS: Final = (
    "id", "createdAt", "modifiedAt", "createdById", "assignedUserId", "deleted", "status", "direction", "dateStart",
    "dateEnd", "priority", "parentType", "parentId", "accountId", "contactId", "contactsIds", "leadsIds", "callId",
    "messageId", "dateSent", "from", "to", "cc", "fromString", "isReplied", "sentById", "call_id", "firstName",
    "lastName", "phoneNumber", "phoneNumberData", "emailAddress", "emailAddressData", "website", "industry", "type",
    "billingAddressCity", "sicCode", "opportunityAmount", "convertedAt", "createdAccountId", "createdContactId",
    "source", "userName", "number", "post", "leadId", "meetingId", "emailId", "emailAddressId", "phoneNumberId",
    "entityId", "entityType", "caseId", "addressType", "name", "lower", "numeric", "role", "primary",
)  # fmt: skip
"""The fields that are read, and those that a mapping may name; call_id has none until a mapping gives it one."""

KINDS: Final[Mapping[str, str]] = {
    "Call": "call", "Meeting": "meeting", "Task": "task", "Email": "email", "Note": "note",
}  # fmt: skip
"""Entities of activities, and what their records are."""

LINKS: Final[Mapping[str, tuple[str, str, str]]] = {
    "call_contact": ("callId", "contactId", "contact"),
    "call_lead": ("callId", "leadId", "contact"),
    "meeting_contact": ("meetingId", "contactId", "contact"),
    "meeting_lead": ("meetingId", "leadId", "contact"),
    "case_contact": ("caseId", "contactId", "contact"),
    "entity_phone_number": ("entityId", "phoneNumberId", "phone id"),
    "phone_number": ("id", "name", "phone"),
    "email_address": ("id", "name", "address"),
    "email_email_address": ("emailId", "emailAddressId", "address id"),
}
"""Tables of the database that tie: the column of the record that is tied, that of the other one, what that one is."""

_PARENTS: Final = {"contact": "contact", "lead": "contact", "account": "account", "case": "case"}
_UNSENT: Final = frozenset({"draft", "sending", "failed"})
_DIRECTIONS: Final = {"inbound": "inbound", "outbound": "outbound"}


def told(module: str, row: Mapping[str, Any], clock: Clock, tied: Tied) -> Sequence[Fields]:
    """Return what a row of an entity tells: nothing, a canonical record, or several.

    `tied` knows what `ties` yields.

    Raises:
        InvalidRecord: when it has no id, or no time that can be read.
    """
    record_id = id_of(row.get("id"))
    if record_id is None:
        raise InvalidRecord(f"id: missing; every {module} has one")
    version = version_of(clock, row, ("modifiedAt", "createdAt"), ("deleted",), ())
    if module in KINDS:
        return _activity(module, record_id, row, clock, tied, version)
    emails, phones = _emails(record_id, row, tied), _phones(record_id, row, tied)
    if module == "User":
        return [{"kind": "user", "user_id": record_id, "email": next(iter(emails), None)}]
    if module == "Case":
        logged = time_logged(clock, row, ("createdAt",))
        ticket = {"kind": "ticket", "ticket_id": record_id, **logged, **_people(row), **version}
        contacts, accounts = _customers(row)
        return on_customers(ticket, [*contacts, *tied(record_id, "contact")], accounts)
    party = {"phones": phones, "emails": emails, **version}
    if module == "Account":
        segment = next(iter(texts_of(row, ("industry", "type"))), None)
        domains = texts_of(row, ("website",))
        return [{"kind": "account", "account_id": record_id, "domains": domains, "segment": segment, **party}]
    if module not in ("Contact", "Lead"):
        return ()
    # A lead that was converted is its account's and its contact's.
    owners = map(id_of, (row.get("accountId"), row.get("createdAccountId"), row.get("createdContactId")))
    account = next((other for other in owners if other), None)
    return [{"kind": "contact", "contact_id": record_id, "account_id": account, **party}]


def ties(module: str, row: Mapping[str, Any]) -> Iterator[Tie]:
    """Yield what a row ties: activities to customers, anybody to numbers and addresses, addresses to contacts."""
    if flag_of(row.get("deleted")):
        return
    if module in LINKS:
        column, other_column, what = LINKS[module]
        record, other = id_of(row.get(column)), text_of(row.get(other_column))[:1_000]
        if record and other:
            yield record, what, other
    elif module == "entity_email_address":
        entity, address = id_of(row.get("entityId")), id_of(row.get("emailAddressId"))
        if entity and address:
            yield entity, "address id", address
            if _PARENTS.get(text_of(row.get("entityType")).casefold()) == "contact":
                yield address, "contact", entity
    elif module in ("Contact", "Lead") and (contact := id_of(row.get("id"))):
        yield from address_ties(contact, _written(row, "emailAddress"))
    elif module == "Case" and (case := id_of(row.get("id"))):
        contacts, accounts = _customers(row)
        yield from ((case, "contact", other) for other in contacts)
        yield from ((case, "account", other) for other in accounts)


def _activity(
    module: str, record_id: str, row: Mapping[str, Any], clock: Clock, tied: Tied, version: Fields
) -> Sequence[Fields]:
    if module == "Note" and text_of(row.get("type")) != "Post":
        return ()  # the stream also tells of every change and of records that stand elsewhere
    status, is_email = text_of(row.get("status")).casefold(), module == "Email"
    is_talk = module in ("Call", "Meeting")
    parties = [address for name in ("from", "to", "cc") for address in addresses_in(row.get(name))]
    activity = {
        "kind": "activity",
        "activity_id": record_id,
        "activity_kind": KINDS[module],
        **time_logged(
            clock,
            row,
            created=("createdAt",),
            sent=("dateSent",) if is_email and text_of(row.get("messageId")) else (),
            ended=("dateEnd", "dateStart") if is_talk and status == "held" else (),
        ),
        **_people(row),
        "keys": keys_of(row.get("call_id"), row.get("messageId")),
        "direction": _DIRECTIONS.get(text_of(row.get("direction")).casefold()),
        **version,
    }
    if is_email and (status == "sent" or id_of(row.get("sentById"))):
        activity["direction"] = "outbound"
    if (is_talk and status in ("not held", "canceled")) or (is_email and status in _UNSENT):
        return [{**activity, "deleted": True}]
    contacts, accounts = _customers(row)
    contacts = [*contacts, *tied(record_id, "contact")]
    if is_email:
        known = [other for address in tied(record_id, "address id") for other in tied(address, "contact")]
        contacts = [*contacts, *known, *contacts_by_address(parties, tied)]
    parent, parent_id = _PARENTS.get(text_of(row.get("parentType")).casefold()), id_of(row.get("parentId"))
    if parent == "contact" and parent_id:
        contacts.append(parent_id)
    elif parent == "account" and parent_id:
        accounts = [*accounts, parent_id]
    elif parent == "case" and parent_id and not contacts and not accounts:
        contacts, accounts = list(tied(parent_id, "contact")), list(tied(parent_id, "account"))
        if not contacts and not accounts:
            theirs = "to" if activity["direction"] == "outbound" else "from"
            return [as_ticket(activity, (), addresses_in(row.get(theirs)))]
    return on_customers(activity, contacts, accounts)


def _customers(row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the contacts and accounts that a row names itself."""
    names = ("contactsIds", "leadsIds", "contactId", "leadId")
    contacts = [other for name in names for other in ids_in(row.get(name))]
    return contacts, ids_in(row.get("accountId"))


def _people(row: Mapping[str, Any]) -> Fields:
    return {"owner_id": id_of(row.get("assignedUserId")), "creator_id": id_of(row.get("createdById"))}


def _emails(record_id: str, row: Mapping[str, Any], tied: Tied) -> list[str]:
    beside = [text for other in tied(record_id, "address id") for text in tied(other, "address")]
    return list(dict.fromkeys([*_written(row, "emailAddress"), *beside]))


def _phones(record_id: str, row: Mapping[str, Any], tied: Tied) -> list[str]:
    beside = [text for other in tied(record_id, "phone id") for text in tied(other, "phone")]
    return list(dict.fromkeys([*_written(row, "phoneNumber"), *beside]))


def _written(row: Mapping[str, Any], name: str) -> list[str]:
    """Return the numbers or addresses that stand in a row: the first one, and all of them as objects."""
    listed = row.get(f"{name}Data")
    each = [other.get(name) for other in listed if isinstance(other, dict)] if isinstance(listed, list) else []
    return [text[:1_000] for value in (row.get(name), *each) if (text := text_of(value))]
