"""Specification of call detail records: what each row says about who talked with whom, and what it hides."""

from __future__ import annotations

import csv
import gzip
import io
import random
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.identifiers import Identifiers
from pipeline.sources import asterisk_table
from pipeline.sources.asterisk_cdr import SOURCE
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, ReadContext, Sample
from schemas.facts import OBSERVATION

HELSINKI = ZoneInfo("Europe/Helsinki")
IDENTIFIERS = Identifiers(b"tests", "FI", ("0",))
CUSTOMER, OTHER, MOBILE = "0405550101", "+358505550102", "0445550103"
NAMES = [
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer",
    "end", "duration", "billsec", "disposition", "amaflags", "uniqueid", "userfield", "peeraccount", "linkedid",
    "sequence",
]  # fmt: skip
NUMERIC = {"duration", "billsec", "sequence"}

# 2026-03-02 10:00:00 in Helsinki
BASE = 1772438400


def local(epoch: int, zone: ZoneInfo = HELSINKI) -> str:
    return datetime.fromtimestamp(epoch, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def record(start: int = 0, ring: int = 5, talk: int = 60, zone: ZoneInfo = HELSINKI, **values: Any) -> dict[str, str]:
    """Return an inbound call that a device answered; `start` in seconds after BASE, talk 0: nobody did."""
    begin = BASE + start
    answer = local(begin + ring, zone) if talk else ""
    plain: dict[str, Any] = {
        "src": CUSTOMER,
        "dst": "0201001",
        "dcontext": "from-trunk",
        "clid": f'"Maija" <{CUSTOMER}>',
        "channel": "PJSIP/trunk-0000001a",
        "dstchannel": "PJSIP/201-0000001b",
        "lastapp": "Dial",
        "lastdata": "PJSIP/201,20",
        "start": local(begin, zone),
        "answer": answer,
        "end": local(begin + ring + talk, zone),
        "duration": ring + talk,
        "billsec": talk,
        "disposition": "ANSWERED" if talk else "NO ANSWER",
        "amaflags": "DOCUMENTATION",
        "uniqueid": f"{begin}.17",
        "linkedid": f"{begin}.17",
        "sequence": 3,
    } | values
    return {name: str(plain.get(name, "")) for name in NAMES}


def line(row: Mapping[str, str], columns: Sequence[str] = NAMES) -> str:
    """Return a row as Asterisk writes it: texts quoted, numbers bare, no answer as nothing at all."""
    cells = []
    for name in columns:
        text = row.get(name, "")
        bare = name in NUMERIC or (name == "answer" and not text)
        cells.append(text if bare else '"' + text.replace('"', '""') + '"')
    return ",".join(cells) + "\n"


def context(file: str = "Master.csv", zone: ZoneInfo = HELSINKI, **more: Any) -> ReadContext:
    return ReadContext("pbx", file, zone, IDENTIFIERS, datetime(2026, 6, 1), **more)


def batches(tmp_path: Path, text: str | bytes, context: ReadContext | None = None) -> list[Batch]:
    path = tmp_path / "Master.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    found = list(SOURCE.read(path, context or globals()["context"]()))
    for batch in found:
        table = batch.facts["observation"]
        assert table.schema == OBSERVATION
        assert batch.record_count == table.num_rows + len(batch.dead_letters)
    return found


def observed(tmp_path: Path, *rows: Mapping[str, str], **more: Any) -> list[dict[str, Any]]:
    """Return what rows of the full layout are read as; none may be refused."""
    found = batches(tmp_path, "".join(map(line, rows)), context(**more))
    assert [letter.reason for batch in found for letter in batch.dead_letters] == []
    return [row for batch in found for row in batch.facts["observation"].to_pylist()]


def only(tmp_path: Path, row: Mapping[str, str], **more: Any) -> dict[str, Any]:
    (found,) = observed(tmp_path, row, **more)
    return found


def token(number: str) -> str | None:
    return IDENTIFIERS.phone(number).token


def utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(BASE + seconds, UTC).replace(tzinfo=None)


# One call


def test_an_inbound_call_that_a_device_answered(tmp_path: Path) -> None:
    row = only(tmp_path, record())

    digest = row.pop("record_digest")
    assert isinstance(digest, int)
    assert {name: value for name, value in row.items() if value is not None} == {
        "raw_id": "pbx:Master.csv:1",
        "source": "pbx",
        "channel": "call",
        "line": "pbx",
        "direction": "inbound",
        "started_at": utc(0),
        "answered_at": utc(5),
        "ended_at": utc(65),
        "talk_seconds": 60.0,
        "talk_basis": 1,
        "attempt": "talk",
        "key": f"pbx:{BASE}.17",
        "event_id": f"{BASE}.17",
        "session_id": f"{BASE}.17",
        "from_endpoint": "trunk",
        "from_token": token(CUSTOMER),
        "to_endpoint": "201",
        "to_token": token("0201001"),
        "automated": False,
        "bulk": False,
        "emergency": False,
    }


def test_an_outbound_call_through_the_trunk_reaches_the_dialled_number(tmp_path: Path) -> None:
    row = only(
        tmp_path,
        record(
            src="0201001",  # extensions may present the company's number
            dst="00405550101",  # dialled with the outside line's 0
            dcontext="from-internal",
            channel="PJSIP/201-0000002a",
            dstchannel="PJSIP/trunk-0000002b",
            lastdata="PJSIP/trunk/sip:0405550101@192.0.2.1:5060,20",
        ),
    )

    assert (row["from_endpoint"], row["from_token"]) == ("201", None)
    assert (row["to_endpoint"], row["to_token"]) == ("trunk", token(CUSTOMER))
    assert (row["direction"], row["attempt"], row["via_endpoint"]) == ("outbound", "talk", None)


def test_an_internal_call_has_two_endpoints_and_no_identifier(tmp_path: Path) -> None:
    row = only(
        tmp_path,
        record(
            src="201", dst="202", dcontext="internal", channel="PJSIP/201-0000002a", dstchannel="PJSIP/202-0000002b"
        ),
    )

    assert (row["from_endpoint"], row["to_endpoint"]) == ("201", "202")
    assert (row["from_token"], row["to_token"], row["via_endpoint"]) == (None, None, None)


def test_a_withheld_caller_has_no_identifier(tmp_path: Path) -> None:
    row = only(tmp_path, record(src="anonymous", clid='"Anonymous" <anonymous>'))

    assert (row["from_token"], row["attempt"]) == (None, "talk")


def test_a_peer_named_by_a_long_number_is_no_endpoint(tmp_path: Path) -> None:
    row = only(tmp_path, record(channel="PJSIP/+358201001-0000001a", dstchannel="SIP/0201002-0000001b"))

    assert (row["from_endpoint"], row["to_endpoint"]) == (None, None)


# Nobody talked


@pytest.mark.parametrize("disposition", ["NO ANSWER", "BUSY", "FAILED", "CONGESTION"])
def test_a_device_that_rang_in_vain_is_unanswered(tmp_path: Path, disposition: str) -> None:
    row = only(tmp_path, record(talk=0, disposition=disposition))

    assert (row["attempt"], row["talk_seconds"], row["talk_basis"], row["answered_at"]) == ("unanswered", 0.0, 0, None)


def test_billed_seconds_without_an_answer_are_the_dialplans_own(tmp_path: Path) -> None:
    row = only(tmp_path, record(talk=9, disposition="NO ANSWER"))

    assert (row["attempt"], row["talk_seconds"], row["answered_at"]) == ("unanswered", 0.0, None)


@pytest.mark.parametrize(
    ("application", "dstchannel"),
    [("Playback", ""), ("Hangup", ""), ("Queue", ""), ("VoiceMail", "PJSIP/201-0000001b"), ("ForkCDR", "PJSIP/201-1b")],
)
def test_an_answer_by_a_machine_is_no_talk(tmp_path: Path, application: str, dstchannel: str) -> None:
    row = only(tmp_path, record(lastapp=application, lastdata="", dstchannel=dstchannel))

    assert (row["attempt"], row["talk_seconds"]) == ("no_human", 0.0)


@pytest.mark.parametrize("application", ["Hangup", "Playback", "Queue", "AppDial"])
def test_what_the_dialplan_did_after_the_talk_does_not_undo_it(tmp_path: Path, application: str) -> None:
    assert only(tmp_path, record(lastapp=application, lastdata=""))["attempt"] == "talk"


def test_an_extension_that_no_device_was_rung_for_is_the_endpoint(tmp_path: Path) -> None:
    assert only(tmp_path, record(dst="205", dstchannel="", lastapp="VoiceMail"))["to_endpoint"] == "205"
    assert only(tmp_path, record(dst="s", dstchannel="", lastapp="Playback"))["to_endpoint"] is None


def test_a_talk_of_no_seconds_is_unanswered(tmp_path: Path) -> None:
    row = only(tmp_path, record(talk=0, disposition="ANSWERED"))

    assert row["attempt"] == "unanswered"


# Queues, groups, Local channels


def test_a_queue_is_what_the_call_went_through(tmp_path: Path) -> None:
    row = only(tmp_path, record(dst="0201003", lastapp="Queue", lastdata="support,tT,,,15"))

    assert (row["via_endpoint"], row["to_endpoint"], row["to_token"]) == ("support", "201", token("0201003"))


def test_a_ring_group_is_what_the_call_went_through_and_each_device_a_row(tmp_path: Path) -> None:
    rows = observed(
        tmp_path,
        record(talk=0, dst="600", dstchannel="PJSIP/201-0000001b"),
        record(talk=30, dst="600", dstchannel="PJSIP/202-0000001c"),
    )

    assert [(r["to_endpoint"], r["via_endpoint"], r["attempt"]) for r in rows] == [
        ("201", "600", "unanswered"),
        ("202", "600", "talk"),
    ]
    assert rows[0]["key"] == rows[1]["key"]


def test_the_two_halves_of_a_local_channel_are_one_talk(tmp_path: Path) -> None:
    rows = observed(
        tmp_path,
        record(dst="600", lastapp="Queue", lastdata="600,t,,", dstchannel="Local/201@from-queue-0000000a;1"),
        record(
            dst="201",
            dcontext="from-internal",
            channel="Local/201@from-queue-0000000a;2",
            dstchannel="PJSIP/201-0000001b",
            uniqueid=f"{BASE}.19",
        ),
    )

    assert [(r["attempt"], r["talk_seconds"], r["to_endpoint"]) for r in rows] == [
        ("no_human", 0.0, "201"),
        ("talk", 60.0, "201"),
    ]
    assert (rows[1]["from_endpoint"], rows[1]["from_token"]) == (None, token(CUSTOMER))
    assert rows[1]["direction"] is None  # a Local channel runs in an inner context whoever called
    assert rows[0]["key"] == rows[1]["key"]


def test_a_colleague_who_calls_a_queue_stays_the_caller_behind_the_local_channel(tmp_path: Path) -> None:
    row = only(tmp_path, record(src="202", dst="201", channel="Local/201@from-queue-0000000a;2"))

    assert (row["from_endpoint"], row["to_endpoint"]) == ("202", "201")


def test_click_to_dial_rings_the_representative_first(tmp_path: Path) -> None:
    rows = observed(
        tmp_path,
        record(
            src=CUSTOMER,
            dst=CUSTOMER,
            dcontext="from-internal",
            channel="Local/201@from-internal-0000000a;1",
            dstchannel="PJSIP/trunk-0000002b",
            lastdata=f"PJSIP/trunk/sip:{CUSTOMER}@192.0.2.1",
        ),
        record(src="201", dst="201", channel="Local/201@from-internal-0000000a;2", uniqueid=f"{BASE}.18"),
    )

    assert (rows[0]["from_endpoint"], rows[0]["from_token"], rows[0]["to_token"]) == ("201", None, token(CUSTOMER))
    assert (rows[1]["from_endpoint"], rows[1]["to_endpoint"], rows[1]["from_token"]) == ("201", "201", None)


def test_click_to_dial_that_the_customer_did_not_answer_is_no_talk(tmp_path: Path) -> None:
    rows = observed(
        tmp_path,
        record(src="201", dst=CUSTOMER, channel="PJSIP/201-0000002a", dstchannel="", lastapp="Dial"),
        record(talk=0, src="201", dst=CUSTOMER, channel="PJSIP/201-0000002a", dstchannel="PJSIP/trunk-0000002b"),
    )

    assert [r["attempt"] for r in rows] == ["no_human", "unanswered"]


# Transfers and forwarding


def test_a_call_forwarded_to_a_mobile_reached_the_mobile_not_the_number_the_caller_dialled(tmp_path: Path) -> None:
    row = only(
        tmp_path,
        record(dstchannel="PJSIP/trunk-0000002b", lastdata=f"PJSIP/trunk/sip:{MOBILE}@192.0.2.1:5060,30"),
    )

    assert (row["from_token"], row["to_token"]) == (token(CUSTOMER), token(MOBILE))


def test_a_call_forwarded_over_a_local_channel_reached_the_mobile(tmp_path: Path) -> None:
    row = only(
        tmp_path,
        record(
            dst=MOBILE,
            dcontext="from-internal",
            channel=f"Local/{MOBILE}@from-internal-0000000a;2",
            dstchannel="PJSIP/trunk-0000002b",
            lastdata=f"PJSIP/trunk/sip:{MOBILE}@192.0.2.1:5060,30",
        ),
    )

    assert (row["from_token"], row["to_token"], row["direction"]) == (token(CUSTOMER), token(MOBILE), None)


def test_an_outbound_call_keeps_its_customer_when_a_transfer_rewrites_the_dialled_number(tmp_path: Path) -> None:
    row = only(
        tmp_path,
        record(
            src="201",
            dst="202",
            channel="PJSIP/201-0000002a",
            dstchannel="PJSIP/trunk-0000002b",
            lastdata=f"PJSIP/trunk/sip:{CUSTOMER}@192.0.2.1",
        ),
    )

    assert (row["from_endpoint"], row["to_token"]) == ("201", token(CUSTOMER))


def test_a_transfer_rewrites_the_dialled_number_but_not_who_talked(tmp_path: Path) -> None:
    rows = observed(
        tmp_path,
        record(dst="202"),
        record(start=70, dst="202", dstchannel="PJSIP/202-0000001d", linkedid=f"{BASE}.17"),
    )

    assert [(r["to_endpoint"], r["attempt"]) for r in rows] == [("201", "talk"), ("202", "talk")]
    assert rows[0]["key"] == rows[1]["key"]


def test_a_channel_of_its_own_name_within_a_call_is_another_key_of_it(tmp_path: Path) -> None:
    rows = observed(
        tmp_path,
        record(),
        record(uniqueid=f"{BASE}.40", lastapp="Queue", lastdata="support"),
        record(uniqueid=f"{BASE}.41", channel="Local/201@from-queue-0000000a;2"),
    )

    assert [r["other_keys"] for r in rows] == [None, [f"pbx:{BASE}.40"], None]


def test_the_dialled_number_stands_where_dial_adds_a_carriers_prefix(tmp_path: Path) -> None:
    row = only(
        tmp_path,
        record(dst=OTHER, channel="SIP/maija-0000002a", dstchannel="SIP/elisa-trunk-0000002b", src="201",
               lastdata="SIP/elisa-trunk/99505550102,60"),
    )  # fmt: skip

    assert (row["from_endpoint"], row["to_endpoint"]) == ("maija", "elisa-trunk")
    assert row["to_token"] == token(OTHER)


@pytest.mark.parametrize(
    ("dst", "dstchannel", "is_emergency"),
    [
        ("112", "PJSIP/trunk-0000002b", True),
        ("0112", "PJSIP/trunk-0000002b", True),
        ("112", "PJSIP/112-0000002b", False),
    ],
)
def test_an_emergency_call_is_one_that_left_the_house(
    tmp_path: Path, dst: str, dstchannel: str, is_emergency: bool
) -> None:
    row = only(tmp_path, record(src="201", dst=dst, channel="PJSIP/201-0000002a", dstchannel=dstchannel))

    assert row["emergency"] is is_emergency


# Layouts


@pytest.mark.parametrize(
    ("columns", "has_unique_id", "has_linked_id"),
    [
        (NAMES[:16], False, False),
        (NAMES[:17], True, False),
        ([*NAMES[:16], "userfield"], False, False),
        (NAMES[:18], True, False),
        ([*NAMES[:16], *NAMES[18:]], False, True),
        ([*NAMES[:17], *NAMES[18:]], True, True),
        ([*NAMES[:16], "userfield", *NAMES[18:]], False, True),
        (NAMES, True, True),
    ],
)
def test_every_layout_of_asterisk_is_told_by_its_shape(
    tmp_path: Path, columns: list[str], has_unique_id: bool, has_linked_id: bool
) -> None:
    (batch,) = batches(tmp_path, line(record(userfield="did-1"), columns))
    (row,) = batch.facts["observation"].to_pylist()

    assert row["attempt"] == "talk"
    assert row["event_id"] == (f"{BASE}.17" if has_unique_id else None)
    assert row["session_id"] == (f"{BASE}.17" if has_linked_id else None)
    if has_unique_id or has_linked_id:
        assert row["key"] == f"pbx:{BASE}.17"
    else:
        assert row["key"] == f"pbx:x{row['record_digest']:016x}"


def test_a_layout_may_change_in_the_middle_of_a_file(tmp_path: Path) -> None:
    rows = [line(record(start=n), NAMES[:18]) for n in range(2_000)] + [line(record(start=n)) for n in range(2_000)]
    (batch,) = batches(tmp_path, "".join(rows))

    sessions = batch.facts["observation"].column("session_id").to_pylist()
    assert batch.record_count == 4_000
    assert [sessions.count(None), sessions[1_999], sessions[2_000]] == [2_000, None, f"{BASE}.17"]


def test_a_table_of_freepbx_is_told_by_its_header(tmp_path: Path) -> None:
    names = [
        "calldate", "clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "duration",
        "billsec", "disposition", "amaflags", "accountcode", "uniqueid", "userfield", "did", "recordingfile", "cnum",
        "cnam", "outbound_cnum", "outbound_cnam", "dst_cnam", "linkedid", "peeraccount", "sequence",
    ]  # fmt: skip
    values = record() | {"calldate": record()["start"]}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerow([values.get(name, "") for name in names])
    (batch,) = batches(tmp_path, text.getvalue())
    (row,) = batch.facts["observation"].to_pylist()

    assert (row["raw_id"], row["attempt"], row["session_id"]) == ("pbx:Master.csv:2", "talk", f"{BASE}.17")
    assert (row["started_at"], row["answered_at"], row["ended_at"]) == (utc(0), utc(5), utc(65))


GRANDSTREAM = [
    "Account Code", "Caller Number", "Callee Number", "Context", "CallerID Number", "Source Channel", "Dest. Channel",
    "Last app.", "Last date", "Start Time", "Answer Time", "End Time", "Call Time", "Talk Time", "Disposition",
    "AMA Flags", "Unique ID", "Log Userfield", "Dest Channel Extension", "Caller Name", "Answered by", "Session",
    "Premier Caller", "Action Type", "Source Trunk Name", "Destination Trunk Name",
]  # fmt: skip


def grandstream(**values: str) -> str:
    plain = {
        "Caller Number": CUSTOMER,
        "Callee Number": "0201001",
        "Context": "ext-did-1",
        "Source Channel": "PJSIP/trunk_1-0000001a",
        "Dest. Channel": "PJSIP/1001-0000001b",
        "Last app.": "Dial",
        "Last date": "PJSIP/1001,60",
        "Start Time": local(BASE),
        "Answer Time": local(BASE + 5),
        "End Time": local(BASE + 65),
        "Call Time": "65",
        "Talk Time": "60",
        "Disposition": "ANSWERED",
        "Unique ID": f"{BASE}.17",
        "Log Userfield": "Inbound",
        "Answered by": "1001",
        "Session": f"{BASE}-17",
        "Action Type": "DIAL",
    } | values
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(GRANDSTREAM)
    writer.writerow([plain.get(name, "") for name in GRANDSTREAM])
    return text.getvalue()


def test_an_export_of_grandstream_groups_by_session(tmp_path: Path) -> None:
    (batch,) = batches(tmp_path, grandstream())
    (row,) = batch.facts["observation"].to_pylist()

    assert (row["key"], row["event_id"]) == (f"pbx:{BASE}-17", f"{BASE}.17")
    assert (row["direction"], row["attempt"], row["to_endpoint"]) == ("inbound", "talk", "1001")


def test_grandstream_says_whether_anybody_answered(tmp_path: Path) -> None:
    changes = {"Answered by": "", "Log Userfield": "Internal"}
    (batch,) = batches(tmp_path, grandstream(**changes))
    (row,) = batch.facts["observation"].to_pylist()

    assert (row["direction"], row["attempt"]) == ("internal", "unanswered")


def test_columns_of_ones_own_are_told_by_a_mapping(tmp_path: Path) -> None:
    columns = [
        "clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer", "end",
        "duration", "billsec", "disposition", "amaflags", "accountcode", "uniqueid", "userfield", "linkedid",
    ]  # fmt: skip
    text = line(record(), columns)
    mapping = {
        name: str(columns.index(name) + 1) for name in columns if name not in ("clid", "amaflags", "accountcode")
    }
    del mapping["userfield"]

    with pytest.raises(ConfigurationError, match=r"Master.csv: its columns are none of Asterisk's.*mapping = "):
        batches(tmp_path, text)
    (batch,) = batches(tmp_path, text, context(mapping=mapping))
    (row,) = batch.facts["observation"].to_pylist()

    expected = only(tmp_path, record())
    assert {**row, "record_digest": 0} == {**expected, "record_digest": 0}


def test_a_mapping_names_columns_of_a_header_and_constants(tmp_path: Path) -> None:
    header = "when;who;dst;channel;dstchannel;secs\n"
    text = f"{header}{local(BASE)};{CUSTOMER};201;PJSIP/trunk-0000001a;PJSIP/201-0000001b;60\n"
    mapping = {"start": "when", "src": "who", "billsec": "secs", "disposition": "=ANSWERED"}
    (batch,) = batches(tmp_path, text, context(mapping=mapping))
    (row,) = batch.facts["observation"].to_pylist()

    assert (row["attempt"], row["talk_seconds"], row["from_token"]) == ("talk", 60.0, token(CUSTOMER))


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({"caller": "2"}, "unknown field 'caller'; known are src, dst"),
        ({"src": "99"}, "src = '99' is no column; the file has 21, counted from 1"),
        ({"src": "Caller"}, "src = 'Caller' is no column"),
        ({"src": "2", "dst": "3"}, "no column for channel, dstchannel, start, disposition; add channel = "),
    ],
)
def test_a_mapping_that_does_not_fit_says_what_to_change(
    tmp_path: Path, mapping: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        batches(tmp_path, line(record()), context(mapping=mapping))


def sample(text: str) -> Sample:
    return Sample(Path("x.csv"), text.encode())


@pytest.mark.parametrize("columns", [NAMES[:16], NAMES[:17], NAMES[:18], NAMES])
def test_records_are_recognised_by_content(columns: list[str]) -> None:
    found = SOURCE.recognise(sample("".join(line(record(start=n), columns) for n in range(5))))

    assert found is not None
    assert found.evidence == f"Asterisk CDR, {len(columns)} columns"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "Id,WhoId,WhatId,Subject,ActivityDate\n00T000000000001,,,Call,2026-03-02\n",
        "representative_id,name,team,extension,email,direct,mobile\n7,Maija,Sales,201,,,\n",
        "kind,started_at,from,to,duration_seconds\ncall,2026-03-02T10:00:00Z,0405550101,0201001,60\n",
        '"CHAN_START","2026-03-02 10:00:00","","","","","","s","in","PJSIP/a-1","","","3","","1.1","1.1","","","",""\n',
        "1772438400|NONE|NONE|NONE|QUEUESTART|\n",
        "From maija@example.fi Mon Mar  2 10:00:00 2026\nSubject: x\n",
        ",".join(["x"] * 21) + "\n",
    ],
)
def test_what_is_no_call_detail_record_is_not_claimed(text: str) -> None:
    assert SOURCE.recognise(sample(text)) is None


