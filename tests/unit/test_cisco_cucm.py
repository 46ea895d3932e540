"""Cisco's call detail records: the connections of one call put together, and what answers without being a person."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.sources.cisco_cucm import SOURCE
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import letters, rows
from tests.parsing import phone as token
from tests.records import person

CUSTOMER, OTHER, COMPANY = "+358401234567", "+358407654321", "+358942450000"
START = 1709629200  # 2024-03-05 09:00:00 UTC
PHONE, OTHER_PHONE, TRUNK = "SEP0003E333FEBD", "SEP0003E333FAD1", "SIP-TRUNK-OPERATOR"
BRIDGE = "b0029901001"
DIRECTORY = (person("alice", extension="2001"), person("bo", extension="2002"))
# The columns of release 11, in the order of the files; the first 118 are those of release 9.
NAMES = """
cdrRecordType globalCallID_callManagerId globalCallID_callId origLegCallIdentifier dateTimeOrigination origNodeId
origSpan origIpAddr callingPartyNumber callingPartyUnicodeLoginUserID origCause_location origCause_value
origPrecedenceLevel origMediaTransportAddress_IP origMediaTransportAddress_Port origMediaCap_payloadCapability
origMediaCap_maxFramesPerPacket origMediaCap_g723BitRate origVideoCap_Codec origVideoCap_Bandwidth
origVideoCap_Resolution origVideoTransportAddress_IP origVideoTransportAddress_Port origRSVPAudioStat
origRSVPVideoStat destLegIdentifier destNodeId destSpan destIpAddr originalCalledPartyNumber finalCalledPartyNumber
finalCalledPartyUnicodeLoginUserID destCause_location destCause_value destPrecedenceLevel
destMediaTransportAddress_IP destMediaTransportAddress_Port destMediaCap_payloadCapability
destMediaCap_maxFramesPerPacket destMediaCap_g723BitRate destVideoCap_Codec destVideoCap_Bandwidth
destVideoCap_Resolution destVideoTransportAddress_IP destVideoTransportAddress_Port destRSVPAudioStat
destRSVPVideoStat dateTimeConnect dateTimeDisconnect lastRedirectDn pkid originalCalledPartyNumberPartition
callingPartyNumberPartition finalCalledPartyNumberPartition lastRedirectDnPartition duration origDeviceName
destDeviceName origCallTerminationOnBehalfOf destCallTerminationOnBehalfOf origCalledPartyRedirectOnBehalfOf
lastRedirectRedirectOnBehalfOf origCalledPartyRedirectReason lastRedirectRedirectReason destConversationId
globalCallId_ClusterID joinOnBehalfOf comment authCodeDescription authorizationLevel clientMatterCode origDTMFMethod
destDTMFMethod callSecuredStatus origConversationId origMediaCap_Bandwidth destMediaCap_Bandwidth
authorizationCodeValue outpulsedCallingPartyNumber outpulsedCalledPartyNumber origIpv4v6Addr destIpv4v6Addr
origVideoCap_Codec_Channel2 origVideoCap_Bandwidth_Channel2 origVideoCap_Resolution_Channel2
origVideoTransportAddress_IP_Channel2 origVideoTransportAddress_Port_Channel2 origVideoChannel_Role_Channel2
destVideoCap_Codec_Channel2 destVideoCap_Bandwidth_Channel2 destVideoCap_Resolution_Channel2
destVideoTransportAddress_IP_Channel2 destVideoTransportAddress_Port_Channel2 destVideoChannel_Role_Channel2
IncomingProtocolID IncomingProtocolCallRef OutgoingProtocolID OutgoingProtocolCallRef currentRoutingReason
origRoutingReason lastRedirectingRoutingReason huntPilotPartition huntPilotDN calledPartyPatternUsage IncomingICID
IncomingOrigIOI IncomingTermIOI OutgoingICID OutgoingOrigIOI OutgoingTermIOI outpulsedOriginalCalledPartyNumber
outpulsedLastRedirectingNumber wasCallQueued totalWaitTimeInQueue callingPartyNumber_uri
originalCalledPartyNumber_uri finalCalledPartyNumber_uri lastRedirectDn_uri mobileCallingPartyNumber
finalMobileCalledPartyNumber origMobileDeviceName destMobileDeviceName origMobileCallDuration destMobileCallDuration
mobileCallType originalCalledPartyPattern finalCalledPartyPattern lastRedirectingPartyPattern huntPilotPattern
"""
COLUMNS = NAMES.split()
QUALITY = ("cdrRecordType", "globalCallID_callManagerId", "globalCallID_callId", "nodeId", "directoryNum",
           "callIdentifier", "dateTimeStamp", "numberPacketsSent")  # fmt: skip
TYPES = ["VARCHAR(50)" if "Number" in name or "Name" in name or "Dn" in name else "INTEGER" for name in COLUMNS]


def row(call_id: str = "41", pkid: int = 1, connect: int | None = 10, end: int = 90, /, **cells: str) -> dict[str, str]:
    """Return a record: a customer calls through a trunk, and extension 2001 answers after 10 s, for 80 s."""
    empty = dict.fromkeys(COLUMNS, "")
    return empty | {
        "cdrRecordType": "1",
        "globalCallID_callManagerId": "2",
        "globalCallID_callId": call_id,
        "origLegCallIdentifier": "101",
        "dateTimeOrigination": str(START),
        "origIpAddr": "-131332086",
        "callingPartyNumber": CUSTOMER,
        "origCause_value": "16",
        "originalCalledPartyNumber": "2001",
        "finalCalledPartyNumber": "2001",
        "destCause_value": "0",
        "dateTimeConnect": "0" if connect is None else str(START + connect),
        "dateTimeDisconnect": str(START + end),
        "pkid": f"{pkid:08x}-0001-4f3e-9b7a-5f0e6d7c8b9a",
        "duration": "0" if connect is None else str(end - connect),
        "origDeviceName": TRUNK,
        "destDeviceName": PHONE,
        "origCalledPartyRedirectOnBehalfOf": "0",
        "lastRedirectRedirectOnBehalfOf": "0",
        "globalCallId_ClusterID": "StandAloneCluster",
        "joinOnBehalfOf": "0",
        "calledPartyPatternUsage": "2",
        **cells,
    }


def into_bridge(pkid: int, number: str, device: str, controller: str = "2001", **cells: str) -> dict[str, str]:
    """Return a party's connection to a conference that lasts from 60 s to 420 s."""
    fields = {
        "callingPartyNumber": number,
        "origDeviceName": device,
        "originalCalledPartyNumber": BRIDGE,
        "finalCalledPartyNumber": BRIDGE,
        "destDeviceName": "CFB_2",
        "lastRedirectRedirectOnBehalfOf": "4",
        "joinOnBehalfOf": "4",
        "comment": f"ConfControllerDn={controller};ConfControllerDeviceName={PHONE}",
    }
    return row("41", pkid, 60, 420, dateTimeOrigination=str(START + 60), **(fields | cells))


