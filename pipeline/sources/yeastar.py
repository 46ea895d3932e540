"""Yeastar: call detail records of its switchboards, as a table, as answers of the API, and as events.

All of them say the same in other words: who called whom, how long they talked, and whether the call came in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.json_text import load_json
from pipeline.sources.asterisk_layout import Layout, Names, by_header, by_mapping, first_lines
from pipeline.sources.call_ends import End, direction_between, end_of_number, is_machine, machine_patterns
from pipeline.sources.call_times import epoch, stamp
from pipeline.sources.json_outline import first_members
from pipeline.sources.json_records import JsonForm, form_of, json_records
from pipeline.sources.layout_records import layout_records
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.source_options import check_options, text_option
from pipeline.sources.translation import Fields, translated
from pipeline.sources.written_values import InstantReader, read_seconds

_NEEDED: Final = ("time", "caller", "called", "talk_duration", "type")
_KNOWN: Final = (
    *_NEEDED, "status", "duration", "ring_duration", "call_id", "uid", "id", "timestamp", "caller_number",
    "called_number",
)  # fmt: skip
_NAMES: Final = Names(
    _KNOWN,
    frozenset(_NEEDED),
    {
        **{name.replace("_", ""): name for name in _KNOWN},
        "timestart": "time",
        "callfrom": "caller",
        "callto": "called",
        "callfromnumber": "caller_number",
        "calltonumber": "called_number",
        "callduration": "duration",
        "calldurations": "duration",
        "talkdurations": "talk_duration",
        "ringdurations": "ring_duration",
        "disposition": "status",
        "calltype": "type",
        "communicationtype": "type",
        # As the events of older systems spell them.
        "callduraction": "duration",
        "talkduraction": "talk_duration",
    },
)
_LISTS: Final = ("data",)
_CALL_ENDED: Final = 30012
_OPTIONS: Final = ("machines", "date_format")

_IN_BRACKETS: Final = re.compile(r"<([^<>]*)>\s*$").search
_DIRECTIONS: Final = {"inbound": "inbound", "outbound": "outbound", "internal": "internal"}
_STATUSES: Final = {
    "ANSWERED": "answered", "ANSWERD": "answered", "ANSWER": "answered", "NO ANSWER": "unanswered",
    "NO ANSWERED": "unanswered", "ABANDONED": "unanswered", "MISSED": "unanswered", "BUSY": "busy",
    "FAILED": "failed", "VOICEMAIL": "voicemail",
}  # fmt: skip


class Yeastar:
    """Call detail records of Yeastar."""

    name = "yeastar"
    title = "Yeastar"
    description = (
        "Call detail records of P-Series and S-Series switchboards and of Cloud PBX: the table that the web portal "
        "exports, lists of the API (cdr/list), and events of ended calls (NewCdr, 30012), one a line or a document. "
        "Times are local to `timezone`, unless a record has a timestamp. Columns of other names by a mapping, as in "
        'mapping = { caller = "From", talk_duration = 7 }. Options: date_format, for times whose day and month could '
        'be taken for each other, and machines, numbers and names of menus and queues, as in { machines = ["64*", '
        '"IVR*"] }. May be packed with gzip or zstd.'
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "table of the web portal, CSV",
            "ID, time, parties, lengths, status, communication type",
            "trunks, reason, DID, addresses, PIN codes, recordings",
            "documentation",
            "the vendor's list of columns",
        ),
        Format(
            "lists of the API, JSON",
            "call_id or uid, timestamp or time, parties, lengths, disposition, call_type",
            "the same; notes of calls",
            "documentation",
            "the vendor's documentation, and programs that read such lists",
        ),
        Format(
            "events NewCdr and 30012, JSON",
            "the same, as the event words it",
            "the same; serial number",
            "documentation",
            "the vendor's documentation and its examples",
        ),
    )
    lies = (
        "ANSWERED is said of a call that a menu or a queue took; name those in options.machines.",
        "A party may be a name without a number; on the customer's side it counts as withheld.",
        "A call of several stretches has a record for each; with one id they are one call.",
        "The time of a list is written as the portal is set to show it; its timestamp is in UTC and goes before it.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a table with the portal's columns, or on records of the API or of events."""
        if sample.is_directory:
            return None
        if _form(sample.head) is not None:
            return Recognition(0.9, "call detail records of the API")
        beginning = first_lines(sample.head)
        layout = _headed(beginning[0]) if beginning else None
        return Recognition(0.9, layout.title) if layout else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each record.

        Raises:
            ConfigurationError: when it holds nothing of Yeastar, or the mapping or options do not fit.
            InvalidRecord: when a document is broken, or an archive ends in the middle.
        """
        check_options(context, _OPTIONS)
        machines, reader = machine_patterns(context), InstantReader(text_option(context, "date_format"))
        start = head(path)
        form = _form(start)

        def call(value: Mapping[str, Any]) -> Fields | list[Fields]:
            return _call(value, machines, reader) if form is None else _told(value, machines, reader)

        if form is not None:
            if context.mapping:
                raise ConfigurationError(f"{context.file}: records of the API have nothing to map; leave it out")
            yield from translated(json_records(path, form), call, context, form.unit, path.stat().st_size)
            return
        beginning = first_lines(start)
        if not beginning:
            return
        layout = _layout_of(beginning[0], context)
        records = layout_records(path, layout, len(layout.columns))
        yield from translated(records, call, context, "line", path.stat().st_size)


def _layout_of(first: str, context: ReadContext) -> Layout:
    if context.mapping:
        return by_mapping(context.mapping, first, _NAMES, "Yeastar by mapping", context.file)
    layout = _headed(first)
    if layout is None:
        raise ConfigurationError(
            f"{context.file}: it lacks columns for {', '.join(_NEEDED)}; say which is which, for example "
            'mapping = { time = "Time", caller = "Call From", called = "Call To" }'
        )
    return layout


def _headed(line: str) -> Layout | None:
    return by_header(line, _NAMES, "a header with the names of the portal's columns")


def _form(start: bytes) -> JsonForm | None:
    """Return how a file holds records of the API or of events, or None when it does not."""
    form = form_of(start, _LISTS)
    if form is None:
        return None
    members = first_members(start, form)
    if members.get("type") == _CALL_ENDED and "msg" in members:
        return form
    return form if _NAMES.required <= set(_canonical(members)) else None


def _canonical(value: Mapping[str, Any]) -> dict[str, Any]:
    return {_NAMES.canonical(name): held for name, held in value.items()}


def _told(value: Mapping[str, Any], machines: Sequence[str], reader: InstantReader) -> Fields | list[Fields]:
    """Return the call of a record of the API, or of an event; events of other kinds tell of none."""
    inner: Any = value
    if "msg" in value:
        if value.get("type") != _CALL_ENDED:
            return []
        inner = value["msg"]
        if isinstance(inner, str):
            try:
                inner = load_json(inner)
            except orjson.JSONDecodeError:
                raise InvalidRecord("msg: no valid JSON") from None
        if not isinstance(inner, Mapping):
            raise InvalidRecord("msg: expected an object")
    elif str(inner.get("event") or inner.get("action") or "NewCdr") != "NewCdr":
        return []
    # Here the id is the number of the record, not of the call.
    return _call({**_canonical(inner), "id": None}, machines, reader)


def _call(value: Mapping[str, Any], machines: Sequence[str], reader: InstantReader) -> Fields:
    started = _started(value, reader)
    caller, called = (_party(value, name) for name in ("caller", "called"))
    ends = [end_of_number(text) for text in (caller, called)]
    way = str(value.get("type") or "").strip().casefold()
    direction = _DIRECTIONS.get(way) or direction_between(*ends)
    return {
        "kind": "call",
        "line": "pbx",
        "call_id": next((str(value[name]) for name in ("call_id", "uid", "id") if value.get(name)), None),
        "started_at": started,
        "duration_seconds": _length(value, "duration"),
        "talk_seconds": _length(value, "talk_duration") or 0,
        "status": _status(value, caller, called, direction, machines),
        "direction": direction,
        "from": _shown(caller, ends[0], direction in ("outbound", "internal")),
        "to": _shown(called, ends[1], direction in ("inbound", "internal")),
    }


def _started(value: Mapping[str, Any], reader: InstantReader) -> datetime:
    started = epoch("timestamp", value.get("timestamp")) or stamp("time", value.get("time"), reader)
    if started is None:
        raise InvalidRecord("time: missing; every call has one")
    return started


def _party(value: Mapping[str, Any], name: str) -> str:
    """Return the number of a party, or its name where there is no more."""
    written = str(value.get(f"{name}_number") or value.get(name) or "").strip()
    found = _IN_BRACKETS(written)
    return found[1].strip() if found else written


def _shown(text: str, end: End, is_ours: bool) -> str | None:
    """Return a party as its text stands for it: a name stands for one of ours alone."""
    return end.number or (text if is_ours and text else None)


def _length(value: Mapping[str, Any], name: str) -> float | None:
    written = str(value.get(name) if value.get(name) is not None else "").strip()
    if not written:
        return None
    try:
        return read_seconds(written)
    except InvalidRecord:
        raise InvalidRecord(f"{name}: expected seconds, or hours:minutes:seconds") from None


def _status(
    value: Mapping[str, Any], caller: str, called: str, direction: str | None, machines: Sequence[str]
) -> str | None:
    written = " ".join(str(value.get("status") or "").replace("_", " ").upper().split())
    if not written:
        return None
    status = _STATUSES.get(written)
    if status is None:
        raise InvalidRecord(f"status: expected one of {', '.join(_STATUSES)}")
    ours = caller if direction == "outbound" else called
    return "ivr" if status == "answered" and is_machine((ours,), machines) else status


SOURCE: Final = Yeastar()
