"""The share is corrected for the errors that a judged sample shows, and only when there is enough of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.correction import (
    LEAST_DRAWN,
    NOBODY,
    TRACED,
    UNTRACED,
    Corrected,
    Judged,
    Population,
    allocate,
    correct,
    truth_of,
)
from pipeline.estimate import TooLittle
from schemas.annotations import VERDICTS

STRATA = {("traced", "call"): 400, ("bypassed", "call"): 600}


def judged(
    outcome: str, verdicts: Sequence[tuple[str, int]], channel: str = "call", customers: int = 1_000
) -> list[Judged]:
    """Return so many labels of each verdict, each of another customer until there are no more."""
    numbers = count()
    return [
        Judged(f"{outcome}{channel}{next(numbers) % customers}", (outcome, channel), outcome, verdict)
        for verdict, times in verdicts
        for _ in range(times)
    ]


def population(untraced: int = 600, decided: int = 1_000) -> Population:
    """Return customers of one interaction each."""
    counts = np.array([untraced, decided - untraced], dtype=float)
    return Population({}, np.array([1.0, 0.0]), np.array([1.0, 1.0]), counts)


def corrected(sample: Sequence[Judged], whole: Population | None = None, seed: int = 1) -> Corrected:
    found = correct(sample, STRATA, whole or population(), seed)
    assert isinstance(found, Corrected)
    return found


ERRING = [
    *judged("traced", [("correct", 90), ("wrong_contact", 10)]),
    *judged("bypassed", [("correct", 80), ("logged_elsewhere", 20)]),
]
FLAWLESS = [*judged("traced", [("correct", 100)]), *judged("bypassed", [("correct", 100)])]


@pytest.mark.parametrize(
    ("outcome", "verdict", "truth"),
    [
        ("traced", "correct", TRACED),
        ("bypassed", "correct", UNTRACED),
        ("siloed", "correct", UNTRACED),
        ("bypassed", "logged_elsewhere", TRACED),
        ("siloed", "logged_elsewhere", TRACED),
        ("traced", "logged_elsewhere", TRACED),
        ("traced", "wrong_contact", UNTRACED),
        ("bypassed", "wrong_contact", UNTRACED),
        ("traced", "no_customer", NOBODY),
        ("bypassed", "no_customer", NOBODY),
    ],
)
def test_a_verdict_says_what_an_interaction_truly_is(outcome: str, verdict: str, truth: int) -> None:
    assert truth_of(outcome, verdict) == truth


def test_the_share_is_corrected_by_both_errors() -> None:
    found = corrected(ERRING)

    # Of 400 measured as traced 40 are truly untraced, of 600 measured as bypassed 480: 520 of 1,000.
    assert found.found_share == pytest.approx(480 / 520)
    assert found.false_share == pytest.approx(120 / 480)
    assert found.measured_share == pytest.approx(0.6)
    assert found.corrected_share == pytest.approx((0.6 - 0.25) / (480 / 520 - 0.25)) == pytest.approx(0.52)
    assert found.corrected_share_low < 0.52 < found.corrected_share_high
    assert (found.judged_count, found.judged_customer_count, found.customer_share) == (200, 200, 1.0)


def test_another_time_is_corrected_by_the_same_errors() -> None:
    found = corrected(ERRING, population(untraced=700))

    assert found.corrected_share == pytest.approx((0.7 - 0.25) / (480 / 520 - 0.25))


def test_a_matcher_without_errors_is_left_as_it_is_but_not_taken_for_infallible() -> None:
    found = corrected(FLAWLESS, population(untraced=600_000, decided=1_000_000))

    assert (found.corrected_share, found.found_share, found.false_share) == (0.6, 1.0, 0.0)
    # No error in a hundred labels: up to some two in a hundred may be hidden.
    assert 0.585 < found.corrected_share_low < 0.597
    assert 0.603 < found.corrected_share_high < 0.615


def test_what_was_no_customers_is_taken_out() -> None:
    half = [*judged("traced", [("correct", 100)]), *judged("bypassed", [("correct", 50), ("no_customer", 50)])]

    found = corrected(half)

    assert found.customer_share == pytest.approx(0.7)
    assert found.corrected_share == pytest.approx(300 / 700)


def test_a_label_counts_for_as_many_interactions_as_its_stratum_has_per_label() -> None:
    sample = [
        *judged("traced", [("correct", 100)]),
        *judged("bypassed", [("correct", 50)], "call"),
        *judged("bypassed", [("logged_elsewhere", 50)], "email"),
    ]
    strata = {("traced", "call"): 400, ("bypassed", "call"): 500, ("bypassed", "email"): 100}

    found = correct(sample, strata, population())

    assert isinstance(found, Corrected)
    assert found.corrected_share == pytest.approx(0.5)


def test_a_stratum_with_hardly_any_labels_is_looked_at_with_others_of_its_outcome() -> None:
    sample = [
        *judged("traced", [("correct", 100)]),
        *judged("bypassed", [("correct", 76), ("logged_elsewhere", 20)]),
        *judged("bypassed", [("logged_elsewhere", 4)], "fax"),
    ]
    strata = {("traced", "call"): 400, ("bypassed", "call"): 300, ("bypassed", "fax"): 290, ("siloed", "call"): 10}

    found = correct(sample, strata, population())

    assert isinstance(found, Corrected)
    # All 600 bypassed and siloed as one stratum: 24 of 100 labels say traced.
    assert found.corrected_share == pytest.approx(0.6 * 0.76)


def test_an_interaction_that_is_measured_otherwise_now_counts_as_what_it_is_now() -> None:
    # A new replay found the traces of the twenty that were drawn as bypassed.
    sample = [
        replace(each, outcome="traced") if each.verdict == "logged_elsewhere" else replace(each) for each in ERRING
    ]

    found = corrected([replace(each, verdict="correct") if each.outcome == "traced" else each for each in sample])

    assert (found.found_share, found.false_share) == (1.0, 0.0)


def test_labels_of_few_customers_say_less() -> None:
    verdicts = [("correct", 80), ("logged_elsewhere", 20)]
    flawless = judged("traced", [("correct", 100)])
    alone, together = (
        corrected([*flawless, *judged("bypassed", verdicts, customers=customers)]) for customers in (100, 40)
    )
    # Of forty customers the same ones are wrong again and again.
    clustered = corrected(
        [*flawless, *(replace(each, customer=f"c{at // 3}") for at, each in enumerate(judged("bypassed", verdicts)))]
    )

    assert together.corrected_share == pytest.approx(alone.corrected_share)
    assert _width(clustered) > 1.3 * _width(alone)


def test_more_labels_say_more() -> None:
    twice = [*ERRING, *(replace(each, customer=f"{each.customer}+") for each in ERRING)]

    large = population(600_000, 1_000_000)

    assert _width(corrected(twice, large)) == pytest.approx(_width(corrected(ERRING, large)) / 2**0.5, rel=0.1)


def test_the_same_seed_gives_the_same_interval_and_another_one_nearly_the_same() -> None:
    assert corrected(ERRING) == corrected(ERRING)
    assert corrected(ERRING).corrected_share_low == pytest.approx(
        corrected(ERRING, seed=2).corrected_share_low, abs=0.01
    )


def test_customers_who_were_judged_are_part_of_the_measured_share() -> None:
    whole = Population({"bypassedcall0": (600, 600)}, np.array([0.0]), np.array([1.0]), np.array([400.0]))

    assert corrected(ERRING, whole).measured_share == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        ([], "0 interactions of 0 customers that are measured as bypassed or siloed"),
        (judged("bypassed", [("correct", 100)]), "0 interactions of 0 customers that are measured as traced"),
        ([*FLAWLESS[:49], *FLAWLESS[100:]], "49 interactions of 49 customers that are measured as traced"),
        ([*FLAWLESS[:100], *judged("bypassed", [("correct", 100)], customers=29)], "100 interactions of 29 customers"),
        ([*FLAWLESS[:100], *judged("bypassed", [("no_customer", 100)])], "was a customer's"),
        (
            [
                *judged("traced", [("correct", 50), ("wrong_contact", 50)]),
                *judged("bypassed", [("correct", 50), ("logged_elsewhere", 50)]),
            ],
            "is hardly more often truly bypassed",
        ),
    ],
)
def test_too_small_a_sample_is_refused_with_the_reason(sample: list[Judged], reason: str) -> None:
    found = correct(sample, STRATA, population())

    assert isinstance(found, TooLittle)
    assert reason in found.reason


def test_a_time_without_decided_interactions_is_refused() -> None:
    assert isinstance(correct(FLAWLESS, STRATA, population(0, 0)), TooLittle)


KEYS = st.tuples(st.sampled_from(["traced", "siloed", "bypassed"]), st.sampled_from(["call", "email", "fax"]))


@given(st.dictionaries(KEYS, st.integers(0, 2_000)), st.integers(2, 1_000))
def test_every_stratum_is_drawn_from_and_none_more_than_it_has(strata: dict[tuple[str, str], int], size: int) -> None:
    drawn = allocate(strata, size)

    assert set(drawn) == {key for key, number in strata.items() if number}
    assert all(1 <= drawn[key] <= strata[key] for key in drawn)
    assert sum(drawn.values()) <= size + LEAST_DRAWN * len(drawn)


def test_all_verdicts_are_understood() -> None:
    assert {truth_of("traced", verdict) for verdict in VERDICTS} == {UNTRACED, TRACED, NOBODY}


def _width(found: Corrected) -> float:
    return found.corrected_share_high - found.corrected_share_low
