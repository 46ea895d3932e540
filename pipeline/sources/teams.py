"""Microsoft Teams as Graph tells of it: the logs of calls to and from the telephone network, and call records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.headers import folded_names
from pipeline.sources.json_records import first_record, form_of
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.teams_call_records import legs_of_record
from pipeline.sources.teams_logs import FIELDS, NEEDED, OTHER_NAMES, leg_of_row
from pipeline.sources.translation import Fields, named_records, renaming, require_columns, translated
from pipeline.sources.written_values import InstantReader

_LISTS: Final = ("value",)
_CONTEXT: Final = b"allRecords"  # in the address of what a page of the API holds
_ROW_MARKS: Final = frozenset({"calltype", "callernumber", "calleenumber", "startdatetime"})
_RECORD_MARKS: Final = frozenset({"type", "modalities", "startDateTime", "endDateTime"})


class Teams:
    """Call logs and call records of Microsoft Teams."""

    name = "teams"
    title = "Microsoft Teams calls"
    description = (
        "Answers of Microsoft Graph as JSON (pages, lists, one record a file or a line): getPstnCalls, "
        "getDirectRoutingCalls and callRecords with their sessions. The rows of the two logs also as CSV with Graph's "
        "names. Mapping: field = column, for the rows of the logs. options.tenant is the id of your own tenant; call "
        "records with users of several tenants need it. Representatives are known by their user principal name as "
        "email, or by name. Times are UTC."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "pstnCallLogRow (calling plans and operators)",
            "user, numbers, type of call, times, duration",
            "prices, licences, operator, conference id, countries",
            "documentation",
            "the property tables and sample answers of Graph v1.0 and beta; the types in the usage report's help",
        ),
        Format(
            "directRoutingLogRow",
            "user, numbers, type of call, invitation, start and end, success, SIP code",
            "trunk, media path, subcodes",
            "documentation",
            "the property tables and sample answers of Graph v1.0 and beta; the types in the usage report's help",
        ),
        Format(
            "callRecord with sessions",
            "type, organiser, sessions with caller, callee, their roles, times and failure",
            "segments, media, devices, networks, join address",
            "documentation",
            "the property tables and sample answers of Graph; sessions with telephones and services on made-up ones",
        ),
    )
    lies = (
        "The logs of the telephone network do not say that a queue or a menu passed a call on to a user: it stands "
        "there as the bot's alone, and counts as answered by nobody. Call records tell who took it.",
        "A call that a user forwards or transfers to the telephone network has a row of its own beside the caller's; "
        "it is passed over.",
        "The documentation of v1.0 has callerNumber the wrong way round; it is the number that called.",
        "In some countries and tenants the last digits of numbers are starred out; such callers count as withheld.",
        "Call records tell the time from joining to leaving; ringing and holding are in it, and a user's voicemail "
        "answers like the user.",
        "Call records of large meetings come in pages of 60 sessions; only those in the file are read.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on rows of the logs, on call records, or on a page of either."""
        if sample.is_directory:
            return None
        form = form_of(sample.head, _LISTS)
        if form is None:
            is_table = folded_names(sample.head) >= _ROW_MARKS
            return Recognition(0.95, "its columns are those of a call log of Teams") if is_table else None
        record = first_record(sample.head, form)
        if record is None:
            is_page = _CONTEXT in sample.head[:1024] and b"graph.microsoft" in sample.head[:1024]
            return Recognition(0.9, "a page of Microsoft Graph's calls") if is_page else None
        if {name.casefold() for name in record} >= _ROW_MARKS:
            return Recognition(0.95, "rows of a call log of Teams")
        is_call_record = record.keys() >= _RECORD_MARKS and bool(record.keys() & {"organizer", "organizer_v2"})
        return Recognition(0.95, "call records of Teams") if is_call_record else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each row, and of a call record one of each talk.

        Raises:
            ConfigurationError: when the mapping or the options do not fit, or a table lacks a column.
            InvalidRecord: when a document is broken; what came before it is yielded first.
        """
        start, size = head(path), path.stat().st_size
        form = form_of(start, _LISTS)
        rename = renaming(context, FIELDS, OTHER_NAMES)
        if form is None:
            require_columns(context, folded_names(start), NEEDED, OTHER_NAMES)
        tenant = _tenant(context)
        reader = InstantReader()

        def legs(value: Mapping[str, Any]) -> Fields | Sequence[Fields]:
            if "modalities" in value or "sessions" in value:
                return legs_of_record(value, tenant, reader)
            row = rename(value)
            if "callType" not in row:
                raise InvalidRecord("callType: missing; expected a row of a call log, or a call record with sessions")
            return leg_of_row(row, reader)

        unit: Literal["line", "record"] = "line" if form is None else form.unit
        yield from translated(named_records(path, start, form), legs, context, unit, size)


def _tenant(context: ReadContext) -> str | None:
    value = context.options.get("tenant")
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ConfigurationError(f"{context.file}: options.tenant is {value!r}; expected the id of your tenant")
    return value.strip().casefold() if value else None


SOURCE: Final = Teams()
