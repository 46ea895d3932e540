"""Mail as Microsoft Graph tells it: whose message it was, which copies are one, and what no person sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.graph_mail import SOURCE
from pipeline.sources.mailbox import EmlSource
from pipeline.sources.registry import Batch, Sample
from tests import parsing
from tests.parsing import address, letters, rows
from tests.records import person, shared

OURS = ("acme.example",)
CUSTOMER, OTHER = "maija@customer.example", "pekka@partner.example"
ALICE, BO, SALES = "alice@acme.example", "bo@acme.example", "sales@acme.example"
X500 = "/O=EXCHANGELABS/OU=EXCHANGE ADMINISTRATIVE GROUP (FYDIBOHF23SPDLT)/CN=RECIPIENTS/CN=A17A02BC-DANA.K"
PEOPLE = (
    person("alice", email_token=address(ALICE)),
    person("bo", email_token=address(BO)),
    shared("Sales", email_token=address(SALES)),
)
CONTEXT = "https://graph.microsoft.com/v1.0/$metadata#users('55f7b855-44a8')/messages"


def party(email: str, name: str = "Somebody") -> dict[str, Any]:
    return {"emailAddress": {"name": name, "address": email}}


def message(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Return a message of a customer to alice, in the order in which the API writes it."""
    told = {
        "@odata.etag": 'W/"CQAAABYAAAC4"',
        "id": f"AAMkAD{number}=",
        "createdDateTime": "2024-03-05T07:00:02Z",
        "receivedDateTime": "2024-03-05T07:00:03Z",
        "sentDateTime": "2024-03-05T07:00:00Z",
        "internetMessageId": f"<{number}@mail.customer.example>",
        "subject": f"Tarjous {number}",
        "bodyPreview": "secret words",
        "parentFolderId": "AAMkADcbAAAAAAEJAAA=",
        "isDraft": False,
        "body": {"contentType": "html", "content": "<p>secret words</p>"},
        "sender": party(CUSTOMER, "Maija Virtanen"),
        "from": party(CUSTOMER, "Maija Virtanen"),
        "toRecipients": [party(ALICE)],
        "ccRecipients": [],
        "bccRecipients": [],
        "replyTo": [],
    }
    return {**told, **{name.rstrip("_"): value for name, value in fields.items()}}


def sent(number: int = 1, *to: str, **fields: Any) -> dict[str, Any]:
    """Return a message that alice sent."""
    return message(number, from_=party(ALICE), sender=party(ALICE), toRecipients=[party(each) for each in to], **fields)


def headed(number: int = 1, **headers: str) -> dict[str, Any]:
    listed = [{"name": name.replace("_", "-"), "value": value} for name, value in headers.items()]
    return message(number, internetMessageHeaders=[{"name": "MIME-Version", "value": "1.0"}, *listed])


def written(folder: Path, *messages: Mapping[str, Any], name: str = "messages.json") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps({"@odata.context": CONTEXT, "value": messages}))
    return path


def batches(path: Path, **options: Any) -> list[Batch]:
    return parsing.batches(SOURCE, path, options=options)


def told(folder: Path, *messages: Mapping[str, Any], **options: Any) -> list[dict[str, Any]]:
    return parsing.interactions(batches(written(folder, *messages), **options), PEOPLE, OURS)


def warnings(read: Sequence[Batch]) -> list[str]:
    return [warning for batch in read for warning in batch.warnings]


def test_a_message_gives_its_parties_time_and_keys(tmp_path: Path) -> None:
    path = written(tmp_path, message(ccRecipients=[party(SALES)], bccRecipients=[party(OTHER)]))

    (found,) = rows(batches(path))

    assert (found["raw_id"], found["channel"], found["event_id"]) == (
        "tried:messages.json:1", "email", "1@mail.customer.example",
    )  # fmt: skip
    assert found["key"] == "m:1@mail.customer.example"
    assert found["started_at"] == found["ended_at"] == datetime(2024, 3, 5, 7)
    assert found["from_token"] == address(CUSTOMER)
    assert [(each["role"], each["token"]) for each in found["parties"]] == [
        ("to", address(ALICE)), ("cc", address(SALES)), ("bcc", address(OTHER)),
    ]  # fmt: skip
    assert (found["automated"], found["bulk"]) == (False, False)


