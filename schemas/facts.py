"""Normalised facts: what every source is turned into, and the only thing the engine reads.

A fact table is an Arrow table with one of the schemas below. All instants are UTC without a zone,
in microseconds. Identifiers are tokens (see `pipeline.identifiers`), never clear numbers or addresses.
The set of facts determines every outcome; the order in which facts arrive determines nothing.
"""

from __future__ import annotations

from typing import Final, Literal

import pyarrow as pa

FactKind = Literal[
    "observation",
    "directory_entry",
    "contact",
    "account",
    "crm_user",
    "activity",
    "feed_progress",
    "identifier",
]

INSTANT: Final = pa.timestamp("us")
STRINGS: Final = pa.list_(pa.string())
PARTIES: Final = pa.list_(pa.struct([("role", pa.string()), ("token", pa.string()), ("domain", pa.string())]))


def _schema(*fields: tuple[str, pa.DataType, str]) -> pa.Schema:
    return pa.schema([pa.field(name, type_, metadata={"description": text}) for name, type_, text in fields])


OBSERVATION: Final = _schema(
    ("raw_id", pa.string(), "identity of the raw event: source:file:position, or the sender's event id; unique"),
    ("source", pa.string(), "name of the source that wrote it"),
    ("record_digest", pa.uint64(), "digest of the record's content; the same record read twice has the same"),
    ("channel", pa.string(), "call, email, sms, chat, social or fax"),
    ("line", pa.string(), "of a call: contact_center, pbx or mobile; null otherwise"),
    ("direction", pa.string(), "what the source says: inbound, outbound, internal, or null when it does not say"),
    ("started_at", INSTANT, "start of the leg, or the date of the message"),
    ("answered_at", INSTANT, "when talk began; null when nobody talked"),
    ("ended_at", INSTANT, "end of the leg, or the date of the message"),
    ("talk_seconds", pa.float64(), "seconds of talk on this leg; 0 without talk"),
    ("talk_basis", pa.int8(), "how well the talk is known: 0 none, 1 billing, 2 queue log, 3 bridge events"),
    ("attempt", pa.string(), "of a call leg: talk, unanswered, no_human; null for messages and marks"),
    ("key", pa.string(), "identity of the conversation: source:linked id, or the Message-ID; members share it"),
    ("other_keys", STRINGS, "further identities of the same conversation; null mostly"),
    ("event_id", pa.string(), "the system's own id of this event (Message-ID, unique id): an exact trace carries it"),
    ("session_id", pa.string(), "linked id of a whole call, masked Message-ID of an email: an exact trace carries it"),
    ("from_endpoint", pa.string(), "device, queue or representative on the calling side, as the system names it"),
    ("from_token", pa.string(), "token of the calling or sending identifier; null when withheld"),
    ("from_domain", pa.string(), "token of the sender's registrable domain; null for public mail domains"),
    ("to_endpoint", pa.string(), "device, queue or representative on the called side"),
    ("to_token", pa.string(), "token of the called identifier; null for email, see parties"),
    ("to_domain", pa.string(), "token of the called address's registrable domain"),
    ("via_endpoint", pa.string(), "queue or ring group that the call went through"),
    ("parties", PARTIES, "of an email: recipients in header order; role is to, cc, bcc or delivered"),
    ("automated", pa.bool_(), "sent by a machine (RFC 3834, delivery report, null return path)"),
    ("bulk", pa.bool_(), "sent to a list (List-Id, Precedence)"),
    ("emergency", pa.bool_(), "an emergency number was called"),
)  # fmt: skip

DIRECTORY_ENTRY: Final = _schema(
    ("representative_id", pa.string(), "null for a team's shared mailbox, queue or ring group"),
    ("name", pa.string(), "name shown in reports that may show it"),
    ("team", pa.string(), "name of the team"),
    ("function", pa.string(), "contact_center or other"),
    ("extension", pa.string(), "device or queue as the PBX names it"),
    ("email_token", pa.string(), "token of the mailbox"),
    ("direct_token", pa.string(), "token of the direct number"),
    ("mobile_token", pa.string(), "token of the mobile number"),
    ("valid_from", INSTANT, "first instant of validity; null: always"),
    ("valid_to", INSTANT, "first instant that is no longer valid; null: for ever"),
)

