"""Rows of Zoho CRM, told in the fields of canonical records; they may come of its interface, of a backup or of exports.

Its ids are unique in all modules; a backup writes zcrm_ before them. Source: the reference of its interface.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.errors import InvalidRecord
from pipeline.sources.beside import Tie, on_customers
from pipeline.sources.crm_activities import address_ties, contacts_by_address, keys_of, time_logged
from pipeline.sources.crm_modules import Tied
from pipeline.sources.crm_values import Clock, addresses_in, id_of, ids_in, text_of, texts_of
from pipeline.sources.translation import Fields

PHONES: Final = ("Phone", "Mobile", "Home_Phone", "Other_Phone", "Asst_Phone", "Fax")
EMAILS: Final = ("Email", "Secondary_Email")
FIELDS: Final = (
    "id", "Owner", "Created_By", "Created_Time", "Modified_Time", "Who_Id", "What_Id", "$se_module", "Call_Type",
    "Call_Status", "Outgoing_Call_Status", "Call_Start_Time", "Telephony_External_ID__s", "Event_Title",
    "Start_DateTime", "Participants", "Venue", "Subject", "Status", "Due_Date", "Note_Content", "Parent_Id",
    "Parent_Module", "Case_Number", "Related_To", "message_id", "from", "to", "cc", "sent", "sent_time", "time",
    "linked_record", "Record_Name", "Module", "Sender", "Last_Name", "Company", "Lead_Status", "Lead_Source",
    "Converted_Account", "Converted_Contact", "Account_Name", "Account_Type", "Billing_City", "Ownership",
    "Mailing_City", "Website", "Industry", "zuid", "role", "profile", *PHONES, *EMAILS,
)  # fmt: skip
"""The fields that are read, by their names in the interface, and those that a mapping may name."""

OTHERS: Final = {
    "id": ("Record Id",),
    "Owner": tuple(
        f"{name}Owner.id"
        for name in ("Contact ", "Lead ", "Account ", "Call ", "Task ", "Event ", "Note ", "Case ", "")
    ),
    "Created_By": ("Created By.id",),
    "Who_Id": ("Contact Name.id", "Who Id.id"),
    "What_Id": ("Related To.id", "What Id.id"),
    "$se_module": ("Related To Module",),
    "Account_Name": ("Account Name.id",),
    "Parent_Id": ("Parent.id", "Parent Id.id", "Associated_Id"),
    "Record_Name": ("Record Name.id",),
    "Converted_Account": ("Converted Account.id",),
    "Converted_Contact": ("Converted Contact.id",),
    "Event_Title": ("Title",),
}  # fmt: skip
"""Names of columns in a backup and in exports, where ids stand beside names."""

KINDS: Final[Mapping[str, str]] = {
    "Calls": "call", "Events": "meeting", "Tasks": "task", "Notes": "note", "Emails": "email",
}  # fmt: skip
"""Modules of activities, and what their records are."""

_CUSTOMERS: Final = {"contacts": "contact", "leads": "contact", "accounts": "account", "": "contact"}
_TALKED_TO_NOBODY: Final = re.compile(r"unattended|missed|cancel", re.IGNORECASE)
_PLANNED: Final = frozenset({"scheduled", "overdue"})
_UNSENT: Final = frozenset({"draft", "drafts", "scheduled", "failed", "bounced"})
_DIRECTIONS: Final = {"inbound": "inbound", "outbound": "outbound"}
_ID: Final = re.compile(r"(?:zcrm_)?(\d{1,30})")


def told(module: str, row: Mapping[str, Any], clock: Clock, tied: Tied) -> Sequence[Fields]:
    """Return what a row of a module tells: nothing, a canonical record, or several.

    `tied` knows what `ties` yields.

    Raises:
        InvalidRecord: when it has no id, or no time that can be read.
    """
    record_id = _id(row.get("id")) or (id_of(row.get("message_id")) if module == "Emails" else None)
    if record_id is None:
        raise InvalidRecord(f"id: missing; every record of {module} has one")
    version = {"updated_at": clock.changed(row, "Modified_Time", "Created_Time"), "deleted": False}
    if module == "Emails":
        return _email(record_id, row, clock, tied, version)
    if module in KINDS:
        return _activity(module, record_id, row, clock, version)
    if module == "Users":
        return [{"kind": "user", "user_id": record_id, "email": text_of(row.get("Email"))[:1_000] or None}]
    if module == "Cases":
        ticket = {
            "kind": "ticket", "ticket_id": record_id, **time_logged(clock, row, ("Created_Time",)), **_people(row),
            **version,
        }  # fmt: skip
        found = (_id(row.get(name)) for name in ("Who_Id", "Related_To", "What_Id"))
        return on_customers(ticket, [contact for contact in found if contact], _ids(row.get("Account_Name")))
    party = {"phones": texts_of(row, PHONES), "emails": texts_of(row, EMAILS), **version}
    if module == "Accounts":
        segment = next(iter(texts_of(row, ("Industry", "Account_Type"))), None)
        domains = texts_of(row, ("Website",))
        return [{"kind": "account", "account_id": record_id, "domains": domains, "segment": segment, **party}]
    if module not in ("Contacts", "Leads"):
        return ()
    # A lead that was converted is its account's, or its contact's.
    names = ("Account_Name",) if module == "Contacts" else ("Converted_Account", "Converted_Contact")
    owners = (_id(row.get(name)) for name in names)
    account = next((other for other in owners if other), None)
    return [{"kind": "contact", "contact_id": record_id, "account_id": account, **party}]


def ties(module: str, row: Mapping[str, Any]) -> Iterator[Tie]:
    """Yield the addresses of a contact or a lead, by which an email finds it."""
    record_id = _id(row.get("id"))
    if module in ("Contacts", "Leads") and record_id:
        yield from address_ties(record_id, texts_of(row, EMAILS))


def _activity(module: str, record_id: str, row: Mapping[str, Any], clock: Clock, version: Fields) -> Sequence[Fields]:
    is_call = module == "Calls"
    statuses = {text.casefold() for text in texts_of(row, ("Call_Status", "Outgoing_Call_Status"))}
    activity = {
        "kind": "activity",
        "activity_id": record_id,
        "activity_kind": KINDS[module],
        **time_logged(
            clock, row, ("Created_Time",), ended=("Call_Start_Time",) if is_call and not statuses & _PLANNED else ()
        ),
        **_people(row),
        "keys": keys_of(row.get("Telephony_External_ID__s"), None),
        "direction": _DIRECTIONS.get(text_of(row.get("Call_Type")).casefold()),
        **version,
    }
    if is_call and any(map(_TALKED_TO_NOBODY.search, (*statuses, text_of(row.get("Call_Type"))))):
        return [{**activity, "deleted": True}]
    contacts, accounts = _ids(row.get("Who_Id")), list[str]()
    parent, what = ("Parent_Id", "Parent_Module") if module == "Notes" else ("What_Id", "$se_module")
    kind = _CUSTOMERS.get(_module_of(row, parent, what))
    (accounts if kind == "account" else contacts).extend(_ids(row.get(parent)) if kind else ())
    guests = row.get("Participants")
    for guest in guests[:1_000] if isinstance(guests, list) else ():
        if isinstance(guest, dict) and text_of(guest.get("type")).casefold() in ("contact", "lead"):
            contacts.extend(_ids(guest.get("participant")))
    return on_customers(activity, contacts, accounts)


def _email(record_id: str, row: Mapping[str, Any], clock: Clock, tied: Tied, version: Fields) -> Sequence[Fields]:
    """Return an email; one that the interface gives for each record that it is linked to is one on each."""
    parties = [address for name in ("from", "to", "cc", "Sender") for address in _addresses(row.get(name))]
    is_sent = text_of(row.get("sent")).casefold() == "true" or "Sender" in row
    email = {
        "kind": "activity",
        "activity_id": record_id,
        "activity_kind": "email",
        **time_logged(clock, row, ("sent_time", "time", "Created_Time")),
        **_people(row),
        # The interface's own id of an email is no Message-ID.
        "keys": keys_of(None, row.get("message_id") if "@" in text_of(row.get("message_id")) else None),
        "direction": "outbound" if is_sent else "inbound",
        **version,
    }
    if _statuses(row) & _UNSENT:
        return [{**email, "deleted": True}]
    module = _module_of(row, "linked_record", "Module")
    linked = [number for name in ("linked_record", "Record_Name") for number in _ids(row.get(name))]
    kind = _CUSTOMERS.get(module)
    if linked and kind and module:
        tied_to: Fields = {"contact_ids" if kind == "contact" else "account_ids": linked[:1]}
        return [{**email, "activity_id": f"{record_id}:{linked[0]}", **tied_to}]
    return on_customers(email, contacts_by_address(parties, tied), ())


def _people(row: Mapping[str, Any]) -> Fields:
    return {"owner_id": _id(row.get("Owner")), "creator_id": _id(row.get("Created_By"))}


def _module_of(row: Mapping[str, Any], name: str, beside: str) -> str:
    """Return the module that a lookup leads to, in lower case; empty when nothing says it."""
    held = row.get(name)
    module = held.get("module") if isinstance(held, dict) else None
    if isinstance(module, dict):
        module = module.get("api_name")
    return (text_of(module) or text_of(row.get(beside)) or text_of(row.get("$se_module"))).casefold()


def _statuses(row: Mapping[str, Any]) -> set[str]:
    held = row.get("Status")
    each = held if isinstance(held, list) else [held]
    return {text_of(other.get("type") if isinstance(other, dict) else other).casefold() for other in each}


def _addresses(value: object) -> list[str]:
    each = value[:1_000] if isinstance(value, list) else [value]
    return [found for other in each for found in addresses_in(other.get("email") if isinstance(other, dict) else other)]


def _ids(value: object) -> list[str]:
    """Return the numbers that a value holds; exports for people have names in their places, which are none."""
    found = map(_ID.fullmatch, ids_in(value))
    return [match[1] for match in found if match is not None]


def _id(value: object) -> str | None:
    return next(iter(_ids(value)), None)
