"""3CX, version 20: the rows of its table cdroutput, one of each leg of a call.

A leg leads from who called to one destination: a queue, a menu, an extension, a number outside. What a queue takes and
hands on to an extension is two legs of one call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.call_ends import is_machine, machine_patterns
from pipeline.sources.call_times import utc_stamp
from pipeline.sources.headers import folded_names
from pipeline.sources.json_outline import first_members
from pipeline.sources.json_records import form_of
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.source_options import check_options
from pipeline.sources.threecx_types import EXTENSION, OUTSIDE, VOICEMAILS, type_of
from pipeline.sources.translation import Fields, named_records, renaming, require_columns, translated
from pipeline.sources.written_values import InstantReader

_NEEDED: Final = (
    "cdr_id", "call_history_id", "source_entity_type", "source_dn_number", "source_participant_phone_number",
    "destination_entity_type", "destination_dn_number", "destination_participant_phone_number", "cdr_started_at",
    "cdr_ended_at", "cdr_answered_at",
)  # fmt: skip
_FIELDS: Final = (*_NEEDED, "main_call_history_id", "source_dn_type", "destination_dn_type")
_MARKS: Final = frozenset({"cdr_id", "call_history_id", "source_entity_type", "destination_entity_type"})
_LISTS: Final = ("data", "rows", "value", "cdroutput")


class ThreeCxLegs:
    """Rows of the table cdroutput."""

    name = "threecx_legs"
    title = "3CX, table cdroutput"
    description = (
        "The table cdroutput of 3CX version 20 and newer, as CSV with the names of its columns, or as JSON: a list, or "
        "one row a line. Each row is a leg of a call. Times have an offset. Columns of other names by a mapping, as in "
        'mapping = { cdr_id = "id" }. options.machines lists extensions of yours that are no persons, as in '
        'options = { machines = ["80*"] }; queues, menus and voicemails are known. May be packed with gzip or zstd.'
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "table cdroutput, CSV or JSON",
            "ids of leg and call, kinds, numbers and times of both ends",
            "names, groups, billing, how a leg began and ended",
            "documentation",
            "the columns of the table and what they hold, in several programs that read it",
        ),
    )
    lies = (
        "A queue and a menu answer at once; their legs are no talk, and talk begins with the leg to an extension.",
        "A row is written for each extension that rang; those that did not answer are unanswered legs of one call.",
        "The number of a trunk stands as dn_number of an end outside; the customer's is the participant's.",
        "The table keeps no more than the system is set to keep.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on rows of the table."""
        if sample.is_directory:
            return None
        form = form_of(sample.head, _LISTS)
        names = set(first_members(sample.head, form)) if form is not None else folded_names(sample.head)
        return Recognition(0.95, "columns of the table cdroutput") if names >= _MARKS else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each row.

        Raises:
            ConfigurationError: when a column that is needed is missing, or the mapping or options do not fit.
            InvalidRecord: when a document is broken, or an archive ends in the middle.
        """
        check_options(context, ("machines",))
        machines, reader = machine_patterns(context), InstantReader()
        start = head(path)
        if not start:
            return
        form = form_of(start, _LISTS)
        rename = renaming(context, _FIELDS, {})
        if form is None:
            require_columns(context, folded_names(start), _NEEDED, {})
        elif not context.mapping and not first_members(start, form).keys() >= _MARKS:
            raise ConfigurationError(f"{context.file} holds no rows of cdroutput; leave out format")

        def leg(value: Mapping[str, Any]) -> Fields:
            return _leg(rename(value), machines, reader)

        unit = "line" if form is None else form.unit
        yield from translated(named_records(path, start, form), leg, context, unit, path.stat().st_size)


def _leg(value: Mapping[str, Any], machines: Sequence[str], reader: InstantReader) -> Fields:
    started, answered, ended = (
        utc_stamp(name, value.get(name), reader) for name in ("cdr_started_at", "cdr_answered_at", "cdr_ended_at")
    )
    if started is None:
        raise InvalidRecord("cdr_started_at: missing; every leg has one")
    if answered is not None:
        answered = max(answered, started)  # somebody who was connected before the leg began
    call_id = value.get("main_call_history_id") or value.get("call_history_id") or value.get("cdr_id")
    source, destination = (_kind(value, end) for end in ("source", "destination"))
    caller, called = _number(value, "source", source), _number(value, "destination", destination)
    is_group = destination not in {EXTENSION, *OUTSIDE, *VOICEMAILS}
    return {
        "kind": "pbx_leg",
        "call_id": str(call_id or ""),
        "leg_id": str(value.get("cdr_id") or "") or None,
        "started_at": started,
        "answered_at": answered,
        "ended_at": ended,
        "talk_seconds": None if answered is not None and ended is not None else 0,
        "status": _status(destination, called, answered is not None, machines),
        "direction": _direction(source in OUTSIDE, destination in OUTSIDE),
        "from": caller,
        "to": called,
        "queue": called if is_group else None,
    }


def _kind(value: Mapping[str, Any], end: str) -> str:
    return type_of(value.get(f"{end}_entity_type") or value.get(f"{end}_dn_type"))


def _number(value: Mapping[str, Any], end: str, kind: str) -> str | None:
    """Return the number of an end: of ours its own, of one outside that which was shown or dialled."""
    names = [f"{end}_dn_number", f"{end}_participant_phone_number"]
    if kind in OUTSIDE:
        # The other one is the number of a trunk.
        names = names[1:]
    return next((str(value[name]).strip() for name in names if value.get(name)), None)


def _direction(is_from_outside: bool, is_to_outside: bool) -> str:
    if is_from_outside:
        return "inbound"
    return "outbound" if is_to_outside else "internal"


def _status(destination: str, called: str | None, is_answered: bool, machines: Sequence[str]) -> str:
    if not is_answered:
        return "unanswered"
    if destination in VOICEMAILS:
        return "voicemail"
    if destination in OUTSIDE:
        return "answered"
    is_person = destination == EXTENSION and not is_machine((called or "",), machines)
    return "answered" if is_person else "ivr"


SOURCE: Final = ThreeCxLegs()
