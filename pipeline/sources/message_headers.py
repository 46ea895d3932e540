"""What the header of one message says: its identity, date, addresses, and whether a machine or a list sent it.

Everything works on raw header bytes as they lie in mailboxes: folded, encoded, misencoded or broken.
Nothing here raises because a header is malformed; what cannot be read is None or empty. Plain headers,
nearly all of them, take a short way; the standard library reads the rest (tests prove both ways equal).
"""

from __future__ import annotations

import hashlib
import inspect
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import getaddresses, parsedate_tz
from functools import lru_cache
from typing import Any, Final

# Nobody writes longer ones on purpose; the bound keeps hostile ones from costing time or memory.
LONGEST_MESSAGE_ID: Final = 998
LONGEST_SUBJECT: Final = 2_000
FIRST_YEAR: Final = 1971

# Fields

# Most fields of a header are nobody's business here; passing over the commonest of them early halves the time.
_PASSED_OVER: Final = rb"(?!Rec|Ref|In-|MIME|Mime|DKIM|ARC|Aut[^o]|Thread|Content-[^Tt]|[Xx]-[^AaEeOo])"
_FIELDS: Final = re.compile(
    rb"\n%b([A-Za-z-]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)" % _PASSED_OVER,
).findall
_RECEIVED: Final = re.compile(rb"\nReceived[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.IGNORECASE).findall
_LISTS: Final = frozenset({b"to", b"cc", b"bcc", b"delivered"})
_DELIVERED: Final = frozenset({b"delivered-to", b"x-original-to", b"envelope-to"})
_KNOWN: Final = frozenset(
    b"""
    from to cc bcc date subject message-id sender return-path x-envelope-from auto-submitted x-autoreply x-autorespond
    content-type list-id precedence
    """.split()
)


def header_fields(block: bytes) -> dict[bytes, bytes]:
    """Return the raw values, still folded, of the fields that matter here, by lower-cased name.

    Repeated recipient fields are joined by commas; of all others the first counts, as mail programs do.
    Delivered-To, X-Original-To and Envelope-To come together as `delivered`. Lines that are no header are passed over.
    """
    fields: dict[bytes, bytes] = {}
    for name, value in _FIELDS(b"\n" + block):
        role = _role(name)
        if role is not None:
            if role not in fields:
                fields[role] = value
            elif role in _LISTS:
                fields[role] += b"," + value
    return fields


@lru_cache(maxsize=4096)
def _role(name: bytes) -> bytes | None:
    name = name.lower()
    return b"delivered" if name in _DELIVERED else name if name in _KNOWN else None


def text_of(raw: bytes) -> str:
    """Return a header's value unfolded, as UTF-8 where it is that and Latin-1 otherwise, without NULs."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if "\n" in text or "\r" in text or "\0" in text:
        text = _FOLD.sub(" ", text).replace("\0", "")
    return text.strip()


def decode_words(text: str) -> str:
    """Return text with its RFC 2047 words decoded; text that only looks encoded stays as it is.

    >>> decode_words("=?utf-8?q?P=C3=A4iv=C3=A4=C3=A4?= all")
    'Päivää all'
    """
    if "=?" not in text:
        return text
    try:
        pieces = decode_header(text)
    except (HeaderParseError, ValueError):
        return text
    return "".join(piece if isinstance(piece, str) else _decode(piece, charset) for piece, charset in pieces)


def _decode(piece: bytes, charset: str | None) -> str:
    try:
        return piece.decode(charset or "latin-1", "replace")
    except (LookupError, ValueError):
        return piece.decode("latin-1")


# Identity

_FOLD: Final = re.compile(r"[\r\n]+[ \t]*")
_FOLDED: Final = re.compile(rb"[\r\n]+[ \t]*")
_HOST: Final = re.compile(r"(?:[a-z0-9-]++\.)++[a-z]{2,}+", re.IGNORECASE).fullmatch
_PERSON_INSIDE: Final = re.compile(
    r"[A-Z]{20,40}\.[^.]"  # <NDBBJKHFMCPOHBAGNOKPAEGDCAAA.maija@example.com>: Outlook's Internet mail mode
    r"|[A-Za-z]{2,}[._][A-Za-z]{2,}$"  # <maija.virtanen@example.com>
).match


def message_key(message_id: str, addresses: Collection[str] = ()) -> str:
    """Return the form of a Message-ID under which mailboxes meet; empty when there is none.

    Brackets, folds and outer white space go, letter case stays. Some mail programs write a person's whole
    address into the Message-ID. Such an id is replaced by "x:" and 24 hexadecimal digits of its SHA-256, and
    that is decided from the id alone, so that everybody who meets it decides alike. So is an id longer than
    a line may be. `addresses` (lower-cased) adds what only somebody who knows them can see: the id contains
    one of them whole.

    >>> message_key(" <1275447987.2063@pony.example>\\r\\n"), message_key("<maija@example.com@host>")
    ('1275447987.2063@pony.example', 'x:53ffeea6dac96e92df0bf19e')
    """
    return message_keys(message_id, addresses)[0]


def message_keys(message_id: str, addresses: Collection[str] = ()) -> tuple[str, str]:
    """Return the `message_key` and the `masked_key` of a Message-ID."""
    text = _bare(message_id)
    masked = _masked(text)
    left, at, _ = text.rpartition("@")
    is_revealing = _reveals_address(left if at else text) or (addresses and _holds_address(text.lower(), addresses))
    return masked if is_revealing or len(text) > LONGEST_MESSAGE_ID else text, masked


def masked_key(message_id: str) -> str:
    """Return the form of a Message-ID under which CRM records meet mailboxes, masked; empty when there is none.

    A CRM may know a message by its id alone, and cannot tell then whether it names somebody. A key of `message_key`
    that is masked already stays as it is.

    >>> masked_key("<1275447987.2063@pony.example>"), masked_key("x:53ffeea6dac96e92df0bf19e")
    ('x:c1efa7d4183173572d948a02', 'x:53ffeea6dac96e92df0bf19e')
    """
    return _masked(_bare(message_id))


_IS_MASKED: Final = re.compile(r"x:[0-9a-f]{24}").fullmatch


def _bare(message_id: str) -> str:
    text = message_id.strip()
    if "\n" in text or "\r" in text:
        text = _FOLD.sub("", text)
    start = text.find("<") + 1
    end = text.find(">", start)
    if start and end > start:
        text = text[start:end]
    return text.strip("<> \t")


def _masked(text: str) -> str:
    if not text or _IS_MASKED(text):
        return text
    return "x:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _reveals_address(left: str) -> bool:
    """Return whether what stands before an id's host looks like a person's address, whole or rewritten."""
    if "@" in left or "%40" in left or "=40" in left:  # <maija@example.com@host>, <maija%40example.com@host>
        return True
    if "=" in left and _HOST(left.rpartition("=")[2]):  # <maija.virtanen=example.com@host>
        return True
    return _PERSON_INSIDE(left) is not None


def _holds_address(text: str, addresses: Collection[str]) -> bool:
    for address in addresses:
        at = text.find(address)
        if at >= 0 and not text[:at][-1:].isalnum() and not text[at + len(address) :][:1].isalnum():
            return True
    return False


_REPLY_PREFIXES: Final = re.compile(
    r"(?:\s*(?:re|vs|sv|fwd?|aw|wg|tr|rv|vl)\s*(?:\[\d+\]|\(\d+\))?\s*:)+", re.IGNORECASE
).match


def subject_core(raw: bytes) -> str:
    """Return a subject decoded, without reply prefixes and with single spaces. It only ever enters a hash.

    >>> subject_core(b"VS: Re[2]: FW:  =?iso-8859-1?q?P=E4iv=E4?=")
    'Päivä'
    """
    return _subject_core(raw[: 4 * LONGEST_SUBJECT])


@lru_cache(maxsize=4096)
def _subject_core(raw: bytes) -> str:
    text = decode_words(text_of(raw)[:LONGEST_SUBJECT])
    prefix = _REPLY_PREFIXES(text)
    if prefix:
        text = text[prefix.end() :]
    text = " ".join(text.split())
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def second_key(sender: str, recipients: Iterable[str], subject: str, sent_at: int) -> str:
    """Return the key of a message that does not rest on its Message-ID: copies without one exist.

    `sender` and `recipients` (To and Cc) are lower-cased addresses, `subject` comes from `subject_core`,
    `sent_at` is in seconds since 1970 in UTC.
    """
    parts = f"{sender}\n{','.join(sorted(set(recipients)))}\n{subject}\n{sent_at}"
    return "h:" + hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()


# Addresses

_PLAIN_ADDRESS: Final = rb"[a-z0-9!#$%&*+=?^_`{|}~.-]++@[a-z0-9-]++(?:\.[a-z0-9-]++)++"
_PLAIN_ITEM: Final = rb'[ \t]*+(?:(?:"[^"\\@<>]*+"|[^"(),:;<>@\\\[\]\r\n]*+)[ \t]*+<(%b)>|(%b))' % (
    _PLAIN_ADDRESS,
    _PLAIN_ADDRESS,
)
_ONE_PLAIN: Final = re.compile(_PLAIN_ITEM + rb"[ \t\r]*+").fullmatch
_ALL_PLAIN: Final = re.compile(rb"%b(?:[ \t]*+,%b)*+[ \t\r]*+" % (_PLAIN_ITEM, _PLAIN_ITEM)).fullmatch
_PLAIN_MEMBERS: Final = re.compile(_PLAIN_ITEM).findall
_ANYWHERE: Final = re.compile(r"[^\s@<>()\[\]\"',;:\\]{1,128}@[^\s@<>()\[\]\"',;:\\/]{1,255}").findall
_QUOTED_LOCAL: Final = re.compile(r'"((?:[^"\\]|\\.)*)"@(.+)', re.DOTALL).fullmatch
_UNUSABLE: Final = re.compile(r"[\s<>,;\"\\]|@.*@").search

# Python 3.13 and later security releases drop a whole list for one odd member unless told not to.
_LAX: Final[dict[str, Any]] = {"strict": False} if "strict" in inspect.signature(getaddresses).parameters else {}


def addresses_of(raw: bytes) -> tuple[str, ...]:
    """Return the addresses in a header's value, lower-cased, in order, each once.

    Names, comments, groups and routes go; X.500 names and names without a host are no addresses.

    >>> addresses_of(b'"Virtanen, Maija" <Maija@Example.com>, Team: a@b.example (A), c@d.example;')
    ('maija@example.com', 'a@b.example', 'c@d.example')
    """
    lowered = raw.lower()
    plain = _ONE_PLAIN(lowered)
    if plain:
        return ((plain[1] or plain[2]).decode("ascii"),)
    if b"\n" in lowered:
        lowered = _FOLDED.sub(b" ", lowered)
    if _ALL_PLAIN(lowered):
        members = [(named or bare).decode("ascii") for named, bare in _PLAIN_MEMBERS(lowered)]
        return tuple(dict.fromkeys(members))
    return tuple(dict.fromkeys(read_addresses(text_of(raw))))


def read_addresses(text: str) -> list[str]:
    """Return what `addresses_of` does, by the standard library and, where that finds none, by search."""
    if "@" not in text:
        text = decode_words(text[:LONGEST_SUBJECT])  # some programs encode name and address in one word
        if "@" not in text:
            return []
    try:
        members = getaddresses([text], **_LAX)
    except (RecursionError, IndexError, ValueError):  # comments nested a thousand deep
        members = []
    found = [address for _, member in members if (address := _clean(member))]
    return found or [address for match in _ANYWHERE(text) if (address := _clean(match))]


def _clean(address: str) -> str:
    """Return a usable address, or nothing for what is none."""
    address = address.strip().strip("'").lower()
    quoted = _QUOTED_LOCAL(address)
    if quoted:
        return f"{quoted[1]}@{quoted[2]}"
    local, _, host = address.partition("@")
    if not (local and host) or _UNUSABLE(address) or local.startswith("/o="):
        return ""
    return address


# Dates

_PLAIN_DATE: Final = re.compile(
    rb"\s*+(?:[A-Za-z]{3},)?\s*+(\d\d?) ([A-Za-z]{3}) (\d{4}) ([01]\d|2[0-3]):([0-5]\d):([0-5]\d) "
    rb"([+-])(0\d|1[0-4])([0-5]\d)(?: \([A-Za-z]*\))?\s*+"
).fullmatch
_MONTHS: Final = {
    name: number for number, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)
}
# Hours east of Greenwich of names that people's machines write and the standard library does not know.
_ZONES: Final = {
    name: hours
    for hours, names in {
        0: "WET",
        1: "BST CET MET MEZ WEST",
        2: "CEST EET MEST MESZ",
        3: "EEST MSK",
        4: "MSD",
        9: "JST KST",
        10: "AEST",
        11: "AEDT",
        12: "NZST",
        13: "NZDT",
    }.items()
    for name in names.split()
}
_COMMENT: Final = re.compile(r"\([^()]*\)")
_NUMERIC_ZONE: Final = re.compile(r"([+-])(\d{1,2}):?(\d\d)?\s*$").search
_WORDS: Final = re.compile(r"[A-Za-z]{3,5}").findall
_NAMED_UTC: Final = re.compile(r"\d\s*\(?\"?(?:GMT|UTC|UT|Z)\b", re.IGNORECASE).search
_FARTHEST_ZONE: Final = 15 * 3600


def instant_of(raw: bytes) -> int | None:
    """Return a date header's instant in seconds since 1970 in UTC; None when it cannot be read.

    A date without a zone is UTC (RFC 5322, 4.3). A year before there was mail is an error of a clock.

    >>> instant_of(b" Fri, 05 Jul 2013 23:24:28 +0300"), instant_of(b"yesterday")
    (1373055868, None)
    """
    plain = _PLAIN_DATE(raw)
    if plain:
        day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = plain.groups()
        midnight = _midnight(day, month, year)
        if midnight is not None:
            offset = int(zone_hours) * 3600 + int(zone_minutes) * 60
            seconds = midnight + int(hour) * 3600 + int(minute) * 60 + int(second)
            return seconds + offset if sign == b"-" else seconds - offset
    return read_date(text_of(raw[:1_000]))


@lru_cache(maxsize=4096)
def _midnight(day: bytes, month: bytes, year: bytes) -> int | None:
    try:
        date = datetime(int(year), _MONTHS[month.lower()], int(day), tzinfo=UTC)
    except (KeyError, ValueError):
        return None
    return int(date.timestamp()) if date.year >= FIRST_YEAR else None


def read_date(text: str, zone: tzinfo = UTC) -> int | None:
    """Return the instant of a date in any of the forms met in mail; `zone` holds where it names none."""
    plain = _COMMENT.sub(" ", text)
    try:
        parsed = parsedate_tz(plain)
    except (ValueError, IndexError, TypeError, OverflowError):
        parsed = None
    try:
        if parsed is None:
            moment = datetime.fromisoformat(text.strip())
            return _plausible(moment if moment.tzinfo else moment.replace(tzinfo=zone))
        year, month, day, hour, minute, second = parsed[:6]
        year += 1900 if 100 <= year < 1000 else 0  # "102": years counted from 1900
        if hour <= 12 and (half := re.search(r"\d\s*([AP])M\b", plain, re.IGNORECASE)):
            hour = hour % 12 + (12 if half[1] in "pP" else 0)
        offset = _offset(parsed[9] or 0, plain, text)
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone if offset is None else UTC)
        return _plausible(moment, offset or 0)
    except (ValueError, OverflowError):
        return None


def _plausible(moment: datetime, offset: int = 0) -> int | None:
    return int(moment.timestamp()) - offset if moment.year >= FIRST_YEAR else None


def _offset(known: int, plain: str, text: str) -> int | None:
    """Return the zone's seconds east of UTC, None when the date names no zone that anybody knows."""
    numeric = _NUMERIC_ZONE(plain)
    if numeric:
        known = (int(numeric[2]) * 3600 + int(numeric[3] or 0) * 60) * (-1 if numeric[1] == "-" else 1)
        return known if abs(known) <= _FARTHEST_ZONE else 0
    if known:
        return known if abs(known) <= _FARTHEST_ZONE else 0
    hours = next((_ZONES[word] for word in _WORDS(text) if word in _ZONES), None)
    if hours is not None:
        return hours * 3600
    return 0 if _NAMED_UTC(text) else None


def received_instants(block: bytes) -> list[int]:
    """Return the instants at which servers took the message over, first server first."""
    values = reversed(_RECEIVED(b"\n" + block))
    instants = (instant_of(value.rpartition(b";")[2]) for value in values if b";" in value)
    return [instant for instant in instants if instant is not None]


# Machines and lists


def is_automated(fields: Mapping[bytes, bytes]) -> bool:
    """Return whether a machine sent the message.

    Source: RFC 3834 (Auto-Submitted), RFC 3464 and 8098 (reports), RFC 5321 (null return path).
    """
    submitted = fields.get(b"auto-submitted")
    if submitted is not None and _keyword(submitted) not in (b"", b"no"):
        return True
    content_type = fields.get(b"content-type")
    if content_type is not None and _is_report(content_type):
        return True
    path = fields.get(b"return-path", fields.get(b"x-envelope-from"))
    if path is not None and path.strip() in (b"<>", b"< >"):
        return True
    reply = fields.get(b"x-autoreply", fields.get(b"x-autorespond"))
    return reply is not None and _keyword(reply) != b"no"


def _keyword(value: bytes) -> bytes:
    return re.split(rb"[\s;(]", value.strip().lower(), maxsplit=1)[0]


def _is_report(content_type: bytes) -> bool:
    lowered = content_type.lower()
    if b"multipart/report" in lowered:
        # Complaints of receivers (feedback-report) are no delivery reports.
        return b"delivery-status" in lowered or b"disposition-notification" in lowered or b"report-type" not in lowered
    return b"message/delivery-status" in lowered


def is_bulk(fields: Mapping[bytes, bytes]) -> bool:
    """Return whether the message went to a list (List-Id, Precedence). An offer to unsubscribe alone says nothing."""
    precedence = fields.get(b"precedence")
    if precedence is not None and _keyword(precedence) in (b"bulk", b"list", b"junk"):
        return True
    return bool(fields.get(b"list-id", b"").strip())
