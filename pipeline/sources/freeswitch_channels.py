"""What the records of one FreeSWITCH have in common: names of channels, numbers, causes, instants.

A name such as `sofia/internal/201@192.0.2.7:5060` says which technology and profile carried a channel, and who sits at
its end. A trunk and a telephone look alike; what tells them apart is whether the user's part is a long number.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.parties import is_long_number
from pipeline.sources.written_values import InstantReader

# Answered calls that another row of one file may tell of, remembered while the file is read.
MOST_LINKS: Final = 1_000_000

_SHORT: Final = re.compile(r"\d{1,6}").fullmatch
_SCHEME: Final = re.compile(r"^sips?:", re.IGNORECASE)
_BUSY: Final = "USER_BUSY"
# Causes that only a channel has which nobody answered.
UNANSWERED_CAUSES: Final = frozenset(
    {
        _BUSY, "NO_ANSWER", "NO_USER_RESPONSE", "CALL_REJECTED", "ORIGINATOR_CANCEL", "UNALLOCATED_NUMBER",
        "SUBSCRIBER_ABSENT", "USER_NOT_REGISTERED", "PROGRESS_TIMEOUT",
    }
)  # fmt: skip


class End(NamedTuple):
    """Who sits at the end of a channel: a device of ours by name, or anybody by number, or a machine."""

    device: str | None = None
    number: str | None = None
    is_machine: bool = False


def end_of_number(text: str | None) -> End:
    """Return who a number in a record stands for: a short one is a device of ours. A word may be a customer's name.

    >>> end_of_number("201"), end_of_number("0401234567").device, end_of_number("maija")
    (End(device='201', number='201', is_machine=False), None, End(device=None, number=None, is_machine=False))
    """
    text = (text or "").strip()
    if _SHORT(text):
        return End(device=text, number=text)
    return End(number=text) if is_long_number(text) or text[:1] == "*" else End()


def end_of_channel(name: str, dialled_user: str | None = None) -> End:
    """Return who sits at a channel that was rung. `dialled_user`: the one of ours whom the dialplan rang last, if any.

    >>> end_of_channel("sofia/internal/sip:201@192.0.2.7:5060").device, end_of_channel("sofia/gateway/op/0401234567")
    ('201', End(device=None, number='0401234567', is_machine=False))
    """
    technology, _, rest = name.strip().partition("/")
    if technology.casefold() == "loopback":
        target = rest.rpartition("-")[0] or rest
        return End(is_machine=True) if target.startswith("app=") else end_of_number(target.partition("/")[0])
    user, _, host = _SCHEME.sub("", rest.rpartition("/")[2]).partition("@")
    user = user if host else user.partition(":")[0]
    # What browsers call themselves (RFC 7118) says nothing.
    is_browser = host.partition(";")[0].partition(":")[0].casefold().endswith(".invalid")
    if dialled_user and (is_browser or end_of_number(user) == End()):
        name_of_ours = dialled_user if is_browser else user
        return End(device=name_of_ours, number=end_of_number(name_of_ours).number)
    return end_of_number(user)


def is_plumbing(channel_name: str) -> bool:
    """Return whether a channel is the switch's own, with nobody at its end."""
    return channel_name.casefold().startswith("loopback/")


def rang_in_vain(cause: str | None) -> str:
    """Return the status of a channel that nobody answered."""
    return "busy" if cause == _BUSY else "unanswered"


def direction_between(caller: End, called: End) -> str | None:
    """Return the company's view of a call between two ends, as far as their names tell."""
    if caller.device and called.device:
        return "internal"
    if caller.device:
        return "outbound"
    return "inbound" if called.device else None


def epoch(field: str, text: object, per_second: int = 1) -> datetime | None:
    """Return the instant that is so many parts of a second after 1970; None for an empty field and for 0: never.

    Raises:
        InvalidRecord: when it is no such number, or stands for no year of people who telephone.
    """
    written = str(text if text is not None else "").strip()
    if not written:
        return None
    try:
        seconds = int(written) / per_second
        instant = datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (ValueError, OverflowError, OSError):
        raise InvalidRecord(f"{field}: expected the seconds since 1970") from None
    return instant


def stamp(field: str, text: object, reader: InstantReader) -> datetime | None:
    """Return the instant that a stamp says, in the switch's local time unless it names an offset; None when empty.

    Raises:
        InvalidRecord: when it cannot be read, or has no time of day.
    """
    written = str(text if text is not None else "").strip()
    if not written:
        return None
    try:
        found: datetime | date = reader.read(written)
    except InvalidRecord as error:
        raise InvalidRecord(f"{field}: {error}") from None
    if not isinstance(found, datetime):
        raise InvalidRecord(f"{field}: expected a date and time of day")
    return found


def seconds(field: str, text: object) -> float:
    """Return a length of time in seconds; an empty field is none.

    Raises:
        InvalidRecord: when it is no number, or less than none.
    """
    written = str(text if text is not None else "").strip()
    try:
        length = float(written or 0)
    except ValueError:
        raise InvalidRecord(f"{field}: expected seconds") from None
    if not 0 <= length < float("inf"):
        raise InvalidRecord(f"{field}: expected seconds, 0 or more")
    return length


def require_room(links: Collection[object], file: str) -> None:
    """Make sure that what has to be remembered of a file stays within bounds.

    Raises:
        ConfigurationError: when it does not.
    """
    if len(links) > MOST_LINKS:
        raise ConfigurationError(
            f"{file}: more than {MOST_LINKS:,} answered calls in one file; split it, at night, by day or by month"
        )
