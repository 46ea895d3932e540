"""Rows of Odoo, told in the fields of canonical records; they may come of its interface, of exports or of a database.

Numbers of records are unique in a model alone, so ids have their model in front as Odoo names references, as in
res.partner,7; users have their number alone. Source: the definitions of its models, and of crm_phonecall of its
community.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.errors import InvalidRecord
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
    "expected_revenue", "contact_name", "partner_name", "login", "share", "category", "delay_unit",
)  # fmt: skip
"""The fields that are read, and those that a mapping may name; call_id has none until a mapping gives it one."""

REFERENCES: Final = (
    "create_uid", "user_id", "parent_id", "commercial_partner_id", "author_id", "partner_ids", "partner_id",
    "opportunity_id", "res_id",
)  # fmt: skip
"""Fields that lead to records; an export writes them as NAME/id or NAME/.id, and their names without."""

OTHERS: Final = {name: (f"{name}/id",) for name in REFERENCES}

MODELS: Final = ("res.partner", "crm.lead", "res.users", "mail.message", "mail.activity", "crm.phonecall")
TYPES: Final = "mail.activity.type"
"""The model of types of activities: it says what they are in whatever language they are named."""

_CUSTOMERS: Final = ("res.partner", "crm.lead")
_CHANNELS: Final = frozenset({"mail.channel", "discuss.channel"})
_KINDS: Final = {"email": "email", "comment": "email", "sms": "sms", "whatsapp_message": "chat", "snailmail": "other"}
# Categories of types of activities, and the names of those that Odoo comes with.
_TYPES: Final = {
    "phonecall": "call", "call": "call", "meeting": "meeting", "email": "email", "to-do": "task", "to do": "task",
    "default": "task", "upload_file": "task", "upload document": "task",
}  # fmt: skip
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
        # Whoever works with Odoo is a partner too.
        return () if tied(record_id, "user") else _partner(record_id, row, version)
    if module == "crm.lead":
        return [_lead(record_id, row, version)]
    if module == "res.users":
        written = text_of(row.get("email")) or text_of(row.get("login"))
        return [{"kind": "user", "user_id": number, "email": written[:1_000] if "@" in written else None}]
    activity: Fields = {"kind": "activity", "activity_id": record_id, **_people(row), **version}
    if module == "mail.activity":
        # What is done is posted as a message, and the plan is deleted, or archived: an earlier export's is taken back.
        is_done = "active" in row and not flag_of(row["active"])
        logged = time_logged(clock, row, ("create_date",))
        activity = {**activity, "activity_kind": "task", **logged, "deleted": is_done}
        return [activity] if is_done else on_customers(activity, _on_record(row, tied), ())
    return _call(activity, row, clock, tied) if module == "crm.phonecall" else _message(activity, row, clock, tied)


def ties(module: str, row: Mapping[str, Any]) -> Iterator[Tie]:
    """Yield what a row ties: leads, users and addresses to partners, types of activities to what they are."""
    number, partner = reference(row.get("id")), reference(row.get("partner_id"))
    if number is None:
        return
    if module == "crm.lead" and partner:
        yield f"crm.lead,{number}", "contact", f"res.partner,{partner}"
    elif module == "res.users" and partner and not flag_of(row.get("share")):
        yield f"res.partner,{partner}", "user", number
    elif module == "res.partner":
        yield from address_ties(f"res.partner,{number}", addresses_in(row.get("email")))
    elif module == TYPES:
        yield f"{TYPES},{number}", "category", text_of(row.get("category")) or text_of(row.get("name"))


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
        return text[:18] if int(text) else None
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


def _call(activity: Fields, row: Mapping[str, Any], clock: Clock, tied: Tied) -> Sequence[Fields]:
    state = _STATES.get(text_of(row.get("state")).casefold(), "open")
    call = {
        **activity,
        "activity_kind": "call",
        **time_logged(clock, row, ("create_date",), ended=("date_closed", "date") if state == "done" else ()),
        "keys": keys_of(row.get("call_id"), None, ()),
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
    if done is None and written == "comment" and _is_note(row):
        kind = "note"
    is_mail = kind == "email" and done is None
    parties = addresses_in(row.get("email_from"))
    contacts = _on_record(row, tied)
    if is_mail and not contacts:
        partners = row.get("partner_ids")
        others = partners if isinstance(partners, list) else [partners]
        authors = [row.get("author_id")] if written == "email" else []
        contacts = [f"res.partner,{number}" for other in (*others, *authors) if (number := reference(other))]
        contacts = contacts or contacts_by_address(parties, tied)
    contacts = [contact for contact in contacts if not tied(contact, "user")]
    message = {
        **activity,
        "activity_kind": kind,
        **time_logged(clock, row, ("create_date", "date"), sent=("date",) if is_mail and row.get("message_id") else ()),
        "keys": keys_of(None, row.get("message_id") if is_mail else None, parties),
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
    told = tied(f"{TYPES},{number}", "category") if number else ()
    name = value[1] if isinstance(value, list) and len(value) > 1 else value
    return _TYPES.get(text_of(told[0] if told else name).casefold(), "other")


def _is_note(row: Mapping[str, Any]) -> bool:
    subtype = row.get("subtype_id")
    name = text_of(subtype[1]) if isinstance(subtype, list) and len(subtype) > 1 else text_of(subtype)
    return flag_of(row.get("is_internal")) or name.casefold() in ("note", "mail.mt_note")


def _on_record(row: Mapping[str, Any], tied: Tied) -> list[str]:
    """Return the contact on whose record something stands, None where it is another record."""
    model = text_of(row.get("res_model")) or text_of(row.get("model"))
    number = reference(row.get("res_id"))
    if number is None or model not in _CUSTOMERS:
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
