"""Mail as the Gmail API tells it: the same facts as a mailbox file, and labels that say what is no email."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.gmail import SOURCE
from pipeline.sources.mailbox import EmlSource
from pipeline.sources.mbox_stream import HEADER_LIMIT
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import address, letters, rows
from tests.records import person

OURS = ("acme.example",)
CUSTOMER, OTHER, ALICE, BO = (
    "maija@customer.example", "pekka@partner.example", "alice@acme.example", "bo@acme.example",
)  # fmt: skip
PEOPLE = (person("alice", email_token=address(ALICE)), person("bo", email_token=address(BO)))
TAKEN_IN = datetime(2024, 3, 5, 7, 0, 3)
HEADERS = {
    "Delivered-To": ALICE,
    "Received": "by 2002:a17:90a:77cb with SMTP id e11csp467; Mon, 4 Mar 2024 23:00:03 -0800 (PST)",
    "Return-Path": f"<{CUSTOMER}>",
    "Date": "Tue, 05 Mar 2024 09:00:00 +0200",
    "From": f"Maija Virtanen <{CUSTOMER}>",
    "To": f"Alice <{ALICE}>",
    "Message-Id": "<1@mail.customer.example>",
    "Subject": "=?utf-8?q?P=C3=A4iv=C3=A4=C3=A4?=",
    "MIME-Version": "1.0",
    "Content-Type": 'multipart/alternative; boundary="x"',
}


def headers(changed: Mapping[str, str | None]) -> dict[str, str]:
    """Return the headers of a usual message with some changed, added or, given null, left out."""
    return {name: value for name, value in {**HEADERS, **changed}.items() if value is not None}


def message(changed: Mapping[str, str | None] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a message as format full gives it."""
    listed = [{"name": name, "value": value} for name, value in headers(changed or {}).items()]
    told = {
        "id": "17686ee0f58fde1a",
        "threadId": "17686ee0f58fde1a",
        "labelIds": ["IMPORTANT", "CATEGORY_PERSONAL", "INBOX"],
        "snippet": "secret words of Maija",
        "payload": {
            "partId": "",
            "mimeType": "multipart/alternative",
            "filename": "",
            "headers": listed,
            "body": {"size": 0},
            "parts": [{"mimeType": "text/plain", "headers": [{"name": "List-Id", "value": "<inside>"}]}],
        },
        "sizeEstimate": 7514,
        "historyId": "72166",
        "internalDate": "1709622003000",
    }
    return {**told, **fields}


def as_text(changed: Mapping[str, str | None] | None = None, end: str = "\r\n") -> bytes:
    lines = [f"{name}: {value}" for name, value in headers(changed or {}).items()]
    return (end.join(lines) + end * 2 + "secret words").encode()


def raw(changed: Mapping[str, str | None] | None = None, end: str = "\r\n") -> dict[str, Any]:
    """Return a message as format raw gives it."""
    told = message(raw=base64.urlsafe_b64encode(as_text(changed, end)).decode())
    del told["payload"]
    return told


def written(folder: Path, *messages: Mapping[str, Any], name: str = "messages.json") -> Path:
    path = folder / name
    path.write_bytes(orjson.dumps({"messages": messages, "resultSizeEstimate": len(messages)}))
    return path


def batches(path: Path, **options: Any) -> list[Batch]:
    return parsing.batches(SOURCE, path, options=options)


def warnings(read: Sequence[Batch]) -> list[str]:
    return [warning for batch in read for warning in batch.warnings]


COLUMNS = ("channel", "started_at", "ended_at", "key", "other_keys", "event_id", "from_token", "from_domain", "parties",
           "automated", "bulk")  # fmt: skip


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"Cc": f"Bo <{BO}>, =?utf-8?q?P=C3=A4ivi?= <paivi@partner.example>", "Bcc": OTHER},
        {"Message-Id": None},
        {"Message-Id": None, "MESSAGE-ID": "<1@mail.customer.example>"},
        {"Message-Id": f"<{'x' * 2_000}@mail.customer.example>"},
        {"Message-Id": f"<{ALICE}.7@mail.customer.example>"},
        {"From": "undisclosed", "Sender": OTHER},
        {"From": "undisclosed"},
        {"Subject": "x" * 900},
        {"Auto-Submitted": "auto-replied (vacation)"},
        {"Return-Path": "<>", "Content-Type": "multipart/report; report-type=delivery-status"},
        {"List-ID": "<news.customer.example>", "PRECEDENCE": "list"},
        {"X-Original-To": "sales@acme.example"},
    ],
)
@pytest.mark.parametrize("form", [message, raw])
def test_a_message_gives_the_facts_that_a_mailbox_file_gives(
    tmp_path: Path, changed: dict[str, str | None], form: Any
) -> None:
    (tmp_path / "1.eml").write_bytes(as_text(changed))
    (by_file,) = rows(parsing.batches(EmlSource(), tmp_path / "1.eml"))

    (by_api,) = rows(batches(written(tmp_path, form(changed))))

    assert {name: by_api[name] for name in COLUMNS} == {name: by_file[name] for name in COLUMNS}