def line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def written(
    folder: Path, *records: Mapping[str, str], columns: Sequence[str] = COLUMNS, is_headed: bool = True
) -> Path:
    path = folder / "cdr_StandAloneCluster_02_202403050900_1"
    top = line(columns) + line(TYPES[: len(columns)]) if is_headed else ""
    path.write_text(top + "".join(line([record[name] for name in columns]) for record in records))
    return path


def batches(
    path: Path, mapping: Mapping[str, str] | None = None, options: Mapping[str, Any] | None = None
) -> list[Batch]:
    return parsing.batches(SOURCE, path, mapping, options)


def facts(folder: Path, *records: Mapping[str, str], machines: Sequence[str] = ()) -> list[dict[str, Any]]:
    return rows(batches(written(folder, *records), options={"machines": list(machines)}))


def told(folder: Path, *records: Mapping[str, str]) -> list[dict[str, Any]]:
    return parsing.interactions(batches(written(folder, *records)), DIRECTORY)


def test_the_facts_of_a_record(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, row())

    assert (found["channel"], found["line"], found["direction"]) == ("call", "pbx", "inbound")
    assert (found["from_token"], found["from_endpoint"]) == (token(CUSTOMER), None)
    assert (found["to_token"], found["to_endpoint"]) == (None, "2001")
    # The files are in UTC whatever the zone of the company.
    assert found["started_at"] == datetime(2024, 3, 5, 9)
    assert found["answered_at"] == datetime(2024, 3, 5, 9, 0, 10)
    assert found["ended_at"] == datetime(2024, 3, 5, 9, 1, 30)
    assert (found["attempt"], found["talk_seconds"]) == ("talk", 80)
    assert found["session_id"] == "StandAloneCluster-2-41"
    assert found["event_id"] == "00000001-0001-4f3e-9b7a-5f0e6d7c8b9a"


