"""Dynamics 365 and Dataverse: activities with their parties, cases, contacts, leads, accounts and users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.errors import ConfigurationError
from pipeline.sources.beside import Beside
from pipeline.sources.crm_exports import layout_of, without_progress
from pipeline.sources.dynamics_objects import (
    ACTIVITIES,
    KEYS,
    KINDS,
    NOTE,
    OTHER,
    PARTY,
    POINTER,
    ToldTable,
    logical_name,
    tell_layout,
)
from pipeline.sources.dynamics_parties import LISTS, look_beside
from pipeline.sources.dynamics_records import RecordReader
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.translation import require_columns, translated

_READ: Final = (*KINDS, POINTER, NOTE, "contact", "lead", "account", "incident", "systemuser")
# What an unreadable record counts as: none of them is a raw event.
_UNREADABLE: Final = {
    "contact": "contact", "lead": "contact", "account": "account", "incident": "ticket", "systemuser": "user",
}  # fmt: skip


class Dynamics:
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

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on an answer of the Web API or a table of Dataverse."""
        if sample.is_directory:
            return None
        told = _tell(sample.head)
        return Recognition(told.confidence, told.evidence) if told is not None else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of facts. A file that bears activities ends with how far it reaches.

        The files beside one of activities are read first, for who took part in them; see `Beside`.

        Raises:
            ConfigurationError: when the table cannot be told, or an option or the mapping does not fit.
            InvalidRecord: when a document is broken or an archive damaged; what came before it is yielded first.
        """
        start, size = head(path), path.stat().st_size
        layout = layout_of(start, LISTS)
        told = _table(start, context)
        key = KEYS.get(told.name, "activityid")
        if layout.form is None and told.name in _READ:
            require_columns(context, {*layout.columns, *map(logical_name, layout.columns)}, (key,), {})
        with Beside() as beside:
            is_tied = told.name in (*ACTIVITIES, NOTE, OTHER)
            looked = look_beside(path, context, beside) if is_tied else (frozenset[str](), list[str]())
            reader = RecordReader(told.name, layout.form is None, context, beside, looked[0])
            kind = _UNREADABLE.get(told.name, "activity")
            batches = translated(layout.records(path), reader.tell, context, layout.unit, size, kind)
            yield from batches if told.name != "incident" else without_progress(batches)
            warnings = [*looked[1], *_warnings(told, reader, context)]
            if warnings:
                yield Batch({}, 0, warnings=tuple(warnings))


def _table(start: bytes, context: ReadContext) -> ToldTable:
    wanted = context.options.get("object")
    if wanted is not None:
        if wanted not in _READ:
            raise ConfigurationError(f"object is {wanted!r}; expected one of {', '.join(_READ)}")
        return ToldTable(str(wanted), 1.0, "the configuration names the table")
    told = _tell(start)
    if told is None:
        raise ConfigurationError(
            f"{context.file} cannot be told to hold a table of Dataverse; export all of its columns, or set object to "
            f"one of {', '.join(_READ)}"
        )
    return told


def _tell(start: bytes) -> ToldTable | None:
    return tell_layout(layout_of(start, LISTS), start)


def _warnings(told: ToldTable, reader: RecordReader, context: ReadContext) -> Iterator[str]:
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
