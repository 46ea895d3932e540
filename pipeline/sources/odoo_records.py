"""Rows of Odoo, told in the fields of canonical records; they may come of its interface, of exports or of a database.

Numbers of records are unique in a model alone, so ids have their model in front as Odoo names references, as in
res.partner,7; users have their number alone. Source: the definitions of its models, and of crm_phonecall and
helpdesk_mgmt of its community.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import orjson

from pipeline.errors import InvalidRecord
from pipeline.json_text import load_json
from pipeline.sources.beside import Tie, on_customers
from pipeline.sources.crm_activities import address_ties, contacts_by_address, keys_of, time_logged
from pipeline.sources.crm_modules import Tied
from pipeline.sources.crm_values import Clock, addresses_in, flag_of, text_of, texts_of
from pipeline.sources.translation import Fields

FIELDS: Final = (
    "id", "create_date", "write_date", "create_uid", "user_id", "active", "email", "phone", "mobile",
    "phone_sanitized", "is_company", "parent_id", "commercial_partner_id", "website", "industry_id", "model",
    "res_model", "res_id", "message_type", "subtype_id", "is_internal", "mail_activity_type_id", "author_id",
    "email_from", "partner_ids", "message_id", "date", "activity_type_id", "date_deadline", "state", "direction",
    "date_closed", "duration", "partner_id", "partner_phone", "partner_mobile", "opportunity_id", "call_id", "stage_id",
    "expected_revenue", "contact_name", "partner_name", "login", "share", "name", "category", "delay_unit", "internal",
    "hidden", "paperformat_id", "allday", "start", "partner_email", "team_id", "mail_message_id", "calendar_event_id",
    "res_partner_id",
)  # fmt: skip
"""The fields that are read, and those that a mapping may name; call_id has none until a mapping gives it one."""

REFERENCES: Final = (
    "create_uid", "user_id", "parent_id", "commercial_partner_id", "author_id", "partner_ids", "partner_id",
    "opportunity_id", "res_id",
)  # fmt: skip
"""Fields that lead to records; an export writes them as NAME/id or NAME/.id, and their names without."""

OTHERS: Final = {name: (f"{name}/id",) for name in REFERENCES}

MODELS: Final = (
    "res.partner", "crm.lead", "res.users", "mail.message", "mail.activity", "calendar.event", "crm.phonecall",
    "helpdesk.ticket",
)  # fmt: skip
TYPES: Final = "mail.activity.type"
"""The model of types of activities: it says what they are in whatever language they are named."""
SUBTYPES: Final = "mail.message.subtype"
"""The model of subtypes of messages: it says which ones are notes."""
COMPANIES: Final = "res.company"
"""The model of the companies that work with Odoo, which are partners too."""
LINKS: Final[Mapping[str, tuple[str, str]]] = {
    "mail_message_res_partner_rel": ("mail.message", "mail_message_id"),
    "calendar_event_res_partner_rel": ("calendar.event", "calendar_event_id"),
}
"""Tables of the database that tie records to partners: the model of the records, and the column that leads to them."""

_ON_CUSTOMERS: Final = ("res.partner", "crm.lead")
_CHANNELS: Final = frozenset({"mail.channel", "discuss.channel"})
_KINDS: Final = {"email": "email", "comment": "email", "sms": "sms", "whatsapp_message": "chat", "snailmail": "other"}
# Categories of types of activities, and the names of those that Odoo comes with; most have no category of their own.
_TYPES: Final = {
    "phonecall": "call", "call": "call", "meeting": "meeting", "email": "email", "to-do": "task", "to do": "task",
    "default": "task", "upload_file": "task", "upload document": "task",
}  # fmt: skip
_NO_CATEGORY: Final = "default"
_STATES: Final = {"held": "done", "done": "done", "cancel": "cancel", "cancelled": "cancel", "canceled": "cancel"}
_DIRECTIONS: Final = {"in": "inbound", "out": "outbound", "inbound": "inbound", "outbound": "outbound"}
_EXPORTED: Final = re.compile(r"__export__\.\w+?_(\d{1,18})(?:_[0-9a-f]{1,40})?")
_EXTERNAL: Final = re.compile(r"[A-Za-z][\w-]{0,60}\.[\w.-]{1,99}")


def told(module: str, row: Mapping[str, Any], clock: Clock, tied: Tied) -> Sequence[Fields]:
    """Return what a row of a model tells: nothing, a canonical record, or several.

    `tied` knows what `ties` yields.

    Raises:
        InvalidRecord: when it has no id, or no time that can be read.
    """
    number = reference(row.get("id"))
    if number is None:
        raise InvalidRecord(f"id: missing; every {module} has one. An export of fields with lists has rows without")
    # The interface and exports write false where a field is empty, and for no.
    row = {name: value for name, value in row.items() if name == "active" or text_of(value).casefold() != "false"}
    record_id = f"{module},{number}"
    version = {"updated_at": clock.changed(row, "write_date", "create_date", "date"), "deleted": False}
    if module == "res.partner":
        # Whoever works with Odoo is a partner too, and so is the company.
        return () if tied(record_id, "user") or tied(record_id, "company") else _partner(record_id, row, version)
    if module == "crm.lead":
        return [_lead(record_id, row, version)]
    if module == "res.users":
        if flag_of(row.get("share")):
            return ()  # a customer who may look at their own records
        beside = tied(f"res.partner,{reference(row.get('partner_id'))}", "address")
        written = next(iter([*texts_of(row, ("email",)), *beside, *texts_of(row, ("login",))]), "")
        return [{"kind": "user", "user_id": number, "email": written if "@" in written else None}]
    if module == "helpdesk.ticket":
        return _ticket(record_id, {**_people(row), **version}, row, clock, tied)
    activity: Fields = {"kind": "activity", "activity_id": record_id, **_people(row), **version}
    if module == "mail.activity":
        # What is done is posted as a message, and the plan is deleted, or archived: an earlier export's is taken back.
        return _unless_archived({**activity, "activity_kind": "task"}, row, clock, _on_record(row, tied))
    if module == "calendar.event":
        contacts = _customers(_partners(record_id, row, tied), tied) or _on_record(row, tied)
        return _unless_archived({**activity, "activity_kind": "meeting"}, row, clock, contacts)
    return _call(activity, row, clock, tied) if module == "crm.phonecall" else _message(activity, row, clock, tied)


def ties(module: str, row: Mapping[str, Any]) -> Iterator[Tie]:
    """Yield what a row ties: others and addresses to partners, types and subtypes to what they are."""
    if module in LINKS:
        model, column = LINKS[module]
        record, other = reference(row.get(column)), reference(row.get("res_partner_id"))
        if record and other:
            yield f"{model},{record}", "partner", f"res.partner,{other}"
        return
    number, partner = reference(row.get("id")), reference(row.get("partner_id"))
    if number is None:
        return
    if module == "crm.lead" and partner:
        yield f"crm.lead,{number}", "contact", f"res.partner,{partner}"
    elif module == "res.users" and partner and not flag_of(row.get("share")):
        yield f"res.partner,{partner}", "user", number
    elif module == "res.partner":
        for address in (addresses := addresses_in(row.get("email"))):
            yield f"res.partner,{number}", "address", address
        yield from address_ties(f"res.partner,{number}", addresses)
    elif module == COMPANIES and partner:
        yield f"res.partner,{partner}", "company", number
    elif module == TYPES:
        yield f"{TYPES},{number}", "category", text_of(row.get("category"))
        yield f"{TYPES},{number}", "name", _name(row.get("name"))
    elif module == SUBTYPES and flag_of(row.get("internal")):
        yield f"{SUBTYPES},{number}", "internal", number


def reference(value: object) -> str | None:
    """Return the number of a record, or its external id, however it is written; None for a name, or for nothing.

    >>> [reference(value) for value in (7, [7, "Acme"], "__export__.res_partner_7_1f2e", "base.main", "Acme", False)]
    ['7', '7', '7', 'base.main', None, None]
    """
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, bool):
        return None
    text = text_of(value)
    if text.isascii() and text.isdigit():
        return text[:18] if text.strip("0") else None
    exported = _EXPORTED.fullmatch(text)
    if exported is not None:
        return exported[1]
    return text if _EXTERNAL.fullmatch(text) else None


def _partner(record_id: str, row: Mapping[str, Any], version: Fields) -> Sequence[Fields]:
    """Return a partner; a company is an account too, so that what is logged on it finds it as either."""
    party = {"phones": _phones(row), "emails": addresses_in(row.get("email")), **version}
    if flag_of(row.get("is_company")):
        industry = row.get("industry_id")
        segment = text_of(industry[1]) if isinstance(industry, list) and len(industry) > 1 else text_of(industry)
        account = {"kind": "account", "account_id": record_id, "domains": texts_of(row, ("website",)), **party}
        account["segment"] = segment[:1_000] or None
        return [account, {"kind": "contact", "contact_id": record_id, "account_id": record_id, **version}]
    owners = (reference(row.get(name)) for name in ("commercial_partner_id", "parent_id"))
    owner = next((f"res.partner,{other}" for other in owners if other and f"res.partner,{other}" != record_id), None)
    return [{"kind": "contact", "contact_id": record_id, "account_id": owner, **party}]


def _lead(record_id: str, row: Mapping[str, Any], version: Fields) -> Fields:
    """Return a lead; the numbers of one that is of a partner are the partner's."""
    partner = reference(row.get("partner_id"))
    if partner:
        return {"kind": "contact", "contact_id": record_id, "account_id": f"res.partner,{partner}", **version}
    party = {"phones": _phones(row), "emails": addresses_in(row.get("email_from"))}
    return {"kind": "contact", "contact_id": record_id, **party, **version}


