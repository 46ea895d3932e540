"""Objects of Zendesk in the words of canonical records: tickets and comments, calls behind comments, and chats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from pipeline.errors import InvalidRecord
from pipeline.sources.message_headers import masked_key
from pipeline.sources.translation import Fields
from pipeline.sources.utc_instants import read_utc, utc_if_given
from pipeline.sources.zendesk_objects import Kind, Table, flat, identity, parts_of
from pipeline.sources.zendesk_people import SPOKEN, Person, Rename, Surroundings, writer

FIELDS: Final = (
    "id", "created_at", "updated_at", "requester_id", "submitter_id", "assignee_id", "status", "ticket_id", "user_id",
    "public", "type", "email", "phone", "role", "chat_id", "actor_id", "message_id", "original_message",
    "zendesk_ticket_id", "via_channel", "via_source_rel", "via_source_from_address", "via_source_from_phone",
    "via_source_to_address", "via_source_to_phone", "system_message_id", "data_from", "data_to", "data_started_at",
    "data_call_duration", "data_answered_by_id", "data_call_id", "_fivetran_deleted",
)  # fmt: skip
# What the API calls the same.
OTHER_NAMES: Final = {"user_id": "author_id", "created_at": "created"}

_CALLS: Final = ("VoiceComment", "TpeVoiceComment")
_DIRECTIONS: Final = ("inbound", "outbound")
_TRUE: Final = (True, 1, "true", "TRUE", "True", "1", "t")
# A ticket and the comment that it begins with are made in one go.
_TOGETHER: Final = timedelta(seconds=5)
_NOBODY: Final = Person()


class Teller:
    """Tells what the objects of one file mean. `source` keeps the ids of one Zendesk apart from any other system's."""

    def __init__(self, source: str, table: Table, rename: Rename, around: Surroundings) -> None:
        self._source = source
        self._table = table
        self._rename = rename
        self._around = around
        self._tellers = {
            "ticket": self._ticket, "user": _user, "comment": self._comment, "audit": self._audit, "chat": _chat,
            "chat_event": self._spoken,
        }  # fmt: skip

    def tell(self, value: Mapping[str, Any]) -> Sequence[Fields]:
        """Return what a record tells: nothing, where it only says who somebody is.

        Raises:
            InvalidRecord: when it cannot be used.
        """
        return [told for kind, part in parts_of(value, self._table) for told in self._told(kind, part)]

    def _told(self, kind: Kind, value: Mapping[str, Any]) -> Iterator[Fields]:
        teller = self._tellers.get(kind)
        return iter(teller(value, self._rename(flat(value))) if teller is not None else ())

    # Tickets and what is written in them

    def _ticket(self, _: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[Fields]:
        ticket_id = _needed(fields, "id")
        requester_id, submitter_id = identity(fields.get("requester_id")), identity(fields.get("submitter_id"))
        requester = self._person(requester_id)
        keys = (*self._around.chats.get(ticket_id, ()), _message_key(fields))
        yield {
            "kind": "ticket",
            "ticket_id": f"{self._source}:{ticket_id}",
            "logged_at": read_utc(fields, "created_at"),
            "updated_at": utc_if_given(fields, "updated_at"),
            "deleted": fields.get("status") == "deleted" or fields.get("_fivetran_deleted") in _TRUE,
            "owner_id": identity(fields.get("assignee_id")),
            "creator_id": submitter_id if submitter_id != requester_id else None,
            "keys": _listed(*keys),
            **_requester(requester, *_visible(fields, is_ours=False)),
        }

    def _audit(self, value: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[Fields]:
        """Yield the comments among the events of an audit, which tells their ticket and their Message-ID."""
        events = value.get("events")
        for event in events if isinstance(events, list) else ():
            if isinstance(event, dict) and event.get("type") in ("Comment", *_CALLS):
                whole = {"ticket_id": fields.get("ticket_id"), "via": value.get("via"), **event}
                whole |= {"created_at": value.get("created_at"), "metadata": value.get("metadata")}
                yield from self._comment(whole, self._rename(flat(whole)))

    def _comment(self, _: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[Fields]:
        comment_id, author_id = _needed(fields, "id"), identity(fields.get("user_id"))
        created_at = read_utc(fields, "created_at")
        origin = self._around.origins.get(identity(fields.get("ticket_id")) or "")
        call = self._call(comment_id, fields) if fields.get("type") in _CALLS else None
        if call is not None:
            yield call
        is_written = author_id is not None and not author_id.startswith("-") and fields.get("via_channel") != "rule"
        is_first = origin is not None and origin.created_at is not None and created_at - origin.created_at <= _TOGETHER
        if call is None and (is_first or not is_written):
            return  # the ticket itself, or a program's word
        author = self._person(author_id)
        is_known = (author_id or "") in self._around.people
        is_ours = author.is_ours if is_known else origin is not None and author_id != origin.requester_id
        customer = self._person(origin.requester_id) if is_ours and origin is not None else author
        keys = (call["call_id"] if call else None, _message_key(fields))
        yield {
            "kind": "ticket",
            "ticket_id": f"{self._source}:comment:{comment_id}",
            "logged_at": created_at,
            "creator_id": author_id if is_ours else None,
            "keys": _listed(*keys),
            "direction": None if call else _way(is_ours, fields) if is_known or origin is not None else None,
            **_requester(_NOBODY if customer.is_ours else customer, *_visible(fields, is_ours)),
        }

    def _call(self, comment_id: str, fields: Mapping[str, Any]) -> Fields | None:
        """Return the call that a comment is about; None where it tells neither number nor time."""
        if not fields.get("data_started_at"):
            return None
        way, answered_by = _text(fields, "via_source_rel"), identity(fields.get("data_answered_by_id"))
        seconds = _seconds(fields, "data_call_duration")
        is_answered = seconds > 0 and (answered_by is not None or way == "outbound")
        direction = way if way in _DIRECTIONS else None
        agent = self._person(answered_by)
        return {
            "kind": "call",
            "call_id": identity(fields.get("data_call_id")) or f"comment-{comment_id}",
            "started_at": read_utc(fields, "data_started_at"),
            "duration_seconds": seconds,
            "status": "voicemail" if way == "voicemail" else "answered" if is_answered else "unanswered",
            "direction": "inbound" if way == "voicemail" else direction,
            "from": _text(fields, "data_from"),
            "to": _text(fields, "data_to"),
            "representative": (agent.email or None) if direction else None,
            "line": "contact_center",
        }

    # Chats

    def _spoken(self, _: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[Fields]:
        """Yield what somebody said in a chat; what a program said is no part of a conversation of people."""
        wrote = writer(fields) if fields.get("type") in SPOKEN else None
        if wrote is None:
            return
        chat_id = _needed(fields, "chat_id")
        is_agent = self._around.is_agent(chat_id, *wrote)
        agent = self._person(wrote[0]) if is_agent else _NOBODY
        customer = self._around.visitors.get(chat_id, None if is_agent else wrote[0])
        yield {
            "kind": "message",
            "channel": "chat",
            "message_id": _text(fields, "message_id"),
            "conversation_id": chat_id,
            "started_at": read_utc(fields, "created_at"),
            "direction": "outbound" if is_agent else "inbound",
            "customer": _reached(self._person(customer), customer),
            "representative": agent.email or None,
            "namespace": "zendesk",
            "automated": chat_id not in self._around.served,
        }

    def _person(self, user_id: str | None) -> Person:
        return self._around.people.get(user_id or "", _NOBODY)


def _user(_: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[Fields]:
    """Yield one of ours: what owns tickets is tied to the directory by the address."""
    if fields.get("role") in ("agent", "admin"):
        yield {"kind": "user", "user_id": _needed(fields, "id"), "email": _text(fields, "email")}


def _chat(value: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[Fields]:
    """Yield a chat of the API, once for each agent who took part; nothing where the visitor said nothing."""
    visitor, count = _member(value, "visitor"), _member(value, "count")
    is_left = fields.get("type") == "offline_msg"
    if not is_left and count.get("visitor") == 0:
        return
    names = value.get("agent_names")
    agents = [name for name in names if isinstance(name, str) and name] if isinstance(names, list) else []
    started_at = read_utc(value, "timestamp")
    ended_at = utc_if_given(value, "end_timestamp")
    seconds = _seconds(value, "duration")
    is_alone = not agents or value.get("missed") is True or count.get("agent") == 0
    for agent in agents if not is_alone else [None]:
        yield {
            "kind": "message",
            "channel": "chat",
            "message_id": _needed(fields, "id"),
            "conversation_id": _needed(fields, "id"),
            "started_at": started_at,
            "ended_at": ended_at or started_at + timedelta(seconds=seconds),
            "direction": "outbound" if value.get("started_by") == "agent" else "inbound",
            "customer": _reached(Person(False, _text(visitor, "email") or "", _text(visitor, "phone") or ""), None),
            "representative": agent,
            "namespace": "zendesk",
            # Like a call that nobody answered, or a program alone; what is left while nobody is there is a message.
            "automated": is_alone and not is_left,
        }


def _way(is_ours: bool, fields: Mapping[str, Any]) -> str | None:
    """Return which way a comment went; a note that the customer does not see went nowhere."""
    if not is_ours:
        return "inbound"
    return "outbound" if fields.get("public") in _TRUE else None


def _reached(person: Person, user_id: str | None) -> str | None:
    """Return by what a customer is known: an address, a number, or else the id that Zendesk gave."""
    return person.email or (f"tel:{person.phone}" if person.phone else None) or (f"user {user_id}" if user_id else None)


def _requester(person: Person, phones: Sequence[str], emails: Sequence[str]) -> Fields:
    return {
        "requester_phones": _listed(person.phone, *phones),
        "requester_emails": _listed(person.email, *emails),
        "contact_ids": _listed(person.contact_id),
    }


def _visible(fields: Mapping[str, Any], is_ours: bool) -> tuple[list[str], list[str]]:
    """Return the customer's numbers and addresses that an object shows itself."""
    is_to = fields.get("via_source_rel") == "outbound" or (is_ours and fields.get("via_channel") != "voice")
    side = "via_source_to" if is_to else "via_source_from"
    phone, address = _text(fields, f"{side}_phone"), _text(fields, f"{side}_address")
    return [phone or ""], [address or ""]


def _listed(*texts: str | None) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def _needed(fields: Mapping[str, Any], name: str) -> str:
    found = identity(fields.get(name))
    if found is None:
        raise InvalidRecord(f"{name}: missing; expected an id of Zendesk")
    return found


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value.strip() or None if isinstance(value, str) else None


def _message_key(fields: Mapping[str, Any]) -> str | None:
    return masked_key(_text(fields, "system_message_id") or "") or None


def _member(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    member = value.get(name)
    return member if isinstance(member, dict) else {}


def _seconds(fields: Mapping[str, Any], name: str) -> float:
    written = fields.get(name)
    if written is None or written == "":
        return 0.0
    try:
        seconds = float(written)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise InvalidRecord(f"{name}: expected seconds")
    return seconds
