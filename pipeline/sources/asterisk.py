"""What the logs of one Asterisk have in common: channel names, dial strings, identities of calls.

Who took part is told by channels and never by numbers: a blind transfer rewrites the dialled number, and
extensions may present the company's main number.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

_WRAPPED: Final = re.compile(r"^(?:AsyncGoto|Transfered|Parked|Masq|Bridge|Surrogate)/(?=[^/]+/)")
# Technologies whose channels are the switchboard's own plumbing: nobody sits at the other end.
_PLUMBING: Final = frozenset(
    """
    local announcer recorder cbann cbrec confbridgerecorder multicastrtp unicastrtp audiosocket snoop message
    playback
    """.split()  # noqa: SIM905
)
_LONG: Final = re.compile(r"\+.*|[0-9]{7,}").fullmatch
_SHORT: Final = re.compile(r"[0-9]{1,6}").fullmatch
_DIALLED: Final = re.compile(r"(?:^|[/:&,@])(\+?[0-9]{7,20})(?=[@,&/^;]|$)")
_UNIQUE_ID: Final = re.compile(r"^(?:\S*-)?([0-9]{9,10})\.[0-9]+$")

_INBOUND_CONTEXT: Final = re.compile(
    r"(?:from|ext|in)[-_]?(?:trunk|pstn|did|sip-external|external|zaptel|dahdi|analog|outside)|inbound|incoming", re.I
)
_OUTBOUND_CONTEXT: Final = re.compile(r"from[-_]?(?:internal|inside|local)|internal|outbound|outgoing", re.I)


class Party(NamedTuple):
    """Who sits at one end of a channel.

    `endpoint` is the device as the switchboard names it, null for plumbing and for numbers; `is_device` when it is a
    short number of ours; `extension` is the number behind a Local channel.
    """

    endpoint: str | None
    is_device: bool
    is_real: bool
    extension: str | None


NOBODY: Final = Party(None, False, False, None)


def party(channel: str) -> Party:
    """Return who sits at a channel.

    >>> party("PJSIP/201-0000001a").endpoint, party("PJSIP/trunk-2-0000001b").endpoint, party("").is_real
    ('201', 'trunk-2', False)
    """
    return interface_party(channel.rpartition("-")[0] or channel)


@lru_cache(maxsize=65_536)
def interface_party(interface: str) -> Party:
    """Return who sits at an interface: a channel's name up to the last hyphen, behind which it is told from others.

    A trunk whose peer is named by one to six digits cannot be told from a device.
    """
    if not interface:
        return NOBODY
    technology, slash, rest = _WRAPPED.sub("", interface).partition("/")
    if not slash:
        return Party(None, False, True, None)
    if technology.lower() in _PLUMBING:
        number = rest.partition("@")[0] if technology.lower() == "local" else ""
        return Party(None, False, False, short_number(number))
    peer = rest.partition("/")[0]
    endpoint = None if not peer or _LONG(peer) else peer
    return Party(endpoint, endpoint is not None and _SHORT(endpoint) is not None, True, None)


def short_number(text: str) -> str | None:
    """Return the text when it is a number within the switchboard (one to six digits), else None."""
    return text if _SHORT(text) else None


def named_endpoint(name: str) -> str | None:
    """Return the name of a queue or member as an endpoint; a number of a customer's length is none."""
    name = name.strip()
    return None if not name or _LONG(name) else name


@lru_cache(maxsize=65_536)
def dialled_number(dial_string: str) -> str | None:
    """Return the first telephone number in the arguments of Dial.

    >>> dialled_number("PJSIP/trunk/sip:0405551234@192.0.2.1:5060,20"), dialled_number("PJSIP/201&PJSIP/202,20")
    ('0405551234', None)
    """
    found = _DIALLED.search(dial_string)
    return found[1] if found else None


def same_tail(one: str, other: str) -> bool:
    """Return whether two numbers differ in prefixes alone."""
    return one[-6:] == other[-6:]


@lru_cache(maxsize=4096)
def direction_of_context(context: str) -> str | None:
    """Return what the name of a dialplan context says by convention: inbound, outbound or nothing.

    >>> direction_of_context("from-trunk"), direction_of_context("from-internal"), direction_of_context("ivr-2")
    ('inbound', 'outbound', None)
    """
    if _INBOUND_CONTEXT.match(context):
        return "inbound"
    return "outbound" if _OUTBOUND_CONTEXT.match(context) else None


def epoch_of(unique_id: str) -> datetime | None:
    """Return when a channel was made (UTC, naive): its unique id says so; None when it is no unique id.

    >>> epoch_of("pbx1-1767225600.17")
    datetime.datetime(2026, 1, 1, 0, 0)
    """
    found = _UNIQUE_ID.match(unique_id)
    return datetime.fromtimestamp(int(found[1]), UTC).replace(tzinfo=None) if found else None


def offset_name(offset: timedelta) -> str:
    """Return an offset from UTC in words and as a zone that settings accept.

    >>> offset_name(timedelta(hours=5)), offset_name(timedelta(0))
    ('UTC+05:00 ("Etc/GMT-5")', 'UTC')
    """
    minutes = round(offset.total_seconds() / 60)
    if minutes == 0:
        return "UTC"
    sign = "+" if minutes > 0 else "-"
    text = f"UTC{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    # The names in Etc/ count the other way round.
    return f'{text} ("Etc/GMT{"-" if minutes > 0 else "+"}{abs(minutes) // 60}")' if minutes % 60 == 0 else text
