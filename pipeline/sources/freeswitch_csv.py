"""FreeSWITCH: the lines that mod_cdr_csv writes, one of each channel.

A line of the usual templates names the channel that its own was joined to last, and nothing else of it. Where the
file holds that channel's line too, it says who answered and for how long, and is the one that tells of the talk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.asterisk_layout import Layout, Names, by_header, by_mapping, by_shape, first_lines
from pipeline.sources.call_ends import End, direction_between, end_of_number
from pipeline.sources.call_times import seconds, stamp
from pipeline.sources.freeswitch_channels import end_of_channel, rang_in_vain, require_room
from pipeline.sources.json_records import JsonRecord
from pipeline.sources.reading import csv_records, head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.translation import Fields, translated
from pipeline.sources.written_values import InstantReader

# What the templates default, example, linksys and snom begin with.
_BEGINNING: Final = (
    "caller_id_name", "caller_id_number", "destination_number", "context", "start_stamp", "answer_stamp", "end_stamp",
    "duration", "billsec", "hangup_cause", "uuid", "bleg_uuid",
)  # fmt: skip
_FIELDS: Final = (
    *_BEGINNING[1:3], *_BEGINNING[4:], "originating_leg_uuid", "user_name", "dialed_user", "bridge_channel", "last_app",
)  # fmt: skip
_REQUIRED: Final = frozenset({"caller_id_number", "destination_number", "start_stamp", "billsec", "uuid"})
_NAMES: Final = Names(_FIELDS, _REQUIRED, {name.replace("_", ""): name for name in (*_BEGINNING, *_FIELDS)})
_WIDTHS: Final = range(len(_BEGINNING), 41)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch
_STAMP: Final = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2} \d{1,2}:\d\d(?::\d\d)?").fullmatch
_CAUSE: Final = re.compile(r"[A-Z][A-Z0-9_]+").fullmatch


class FreeswitchCsv:
    """Call detail records of mod_cdr_csv."""

    name = "freeswitch_csv"
    title = "FreeSWITCH call detail records (CSV)"
    description = (
        "Master.csv of mod_cdr_csv in the templates default, example, linksys and snom, with legs a or ab, also with a "
        "header. Other templates by mapping = { uuid = 1, caller_id_number = 4, ... }, columns counted from 1; of the "
        "channel variables originating_leg_uuid, user_name, dialed_user and bridge_channel make it exact. Times are "
        "local to `timezone`. May be packed with gzip or zstd."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "templates default, example, linksys and snom",
            "numbers, stamps, lengths, cause and both channels' ids",
            "name of the caller, context, accountcode, codecs",
            "records",
            "lines with legs a and with legs ab, printed in a guide and in the module's documentation",
        ),
        Format(
            "other templates, by mapping",
            "the columns that are mapped",
            "all others",
            "documentation",
            "the module's documentation: a template is any text with channel variables",
        ),
    )
    lies = (
        "An answered call without bleg_uuid reached nobody: a menu, a queue or a voicemail answered.",
        "destination_number is what was dialled; who answered is told by the other channel's line only (legs = ab).",
        "With legs = a the seconds billed count the time in menus and queues that answered before anybody did.",
        "With legs = ab the line of a telephone that rang in vain names no call and looks like a missed call.",
        "originating_leg_uuid, added to the template, tells which call each line belongs to.",
        "Stamps have no zone; an hour that comes twice in autumn is read as the first one.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on lines that begin as the usual templates do, or on a header with their names."""
        if sample.is_directory:
            return None
        layout = _known_layout(first_lines(sample.head))
        return Recognition(0.9, layout.title) if layout else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each line. The file is gone through up to three times.

        Raises:
            ConfigurationError: when its columns are unknown, the mapping does not fit, or it tells of too many calls.
            InvalidRecord: when an archive ends in the middle.
        """
        lines = first_lines(head(path))
        if not lines:
            return
        layout = _layout_of(lines, context)
        told = _told_by_others(path, layout, context.file)
        reader = InstantReader()

        def leg(value: Mapping[str, Any]) -> Fields:
            return _leg(value, told, reader)

        yield from translated(_records(path, layout), leg, context, "line", path.stat().st_size)


@dataclass(frozen=True)
class _Told:
    """What the lines of a file tell of each other: the call of each called channel, and the calls that those tell."""

    call_of: Mapping[str, str]
    calls: frozenset[str]


def _known_layout(lines: Sequence[str]) -> Layout | None:
    if not lines:
        return None
    return by_header(lines[0], _NAMES, "a header with FreeSWITCH's channel variables") or by_shape(
        lines, _headerless, _WIDTHS
    )


def _layout_of(lines: Sequence[str], context: ReadContext) -> Layout:
    if context.mapping:
        layout = by_mapping(context.mapping, lines[0], _NAMES, "FreeSWITCH by mapping", context.file)
        # A spreadsheet writes dates in its own way; a line with a channel's id or a time is no header all the same.
        is_headed = not any(_UUID(cell.strip()) or _STAMP(cell.strip()) for cell in layout.header or ())
        return layout if is_headed else replace(layout, header=None)
    known = _known_layout(lines)
    if known is None:
        raise ConfigurationError(
            f"{context.file}: its columns are of no known template; say which is which, for example "
            "mapping = { caller_id_number = 2, destination_number = 3, start_stamp = 5, billsec = 9, uuid = 11 }"
        )
    return known


def _headerless(cells: Sequence[str]) -> Layout | None:
    """Return the layout of a line of the usual templates, told by its shape."""
    if len(cells) < len(_BEGINNING):
        return None
    value = dict(zip(_BEGINNING, (cell.strip() for cell in cells), strict=False))
    fits = (
        _STAMP(value["start_stamp"])
        and (not value["answer_stamp"] or _STAMP(value["answer_stamp"]))
        and _STAMP(value["end_stamp"])
        and value["duration"].isdigit()
        and value["billsec"].isdigit()
        and _CAUSE(value["hangup_cause"])
        and _UUID(value["uuid"])
        and (not value["bleg_uuid"] or _UUID(value["bleg_uuid"]))
    )
    rest = len(cells) - len(_BEGINNING)
    return Layout((*_BEGINNING, *[""] * rest), "lines of mod_cdr_csv's usual templates") if fits else None


def _records(path: Path, layout: Layout) -> Iterator[JsonRecord]:
    """Yield the lines of a file by the names of the layout; empty cells are left out."""
    is_header = layout.header is not None
    for record in csv_records(path, layout.delimiter, len(layout.columns)):
        if is_header:
            is_header = False
        elif record.problem:
            yield JsonRecord(record.line, {}, record.problem, record.text)
        else:
            cells = zip(layout.columns, record.fields, strict=True)
            value = {name: cell.strip() for name, cell in cells if name and cell.strip()}
            yield JsonRecord(record.line, {**layout.constants, **value})


def _told_by_others(path: Path, layout: Layout, file: str) -> _Told:
    """Return what called channels' lines tell of calls; remembers two ids of each answered call of the file.

    A damaged archive ends this too; what is wrong with it is told when the records themselves are read.
    """
    call_of: dict[str, str] = {}
    calls: set[str] = set()
    for value in _values(path, layout):
        if value.get("bleg_uuid") and value.get("uuid"):
            call_of[value["bleg_uuid"]] = value["uuid"]
        elif value.get("originating_leg_uuid") and _tells(value):
            calls.add(value["originating_leg_uuid"])
        require_room(call_of, file)
        require_room(calls, file)
    if call_of:
        present = {value["uuid"] for value in _values(path, layout) if value.get("uuid") in call_of and _tells(value)}
        calls |= {call_of[uuid] for uuid in present}
    return _Told(call_of, frozenset(calls))


def _values(path: Path, layout: Layout) -> Iterator[Mapping[str, Any]]:
    try:
        for record in _records(path, layout):
            yield record.value
    except InvalidRecord:
        return


def _tells(value: Mapping[str, Any]) -> bool:
    """Return whether a called channel's line tells of a talk: it names a device of ours, and that one answered."""
    billed = str(value.get("billsec", ""))
    return billed.isdecimal() and billed.strip("0") != "" and _device(value) is not None


