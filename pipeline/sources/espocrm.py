"""EspoCRM: answers of its interface as JSON, exported lists and tables of the database as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from pipeline.sources.beside import Tie
from pipeline.sources.crm_columns import marks
from pipeline.sources.crm_exports import Layout
from pipeline.sources.crm_modules import ModuleExport
from pipeline.sources.espocrm_records import FIELDS, KINDS, LINKS, ties, told
from pipeline.sources.registry import Format

_TABLES: Final = frozenset({*LINKS, "entity_email_address"})

# What says whose a case is.
_CASES: Final = frozenset({"Case", "case_contact"})

# What numbers and addresses of anybody stand in.
_ADDRESSES: Final = frozenset({"email_address", "entity_email_address", "phone_number", "entity_phone_number"})


class EspoCrm(ModuleExport):
    """Entities by the names of their attributes, as the interface and exported lists write them, and the database."""

    name = "espocrm"
    title = "EspoCRM"
    description = (
        "Contacts, leads, accounts, calls, meetings, tasks, emails, posts of the stream, cases and users: answers of "
        "the interface as JSON, exported lists as CSV, and tables of the database as CSV. The entity is told by its "
        "attributes. Options: object, siblings. Mapping: attribute = column; call_id = the attribute into which a "
        "telephone system writes its own id of a call. Times without a zone are UTC."
    )
    carries = frozenset({"contact", "account", "crm_user", "activity", "feed_progress"})
    formats = (
        Format(
            "answers of the interface, JSON",
            "activities with their customers, contacts, leads, accounts, users, cases",
            "bodies, subjects, durations, opportunities, all other entities",
            "documentation",
            "the description of its interface and the definitions of its entities in its public source",
        ),
        Format(
            "exported lists, CSV",
            "the same, as far as the attributes were exported",
            "the same; XLSX",
            "documentation",
            "its public source, which writes attributes as they are stored",
        ),
        Format(
            "tables of the database, CSV",
            "the same; numbers, addresses and attendees from their tables beside them",
            "the same",
            "documentation",
            "the definitions of its entities, from which its tables are made",
        ),
    )
    lies = (
        "dateStart and dateEnd are what somebody planned: a call or meeting counts as logged when it was created, and "
        "one that was held after it had been planned, when it ended.",
        "A planned call may have been held and never marked: it counts as logged when it was created; one marked as "
        "not held is passed over.",
        "An answer of the interface with many records leaves contacts of calls and meetings out unless it is asked "
        "for contactsIds.",
        "An exported list writes an apostrophe before a number that begins with a plus; it is taken away.",
    )
    lists = ("list",)
    objects = (*KINDS, "Contact", "Lead", "Account", "Case", "User")
    unreadable: ClassVar = {
        "Contact": "contact",
        "Lead": "contact",
        "Account": "account",
        "Case": "ticket",
        "User": "user",
    }
    ticket = "Case"
    holds = "an entity of EspoCRM"
    remedy = "export all of its attributes"
    fields = FIELDS
    others: ClassVar = {}
    modules: ClassVar = marks(
        {
            "call_contact": ("callId contactId status deleted",),
            "call_lead": ("callId leadId status deleted",),
            "meeting_contact": ("meetingId contactId status deleted",),
            "meeting_lead": ("meetingId leadId status deleted",),
            "case_contact": ("caseId contactId",),
            "entity_email_address": ("entityId emailAddressId entityType",),
            "entity_phone_number": ("entityId phoneNumberId entityType",),
            "email_email_address": ("emailId emailAddressId addressType",),
            "phone_number": ("name numeric deleted",),
            "email_address": ("name lower deleted",),
            "Email": ("messageId dateSent createdAt", "dateSent fromString createdAt", "dateSent isReplied createdAt"),
            "Call": ("createdAt dateStart direction status",),
            "Case": ("createdAt number priority status",),
            "Task": ("createdAt dateEnd priority status",),
            "Meeting": ("createdAt dateStart dateEnd status",),
            "User": ("userName createdAt", "userName type"),
            "Lead": (
                "createdAt lastName opportunityAmount", "createdAt lastName convertedAt",
                "createdAt lastName createdAccountId", "createdAt lastName source status",
            ),
            "Contact": ("createdAt lastName",),
            "Account": ("createdAt billingAddressCity", "createdAt sicCode", "createdAt website industry"),
            "Note": ("createdAt post parentType",),
        }
    )  # fmt: skip
    signs = (
        frozenset({"createdAt", "modifiedAt", "assignedUserId"}),
        frozenset({"createdAt", "createdById"}),
        frozenset({"userName", "type", "lastName"}),
        frozenset({"entityId", "entityType"}),
        frozenset({"emailId", "emailAddressId"}),
        frozenset({"caseId", "contactId"}),
        frozenset({"status", "deleted"}),
        frozenset({"lower", "deleted"}),
        frozenset({"numeric", "deleted"}),
    )
    tables = _TABLES
    needs: ClassVar = {
        "Call": frozenset({"call_contact", "call_lead", *_CASES}),
        "Meeting": frozenset({"meeting_contact", "meeting_lead", *_CASES}),
        "Email": frozenset({"email_email_address", "entity_email_address", "Contact", "Lead", *_CASES}),
        "Task": _CASES,
        "Note": _CASES,
        "Case": frozenset({"case_contact"}),
        **dict.fromkeys(("Contact", "Lead", "Account", "User"), _ADDRESSES),
    }
    told = staticmethod(told)

    def is_local(self, layout: Layout) -> bool:
        """Return no: all of its times are UTC."""
        return False

    def ties(self, module: str, row: Mapping[str, Any]) -> Iterator[Tie]:
        """Yield what a row of a table of pairs, of a contact or of a case ties."""
        return ties(module, row)

    def advice(self) -> str:
        """Return what says whom activities are tied to."""
        return "ask for contactsIds and leadsIds, or put the tables call_contact and meeting_contact beside it"


SOURCE: Final = EspoCrm()