def test_keys_are_those_that_a_mailbox_of_the_same_message_gives(tmp_path: Path) -> None:
    (tmp_path / "1.eml").write_text(
        f"From: Maija Virtanen <{CUSTOMER}>\nTo: {ALICE}\nDate: Tue, 05 Mar 2024 09:00:00 +0200\n"
        "Message-ID: <1@mail.customer.example>\nSubject: VS: Tarjous\n\nbody\n"
    )
    (by_headers,) = rows(parsing.batches(EmlSource(), tmp_path / "1.eml"))
    (by_graph,) = rows(batches(written(tmp_path, message(subject="RE: Tarjous"))))
    (nameless,) = rows(batches(written(tmp_path, message(internetMessageId=None, subject="Tarjous"))))

    assert (by_graph["key"], by_graph["other_keys"]) == (by_headers["key"], by_headers["other_keys"])
    assert [nameless["key"]] == by_headers["other_keys"]


def test_an_email_to_three_customers_is_three_interactions_of_its_sender(tmp_path: Path) -> None:
    found = told(tmp_path, sent(1, CUSTOMER, OTHER, "x@third.example", BO))

    assert {each["token"] for each in found} == {address(CUSTOMER), address(OTHER), address("x@third.example")}
    assert {(each["direction"], each["representative_id"]) for each in found} == {("outbound", "alice")}


def test_copies_in_two_mailboxes_are_one_interaction_and_no_repeats_of_one_record(tmp_path: Path) -> None:
    first = batches(written(tmp_path, message(), name="alice@acme.example.json"))
    second = batches(written(tmp_path, message(), name="bo@acme.example.json"))

    (found,) = parsing.interactions([*first, *second], PEOPLE, OURS)

    assert (found["token"], found["direction"], found["representative_id"]) == (address(CUSTOMER), "inbound", "alice")
    assert found["participants"] == ["alice", "bo"]


def test_copies_in_two_files_that_name_no_mailbox_are_two_records(tmp_path: Path) -> None:
    (first,) = rows(batches(written(tmp_path, message(), name="a.json")))
    (second,) = rows(batches(written(tmp_path, message(), name="b.json")))

    assert first["key"] == second["key"]
    assert first["record_digest"] != second["record_digest"]