def _ticket(record_id: str, said: Fields, row: Mapping[str, Any], clock: Clock, tied: Tied) -> Sequence[Fields]:
    partner = reference(row.get("partner_id"))
    ticket = {
        "kind": "ticket",
        "ticket_id": record_id,
        **time_logged(clock, row, ("create_date",)),
        **said,
        "requester_phones": texts_of(row, ("partner_phone",)),
        "requester_emails": addresses_in(row.get("partner_email")),
    }
    return on_customers(ticket, _customers([f"res.partner,{partner}"] if partner else [], tied), ())


def _unless_archived(
    activity: Fields, row: Mapping[str, Any], clock: Clock, contacts: Sequence[str]
) -> Sequence[Fields]:
    """Return what was planned; what was archived came to nothing here."""
    is_archived = "active" in row and not flag_of(row["active"])
    activity = {**activity, **time_logged(clock, row, ("create_date",)), "deleted": is_archived}
    return [activity] if is_archived else on_customers(activity, contacts, ())


def _call(activity: Fields, row: Mapping[str, Any], clock: Clock, tied: Tied) -> Sequence[Fields]:
    state = _STATES.get(text_of(row.get("state")).casefold(), "open")
    call = {
        **activity,
        "activity_kind": "call",
        **time_logged(clock, row, ("create_date",), ended=("date_closed", "date") if state == "done" else ()),
        "keys": keys_of(row.get("call_id"), None),
        "direction": _DIRECTIONS.get(text_of(row.get("direction")).casefold()),
    }
    if state == "cancel":
        return [{**call, "deleted": True}]
    partner, lead = reference(row.get("partner_id")), reference(row.get("opportunity_id"))
    contacts = [f"res.partner,{partner}"] if partner else _of_lead(lead, tied) if lead else []
    return on_customers(call, contacts, ())


