"""FreeSWITCH's lines: what one channel's line tells, and what another line of the same file adds to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.sources import freeswitch_channels
from pipeline.sources.freeswitch_csv import SOURCE
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import letters, rows
from tests.parsing import phone as token
from tests.records import person

CUSTOMER, OTHER, COMPANY = "+358401234567", "+358407654321", "+358942450000"
A, B, C = (f"{each}0d2c5a8-0001-4f3e-9b7a-5f0e6d7c8b9a" for each in "abc")
DIRECTORY = (person("alice", extension="201"), person("bo", extension="202"))
HEADER = (
    "caller_id_name", "caller_id_number", "destination_number", "context", "start_stamp", "answer_stamp", "end_stamp",
    "duration", "billsec", "hangup_cause", "uuid", "bleg_uuid", "accountcode",
)  # fmt: skip
# A template of one's own, with what tells a call exactly; the columns are counted from 1.
OWN = (
    "uuid", "originating_leg_uuid", "caller_id_number", "user_name", "destination_number", "dialed_user",
    "bridge_channel", "last_app", "start_stamp", "end_stamp", "duration", "billsec", "hangup_cause", "bleg_uuid",
)  # fmt: skip
MAPPING = {name: str(number) for number, name in enumerate(OWN, 1)}


def line(uuid: str = A, bleg: str = "", **cells: str) -> str:
    """Return a line of the template `default`: a customer calls, rings for 10 s and is connected for 80 s."""
    values = {
        "caller_id_name": "Matti Meikäläinen",
        "caller_id_number": CUSTOMER,
        "destination_number": "201",
        "context": "default",
        "start_stamp": "2024-03-05 11:00:00",
        "answer_stamp": "2024-03-05 11:00:10",
        "end_stamp": "2024-03-05 11:01:30",
        "duration": "90",
        "billsec": "80",
        "hangup_cause": "NORMAL_CLEARING",
        "uuid": uuid,
        "bleg_uuid": bleg,
        "accountcode": "",
        **cells,
    }
    quoted = [f'"{value}"' for value in values.values()]
    return ",".join(quoted[:-1]) + ", " + quoted[-1]  # the template has this blank


def rung(uuid: str, **cells: str) -> str:
    """Return a line of a channel that nobody answered."""
    unanswered = {"answer_stamp": "", "billsec": "0", "hangup_cause": "NO_ANSWER"}
    return line(uuid, **(unanswered | cells))


def own_line(uuid: str = A, **cells: str) -> str:
    """Return a line of the template of one's own, with the same call."""
    values = {
        "uuid": uuid,
        "originating_leg_uuid": "",
        "caller_id_number": CUSTOMER,
        "user_name": "",
        "destination_number": COMPANY,
        "dialed_user": "",
        "bridge_channel": "",
        "last_app": "bridge",
        "start_stamp": "2024-03-05 11:00:00",
        "end_stamp": "2024-03-05 11:01:30",
        "duration": "90",
        "billsec": "80",
        "hangup_cause": "NORMAL_CLEARING",
        "bleg_uuid": "",
        **cells,
    }
    return ",".join(values.values())


def written(folder: Path, *lines: str) -> Path:
    path = folder / "Master.csv"
    path.write_text("".join(f"{each}\n" for each in lines), "utf-8")
    return path


def batches(path: Path, mapping: Mapping[str, str] | None = None) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping)


