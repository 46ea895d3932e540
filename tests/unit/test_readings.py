"""Facts that go over a raw topic and come back: the same, whatever system they were read from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from pipeline.configuration import load
from pipeline.errors import InvalidRecord
from pipeline.identifiers import Identifiers
from pipeline.readings import ReadingReader, ReadingWriter, read_rejected, write_rejected
from pipeline.sources.discovery import discover
from pipeline.sources.feeding import feed
from pipeline.sources.registry import Batch, DeadLetter
from schemas.facts import SCHEMAS
from schemas.reading import Reading, Rejected
from tests.acme import json_lines, write_acme
from tests.integration.companies import simulated

READ_AT = datetime(2026, 1, 1, tzinfo=UTC)
KEY = bytes(range(32))
NEVER = 2**62

# Events of one inbound call: name, number and channel of each, with what is written behind the channel.
EVENTS = (
    ("CHAN_START", "0405550101", "PJSIP/trunk-1", ""),
    ("CHAN_START", "201", "PJSIP/201-2", ""),
    ("ANSWER", "201", "PJSIP/201-2", ""),
    ("BRIDGE_ENTER", "201", "PJSIP/201-2", '{""bridge_id"":""b1""}'),
    ("BRIDGE_ENTER", "0405550101", "PJSIP/trunk-1", '{""bridge_id"":""b1""}'),
    ("BRIDGE_EXIT", "0405550101", "PJSIP/trunk-1", '{""bridge_id"":""b1""}'),
    ("BRIDGE_EXIT", "201", "PJSIP/201-2", '{""bridge_id"":""b1""}'),
    ("LINKEDID_END", "201", "PJSIP/201-2", ""),
)

# Every kind of record, with what is rare in simulated companies: handles, odd numbers, international addresses.
CANONICAL: list[Mapping[str, object]] = [
    {"kind": "call", "started_at": "2024-05-02T09:15:04.123456+03:00", "talk_seconds": 3, "direction": "inbound",
     "from": "0000123", "to": "201"},
    {"kind": "call", "started_at": "2024-05-02T09:15:04Z", "status": "busy", "direction": "outbound", "from": "201",
     "to": "+44 20 7946 0018", "queue": "sales"},
    {"kind": "call", "started_at": "2024-05-02T09:15:04Z", "talk_seconds": 30, "customer": "+999 12345678901"},
    {"kind": "pbx_leg", "call_id": "1.7", "started_at": "2024-05-02T09:15:04Z", "talk_seconds": 30,
     "from": "+39 06 1234567", "direction": "inbound", "to_device": "201"},
    {"kind": "email", "sent_at": "2024-05-02T09:31:00+03:00", "from": "Maija.Öhman@bücher.example", "subject": "x",
     "to": ["Sales@acme.example", "no address"], "cc": ["a@gmail.com"], "message_id": "<a1@b>"},
    {"kind": "message", "channel": "chat", "started_at": "2024-05-02T10:02:11+03:00", "from": "@Maija.V", "to": "acme",
     "namespace": "a:b", "direction": "inbound"},
    {"kind": "message", "channel": "sms", "started_at": "2024-05-02T10:02:11+03:00", "from": "+358401234567",
     "to": "16123"},
    {"kind": "message", "channel": "social", "started_at": "2024-05-02T10:02:11+03:00", "customer": "ÄITI",
     "conversation_id": "c"},
    {"kind": "contact", "contact_id": "003A1", "phones": ["+358 40 1234567", "12345678"],
     "emails": ["m@customer.example"], "handles": ["Instagram:maija.v", "a:b:c"], "updated_at": "2024-05-02T12:00:00Z"},
    {"kind": "contact", "contact_id": "003A2", "deleted": True},
    {"kind": "account", "account_id": "001B7", "phones": ["+358 9 1234500"], "domains": ["https://www.customer.example"],
     "segment": "key account"},
    {"kind": "activity", "activity_id": "00T9K", "activity_kind": "call", "logged_on": "2024-05-02",
     "account_ids": ["001B7", "001B8"], "keys": ["<a1@b>"]},
    {"kind": "activity", "activity_id": "00T9L", "activity_kind": "note", "logged_at": "2024-05-02T09:24:00+03:00"},
    {"kind": "ticket", "ticket_id": "500C2", "logged_at": "2024-05-02T09:24:00+03:00",
     "requester_phones": ["0401234567"], "requester_emails": ["maija@customer.example"]},
    {"kind": "user", "user_id": "005X3", "email": "matti@acme.example"},
    {"kind": "feed_progress", "complete_through": "2024-05-31T00:00:00Z"},
    {"kind": "call", "started_at": "2024-05-02T09:15:04Z"},
]  # fmt: skip


def cel(folder: Path) -> Path:
    """Write a log of channel events."""
    folder.mkdir(parents=True)
    with (folder / "Master.csv").open("w") as stream:
        for number, (kind, caller, channel, extra) in enumerate(EVENTS):
            values = [kind, f"2024-05-02 09:15:{number * 7:02d}", "Maija", caller, "", "", "", "0201001", "from-trunk"]
            values += [channel, "Dial", "", "3", "", f"1714630504.{channel[-1]}", "1714630504.1", "", "", "", extra]
            stream.write(",".join(f'"{value}"' for value in values) + "\n")
    return folder


def maildir(folder: Path) -> Path:
    """Write a mailbox of two messages, each a file."""
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True)
    for number, sender in enumerate(("Maija <maija@customer.example>", "matti@acme.example")):
        (folder / "cur" / f"{number}.host:2,S").write_text(
            f"From: {sender}\nTo: matti@acme.example, a@gmail.com\nDate: Thu, 2 May 2024 09:31:0{number} +0300\n"
            f"Message-ID: <{number}@customer.example>\nSubject: hello\n\ntext\n"
        )
    return folder


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated company, the small one of the tests, and files in the formats that neither of them has."""
    folder = simulated(tmp_path_factory.mktemp("company"), 5, 25, 4)
    write_acme(folder / "acme")
    (folder / "acme" / "bypassflow.toml").unlink()
    (folder / "acme" / "directory.csv").unlink()
    (folder / "acme" / "odd.jsonl").write_text(json_lines(CANONICAL) + "{\n")
    cel(folder / "cel")
    maildir(folder / "maildir")
    return folder


