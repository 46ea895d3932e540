"""Canonical records in files, and the newcomer's own table of calls."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.identifiers import Identifiers
from pipeline.sources.canonical import CanonicalCsv, CanonicalJsonl, CanonicalParquet
from pipeline.sources.reading import head
from pipeline.sources.registry import DeadLetter, ReadContext, Sample, Source
from pipeline.sources.written_values import InstantReader, read_flag, read_list, read_seconds

JSONL, CSV, PARQUET = CanonicalJsonl(), CanonicalCsv(), CanonicalParquet()
IDENTIFIERS = Identifiers(b"0123456789abcdef")
CUSTOMER = "+358401234567"
TOKEN = IDENTIFIERS.phone(CUSTOMER).token
CALL: dict[str, Any] = {
    "kind": "call", "started_at": "2024-05-02T09:15:00+03:00", "talk_seconds": 60, "from": CUSTOMER, "to": "201",
}  # fmt: skip
NEWCOMER = {
    "kind": "call", "started_at": "Start", "from": "Caller", "to": "Callee", "talk_seconds": "Duration",
    "direction": "Dir", "representative": "Agent",
}  # fmt: skip


@dataclass
class Reading:
    """Everything a parser said about one file."""

    facts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    record_count: int = 0
    byte_count: int = 0

    @property
    def calls(self) -> list[dict[str, Any]]:
        return self.facts.get("observation", [])


def read(
    source: Source,
    path: Path,
    mapping: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    zone: str = "Europe/Helsinki",
) -> Reading:
    context = ReadContext(
        "test", path.name, ZoneInfo(zone), IDENTIFIERS, datetime(2024, 6, 1), mapping or {}, options or {}
    )
    reading = Reading()
    for batch in source.read(path, context):
        for kind, table in batch.facts.items():
            reading.facts.setdefault(kind, []).extend(table.to_pylist())
        reading.dead_letters.extend(batch.dead_letters)
        reading.warnings.extend(batch.warnings)
        reading.record_count += batch.record_count
        reading.byte_count += batch.byte_count
    return reading


def jsonl(path: Path, *records: object) -> Path:
    path.write_bytes(b"\n".join(r if isinstance(r, bytes) else orjson.dumps(r) for r in records) + b"\n")
    return path


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def claim(source: Source, path: Path) -> float:
    recognition = source.recognise(Sample(path, head(path)))
    return recognition.confidence if recognition else 0.0


# JSON Lines


def test_json_lines_are_read_with_line_numbers_and_blank_lines_are_no_records(tmp_path: Path) -> None:
    reading = read(JSONL, jsonl(tmp_path / "a.jsonl", CALL, b"", CALL | {"to": "202"}))
    assert [row["raw_id"] for row in reading.calls] == ["test:a.jsonl:1", "test:a.jsonl:3"]
    assert reading.calls[0]["from_token"] == TOKEN
    assert reading.record_count == 2
    assert reading.byte_count == (tmp_path / "a.jsonl").stat().st_size


def test_gzip_and_zstd_give_the_same_as_the_plain_file(tmp_path: Path) -> None:
    plain = jsonl(tmp_path / "a.jsonl", *[CALL | {"call_id": str(n)} for n in range(20)])
    packed = tmp_path / "b.jsonl"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    squeezed = tmp_path / "c.jsonl"
    squeezed.write_bytes(zstandard.compress(plain.read_bytes()))
    keys = [row["key"] for row in read(JSONL, plain).calls]
    assert [row["key"] for row in read(JSONL, packed).calls] == keys
    assert [row["key"] for row in read(JSONL, squeezed).calls] == keys


def test_a_truncated_archive_is_an_error_and_says_nothing_of_progress(tmp_path: Path) -> None:
    activity = {"kind": "activity", "activity_id": "1", "activity_kind": "call", "logged_at": "2024-05-01T00:00:00Z"}
    lines = b"\n".join(orjson.dumps(activity | {"activity_id": str(n)}) for n in range(5000))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(lines)[:-200])
    context = ReadContext("crm", "a", ZoneInfo("UTC"), IDENTIFIERS, datetime(2024, 6, 1))
    batches = JSONL.read(path, context)
    kinds: set[str] = set()

    def consume() -> None:
        for batch in batches:
            kinds.update(batch.facts)

    with pytest.raises(InvalidRecord, match="ends in the middle"):
        consume()
    assert "feed_progress" not in kinds


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"kind":"call"', "no valid JSON"),
        (b"\x00\xff\xfe binary", "no valid JSON"),
        (b'{"kind":"call","from":"\xff\xff"', "no valid JSON"),
        (b"[1]", "expected a JSON object"),
        (b"17", "expected a JSON object"),
        (b"{}", "kind: missing; expected one of call, pbx_leg"),
        (b'{"kind":"telegram"}', "kind: unknown"),
        (b'{"kind":"call"}', "started_at: missing; every call needs it"),
        (
            b'{"kind":"call","started_at":"yesterday"}',
            "started_at: found text of 9 characters; expected a valid datetime",
        ),
        (orjson.dumps(CALL | {"talkseconds": 1}), "unknown field 'talkseconds'; did you mean 'talk_seconds'?"),
        (orjson.dumps(CALL | {"status": "gone"}), "status: found text of 4 characters; expected 'answered'"),
        (orjson.dumps(CALL | {"talk_seconds": -1}), "talk_seconds: found a negative number"),
        (orjson.dumps(CALL | {"talk_seconds": "x"}), "talk_seconds: found text of 1 characters"),
        (orjson.dumps(CALL | {"from": [CUSTOMER]}), "from: found a list; expected a valid string"),
        (orjson.dumps(CALL | {"version": 2}), "version: found a number; expected 1"),
        (orjson.dumps(CALL | {"started_at": "2025-01-01T00:00:00Z"}), "dated in the future"),
        (orjson.dumps(CALL | {"to": "x" * 2000}), "to: found text of 2,000 characters"),
        (orjson.dumps(CALL | {CUSTOMER: 1}), "unknown field name; remove it"),
    ],
)
def test_a_line_that_cannot_be_used_is_a_dead_letter_and_its_neighbours_are_read(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    reading = read(JSONL, jsonl(tmp_path / "a.jsonl", CALL, line, CALL))
    assert [row["raw_id"] for row in reading.calls] == ["test:a.jsonl:1", "test:a.jsonl:3"]
    (letter,) = reading.dead_letters
    assert reason in letter.reason
    assert (letter.raw_id, letter.position, letter.unit) == ("test:a.jsonl:2", 2, "line")
    assert reading.record_count == 3


def test_a_line_of_many_megabytes_is_one_dead_letter(tmp_path: Path) -> None:
    reading = read(JSONL, jsonl(tmp_path / "a.jsonl", CALL, b'{"kind":"' + b"x" * 6_000_000 + b'"}', CALL))
    assert len(reading.calls) == 2
    assert "too long to be a record" in reading.dead_letters[0].reason
    assert len(reading.dead_letters[0].raw_text) <= 2000


def test_a_dead_letter_shows_no_party_of_the_record(tmp_path: Path) -> None:
    secrets = ["0401234567", "maija.virtanen", "maija@customer.fi", "Tilaus 4711"]
    reading = read(
        JSONL,
        jsonl(
            tmp_path / "a.jsonl",
            CALL | {"from": secrets[0], "to": secrets[0], "talk_seconds": "x"},
            {"kind": "message", "channel": "chat", "from": secrets[1], "customer": secrets[1], "started_at": "x"},
            {"kind": "email", "from": secrets[2], "to": [secrets[2], f"M <{secrets[2]}>"], "subject": secrets[3]},
            orjson.dumps({"kind": "message", "from": secrets[1], "subject": secrets[3]})[:-3],
            b'{"kind":"message","to":["' + secrets[1].encode() + b'","b',
            CALL | {"from": secrets[0], "representative": "r1", "to": "010 555 0201"},
            {"kind": "contact", "contact_id": "c", "emails": secrets[2]},
        ),
    )
    assert len(reading.dead_letters) == 7
    text = "\n".join(f"{letter.reason} {letter.raw_text}" for letter in reading.dead_letters)
    for secret in secrets:
        assert secret not in text
    assert '"talk_seconds":"x"' in text
    assert [letter.is_raw_event for letter in reading.dead_letters] == [True] * 6 + [False]


@given(st.lists(st.binary(max_size=80).filter(lambda line: b"\n" not in line), max_size=12))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_lines_hold_each_is_a_fact_or_a_dead_letter(tmp_path: Path, noise: list[bytes]) -> None:
    path = jsonl(tmp_path / "noise.jsonl", CALL, *noise, CALL)
    reading = read(JSONL, path)
    fact_count = sum(len(rows) for rows in reading.facts.values())
    assert fact_count + len(reading.dead_letters) == reading.record_count >= 2


def test_the_progress_of_a_feed_is_its_latest_activity_unless_it_says_so_itself(tmp_path: Path) -> None:
    activity = {"kind": "activity", "activity_id": "1", "activity_kind": "call", "logged_at": "2024-05-01T00:00:00Z"}
    other = activity | {"activity_id": "2", "updated_at": "2024-05-03T00:00:00Z"}
    reading = read(JSONL, jsonl(tmp_path / "a.jsonl", activity, other))
    assert reading.facts["feed_progress"] == [{"source": "test", "complete_through": datetime(2024, 5, 3)}]
    said = {"kind": "feed_progress", "complete_through": "2024-05-02T00:00:00Z"}
    reading = read(JSONL, jsonl(tmp_path / "b.jsonl", activity, said, other))
    assert reading.facts["feed_progress"] == [{"source": "test", "complete_through": datetime(2024, 5, 2)}]
    reading = read(JSONL, jsonl(tmp_path / "c.jsonl", {"kind": "contact", "contact_id": "c"}))
    assert "feed_progress" not in reading.facts


def test_json_with_other_names_is_read_through_a_mapping(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", {"begin": "2.5.2024 9:15", "caller": CUSTOMER, "secs": 61, "more": 1}, b"[]")
    reading = read(JSONL, path, {"kind": "call", "started_at": "begin", "from": "caller", "talk_seconds": "secs"})
    (row,) = reading.calls
    assert (row["started_at"], row["talk_seconds"], row["from_token"]) == (datetime(2024, 5, 2, 6, 15), 61.0, TOKEN)
    assert "expected a JSON object" in reading.dead_letters[0].reason


# CSV


def test_the_newcomers_own_table_is_read_with_a_mapping(tmp_path: Path) -> None:
    path = table(
        tmp_path / "calls.csv",
        "Start;Caller;Callee;Duration;Dir;Agent;Note\n"
        "02.05.2024 09:15;040 123 4567;;00:05:12;saapuva;Maija Virtanen;x\n"
        "2.5.2024 klo 9.20;;040 123 4567;61,5;OUT;r2;\n"
        "2024-05-02 09:30:00;0401234567;;0;Missed;r2;\n",
    )
    reading = read(CSV, path, NEWCOMER)
    assert reading.dead_letters == []
    first, second, third = reading.calls
    assert (first["started_at"], first["talk_seconds"]) == (datetime(2024, 5, 2, 6, 15), 312.0)
    assert (first["from_token"], first["to_endpoint"], first["direction"]) == (TOKEN, "Maija Virtanen", "inbound")
    assert (second["to_token"], second["from_endpoint"], second["talk_seconds"]) == (TOKEN, "r2", 61.5)
    assert (third["direction"], third["attempt"]) == ("inbound", "unanswered")
    assert [row["raw_id"] for row in reading.calls] == [f"test:calls.csv:{line}" for line in (2, 3, 4)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_by_the_header(tmp_path: Path, delimiter: str) -> None:
    rows = ["started_at", "from", "to", "talk_seconds"], ["2024-05-02T09:15:00", CUSTOMER, "201", "60"]
    path = table(tmp_path / "calls.csv", "\n".join(delimiter.join(row) for row in rows) + "\n")
    assert claim(CSV, path) >= 0.9
    assert read(CSV, path).calls[0]["talk_seconds"] == 60.0


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("started_at,from,to,talk_seconds", "call"),
        ("\ufeffStarted_At,FROM,To,Talk Seconds,representative", "call"),
        ("call_id,started_at,from,to_device,status", "pbx_leg"),
        ("sent_at,from,to,subject", "email"),
        ("channel,started_at,from", "message"),
        ("contact_id,account_id,phones,emails", "contact"),
        ("account_id,phones,domains,segment", "account"),
        ("activity_id,activity_kind,logged_at,contact_ids", "activity"),
        ("ticket_id,logged_at,requester_emails", "ticket"),
        ("user_id,email", "user"),
        ("complete_through", "feed_progress"),
    ],
)
def test_a_table_is_recognised_when_its_columns_are_fields_of_one_kind(tmp_path: Path, header: str, kind: str) -> None:
    recognition = CSV.recognise(Sample(tmp_path / "x.csv", header.encode() + b"\n"))
    assert recognition is not None
    assert kind in recognition.evidence


@pytest.mark.parametrize(
    "header", ["a,b,c", "started_at,from", "Id,AccountId,Name", "", "started_at,from,talk_seconds,colour", "name;phone"]
)
def test_any_other_table_is_left_to_others(tmp_path: Path, header: str) -> None:
    assert CSV.recognise(Sample(tmp_path / "x.csv", header.encode() + b"\n")) is None


def test_rows_of_several_kinds_stand_in_one_table(tmp_path: Path) -> None:
    path = table(
        tmp_path / "all.csv",
        "kind,started_at,from,status,contact_id,phones,deleted,talk_seconds\n"
        f"call,2024-05-02T09:15:00,{CUSTOMER},unanswered,,,,\n"
        f'contact,,,,c1,"{CUSTOMER}; 09 1234567",yes,\n'
        "telegram,,,,,,,\n",
    )
    assert claim(CSV, path) == 0.95
    reading = read(CSV, path)
    assert reading.calls[0]["attempt"] == "unanswered"
    assert len(reading.facts["contact"][0]["tokens"]) == 2
    assert reading.facts["contact"][0]["deleted"] is True
    assert "kind: expected one of" in reading.dead_letters[0].reason


def test_constants_joined_columns_and_own_words(tmp_path: Path) -> None:
    path = table(tmp_path / "calls.csv", f"Date,Time,Number,Secs,Way\n2.5.2024,9:15:04,{CUSTOMER},61000,A\n")
    mapping = {
        "kind": "=call", "started_at": "Date+Time", "customer": "Number", "talk_seconds": "Secs", "direction": "Way",
        "line": "=mobile", "representative": "=r1",
    }  # fmt: skip
    options = {"duration_unit": "milliseconds", "values": {"direction": {"A": "outbound"}}}
    (row,) = read(CSV, path, mapping, options).calls
    assert (row["started_at"], row["talk_seconds"]) == (datetime(2024, 5, 2, 6, 15, 4), 61.0)
    assert (row["direction"], row["line"], row["from_endpoint"]) == ("outbound", "mobile", "r1")
    assert row["to_token"] == TOKEN


def test_a_table_without_header_is_mapped_by_the_numbers_of_its_columns(tmp_path: Path) -> None:
    path = table(tmp_path / "calls.csv", f"2024-05-02 09:15,{CUSTOMER},60\n")
    mapping = {"kind": "call", "started_at": "1", "from": "2", "talk_seconds": "3"}
    (row,) = read(CSV, path, mapping, {"header": False}).calls
    assert (row["raw_id"], row["from_token"]) == ("test:calls.csv:1", TOKEN)


def test_a_date_that_could_be_two_is_refused_until_its_form_is_said(tmp_path: Path) -> None:
    path = table(tmp_path / "calls.csv", f"started_at,from,talk_seconds\n03/04/2024 10:00,{CUSTOMER},60\n")
    assert "a date that could be two: set options.date_format" in read(CSV, path).dead_letters[0].reason
    (row,) = read(CSV, path, options={"date_format": "%d/%m/%Y %H:%M"}).calls
    assert row["started_at"] == datetime(2024, 4, 3, 7, 0)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("2.5.2024,,,,", "started_at: a date without a time of day"),
        ("soon,,,,", "started_at: expected a date and time"),
        ("2024-05-02 09:15,,long,,", "talk_seconds: expected a length of time such as 312, 0:05:12 or 5:12"),
        ("2024-05-02 09:15,,60,sideways,", "direction: found text of 8 characters; expected 'inbound'"),
        ("2024-05-02 09:15,,60,,gone", "status: found text of 4 characters; expected 'answered'"),
        (",,60,,", "started_at: missing"),
        ("2024-05-02 09:15,60", "has 2 columns, expected 5"),
        ('2024-05-02 09:15,"040,60,,', "quotation mark"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_dead_letter_with_its_line(tmp_path: Path, cells: str, reason: str) -> None:
    good = f"2024-05-02 09:15,{CUSTOMER},60,in,answered\n"
    path = table(tmp_path / "calls.csv", f"started_at,from,talk_seconds,direction,status\n{good}{cells}\n{good}")
    reading = read(CSV, path)
    (letter,) = reading.dead_letters
    assert reason in letter.reason
    assert (letter.position, letter.unit) == (3, "line")
    assert len(reading.calls) == 2


def test_a_dead_letter_of_a_table_shows_no_party(tmp_path: Path) -> None:
    path = table(
        tmp_path / "calls.csv",
        "Start,Caller,Callee,Duration,Dir,Agent,Customer name\n"
        "soon,040 123 4567,201,60,in,r1,Maija Virtanen\n"
        "soon,Maija Virtanen,201,60,in,r1,\n"
        "too,few 0401234567,columns\n",
    )
    text = "\n".join(f"{letter.reason} {letter.raw_text}" for letter in read(CSV, path, NEWCOMER).dead_letters)
    assert "1234567" not in text.replace(" ", "")
    assert "Virtanen" not in text
    assert "soon" in text


@pytest.mark.parametrize(
    ("mapping", "options", "words"),
    [
        (NEWCOMER | {"to": "Calee"}, {}, "there is no column 'Calee'; did you mean 'Callee'?"),
        (NEWCOMER | {"form": "Caller"}, {}, "'form' is no field of a call; did you mean 'from'?"),
        (NEWCOMER | {"kind": "cal"}, {}, "kind = 'cal' is no kind of record and no column; did you mean 'call'?"),
        ({"kind": "call", "from": "Caller", "talk_seconds": "Duration"}, {}, "no column for started_at"),
        ({"kind": "call", "started_at": "Start", "from": "Caller"}, {}, "nothing tells whether anybody talked"),
        ({"kind": "call", "started_at": "Start", "talk_seconds": "Duration"}, {}, "no column for the parties"),
        ({"started_at": "Start"}, {}, "the kind of record is not said"),
        (NEWCOMER, {"dateformat": "x"}, "unknown option 'dateformat'; did you mean 'date_format'?"),
        (NEWCOMER, {"duration_unit": "hours"}, "expected one of seconds, minutes, milliseconds"),
        (NEWCOMER, {"values": ["x"]}, "options.values is no table"),
        (NEWCOMER, {"delimiter": ";;"}, "expected one character"),
    ],
)
def test_a_mapping_that_does_not_fit_stops_the_run_with_the_remedy(
    tmp_path: Path, mapping: dict[str, str], options: dict[str, Any], words: str
) -> None:
    path = table(tmp_path / "calls.csv", "Start,Caller,Callee,Duration,Dir,Agent\n")
    with pytest.raises(ConfigurationError) as caught:
        read(CSV, path, mapping, options)
    assert words in str(caught.value)


def test_a_first_line_that_is_data_is_not_repeated_in_an_error(tmp_path: Path) -> None:
    path = table(tmp_path / "calls.csv", "2024-05-02 09:15,0401234567,60\n")
    with pytest.raises(ConfigurationError, match=r"set options\.header = false") as caught:
        read(CSV, path, {"kind": "call", "started_at": "Start", "from": "b", "talk_seconds": "c"})
    assert "0401234567" not in str(caught.value)


def test_a_misspelt_column_stops_the_run_and_an_own_one_is_told_of(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.csv", f"kind,started_at,from,talk_secnds,status\ncall,2024-05-02 09:15,{CUSTOMER},60,ok\n"
    )
    with pytest.raises(ConfigurationError, match="unknown column 'talk_secnds'; did you mean 'talk_seconds'"):
        read(CSV, path, {"kind": "call"})
    path = table(tmp_path / "b.csv", f"started_at,from,talk_seconds,colour\n2024-05-02 09:15,{CUSTOMER},60,red\n")
    reading = read(CSV, path, {"kind": "call"})
    assert reading.warnings == ["b.csv: columns that are not used: colour"]


def test_text_that_is_no_utf8_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_bytes(
        "started_at,customer,talk_seconds,representative\n2024-05-02 09:15,040,60,Mäkinen\n".encode("latin-1")
    )
    reading = read(CSV, path)
    assert len(reading.calls) == 1
    assert "save the file as UTF-8" in reading.warnings[0]


def test_an_empty_answered_at_means_that_nobody_answered(tmp_path: Path) -> None:
    path = table(
        tmp_path / "calls.csv",
        "started_at,answered_at,ended_at,from\n"
        f"2024-05-02 09:15:00,2024-05-02 09:15:10,2024-05-02 09:16:00,{CUSTOMER}\n"
        f"2024-05-02 09:15:00,,2024-05-02 09:15:30,{CUSTOMER}\n",
    )
    assert [(row["attempt"], row["talk_seconds"]) for row in read(CSV, path).calls] == [
        ("talk", 50.0),
        ("unanswered", 0.0),
    ]


def test_activities_keep_the_precision_with_which_their_time_is_written(tmp_path: Path) -> None:
    path = table(
        tmp_path / "activities.csv",
        "activity_id,activity_kind,logged_at\n1,call,2024-05-02\n2,call,2.5.2024 9:15\n3,call,2024-05-02T09:15:00\n"
        "4,call,2024-05-02T09:15:00+03:00\n5,call,2024-05-02T09:15+03:00\n",
    )
    precisions = [row["precision"] for row in read(CSV, path).facts["activity"]]
    assert precisions == ["day", "minute", "second", "second", "minute"]


def test_a_table_without_a_header_line_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not even a header"):
        read(CSV, table(tmp_path / "a.csv", "\n\n"))


# Parquet


def test_parquet_is_read_with_its_own_types(tmp_path: Path) -> None:
    path = tmp_path / "calls.parquet"
    pq.write_table(
        pa.table(
            {
                "started_at": pa.array([datetime(2024, 5, 2, 9, 15), datetime(2024, 5, 2, 9, 16)], pa.timestamp("us")),
                "from": [358401234567, None],
                "talk_seconds": pa.array([60, None], pa.int32()),
                "status": ["answered", "missed"],
            }
        ),
        path,
    )
    assert claim(PARQUET, path) >= 0.9
    reading = read(PARQUET, path)
    first, second = reading.calls
    assert (first["started_at"], first["from_token"]) == (datetime(2024, 5, 2, 6, 15), TOKEN)
    assert (second["attempt"], second["raw_id"]) == ("unanswered", "test:calls.parquet:2")
    assert reading.byte_count == path.stat().st_size


def test_parquet_holds_lists_zones_and_dates(tmp_path: Path) -> None:
    path = tmp_path / "crm.parquet"
    pq.write_table(
        pa.table(
            {
                "activity_id": ["1"],
                "activity_kind": ["call"],
                "logged_at": pa.array([date(2024, 5, 2)]),
                "contact_ids": [["c1", "c2"]],
                "updated_at": pa.array([datetime(2024, 5, 3)], pa.timestamp("us", "UTC")),
            }
        ),
        path,
    )
    (row,) = read(PARQUET, path).facts["activity"]
    assert (row["precision"], row["contact_ids"], row["updated_at"]) == ("day", ["c1", "c2"], datetime(2024, 5, 3))


def test_parquet_takes_a_mapping_and_may_be_packed(tmp_path: Path) -> None:
    plain = tmp_path / "calls.parquet"
    pq.write_table(
        pa.table({"Start": ["2.5.2024 9:15"], "Caller": [CUSTOMER], "Secs": pa.array([timedelta(seconds=61)])}), plain
    )
    mapping = {"kind": "call", "started_at": "Start", "from": "Caller", "talk_seconds": "Secs"}
    for packed in (plain.read_bytes(), gzip.compress(plain.read_bytes()), zstandard.compress(plain.read_bytes())):
        path = tmp_path / "packed"
        path.write_bytes(packed)
        (row,) = read(PARQUET, path, mapping).calls
        assert (row["talk_seconds"], row["from_token"]) == (61.0, TOKEN)


def test_a_damaged_parquet_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "calls.parquet"
    pq.write_table(
        pa.table({"started_at": ["2024-05-02 09:15"] * 100, "from": ["1"] * 100, "talk_seconds": [1] * 100}), path
    )
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(InvalidRecord, match="damaged or cut off"):
        read(PARQUET, path)
    path.write_bytes(gzip.compress(whole)[:-30])
    with pytest.raises(InvalidRecord, match="damaged or cut off"):
        read(PARQUET, path)


# All formats


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "started_at": st.datetimes(datetime(2024, 1, 1), datetime(2024, 5, 30)).map(
                    lambda moment: moment.replace(microsecond=0, fold=0)
                ),
                "talk_seconds": st.integers(0, 4000),
                "direction": st.sampled_from(["inbound", "outbound"]),
                "customer": st.sampled_from([CUSTOMER, "09 123 4567", "+46 8 123 456 00"]),
                "representative": st.sampled_from(["r1", "201", "Maija Virtanen", "matti@acme.fi"]),
                "call_id": st.uuids().map(str),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_record_means_the_same_in_every_format(tmp_path: Path, records: list[dict[str, Any]]) -> None:
    as_json = jsonl(tmp_path / "a", *[{"kind": "call", **record} for record in records])
    names = list(records[0])
    lines = [";".join(names), *(";".join(str(record[name]) for name in names) for record in records)]
    as_csv = table(tmp_path / "b", "\n".join(lines) + "\n")
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "c")
    expected = [row | {"raw_id": None} for row in read(JSONL, as_json).calls]
    assert len(expected) == len(records)
    assert [row | {"raw_id": None} for row in read(CSV, as_csv).calls] == expected
    assert [row | {"raw_id": None} for row in read(PARQUET, tmp_path / "c").calls] == expected


@given(st.lists(st.text(max_size=60), max_size=10))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_rows_hold_each_is_a_fact_or_a_dead_letter(tmp_path: Path, noise: list[str]) -> None:
    good = f"2024-05-02 09:15,{CUSTOMER},60\n"
    path = tmp_path / "noise.csv"
    path.write_text(
        f"started_at,from,talk_seconds\n{good}" + "\n".join(noise) + f"\n{good}", encoding="utf-8", errors="replace"
    )
    reading = read(CSV, path)
    assert len(reading.calls) + len(reading.dead_letters) == reading.record_count >= 2


# Values as people write them


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024-05-02T09:15:04", datetime(2024, 5, 2, 9, 15, 4)),
        ("2024-05-02 09:15", datetime(2024, 5, 2, 9, 15)),
        ("2024-5-2 9:15", datetime(2024, 5, 2, 9, 15)),
        ("2024/05/02 09:15:04", datetime(2024, 5, 2, 9, 15, 4)),
        ("2.5.2024 9:15", datetime(2024, 5, 2, 9, 15)),
        ("02.05.2024 klo 9.15.04", datetime(2024, 5, 2, 9, 15, 4)),
        ("20240502091504", datetime(2024, 5, 2, 9, 15, 4)),
        ("2024-05-02", date(2024, 5, 2)),
        ("2.5.2024", date(2024, 5, 2)),
    ],
)
def test_a_date_is_read_as_it_is_written(written: str, meant: object) -> None:
    assert InstantReader().read(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        "2024-05-02T06:15:04Z", "2024-05-02 06:15:04 UTC", "2024-05-02 09:15:04 +0300", "1714630504", "1714630504000",
        "Thu, 02 May 2024 09:15:04 +0300", "2024-05-02T06:15:04.000+0000",
    ],
)  # fmt: skip
def test_an_instant_with_a_zone_keeps_it(written: str) -> None:
    moment = InstantReader().read(written)
    assert isinstance(moment, datetime)
    assert moment.timestamp() == 1714630504


@pytest.mark.parametrize(
    "written", ["", "x", "31.2.2024 9:00", "2024-13-01 00:00", "1/2/24 10:00", "99999999999999999999"]
)
def test_what_is_no_date_is_refused(written: str) -> None:
    with pytest.raises(InvalidRecord, match="date"):
        InstantReader().read(written)


@given(st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2100, 1, 1)))
def test_dates_survive_the_forms_in_which_they_are_written(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    for form in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y%m%d%H%M%S"):
        assert InstantReader().read(moment.strftime(form)) == moment


@given(st.text(max_size=30))
def test_any_text_is_a_value_or_a_sentence(text: str) -> None:
    for reader in (InstantReader().read, read_seconds, read_flag):
        try:
            reader(text)
        except InvalidRecord as error:
            sentence = str(error)
        else:
            sentence = "expected"
        assert "expected" in sentence or "could be two" in sentence


@given(st.integers(min_value=0, max_value=10**6))
def test_lengths_survive_the_forms_in_which_they_are_written(seconds: int) -> None:
    assert read_seconds(str(seconds)) == seconds
    assert read_seconds(f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}") == seconds


def test_lists_are_read_as_they_are_written() -> None:
    assert read_list("a; b ;;c") == ["a", "b", "c"]
    assert read_list("a,b") == ["a", "b"]
    assert read_list('["a;b", 1]') == ["a;b", "1"]


def test_a_table_in_another_encoding_is_read_when_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_bytes("Alku;Suunta;Numero;Kesto\n2024-05-02 09:15;LÄH;040 123 4567;60\n".encode("latin-1"))
    mapping = {"kind": "=call", "started_at": "Alku", "direction": "Suunta", "customer": "Numero", "talk_seconds": "4"}
    options = {"encoding": "latin-1", "values": {"direction": {"läh": "outbound"}}}

    (call,) = read(CSV, path, mapping, options).facts["observation"]
    assert (call["direction"], call["to_token"], call["talk_seconds"]) == ("outbound", TOKEN, 60)
    with pytest.raises(ConfigurationError, match=r"options\.encoding is 'hex'; expected a name such as latin-1"):
        read(CSV, path, mapping, {"encoding": "hex"})
