"""Raw events in bypassflow's own JSON: what other systems send, one object per call, leg, email or message.

The same models serve files (JSON Lines, CSV, Parquet) and topics. A record names its `kind` and the
`version` of that kind; a field that the version does not know is an error, so that a misspelt name is
never silently lost. An instant without an offset is local time of the source's configured zone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Channel = Literal["call", "email", "sms", "chat", "social", "fax"]
Line = Literal["contact_center", "pbx", "mobile"]
Direction = Literal["inbound", "outbound", "internal"]
CallStatus = Literal["answered", "unanswered", "busy", "failed", "voicemail", "ivr"]
MessageStatus = Literal["delivered", "failed"]

# Longer than any number, address, Message-ID or id of a system that was met; keeps a broken record small.
Word = Annotated[str, Field(max_length=1000)]
Words = Annotated[tuple[Word, ...], Field(max_length=10_000)]
Id = Annotated[str, Field(min_length=1, max_length=1000)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Record(BaseModel):
    """What all records share."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    version: Literal[1] = Field(default=1, description="Version of this kind of record.", examples=[1])


class _Telephony(Record):
    """What a finished call and one leg of a call share."""

    started_at: datetime = Field(
        description="When the call began to be made. ISO 8601; without offset: local time of the source's zone.",
        examples=["2024-05-02T09:15:04+03:00"],
    )
    answered_at: datetime | None = Field(
        default=None,
        description="When talk began; null when nobody answered or the system does not say.",
        examples=["2024-05-02T09:15:16+03:00"],
    )
    ended_at: datetime | None = Field(
        default=None, description="When it ended.", examples=["2024-05-02T09:20:16+03:00"]
    )
    duration_seconds: NonNegative | None = Field(
        default=None,
        description="Time from start to end, ringing included; stands in for a missing `ended_at`. Unit: seconds.",
        examples=[312],
    )
    talk_seconds: NonNegative | None = Field(
        default=None,
        description="Time of talk. Default: from `answered_at` to the end; for status answered without either, "
        "the whole duration. Unit: seconds.",
        examples=[300],
    )
    status: CallStatus | None = Field(
        default=None,
        description="How it ended: answered by a person, unanswered, busy, failed, voicemail or ivr (a machine spoke). "
        "Needed when neither `talk_seconds` nor `answered_at` says whether anybody talked.",
        examples=["answered"],
    )
    direction: Direction | None = Field(
        default=None,
        description="From the company's view. Needed when directory and numbers cannot tell which side is ours.",
        examples=["inbound"],
    )
    from_: Word | None = Field(
        default=None,
        alias="from",
        description="Caller: a number in any way of writing, or an extension. Null or empty: withheld.",
        examples=["+358 40 1234567"],
    )
    to: Word | None = Field(default=None, description="Called number or extension, as `from`.", examples=["201"])
    customer: Word | None = Field(
        default=None,
        description="The other party's number, for systems that give it instead of `from` and `to`; "
        "its side follows from `direction`, inbound when there is none.",
        examples=["040 1234567"],
    )
    representative: Word | None = Field(
        default=None,
        description="Who of ours took part: id or name as in the directory, extension, own number or address.",
        examples=["r017"],
    )
    queue: Word | None = Field(
        default=None, description="Queue or ring group that the call went through.", examples=["sales"]
    )
    line: Line | None = Field(
        default=None,
        description="Kind of system that carried it: contact_center, pbx or mobile.",
        examples=["mobile"],
    )


class Call(_Telephony):
    """One finished call, whatever happened on the way."""

    kind: Literal["call"] = Field(default="call", description="Kind of the record.", examples=["call"])
    call_id: Word | None = Field(
        default=None,
        description="The system's own id of the call; an activity that carries it is an exact trace. "
        "Records with the same id are one call.",
        examples=["c-20240502-000417"],
    )


class PbxLeg(_Telephony):
    """One leg of a call: the ringing or talking of one device. The legs of a call share its `call_id`."""

    kind: Literal["pbx_leg"] = Field(default="pbx_leg", description="Kind of the record.", examples=["pbx_leg"])
    call_id: Id = Field(
        description="The system's own id of the whole call, the same on all its legs.", examples=["1714630504.17"]
    )
    leg_id: Word | None = Field(
        default=None, description="The system's own id of this leg.", examples=["1714630504.18"]
    )
    from_device: Word | None = Field(
        default=None, description="Device on the calling side, as the system names it.", examples=["trunk"]
    )
    to_device: Word | None = Field(
        default=None, description="Device on the called side; null when none was reached.", examples=["201"]
    )


