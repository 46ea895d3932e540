"""What exports of single mailboxes share: whose mailbox it is, and headers as lists of names and values.

Which headers tell a machine's or a list's message is said in `message_headers` alone: a list of headers is put back
into the form that stands in a message, and read there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Final

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.message_headers import FIRST_YEAR, addresses_of, header_fields
from pipeline.sources.registry import ReadContext

# As long as the contract of an email allows. What is cut off could tell apart only copies without a Message-ID.
LONGEST_SUBJECT: Final = 1_000
_SUFFIXES: Final = frozenset({".json", ".jsonl", ".ndjson", ".txt", ".mbox", ".mbx", ".eml", ".gz", ".zst"})
_FUTURE: Final = timedelta(days=1)
_X500: Final = re.compile(r"(?:^|(?<=[<\"'\s]))/o=[^<>\"]*", re.IGNORECASE).search
_LAST_NAME: Final = re.compile(r"/cn=([^/]*)$", re.IGNORECASE).search
_NOT_IN_ADDRESS: Final = re.compile(r"[^a-z0-9-]")


@dataclass(frozen=True)
class Mailbox:
    """Whose copies a file holds. `name` tells them from copies elsewhere; `address` is null where nothing tells it."""

    name: str
    address: str | None

    def delivered_to(self, sender: str) -> list[str]:
        """Return the mailbox as a recipient of what others sent: blind copies and members of a list stand nowhere else.

        `sender` is an address, or empty.
        """
        is_sent = self.address is not None and self.address in addresses_of(sender.encode("utf-8", "replace"))
        return [] if self.address is None or is_sent else [self.address]


def mailbox_of(context: ReadContext) -> Mailbox:
    """Return the mailbox by the option `mailbox`, by the last part of the path that is an address, or by the file.

    Raises:
        ConfigurationError: when the option is no address.
    """
    given = context.options.get("mailbox")
    if given is not None:
        found = addresses_of(given.encode()) if isinstance(given, str) else ()
        if len(found) != 1:
            raise ConfigurationError(f"{context.file}: options.mailbox is {given!r}; expected one address")
        return Mailbox(found[0], found[0])
    for part in reversed(context.file.split("/")):
        name = _without_suffixes(part).lower()
        if addresses_of(name.encode()) == (name,):
            return Mailbox(name, name)
    return Mailbox(context.file, None)


def internal_sender(written: str, mailbox: Mailbox) -> str | None:
    """Return an address that stands for a sender by an X.500 name, or None when there is no such name.

    Inside an Exchange organisation people may stand by such names, which are no addresses. They are of the mailbox's
    own organisation: an address of the mailbox's domain stands for them, as Exchange itself writes X.500 names where
    an address is needed (IMCEAEX), so that nobody outside is taken for the sender.

    Raises:
        InvalidRecord: when there is one, and nobody knows whose organisation it is of.
    """
    found = _X500(written)
    if found is None:
        return None
    if mailbox.address is None:
        raise InvalidRecord(
            "from: an X.500 name of somebody in the mailbox's own organisation, and nothing says whose mailbox it is; "
            'name the file after it, or give options = { mailbox = "..." }'
        )
    last = _LAST_NAME(found[0])
    name = _NOT_IN_ADDRESS.sub("", (last[1] if last else found[0]).lower())
    return f"imceaex-{name[:50]}@{mailbox.address.rpartition('@')[2]}"


def listed_fields(headers: Iterable[Any]) -> dict[bytes, bytes]:
    """Return what `header_fields` does, of headers as APIs list them: objects with name and value, in any order."""
    lines = []
    for header in headers:
        if isinstance(header, Mapping):
            name, value = header.get("name"), header.get("value")
            if isinstance(name, str) and isinstance(value, str):
                lines.append(f"{name.strip()}: {' '.join(value.splitlines())}")
    return header_fields("\n".join(lines).encode("utf-8", "replace"))


def plausible_instant(found: Iterable[datetime], context: ReadContext) -> datetime | None:
    """Return the first instant that can be a message's. A clock that is wrong by years, or ahead, tells nothing.

    Of instants that lie all in the future the first is returned: whoever reads it on says so.
    """
    read_at = context.read_at if context.read_at.tzinfo else context.read_at.replace(tzinfo=UTC)
    later = None
    for moment in found:
        if moment.year < FIRST_YEAR:
            continue
        if moment <= read_at + _FUTURE:
            return moment
        later = later or moment
    return later


def _without_suffixes(name: str) -> str:
    path = PurePosixPath(name)
    while path.suffix.lower() in _SUFFIXES:
        path = path.with_suffix("")
    return path.name
