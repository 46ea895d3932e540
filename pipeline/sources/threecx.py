"""3CX: the lines of its call data records, one of each call, with whatever fields an administrator chose.

A line tells of a call as a whole: who called whom, who was reached at last, and how long it was connected. Its id holds
the instant at which it began, in UTC, so that nothing else has to say which zone the times are in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.asterisk_layout import Layout, Names, by_header, by_mapping, by_shape, first_lines
from pipeline.sources.call_ends import End, direction_between, end_of_number, is_machine, machine_patterns
from pipeline.sources.call_times import stamp
from pipeline.sources.layout_records import layout_records
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.threecx_types import EXTENSION, KNOWN, MACHINES, VOICEMAILS, type_of
from pipeline.sources.translation import Fields, translated
from pipeline.sources.written_values import InstantReader

# The order of the documentation, in which most installations have them.
_FIELDS: Final = (
    "historyid", "callid", "duration", "time-start", "time-answered", "time-end", "reason-terminated", "from-no",
    "to-no", "from-dn", "to-dn", "dial-no", "reason-changed", "final-number", "final-dn", "bill-code", "bill-rate",
    "bill-cost", "bill-name", "chain",
)  # fmt: skip
# What follows the chain, in the order of the documentation and in that of the page where the fields are chosen.
_ENDINGS: Final = (
    ("from-type", "to-type", "final-type", "from-dispname", "to-dispname", "final-dispname", "missed-queue-calls"),
    ("missed-queue-calls", "from-dispname", "to-dispname", "final-dispname", "from-type", "to-type", "final-type"),
)
_KNOWN: Final = (*_FIELDS, *_ENDINGS[0])
_NAMES: Final = Names(
    _KNOWN,
    frozenset({"time-start", "time-answered", "time-end", "from-no", "to-no"}),
    {name.replace("-", ""): name for name in _KNOWN},
)
_SHORTEST, _LONGEST = 15, 41

_LINE_BEGINS: Final = re.compile(r"^Call\s+(?=\S)")
_CALL_ID: Final = re.compile(r"([0-9A-F]{16})_\d+", re.IGNORECASE).fullmatch
_LENGTH: Final = re.compile(r"(\d{1,4}):([0-5]\d):([0-5]\d)").fullmatch
_STAMP: Final = re.compile(r"\d{4}[/-]\d{1,2}[/-]\d{1,2} \d{1,2}:\d\d:\d\d(?:\.\d+)?").fullmatch
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_]+").fullmatch
_EXTENSION: Final = re.compile(r"^Ext\.\s*", re.IGNORECASE)
# Versions count the milliseconds of an id from one of these.
_BEGINNINGS: Final = (datetime(1601, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC))
_QUARTER: Final = timedelta(minutes=15)
_FARTHEST_ZONE: Final = timedelta(hours=14)

_BUSY: Final = "busy"


class ThreeCx:
    """Call data records of 3CX."""

    name = "threecx"
    title = "3CX call data records"
    description = (
        "cdr.log of 3CX, with the fields in the order of its documentation, or with a header; other orders by a "
        "mapping, as in mapping = { time-start = 1, from-no = 10 }, columns counted from 1. Times are told by the id "
        "of the call where callid is among the fields, else local to `timezone`. options.machines lists extensions of "
        'yours that are queues, menus or voicemails, as in options = { machines = ["80*", "999"] }; with from-type, '
        "to-type and final-type among the fields it is not needed. May be packed with gzip or zstd."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "lines in the order of the documentation",
            "ids, times, length, parties, who was reached at last, types",
            "billing, display names, chain, queue agents who missed the call",
            "records",
            "two calls of 2020 and 2023 printed in programs that read them; the order in several such programs",
        ),
        Format(
            "lines in another order, by mapping, or with a header",
            "the columns that are mapped or named",
            "all others",
            "documentation",
            "the vendor's list of fields, which an administrator orders freely",
        ),
    )
    lies = (
        "A queue and a menu answer the call themselves: time-answered is theirs, and waiting counts as talk when "
        "somebody was reached.",
        "Of a call that was passed on, only the last who was reached is known; the whole time counts as theirs.",
        "Without the types nothing tells a queue from a telephone; name queues in options.machines.",
        "Times are in UTC in newer versions, and local in older ones; the id of a call says which.",
        "from-dn and to-dn are numbers of trunks as well as of extensions; they are not read.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on lines in the order of the documentation, or on a header with the names of the fields."""
        if sample.is_directory:
            return None
        layout = _known_layout(first_lines(sample.head))
        return Recognition(0.9, layout.title) if layout else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each line.

        Raises:
            ConfigurationError: when the order of the fields is unknown, or the mapping or options do not fit.
            InvalidRecord: when an archive ends in the middle.
        """
        beginning = first_lines(head(path))
        if not beginning:
            return
        layout = _layout_of(beginning, context)
        machines = machine_patterns(context)
        reader = InstantReader()

        def call(value: Mapping[str, Any]) -> Fields:
            return _call(value, machines, reader)

        # The last fields are names, which may hold a comma.
        records = layout_records(path, layout, _SHORTEST, _without_word)
        yield from translated(records, call, context, "line", path.stat().st_size)


def _known_layout(beginning: Sequence[str]) -> Layout | None:
    if not beginning:
        return None
    headed = by_header(beginning[0], _NAMES, "a header with the names of 3CX's fields")
    return headed or by_shape(beginning, _headerless, range(_SHORTEST, _LONGEST))


def _layout_of(beginning: Sequence[str], context: ReadContext) -> Layout:
    if context.mapping:
        layout = by_mapping(context.mapping, beginning[0], _NAMES, "3CX by mapping", context.file)
        is_headed = not any(_STAMP(cell.strip()) or _CALL_ID(cell.strip()) for cell in layout.header or ())
        return layout if is_headed else replace(layout, header=None)
    known = _known_layout(beginning)
    if known is None:
        raise ConfigurationError(
            f"{context.file}: its fields are in no known order; say which is which, for example "
            "mapping = { callid = 2, time-start = 4, time-answered = 5, time-end = 6, from-no = 8, to-no = 9 }"
        )
    return known


def _headerless(cells: Sequence[str]) -> Layout | None:
    """Return the layout of a line in the order of the documentation, told by its shape."""
    if len(cells) < _SHORTEST:
        return None
    value = dict(zip(_FIELDS, map(str.strip, cells), strict=False))
    fits = (
        _LINE_BEGINS.sub("", value["historyid"]).isalnum()
        and _CALL_ID(value["callid"])
        and (not value["duration"] or _LENGTH(value["duration"]))
        and _STAMP(value["time-start"])
        and (not value["time-answered"] or _STAMP(value["time-answered"]))
        and _STAMP(value["time-end"])
        and _WORD(value["reason-terminated"])
    )
    return Layout((*_FIELDS, *_ending(cells[len(_FIELDS) :])), "lines of 3CX's call data records") if fits else None


def _ending(cells: Sequence[str]) -> Sequence[str]:
    """Return the names of what follows the chain, by where the words for types stand; none when that is unknown."""
    for names in _ENDINGS:
        first = names.index("from-type")
        types = {type_of(cell) for cell in cells[first : first + 3]} - {""}
        if types and types <= KNOWN:
            return names
    return ()


def _without_word(cells: list[str]) -> list[str]:
    """Return the cells of a line without the word that some versions begin it with."""
    return [_LINE_BEGINS.sub("", cells[0]), *cells[1:]]


def _call(value: Mapping[str, Any], machines: Sequence[str], reader: InstantReader) -> Fields:
    started = stamp("time-start", value.get("time-start"), reader)
    if started is None:
        raise InvalidRecord("time-start: missing; every call has one")
    answered = stamp("time-answered", value.get("time-answered"), reader)
    ended = stamp("time-end", value.get("time-end"), reader)
    offset = _offset(str(value.get("callid", "")), started)
    caller, called, queue = _sides(value)
    return {
        "kind": "call",
        "line": "pbx",
        "call_id": value.get("historyid") or value.get("callid"),
        "started_at": _placed(started, offset),
        "answered_at": _placed(answered, offset),
        "ended_at": _placed(ended, offset),
        "status": _status(value, caller, called, answered is not None, machines),
        "talk_seconds": _length(value.get("duration")) if answered else None,
        "direction": direction_between(caller, called),
        "from": caller.number,
        "to": called.number,
        "queue": queue,
    }


def _sides(value: Mapping[str, Any]) -> tuple[End, End, str | None]:
    """Return who called, who was called at last, and the queue or group between them."""
    caller, dialled, final = (_end(value.get(name)) for name in ("from-no", "to-no", "final-number"))
    if final == End():
        return caller, dialled, None
    if caller.device and dialled.device is None and dialled != End():
        # We called somebody outside; if the call was passed on among us, the last one talked.
        return (final if final.device else caller), dialled, None
    # What was dialled is a queue or a group unless it is somebody's telephone, who passed the call on.
    is_passed_on = type_of(value.get("to-type")) == EXTENSION
    return caller, final, None if dialled == final or is_passed_on else dialled.device


def _end(text: object) -> End:
    return end_of_number(_EXTENSION.sub("", str(text or "")))


def _status(value: Mapping[str, Any], caller: End, called: End, is_answered: bool, machines: Sequence[str]) -> str:
    if not is_answered:
        return "busy" if str(value.get("reason-terminated", "")).casefold().endswith(_BUSY) else "unanswered"
    reached = type_of(value.get("final-type") or value.get("to-type"))
    if called.device is None:
        return "answered"  # somebody outside
    if reached in VOICEMAILS:
        return "voicemail"
    return "ivr" if reached in MACHINES or is_machine((called.device,), machines) else "answered"


def _length(text: object) -> float | None:
    written = str(text or "")
    if not written:
        return None
    found = _LENGTH(written)
    if found is None:
        raise InvalidRecord("duration: expected hours:minutes:seconds")
    return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])


def _offset(call_id: str, started: datetime) -> timedelta | None:
    """Return how far ahead of UTC the times of a record are, as its id tells; None when that says nothing.

    Zones differ by whole quarters of an hour; what is off by more than a minute from that is another instant.
    """
    found = _CALL_ID(call_id)
    if found is None or started.tzinfo is not None:
        return None
    for beginning in _BEGINNINGS:
        try:
            ahead = started.replace(tzinfo=UTC) - (beginning + timedelta(milliseconds=int(found[1], 16)))
        except OverflowError:
            continue
        quarters = round(ahead / _QUARTER)
        if abs(ahead) <= _FARTHEST_ZONE and abs(ahead - quarters * _QUARTER) <= timedelta(minutes=1):
            return quarters * _QUARTER
    return None


def _placed(instant: datetime | None, offset: timedelta | None) -> datetime | None:
    """Return an instant in UTC where the offset is known; else as it is, for the zone of the source."""
    if instant is None or offset is None or instant.tzinfo is not None:
        return instant
    try:
        return instant.replace(tzinfo=UTC) - offset
    except OverflowError:
        raise InvalidRecord("time-answered, time-end: expected dates near that of time-start") from None


SOURCE: Final = ThreeCx()
