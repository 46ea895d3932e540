"""Asterisk's manager interface: its events as they come, and as the lines that its own logs would have of them.

A call detail record that it tells is the line of cdr-csv/Master.csv with `loguniqueid` and `loguserfield`, and a
channel event that of cel-custom/Master.csv: the parsers of these files read them, and a record that both tell is the
same one.

Source: fields of the events Cdr and CEL in cdr/cdr_manager.c and cel/cel_manager.c of Asterisk; a mapping in
cdr_manager.conf may add fields to Cdr.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

# Asterisk's own fields have 256 characters at most. Units: bytes, lines.
LONGEST_LINE: Final = 16 * 1024
MOST_LINES: Final = 200

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


class AmiReader:
    """Puts events together from pieces of any size, in bounded memory; what is no event is passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._event: dict[str, str] = {}
        self._is_long = False
        self._is_spoilt = False
        self.spoilt_count = 0

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events and answers that are whole now: names of fields in small letters, values as they are."""
        found: list[Event] = []
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            is_long, self._is_long = self._is_long or len(line) > LONGEST_LINE, False
            if is_long:
                self._is_spoilt = True
            elif not line.strip(b"\r"):
                if self._is_spoilt:
                    self.spoilt_count += 1
                elif self._event:
                    found.append(self._event)
                self._event, self._is_spoilt = {}, False
            else:
                self._add(line)
        if len(self._rest) > LONGEST_LINE:
            self._rest, self._is_long = b"", True
        return found

    def _add(self, line: bytes) -> None:
        name, colon, value = line.rstrip(b"\r").decode("utf-8", "replace").partition(":")
        if not colon or not name.strip() or " " in name.strip():
            return  # the greeting, and what commands print
        if len(self._event) >= MOST_LINES:
            self._is_spoilt = True
            return
        self._event.setdefault(name.strip().lower(), value.removeprefix(" ").replace("\0", "").replace("\r", " "))


def answer_to(challenge: str, secret: str) -> str:
    """Return what proves that we know a secret without telling it."""
    return hashlib.md5((challenge + secret).encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Line:
    """One line of a log, the names of its columns, the format that reads it, and the event that told it."""

    format: Literal["asterisk_cdr", "asterisk_cel"]
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


class OpenCalls:
    """Lines of calls that go on: a later event is understood by them. The oldest are forgotten beyond a bound."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lines: OrderedDict[str, list[str]] = OrderedDict()
        self._size = 0

    def note(self, line: Line) -> None:
        """Remember a channel event, or forget its call when it was the last."""
        call = line.event.get("linkedid", "")
        if line.event.get("eventname") == "LINKEDID_END":
            self._size -= sum(map(len, self._lines.pop(call, ())))
        else:
            self._lines.setdefault(call, []).append(line.text)
            self._size += len(line.text)
        while self._size > self._most_bytes:
            _, lines = self._lines.popitem(last=False)
            self._size -= sum(map(len, lines))

    def lines(self) -> list[str]:
        """Return what is remembered, call by call."""
        return [line for lines in self._lines.values() for line in lines]


def _cell(name: str, value: str) -> str:
    if name in _BARE and (not value or value.isdecimal()):
        return value
    return "" if name == "answer" and not value else _quoted(value)


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'