def facts(folder: Path, *lines: str, mapping: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    return rows(batches(written(folder, *lines), mapping))


def told(folder: Path, *lines: str, mapping: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    return parsing.interactions(batches(written(folder, *lines), mapping), DIRECTORY)


def test_the_facts_of_a_line(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, line(A, B))

    assert (found["channel"], found["line"], found["direction"]) == ("call", "pbx", "inbound")
    assert (found["from_token"], found["to_endpoint"], found["attempt"]) == (token(CUSTOMER), "201", "talk")
    # Stamps are local: Helsinki is two hours ahead in March.
    assert found["started_at"] == datetime(2024, 3, 5, 9)
    assert found["ended_at"] == datetime(2024, 3, 5, 9, 1, 30)
    assert (found["talk_seconds"], found["session_id"], found["event_id"]) == (80, A, A)


def test_a_call_whose_both_channels_have_a_line_is_one_interaction(tmp_path: Path) -> None:
    # The telephone's line comes first, and only the caller's says that they belong together.
    (found,) = told(tmp_path, line(B), line(A, B, destination_number=COMPANY))
    called, caller = facts(tmp_path, line(B), line(A, B, destination_number=COMPANY))

    assert (found["token"], found["direction"]) == (token(CUSTOMER), "inbound")
    assert (found["representative_id"], found["talk_seconds"]) == ("alice", 80)
    assert called["session_id"] == caller["session_id"] == A
    assert (called["attempt"], caller["attempt"]) == ("talk", "no_human")
    assert called["via_endpoint"] is None  # the telephone is no queue


def test_the_line_of_the_telephone_tells_who_answered_for_how_long_a_menu_not_counted(tmp_path: Path) -> None:
    menu = line(A, B, destination_number=COMPANY, duration="130", billsec="128", end_stamp="2024-03-05 11:02:10")

    (found,) = told(tmp_path, line(B, destination_number="202", billsec="60"), menu)

    assert (found["representative_id"], found["talk_seconds"]) == ("bo", 60)


def test_a_call_out_is_told_by_the_callers_line(tmp_path: Path) -> None:
    caller = line(A, B, caller_id_number="201", destination_number="0407654321")
    called = line(B, caller_id_number=COMPANY, destination_number="0407654321")

    (found,) = told(tmp_path, called, caller)

    assert (found["token"], found["direction"]) == (token(OTHER), "outbound")
    assert (found["representative_id"], found["talk_seconds"]) == ("alice", 80)


def test_a_call_between_telephones_is_internal(tmp_path: Path) -> None:
    lines = (line(B, caller_id_number="201", destination_number="202"),
             line(A, B, caller_id_number="201", destination_number="202"))  # fmt: skip

    assert [row["direction"] for row in facts(tmp_path, *lines)] == ["internal", "internal"]
    assert told(tmp_path, *lines) == []


@pytest.mark.parametrize(
    ("cells", "attempt"),
    [
        ({}, "no_human"),  # answered, and joined to nobody: a menu, a queue or a voicemail
        ({"billsec": "0", "answer_stamp": "", "hangup_cause": "ORIGINATOR_CANCEL"}, "unanswered"),
        ({"billsec": "0", "answer_stamp": "", "hangup_cause": "USER_BUSY"}, "unanswered"),
    ],
)
def test_what_was_joined_to_nobody_is_no_talk(tmp_path: Path, cells: dict[str, str], attempt: str) -> None:
    (found,) = facts(tmp_path, line(A, **cells))

    assert (found["attempt"], found["talk_seconds"]) == (attempt, 0)
    assert told(tmp_path, line(A, **cells)) == []


def test_the_number_dialled_is_the_queue_when_it_is_one_of_the_switchs_own(tmp_path: Path) -> None:
    assert [row["via_endpoint"] for row in facts(tmp_path, line(A, B, destination_number="600"))] == ["600"]
    assert [row["via_endpoint"] for row in facts(tmp_path, line(A, B, destination_number=COMPANY))] == [None]


def test_a_telephone_that_rang_in_vain_is_a_call_of_its_own_that_nobody_took(tmp_path: Path) -> None:
    lines = (rung(C, destination_number="202"), line(B), line(A, B, destination_number=COMPANY))

    (found,) = told(tmp_path, *lines)
    lost = facts(tmp_path, *lines)[0]

    assert (found["representative_id"], found["talk_seconds"]) == ("alice", 80)
    assert (lost["session_id"], lost["attempt"], lost["to_endpoint"]) == (C, "unanswered", "202")


@pytest.mark.parametrize("shown", ["anonymous", "Unavailable", ""])
def test_a_withheld_caller_is_nobody_of_ours(tmp_path: Path, shown: str) -> None:
    (found,) = told(tmp_path, line(A, B, caller_id_number=shown))

    assert (found["token"], found["direction"], found["representative_id"]) == (None, "inbound", "alice")


def test_an_hour_that_comes_twice_does_not_make_a_call_end_before_it_began(tmp_path: Path) -> None:
    stamps = {"start_stamp": "2024-10-27 03:59:30", "end_stamp": "2024-10-27 03:01:00", "answer_stamp": ""}

    (found,) = facts(tmp_path, line(A, B, **stamps))

    assert (found["ended_at"] - found["started_at"]).total_seconds() == 90


@pytest.mark.parametrize("extra", [0, 1, 3, 17])
def test_templates_that_begin_alike_are_recognised(tmp_path: Path, extra: int) -> None:
    path = written(tmp_path, *[line(each, B) + ',"PCMA"' * extra for each in (A, C)])

    assert parsing.recognised(path) == "freeswitch_csv"
    assert [row["to_endpoint"] for row in rows(batches(path))] == ["201", "201"]


@pytest.mark.parametrize("header", [HEADER, [name.upper() for name in HEADER]])
def test_a_header_is_no_call(tmp_path: Path, header: Sequence[str]) -> None:
    path = written(tmp_path, ",".join(header), line(A, B))

    assert parsing.recognised(path) == "freeswitch_csv"
    assert [row["session_id"] for row in rows(batches(path))] == [A]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "caller,called,start\n201,202,2024-03-05\n",
        line(A).replace(A, "17") + "\n",
        line(A).replace("NORMAL_CLEARING", "ANSWERED call") + "\n",
        line(A, start_stamp="1709629200") + "\n",
        line(A, billsec="-") + "\n",
    ],
)
def test_other_tables_are_not_claimed(tmp_path: Path, text: str) -> None:
    assert SOURCE.recognise(Sample(tmp_path / "Master.csv", text.encode())) is None


