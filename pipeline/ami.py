"""Asterisk's manager interface: its events as they come, and as the lines that its own logs would have of them.

A call detail record that it tells is the line of cdr-csv/Master.csv with `loguniqueid` and `loguserfield`, and a
channel event that of cel-custom/Master.csv: the parsers of these files read them, and a record that both tell is the
same one.

Source: fields of the events Cdr and CEL in cdr/cdr_manager.c and cel/cel_manager.c of Asterisk; a mapping in
cdr_manager.conf may add fields to Cdr.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.errors import TransientError

# Asterisk's own fields have some hundred characters; those that a dial plan sets may have more. Units: bytes.
LONGEST_LINE: Final = 16 * 1024
LONGEST_EVENT: Final = 64 * 1024
_MOST_FIELDS: Final = 200
# Whoever sends so much without the blank line that ends an event does not speak as we do.
_LOST: Final = 1024 * 1024
GREETING: Final = b"asterisk call manager"

# Columns of the logs, in order, and the fields that stand in them.
_RECORD: Final = {
    "accountcode": "accountcode", "src": "source", "dst": "destination", "dcontext": "destinationcontext",
    "clid": "callerid", "channel": "channel", "dstchannel": "destinationchannel", "lastapp": "lastapplication",
    "lastdata": "lastdata", "start": "starttime", "answer": "answertime", "end": "endtime", "duration": "duration",
    "billsec": "billableseconds", "disposition": "disposition", "amaflags": "amaflags", "uniqueid": "uniqueid",
    "userfield": "userfield",
}  # fmt: skip
_LINKED_RECORD: Final = {**_RECORD, "peeraccount": "peeraccount", "linkedid": "linkedid", "sequence": "sequence"}
_BARE: Final = frozenset({"duration", "billsec", "sequence"})
_CHANNEL_EVENT: Final = {
    "eventtype": "eventname", "eventtime": "eventtime", "name": "calleridname", "num": "calleridnum",
    "ani": "calleridani", "rdnis": "calleridrdnis", "dnid": "calleriddnid", "exten": "exten", "context": "context",
    "channame": "channel", "appname": "application", "appdata": "appdata", "amaflags": "amaflags",
    "accountcode": "accountcode", "uniqueid": "uniqueid", "linkedid": "linkedid", "bridgepeer": "peer",
    "userfield": "userfield", "userdeftype": "userdeftype", "extra": "extra",
}  # fmt: skip
# The channel event log writes numbers for what the manager interface names.
_AMA: Final = {"OMIT": "1", "BILLING": "2", "DOCUMENTATION": "3"}

Event = Mapping[str, str]
LogFormat = Literal["asterisk_cdr", "asterisk_cel"]


class AmiReader:
    """Puts events together from pieces of any size, in bounded memory; what is no event is passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._event: dict[str, str] = {}
        self._size = 0
        self._is_long = False
        self._is_spoilt = False
        self.spoilt_count = 0

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events and answers that are whole now: names of fields in small letters, values as they are.

        Raises:
            TransientError: when no event ends any more; nothing that follows can be relied on.
        """
        found: list[Event] = []
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            is_long, self._is_long = self._is_long or len(line) > LONGEST_LINE, False
            self._note(len(line))
            if line.strip(b"\r") or is_long:
                self._is_spoilt |= is_long
                self._add(line)
                continue
            if self._is_spoilt:
                self.spoilt_count += 1
            elif self._event:
                found.append(self._event)
            self._event, self._size, self._is_spoilt = {}, 0, False
        if len(self._rest) > LONGEST_LINE:
            self._note(len(self._rest))
            self._rest, self._is_long = b"", True
        return found

    def _note(self, size: int) -> None:
        self._size += size + 1
        if self._size > _LOST:
            raise TransientError("it sends no end of an event; is this the manager interface?")
        self._is_spoilt |= self._size > LONGEST_EVENT

    def _add(self, line: bytes) -> None:
        if self._is_spoilt:
            return
        name, colon, value = line.rstrip(b"\r").decode("utf-8", "replace").partition(":")
        if not colon or not name.strip() or " " in name.strip():
            return  # what commands print
        self._is_spoilt = len(self._event) >= _MOST_FIELDS
        self._event.setdefault(name.strip().lower(), value.removeprefix(" ").replace("\0", "").replace("\r", " "))


def answer_to(challenge: str, secret: str) -> str:
    """Return what proves that we know a secret without telling it."""
    return hashlib.md5((challenge + secret).encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Line:
    """One line of a log, the names of its columns, the format that reads it, and the event that told it."""

    format: LogFormat
    header: str
    text: str
    event: Event


def line_of(event: Event) -> Line | None:
    """Return the line that a log would have of an event; None when it would have none.

    >>> line_of({"event": "Hangup"}) is None
    True
    """
    match event.get("event", "").lower():
        case "cdr":
            columns = _LINKED_RECORD if event.get("linkedid") else _RECORD
            cells = [_cell(name, event.get(field, "")) for name, field in columns.items()]
            return Line("asterisk_cdr", ",".join(columns), ",".join(cells), event)
        case "cel":
            flag = event.get("amaflags", "")
            values = {**event, "amaflags": _AMA.get(flag.upper(), flag)}
            cells = [_quoted(values.get(field, "")) for field in _CHANNEL_EVENT.values()]
            return Line("asterisk_cel", ",".join(_CHANNEL_EVENT), ",".join(cells), event)
    return None


def _cell(name: str, value: str) -> str:
    if name in _BARE and (not value or value.isdecimal()):
        return value
    return "" if name == "answer" and not value else _quoted(value)


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'
