"""The bypass share corrected for the matcher's own errors, as people who judged a sample found them.

The matcher calls some interactions bypassed that are traced, and the other way round. A sample tells how often; the
share is then what it must have been before these errors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.estimate import TooLittle

# Of each kind, bypassed (with siloed) and traced, as measured; fewer leave the errors unknown.
LEAST_JUDGED: Final = 50
LEAST_CUSTOMERS: Final = 30
# Below this the labels hardly tell bypassed from traced, and dividing by it gives anything.
LEAST_DIFFERENCE: Final = 0.1
# Strata with fewer judged are looked at together.
LEAST_OF_STRATUM: Final = 5
# From each stratum at least so many are drawn, or all of it.
LEAST_DRAWN: Final = 10

REPLICATES: Final = 4_000
_CHUNK: Final = 250
_OUTCOMES: Final = ("traced", "siloed", "bypassed")

UNTRACED, TRACED, NOBODY = range(3)

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """One interaction that was drawn and judged: what was measured, what the judge said, and with whom it was.

    `drawn_as` is the outcome and channel as it was drawn; `outcome` as it is measured now.
    """

    customer: str
    drawn_as: tuple[str, str]
    outcome: str
    verdict: str


@dataclass(frozen=True)
class Population:
    """Interactions that are decided, and untraced ones among them, by customer: those who were judged by name.

    Of the others, rows with the same counts are one, and `customers` says of how many customers.
    """

    judged: Mapping[str, tuple[int, int]]
    untraced: Numbers
    decided: Numbers
    customers: Numbers


@dataclass(frozen=True)
class Corrected:
    """The corrected share with its 95 % interval, and what it was made of. Shares are 0-1.

    `measured_share` is m, `found_share` r and `false_share` f of `correct`. `customer_share` is the share of the
    decided interactions that truly were with a customer.
    """

    corrected_share: float
    corrected_share_low: float
    corrected_share_high: float
    measured_share: float
    found_share: float
    false_share: float
    customer_share: float
    judged_count: int
    judged_customer_count: int


def truth_of(outcome: str, verdict: str) -> int:
    """Return what an interaction truly is by a verdict on its measured outcome: UNTRACED, TRACED or NOBODY.

    A trace on the wrong customer is none, see docs/explanation/measure.md.
    """
    if verdict == "no_customer":
        return NOBODY
    if verdict == "correct":
        return TRACED if outcome == "traced" else UNTRACED
    return TRACED if verdict == "logged_elsewhere" else UNTRACED


def allocate(strata: Mapping[tuple[str, str], int], size: int) -> dict[tuple[str, str], int]:
    """Return how many to draw of each stratum: half of the traced ones, half of the others, and some of each.

    Within a half in proportion, but at least LEAST_DRAWN of a stratum where it has so many and the size allows it.

    >>> allocate({("traced", "call"): 900, ("bypassed", "call"): 300, ("bypassed", "fax"): 4}, 100)
    {('traced', 'call'): 50, ('bypassed', 'call'): 49, ('bypassed', 'fax'): 4}
    """
    drawn = {}
    for is_traced in (True, False):
        half = {key: count for key, count in strata.items() if (key[0] == "traced") is is_traced and count}
        total = sum(half.values())
        least = min(LEAST_DRAWN, size // 2 // max(1, len(half)))
        for key, count in half.items():
            drawn[key] = min(count, max(1, least, round(size / 2 * count / total)))
    return drawn


def correct(
    sample: Sequence[Judged], strata: Mapping[tuple[str, str], int], population: Population, seed: int = 1
) -> Corrected | TooLittle:
    """Return the share corrected for the errors that the sample shows.

    `strata`: how many interactions each outcome and channel had when the sample was drawn. The same seed gives the
    same interval.

    The share is (m - f) / (r - f): m is the measured share, r the share of the truly untraced that is measured as
    untraced, f that of the truly traced. Interactions that were no customer's are taken out of m. Each label counts
    for as many interactions as its stratum has per label.

    Source: W. J. Rogan and B. Gladen, Estimating prevalence from the results of a screening test, American Journal of
    Epidemiology 107 (1978), 71-76. The interval: D. B. Rubin, The Bayesian bootstrap, Annals of Statistics 9 (1981),
    130-134, over customers, with Jeffreys' half a label of each kind, so that errors that no label shows stay possible.
    """
    if reason := _shortage(sample):
        return TooLittle(reason)
    names = sorted({each.customer for each in sample})
    place = {name: number for number, name in enumerate(names)}
    customer = np.array([place[each.customer] for each in sample])
    groups, sizes = _strata(sample, strata)
    measured = np.array([TRACED if each.outcome == "traced" else UNTRACED for each in sample])
    kinds = measured * 3 + np.array([truth_of(each.outcome, each.verdict) for each in sample])
    labels = np.zeros((len(names), 6 * len(sizes)))
    np.add.at(labels, (customer, 6 * groups + kinds), 1)
    design = _Design(labels, sizes)
    own = np.array([population.judged.get(name, (0, 0)) for name in names], dtype=float)
    untraced = own[:, 0].sum() + population.customers @ population.untraced
    decided = own[:, 1].sum() + population.customers @ population.decided
    if not decided:
        return TooLittle("no interaction of this time is decided")
    masses = design.masses(np.ones((1, len(names))))
    share, found, false, customers = _shares(untraced / decided, masses)
    randomness = np.random.default_rng(seed)
    shares, differences = [], []
    for _ in range(REPLICATES // _CHUNK):
        weights = randomness.standard_exponential((_CHUNK, len(names)))
        others = randomness.standard_gamma(population.customers, (_CHUNK, len(population.customers)))
        drawn_untraced = weights @ own[:, 0] + others @ population.untraced
        drawn_decided = weights @ own[:, 1] + others @ population.decided
        drawn = design.masses(weights) + design.halves(randomness)
        again, drawn_found, drawn_false, _ = _shares(drawn_untraced / drawn_decided, drawn)
        shares.append(again)
        differences.append(drawn_found - drawn_false)
    if np.quantile(np.concatenate(differences), 0.025) < LEAST_DIFFERENCE:
        return TooLittle(
            "by these labels what is measured as bypassed is hardly more often truly bypassed than what is measured "
            f"as traced; {len(sample):,} labels cannot tell how much is; check them, or judge more"
        )
    low, high = np.quantile(np.concatenate(shares), (0.025, 0.975))
    return Corrected(
        corrected_share=float(share[0]),
        corrected_share_low=min(float(low), float(share[0])),
        corrected_share_high=max(float(high), float(share[0])),
        measured_share=float(untraced / decided),
        found_share=float(found[0]),
        false_share=float(false[0]),
        customer_share=float(customers[0]),
        judged_count=len(sample),
        judged_customer_count=len(names),
    )


# -- inside ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Design:
    """How many labels each customer has in each stratum and of each kind (measured and true), and the strata's sizes.

    `labels` has a row per customer and a column per stratum and kind.
    """

    labels: Numbers
    sizes: Numbers

    def masses(self, weights: Numbers) -> Numbers:
        """Return how many interactions each kind stands for, one row per row of customers' weights."""
        by_stratum = (weights @ self.labels).reshape(len(weights), len(self.sizes), 6)
        each = self.sizes / by_stratum.sum(axis=2)
        found: Numbers = (by_stratum * each[:, :, None]).sum(axis=1)
        return found

    def halves(self, randomness: np.random.Generator) -> Numbers:
        """Return the mass of half a label more of each kind but the customers that are none, as chance weighs it."""
        counts = self.labels.reshape(len(self.labels), len(self.sizes), 6).sum(axis=(0, 1))
        whole = self.masses(np.ones((1, len(self.labels))))[0]
        drawn = randomness.standard_gamma(0.5, (_CHUNK, 6))
        drawn[:, [NOBODY, 3 + NOBODY]] = 0
        for begin in (0, 3):
            drawn[:, begin : begin + 3] *= whole[begin : begin + 3].sum() / counts[begin : begin + 3].sum()
        return drawn


