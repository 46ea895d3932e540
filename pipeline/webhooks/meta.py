"""Meta: webhooks of WhatsApp, Messenger and Instagram, each message told alone.

One request may bring several messages, and a repeated one others with them. So each is cut out, with no more than its
parser reads, and has an identity of its own. Texts, names and media are left out.

Source: Meta's documentation of webhooks (verification requests, event notifications, X-Hub-Signature-256).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from pipeline.json_text import load_json
from pipeline.received import place_of_lines
from pipeline.sources.meta import NETWORKS
from pipeline.webhooks import proofs
from pipeline.webhooks.exchange import Answer, Content, Refused, Request

_LONGEST_CHALLENGE: Final = 200
_LISTS: Final = ("messages", "message_echoes", "statuses")
_OF_NEWS: Final = ("id", "from", "from_user_id", "to", "recipient_id", "timestamp", "type", "status")
_OF_MESSAGE: Final = ("mid", "is_echo", "is_deleted")


class Meta:
    """An app that signs with its secret."""

    methods: Final = ("GET", "POST")
    thanks: Final = Answer(200)

    def __init__(self, secret: str, verify_token: str) -> None:
        self._secret = secret
        self._verify_token = verify_token

    def greet(self, request: Request) -> Answer | None:
        """Answer the request with which a webhook is set up."""
        if request.method != "GET":
            return None
        asked = request.asked
        challenge = asked.get("hub.challenge", "")
        if asked.get("hub.mode") != "subscribe" or not proofs.same(
            asked.get("hub.verify_token", ""), self._verify_token
        ):
            raise Refused(403, "the verify token lacks, or is another one")
        if not challenge.isascii() or not challenge.isalnum() or len(challenge) > _LONGEST_CHALLENGE:
            raise Refused(400, f"hub.challenge: expected at most {_LONGEST_CHALLENGE} letters and digits")
        return Answer(200, challenge)

    def take(self, request: Request) -> Content | None:
        """Return the messages of a request, one a line."""
        proofs.check_digest(request, "x-hub-signature-256", self._secret)
        try:
            payload = load_json(request.body)
        except orjson.JSONDecodeError:
            raise Refused(400, "expected JSON") from None
        lines = [orjson.dumps(each, option=orjson.OPT_SORT_KEYS) for each in _messages(payload)]
        data = b"".join(line + b"\n" for line in dict.fromkeys(lines))
        return Content(data, place_of_lines(data)) if lines else None


def _messages(payload: object) -> Iterator[dict[str, Any]]:
    """Yield what tells of a message, each as a webhook that brings nothing else."""
    if not isinstance(payload, dict) or str(payload.get("object")) not in NETWORKS:
        return
    for entry in _objects(payload.get("entry")):
        for change in _objects(entry.get("changes")):
            for value in _of_change(change.get("value")):
                yield {
                    "object": payload["object"],
                    "entry": [{"changes": [{"field": change.get("field"), "value": value}]}],
                }
        for event in _objects(entry.get("messaging")):
            for value in _of_event(event):
                yield {"object": payload["object"], "entry": [{"messaging": [value]}]}


def _of_change(news: object) -> Iterator[dict[str, Any]]:
    if not isinstance(news, dict):
        return
    metadata = news.get("metadata")
    ours = _only(metadata, ("display_phone_number",)) if isinstance(metadata, dict) else None
    for name in _LISTS:
        for message in _objects(news.get(name)):
            yield {"metadata": ours, name: [_only(message, _OF_NEWS)]}
    yield from _of_event(news)


def _of_event(event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    message = event.get("message")
    if isinstance(message, dict):
        parties = {
            name: _only(held, ("id",)) for name in ("sender", "recipient") if isinstance(held := event.get(name), dict)
        }
        yield {"timestamp": event.get("timestamp"), **parties, "message": _only(message, _OF_MESSAGE)}


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _only(value: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value}
