"""Call records of Teams: each tells of the sessions in which parties were connected to one another or to a service.

A session with somebody of ours on one side and somebody from outside on the other is a talk. In a call of several each
party has a session of its own with a service; then those from outside talked while somebody of ours was there too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pipeline.errors import InvalidRecord
from pipeline.sources.call_times import utc_stamp
from pipeline.sources.translation import Fields
from pipeline.sources.written_values import InstantReader

_Role = Literal["phone", "user", "stranger", "service"]

_NUMBER: Final = re.compile(r"\+?[\d*]{5,}").fullmatch
# The members of an identity set, by what they stand for; the names of their types end like them. A queue, a menu or a
# bot is a service. Of two names that fit, the longer one comes first.
_ROLES: Final[Mapping[str, _Role]] = {
    "phone": "phone",
    "applicationInstance": "service",
    "application": "service",
    "azureCommunicationServicesUser": "stranger",
    "user": "user",
    "onPremises": "user",
    "guest": "stranger",
    "encrypted": "stranger",
}
# What service agents call themselves that carry telephones, and those that record messages.
_GATEWAYS: Final = frozenset({"gateway", "mediationServer", "mediationServerCloudConnectorEdition"})
_NEVER_SET_UP: Final = "callSetup"
_VOICEMAIL: Final = frozenset({"voicemail", "exchangeUnifiedMessagingService"})


@dataclass(frozen=True)
class _Party:
    """Who was at an end of a session. `number`: of a telephone, or the address of a user of another tenant."""

    kind: Literal["ours", "outside", "service"]
    name: str | None = None
    address: str | None = None
    number: str | None = None
    is_voicemail: bool = False


@dataclass(frozen=True)
class _Session:
    caller: _Party
    callee: _Party
    start: datetime
    end: datetime
    was_answered: bool

    def party(self, kind: str) -> _Party | None:
        """Return the caller if it is of this kind, else the callee if it is."""
        return next((party for party in (self.caller, self.callee) if party.kind == kind), None)


def legs_of_record(value: Mapping[str, Any], tenant: str | None, reader: InstantReader) -> Sequence[Fields]:
    """Return the talks of a call record; of one without anybody from outside that it was internal.

    `tenant`: the id of our tenant, in lower case; None when nobody said it.

    Raises:
        InvalidRecord: when it has no sessions, a time lacks, or nobody can tell which of its users are ours.
    """
    record_id = value.get("id")
    if not isinstance(record_id, str) or not record_id:
        raise InvalidRecord("id: missing; every call record has one")
    entries = value.get("sessions")
    if not isinstance(entries, list) or not entries:
        raise InvalidRecord("sessions: missing; export call records with $expand=sessions")
    own = tenant or _only_tenant(entries)
    sessions = [_session(entry, own, reader) for entry in entries if isinstance(entry, dict)]
    shared: Fields = {"kind": "pbx_leg", "call_id": record_id}
    if not any(session.party("outside") for session in sessions):
        return [shared | _internal(sessions)] if any(session.party("ours") for session in sessions) else ()
    is_outbound = _is_ours(value, own)
    return [shared | leg for leg in _legs(sessions, is_outbound)]


def _session(entry: Mapping[str, Any], own: str | None, reader: InstantReader) -> _Session:
    start = utc_stamp("sessions.startDateTime", entry.get("startDateTime"), reader)
    end = utc_stamp("sessions.endDateTime", entry.get("endDateTime"), reader)
    if start is None or end is None:
        raise InvalidRecord("sessions.startDateTime: a session without its start or end; export it when it has ended")
    failure = entry.get("failureInfo")
    stage = failure.get("stage") if isinstance(failure, dict) else None
    return _Session(
        _party(entry.get("caller"), own), _party(entry.get("callee"), own), start, end,
        stage != _NEVER_SET_UP,
    )  # fmt: skip


def _legs(sessions: Sequence[_Session], is_outbound: bool) -> Iterator[Fields]:
    present = sorted(
        (session for session in sessions if session.party("ours") and not session.party("outside")),
        key=lambda session: (session.start, session.end),
    )
    for session in sessions:
        outside = session.party("outside")
        if outside is None:
            continue
        ours = session.party("ours")
        if ours is not None:
            status = "answered" if session.was_answered else "unanswered"
            yield _leg(outside, ours, session.start, session.start, session.end, status, session.caller is ours)
            continue
        is_alone = True
        for other, since, until in _together(session, present):
            is_alone = False
            yield _leg(outside, other, session.start, since, until, "answered", is_outbound)
        if is_alone:
            status = "voicemail" if session.caller.is_voicemail or session.callee.is_voicemail else "ivr"
            status = status if session.was_answered else "unanswered"
            yield _leg(outside, None, session.start, None, session.end, status, is_outbound)


def _together(session: _Session, present: Sequence[_Session]) -> Iterator[tuple[_Party, datetime, datetime]]:
    """Yield who of ours was there and from when to when, one after the other: each moment counts once."""
    since = session.start
    for other in present:
        ours = other.party("ours")
        until = min(session.end, other.end)
        start = max(since, other.start)
        if ours is not None and other.was_answered and session.was_answered and until > start:
            yield ours, start, until
            since = until


def _leg(
    outside: _Party,
    ours: _Party | None,
    started: datetime,
    answered: datetime | None,
    ended: datetime,
    status: str,
    is_outbound: bool,
) -> Fields:
    our_side, other_side = ("from", "to") if is_outbound else ("to", "from")
    return {
        "started_at": started,
        "answered_at": answered,
        "ended_at": ended,
        "status": status,
        "direction": "outbound" if is_outbound else "inbound",
        other_side: outside.number,
        "representative": ours.address if ours else None,
        f"{our_side}_device": ours.name if ours else None,
    }


def _internal(sessions: Sequence[_Session]) -> Fields:
    """Return an internal call. Both sides are named alike: users whom the directory lacks are ours all the same."""
    ours = next(party for session in sessions if (party := session.party("ours")))
    return {
        "started_at": min(session.start for session in sessions),
        "ended_at": max(session.end for session in sessions),
        "status": "answered" if any(session.was_answered for session in sessions) else "unanswered",
        "direction": "internal",
        "from_device": ours.name,
        "to_device": ours.name,
    }


def _only_tenant(entries: Sequence[Any]) -> str | None:
    """Return the tenant of all users; None when there are no users.

    Raises:
        InvalidRecord: when users of several tenants took part, or none says of which one it is.
    """
    endpoints = [entry.get(end) for entry in entries if isinstance(entry, dict) for end in ("caller", "callee")]
    users = [identity for role, identity in map(_identity, endpoints) if role == "user"]
    tenants = {tenant for identity in users if (tenant := _tenant(identity))}
    if len(tenants) > 1:
        raise InvalidRecord("sessions: users of several tenants; give the id of yours as options.tenant")
    if users and not tenants:
        raise InvalidRecord("sessions: users without tenantId; export call records as Graph gives them")
    return tenants.pop() if tenants else None


def _is_ours(value: Mapping[str, Any], own: str | None) -> bool:
    """Return whether the organiser of a call is one of our users. Older records have the identity alone."""
    newer, older = value.get("organizer_v2"), value.get("organizer")
    return _party(newer if isinstance(newer, dict) else {"identity": older}, own).kind == "ours"


def _party(endpoint: object, own: str | None) -> _Party:
    role, identity = _identity(endpoint)
    agent = _object(endpoint, "userAgent").get("role")
    if role == "phone" or agent in _GATEWAYS:
        return _Party("outside", number=_text(identity, "id") if role == "phone" else None)
    if role == "service" or isinstance(agent, str):
        return _Party("service", is_voicemail=agent in _VOICEMAIL)
    address = _text(identity, "userPrincipalName")
    if role == "user" and own is not None and _tenant(identity) == own:
        return _Party("ours", _text(identity, "displayName") or _text(identity, "id"), address)
    return _Party("outside", number=address)


def _identity(endpoint: object) -> tuple[_Role, Mapping[str, Any]]:
    """Return what an endpoint's identity stands for, and the identity. An endpoint without one is a service.

    Newer records have one identity; older ones a set with a member for each kind.
    """
    single = _object(endpoint, "associatedIdentity")
    if single:
        return _role_of(single), single
    identities = _object(endpoint, "identity")
    for name, role in _ROLES.items():
        if isinstance(identities.get(name), dict):
            return role, identities[name]
    return "service", {}


def _role_of(identity: Mapping[str, Any]) -> _Role:
    type_name = str(identity.get("@odata.type", "")).casefold()
    for name, role in _ROLES.items():
        if type_name.endswith(f"{name.casefold()}identity"):
            return role
    if _NUMBER(str(identity.get("id") or "")):
        return "phone"
    return "user" if _tenant(identity) else "stranger"


def _object(value: object, name: str) -> Mapping[str, Any]:
    held = value.get(name) if isinstance(value, dict) else None
    return held if isinstance(held, dict) else {}


def _tenant(identity: Mapping[str, Any]) -> str | None:
    held = _text(identity, "tenantId")
    return held.casefold() if held else None


def _text(value: Mapping[str, Any], name: str) -> str | None:
    held = value.get(name)
    return held.strip() or None if isinstance(held, str) else None
