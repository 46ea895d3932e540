"""Whether 95 % intervals hold what they say: simulated companies whose truth is known, measured again and again.

python -m benchmarks.coverage                     200 companies of each kind, for two seeds
python -m benchmarks.coverage --simulations 2000  nearer to the true coverage

Interactions are simulated customer by customer: customers differ in how often they talk and in how much of it is
logged, so interactions of one customer resemble each other. What is measured then are the functions that answer users.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.correction import Corrected, Judged, Population, allocate, correct
from pipeline.effect import Change, Comparison, Estimate, Group, Numbers, change_of, compare
from pipeline.estimate import wilson
from sinks.metrics.delay import curve_of

# Interactions of an ordinary customer with one group in a period.
MONTHLY = 3
# How far the customers' own shares lie from their team's, at most.
APART = 0.25
# Of the measure: what it takes off the share of its team, and what happens to all teams at the same time.
EFFECT = -0.12
# The true share of the companies whose matcher errs.
SHARE = 0.65
DRIFT = 0.03
# Where the curve of delays is looked at, and how long a trace may be logged at all.
DELAY_HOURS = (0.25, 1.0, 4.0, 24.0, 72.0)


@dataclass(frozen=True)
class Trial:
    """One interval and the truth that it should hold."""

    low: float
    value: float
    high: float
    truth: float


def measured_company(randomness: np.random.Generator, customers: int, shock: float = 0.0) -> list[tuple[str, Trial]]:
    """Return what is said of a company of which one team logs more from a date on, by a known amount.

    Half of the customers talk with that team, nine of ten with the others. `shock`: by how much, as a standard
    deviation, the team's share moves by itself at that time, which no interval over customers can know.
    """
    moved = EFFECT + DRIFT
    if shock:
        moved += shock * float(np.clip(randomness.normal(), -2, 2))
    busy = randomness.lognormal(0.0, 0.8, customers)
    leaning = randomness.uniform(-APART, APART, customers)
    # A customer whom both groups know leans the same way with both.
    measured, others = (
        _group(randomness, busy * randomness.binomial(1, known, customers), base + leaning, effect)
        for known, base, effect in ((0.5, 0.7, moved), (0.9, 0.6, DRIFT))
    )
    change, comparison = change_of(measured), compare(measured, others)
    assert isinstance(change, Change), change
    assert isinstance(comparison, Comparison), comparison
    trials = [
        (f"before/after, {customers} customers", _trial(change.change, EFFECT + DRIFT)),
        (f"difference in differences, {customers} customers", _trial(comparison.difference, EFFECT)),
    ]
    if comparison.early_difference is not None:
        trials.append((f"the same before it, {customers} customers", _trial(comparison.early_difference, 0.0)))
    return trials


def _group(randomness: np.random.Generator, busy: Numbers, share: Numbers, effect: float) -> Group:
    periods = [(0.5, 0.0), (0.5, 0.0), (1.0, effect)]
    decided = [randomness.poisson(MONTHLY * length * busy) for length, _ in periods]
    untraced = [randomness.binomial(count, share + change) for count, (_, change) in zip(decided, periods, strict=True)]
    return Group(np.column_stack(untraced).astype(float), np.column_stack(decided).astype(float), np.ones(len(busy)))


def judged_company(randomness: np.random.Generator, wrong: float, drawn_count: int) -> list[tuple[str, Trial]]:
    """Return what is said of a company whose matcher errs, by a known amount, on some customers more than on others.

    `wrong`: how often it calls the traced bypassed; half as often it calls the bypassed traced. Three of a hundred
    interactions are no customer's.
    """
    count = 2_500
    talks = 1 + randomness.poisson(6 * randomness.lognormal(0.0, 0.8, count) / np.exp(0.32))
    customer = np.repeat(np.arange(count), talks)
    leaning, errs = (randomness.uniform(-apart, apart, count)[customer] for apart in (APART, 1.0))
    is_nobody = randomness.random(len(customer)) < 0.03
    truly = randomness.random(len(customer)) < SHARE + leaning
    is_wrong = randomness.random(len(customer)) < np.where(truly, wrong / 2, wrong) * (1 + errs)
    measured = np.where(is_nobody, randomness.random(len(customer)) < 0.8, truly ^ is_wrong)
    channels = np.where(randomness.random(len(customer)) < 0.7, "call", "email")
    outcomes = np.where(measured, np.where(randomness.random(len(customer)) < 0.2, "siloed", "bypassed"), "traced")
    keys = list(zip(outcomes.tolist(), channels.tolist(), strict=True))
    strata = Counter(keys)
    sample = []
    for key, size in allocate(strata, drawn_count).items():
        (members,) = np.nonzero((outcomes == key[0]) & (channels == key[1]))
        for each in randomness.choice(members, size, replace=False).tolist():
            said = (
                "correct" if truly[each] == measured[each] else "wrong_contact" if truly[each] else "logged_elsewhere"
            )
            sample.append(Judged(str(customer[each]), key, key[0], "no_customer" if is_nobody[each] else said))
    untraced = np.bincount(customer, measured, count)
    judged = {int(each.customer) for each in sample}
    others = np.array([number not in judged for number in range(count)])
    rows, customers = np.unique(np.column_stack([untraced, talks])[others], axis=0, return_counts=True)
    own = {str(number): (int(untraced[number]), int(talks[number])) for number in judged}
    population = Population(own, rows[:, 0], rows[:, 1], customers.astype(float))
    found = correct(sample, strata, population, seed=int(randomness.integers(1 << 30)))
    assert isinstance(found, Corrected), found
    name = f"corrected share, {100 * wrong:g} % wrong, {drawn_count} judged"
    return [(name, Trial(found.corrected_share_low, found.corrected_share, found.corrected_share_high, SHARE))]


def logging_company(randomness: np.random.Generator, traces: int) -> list[tuple[str, Trial]]:
    """Return what is said of the delays of a company whose representatives log each by a habit of their own.

    Some of what somebody logs is logged at once, the rest later in the day or days after; what is not logged within 72
    hours is no trace.
    """
    representatives = 25
    part = randomness.lognormal(0.0, 0.7, representatives)
    part /= part.sum()
    at_once = randomness.uniform(0.1, 0.9, representatives)
    soon, late = randomness.uniform(0.05, 0.6, representatives), randomness.uniform(3.0, 20.0, representatives)

    def logged_by(hours: float) -> Numbers:
        whole: Numbers = at_once * -np.expm1(-hours / soon) + (1 - at_once) * -np.expm1(-hours / late)
        return whole

    who = randomness.choice(representatives, traces, p=part)
    delays = np.full(traces, np.inf)
    while (open_ones := np.flatnonzero(delays > DELAY_HOURS[-1])).size:
        of = who[open_ones]
        is_soon = randomness.random(open_ones.size) < at_once[of]
        delays[open_ones] = randomness.exponential(np.where(is_soon, soon[of], late[of]))
    minutes = Counter(np.ceil(60 * delays).astype(int).tolist())
    rows = curve_of(sorted(minutes.items()), DELAY_HOURS[:-1])
    truths = [float(part @ (logged_by(hours) / logged_by(DELAY_HOURS[-1]))) for hours in DELAY_HOURS[:-1]]
    return [
        (
            f"logged {row['hours']:g} h after, {traces} traces",
            Trial(row["logged_share_low"], row["logged_share"], row["logged_share_high"], truth),
        )
        for row, truth in zip(rows, truths, strict=True)
    ]


def _trial(estimate: Estimate, truth: float) -> Trial:
    return Trial(estimate.low, estimate.value, estimate.high, truth)


Kind = Callable[[np.random.Generator], list[tuple[str, Trial]]]
KINDS: Sequence[Kind] = (
    partial(measured_company, customers=400),
    partial(measured_company, customers=100),
    partial(judged_company, wrong=0.1, drawn_count=400),
    partial(judged_company, wrong=0.1, drawn_count=150),
    partial(judged_company, wrong=0.02, drawn_count=400),
    partial(logging_company, traces=2_000),
    partial(logging_company, traces=200),
)


def cover(simulations: int, seed: int, kinds: Sequence[Kind]) -> dict[str, list[Trial]]:
    """Return the trials of so many companies of each kind, by what is estimated."""
    found: dict[str, list[Trial]] = {}
    for number, kind in enumerate(kinds):
        for simulation in range(simulations):
            for name, trial in kind(np.random.default_rng([seed, number, simulation])):
                found.setdefault(name, []).append(trial)
    return found


def coverage(trials: Sequence[Trial]) -> float:
    """Return the share of the intervals that hold their truth, 0-1."""
    return sum(each.low <= each.truth <= each.high for each in trials) / len(trials)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the coverage; return 1 when a 95 % interval holds its truth in less than 92 % or more than 98 % of cases.

    With 200 companies chance alone does that to one true 95 % interval of twenty; with 1,000 to none.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description="Coverage of 95 % intervals.")
    parser.add_argument("--simulations", type=int, default=200, help="companies of each kind")
    parser.add_argument("--seed", type=int, action="append", help="may be repeated; default: 1 and 2")
    parser.add_argument(
        "--shock", type=float, metavar="POINTS", help="only effects, where the team moves by itself by so much too"
    )
    asked = parser.parse_args(arguments)
    kinds = KINDS if asked.shock is None else [partial(measured_company, customers=400, shock=asked.shock / 100)]
    is_fine = True
    print("| estimate | seed | coverage | its 95 % interval | mean width, points | mean error, points |")
    print("|---|---:|---:|---:|---:|---:|")
    began = time.perf_counter()
    for seed in asked.seed or [1, 2]:
        for name, trials in cover(asked.simulations, seed, kinds).items():
            held = sum(each.low <= each.truth <= each.high for each in trials)
            low, high = wilson(held, len(trials)) or (0.0, 1.0)
            width = 100 * np.mean([each.high - each.low for each in trials])
            error = 100 * np.mean([each.value - each.truth for each in trials])
            share = coverage(trials)
            is_fine &= 0.92 <= share <= 0.98
            print(
                f"| {name} | {seed} | {100 * share:.1f} % | {100 * low:.1f} – {100 * high:.1f} | {width:.1f} "
                f"| {error:+.2f} |",
                flush=True,
            )
    print(f"\n{asked.simulations} companies of each kind and seed, {time.perf_counter() - began:.0f} s")
    return 0 if is_fine else 1


if __name__ == "__main__":
    sys.exit(main())