def test_a_template_of_ones_own_is_mapped(tmp_path: Path) -> None:
    phone = "sofia/internal/201@192.0.2.7"
    caller = own_line(A, bridge_channel=phone, bleg_uuid=B)
    called = own_line(B, originating_leg_uuid=A, destination_number="201", dialed_user="201", billsec="70")
    lost = own_line(
        C, originating_leg_uuid=A, destination_number="202", dialed_user="202", billsec="0", hangup_cause="LOSE_RACE"
    )

    (found,) = told(tmp_path, called, lost, caller, mapping=MAPPING)
    legs = facts(tmp_path, called, lost, caller, mapping=MAPPING)
    (alone,) = told(tmp_path, caller, mapping=MAPPING)

    assert (found["token"], found["representative_id"], found["talk_seconds"]) == (token(CUSTOMER), "alice", 70)
    assert [leg["attempt"] for leg in legs] == ["talk", "unanswered", "no_human"]
    assert [leg["to_endpoint"] for leg in legs] == ["201", "202", "201"]
    assert {leg["session_id"] for leg in legs} == {A}
    assert (alone["representative_id"], alone["talk_seconds"]) == ("alice", 80)


def test_a_user_is_known_by_name_where_the_template_has_it(tmp_path: Path) -> None:
    out = own_line(A, user_name="maija", caller_id_number=COMPANY, destination_number=OTHER, bleg_uuid=B)
    called = own_line(B, originating_leg_uuid=A, user_name="maija", caller_id_number=COMPANY, destination_number=OTHER)

    first, second = facts(tmp_path, out, called, mapping=MAPPING)

    assert (first["from_endpoint"], first["direction"], first["attempt"]) == ("maija", "outbound", "talk")
    # The user of a channel that was made for another one is not who called.
    assert (second["from_endpoint"], second["attempt"]) == (None, "no_human")