def _shares(measured: Numbers | float, masses: Numbers) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Return the corrected share, r, f, and the share that is customers', one of each per row."""
    as_untraced, as_traced = masses[:, :3], masses[:, 3:]
    found, false = (
        as_untraced[:, truth] / np.maximum(as_untraced[:, truth] + as_traced[:, truth], 1e-300)
        for truth in (UNTRACED, TRACED)
    )
    customers = [1 - kind[:, NOBODY] / kind.sum(axis=1) for kind in (as_untraced, as_traced)]
    together = measured * customers[0] + (1 - measured) * customers[1]
    of_customers = measured * customers[0] / np.maximum(together, 1e-300)
    difference = np.maximum(found - false, 1e-9)
    return np.clip((of_customers - false) / difference, 0.0, 1.0), found, false, together


def _shortage(sample: Sequence[Judged]) -> str:
    for name, is_traced in (("bypassed or siloed", False), ("traced", True)):
        fitting = [each for each in sample if (each.outcome == "traced") is is_traced]
        customers = len({each.customer for each in fitting})
        if len(fitting) < LEAST_JUDGED or customers < LEAST_CUSTOMERS:
            return (
                f"{len(fitting):,} interactions of {customers:,} customers that are measured as {name} were drawn and "
                f"judged; at least {LEAST_JUDGED} of {LEAST_CUSTOMERS} customers are needed"
            )
        if all(each.verdict == "no_customer" for each in fitting):
            return f"no interaction that is measured as {name} was a customer's"
    return ""


def _strata(sample: Sequence[Judged], strata: Mapping[tuple[str, str], int]) -> tuple[NDArray[np.int64], Numbers]:
    """Return the stratum of each label, and how many interactions each stratum has; small ones are put together."""
    judged = Counter(each.drawn_as for each in sample)
    by_outcome = Counter(each.drawn_as[0] for each in sample if judged[each.drawn_as] < LEAST_OF_STRATUM)

    def pool(key: tuple[str, str]) -> tuple[str, str]:
        if judged[key] >= LEAST_OF_STRATUM:
            return key
        if by_outcome[key[0]] >= LEAST_OF_STRATUM:
            return key[0], ""
        # The largest stratum of the same kind takes in what is too small to stand alone.
        alike = [each for each in judged if (each[0] == "traced") is (key[0] == "traced")]
        return max(alike, key=lambda each: (judged[each], each)) if alike else key

    sizes: Counter[tuple[str, str]] = Counter()
    for key, count in strata.items():
        sizes[pool(key)] += count
    keys = sorted({pool(each.drawn_as) for each in sample})
    number = {key: at for at, key in enumerate(keys)}
    return (
        np.array([number[pool(each.drawn_as)] for each in sample]),
        np.array([sizes[key] for key in keys], dtype=float),
    )
