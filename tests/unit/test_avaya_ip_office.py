"""IP Office's lines: which device is ours, which way a call went, what a machine answered, stretches of one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.sources.avaya_ip_office import SOURCE
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import letters, rows
from tests.parsing import phone as token
from tests.records import person

CUSTOMER, OTHER, MOBILE = "+358401234567", "+358407654321", "+358505550001"
DIRECTORY = (person("alice", extension="504"), person("bo", extension="505", mobile_token=token(MOBILE)))
FIELDS = (
    "Call Start", "Connected Time", "Ring Time", "Caller", "Direction", "Called Number", "Dialled Number", "Account",
    "Is Internal", "Call ID", "Continuation", "Party1Device", "Party1Name", "Party2Device", "Party2Name", "Hold Time",
    "Park Time",
)  # fmt: skip
ENDING = [""] * 13


def call(**fields: str) -> list[str]:
    """Return a line: a customer reaches extension 504, which answers after 10 s and talks for 312 s."""
    usual = {
        "start": "2024/03/05 09:00:00", "talk": "00:05:12", "ring": "10", "caller": CUSTOMER, "direction": "I",
        "called": "504", "dialled": "0942450504", "account": "", "internal": "0", "id": "1000101", "more": "0",
        "device1": "E504", "name1": "Alice", "device2": "T9001", "name2": "Line 1.1", "hold": "0", "park": "0",
    }  # fmt: skip
    return list({**usual, **fields}.values())


def outgoing(**fields: str) -> list[str]:
    """Return a line: extension 504 calls a customer."""
    return call(**{"caller": "504", "direction": "O", "called": "0407654321", "dialled": "0407654321", **fields})


def written(folder: Path, *calls: Sequence[str], ending: Sequence[str] = ENDING, above: str = "") -> Path:
    path = folder / "smdr.csv"
    path.write_text(above + "".join(",".join((*each, *ending)) + "\r\n" for each in calls), newline="")
    return path


def batches(
    path: Path, mapping: Mapping[str, str] | None = None, options: Mapping[str, Any] | None = None
) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping, options)


def facts(folder: Path, *calls: Sequence[str], **options: Any) -> list[dict[str, Any]]:
    return rows(batches(written(folder, *calls), options=options))


def told(folder: Path, *calls: Sequence[str]) -> list[dict[str, Any]]:
    return parsing.interactions(batches(written(folder, *calls)), DIRECTORY)


def test_the_facts_of_a_line(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, call(hold="5"))

    assert (found["channel"], found["line"], found["direction"]) == ("call", "pbx", "inbound")
    assert (found["from_token"], found["to_endpoint"], found["via_endpoint"]) == (token(CUSTOMER), "504", None)
    assert (found["attempt"], found["talk_seconds"]) == ("talk", 312)
    assert found["started_at"] == datetime(2024, 3, 5, 7)
    assert found["ended_at"] == datetime(2024, 3, 5, 7, 5, 27)


def test_a_call_is_its_extensions(tmp_path: Path) -> None:
    came_in, went_out = told(tmp_path, call(), outgoing(id="1000102", start="2024/03/05 10:00:00"))

    assert (came_in["token"], came_in["direction"], came_in["representative_id"]) == (
        token(CUSTOMER),
        "inbound",
        "alice",
    )
    assert (went_out["token"], went_out["direction"], went_out["representative_id"]) == (
        token(OTHER),
        "outbound",
        "alice",
    )


@pytest.mark.parametrize("internal", ["1", "I"])
def test_an_internal_call_is_written_as_outgoing_and_is_none(tmp_path: Path, internal: str) -> None:
    line = outgoing(called="505", dialled="505", internal=internal, device2="E505", name2="Bo")

    (leg,) = facts(tmp_path, line)

    assert (leg["direction"], leg["from_endpoint"], leg["to_endpoint"]) == ("internal", "504", "505")
    assert told(tmp_path, line) == []


def test_stretches_of_a_call_are_one_interaction_of_who_talked_longest(tmp_path: Path) -> None:
    first = call(called="960", device1="E505", talk="00:00:20", more="1")
    second = call(called="960", talk="00:03:00")

    (found,) = told(tmp_path, first, second)

    assert (found["representative_id"], found["token"]) == ("alice", token(CUSTOMER))
    assert [leg["via_endpoint"] for leg in facts(tmp_path, first, second)] == ["960", "960"]


def test_a_line_says_when_its_stretch_ended_in_newer_versions(tmp_path: Path) -> None:
    ending = [*ENDING, "10.0.0.1", "", "10.0.0.1", "", "2024/03/05 09:10:00"]

    (found,) = rows(batches(written(tmp_path, call(), ending=ending)))

    assert found["ended_at"] == datetime(2024, 3, 5, 7, 10)
    assert found["started_at"] == datetime(2024, 3, 5, 7, 4, 38)
    for other in ("2024/03/05 09:00:01", "1709622600", "?"):
        (found,) = rows(batches(written(tmp_path, call(), ending=[*ending[:-1], other])))
        assert found["started_at"] == datetime(2024, 3, 5, 7)


def test_the_same_number_after_a_restart_is_another_call(tmp_path: Path) -> None:
    assert len(told(tmp_path, call(), call(start="2024/03/06 09:00:00"))) == 2


@pytest.mark.parametrize(
    ("line", "attempt"),
    [
        (call(talk="00:00:00"), "unanswered"),
        (call(device1="V9501", name1="VM Channel 1"), "no_human"),
        (outgoing(called="505", device2="V9501", name2="VM Channel 2", internal="1"), "no_human"),
        (call(device1="V8000", name1="U1 0.0"), "no_human"),
        (call(device1="V9551", name1="CO Channel 1"), "talk"),
        (call(device1="E5000", called="5000"), "no_human"),
    ],
)
def test_what_a_machine_answered_is_no_talk(tmp_path: Path, line: Sequence[str], attempt: str) -> None:
    assert [leg["attempt"] for leg in facts(tmp_path, line, machines=["50*0"])] == [attempt]


def test_a_call_that_was_sent_on_to_a_mobile_of_ours_is_its_owners(tmp_path: Path) -> None:
    line = call(device1="T9002", name1="Line 2.1", device2="T9001", name2="Line 1.1")
    ending = [*ENDING[:10], "HG", "Sales", MOBILE]

    (found,) = parsing.interactions(batches(written(tmp_path, line, ending=ending)), DIRECTORY)

    assert (found["token"], found["representative_id"], found["direction"]) == (token(CUSTOMER), "bo", "inbound")


@pytest.mark.parametrize("caller", ["", "anonymous"])
def test_a_withheld_caller_is_nobody_of_ours(tmp_path: Path, caller: str) -> None:
    (found,) = told(tmp_path, call(caller=caller))

    assert (found["token"], found["direction"], found["representative_id"]) == (None, "inbound", "alice")


def test_a_name_with_a_comma_and_zeros_at_the_beginning_do_no_harm(tmp_path: Path) -> None:
    path = written(tmp_path, call(name1="Aalto, Alice", name2="Line, 1.1", hold="7"), call(), above="\0\0")

    first, second = rows(batches(path))

    assert parsing.recognised(path) == "avaya_ip_office"
    assert (first["to_endpoint"], first["from_token"]) == ("504", token(CUSTOMER))
    assert (first["ended_at"] - second["ended_at"]).total_seconds() == 7


@pytest.mark.parametrize("names", [FIELDS, ("Call Start", "Call Duration", "Ring Duration", *FIELDS[3:])])
def test_a_header_is_no_call(tmp_path: Path, names: Sequence[str]) -> None:
    path = written(tmp_path, call(), ending=(), above=",".join(names) + "\r\n")

    assert parsing.recognised(path) == "avaya_ip_office"
    assert [found["talk_seconds"] for found in rows(batches(path))] == [312]
    assert letters(batches(path)) == []


def test_another_order_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "smdr.txt"
    path.write_text(f"2024/03/05 09:00,00:05:12,{CUSTOMER},I,E504\n")
    mapping = {"call_start": "1", "connected_time": "2", "caller": "3", "direction": "4", "party1_device": "5"}

    (found,) = rows(batches(path, mapping))

    assert (found["to_endpoint"], found["talk_seconds"], found["session_id"]) == ("504", 312, None)
    with pytest.raises(ConfigurationError, match="no column for caller"):
        batches(path, {name: column for name, column in mapping.items() if name != "caller"})
    with pytest.raises(ConfigurationError, match="its fields are in no known order; say which is which"):
        batches(path)
    path.write_text("")
    assert batches(path) == []


@pytest.mark.parametrize("change", [{"start": "9:00"}, {"talk": "312"}, {"direction": "X"}, {"device1": "504"}])
def test_lines_of_another_shape_are_not_claimed(tmp_path: Path, change: dict[str, str]) -> None:
    assert SOURCE.recognise(Sample(tmp_path, written(tmp_path, call(**change)).read_bytes())) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"start": ""}, "call_start: missing"),
        ({"start": "2024/03/05"}, "call_start: expected a date and time of day"),
        ({"talk": "long"}, "connected_time: expected hours:minutes:seconds"),
        ({"hold": "9" * 30}, "connected_time, hold_time, park_time: "),
        ({"direction": "?"}, "direction: expected I or O"),
    ],
)
def test_a_line_that_cannot_be_used_is_a_dead_letter_without_its_parties(
    tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    read = batches(written(tmp_path, call(), call(**change), outgoing()))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit) == (2, "line")
    assert CUSTOMER[3:] not in letter.raw_text
    assert "Alice" not in letter.raw_text
    assert len(rows(read)) == 2


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    whole = written(tmp_path, call(), outgoing(), call(device1="V9501", name1="VM Channel 1")).read_bytes()
    path = tmp_path / "damaged.csv"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
