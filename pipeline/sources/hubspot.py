"""HubSpot: activities, tickets, contacts, companies and owners, from its interface and from warehouses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

from pipeline.sources.beside import Beside
from pipeline.sources.crm_exports import Layout
from pipeline.sources.crm_reader import CrmExport, Opened, RecognisedObject
from pipeline.sources.hubspot_associations import LISTS, look_beside
from pipeline.sources.hubspot_objects import (
    ACTIVITIES,
    ENGAGEMENT,
    OTHER,
    TIES,
    canonical_names,
    tell_layout,
)
from pipeline.sources.hubspot_records import RecordReader
from pipeline.sources.registry import Format, ReadContext
from pipeline.sources.translation import require_columns

_OBJECTS: Final = (*ACTIVITIES, ENGAGEMENT, "contact", "company", "ticket", "owner", "user")
_TIED: Final = (*ACTIVITIES, ENGAGEMENT, "ticket")
# What an unreadable record counts as: none of them is a raw event.
_KINDS: Final = {"contact": "contact", "company": "account", "ticket": "ticket", "owner": "user", "user": "user"}


class HubSpot(CrmExport):
    """Objects of the interface as JSON, and the tables that warehouses make of them."""

    name = "hubspot"
    title = "HubSpot"
    description = (
        "Calls, emails, meetings, notes, tasks, communications, tickets, contacts, companies and owners: objects of "
        "the interface as JSON (pages, lists, one a line), and the tables that Fivetran writes, as CSV. The object is "
        "told by its properties, not by the file's name. Whom an activity is tied to stands in its associations or in "
        "the tables of associations beside it. Ids have their object in front, as in contact:501 and owner:77. "
        "Options: object, siblings, phone_fields, email_fields, segment_field. Mapping: property = column. "
        "Times without a zone are UTC."
    )
    carries = frozenset({"contact", "account", "crm_user", "activity", "feed_progress"})
    formats = (
        Format(
            "objects of the interface, JSON",
            "activities and tickets with their associations, contacts, companies, owners",
            "bodies, subjects, recordings, deals, all other objects",
            "documentation",
            "the guides to the interface, and answers of it in public code",
        ),
        Format(
            "warehouse tables, CSV",
            "the same; associations from the tables engagement_contact, engagement_company, ticket_contact and others",
            "deals, teams, the history of properties",
            "records",
            "seeds of a published data model",
        ),
        Format(
            "older warehouse tables, CSV",
            "calls, emails, meetings, notes and tasks, with their times and owners from the table engagement",
            "the same",
            "records",
            "seeds of a published data model, 100 rows of each kind",
        ),
    )
    lies = (
        "hs_timestamp is where an activity sits on the timeline, and people choose it: hs_createdate says when it was "
        "logged.",
        "An activity that was imported was created on the day of the import, years after the conversation perhaps.",
        "A call that nobody took is an activity too: one whose status or outcome says so is passed over.",
        "A task of the type CALL is the plan to call somebody: it stays a task.",
        "Tools that copy a whole inbox give received emails the direction EMAIL: the direction is no evidence.",
        "The message id of an email sent from HubSpot may be one of its own that no mailbox has seen.",
        "A contact that was merged into another one keeps its id in older tables: it counts as the other one.",
    )

    lists = LISTS
    objects = _OBJECTS
    unreadable: ClassVar = _KINDS
    ticket = "ticket"
    holds = "an object of HubSpot"
    remedy = "export the properties of its object"

    def tell(self, layout: Layout, start: bytes) -> RecognisedObject | None:
        """Return the object of an answer of the interface, or of a warehouse table, by its properties."""
        return tell_layout(layout, start)

    def require(self, told: RecognisedObject, layout: Layout, context: ReadContext) -> None:
        """Make sure that a table has ids."""
        if told.name not in (TIES, OTHER):
            require_columns(context, {*layout.columns, *canonical_names(layout.columns)}, ("id",), {})

    def open(self, path: Path, told: RecognisedObject, layout: Layout, context: ReadContext, beside: Beside) -> Opened:
        """Return what reads the records of a file; activities and tickets are tied by what lies beside them."""
        looked = (
            look_beside(path, told.name, context, beside) if told.name in _TIED else (frozenset[str](), list[str]())
        )
        is_mixed = "object" not in context.options and (layout.form is not None or "engagement_id" in layout.columns)
        reader = RecordReader(told.name, is_mixed, context, beside, looked[0])
        return Opened(reader.tell, lambda: (*looked[1], *_warnings(told, reader, context)))


def _warnings(told: RecognisedObject, reader: RecordReader, context: ReadContext) -> Iterator[str]:
    if told.name == TIES:
        yield (
            f"{context.file}: a table of {' and '.join(told.ties)}; it is looked up when the activities and tickets "
            "beside it are read, and gives nothing of its own"
        )
    elif told.name == OTHER:
        yield f"{context.file}: {told.evidence}; it says nothing of interactions and gives nothing"
    if reader.void_count:
        yield (
            f"{context.file}: {reader.void_count:,} of its records were not sent or reached nobody: they are no traces "
            "and were passed over"
        )
    if reader.untied_count and not reader.has_ties:
        yield (
            f"{context.file}: nothing says whom its {reader.activity_count:,} activities are tied to, so hardly any "
            "can be a trace; put the tables engagement_contact and engagement_company beside it, or ask the interface "
            "for associations=contacts,companies,tickets"
        )
    if reader.cut_count:
        yield (
            f"{context.file}: {reader.cut_count:,} records have more associations than the interface gave with them; "
            "the others are missing"
        )


SOURCE: Final = HubSpot()