def test_the_same_message_in_two_pages_of_one_mailbox_is_the_same_record(tmp_path: Path) -> None:
    found = rows(batches(written(tmp_path, message(), message(id="moved", changeKey="x"))))

    assert found[0]["record_digest"] == found[1]["record_digest"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("alice@acme.example.json", {}),
        ("Alice@Acme.example.JSONL.gz", {}),
        ("alice@acme.example/page-1.json", {}),
        ("exports/alice@acme.example", {}),
        ("messages.json", {"mailbox": "alice@acme.example"}),
        ("bo@acme.example.json", {"mailbox": "Alice <alice@acme.example>"}),
    ],
)
def test_a_blind_copy_is_known_by_the_mailbox_that_it_lies_in(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    path = written(tmp_path, message(toRecipients=[party("friends@customer.example")]), name=name)
    read = SOURCE.read(path, replace(parsing.context(path, options=options), file=name))

    (found,) = rows(read)

    assert found["parties"][-1] == {
        "role": "delivered", "token": address(ALICE), "domain": parsing.IDENTIFIERS.email(ALICE).domain,
    }  # fmt: skip


def test_who_of_ours_got_a_blind_copy_took_part(tmp_path: Path) -> None:
    (found,) = told(tmp_path, message(toRecipients=[party("friends@customer.example")]), mailbox=ALICE)

    assert (found["direction"], found["representative_id"]) == ("inbound", "alice")


def test_a_mailbox_is_no_recipient_of_what_was_sent_from_it(tmp_path: Path) -> None:
    (found,) = rows(batches(written(tmp_path, sent(1, CUSTOMER)), mailbox=ALICE))

    assert [each["role"] for each in found["parties"]] == ["to"]


@pytest.mark.parametrize(
    "fields",
    [
        {"isDraft": True},
        {"@removed": {"reason": "deleted"}},
        {"subject": "IM"},
        {"parentFolderId": "junk"},
    ],
)
def test_what_was_not_sent_or_is_no_email_is_passed_over_and_counted(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = written(tmp_path, message(1, **fields), headed(2))

    read = batches(path, folders_left_out=["junk"])

    assert [row["event_id"] for row in rows(read)] == ["2@mail.customer.example"]
    assert letters(read) == []
    assert warnings(read) == ["messages.json: 1 of its records tell of no conversation and were passed over"]


@pytest.mark.parametrize(
    ("headers", "automated", "bulk"),
    [
        ({}, False, False),
        ({"AUTO_SUBMITTED": "auto-replied"}, True, False),
        ({"Auto_Submitted": "no"}, False, False),
        ({"X_Autoreply": "yes"}, True, False),
        ({"Return_Path": "<>"}, True, False),
        ({"Content_Type": "multipart/report; report-type=delivery-status"}, True, False),
        ({"precedence": "bulk"}, False, True),
        ({"List_ID": "<news.customer.example>"}, False, True),
        ({"List_Unsubscribe": "<https://customer.example/out>"}, False, False),
        ({"X_Note": "x\nAuto-Submitted: auto-replied"}, False, False),
    ],
)
def test_headers_tell_machines_and_lists_as_in_any_mailbox(
    tmp_path: Path, headers: dict[str, str], automated: bool, bulk: bool
) -> None:
    path = written(tmp_path, headed(1, **headers))

    (found,) = rows(batches(path))

    assert (found["automated"], found["bulk"]) == (automated, bulk)


def test_what_machines_and_lists_sent_is_no_interaction(tmp_path: Path) -> None:
    (found,) = told(tmp_path, headed(1, Auto_Submitted="auto-replied"), headed(2, List_Id="<x>"), headed(3))

    assert found["started_at"] == datetime(2024, 3, 5, 7)


def test_a_file_without_any_header_says_that_machines_cannot_be_told(tmp_path: Path) -> None:
    without, with_some = batches(written(tmp_path, message())), batches(written(tmp_path, sent(1, OTHER), headed(2)))

    assert "no message has internetMessageHeaders" in warnings(without)[0]
    assert warnings(with_some) == []


def test_a_colleague_by_an_x500_name_is_one_of_the_mailboxes_own_and_no_customer(tmp_path: Path) -> None:
    dana = party(X500, "Dana")
    internal = message(1, from_=dana, sender=dana)
    outward = message(2, from_=dana, sender=dana, toRecipients=[party(ALICE), party(CUSTOMER)])

    (found,) = told(tmp_path, internal, outward, mailbox=ALICE)

    assert (found["direction"], found["token"]) == ("outbound", address(CUSTOMER))


@pytest.mark.parametrize(
    ("name", "stands_for"),
    [
        (X500, "a17a02bc-danak"),
        (X500.lower(), "a17a02bc-danak"),
        (f"/o=a/cn={'d' * 70}", "d" * 50),
        ("/o=Acme", "oacme"),
    ],
)
def test_an_x500_name_is_told_by_an_address_of_the_mailboxes_domain(tmp_path: Path, name: str, stands_for: str) -> None:
    path = written(tmp_path, message(from_=party(name), sender=party(name)))

    (found,) = rows(batches(path, mailbox=ALICE))

    assert found["from_token"] == address(f"imceaex-{stands_for}@acme.example")


def test_an_x500_name_gives_way_to_any_address_of_the_sender(tmp_path: Path) -> None:
    by_delegate = message(1, from_=party(X500), sender=party(BO))
    by_header = {**headed(2, From=f"Bo <{BO}>"), "from": party(X500), "sender": party(X500)}

    found = rows(batches(written(tmp_path, by_delegate, by_header)))

    assert [row["from_token"] for row in found] == [address(BO), address(BO)]


def test_recipients_by_x500_names_are_left_out(tmp_path: Path) -> None:
    (found,) = rows(batches(written(tmp_path, sent(1, X500, CUSTOMER))))

    assert [each["token"] for each in found["parties"]] == [address(CUSTOMER)]


def test_a_sender_on_behalf_of_a_shared_mailbox_does_not_stand_in_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, message(from_=party(SALES), sender=party(ALICE), toRecipients=[party(CUSTOMER)]))

    (found,) = parsing.interactions(batches(path), PEOPLE, OURS)

    assert (found["team"], found["representative_id"]) == ("Sales", None)


@pytest.mark.parametrize(
    ("sent_at", "received_at", "expected"),
    [
        ("2024-03-05T09:00:00+02:00", None, datetime(2024, 3, 5, 7)),
        ("2024-03-05T07:00:00", None, datetime(2024, 3, 5, 7)),
        ("2024-03-05T07:00:00.1234567Z", None, datetime(2024, 3, 5, 7, 0, 0, 123456)),
        (None, "2024-03-05T07:00:03Z", datetime(2024, 3, 5, 7, 0, 3)),
        ("0001-01-01T00:00:00Z", "2024-03-05T07:00:03Z", datetime(2024, 3, 5, 7, 0, 3)),
        ("2036-03-05T07:00:00Z", "2024-03-05T07:00:03Z", datetime(2024, 3, 5, 7, 0, 3)),
    ],
)
def test_a_message_is_of_when_it_was_sent_unless_that_clock_is_wrong(
    tmp_path: Path, sent_at: str | None, received_at: str | None, expected: datetime
) -> None:
    (found,) = rows(batches(written(tmp_path, message(sentDateTime=sent_at, receivedDateTime=received_at))))

    assert found["started_at"] == expected


TOMORROW = parsing.READ_AT + timedelta(days=1, seconds=1)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sentDateTime": "yesterday"}, "sentDateTime: no date and time such as"),
        ({"sentDateTime": 7}, "sentDateTime: expected a text"),
        ({"sentDateTime": None, "receivedDateTime": None}, "sentDateTime: missing"),
        ({"sentDateTime": "0001-01-01T00:00:00Z", "receivedDateTime": None}, "sentDateTime: missing, or before there"),
        (
            {"sentDateTime": TOMORROW.isoformat(), "receivedDateTime": TOMORROW.isoformat()},
            "dated in the future",
        ),
        ({"from_": None, "sender": None}, "from: no address; ask for from and sender"),
        ({"from_": {"emailAddress": {"name": "Maija"}}, "sender": "x"}, "from: no address"),
        ({"from_": party(X500), "sender": party(X500)}, "from: an X.500 name of somebody in the mailbox's own"),
        ({"toRecipients": {"a": 1}}, "toRecipients: expected a list of recipients"),
        ({"toRecipients": [party("x@y.example")] * 10_001}, "to: found a list"),
        ({"internetMessageId": ["<1>"]}, "internetMessageId: expected a text"),
        ({"subject": 5}, "subject: expected a text"),
    ],
)
def test_a_message_that_cannot_be_used_is_a_dead_letter_that_tells_nobody(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    read = batches(written(tmp_path, message(1, **fields), message(2)))

    (letter,) = letters(read)
    assert letter.reason.startswith(reason)
    assert (letter.raw_id, letter.unit, letter.is_raw_event) == ("tried:messages.json:1", "record", True)
    for private in ("maija", "Maija", "customer.example", "secret", "Tarjous", "RECIPIENTS"):
        assert private not in letter.raw_text + letter.reason
    assert [row["event_id"] for row in rows(read)] == ["2@mail.customer.example"]
    assert sum(batch.record_count for batch in read) == 2


@pytest.mark.parametrize("headers", [["x", {"name": 1}, {"value": "y"}, None], 7, {"name": "List-Id"}])
def test_long_subjects_and_odd_headers_cost_no_message(tmp_path: Path, headers: object) -> None:
    odd = message(1, subject="x" * 5_000, internetMessageHeaders=headers)

    (found,) = rows(batches(written(tmp_path, odd)))

    assert (found["automated"], found["bulk"]) == (False, False)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"mailbox": "alice"}, "options.mailbox is 'alice'; expected one address"),
        ({"mailbox": ["alice@acme.example"]}, "expected one address"),
        ({"mailbox": "a@acme.example, b@acme.example"}, "expected one address"),
        ({"mailbx": "alice@acme.example"}, "unknown option 'mailbx'; did you mean 'mailbox'"),
        ({"zone": "UTC"}, "unknown option 'zone'; known are mailbox, folders_left_out, date_format"),
        ({"folders_left_out": 7}, "options.folders_left_out is no list of the ids of folders"),
    ],
)
def test_an_option_that_means_nothing_stops_the_run(tmp_path: Path, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        batches(written(tmp_path, message()), **options)


def test_options_of_the_tables_in_the_same_source_are_none_of_its_business(tmp_path: Path) -> None:
    assert len(rows(batches(written(tmp_path, message()), date_format="%d.%m.%Y"))) == 1


def test_messages_are_recognised_however_they_are_put(tmp_path: Path) -> None:
    one, two = orjson.dumps({"@odata.context": f"{CONTEXT}/$entity", **message(1)}), orjson.dumps(message(2))
    long_body = orjson.dumps({"value": [message(3, body={"content": "x" * 100_000})]})
    removed_first = orjson.dumps({"value": [{"@removed": {"reason": "deleted"}, "id": "A"}, message(4)]})
    empty = orjson.dumps({"@odata.context": CONTEXT, "value": []})
    few = orjson.dumps({"value": [{"from": party(ALICE), "toRecipients": [], "receivedDateTime": "2024-03-05T07:00Z"}]})

    selected = orjson.dumps(
        {"value": [{"internetMessageId": "<5@x>", "from": party(ALICE), "sentDateTime": "2024-03-05"}]}
    )

    for content, count in (
        (selected, 1), (one, 1), (one + b"\n" + two + b"\n", 2), (b"[" + one + b"," + two + b"]", 2), (long_body, 1),
        (removed_first, 1), (empty, 0), (few, 1), (long_body + empty + long_body, 2),
    ):  # fmt: skip
        path = tmp_path / "export"
        path.write_bytes(content)
        assert parsing.recognised(path) == "graph_mail", content[:60]
        assert len(rows(batches(path))) == count


@pytest.mark.parametrize(
    "content",
    [
        {"value": [{"id": "1", "callType": "user_in", "startDateTime": "2024-03-05T07:00:00Z"}]},
        {"value": [{"id": "1", "chatType": "oneOnOne", "createdDateTime": "2024-03-05T07:00:00Z"}]},
        {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#chats('19')/messages", "value": []},
    ],
)
def test_other_resources_of_the_api_are_left_to_others(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "export.json"
    path.write_bytes(orjson.dumps(content))

    assert SOURCE.recognise(Sample(path, path.read_bytes())) is None


def test_what_stands_before_the_break_of_a_page_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, message(1), message(2))
    path.write_bytes(path.read_bytes()[:-300])
    found: list[Batch] = []

    with pytest.raises(InvalidRecord, match="no valid JSON after record 1; export it again"):
        found.extend(SOURCE.read(path, parsing.context(path)))

    assert [row["event_id"] for row in rows(found)] == ["1@mail.customer.example"]


def test_a_clock_of_the_reading_without_a_zone_is_utc(tmp_path: Path) -> None:
    path = written(tmp_path, message())
    naive = parsing.context(path, read_at=datetime(2024, 3, 5, 6))

    assert len(rows(SOURCE.read(path, naive))) == 1


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_raise_nothing_but_invalid_record(tmp_path: Path, data: st.DataObject) -> None:
    removed = {"@removed": {"reason": "deleted"}, "id": "A"}
    whole = written(tmp_path, headed(1, List_Id="<x>"), sent(2, CUSTOMER), removed).read_bytes()
    path = tmp_path / "damaged.json"
    path.write_bytes(parsing.damaged(whole, data))

    parsing.assert_survives(SOURCE, path)
