"""Whatever a sender who has the secret sends: it is refused, passed over, or becomes records and dead letters."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError
from pipeline.identifiers import Identifiers
from pipeline.received import Feed, Translator
from pipeline.sources.registry import by_name
from pipeline.webhooks import graph, signed
from pipeline.webhooks.exchange import Content, Refused, Request
from pipeline.webhooks.freeswitch import Freeswitch
from pipeline.webhooks.meta import Meta
from pipeline.webhooks.twilio import Twilio
from tests import webhooks

NOW = datetime(2024, 3, 5, 9, 3, tzinfo=UTC)
TRANSLATOR = Translator(lambda: Identifiers(b"any", clear=True))
NAMES = st.sampled_from(
    ["object", "entry", "changes", "messaging", "value", "field", "messages", "statuses", "metadata", "message",
     "sender", "id", "from", "timestamp", "type", "sessions", "resource", "clientState", "variables", "callflow",
     "uuid", "kind"]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=8),
    st.sampled_from(["whatsapp_business_account", "page", "instagram", "messages", "text", "1709629200",
                     webhooks.AALTO]),
)  # fmt: skip
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=15
)
PARAMETERS = st.dictionaries(
    st.sampled_from(
        ["CallSid", "MessageSid", "SmsSid", "CallStatus", "MessageStatus", "SmsStatus", "Direction", "From", "To",
         "Timestamp", "CallDuration", "ParentCallSid", "AnsweredBy"]
    ),
    st.text(max_size=10)
    | st.sampled_from(["CA1", "SM1", "completed", "busy", "received", "sent", "inbound", "-1", "9" * 30, webhooks.AALTO,
                       "Tue, 05 Mar 2024 09:02:00 +0000", "Mon, 01 Jan 0001 00:00:00 +0000"]),
)  # fmt: skip


def request(post: webhooks.Post) -> Request:
    headers = {name.lower(): value for name, value in post.headers.items()}
    return Request("POST", post.path.partition("?")[2], headers, NOW, post.body)


def translate(folder: Path, format: str, content: Content | None) -> None:
    """Let a parser read what was brought, and see that each record has a place of its own."""
    if content is None:
        return
    path = folder / "content"
    path.write_bytes(content.data)
    feed = Feed("tried", "webhook/hook", by_name(format), ZoneInfo("Europe/Helsinki"))
    try:
        found = TRANSLATOR.translate(feed, path, content.place, NOW)
    except ConfigurationError:
        return
    assert (
        len({each.headers["position"] for each in found.publications if "position" in each.headers})
        == found.record_count
    )


def bodies() -> st.SearchStrategy[bytes]:
    return st.one_of(st.binary(max_size=60), JSON.map(orjson.dumps), st.lists(JSON.map(orjson.dumps)).map(b"\n".join))


@given(bodies())
def test_any_body_of_a_system_that_signs(tmp_path_factory: Any, body: bytes) -> None:
    sender = signed.signing("canonical_jsonl", base64.b64decode(webhooks.SECRET[6:]), timedelta(minutes=5))
    folder = tmp_path_factory.getbasetemp()
    translate(folder, "canonical_jsonl", sender.take(request(webhooks.signed(body, NOW.timestamp()))))


@given(bodies() | st.dictionaries(NAMES, JSON).map(lambda value: webhooks.switch({"variables": value}).body))
def test_any_body_of_a_switch(tmp_path_factory: Any, body: bytes) -> None:
    try:
        content = Freeswitch(webhooks.USER, webhooks.PASSWORD).take(Request("POST", "", {}, NOW, body))
    except Refused:
        return
    translate(tmp_path_factory.getbasetemp(), "freeswitch_json", content)


@given(PARAMETERS)
def test_any_form_of_twilio(tmp_path_factory: Any, parameters: dict[str, str]) -> None:
    content = Twilio(webhooks.PUBLIC_URL, webhooks.AUTH_TOKEN).take(request(webhooks.twilio(parameters)))
    translate(tmp_path_factory.getbasetemp(), "twilio", content)


@given(bodies() | JSON.map(lambda value: orjson.dumps(webhooks.page(value))))  # type: ignore[arg-type]
def test_any_body_of_meta(tmp_path_factory: Any, body: bytes) -> None:
    digest = hmac.new(webhooks.APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
    asked = Request("POST", "", {"x-hub-signature-256": f"sha256={digest}"}, NOW, body)
    try:
        content = Meta(webhooks.APP_SECRET, webhooks.VERIFY_TOKEN).take(asked)
    except Refused:
        return
    translate(tmp_path_factory.getbasetemp(), "meta", content)


@given(bodies() | st.lists(JSON).map(lambda values: orjson.dumps({"value": values})))
def test_any_notification_of_graph(body: bytes) -> None:
    try:
        graph.Graph("teams", "state").notices(Request("POST", "", {}, NOW, body))
    except Refused:
        return
    raise AssertionError("nobody knew the text that was agreed upon")


@given(st.lists(st.dictionaries(NAMES, JSON, max_size=5), max_size=3))
@example([{"value": [{}, {}]}])  # like a page of messages
def test_anything_that_graph_gives(tmp_path_factory: Any, values: list[dict[str, Any]]) -> None:
    folder = tmp_path_factory.getbasetemp()
    pointers = [graph.Pointer(str(number), f"call-{number}") for number in range(len(values))]
    translate(folder, "teams", graph.content("teams", list(zip(pointers, values, strict=True))))
    translate(folder, "graph_mail", graph.content("graph_mail", list(zip(pointers, values, strict=True))))
