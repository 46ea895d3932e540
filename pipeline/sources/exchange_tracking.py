"""Exchange's message tracking: many rows of one message, of which those count that tell of its delivery.

A row tells of the delivery of a message to some of its recipients. The rows of one message share its Message-ID, and
so become one conversation, whatever servers wrote them; copies in mailboxes belong to it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pipeline.errors import InvalidRecord
from pipeline.sources.exchange_table import EXCHANGE_OPTIONS, columns_of, is_probe, is_system, table_rows, utc_instant
from pipeline.sources.mailbox_exports import LONGEST_SUBJECT
from pipeline.sources.message_headers import addresses_of
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.source_options import check_options, text_option
from pipeline.sources.translation import Fields, renaming, require_columns, translated
from pipeline.sources.written_values import InstantReader

_FIELDS: Final = (
    "date-time", "source", "event-id", "message-id", "recipient-address", "message-subject", "sender-address",
    "return-path",
)  # fmt: skip
_NEEDED: Final = ("date-time", "source", "event-id", "message-id", "recipient-address", "sender-address")
_NOBODY: Final = ("<>", "< >")


class ExchangeTracking:
    """Message tracking logs of Exchange Server, and the extended reports of Exchange Online: one row an event."""

    name = "exchange_tracking"
    title = "Exchange message tracking"
    description = (
        "MSGTRK*.LOG of Exchange Server with its `#Fields:` line, and the extended report (message trace details) of "
        "Exchange Online, as CSV. Of a message's rows only DELIVER and SEND by SMTP count; all others are passed over "
        "and counted. Copy the logs of all servers and services. Times are UTC. Mapping: field = column."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "message tracking log",
            "date-time, source, event-id, message-id, recipient-address, sender-address, return-path, message-subject "
            "(hashed)",
            "all other events and fields; rows of the probes by which Exchange watches itself",
            "documentation",
            "the product's documentation of fields and events, and logs in tests of log shippers",
        ),
        Format(
            "extended report of Exchange Online, CSV",
            "the same fields, with underscores",
            "the same",
            "documentation",
            "the service's documentation of the report, and the vendor's own script that reads it",
        ),
    )
    lies = (
        "A log knows no Auto-Submitted, List-Id or Precedence: of automatic mail only null return paths are told.",
        "It does not tell To from Cc and Bcc; a list's members stand in place of the list.",
        "The sender is who is named by Sender, where a message has both Sender and From.",
        "A message is sent anew at every hop between servers; its rows are still one conversation.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a table with the columns of message tracking."""
        if sample.is_directory or not columns_of(sample.head, _usual) >= frozenset(_NEEDED):
            return None
        is_log = sample.head.lstrip()[:1] == b"#"
        return Recognition(0.97 if is_log else 0.95, f"a message tracking {'log' if is_log else 'report'} of Exchange")

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each row that tells of a delivery.

        Raises:
            ConfigurationError: when an option or the mapping means nothing, or a column is lacking.
            InvalidRecord: when an archive is damaged; what came before it is yielded first.
        """
        check_options(context, EXCHANGE_OPTIONS)
        rename = renaming(context, _FIELDS, {})
        require_columns(context, columns_of(head(path), _usual), _NEEDED, {})
        instants = InstantReader(text_option(context, "date_format"))

        def translate(value: Mapping[str, Any]) -> Fields | tuple[()]:
            return _delivery(rename(value), instants)

        yield from translated(table_rows(path, _usual), translate, context, "line", path.stat().st_size)


def _usual(column: str) -> str:
    """Return the name that Exchange Server's log has for a column.

    >>> _usual("date_time_utc"), _usual("event_id")
    ('date-time', 'event-id')
    """
    return column.replace("_", "-").removesuffix("-utc")


def _delivery(value: Mapping[str, Any], instants: InstantReader) -> Fields | tuple[()]:
    """Return what a row tells of a delivery, or nothing."""
    event, source = _word(value, "event-id"), _word(value, "source")
    if not event:
        raise InvalidRecord("event-id: missing")
    is_sent = (event == "SEND" and source == "SMTP") or event == "SENDEXTERNAL"
    if event != "DELIVER" and not is_sent:
        return ()
    recipients = [part.strip() for part in str(value.get("recipient-address", "")).split(";") if part.strip()]
    if not recipients:
        raise InvalidRecord("recipient-address: missing")
    written = [str(value.get(name, "")).strip() for name in ("sender-address", "return-path")]
    if is_probe(written[0]) or all(map(is_probe, recipients)):
        return ()
    is_null = any(text in _NOBODY for text in written)
    sender = next((found[0] for text in written if (found := addresses_of(text.encode()))), None)
    if sender is None and not is_null:
        raise InvalidRecord("sender-address: expected an address, or <> as return-path")
    return {
        "kind": "email",
        "message_id": value.get("message-id"),
        "sent_at": utc_instant("date-time", value.get("date-time"), instants),
        "from": sender,
        "to": recipients,
        "subject": str(value.get("message-subject", ""))[:LONGEST_SUBJECT],
        "return_path": "<>" if is_null else None,
        "automated": is_system(written[0]),
    }


def _word(value: Mapping[str, Any], name: str) -> str:
    return str(value.get(name, "")).strip().upper()


SOURCE: Final = ExchangeTracking()
