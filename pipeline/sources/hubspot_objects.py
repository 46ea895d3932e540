"""Which object of HubSpot a record or a table holds, told by its fields, never by the file's name.

The interface calls a property hs_timestamp; warehouses put property_ or properties_ before it, and Fivetran's older
tables have names of their own. All of them are brought to the interface's names here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from pipeline.sources.crm_exports import Layout
from pipeline.sources.crm_reader import RecognisedObject
from pipeline.sources.crm_values import text_of

ACTIVITIES: Final = ("call", "email", "meeting", "note", "task", "communication")
ENGAGEMENT: Final = "engagement"
"""Fivetran's table of all activities, beside one for each kind."""
TIES: Final = "ties"
"""A warehouse's table of pairs: who is tied to what."""
OTHER: Final = "other"
"""An object that says nothing of interactions."""


class Kind(NamedTuple):
    """What an activity is: the object that its id belongs to, and the kind of activity."""

    object_name: str
    activity_kind: str


TYPES: Final[Mapping[str, Kind]] = {
    "CALL": Kind("call", "call"),
    "EMAIL": Kind("email", "email"),
    "INCOMING_EMAIL": Kind("email", "email"),
    "FORWARDED_EMAIL": Kind("email", "email"),
    "MEETING": Kind("meeting", "meeting"),
    "NOTE": Kind("note", "note"),
    "TASK": Kind("task", "task"),
    "PUBLISHING_TASK": Kind("task", "task"),
    "COMMUNICATION": Kind("communication", "other"),
    "SMS": Kind("communication", "sms"),
    "WHATS_APP": Kind("communication", "chat"),
    "LINKEDIN_MESSAGE": Kind("communication", "social"),
    "CONVERSATION_SESSION": Kind("conversation_session", "chat"),
    "POSTAL_MAIL": Kind("postal_mail", "other"),
}
"""The types of engagements, as the older interface and the column `type` of a warehouse name them."""

CHANNELS: Final[Mapping[str, str]] = {"SMS": "sms", "WHATS_APP": "chat", "LINKEDIN_MESSAGE": "social"}
"""What hs_communication_channel_type says."""

_PREFIX: Final = re.compile(r"^propert(?:y_|ies[_.])")
# What else stands for a property: in the envelope of the interface's objects, in those of contacts, in warehouses.
_ALIASES: Final = {
    "hs_object_id": "id", "createdate": "hs_createdate", "createdat": "hs_createdate", "createdAt": "hs_createdate",
    "created_at": "hs_createdate", "lastmodifieddate": "hs_lastmodifieddate", "updatedat": "hs_lastmodifieddate",
    "updatedAt": "hs_lastmodifieddate", "updated_at": "hs_lastmodifieddate", "last_updated": "hs_lastmodifieddate",
    "archivedat": "archivedAt", "archived_at": "archivedAt", "userid": "userId", "active_user_id": "userId",
}  # fmt: skip
_OLDER: Final[Mapping[str, Mapping[str, str]]] = {
    "call": {
        "status": "hs_call_status", "disposition": "hs_call_disposition", "external_id": "hs_call_external_id",
        "from_number": "hs_call_from_number", "to_number": "hs_call_to_number",
    },
    "email": {
        "message_id": "hs_email_message_id", "status": "hs_email_status", "from_email": "hs_email_from_email",
    },
    "meeting": {"start_time": "hs_meeting_start_time"},
    "engagement": {"owner_id": "hubspot_owner_id", "timestamp": "hs_timestamp"},
    "owner": {"owner_id": "id"},
}  # fmt: skip
"""Names of Fivetran's tables, the older ones of activities among them, which have no property_ in front."""

