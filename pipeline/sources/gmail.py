"""Messages of Gmail and Google Workspace mailboxes as the Gmail API gives them. Headers and labels only, never bodies.

A message is told from its headers exactly as one in a mailbox file is; the API only lists them another way.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pipeline.errors import InvalidRecord
from pipeline.sources.json_records import JsonForm, first_record, form_of, json_records
from pipeline.sources.mailbox_exports import (
    LONGEST_SUBJECT,
    Mailbox,
    listed_fields,
    mailbox_of,
    plausible_instant,
)
from pipeline.sources.mbox_stream import HEADER_LIMIT, head_of
from pipeline.sources.message_headers import (
    LONGEST_MESSAGE_ID,
    addresses_of,
    header_fields,
    instant_of,
    is_automated,
    is_bulk,
    message_key,
    text_of,
)
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.source_options import check_options
from pipeline.sources.translation import Fields, translated

_LISTS: Final = ("messages",)
_OPTIONS: Final = ("mailbox",)
# System labels of what is no email of anybody's: what was not sent, what was thrown out unseen, transcripts of chats.
_PASSED_OVER: Final = frozenset({"DRAFT", "SPAM", "CHAT"})
# Four characters of base64 stand for three bytes.
_RAW_LIMIT: Final = (HEADER_LIMIT // 3 + 1) * 4
_SENDERS: Final = (b"from", b"sender", b"return-path")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END_OF_TIME: Final = 253_402_300_799  # the last second that has a date


class Gmail:
    """Message resources of the Gmail API as JSON: one observation of each that was sent or received."""

    name = "gmail"
    title = "Gmail API"
    description = (
        "Messages of the Gmail API as JSON: `messages.get` in the formats full, metadata and raw (one message, a list, "
        "or one a line) and `threads.get`. A folder or file that is named after an address is that mailbox; else name "
        'it in `options = { mailbox = "..." }`. Labels decide only what is no email: drafts, spam and chats are passed '
        "over; what lies in the bin counts. A list of ids alone gives dead letters: get each message."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "message resource, formats full and metadata",
            "headers of the outermost part, labels, internalDate",
            "bodies, parts, snippet, thread",
            "documentation",
            "the message resource and the guide to labels in the API's reference, answers in tests of client programs",
        ),
        Format(
            "message resource, format raw",
            "headers of the message",
            "its body",
            "documentation",
            "the same reference",
        ),
        Format(
            "thread resource",
            "its messages",
            "snippet",
            "documentation",
            "the same reference",
        ),
    )
    lies = (
        "A message's Date may be anything; internalDate, when Gmail took it in, stands in for one that cannot be.",
        "Format metadata holds only the headers that were asked for; those that tell machines must be among them.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a message, a thread, a list, or messages a line."""
        form = None if sample.is_directory else form_of(sample.head, _LISTS)
        record = None if form is None else first_record(sample.head, form)
        if form is None:
            return None
        if record is None:
            is_cut = all(mark in sample.head for mark in (b'"threadId"', b'"internalDate"', b'"headers"'))
            return Recognition(0.85, "holds messages of the Gmail API") if is_cut else None
        if "threadId" in record and record.keys() & {"payload", "raw", "labelIds", "internalDate"}:
            return Recognition(0.95, "a message of the Gmail API")
        return Recognition(0.7, "a list of the Gmail API's ids") if record.keys() == {"id", "threadId"} else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each message.

        Raises:
            ConfigurationError: when an option is unknown or has the wrong form.
            InvalidRecord: when a document is broken; what came before it is yielded first.
        """
        check_options(context, _OPTIONS)
        mailbox = mailbox_of(context)
        form = form_of(head(path), _LISTS) or JsonForm("line")

        def translate(value: Mapping[str, Any]) -> Fields | tuple[()]:
            return () if _PASSED_OVER & _labels(value) else _email(value, mailbox, context)

        yield from translated(json_records(path, form), translate, context, form.unit, path.stat().st_size)


def _labels(value: Mapping[str, Any]) -> set[str]:
    labels = value.get("labelIds")
    return {label for label in labels if isinstance(label, str)} if isinstance(labels, list) else set()


def _email(value: Mapping[str, Any], mailbox: Mailbox, context: ReadContext) -> Fields:
    fields = _fields(value)
    if not any(fields.get(name, b"").strip() for name in _SENDERS):
        raise InvalidRecord("payload.headers: no sender; ask for From in metadataHeaders")
    sender = next((found[0] for name in _SENDERS if (found := addresses_of(fields.get(name, b"")))), "")
    return {
        "kind": "email",
        "message_id": _message_id(fields.get(b"message-id", b"")),
        "sent_at": _sent_at(value, fields, context),
        "from": sender,
        "to": addresses_of(fields.get(b"to", b"")),
        "cc": addresses_of(fields.get(b"cc", b"")),
        "bcc": addresses_of(fields.get(b"bcc", b"")),
        "delivered_to": (*addresses_of(fields.get(b"delivered", b"")), *mailbox.delivered_to(sender)),
        "mailbox": mailbox.name,
        "subject": text_of(fields.get(b"subject", b""))[:LONGEST_SUBJECT],
        "automated": is_automated(fields),
        "bulk": is_bulk(fields),
    }


def _message_id(raw: bytes) -> str:
    """Return a Message-ID as it is written; one that is longer than a line, by the key that every source gives it."""
    text = raw.decode("utf-8", "backslashreplace").replace("\0", "")
    return message_key(text) if len(text) > LONGEST_MESSAGE_ID else text


def _fields(value: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return the headers of a message.

    Raises:
        InvalidRecord: when it has none, as in a list of ids and in the format minimal.
    """
    raw = value.get("raw")
    if isinstance(raw, str) and raw:
        top = head_of(_decoded(raw))
        if top.is_cut:
            raise InvalidRecord(f"raw: the header is longer than {HEADER_LIMIT:,} bytes")
        return header_fields(top.header)
    payload = value.get("payload")
    headers = payload.get("headers") if isinstance(payload, Mapping) else None
    if not isinstance(payload, Mapping) or not isinstance(headers, list) or not headers:
        raise InvalidRecord("payload.headers: missing; get each message with format=metadata or format=full")
    fields = listed_fields(headers)
    if isinstance(kind := payload.get("mimeType"), str):
        fields.setdefault(b"content-type", kind.encode("utf-8", "replace"))
    return fields