class Email(Record):
    """One mailbox's copy of an email: headers only. No body belongs here."""

    kind: Literal["email"] = Field(default="email", description="Kind of the record.", examples=["email"])
    message_id: Word | None = Field(
        default=None,
        description="Message-ID, with or without angle brackets; copies of one email share it.",
        examples=["<a1b2c3@mail.customer.example>"],
    )
    sent_at: datetime = Field(
        description="Date header. ISO 8601; without offset: local time of the source's zone.",
        examples=["2024-05-02T09:31:00+03:00"],
    )
    from_: Word | None = Field(
        default=None,
        alias="from",
        description="Sender's address; a display name is dropped.",
        examples=["maija@customer.example"],
    )
    to: Words = Field(
        default=(), description="Addresses of the To header, in its order.", examples=[["sales@acme.example"]]
    )
    cc: Words = Field(default=(), description="Addresses of the Cc header.", examples=[["matti@acme.example"]])
    bcc: Words = Field(default=(), description="Addresses of the Bcc header.", examples=[["archive@acme.example"]])
    delivered_to: Words = Field(
        default=(), description="Addresses of Delivered-To headers.", examples=[["sales@acme.example"]]
    )
    mailbox: Word | None = Field(
        default=None,
        description="Mailbox in which this copy lies; tells copies apart.",
        examples=["sales@acme.example"],
    )
    subject: Word | None = Field(
        default=None,
        description="Subject; only a hash of it is kept, to find copies without a Message-ID.",
        examples=["Re: Order 4711"],
    )
    auto_submitted: Word | None = Field(
        default=None,
        description="Auto-Submitted header (RFC 3834); anything but no means that a machine sent it.",
        examples=["auto-replied"],
    )
    return_path: Word | None = Field(
        default=None, description="Return-Path header; <> marks a delivery report.", examples=["<>"]
    )
    precedence: Word | None = Field(
        default=None, description="Precedence header; bulk, list and junk mean bulk.", examples=["bulk"]
    )
    list_id: Word | None = Field(
        default=None, description="List-Id header; any value means bulk.", examples=["<news.customer.example>"]
    )
    automated: bool = Field(
        default=False, description="A machine sent it, known from elsewhere than the headers.", examples=[False]
    )
    bulk: bool = Field(
        default=False, description="Sent to a list, known from elsewhere than the headers.", examples=[False]
    )


class Message(Record):
    """One message, or one session of messages, over SMS, chat, social media or fax. No text belongs here."""

    kind: Literal["message"] = Field(default="message", description="Kind of the record.", examples=["message"])
    channel: Literal["sms", "chat", "social", "fax"] = Field(description="What the customer used.", examples=["chat"])
    message_id: Word | None = Field(
        default=None,
        description="The system's own id of the message; an activity that carries it is an exact trace.",
        examples=["SM7d1f"],
    )
    conversation_id: Word | None = Field(
        default=None,
        description="The system's own id of the conversation: its messages are one interaction. "
        "Default: each message is one.",
        examples=["chat-8812"],
    )
    started_at: datetime = Field(
        description="When it was sent, or the session began. ISO 8601; without offset: local time of the "
        "source's zone.",
        examples=["2024-05-02T10:02:11+03:00"],
    )
    ended_at: datetime | None = Field(
        default=None,
        description="When the session ended. Default: `started_at`.",
        examples=["2024-05-02T10:14:40+03:00"],
    )
    direction: Direction | None = Field(default=None, description="From the company's view.", examples=["inbound"])
    from_: Word | None = Field(
        default=None,
        alias="from",
        description="Sender: number, address or handle. Null or empty: unknown.",
        examples=["+358 40 1234567"],
    )
    to: Word | None = Field(
        default=None, description="Recipient: number, address or handle.", examples=["acme-support"]
    )
    customer: Word | None = Field(
        default=None,
        description="The other party, for systems that give it instead of `from` and `to`; its side follows "
        "from `direction`, inbound when there is none.",
        examples=["maija.v"],
    )
    representative: Word | None = Field(
        default=None,
        description="Who of ours took part: id or name as in the directory, extension, own number or address.",
        examples=["r017"],
    )
    queue: Word | None = Field(
        default=None, description="Queue or shared inbox that it went through.", examples=["support"]
    )
    namespace: Word | None = Field(
        default=None,
        description="Platform that handles belong to. Default: the channel's name.",
        examples=["instagram"],
    )
    status: MessageStatus | None = Field(
        default=None, description="delivered or failed; a failed fax is an unanswered attempt.", examples=["delivered"]
    )
    automated: bool = Field(default=False, description="A machine sent it.", examples=[False])
    bulk: bool = Field(default=False, description="Sent to a list.", examples=[False])


RawEvent = Annotated[Call | PbxLeg | Email | Message, Field(discriminator="kind")]
