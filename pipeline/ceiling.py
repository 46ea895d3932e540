"""A ceiling on the share of dead letters: a bad release of a source system must not drain its topic into them."""

from __future__ import annotations

from collections import deque

from pipeline.errors import ConfigurationError


class Ceiling:
    """Watches the records of one process. `share` (0-1) is judged over at least the last `over` records."""

    def __init__(self, share: float = 0.5, over: int = 1_000) -> None:
        self._share = share
        self._over = over
        self._batches: deque[tuple[int, int]] = deque()
        self._record_count = self._letter_count = 0

    def count(self, record_count: int, letter_count: int) -> None:
        """Count a batch.

        Raises:
            ConfigurationError: when more than the share of the last records were dead letters.
        """
        self._batches.append((record_count, letter_count))
        self._record_count += record_count
        self._letter_count += letter_count
        while self._batches and self._record_count - self._batches[0][0] >= self._over:
            records, letters = self._batches.popleft()
            self._record_count -= records
            self._letter_count -= letters
        if self._record_count >= self._over and self._letter_count > self._share * self._record_count:
            raise ConfigurationError(
                f"{self._letter_count:,} of the last {self._record_count:,} records are dead letters, more than the "
                f"ceiling of {self._share:.0%}: look at them with `bypassflow dead-letters list`, mend what writes "
                "them, start again, and then `bypassflow dead-letters retry`"
            )