def test_a_directory_is_not_claimed() -> None:
    assert SOURCE.recognise(Sample(Path(), b"", is_directory=True, entries=("Master.csv",))) is None


# Time


def test_times_without_end_come_from_the_lengths(tmp_path: Path) -> None:
    columns = [name for name in NAMES if name not in ("answer", "end")]
    text = ",".join(columns) + "\n" + line(record(), columns)
    (batch,) = batches(tmp_path, text)
    (row,) = batch.facts["observation"].to_pylist()

    assert (row["started_at"], row["answered_at"], row["ended_at"]) == (utc(0), utc(5), utc(65))


def test_the_hour_that_comes_twice_is_told_by_the_channels_epoch(tmp_path: Path) -> None:
    # 2026-10-25 in Helsinki: 03:00-04:00 comes twice, first at 00:00 UTC, then at 01:00 UTC.
    first, second = (int(datetime(2026, 10, 25, hour, 30, tzinfo=UTC).timestamp()) - BASE for hour in (0, 1))
    late = ReadContext("pbx", "Master.csv", HELSINKI, IDENTIFIERS, datetime(2027, 1, 1))
    found = batches(tmp_path, "".join(line(record(start=start)) for start in (first, second)), late)
    rows = found[0].facts["observation"].to_pylist()

    assert [row["started_at"] for row in rows] == [utc(first), utc(second)]
    assert [row["ended_at"] - row["started_at"] for row in rows] == [timedelta(seconds=65)] * 2


