"""How far a share can be trusted: its interval, and its bounds while some cases are undecided."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Two-sided 95 %: the 97.5 % point of the standard normal distribution.
_Z = 1.959963984540054


@dataclass(frozen=True)
class TooLittle:
    """Nothing can be said, and why."""

    reason: str


def wilson(successes: int, trials: int) -> tuple[float, float] | None:
    """Return the 95 % Wilson interval of a share, 0-1; None without trials.

    Unlike the textbook interval it stays within 0-1 and is right for few trials and for shares near 0 or 1.

    >>> [round(end, 3) for end in wilson(5, 10)]
    [0.237, 0.763]
    >>> wilson(0, 0) is None
    True

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927), 209-212.

    Raises:
        ValueError: when successes are negative or more than the trials.
    """
    _check(successes, trials)
    if not trials:
        return None
    share = successes / trials
    weight = _Z * _Z / trials
    centre = (share + weight / 2) / (1 + weight)
    reach = math.sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
    # Rounding must not put the end on the wrong side of what was counted.
    return max(0.0, min(share, centre - reach)), min(1.0, max(share, centre + reach))


def newcombe(successes: int, trials: int, earlier_successes: int, earlier_trials: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a share minus an earlier one, of independent trials, -1 to 1; None without trials.

    >>> [round(end, 4) for end in newcombe(56, 70, 48, 80)]
    [0.0524, 0.3339]

    Source: R. G. Newcombe, Interval estimation for the difference between independent proportions, Statistics in
    Medicine 17 (1998), 873-890: method 10, from the Wilson intervals of both.

    Raises:
        ValueError: when successes are negative or more than the trials.
    """
    this, earlier = wilson(successes, trials), wilson(earlier_successes, earlier_trials)
    if this is None or earlier is None:
        return None
    share, earlier_share = successes / trials, earlier_successes / earlier_trials
    difference = share - earlier_share
    return (
        difference - math.hypot(share - this[0], earlier[1] - earlier_share),
        difference + math.hypot(this[1] - share, earlier_share - earlier[0]),
    )


def bounds(successes: int, trials: int, pending: int) -> tuple[float, float] | None:
    """Return the share if all pending cases failed, and if all succeeded; None without any case.

    >>> bounds(6, 8, 2)
    (0.6, 0.8)

    Raises:
        ValueError: when a count is negative or successes are more than the trials.
    """
    _check(successes, trials)
    if pending < 0:
        raise ValueError(f"{pending} pending cases; expected 0 or more")
    cases = trials + pending
    return (successes / cases, (successes + pending) / cases) if cases else None


def student(freedom: float) -> float:
    """Return the 97.5 % point of Student's t distribution with so many degrees of freedom, 3 or more.

    >>> [round(student(freedom), 3) for freedom in (3, 10, 1e9)]
    [3.179, 2.228, 1.96]

    Source: M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions (1964), 26.7.5; off by 0.1 % at 3.

    Raises:
        ValueError: when there are fewer than 3.
    """
    if freedom < 3:
        raise ValueError(f"{freedom} degrees of freedom; expected 3 or more")
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def _check(successes: int, trials: int) -> None:
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials; expected 0 <= successes <= trials")