_NAME_IN_JSON: Final = re.compile(rb'"([a-z][a-z_]{1,60})"\s*:')
_ASSOCIATIONS: Final = tuple(
    frozenset(pair.split())
    for pair in (
        "engagement_id contact_id", "engagement_id company_id", "engagement_id deal_id", "ticket_id engagement_id",
        "ticket_id contact_id", "ticket_id company_id", "ticket_id deal_id", "deal_id contact_id", "deal_id company_id",
    )
)  # fmt: skip
_OF_ASSOCIATIONS: Final = frozenset(
    "engagement_type type_id category label association_type _fivetran_synced _fivetran_deleted".split()  # noqa: SIM905
)
_ENGAGEMENT_TABLE: Final = frozenset(
    """
    id type portal_id active activity_type created_at last_updated owner_id timestamp _fivetran_synced _fivetran_deleted
    """.split()  # noqa: SIM905
)
# Columns of one object, two of which are enough to tell it; those in front have no other object.
_MARKS: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(words.split())
    for name, words in {
        "call": "duration_milliseconds disposition callee_object_id callee_object_type transcription_id "
        "unknown_visitor_conversation recording_url",
        "email": "tracker_key sent_via logged_from post_send_status facsimile_send_id validation_skipped message_id "
        "attached_video_opened",
        "meeting": "meeting_outcome pre_meeting_prospect_reminders web_conference_meeting_id created_from_link_id "
        "start_time end_time",
        "task": "completion_date for_object_type probability_to_complete is_all_day task_type reminders",
    }.items()
}
# Properties of an object that is no activity; one of these groups tells it.
_PARTIES: Final[Mapping[str, tuple[frozenset[str], ...]]] = {
    name: tuple(frozenset(group.split()) for group in groups)
    for name, groups in {
        OTHER: ("dealname", "dealstage"),
        "contact": (
            "firstname", "lastname", "email lastmodifieddate", "lifecyclestage email", "hs_calculated_merged_vids",
            "hs_additional_emails", "associatedcompanyid",
        ),
        "company": ("name domain", "name industry", "name annualrevenue", "name numberofemployees", "domain website"),
        "ticket": ("hs_ticket_priority", "hs_ticket_category", "hs_pipeline_stage subject"),
    }.items()
}  # fmt: skip
_NOTHING: Final[Mapping[str, str]] = {
    "owner_id team_id": "teams of owners",
    "user_id team_id is_secondary_user": "members of teams",
    "contact_id name source value": "the history of contacts' properties",
    "company_id name source value": "the history of companies' properties",
    "deal_id name source value": "the history of deals' properties",
    "ticket_id name source value": "the history of tickets' properties",
}
"""Tables that say nothing of interactions, by columns that they have."""


def plain_name(column: str) -> str:
    """Return the interface's name of a property whatever a warehouse puts in front of it.

    >>> plain_name("property_hs_timestamp"), plain_name("properties_email"), plain_name("id")
    ('hs_timestamp', 'email', 'id')
    """
    return _PREFIX.sub("", column) if column.startswith("propert") else column


def canonical_names(columns: Iterable[str]) -> set[str]:
    """Return the interface's names of the columns of a table, whichever object it holds."""
    others = {"engagement_id": "id", "owner_id": "id", **_ALIASES}
    return {others.get(plain_name(column), plain_name(column)) for column in columns}


def fields_of(record: Mapping[str, Any], object_name: str) -> dict[str, Any]:
    """Return a record's fields under the interface's names, those of its properties among them.

    What stands under its own name goes before what stands under another one. Nulls are left out.
    """
    held = record.get("properties")
    aliases = {**_ALIASES, **_OLDER.get(object_name, {})}
    own: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for fields in (record, held if isinstance(held, dict) else {}):
        for column, value in fields.items():
            if value is not None:
                name = plain_name(column)
                target = aliases.get(name)
                (own if target is None else others).setdefault(target or name, value)
    if "engagement_id" in own:
        own.setdefault("id", own["engagement_id"])
    return {**others, **own}


def tell_record(record: Mapping[str, Any]) -> str | None:
    """Return the object that a record is; None when its fields do not say it."""
    held = record.get("properties")
    has_properties = isinstance(held, dict)
    names = {plain_name(column) for column in (*record, *(held if isinstance(held, dict) else ()))}
    told = TYPES.get(text_of(record.get("type")).upper())
    if told is not None and "engagement_id" in names:
        return told.object_name if told.object_name in ACTIVITIES else ENGAGEMENT
    if not has_properties and not any(column.startswith("propert") for column in record):
        return "owner" if "email" in names and names & {"userId", "userIdIncludingInactive"} else None
    return _tell_names(names)


