"""Running the engine on worlds, and the marks that every engine property shares."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pipeline.engine import Engine
from schemas.settings import EngineSettings
from tests.oracle import Outcomes, outcome
from tests.records import Fact, by_kind, tables
from tests.worlds import Ledger, World, arrivals, history, pack, random_settings, world

# Worlds that each property tries: 1,000 as in CI; BYPASSFLOW_CASES asks for fewer (or more).
CASE_COUNT = int(os.environ.get("BYPASSFLOW_CASES", "1000"))
# Where chance starts: the same worlds in each run, so that a failure comes again; another number gives others.
SEED = int(os.environ.get("BYPASSFLOW_SEED", "0"))
# Worlds side by side in one engine, whose fold costs about the same for one as for many.
PACK_SIZE = 25
PACK_COUNT = max(1, CASE_COUNT // PACK_SIZE)


def many_cases(test: Callable[..., None]) -> Callable[..., None]:
    """Run a property on CASE_COUNT worlds in packs, each pack a seed.

    A seed cannot be made simpler: a failing pack is shrunk by `tests.worlds.check` and not by Hypothesis.
    Every property sees the same packs, so that folds may be kept for the next.
    """
    return _on_packs(test, PACK_COUNT)


def some_cases(test: Callable[..., None]) -> Callable[..., None]:
    """Run a property that costs several folds a world on a quarter as many worlds."""
    return _on_packs(test, max(1, PACK_COUNT // 4))


def _on_packs(test: Callable[..., None], count: int) -> Callable[..., None]:
    run = settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(given(number=st.integers(0, 2**32 - 1))(test))
    return seed(SEED)(run)


def seeded(number: int) -> random.Random:
    """Return the source of all chance in one case."""
    return random.Random(number)


@lru_cache(maxsize=PACK_COUNT)
def small_worlds_of(number: int) -> World:
    """Return the pack of small worlds that a seed makes."""
    return _pack(number, world)


@lru_cache(maxsize=PACK_COUNT)
def long_worlds_of(number: int) -> World:
    """Return the pack of worlds over weeks that a seed makes."""
    return _pack(number, history)


def _pack(number: int, make: Callable[[random.Random, int, EngineSettings], World]) -> World:
    rng = seeded(number)
    rules = random_settings(rng)
    return pack([make(rng, rng.randint(1, 8), rules) for _ in range(PACK_SIZE)])


def expected(case: World) -> Outcomes:
    """Return what the oracle says."""
    return outcome(by_kind(case.facts), case.settings)


def fold_batches(batches: Iterable[Sequence[Fact]], rules: EngineSettings) -> Ledger:
    """Return what a store holds after an engine folded the batches one after the other."""
    engine, ledger = Engine(rules), Ledger()
    for version, batch in enumerate(batches):
        ledger.apply(engine.fold(tables(batch), version))
    return ledger


def fold_once(case: World) -> Outcomes:
    """Return what the engine says of all facts in one batch."""
    return fold_batches([case.facts], case.settings).outcomes()


@lru_cache(maxsize=PACK_COUNT)
def fold_in_any_order(case: World, number: int) -> Outcomes:
    """Return what the engine says in the end when facts arrive shuffled and repeated, in batches; kept."""
    return fold_batches(arrivals(number, case.facts), case.settings).outcomes()
