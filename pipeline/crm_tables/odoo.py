"""Odoo 14 to 19, with the tables of its CRM, of its help desk and of the community's calls where they are installed.

Ids are counted in each table by itself, so a record is named by its model too, as Odoo names references: res.partner,7.
Times are UTC. Source: Odoo's models mail.message, mail.activity.type, res.partner, res.users, crm.lead, calendar.event;
crm.phonecall and helpdesk.ticket of the Odoo Community Association.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pipeline.crm_tables.tables import Layout, Link, Related, Row, Table, column, flag, own_time, text, texts
from pipeline.sources.beside import on_customers
from pipeline.sources.crm_values import Clock
from pipeline.sources.translation import Fields

_UPDATED: Final = "write_date"
_CREATED: Final = ("create_date", "create_uid")
_TIMES: Final = ("create_date",)
# What people wrote or did, and not what Odoo itself noted.
_BY_PEOPLE: Final = frozenset({"email", "comment", "email_outgoing", "sms", "whatsapp_message", "snailmail"})
_KINDS: Final = {"sms": "sms", "whatsapp_message": "chat", "snailmail": "other"}
_DONE: Final = {"phonecall": "call", "meeting": "meeting"}

_Rows = Mapping[str, Sequence[Row]]
_PARTNER: Final = ("id", "is_company", "commercial_partner_id")


def _partner(name: str, of: str) -> Related:
    return Related(name, "res_partner", "id", _PARTNER, of=of)


def _name(model: str, number: object) -> str:
    return f"{model},{text(number)}"


def _customers_of(partners: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Return partners as contacts and accounts: an organisation is an account, anybody else a contact."""
    contacts = [_name("res.partner", partner["id"]) for partner in partners if not flag(partner.get("is_company"))]
    accounts = [_name("res.partner", partner["id"]) for partner in partners if flag(partner.get("is_company"))]
    return sorted(set(contacts)), sorted(set(accounts))


