"""What the records of one FreeSWITCH have in common: the names of channels, and why they ended.

A name such as `sofia/internal/201@192.0.2.7:5060` says which technology and profile carried a channel, and who sits at
its end. A trunk and a telephone look alike; what tells them apart is whether the user's part is a long number.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from pipeline.errors import ConfigurationError
from pipeline.sources.call_ends import End, end_of_number

# Answered calls that another row of one file may tell of, remembered while the file is read.
MOST_LINKS: Final = 1_000_000

_SCHEME: Final = re.compile(r"^sips?:", re.IGNORECASE)
_BUSY: Final = "USER_BUSY"
# Causes that only a channel has which nobody answered.
UNANSWERED_CAUSES: Final = frozenset(
    {
        _BUSY, "NO_ANSWER", "NO_USER_RESPONSE", "CALL_REJECTED", "ORIGINATOR_CANCEL", "UNALLOCATED_NUMBER",
        "SUBSCRIBER_ABSENT", "USER_NOT_REGISTERED", "PROGRESS_TIMEOUT",
    }
)  # fmt: skip


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


def require_room(links: Collection[object], file: str) -> None:
    """Make sure that what has to be remembered of a file stays within bounds.

    Raises:
        ConfigurationError: when it does not.
    """
    if len(links) > MOST_LINKS:
        raise ConfigurationError(
            f"{file}: more than {MOST_LINKS:,} answered calls in one file; split it, at night, by day or by month"
        )
