"""FusionPBX's table of calls: one interaction of each call, with one channel's row or with both."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.sources import freeswitch_channels
from pipeline.sources.fusionpbx import SOURCE
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import letters, rows
from tests.parsing import phone as token
from tests.records import person

CUSTOMER, OTHER, COMPANY = "358401234567", "358407654321", "358942450000"  # as the table has them, without the plus
START = 1709629200  # 2024-03-05 09:00:00 UTC
A, B, C = (f"{each}0d2c5a8-0001-4f3e-9b7a-5f0e6d7c8b9a" for each in "abc")
DIRECTORY = (person("alice", extension="201"), person("bo", extension="202"))
CALL = {
    "xml_cdr_uuid": A, "domain_name": "pbx.example", "direction": "inbound", "leg": "a",
    "caller_id_name": "Matti Meikalainen", "caller_id_number": CUSTOMER, "source_number": CUSTOMER,
    "destination_number": "201", "start_epoch": str(START), "start_stamp": "2024-03-05 11:00:00+02",
    "end_epoch": str(START + 90), "end_stamp": "2024-03-05 11:01:30+02", "duration": "80", "billsec": "80",
    "bridge_uuid": B, "originating_leg_uuid": "", "hangup_cause": "NORMAL_CLEARING", "status": "answered",
    "voicemail_message": "f", "missed_call": "f", "last_app": "bridge", "cc_side": "", "cc_queue": "", "cc_agent": "",
    "cc_member_session_uuid": "", "cc_queue_answered_epoch": "",
}  # fmt: skip
PAGE = (
    "xml_cdr_uuid", "direction", "leg", "caller_id_number", "destination_number", "extension", "start_stamp",
    "end_stamp", "start_epoch", "billsec", "bridge_uuid", "hangup_cause", "status", "cc_side",
)  # fmt: skip


def row(**cells: str) -> dict[str, str]:
    """Return a row: a customer's channel that telephone 201 answered after 10 s, for 80 s."""
    return CALL | cells


def called(**cells: str) -> dict[str, str]:
    """Return the row of telephone 201's channel in the same call."""
    return row(**({"xml_cdr_uuid": B, "leg": "b", "bridge_uuid": A, "originating_leg_uuid": A} | cells))


def unanswered(**cells: str) -> dict[str, str]:
    nobody = {"billsec": "0", "duration": "0", "bridge_uuid": "", "hangup_cause": "NO_ANSWER", "status": "no_answer"}
    return row(**(nobody | cells))


def written(folder: Path, *records: Mapping[str, str], delimiter: str = ",") -> Path:
    path = folder / "v_xml_cdr.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, records[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(records)
    return path


def batches(path: Path, mapping: Mapping[str, str] | None = None) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping)


def facts(folder: Path, *records: Mapping[str, str]) -> list[dict[str, Any]]:
    return rows(batches(written(folder, *records)))


def told(folder: Path, *records: Mapping[str, str]) -> list[dict[str, Any]]:
    return parsing.interactions(batches(written(folder, *records)), DIRECTORY)


def test_the_facts_of_a_row(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, row())

    assert (found["channel"], found["line"], found["direction"]) == ("call", "pbx", "inbound")
    assert (found["from_token"], found["to_endpoint"], found["attempt"]) == (token(f"+{CUSTOMER}"), "201", "talk")
    assert (found["started_at"], found["ended_at"]) == (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 9, 1, 30))
    assert (found["talk_seconds"], found["session_id"], found["event_id"]) == (80, A, A)


def test_a_call_is_one_interaction_whether_the_table_has_one_channel_or_both(tmp_path: Path) -> None:
    for records in ([row()], [row(), called()], [called(), row()]):
        (found,) = told(tmp_path, *records)

        assert (found["token"], found["direction"]) == (token(f"+{CUSTOMER}"), "inbound")
        assert (found["representative_id"], found["talk_seconds"]) == ("alice", 80)


def test_the_telephones_row_tells_who_answered_and_for_how_long(tmp_path: Path) -> None:
    caller = row(destination_number="600", billsec="88")

    (found,) = told(tmp_path, caller, called(destination_number="202", billsec="60"))
    legs = facts(tmp_path, caller, called(destination_number="202", billsec="60"))

    assert (found["representative_id"], found["talk_seconds"]) == ("bo", 60)
    assert [(leg["session_id"], leg["attempt"]) for leg in legs] == [(A, "no_human"), (A, "talk")]


