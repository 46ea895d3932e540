"""The tables of SuiteCRM 7 and 8, and of SugarCRM's community edition that they come from; its files say the same.

Source: the vardefs of SuiteCRM's modules Accounts, Calls, Cases, Contacts, Emails, Leads, Meetings, Notes, Tasks and
Users, and its metadata of email_addresses. Times are UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from pipeline.crm_tables.tables import Layout, Link, Related, Row, Table, Tell, by_ties, written
from pipeline.sources.beside import Tie
from pipeline.sources.crm_values import Clock
from pipeline.sources.suitecrm_records import LINKS, told
from pipeline.sources.suitecrm_records import ties as ties_of
from pipeline.sources.translation import Fields
from schemas.crm_database import CrmKind

_UPDATED: Final = "date_modified"
_STATE: Final = ("date_entered", "deleted")
_PEOPLE: Final = ("assigned_user_id", "created_by")
_PARENT: Final = ("parent_type", "parent_id")
_PHONES: Final = ("phone_mobile", "phone_work", "phone_home", "phone_other", "phone_fax")
_ADDRESSES: Final = "email_addr_bean_rel"

_ON_CASE: Final = ("case_id", "contact_id")
# The case on which something was logged, and its contacts.
_CASES: Final = (
    Related("cases", "cases", "id", ("id", "account_id"), of="parent_id", deleted="deleted", is_optional=True),
    Related(
        "contacts_cases", "contacts_cases", "case_id", _ON_CASE, of="parent_id", deleted="deleted", is_optional=True
    ),
)  # fmt: skip


def _beans(name: str, link: Link) -> Related:
    """Return what belongs to the cases that an email is tied to."""
    return Related(
        f"{name}:emails_beans", "emails_beans", "email_id", ("bean_id",), deleted="deleted",
        where=(("bean_module", ("Cases",)),), link=link, is_optional=True,
    )  # fmt: skip


def _addresses(module: str) -> Related:
    return Related(
        _ADDRESSES,
        _ADDRESSES,
        "bean_id",
        ("bean_id", "email_address_id"),
        updated=_UPDATED,
        deleted="deleted",
        where=(("bean_module", (module,)),),
        link=Link("email_addresses", "email_address_id", "id", ("email_address",), deleted="deleted"),
    )


def _pairs(table: str) -> Related:
    key, other, _ = LINKS[table]
    return Related(table, table, key, (key, other), updated=_UPDATED, deleted="deleted", is_optional=True)


def _ties(related: Mapping[str, Sequence[Row]]) -> Iterator[Tie]:
    for name, rows in related.items():
        table = name.partition(":")[0]
        for row in rows:
            yield from ties_of(table, row)
            if table == _ADDRESSES and row["email_address"]:
                yield str(row["email_address_id"]), "address", str(row["email_address"])


def _teller(module: str) -> Tell:
    def tell(row: Row, related: Mapping[str, Sequence[Row]], clock: Clock) -> Sequence[Fields]:
        return told(module, written(row), clock, by_ties(_ties(related)))

    return tell


def _table(
    name: str,
    kind: CrmKind,
    columns: Iterable[str],
    *related: Related,
    optional: Sequence[str] = (),
    must: bool = False,
) -> Table:
    times = [column for column in (*columns, *optional) if column.startswith("date_")]
    return Table(
        name, kind, name, tuple(columns), _teller(name), updated=_UPDATED, optional=tuple(optional),
        times=tuple(times), related=related, is_optional=not must,
    )  # fmt: skip


_LOGGED: Final = (*_STATE, *_PEOPLE, *_PARENT)

LAYOUT: Final = Layout(
    "suitecrm",
    (
        _table(
            "accounts", "account", (*_STATE, "phone_office", "phone_alternate", "phone_fax", "website", "industry"),
            _addresses("Accounts"), optional=("account_type",), must=True,
        ),
        _table(
            "contacts", "contact", (*_STATE, *_PHONES), _addresses("Contacts"), _pairs("accounts_contacts"),
            optional=("assistant_phone",), must=True,
        ),
        _table(
            "leads", "contact", (*_STATE, *_PHONES, "account_id", "contact_id"), _addresses("Leads"),
            optional=("assistant_phone",),
        ),
        _table("users", "user", ("user_name",), _addresses("Users"), must=True),
        _table(
            "calls", "activity", (*_LOGGED, "status", "direction", "date_start", "date_end"), _pairs("calls_contacts"),
            _pairs("calls_leads"), *_CASES, must=True,
        ),
        _table(
            "meetings", "activity", (*_LOGGED, "status", "date_start", "date_end"), _pairs("meetings_contacts"),
            _pairs("meetings_leads"), *_CASES,
        ),
        _table(
            "emails", "activity", (*_LOGGED, "type", "status", "message_id"),
            Related(
                "emails_beans", "emails_beans", "email_id", ("email_id", "bean_id", "bean_module"), updated=_UPDATED,
                deleted="deleted", is_optional=True,
            ),
            Related(
                "emails_text", "emails_text", "email_id", ("email_id", "from_addr", "to_addrs"),
                is_optional=True,
            ),
            _beans("cases", Link("cases", "bean_id", "id", ("id", "account_id"), deleted="deleted")),
            _beans("contacts_cases", Link("contacts_cases", "bean_id", "case_id", _ON_CASE, deleted="deleted")),
            *_CASES, optional=("date_sent_received", "date_sent"),
        ),
        _table("notes", "activity", (*_LOGGED, "contact_id"), *_CASES),
        _table("tasks", "activity", (*_LOGGED, "contact_id", "status"), *_CASES),
        _table("cases", "ticket", (*_STATE, *_PEOPLE, "account_id"), _pairs("contacts_cases")),
    ),
    zone="UTC",
)  # fmt: skip
