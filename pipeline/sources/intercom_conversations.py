"""What one conversation of Intercom tells: over which channel, who wrote, and whether people did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from pipeline.errors import InvalidRecord
from pipeline.sources.translation import Fields
from pipeline.sources.utc_instants import read_utc, utc_if_given

_CHANNELS: Final = {
    "conversation": "chat", "push": "chat", "whatsapp": "chat", "sms": "sms", "facebook": "social",
    "instagram": "social", "twitter": "social",
}  # fmt: skip
# Emails are counted where mail is read; a call leaves no trace of who talked here.
_ELSEWHERE: Final = ("email", "phone_call", "phone_switch")
_CUSTOMERS: Final = ("user", "lead", "contact")
_OURS: Final = ("admin", "team")
_BY_PEOPLE: Final = ("customer_initiated", "admin_initiated")
_REPLIES: Final = ("last_contact_reply_at", "last_admin_reply_at", "first_contact_reply_at", "first_admin_reply_at")


class Person(NamedTuple):
    """By what somebody is known."""

    email: str = ""
    phone: str = ""


class _Said(NamedTuple):
    """One message: `who` is customer, ours or program."""

    who: str
    author: Mapping[str, Any]
    at: datetime


_NOBODY: Final = Person()


def read_conversation(value: Mapping[str, Any], people: Mapping[str, Person]) -> list[Fields]:
    """Return a conversation, once for each of ours who wrote in it; nothing where it is told elsewhere.

    Raises:
        InvalidRecord: when it has no id or source, or an instant that cannot be read.
    """
    conversation_id, source = value.get("id"), value.get("source")
    if not isinstance(conversation_id, (str, int)) or conversation_id == "":
        raise InvalidRecord("id: missing; expected the id of a conversation")
    if not isinstance(source, dict):
        raise InvalidRecord("source: missing; export conversations with version 2.0 of the API or later")
    kind = source.get("type")
    if kind in _ELSEWHERE:
        return []
    if not isinstance(kind, str) or kind not in _CHANNELS:
        raise InvalidRecord(f"source.type: expected one of {', '.join((*_CHANNELS, *_ELSEWHERE))}")
    said = list(_said(value, source))
    statistics = _member(value, "statistics")
    ours = _writers(value, said, people)
    has_program = any(each.who == "program" for each in said) or value.get("ai_agent_participated") is True
    came_in = said[0].who == "customer" or source.get("delivered_as") == "customer_initiated"
    replies = [at for name in _REPLIES if (at := utc_if_given(statistics, name)) is not None]
    writers: Sequence[str | None] = ours or [None]
    return [
        {
            "kind": "message",
            "channel": _CHANNELS[kind],
            "message_id": str(conversation_id),
            "conversation_id": str(conversation_id),
            "started_at": said[0].at,
            "ended_at": max((*replies, *(each.at for each in said))),
            "direction": "inbound" if came_in else "outbound",
            "customer": _customer(value, said, people),
            "representative": writer or None,
            "namespace": "intercom",
            # A program alone with the customer, or with nobody; what the customer wrote and nobody answered counts.
            "automated": not ours and has_program,
        }
        for writer in writers
    ]


def nameless(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ids of a conversation's people whose addresses do not stand in it."""
    authors = [_member(_member(value, "source"), "author")]
    authors += [_member(part, "author") for part in _parts(value)]
    if not any(author.get("type") in _CUSTOMERS and author.get("email") for author in authors):
        yield from _contact_ids(value)[:1]
    if not _parts(value):
        yield from _teammate_ids(value)


def objects_in(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the objects of a list, which stands in a record as it is or wrapped with its type."""
    members = value.get(name)
    members = members.get(name) if isinstance(members, dict) else members
    return [member for member in members if isinstance(member, dict)] if isinstance(members, list) else []


def _said(value: Mapping[str, Any], source: Mapping[str, Any]) -> Iterator[_Said]:
    """Yield what was written, the first message first; a campaign's was sent by a program, whoever it is signed by."""
    author = _member(source, "author")
    who = _who(author)
    is_campaign = who == "ours" and source.get("delivered_as") not in _BY_PEOPLE
    yield _Said("program" if is_campaign else who, author, read_utc(value, "created_at"))
    for part in _parts(value):
        if part.get("part_type") != "note" and part.get("body"):
            author = _member(part, "author")
            yield _Said(_who(author), author, read_utc(part, "created_at"))


def _who(author: Mapping[str, Any]) -> str:
    kind = author.get("type")
    if kind in _CUSTOMERS:
        return "customer"
    return "ours" if kind in _OURS and author.get("from_ai_agent") is not True else "program"


def _writers(value: Mapping[str, Any], said: Sequence[_Said], people: Mapping[str, Person]) -> list[str]:
    """Return those of ours who wrote, by address or else by name; in a list of conversations, who took part."""
    authors = [each.author for each in said if each.who == "ours"]
    found = [str(author.get("email") or author.get("name") or "") for author in authors]
    if not _parts(value) and _member(value, "statistics").get("first_admin_reply_at"):
        found += [people.get(teammate, _NOBODY).email for teammate in _teammate_ids(value)] or [""]
    return list(dict.fromkeys(found))


def _customer(value: Mapping[str, Any], said: Sequence[_Said], people: Mapping[str, Person]) -> str | None:
    for each in said:
        if each.who == "customer" and isinstance(each.author.get("email"), str) and each.author["email"]:
            return str(each.author["email"])
    ids = _contact_ids(value)
    known = people.get(ids[0], _NOBODY) if ids else _NOBODY
    return known.email or (f"tel:{known.phone}" if known.phone else None) or (ids[0] if ids else None)


def _contact_ids(value: Mapping[str, Any]) -> list[str]:
    """Return the ids of the customers in a conversation: who wrote, and whom it is with."""
    author = _member(_member(value, "source"), "author")
    first = [author] if author.get("type") in _CUSTOMERS else []
    return [
        str(each["id"]) for each in (*first, *objects_in(value, "contacts")) if isinstance(each.get("id"), (str, int))
    ]


def _teammate_ids(value: Mapping[str, Any]) -> list[str]:
    teammates = objects_in(value, "teammates") or objects_in(_member(value, "teammates"), "admins")
    return [str(each["id"]) for each in teammates if isinstance(each.get("id"), (str, int))]


def _parts(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    return objects_in(value, "conversation_parts")


def _member(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    member = value.get(name)
    return member if isinstance(member, dict) else {}
