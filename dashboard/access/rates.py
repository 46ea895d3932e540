"""How often somebody may ask, and how often an address may show what is no token. Kept in memory."""

from __future__ import annotations

import math
import time
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from schemas.access import AccessSettings


class Rates:
    """Counts requests by visitor, and failures by address."""

    def __init__(self, settings: AccessSettings) -> None:
        self._windows: Final = MovingWindowRateLimiter(MemoryStorage())
        self._requests = RateLimitItemPerMinute(settings.requests_per_minute)
        self._tries = RateLimitItemPerMinute(settings.tries_per_minute)

    def wait_of(self, name: str) -> int | None:
        """Count a request of a visitor; return after how many seconds to ask again when these were too many."""
        if self._windows.hit(self._requests, "request", name):
            return None
        return self._wait(self._requests, "request", name)

    def wait_before_trying(self, address: str) -> int | None:
        """Return after how many seconds an address may try again; None when it may now."""
        if self._windows.test(self._tries, "try", address):
            return None
        return self._wait(self._tries, "try", address)

    def failed(self, address: str) -> None:
        """Count a try of an address that failed."""
        self._windows.hit(self._tries, "try", address)

    def _wait(self, limit: RateLimitItemPerMinute, *names: str) -> int:
        ends = self._windows.get_window_stats(limit, *names).reset_time
        return max(1, math.ceil(ends - time.time()))
