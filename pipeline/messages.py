"""Emails and messages of other channels, in bypassflow's own JSON, into observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from pipeline.columns import SECOND, digest, fact_table, ticks
from pipeline.errors import InvalidRecord
from pipeline.identifiers import Identifiers
from pipeline.parties import NOBODY, Parties, Party, Sides
from pipeline.sources.message_headers import (
    addresses_of,
    is_automated,
    is_bulk,
    message_keys,
    second_key,
    subject_core,
)
from pipeline.sources.registry import ReadContext
from schemas.raw import Email, Message

FUTURE: Final = "dated in the future: more than a day after the file was read"

_SIDES: Final = (
    "from_endpoint", "from_token", "from_domain", "to_endpoint", "to_token", "to_domain", "via_endpoint", "emergency",
)  # fmt: skip
_ROLES: Final = ("to", "cc", "bcc", "delivered")


def observe_emails(
    records: Sequence[Email], positions: Sequence[int | str], context: ReadContext, latest: int
) -> tuple[pa.Table, list[tuple[int, str]]]:
    """Return one observation of each usable copy of an email, and index and reason of each other one.

    Keys are those that a mailbox of the same messages gives, so that both sources meet.
    """
    rejections: list[tuple[int, str]] = []
    rows: list[dict[str, object]] = []
    sent = ticks((record.sent_at for record in records), context.zone)
    for index, record in enumerate(records):
        moment = sent[index]
        assert moment is not None  # the contract asks for it
        if moment > latest:
            rejections.append((index, FUTURE))
            continue
        sender, recipients = _addresses(record)
        to_and_cc = [*recipients["to"], *recipients["cc"]]
        message_id, masked_id = message_keys(record.message_id or "", {*sender, *to_and_cc})
        by_content = second_key(
            sender[0] if sender else "", to_and_cc, subject_core((record.subject or "").encode()), moment // SECOND
        )
        identity = context.identifiers.email(sender[0]) if sender else None
        fields = _header_fields(record)
        rows.append(
            {
                "raw_id": context.raw_id(positions[index]),
                "source": context.source,
                "record_digest": digest(record.model_dump_json(exclude_defaults=True).encode()),
                "channel": "email",
                "started_at": moment,
                "ended_at": moment,
                "talk_seconds": 0.0,
                "talk_basis": 0,
                "key": f"m:{message_id}" if message_id else by_content,
                "other_keys": [by_content] if message_id else None,
                "event_id": message_id or None,
                "session_id": masked_id or None,
                "from_token": identity.token if identity else None,
                "from_domain": identity.domain if identity else None,
                "parties": _parties(recipients, context.identifiers),
                "automated": record.automated or is_automated(fields),
                "bulk": record.bulk or is_bulk(fields),
                "emergency": False,
            }
        )
    return _table(rows), rejections


def observe_messages(
    records: Sequence[Message], positions: Sequence[int | str], context: ReadContext, parties: Parties, latest: int
) -> tuple[pa.Table, list[tuple[int, str]]]:
    """Return one observation of each usable message or session, and index and reason of each other one."""
    rejections: list[tuple[int, str]] = []
    rows: list[dict[str, object]] = []
    started = ticks((record.started_at for record in records), context.zone)
    ended = ticks((record.ended_at for record in records), context.zone)
    for index, record in enumerate(records):
        start, end = started[index], ended[index]
        assert start is not None  # the contract asks for it
        if start > latest:
            rejections.append((index, FUTURE))
            continue
        if end is not None and end < start:
            rejections.append((index, "ended_at is before started_at"))
            continue
        try:
            columns = dict(zip(_SIDES, _sides(record, parties), strict=True))
        except InvalidRecord as error:
            rejections.append((index, str(error)))
            continue
        content = digest(record.model_dump_json(exclude_defaults=True).encode())
        identity = record.conversation_id or record.message_id or f"x{content:016x}"
        rows.append(
            {
                "raw_id": context.raw_id(positions[index]),
                "source": context.source,
                "record_digest": content,
                "channel": record.channel,
                "direction": record.direction,
                "started_at": start,
                "ended_at": start if end is None else end,
                "talk_seconds": 0.0,
                "talk_basis": 0,
                "attempt": ("unanswered" if record.status == "failed" else "talk") if record.channel == "fax" else None,
                "key": f"{context.source}:{identity}",
                "event_id": record.message_id or None,
                "session_id": record.conversation_id or None,
                **columns,
                "automated": record.automated,
                "bulk": record.bulk,
            }
        )
    return _table(rows), rejections


def _table(rows: Sequence[Mapping[str, object]]) -> pa.Table:
    columns = {name: [row.get(name) for row in rows] for name in rows[0]} if rows else {}
    return fact_table("observation", columns, len(rows))


def _addresses(record: Email) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return the sender's address and the recipients' by role, lower-cased, each once in its role."""
    lists = {"to": record.to, "cc": record.cc, "bcc": record.bcc, "delivered": record.delivered_to}
    recipients = {
        role: tuple(dict.fromkeys(address for text in texts for address in addresses_of(text.encode())))
        for role, texts in lists.items()
    }
    return addresses_of((record.from_ or "").encode())[:1], recipients


def _parties(recipients: Mapping[str, Sequence[str]], identifiers: Identifiers) -> list[dict[str, str | None]]:
    parties: list[dict[str, str | None]] = []
    for role in _ROLES:
        for address in recipients[role]:
            identity = identifiers.email(address)
            parties.append({"role": role, "token": identity.token, "domain": identity.domain})
    return parties


def _header_fields(record: Email) -> dict[bytes, bytes]:
    headers = {
        b"auto-submitted": record.auto_submitted,
        b"return-path": record.return_path,
        b"precedence": record.precedence,
        b"list-id": record.list_id,
    }
    return {name: value.encode() for name, value in headers.items() if value}


def _sides(record: Message, parties: Parties) -> Sides:
    if record.channel in ("sms", "fax"):
        caller, called = parties.number(record.from_), parties.number(record.to)
        customer = parties.number(record.customer)
        # A short number or a name on the customer's side is a sender of its own, never one of our extensions.
        if record.direction == "inbound":
            caller = _sender(caller, record.from_, record, parties)
        elif record.direction == "outbound":
            called = _sender(called, record.to, record, parties)
        customer = _sender(customer, record.customer, record, parties)
    else:
        namespace = record.namespace or record.channel
        caller, called = parties.handle(record.from_, namespace), parties.handle(record.to, namespace)
        customer = parties.handle(record.customer, namespace)
    return parties.sides(caller, called, record.direction, customer, record.representative, record.queue)


def _sender(party: Party, raw: str | None, record: Message, parties: Parties) -> Party:
    if party is NOBODY or party.token is not None:
        return party
    return parties.handle(raw, record.namespace or record.channel)
