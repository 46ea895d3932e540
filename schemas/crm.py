"""CRM records in bypassflow's own JSON: customers, what was logged about them, and how far the feed reaches."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from schemas.raw import Direction, Id, Record, Word, Words

ActivityKind = Literal["call", "email", "sms", "chat", "social", "fax", "meeting", "note", "task", "other"]
Precision = Literal["second", "minute", "day"]


class _CrmRecord(Record):
    updated_at: datetime | None = Field(
        default=None,
        description="Last change in the CRM; of several versions of a record the latest counts.",
        examples=["2024-05-02T12:00:00Z"],
    )
    deleted: bool = Field(default=False, description="Deleted in the CRM.", examples=[False])


class Contact(_CrmRecord):
    """A person in the CRM: contact or lead."""

    kind: Literal["contact"] = Field(default="contact", description="Kind of the record.", examples=["contact"])
    contact_id: Id = Field(description="Id in the CRM.", examples=["003A1"])
    account_id: Word | None = Field(
        default=None, description="Id of its account. Null: the contact is its own customer.", examples=["001B7"]
    )
    phones: Words = Field(
        default=(), description="Numbers in any way of writing.", examples=[["+358 40 1234567", "09 1234567"]]
    )
    emails: Words = Field(default=(), description="Addresses.", examples=[["maija@customer.example"]])
    handles: Words = Field(
        default=(), description="Handles, each as namespace:handle.", examples=[["instagram:maija.v"]]
    )


class Account(_CrmRecord):
    """An organisation in the CRM."""

    kind: Literal["account"] = Field(default="account", description="Kind of the record.", examples=["account"])
    account_id: Id = Field(description="Id in the CRM.", examples=["001B7"])
    phones: Words = Field(default=(), description="Numbers in any way of writing.", examples=[["+358 9 1234500"]])
    emails: Words = Field(default=(), description="Addresses.", examples=[["info@customer.example"]])
    domains: Words = Field(
        default=(),
        description="Web sites or mail domains of its own; public mail domains are ignored.",
        examples=[["https://www.customer.example"]],
    )
    segment: Word | None = Field(default=None, description="Customer segment.", examples=["key account"])


class _Logged(_CrmRecord):
    """What an activity and a ticket share: exactly one of `logged_at` and `logged_on` is given."""

    logged_at: datetime | None = Field(
        default=None,
        description="When it was logged (created); for a synchronised email, the email's own time.",
        examples=["2024-05-02T09:24:00+03:00"],
    )
    logged_on: date | None = Field(
        default=None,
        description="The local day on which it was logged, for systems that know no time of day.",
        examples=["2024-05-02"],
    )
    precision: Precision | None = Field(
        default=None,
        description="Precision of the time: second, minute or day. Default: minute when `logged_at` has no seconds.",
        examples=["second"],
    )
    owner_id: Word | None = Field(
        default=None, description="CRM user or representative who owns it.", examples=["005X3"]
    )
    creator_id: Word | None = Field(
        default=None, description="CRM user or representative who created it.", examples=["005X3"]
    )
    contact_ids: Words = Field(default=(), description="Contacts and leads it is tied to.", examples=[["003A1"]])
    account_ids: Words = Field(
        default=(),
        description="Accounts it is tied to; with several, it counts as one activity on each.",
        examples=[["001B7"]],
    )
    keys: Words = Field(
        default=(),
        description="Interactions' own keys that it carries: Message-IDs, call ids. They make a trace exact.",
        examples=[["<a1b2c3@mail.customer.example>"]],
    )
    direction: Direction | None = Field(default=None, description="From the company's view.", examples=["inbound"])


class Activity(_Logged):
    """Something logged on a customer in the CRM."""

    kind: Literal["activity"] = Field(default="activity", description="Kind of the record.", examples=["activity"])
    activity_id: Id = Field(description="Id in the CRM; unique in the company.", examples=["00T9K"])
    activity_kind: ActivityKind = Field(
        description="What was logged: call, email, sms, chat, social, fax, meeting, note, task or other.",
        examples=["call"],
    )


class Ticket(_Logged):
    """A record in a contact-centre or ticket system; an activity only if tied to a customer in the CRM."""

    kind: Literal["ticket"] = Field(default="ticket", description="Kind of the record.", examples=["ticket"])
    ticket_id: Id = Field(description="Id in its system; unique in the company.", examples=["500C2"])
    requester_phones: Words = Field(default=(), description="Numbers of the requester.", examples=[["+358 40 1234567"]])
    requester_emails: Words = Field(
        default=(), description="Addresses of the requester.", examples=[["maija@customer.example"]]
    )


class User(Record):
    """A user of the CRM; the address ties the user to the directory."""

    kind: Literal["user"] = Field(default="user", description="Kind of the record.", examples=["user"])
    user_id: Id = Field(description="Id in the CRM.", examples=["005X3"])
    email: Word | None = Field(default=None, description="The user's address.", examples=["matti@acme.example"])


class FeedProgress(Record):
    """How far the CRM's feed has been read: nothing is called bypassed before it."""

    kind: Literal["feed_progress"] = Field(
        default="feed_progress", description="Kind of the record.", examples=["feed_progress"]
    )
    complete_through: datetime = Field(
        description="Every activity logged before this has been sent.", examples=["2024-05-31T00:00:00Z"]
    )


CrmRecord = Annotated[Contact | Account | Activity | Ticket | User | FeedProgress, Field(discriminator="kind")]