def _decoded(raw: str) -> bytes:
    """Return the beginning of a message in base64url; its header lies within the limit or is cut there."""
    kept = raw[:_RAW_LIMIT].rstrip("=")
    kept = kept[: len(kept) - (len(kept) % 4 == 1)]
    try:
        return base64.b64decode(kept + "=" * (-len(kept) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRecord("raw: expected a message in base64url") from None


def _sent_at(value: Mapping[str, Any], fields: Mapping[bytes, bytes], context: ReadContext) -> datetime:
    """Return when a message was sent by its Date or, where that cannot be, when Gmail took it in."""
    seconds: list[float] = []
    stated = instant_of(fields[b"date"]) if b"date" in fields else None
    if stated is not None:
        seconds.append(min(stated, _END_OF_TIME))
    taken_in = value.get("internalDate")
    if taken_in is not None:
        try:
            seconds.append(min(int(taken_in) / 1000, _END_OF_TIME))
        except (TypeError, ValueError, OverflowError):
            raise InvalidRecord("internalDate: expected milliseconds since 1970") from None
    moments = (_EPOCH + timedelta(seconds=max(each, 0)) for each in seconds)
    found = plausible_instant(moments, context)
    if found is None:
        raise InvalidRecord("internalDate: missing, and no Date that can be read; get the message again")
    return found


SOURCE: Final = Gmail()
