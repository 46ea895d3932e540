"""FusionPBX: its table of call detail records, v_xml_cdr, and the export of its page of calls.

A row is a channel of FreeSWITCH. Where the table holds both channels of a call, the row of the telephone that answered
says who talked and for how long; otherwise the caller's row does, with what is known there of who answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pipeline.errors import InvalidRecord
from pipeline.sources.call_ends import End, end_of_number
from pipeline.sources.call_times import epoch, seconds, stamp
from pipeline.sources.freeswitch_channels import rang_in_vain, require_room
from pipeline.sources.headers import folded_names
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.translation import Fields, named_records, renaming, require_columns, translated
from pipeline.sources.written_values import InstantReader

_FIELDS: Final = (
    "xml_cdr_uuid", "direction", "leg", "caller_id_number", "source_number", "destination_number", "extension",
    "start_epoch", "start_stamp", "end_epoch", "end_stamp", "billsec", "billmsec", "bridge_uuid",
    "originating_leg_uuid", "hangup_cause", "status", "voicemail_message", "missed_call", "last_app", "cc_side",
    "cc_queue", "cc_agent", "cc_member_session_uuid", "cc_queue_answered_epoch",
)  # fmt: skip
_NEEDED: Final = (
    "xml_cdr_uuid", "direction", "caller_id_number", "destination_number", "start_epoch", "billsec", "bridge_uuid",
)  # fmt: skip
_TABLE: Final = frozenset({"xml_cdr_uuid", "caller_id_number", "destination_number", "billsec"})
_DIRECTIONS: Final = {"inbound": "inbound", "outbound": "outbound", "local": "internal", "internal": "internal"}
_TRUE: Final = frozenset({"t", "true", "1", "yes"})
_VOICEMAIL_PREFIX: Final = "*99"


class FusionPbx:
    """The table v_xml_cdr of FusionPBX."""

    name = "fusionpbx"
    title = "FusionPBX call detail records"
    description = (
        "The table v_xml_cdr as CSV with its header (a copy by SQL, or the CSV that the page Call Detail Records "
        "exports). With the column extension, which the page's export has, representatives are known by it; else by "
        "the number that answered. Mapping: field = column."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "table v_xml_cdr",
            "parties, direction, epochs, lengths, both channels' ids, queue, voicemail, status",
            "names of callers, recordings, media quality, call flow",
            "documentation",
            "the columns, and how they are filled, in the source code of FusionPBX 4.5 to 5.3",
        ),
        Format(
            "export of the page Call Detail Records",
            "the same, and the extension",
            "the same; columns that an administrator added",
            "documentation",
            "the page's query in the source code of FusionPBX 4.5 to 5.3",
        ),
    )
    lies = (
        "`answered` is what a menu or a voicemail does too: only a row with bridge_uuid reached a person.",
        "Of a queue's caller the seconds billed count the waiting; cc_queue_answered_epoch tells when an agent came.",
        "`duration` is the seconds billed in newer versions, and the whole call in older ones; it is not read.",
        "Numbers lose their plus sign when they are stored.",
        "destination_number is where the call went last, not what was dialled.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a table with the columns of v_xml_cdr."""
        if sample.is_directory or not folded_names(sample.head) >= _TABLE:
            return None
        return Recognition(0.95, "its columns are those of FusionPBX's table v_xml_cdr")

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each row. The file is gone through twice.

        Raises:
            ConfigurationError: when a column lacks, the mapping does not fit, or it tells of too many calls.
            InvalidRecord: when an archive ends in the middle.
        """
        start = head(path)
        rename = renaming(context, _FIELDS, {})
        require_columns(context, folded_names(start), _NEEDED, {})
        told: set[str] = set()
        for value in _values(path, start):
            fields = rename(value)
            if _tells(fields) and (origin := _origin(fields)):
                told.add(origin)
                require_room(told, context.file)
        reader = InstantReader()

        def leg(value: Mapping[str, Any]) -> Fields | Sequence[Fields]:
            return _leg(rename(value), told, reader)

        yield from translated(named_records(path, start), leg, context, "line", path.stat().st_size)


def _values(path: Path, start: bytes) -> Iterator[Mapping[str, Any]]:
    try:
        for record in named_records(path, start):
            yield record.value
    except InvalidRecord:
        return  # told when the records themselves are read


def _is_called(value: Mapping[str, Any]) -> bool:
    """Return whether a row is of a channel that was rung on behalf of another one."""
    return value.get("leg") == "b" or bool(value.get("originating_leg_uuid")) or value.get("cc_side") == "agent"


def _origin(value: Mapping[str, Any]) -> str | None:
    """Return the caller's channel of a called one. The page's export names it by the channel that it was joined to."""
    if not _is_called(value):
        return None
    return value.get("originating_leg_uuid") or value.get("cc_member_session_uuid") or value.get("bridge_uuid")


def _tells(value: Mapping[str, Any]) -> bool:
    """Return whether a called channel's row tells of a talk: it is of a telephone of ours that was answered."""
    return (
        _is_called(value)
        and value.get("direction") != "outbound"
        and _is_joined(value)
        and str(value.get("billsec", "")).isdecimal()
        and str(value["billsec"]).strip("0") != ""
        and _device(value) is not None
    )


