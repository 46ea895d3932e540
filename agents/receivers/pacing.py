"""How often each sender may ask."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Final

# Whoever was not heard of for longest is forgotten, and may begin anew.
_MOST_SENDERS: Final = 10_000
_BURST_SECONDS: Final = 2


class Pace:
    """A bucket for each sender: it holds what may be asked at once, and fills as time passes."""

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        """`clock` in seconds, rising."""
        self._per_second = per_second
        self._size = max(1.0, per_second * _BURST_SECONDS)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, sender: str) -> int:
        """Return 0 when a sender may ask now, else in how many seconds it may."""
        now = self._clock()
        left, since = self._left.pop(sender, (self._size, now))
        left = min(self._size, left + (now - since) * self._per_second)
        may_ask = left >= 1
        self._left[sender] = (left - 1 if may_ask else left, now)
        if len(self._left) > _MOST_SENDERS:
            self._left.popitem(last=False)
        return 0 if may_ask else max(1, math.ceil((1 - left) / self._per_second))


def sender_of(address: str) -> str:
    """Return by what a sender is known: its address, or of IPv6 the network that one customer of a provider has.

    A port that a proxy wrote behind it is left out.

    >>> sender_of("192.0.2.7"), sender_of("2001:db8:0:1:2::3"), sender_of("nobody")
    ('192.0.2.7', '2001:db8:0:1::', 'nobody')
    >>> sender_of("192.0.2.7:4711"), sender_of("[2001:db8::7]:4711")
    ('192.0.2.7', '2001:db8::')
    """
    text = address.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return address[:100]
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(IPv6Address(int(found) >> 64 << 64))
    return str(found)
