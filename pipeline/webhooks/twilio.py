"""Twilio: status callbacks of calls and messages, and messages that come in, told as the resources of its REST API.

Twilio tells of one call or message again and again. What is not settled yet is passed over; what is settled has the
same identity each time, so that it counts once. A text that somebody wrote is left out.

Source: Twilio's documentation of voice and messaging webhooks and of request validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import orjson

from pipeline.received import place_of_document
from pipeline.webhooks import proofs
from pipeline.webhooks.exchange import FORM, MOST_PARAMETERS, Answer, Content, Refused, Request

_JSON: Final = "application/json"
_HEADER: Final = "x-twilio-signature"
# What is not settled. News of recordings, conferences and machines that answer have no status at all; whatever else a
# status may be, the parser judges it.
_CALL_GOES_ON: Final = frozenset({None, "queued", "initiated", "ringing", "in-progress", "answered"})
_MESSAGE_WAITS: Final = frozenset({None, "accepted", "scheduled", "queued", "sending", "receiving"})
_CAME_IN: Final = frozenset({"received"})


class Twilio:
    """An account that signs with its auth token."""

    methods: Final = ("POST",)
    # What tells it to do nothing: the text of an empty answer would be sent to the customer.
    thanks: Final = Answer(200, "<Response/>", "text/xml")

    def __init__(self, public_url: str, secret: str) -> None:
        """`public_url`: the address as Twilio knows it, without a query."""
        address, mark, overrides = public_url.partition("#")
        self._urls = _written(address)
        # Whether what stands behind it is signed too is not told.
        self._ends = ("", f"{mark}{overrides}") if overrides else ("",)
        self._secret = secret

    def greet(self, request: Request) -> Answer | None:
        """Refuse what is not signed at all, or of another type."""
        if _HEADER not in request.headers:
            raise Refused(403, "not signed; expected the header X-Twilio-Signature")
        if request.content_type not in (FORM, _JSON):
            raise Refused(415, f"expected Content-Type: {FORM} or {_JSON}")
        return None

    def take(self, request: Request) -> Content | None:
        """Return the call or message that is settled with a request."""
        if request.content_type == _JSON:
            self._check(request, [])
            if not proofs.same(request.asked.get("bodySHA256", "").lower(), proofs.sha256(request.body)):
                raise Refused(403, "bodySHA256 does not fit the body")
            return Content(request.body, place_of_document(request.body))
        try:
            text = request.body.decode()
            parameters = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict")
        except ValueError:
            raise Refused(400, f"expected a form of at most {MOST_PARAMETERS:,} parameters in UTF-8") from None
        self._check(request, parameters)
        resource = _resource(dict(parameters), request.received_at)
        if resource is None:
            return None
        return Content(orjson.dumps(resource), place_of_document(str(resource["sid"]).encode()))

    def _check(self, request: Request, parameters: list[tuple[str, str]]) -> None:
        query = f"?{request.query}" if request.query else ""
        urls = [f"{url}{query}{end}" for url in self._urls for end in self._ends]
        wanted = [proofs.twilio_signature(url, parameters, self._secret) for url in urls]
        if not any(proofs.same(request.headers[_HEADER], each) for each in wanted):
            raise Refused(403, "the signature does not fit")


def _written(url: str) -> tuple[str, ...]:
    """Return the ways in which Twilio may write an address: it may name the port of the scheme or leave it out.

    >>> _written("https://hooks.acme.fi/twilio")
    ('https://hooks.acme.fi/twilio', 'https://hooks.acme.fi:443/twilio')
    """
    parts = urlsplit(url)
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    bare, full = parts._replace(netloc=host).geturl(), parts._replace(netloc=f"{host}:{parts.port or usual}").geturl()
    return (url, full) if parts.port is None else (url, bare)


def _resource(told: Mapping[str, str], received_at: datetime) -> dict[str, Any] | None:
    """Return a settled call or message as the REST API has it; None while it may still change."""
    shared = {"account_sid": told.get("AccountSid"), "from": told.get("From"), "to": told.get("To")}
    if told.get("CallSid"):
        return None if told.get("CallStatus") in _CALL_GOES_ON else shared | _call(told, received_at)
    status = told.get("MessageStatus") or told.get("SmsStatus")
    if status in _MESSAGE_WAITS:
        return None
    return {
        **shared,
        "sid": told.get("MessageSid") or told.get("SmsSid"),
        "status": status,
        "direction": "inbound" if status in _CAME_IN else "outbound-api",
        # No callback of a message says when it was sent.
        "date_created": format_datetime(received_at.astimezone(UTC)),
    }


def _call(told: Mapping[str, str], received_at: datetime) -> dict[str, Any]:
    """Return a call that has ended; what Twilio fires then is dated with its end."""
    ended_at, duration = received_at.astimezone(UTC), timedelta(0)
    with suppress(ValueError):
        ended_at = parsedate_to_datetime(told.get("Timestamp", "")).astimezone(UTC)
    with suppress(ValueError, OverflowError):
        duration = timedelta(seconds=int(told.get("CallDuration", "0")))
    try:
        began_at = ended_at - max(duration, timedelta(0))
    except OverflowError:
        began_at = ended_at
    return {
        "sid": told["CallSid"],
        "parent_call_sid": told.get("ParentCallSid") or None,
        "status": told.get("CallStatus"),
        "direction": told.get("Direction"),
        "answered_by": told.get("AnsweredBy"),
        "start_time": format_datetime(began_at),
        "end_time": format_datetime(ended_at),
        "duration": told.get("CallDuration"),
    }