def test_a_call_out_is_its_callers(tmp_path: Path) -> None:
    out = {"callingPartyNumber": "2001", "origDeviceName": PHONE, "destDeviceName": TRUNK}

    (found,) = told(tmp_path, row(finalCalledPartyNumber=OTHER, **out))

    assert (found["token"], found["direction"]) == (token(OTHER), "outbound")
    assert (found["representative_id"], found["talk_seconds"]) == ("alice", 80)


@pytest.mark.parametrize(
    ("dialled", "sent", "meant"),
    [
        ("00407654321", "0407654321", OTHER),  # with the digit for an outside line
        ("+12145551212", "2145551212", "+12145551212"),
        ("0407654321", "", OTHER),
    ],
)
def test_the_number_sent_to_the_gateway_stands_above_the_one_dialled(
    tmp_path: Path, dialled: str, sent: str, meant: str
) -> None:
    out = {"callingPartyNumber": "2001", "origDeviceName": PHONE, "destDeviceName": TRUNK}

    (found,) = facts(tmp_path, row(finalCalledPartyNumber=dialled, outpulsedCalledPartyNumber=sent, **out))

    assert found["to_token"] == token(meant)


def test_a_call_between_extensions_is_internal(tmp_path: Path) -> None:
    record = row(callingPartyNumber="2002", origDeviceName=OTHER_PHONE)

    assert [leg["direction"] for leg in facts(tmp_path, record)] == ["internal"]
    assert told(tmp_path, record) == []


@pytest.mark.parametrize(
    ("user", "device", "endpoint"),
    [
        ("alice", PHONE, "alice"),
        ("alice@acme.example", PHONE, "alice"),
        ("", PHONE, PHONE),
        ("", "CSFALICE", "CSFALICE"),
        ("", "AN0003E333FEBD0012", "AN0003E333FEBD0012"),
        ("", TRUNK, None),
        ("", "ANALOGUE-GATEWAY", None),
    ],
)
def test_a_telephone_with_a_long_number_is_known_by_its_user_or_its_name(
    tmp_path: Path, user: str, device: str, endpoint: str | None
) -> None:
    record = row(finalCalledPartyNumber=COMPANY, finalCalledPartyUnicodeLoginUserID=user, destDeviceName=device)
    called_back = row(
        callingPartyNumber=COMPANY, callingPartyUnicodeLoginUserID=user, origDeviceName=device,
        finalCalledPartyNumber=CUSTOMER, destDeviceName=TRUNK,
    )  # fmt: skip

    inbound, outbound = facts(tmp_path, record, called_back)

    assert (inbound["to_endpoint"], inbound["to_token"]) == (endpoint, token(COMPANY))
    assert inbound["direction"] == ("inbound" if endpoint else None)
    assert (outbound["from_endpoint"], outbound["direction"]) == (endpoint, "outbound" if endpoint else None)


@pytest.mark.parametrize(
    ("causes", "attempt"), [(("16", "0"), "unanswered"), (("0", "17"), "unanswered"), (("1", "0"), "unanswered")]
)
def test_a_call_that_never_connected_was_not_answered(tmp_path: Path, causes: tuple[str, str], attempt: str) -> None:
    record = row("41", 1, None, 30, origCause_value=causes[0], destCause_value=causes[1])

    (found,) = facts(tmp_path, record)

    assert (found["attempt"], found["talk_seconds"]) == (attempt, 0)
    assert found["ended_at"] == datetime(2024, 3, 5, 9, 0, 30)
    assert told(tmp_path, record) == []


def test_a_handset_that_was_lifted_and_put_back_is_no_call(tmp_path: Path) -> None:
    (batch,) = batches(written(tmp_path, row("41", 1, None, finalCalledPartyNumber=""), row()))

    assert len(rows([batch])) == batch.record_count == 1
    assert len(batch.warnings) == 1


