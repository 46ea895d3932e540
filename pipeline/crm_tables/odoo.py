"""The tables of Odoo 14 to 19, of its CRM, and of the community's calls and tickets where they are installed.

What its interface and its exports say is said by the same rules. Times are UTC. Source: Odoo's models mail.message,
mail.activity, res.partner, res.users, crm.lead, calendar.event; crm.phonecall and helpdesk.ticket of the Odoo Community
Association.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from pipeline.crm_tables.tables import Layout, Link, Related, Row, Table, Tell, by_ties, written
from pipeline.sources.beside import Tie
from pipeline.sources.crm_values import Clock
from pipeline.sources.odoo_records import COMPANIES, LINKS, SUBTYPES, TYPES, told
from pipeline.sources.odoo_records import ties as ties_of
from pipeline.sources.translation import Fields
from schemas.crm_database import CrmKind

_UPDATED: Final = "write_date"
_CREATED: Final = ("create_date", "create_uid")
_TIMES: Final = frozenset({"create_date", "date", "date_closed"})
_USER: Final = ("id", "partner_id", "share")

_Rows = Mapping[str, Sequence[Row]]


def _of(model: str, of: str, *columns: str, is_optional: bool = True) -> Related:
    """Return the row of a model to which a column leads."""
    return Related(f"{model}:{of}", _named(model), "id", ("id", *columns), of=of, is_optional=is_optional)


def _colleague(of: str) -> Related:
    """Return who works with Odoo as the partner to which a column leads."""
    return Related(f"res.users:{of}", "res_users", "partner_id", _USER, of=of, is_optional=True)


def _lead(of: str) -> tuple[Related, ...]:
    """Return the lead to which a column leads, and the colleague that it may be of."""
    link = Link("res_users", "partner_id", "partner_id", ("id", "share"))
    return (
        _of("crm.lead", of, "partner_id"),
        Related(f"res.users:lead {of}", "crm_lead", "id", ("partner_id",), of=of, link=link, is_optional=True),
    )


def _listed(table: str) -> tuple[Related, ...]:
    """Return the partners that a record is tied to, and which of them are colleagues."""
    _, key = LINKS[table]
    link = Link("res_users", "res_partner_id", "partner_id", _USER)
    return (
        Related(table, table, key, (key, "res_partner_id"), is_optional=True),
        Related(f"res.users:{table}", table, key, ("res_partner_id",), link=link, is_optional=True),
    )


def _ties(related: _Rows) -> Iterator[Tie]:
    for name, rows in related.items():
        for row in rows:
            yield from ties_of(name.partition(":")[0], row)


def _teller(model: str) -> Tell:
    def tell(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
        return told(model, written(row), clock, by_ties(_ties(related)))

    return tell


def _named(model: str) -> str:
    return model.replace(".", "_")


def _table(
    model: str,
    kind: CrmKind,
    columns: Iterable[str],
    *related: Related,
    optional: Sequence[str] = (),
    must: bool = False,
) -> Table:
    name = _named(model)
    return Table(
        name, kind, name, tuple(columns), _teller(model), updated=_UPDATED, optional=tuple(optional),
        times=tuple(column for column in (*columns, *optional) if column in _TIMES), related=related,
        is_optional=not must,
    )  # fmt: skip


LAYOUT: Final = Layout(
    "odoo",
    (
        _table(
            "res.partner", "contact",
            ("create_date", "is_company", "parent_id", "commercial_partner_id", "email", "phone", "website"),
            Related("res.users", "res_users", "partner_id", _USER, updated=_UPDATED),
            Related(COMPANIES, "res_company", "partner_id", ("id", "partner_id"), is_optional=True),
            optional=("mobile", "phone_sanitized"),  # the first is gone in Odoo 19
            must=True,
        ),
        _table(
            "crm.lead", "contact", ("create_date", "phone", "email_from", "partner_id"),
            optional=("mobile", "phone_sanitized"),
        ),
        _table(
            "res.users", "user", ("login", "partner_id", "share"),
            _of("res.partner", "partner_id", "email", is_optional=False), must=True,
        ),
        _table(
            "mail.message", "activity",
            (
                *_CREATED, "date", "model", "res_id", "author_id", "email_from", "message_type", "message_id",
                "subtype_id", "mail_activity_type_id",
            ),
            _of(TYPES, "mail_activity_type_id", "category", "name"), _of(SUBTYPES, "subtype_id", "internal"),
            *_listed("mail_message_res_partner_rel"), *_lead("res_id"), _colleague("res_id"), _colleague("author_id"),
            optional=("is_internal",), must=True,
        ),
        _table(
            "mail.activity", "activity", (*_CREATED, "user_id", "res_model", "res_id"), *_lead("res_id"),
            optional=("active",),
        ),
        _table(
            "calendar.event", "activity", (*_CREATED, "user_id"), *_listed("calendar_event_res_partner_rel"),
            *_lead("res_id"), optional=("active", "res_model", "res_id"),
        ),
        _table(
            "crm.phonecall", "activity",
            (*_CREATED, "date", "user_id", "partner_id", "opportunity_id", "direction", "state"),
            *_lead("opportunity_id"), optional=("date_closed",),
        ),
        _table(
            "helpdesk.ticket", "ticket", (*_CREATED, "user_id", "partner_id"), _colleague("partner_id"),
            optional=("partner_email", "partner_phone"),
        ),
    ),
    zone="UTC",
)  # fmt: skip
