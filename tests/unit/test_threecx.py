"""3CX's lines: who called, who was reached at last, and which zone the times are in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.sources.registry import Batch, Sample
from pipeline.sources.threecx import SOURCE
from tests import parsing
from tests.parsing import letters, rows
from tests.parsing import phone as token
from tests.records import person

CUSTOMER, OTHER = "+358401234567", "+358407654321"
DIRECTORY = (person("alice", extension="504"), person("bo", extension="505"))
FIELDS = (
    "historyid", "callid", "duration", "time-start", "time-answered", "time-end", "reason-terminated", "from-no",
    "to-no", "from-dn", "to-dn", "dial-no", "reason-changed", "final-number", "final-dn", "bill-code", "bill-rate",
    "bill-cost", "bill-name", "chain", "from-type", "to-type", "final-type", "from-dispname", "to-dispname",
    "final-dispname", "missed-queue-calls",
)  # fmt: skip
# The order of the page where the fields are chosen.
OTHER_ORDER = (*FIELDS[:20], "missed-queue-calls", *FIELDS[23:26], *FIELDS[20:23])
START = datetime(2024, 3, 5, 9, tzinfo=UTC)


def call_id(instant: datetime = START, since: int = 1601) -> str:
    """Return the id of a call that begins at an instant, as newer versions count it, or older ones since 1970."""
    milliseconds = int((instant - datetime(since, 1, 1, tzinfo=UTC)).total_seconds() * 1000) + 672
    return f"{milliseconds:016X}_6531"


def call(**fields: str) -> dict[str, str]:
    """Return a call: a customer reaches queue 960, which answers at once, and extension 504 at last, for 336 s."""
    names = {name.replace("_", "-"): value for name, value in fields.items()}
    return {
        "historyid": "612504",
        "callid": call_id(),
        "duration": "00:05:36",
        "time-start": "2024/03/05 09:00:00",
        "time-answered": "2024/03/05 09:00:00",
        "time-end": "2024/03/05 09:05:37",
        "reason-terminated": "TerminatedBySrc",
        "from-no": CUSTOMER,
        "to-no": "Ext.960",
        "from-dn": "10021",
        "to-dn": "960",
        "dial-no": "960",
        "reason-changed": "ReplacedDst",
        "final-number": "Ext.504",
        "final-dn": "504",
        "bill-code": "",
        "bill-rate": "",
        "bill-cost": "",
        "bill-name": "",
        "chain": f"Chain: {CUSTOMER};Ext.960;Ext.963;Ext.504;",
        "from-type": "external_line",
        "to-type": "queue",
        "final-type": "extension",
        "from-dispname": "Matti Meikalainen",
        "to-dispname": "Sales",
        "final-dispname": "Alice",
        "missed-queue-calls": "505",
        **names,
    }


def direct(**fields: str) -> dict[str, str]:
    """Return a call that extension 504 answers itself after 10 s."""
    answered = {
        "time_answered": "2024/03/05 09:00:10", "duration": "00:05:27", "to_no": "Ext.504", "final_number": "",
        "to_type": "Extension", "final_type": "", "reason_changed": "",
    }  # fmt: skip
    return call(**(answered | fields))


def outgoing(**fields: str) -> dict[str, str]:
    """Return a call of extension 504 to a customer."""
    out = {"from_no": "Ext.504", "to_no": OTHER, "from_type": "extension", "to_type": "external_line"}
    return direct(**(out | fields))


def written(folder: Path, *calls: Mapping[str, str], order: Sequence[str] = FIELDS, begin: str = "Call ") -> Path:
    path = folder / "cdr.log"
    text = "".join(begin + ",".join(each[name] for name in order) + "\r\n" for each in calls)
    path.write_text(text, "utf-8", newline="")
    return path


def batches(
    path: Path, mapping: Mapping[str, str] | None = None, options: Mapping[str, Any] | None = None
) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping, options)


def facts(
    folder: Path, *calls: Mapping[str, str], order: Sequence[str] = FIELDS, machines: Sequence[str] = ()
) -> list[dict[str, Any]]:
    return rows(batches(written(folder, *calls, order=order), options={"machines": list(machines)}))


def told(folder: Path, *calls: Mapping[str, str]) -> list[dict[str, Any]]:
    return parsing.interactions(batches(written(folder, *calls)), DIRECTORY)


def test_the_facts_of_a_line(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, direct())

    assert (found["channel"], found["line"], found["direction"]) == ("call", "pbx", "inbound")
    assert (found["from_token"], found["to_endpoint"], found["via_endpoint"]) == (token(CUSTOMER), "504", None)
    assert (found["attempt"], found["talk_seconds"]) == ("talk", 327)
    assert found["started_at"] == datetime(2024, 3, 5, 9)
    assert found["answered_at"] == datetime(2024, 3, 5, 9, 0, 10)
    assert found["ended_at"] == datetime(2024, 3, 5, 9, 5, 37)
    assert found["session_id"] == "612504"


def test_a_call_through_a_queue_is_of_who_was_reached_at_last(tmp_path: Path) -> None:
    (found,) = told(tmp_path, call())
    (leg,) = facts(tmp_path, call())

    assert (found["token"], found["direction"], found["representative_id"]) == (token(CUSTOMER), "inbound", "alice")
    assert found["talk_seconds"] == 336
    assert (leg["via_endpoint"], leg["to_endpoint"]) == ("960", "504")


@pytest.mark.parametrize(
    ("fields", "queue"),
    [
        ({"to_type": ""}, "960"),
        ({"from_no": "Ext.505"}, "960"),
        ({"to_no": "Ext.505", "to_type": "Extension"}, None),  # a colleague passed it on
        ({"to_no": "Ext.504"}, None),
        ({"final_number": ""}, None),
    ],
)
def test_what_was_dialled_is_a_queue_unless_it_is_a_telephone(
    tmp_path: Path, fields: dict[str, str], queue: str | None
) -> None:
    assert [leg["via_endpoint"] for leg in facts(tmp_path, call(**fields))] == [queue]


def test_a_call_may_last_for_hours(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, call(duration="01:00:05", time_end="2024/03/05 10:00:05"))

    assert found["talk_seconds"] == 3605


def test_a_call_out_is_its_callers(tmp_path: Path) -> None:
    (found,) = told(tmp_path, outgoing())

    assert (found["token"], found["direction"], found["representative_id"]) == (token(OTHER), "outbound", "alice")


@pytest.mark.parametrize(("final", "representative"), [("Ext.505", "bo"), (OTHER, "alice")])
def test_a_call_out_that_was_passed_on_among_us_is_of_the_last_who_talked(
    tmp_path: Path, final: str, representative: str
) -> None:
    (found,) = told(tmp_path, outgoing(final_number=final, reason_changed="ReplacedSrc"))

    assert (found["token"], found["direction"]) == (token(OTHER), "outbound")
    assert found["representative_id"] == representative


def test_an_internal_call_that_is_passed_on_to_the_outside_goes_out(tmp_path: Path) -> None:
    (found,) = told(tmp_path, outgoing(to_no="Ext.505", final_number=OTHER))

    assert (found["token"], found["direction"], found["representative_id"]) == (token(OTHER), "outbound", "alice")


def test_a_call_that_is_forwarded_to_the_outside_came_in(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, call(final_number=OTHER, final_type="external_line"))

    assert (found["from_token"], found["to_token"], found["to_endpoint"]) == (token(CUSTOMER), token(OTHER), None)
    assert (found["attempt"], found["via_endpoint"]) == ("talk", "960")


@pytest.mark.parametrize("final", ["", "Ext.505"])
def test_a_call_between_extensions_is_internal(tmp_path: Path, final: str) -> None:
    internal = outgoing(to_no="Ext.505", final_number=final, to_type="extension")

    (leg,) = facts(tmp_path, internal)

    assert (leg["direction"], leg["from_endpoint"], leg["to_endpoint"]) == ("internal", "504", "505")
    assert told(tmp_path, internal) == []


@pytest.mark.parametrize("shown", ["anonymous", ""])
def test_a_withheld_caller_is_nobody_of_ours(tmp_path: Path, shown: str) -> None:
    (found,) = told(tmp_path, direct(from_no=shown))

    assert (found["token"], found["direction"], found["representative_id"]) == (None, "inbound", "alice")


@pytest.mark.parametrize("reason", ["TerminatedBySrc", "Failed", "busy", "no_route"])
def test_a_call_without_a_time_of_answer_was_not_answered(tmp_path: Path, reason: str) -> None:
    unanswered = direct(time_answered="", duration="", reason_terminated=reason)

    (leg,) = facts(tmp_path, unanswered)

    assert (leg["attempt"], leg["talk_seconds"]) == ("unanswered", 0)
    assert told(tmp_path, unanswered) == []


@pytest.mark.parametrize(
    ("fields", "machines", "attempt"),
    [
        ({"final_number": "", "final_type": ""}, (), "no_human"),
        ({"final_type": "Queue"}, (), "no_human"),
        ({"final_type": "Ivr"}, (), "no_human"),
        ({"final_type": "VMail"}, (), "no_human"),
        ({"final_type": "voicemail"}, (), "no_human"),
        ({"final_type": "end_call"}, (), "no_human"),
        ({"final_type": "ring_group_ring_all"}, (), "talk"),
        ({"final_type": "", "to_type": ""}, (), "talk"),
        ({"final_type": "", "to_type": ""}, ("50*",), "no_human"),
        ({"final_type": "", "to_type": "", "final_number": OTHER}, ("*",), "talk"),
    ],
)
def test_what_a_machine_answered_is_no_talk(
    tmp_path: Path, fields: dict[str, str], machines: Sequence[str], attempt: str
) -> None:
    assert [leg["attempt"] for leg in facts(tmp_path, direct(), call(**fields), machines=machines)[1:]] == [attempt]


@pytest.mark.parametrize("value", ["960", [960], [""]])
def test_machines_are_a_list_of_texts(tmp_path: Path, value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"options\.machines is .*960.*|options\.machines is \[''\]"):
        batches(written(tmp_path, call()), options={"machines": value})


@pytest.mark.parametrize("since", [1601, 1970])
@pytest.mark.parametrize(("clock", "hours"), [("09:00:00", 0), ("11:00:00", 2), ("04:00:00", -5)])
def test_the_id_of_a_call_tells_which_zone_its_times_are_in(tmp_path: Path, since: int, clock: str, hours: int) -> None:
    hour = int(clock[:2])
    shifted = direct(
        callid=call_id(since=since), time_start=f"2024/03/05 {clock}", time_answered=f"2024/03/05 {hour:02}:00:10",
        time_end=f"2024/03/05 {hour:02}:05:37",
    )  # fmt: skip

    (found,) = facts(tmp_path, shifted)

    assert found["started_at"] == datetime(2024, 3, 5, 9)
    assert found["answered_at"] == datetime(2024, 3, 5, 9, 0, 10)
    assert found["ended_at"] == datetime(2024, 3, 5, 9, 5, 37)


@pytest.mark.parametrize(
    "identity", [call_id(datetime(2024, 3, 5, 8, 55, tzinfo=UTC)), call_id(datetime(2024, 3, 7, 9, tzinfo=UTC)),
                 "FFFFFFFFFFFFFFFF_1"]
)  # fmt: skip
def test_an_id_that_holds_another_instant_leaves_the_times_to_the_zone(tmp_path: Path, identity: str) -> None:
    (found,) = facts(tmp_path, direct(callid=identity))

    assert found["started_at"] == datetime(2024, 3, 5, 7)  # Helsinki is two hours ahead in March


def test_lines_are_recognised_in_both_orders_and_with_and_without_their_word(tmp_path: Path) -> None:
    for order, begin in ((FIELDS, "Call "), (FIELDS, ""), (OTHER_ORDER, "Call "), (FIELDS[:20], "Call ")):
        path = written(tmp_path, call(), direct(), order=order, begin=begin)

        assert parsing.recognised(path) == "threecx"
        assert [row["to_endpoint"] for row in rows(batches(path))] == ["504", "504"]


@pytest.mark.parametrize("order", [FIELDS, OTHER_ORDER])
def test_types_are_found_in_both_orders(tmp_path: Path, order: Sequence[str]) -> None:
    assert [leg["attempt"] for leg in facts(tmp_path, call(final_type="Queue"), order=order)] == ["no_human"]


def test_names_where_types_are_expected_are_not_taken_for_types(tmp_path: Path) -> None:
    named = call(from_type="Queue", to_type="Queue", final_type="Matti")

    assert [leg["attempt"] for leg in facts(tmp_path, named)] == ["talk"]


def test_a_name_with_a_comma_does_no_harm(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, call(final_dispname="Aalto, Alice"))

    assert (found["to_endpoint"], found["attempt"]) == ("504", "talk")


def test_a_header_is_no_call(tmp_path: Path) -> None:
    path = written(tmp_path, call(), begin="")
    path.write_text(",".join(FIELDS) + "\n" + path.read_text())

    assert parsing.recognised(path) == "threecx"
    assert [row["session_id"] for row in rows(batches(path))] == ["612504"]
    assert letters(batches(path)) == []


def test_another_order_is_mapped(tmp_path: Path) -> None:
    order = ("time-start", "time-answered", "time-end", "from-no", "to-no", "final-number", "final-type")
    mapping = {name: str(number) for number, name in enumerate(order, 1)}
    path = written(tmp_path, call(), direct(from_no=OTHER), order=order)

    first, second = rows(batches(path, mapping))

    # Without the id of the call its times are those of the zone, and what it says tells it apart.
    assert first["started_at"] == datetime(2024, 3, 5, 7)
    assert (first["session_id"], first["talk_seconds"], first["to_endpoint"]) == (None, 337, "504")
    assert second["from_token"] == token(OTHER)
    with pytest.raises(ConfigurationError, match="no column for to-no"):
        batches(path, {name: number for name, number in mapping.items() if name != "to-no"})
    with pytest.raises(ConfigurationError, match="its fields are in no known order; say which is which"):
        batches(path)
    path.write_text("")
    assert batches(path) == []


def test_a_call_without_a_history_is_known_by_its_own_id(tmp_path: Path) -> None:
    order = ("callid", "time-start", "time-answered", "time-end", "from-no", "to-no")
    path = written(tmp_path, direct(), order=order)

    (found,) = rows(batches(path, {name: str(number) for number, name in enumerate(order, 1)}))

    assert (found["session_id"], found["started_at"]) == (call_id(), datetime(2024, 3, 5, 9))


@pytest.mark.parametrize(
    "change",
    [{"callid": "17"}, {"time-start": "09:00"}, {"time-answered": "-"}, {"time-end": ""}, {"duration": "327"},
     {"reason-terminated": ""}, {"historyid": "6 12"}],
)  # fmt: skip
def test_lines_of_another_shape_are_not_claimed(tmp_path: Path, change: dict[str, str]) -> None:
    text = written(tmp_path, direct() | change).read_bytes()

    assert SOURCE.recognise(Sample(tmp_path / "cdr.log", text)) is None
    for other in (b"", b"1,2,3\n", b"time-start,from-no\n"):
        assert SOURCE.recognise(Sample(tmp_path / "cdr.log", other)) is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"time_start": ""}, "time-start: missing"),
        ({"time_start": "yesterday"}, "time-start: "),
        ({"time_end": "2024/03/05"}, "time-end: expected a date and time of day"),
        ({"time_start": "2024/03/05 09:10:00", "callid": "x"}, "ended_at is before started_at"),
        ({"duration": "long"}, "duration: expected hours:minutes:seconds"),
        ({"time_end": "0001/01/01 00:00:00", "time_start": "2024/03/05 11:00:00"}, "time-answered, time-end: "),
    ],
)
def test_a_line_that_cannot_be_used_is_a_dead_letter_without_its_parties(
    tmp_path: Path, fields: dict[str, str], reason: str
) -> None:
    read = batches(written(tmp_path, direct(), direct(**fields), call()))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit) == (2, "line")
    assert CUSTOMER[3:] not in letter.raw_text + letter.reason
    assert "Matti" not in letter.raw_text
    assert len(rows(read)) == 2


def test_a_line_that_is_cut_off_is_a_dead_letter(tmp_path: Path) -> None:
    path = written(tmp_path, direct())
    path.write_text(path.read_text() + f"Call 17,{call_id()},{CUSTOMER}\n")

    (letter,) = letters(batches(path))

    assert letter.reason == "has 3 fields, expected 15 or more"
    assert CUSTOMER[3:] not in letter.raw_text


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    whole = written(tmp_path, call(), direct(), outgoing()).read_bytes()
    path = tmp_path / "damaged.log"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
