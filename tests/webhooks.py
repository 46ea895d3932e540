"""Requests as the systems send them that post webhooks, signed with the tests' secrets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import orjson

SECRET, TOKEN, USER, PASSWORD = "whsec_c2lnbmluZyBrZXkgb2YgdGhlIHRlc3Rz", "bearer-of-the-tests", "cdr", "päss:word"
AUTH_TOKEN, APP_SECRET, VERIFY_TOKEN = "0f2a4c6e8", "app-secret-of-the-tests", "verify-token-of-the-tests"
PUBLIC_URL = "https://hooks.acme.example/twilio"
VARIABLES = {
    "HOOK_SECRET": SECRET,
    "HOOK_TOKEN": TOKEN,
    "SWITCH_PASSWORD": PASSWORD,
    "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
    "META_APP_SECRET": APP_SECRET,
    "META_VERIFY_TOKEN": VERIFY_TOKEN,
}
# One receiver of each kind.
CONFIGURATION = f"""
[[receiver]]
kind = "webhook"
source = "signed"
path = "/signed"
format = "canonical_jsonl"
secret_env = "HOOK_SECRET"

[[receiver]]
kind = "webhook"
source = "bearer"
path = "/bearer"
format = "canonical_jsonl"
authentication = "bearer"
secret_env = "HOOK_TOKEN"

[[receiver]]
kind = "freeswitch"
source = "switch"
path = "/switch"
username = "{USER}"
secret_env = "SWITCH_PASSWORD"

[[receiver]]
kind = "twilio"
source = "twilio"
path = "/twilio"
public_url = "{PUBLIC_URL}"
secret_env = "TWILIO_AUTH_TOKEN"

[[receiver]]
kind = "meta"
source = "meta"
path = "/meta"
secret_env = "META_APP_SECRET"
verify_token_env = "META_VERIFY_TOKEN"
"""

AALTO, COMPANY = "+358401234567", "+358942450000"


@dataclass(frozen=True)
class Post:
    """A request, before it has a server. `path` with its query."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def signed(body: bytes, at: float, *, identity: str = "msg_1", key: bytes | None = None) -> Post:
    """Return a request as a library of Standard Webhooks signs it."""
    key = base64.b64decode(SECRET[6:]) if key is None else key
    timestamp = str(int(at))
    digest = hmac.new(key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "Webhook-Id": identity,
        "Webhook-Timestamp": timestamp,
        "Webhook-Signature": f"v1,{base64.b64encode(digest).decode()}",
        "Content-Type": "application/x-ndjson",
    }
    return Post("/signed", body, headers)


