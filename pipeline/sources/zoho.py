"""Zoho CRM: answers of its interface as JSON, and the CSV files of a backup or of exported modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from pipeline.sources.beside import Tie
from pipeline.sources.crm_columns import marks
from pipeline.sources.crm_exports import Layout
from pipeline.sources.crm_modules import ModuleExport
from pipeline.sources.registry import Format
from pipeline.sources.zoho_records import FIELDS, KINDS, OTHERS, ties, told


class Zoho(ModuleExport):
    """Records of modules by the names of the interface, and by the labels of a backup."""

    name = "zoho"
    title = "Zoho CRM"
    description = (
        "Contacts, leads, accounts, calls, meetings, tasks, notes, emails, cases and users: answers of the interface "
        "as JSON, and the files of a data backup or of exported modules as CSV. The module is told by its fields, not "
        "by the file's name. Options: object, siblings, date_format. Mapping: field of the interface = column. Times "
        "of the interface carry their offset; those of a backup are in the source's zone."
    )
    carries = frozenset({"contact", "account", "crm_user", "activity", "feed_progress"})
    formats = (
        Format(
            "answers of the interface, JSON",
            "contacts, leads, accounts, calls, events, tasks, notes, emails of records, cases, users",
            "bodies, subjects, durations, deals, deleted records, all other modules",
            "documentation",
            "the reference of the interface, and its published clients",
        ),
        Format(
            "files of a data backup, CSV",
            "the same, with the columns NAME.id; of emails those that the CRM sent itself",
            "the same",
            "documentation",
            "columns in public code; the zone of its times is unverified",
        ),
    )
    lies = (
        "Call_Start_Time is what somebody wrote down or planned: a call counts as logged when it was created, and one "
        "that took place after it had been planned, when it started.",
        "A scheduled or overdue call may have taken place: it counts as logged when it was created; a missed, "
        "unattended or cancelled one is passed over.",
        "An event does not say whether it took place: it counts as logged when it was created.",
        "message_id of an email is Zoho's own: only one that looks like a Message-ID is a key.",
        "An email that stands on several records is given with each of them: it counts on each.",
        "A lookup of a backup may not say what it leads to: then it is taken for a contact.",
    )
    lists = ("data", "users", "Emails", "email_related_list")
    objects = (*KINDS, "Contacts", "Leads", "Accounts", "Cases", "Users")
    unreadable: ClassVar = {
        "Contacts": "contact", "Leads": "contact", "Accounts": "account", "Cases": "ticket", "Users": "user",
    }  # fmt: skip
    ticket = "Cases"
    holds = "a module of Zoho CRM"
    remedy = "export all of its fields"
    fields = FIELDS
    others: ClassVar = OTHERS
    modules: ClassVar = marks(
        {
            "Emails": ("message_id from to", "Record_Name Sender sent_time"),
            "Calls": ("Call_Start_Time Call_Type",),
            "Notes": ("Note_Content Parent_Id",),
            "Cases": ("Case_Number Created_Time",),
            "Tasks": ("Subject Due_Date Status",),
            "Events": ("Event_Title Start_DateTime", "Event_Title Participants", "Participants Venue"),
            "Users": ("zuid role", "zuid profile"),
            "Leads": ("Last_Name Lead_Status", "Last_Name Company Lead_Source", "Last_Name Converted_Account"),
            "Contacts": ("Last_Name Account_Name", "Last_Name Mailing_City", "Last_Name Email Phone"),
            "Accounts": (
                "Account_Name Billing_City", "Account_Name Account_Type", "Account_Name Website",
                "Account_Name Ownership",
            ),
        }
    )  # fmt: skip
    signs = (
        frozenset({"Created_Time", "Modified_Time"}),
        frozenset({"Created_Time", "Owner"}),
        frozenset({"message_id", "from", "to", "sent"}),
        frozenset({"Record_Name", "Sender", "Created_Time"}),
        frozenset({"zuid"}),
    )
    tables = frozenset()
    needs: ClassVar = {"Emails": frozenset({"Contacts", "Leads"})}
    told = staticmethod(told)

    def is_local(self, layout: Layout) -> bool:
        """Return whether the file is one of a backup or an export."""
        return layout.form is None

    def ties(self, module: str, row: Mapping[str, Any]) -> Iterator[Tie]:
        """Yield the addresses of contacts and leads."""
        return ties(module, row)

    def advice(self) -> str:
        """Return what says whom activities are tied to."""
        return "export Who_Id and What_Id with their ids, and put contacts and leads beside the emails"


SOURCE: Final = Zoho()
