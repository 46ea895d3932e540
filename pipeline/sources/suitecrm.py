"""SuiteCRM and SugarCRM: exports of modules, and tables of the database as CSV or JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from pipeline.sources.beside import Tie
from pipeline.sources.crm_columns import marks
from pipeline.sources.crm_exports import Layout
from pipeline.sources.crm_modules import ModuleExport
from pipeline.sources.registry import Format
from pipeline.sources.suitecrm_records import FIELDS, KINDS, LINKS, ties, told

_TABLES: Final = (*LINKS, "emails_beans", "email_addr_bean_rel", "email_addresses", "emails_text")
_CASES: Final = frozenset({"cases", "contacts_cases"})
_ADDRESSES: Final = frozenset({"email_addr_bean_rel", "email_addresses"})
_MODULES: Final = marks(
    {
        "calls_contacts": ("call_id contact_id accept_status", "call_id contact_id date_modified"),
        "calls_leads": ("call_id lead_id accept_status", "call_id lead_id date_modified"),
        "meetings_contacts": ("meeting_id contact_id accept_status", "meeting_id contact_id date_modified"),
        "meetings_leads": ("meeting_id lead_id accept_status", "meeting_id lead_id date_modified"),
        "emails_beans": ("email_id bean_id bean_module",),
        "email_addr_bean_rel": ("email_address_id bean_id bean_module",),
        "email_addresses": ("email_address email_address_caps",),
        "emails_text": ("email_id from_addr to_addrs",),
        "contacts_cases": ("case_id contact_id date_modified",),
        "users": ("user_name user_hash", "user_name is_admin date_entered"),
        "cases": ("case_number date_entered",),
        "emails": ("date_entered intent", "date_entered date_sent_received", "date_entered message_id"),
        "calls": ("date_entered duration_minutes direction", "date_entered duration_hours direction"),
        "meetings": ("date_entered duration_minutes", "date_entered duration_hours", "date_entered join_url"),
        "tasks": ("date_entered date_due", "date_entered priority contact_id"),
        "leads": ("date_entered last_name converted", "date_entered last_name lead_source_description"),
        "contacts": ("date_entered last_name",),
        "accounts": ("date_entered phone_office", "date_entered billing_address_city", "date_entered ticker_symbol"),
        "notes": ("date_entered portal_flag", "date_entered filename parent_id", "date_entered contact_id parent_id"),
        "accounts_contacts": ("account_id contact_id date_modified",),
    }
)
_OTHERS: Final = {
    "date_entered": ("Date Created",), "created_by": ("Created By ID",), "date_due": ("Due Date", "Date Due"),
    "date_end": ("End Date", "Date End"), "date_start": ("Start Date", "Date Start"),
    "account_type": ("Type",), "phone_office": ("Office Phone", "Phone Office"),
    "phone_mobile": ("Mobile", "Phone Mobile"), "phone_work": ("Office Phone", "Phone Work"),
    "phone_home": ("Home", "Home Phone"), "phone_other": ("Other Phone",), "phone_fax": ("Fax",),
    "phone_alternate": ("Alternate Phone",), "email_address": ("Email Address", "Email"),
    "email_addresses_non_primary": ("Non Primary E-mails", "Non Primary E-mails for Import"),
    "industry": ("Industry",), "portal_flag": ("Display in Portal?",), "billing_address_city": ("Billing City",),
    "date_sent_received": ("Date Sent/Received", "Date Sent"),
}  # fmt: skip


class SuiteCrm(ModuleExport):
    """Exports of modules, by the labels of the English interface, and tables of the database, by their columns."""

    name = "suitecrm"
    title = "SuiteCRM and SugarCRM"
    description = (
        "Contacts, leads, accounts, calls, meetings, tasks, notes, emails, cases and users: exports of modules as CSV "
        "with the labels of the English interface, and tables of the database as CSV or JSON with their own columns. "
        "The module is told by its columns. Whom calls and emails are tied to stands in the tables of pairs beside "
        "them. Options: object, siblings, date_format. Mapping: column of the database = column of the file; call_id = "
        "the column into which a telephone system writes its own id of a call. Times of the database are UTC; those of "
        "an export of a module are in the zone and the format of the user who made it."
    )
    carries = frozenset({"contact", "account", "crm_user", "activity", "feed_progress"})
    formats = (
        Format(
            "tables of the database, CSV or JSON",
            "activities with their customers, contacts, leads, accounts, users, cases, addresses",
            "bodies, subjects, durations, opportunities, campaigns, audit tables",
            "documentation",
            "the definitions of its modules and tables in its public source",
        ),
        Format(
            "exports of modules, CSV",
            "the same, without the tables of pairs: an activity is tied by its parent alone",
            "the same",
            "documentation",
            "its public source, which names the columns; labels of other languages need a mapping",
        ),
    )
    lies = (
        "date_start and date_end are what somebody planned: a call or meeting counts as logged when it was created, "
        "and one that was held after it had been planned, when it ended.",
        "A planned call may have been held and never marked: it counts as logged when it was created; one marked as "
        "not held is passed over.",
        "Mail that was imported may carry another id than its Message-ID, so that the same mail of two mailboxes "
        "stands there twice.",
        "An export of a module may write an apostrophe before a number that begins with a plus; it is taken away.",
        "The label Date of an export may be any of several dates: only Date Created says when something was logged.",
    )
    lists = ("data", "records", "entry_list")
    objects = (*KINDS, "contacts", "leads", "accounts", "cases", "users")
    unreadable: ClassVar = {
        "contacts": "contact", "leads": "contact", "accounts": "account", "cases": "ticket", "users": "user",
    }  # fmt: skip
    ticket = "cases"
    holds = "a module of SuiteCRM or SugarCRM"
    remedy = "export all of its columns"
    fields = FIELDS
    others: ClassVar = _OTHERS
    modules: ClassVar = _MODULES
    signs = (
        frozenset({"date_entered", "date_modified", "assigned_user_id"}),
        frozenset({"date_modified", "deleted"}),
        frozenset({"email_id", "from_addr", "deleted"}),
        frozenset({"bean_id", "bean_module", "deleted"}),
    )
    tables = frozenset(_TABLES)
    needs: ClassVar = {
        "calls": _CASES | {"calls_contacts", "calls_leads"},
        "meetings": _CASES | {"meetings_contacts", "meetings_leads"},
        "emails": _CASES | {"emails_beans", "emails_text"},
        "tasks": _CASES,
        "notes": _CASES,
        "cases": frozenset({"contacts_cases"}),
        "contacts": frozenset({"accounts_contacts", *_ADDRESSES}),
        "leads": _ADDRESSES,
        "accounts": _ADDRESSES,
        "users": _ADDRESSES,
    }
    told = staticmethod(told)

    def is_local(self, layout: Layout) -> bool:
        """Return whether a table has the labels of the interface."""
        return layout.form is None and "date_entered" not in layout.columns

    def ties(self, module: str, row: Mapping[str, Any]) -> Iterator[Tie]:
        """Yield what a row of a table of pairs, or of a case, ties."""
        return ties(module, row)

    def advice(self) -> str:
        """Return which tables say whom activities are tied to."""
        return "put the tables calls_contacts, meetings_contacts, calls_leads and emails_beans beside it"


SOURCE: Final = SuiteCrm()
