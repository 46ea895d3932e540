"""Who stands behind the ids of tickets, comments and chats of Zendesk: users, and the tickets and chats around them.

Tickets name their requester by an id, comments their ticket, events of a chat their chat. What these ids mean stands in
other files of the same export, or in other members of the same answer of the API.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from pipeline.errors import InvalidRecord
from pipeline.sources.json_records import JsonForm, json_records
from pipeline.sources.reading import head
from pipeline.sources.side_tables import MOST_IDS, Ids, look_beside, remembered
from pipeline.sources.utc_instants import utc_if_given
from pipeline.sources.zendesk_objects import Kind, Table, flat, identity, lists_in, parts_of, records, tell_table

_OURS: Final = ("agent", "admin")
_AGENT: Final = "agent:"
SPOKEN: Final = ("ChatMessage", "ChatFileAttachment")

V = TypeVar("V")

Rename = Callable[[Mapping[str, Any]], dict[str, Any]]


class Person(NamedTuple):
    """A user of Zendesk: a customer, or one of ours. `contact_id`: whom the CRM knows the user as, where told."""

    is_ours: bool = False
    email: str = ""
    phone: str = ""
    contact_id: str = ""


class Origin(NamedTuple):
    """What a comment needs to know of its ticket: who asked, and when."""

    requester_id: str | None
    created_at: datetime | None


@dataclass
class Surroundings:
    """What other records say of the ids that a file names.

    `visitors` are the customers of chats, `chats` those of a ticket; `served` are the chats in which one of ours wrote.
    `warnings`: what nobody said anything of.
    """

    people: Mapping[str, Person] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    visitors: Mapping[str, str] = field(default_factory=dict)
    chats: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    served: Collection[str] = ()
    warnings: tuple[str, ...] = ()

    def is_agent(self, chat_id: str, user_id: str, is_marked: bool) -> bool:
        """Return whether a user who wrote in a chat is one of ours. Few are marked as agents; the others are users."""
        person = self.people.get(user_id)
        if is_marked or person is not None:
            return is_marked or (person is not None and person.is_ours)
        return self.visitors.get(chat_id, user_id) != user_id


def surroundings(
    path: Path, table: Table, rename: Rename, file: str, contact_field: str | None, mapping: Mapping[str, str]
) -> Surroundings:
    """Return what the records around those of a file say of the ids in it. The file itself is gone through first.

    `rename` is what `mapping` makes of a record.
    """
    if table.kind in ("ticket_chat", "chat", "other") or (table.kind == "user" and table.form is None):
        return Surroundings()
    named = _Named()
    for kind, value in _objects(path, table):
        named.add(kind, value, rename)

    def beside(
        what: str, ids: Ids, read: Callable[[Path], Iterator[tuple[str, V]]], join: Callable[[V, V], V] | None = None
    ) -> dict[str, V]:
        return look_beside(
            path, ids.known, read, ("zendesk", what, contact_field, tuple(sorted(mapping.items()))), join
        )

    origins = beside("tickets", named.tickets, lambda other: _origins(other, rename))
    visitors = beside("visitors", named.chats, lambda other: _visitors(other, rename))
    chats = beside("chats", named.own_tickets, lambda other: _chats_of(other, rename), _joined)
    for requester_id in (*(origin.requester_id for origin in origins.values()), *visitors.values()):
        named.users.add(requester_id)
    people = beside("people", named.users, lambda other: _people(other, rename, contact_field))
    strangers = (
        (named.users, people, "people", "users", "their numbers and addresses are unknown"),
        (named.tickets, origins, "tickets", "tickets", "nobody knows who asked"),
        (named.chats, visitors, "chats", "chats (ticket_chat)", "nobody knows whom they were with"),
    )
    warnings = []
    for ids, found, what, where, meaning in strangers:
        missing = len(ids.known) - len(found) + ids.left_out_count
        if missing:
            warnings.append(
                f"{file}: {missing:,} of the {what} that it names are in no table of {where} beside it, so {meaning}; "
                f"export the {where} too, into the same folder"
            )
    around = Surroundings(people, origins, visitors, chats, warnings=tuple(warnings))
    around.served = {
        chat_id for chat_id, user_id, is_marked in named.spoke if around.is_agent(chat_id, user_id, is_marked)
    }
    return around


def writer(event: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Return the id of the user who wrote in a chat, and whether it is marked as an agent's; None for a program."""
    actor = str(event.get("actor_id") or "").strip()
    user_id = actor.removeprefix(_AGENT)
    if actor.startswith("__") or not user_id or '"zd:answerBot"' in str(event.get("original_message") or ""):
        return None
    return user_id, user_id != actor