def test_a_message_gives_its_parties_time_and_keys(tmp_path: Path) -> None:
    (found,) = rows(batches(written(tmp_path, message({"CC": BO}))))

    assert (found["raw_id"], found["event_id"], found["key"]) == (
        "tried:messages.json:1", "1@mail.customer.example", "m:1@mail.customer.example",
    )  # fmt: skip
    assert found["started_at"] == datetime(2024, 3, 5, 7)
    assert found["from_token"] == address(CUSTOMER)
    assert [(each["role"], each["token"]) for each in found["parties"]] == [
        ("to", address(ALICE)), ("cc", address(BO)), ("delivered", address(ALICE)),
    ]  # fmt: skip
    assert (found["automated"], found["bulk"]) == (False, False)


def test_what_was_sent_to_several_customers_is_an_interaction_with_each(tmp_path: Path) -> None:
    outward = {"From": ALICE, "To": f"{CUSTOMER}, {BO}", "Bcc": OTHER, "Delivered-To": None, "Return-Path": None}

    found = parsing.interactions(batches(written(tmp_path, message(outward, labelIds=["SENT"]))), PEOPLE, OURS)

    assert {each["token"] for each in found} == {address(CUSTOMER), address(OTHER)}
    assert {(each["direction"], each["representative_id"]) for each in found} == {("outbound", "alice")}


def test_copies_in_two_mailboxes_are_one_interaction_and_two_records(tmp_path: Path) -> None:
    both = {"To": "friends@customer.example"}
    first = batches(written(tmp_path, message(both), name="alice@acme.example.json"))
    second = batches(written(tmp_path, message({**both, "Delivered-To": None}), name="bo@acme.example.json"))

    (found,) = parsing.interactions([*first, *second], PEOPLE, OURS)

    assert (found["direction"], found["participants"]) == ("inbound", ["alice", "bo"])
    assert rows(first)[0]["record_digest"] != rows(second)[0]["record_digest"]


def test_a_mailbox_that_is_named_got_what_lies_in_it_and_not_what_it_sent(tmp_path: Path) -> None:
    hidden = {"To": "friends@customer.example", "Delivered-To": None}
    path = written(tmp_path, message(hidden), message({**hidden, "From": f"Alice <{ALICE}>"}))

    received, sent = rows(batches(path, mailbox=ALICE))

    assert [each["role"] for each in received["parties"]] == ["to", "delivered"]
    assert received["parties"][1]["token"] == address(ALICE)
    assert [each["role"] for each in sent["parties"]] == ["to"]


@pytest.mark.parametrize(
    ("label", "counts"),
    [("DRAFT", False), ("SPAM", False), ("CHAT", False), ("TRASH", True), ("SENT", True), ("CATEGORY_FORUMS", True)],
)
def test_labels_say_what_is_no_email(tmp_path: Path, label: str, counts: bool) -> None:
    read = batches(written(tmp_path, message(labelIds=["UNREAD", label])))

    assert (len(rows(read)), letters(read)) == (counts, [])
    passed_over = "messages.json: 1 of its records tell of no conversation and were passed over"
    assert warnings(read) == ([] if counts else [passed_over])


@pytest.mark.parametrize("labels", [None, "DRAFT", [["DRAFT"]], {"DRAFT": 1}])
def test_labels_that_are_none_say_nothing(tmp_path: Path, labels: object) -> None:
    assert len(rows(batches(written(tmp_path, message(labelIds=labels))))) == 1


