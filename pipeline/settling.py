"""Which part of the traces of recent conversations has been logged by now, from delays that are seen in part."""

from __future__ import annotations

from collections.abc import Mapping


def arrived_shares(traces: Mapping[tuple[int, int], int], longest: int) -> list[float] | None:
    """Return for each age 0..longest which share of the traces has been logged by that age; None without any trace.

    `traces` are counts by (age, delay), both in the same whole steps of time: the age of an interaction now, rounded
    down and at most `longest`, and the delay of its trace, rounded up. Delays beyond `longest` are left out, so the
    share of the last age is 1. Shares never fall with age.

    A trace is seen only when its delay is not longer than its interaction's age, so short delays are seen too often
    among recent ones. Delays are therefore followed backwards: of the traces with a delay of at most u, at ages of at
    least u, d(u) / n(u) have the delay u itself, and the share logged by age x is the product of 1 - d(u) / n(u) over
    all u > x. Nothing is assumed of the shape of the delays, only that it is the same for all ages.

    >>> arrived_shares({(2, 0): 5, (2, 2): 5, (0, 0): 50}, 2)
    [0.5, 0.5, 1.0]

    Source: S. W. Lagakos, L. M. Barraj and V. De Gruttola, Nonparametric analysis of truncated survival data, with
    application to AIDS, Biometrika 75 (1988), 515-523: the product-limit estimate in reverse time.
    """
    of_delay = [0] * (longest + 1)
    # Who is at risk at u changes by these: a trace enters at its delay and leaves after its age.
    entering = [0] * (longest + 2)
    for (age, delay), count in traces.items():
        # Of an age and a delay in the same step only a part is seen.
        if 0 <= delay <= age <= longest:
            of_delay[delay] += count
            entering[delay] += count
            entering[age + 1] -= count
    if not any(of_delay):
        return None
    at_risk, running = [], 0
    for change in entering[: longest + 1]:
        running += change
        at_risk.append(running)
    shares = [1.0] * (longest + 1)
    for step in range(longest, 0, -1):
        hazard = of_delay[step] / at_risk[step] if at_risk[step] else 0.0
        shares[step - 1] = shares[step] * (1 - hazard)
    return shares
