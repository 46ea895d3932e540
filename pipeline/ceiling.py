"""A ceiling on the share of dead letters: a bad release, or a sender's, must not drain a topic into them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from pipeline.intake import DeadEvent, Intaken

DEFAULT_SHARE: Final = 0.5
DEFAULT_RECORDS: Final = 1_000


class Ceiling:
    """Watches the last records of one worker; remembers no more than counts and reasons of some batches.

    Records that a parser of files had refused before they were published are none of intake's and do not count.
    """

    def __init__(self, most_share: float = DEFAULT_SHARE, records: int = DEFAULT_RECORDS) -> None:
        """`most_share` 0-1 is still fine; nothing is said before so many `records` have been seen."""
        self._most_share = most_share
        self._records = records
        self._batches: deque[tuple[int, Counter[str]]] = deque()

    def problem(self, intaken: Intaken) -> str | None:
        """Return why to stop, now that this batch was taken too, or None. A sentence without values of records."""
        refused = Counter(event.letter.reason for event in _news(intaken.letters))
        known_count = len(intaken.letters) - refused.total()
        self._batches.append((intaken.record_count - known_count, refused))
        count = sum(records for records, _ in self._batches)
        while count - self._batches[0][0] >= self._records:
            count -= self._batches.popleft()[0]
        reasons: Counter[str] = sum((reasons for _, reasons in self._batches), Counter())
        if count < self._records or reasons.total() <= self._most_share * count:
            return None
        (reason, times), *_ = reasons.most_common(1)
        return (
            f"{reasons.total():,} of the last {count:,} records cannot be used, more than {self._most_share:.0%}; "
            f"{times:,} of them: {reason}. Nothing of this batch was sent on; mend the sender or the settings, then "
            "start again"
        )


def _news(letters: Sequence[DeadEvent]) -> Sequence[DeadEvent]:
    return [event for event in letters if not event.was_refused_before]