class _Named:
    """The ids that a file names."""

    def __init__(self) -> None:
        self.users, self.tickets, self.chats, self.own_tickets = Ids(), Ids(), Ids(), Ids()
        self.spoke: set[tuple[str, str, bool]] = set()  # chat, user, whether marked as an agent

    def add(self, kind: Kind, value: Mapping[str, Any], rename: Rename) -> None:
        """Take note of the ids in one object."""
        fields = rename(flat(value))
        if kind == "ticket":
            self.own_tickets.add(identity(fields.get("id")))
            self._add_user(fields.get("requester_id"))
        elif kind in ("comment", "audit"):
            self.tickets.add(identity(fields.get("ticket_id")))
            self._add_user(fields.get("user_id"))
            self._add_user(fields.get("data_answered_by_id"))
            self._add_callers(value)
        elif kind == "chat_event" and fields.get("type") in SPOKEN:
            chat_id, wrote = identity(fields.get("chat_id")), writer(fields)
            self.chats.add(chat_id)
            if wrote is not None and chat_id is not None:
                self._add_user(wrote[0])
                if len(self.spoke) < MOST_IDS:
                    self.spoke.add((chat_id, *wrote))

    def _add_callers(self, value: Mapping[str, Any]) -> None:
        events = value.get("events")
        for event in events if isinstance(events, list) else ():
            data = event.get("data") if isinstance(event, dict) else None
            if isinstance(data, dict):
                self._add_user(data.get("answered_by_id"))

    def _add_user(self, value: object) -> None:
        user_id = identity(value)
        if user_id is not None and not user_id.startswith("-"):  # -1 is Zendesk itself
            self.users.add(user_id)


def _objects(path: Path, table: Table | None = None, *kinds: Kind) -> Iterator[tuple[Kind, Mapping[str, Any]]]:
    """Yield the objects in a file with their kind; none when the kind of its first one was not asked for."""
    if table is None:
        table = _told(path)
    if table is None or (kinds and table.kind not in kinds):
        return
    with suppress(InvalidRecord):  # told when the file itself is read
        for record in records(path, table):
            if record.problem is None:
                yield from parts_of(record.value, table)


_told = remembered(lambda path: tell_table(head(path)))
_holds_users = remembered(lambda path: "users" in lists_in(path))


def _rows(path: Path, kind: Kind) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file as flat records, when its first one is of this kind."""
    return (flat(value) for found, value in _objects(path, None, kind) if found == kind)


def _people(path: Path, rename: Rename, contact_field: str | None) -> Iterator[tuple[str, Person]]:
    for row in chain(_rows(path, "user"), _users_along(path)):
        fields = rename(row)
        if user_id := identity(fields.get("id")):
            email, phone = str(fields.get("email") or ""), str(fields.get("phone") or "")
            contact_id = identity(row.get(contact_field)) if contact_field else None
            yield user_id, Person(fields.get("role") in _OURS, email, phone, contact_id or "")


def _users_along(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the users that came along with other objects in an answer of the API."""
    table = _told(path)
    if table is None or table.form is None or table.kind == "user":
        return
    if not _holds_users(path):
        return
    if table.form.place:
        yield from (flat(record.value) for record in json_records(path, JsonForm("record", "users")))
    else:
        yield from (flat(value) for kind, value in _objects(path, table) if kind == "user")


def _origins(path: Path, rename: Rename) -> Iterator[tuple[str, Origin]]:
    for fields in map(rename, _rows(path, "ticket")):
        if ticket_id := identity(fields.get("id")):
            try:
                created_at = utc_if_given(fields, "created_at")
            except InvalidRecord:
                created_at = None
            yield ticket_id, Origin(identity(fields.get("requester_id")), created_at)


def _visitors(path: Path, rename: Rename) -> Iterator[tuple[str, str]]:
    for fields in map(rename, _rows(path, "ticket_chat")):
        chat_id, user_id = identity(fields.get("chat_id")), identity(fields.get("user_id"))
        if chat_id and user_id:
            yield chat_id, user_id


def _chats_of(path: Path, rename: Rename) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the chats that became each ticket: tables of chats say it, and chats of the API themselves."""
    for fields in map(rename, chain(_rows(path, "ticket_chat"), _rows(path, "chat"))):
        ticket_id = identity(fields.get("ticket_id")) or identity(fields.get("zendesk_ticket_id"))
        chat_id = identity(fields.get("chat_id")) or identity(fields.get("id"))
        if ticket_id and chat_id:
            yield ticket_id, (chat_id,)


def _joined(some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*some, *others}))
