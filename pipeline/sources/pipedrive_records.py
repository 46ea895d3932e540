"""Rows of Pipedrive, told in the fields of canonical records; they may come of its interface or of exported lists.

Numbers of records are unique in an object alone, so ids have their object in front, as in person:7. Source: the
reference of its interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.errors import InvalidRecord
from pipeline.sources.beside import Tie, on_customers
from pipeline.sources.crm_activities import address_ties, contacts_by_address, keys_of, time_logged, version_of
from pipeline.sources.crm_modules import Tied
from pipeline.sources.crm_values import Clock, flag_of, ids_in, text_of, texts_of
from pipeline.sources.translation import Fields

PHONES: Final = ("phone_work", "phone_mobile", "phone_home", "phone_other")
EMAILS: Final = ("email_work", "email_home", "email_other")
FIELDS: Final = (
    "id", "type", "subject", "done", "due_date", "add_time", "update_time", "marked_as_done_time", "person_id",
    "org_id", "user_id", "owner_id", "created_by_user_id", "creator_user_id", "participants", "attendees",
    "active_flag", "is_deleted", "phone", "phones", "email", "emails", "name", "first_name", "visible_to",
    "people_count", "cc_email", "address", "website", "industry", "content", "pinned_to_person_flag",
    "pinned_to_organization_flag", "from", "to", "cc", "bcc", "message_time", "mua_message_id", "draft_flag",
    "sent_flag", "deleted_flag", "mail_thread_id", "is_admin", "role_id", "timezone_name", "icon_url", "stage_id",
    "pipeline_id", "call_id", *PHONES, *EMAILS, "activity_subject", "person_name", "organization_name", "deal_title",
)  # fmt: skip
"""The fields that are read, and those that a mapping may name; call_id has none until a mapping gives it one."""

OBJECTS: Final = ("activity", "mail", "note", "person", "organization", "user")

_TYPES: Final = {
    "call": "call", "meeting": "meeting", "lunch": "meeting", "email": "email", "task": "task", "deadline": "task",
}  # fmt: skip
_PARTIES: Final = ("from", "to", "cc", "bcc")


def told(module: str, row: Mapping[str, Any], clock: Clock, tied: Tied) -> Sequence[Fields]:
    """Return what a row of an object tells: nothing, a canonical record, or several.

    `tied` knows what `ties` yields.

    Raises:
        InvalidRecord: when it has no id, or no time that can be read.
    """
    number = next(iter(ids_in(row.get("id"))), None)
    if number is None:
        raise InvalidRecord(f"id: missing; every {module} has one")
    if module not in OBJECTS:
        return ()
    record_id = f"{module}:{number}"
    version = version_of(clock, row, ("update_time", "add_time"), ("is_deleted", "deleted_flag"), ())
    version["deleted"] = version["deleted"] or text_of(row.get("active_flag")).casefold() in ("false", "0")
    if module == "user":
        return [{"kind": "user", "user_id": record_id, "email": text_of(row.get("email"))[:1_000] or None}]
    if module == "person":
        party = {"phones": _listed(row, "phone", PHONES), "emails": _listed(row, "email", EMAILS), **version}
        account = _first("organization", row, "org_id")
        return [{"kind": "contact", "contact_id": record_id, "account_id": account, **party}]
    if module == "organization":
        segment = next(iter(texts_of(row, ("industry",))), None)
        party = {"phones": _listed(row, "phone", PHONES), "emails": _listed(row, "email", EMAILS), **version}
        domains = texts_of(row, ("website",))
        return [{"kind": "account", "account_id": record_id, "domains": domains, "segment": segment, **party}]
    return {"activity": _activity, "mail": _mail, "note": _note}[module](record_id, row, clock, tied, version)


def ties(module: str, row: Mapping[str, Any]) -> Iterator[Tie]:
    """Yield the addresses of a person, by which a mail finds it."""
    if module == "person":
        for number in ids_in(row.get("id")):
            yield from address_ties(f"person:{number}", _listed(row, "email", EMAILS))


def _activity(record_id: str, row: Mapping[str, Any], clock: Clock, tied: Tied, version: Fields) -> Sequence[Fields]:
    is_done = flag_of(row.get("done")) or text_of(row.get("done")).casefold() == "done"
    kind = _TYPES.get(text_of(row.get("type")).casefold(), "other")
    activity = {
        "kind": "activity",
        "activity_id": record_id,
        # An email that is not done is the plan to write one.
        "activity_kind": "task" if kind == "email" and not is_done else kind,
        **time_logged(
            clock,
            row,
            created=("add_time", "marked_as_done_time"),
            ended=("marked_as_done_time",) if is_done and kind in ("call", "meeting", "email") else (),
        ),
        **_people(row),
        "keys": keys_of(row.get("call_id"), None),
        **version,
    }
    guests = (*_objects(row, "participants"), *_objects(row, "attendees"))
    contacts = [number for each in (row, *guests) for number in _numbers(each.get("person_id"))]
    return on_customers(activity, [f"person:{number}" for number in contacts], _organizations(row))


def _mail(record_id: str, row: Mapping[str, Any], clock: Clock, tied: Tied, version: Fields) -> Sequence[Fields]:
    parties = [party for name in _PARTIES for party in _objects(row, name)]
    addresses = [text for party in parties if (text := text_of(party.get("email_address"))[:1_000].lower())]
    mail = {
        "kind": "activity",
        "activity_id": record_id,
        "activity_kind": "email",
        **time_logged(clock, row, ("add_time", "message_time"), sent=("message_time",)),
        **_people(row),
        "keys": keys_of(None, row.get("mua_message_id")),
        "direction": "outbound" if flag_of(row.get("sent_flag")) else "inbound",
        **version,
    }
    if flag_of(row.get("draft_flag")):
        return [{**mail, "deleted": True}]
    linked = [f"person:{number}" for party in parties for number in _numbers(party.get("linked_person_id"))]
    return on_customers(mail, linked or contacts_by_address(addresses, tied), ())


def _note(record_id: str, row: Mapping[str, Any], clock: Clock, tied: Tied, version: Fields) -> Sequence[Fields]:
    note = {
        "kind": "activity", "activity_id": record_id, "activity_kind": "note",
        **time_logged(clock, row, ("add_time",)), **_people(row), **version,
    }  # fmt: skip
    return on_customers(note, [f"person:{number}" for number in _numbers(row.get("person_id"))], _organizations(row))


def _people(row: Mapping[str, Any]) -> Fields:
    owner = _first("user", row, "owner_id", "user_id")
    return {"owner_id": owner, "creator_id": _first("user", row, "creator_user_id", "created_by_user_id")}


def _organizations(row: Mapping[str, Any]) -> list[str]:
    return [f"organization:{number}" for number in _numbers(row.get("org_id"))]


def _first(prefix: str, row: Mapping[str, Any], *names: str) -> str | None:
    numbers = (number for name in names for number in _numbers(row.get(name)))
    return next((f"{prefix}:{number}" for number in numbers), None)


def _numbers(value: object) -> list[str]:
    """Return the numbers of records; a list for people has names in their places, which are none."""
    return [number for number in ids_in(value) if number.isdigit()]


def _objects(row: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    held = row.get(name)
    return [each for each in held[:1_000] if isinstance(each, dict)] if isinstance(held, list) else []


def _listed(row: Mapping[str, Any], name: str, columns: Sequence[str]) -> list[str]:
    """Return numbers or addresses: of the interface's lists, or of a table's columns, several in one with commas."""
    each = [text_of(other.get("value")) for field in (name, f"{name}s") for other in _objects(row, field)]
    written = [part.strip() for text in texts_of(row, (name, *columns)) for part in text.split(",")]
    return list(dict.fromkeys(text[:1_000] for text in (*each, *written) if text))