def tell_layout(layout: Layout, start: bytes) -> RecognisedObject | None:
    """Return the object that a file of this layout and beginning holds; None when it is not HubSpot's.

    A table of calls may look like one of notes: then the first records say what they are.
    """
    if layout.form is not None:
        return _tell_document(layout) if layout.first else _tell_beginning(start)
    columns = frozenset(layout.columns)
    plain = frozenset(_PREFIX.sub("", column, count=1) for column in columns)
    for pair in _ASSOCIATIONS:
        if pair <= columns and columns - pair <= _OF_ASSOCIATIONS:
            is_sure = bool({"category", "type_id", "engagement_type"} & columns)
            names = tuple(sorted(pair))
            return RecognisedObject(TIES, 0.95 if is_sure else 0.75, f"a table of ties: {' and '.join(names)}", names)
    if "engagement_id" in columns:
        return _tell_activities(columns, plain, layout)
    if {"id", "type", "portal_id"} <= columns <= _ENGAGEMENT_TABLE:
        return RecognisedObject(ENGAGEMENT, 0.9, "its columns are those of a warehouse table of engagements")
    if {"owner_id", "email"} <= columns and {"active_user_id", "portal_id"} & columns:
        return RecognisedObject("owner", 0.95, "its columns are those of a warehouse table of owners")
    if {"id", "email", "primary_team_id"} <= columns:
        return RecognisedObject("user", 0.9, "its columns are those of a warehouse table of users")
    for words, what in _NOTHING.items():
        if frozenset(words.split()) <= columns and "_fivetran_synced" in columns:
            return RecognisedObject(OTHER, 0.8, f"a warehouse table of {what}")
    # Other systems have properties too: HubSpot's own begin with hs, or the connector has left its mark.
    is_of_hubspot = "_fivetran_synced" in columns or any(name.startswith(("hs_", "hubspot_")) for name in plain)
    if is_of_hubspot and (("id" in columns and len(columns - plain) > 1) or "hs_object_id" in plain):
        return _tell_properties(plain)
    return None


def _tell_activities(columns: frozenset[str], plain: frozenset[str], layout: Layout) -> RecognisedObject | None:
    """Return which activities a warehouse table with engagement_id holds."""
    name = _tell_activity(plain)
    if name is not None:
        return RecognisedObject(name, 0.95, f"its columns are those of a warehouse table of {name}s")
    for row in layout.first:
        told = TYPES.get(text_of(row.get("type")).upper())
        if told is not None and told.object_name in ACTIVITIES:
            return RecognisedObject(told.object_name, 0.95, f"a warehouse table of engagements of type {row['type']}")
    best = max(_MARKS, key=lambda name: len(_MARKS[name] & columns))
    if len(_MARKS[best] & columns) > 1:
        return RecognisedObject(best, 0.9, f"its columns are those of an older warehouse table of {best}s")
    if {"hs_createdate", "hs_timestamp"} & plain:
        return RecognisedObject(ENGAGEMENT, 0.9, "its columns are those of a warehouse table of engagements")
    if {"engagement_id", "body"} <= columns <= {"engagement_id", "body", "_fivetran_synced", "_fivetran_deleted"}:
        return RecognisedObject("note", 0.8, "its columns are those of an older warehouse table of notes")
    return None


def _tell_properties(plain: frozenset[str]) -> RecognisedObject:
    name = _tell_names(plain)
    if name is None or name == OTHER:
        return RecognisedObject(OTHER, 0.7, "its columns are properties of HubSpot, of an object that is not read")
    return RecognisedObject(name, 0.9, f"its columns are properties of a HubSpot {name}")


def _tell_beginning(start: bytes) -> RecognisedObject | None:
    """Return the object whose first record is longer than the beginning of a file: an email with a long body."""
    names = {match[1].decode() for match in _NAME_IN_JSON.finditer(start)}
    name = _tell_names(names) if {"id", "properties"} & names else None
    return RecognisedObject(name, 0.8, f"objects of the interface: {name}") if name is not None else None


def _tell_document(layout: Layout) -> RecognisedObject | None:
    record = layout.first[0]
    name = tell_record(record)
    held = record.get("properties")
    if name == "owner":
        return RecognisedObject("owner", 0.9, "owners of the interface") if "archived" in record else None
    if "id" not in record or not isinstance(held, dict):
        return None
    is_of_hubspot = any(field.startswith(("hs_", "hubspot_")) for field in held)
    if is_of_hubspot or (name is not None and {"createdAt", "updatedAt"} & record.keys()):
        what = OTHER if name is None else name
        shown = "of a kind that is not read" if what == OTHER else what
        return RecognisedObject(what, 0.7 if what == OTHER else 0.9, f"objects of the interface: {shown}")
    return None


def _tell_names(names: Collection[str]) -> str | None:
    """Return which object these are properties of. Contacts have some whose names begin as an email's do."""
    found = set(names)
    for name, marks in _PARTIES.items():
        if any(words <= found for words in marks):
            return name
    return _tell_activity(found)


def _tell_activity(names: Collection[str]) -> str | None:
    counts = {name: sum(field.startswith(f"hs_{name}_") for field in names) for name in ACTIVITIES}
    best = max(ACTIVITIES, key=lambda name: counts[name])
    return best if counts[best] else None
