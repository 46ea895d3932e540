"""JSON of any network or service, mapped to canonical records: lines, documents and lists, and fields at any depth."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.canonical import CanonicalCsv, CanonicalJsonl
from pipeline.sources.discovery import discover
from pipeline.sources.registry import Batch
from schemas.settings import Configuration
from tests import parsing
from tests.parsing import IDENTIFIERS, letters, rows
from tests.parsing import phone as token
from tests.records import person

JSONL, CSV = CanonicalJsonl(), CanonicalCsv()
DIRECTORY = (person("alice", extension="a-17"),)
POST = {
    "id": "p1", "created_time": "2024-03-05T09:00:00Z", "incoming": True, "text": "secret",
    "author": {"handle": "@Maija.V", "name": "Maija"}, "thread": {"id": "t1"}, "agents": [{"id": "a-17"}],
}  # fmt: skip
MAPPING = {
    "kind": "message", "channel": "=social", "namespace": "=somenet", "message_id": "id",
    "conversation_id": "thread.id", "started_at": "created_time", "direction": "incoming",
    "customer": "author.handle", "representative": "agents.0.id",
}  # fmt: skip
OPTIONS = {"values": {"direction": {"true": "inbound", "false": "outbound"}}}


def written(folder: Path, value: Any, name: str = "posts.json") -> Path:
    path = folder / name
    path.write_bytes(value if isinstance(value, bytes) else orjson.dumps(value))
    return path


def batches(path: Path, mapping: Mapping[str, str] = MAPPING, options: Mapping[str, Any] | None = None) -> list[Batch]:
    return parsing.batches(JSONL, path, mapping, OPTIONS if options is None else options)


def test_a_new_network_needs_a_mapping_and_no_code(tmp_path: Path) -> None:
    (found,) = parsing.interactions(batches(written(tmp_path, POST)), DIRECTORY)
    (fact,) = rows(batches(written(tmp_path, POST)))

    assert (found["channel"], found["direction"], found["representative_id"]) == ("social", "inbound", "alice")
    assert found["token"] == IDENTIFIERS.handle("@maija.v", "somenet").token
    assert (fact["event_id"], fact["session_id"]) == ("p1", "t1")
    assert fact["started_at"] == datetime(2024, 3, 5, 9)


@pytest.mark.parametrize(
    ("value", "options", "unit"),
    [
        (POST, {}, "record"),
        ([POST, POST | {"id": "p2"}], {}, "record"),
        ({"paging": {}, "messages": [POST, POST | {"id": "p2"}]}, {"records": "messages"}, "record"),
        (orjson.dumps(POST) + b"\n" + orjson.dumps(POST | {"id": "p2"}) + b"\n", {}, "line"),
    ],
)
def test_records_come_in_lines_documents_and_lists(
    tmp_path: Path, value: Any, options: dict[str, Any], unit: str
) -> None:
    read = batches(written(tmp_path, value), options=OPTIONS | options)

    assert [row["event_id"] for row in rows(read)] == ["p1", "p2"][: len(rows(read))]
    assert sum(batch.record_count for batch in read) == len(rows(read)) == (1 if value is POST else 2)
    broken = batches(written(tmp_path, value), MAPPING | {"started_at": "text"}, OPTIONS | options)
    assert {letter.unit for letter in letters(broken)} == {unit}


def test_instants_may_be_numbers(tmp_path: Path) -> None:
    for number in (1709629200, 1709629200000, "1709629200"):
        (fact,) = rows(batches(written(tmp_path, POST | {"created_time": number})))

        assert fact["started_at"] == datetime(2024, 3, 5, 9)


def test_a_call_may_come_as_json_too(tmp_path: Path) -> None:
    call = {
        "call": {
            "begin": "2024-03-05 11:00",
            "length": {"talk": 312000},
            "parties": [{"n": "0401234567"}, {"n": "201"}],
        }
    }
    mapping = {
        "kind": "call", "started_at": "call.begin", "talk_seconds": "call.length.talk", "from": "call.parties.0.n",
        "to": "call.parties.1.n",
    }  # fmt: skip

    (fact,) = rows(batches(written(tmp_path, call), mapping, {"duration_unit": "milliseconds"}))

    assert (fact["from_token"], fact["to_endpoint"]) == (token("+358401234567"), "201")
    assert (fact["talk_seconds"], fact["started_at"]) == (312, datetime(2024, 3, 5, 9))


@pytest.mark.parametrize("path", ["author.name.of", "agents.7.id", "agents.x", "nowhere.at.all", "id.x"])
def test_a_path_that_leads_nowhere_leaves_its_field_empty(tmp_path: Path, path: str) -> None:
    (fact,) = rows(batches(written(tmp_path, POST), MAPPING | {"conversation_id": path}))

    assert fact["session_id"] is None


@pytest.mark.parametrize("path", ["author", "agents"])
def test_an_object_is_no_value_and_what_is_in_it_is_not_told(tmp_path: Path, path: str) -> None:
    (letter,) = letters(batches(written(tmp_path, POST), MAPPING | {"customer": path}))

    assert letter.reason == 'customer: expected one value; name what is in it, as in customer = "member.of.it"'
    assert "Maija" not in letter.raw_text
    assert "secret" not in letter.raw_text


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        (POST, {"records": "messages"}, "has no list 'messages'"),
        (POST, {"records": 7}, "options.records is 7"),
        (b"a;b\n1;2\n", {}, "is no JSON"),
        (POST, {"recods": "x"}, "unknown option 'recods'"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, value: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        batches(written(tmp_path, value), options=OPTIONS | options)


def test_a_document_that_breaks_off_gives_what_came_before(tmp_path: Path) -> None:
    path = written(tmp_path, orjson.dumps([POST, POST])[:-20])
    stream = JSONL.read(path, parsing.context(path, MAPPING, OPTIONS))

    assert len(rows([next(stream)])) == 1
    with pytest.raises(InvalidRecord, match="no valid JSON after record 1"):
        list(stream)


def test_a_list_with_a_mapping_is_read_as_json(tmp_path: Path) -> None:
    written(tmp_path, [POST])
    configuration = Configuration.model_validate(
        {"source": [{"name": "somenet", "path": "*.json", "mapping": MAPPING, "options": OPTIONS}]}
    )

    (item,) = discover([tmp_path], configuration, tmp_path)

    assert item.parser.name == "canonical_jsonl"


FAXES = """\
Begun;Sender;Receiver;Pages;Result
5.3.2024 9:00:00;09 4245 0599;040 123 4567;2;OK
5.3.2024 9:05;0401234567;0942450599;1;Bad
"""


def test_faxes_come_from_the_log_of_a_fax_server(tmp_path: Path) -> None:
    path = written(tmp_path, FAXES.encode(), "fax.csv")
    mapping = {
        "kind": "=message", "channel": "=fax", "started_at": "Begun", "from": "Sender", "to": "Receiver",
        "status": "Result",
    }  # fmt: skip
    directory = (person("alice", direct_token=token("0942450599")),)
    read = parsing.batches(CSV, path, mapping, {"values": {"status": {"OK": "delivered", "Bad": "failed"}}})

    (found,) = parsing.interactions(read, directory)

    assert [row["attempt"] for row in rows(read)] == ["talk", "unanswered"]
    assert (found["channel"], found["direction"], found["representative_id"]) == ("fax", "outbound", "alice")
    assert found["token"] == token("+358401234567")


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_plain_errors(tmp_path: Path, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from((orjson.dumps([POST, POST]), orjson.dumps(POST) + b"\n" + orjson.dumps(POST))))
    path = written(tmp_path, parsing.damaged(whole, data))
    read: list[Batch] = []

    with suppress(InvalidRecord, ConfigurationError):
        read.extend(JSONL.read(path, parsing.context(path, MAPPING, OPTIONS)))

    assert sum(batch.record_count for batch in read) == len(rows(read)) + len(letters(read))
