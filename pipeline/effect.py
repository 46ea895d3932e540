"""What a measure changed: the bypass share before and after, beside that of teams which it did not concern.

Interactions of one customer resemble each other, so customers, and not interactions, are what chance deals out: the
variance comes from leaving out one customer at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.estimate import TooLittle, student
from pipeline.sentences import Sentence, sentence

# Below these a difference of shares says little, and its interval is not to be trusted.
LEAST_INTERACTIONS: Final = 50
LEAST_CUSTOMERS: Final = 20
# So many customers of equal size would tell as much; fewer, when a few customers make up most interactions.
LEAST_EFFECTIVE_CUSTOMERS: Final = 5.0

# The columns of counts: a group's interactions in the first and second half before the measure, and after it.
EARLY, LATE, AFTER = range(3)

Numbers = NDArray[np.float64]

# The two periods, as a reader is told of them.
BEFORE_IT: Final = sentence("before it")
AFTER_IT: Final = sentence("after it")


@dataclass(frozen=True)
class Group:
    """Interactions of a group of teams that are decided, and how many of them are untraced, by customer and period.

    Both arrays have a row per customer, the same in all groups, and the columns EARLY, LATE and AFTER. `customers` says
    for how many customers a row stands.
    """

    untraced: Numbers
    decided: Numbers
    customers: Numbers


@dataclass(frozen=True)
class Estimate:
    """A difference of shares, -1 to 1 (a difference of differences -2 to 2), with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def is_zero_possible(self) -> bool:
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Change:
    """The bypass share of a group before and after, with the counts that it is made of; shares 0-1."""

    before_untraced_count: int
    before_count: int
    before_customer_count: int
    before_share: float
    after_untraced_count: int
    after_count: int
    after_customer_count: int
    after_share: float
    change: Estimate


@dataclass(frozen=True)
class Comparison:
    """The change of the comparison teams, and how much more the measured group changed.

    `early_difference` is the same difference between the two halves before the measure, where it should be nothing;
    None when a half holds too little.
    """

    change: Change
    difference: Estimate
    early_difference: Estimate | None


def change_of(group: Group) -> Change | TooLittle:
    """Return how a group's bypass share changed from before to after.

    Source: the delete-one-customer jackknife, B. Efron and C. Stein, The jackknife estimate of variance, Annals of
    Statistics 9 (1981), 586-596; with quantiles of Student's t for the effective number of customers,
    (sum of n)² / (sum of n²) of the smaller period, less one.
    """
    cells = _periods(group)
    for period, (_, decided) in zip((BEFORE_IT, AFTER_IT), cells, strict=True):
        if reason := _shortage(decided, group.customers):
            return TooLittle(sentence("%(period)s, %(reason)s", period=period, reason=reason))
    estimate = _contrast(cells, group.customers, (-1.0, 1.0), reach=1.0)
    (untraced_before, before), (untraced_after, after) = cells
    sums = [int(group.customers @ column) for column in (untraced_before, before, untraced_after, after)]
    talked = [int(group.customers[column > 0].sum()) for column in (before, after)]
    return Change(
        sums[0], sums[1], talked[0], sums[0] / sums[1], sums[2], sums[3], talked[1], sums[2] / sums[3], estimate
    )


def compare(measured: Group, others: Group) -> Comparison | TooLittle:
    """Return the difference in differences: how much more the measured group changed than the other teams.

    The rows of both groups are the same customers: one who talks with both groups counts in both, and as one.

    Source: O. Ashenfelter and D. Card, Using the longitudinal structure of earnings to estimate the effect of training
    programs, Review of Economics and Statistics 67 (1985), 648-660; its interval as in `change_of`.
    """
    change = change_of(others)
    if isinstance(change, TooLittle):
        return change
    customers = measured.customers
    signs = (-1.0, 1.0, 1.0, -1.0)
    difference = _contrast([*_periods(measured), *_periods(others)], customers, signs, reach=2.0)
    halves = [_column(group, period) for group in (measured, others) for period in (EARLY, LATE)]
    has_enough = not any(_shortage(decided, customers) for _, decided in halves)
    early = _contrast(halves, customers, signs, reach=2.0) if has_enough else None
    return Comparison(change, difference, early)


# -- inside ------------------------------------------------------------------------------------------------------------

Cell = tuple[Numbers, Numbers]


def _column(group: Group, period: int) -> Cell:
    return group.untraced[:, period], group.decided[:, period]


def _periods(group: Group) -> list[Cell]:
    """Return untraced and decided by customer, before and after."""
    before = group.untraced[:, [EARLY, LATE]].sum(axis=1), group.decided[:, [EARLY, LATE]].sum(axis=1)
    return [before, _column(group, AFTER)]


def _shortage(decided: Numbers, customers: Numbers) -> Sentence | None:
    """Return what is missing for an interval; None when nothing is."""
    count, talked = int(customers @ decided), int(customers[decided > 0].sum())
    if count < LEAST_INTERACTIONS or talked < LEAST_CUSTOMERS:
        return sentence(
            "%(count)s decided interactions of %(customers)s customers are too few; at least %(least)s of "
            "%(least_customers)s are needed",
            count=count, customers=talked, least=LEAST_INTERACTIONS, least_customers=LEAST_CUSTOMERS,
        )  # fmt: skip
    if _effective(decided, customers) < LEAST_EFFECTIVE_CUSTOMERS:
        return sentence(
            "a few of the %(customers)s customers make up nearly all of the %(count)s decided interactions",
            customers=talked,
            count=count,
        )
    return None


def _effective(decided: Numbers, customers: Numbers) -> float:
    return float((customers @ decided) ** 2 / (customers @ decided**2))


def _contrast(cells: Sequence[Cell], customers: Numbers, signs: Sequence[float], reach: float) -> Estimate:
    """Return the sum of the cells' shares with their signs, and its interval, which cannot exceed `reach`."""
    untraced, decided = (np.column_stack([cell[part] for cell in cells]) for part in (0, 1))
    weights = np.asarray(signs)
    all_untraced, all_decided = customers @ untraced, customers @ decided
    shares = all_untraced / all_decided
    value = float(weights @ shares)
    without_one = ((all_untraced - untraced) / (all_decided - decided)) @ weights
    count = customers[decided.sum(axis=1) > 0].sum()
    variance = float((count - 1) / count * (customers @ (without_one - value) ** 2))
    effective = np.array([_effective(column, customers) for column in decided.T])
    for share, size in zip(shares, effective, strict=True):
        if share in (0.0, 1.0):
            # All alike shows no variance, which does not mean that there is none: count one more of each kind.
            # Source: A. Agresti and B. Caffo, American Statistician 54 (2000), 280-288.
            smoothed = 1 / (size + 2)
            variance += smoothed * (1 - smoothed) / (size + 2)
    half = student(float(effective.min()) - 1) * float(np.sqrt(variance))
    return Estimate(value, max(-reach, value - half), min(reach, value + half))
