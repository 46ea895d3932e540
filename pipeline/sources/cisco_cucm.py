"""Cisco Unified Communications Manager: its call detail records, one of each connection that a call was made of.

All connections of one call have one global call id, also when it is parked, picked up, transferred or conferenced;
only the call by which a transfer or conference is set up has an id of its own, and is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.parties import is_long_number
from pipeline.sources.asterisk_layout import first_lines
from pipeline.sources.call_ends import End, direction_between, end_of_number, is_machine, machine_patterns
from pipeline.sources.call_times import epoch, seconds
from pipeline.sources.cisco_columns import (
    FIELDS,
    NEEDED,
    OTHER_NAMES,
    cisco_records,
    is_quality_table,
    names_of,
    shape_of,
)
from pipeline.sources.headers import sniff_delimiter
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.translation import Fields, renaming, require_columns, translated

# Telephones, analogue adapters, and the programs on computers and mobiles.
_PHONE: Final = re.compile(r"(?:SEP|ATA|AN)[0-9A-F]{10,16}|(?:CSF|TCT|BOT|TAB)[0-9A-Z._-]+", re.IGNORECASE).fullmatch
_VOICEMAIL_PORT: Final = re.compile(r".*-VI\d+", re.IGNORECASE).fullmatch
_CONFERENCE: Final = re.compile(r"b\d{6,}", re.IGNORECASE).fullmatch
_ANNOUNCEMENT: Final = re.compile(r"c\d{6,}", re.IGNORECASE).fullmatch
_CONTROLLER: Final = re.compile(r"(?<![A-Za-z])ConfControllerDn=\s*([^;]+)", re.IGNORECASE)
_BUILT_IN_BRIDGE: Final = "BIB"
_PARKED: Final = "parkinglotdevice"
_BUSY: Final = "17"
# Features that redirected or joined a call. The first ones add a connection beside the talk that another record tells.
_BESIDE: Final = frozenset({"27", "28", "33"})  # recording, monitoring, agent greeting
_BARGED, _DIVERTED = "15", "14"
_HUNT_PILOT, _VOICEMAIL = "7", "8"


class CiscoCucm:
    """Call detail records of Cisco Unified Communications Manager."""

    name = "cisco_cucm"
    title = "Cisco Unified Communications Manager call detail records"
    description = (
        "The files cdr_* that the cluster sends to a billing server or that CDR Analysis and Reporting exports, with "
        "or without their lines of names and types, also many joined into one. Representatives are known by extension, "
        "else by the user logged in. options.machines lists numbers and devices of yours that are voicemails, menus or "
        'queues, as in options = { machines = ["5000", "CTI_*"] }. Times are UTC. Mapping: field = column. Files '
        "cmr_*, which tell of quality, give nothing. May be packed with gzip or zstd."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "call detail records with names of columns",
            "parties, devices, users, times, causes, features that redirected or joined, hunt pilot, conference",
            "addresses, media, codecs, authorisation codes, routing",
            "documentation",
            "the vendor's field descriptions and examples of calls for releases 8.5 to 14; column names of files",
        ),
        Format(
            "call detail records without names, 118 columns or more",
            "the same, by their place",
            "the same",
            "documentation",
            "the order of columns in the vendor's documentation and in programs that read such files",
        ),
        Format(
            "call management records (cmr_*)",
            "nothing",
            "all",
            "documentation",
            "the vendor's field descriptions",
        ),
    )
    lies = (
        "A voicemail, a menu and a queue's announcement answer like a person does; name them in options.machines.",
        "Connections to a conference all seem to be calls into it; the customer's counts as talk with its controller.",
        "Whoever takes a parked call seems to call the customer; the call's first connection says who called whom.",
        "finalCalledPartyNumber may be the hunt pilot's though a member answered; then the user or device says who.",
        "Recording, silent monitoring and barging make connections of their own, which are passed over.",
        "A number may stand as it was dialled, with the digit for an outside line; the one sent to the gateway is "
        "read where it is known.",
        "Calls of less than a second are recorded only when the cluster is told to.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a file with the names of the columns, or with lines of their shape."""
        if sample.is_directory:
            return None
        lines = first_lines(sample.head)
        names = names_of(lines[0], sniff_delimiter(lines[0])) if lines else []
        if is_quality_table(names):
            return Recognition(0.9, "Cisco's records of the quality of calls")
        if "globalcallid_callid" in names:
            return Recognition(0.95, "its columns are those of Cisco's call detail records")
        layout = shape_of(lines)
        return Recognition(0.9, layout.title) if layout else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each connection.

        Raises:
            ConfigurationError: when a column that is needed lacks, or the mapping or options do not fit.
            InvalidRecord: when an archive ends in the middle.
        """
        rename = renaming(context, FIELDS, OTHER_NAMES)
        machines = machine_patterns(context)

        def check(columns: Sequence[str]) -> None:
            if not is_quality_table(columns):
                require_columns(context, columns, NEEDED, OTHER_NAMES)

        def leg(value: Mapping[str, Any]) -> Fields | Sequence[Fields]:
            return _leg({name: str(held) for name, held in rename(value).items()}, machines)

        lines = first_lines(head(path))
        if not lines:
            return
        layout = shape_of(lines)
        delimiter = "," if layout else sniff_delimiter(lines[0])
        if layout and context.mapping:
            raise ConfigurationError(
                f"{context.file}: its lines have no names of columns for a mapping; put the line of names above them"
            )
        if layout is None and not names_of(lines[0], delimiter):
            raise ConfigurationError(
                f"{context.file}: neither names of columns nor lines of call records; export it with its first lines"
            )
        columns = layout.columns if layout else ()
        records = cisco_records(path, delimiter, columns, check)
        yield from translated(records, leg, context, "line", path.stat().st_size)


def _leg(value: Mapping[str, str], machines: Sequence[str]) -> Fields | Sequence[Fields]:
    if _is_beside(value):
        return ()
    caller_number, called_number = value.get("callingPartyNumber", ""), value.get("finalCalledPartyNumber", "")
    connected = epoch("dateTimeConnect", value.get("dateTimeConnect"))
    if connected is None and not called_number:
        return ()  # a handset was lifted and put back, or it is a record of quality
    if _CONFERENCE(caller_number) and _CONFERENCE(called_number):
        return ()
    call_id, origin = value.get("globalCallID_callId"), epoch("dateTimeOrigination", value.get("dateTimeOrigination"))
    if not call_id:
        raise InvalidRecord("globalCallID_callId: missing; every call has one")
    ended = epoch("dateTimeDisconnect", value.get("dateTimeDisconnect"))
    known = [instant for instant in (origin, connected) if instant] or ([ended] if ended else [])
    if not known:
        raise InvalidRecord("dateTimeOrigination: missing; every call has one")
    caller, called = _caller(value), _called(value)
    shared: Fields = {
        "kind": "pbx_leg",
        "call_id": "-".join(
            filter(None, (value.get("globalCallId_ClusterID"), value.get("globalCallID_callManagerId"), call_id))
        ),
        "leg_id": value.get("pkid"),
        "started_at": min(known),
        "answered_at": connected,
        "ended_at": ended,
        "status": _status(value, connected is not None, machines),
        "queue": _hunt_pilot(value),
    }
    if connected and ended is None:
        shared["duration_seconds"] = shared["talk_seconds"] = seconds("duration", value.get("duration"))
    if _CONFERENCE(caller_number) or _CONFERENCE(called_number):
        return shared | _in_conference(value, called if _CONFERENCE(caller_number) else caller)
    return shared | {
        "direction": direction_between(caller, called),
        "from": caller.number,
        "from_device": caller.device,
        "to": called.number,
        "to_device": called.device,
    }


def _is_beside(value: Mapping[str, str]) -> bool:
    """Return whether a connection was made beside a talk that another record tells."""
    names = ("origCalledPartyRedirectOnBehalfOf", "lastRedirectRedirectOnBehalfOf", "joinOnBehalfOf")
    features = {value.get(name) for name in names}
    into_conference = _CONFERENCE(value.get("finalCalledPartyNumber", "")) is not None
    return (
        value.get("callingPartyNumber") == _BUILT_IN_BRIDGE
        or not features.isdisjoint(_BESIDE)
        or (_BARGED in features and into_conference)
    )


def _in_conference(value: Mapping[str, str], party: End) -> Fields:
    """Return the sides of a party's connection to a conference: of a customer's, its controller is the other one.

    Our own parties' connections are told as internal: the customer's tells the talk.
    """
    if party.device:
        return {"direction": "internal", "from_device": party.device, "to_device": party.device}
    controllers = _CONTROLLER.findall(value.get("comment", ""))
    controller = end_of_number(controllers[-1]) if controllers else End()
    return {"direction": "inbound", "from": party.number, "to": controller.number, "to_device": controller.device}


def _caller(value: Mapping[str, str]) -> End:
    number = end_of_number(value.get("callingPartyNumber"))
    return _ours(number, value.get("callingPartyUnicodeLoginUserID"), value.get("origDeviceName"))


def _called(value: Mapping[str, str]) -> End:
    user, device = value.get("finalCalledPartyUnicodeLoginUserID"), value.get("destDeviceName")
    final = value.get("finalCalledPartyNumber", "")
    is_member = final == _hunt_pilot(value) and bool(user or (device and _PHONE(device)))
    called = _ours(End() if is_member else end_of_number(final), user, device)
    sent = value.get("outpulsedCalledPartyNumber", "")
    if called.device is None and not final.startswith("+") and is_long_number(sent):
        return End(number=sent)
    return called


def _ours(number: End, user: str | None, device: str | None) -> End:
    """Return who sits at a number: it says so itself when it is an extension; else who logged in there, or its device.

    A gateway or trunk is nobody of ours.
    """
    if number.device:
        return number
    name = (user or "").partition("@")[0] or (device if device and _PHONE(device) else None)
    return End(name, number.number)


def _hunt_pilot(value: Mapping[str, str]) -> str | None:
    if value.get("huntPilotDN"):
        return value["huntPilotDN"]
    is_hunt = value.get("calledPartyPatternUsage") == _HUNT_PILOT
    return value.get("finalCalledPartyNumber") if is_hunt else None


def _status(value: Mapping[str, str], is_connected: bool, machines: Sequence[str]) -> str:
    if not is_connected:
        return "busy" if _BUSY in (value.get("origCause_value"), value.get("destCause_value")) else "unanswered"
    final, device = value.get("finalCalledPartyNumber", ""), value.get("destDeviceName", "")
    is_voicemail = (
        value.get("calledPartyPatternUsage") == _VOICEMAIL
        or _VOICEMAIL_PORT(device) is not None
        or value.get("lastRedirectRedirectOnBehalfOf") == _DIVERTED
    )
    if is_voicemail:
        return "voicemail"
    # Nobody of a hunt list has picked up while the call is still at its number.
    is_waiting = (
        final == _hunt_pilot(value) and not value.get("finalCalledPartyUnicodeLoginUserID") and not _PHONE(device)
    )
    is_nobody = (
        is_waiting
        or _ANNOUNCEMENT(final) is not None
        or device.casefold() == _PARKED
        or is_machine((final, device), machines)
    )
    return "ivr" if is_nobody else "answered"


SOURCE: Final = CiscoCucm()
