"""What of a message that a mail server passes on is kept: its header, and who it was really for. Never its body.

Servers copy mail in two ways. Most send the message again as it is (always_bcc, journaling rules of Google and others):
then its envelope may name recipients whom its header does not. Exchange and Microsoft 365 send a report that holds the
message as an attachment, and names sender and recipients in its own text.

Source: journal reports as Microsoft describes them, a text part of `Sender:`, `Subject:`, `Message-Id:`, `To:`, `Cc:`,
`Bcc:` and `Recipient:` lines, and a part of type message/rfc822.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email import message_from_bytes
from enum import Enum, auto
from typing import Final

from pipeline.sources.mbox_stream import HEADER_LIMIT
from pipeline.sources.message_headers import addresses_of, header_fields

# A report names each recipient in a line of its own: as many as a company's largest list has. Unit: bytes.
REPORT_LIMIT: Final = 1024 * 1024

_IS_REPORT: Final = re.compile(rb"^X-MS-Journal-Report[ \t]*:", re.IGNORECASE | re.MULTILINE).search
# Each of these is found in time that grows with what is looked at: headers are whatever somebody sends.
_CONTENT_TYPE: Final = re.compile(
    rb"^Content-Type[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.IGNORECASE | re.MULTILINE
).search
_BOUNDARY: Final = re.compile(rb'\bboundary[ \t]{0,9}=[ \t]{0,9}(?:"([^"\r\n]{1,200})"|([^\s;"]{1,200}))', re.I).search
_LONGEST_TYPE: Final = 2_000
_IS_MESSAGE: Final = re.compile(rb"^Content-Type[ \t]*:\s*message/(?:rfc822|global)\b", re.IGNORECASE | re.M).search
_IS_PACKED: Final = re.compile(
    rb"^Content-Transfer-Encoding[ \t]*:\s*(?:base64|quoted-printable)\b", re.IGNORECASE | re.M
).search
_IS_TEXT: Final = re.compile(rb"^Content-Type[ \t]*:\s*text/plain\b", re.IGNORECASE | re.MULTILINE).search
_SAID: Final = re.compile(r"^(Sender|Subject|Message-Id|To|Cc|Bcc|Recipient):(.*)$", re.I | re.M).findall
# "anna@acme.fi, Expanded: sales@acme.fi": the list that she is a member of stands behind.
_BEHIND: Final = re.compile(r",[ \t]{0,9}(?:Expanded|Forwarded)[ \t]{0,9}:", re.IGNORECASE)
_DATE: Final = re.compile(rb"^Date[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE).search


class _Within(Enum):
    HEADER = auto()
    REPORT = auto()  # between its parts
    PART_HEADER = auto()
    TEXT = auto()
    MESSAGE = auto()  # the header of the message that it reports
    REST = auto()  # nothing more is of use


class PassedOn:
    """One message as its lines come. Bounded in memory, whatever its size."""

    def __init__(self, *, may_report: bool = False) -> None:
        """`may_report`: whether a message that says that it is a journal report is one."""
        self._may_report = may_report
        self._within = _Within.HEADER
        self._header = bytearray()
        self._part = bytearray()
        self._text = bytearray()
        self._text_header = b""
        self._inner = bytearray()
        self._boundary = b""
        self._is_line_start = True
        self._is_report = False

    @property
    def has_enough(self) -> bool:
        """Whether what follows is of no use, and need not be added."""
        return self._within is _Within.REST

    def add(self, line: bytes) -> None:
        """Add a line with its end, or a piece of a long one."""
        line = line[:-2] + b"\n" if line.endswith(b"\r\n") else line
        is_start, self._is_line_start = self._is_line_start, line.endswith(b"\n")
        is_blank = is_start and line == b"\n"
        is_boundary = is_start and bool(self._boundary) and line.startswith(self._boundary)
        match self._within:
            case _Within.HEADER:
                if is_blank:
                    self._end_header()
                elif _keep(self._header, line, HEADER_LIMIT):
                    self._within = _Within.REST
            case _Within.MESSAGE:
                if is_blank or is_boundary or _keep(self._inner, line, HEADER_LIMIT):
                    self._within = _Within.REST
            case _ if is_boundary:
                self._within = _Within.PART_HEADER
                self._part.clear()
            case _Within.PART_HEADER:
                if is_blank:
                    self._end_part_header()
                elif _keep(self._part, line, HEADER_LIMIT):
                    self._within = _Within.REPORT
            case _Within.TEXT:
                if _keep(self._text, line, REPORT_LIMIT):
                    self._within = _Within.REPORT

    def header(self, envelope_recipients: Iterable[str] = (), own_addresses: Iterable[str] = ()) -> bytes:
        """Return the header of the message that was passed on, as a message file has it.

        Recipients whom it does not name itself stand in a last line as Bcc, sorted, so that a message that is sent
        again is the same. `own_addresses`: where copies are sent to; they are nobody's.
        """
        header, recipients = bytes(self._header), list(envelope_recipients)
        if self._is_report:
            header, recipients = self._reported()
        named = _named(header)
        unnamed = {
            address
            for recipient in recipients
            for address in addresses_of(recipient.encode("utf-8", "replace"))
            if address not in named
        } - {address.lower() for address in own_addresses}
        line = b"Bcc: " + b",\n ".join(address.encode("utf-8", "replace") for address in sorted(unnamed)) + b"\n"
        # A message to so many is one to a list, with them or without.
        if not unnamed or len(header) + len(line) >= HEADER_LIMIT:
            return header
        return header + (b"" if not header or header.endswith(b"\n") else b"\n") + line

    def _end_header(self) -> None:
        header = bytes(self._header)
        boundary = _boundary(header) if self._may_report and _IS_REPORT(header) else b""
        if not boundary:
            self._within = _Within.REST
            return
        self._is_report = True
        self._boundary = b"--" + boundary
        self._within = _Within.REPORT

    def _end_part_header(self) -> None:
        part = bytes(self._part)
        if _IS_MESSAGE(part) and not _IS_PACKED(part):
            self._within = _Within.MESSAGE
        elif not self._text_header and (_IS_TEXT(part) or not part):
            self._text_header = part or b"\n"
            self._within = _Within.TEXT
        else:
            self._within = _Within.REPORT

    def _reported(self) -> tuple[bytes, list[str]]:
        """Return the header of the message that a report holds, or what the report says of it; and its recipients."""
        part = message_from_bytes(self._text_header.lstrip(b"\n") + b"\n" + bytes(self._text))
        payload = part.get_payload(decode=True)
        said = [(name.lower(), value.strip()) for name, value in _SAID(_readable(payload))]
        recipients = [_BEHIND.split(value, 1)[0] for name, value in said if name in ("to", "cc", "bcc", "recipient")]
        if self._inner:
            return bytes(self._inner), recipients
        # What cannot be looked into, such as an encrypted part, the report still tells of.
        first = dict(reversed(said))
        date = _DATE(bytes(self._header))
        lines = [
            f"{field}: {first[name]}"
            for field, name in (("From", "sender"), ("Subject", "subject"), ("Message-ID", "message-id"))
            if first.get(name)
        ]
        lines += [f"{name.title()}: {_BEHIND.split(value, 1)[0]}" for name, value in said if name in ("to", "cc")]
        header = "".join(f"{line}\n" for line in lines).encode()
        return header + (date[0] + b"\n" if date else b""), recipients


def _keep(into: bytearray, line: bytes, limit: int) -> bool:
    """Keep a line as far as there is room; return whether there is none left."""
    into += line[: limit - len(into)]
    return len(into) >= limit


def _boundary(header: bytes) -> bytes:
    """Return what stands between the parts of a message; empty when it has no parts."""
    found = _CONTENT_TYPE(header)
    value = found[1][:_LONGEST_TYPE] if found else b""
    boundary = _BOUNDARY(value) if value.strip().lower().startswith(b"multipart/") else None
    return (boundary[1] or boundary[2]) if boundary else b""


def _named(header: bytes) -> set[str]:
    fields = header_fields(header)
    return {address for name in (b"to", b"cc", b"bcc", b"delivered") for address in addresses_of(fields.get(name, b""))}


def _readable(payload: object) -> str:
    text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return text.replace("\r", "")


def delivered(header: bytes, mailbox: str | None) -> bytes:
    """Return the header of a message in somebody's mailbox, with the mailbox as recipient where it names it nowhere.

    Blind copies and members of a list stand nowhere else. Mail that the mailbox sent stays as it is.
    """
    header = header.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n"
    if mailbox is None or mailbox in _named(header) or mailbox in addresses_of(header_fields(header).get(b"from", b"")):
        return header
    return header + b"Delivered-To: " + mailbox.encode("utf-8", "replace") + b"\n"
