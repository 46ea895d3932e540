"""Specification of channel events: every second of talk stands in one record, and waiting in none."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.identifiers import Identifiers
from pipeline.sources import asterisk_table
from pipeline.sources.asterisk_cel import SOURCE
from pipeline.sources.registry import Batch, ReadContext, Sample
from schemas.facts import OBSERVATION

IDENTIFIERS = Identifiers(b"tests", "FI", ("0",))
CUSTOMER = "0405550101"
BASE = 1772438400
CALL = f"{BASE}.10"
TRUNK, DEVICE, COLLEAGUE = "PJSIP/trunk-0000001a", "PJSIP/201-0000001b", "PJSIP/202-0000001c"
COLUMNS = [
    "eventtype", "eventtime", "name", "num", "ani", "rdnis", "dnid", "exten", "context", "channame", "appname",
    "appdata", "amaflags", "accountcode", "uniqueid", "linkedid", "bridgepeer", "userfield", "userdeftype", "extra",
]  # fmt: skip


def local(seconds: float) -> str:
    return datetime.fromtimestamp(BASE + seconds, UTC).astimezone(ZoneInfo("Europe/Helsinki")).strftime("%F %T")


def event(seconds: float, kind: str, channel: str, number: str = "", **values: Any) -> str:
    """Return an event as it is written; `bridge` names the bridge, `time` overrides how the time is written."""
    bridge = values.pop("bridge", None)
    extra = values.pop("extra", {"bridge_id": bridge, "bridge_technology": "simple_bridge"} if bridge else None)
    plain = {
        "eventtype": kind,
        "eventtime": values.pop("time", local(seconds)),
        "name": "Maija",
        "num": number,
        "exten": "0201001",
        "context": "from-trunk" if channel == TRUNK else "internal",
        "channame": channel,
        "appname": "Dial" if channel == TRUNK else "AppDial",
        "amaflags": "3",
        "uniqueid": CALL if channel == TRUNK else f"{BASE}.11",
        "linkedid": CALL,
        "extra": orjson.dumps(extra).decode() if extra else "",
    } | values
    return ",".join('"' + str(plain.get(name, "")).replace('"', '""') + '"' for name in COLUMNS) + "\n"


def context(file: str = "Master.csv", **more: Any) -> ReadContext:
    return ReadContext("pbx", file, ZoneInfo("Europe/Helsinki"), IDENTIFIERS, datetime(2026, 6, 1), **more)


def batches(tmp_path: Path, text: str | bytes, given: ReadContext | None = None) -> list[Batch]:
    path = tmp_path / "Master.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    found = list(SOURCE.read(path, given or context()))
    for batch in found:
        assert batch.facts["observation"].schema == OBSERVATION
        assert batch.record_count == batch.facts["observation"].num_rows + len(batch.dead_letters)
    return found


def observed(tmp_path: Path, *events: str, given: ReadContext | None = None) -> list[dict[str, Any]]:
    found = batches(tmp_path, "".join(events), given)
    assert [letter.reason for batch in found for letter in batch.dead_letters] == []
    return [row for batch in found for row in batch.facts["observation"].to_pylist()]


def talks(rows: Sequence[dict[str, Any]]) -> list[tuple[int, str | None, str | None, float]]:
    """Return line, both endpoints and seconds of each record that carries talk."""
    return [
        (int(row["raw_id"].rsplit(":", 1)[1]), row["from_endpoint"], row["to_endpoint"], row["talk_seconds"])
        for row in rows
        if row["attempt"] == "talk"
    ]


def utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(BASE + seconds, UTC).replace(tzinfo=None)


def token(number: str) -> str | None:
    return IDENTIFIERS.phone(number).token


def inbound(bridge: str = "b1") -> list[str]:
    return [
        event(0, "CHAN_START", TRUNK, CUSTOMER),
        event(0, "CHAN_START", DEVICE, "201", exten="s"),
        event(8, "ANSWER", DEVICE, "201"),
        event(8, "BRIDGE_ENTER", DEVICE, "201", exten="", bridge=bridge),
        event(8, "BRIDGE_ENTER", TRUNK, CUSTOMER, bridge=bridge),
        event(50, "BRIDGE_EXIT", TRUNK, CUSTOMER, bridge=bridge),
        event(50, "BRIDGE_EXIT", DEVICE, "201", exten="", bridge=bridge),
        event(50, "LINKEDID_END", DEVICE, "201"),
    ]


def test_the_event_that_ends_a_talk_carries_it(tmp_path: Path) -> None:
    rows = observed(tmp_path, *inbound())

    assert talks(rows) == [(6, "trunk", "201", 42.0)]
    leg = rows[5]
    assert (leg["started_at"], leg["answered_at"], leg["ended_at"]) == (utc(8), utc(8), utc(50))
    assert (leg["from_token"], leg["to_token"], leg["talk_basis"]) == (token(CUSTOMER), None, 3)
    assert (leg["direction"], leg["channel"], leg["line"]) == ("inbound", "call", "pbx")


def test_all_other_events_are_marks_of_the_call(tmp_path: Path) -> None:
    rows = observed(tmp_path, *inbound())

    assert {row["key"] for row in rows} == {f"pbx:{CALL}"}
    assert [row["attempt"] for row in rows] == [None] * 5 + ["talk"] + [None] * 2
    assert (rows[1]["event_id"], rows[1]["session_id"], rows[1]["started_at"]) == (f"{BASE}.11", CALL, utc(0))
    assert rows[1]["talk_basis"] == 0


def test_an_outbound_talk_is_with_the_dialled_number(tmp_path: Path) -> None:
    caller = {"exten": f"0{CUSTOMER}", "context": "internal", "appname": "Dial", "uniqueid": CALL, "bridge": "b"}
    called = {"exten": "", "context": "from-trunk", "appname": "AppDial", "uniqueid": f"{BASE}.11", "bridge": "b"}
    (leg,) = [
        row
        for row in observed(
            tmp_path,
            event(5, "BRIDGE_ENTER", TRUNK, "99405550101", **called),
            event(5, "BRIDGE_ENTER", DEVICE, "201", **caller),
            event(65, "BRIDGE_EXIT", DEVICE, "201", **caller),
            event(65, "BRIDGE_EXIT", TRUNK, "99405550101", **called),
        )
        if row["attempt"]
    ]

    assert (leg["from_endpoint"], leg["from_token"]) == ("201", None)
    assert (leg["to_endpoint"], leg["to_token"], leg["talk_seconds"]) == ("trunk", token(CUSTOMER), 60.0)
    assert leg["direction"] == "outbound"


def test_a_transferred_call_gives_each_his_own_seconds(tmp_path: Path) -> None:
    rows = observed(
        tmp_path,
        event(0, "BRIDGE_ENTER", DEVICE, "201", bridge="b1"),
        event(0, "BRIDGE_ENTER", TRUNK, CUSTOMER, bridge="b1"),
        event(30, "BLINDTRANSFER", DEVICE, "201", bridge="b1"),
        event(30, "BRIDGE_EXIT", DEVICE, "201", bridge="b1"),
        event(30, "BRIDGE_EXIT", TRUNK, CUSTOMER, bridge="b1"),
        event(40, "BRIDGE_ENTER", COLLEAGUE, "202", bridge="b2"),
        event(40, "BRIDGE_ENTER", TRUNK, CUSTOMER, bridge="b2"),
        event(100, "BRIDGE_EXIT", TRUNK, CUSTOMER, bridge="b2"),
        event(100, "BRIDGE_EXIT", COLLEAGUE, "202", bridge="b2"),
    )

    assert talks(rows) == [(4, "trunk", "201", 30.0), (8, "trunk", "202", 60.0)]


def test_in_a_conference_each_device_is_paired_with_the_customer(tmp_path: Path) -> None:
    rows = observed(
        tmp_path,
        event(0, "BRIDGE_ENTER", DEVICE, "201", bridge="b1"),
        event(0, "BRIDGE_ENTER", TRUNK, CUSTOMER, bridge="b1"),
        event(20, "BRIDGE_ENTER", COLLEAGUE, "202", bridge="b1"),
        event(30, "BRIDGE_EXIT", DEVICE, "201", bridge="b1"),
        event(90, "BRIDGE_EXIT", TRUNK, CUSTOMER, bridge="b1"),
        event(90, "BRIDGE_EXIT", COLLEAGUE, "202", bridge="b1"),
    )

    assert talks(rows) == [(4, "trunk", "201", 30.0), (5, "trunk", "202", 70.0)]


def test_a_local_channel_between_them_does_not_double_the_talk(tmp_path: Path) -> None:
    first, second = "Local/201@from-queue-0000000a;1", "Local/201@from-queue-0000000a;2"
    rows = observed(
        tmp_path,
        event(0, "BRIDGE_ENTER", first, "201", appname="AppQueue", bridge="b1"),
        event(0, "BRIDGE_ENTER", TRUNK, CUSTOMER, appname="Queue", bridge="b1"),
        event(0, "BRIDGE_ENTER", DEVICE, "201", bridge="b2"),
        event(0, "BRIDGE_ENTER", second, CUSTOMER, appname="Dial", uniqueid=f"{BASE}.12", bridge="b2"),
        event(60, "BRIDGE_EXIT", TRUNK, CUSTOMER, appname="Queue", bridge="b1"),
        event(60, "BRIDGE_EXIT", first, "201", appname="AppQueue", bridge="b1"),
        event(60, "BRIDGE_EXIT", second, CUSTOMER, appname="Dial", uniqueid=f"{BASE}.12", bridge="b2"),
        event(60, "BRIDGE_EXIT", DEVICE, "201", bridge="b2"),
    )

    assert talks(rows) == [(7, None, "201", 60.0)]
    assert rows[6]["from_token"] == token(CUSTOMER)


def test_music_in_a_holding_bridge_is_no_talk(tmp_path: Path) -> None:
    holding = {"extra": {"bridge_id": "h", "bridge_technology": "holding_bridge"}}
    rows = observed(
        tmp_path,
        event(0, "BRIDGE_ENTER", TRUNK, CUSTOMER, **holding),
        event(0, "BRIDGE_ENTER", DEVICE, "201", **holding),
        event(60, "BRIDGE_EXIT", TRUNK, CUSTOMER, **holding),
    )

    assert talks(rows) == []


def test_an_exit_whose_entry_is_in_another_file_is_a_mark(tmp_path: Path) -> None:
    rows = observed(
        tmp_path,
        event(0, "BRIDGE_EXIT", TRUNK, CUSTOMER, bridge="b1"),
        event(0, "BRIDGE_EXIT", DEVICE, "201", bridge="b1"),
    )

    assert [row["attempt"] for row in rows] == [None, None]


def test_without_bridge_ids_a_call_is_one_bridge(tmp_path: Path) -> None:
    rows = observed(tmp_path, *[text.replace('""bridge_id"":""b1""', '""other"":""b1""') for text in inbound()])

    assert talks(rows) == [(6, "trunk", "201", 42.0)]


def test_an_attended_transfer_makes_two_calls_one(tmp_path: Path) -> None:
    consultation = f"{BASE}.30"
    rows = observed(
        tmp_path,
        event(0, "CHAN_START", DEVICE, "201", uniqueid=consultation, linkedid=consultation),
        event(0, "CHAN_START", COLLEAGUE, "202", uniqueid=f"{BASE}.31", linkedid=consultation),
        event(
            30,
            "ATTENDEDTRANSFER",
            DEVICE,
            "201",
            extra={
                "bridge1_id": "b1",
                "bridge2_id": "b2",
                "channel2_name": "PJSIP/201-00000020",
                "channel2_uniqueid": consultation,
                "transferee_channel_uniqueid": CALL,
                "transfer_target_channel_uniqueid": f"{BASE}.31",
            },
        ),
    )

    assert (rows[2]["key"], rows[2]["other_keys"]) == (f"pbx:{CALL}", [f"pbx:{consultation}"])
    assert [row["other_keys"] for row in rows[:2]] == [None, None]


def test_the_talk_goes_on_over_blocks_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asterisk_table, "BLOCK_SIZE", 300_000)
    marks = [event(20, "CHAN_START", DEVICE, "201")] * 4_000
    events = inbound()
    path = tmp_path / "Master.csv"
    path.write_text("".join([*events[:5], *marks, *events[5:]]), encoding="utf-8")
    found = list(SOURCE.read(path, context()))

    assert len(found) > 1
    assert [row[1:] for batch in found for row in talks(batch.facts["observation"].to_pylist())] == [
        ("trunk", "201", 42.0)
    ]


def test_an_emergency_call_is_marked_where_it_starts(tmp_path: Path) -> None:
    rows = observed(tmp_path, event(0, "CHAN_START", DEVICE, "201", exten="112"), event(0, "CHAN_START", DEVICE, "201"))

    assert [row["emergency"] for row in rows] == [True, False]


def test_an_event_of_no_call_is_on_its_own(tmp_path: Path) -> None:
    (row,) = observed(tmp_path, event(0, "USER_DEFINED", "", linkedid="", uniqueid=""))

    assert (row["attempt"], row["key"]) == ("no_human", "pbx:Master.csv:1")


@pytest.mark.parametrize(("written", "expected"), [(f"{BASE}.250000", 0.25), (f"{BASE}", 0.0), (local(0), 0.0)])
def test_times_are_local_or_epochs(tmp_path: Path, written: str, expected: float) -> None:
    (row,) = observed(tmp_path, event(0, "CHAN_START", TRUNK, time=written))

    assert row["started_at"] == utc(0) + timedelta(seconds=expected)


def test_the_hour_that_comes_twice_is_told_by_the_channels_epoch(tmp_path: Path) -> None:
    second = datetime(2026, 10, 25, 1, 30)
    unique = f"{int(second.replace(tzinfo=UTC).timestamp())}.1"
    late = ReadContext("pbx", "x", ZoneInfo("Europe/Helsinki"), IDENTIFIERS, datetime(2027, 1, 1))
    text = event(0, "CHAN_START", TRUNK, time="2026-10-25 03:30:00", uniqueid=unique, linkedid=unique)

    assert observed(tmp_path, text, given=late)[0]["started_at"] == second
    mixed = event(0, "CHAN_START", TRUNK, time=f"{BASE}.5")
    assert observed(tmp_path, text, mixed, given=late)[0]["started_at"] == second


def test_bad_records_are_dead_letters(tmp_path: Path) -> None:
    text = (
        event(0, "CHAN_START", TRUNK)
        + "three,short,columns\n"
        + event(0, "CHAN_START", TRUNK, time="yesterday")
        + event(400 * 86_400, "CHAN_START", TRUNK)
        + event(0, "CHAN_END", TRUNK)
    )
    (batch,) = batches(tmp_path, text)

    assert [(letter.position, letter.reason) for letter in batch.dead_letters] == [
        (2, "has 3 columns, expected 20"),
        (3, "the event time is no time; expected YYYY-MM-DD HH:MM:SS or an epoch"),
        (4, "dated in the future: the event is more than a day after the file was read"),
    ]


def rewritten(columns: Sequence[str]) -> list[str]:
    """Return the events of an inbound call with other columns; unknown ones are empty."""
    lines = []
    for cells in csv.reader(inbound()):
        values = dict(zip(COLUMNS, cells, strict=True))
        lines.append(",".join('"' + values.get(name, "").replace('"', '""') + '"' for name in columns) + "\n")
    return lines


def test_a_table_with_a_header_is_read_by_its_names(tmp_path: Path) -> None:
    header = (
        "id,eventtype,eventtime,cid_name,cid_num,exten,context,channame,appname,uniqueid,linkedid,peer,eventextra\n"
    )
    columns = [
        "id", "eventtype", "eventtime", "name", "num", "exten", "context", "channame", "appname", "uniqueid",
        "linkedid", "bridgepeer", "extra",
    ]  # fmt: skip

    rows = observed(tmp_path, header, *rewritten(columns))

    assert talks(rows) == [(7, "trunk", "201", 42.0)]


def test_columns_of_ones_own_are_told_by_a_mapping(tmp_path: Path) -> None:
    columns = ["eventtype", "eventtime", "num", "channame", "uniqueid", "linkedid", "extra"]
    with pytest.raises(ConfigurationError, match="not those of a channel event log"):
        batches(tmp_path, "".join(rewritten(columns)))

    mapping = {name: str(place) for place, name in enumerate(columns, 1)}
    rows = observed(tmp_path, *rewritten(columns), given=context(mapping=mapping))

    assert [talk[3] for talk in talks(rows)] == [42.0]


def test_a_truncated_archive_is_told(tmp_path: Path) -> None:
    packed = gzip.compress("".join(inbound() * 500).encode())

    with pytest.raises(InvalidRecord, match="ends in the middle"):
        batches(tmp_path, packed[: len(packed) // 2])


def test_events_are_recognised_by_content_and_nothing_else_is() -> None:
    found = SOURCE.recognise(Sample(Path("x"), "".join(inbound()).encode()))
    cdr = '"",' * 19 + "1\n"

    assert found is not None
    assert found.evidence == "Asterisk CEL, 20 columns"
    for text in ("", cdr, "Id,Subject\n1,Call\n", "1772438400|NONE|NONE|NONE|QUEUESTART|\n"):
        assert SOURCE.recognise(Sample(Path("x"), text.encode())) is None
    assert SOURCE.recognise(Sample(Path(), b"", is_directory=True)) is None