@pytest.mark.parametrize(
    ("kind", "header", "automated"),
    [
        ("multipart/report", None, True),
        ("text/plain", None, False),
        ("multipart/report", "multipart/report; report-type=feedback-report", False),
        (7, None, False),
    ],
)
def test_the_kind_of_a_message_stands_in_for_a_header_that_was_not_asked_for(
    tmp_path: Path, kind: object, header: str | None, automated: bool
) -> None:
    told = message({"Content-Type": header})
    told["payload"]["mimeType"] = kind

    (found,) = rows(batches(written(tmp_path, told)))

    assert found["automated"] == automated


NEXT_DAY = parsing.READ_AT.replace(tzinfo=UTC) + timedelta(days=1, seconds=1)


@pytest.mark.parametrize(
    ("date", "taken_in", "expected"),
    [
        ("Tue, 05 Mar 2024 09:00:00 +0200", "1709622003000", datetime(2024, 3, 5, 7)),
        ("Tue, 05 Mar 2024 09:00:00 +0200", None, datetime(2024, 3, 5, 7)),
        ("afnhz", "1709622003000", TAKEN_IN),
        (None, "1709622003000", TAKEN_IN),
        (None, 1709622003000, TAKEN_IN),
        ("Tue, 05 Mar 2044 09:00:00 +0200", "1709622003000", TAKEN_IN),
        ("Fri, 31 Dec 9999 23:59:59 -1400", "1709622003000", TAKEN_IN),
        ("Thu, 01 Jan 1970 00:00:00 +0000", "1709622003000", TAKEN_IN),
    ],
)
def test_a_message_is_of_its_date_unless_that_cannot_be(
    tmp_path: Path, date: str | None, taken_in: object, expected: datetime
) -> None:
    (found,) = rows(batches(written(tmp_path, message({"Date": date}, internalDate=taken_in))))

    assert found["started_at"] == expected


@pytest.mark.parametrize(
    ("changed", "fields", "reason"),
    [
        ({}, {"payload": None}, "payload.headers: missing; get each message with format=metadata"),
        ({}, {"payload": {"headers": []}}, "payload.headers: missing"),
        ({}, {"payload": {"headers": {"From": CUSTOMER}}}, "payload.headers: missing"),
        ({}, {"raw": "****"}, "raw: expected a message in base64url"),
        ({}, {"raw": "ääää"}, "raw: expected a message in base64url"),
        ({}, {"raw": "A" * (HEADER_LIMIT * 2)}, "raw: the header is longer than 262,144 bytes"),
        ({"From": None, "Return-Path": None}, {}, "payload.headers: no sender; ask for From"),
        ({"From": " ", "Return-Path": None}, {}, "payload.headers: no sender; ask for From"),
        ({"Date": None}, {"internalDate": None}, "internalDate: missing, and no Date"),
        ({"Date": "x"}, {"internalDate": "-62135596800000"}, "internalDate: missing, and no Date"),
        ({"Date": "x"}, {"internalDate": "-" + "9" * 300}, "internalDate: missing, and no Date"),
        ({}, {"internalDate": "soon"}, "internalDate: expected milliseconds since 1970"),
        ({}, {"internalDate": [1]}, "internalDate: expected milliseconds since 1970"),
        ({}, {"internalDate": "9" * 1_000}, "internalDate: expected milliseconds since 1970"),
        ({}, {"internalDate": "9" * 5_000}, "internalDate: expected milliseconds since 1970"),
        ({"Date": NEXT_DAY.strftime("%a, %d %b %Y %H:%M:%S +0000")}, {"internalDate": None}, "dated in the future"),
        ({}, {"internalDate": "9" * 300, "payload": {"headers": [{"name": "From", "value": "a@b.example"}]}}, "dated"),
        ({"To": ",".join(f"a{n}@b.example" for n in range(10_001))}, {}, "to: found a list"),
    ],
)
def test_a_message_that_cannot_be_used_is_a_dead_letter_that_tells_nobody(
    tmp_path: Path, changed: dict[str, str | None], fields: dict[str, Any], reason: str
) -> None:
    read = batches(written(tmp_path, message(changed, **fields), message({"Message-Id": "<2@x.example>"})))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.raw_id, letter.unit, letter.is_raw_event) == ("tried:messages.json:1", "record", True)
    for private in ("maija", "Maija", "customer.example", "secret", "P=C3"):
        assert private not in letter.raw_text + letter.reason
    assert [row["event_id"] for row in rows(read)] == ["2@x.example"]
    assert sum(batch.record_count for batch in read) == 2