def test_a_call_across_the_change_of_the_clock_lasts_as_long_as_it_lasted(tmp_path: Path) -> None:
    begin = int(datetime(2026, 10, 25, 0, 59, 30, tzinfo=UTC).timestamp()) - BASE
    late = ReadContext("pbx", "Master.csv", HELSINKI, IDENTIFIERS, datetime(2027, 1, 1))
    (batch,) = batches(tmp_path, line(record(start=begin, talk=600)), late)
    (row,) = batch.facts["observation"].to_pylist()

    assert (row["started_at"], row["ended_at"]) == (utc(begin), utc(begin + 605))


@pytest.mark.parametrize(
    ("written_in", "shown"), [("UTC", "at UTC by"), ("Asia/Karachi", 'at UTC\\+05:00 \\("Etc/GMT-5"\\) by')]
)
def test_a_clock_that_is_not_the_configured_zones_is_a_warning(tmp_path: Path, written_in: str, shown: str) -> None:
    rows = "".join(line(record(start=n, zone=ZoneInfo(written_in))) for n in range(10))
    (batch,) = batches(tmp_path, rows)

    (warning,) = batch.warnings
    assert batch.record_count == 10
    with pytest.raises(AssertionError, match=shown):
        raise AssertionError(warning)
    assert "Europe/Helsinki is at UTC+02:00" in warning
    assert "set timezone = " in warning
    assert batches(tmp_path, rows, context(zone=ZoneInfo(written_in)))[0].warnings == []