def test_the_pages_export_knows_the_callers_channel_by_the_one_that_it_was_joined_to(tmp_path: Path) -> None:
    def of_page(values: Mapping[str, str]) -> dict[str, str]:
        return {name: values.get(name, "") for name in PAGE}

    caller, telephone = row(destination_number="600"), called(extension="201", destination_number="201")
    path = written(tmp_path, of_page(telephone), of_page(caller))

    (found,) = parsing.interactions(batches(path), DIRECTORY)

    assert parsing.recognised(path) == "fusionpbx"
    assert (found["representative_id"], found["talk_seconds"]) == ("alice", 80)
    assert found["token"] == token(f"+{CUSTOMER}")


def test_times_are_read_from_stamps_where_epochs_lack(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, row(start_epoch="", end_epoch=""))
    (local,) = facts(
        tmp_path, row(start_epoch="", end_epoch="", start_stamp="2024-03-05 11:00:00", end_stamp="2024-03-05 11:01:30")
    )

    for each in (found, local):
        assert (each["started_at"], each["ended_at"]) == (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 9, 1, 30))


@pytest.mark.parametrize(
    "cells",
    [
        {"extension": "201", "caller_id_number": COMPANY, "source_number": COMPANY},
        {"caller_id_number": "201", "source_number": "201"},
        {"caller_id_number": COMPANY, "source_number": "201"},
    ],
)
def test_a_call_out_is_its_callers(tmp_path: Path, cells: dict[str, str]) -> None:
    caller = row(**({"direction": "outbound", "destination_number": OTHER, "extension": ""} | cells))

    (found,) = told(tmp_path, caller)

    assert (found["token"], found["direction"]) == (token(f"+{OTHER}"), "outbound")
    assert (found["representative_id"], found["talk_seconds"]) == ("alice", 80)


def test_of_a_call_out_the_callers_row_tells_the_talk(tmp_path: Path) -> None:
    caller = row(direction="outbound", destination_number=OTHER, caller_id_number="201")
    trunk = called(direction="outbound", destination_number=OTHER, caller_id_number=COMPANY, source_number=COMPANY)

    for other in (trunk, trunk | {"extension": "201"}):
        (found,) = told(tmp_path, caller | {"extension": ""}, other)

        assert (found["representative_id"], found["talk_seconds"]) == ("alice", 80)
        legs = facts(tmp_path, caller | {"extension": ""}, other)
        assert [leg["attempt"] for leg in legs] == ["talk", "no_human"]


def test_a_telephone_that_answered_too_late_does_not_take_the_talk_from_the_caller(tmp_path: Path) -> None:
    late = called(xml_cdr_uuid=C, bridge_uuid="", destination_number="202", billsec="2")

    (found,) = told(tmp_path, row(), late)

    assert (found["representative_id"], found["talk_seconds"]) == ("alice", 80)


def test_a_local_call_is_internal(tmp_path: Path) -> None:
    records = (row(direction="local", caller_id_number="202", source_number="202"),
               called(direction="local", caller_id_number="202", source_number="202"))  # fmt: skip

    assert [leg["direction"] for leg in facts(tmp_path, *records)] == ["internal", "internal"]
    assert told(tmp_path, *records) == []


@pytest.mark.parametrize(
    ("cells", "attempt"),
    [
        ({"bridge_uuid": ""}, "no_human"),  # a menu answered
        ({"status": "voicemail"}, "no_human"),
        ({"voicemail_message": "t"}, "no_human"),
        ({"missed_call": "true"}, "no_human"),
        ({"destination_number": "*99201"}, "no_human"),
        ({"last_app": "voicemail"}, "no_human"),
        ({"billsec": "0"}, "unanswered"),
        ({"billsec": "0", "hangup_cause": "USER_BUSY", "status": "busy"}, "unanswered"),
    ],
)
def test_what_reached_no_person(tmp_path: Path, cells: dict[str, str], attempt: str) -> None:
    (found,) = facts(tmp_path, row(**cells))

    assert (found["attempt"], found["talk_seconds"]) == (attempt, 0)
    assert told(tmp_path, row(**cells)) == []


def test_a_telephones_row_that_a_voicemail_took_leaves_the_talk_to_nobody(tmp_path: Path) -> None:
    taken = (row(bridge_uuid="", status="voicemail"), called(last_app="voicemail"))

    assert [leg["attempt"] for leg in facts(tmp_path, *taken)] == ["no_human", "no_human"]


