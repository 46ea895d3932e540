"""Rows of SuiteCRM and SugarCRM, told in the fields of canonical records; the rows may come of files or of a database.

Its ids are unique in all modules. Source: the variable definitions of its modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.errors import InvalidRecord
from pipeline.sources.beside import Tie, on_customers
from pipeline.sources.crm_activities import as_ticket, keys_of, time_logged, version_of
from pipeline.sources.crm_modules import Tied
from pipeline.sources.crm_values import Clock, addresses_in, flag_of, id_of, text_of, texts_of
from pipeline.sources.translation import Fields

PHONES: Final = (
    "phone_mobile", "phone_work", "phone_home", "phone_other", "phone_fax", "phone_office", "phone_alternate",
    "assistant_phone",
)  # fmt: skip
EMAILS: Final = ("email1", "email2", "email_address", "email_addresses_non_primary", "webtolead_email1")
FIELDS: Final = (
    "id", "date_entered", "date_modified", "created_by", "assigned_user_id", "deleted", "status", "direction",
    "date_start", "date_end", "duration_hours", "duration_minutes", "date_due", "priority", "location", "join_url",
    "parent_type", "parent_id", "contact_id", "account_id", "filename", "portal_flag", "embed_flag", "type", "intent",
    "message_id", "date_sent_received", "date_sent", "from_addr_name", "to_addrs_names",
    "from_addr", "to_addrs", "call_id", "first_name", "last_name", "lead_source_description",
    "account_description", "converted", "website", "industry", "account_type", "billing_address_city",
    "ticker_symbol", "user_name", "is_admin", "user_hash", "case_number", "work_log", "resolution", *PHONES, *EMAILS,
    "lead_id", "meeting_id", "email_id", "bean_id", "bean_module", "email_address_id", "primary_address",
    "accept_status", "email_address_caps", "case_id",
)  # fmt: skip
"""The columns that are read, and those that a mapping may name; call_id has none until a mapping gives it one."""

KINDS: Final[Mapping[str, str]] = {
    "calls": "call", "meetings": "meeting", "tasks": "task", "notes": "note", "emails": "email",
}  # fmt: skip
"""Modules of activities, and what their records are."""

LINKS: Final[Mapping[str, tuple[str, str, str]]] = {
    "calls_contacts": ("call_id", "contact_id", "contact"),
    "calls_leads": ("call_id", "lead_id", "contact"),
    "meetings_contacts": ("meeting_id", "contact_id", "contact"),
    "meetings_leads": ("meeting_id", "lead_id", "contact"),
    "accounts_contacts": ("contact_id", "account_id", "account"),
    "contacts_cases": ("case_id", "contact_id", "contact"),
}
"""Tables of pairs: the column of the record that is tied, that of the other one, and what the other one is."""

_NOBODY: Final = frozenset({"not held", "cancelled", "canceled"})
_UNSENT: Final = frozenset({"draft", "send_error"})
# Columns of the table of texts, and what the interface calls them.
_NOTED: Final = {"from_addr": "from_addr_name", "to_addrs": "to_addrs_names"}
_PARENTS: Final = {
    "contacts": "contact", "contact": "contact", "leads": "contact", "lead": "contact", "prospects": "contact",
    "accounts": "account", "account": "account", "cases": "case", "case": "case",
}  # fmt: skip
_DIRECTIONS: Final = {"inbound": "inbound", "outbound": "outbound", "out": "outbound"}


def told(module: str, row: Mapping[str, Any], clock: Clock, tied: Tied) -> Sequence[Fields]:
    """Return what a row of a module tells: nothing, a canonical record, or several.

    `tied` knows of an activity its contacts and accounts, of a case its contacts and accounts, and of anybody the
    addresses; see `ties`.

    Raises:
        InvalidRecord: when it has no id, or no time that can be read.
    """
    record_id = id_of(row.get("id"))
    if record_id is None:
        raise InvalidRecord(f"id: missing; every record of {module} has one")
    version = version_of(clock, row, ("date_modified", "date_entered"), ("deleted",), ())
    if module in KINDS:
        return _activity(module, record_id, {**_noted(record_id, tied), **row}, clock, tied, version)
    if module == "users":
        email = next(iter(_emails(record_id, row, tied)), None)
        return [{"kind": "user", "user_id": record_id, "email": email}]
    if module == "cases":
        ticket = {
            "kind": "ticket", "ticket_id": record_id, **time_logged(clock, row, ("date_entered",)), **_people(row),
            **version,
        }  # fmt: skip
        return on_customers(ticket, *_of_case(record_id, row, tied))
    if module not in ("contacts", "leads", "accounts"):
        return ()
    party = {"phones": list(dict.fromkeys(texts_of(row, PHONES))), "emails": _emails(record_id, row, tied), **version}
    if module == "accounts":
        segment = next(iter(texts_of(row, ("industry", "account_type"))), None)
        domains = texts_of(row, ("website",))
        return [{"kind": "account", "account_id": record_id, "domains": domains, "segment": segment, **party}]
    # A lead that was converted is its contact's and its account's.
    owners = (*tied(record_id, "account"), id_of(row.get("account_id")), id_of(row.get("contact_id")))
    account = next((other for other in owners if other), None)
    return [{"kind": "contact", "contact_id": record_id, "account_id": account, **party}]


def ties(module: str, row: Mapping[str, Any]) -> Iterator[Tie]:
    """Yield what a row ties: activities and contacts to customers, anybody to addresses, emails to their parties."""
    if flag_of(row.get("deleted")):
        return
    pairs: Sequence[tuple[str | None, str, str | None]]
    if module in LINKS:
        column, other_column, object_name = LINKS[module]
        pairs = ((id_of(row.get(column)), object_name, id_of(row.get(other_column))),)
    elif module == "emails_beans":
        what = _PARENTS.get(text_of(row.get("bean_module")).casefold(), "")
        pairs = ((id_of(row.get("email_id")), what, id_of(row.get("bean_id"))),)
    elif module == "email_addr_bean_rel":
        pairs = ((id_of(row.get("bean_id")), "address id", id_of(row.get("email_address_id"))),)
    elif module == "email_addresses":
        address = text_of(row.get("email_address"))[:1_000]
        pairs = ((id_of(row.get("id")), "address", address or None),)
    elif module == "emails_text":
        pairs = [
            (id_of(row.get("email_id")), name, each)
            for column, name in _NOTED.items()
            for each in addresses_in(row.get(column))
        ]
    elif module == "cases":
        pairs = ((id_of(row.get("id")), "account", id_of(row.get("account_id"))),)
    else:
        return
    for record, what, other in pairs:
        if record and what and other:
            yield record, what, other


def _activity(
    module: str, record_id: str, row: Mapping[str, Any], clock: Clock, tied: Tied, version: Fields
) -> Sequence[Fields]:
    status = text_of(row.get("status")).casefold()
    is_talk = module in ("calls", "meetings")
    activity = {
        "kind": "activity",
        "activity_id": record_id,
        "activity_kind": KINDS[module],
        **time_logged(
            clock,
            row,
            created=("date_entered",),
            sent=("date_sent_received", "date_sent") if module == "emails" and text_of(row.get("message_id")) else (),
            ended=("date_end", "date_start") if is_talk and status == "held" else (),
        ),
        **_people(row),
        "keys": keys_of(row.get("call_id"), row.get("message_id")),
        "direction": _DIRECTIONS.get(text_of(row.get("direction" if module == "calls" else "type")).casefold()),
        **version,
    }
    kind = text_of(row.get("type")).casefold()
    if (is_talk and status in _NOBODY) or (module == "emails" and {status, kind} & _UNSENT):
        return [{**activity, "deleted": True}]
    contacts, accounts = list(tied(record_id, "contact")), list(tied(record_id, "account"))
    cases = list(tied(record_id, "case"))
    if (contact := id_of(row.get("contact_id"))) is not None:
        contacts.append(contact)
    parent, parent_id = _PARENTS.get(text_of(row.get("parent_type")).casefold()), id_of(row.get("parent_id"))
    if parent_id is not None and parent is not None:
        {"contact": contacts, "account": accounts, "case": cases}[parent].append(parent_id)
    if cases and not contacts and not accounts:
        contacts = [other for case in cases for other in tied(case, "contact")]
        accounts = [other for case in cases for other in tied(case, "account")]
        if not contacts and not accounts:
            ours = "from" if activity["direction"] == "outbound" else "to"
            theirs = "to_addrs_names" if ours == "from" else "from_addr_name"
            return [as_ticket(activity, (), addresses_in(row.get(theirs)))]
    return on_customers(activity, contacts, accounts)


def _of_case(record_id: str, row: Mapping[str, Any], tied: Tied) -> tuple[Sequence[str], Sequence[str]]:
    account = id_of(row.get("account_id"))
    return tied(record_id, "contact"), (account,) if account else tied(record_id, "account")


def _people(row: Mapping[str, Any]) -> Fields:
    return {"owner_id": id_of(row.get("assigned_user_id")), "creator_id": id_of(row.get("created_by"))}


def _emails(record_id: str, row: Mapping[str, Any], tied: Tied) -> list[str]:
    """Return somebody's addresses: those of the row, and those that the tables of addresses give."""
    beside = [address for other in tied(record_id, "address id") for address in tied(other, "address")]
    found = [address for name in EMAILS for address in addresses_in(row.get(name))]
    return list(dict.fromkeys([*found, *beside]))


def _noted(record_id: str, tied: Tied) -> Fields:
    """Return the parties of an email, which the table of emails itself has not."""
    noted = {name: " ".join(tied(record_id, name)) for name in _NOTED.values()}
    return {name: parties for name, parties in noted.items() if parties}
