"""What systems send over HTTP: who is believed, what is made of it, and under which identity."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from pipeline.identifiers import Identifiers
from pipeline.intake import Intake
from pipeline.raw_messages import RawMessage
from pipeline.received import Feed, Received, Translator
from pipeline.sources.registry import by_name
from pipeline.webhooks import proofs, signed
from pipeline.webhooks.exchange import Content, Refused, Request, Sender
from pipeline.webhooks.freeswitch import Freeswitch
from pipeline.webhooks.meta import Meta
from pipeline.webhooks.twilio import Twilio
from schemas.log import Entry
from schemas.settings import Configuration
from tests import parsing, webhooks
from tests.webhooks import AALTO, Post

NOW = datetime(2024, 3, 5, 9, 3, tzinfo=UTC)
NINE = int(datetime(2024, 3, 5, 9, tzinfo=UTC).timestamp())
SIGNED = signed.signing("canonical_jsonl", proofs.standard_key(webhooks.SECRET), timedelta(minutes=5))
BEARER = signed.bearer("canonical_jsonl", webhooks.TOKEN)
SWITCH = Freeswitch(webhooks.USER, webhooks.PASSWORD)
TWILIO = Twilio(webhooks.PUBLIC_URL, webhooks.AUTH_TOKEN)
META = Meta(webhooks.APP_SECRET, webhooks.VERIFY_TOKEN)
CALL = {"kind": "call", "started_at": "2024-03-05T09:00:00Z", "talk_seconds": 60, "from": AALTO, "to": "201",
        "direction": "inbound"}  # fmt: skip


def request(post: Post, method: str = "POST", at: datetime = NOW, **headers: str) -> Request:
    query = post.path.partition("?")[2]
    given = {name.lower().replace("_", "-"): value for name, value in {**post.headers, **headers}.items()}
    return Request(method, query, given, at, post.body)


def take(sender: Sender, post: Post, at: datetime = NOW) -> Content | None:
    asked = request(post, at=at)
    assert sender.greet(replace(asked, body=b"")) is None
    return sender.take(asked)


def status(sender: Sender, post: Post, at: datetime = NOW, **headers: str) -> int:
    """Return what a request is refused with; 200 when it is not."""
    asked = request(post, at=at, **headers)
    try:
        if sender.greet(replace(asked, body=b"")) is None:
            sender.take(asked)
    except Refused as refused:
        return refused.answer.status
    return 200


def received(folder: Path, format: str, content: Content | None) -> Received:
    assert content is not None
    path = folder / "content"
    path.write_bytes(content.data)
    feed = Feed("tried", "webhook/hook", by_name(format), ZoneInfo("Europe/Helsinki"))
    return Translator(lambda: Identifiers(b"any", clear=True)).translate(feed, path, content.place, NOW)


def rows(folder: Path, format: str, content: Content | None) -> list[dict[str, Any]]:
    """Return the observations that ingest makes of what a request brings; none of it is a dead letter."""
    publications = received(folder, format, content).publications
    messages = [
        RawMessage(each.topic, 0, Entry(number, each.value, each.key, each.headers))
        for number, each in enumerate(publications)
    ]
    taken = Intake(Identifiers(bytes(32)), Configuration()).take(messages, NOW)
    assert taken.letters == []
    return list(taken.facts["observation"].to_pylist())


# Who is believed


def test_the_published_examples_of_signatures_come_out() -> None:
    # Twilio's documentation of request validation, and the specification of Standard Webhooks.
    parameters = {"CallSid": "CA1234567890ABCDE", "Caller": "+12349013030", "Digits": "1234", "From": "+12349013030",
                  "To": "+18005551212"}  # fmt: skip
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert proofs.twilio_signature(url, list(parameters.items()), "12345") == "0/KCTR6DLpKmkAf8muzZqo1nDgQ="

    key = proofs.standard_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    example = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    at = datetime.fromtimestamp(1614265330, UTC)
    proofs.check_standard(Request("POST", "", example, at, b'{"test": 2432232314}'), key, timedelta(minutes=5))


@pytest.mark.parametrize(
    ("sender", "post"),
    [
        (SIGNED, webhooks.signed(orjson.dumps(CALL), NOW.timestamp())),
        (BEARER, webhooks.bearer(orjson.dumps(CALL))),
        (SWITCH, webhooks.switch(webhooks.channel(1, NINE))),
        (TWILIO, webhooks.twilio(webhooks.call_status("CA1", "completed"))),
        (TWILIO, webhooks.twilio_json({"sid": "CA1"})),
        (META, webhooks.meta(webhooks.whatsapp(webhooks.wrote(1, NINE)))),
    ],
)
def test_who_has_the_secret_is_believed_and_nobody_else(sender: Sender, post: Post) -> None:
    proof = next(name for name in post.headers if name not in ("Content-Type", "Webhook-Id", "Webhook-Timestamp"))
    shown = post.headers[proof]
    assert status(sender, post) == 200
    # The last character of base64 may hold bits that mean nothing.
    wrong = [shown[:-3] + ("AA=" if shown.endswith("=") else "AAA"), shown[:-1], shown + "A", shown.swapcase(), "", "é"]
    for each in wrong:
        assert status(sender, replace(post, headers={**post.headers, proof: each})) in (401, 403), each
    without = {name: value for name, value in post.headers.items() if name != proof}
    assert status(sender, replace(post, headers=without)) in (401, 403)


@pytest.mark.parametrize(
    ("sender", "post"),
    [
        (SIGNED, webhooks.signed(orjson.dumps(CALL), NOW.timestamp())),
        (TWILIO, webhooks.twilio(webhooks.call_status("CA1", "completed"))),
        (TWILIO, webhooks.twilio_json({"sid": "CA1"})),
        (META, webhooks.meta(webhooks.whatsapp(webhooks.wrote(1, NINE)))),
    ],
)
def test_what_was_signed_cannot_be_changed(sender: Sender, post: Post) -> None:
    assert status(sender, replace(post, body=post.body.replace(b"1", b"2"))) in (401, 403)
    assert status(sender, replace(post, body=b"")) in (401, 403)


def test_a_signature_holds_for_a_while_only_and_not_for_another_id() -> None:
    post = webhooks.signed(b"{}", NOW.timestamp())
    assert status(SIGNED, post, at=NOW + timedelta(minutes=5)) == 200
    assert status(SIGNED, post, at=NOW + timedelta(minutes=5, seconds=1)) == 401
    assert status(SIGNED, post, at=NOW - timedelta(minutes=5, seconds=1)) == 401
    assert status(SIGNED, post, Webhook_Id="msg_2") == 401
    assert status(SIGNED, post, Webhook_Timestamp=str(int(NOW.timestamp()) + 1)) == 401
    for timestamp in ("", "-1", "9" * 40, "1e9", "٣", "soon"):
        assert status(SIGNED, post, Webhook_Timestamp=timestamp) == 401


def test_one_of_several_signatures_is_enough_while_a_secret_is_changed() -> None:
    post = webhooks.signed(b"{}", NOW.timestamp())
    shown = post.headers["Webhook-Signature"]
    assert status(SIGNED, post, Webhook_Signature=f"v1,AAAA v1a,BBBB {shown}") == 200
    assert status(SIGNED, post, Webhook_Signature=shown.replace("v1", "v2")) == 401


def test_a_secret_that_is_no_base64_is_taken_as_it_is_written() -> None:
    sender = signed.signing("canonical_jsonl", proofs.standard_key("plain secret"), timedelta(minutes=5))
    assert status(sender, webhooks.signed(b"{}", NOW.timestamp(), key=b"plain secret")) == 200
    with pytest.raises(ValueError, match="base64"):
        proofs.standard_key("whsec_not base64")


def test_a_password_may_hold_a_colon_and_any_letter() -> None:
    sender = signed.basic("canonical_jsonl", webhooks.USER, webhooks.PASSWORD)
    headers = {**webhooks.switch({}).headers, "Content-Type": "application/json"}
    assert status(sender, Post("/", b"{}", headers)) == 200
    assert status(sender, Post("/", b"{}", {**headers, "Authorization": "Basic !"})) == 401
    assert status(sender, Post("/", b"{}", {**headers, "Authorization": headers["Authorization"][6:]})) == 401


# What is made of it


def test_any_format_is_taken_as_it_is_and_a_record_is_known_by_its_own_line(tmp_path: Path) -> None:
    other = {**CALL, "to": "202"}
    alone = take(BEARER, webhooks.bearer(orjson.dumps(CALL)))
    both = take(BEARER, webhooks.bearer(orjson.dumps(other) + b"\n" + orjson.dumps(CALL) + b"\n"))
    (call,) = rows(tmp_path, "canonical_jsonl", alone)
    assert call["raw_id"] in [row["raw_id"] for row in rows(tmp_path, "canonical_jsonl", both)]
    assert len({row["raw_id"] for row in rows(tmp_path, "canonical_jsonl", both)}) == 2


def test_of_another_format_a_body_is_one_document(tmp_path: Path) -> None:
    sender = signed.bearer("twilio", webhooks.TOKEN)
    call = {
        "sid": "CA1", "account_sid": "AC1", "status": "completed", "direction": "inbound", "from": AALTO,
        "to": webhooks.COMPANY, "start_time": "Tue, 05 Mar 2024 09:00:00 +0000", "duration": "9",
        "end_time": "Tue, 05 Mar 2024 09:00:09 +0000",
    }  # fmt: skip
    calls = orjson.dumps({"calls": [call, {**call, "sid": "CA2"}], "uri": "/2010-04-01/Accounts/AC1/Calls.json"})
    found = [rows(tmp_path, "twilio", take(sender, webhooks.bearer(calls + b"\n"))) for _ in range(2)]
    assert found[0] == found[1]
    assert len({row["raw_id"] for row in found[0]}) == 2


def test_a_form_and_an_upload_are_no_records() -> None:
    for content_type in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert status(BEARER, webhooks.bearer(b"{}"), Content_Type=content_type) == 415
    assert take(BEARER, webhooks.bearer(b" \n")) is None


@pytest.mark.parametrize("encoding", ["form", "base64", "none", "bare"])
def test_a_switch_posts_a_call_in_any_encoding_and_it_is_the_same_call(tmp_path: Path, encoding: str) -> None:
    plain = rows(tmp_path, "freeswitch_json", take(SWITCH, webhooks.switch(webhooks.channel(1, NINE), "none")))
    found = rows(tmp_path, "freeswitch_json", take(SWITCH, webhooks.switch(webhooks.channel(1, NINE), encoding)))
    # Decoded as a form it is another document, of the same record.
    assert [row | {"raw_id": ""} for row in found] == [row | {"raw_id": ""} for row in plain]
    assert (found[0]["talk_seconds"], found[0]["to_endpoint"] is not None) == (60, True)


def test_a_value_that_the_form_breaks_is_refused_with_the_remedy_and_taken_in_any_other_encoding() -> None:
    document = webhooks.channel(1, NINE)
    document["variables"]["caller_id_name"] = "%22Maija%22%0A"
    for encoding in ("base64", "none", "bare"):
        assert status(SWITCH, webhooks.switch(document, encoding)) == 200
    with pytest.raises(Refused, match="set encode to false"):
        take(SWITCH, webhooks.switch(document, "form"))


def test_what_is_no_document_of_the_switch_is_refused_so_that_the_switch_keeps_it() -> None:
    headers = webhooks.switch({}).headers
    for body in (b"<cdr/>", b"cdr=%3Ccdr/%3E", b"cdr=!!!", b"cdr=", b"", b"[]", b"uuid=1"):
        assert status(SWITCH, Post("/switch", body, headers)) == 415, body


def test_a_call_of_twilio_is_told_when_it_is_over_and_once(tmp_path: Path) -> None:
    for each in ("queued", "initiated", "ringing", "in-progress"):
        assert take(TWILIO, webhooks.twilio(webhooks.call_status("CA1", each))) is None
    found = [
        rows(tmp_path, "twilio", take(TWILIO, webhooks.twilio(webhooks.call_status("CA1", "completed", **more)), at=at))
        for at, more in ((NOW, {}), (NOW + timedelta(hours=1), {"SequenceNumber": "3", "New": "field"}))
    ]
    assert found[0] == found[1]
    (row,) = found[0]
    assert (str(row["started_at"]), row["talk_seconds"]) == ("2024-03-05 09:00:00", 120)
    (other,) = rows(tmp_path, "twilio", take(TWILIO, webhooks.twilio(webhooks.call_status("CA2", "no-answer"))))
    assert (other["attempt"], str(other["started_at"])) == ("unanswered", "2024-03-05 09:02:00")
    assert other["raw_id"] != row["raw_id"]


def test_a_call_without_the_time_of_its_end_ended_when_it_was_told(tmp_path: Path) -> None:
    for timestamp in ("", "yesterday"):
        post = webhooks.twilio(webhooks.call_status("CA1", "completed", at=timestamp))
        (row,) = rows(tmp_path, "twilio", take(TWILIO, post))
        assert str(row["ended_at"])[:19] == "2024-03-05 09:03:00"


def test_a_leg_that_a_call_dialled_belongs_to_it(tmp_path: Path) -> None:
    leg = webhooks.call_status("CA2", "completed", ParentCallSid="CA1", Direction="outbound-dial")
    (row,) = rows(tmp_path, "twilio", take(TWILIO, webhooks.twilio(leg)))
    (call,) = rows(tmp_path, "twilio", take(TWILIO, webhooks.twilio(webhooks.call_status("CA1", "completed"))))
    assert row["key"] == call["key"]


@pytest.mark.parametrize("status_", ["accepted", "scheduled", "queued", "sending", "receiving"])
def test_a_message_of_twilio_that_is_on_its_way_is_passed_over(status_: str) -> None:
    assert take(TWILIO, webhooks.twilio(webhooks.message_status("SM1", status_))) is None


def test_a_message_of_twilio_is_one_whatever_is_told_of_it_and_its_words_are_left_out(tmp_path: Path) -> None:
    found = [
        rows(tmp_path, "twilio", take(TWILIO, webhooks.twilio(webhooks.message_status("SM1", each))))
        for each in ("sent", "delivered", "read", "undelivered", "failed")
    ]
    assert len({row["raw_id"] for each in found for row in each}) == 1
    assert {(row["direction"], row["channel"]) for each in found for row in each} == {("outbound", "sms")}
    content = take(TWILIO, webhooks.twilio(webhooks.message_status("SM2", "received", From=f"whatsapp:{AALTO}")))
    assert content is not None
    assert b"secret" not in content.data
    (row,) = rows(tmp_path, "twilio", content)
    assert (row["direction"], row["channel"], str(row["started_at"])[:19]) == ("inbound", "chat", "2024-03-05 09:03:00")


def test_news_of_twilio_that_is_of_no_call_or_message_itself_is_passed_over() -> None:
    recording = {"AccountSid": "AC1", "CallSid": "CA1", "RecordingSid": "RE1", "RecordingStatus": "completed"}
    conference = {"AccountSid": "AC1", "ConferenceSid": "CF1", "StatusCallbackEvent": "conference-end"}
    for parameters in (recording, conference, {"AccountSid": "AC1", "Called": ""}):
        assert take(TWILIO, webhooks.twilio(parameters)) is None


def test_twilio_may_ask_with_a_query_and_name_the_port(tmp_path: Path) -> None:
    parameters = webhooks.call_status("CA1", "completed")
    assert take(TWILIO, webhooks.twilio(parameters, query="?of=sales%20&x=1")) is not None
    assert take(TWILIO, webhooks.twilio(parameters, url="https://hooks.acme.example:443/twilio")) is not None
    for url in ("http://hooks.acme.example/twilio", "https://hooks.acme.example/other"):
        assert status(TWILIO, webhooks.twilio(parameters, url=url)) == 403
    named = Twilio("https://hooks.acme.example:8443/twilio", webhooks.AUTH_TOKEN)
    assert take(named, webhooks.twilio(parameters, url="https://hooks.acme.example:8443/twilio")) is not None
    assert take(named, webhooks.twilio(parameters, url="https://hooks.acme.example/twilio")) is not None


def test_what_stands_behind_the_address_for_twilio_itself_may_be_signed_or_not() -> None:
    sender = Twilio(f"{webhooks.PUBLIC_URL}#rc=5&rp=all", webhooks.AUTH_TOKEN)
    parameters = webhooks.call_status("CA1", "completed")
    signed_with_it = webhooks.twilio(parameters, url=f"{webhooks.PUBLIC_URL}#rc=5&rp=all")
    for post in (webhooks.twilio(parameters), webhooks.twilio(parameters, query="?a=1"), signed_with_it):
        assert take(sender, post) is not None
    assert status(sender, webhooks.twilio(parameters, url=f"{webhooks.PUBLIC_URL}#rc=1")) == 403


def test_what_came_as_a_webhook_and_stands_in_an_export_too_counts_once(tmp_path: Path) -> None:
    call = {
        "sid": "CA1", "account_sid": "AC1", "status": "completed", "direction": "inbound", "from": AALTO,
        "to": webhooks.COMPANY, "start_time": "Tue, 05 Mar 2024 08:59:58 +0000", "duration": "122",
        "end_time": "Tue, 05 Mar 2024 09:02:00 +0000",
    }  # fmt: skip
    message = {**call, "sid": "SM1", "status": "received", "date_sent": "Tue, 05 Mar 2024 09:02:57 +0000"}
    document, payload = webhooks.channel(1, NINE), webhooks.whatsapp(webhooks.wrote(1, NINE))
    for format, content, exported in (
        ("twilio", take(TWILIO, webhooks.twilio(webhooks.call_status("CA1", "completed"))), call),
        ("twilio", take(TWILIO, webhooks.twilio(webhooks.message_status("SM1", "received"))), message),
        ("freeswitch_json", take(SWITCH, webhooks.switch(document)), document),
        ("meta", take(META, webhooks.meta(payload)), payload),
    ):
        assert content is not None
        (tmp_path / "posted").write_bytes(content.data)
        (tmp_path / "exported").write_bytes(orjson.dumps(exported))
        read = [
            batch for name in ("posted", "exported") for batch in parsing.batches(by_name(format), tmp_path / name)
        ]  # fmt: skip
        assert (len(parsing.rows(read)), len(parsing.interactions(read))) == (2, 1), format


def test_json_of_twilio_is_signed_by_its_digest(tmp_path: Path) -> None:
    call = {
        "sid": "CA1", "account_sid": "AC1", "status": "busy", "direction": "inbound", "from": AALTO,
        "to": webhooks.COMPANY, "start_time": "2024-03-05T09:00:00Z",
    }  # fmt: skip
    assert len(rows(tmp_path, "twilio", take(TWILIO, webhooks.twilio_json(call, query="a=1&")))) == 1
    assert status(TWILIO, webhooks.twilio_json(call, digest="0" * 64)) == 403


def test_what_twilio_would_never_send_is_refused() -> None:
    post = webhooks.twilio({"CallSid": "CA1"})
    assert status(TWILIO, replace(post, body=b"CallSid=%ff")) == 400
    assert status(TWILIO, replace(post, body=b"&".join(b"a=1" for _ in range(1_001)))) == 400
    assert status(TWILIO, post, Content_Type="text/xml") == 415


def test_a_status_that_nobody_knows_is_a_dead_letter(tmp_path: Path) -> None:
    content = take(TWILIO, webhooks.twilio(webhooks.call_status("CA1", "vanished")))
    found = received(tmp_path, "twilio", content)
    assert (found.refused_count, len(found.publications)) == (1, 1)


def test_meta_is_answered_its_challenge_when_it_knows_the_token() -> None:
    def asked(query: str) -> int | str:
        try:
            answer = META.greet(request(Post(f"/meta?{query}", b""), "GET"))
        except Refused as refused:
            return refused.answer.status
        assert answer is not None
        return answer.text

    shown = f"hub.mode=subscribe&hub.verify_token={webhooks.VERIFY_TOKEN}"
    assert asked(f"{shown}&hub.challenge=1158201444") == "1158201444"
    assert asked(f"{shown}x&hub.challenge=1") == 403
    assert asked("hub.mode=subscribe&hub.challenge=1") == 403
    assert asked(f"{shown.replace('subscribe', 'other')}&hub.challenge=1") == 403
    for challenge in ("", "<script>", "9" * 201, "%C3%A4"):
        assert asked(f"{shown}&hub.challenge={challenge}") == 400
    assert asked("&".join(f"a{number}=1" for number in range(1_001))) == 400


def test_each_message_of_meta_is_known_alone_whatever_comes_with_it(tmp_path: Path) -> None:
    first, second = webhooks.wrote(1, NINE), webhooks.wrote(2, NINE + 60)
    together = rows(tmp_path, "meta", take(META, webhooks.meta(webhooks.whatsapp(first, second))))
    apart = [
        row
        for message in (second, first)
        for row in rows(tmp_path, "meta", take(META, webhooks.meta(webhooks.whatsapp(message))))
    ]
    assert {row["raw_id"]: row for row in together} == {row["raw_id"]: row for row in apart}
    assert len(together) == 2


def test_messages_of_all_networks_of_meta_are_read_and_their_words_are_left_out(tmp_path: Path) -> None:
    event = {"sender": {"id": "c7"}, "recipient": {"id": "p1"}, "timestamp": NINE * 1_000,
             "message": {"mid": "m_1", "text": "secret words"}}  # fmt: skip
    echo = {**event, "sender": {"id": "p1"}, "recipient": {"id": "c7"},
            "message": {"mid": "m_2", "is_echo": True, "text": "secret words"}}  # fmt: skip
    failed = {"id": "wamid.3", "status": "failed", "timestamp": str(NINE), "recipient_id": AALTO[1:]}
    news: Mapping[str, Any] = {
        "object": "instagram",
        "entry": [{"id": "i", "changes": [{"field": "messages", "value": event}]}],
    }
    found = []
    for payload in (
        webhooks.whatsapp(webhooks.wrote(1, NINE), statuses=[failed]),
        webhooks.whatsapp(message_echoes=[{**webhooks.wrote(4, NINE), "from": "1", "to": AALTO[1:]}]),
        webhooks.page(event, echo, {**event, "message": None, "delivery": {"mids": ["m_1"]}}),
        news,
    ):
        content = take(META, webhooks.meta(payload))
        assert content is not None
        assert b"secret" not in content.data
        assert b"Maija" not in content.data
        found += rows(tmp_path, "meta", content)
    told = sorted((row["channel"], row["direction"], bool(row["automated"])) for row in found)
    assert told == [
        ("chat", "inbound", False),
        ("chat", "outbound", False),
        ("chat", "outbound", True),
        ("social", "inbound", False),
        ("social", "inbound", False),
        ("social", "outbound", False),
    ]


def test_what_meta_tells_of_no_message_is_passed_over() -> None:
    other: list[object] = [{"object": "user", "entry": [{}]}, [], {"object": "page"}, {"object": ["page"]}, 1]
    for payload in [*other, webhooks.page(), webhooks.whatsapp()]:
        assert take(META, webhooks.meta(payload)) is None
    post = replace(webhooks.meta(1), body=b"{")
    signature = hmac.new(webhooks.APP_SECRET.encode(), b"{", "sha256").hexdigest()
    assert status(META, post, X_Hub_Signature_256=f"sha256={signature}") == 400
