"""Twilio: calls and messages, as its REST API gives them and as warehouses store them.

A call is one record for each leg; the legs that it dials name the first one as their parent. What the first leg tells
of both sides is carried to the others, because a dialled leg shows whatever caller number the program chose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, Literal

from pipeline.errors import InvalidRecord
from pipeline.identifiers import WITHHELD_WORDS
from pipeline.sources.headers import folded_names
from pipeline.sources.json_records import JsonForm, first_record, form_of
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.translation import named_records, renaming, require_columns, translated

_LISTS: Final = ("calls", "messages")
_API: Final = b"/2010-04-01/Accounts/"
_CALL_ID, _MESSAGE_IDS = "CA", ("SM", "MM")
# Columns that only these tables have together.
_CALL_TABLE: Final = frozenset({"id", "direction", "from", "to", "start_time", "parent_call_id"})
_MESSAGE_TABLE: Final = frozenset({"id", "direction", "from", "to", "messaging_service_sid", "num_segments"})
_NUMBER_TABLE: Final = frozenset({"id", "phone_number", "friendly_name"})
_FIELDS: Final = (
    "sid", "parent_call_sid", "from", "to", "direction", "status", "answered_by", "start_time", "end_time", "duration",
    "date_created", "date_sent",
)  # fmt: skip
_NEEDED: Final = ("sid", "direction", "from", "to", "status")
# What warehouses call the same.
_OTHER_NAMES: Final = {"sid": "id", "parent_call_sid": "parent_call_id", "date_created": "created_at"}

_UNFINISHED: Final = ("queued", "initiated", "ringing", "in-progress")
_STATUSES: Final = {
    "completed": "answered", "busy": "busy", "failed": "failed", "no-answer": "unanswered", "canceled": "unanswered",
}  # fmt: skip
_UNSENT: Final = ("accepted", "scheduled", "queued", "sending", "canceled")
_SENT: Final = ("sent", "delivered", "read", "received", "receiving", "partially_delivered")
_NOT_DELIVERED: Final = ("failed", "undelivered")
_MACHINES: Final = ("machine", "fax")
_INBOUND: Final = ("inbound", "trunking-originating")
_DIRECTIONS: Final = {
    "inbound": "inbound", "outbound-api": "outbound", "outbound-call": "outbound", "outbound-dial": "outbound",
    "outbound-reply": "outbound", "trunking-originating": "inbound", "trunking-terminating": "outbound",
}  # fmt: skip
# What stands in front of an address that is no telephone number, and which channel it means.
_CHANNELS: Final = {"whatsapp": "chat", "messenger": "social", "rcs": "sms"}
_OURS: Final = re.compile(r"^(?:client:|sips?:)([^@;]+)", re.IGNORECASE)
_BARE_NUMBER: Final = re.compile(r"^\d{8,15}$")
_LONG_NUMBER: Final = re.compile(r"^\+?\d{7,15}$")


@dataclass(frozen=True)
class _Side:
    """One party of a leg: a number or, of ours, the name of a client or SIP user."""

    number: str | None = None
    name: str | None = None


_NOBODY: Final = _Side()


@dataclass(frozen=True)
class _Opening:
    """What the first leg of a call tells of it: which way it went, and who of ours or of theirs took part."""

    direction: Literal["inbound", "outbound"]
    ours: _Side = _NOBODY
    theirs: _Side = _NOBODY


_Openings = Mapping[str, _Opening]


class Twilio:
    """Call and Message resources as JSON, and the tables that warehouses make of them."""

    name = "twilio"
    title = "Twilio"
    description = (
        "Calls and messages of the REST API as JSON (one resource, pages of a list, or one a line), and the call and "
        "message tables that Fivetran writes, as CSV. Legs that a call dials belong to it; of the first leg then only "
        "the parties count, not its time. The caller of a program that plays a recording counts as a talk unless "
        "Twilio noted a machine. Your own numbers belong in the directory; tables of them give nothing here. "
        "Mapping: field = column. Times without a zone are UTC."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "Call resource, JSON",
            "parties, direction, status, times, who answered, parent call",
            "prices, queue time, recordings",
            "records",
            "12 resources of the client library's tests",
        ),
        Format(
            "Message resource, JSON",
            "parties, network, direction, status, times",
            "body, media, prices",
            "records",
            "17 resources of the client library's tests",
        ),
        Format(
            "warehouse table of calls, CSV",
            "as the resource",
            "the same",
            "records",
            "seeds of a published data model",
        ),
        Format(
            "warehouse table of messages, CSV",
            "as the resource",
            "the same",
            "records",
            "seeds of a published data model",
        ),
    )
    lies = (
        "A call that a program answered is completed too: its first leg counts as talk only when it dialled nobody.",
        "A dialled leg shows whatever caller number the program chose; the first leg says who called.",
        "Warehouses drop the plus sign of numbers.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a resource, a page of them, or a warehouse table."""
        if sample.is_directory:
            return None
        form = form_of(sample.head, _LISTS)
        if form is not None:
            return _claim_json(sample.head, form)
        columns = folded_names(sample.head)
        for table, what in ((_CALL_TABLE, "calls"), (_MESSAGE_TABLE, "messages")):
            if table <= columns:
                return Recognition(0.95, f"its columns are those of a warehouse table of {what}")
        if columns >= _NUMBER_TABLE and columns & {"capabilities_voice", "_fivetran_synced"}:
            return Recognition(0.8, "its columns are those of a warehouse table of numbers")
        return None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each leg or message.

        Raises:
            ConfigurationError: when the mapping names a field that there is none, or a table lacks a column.
            InvalidRecord: when a document is broken; what came before it is yielded first.
        """
        size, start = path.stat().st_size, head(path)
        form = form_of(start, _LISTS)
        if form is None and (columns := folded_names(start)) >= _NUMBER_TABLE and "direction" not in columns:
            note = f"{context.file}: a table of numbers gives no events; list your own numbers in the directory"
            yield Batch({}, 0, size, warnings=(note,))
            return
        rename = renaming(context, _FIELDS, _OTHER_NAMES)
        if form is None:
            require_columns(context, folded_names(start), _NEEDED, _OTHER_NAMES)

        def values() -> Iterator[Mapping[str, Any]]:
            with suppress(InvalidRecord):  # told when the records themselves are read
                yield from (rename(record.value) for record in named_records(path, start, form))

        openings = _openings(values(), values)
        unit: Literal["line", "record"] = "line" if form is None else form.unit
        yield from translated(
            named_records(path, start, form), lambda value: _record(rename(value), openings), context, unit, size
        )


def _claim_json(start: bytes, form: JsonForm) -> Recognition | None:
    record = first_record(start, form)
    if record is None:
        is_page = form.place in _LISTS and _API in start
        return Recognition(0.9, f"a page of {form.place} of the REST API") if is_page else None
    sid = record.get("sid")
    if isinstance(sid, str) and sid.startswith((_CALL_ID, *_MESSAGE_IDS)) and "account_sid" in record:
        return Recognition(0.95, f"a {'call' if sid.startswith(_CALL_ID) else 'message'} of the REST API")
    return None


def _openings(values: Iterator[Mapping[str, Any]], again: Callable[[], Iterator[Mapping[str, Any]]]) -> _Openings:
    """Return what first legs tell, of the calls that dialled others; the records are gone through twice."""
    dialling = {parent for value in values if (parent := value.get("parent_call_sid"))}
    if not dialling:
        return {}
    return {value["sid"]: _opening(value) for value in again() if value.get("sid") in dialling}


def _opening(value: Mapping[str, Any]) -> _Opening:
    caller, called = _side(value.get("from")), _side(value.get("to"))
    if value.get("direction") not in _INBOUND:
        # Rung by a program: first the one of ours, who is then put through.
        return _Opening("outbound", ours=called)
    if caller.name is not None:
        return _Opening("outbound", ours=caller)
    return _Opening("inbound", theirs=caller)


def _record(value: Mapping[str, Any], openings: _Openings) -> dict[str, Any]:
    sid = value.get("sid")
    if not isinstance(sid, str) or not sid.startswith((_CALL_ID, *_MESSAGE_IDS)):
        raise InvalidRecord("sid: expected an id of a call (CA...) or of a message (SM..., MM...)")
    direction = value.get("direction")
    if direction not in _DIRECTIONS:
        raise InvalidRecord(f"direction: expected one of {', '.join(_DIRECTIONS)}")
    return _leg(sid, value, openings) if sid.startswith(_CALL_ID) else _message(sid, value)


def _leg(sid: str, value: Mapping[str, Any], openings: _Openings) -> dict[str, Any]:
    parent = value.get("parent_call_sid")
    status, talk = _course(value)
    if sid in openings and status == "answered":
        status, talk = "ivr", None  # who was put through talked on a leg of its own
    return {
        "kind": "pbx_leg",
        "call_id": parent or sid,
        "leg_id": sid,
        "started_at": _instant(value, "start_time", "date_created"),
        "ended_at": _instant(value, "end_time") if value.get("end_time") else None,
        "status": status,
        "talk_seconds": talk,
        **_sides(value, openings.get(parent) if parent else None),
    }


def _course(value: Mapping[str, Any]) -> tuple[str, float | None]:
    """Return how a leg ended, and the seconds of talk where there was any."""
    written = value.get("status")
    if written in _UNFINISHED:
        raise InvalidRecord("status: the call had not ended when it was exported; export it again")
    if written not in _STATUSES:
        raise InvalidRecord(f"status: expected one of {', '.join(_STATUSES)}")
    if str(value.get("answered_by") or "").startswith(_MACHINES):
        return "voicemail", None
    if _STATUSES[written] != "answered":
        return _STATUSES[written], None
    try:
        talk = float(value.get("duration") or 0)
    except (TypeError, ValueError):
        raise InvalidRecord("duration: expected seconds") from None
    return ("answered", talk) if talk > 0 else ("unanswered", None)


def _sides(value: Mapping[str, Any], opening: _Opening | None) -> dict[str, Any]:
    """Return who took part in a leg: of ours by name or number, of theirs by number."""
    caller, called = _side(value.get("from")), _side(value.get("to"))
    if opening is not None and opening.direction == "inbound":
        return _between(called, opening.theirs, "inbound")
    if opening is not None:
        # A representative who was rung first is put through to a customer; a customer, to a client.
        swapped = called.name is not None and opening.ours.name is None
        return _between(called, opening.ours, "outbound") if swapped else _between(opening.ours, called, "outbound")
    if caller.name is not None and called.name is not None:
        return {"direction": "internal", "from_device": caller.name, "to_device": called.name}
    if caller.name is not None:
        return _between(caller, called, "outbound")
    if called.name is not None:
        return _between(called, caller, "inbound")
    direction = _DIRECTIONS[value["direction"]]
    # A leg that another call dialled, of which nothing is known: the directory tells whose numbers these are.
    known = None if value.get("parent_call_sid") else direction
    return {"direction": known, "from": caller.number, "to": called.number}


def _between(ours: _Side, theirs: _Side, direction: Literal["inbound", "outbound"]) -> dict[str, Any]:
    own, other = ("to", "from") if direction == "inbound" else ("from", "to")
    device = {f"{own}_device": ours.name} if ours.name is not None else {}
    return {"direction": direction, own: ours.number, other: theirs.number, **device}


def _message(sid: str, value: Mapping[str, Any]) -> dict[str, Any]:
    status = value.get("status")
    if status in _UNSENT:
        raise InvalidRecord("status: the message was not sent when it was exported")
    if status not in (*_SENT, *_NOT_DELIVERED):
        raise InvalidRecord(f"status: expected one of {', '.join((*_SENT, *_NOT_DELIVERED))}")
    sender, recipient = str(value.get("from") or ""), str(value.get("to") or "")
    scheme = (sender if ":" in sender else recipient).partition(":")[0].casefold()
    return {
        "kind": "message",
        "channel": _CHANNELS.get(scheme, "sms"),
        "message_id": sid,
        "started_at": _instant(value, "date_sent", "date_created"),
        "direction": _DIRECTIONS[value["direction"]],
        "from": _address(sender),
        "to": _address(recipient),
        "namespace": scheme if scheme in _CHANNELS else None,
        "status": "failed" if status in _NOT_DELIVERED else "delivered",
        "automated": value["direction"] == "outbound-reply",  # a program's answer to what came in
    }


def _side(text: object) -> _Side:
    """Return who an address stands for: a client or SIP user by name, anybody else by number."""
    written = str(text or "").strip()
    ours = _OURS.match(written)
    if ours is None:
        return _Side(number=_number(written))
    is_ours = not _LONG_NUMBER.match(ours[1]) and ours[1].casefold() not in WITHHELD_WORDS
    return _Side(name=ours[1]) if is_ours else _Side(number=_number(ours[1]))


def _address(text: str) -> str:
    """Return a party of a message: a number with its scheme taken off, or the name that another network gave it."""
    scheme, colon, rest = text.strip().partition(":")
    return _number(rest if colon and scheme.casefold() in _CHANNELS else text.strip())


def _number(text: str) -> str:
    """Return a number as the API writes it: warehouses drop its plus sign."""
    return f"+{text}" if _BARE_NUMBER.match(text) else text


def _instant(value: Mapping[str, Any], *names: str) -> datetime:
    """Return the first instant that is there: RFC 2822, or a date and time, in UTC where no zone is written.

    Raises:
        InvalidRecord: when there is none, or it cannot be read.
    """
    for name in names:
        written = str(value.get(name) or "").strip()
        if written:
            try:
                read = datetime.fromisoformat(written.removesuffix(" UTC")) if written[0].isdigit() else None
                instant = read or parsedate_to_datetime(written)
            except (ValueError, IndexError, OverflowError):
                raise InvalidRecord(f"{name}: no date and time, such as Tue, 31 Aug 2010 20:36:29 +0000") from None
            return instant.replace(tzinfo=instant.tzinfo or UTC)
    raise InvalidRecord(f"{names[0]}: missing; export the call or message when it has ended")


SOURCE: Final = Twilio()