CONTACT: Final = _schema(
    ("raw_id", pa.string(), "place of the record"),
    ("source", pa.string(), "name of the CRM source"),
    ("contact_id", pa.string(), "id of the contact or lead in the CRM"),
    ("account_id", pa.string(), "id of its account; null: the contact is its own customer"),
    ("tokens", STRINGS, "tokens of its numbers and addresses"),
    ("updated_at", INSTANT, "last change; the latest version of a contact counts"),
    ("deleted", pa.bool_(), "deleted in the CRM"),
)

ACCOUNT: Final = _schema(
    ("raw_id", pa.string(), "place of the record"),
    ("source", pa.string(), "name of the CRM source"),
    ("account_id", pa.string(), "id of the account in the CRM"),
    ("tokens", STRINGS, "tokens of its numbers and addresses"),
    ("domains", STRINGS, "tokens of its registrable domains"),
    ("segment", pa.string(), "customer segment; null when the CRM has none"),
    ("updated_at", INSTANT, "last change; the latest version counts"),
    ("deleted", pa.bool_(), "deleted in the CRM"),
)

CRM_USER: Final = _schema(
    ("raw_id", pa.string(), "place of the record"),
    ("source", pa.string(), "name of the CRM source"),
    ("user_id", pa.string(), "id of the user in the CRM"),
    ("email_token", pa.string(), "token of the user's address; links the user to the directory"),
)

ACTIVITY: Final = _schema(
    ("raw_id", pa.string(), "place of the record"),
    ("source", pa.string(), "name of the CRM source"),
    ("activity_id", pa.string(), "id in the CRM; unique in a company"),
    ("kind", pa.string(), "call, email, sms, chat, social, fax, meeting, note, task, other or ticket"),
    ("logged_from", INSTANT, "when it was logged: first instant of its precision"),
    ("logged_to", INSTANT, "last instant of its precision; equals logged_from for exact times"),
    ("precision", pa.string(), "second, minute or day"),
    ("owner_id", pa.string(), "CRM user, representative id or null"),
    ("creator_id", pa.string(), "CRM user, representative id or null"),
    ("contact_ids", STRINGS, "contacts and leads it is tied to"),
    ("account_ids", STRINGS, "accounts it is tied to"),
    ("keys", STRINGS, "interactions' own keys that it carries: masked Message-IDs, call ids"),
    ("tokens", STRINGS, "of a ticket: tokens of the requester's identifiers"),
    ("direction", pa.string(), "inbound, outbound or null"),
    ("updated_at", INSTANT, "last change; the latest version counts"),
    ("deleted", pa.bool_(), "deleted in the CRM"),
)  # fmt: skip

FEED_PROGRESS: Final = _schema(
    ("source", pa.string(), "name of the CRM source"),
    ("complete_through", INSTANT, "every activity logged before this has been read"),
)

IDENTIFIER: Final = _schema(
    ("token", pa.string(), "12 letters and digits"),
    ("kind", pa.string(), "phone, email, handle or domain"),
    ("display", pa.string(), "masked form; the clear form only where privacy.identifiers is clear"),
)

SCHEMAS: Final[dict[str, pa.Schema]] = {
    "observation": OBSERVATION,
    "directory_entry": DIRECTORY_ENTRY,
    "contact": CONTACT,
    "account": ACCOUNT,
    "crm_user": CRM_USER,
    "activity": ACTIVITY,
    "feed_progress": FEED_PROGRESS,
    "identifier": IDENTIFIER,
}


def table(kind: FactKind, rows: list[dict[str, object]]) -> pa.Table:
    """Return an Arrow table of facts of one kind; absent keys are null.

    Raises:
        KeyError: when a row has a key that the schema does not know.
    """
    schema = SCHEMAS[kind]
    names = set(schema.names)
    for row in rows:
        unknown = row.keys() - names
        if unknown:
            raise KeyError(f"{kind} has no column {sorted(unknown)[0]!r}")
    return pa.Table.from_pylist(rows, schema=schema)
