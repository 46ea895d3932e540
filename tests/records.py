"""Facts for tests, written short: each function returns one fact with every column, absent ones null.

A token is any text here: the engine never looks inside one. `T-` marks a customer's number or address.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from pipeline.sources.message_headers import masked_key
from schemas.facts import SCHEMAS

MONDAY = datetime(2024, 3, 4)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Fact:
    """One row of one kind of facts."""

    kind: str
    row: Mapping[str, Any]

    def but(self, **columns: Any) -> Fact:
        """Return the same fact with other values in some columns."""
        return Fact(self.kind, {**self.row, **columns})

    def __repr__(self) -> str:
        columns = ", ".join(f"{name}={value!r}" for name, value in self.row.items() if value not in (None, []))
        return f"fact({self.kind!r}, {columns})"


def fact(kind: str, **columns: Any) -> Fact:
    """Return a fact of a kind; columns that are not given are null."""
    names = SCHEMAS[kind].names
    assert columns.keys() <= set(names), columns.keys() - set(names)
    return Fact(kind, {name: columns.get(name) for name in names})


def by_kind(facts: Iterable[Fact]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the rows of each kind, in the order given."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for item in facts:
        rows.setdefault(item.kind, []).append(item.row)
    return rows


def tables(facts: Iterable[Fact]) -> dict[str, pa.Table]:
    """Return the facts as the engine takes them: one Arrow table for each kind that occurs."""
    return {kind: pa.Table.from_pylist(rows, schema=SCHEMAS[kind]) for kind, rows in by_kind(facts).items()}


def instant(time: str | datetime, day: int = 0) -> datetime:
    """Return an instant of a day counted from Monday 2024-03-04; an instant is returned as it is.

    >>> instant("09:30")
    datetime.datetime(2024, 3, 4, 9, 30)
    """
    if isinstance(time, datetime):
        return time
    clock = datetime.strptime(time, "%H:%M" if time.count(":") == 1 else "%H:%M:%S")
    return MONDAY + DAY * day + timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second)


def observation(raw_id: str, **columns: Any) -> Fact:
    """Return an observation; its source is the part of raw_id before the first colon.

    The digest comes from all columns but raw_id, as a parser's does: a copy under another raw_id is a duplicate.
    """
    row = fact("observation", raw_id=raw_id, source=raw_id.partition(":")[0], **columns)
    content = repr([value for name, value in row.row.items() if name != "raw_id"])
    return row.but(record_digest=int.from_bytes(hashlib.blake2b(content.encode(), digest_size=8).digest()))


def call(
    raw_id: str,
    start: str | datetime,
    talk: float = 60.0,
    *,
    customer: str | None = "T-anna",
    ours: str | None = "201",
    outbound: bool = False,
    ring: float = 5.0,
    key: str | None = None,
    attempt: str | None = "talk",
    basis: int = 1,
    **columns: Any,
) -> Fact:
    """Return one leg of a call between a customer and one of our endpoints."""
    begun = instant(start)
    talked = attempt == "talk"
    external, own = ("to", "from") if outbound else ("from", "to")
    source = raw_id.partition(":")[0]
    values: dict[str, Any] = {
        "channel": "call",
        "line": "pbx",
        "direction": "outbound" if outbound else "inbound",
        "started_at": begun,
        "answered_at": begun + timedelta(seconds=ring) if talked else None,
        "ended_at": begun + timedelta(seconds=ring + talk),
        "talk_seconds": talk if talked else 0.0,
        "talk_basis": basis if talked else 0,
        "attempt": attempt,
        "key": f"{source}:{key or raw_id}",
        "event_id": raw_id,
        "session_id": key,
        f"{external}_token": customer,
        f"{own}_endpoint": ours,
        "automated": False,
        "bulk": False,
        "emergency": False,
    }
    return observation(raw_id, **{**values, **columns})


def email(
    raw_id: str,
    sent: str | datetime,
    sender: str | None,
    to: Sequence[str] = (),
    cc: Sequence[str] = (),
    *,
    delivered: Sequence[str] = (),
    message_id: str | None = None,
    second: str | None = None,
    domains: Mapping[str, str] | None = None,
    **columns: Any,
) -> Fact:
    """Return one mailbox's copy of an email. Without a Message-ID its second key is its key."""
    domains = domains or {}
    second_key = f"h:{second or message_id or raw_id}"
    recipients = [("to", token) for token in to] + [("cc", token) for token in cc]
    recipients += [("delivered", token) for token in delivered]
    values: dict[str, Any] = {
        "channel": "email",
        "started_at": instant(sent),
        "ended_at": instant(sent),
        "talk_seconds": 0.0,
        "talk_basis": 0,
        "key": f"m:{message_id}" if message_id else second_key,
        "other_keys": [second_key] if message_id else None,
        "event_id": message_id,
        "session_id": masked_key(message_id or "") or None,
        "from_token": sender,
        "from_domain": domains.get(sender or ""),
        "parties": [{"role": role, "token": token, "domain": domains.get(token)} for role, token in recipients],
        "automated": False,
        "bulk": False,
        "emergency": False,
    }
    return observation(raw_id, **{**values, **columns})