def _message(activity: Fields, row: Mapping[str, Any], clock: Clock, tied: Tied) -> Sequence[Fields]:
    """Return what a message of a record's thread tells; changes of fields, mailings and channels tell nothing."""
    written, model = text_of(row.get("message_type")), text_of(row.get("model"))
    done = row.get("mail_activity_type_id")
    if done is not None:
        kind: str | None = _type(done, tied)
    else:
        kind = _KINDS.get(written) if model not in _CHANNELS else None
    if kind is None:
        return ()
    if done is None and written == "comment" and _is_note(row, tied):
        kind = "note"
    is_mail = kind == "email" and done is None
    parties = addresses_in(row.get("email_from"))
    contacts = _on_record(row, tied)
    if is_mail and not contacts:
        author = reference(row.get("author_id")) if written == "email" else None
        contacts = [*_partners(activity["activity_id"], row, tied), *([f"res.partner,{author}"] if author else [])]
        contacts = contacts or contacts_by_address(parties, tied)
    contacts = _customers(contacts, tied)
    message = {
        **activity,
        "activity_kind": kind,
        **time_logged(clock, row, ("create_date", "date"), sent=("date",) if is_mail and row.get("message_id") else ()),
        "keys": keys_of(None, row.get("message_id") if is_mail else None),
        "direction": "inbound" if is_mail and written == "email" else None,
    }
    author = reference(row.get("author_id"))
    users = tied(f"res.partner,{author}", "user")
    if users or message["direction"] == "inbound":
        # Whoever fetches the mail has written the record, and a server may write what somebody said.
        message["owner_id"] = users[0] if users else None
    return on_customers(message, contacts, ())