@pytest.mark.parametrize("partner", ["loopback/app=voicemail:default", ""])
def test_a_voicemail_is_no_talk(tmp_path: Path, partner: str) -> None:
    left = own_line(A, bridge_channel=partner, last_app="voicemail")

    assert [row["attempt"] for row in facts(tmp_path, left, mapping=MAPPING)] == ["no_human"]


def test_a_mapping_by_name_goes_by_the_header(tmp_path: Path) -> None:
    names = {"uuid": "Id", "caller_id_number": "Source", "destination_number": "Target", "start_stamp": "Begin",
             "billsec": "Talk", "bleg_uuid": "Other"}  # fmt: skip
    path = written(tmp_path, ",".join(names.values()), f"{A},{CUSTOMER},201,2024-03-05 11:00:00,80,{B}")

    (found,) = rows(batches(path, names))

    assert (found["from_token"], found["to_endpoint"], found["talk_seconds"]) == (token(CUSTOMER), "201", 80)


def test_a_mapping_by_number_takes_a_first_line_of_data_for_data(tmp_path: Path) -> None:
    lines = [own_line(each, bleg_uuid=B) for each in (A, C)]

    assert [row["session_id"] for row in facts(tmp_path, *lines, mapping=MAPPING)] == [A, C]
    spoilt = [
        each.replace("2024-03-05 11:0", "5.3.2024 11.0").replace(":00,", ".00,").replace(":30,", ".30,")
        for each in lines
    ]
    assert len(facts(tmp_path, *spoilt, mapping=MAPPING)) == 2


def test_unknown_columns_are_refused_with_the_remedy(tmp_path: Path) -> None:
    path = written(tmp_path, own_line(A))

    with pytest.raises(ConfigurationError, match=r"its columns are of no known template; .* mapping = \{"):
        batches(path)
    with pytest.raises(ConfigurationError, match="uuid"):
        batches(path, {name: number for name, number in MAPPING.items() if name != "uuid"})
    assert rows(batches(written(tmp_path))) == []


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"uuid": ""}, "uuid: missing"),
        ({"start_stamp": ""}, "start_stamp: missing"),
        ({"start_stamp": "yesterday"}, "start_stamp: "),
        ({"start_stamp": "2024-03-05"}, "start_stamp: expected a date and time of day"),
        ({"billsec": "long"}, "billsec: expected seconds"),
        ({"billsec": "-3"}, "billsec: expected seconds, 0 or more"),
        ({"duration": "inf"}, "duration: expected seconds, 0 or more"),
    ],
)
def test_a_line_that_cannot_be_used_is_a_dead_letter_without_its_parties(
    tmp_path: Path, cells: dict[str, str], reason: str
) -> None:
    read = batches(written(tmp_path, line(A, B), line(**({"uuid": C} | cells)), line(C, B)))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit) == (2, "line")
    assert CUSTOMER[3:] not in letter.raw_text + letter.reason
    assert "Matti" not in letter.raw_text
    assert len(rows(read)) == 2


def test_a_line_with_too_few_cells_is_a_dead_letter(tmp_path: Path) -> None:
    read = batches(written(tmp_path, line(A, B), f'"{CUSTOMER}","201"'))

    (letter,) = letters(read)
    assert letter.position == 2
    assert CUSTOMER[3:] not in letter.raw_text


def test_what_is_remembered_of_a_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freeswitch_channels, "MOST_LINKS", 1)

    assert len(facts(tmp_path, line(A, B))) == 1
    with pytest.raises(ConfigurationError, match=r"Master\.csv: more than 1 answered calls in one file; split it"):
        facts(tmp_path, line(A, B), line(B, C))


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    whole = written(tmp_path, line(B), line(A, B, destination_number=COMPANY), rung(C)).read_bytes()
    path = tmp_path / "damaged.csv"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
