"""`explain` says of one interaction what was recorded, whose number it is, and why each activity won or lost."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigurationError
from sinks.explanations import Explanation, explain
from sinks.store import Store
from tests.integration.companies import bypassflow, few_days, place, replay, two_weeks_store

# One of each kind, and what the first sentence says of it.
KINDS = {
    "tier = 'exact'": "it carries the interaction's own key",
    "tier = 'same_representative'": "same customer, logged by a representative who took part",
    "tier = 'other_representative'": "same customer, logged by somebody else",
    "tier = 'inferred'": "unknown identifier, same representative and channel",
    "outcome = 'siloed'": "that is tied to no CRM customer",
    "reason = 'not_logged'": "Bypassed: the customer is known",
    "reason = 'unknown_customer'": "the CRM knows no customer with this identifier",
    "reason = 'withheld'": "Bypassed: the number was withheld",
    "outcome = 'pending'": "the CRM feed has not been read past",
}


@cache
def explained(condition: str) -> tuple[str, Explanation]:
    """Return the id and explanation of an interaction of a kind: the one with most activities on its customer."""
    with Store.open(two_weeks_store()) as store:
        (row,) = store.rows(
            f"""
            SELECT i.interaction_id, count(a.activity_id) AS activity_count
            FROM interactions AS i
            LEFT JOIN crm_activities AS a
                ON list_has_any(a.customer_ids, i.customer_ids)
                AND a.logged_from BETWEEN i.started_at AND i.started_at + INTERVAL 3 DAY
            WHERE i.{condition}
            GROUP BY ALL ORDER BY activity_count DESC, i.interaction_id LIMIT 1
            """
        )
        return row["interaction_id"], explain(store, row["interaction_id"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_sentence_says_what_became_of_it_and_why(kind: str) -> None:
    assert KINDS[kind] in explained(kind)[1].summary


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_the_trace_is_said_to_be_the_trace(kind: str) -> None:
    found = explained(kind)[1]

    traces = [(verdict.activity_id, verdict.tier) for verdict in found.verdicts if verdict.is_trace]
    expected = (found.interaction["activity_id"], found.interaction["tier"])
    assert traces == ([expected] if found.interaction["outcome"] == "traced" else [])
    if traces:
        assert found.verdicts[0].reason.startswith("the trace: ")


@pytest.mark.parametrize("kind", KINDS)
def test_every_loser_has_a_reason_and_no_free_candidate_was_passed_over(kind: str) -> None:
    found = explained(kind)[1]

    for verdict in found.verdicts:
        assert verdict.reason
        if verdict.tier is None:
            assert verdict.reason.startswith(("no candidate: ", "a ticket that is tied to no customer"))
        elif not verdict.is_trace:
            assert verdict.reason.startswith(("lost: ", "redundant: "))
            # What loses to nothing would have been taken.
            assert verdict.status in ("trace", "redundant") or found.interaction["outcome"] == "traced"


@pytest.mark.parametrize("kind", KINDS)
def test_the_raw_events_are_those_of_the_interaction(kind: str) -> None:
    interaction_id, found = explained(kind)

    assert found.interaction["interaction_id"] == interaction_id
    assert {row["raw_id"] for row in found.evidence} == {row["raw_id"] for row in found.interaction["evidence"]}
    assert {row["disposition"] for row in found.evidence} == {"interaction"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_holders_are_those_that_make_the_customers(kind: str) -> None:
    found = explained(kind)[1]

    customers = {holder["account_id"] or holder["id"] for holder in found.holders}
    assert customers <= set(found.interaction["customer_ids"])
    if kind in ("reason = 'unknown_customer'", "reason = 'withheld'", "tier = 'inferred'"):
        assert customers == set()
    if found.interaction["channel"] == "call":  # an email may also be known by its domain
        assert customers == set(found.interaction["customer_ids"])


def test_the_command_prints_the_page_of_an_interaction_from_the_beginning_of_its_id() -> None:
    interaction_id, found = explained("tier = 'same_representative'")

    ran = bypassflow("explain", interaction_id[:12].upper(), "--db", two_weeks_store())

    assert ran.exit_code == 0, ran.error
    assert ran.error == ""
    for text in (interaction_id, found.summary, found.evidence[0]["raw_id"], found.interaction["activity_id"]):
        assert " ".join(text.split()[:3]) in " ".join(ran.out.split())


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("zzz", "no interaction's id begins with 'zzz'; bypassflow interactions lists them"),
        ("0", "several interactions' ids begin with '0': "),
        (" ", "an interaction's id is missing"),
    ],
    ids=["unknown", "ambiguous", "empty"],
)
def test_an_id_that_names_nothing_or_too_much_ends_in_a_clear_sentence(asked: str, sentence: str) -> None:
    ran = bypassflow("explain", asked, "--db", two_weeks_store())

    assert ran.exit_code == 1
    assert ran.out == ""
    assert ran.error.startswith(f"bypassflow: {sentence}")


def test_an_id_that_names_nothing_is_an_error_of_ours() -> None:
    with Store.open(two_weeks_store()) as store, pytest.raises(ConfigurationError, match="lists them"):
        explain(store, "zzz")


# No CRM at all


@cache
def without_crm() -> Path:
    """Return the store of a company of which only the exchange and the mail were read."""
    company = few_days()
    return replay(
        place("without-crm.duckdb"), company / "asterisk", company / "mail", config=company / "bypassflow.toml"
    )


def test_without_a_crm_everything_is_pending_and_nothing_bypassed() -> None:
    rows: list[dict[str, Any]] = json.loads(bypassflow("report", "--db", without_crm(), "--format", "json").out)

    (row,) = rows
    assert row["interaction_count"] == row["pending_count"] > 0
    assert row["bypassed_count"] == row["traced_count"] == row["siloed_count"] == 0
    assert row["bypass_share"] is None


def test_without_a_crm_an_explanation_says_that_the_feed_is_missing() -> None:
    with Store.open(without_crm()) as store:
        (row,) = store.rows("SELECT interaction_id FROM interactions ORDER BY 1 LIMIT 1")
        found = explain(store, row["interaction_id"])

    assert found.summary.startswith("Pending: no trace yet, and the CRM feed has not been read past")
    assert found.verdicts == []
    assert found.holders == []
