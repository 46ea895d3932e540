"""The makers of worlds keep what they promise: otherwise the properties prove less than they say."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from tests.oracle import outcome
from tests.records import Fact, activity, by_kind, call, contact, tables
from tests.worlds import (
    Ledger,
    World,
    arrivals,
    check,
    differences,
    event_time,
    history,
    numbered,
    pack,
    shrink,
    stream,
    world,
)


def _identities(facts: list[Fact]) -> Counter[str]:
    return Counter(map(repr, facts))


@pytest.mark.parametrize("make", [world, history])
def test_a_seed_makes_the_same_world_again(make: Callable[[random.Random, int], World]) -> None:
    assert str(make(random.Random(5), 6)) == str(make(random.Random(5), 6))


def test_worlds_reach_every_outcome_status_and_reason() -> None:
    found: set[str] = set()
    for seed in range(300):
        case = world(random.Random(seed), 6)
        result = outcome(by_kind(case.facts), case.settings)
        found |= {f"{row['outcome']} {row['tier'] or row['reason'] or ''}" for row in result.interactions}
        found |= {f"{row['status']} {row['tier'] or ''}" for row in result.activity_outcomes.values()}
        found |= {f"{disposition} {reason or ''}" for disposition, reason, _ in result.dispositions.values()}
        found |= {f"merged {len(row['sources'])}" for row in result.interactions}

    tiers = ("exact", "same_representative", "other_representative", "inferred")
    assert found >= {f"traced {tier}" for tier in tiers} | {f"redundant {tier}" for tier in tiers[:3]}
    assert found >= {f"bypassed {reason}" for reason in ("withheld", "unknown_customer", "not_logged")}
    assert found >= {"siloed ", "pending ", "unexplained ", "duplicate ", "merged 3"}
    reasons = ("internal", "automated", "bulk", "emergency", "never_log", "unanswered", "no_human", "too_short")
    assert found >= {f"excluded {reason}" for reason in reasons}


def test_worlds_packed_together_do_not_meet() -> None:
    rules = world(random.Random(1), 1).settings
    cases = [world(random.Random(seed), 5, rules) for seed in range(4)]
    feeds = [item for item in cases[0].facts if item.kind == "feed_progress"]

    together = pack(cases)
    result = outcome(by_kind(together.facts), together.settings)

    alone = Counter[str]()
    for number, case in enumerate(cases):
        own = [numbered(item, number) for item in case.facts if item.kind != "feed_progress"]
        one = outcome(by_kind([*own, *feeds]), together.settings)
        alone += Counter({"interactions": len(one.interactions), "activities": len(one.activity_outcomes)})
        assert {row["interaction_id"] for row in one.interactions} <= {
            row["interaction_id"] for row in result.interactions
        }
        assert one.dispositions.items() <= result.dispositions.items()
        assert one.activity_outcomes.items() <= result.activity_outcomes.items()
    assert alone == {"interactions": len(result.interactions), "activities": len(result.activity_outcomes)}


def test_arrivals_bring_every_fact_at_least_once_and_no_other() -> None:
    case = world(random.Random(3), 6)

    for seed in range(20):
        brought = [item for batch in arrivals(seed, case.facts) for item in batch]
        assert _identities(brought).keys() == _identities(list(case.facts)).keys()
        assert len(brought) >= len(case.facts)


def test_a_stream_brings_every_fact_once_and_never_one_that_was_said_to_be_known() -> None:
    case = history(random.Random(3), 8)

    for seed in range(20):
        brought: list[Fact] = []
        known = None
        for batch, through in stream(seed, case.facts, timedelta(days=1)):
            times = [time for item in batch if (time := event_time(item)) is not None]
            assert known is None or all(time > known for time in times)
            brought += batch
            known = through
        assert _identities(brought) == _identities(list(case.facts))


def test_a_failing_world_shrinks_to_the_facts_that_make_it_fail() -> None:
    case = world(random.Random(7), 8)
    needed = [case.facts[3], case.facts[11]]

    small = shrink(case, lambda candidate: all(item in candidate.facts for item in needed))

    assert sorted(map(repr, small.facts)) == sorted(map(repr, needed))
    assert small.settings.model_copy(update={"company_id": "demo"}).model_dump(exclude_defaults=True) == {
        "company_id": "demo"
    }


def test_a_failed_check_shows_the_smallest_world_and_its_problems() -> None:
    case = World(
        (contact("anna", "T"), call("pbx:1", "09:00"), activity("a", "09:00")), world(random.Random(1), 1).settings
    )

    with pytest.raises(AssertionError, match=r"(?s)fact\('observation'.*too many calls") as caught:
        check(case, lambda candidate: ["too many calls"] if "observation" in by_kind(candidate.facts) else [])

    assert "contact" not in str(caught.value)


class _Changes:
    def __init__(self, **rows: list[dict[str, Any]]) -> None:
        self.tables = {name: pa.Table.from_pylist(values) for name, values in rows.items()}


def test_a_ledger_keeps_the_last_word_on_each_row() -> None:
    ledger = Ledger()
    told: dict[str, Any] = {"activity_id": "a", "status": "trace"}

    ledger.apply(_Changes(interaction=[{"interaction_id": "1", "outcome": "pending"}, {"interaction_id": "2"}]))
    ledger.apply(_Changes(retracted=[{"interaction_id": "2"}], activity_outcome=[told]))
    count = ledger.apply(
        _Changes(
            interaction=[{"interaction_id": "1", "outcome": "traced"}],
            activity_outcome=[told | {"status": "deleted"}],
            disposition=[{"raw_id": "r", "disposition": "duplicate", "reason": None, "evidence_id": None}],
        )
    )

    assert count == 3
    found = ledger.outcomes()
    assert found.interactions == [{"interaction_id": "1", "outcome": "traced"}]
    assert found.dispositions == {"r": ("duplicate", None, None)}
    assert found.activity_outcomes == {}


def test_differences_name_row_and_column() -> None:
    case = world(random.Random(8), 4)
    result = outcome(by_kind(case.facts), case.settings)
    other = outcome(by_kind(case.facts), case.settings)
    other.interactions[0]["outcome"] = "lost"
    other.dispositions.popitem()

    lines = differences(result, other)

    assert len(lines) == 2
    assert "outcome: expected" in lines[0]
    assert "disposition of" in lines[1]
    assert differences(result, result) == []


def test_tables_have_the_columns_of_the_contract() -> None:
    case = world(random.Random(8), 4)

    assert {name: table.num_rows for name, table in tables(case.facts).items()} == {
        name: len(rows) for name, rows in by_kind(case.facts).items()
    }