@pytest.mark.parametrize("shown", ["", "anonymous"])
def test_a_withheld_caller_is_nobody_of_ours(tmp_path: Path, shown: str) -> None:
    (found,) = told(tmp_path, row(callingPartyNumber=shown))

    assert (found["token"], found["direction"], found["representative_id"]) == (None, "inbound", "alice")


def test_a_transferred_call_is_one_interaction_of_both_who_talked(tmp_path: Path) -> None:
    split = {"origCause_value": "393216", "destCause_value": "393216"}
    first = row("41", 1, 10, 70, **split)
    asked = row(
        "42", 2, 45, 70, callingPartyNumber="2001", origDeviceName=PHONE, finalCalledPartyNumber="2002",
        destDeviceName=OTHER_PHONE, dateTimeOrigination=str(START + 40), **split,
    )  # fmt: skip
    second = row(
        "41", 3, 70, 190, finalCalledPartyNumber="2002", destDeviceName=OTHER_PHONE, joinOnBehalfOf="10",
        lastRedirectRedirectOnBehalfOf="10",
    )  # fmt: skip

    (found,) = told(tmp_path, asked, second, first)

    assert (found["token"], found["direction"]) == (token(CUSTOMER), "inbound")
    assert (found["representative_id"], found["talk_seconds"]) == ("bo", 60 + 120)
    assert (found["started_at"], found["ended_at"]) == (datetime(2024, 3, 5, 9), datetime(2024, 3, 5, 9, 3, 10))


def test_whoever_takes_a_parked_call_seems_to_call_but_the_call_came_in(tmp_path: Path) -> None:
    parked = row("41", 1, 10, 50, origCause_value="393216", destCause_value="393216")
    taken = row(
        "41", 2, 80, 140, callingPartyNumber="2002", origDeviceName=OTHER_PHONE, originalCalledPartyNumber=CUSTOMER,
        finalCalledPartyNumber=CUSTOMER, destDeviceName=TRUNK, dateTimeOrigination=str(START + 75),
        lastRedirectRedirectOnBehalfOf="3", joinOnBehalfOf="3",
    )  # fmt: skip

    (found,) = told(tmp_path, taken, parked)

    assert (found["token"], found["direction"]) == (token(CUSTOMER), "inbound")
    assert (found["representative_id"], found["talk_seconds"]) == ("bo", 40 + 60)


def test_a_conference_is_the_customers_talk_with_its_controller(tmp_path: Path) -> None:
    first = row("41", 1, 10, 60, origCause_value="393216", destCause_value="393216")
    customers = into_bridge(2, CUSTOMER, TRUNK)
    ours = [into_bridge(3, "2001", PHONE), into_bridge(4, "2002", OTHER_PHONE)]
    last = row("41", 5, 420, 475, lastRedirectRedirectOnBehalfOf="4", joinOnBehalfOf="4")

    (found,) = told(tmp_path, *ours, last, customers, first)
    legs = facts(tmp_path, *ours, customers)

    assert (found["token"], found["representative_id"]) == (token(CUSTOMER), "alice")
    assert found["talk_seconds"] == 50 + 360 + 55
    assert [leg["direction"] for leg in legs] == ["internal", "internal", "inbound"]
    assert [leg["to_endpoint"] for leg in legs] == ["2001", "2002", "2001"]


def test_the_last_controller_named_is_the_one_of_this_conference(tmp_path: Path) -> None:
    comment = "ConfControllerDn=2001;ConfControllerDeviceName=X;ConfControllerDn=2002;DropConfControllerDn=2001"

    named, unnamed = facts(
        tmp_path, into_bridge(2, CUSTOMER, TRUNK, comment=comment), into_bridge(3, CUSTOMER, TRUNK, comment="")
    )

    assert (named["to_endpoint"], named["attempt"]) == ("2002", "talk")
    assert (unnamed["to_endpoint"], unnamed["attempt"], unnamed["direction"]) == (None, "talk", "inbound")


def test_a_conference_that_calls_a_party_is_its_connection_too(tmp_path: Path) -> None:
    to_ours = into_bridge(2, BRIDGE, "CFB_2", finalCalledPartyNumber="2002", destDeviceName=OTHER_PHONE)

    (found,) = facts(tmp_path, to_ours)

    assert (found["direction"], found["from_endpoint"], found["to_endpoint"]) == ("internal", "2002", "2002")


