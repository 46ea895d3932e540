"""What one conversation of Genesys Cloud tells: legs of a call, sessions of messages, an email."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import unquote

from pipeline.errors import InvalidRecord
from pipeline.sources.translation import Fields
from pipeline.sources.utc_instants import read_utc, utc_if_given

_OURS: Final = ("agent", "user")
_THEIRS: Final = ("customer", "external")
_NUMBER: Final = re.compile(r"^(?:tel:|sips?:)?(\+?\d{3,15})(?:[@;]|$)", re.IGNORECASE)
_BARE_NUMBER: Final = re.compile(r"^\d{8,15}$")
_AFTERWARDS: Final = "wrapup"
# Kinds of messages; what is not here is chat.
_CHANNELS: Final = {"sms": "sms", "facebook": "social", "twitter": "social", "instagram": "social"}
_MACHINE: Final = ".machine"
_LONGEST_SUBJECT: Final = 1_000

Direction = Literal["inbound", "outbound"]
Spans = Sequence[tuple[datetime, datetime]]


@dataclass(frozen=True)
class _Session:
    """One participant's part over one medium. `talk` are its segments of interaction, `end` is without later work."""

    purpose: str
    name: str
    user_id: str | None
    fields: Mapping[str, Any]
    start: datetime
    end: datetime
    talk: Spans
    queue_id: str | None

    @property
    def medium(self) -> str:
        return str(self.fields.get("mediaType") or "")

    @property
    def direction(self) -> Direction | None:
        said = self.fields.get("direction")
        return "inbound" if said == "inbound" else "outbound" if said == "outbound" else None

    def text(self, name: str) -> str | None:
        """Return a field of the session that is a text."""
        value = self.fields.get(name)
        return value or None if isinstance(value, str) else None


def read_conversation(value: Mapping[str, Any], addresses: Mapping[str, str]) -> list[Fields]:
    """Return what a conversation tells; `addresses` are those of users by their ids.

    Raises:
        InvalidRecord: when it has no id, was not over, or holds an instant that cannot be read.
    """
    conversation_id = value.get("conversationId")
    if not isinstance(conversation_id, str) or not conversation_id:
        raise InvalidRecord("conversationId: missing; expected the id of a conversation")
    sessions = list(_sessions(value))
    voice = [session for session in sessions if session.medium == "voice"]
    if voice and utc_if_given(value, "conversationEnd") is None:
        raise InvalidRecord("conversationEnd: the call had not ended when it was exported; export it again")
    queues = {session.queue_id: session.name for session in sessions if session.purpose == "acd" and session.name}
    whole = _Conversation(conversation_id, _way(value.get("originatingDirection")), queues, addresses)
    messages = [session for session in sessions if session.medium in ("chat", "message")]
    mails = [session for session in sessions if session.medium == "email"]
    return [*whole.legs(voice), *whole.messages(messages, bool(voice)), *whole.emails(mails)]