def _type(value: object, tied: Tied) -> str:
    """Return what an activity of a type was: by the type's category, or else by the name that it has in English."""
    number = reference(value)
    categories = tied(f"{TYPES},{number}", "category") if number else ()
    names = tied(f"{TYPES},{number}", "name") if number else ()
    own = [category for category in categories if category != _NO_CATEGORY]
    words = (word.casefold() for word in (*own, *names, _name(value), *categories))
    return next((_TYPES[word] for word in words if word in _TYPES), "other")


def _is_note(row: Mapping[str, Any], tied: Tied) -> bool:
    subtype = row.get("subtype_id")
    if flag_of(row.get("is_internal")) or tied(f"{SUBTYPES},{reference(subtype)}", "internal"):
        return True
    return _name(subtype).casefold() in ("note", "mail.mt_note")


def _name(value: object) -> str:
    """Return the name of a record, however it is written; the database has it in several languages since Odoo 16.

    >>> [_name(value) for value in ("Call", [2, "Call"], {"en_US": "Call"}, '{"en_US": "Call", "fi_FI": "Soitto"}')]
    ['Call', 'Call', 'Call', 'Call']
    """
    if isinstance(value, list):
        value = value[1] if len(value) > 1 else None
    if isinstance(value, str) and value.startswith("{"):
        with suppress(orjson.JSONDecodeError):
            value = load_json(value)
    return text_of(value.get("en_US") if isinstance(value, dict) else value)


def _partners(record_id: str, row: Mapping[str, Any], tied: Tied) -> list[str]:
    """Return the partners that a record names in a list, or beside it."""
    named = row.get("partner_ids")
    each = named if isinstance(named, list) else [named]
    return [*(f"res.partner,{number}" for other in each if (number := reference(other))), *tied(record_id, "partner")]


def _customers(contacts: Sequence[str], tied: Tied) -> list[str]:
    """Return these contacts without colleagues."""
    return [contact for contact in contacts if not tied(contact, "user")]


def _on_record(row: Mapping[str, Any], tied: Tied) -> list[str]:
    """Return the contact on whose record something stands, None where it is another record."""
    model = text_of(row.get("res_model")) or text_of(row.get("model"))
    number = reference(row.get("res_id"))
    if number is None or model not in _ON_CUSTOMERS:
        return []
    return _of_lead(number, tied) if model == "crm.lead" else [f"res.partner,{number}"]


def _of_lead(number: str, tied: Tied) -> list[str]:
    return list(tied(f"crm.lead,{number}", "contact")) or [f"crm.lead,{number}"]


def _people(row: Mapping[str, Any]) -> Fields:
    creator = reference(row.get("create_uid"))
    owner = reference(row.get("user_id")) or creator
    return {"owner_id": owner, "creator_id": creator}


def _phones(row: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(texts_of(row, ("phone", "mobile", "phone_sanitized"))))