def test_the_warning_says_whose_zone_it_is(tmp_path: Path) -> None:
    rows = line(record(zone=ZoneInfo("UTC")))

    assert "zone of the company, as none is set" in batches(tmp_path, rows)[0].warnings[0]
    explicit = context(zone_is_given=True)
    assert "zone of [[source]] Europe/Helsinki" in batches(tmp_path, rows, explicit)[0].warnings[0]


# Bad input


def letters(found: Sequence[Batch]) -> list[tuple[int, str]]:
    return [(letter.position, letter.reason) for batch in found for letter in batch.dead_letters]


def test_each_bad_record_is_one_dead_letter_and_costs_no_other(tmp_path: Path) -> None:
    good = line(record())
    text = (
        good
        + "too,few,columns\n"
        + good
        + line(record(start=90 * 86_400 + 86_400 * 30))
        + line(record(start=0) | {"start": "2026-13-45 10:00:00"})
        + line(record() | {"billsec": "sixty"})
        + line(record() | {"billsec": "-4"})
        + line(record() | {"billsec": "86400000"})
        + line(record() | {"start": ""})
        + "\n"
        + '"","040\n'
        + good
    )
    found = batches(tmp_path, text)

    assert letters(found) == [
        (2, "has 3 columns, expected 16 to 21"),
        (4, "dated in the future: it starts more than a day after the file was read"),
        (5, "the start is no time; expected YYYY-MM-DD HH:MM:SS"),
        (6, "the billsec is no number of seconds"),
        (7, "billsec is negative"),
        (8, "billsec is more than a week; are these milliseconds?"),
        (9, "the start is empty; expected YYYY-MM-DD HH:MM:SS"),
        (11, "a quotation mark opens and does not close where the record ends"),
    ]
    assert [row["raw_id"] for row in found[0].facts["observation"].to_pylist()] == [
        "pbx:Master.csv:1",
        "pbx:Master.csv:3",
        "pbx:Master.csv:12",
    ]