@pytest.mark.parametrize(
    "cells",
    [
        {"callingPartyNumber": "BIB", "finalCalledPartyNumber": "90000"},
        {"origCalledPartyRedirectOnBehalfOf": "27", "callingPartyNumber": "2001", "finalCalledPartyNumber": "90000"},
        {"lastRedirectRedirectOnBehalfOf": "28", "callingPartyNumber": "2002", "finalCalledPartyNumber": BRIDGE},
        {"joinOnBehalfOf": "33", "callingPartyNumber": "1000", "finalCalledPartyNumber": BRIDGE},
        {"joinOnBehalfOf": "15", "finalCalledPartyNumber": BRIDGE},
        {"callingPartyNumber": BRIDGE, "finalCalledPartyNumber": "b0029901222"},
    ],
)
def test_what_lies_beside_a_talk_is_passed_over(tmp_path: Path, cells: dict[str, str]) -> None:
    (batch,) = batches(written(tmp_path, row("44", 4, **cells), row()))

    assert [leg["session_id"] for leg in rows([batch])] == ["StandAloneCluster-2-41"]
    assert "1 of its records" in batch.warnings[0]


def test_a_talk_that_went_on_after_barging_counts(tmp_path: Path) -> None:
    assert [leg["attempt"] for leg in facts(tmp_path, row(joinOnBehalfOf="15"))] == ["talk"]


@pytest.mark.parametrize(
    "cells",
    [
        {"calledPartyPatternUsage": "8"},
        {"destDeviceName": "CiscoUM1-VI12"},
        {"lastRedirectRedirectOnBehalfOf": "14"},
        {"finalCalledPartyNumber": "c00124401001", "destDeviceName": "IVR_2"},
        {"destDeviceName": "ParkingLotDevice", "finalCalledPartyNumber": "4444"},
        {"huntPilotDN": "2000", "finalCalledPartyNumber": "2000", "destDeviceName": "ANN_2"},
        {"finalCalledPartyNumber": "5000", "destDeviceName": "UNITY"},
        {"finalCalledPartyNumber": "6001", "destDeviceName": "Cti_Port_7"},
    ],
)
def test_what_a_machine_answered_is_no_talk(tmp_path: Path, cells: dict[str, str]) -> None:
    (found,) = facts(tmp_path, row(**cells), machines=["5000", "CTI_*"])

    assert (found["attempt"], found["talk_seconds"]) == ("no_human", 0)


def test_a_number_is_a_machine_only_when_it_is_said(tmp_path: Path) -> None:
    unity = row(finalCalledPartyNumber="5000", destDeviceName="UNITY")

    assert [leg["attempt"] for leg in facts(tmp_path, unity)] == ["talk"]
    with pytest.raises(ConfigurationError, match=r"options\.machines is '5000'; expected numbers and devices"):
        batches(written(tmp_path, unity), options={"machines": "5000"})


def test_a_diverted_call_keeps_the_talk_before_it(tmp_path: Path) -> None:
    talked = row("41", 1, 10, 40)
    diverted = row("41", 2, 40, 60, finalCalledPartyNumber="5000", lastRedirectRedirectOnBehalfOf="14")

    (found,) = told(tmp_path, talked, diverted)

    assert (found["representative_id"], found["talk_seconds"]) == ("alice", 30)


@pytest.mark.parametrize(
    ("cells", "endpoint"),
    [
        ({"finalCalledPartyNumber": "2001"}, "2001"),
        ({"finalCalledPartyNumber": "2000"}, PHONE),  # the member's number is hidden by a setting
        ({"finalCalledPartyNumber": "2000", "finalCalledPartyUnicodeLoginUserID": "alice"}, "alice"),
        (
            {
                "finalCalledPartyNumber": "2000",
                "finalCalledPartyUnicodeLoginUserID": "alice",
                "destDeviceName": "SOFTPHONE7",
            },
            "alice",
        ),
    ],
)
def test_a_member_of_a_hunt_list_is_told_from_its_pilot(tmp_path: Path, cells: dict[str, str], endpoint: str) -> None:
    (found,) = facts(tmp_path, row(huntPilotDN="2000", originalCalledPartyNumber="2000", **cells))

    assert (found["via_endpoint"], found["to_endpoint"], found["attempt"]) == ("2000", endpoint, "talk")


