"""The evaluation, on tables small enough to check by hand."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import ConfigurationError
from pipeline.evaluate import Evaluation, evaluate

INTERACTION = pa.schema(
    [(name, pa.string()) for name in ("interaction_id", "evidence_id", "channel", "team", "outcome", "activity_id")]
)
EVIDENCE = pa.schema(
    [(name, pa.string()) for name in ("raw_id", "disposition", "reason", "evidence_id", "event_id", "session_id")]
)


def true(number: int, **values: Any) -> str:
    """Return a line of the truth: a bypassed call of the sales team unless said otherwise."""
    line = {
        "interaction": number,
        "conversation": number,
        "channel": "call",
        "team": "Sales",
        "outcome": "traced" if values.get("activity_ids") else "bypassed",
        "activity_ids": [],
        "is_logged": bool(values.get("activity_ids")),
        "remark": "logged" if values.get("activity_ids") else "none",
        "keys": [],
        "evidence": [f"asterisk/Master.csv:{number}"],
    }
    return json.dumps(line | values)


def measured(number: int, outcome: str = "bypassed", **values: Any) -> dict[str, Any]:
    row = {
        "interaction_id": f"i{number}",
        "evidence_id": f"e{number}",
        "channel": "call",
        "team": "Sales",
        "outcome": outcome,
    }
    return row | values


def member(number: int, **values: Any) -> dict[str, Any]:
    """Return the disposition of line `number` of the call records, a member of measured interaction `number`."""
    row = {
        "raw_id": f"pbx:asterisk/Master.csv:{number}",
        "disposition": "interaction",
        "evidence_id": f"e{number}",
    }
    return row | values


def judge(truth: list[str], interactions: list[dict[str, Any]], evidence: list[dict[str, Any]]) -> Evaluation:
    return evaluate(
        pa.Table.from_pylist(interactions, schema=INTERACTION), pa.Table.from_pylist(evidence, schema=EVIDENCE), truth
    )


def test_a_perfect_measurement_has_no_error() -> None:
    result = judge(
        [true(1, activity_ids=["00T1"]), true(2)],
        [measured(1, "traced", activity_id="00T1"), measured(2)],
        [member(1), member(2)],
    )

    assert result.overall.true_share == result.overall.measured_share == 0.5
    assert result.overall.error_points == 0
    assert result.interaction_precision == result.interaction_recall == 1
    assert result.trace_precision == result.trace_recall == 1
    assert result.found_error_share == 0
    assert result.outcomes == {("traced", "traced"): 1, ("bypassed", "bypassed"): 1}
    assert not result.missed_traces
    assert not result.false_traces


def test_error_is_in_percentage_points_per_cell_and_overall() -> None:
    truth = [true(n, activity_ids=[f"a{n}"]) for n in range(1, 5)]
    truth += [true(n, team="Service", channel="email") for n in range(5, 9)]
    interactions = [measured(n, "traced", activity_id=f"a{n}") for n in range(1, 4)] + [measured(4)]
    interactions += [measured(n, team="Service", channel="email") for n in range(5, 9)]

    result = judge(truth, interactions, [member(n) for n in range(1, 9)])

    assert result.overall.error_points == pytest.approx(12.5)
    cells = {(cell.channel, cell.team): cell for cell in result.cells}
    assert cells["call", "Sales"].error_points == pytest.approx(25)
    assert cells["email", "Service"].error_points == 0
    assert (cells["call", "Sales"].true_count, cells["call", "Sales"].measured_count) == (4, 4)
    assert result.worst_cell(least_count=4) == cells["call", "Sales"]
    assert result.worst_cell(least_count=5) is None


def test_siloed_counts_as_bypass_and_pending_is_left_out() -> None:
    result = judge(
        [true(1, outcome="siloed"), true(2, outcome="pending"), true(3, activity_ids=["a"])],
        [measured(1, "siloed"), measured(2, "pending"), measured(3, "traced", activity_id="a")],
        [member(1), member(2), member(3)],
    )

    assert result.overall.true_share == result.overall.measured_share == 0.5
    assert result.overall.true_count == 3


def test_a_share_without_denominator_is_null() -> None:
    result = judge([true(1, outcome="pending")], [], [])

    assert result.overall.true_share is None
    assert result.overall.measured_share is None
    assert result.overall.error_points is None
    assert result.interaction_precision is None
    assert result.interaction_recall == 0
    assert result.trace_precision is None
    assert result.unlogged_share is None
    assert result.worst_cell(0) is None


def test_what_was_found_beyond_the_truth_lowers_precision() -> None:
    result = judge([true(1)], [measured(1), measured(2)], [member(1), member(2)])

    assert (result.interaction_precision, result.interaction_recall) == (0.5, 1)
    assert result.found_error_share == 1


def test_two_true_calls_measured_as_one_are_one_match() -> None:
    evidence = [member(1), member(2, evidence_id="e1"), member(3, evidence_id="e1")]
    truth = [true(1), true(2, evidence=["asterisk/Master.csv:2", "asterisk/Master.csv:3"])]

    result = judge(truth, [measured(1)], evidence)

    assert result.matched_count == 1
    assert result.interaction_recall == 0.5


def test_one_true_call_measured_as_two_is_one_match_with_the_larger_part() -> None:
    truth = [true(1, evidence=[f"asterisk/Master.csv:{n}" for n in (1, 2, 3)])]
    evidence = [member(1), member(2, evidence_id="e1"), member(3, evidence_id="e3")]

    result = judge(truth, [measured(1, "siloed"), measured(3)], evidence)

    assert result.outcomes == {("bypassed", "siloed"): 1}


def test_duplicates_and_excluded_records_show_nothing() -> None:
    evidence = [
        member(1, disposition="excluded", reason="internal", evidence_id=None),
        member(2, disposition="duplicate", evidence_id=None),
    ]

    assert judge([true(1), true(2)], [], evidence).matched_count == 0


def test_files_are_recognised_from_wherever_they_were_read() -> None:
    evidence = [
        member(1, raw_id="pbx:demo/asterisk/Master.csv:1"),
        member(2, raw_id="pbx:Master.csv:2"),
        member(3, raw_id="pbx:other/Master.csv:3"),
    ]

    assert judge([true(1), true(2), true(3)], [measured(1), measured(2), measured(3)], evidence).matched_count == 2


def test_systems_own_ids_match_where_no_place_does() -> None:
    evidence = [
        member(1, raw_id="kafka:raw.call:1", session_id="17.1"),
        member(2, raw_id="kafka:raw.email:2", event_id="a@b.example"),
    ]
    truth = [true(1, keys=["17.1"]), true(2, keys=["a@b.example"]), true(3, keys=["nowhere"])]

    assert judge(truth, [measured(1), measured(2), measured(3)], evidence).matched_count == 2


def test_a_trace_counts_only_on_the_interaction_it_was_made_for() -> None:
    truth = [true(1, activity_ids=["a1"]), true(2)]
    interactions = [measured(1), measured(2, "traced", activity_id="a1")]

    result = judge(truth, interactions, [member(1), member(2)])

    assert result.overall.error_points == 0, "the share does not see the exchange"
    assert (result.trace_precision, result.trace_recall) == (0, 0)
    assert result.missed_traces == {"logged": 1}
    assert result.false_traces == {"none": 1}


def test_any_of_the_records_made_for_an_interaction_is_its_trace() -> None:
    result = judge([true(1, activity_ids=["a1", "a2"])], [measured(1, "traced", activity_id="a2")], [member(1)])

    assert result.trace_precision == 1


def test_false_traces_are_told_apart_by_what_the_truth_remarks() -> None:
    truth = [true(1, remark="wrong_customer", is_logged=False), true(2, remark="too_late", is_logged=True)]
    interactions = [measured(n, "traced", activity_id="x") for n in (1, 2)]

    result = judge(truth, interactions, [member(1), member(2)])

    assert result.false_traces == {"wrong_customer": 1, "too_late": 1}
    assert result.unlogged_share == 0.5


def test_parties_of_one_email_are_paired_by_trace_then_by_outcome() -> None:
    truth = [true(n, conversation=1, evidence=["mail/maija.mbox:0"], channel="email") for n in (1, 2)]
    truth.append(true(3, conversation=1, evidence=["mail/maija.mbox:0"], channel="email", activity_ids=["02s:003b"]))
    interactions = [
        measured(1, "traced", activity_id="02s:003b", interaction_id="b"),
        measured(1, interaction_id="a"),
        measured(1, interaction_id="c"),
    ]

    result = judge(truth, interactions, [member(1, raw_id="mail:mail/maija.mbox:0")])

    assert result.outcomes == {("traced", "traced"): 1, ("bypassed", "bypassed"): 2}
    assert result.right_trace_count == 1


def test_a_record_tied_to_several_customers_is_one_record() -> None:
    result = judge([true(1, activity_ids=["02s1:003a"])], [measured(1, "traced", activity_id="02s1")], [member(1)])

    assert result.trace_precision == 1


def test_a_team_that_only_one_side_knows_is_a_cell() -> None:
    result = judge([true(1, team="Sales")], [measured(1, team=None)], [member(1)])

    assert [(cell.team, cell.true_count, cell.measured_count) for cell in result.cells] == [("", 0, 1), ("Sales", 1, 0)]


def test_result_is_plain_values_for_json() -> None:
    result = judge([true(1, activity_ids=["a1"])], [measured(1)], [member(1)])

    values = json.loads(json.dumps(result.to_dict()))

    assert values["overall"] == {
        "channel": None,
        "team": None,
        "true_count": 1,
        "measured_count": 1,
        "true_share": 0.0,
        "measured_share": 1.0,
        "error_points": 100.0,
    }
    assert values["outcomes"] == [{"true": "traced", "measured": "bypassed", "count": 1}]
    assert values["traces"] == {
        "true_count": 1,
        "measured_count": 0,
        "right_count": 0,
        "precision": None,
        "recall": 0.0,
    }
    assert values["missed_traces"] == {"logged": 1}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "empty"),
        (["", "\n"], "empty"),
        (["{"], "line 1 is no JSON"),
        ([true(1), "[]"], "line 2 is no true interaction"),
        (['{"channel": "call"}'], "line 1 is no true interaction"),
    ],
)
def test_truth_that_cannot_be_read_is_refused(lines: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        judge(lines, [], [])


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no column evidence_id"):
        evaluate(INTERACTION.empty_table().drop_columns(["evidence_id"]), EVIDENCE.empty_table(), [true(1)])