def test_a_dead_letter_shows_the_record_without_identifiers(tmp_path: Path) -> None:
    (batch,) = batches(tmp_path, line(record()) + line(record(talk=-7)))
    (letter,) = batch.dead_letters

    assert (letter.raw_id, letter.source, letter.file, letter.unit) == ("pbx:Master.csv:2", "pbx", "Master.csv", "line")
    assert letter.is_raw_event
    assert "PJSIP/" in letter.raw_text
    for secret in ("from-trunk", CUSTOMER, "Maija", "0201001"):
        assert secret not in letter.raw_text


def test_bytes_that_are_no_text_cost_nothing_but_themselves(tmp_path: Path) -> None:
    bad = line(record()).encode().replace(b"Maija", b"M\xe4ij\xff")
    (batch,) = batches(tmp_path, line(record()).encode() + bad)

    assert [row["attempt"] for row in batch.facts["observation"].to_pylist()] == ["talk", "talk"]


def test_binary_noise_between_records_is_dead_letters(tmp_path: Path) -> None:
    chance = random.Random(5)
    noise = bytes(chance.randrange(256) for _ in range(5_000)).replace(b"\n", b"?")
    good = line(record()).encode()
    found = batches(tmp_path, good * 3 + noise + b"\n" + good * 2)

    assert [place for place, _ in letters(found)] == [4]
    assert found[0].facts["observation"].num_rows == 5