def dicts_in(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the objects in a list that a record holds."""
    members = value.get(name)
    return [member for member in members if isinstance(member, dict)] if isinstance(members, list) else []


@dataclass(frozen=True)
class _Conversation:
    id: str
    direction: Direction | None
    queues: Mapping[str | None, str]
    addresses: Mapping[str, str]

    # Calls

    def legs(self, sessions: Sequence[_Session]) -> Iterator[Fields]:
        """Yield a leg for each of ours who was rung or talked; one for the customer, where there was none."""
        theirs = sorted((session for session in sessions if session.purpose in _THEIRS), key=_order)
        ours = [session for session in sessions if session.purpose in _OURS and not _only_listens(session)]
        if not theirs:
            yield from self._inner(ours)
            return
        customer = theirs[0]
        machine = any(str(session.fields.get("dispositionName") or "").endswith(_MACHINE) for session in theirs)
        connected = _merged(span for session in theirs if session.purpose == customer.purpose for span in session.talk)
        for session in ours:
            seconds = _overlap(session.talk, connected)
            status = "voicemail" if machine else "answered" if seconds > 0 else "unanswered"
            yield self._leg(session, customer, status, seconds if status == "answered" else None)
        if not ours:
            yield self._leg(customer, customer, "voicemail" if machine else _machine_status(sessions), None)

    def _leg(self, session: _Session, customer: _Session, status: str, talk: float | None) -> Fields:
        direction = session.direction or customer.direction or self.direction or "inbound"
        is_ours = session.purpose in _OURS
        own, other = ("to", "from") if direction == "inbound" else ("from", "to")
        # The customer's own session knows the number best; it may go the other way when a callback was asked for.
        number = customer.text("dnis" if (customer.direction or direction) == "outbound" else "ani")
        return {
            "kind": "pbx_leg",
            "call_id": self.id,
            "leg_id": session.text("sessionId"),
            "started_at": session.start,
            "ended_at": session.end,
            "answered_at": session.talk[0][0] if talk and session.talk else None,
            "talk_seconds": talk,
            "status": status,
            "direction": direction,
            other: _number(number),
            own: _number(session.text("dnis" if direction == "inbound" else "ani")),
            f"{own}_device": session.user_id if is_ours else None,
            "representative": self.addresses.get(session.user_id or "") if is_ours else None,
            "queue": self._queue(session),
            "line": "contact_center",
        }

    def _inner(self, ours: Sequence[_Session]) -> Iterator[Fields]:
        """Yield the call of two of ours with each other."""
        ordered = sorted(ours, key=lambda session: (session.direction != "outbound", session.start))
        if len({session.user_id for session in ordered}) < 2:
            return
        caller, called = ordered[0], ordered[1]
        seconds = _overlap(called.talk, caller.talk)
        yield {
            "kind": "pbx_leg",
            "call_id": self.id,
            "leg_id": called.text("sessionId"),
            "started_at": called.start,
            "ended_at": called.end,
            "status": "answered" if seconds > 0 else "unanswered",
            "talk_seconds": seconds if seconds > 0 else None,
            "direction": "internal",
            "from_device": caller.user_id,
            "to_device": called.user_id,
            "line": "contact_center",
        }

    def _queue(self, session: _Session) -> str | None:
        return self.queues.get(session.queue_id) or session.queue_id

    # Messages

    def messages(self, sessions: Sequence[_Session], has_call: bool) -> Iterator[Fields]:
        """Yield the chat once for each of ours who took part; where nobody did, once, as a machine's business."""
        if not sessions:
            return
        theirs = sorted((session for session in sessions if session.purpose in _THEIRS), key=_order)
        first = theirs[0] if theirs else min(sessions, key=_order)
        kind = (first.text("messageType") or "").casefold()
        channel = _CHANNELS.get(kind, "chat")
        direction = first.direction or self.direction or "inbound"
        ours = [each for each in sessions if each.purpose in _OURS and each.talk and not _only_listens(each)]
        parts: Sequence[_Session | None] = ours or [None]
        for session in parts:
            yield {
                "kind": "message",
                "channel": channel,
                "message_id": session.text("sessionId") if session else None,
                # A call in the same conversation is an interaction of its own.
                "conversation_id": f"{self.id}:{channel}" if has_call else self.id,
                "started_at": min(each.start for each in sessions),
                "ended_at": max(each.end for each in sessions),
                "direction": direction,
                "customer": _reached(
                    first.text("addressFrom" if direction == "inbound" else "addressTo"), channel, kind
                ),
                "representative": self._representative(session),
                "queue": self._queue(session or first),
                "namespace": kind or None,
                "automated": not ours,
            }

    def _representative(self, session: _Session | None) -> str | None:
        return (self.addresses.get(session.user_id or "") or session.user_id) if session is not None else None

    # Emails

    def emails(self, sessions: Sequence[_Session]) -> Iterator[Fields]:
        """Yield the email that a conversation began with."""
        if not sessions:
            return
        theirs = sorted((session for session in sessions if session.purpose in _THEIRS), key=_order)
        first = theirs[0] if theirs else min(sessions, key=_order)
        direction = first.direction or self.direction or "inbound"
        sender, recipient = first.text("addressFrom"), first.text("addressTo")
        if sender is None and recipient is None:
            return
        subject = next((text for part in dicts_in(first.fields, "segments") if (text := part.get("subject"))), None)
        yield {
            "kind": "email",
            "sent_at": first.start,
            "from": sender,
            "to": [recipient] if recipient else [],
            "cc": _texts(first.fields.get("cc")),
            "bcc": _texts(first.fields.get("bcc")),
            "subject": subject[:_LONGEST_SUBJECT] if isinstance(subject, str) else None,
            "automated": direction == "outbound" and not any(session.purpose in _OURS for session in sessions),
        }


def _sessions(value: Mapping[str, Any]) -> Iterator[_Session]:
    """Yield the sessions of a conversation. A customer's without segments lasts as long as the conversation does."""
    for participant in dicts_in(value, "participants"):
        user_id, name, purpose = (participant.get(field) for field in ("userId", "participantName", "purpose"))
        for fields in dicts_in(participant, "sessions"):
            segments = dicts_in(fields, "segments")
            spans = [(str(part.get("segmentType") or ""), *_span(part)) for part in segments]
            if not spans and purpose not in _THEIRS:
                continue
            if not spans:
                start = read_utc(value, "conversationStart")
                spans = [("interact", start, utc_if_given(value, "conversationEnd") or start)]
            busy = [span for span in spans if span[0] != _AFTERWARDS] or spans
            yield _Session(
                purpose=purpose if isinstance(purpose, str) else "",
                name=name if isinstance(name, str) else "",
                user_id=user_id if isinstance(user_id, str) else None,
                fields=fields,
                start=min(start for _, start, _ in busy),
                end=max(end for _, _, end in busy),
                talk=_merged((start, end) for what, start, end in spans if what == "interact"),
                queue_id=next((queue for part in segments if isinstance(queue := part.get("queueId"), str)), None),
            )


def _span(segment: Mapping[str, Any]) -> tuple[datetime, datetime]:
    start = read_utc(segment, "segmentStart")
    return start, max(start, utc_if_given(segment, "segmentEnd") or start)


def _order(session: _Session) -> tuple[bool, datetime]:
    return session.purpose != "customer", session.start


def _only_listens(session: _Session) -> bool:
    return session.text("monitoredParticipantId") is not None or session.text("coachedParticipantId") is not None


def _machine_status(sessions: Iterable[_Session]) -> str:
    """Return what became of a call that none of ours was rung for."""
    purposes = {session.purpose for session in sessions}
    if any(session.purpose == "voicemail" and session.talk for session in sessions):
        return "voicemail"
    return "ivr" if purposes & {"ivr", "workflow"} and "acd" not in purposes else "unanswered"


def _merged(spans: Iterable[tuple[datetime, datetime]]) -> Spans:
    """Return spans in order, those that touch as one."""
    merged: list[tuple[datetime, datetime]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _overlap(spans: Spans, others: Spans) -> float:
    """Return the seconds of spans that lie within others; both as `_merged` gives them."""
    seconds, place = 0.0, 0
    for start, end in spans:
        while place < len(others) and others[place][1] <= start:
            place += 1
        at = place
        while at < len(others) and others[at][0] < end:
            seconds += (min(end, others[at][1]) - max(start, others[at][0])).total_seconds()
            at += 1
    return seconds


def _way(said: object) -> Direction | None:
    return "inbound" if said == "inbound" else "outbound" if said == "outbound" else None


def _number(text: str | None) -> str | None:
    """Return the number in an address such as tel:+358401234567 or sip:+358401234567@host; other names are withheld."""
    found = _NUMBER.match(unquote(text or "").strip())
    return found[1] if found else None


def _reached(address: str | None, channel: str, kind: str) -> str | None:
    """Return by what a customer is known over a channel: networks of numbers write them without a plus sign."""
    if address is None:
        return None
    is_number = channel == "sms" or kind == "whatsapp"
    return f"+{address}" if is_number and _BARE_NUMBER.match(address) else address


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
