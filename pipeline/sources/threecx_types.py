"""Kinds of what takes part in a call of 3CX, as its records word them: without their case and underscores."""

from __future__ import annotations

from typing import Final

VOICEMAILS: Final = frozenset({"voicemail", "vmail", "vmailconsole", "specialmenu"})
MACHINES: Final = frozenset(
    {
        "queue", "ivr", "endcall", "script", "fax", "echotest", "callbacktest", "servicecall", "inboundrouting",
        "conference", "confplace", "parkingorbit", "sharedparking", "routepoint",
    }
)  # fmt: skip
OUTSIDE: Final = frozenset({"line", "externalline", "provider", "outboundrule"})
EXTENSION: Final = "extension"
OTHERS: Final = frozenset(
    {
        EXTENSION, "ringgroup", "ringgrouphunt", "ringgroupringall", "paginggroup", "bridge", "group", "unknown",
        "default",
    }
)  # fmt: skip
KNOWN: Final = VOICEMAILS | MACHINES | OUTSIDE | OTHERS


def type_of(text: object) -> str:
    """Return a kind in the form in which kinds are compared.

    >>> type_of("External_Line")
    'externalline'
    """
    return str(text or "").strip().casefold().replace("_", "").replace(" ", "")