def test_a_file_of_noise_is_no_known_layout(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="none of Asterisk's"):
        batches(tmp_path, bytes(n * 37 % 251 for n in range(9_000)))


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    assert batches(tmp_path, b"") == []
    assert batches(tmp_path, b"\n\n") == []


def test_a_truncated_archive_is_told_after_its_records(tmp_path: Path) -> None:
    packed = gzip.compress("".join(line(record(start=n)) for n in range(5_000)).encode())
    path = tmp_path / "Master.csv.1.gz"
    path.write_bytes(packed[: len(packed) // 2])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match=r"Master.csv.1.gz: the gzip archive ends in the middle"):
        found.extend(SOURCE.read(path, context()))

    assert sum(batch.record_count for batch in found) > 1_000
    assert letters(found) == []


def test_a_line_of_two_hundred_megabytes_is_a_dead_letter_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "Master.csv"
    good = line(record()).encode()
    with path.open("wb") as file:
        file.write(good * 3)
        for _ in range(200):
            file.write(b"\xff" * (1 << 20))
        file.write(b"\n" + good * 2)
    begin = time.perf_counter()
    found = list(SOURCE.read(path, context()))

    assert letters(found) == [
        (4, f"line of 209,715,201 bytes at byte {3 * len(good):,} is too long to be a record"),
    ]
    assert [r["raw_id"] for b in found for r in b.facts["observation"].to_pylist()][3:] == [
        "pbx:Master.csv:5",
        "pbx:Master.csv:6",
    ]
    assert sum(batch.byte_count for batch in found) == path.stat().st_size
    assert time.perf_counter() - begin < 5


def test_packed_and_plain_files_give_the_same_observations(tmp_path: Path) -> None:
    text = "".join(line(record(start=n)) for n in range(100)).encode()

    assert batches(tmp_path, gzip.compress(text))[0].facts == batches(tmp_path, text)[0].facts
    assert batches(tmp_path, text.replace(b"\n", b"\r\n"))[0].facts == batches(tmp_path, text)[0].facts
    assert batches(tmp_path, b"\xef\xbb\xbf" + text)[0].facts == batches(tmp_path, text)[0].facts


def varied_rows(count: int) -> list[str]:
    chance = random.Random(11)
    channels = [
        "PJSIP/trunk-0000001a", "PJSIP/201-0000001b", "Local/202@from-queue-0000000a;1", "DAHDI/i1/040555-2b",
        "Local/202@from-queue-0000000a;2", "", "SIP/elisa-trunk-b7f0c4e8", "AsyncGoto/PJSIP/203-0000001c",
    ]  # fmt: skip
    rows = []
    for n in range(count):
        talk = chance.choice([0, 1, 60])
        rows.append(
            line(
                record(
                    start=chance.randrange(90 * 86_400),
                    talk=talk,
                    src=chance.choice([CUSTOMER, OTHER, "anonymous", "201", "", "Maija ä"]),
                    dst=chance.choice(["0201001", "201", "600", "s", "112", f"0{CUSTOMER}", "*97"]),
                    clid=chance.choice(['"Maija, ""M""" <040>', "ä", ""]),
                    channel=chance.choice(channels[:-4] + channels[6:]),
                    dstchannel=chance.choice(channels),
                    dcontext=chance.choice(["from-trunk", "from-internal", "ivr-1"]),
                    lastapp=chance.choice(["Dial", "Queue", "VoiceMail", "Hangup"]),
                    lastdata=chance.choice([f"PJSIP/trunk/{MOBILE},20", "support,t,,,15", "PJSIP/201&PJSIP/202,20"]),
                    disposition=chance.choice(["ANSWERED", "NO ANSWER", "BUSY"]),
                    linkedid=f"{BASE}.{n // 3}",
                )
            )
        )
    return rows


def test_reading_one_by_one_gives_what_reading_at_once_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = varied_rows(600)
    (at_once,) = batches(tmp_path, "".join(rows))
    monkeypatch.setattr(asterisk_table._Reader, "_at_once", lambda *_: None)
    (one_by_one,) = batches(tmp_path, "".join(rows))

    assert at_once.record_count == one_by_one.record_count == 600
    assert at_once.facts["observation"].to_pylist() == one_by_one.facts["observation"].to_pylist()


def test_bad_lines_anywhere_leave_every_other_record_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asterisk_table, "BLOCK_SIZE", 200_000)
    monkeypatch.setattr(asterisk_table, "_SMALL", 3_000)
    chance = random.Random(3)
    rows = varied_rows(2_500)
    expected = [r for b in batches(tmp_path, "".join(rows)) for r in b.facts["observation"].to_pylist()]
    by_digest = {row["record_digest"]: row for row in expected}
    lines: list[str] = []
    bad = set()
    for row in rows:
        if chance.random() < 0.01:
            lines.append(chance.choice(["noise\n", '"","open\n', ",".join(["x"] * 30) + "\n", '"a"b,c\n']))
            bad.add(len(lines))
        lines.append(row)
    found = batches(tmp_path, "".join(lines))

    assert len(found) > 1
    assert {place for place, _ in letters(found)} == bad
    got = [row for batch in found for row in batch.facts["observation"].to_pylist()]
    assert len(got) == 2_500
    for row in got:
        original = by_digest[row["record_digest"]]
        number = int(row["raw_id"].rsplit(":", 1)[1])
        assert number not in bad
        assert {**row, "raw_id": ""} == {**original, "raw_id": ""}


def test_a_record_with_a_line_feed_in_it_is_one_record_even_between_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asterisk_table, "BLOCK_SIZE", 200_000)
    monkeypatch.setattr(asterisk_table, "_SMALL", 20_000)
    rows = [line(record(start=n, clid="Maija\nMeikäläinen" if n % 3 == 0 else "Maija")) for n in range(2_000)]
    found = batches(tmp_path, "".join(rows))

    assert len(found) > 1
    assert letters(found) == []
    firsts = list(accumulate((text.count("\n") for text in rows[:-1]), initial=1))
    assert [r["raw_id"] for b in found for r in b.facts["observation"].to_pylist()] == [
        f"pbx:Master.csv:{number}" for number in firsts
    ]


def test_the_digest_is_that_of_the_record_wherever_it_stands(tmp_path: Path) -> None:
    first, second, third = observed(tmp_path, record(), record(sequence=4), record())

    assert first["record_digest"] == third["record_digest"] != second["record_digest"]
    assert first["raw_id"] != third["raw_id"]


def test_head_is_enough_to_recognise_a_packed_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(gzip.compress("".join(line(record(start=n)) for n in range(1_000)).encode()))

    assert SOURCE.recognise(Sample(path, head(path))) is not None