def test_what_the_sender_calls_nobody_is_still_a_message(tmp_path: Path) -> None:
    (found,) = rows(batches(written(tmp_path, message({"From": "undisclosed", "Return-Path": None}))))

    assert (found["from_token"], found["event_id"]) == (None, "1@mail.customer.example")


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("cut", [4, 5, 6, 7])
def test_a_raw_message_may_be_cut_behind_its_header(tmp_path: Path, end: str, cut: int) -> None:
    told = raw({}, end)
    told["raw"] = told["raw"].rstrip("=")[:-cut]

    (found,) = rows(batches(written(tmp_path, told)))

    assert found["event_id"] == "1@mail.customer.example"


def test_of_a_raw_message_only_the_beginning_is_decoded(tmp_path: Path) -> None:
    told = raw()
    told["raw"] = told["raw"].rstrip("=")[:-4] + "A" * (2 * HEADER_LIMIT) + "*"

    (found,) = rows(batches(written(tmp_path, told)))

    assert found["event_id"] == "1@mail.customer.example"


def test_what_is_no_raw_message_leaves_the_headers(tmp_path: Path) -> None:
    assert len(rows(batches(written(tmp_path, message(raw=7), message({"Subject": "x" * 5_000}))))) == 2


def test_copies_in_two_files_that_name_no_mailbox_are_two_records(tmp_path: Path) -> None:
    (first,) = rows(batches(written(tmp_path, message(), name="a.json")))
    (second,) = rows(batches(written(tmp_path, message(), name="b.json")))

    assert first["record_digest"] != second["record_digest"]


def test_an_option_that_means_nothing_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown option 'mailbocks'; did you mean 'mailbox'"):
        batches(written(tmp_path, message()), mailbocks=ALICE)


def test_messages_are_recognised_however_they_are_put(tmp_path: Path) -> None:
    one = orjson.dumps(message())
    thread = orjson.dumps({"id": "17", "historyId": "72166", "messages": [message(), message()]})
    long_body = orjson.dumps([message(snippet="x" * 70_000)])
    minimal = orjson.dumps({"id": "17", "threadId": "17", "labelIds": ["INBOX"], "internalDate": "1709622003000"})
    ids = orjson.dumps({"messages": [{"id": "17", "threadId": "17"}], "nextPageToken": "1"})

    for content, event_count, letter_count in (
        (one, 1, 0), (one + b"\n" + one + b"\n", 2, 0), (b"[" + one + b"]", 1, 0), (thread, 2, 0),
        (thread + thread, 4, 0), (orjson.dumps(raw()), 1, 0), (minimal, 0, 1), (ids, 0, 1),
    ):  # fmt: skip
        path = tmp_path / "export"
        path.write_bytes(content)
        assert parsing.recognised(path) == "gmail", content[:60]
        read = batches(path)
        assert (len(rows(read)), len(letters(read))) == (event_count, letter_count)
    cut = message()
    cut["payload"]["parts"] = [{"body": {"data": "x" * 70_000}}]
    del cut["internalDate"]
    path.write_bytes(orjson.dumps({"messages": [{"internalDate": "1709622003000", **cut}]}))
    assert parsing.recognised(path) == "gmail"
    assert SOURCE.recognise(Sample(path, long_body[:65_536])) is None  # nothing of it is seen but a snippet


@pytest.mark.parametrize(
    "content",
    [
        {"messages": [{"sid": "SM1", "account_sid": "AC1", "body": "x"}], "uri": "/2010-04-01/Accounts/AC1/"},
        {"messages": [{"id": "1", "text": "hello"}]},
        {"id": "1", "threadId": "2", "text": "hello"},
    ],
)
def test_messages_of_others_are_left_to_them(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "export.json"

    assert SOURCE.recognise(Sample(path, orjson.dumps(content))) is None


def test_lines_name_their_place(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(orjson.dumps(message()) + b"\n" + orjson.dumps(message())[:-1] + b"\n")

    (batch,) = batches(path)

    (letter,) = batch.dead_letters
    assert (letter.position, letter.unit) == (2, "line")
    assert "secret" not in letter.raw_text
    assert [row["raw_id"] for row in rows([batch])] == ["tried:messages.jsonl:1"]


def test_what_stands_before_the_break_of_a_list_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, message(), message())
    path.write_bytes(path.read_bytes()[:-300])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, replace(parsing.context(path), file="x")))

    assert len(rows(found)) == 1


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    whole = written(tmp_path, message(), raw(), message(labelIds=["DRAFT"])).read_bytes()
    path = tmp_path / "damaged.json"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