def bearer(body: bytes, token: str = TOKEN) -> Post:
    return Post("/bearer", body, {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"})


def switch(document: Mapping[str, Any], encoding: str = "form", password: str = PASSWORD) -> Post:
    """Return a request of mod_json_cdr; `encoding` is form, base64, none, or bare: none whose type was lost."""
    shown = base64.b64encode(f"{USER}:{password}".encode()).decode()
    text = orjson.dumps(document)
    body, content_type = {
        "form": (b"cdr=" + _encoded(text.decode()), "application/x-www-form-urlencoded"),
        "base64": (b"cdr=" + base64.encodebytes(text), "application/x-www-form-base64-encoded"),
        "none": (text, "application/json"),
        "bare": (text, "application/x-www-form-urlencoded"),
    }[encoding]
    path = f"/switch?uuid={document.get('variables', {}).get('uuid', '')}"
    return Post(path, body, {"Authorization": f"Basic {shown}", "Content-Type": content_type})


def _encoded(text: str) -> bytes:
    """Return a text as the switch encodes it: what looks encoded already stays as it is."""
    parts = re.split(r"(%[0-9A-F]{2})", text)
    return "".join(part if index % 2 else quote(part, safe="/!*'(),") for index, part in enumerate(parts)).encode()


def twilio(parameters: Mapping[str, str], *, query: str = "", token: str = AUTH_TOKEN, url: str = PUBLIC_URL) -> Post:
    """Return a form as Twilio signs it."""
    text = url + query + "".join(name + parameters[name] for name in sorted(parameters))
    headers = {
        "X-Twilio-Signature": base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode(),
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
    }
    return Post(f"/twilio{query}", urlencode(parameters).encode(), headers)


def twilio_json(value: object, *, query: str = "", digest: str | None = None) -> Post:
    """Return a JSON body as Twilio signs it: by its digest in the query."""
    body = orjson.dumps(value)
    query = f"?{query}bodySHA256={digest or hashlib.sha256(body).hexdigest()}"
    text = (PUBLIC_URL + query).encode()
    signature = base64.b64encode(hmac.new(AUTH_TOKEN.encode(), text, hashlib.sha1).digest()).decode()
    return Post(f"/twilio{query}", body, {"X-Twilio-Signature": signature, "Content-Type": "application/json"})


def meta(payload: object, secret: str = APP_SECRET) -> Post:
    """Return a payload as Meta signs it."""
    body = orjson.dumps(payload)
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return Post("/meta", body, {"X-Hub-Signature-256": f"sha256={digest}", "Content-Type": "application/json"})


# What they tell of


def channel(number: int, start: int) -> dict[str, Any]:
    """Return the document of a channel on which somebody outside reached extension 201 and talked for a minute."""

    def micros(second: float) -> str:
        return str(int((start + second) * 1_000_000))

    uuid = f"00000000-0000-4000-8000-{number:012d}"
    times = {
        "created_time": micros(0), "profile_created_time": micros(0), "answered_time": micros(5),
        "bridged_time": micros(5), "transfer_time": "0", "hangup_time": micros(65),
    }  # fmt: skip
    partner = {
        "originatee_caller_profiles": [{"chan_name": "sofia/internal/201@192.0.2.7", "destination_number": "201"}]
    }
    profile = {"caller_id_number": AALTO, "destination_number": COMPANY, "originatee": partner}
    variables = {
        "uuid": uuid, "direction": "inbound", "channel_name": f"sofia/external/{quote(AALTO)}%40192.0.2.1",
        "start_uepoch": micros(0), "answer_uepoch": micros(5), "bridge_uepoch": micros(5), "end_uepoch": micros(65),
        "hangup_cause": "NORMAL_CLEARING", "bridge_channel": "sofia/internal/201%40192.0.2.7",
        "last_bridge_role": "originator", "last_app": "bridge",
    }  # fmt: skip
    flow = {"dialplan": "XML", "profile_index": "1", "caller_profile": profile, "times": times}
    return {"core-uuid": "c0", "channel_data": {}, "variables": variables, "callflow": [flow]}


def call_status(sid: str, status: str, at: str = "Tue, 05 Mar 2024 09:02:00 +0000", **fields: str) -> dict[str, str]:
    """Return the parameters of a status callback of a call that came in."""
    ended = {"CallDuration": "120", "Duration": "2"} if status == "completed" else {}
    return {
        "AccountSid": "AC1", "ApiVersion": "2010-04-01", "CallSid": sid, "CallStatus": status, "Direction": "inbound",
        "From": AALTO, "To": COMPANY, "Caller": AALTO, "Called": COMPANY, "Timestamp": at,
        "CallerCity": "Espoo & Turku", "CallbackSource": "call-progress-events", "SequenceNumber": "0",
        **ended, **fields,
    }  # fmt: skip


def message_status(sid: str, status: str, **fields: str) -> dict[str, str]:
    """Return the parameters of a status callback of a message that went out, or of one that came in."""
    shared = {"AccountSid": "AC1", "ApiVersion": "2010-04-01", "MessageSid": sid, "SmsSid": sid, "SmsStatus": status}
    if status == "received":
        return {**shared, "From": AALTO, "To": COMPANY, "Body": "secret words", "NumMedia": "0", **fields}
    return {**shared, "MessageStatus": status, "From": COMPANY, "To": AALTO, **fields}


def whatsapp(*messages: Mapping[str, Any], **lists: Any) -> dict[str, Any]:
    """Return a webhook of WhatsApp."""
    metadata = {"display_phone_number": COMPANY[1:], "phone_number_id": "77"}
    contacts = [{"profile": {"name": "Maija"}, "wa_id": AALTO[1:]}]
    value = {"messaging_product": "whatsapp", "metadata": metadata, "contacts": contacts, "messages": messages, **lists}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}],
    }


def wrote(number: int, at: int) -> dict[str, Any]:
    """Return a message that a customer wrote."""
    text = {"body": "secret words"}
    return {"from": AALTO[1:], "id": f"wamid.{number}", "timestamp": str(at), "type": "text", "text": text}


def page(*events: Mapping[str, Any], object_: str = "page") -> dict[str, Any]:
    """Return a webhook of Messenger or Instagram."""
    return {"object": object_, "entry": [{"id": "p1", "time": 1, "messaging": events}]}


def send(post: Post, port: int, *, method: str = "POST") -> tuple[int, dict[str, str], str]:
    """Send a request to a server on this machine; return status, headers with small names, and text of its answer.

    Raises:
        OSError: when there is no answer.
    """
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{post.path}",
        data=post.body if method == "POST" else None,
        headers={"Content-Type": "", **post.headers},
        method=method,
    )
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from None
    with answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return int(answer.status), headers, answer.read().decode()