def test_a_hunt_list_that_nobody_answered_is_known_by_its_pattern(tmp_path: Path) -> None:
    record = row("41", 1, None, finalCalledPartyNumber="2000", calledPartyPatternUsage="7", destDeviceName="")

    (found,) = facts(tmp_path, record)

    assert (found["via_endpoint"], found["to_endpoint"], found["attempt"]) == ("2000", "2000", "unanswered")


def test_a_call_that_connects_at_once_starts_no_later_than_it_connects(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, row(dateTimeOrigination=str(START + 20)))
    (unknown,) = facts(tmp_path, row(dateTimeOrigination="0"))

    assert found["started_at"] == unknown["started_at"] == datetime(2024, 3, 5, 9, 0, 10)


def test_a_call_without_its_end_lasts_as_long_as_it_says(tmp_path: Path) -> None:
    (found,) = facts(tmp_path, row(dateTimeDisconnect="0"))

    assert (found["talk_seconds"], found["attempt"]) == (80, "talk")


@pytest.mark.parametrize("width", [118, 129])
@pytest.mark.parametrize("is_headed", [True, False])
def test_files_are_recognised_with_and_without_their_first_lines(tmp_path: Path, width: int, is_headed: bool) -> None:
    path = written(tmp_path, row(), row("42", 2, None), columns=COLUMNS[:width], is_headed=is_headed)

    assert parsing.recognised(path) == "cisco_cucm"
    found = rows(batches(path))
    assert [(leg["to_endpoint"], leg["attempt"]) for leg in found] == [("2001", "talk"), ("2001", "unanswered")]


def test_every_field_is_found_without_a_header_as_with_one(tmp_path: Path) -> None:
    records = (
        row(finalCalledPartyNumber="2000", huntPilotDN="2000", finalCalledPartyUnicodeLoginUserID="alice"),
        row("42", callingPartyNumber=COMPANY, callingPartyUnicodeLoginUserID="bo", destDeviceName=TRUNK,
            finalCalledPartyNumber="00407654321", outpulsedCalledPartyNumber="0407654321"),
        row("43", 1, None, destCause_value="17", calledPartyPatternUsage="7"),
        row("44", origCalledPartyRedirectOnBehalfOf="27"),
        into_bridge(5, CUSTOMER, TRUNK),
        row("46", lastRedirectRedirectOnBehalfOf="14"),
        row("47", dateTimeDisconnect="0"),
        row("48", joinOnBehalfOf="33"),
        row("49", 1, None, origCause_value="17"),
    )  # fmt: skip
    with_names = rows(batches(written(tmp_path, *records)))
    without = rows(batches(written(tmp_path, *records, is_headed=False)))

    assert [{**leg, "raw_id": ""} for leg in without] == [{**leg, "raw_id": ""} for leg in with_names]
    assert len(without) == 7


@pytest.mark.parametrize(
    "change", [{"cdrRecordType": "2"}, {"dateTimeOrigination": "2024-03-05"}, {"pkid": "17"}, {"duration": "-"},
               {"dateTimeConnect": "never"}, {"dateTimeDisconnect": "0"}, {"origLegCallIdentifier": "x"}]
)  # fmt: skip
def test_lines_of_another_shape_are_not_claimed(tmp_path: Path, change: dict[str, str]) -> None:
    text = line([(row() | change)[name] for name in COLUMNS])

    assert SOURCE.recognise(Sample(tmp_path / "cdr", text.encode())) is None
    for other in (b"", b"1,2,3\n", b"cdrRecordType,when\n"):
        assert SOURCE.recognise(Sample(tmp_path / "cdr", other)) is None


def test_records_of_quality_give_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cmr_StandAloneCluster_02_202403050900_1"
    path.write_text(
        line(QUALITY) + line(["INTEGER"] * 8) + line(["2", "2", "41", "1", "2001", "101", "1709629290", "9"])
    )

    (batch,) = batches(path)

    assert parsing.recognised(path) == "cisco_cucm"
    assert (batch.record_count, rows([batch])) == (0, [])
    assert "tell of no conversation" in batch.warnings[0]


