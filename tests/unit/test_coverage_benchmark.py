"""The benchmark of intervals counts right, and simulates what it says."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import coverage as benchmark
from benchmarks.coverage import KINDS, Trial, cover, coverage, logging_company, main, measured_company


def test_coverage_is_the_share_of_intervals_that_hold_their_truth() -> None:
    trials = [Trial(0.0, 0.5, 1.0, truth) for truth in (-0.1, 0.0, 0.5, 1.1)]

    assert coverage(trials) == 0.5


def test_the_same_seed_gives_the_same_companies() -> None:
    assert cover(1, seed=3, kinds=KINDS[:1]) == cover(1, seed=3, kinds=KINDS[:1])


def test_a_simulated_measure_has_its_effect_on_average() -> None:
    found = [dict(measured_company(np.random.default_rng(seed), 400)) for seed in range(60)]

    for name in found[0]:
        errors = [each[name].value - each[name].truth for each in found]
        spread = np.std(errors) / np.sqrt(len(errors))
        assert abs(np.mean(errors)) < 4 * spread


def test_simulated_delays_are_those_that_they_are_said_to_be() -> None:
    found = [dict(logging_company(np.random.default_rng(seed), 500)) for seed in range(60)]

    assert [name.split(" h")[0] for name in found[0]] == ["logged 0.25", "logged 1", "logged 4", "logged 24"]
    for name in found[0]:
        errors = [each[name].value - each[name].truth for each in found]
        assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors))


def test_every_kind_is_printed_and_an_interval_that_lies_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lying(randomness: np.random.Generator) -> list[tuple[str, Trial]]:
        return [("a lie", Trial(0.0, 0.0, 0.1, 0.5))]

    monkeypatch.setattr(benchmark, "KINDS", [*KINDS[:1], lying])

    assert main(["--simulations", "2", "--seed", "1"]) == 1
    printed = capsys.readouterr().out
    assert "| difference in differences, 400 customers | 1 |" in printed
    assert "| a lie | 1 | 0.0 % |" in printed
