"""Rows of the two logs that Teams keeps of calls to and from the telephone network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.errors import InvalidRecord
from pipeline.sources.call_times import seconds, utc_stamp
from pipeline.sources.translation import Fields
from pipeline.sources.written_values import InstantReader

FIELDS: Final = (
    "id", "correlationId", "userId", "userPrincipalName", "userDisplayName", "callType", "callerNumber",
    "calleeNumber", "startDateTime", "endDateTime", "duration", "inviteDateTime", "failureDateTime", "successfulCall",
    "finalSipCode",
)  # fmt: skip
NEEDED: Final = ("callType", "callerNumber", "calleeNumber", "startDateTime", "duration")
OTHER_NAMES: Final = {name: name.casefold() for name in FIELDS}

_WORDS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_TRUE: Final = frozenset({"true", "1", "yes"})
_BUSY: Final = frozenset({"486", "600"})


def leg_of_row(row: Mapping[str, Any], reader: InstantReader) -> Fields | Sequence[Fields]:
    """Return what a row tells: a user's call, a bot's, or none of its own.

    Raises:
        InvalidRecord: when the type of the call or a time cannot be read.
    """
    words = {word.casefold() for word in _WORDS.findall(str(row["callType"]))}
    if words.isdisjoint({"in", "out"}):
        raise InvalidRecord("callType: expected a type such as user_in, user_out or ByotIn")
    if not words.isdisjoint({"forwarding", "transfer"}):
        return ()  # the caller's own row tells how long anybody talked
    is_out = "out" in words
    invited = utc_stamp("inviteDateTime", row.get("inviteDateTime"), reader)
    started = utc_stamp("startDateTime", row.get("startDateTime"), reader)
    ended = utc_stamp("endDateTime", row.get("endDateTime"), reader)
    failed = utc_stamp("failureDateTime", row.get("failureDateTime"), reader)
    known = [instant for instant in (invited, started) if instant]
    if not known:
        raise InvalidRecord("startDateTime: missing; every call has one")
    status, talk = _course(row, words)
    ours = "from" if is_out else "to"
    identity = row.get("id") or row.get("correlationId")
    if not identity:
        raise InvalidRecord("id: missing; every row has one, or a correlationId")
    return {
        "kind": "pbx_leg",
        "call_id": str(identity),
        "started_at": min(known),
        "ended_at": ended or failed,
        "status": status,
        "talk_seconds": talk,
        "direction": "outbound" if is_out else "inbound",
        "from": _text(row, "callerNumber"),
        "to": _text(row, "calleeNumber"),
        "representative": _text(row, "userPrincipalName"),
        f"{ours}_device": _text(row, "userDisplayName") or _text(row, "userId"),
    }


def _course(row: Mapping[str, Any], words: set[str]) -> tuple[str, float | None]:
    talk = seconds("duration", row.get("duration"))
    is_set_up = str(row.get("successfulCall", True)).casefold() in _TRUE
    if not is_set_up or talk == 0:
        code = str(row.get("finalSipCode", "")).partition(".")[0]
        return ("busy" if code in _BUSY else "unanswered"), None
    if "ucap" in words:
        return "ivr", None
    return "answered", talk


def _text(row: Mapping[str, Any], name: str) -> str | None:
    return str(row[name]).strip() or None if name in row else None