def test_records_of_quality_may_stand_between_calls_without_their_header(tmp_path: Path) -> None:
    path = written(tmp_path, row(), is_headed=False)
    path.write_text(path.read_text() + line(["2", "2", "41", "1", "2001", "101", "1709629290", "9"]))

    (batch,) = batches(path)

    assert (len(rows([batch])), letters([batch])) == (1, [])


def test_a_file_that_a_spreadsheet_saved_with_semicolons_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, row())
    path.write_text(path.read_text().replace(",", ";"))

    assert parsing.recognised(path) == "cisco_cucm"
    assert [leg["to_endpoint"] for leg in rows(batches(path))] == ["2001"]


def test_files_that_were_joined_are_read_each_by_its_own_header(tmp_path: Path) -> None:
    path = written(tmp_path, row("41"))
    quality = line(QUALITY) + line(["INTEGER"] * 8) + line(["2", "2", "41", "1", "2001", "101", "1709629290", "9"])
    swapped = [*COLUMNS[:118]]
    swapped[1], swapped[2] = swapped[2], swapped[1]
    last = line(swapped) + line(TYPES[:118]) + line([row("42")[name] for name in swapped])
    path.write_text(path.read_text() + quality + last)

    read = batches(path)

    assert [leg["session_id"] for leg in rows(read)] == ["StandAloneCluster-2-41", "StandAloneCluster-2-42"]
    assert letters(read) == []


def test_other_names_of_columns_are_mapped(tmp_path: Path) -> None:
    columns = ["Caller" if name == "callingPartyNumber" else name for name in COLUMNS]
    path = written(tmp_path, row() | {"Caller": CUSTOMER}, columns=columns)

    (found,) = rows(batches(path, {"callingPartyNumber": "Caller"}))

    assert found["from_token"] == token(CUSTOMER)
    with pytest.raises(ConfigurationError, match="no column 'callingPartyNumber' or 'callingpartynumber'"):
        batches(path)
    with pytest.raises(ConfigurationError, match="the mapping is for 'caller', which is no field"):
        batches(path, {"caller": "Caller"})


def test_what_cannot_be_read_by_its_columns_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = written(tmp_path, row(), is_headed=False)

    with pytest.raises(ConfigurationError, match="put the line of names above them"):
        batches(path, {"callingPartyNumber": "Caller"})
    path.write_text("hello,world\n")
    with pytest.raises(ConfigurationError, match="neither names of columns nor lines of call records"):
        batches(path)
    path.write_text("")
    assert batches(path) == []


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"globalCallID_callId": ""}, "globalCallID_callId: missing"),
        ({"dateTimeOrigination": "0", "dateTimeConnect": "0", "dateTimeDisconnect": "0"}, "dateTimeOrigination: miss"),
        ({"dateTimeConnect": "soon"}, "dateTimeConnect: expected the seconds since 1970"),
        ({"dateTimeDisconnect": "9" * 30}, "dateTimeDisconnect: expected the seconds since 1970"),
        ({"dateTimeDisconnect": "0", "duration": "long"}, "duration: expected seconds"),
        ({"dateTimeDisconnect": str(START + 5)}, "answered_at is not between started_at and ended_at"),
    ],
)
def test_a_record_that_cannot_be_used_is_a_dead_letter_without_its_parties(
    tmp_path: Path, cells: dict[str, str], reason: str
) -> None:
    read = batches(written(tmp_path, row(**cells), row("42")))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.position, letter.unit) == (3, "line")
    assert CUSTOMER[3:] not in letter.raw_text + letter.reason
    assert len(rows(read)) == 1


def test_a_line_with_other_columns_is_a_dead_letter(tmp_path: Path) -> None:
    path = written(tmp_path, row())
    path.write_text(path.read_text() + f"1,2,43,{CUSTOMER}\n" + "1\n")

    read = batches(path)

    assert [letter.reason for letter in letters(read)] == [
        "has 4 columns, expected 129",
        "has no columns; expected a line with commas",
    ]
    assert all(CUSTOMER[3:] not in letter.raw_text for letter in letters(read))
    assert len(rows(read)) == 1


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    records = (row(), row("42", 2, None), into_bridge(3, CUSTOMER, TRUNK))
    whole = written(tmp_path, *records, is_headed=data.draw(st.booleans())).read_bytes()
    path = tmp_path / "damaged"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
