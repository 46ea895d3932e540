"""The tables of Odoo 14 to 19, of its CRM, and of the community's calls and tickets where they are installed.

What its interface and its exports say is said by the same rules. Times are UTC. Source: Odoo's models mail.message,
mail.activity, res.partner, res.users, crm.lead, calendar.event; crm.phonecall and helpdesk.ticket of the Odoo Community
Association.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.crm_tables.tables import Layout, Link, Related, Row, Table, Tell, by_ties, flag, text, texts, written
from pipeline.sources.beside import Tie, on_customers
from pipeline.sources.crm_values import Clock
from pipeline.sources.odoo_records import TYPES, told
from pipeline.sources.odoo_records import ties as ties_of
from pipeline.sources.translation import Fields
from schemas.crm_database import CrmKind

_UPDATED: Final = "write_date"
_CREATED: Final = ("create_date", "create_uid")
_TIMES: Final = frozenset({"create_date", "date", "date_closed"})
_USER: Final = ("id", "partner_id", "share")
_AMONG: Final = "res.users among them"

_Rows = Mapping[str, Sequence[Row]]


def _lead(of: str) -> Related:
    return Related("crm.lead", "crm_lead", "id", ("id", "partner_id"), of=of, is_optional=True)


def _users(of: str | None, beside: str = "") -> Related:
    """Return the users who are a partner: whoever works with Odoo is one too."""
    name = "res.users" if not beside else f"res.users {beside}"
    changed = _UPDATED if of is None else None
    return Related(name, "res_users", "partner_id", _USER, of=of, updated=changed)


def _users_among(table: str, key: str) -> Related:
    link = Link("res_users", "res_partner_id", "partner_id", _USER)
    return Related(_AMONG, table, key, (), link=link, is_optional=True)


def _ties(related: _Rows) -> Iterator[Tie]:
    for name, rows in related.items():
        for row in rows:
            yield from ties_of(name.partition(" ")[0], row)


def _teller(model: str) -> Tell:
    def tell(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
        return told(model, {**written(row), **_named(row, related)}, clock, by_ties(_ties(related)))

    return tell


def _named(row: Row, related: _Rows) -> dict[str, Any]:
    """Return what the interface tells in a row itself and the database beside it."""
    found: dict[str, Any] = {}
    for each in related.get("subtype", ()):
        found["subtype_id"] = [row["subtype_id"], "Note" if flag(each.get("internal")) else ""]
    if recipients := related.get("recipients"):
        found["partner_ids"] = [each["res_partner_id"] for each in recipients]
    for partner in related.get("partner", ()):
        found["email"] = partner.get("email")
    return found


def _logged(model: str, row: Row) -> Fields:
    return {
        f"{'ticket' if model == 'helpdesk.ticket' else 'activity'}_id": f"{model},{text(row['id'])}",
        "logged_at": row.get("create_date"),
        "owner_id": text(row.get("user_id")) or text(row.get("create_uid")) or None,
        "creator_id": text(row.get("create_uid")) or None,
    }


def _tell_meeting(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    ours = {text(user.get("partner_id")) for user in related.get(_AMONG, ()) if not flag(user.get("share"))}
    guests = {text(each["res_partner_id"]) for each in related["partners"]} - ours
    contacts = [f"res.partner,{guest}" for guest in sorted(guests)]
    return on_customers(
        {"kind": "activity", "activity_kind": "meeting", **_logged("calendar.event", row)}, contacts, ()
    )


def _tell_ticket(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    partner = text(row.get("partner_id"))
    ticket = {
        "kind": "ticket",
        **_logged("helpdesk.ticket", row),
        "requester_phones": texts(row, "partner_phone"),
        "requester_emails": texts(row, "partner_email"),
    }
    return on_customers(ticket, [f"res.partner,{partner}"] if partner else [], ())


def _table(
    model: str,
    kind: CrmKind,
    columns: Iterable[str],
    *related: Related,
    optional: Sequence[str] = (),
    must: bool = False,
    tell: Tell | None = None,
) -> Table:
    name = model.replace(".", "_")
    return Table(
        name, kind, name, tuple(columns), tell or _teller(model), updated=_UPDATED, optional=tuple(optional),
        times=tuple(column for column in (*columns, *optional) if column in _TIMES), related=related,
        is_optional=not must,
    )  # fmt: skip


LAYOUT: Final = Layout(
    "odoo",
    (
        _table(
            "res.partner", "contact",
            ("create_date", "is_company", "parent_id", "commercial_partner_id", "email", "phone", "website"),
            _users(None),
            optional=("mobile", "phone_sanitized"),  # the first is gone in Odoo 19
            must=True,
        ),
        _table(
            "crm.lead", "contact", ("create_date", "phone", "email_from", "partner_id"),
            optional=("mobile", "phone_sanitized"),
        ),
        _table(
            "res.users", "user", ("login", "partner_id"),
            Related("partner", "res_partner", "id", ("email",), of="partner_id"), must=True,
        ),
        _table(
            "mail.message", "activity",
            (
                *_CREATED, "date", "model", "res_id", "author_id", "email_from", "message_type", "message_id",
                "subtype_id", "mail_activity_type_id",
            ),
            Related(TYPES, "mail_activity_type", "id", ("id", "category"), of="mail_activity_type_id"),
            Related("subtype", "mail_message_subtype", "id", ("internal",), of="subtype_id"),
            Related(
                "recipients", "mail_message_res_partner_rel", "mail_message_id", ("res_partner_id",), is_optional=True
            ),
            _users_among("mail_message_res_partner_rel", "mail_message_id"), _users("author_id", "who wrote"),
            _users("res_id", "on whom"), _lead("res_id"), optional=("is_internal",), must=True,
        ),
        _table(
            "mail.activity", "activity", (*_CREATED, "user_id", "res_model", "res_id"), _lead("res_id"),
            optional=("active",),
        ),
        _table(
            "calendar.event", "activity", (*_CREATED, "user_id"),
            _users_among("calendar_event_res_partner_rel", "calendar_event_id"),
            Related(
                "partners", "calendar_event_res_partner_rel", "calendar_event_id", ("res_partner_id",),
                link=Link("res_partner", "res_partner_id", "id", ("is_company",)),
            ),
            tell=_tell_meeting,
        ),
        _table(
            "crm.phonecall", "activity",
            (*_CREATED, "date", "user_id", "partner_id", "opportunity_id", "direction", "state"),
            _lead("opportunity_id"), optional=("date_closed",),
        ),
        _table(
            "helpdesk.ticket", "ticket", (*_CREATED, "user_id", "partner_id"),
            optional=("partner_email", "partner_phone"), tell=_tell_ticket,
        ),
    ),
    zone="UTC",
)  # fmt: skip