def _device(value: Mapping[str, Any]) -> str | None:
    return value.get("dialed_user") or end_of_number(value.get("destination_number")).device


def _leg(value: Mapping[str, Any], told: _Told, reader: InstantReader) -> Fields:
    uuid = value.get("uuid")
    if not uuid:
        raise InvalidRecord("uuid: missing; every channel has one")
    started = stamp("start_stamp", value.get("start_stamp"), reader)
    if started is None:
        raise InvalidRecord("start_stamp: missing; every call has one")
    origin = value.get("originating_leg_uuid") or told.call_of.get(uuid)
    shown = end_of_number(value.get("caller_id_number"))
    caller = End(value["user_name"], shown.number) if value.get("user_name") and not origin else shown
    dialled = end_of_number(value.get("destination_number"))
    called = End(_device(value), dialled.number) if origin else _reached(value, dialled)
    status, talk = _course(value, told, origin, called)
    length: Fields = {"ended_at": stamp("end_stamp", value.get("end_stamp"), reader)}
    if value.get("duration"):  # stands above the stamps: in autumn they seem to run backwards
        length = {"duration_seconds": seconds("duration", value["duration"])}
    return {
        "kind": "pbx_leg",
        "call_id": origin or uuid,
        "leg_id": uuid,
        "started_at": started,
        **length,
        "status": status,
        "talk_seconds": talk,
        "direction": direction_between(caller, called),
        "from": caller.number,
        "from_device": caller.device,
        "to": called.number,
        "to_device": called.device,
        "queue": None if origin else dialled.device,
    }


def _reached(value: Mapping[str, Any], dialled: End) -> End:
    """Return whom a calling channel reached: the other channel's name says it, else what was dialled."""
    if value.get("bridge_channel"):
        return end_of_channel(value["bridge_channel"], value.get("dialed_user"))
    return dialled


def _course(value: Mapping[str, Any], told: _Told, origin: str | None, called: End) -> tuple[str, float | None]:
    """Return how a channel ended, and the seconds of talk where its line is the one to tell them."""
    billed = seconds("billsec", value.get("billsec"))
    if billed == 0:
        return rang_in_vain(value.get("hangup_cause")), None
    if origin:
        return ("answered", billed) if _tells(value) else ("ivr", None)
    is_joined = bool(value.get("bleg_uuid") or value.get("bridge_channel"))
    if is_joined and not called.is_machine and value["uuid"] not in told.calls:
        return "answered", billed
    return "voicemail" if value.get("last_app") == "voicemail" else "ivr", None


SOURCE: Final = FreeswitchCsv()
