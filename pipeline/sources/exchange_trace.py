"""Message traces of Exchange Online: one row a message, or one a message and recipient, with what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pipeline.errors import InvalidRecord
from pipeline.sources.exchange_table import EXCHANGE_OPTIONS, columns_of, is_system, table_rows, utc_instant
from pipeline.sources.json_records import JsonForm, JsonRecord, first_record, form_of, json_records
from pipeline.sources.mailbox_exports import LONGEST_SUBJECT
from pipeline.sources.message_headers import addresses_of
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.source_options import check_options, text_option
from pipeline.sources.translation import Fields, renaming, require_columns, translated
from pipeline.sources.written_values import InstantReader

_LISTS: Final = ("value",)
_FIELDS: Final = (
    "received", "sender_address", "recipient_address", "status", "recipient_status", "message_id", "subject",
)  # fmt: skip
_NEEDED: Final = ("received", "sender_address", "message_id")
# What the report, the cmdlet and the API call the same, without underscores.
_USUAL: Final = {
    "origintimestamp": "received", "origintimestamputc": "received", "receiveddatetime": "received",
    "senderaddress": "sender_address", "recipientaddress": "recipient_address", "recipientstatus": "recipient_status",
    "messageid": "message_id", "messagesubject": "subject",
}  # fmt: skip
_ARRIVED: Final = frozenset({"deliver", "send", "sendexternal"})
_NOBODY: Final = ("<>", "< >")


class ExchangeTrace:
    """Enhanced summaries, what Get-MessageTrace gives, and message traces of Microsoft Graph."""

    name = "exchange_trace"
    title = "Exchange Online message trace"
    description = (
        "The enhanced summary report as CSV (UTF-16 as it is downloaded, or UTF-8), the output of `Get-MessageTraceV2` "
        "by `Export-Csv`, and message traces of Microsoft Graph as JSON. Recipients to whom a message was delivered or "
        "sent on count. Times are UTC; a CSV whose dates could be two needs `options.date_format`. "
        "Mapping: field = column."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "enhanced summary report, CSV",
            "origin_timestamp_utc, sender_address, recipient_status, message_id, message_subject (hashed)",
            "addresses of machines, sizes, connectors, directionality",
            "documentation",
            "the service's documentation of the report, and scripts that read it",
        ),
        Format(
            "Get-MessageTrace and Get-MessageTraceV2, CSV",
            "Received, SenderAddress, RecipientAddress, Status, MessageId, Subject (hashed)",
            "addresses of machines, sizes",
            "documentation",
            "the cmdlets' reference, and scripts that name its columns",
        ),
        Format(
            "exchangeMessageTrace of Microsoft Graph, JSON",
            "the same",
            "the same",
            "documentation",
            "the resource in the API's reference",
        ),
    )
    lies = (
        "A trace knows no headers: automatic mail and lists look like letters of people.",
        "It does not tell To from Cc and Bcc; a list's members stand beside the list, which is expanded.",
        "What was delivered may lie in the folder for junk.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a table or a list with the columns of a message trace."""
        if sample.is_directory:
            return None
        form = form_of(sample.head, _LISTS)
        if form is not None:
            columns = {_usual(name.casefold()) for name in first_record(sample.head, form) or ()}
        else:
            columns = set(columns_of(sample.head, _usual))
        if columns.issuperset(_NEEDED) and (
            "recipient_status" in columns or {"recipient_address", "status"} <= columns
        ):
            return Recognition(0.95, "a message trace of Exchange Online")
        return None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each row that tells of a delivery.

        Raises:
            ConfigurationError: when an option or the mapping means nothing, or a column is lacking.
            InvalidRecord: when a document is broken or an archive damaged; what came before it is yielded first.
        """
        check_options(context, EXCHANGE_OPTIONS)
        rename = renaming(context, _FIELDS, {})
        instants = InstantReader(text_option(context, "date_format"))
        start = head(path)
        form = form_of(start, _LISTS)
        if form is None:
            columns = columns_of(start, _usual)
            recipients = ("recipient_status",) if "recipient_status" in columns else ("recipient_address", "status")
            require_columns(context, columns, (*_NEEDED, *recipients), {})
        unit: Literal["line", "record"] = "line" if form is None else form.unit

        def translate(value: Mapping[str, Any]) -> Fields | tuple[()]:
            return _delivery(rename(value), instants)

        yield from translated(_records(path, form), translate, context, unit, path.stat().st_size)


def _records(path: Path, form: JsonForm | None) -> Iterator[JsonRecord]:
    if form is None:
        yield from table_rows(path, _usual)
        return
    for record in json_records(path, form):
        usual = {_usual(name.casefold()): held for name, held in record.value.items()}
        yield JsonRecord(record.position, usual, record.problem, record.text)


def _usual(column: str) -> str:
    """Return a column's name here.

    >>> [_usual(name) for name in ("origin_timestamp_utc", "senderaddress", "messageId".casefold(), "size")]
    ['received', 'sender_address', 'message_id', 'size']
    """
    return _USUAL.get(column.replace("_", ""), column)


def _delivery(value: Mapping[str, Any], instants: InstantReader) -> Fields | tuple[()]:
    """Return what a row tells of a delivery, or nothing when the message reached nobody."""
    recipients = _reached(value)
    if not recipients:
        return ()
    written = str(value.get("sender_address", "")).strip()
    sender = next(iter(addresses_of(written.encode("utf-8", "replace"))), None)
    if sender is None and written not in _NOBODY:
        raise InvalidRecord("sender_address: expected an address, or <>")
    return {
        "kind": "email",
        "message_id": value.get("message_id"),
        "sent_at": utc_instant("received", value.get("received"), instants),
        "from": sender,
        "to": recipients,
        "subject": str(value.get("subject", ""))[:LONGEST_SUBJECT],
        "return_path": None if sender else "<>",
        "automated": is_system(written),
    }


def _reached(value: Mapping[str, Any]) -> list[str]:
    """Return the recipients to whom a message was delivered or sent on.

    Raises:
        InvalidRecord: when the row names none at all.
    """
    listed = str(value.get("recipient_status", "")).strip()
    if listed:
        parts = [part.partition("##") for part in listed.split(";")]
        return [address.strip() for address, _, course in parts if address.strip() and _arrived(course)]
    recipient, status = (str(value.get(name, "")).strip() for name in ("recipient_address", "status"))
    if not recipient or not status:
        raise InvalidRecord("recipient_address and status, or recipient_status: missing")
    return [recipient] if status.casefold() == "delivered" else []


def _arrived(course: str) -> bool:
    """Return whether a message's course ended well.

    >>> _arrived("Receive, Deliver"), _arrived("Receive, Send, Fail"), _arrived("Receive, Expand")
    (True, False, False)
    """
    steps = {step.strip().casefold() for step in course.split(",")}
    return bool(steps & _ARRIVED) and "fail" not in steps


SOURCE: Final = ExchangeTrace()
