"""The accounts add up: every raw event, activity and interaction is told once, and both sides agree."""

from __future__ import annotations

from collections import Counter

from tests.folding import fold_in_any_order, many_cases, small_worlds_of
from tests.worlds import World, check

REASONS = {"internal", "automated", "bulk", "emergency", "never_log", "unanswered", "no_human", "too_short"}
BYPASS_REASONS = {"withheld", "unknown_customer", "not_logged"}


def _disposition_problems(case: World, number: int) -> list[str]:
    found = fold_in_any_order(case, number)
    raw_ids = {item.row["raw_id"] for item in case.facts if item.kind == "observation"}
    evidence = {row["evidence_id"] for row in found.interactions}
    lines = [f"no disposition of {raw_id}" for raw_id in sorted(raw_ids - found.dispositions.keys())]
    lines += [f"disposition of nothing: {raw_id}" for raw_id in sorted(found.dispositions.keys() - raw_ids)]
    for raw_id, (disposition, reason, evidence_id) in sorted(found.dispositions.items()):
        right = {
            "interaction": reason is None and evidence_id in evidence,
            "duplicate": reason is None and evidence_id is None,
            "excluded": reason in REASONS and evidence_id is None,
        }
        if not right.get(disposition, False):
            lines.append(f"{raw_id}: {disposition}, {reason}, {evidence_id}")
    told = {evidence_id for _, _, evidence_id in found.dispositions.values() if evidence_id is not None}
    return lines + [f"evidence without a raw event: {evidence_id}" for evidence_id in sorted(evidence - told)]


@many_cases
def test_every_raw_event_has_one_disposition(number: int) -> None:
    check(small_worlds_of(number), lambda case: _disposition_problems(case, number))


def _trace_problems(case: World, number: int) -> list[str]:
    found = fold_in_any_order(case, number)
    lines = []
    traces = Counter(row["activity_id"] for row in found.interactions if row["activity_id"] is not None)
    lines += [f"{activity_id} explains {count} interactions" for activity_id, count in traces.items() if count > 1]
    for row in found.interactions:
        if row["activity_id"] is not None:
            activity = found.activity_outcomes.get(row["activity_id"], {})
            points_back = (activity.get("status"), activity.get("interaction_id")) == ("trace", row["interaction_id"])
            if not points_back or activity.get("tier") != row["tier"]:
                lines.append(f"{row['interaction_id']} has the trace {row['activity_id']}, which says {activity}")
    by_id = {row["interaction_id"]: row for row in found.interactions}
    for activity_id, activity in found.activity_outcomes.items():
        explained = by_id.get(activity["interaction_id"], {})
        if activity["status"] == "trace" and explained.get("activity_id") != activity_id:
            lines.append(f"{activity_id} claims to be the trace of {explained}")
        if activity["status"] == "redundant" and explained.get("activity_id") in (None, activity_id):
            lines.append(f"{activity_id} is redundant beside no other trace of {explained}")
        if activity["status"] in ("unexplained", "siloed") and activity["interaction_id"] is not None:
            lines.append(f"{activity_id} is {activity['status']} and has an interaction")
    return lines


@many_cases
def test_one_activity_explains_at_most_one_interaction(number: int) -> None:
    check(small_worlds_of(number), lambda case: _trace_problems(case, number))


def _outcome_problems(case: World, number: int) -> list[str]:
    found = fold_in_any_order(case, number)
    lines = []
    for row in found.interactions:
        right = {
            "traced": row["activity_id"] is not None and row["tier"] is not None and row["reason"] is None,
            "siloed": row["activity_id"] is None and row["ticket_id"] is not None and row["reason"] is None,
            "bypassed": row["activity_id"] is None and row["ticket_id"] is None and row["reason"] in BYPASS_REASONS,
            "pending": row["activity_id"] is None and row["ticket_id"] is None and row["reason"] is None,
        }
        if not right.get(row["outcome"], False):
            lines.append(f"outcome and evidence disagree: {row}")
    if len({row["interaction_id"] for row in found.interactions}) != len(found.interactions):
        lines.append("an interaction is told twice")
    return lines


@many_cases
def test_outcomes_partition_the_interactions(number: int) -> None:
    check(small_worlds_of(number), lambda case: _outcome_problems(case, number))


def _activity_problems(case: World, number: int) -> list[str]:
    found = fold_in_any_order(case, number)
    activity_ids = {item.row["activity_id"] for item in case.facts if item.kind == "activity"}
    deleted = {item.row["activity_id"] for item in case.facts if item.kind == "activity" and item.row["deleted"]}
    lines = [f"outcome of nothing: {name}" for name in sorted(found.activity_outcomes.keys() - activity_ids)]
    return lines + [
        f"activity without an outcome: {name}"
        for name in sorted(activity_ids - deleted - found.activity_outcomes.keys())
    ]


@many_cases
def test_every_activity_has_one_outcome(number: int) -> None:
    check(small_worlds_of(number), lambda case: _activity_problems(case, number))
