"""Why an activity is the trace of an interaction, or is not, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from pipeline.engine import Engine
from pipeline.explain import Verdict, summary, weigh
from pipeline.sentences import words
from schemas.settings import EngineSettings
from tests.records import Fact, activity, call, contact, email, instant, person, progress, tables, user

SETTINGS = EngineSettings(company_id="acme", own_domains=frozenset({"D-own"}))
PEOPLE = (
    person("r1", extension="201", email_token="M-r1"),
    person("r2", extension="202", email_token="M-r2"),
    user("u1", "M-r1"),
    user("u2", "M-r2"),
)
ANNA = contact("c1", "T-anna", account="acme")
READ = progress("00:00", day=30)


def weighed(
    facts: Sequence[Fact], key: str = "pbx:1", rules: EngineSettings = SETTINGS
) -> tuple[dict[str, Any], list[Verdict]]:
    """Return the interaction of a raw event, and the verdicts on all activities, as a store would ask for them."""
    world = [*PEOPLE, *facts]
    changes = Engine(rules).fold(tables(world)).tables
    (evidence_id,) = [
        row["evidence_id"] for row in changes["disposition"].to_pylist() if row["raw_id"].startswith(f"{key}")
    ]
    (row,) = [row for row in changes["interaction"].to_pylist() if row["evidence_id"] == evidence_id]
    fates = {fate["activity_id"]: fate for fate in changes["activity_outcome"].to_pylist()}
    own = [fact for fact in world if fact.kind != "observation" or fact.row["raw_id"].startswith(key)]
    return row, weigh(rules, tables(own), row, fates)


def reasons(verdicts: Sequence[Verdict]) -> dict[str, str]:
    return {verdict.activity_id: verdict.reason for verdict in verdicts}


def test_the_trace_comes_first_and_says_by_which_tier() -> None:
    row, verdicts = weighed(
        [
            call("pbx:1", "10:00"),
            ANNA,
            activity("a0", "09:56", contacts=["c1"], owner="u2"),
            activity("a1", "10:30", contacts=["c1"], owner="u1"),
        ]
    )

    assert row["outcome"] == "traced"
    assert [(v.activity_id, v.is_trace, v.tier) for v in verdicts] == [
        ("a1", True, "same_representative"),
        ("a0", False, "other_representative"),
    ]
    assert verdicts[0].reason == "the trace: same customer, logged by a representative who took part"
    assert summary(row, verdicts).startswith("Traced by a1 (same_representative, 28 min 55 s after the end)")


def test_a_second_record_of_the_same_interaction_is_redundant() -> None:
    _, verdicts = weighed(
        [
            call("pbx:1", "10:00"),
            ANNA,
            activity("a1", "10:05", contacts=["c1"], owner="u1"),
            activity("a2", "10:06", contacts=["c1"], owner="u1"),
        ]
    )

    assert reasons(verdicts)["a2"] == "redundant: a1 comes first"
    assert verdicts[1].status == "redundant"


def test_an_activity_that_explains_another_interaction_lost_to_it() -> None:
    row, verdicts = weighed(
        [
            call("pbx:1", "10:00"),
            call("pbx:2", "10:20"),
            ANNA,
            READ,
            activity("a1", "10:25", contacts=["c1"], owner="u1"),
        ]
    )

    assert row["outcome"] == "bypassed"
    assert reasons(verdicts)["a1"].startswith("lost: it explains interaction ")
    assert reasons(verdicts)["a1"].endswith(" better (same_representative)")
    assert summary(row, verdicts) == (
        "Bypassed: the customer is known; of 1 activities around that time "
        "1 could have been the trace, and each of them explains something else."
    )


def test_of_two_tiers_of_one_pair_the_better_one_is_told() -> None:
    row, verdicts = weighed(
        [
            call("pbx:1", "10:00"),
            ANNA,
            activity("a1", "10:05", contacts=["c1"], owner="u1", keys=["pbx:1"]),
            activity("a2", "10:06", contacts=["c1"], owner="u1", keys=["pbx:1"]),
        ]
    )

    assert (row["tier"], row["activity_id"]) == ("exact", "a1")
    assert {v.activity_id: v.tier for v in verdicts} == {"a1": "exact", "a2": "exact"}


def test_an_activity_that_is_no_candidate_says_why() -> None:
    row, verdicts = weighed(
        [
            call("pbx:1", "10:00"),
            ANNA,
            READ,
            activity("channel", "10:05", "email", contacts=["c1"], owner="u1"),
            activity("early", "09:30", contacts=["c1"], owner="u1"),
            activity("late", instant("10:02:05", day=4), contacts=["c1"], owner="u1"),
            activity("others", "11:01:05", contacts=["c1"], owner="u2"),
            activity("deleted", "10:05", contacts=["c1"], owner="u1", deleted=True),
            activity("customer", "10:05", contacts=["c9"], owner="u1"),
        ]
    )

    assert row["outcome"] == "bypassed"
    assert {(v.tier, v.is_trace) for v in verdicts} == {(None, False)}
    assert reasons(verdicts) == {
        "channel": "no candidate: email is no trace of call",
        "early": "no candidate: logged more than 15 min before the start",
        "late": "no candidate: logged 4 d after the end; the window is 3 d",
        "others": "no candidate: logged by nobody who took part, 1 h after the end; for others the window is 30 min",
        "deleted": "no candidate: deleted in the CRM",
        "customer": "no candidate: on another customer",
    }
    assert summary(row, verdicts) == (
        "Bypassed: the customer is known; none of 6 activities around that time can be its trace."
    )


def test_a_tier_that_is_switched_off_is_named() -> None:
    rules = SETTINGS.model_copy(update={"tiers": frozenset({"exact"})})

    _, verdicts = weighed(
        [call("pbx:1", "10:00"), ANNA, READ, activity("a1", "10:05", contacts=["c1"], owner="u1")], rules=rules
    )

    assert reasons(verdicts) == {"a1": "no candidate: traces of tier same_representative are switched off"}


def test_of_an_unknown_customer_the_shorter_window_and_the_same_channel_and_person_count() -> None:
    row, verdicts = weighed(
        [
            call("pbx:1", "10:00", customer="T-stranger"),
            READ,
            activity("late", "12:01:05", contacts=["c9"], owner="u1"),
            activity("others", "10:05", contacts=["c9"], owner="u2"),
            activity("channel", "10:05", "task", contacts=["c9"], owner="u1"),
        ]
    )

    assert (row["outcome"], row["reason"]) == ("bypassed", "unknown_customer")
    assert reasons(verdicts) == {
        "late": "no candidate: logged 2 h after the end; the window is 1 h",
        "others": "no candidate: the customer is unknown, and it was logged by nobody who took part",
        "channel": "no candidate: the customer is unknown, and task is another channel",
    }
    assert "knows no customer" in summary(row, verdicts)


def test_an_inferred_trace_says_that_nothing_else_stands_behind_it() -> None:
    row, verdicts = weighed(
        [call("pbx:1", "10:00", customer=None), READ, activity("a1", "10:05", contacts=["c9"], owner="u1")]
    )

    assert row["tier"] == "inferred"
    assert "nothing else stands behind it" in verdicts[0].reason


def test_an_untied_ticket_is_named_as_the_silo() -> None:
    row, verdicts = weighed(
        [call("pbx:1", "10:00"), ANNA, READ, activity("t1", "10:05", "ticket", tokens=["T-anna"], owner="u1")]
    )

    assert row["outcome"] == "siloed"
    assert reasons(verdicts) == {"t1": "a ticket that is tied to no customer of the CRM"}
    assert summary(row, verdicts).startswith("Siloed: only the ticket t1")


def test_a_withheld_number_and_an_unknown_sender_are_told_apart() -> None:
    row, verdicts = weighed([call("pbx:1", "10:00", customer=None), READ])
    assert summary(row, verdicts).startswith("Bypassed: the number was withheld")

    row, verdicts = weighed([email("mail:1", "10:00", None, ["M-r1"]), READ], key="mail:1")
    assert summary(row, verdicts).startswith("Bypassed: nobody knows who it was with")


def test_what_is_pending_says_until_when_the_feed_is_missing() -> None:
    row, verdicts = weighed([call("pbx:1", "10:00"), ANNA])

    assert summary(row, verdicts) == (
        "Pending: no trace yet, and the CRM feed has not been read past 2024-03-07 10:01:05 UTC."
    )


def test_a_date_without_a_time_that_holds_the_end_is_within_the_day() -> None:
    row, verdicts = weighed(
        [
            call("pbx:1", "10:00"),
            ANNA,
            activity("a1", "00:00", until="23:59:59", contacts=["c1"], owner="u1"),
        ]
    )

    assert "(same_representative, within the day of the end)" in summary(row, verdicts)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=90), "1 h 30 min"),
        (timedelta(hours=-2), "2 h"),
        (timedelta(days=3, minutes=5), "3 d"),
    ],
)
def test_lengths_of_time_are_told_in_two_units(length: timedelta, text: str) -> None:
    assert words(length) == text
