"""Avaya IP Office: the lines of its station message detail recording (SMDR), one of each stretch of a call.

A call that is passed on gives a line for each stretch, under one call id and with the time at which the whole call
began. Newer versions add the time at which the line was written, which is when its stretch ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.asterisk_layout import Layout, Names, by_header, by_mapping, by_shape, first_lines
from pipeline.sources.call_ends import end_of_number, is_machine, machine_patterns
from pipeline.sources.call_times import seconds, stamp
from pipeline.sources.layout_records import layout_records
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.source_options import check_options
from pipeline.sources.translation import Fields, translated
from pipeline.sources.written_values import InstantReader, read_seconds

# In the order of the documentation; versions differ in what follows the time of parking.
_FIELDS: Final = (
    "call_start", "connected_time", "ring_time", "caller", "direction", "called_number", "dialled_number", "account",
    "is_internal", "call_id", "continuation", "party1_device", "party1_name", "party2_device", "party2_name",
    "hold_time", "park_time", "auth_valid", "auth_code", "user_charged", "call_charge", "currency",
    "amount_at_last_user_change", "call_units", "units_at_last_user_change", "cost_per_unit", "mark_up",
    "external_targeting_cause", "external_targeter_id", "external_targeted_number",
    "calling_party_server", "caller_unique_id", "called_party_server", "called_unique_id", "record_time",
)  # fmt: skip
_NAMES: Final = Names(
    _FIELDS,
    frozenset({"call_start", "connected_time", "caller", "direction", "party1_device"}),
    {
        **{name.replace("_", ""): name for name in _FIELDS},
        # The names of the Delta Server, and one that is spelt in two ways.
        "callduration": "connected_time",
        "ringduration": "ring_time",
        "dialednumber": "dialled_number",
        "smdrrecordtime": "record_time",
    },
)
_SHORTEST, _LONGEST = 17, 48
_FIRST_DEVICE: Final = _FIELDS.index("party1_device")
_SECOND_DEVICE: Final = _FIELDS.index("party2_device")

_STAMP: Final = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d(?::\d\d)?").fullmatch
_CLOCK: Final = re.compile(r"\d{1,3}:\d\d:\d\d").fullmatch
_DEVICE: Final = re.compile(r"[ETV]\d[\d.]*").fullmatch
_EXTENSION: Final = re.compile(r"E(\d+)").fullmatch
_INTERNAL: Final = frozenset({"1", "I", "i"})
_VOICEMAIL: Final = "vm channel"
_CONFERENCE: Final = "co channel"


class AvayaIpOffice:
    """Lines of SMDR."""

    name = "avaya_ip_office"
    title = "Avaya IP Office"
    description = (
        "Lines of the station message detail recording (SMDR) as IP Office sends them over TCP, kept in a file, or "
        "with a header. Times are local to `timezone`. Other orders by a mapping, as in mapping = { call_start = 1, "
        "caller = 4 }, columns counted from 1. options.machines lists extensions of yours that are machines, as in "
        'options = { machines = ["5000"] }; voicemail and auto attendants are known. May be packed with gzip or zstd.'
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "lines in the order of the documentation, 17 columns or more",
            "parties, devices, direction, times, holding and parking, stretches of a call, external targets",
            "account and authorisation codes, charges, names of users",
            "documentation",
            "the vendor's list of fields and its examples of calls, and programs that read such lines",
        ),
        Format(
            "with a header, or in another order by mapping",
            "the columns that are named or mapped",
            "all others",
            "documentation",
            "the vendor's list of fields, and the names that the Delta Server wrote",
        ),
    )
    lies = (
        "Internal calls are written as outgoing; Is Internal says what they are.",
        "Every stretch of a call has the time at which the call began; only newer versions add when a stretch ended. "
        "In older ones a call that was passed on seems to end with its longest stretch.",
        "Call ids begin anew when the system starts; together with the start they tell calls apart.",
        "An analogue trunk does not tell when the other side answers: calls that go out over it count as answered "
        "at once, ringing included.",
        "An auto attendant is a channel of the voicemail: what it answers counts as no talk.",
        "Of a conference the parties are on lines of their own, each with a channel of the conference.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on lines in the order of the documentation, or on a header with the names of the fields."""
        if sample.is_directory:
            return None
        layout = _known_layout(_whole_lines(sample.head))
        return Recognition(0.9, layout.title) if layout else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each line.

        Raises:
            ConfigurationError: when the order of the fields is unknown, or the mapping or options do not fit.
            InvalidRecord: when an archive ends in the middle.
        """
        check_options(context, ("machines",))
        beginning = _whole_lines(head(path))
        if not beginning:
            return
        if context.mapping:
            layout = by_mapping(context.mapping, beginning[0], _NAMES, "IP Office by mapping", context.file)
        else:
            known = _known_layout(beginning)
            if known is None:
                raise ConfigurationError(
                    f"{context.file}: its fields are in no known order; say which is which, for example mapping = "
                    '{ call_start = "1", connected_time = "2", caller = "4", direction = "5", party1_device = "12" }'
                )
            layout = known
        machines, reader = machine_patterns(context), InstantReader()

        def call(value: Mapping[str, Any]) -> Fields:
            return _call(value, machines, reader)

        # A name of a user may hold a comma.
        mend = _mended if layout.columns[:_SHORTEST] == _FIELDS[:_SHORTEST] else list
        records = layout_records(path, layout, _SHORTEST, mend)
        yield from translated(records, call, context, "line", path.stat().st_size)


def _whole_lines(text: bytes) -> list[str]:
    # Some programs that receive the lines keep the zeros with which a connection begins.
    return first_lines(text.replace(b"\0", b""))


def _known_layout(beginning: Sequence[str]) -> Layout | None:
    if not beginning:
        return None
    headed = by_header(beginning[0], _NAMES, "a header with the names of IP Office's fields")
    return headed or by_shape(beginning, _headerless, range(_SHORTEST, _LONGEST))


def _headerless(cells: Sequence[str]) -> Layout | None:
    """Return the layout of a line in the order of the documentation, told by its shape."""
    value = dict(zip(_FIELDS, map(str.strip, cells), strict=False))
    fits = (
        len(cells) >= _SHORTEST
        and _STAMP(value["call_start"])
        and _CLOCK(value["connected_time"])
        and value["ring_time"].isdecimal()
        and value["direction"] in ("I", "O")
        and value["is_internal"] in {"0", *_INTERNAL}
        and value["call_id"].isdecimal()
        and value["continuation"] in ("0", "1")
        and _DEVICE(value["party1_device"])
    )
    return Layout(_FIELDS, "lines of IP Office's SMDR") if fits else None


def _mended(cells: list[str]) -> list[str]:
    """Return the cells of a line with names in one piece each, known by the devices that stand before them."""
    cells = [cells[0].lstrip("\0"), *cells[1:]]
    second = next((at for at in range(_SECOND_DEVICE, len(cells)) if _DEVICE(cells[at].strip())), _SECOND_DEVICE)
    times = next((at for at in range(second + 2, len(cells)) if cells[at].strip().isdecimal()), second + 2)
    return [
        *cells[: _FIRST_DEVICE + 1],
        ",".join(cells[_FIRST_DEVICE + 1 : second]),
        cells[second] if second < len(cells) else "",
        ",".join(cells[second + 1 : times]),
        *cells[times:],
    ]


class _Device(NamedTuple):
    """What took part: an extension by its number, a channel of the voicemail, one of no use, a line or a conference."""

    extension: str | None = None
    is_voicemail: bool = False
    is_other: bool = False


def _call(value: Mapping[str, Any], machines: Sequence[str], reader: InstantReader) -> Fields:
    call_start = stamp("call_start", value.get("call_start"), reader)
    if call_start is None:
        raise InvalidRecord("call_start: missing; every call has one")
    talk = _length(value.get("connected_time"))
    length = talk + sum(seconds(name, value.get(name)) for name in ("ring_time", "hold_time", "park_time"))
    # What else a version may have at this place is left alone.
    record_time = str(value.get("record_time") or "")
    written = stamp("record_time", record_time, reader) if _STAMP(record_time) else None
    started, ended = _placed(call_start, length, written)
    devices = [_device(value, number) for number in ("1", "2")]
    caller, called, direction, ours = _sides(value, devices)
    number, dialled = value.get("call_id"), str(value.get("called_number") or "")
    is_through_group = direction == "inbound" and ours not in (None, dialled)
    return {
        "kind": "call",
        "line": "pbx",
        # The numbers begin anew when the system starts.
        "call_id": f"{number}@{call_start:%Y%m%d%H%M%S}" if number else None,
        "started_at": started,
        "ended_at": ended,
        "talk_seconds": talk,
        "status": _status(devices, ours, talk, machines),
        "direction": direction,
        "from": caller,
        "to": called,
        "queue": end_of_number(dialled).device if is_through_group else None,
    }


def _length(text: object) -> float:
    try:
        return read_seconds(str(text or "0"))
    except InvalidRecord:
        raise InvalidRecord("connected_time: expected hours:minutes:seconds") from None


def _placed(call_start: datetime, length: float, written: datetime | None) -> tuple[datetime, datetime]:
    """Return when a stretch began and ended: before its line was written, where that is told, else with the call."""
    try:
        took = timedelta(seconds=length)
        if written is not None and call_start.tzinfo is None and written - took > call_start:
            return written - took, written
        return call_start, call_start + took
    except OverflowError:
        raise InvalidRecord("connected_time, hold_time, park_time: expected lengths of a call") from None


def _status(devices: Sequence[_Device], ours: str | None, talk: float, machines: Sequence[str]) -> str:
    if any(device.is_voicemail for device in devices):
        return "voicemail"
    if talk <= 0:
        return "unanswered"
    if ours is None:
        return "ivr" if any(device.is_other for device in devices) else "answered"
    return "ivr" if is_machine((ours,), machines) else "answered"


def _device(value: Mapping[str, Any], number: str) -> _Device:
    written = str(value.get(f"party{number}_device") or "").strip()
    name = str(value.get(f"party{number}_name") or "").strip().casefold()
    extension = _EXTENSION(written)
    if extension:
        return _Device(extension=extension[1])
    if name.startswith(_VOICEMAIL):
        return _Device(is_voicemail=True)
    return _Device(is_other=written.startswith("V") and not name.startswith(_CONFERENCE))


def _sides(
    value: Mapping[str, Any], devices: Sequence[_Device]
) -> tuple[str | None, str | None, str | None, str | None]:
    """Return who called, who was called, the direction, and which extension of ours took part."""
    extensions = [device.extension for device in devices if device.extension]
    ours = extensions[0] if extensions else None
    caller, dialled = (str(value.get(name) or "") or None for name in ("caller", "called_number"))
    way = str(value.get("direction") or "").upper()
    if str(value.get("is_internal") or "") in _INTERNAL:
        return caller or ours, extensions[-1] if len(extensions) > 1 else dialled, "internal", ours
    if way == "O":
        return ours, dialled, "outbound", ours
    if way != "I":
        raise InvalidRecord("direction: expected I or O")
    # A call that is sent on to a mobile has no extension of ours; the number that it was sent to may be ours.
    return caller, ours or value.get("external_targeted_number") or dialled, "inbound", ours


SOURCE: Final = AvayaIpOffice()