def message(
    raw_id: str, sent: str | datetime, *, customer: str | None = "T-anna", ours: str | None = "r1", **columns: Any
) -> Fact:
    """Return one text message of a customer to one of ours."""
    values: dict[str, Any] = {
        "channel": "sms",
        "direction": "inbound",
        "started_at": instant(sent),
        "ended_at": instant(sent),
        "talk_seconds": 0.0,
        "talk_basis": 0,
        "key": raw_id,
        "event_id": raw_id,
        "from_token": customer,
        "to_endpoint": ours,
    }
    return observation(raw_id, **{**values, **columns})


def person(representative_id: str, team: str = "Sales", **columns: Any) -> Fact:
    """Return the directory's row of a representative; the name is the id in capitals, the function `other`."""
    values = {"name": representative_id.upper(), "function": "other"}
    return fact("directory_entry", representative_id=representative_id, team=team, **{**values, **columns})


def shared(team: str, **columns: Any) -> Fact:
    """Return the directory's row of a team's mailbox, queue or ring group."""
    return fact("directory_entry", team=team, **{"function": "contact_center", **columns})


def contact(contact_id: str, *tokens: str, account: str | None = None, **columns: Any) -> Fact:
    """Return a version of a contact that holds tokens."""
    values = {"raw_id": f"crm:{contact_id}", "source": "crm", "deleted": False}
    return fact("contact", contact_id=contact_id, account_id=account, tokens=list(tokens), **{**values, **columns})


def account(account_id: str, *tokens: str, domains: Sequence[str] = (), **columns: Any) -> Fact:
    """Return a version of an account."""
    values = {"raw_id": f"crm:{account_id}", "source": "crm", "deleted": False}
    return fact("account", account_id=account_id, tokens=list(tokens), domains=list(domains), **{**values, **columns})


def user(user_id: str, email_token: str | None, source: str = "crm") -> Fact:
    """Return a user of the CRM."""
    return fact("crm_user", raw_id=f"{source}:{user_id}", source=source, user_id=user_id, email_token=email_token)


def activity(
    activity_id: str,
    logged: str | datetime,
    kind: str = "call",
    *,
    until: str | datetime | None = None,
    contacts: Sequence[str] = (),
    accounts: Sequence[str] = (),
    owner: str | None = None,
    keys: Sequence[str] = (),
    tokens: Sequence[str] = (),
    **columns: Any,
) -> Fact:
    """Return a version of an activity; with `until` its time is the whole stretch, both ends included."""
    values: dict[str, Any] = {
        "raw_id": f"crm:{activity_id}",
        "source": "crm",
        "logged_from": instant(logged),
        "logged_to": instant(until or logged),
        "precision": "day" if until else "second",
        "deleted": False,
    }
    ties = {"contact_ids": list(contacts), "account_ids": list(accounts), "keys": list(keys), "tokens": list(tokens)}
    row = fact("activity", activity_id=activity_id, owner_id=owner, **ties, **{**values, **columns})
    return row.but(kind=kind)


def progress(through: str | datetime, source: str = "crm", day: int = 0) -> Fact:
    """Return how far a CRM source has been read."""
    return fact("feed_progress", source=source, complete_through=instant(through, day))
