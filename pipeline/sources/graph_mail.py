"""Messages of Exchange mailboxes as Microsoft Graph gives them. Headers and addresses only, never bodies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.exchange_table import EXCHANGE_OPTIONS
from pipeline.sources.json_records import JsonForm, first_record, form_of, json_records
from pipeline.sources.mailbox_exports import (
    LONGEST_SUBJECT,
    Mailbox,
    internal_sender,
    listed_fields,
    mailbox_of,
    plausible_instant,
)
from pipeline.sources.message_headers import addresses_of, is_automated, is_bulk
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.source_options import check_options
from pipeline.sources.translation import Fields, translated

_LISTS: Final = ("value",)
_PAGE: Final = re.compile(rb"\$metadata#users\([^)\"]{1,200}\)/(?:mailFolders\([^)\"]{1,500}\)/)?messages\b").search
_MESSAGE_ID: Final = b'"internetMessageId"'
_TIMES: Final = ("sentDateTime", "receivedDateTime")
# The subject of chats of Teams that the API counts among the messages of a mailbox.
_CHAT: Final = "IM"


@dataclass
class _Seen:
    """What the messages of a file had, to say afterwards what was missing everywhere."""

    message_count: int = 0
    headed_count: int = 0


class GraphMail:
    """Message resources of Microsoft Graph as JSON: one observation of each that was sent or received."""

    name = "graph_mail"
    title = "Microsoft Graph mail"
    description = (
        "Messages of the mail API as JSON: one message, pages of a list (`value`) or one message a line. A folder or "
        'file that is named after an address is that mailbox; else name it in `options = { mailbox = "..." }`. '
        "Drafts and deleted entries of a delta are passed over, as are messages whose `parentFolderId` stands in "
        "`options.folders_left_out`. Ask for `internetMessageHeaders`: without them nothing tells machines and lists."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "message resource, JSON",
            "Message-ID, from, sender, recipients, times, subject (hashed), isDraft, parentFolderId, "
            "internetMessageHeaders",
            "bodies, previews, attachments, categories, flags",
            "documentation",
            "the message resource and the examples of its methods in the API's reference",
        ),
        Format(
            "pages of a list or delta",
            "the messages of `value`",
            "links to the next page; entries that say `@removed`",
            "documentation",
            "the examples of the same reference",
        ),
    )
    lies = (
        "Headers come only when they are asked for, and not for messages that were sent from the mailbox.",
        "Lists of messages hold chats of Teams with the subject IM; they are passed over.",
        "The id of a message changes when it is moved; the Message-ID tells copies.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a message, a page of messages, or messages a line."""
        form = None if sample.is_directory else form_of(sample.head, _LISTS)
        if form is None:
            return None
        record = first_record(sample.head, form) or {}
        if "internetMessageId" in record or ("toRecipients" in record and any(name in record for name in _TIMES)):
            return Recognition(0.95, "a message of Microsoft Graph")
        if form.place in _LISTS and _PAGE(sample.head):
            return Recognition(0.9, "a page of messages of Microsoft Graph")
        if _MESSAGE_ID in sample.head and b'"receivedDateTime"' in sample.head:
            return Recognition(0.85, "holds messages of Microsoft Graph")
        return None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each message.

        Raises:
            ConfigurationError: when an option is unknown or has the wrong form.
            InvalidRecord: when a document is broken; what came before it is yielded first.
        """
        check_options(context, EXCHANGE_OPTIONS)
        mailbox, left_out = mailbox_of(context), _folders(context)
        form = form_of(head(path), _LISTS) or JsonForm("line")
        seen = _Seen()

        def translate(value: Mapping[str, Any]) -> Fields | tuple[()]:
            if _is_no_email(value) or str(value.get("parentFolderId")) in left_out:
                return ()
            return _email(value, mailbox, context, seen)

        yield from translated(json_records(path, form), translate, context, form.unit, path.stat().st_size)
        if seen.message_count and not seen.headed_count:
            warning = (
                f"{context.file}: no message has internetMessageHeaders, so automatic and bulk mail counts as "
                "people's; ask for them with $select"
            )
            yield Batch({}, 0, warnings=(warning,))


def _folders(context: ReadContext) -> frozenset[str]:
    given = context.options.get("folders_left_out", ())
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{context.file}: options.folders_left_out is no list of the ids of folders")
    return frozenset(names)


def _is_no_email(value: Mapping[str, Any]) -> bool:
    return "@removed" in value or value.get("isDraft") is True or value.get("subject") == _CHAT


def _email(value: Mapping[str, Any], mailbox: Mailbox, context: ReadContext, seen: _Seen) -> Fields:
    headers = value.get("internetMessageHeaders")
    fields = listed_fields(headers) if isinstance(headers, list) else {}
    seen.message_count += 1
    seen.headed_count += bool(headers)
    sender = _sender(value, fields, mailbox)
    return {
        "kind": "email",
        "message_id": _text(value, "internetMessageId"),
        "sent_at": _sent_at(value, context),
        "from": sender,
        "to": _recipients(value, "toRecipients"),
        "cc": _recipients(value, "ccRecipients"),
        "bcc": _recipients(value, "bccRecipients"),
        "delivered_to": mailbox.delivered_to(sender),
        "mailbox": mailbox.name,
        "subject": (_text(value, "subject") or "")[:LONGEST_SUBJECT],
        "automated": is_automated(fields),
        "bulk": is_bulk(fields),
    }


def _sender(value: Mapping[str, Any], fields: Mapping[bytes, bytes], mailbox: Mailbox) -> str:
    """Return the sender's address; of an own one without an address, one that stands for it.

    Raises:
        InvalidRecord: when there is no sender, or an X.500 name and nobody knows whose organisation it is of.
    """
    written = [_address(value.get("from")), _address(value.get("sender"))]
    smtp = [text for text in written if addresses_of(text.encode("utf-8", "replace"))]
    if smtp:
        return smtp[0]
    named = addresses_of(fields.get(b"from", b""))
    if named:
        return named[0]
    internal = next((text for text in written if _is_internal_name(text)), "")
    stands_for = internal_sender(internal, mailbox)
    if stands_for is None:
        raise InvalidRecord("from: no address; ask for from and sender with $select")
    return stands_for


def _recipients(value: Mapping[str, Any], name: str) -> list[str]:
    """Return the addresses of a list of recipients; colleagues by X.500 names and names alone are left out."""
    members = value.get(name)
    if members is None:
        return []
    if not isinstance(members, list):
        raise InvalidRecord(f"{name}: expected a list of recipients")
    return [text for text in map(_address, members) if text]


def _address(recipient: object) -> str:
    inner = recipient.get("emailAddress") if isinstance(recipient, Mapping) else None
    address = inner.get("address") if isinstance(inner, Mapping) else None
    return address.strip() if isinstance(address, str) else ""


def _is_internal_name(text: str) -> bool:
    return text[:3].casefold() == "/o="


def _sent_at(value: Mapping[str, Any], context: ReadContext) -> datetime:
    """Return when a message was sent, or when it was received where the sender's clock cannot be right."""
    moments = []
    for name in _TIMES:
        written = _text(value, name)
        if written:
            try:
                moment = datetime.fromisoformat(written)
            except ValueError:
                raise InvalidRecord(f"{name}: no date and time such as 2024-05-02T09:15:04Z") from None
            moments.append(moment.replace(tzinfo=moment.tzinfo or UTC))
    found = plausible_instant(moments, context)
    if found is None:
        raise InvalidRecord("sentDateTime: missing, or before there was email; ask for it with $select")
    return found


def _text(value: Mapping[str, Any], name: str) -> str | None:
    held = value.get(name)
    if held is not None and not isinstance(held, str):
        raise InvalidRecord(f"{name}: expected a text")
    return held


SOURCE: Final = GraphMail()