def test_a_telephone_that_rang_in_vain_is_one_of_the_calls_legs_where_the_call_is_known(tmp_path: Path) -> None:
    lost = unanswered(xml_cdr_uuid=C, leg="b", originating_leg_uuid=A, destination_number="202")
    (batch,) = batches(written(tmp_path, row(), called(), lost, lost | {"originating_leg_uuid": ""}))

    assert [(leg["session_id"], leg["to_endpoint"]) for leg in rows([batch])] == [(A, "201"), (A, "201"), (A, "202")]
    assert batch.record_count == 3
    assert len(batch.warnings) == 1


def test_a_queues_caller_talks_from_when_an_agent_came(tmp_path: Path) -> None:
    member = row(
        destination_number="7000", cc_side="member", cc_queue="sales@pbx.example", cc_agent="202", billsec="89",
        cc_queue_answered_epoch=str(START + 40),
    )  # fmt: skip
    agent = called(
        originating_leg_uuid="", cc_side="agent", leg="a", cc_member_session_uuid=A, destination_number="202",
        billsec="50", bridge_uuid=C,
    )  # fmt: skip

    (alone,), (both,) = told(tmp_path, member), told(tmp_path, agent, member)
    (leg,) = facts(tmp_path, member)

    assert (leg["via_endpoint"], leg["talk_seconds"], leg["to_endpoint"]) == ("sales", 50, "202")
    for found in (alone, both):
        assert (found["representative_id"], found["talk_seconds"]) == ("bo", 50)


@pytest.mark.parametrize("came", ["", str(START + 5000)])
def test_a_queues_caller_without_a_usable_moment_of_answer(tmp_path: Path, came: str) -> None:
    (leg,) = facts(tmp_path, row(cc_side="member", cc_queue_answered_epoch=came))

    assert (leg["talk_seconds"], leg["attempt"]) == ((80, "talk") if not came else (0, "unanswered"))


@pytest.mark.parametrize("shown", ["anonymous", ""])
def test_a_withheld_caller_is_nobody_of_ours(tmp_path: Path, shown: str) -> None:
    (found,) = told(tmp_path, row(caller_id_number=shown))

    assert (found["token"], found["direction"], found["representative_id"]) == (None, "inbound", "alice")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_table_is_recognised_by_its_columns(tmp_path: Path, delimiter: str) -> None:
    path = written(tmp_path, row(), delimiter=delimiter)

    assert parsing.recognised(path) == "fusionpbx"
    assert len(rows(batches(path))) == 1
    for other in (b"", b"xml_cdr_uuid,start_epoch\n", b'{"xml_cdr_uuid": 1}'):
        assert SOURCE.recognise(Sample(path, other)) is None


def test_columns_are_mapped_and_one_that_lacks_is_refused(tmp_path: Path) -> None:
    renamed = {("caller" if name == "caller_id_number" else name): value for name, value in row().items()}
    path = written(tmp_path, renamed)

    (found,) = rows(batches(path, {"caller_id_number": "caller"}))
    assert found["from_token"] == token(f"+{CUSTOMER}")
    with pytest.raises(ConfigurationError, match=r"v_xml_cdr\.csv: no column 'caller_id_number'"):
        batches(path)
    with pytest.raises(ConfigurationError, match="the mapping is for 'caller', which is no field"):
        batches(path, {"caller": "caller_id_number"})


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"xml_cdr_uuid": ""}, "xml_cdr_uuid: missing"),
        ({"start_epoch": "", "start_stamp": ""}, "start_epoch: missing"),
        ({"start_epoch": "then"}, "start_epoch: expected the seconds since 1970"),
        ({"start_epoch": "", "start_stamp": "then"}, "start_stamp: "),
        ({"billsec": "long"}, "billsec: expected seconds"),
        ({"end_epoch": str(START - 1)}, "ended_at is before started_at"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_dead_letter_without_its_parties(
    tmp_path: Path, cells: dict[str, str], reason: str
) -> None:
    read = batches(written(tmp_path, row(**({"xml_cdr_uuid": C} | cells)), row()))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit) == (2, "line")
    assert CUSTOMER[3:] not in letter.raw_text + letter.reason
    assert "Matti" not in letter.raw_text
    assert len(rows(read)) == 1


def test_what_is_remembered_of_a_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freeswitch_channels, "MOST_LINKS", 1)

    assert len(facts(tmp_path, row(), called())) == 2
    with pytest.raises(ConfigurationError, match=r"v_xml_cdr\.csv: more than 1 answered calls in one file"):
        facts(tmp_path, called(), called(originating_leg_uuid=C))


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    whole = written(tmp_path, row(), called(), row(cc_side="member", cc_queue_answered_epoch="1709629240")).read_bytes()
    path = tmp_path / "damaged.csv"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
