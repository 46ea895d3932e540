"""How long to wait before a server that failed is tried again."""

from __future__ import annotations

import random
from typing import Final

_SHORTEST: Final = 1.0
_LONGEST: Final = 300.0


class Backoff:
    """Waits that double while nothing succeeds, each shortened by chance, so that not all come at once."""

    def __init__(self, shortest: float = _SHORTEST, longest: float = _LONGEST) -> None:
        """Units: seconds."""
        self._shortest, self._longest = shortest, longest
        self._next = shortest

    def fail(self) -> float:
        """Return how many seconds to wait now.

        >>> backoff = Backoff(1, 4)
        >>> waits = [backoff.fail() for _ in range(4)]
        >>> all(wait <= most < wait * 1.4 for wait, most in zip(waits, (1, 2, 4, 4)))
        True
        """
        pause, self._next = self._next, min(self._next * 2, self._longest)
        return pause * random.uniform(0.75, 1)

    def succeed(self) -> None:
        """Begin with the shortest wait next time."""
        self._next = self._shortest
