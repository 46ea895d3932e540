"""Freshdesk: the table of tickets that its page of tickets exports, a row each, with who asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pipeline.errors import InvalidRecord
from pipeline.sources.call_times import stamp
from pipeline.sources.headers import folded_names
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.source_options import check_options, text_option
from pipeline.sources.translation import Fields, named_records, renaming, require_columns, translated
from pipeline.sources.written_values import InstantReader

# Fields and the names of their columns, in lower case.
_COLUMNS: Final = {
    "ticket_id": "ticket id",
    "created_time": "created time",
    "updated_time": "last update time",
    "agent": "agent",
    "email": "email",
    "work_phone": "work phone",
    "mobile_phone": "mobile phone",
}
_NEEDED: Final = ("ticket_id", "created_time")
_REQUESTER: Final = ("email", "work_phone", "mobile_phone")
# The other maker's desk for a company's own people has a column for them by this name.
_MARKS: Final = frozenset({"ticket id", "created time", "due by time"})
_OTHER_DESK: Final = "requester email"
_OLDER_UPDATED: Final = "last updated time"
_NOBODY: Final = frozenset({"", "no agent", "unassigned"})


class FreshdeskExport:
    """Tickets as the page of tickets exports them."""

    name = "freshdesk_export"
    title = "Freshdesk, exported tickets"
    description = (
        "The CSV that Freshdesk's page of tickets exports, with fields of the contact (Email, Work phone, Mobile "
        "phone) beside those of the ticket. Each row is a record in a ticket system: it shows what is siloed. Times "
        'are local to `timezone`. Columns of other names by a mapping, as in mapping = { created_time = "Luotu" }. '
        "Options: contact_field, the column that holds the id of a contact in the CRM, and date_format. May be packed "
        "with gzip or zstd."
    )
    carries = frozenset({"activity", "feed_progress"})
    formats = (
        Format(
            "table of tickets, CSV",
            "Ticket ID, times of creation and of the last change, agent, addresses and numbers of the contact",
            "subjects, status, times of answers, tags, custom fields, replies (they are not in the table)",
            "documentation",
            "the names of columns in several programs that read such tables",
        ),
    )
    lies = (
        "An agent stands by name alone, which is nobody's id: whose ticket it is stays unknown, unless the directory "
        "has that name as representative_id. What is siloed does not depend on it.",
        "Replies and notes are not in the table: a later contact that only a reply shows counts as bypassed. The "
        "answers of the API have them.",
        "Times are in the zone of the profile of who exported them.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a table with the names of Freshdesk's columns."""
        if sample.is_directory or not (columns := folded_names(sample.head)) >= _MARKS or _OTHER_DESK in columns:
            return None
        return Recognition(0.9, "columns of exported tickets")

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of facts, one of each ticket.

        Raises:
            ConfigurationError: when a column that is needed is missing, or the mapping or options do not fit.
            InvalidRecord: when an archive ends in the middle.
        """
        check_options(context, ("contact_field", "date_format"))
        start = head(path)
        if not start:
            return
        columns = folded_names(start)
        rename = renaming(context, _COLUMNS, _COLUMNS)
        require_columns(context, columns, _NEEDED, _COLUMNS)
        contact_field = text_option(context, "contact_field")
        if not any(name in context.mapping or _COLUMNS[name] in columns for name in _REQUESTER):
            note = (
                f"{context.file}: no column tells who asked; export again with Email, Work phone and Mobile phone of "
                "the contact among the fields"
            )
            yield Batch({}, 0, warnings=(note,))
        reader = InstantReader(text_option(context, "date_format"))

        def ticket(value: Mapping[str, Any]) -> Fields:
            contact_id = value.get(contact_field.casefold()) if contact_field else None
            return _ticket({"updated_time": value.get(_OLDER_UPDATED), **rename(value)}, contact_id, context, reader)

        yield from translated(named_records(path, start), ticket, context, "line", path.stat().st_size, "ticket")


def _ticket(value: Mapping[str, Any], contact_id: object, context: ReadContext, reader: InstantReader) -> Fields:
    ticket_id = str(value.get("ticket_id") or "").strip()
    if not ticket_id:
        raise InvalidRecord("ticket_id: missing; expected the number of a ticket")
    agent = str(value.get("agent") or "").strip()
    return {
        "kind": "ticket",
        "ticket_id": f"{context.source}:{ticket_id}",
        "logged_at": _instant(value, "created_time", reader),
        "updated_at": stamp("updated_time", value.get("updated_time"), reader),
        "owner_id": None if agent.casefold() in _NOBODY else agent,
        "requester_emails": [str(value["email"])] if value.get("email") else [],
        "requester_phones": [str(value[name]) for name in ("work_phone", "mobile_phone") if value.get(name)],
        "contact_ids": [str(contact_id)] if contact_id else [],
    }


def _instant(value: Mapping[str, Any], name: str, reader: InstantReader) -> datetime:
    found = stamp(name, value.get(name), reader)
    if found is None:
        raise InvalidRecord(f"{name}: missing; every ticket has one")
    return found


SOURCE: Final = FreshdeskExport()