def _is_joined(value: Mapping[str, Any]) -> bool:
    """Return whether a channel was joined to another one, and not to a voicemail."""
    return bool(value.get("bridge_uuid")) and not _is_voicemail(value)


def _is_voicemail(value: Mapping[str, Any]) -> bool:
    return (
        value.get("status") == "voicemail"
        or value.get("last_app") == "voicemail"
        or str(value.get("voicemail_message", "")).casefold() in _TRUE
        or str(value.get("missed_call", "")).casefold() in _TRUE
        or str(value.get("destination_number", "")).startswith(_VOICEMAIL_PREFIX)
    )


def _device(value: Mapping[str, Any]) -> str | None:
    extension = value.get("extension")
    return str(extension) if extension else end_of_number(value.get("destination_number")).device


def _leg(value: Mapping[str, Any], told: set[str], reader: InstantReader) -> Fields | Sequence[Fields]:
    uuid = value.get("xml_cdr_uuid")
    if not uuid:
        raise InvalidRecord("xml_cdr_uuid: missing; every row has one")
    direction = _DIRECTIONS.get(str(value.get("direction", "")).casefold())
    started = epoch("start_epoch", value.get("start_epoch")) or stamp("start_stamp", value.get("start_stamp"), reader)
    if started is None:
        raise InvalidRecord("start_epoch: missing; every call has one")
    ended = epoch("end_epoch", value.get("end_epoch")) or stamp("end_stamp", value.get("end_stamp"), reader)
    status, talk = _course(value, uuid, told, ended)
    origin = _origin(value)
    if _is_called(value) and origin is None and status != "answered":
        return ()  # a telephone that rang in vain, and nothing says in which call
    caller, called = _ends(value, direction)
    return {
        "kind": "pbx_leg",
        "call_id": origin or uuid,
        "leg_id": uuid,
        "started_at": started,
        "ended_at": ended,
        "status": status,
        "talk_seconds": talk,
        "direction": direction,
        "from": caller.number,
        "from_device": caller.device,
        "to": called.number,
        "to_device": called.device,
        "queue": str(value.get("cc_queue") or "").partition("@")[0] or None,
    }


def _ends(value: Mapping[str, Any], direction: str | None) -> tuple[End, End]:
    caller, called = end_of_number(value.get("caller_id_number")), end_of_number(value.get("destination_number"))
    extension = str(value["extension"]) if value.get("extension") else None
    if direction == "outbound":
        source = end_of_number(value.get("source_number"))
        return End(extension or caller.device or source.device, caller.number), called
    if extension is None and value.get("cc_side") == "member":
        extension = value.get("cc_agent")
    return caller, End(extension or called.device, called.number)


def _course(value: Mapping[str, Any], uuid: str, told: set[str], ended: datetime | None) -> tuple[str, float | None]:
    """Return how a channel ended, and the seconds of talk where its row is the one to tell them."""
    billed = seconds("billsec", value.get("billsec"))
    if billed == 0:
        return rang_in_vain(value.get("hangup_cause")), None
    if _is_voicemail(value):
        return "voicemail", None
    is_told = uuid in told or (_is_called(value) and not _tells(value))
    if not _is_joined(value) or is_told:
        return "ivr", None
    came = epoch("cc_queue_answered_epoch", value.get("cc_queue_answered_epoch"))
    if value.get("cc_side") == "member" and came is not None and ended is not None and ended.tzinfo is not None:
        return "answered", min(billed, max((ended - came).total_seconds(), 0.0))
    return "answered", billed


SOURCE: Final = FusionPbx()