def batches(folder: Path, identifiers: Identifiers) -> Iterator[tuple[str, Batch]]:
    configuration = load((folder / "bypassflow.toml").read_text(), "bypassflow.toml")
    for item in discover([folder], configuration, folder):
        for batch in feed(item, identifiers, READ_AT):
            yield item.parser.name, batch


def read_back(messages: list[bytes], reader: ReadingReader) -> pa.Table | None:
    values = [orjson.loads(data) for data in messages]
    kinds = {value["fact"] for value in values}
    assert len(kinds) == 1
    table, used, rejections = reader.read(kinds.pop(), [value["row"] for value in values], NEVER)
    assert (rejections, used) == ([], list(range(len(values))))
    return table


def said(table: pa.Table) -> set[tuple[str, ...]]:
    return set(zip(*(column.to_pylist() for column in table.columns), strict=True))


@pytest.mark.parametrize("is_clear", [False, True])
def test_facts_become_readings_and_the_same_facts_again(company: Path, is_clear: bool) -> None:
    at_home, taking_in = Identifiers(KEY, clear=is_clear), Identifiers(KEY, clear=is_clear)
    writer, reader = ReadingWriter(), ReadingReader(taking_in)
    met: set[tuple[str, ...]] = set()
    kinds, formats = set(), set()
    pairs = zip(batches(company, at_home), batches(company, Identifiers(KEY, clear=True)), strict=True)
    for (name, expected), (_, sent) in pairs:
        formats.add(name)
        writer.learn(sent.facts.get("identifier", SCHEMAS["identifier"].empty_table()))
        met |= said(expected.facts.get("identifier", SCHEMAS["identifier"].empty_table()))
        for kind, table in sent.facts.items():
            if kind != "identifier" and table.num_rows:
                assert read_back(writer.write(kind, table), reader) == expected.facts[kind]  # type: ignore[arg-type]
                kinds.add(kind)
        if unmentioned := writer.write_unmentioned(sent.facts):
            read_back(unmentioned, reader)
        for letter, same in zip(expected.dead_letters, sent.dead_letters, strict=True):
            assert read_rejected(Rejected.model_validate_json(write_rejected(same))) == letter
    assert said(taking_in.drain()) == met
    assert kinds == set(SCHEMAS) - {"identifier"}
    assert {"asterisk_cdr", "asterisk_cel", "asterisk_queue_log", "mbox", "maildir", "salesforce"} <= formats


def test_every_reading_keeps_its_contract(company: Path) -> None:
    writer = ReadingWriter()
    for _, batch in batches(company, Identifiers(KEY, clear=True)):
        writer.learn(batch.facts.get("identifier", SCHEMAS["identifier"].empty_table()))
        for kind, table in batch.facts.items():
            if kind != "identifier":
                for data in writer.write(kind, table.slice(0, 50)):  # type: ignore[arg-type]
                    Reading.model_validate_json(data)


def test_an_empty_list_is_another_thing_than_none() -> None:
    rows = [
        {"raw_id": "1", "source": "crm", "contact_id": "a", "tokens": []},
        {"raw_id": "2", "source": "crm", "contact_id": "b"},
    ]
    table = pa.Table.from_pylist(rows, schema=SCHEMAS["contact"])
    back = read_back(ReadingWriter().write("contact", table), ReadingReader(Identifiers(KEY)))
    assert back is not None
    assert back["tokens"].to_pylist() == [[], None]


def test_a_row_that_cannot_be_used_costs_only_itself() -> None:
    good: Mapping[str, object] = {"raw_id": "1", "source": "crm", "contact_id": "a"}
    rows = [good, {**good, "deleted": "no"}, good, good, {**good, "tokens": ["x"]}]
    table, used, rejections = ReadingReader(Identifiers(KEY)).read("contact", rows, NEVER)
    assert table is not None
    assert (table.num_rows, used) == (3, [0, 2, 3])
    assert [index for index, _ in rejections] == [1, 4]


def test_a_rejected_record_comes_back_as_it_was() -> None:
    letter = DeadLetter("pbx:f:7", "pbx", "f", 7, "byte", "why", "…", is_raw_event=False)
    assert read_rejected(Rejected.model_validate_json(write_rejected(letter))) == letter


@pytest.mark.parametrize(
    ("kind", "canonical"),
    [("phone", "040 1234567"), ("phone", "+"), ("phone", "٣٣٣٣"), ("email", "no address"),
     ("email", "@b.example"), ("email", "a@b"),
     ("handle", "maija"), ("handle", "whatsapp:"), ("domain", "B.example"), ("fax", "1"), ("", "")],
)  # fmt: skip
def test_a_form_that_is_not_canonical_is_refused_without_showing_it(kind: str, canonical: str) -> None:
    with pytest.raises(InvalidRecord) as raised:
        Identifiers(KEY).token_of(kind, canonical)
    assert not canonical or len(canonical) < 2 or canonical not in str(raised.value)