def _tell_partner(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    # Whoever works with Odoo is a partner too, and so is the company itself.
    if any(not flag(user.get("share")) for user in related["users"]) or related["companies"]:
        return ()
    name, owner = _name("res.partner", row["id"]), text(row.get("commercial_partner_id"))
    known = {"phones": texts(row, "phone", "mobile"), "emails": texts(row, "email")}
    if flag(row.get("is_company")):
        return [{"kind": "account", "account_id": name, **known, "domains": texts(row, "website")}]
    account = _name("res.partner", owner) if owner and owner != text(row["id"]) else None
    return [{"kind": "contact", "contact_id": name, "account_id": account, **known}]


def _tell_lead(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    owners = [text(partner.get("commercial_partner_id")) or text(partner["id"]) for partner in related["partner"]]
    return [
        {
            "kind": "contact",
            "contact_id": _name("crm.lead", row["id"]),
            "account_id": _name("res.partner", owners[0]) if owners else None,
            "phones": texts(row, "phone", "mobile"),
            "emails": texts(row, "email_from"),
        }
    ]


def _tell_user(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    addresses = column(related["partner"], "email") or [login for login in texts(row, "login") if "@" in login]
    return [{"kind": "user", "user_id": text(row["id"]), "email": addresses[0] if addresses else None}]


def _activity(model: str, row: Row, kind: str, at: object, owner: object) -> Fields:
    return {
        "kind": "activity",
        "activity_id": _name(model, row["id"]),
        "activity_kind": kind,
        "logged_at": at,
        "owner_id": text(owner) or None,
        "creator_id": text(row.get("create_uid")) or None,
    }


def _tell_message(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    """Tell what was logged on a partner or lead: a done activity, an email, another message or a note."""
    written, created = text(row.get("message_type")), row.get("create_date")
    category = column(related["type"], "category")
    if text(row.get("mail_activity_type_id")):
        kind, at, direction = _DONE.get(category[0] if category else "", "task"), created, None
    elif written not in _BY_PEOPLE:
        return ()
    elif written in _KINDS:
        kind, at, direction = _KINDS[written], created, None
    elif written == "comment" and (
        flag(row.get("is_internal")) or any(flag(each.get("internal")) for each in related["subtype"])
    ):
        kind, at, direction = "note", created, None
    else:
        kind = "email"
        at = own_time(row.get("date"), created) if written == "email" else created
        direction = "inbound" if written == "email" else "outbound" if written == "email_outgoing" else None
    authors = column(related["author"], "id")
    activity = {
        **_activity("mail.message", row, kind, at, authors[0] if authors else None),
        "keys": texts(row, "message_id") if kind == "email" else [],
        "direction": direction,
    }
    model = text(row.get("model"))
    contacts, accounts = _customers_of(related["partner"] if model == "res.partner" else ())
    if model == "crm.lead":
        contacts = [_name("crm.lead", row["res_id"])]
    return on_customers(activity, contacts, accounts)


def _tell_meeting(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    return on_customers(
        _activity("calendar.event", row, "meeting", row.get("create_date"), row.get("user_id")),
        *_customers_of(related["partners"]),
    )


def _tell_call(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    contacts, accounts = _customers_of(related["partner"])
    if not contacts and not accounts and text(row.get("opportunity_id")):
        contacts = [_name("crm.lead", row["opportunity_id"])]
    activity = {
        **_activity("crm.phonecall", row, "call", row.get("create_date"), row.get("user_id")),
        "direction": {"in": "inbound", "out": "outbound"}.get(text(row.get("direction"))),
        "deleted": text(row.get("state")) == "cancel",
    }
    return on_customers(activity, contacts, accounts)


def _tell_ticket(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    contacts, accounts = _customers_of(related["partner"])
    ticket = {
        "kind": "ticket",
        "ticket_id": _name("helpdesk.ticket", row["id"]),
        "logged_at": row.get("create_date"),
        "owner_id": text(row.get("user_id")) or None,
        "creator_id": text(row.get("create_uid")) or None,
        "requester_phones": texts(row, "partner_phone"),
        "requester_emails": texts(row, "partner_email"),
    }
    return on_customers(ticket, contacts, accounts)


_USERS: Final = Related("users", "res_users", "partner_id", ("share",), updated=_UPDATED)

LAYOUT: Final = Layout(
    "odoo",
    (
        Table(
            "res_partner", "contact", "res_partner",
            ("create_date", "is_company", "commercial_partner_id", "email", "phone", "website"), _tell_partner,
            updated=_UPDATED, times=_TIMES, optional=("mobile",),  # gone in Odoo 19
            related=(_USERS, Related("companies", "res_company", "partner_id", ())),
        ),
        Table(
            "crm_lead", "contact", "crm_lead", ("create_date", "phone", "email_from", "partner_id"), _tell_lead,
            updated=_UPDATED, times=_TIMES, optional=("mobile",), related=(_partner("partner", "partner_id"),),
            is_optional=True,
        ),
        Table(
            "res_users", "user", "res_users", ("login", "partner_id"), _tell_user, updated=_UPDATED,
            related=(Related("partner", "res_partner", "id", ("email",), of="partner_id"),),
        ),
        Table(
            "mail_message", "activity", "mail_message",
            (
                *_CREATED, "date", "model", "res_id", "author_id", "message_type", "message_id", "subtype_id",
                "mail_activity_type_id",
            ),
            _tell_message, updated=_UPDATED, times=(*_TIMES, "date"), optional=("is_internal",),
            where=(("model", ("res.partner", "crm.lead")),),
            related=(
                _partner("partner", "res_id"),
                Related("author", "res_users", "partner_id", ("id",), of="author_id"),
                Related("type", "mail_activity_type", "id", ("category",), of="mail_activity_type_id"),
                Related("subtype", "mail_message_subtype", "id", ("internal",), of="subtype_id"),
            ),
        ),
        Table(
            "calendar_event", "activity", "calendar_event", (*_CREATED, "user_id"), _tell_meeting,
            updated=_UPDATED, times=_TIMES, is_optional=True,
            related=(
                Related(
                    "partners", "calendar_event_res_partner_rel", "calendar_event_id", (),
                    link=Link("res_partner", "res_partner_id", "id", _PARTNER),
                ),
            ),
        ),
        Table(
            "crm_phonecall", "activity", "crm_phonecall",
            (*_CREATED, "user_id", "partner_id", "opportunity_id", "direction", "state"), _tell_call,
            updated=_UPDATED, times=_TIMES, related=(_partner("partner", "partner_id"),), is_optional=True,
        ),
        Table(
            "helpdesk_ticket", "ticket", "helpdesk_ticket", (*_CREATED, "user_id", "partner_id"), _tell_ticket,
            updated=_UPDATED, times=_TIMES, optional=("partner_email", "partner_phone"), is_optional=True,
            related=(_partner("partner", "partner_id"),),
        ),
    ),
    zone="UTC",
)  # fmt: skip
