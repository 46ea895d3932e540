"""One company's records, exported in four ways, are the same facts. The answers were worked out by hand."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import zstandard

from pipeline.identifiers import Identifiers
from pipeline.sources.registry import ReadContext
from pipeline.sources.salesforce import SOURCE
from pipeline.sources.salesforce_dialect import full_id, local_day, read_flag, read_id, read_moment
from pipeline.sources.salesforce_records import ActivityRow
from schemas.facts import ACTIVITY, SCHEMAS

HELSINKI = ZoneInfo("Europe/Helsinki")
IDENTIFIERS = Identifiers(b"0123456789abcdef")

TASK, OLD_TASK = full_id("00T8a00000Aaaa1"), full_id("00T8a00000Aaaa2")
MAIJA, MATTI = full_id("0038a00000Cccc1"), full_id("0058a00000Uuuu1")
FIRM = full_id("0018a00000Ffff1")

# Data Loader: a byte order mark, ISO times, empty booleans, upper-case headers, an embedded line feed and quotes.
DATA_LOADER = (
    "\ufeffID,WHOID,WHATID,ACCOUNTID,SUBJECT,ACTIVITYDATE,OWNERID,CREATEDBYID,CREATEDDATE,SYSTEMMODSTAMP,ISDELETED,"
    "TASKSUBTYPE,CALLTYPE,CALLOBJECT,CALLDURATIONINSECONDS,DESCRIPTION,TYPE\n"
    f'{TASK},{MAIJA},,{FIRM},"Tarjous, toinen kierros",2026-03-09,{MATTI},{MATTI},2026-03-02T12:30:05.000+0000,'
    f'2026-03-02T12:31:00.000+0000,false,Call,Outbound,1772454000.17,185,"Sanoi ""kyllä"",\nsoitan taas",\n'
    f"{OLD_TASK},{MAIJA},{FIRM},,Sähköposti: tarjous,2026-03-09,{MATTI},{MATTI},2026-03-03T09:00:00.000+0000,"
    "2026-03-03T09:00:00.000+0000,true,,,,,,\n"
)
# Weekly Data Export: all quoted, times in UTC, 0 and 1, null ids of zeros.
WEEKLY = (
    '"Id","WhoId","WhatId","AccountId","Subject","ActivityDate","OwnerId","CreatedById","CreatedDate","SystemModstamp",'
    '"IsDeleted","EmailMessageId","CallType","CallObject","CallDurationInSeconds","Description","Type"\r\n'
    f'"{TASK}","{MAIJA}","000000000000000AAA","{FIRM}","Tarjous, toinen kierros","2026-03-09 00:00:00","{MATTI}",'
    f'"{MATTI}","2026-03-02 12:30:05","2026-03-02 12:31:00","0","","Outbound","1772454000.17","185",'
    '"Sanoi ""kyllä"",\r\nsoitan taas",""\r\n'
    f'"{OLD_TASK}","{MAIJA}","{FIRM}","","Tarjous","2026-03-09 00:00:00","{MATTI}","{MATTI}","2026-03-03 09:00:00",'
    f'"2026-03-03 09:00:00","1","{full_id("02s8a00000Eeee1")}","","","0","",""\r\n'
)
# A relational mover keeps ids of its own making, #N/A for null; 15-character references here.
RELATIONAL = (
    "Guid,WhoId,WhatId,AccountId,Subject,ActivityDate,OwnerId,CreatedById,CreatedDate,SystemModstamp,IsDeleted,"
    "TaskSubtype,CallType,CallObject,CallDurationInSeconds,Description,Type\n"
    f'{TASK[:15]},{MAIJA[:15]},"#N/A",{FIRM[:15]},"Tarjous, toinen kierros",2026-03-09,{MATTI[:15]},{MATTI[:15]},'
    '2026-03-02T12:30:05Z,2026-03-02T12:31:00Z,false,"#N/A",Outbound,1772454000.17,"#N/A","#N/A","#N/A"\n'
    f'{OLD_TASK[:15]},{MAIJA[:15]},{FIRM[:15]},"#N/A",Sähköposti: tarjous,2026-03-09,{MATTI[:15]},{MATTI[:15]},'
    '2026-03-03T11:00:00+02:00,2026-03-03T09:00:00Z,true,"#N/A","#N/A","#N/A","#N/A","#N/A",Other\n'
)
# A warehouse: snake case, a column twice, dates as midnight timestamps, a deletion that only the warehouse saw.
WAREHOUSE = (
    "call_disposition,who_id,what_id,account_id,subject,activity_date,owner_id,created_by_id,created_date,"
    "system_modstamp,is_deleted,task_subtype,call_type,call_object,call_duration_in_seconds,call_disposition,id,type,"
    "_fivetran_synced,_fivetran_deleted,_fivetran_active\n"
    f'x,{MAIJA},,{FIRM},"Tarjous, toinen kierros",2026-03-09 00:00:00,{MATTI},{MATTI},'
    "2026-03-02 12:30:05.000000 UTC,2026-03-02 12:31:00.000000 UTC,FALSE,Task,Outbound,1772454000.17,185,y,"
    f"{TASK},,2026-03-10 00:00:00,false,true\n"
    f"x,{MAIJA},{FIRM},,Sähköposti: tarjous,2026-03-09 00:00:00,{MATTI},{MATTI},2026-03-03 09:00:00,"
    f"2026-03-03 09:00:00,FALSE,Task,,,,y,{OLD_TASK},Other,2026-03-10 00:00:00,true,true\n"
)

CALL = {
    "activity_id": TASK,
    "kind": "call",
    "logged_from": datetime(2026, 3, 2, 12, 30, 5),
    "logged_to": datetime(2026, 3, 2, 12, 30, 5),
    "precision": "second",
    "owner_id": MATTI,
    "creator_id": MATTI,
    "contact_ids": [MAIJA],
    "account_ids": [FIRM],
    "keys": ["1772454000.17"],
    "tokens": [],
    "direction": "outbound",
    "updated_at": datetime(2026, 3, 2, 12, 31),
    "deleted": False,
}
EMAIL = CALL | {
    "activity_id": OLD_TASK,
    "kind": "email",
    "logged_from": datetime(2026, 3, 3, 9),
    "logged_to": datetime(2026, 3, 3, 9),
    "keys": [],
    "direction": None,
    "updated_at": datetime(2026, 3, 3, 9),
    "deleted": True,
}


def context(name: str, zone: ZoneInfo = HELSINKI) -> ReadContext:
    return ReadContext("crm", name, zone, IDENTIFIERS, datetime(2026, 3, 10, tzinfo=UTC))


def facts(tmp_path: Path, data: str | bytes, kind: str, name: str = "export.csv") -> list[dict[str, object]]:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    batches = list(SOURCE.read(path, context(name)))
    assert [letter.reason for batch in batches for letter in batch.dead_letters] == []
    tables = [batch.facts[kind] for batch in batches if kind in batch.facts]
    assert all(table.schema == SCHEMAS[kind] for table in tables)
    rows: list[dict[str, object]] = pa.concat_tables(tables).to_pylist()
    return rows


def placeless(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name not in ("raw_id", "source")} for row in rows]


@pytest.mark.parametrize("text", [DATA_LOADER, WEEKLY, RELATIONAL, WAREHOUSE])
def test_tasks_of_every_dialect_are_the_same_activities(tmp_path: Path, text: str) -> None:
    assert placeless(facts(tmp_path, text, "activity")) == [CALL, EMAIL]


def test_position_is_the_first_physical_line_of_the_record(tmp_path: Path) -> None:
    rows = facts(tmp_path, DATA_LOADER, "activity")

    assert [row["raw_id"] for row in rows] == ["crm:export.csv:2", "crm:export.csv:4"]


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(WEEKLY.encode(), mtime=0),
        zstandard.compress(WEEKLY.encode()),
        WEEKLY.encode("utf-16"),
        WEEKLY.replace(",", ";").replace("Tarjous;", "Tarjous,").replace('kyllä"";', 'kyllä"",').encode(),
    ],
    ids=["gzip", "zstd", "utf-16", "semicolons"],
)
def test_packing_and_encoding_make_no_difference(tmp_path: Path, data: bytes) -> None:
    assert placeless(facts(tmp_path, data, "activity")) == [CALL, EMAIL]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffId,LastName,Phone,MobilePhone,HomePhone,OtherPhone,AssistantPhone,Fax,Email,AccountId,IsDeleted,"
        "SystemModstamp\n"
        f"{MAIJA},Virtanen,040 555 1234,+358 50 555 1111,,,,,MAIJA@firm.example,{FIRM},,2026-03-01T00:00:00.000Z\n",
        '"Id","IsDeleted","AccountId","LastName","Phone","Fax","MobilePhone","OtherPhone","Email","LastModifiedDate"\n'
        f'"{MAIJA}","0","{FIRM}","Virtanen","","","+358505551111","040-5551234","maija@firm.example",'
        '"2026-03-01 00:00:00"\n',
        "Guid,AccountId,AssistantPhone,Email,Fax,HomePhone,LastName,MobilePhone,OtherPhone,Phone,MailingCity,"
        "SystemModstamp\n"
        f'{MAIJA},{FIRM},0505551111,maija@firm.example,"#N/A",(040) 555 1234,Virtanen,"#N/A","#N/A","#N/A","#N/A",'
        "2026-03-01T02:00:00+02:00\n",
        "id,account_id,email,fax,is_deleted,mobile_phone,phone,system_modstamp,mailing_city\n"
        f"{MAIJA[:15]},{FIRM},maija@firm.example,358505551111,false,0405551234,,2026-03-01 00:00:00,Oulu\n",
    ],
    ids=["data loader", "weekly", "relational", "warehouse"],
)
def test_contacts_of_every_dialect_are_the_same_contacts(tmp_path: Path, text: str) -> None:
    tokens = [IDENTIFIERS.phone("+358405551234").token, IDENTIFIERS.phone("+358505551111").token]
    tokens.append(IDENTIFIERS.email("maija@firm.example").token)

    assert placeless(facts(tmp_path, text, "contact")) == [
        {
            "contact_id": MAIJA,
            "account_id": FIRM,
            "tokens": sorted(token for token in tokens if token),
            "updated_at": datetime(2026, 3, 1),
            "deleted": False,
        }
    ]


def test_short_and_long_form_of_an_id_join() -> None:
    # By hand: capitals at places 2 and 3 of the last five letters are bits 4 and 8, the twelfth letter after A.
    assert (full_id("001000000000ABc"), full_id("000000000000000")) == ("001000000000ABcAAM", "000000000000000AAA")
    assert read_id("001000000000ABc") == read_id(" 001000000000ABcAAM ")


@pytest.mark.parametrize("null", ["", " ", "#N/A", "000000000000000AAA", "000000000000000", "null", "\\N"])
def test_every_way_of_writing_null_is_null(null: str) -> None:
    assert read_id(null) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("TRUE", True), ("1", True), ("false", False), ("0", False), ("", None), ("#N/A", None)],
)
def test_booleans_of_every_dialect_are_read(text: str, expected: bool | None) -> None:
    assert read_flag(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-02T12:30:05.000+0000", datetime(2026, 3, 2, 12, 30, 5)),
        ("2026-03-02T14:30:05.250+02:00", datetime(2026, 3, 2, 12, 30, 5, 250_000)),
        ("2026-03-02T12:30:05Z", datetime(2026, 3, 2, 12, 30, 5)),
        ("2026-03-02 12:30:05", datetime(2026, 3, 2, 12, 30, 5)),
        ("2026-03-02 12:30:05.000000 UTC", datetime(2026, 3, 2, 12, 30, 5)),
    ],
)
def test_times_of_every_dialect_are_utc(text: str, expected: datetime) -> None:
    moment = read_moment(text, HELSINKI)

    assert moment == (expected, expected, "second")


def test_time_without_seconds_is_known_to_the_minute() -> None:
    moment = read_moment("2026-03-02 12:30", HELSINKI)

    assert moment == (datetime(2026, 3, 2, 12, 30), datetime(2026, 3, 2, 12, 30, 59, 999_999), "minute")


def test_date_alone_is_the_whole_local_day() -> None:
    assert read_moment("2026-03-02", HELSINKI) == (
        datetime(2026, 3, 1, 22),
        datetime(2026, 3, 2, 21, 59, 59, 999_999),
        "day",
    )


def test_day_of_the_change_to_summer_time_has_23_hours() -> None:
    day = local_day("2026-03-29", HELSINKI)

    assert (day.first, day.last) == (datetime(2026, 3, 28, 22), datetime(2026, 3, 29, 20, 59, 59, 999_999))


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-10:00", "1"])
def test_what_is_no_time_of_this_age_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_moment(text, HELSINKI)


def test_row_of_an_activity_has_the_columns_of_the_fact() -> None:
    assert list(ActivityRow._fields) == ACTIVITY.names
