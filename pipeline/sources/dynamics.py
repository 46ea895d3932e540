"""Dynamics 365 and Dataverse: activities with their parties, cases, contacts, leads, accounts and users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

from pipeline.sources.beside import Beside
from pipeline.sources.crm_exports import Layout
from pipeline.sources.crm_reader import CrmExport, Opened, RecognisedObject
from pipeline.sources.dynamics_objects import (
    ACTIVITIES,
    KEYS,
    KINDS,
    NOTE,
    OTHER,
    PARTY,
    POINTER,
    logical_name,
    tell_layout,
)
from pipeline.sources.dynamics_parties import LISTS, look_beside
from pipeline.sources.dynamics_records import RecordReader
from pipeline.sources.registry import Format, ReadContext
from pipeline.sources.translation import require_columns

_READ: Final = (*KINDS, POINTER, NOTE, "contact", "lead", "account", "incident", "systemuser")
# What an unreadable record counts as: none of them is a raw event.
_UNREADABLE: Final = {
    "contact": "contact", "lead": "contact", "account": "account", "incident": "ticket", "systemuser": "user",
}  # fmt: skip


class Dynamics(CrmExport):
    """Answers of the Web API as JSON, and tables of Dataverse as CSV with logical names."""

    name = "dynamics"
    title = "Microsoft Dynamics 365"
    description = (
        "Phone calls, emails, appointments, tasks, notes, cases, contacts, leads, accounts and users of Dataverse: "
        "answers of the Web API as JSON (pages, lists, one a line), and tables as CSV whose columns have their logical "
        "names. Who took part in an activity stands in its expanded parties or in the table activityparty beside it. "
        "Options: object, siblings, phone_fields, email_fields, segment_field. Mapping: column = other column; "
        "call_id = the column into which a telephone system writes its own id of a call. Times without a zone are UTC."
    )
    carries = frozenset({"contact", "account", "crm_user", "activity", "feed_progress"})
    formats = (
        Format(
            "answers of the Web API, JSON",
            "activities with their parties, notes, cases, contacts, leads, accounts, users",
            "bodies, subjects, durations, opportunities, all other tables",
            "documentation",
            "the reference of the tables, and answers of it in public code",
        ),
        Format(
            "tables with logical names, CSV",
            "the same; parties from the table activityparty beside them",
            "the same",
            "documentation",
            "the reference of the tables, and the columns of data lakes in public code",
        ),
    )
    lies = (
        "actualend says when an activity was completed unless somebody wrote something else there: it counts for a "
        "call or meeting that was planned before, and only when it is later than createdon.",
        "An open phone call may be a plan, or a call that nobody marked as completed: it counts as logged when it was "
        "created.",
        "A phone call on which a voice mail was left is no conversation and is passed over, as are canceled ones.",
        "directioncode is outgoing unless somebody changes it.",
        "The owner of an activity that a telephone system wrote may be that system's own user.",
        "Without annotations the Web API does not say what a lookup leads to: then every party that is not the owner "
        "is taken for a customer.",
    )

    lists = LISTS
    objects = _READ
    unreadable: ClassVar = _UNREADABLE
    ticket = "incident"
    holds = "a table of Dataverse"
    remedy = "export all of its columns"

    def tell(self, layout: Layout, start: bytes) -> RecognisedObject | None:
        """Return the table of an answer of the Web API, or of a table of Dataverse, by its columns."""
        return tell_layout(layout, start)

    def require(self, told: RecognisedObject, layout: Layout, context: ReadContext) -> None:
        """Make sure that a table has ids."""
        if told.name in _READ:
            key = KEYS.get(told.name, "activityid")
            require_columns(context, {*layout.columns, *map(logical_name, layout.columns)}, (key,), {})

    def open(self, path: Path, told: RecognisedObject, layout: Layout, context: ReadContext, beside: Beside) -> Opened:
        """Return what reads the records of a file; activities are tied by who took part in them."""
        is_tied = told.name in (*ACTIVITIES, NOTE, OTHER)
        looked = look_beside(path, context, beside) if is_tied else (frozenset[str](), list[str]())
        reader = RecordReader(told.name, layout.form is None, context, beside, looked[0])
        return Opened(reader.tell, lambda: (*looked[1], *_warnings(told, reader, context)))


def _warnings(told: RecognisedObject, reader: RecordReader, context: ReadContext) -> Iterator[str]:
    if told.name == PARTY:
        yield (
            f"{context.file}: who took part in activities; it is looked up when those beside it are read, and gives "
            "nothing of its own"
        )
    elif told.name == OTHER:
        yield f"{context.file}: {told.evidence}; it says nothing of interactions and gives nothing"
    if reader.void_count:
        yield (
            f"{context.file}: {reader.void_count:,} of its records were canceled, not sent or reached nobody: they "
            "are no traces and were passed over"
        )
    if reader.untied_count and not reader.has_parties:
        yield (
            f"{context.file}: {reader.untied_count:,} of its {reader.activity_count:,} activities are regarding no "
            "customer, and nothing says who took part; put the table activityparty beside it, or ask the Web API to "
            "expand the parties, as in $expand=phonecall_activity_parties"
        )
    if reader.typeless_count:
        yield (
            f"{context.file}: {reader.typeless_count:,} lookups do not say what they lead to, so that some of ours may "
            'be taken for customers; ask the Web API with Prefer: odata.include-annotations="*"'
        )


SOURCE: Final = Dynamics()
