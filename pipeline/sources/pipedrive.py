"""Pipedrive: answers of its interface as JSON, and exported lists as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from pipeline.sources.beside import Tie
from pipeline.sources.crm_columns import Columns, marks
from pipeline.sources.crm_exports import Layout
from pipeline.sources.crm_modules import OTHER, ModuleExport
from pipeline.sources.pipedrive_records import FIELDS, OBJECTS, ties, told
from pipeline.sources.registry import Format, ReadContext

# Columns of exported lists: each begins with its object, and a list shows columns of several.
_HEADINGS: Final = {
    "activity_subject": ("Activity - Subject",), "person_name": ("Person - Name",),
    "organization_name": ("Organization - Name",), "deal_title": ("Deal - Title",),
}  # fmt: skip
_COLUMNS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "activity": {
        "id": ("Activity - ID", "Activity - System ID"), "type": ("Activity - Type",), "done": ("Activity - Done",),
        "add_time": ("Activity - Add time", "Activity - Created"),
        "marked_as_done_time": ("Activity - Marked as done time",), "update_time": ("Activity - Update time",),
        "person_id": ("Person - ID", "Activity - Contact person ID"),
        "org_id": ("Organization - ID", "Activity - Organization ID"),
    },
    "person": {
        "id": ("Person - ID",), "org_id": ("Person - Organization ID", "Organization - ID"),
        "add_time": ("Person - Person created",), "update_time": ("Person - Update time",),
        "phone": ("Person - Phone",), "phone_work": ("Person - Phone - Work",),
        "phone_mobile": ("Person - Phone - Mobile",), "phone_home": ("Person - Phone - Home",),
        "phone_other": ("Person - Phone - Other",), "email": ("Person - Email",),
        "email_work": ("Person - Email - Work",), "email_home": ("Person - Email - Home",),
        "email_other": ("Person - Email - Other",),
    },
    "organization": {
        "id": ("Organization - ID",), "add_time": ("Organization - Organization created",),
        "update_time": ("Organization - Update time",), "website": ("Organization - Website",),
        "industry": ("Organization - Industry",), "phone": ("Organization - Phone",),
    },
}  # fmt: skip


class Pipedrive(ModuleExport):
    """Objects of the interface, of its first and its second version, and the lists that people export."""

    name = "pipedrive"
    title = "Pipedrive"
    description = (
        "Persons, organisations, activities, notes, mail messages and users: answers of the interface as JSON, and "
        "exported lists as CSV. The object is told by its fields, or by the beginnings of a list's columns. Ids have "
        "their object in front, as in person:7 and user:2. Options: object, siblings, date_format. Mapping: field = "
        "column; call_id = the field into which a telephone system writes its own id of a call. Times without a zone "
        "are UTC; those of an exported list are in the source's zone."
    )
    carries = frozenset({"contact", "account", "crm_user", "activity", "feed_progress"})
    formats = (
        Format(
            "answers of the interface, JSON",
            "persons, organisations, activities with their participants, notes, mail messages, users",
            "bodies, subjects, durations, deals, leads, files, all other objects",
            "documentation",
            "the reference of the interface, and its published client",
        ),
        Format(
            "exported lists, CSV",
            "persons, organisations and activities, with ids",
            "deals, notes; owners, whom a list names by name alone; XLSX",
            "documentation",
            "columns in public code alone; the zone of its times and the columns of an activity's times are unverified",
        ),
    )
    lies = (
        "due_date and due_time are what somebody planned: an activity counts as logged when it was created, and a call "
        "or meeting that was done, when it was marked as done.",
        "An activity that is not done may have taken place: a call counts as logged when it was created; an email that "
        "is not done is the plan to write one, and a task.",
        "An activity of the type email carries no Message-ID; a mail message has that of the program that sent it, "
        "which may be one of Pipedrive's own.",
        "Types of activities may be renamed: of another type's key an activity counts as of no kind.",
        "participants and attendees may be guests who did not come.",
    )
    lists = ("data",)
    objects = OBJECTS
    unreadable: ClassVar = {"person": "contact", "organization": "account", "user": "user"}
    ticket = ""
    holds = "an object of Pipedrive"
    remedy = "export its id and its other columns"
    fields = FIELDS
    others: ClassVar = _HEADINGS
    modules: ClassVar = marks(
        {
            "mail": ("mail_thread_id message_time",),
            "activity": ("activity_subject", "due_date marked_as_done_time", "due_date done type"),
            "note": ("pinned_to_person_flag", "pinned_to_organization_flag"),
            "user": ("is_admin icon_url", "timezone_name role_id", "timezone_name is_admin"),
            OTHER: ("deal_title", "stage_id pipeline_id"),
            "person": ("person_name", "first_name visible_to", "org_id visible_to name"),
            "organization": (
                "organization_name",
                "people_count visible_to",
                "address visible_to",
                "cc_email visible_to",
            ),
        }
    )
    signs = (frozenset(),)
    tables = frozenset()
    needs: ClassVar = {"mail": frozenset({"person"})}
    told = staticmethod(told)

    def columns(self, module: str | None, context: ReadContext | None = None) -> Columns:
        """Return what gives the values of a record: in an exported list the columns of its own object."""
        return Columns(self.fields, {**_HEADINGS, **_COLUMNS.get(module or "", {})}, context)

    def is_local(self, layout: Layout) -> bool:
        """Return whether a person exported the file."""
        return layout.form is None

    def ties(self, module: str, row: Mapping[str, Any]) -> Iterator[Tie]:
        """Yield the addresses of persons."""
        return ties(module, row)

    def advice(self) -> str:
        """Return what says whom activities are tied to."""
        return "export the ids of persons and organisations with them, and put the persons beside the mail"


SOURCE: Final = Pipedrive()
