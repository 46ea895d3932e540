"""Freshdesk: tickets and what was written in them, as its API gives them, with the contacts and agents behind ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.json_outline import first_members
from pipeline.sources.json_records import JsonForm, form_of, json_records
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.side_tables import Ids, look_beside, remembered
from pipeline.sources.translation import Fields, translated
from pipeline.sources.utc_instants import read_utc, utc_if_given

_LISTS: Final = ("results",)
_CONTACT_MARKS: Final = frozenset({"view_all_tickets", "other_emails", "unique_external_id", "twitter_id"})

Kind = Literal["ticket", "conversation", "contact", "agent"]


class _Person(NamedTuple):
    """Who asked, or one of ours. `contact_id`: whom the CRM knows the contact as, where told."""

    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    contact_id: str = ""


class Freshdesk:
    """Resources of the API, version 2, as JSON."""

    name = "freshdesk"
    title = "Freshdesk"
    description = (
        "Tickets, conversations, contacts and agents of the API (version 2) as JSON: lists as the API answers with "
        "them, answers of a search, one object, or one a line. A ticket and each reply or note in it is a record in a "
        "ticket system: it shows what is siloed, and counts as a trace only when contact_field ties its requester to "
        "a contact of the CRM. Who a requester is stands in the ticket (include=requester) or in the contacts: put "
        "them into the same folder. There is nothing to map. Options: contact_field, the field of a contact that holds "
        "the id of a contact in the CRM, such as unique_external_id or the name of a custom field."
    )
    carries = frozenset({"activity", "crm_user", "feed_progress"})
    formats = (
        Format(
            "tickets and conversations, JSON",
            "times, requester, agent, author, direction, spam",
            "subjects, texts, tags, custom fields, statistics",
            "documentation",
            "the API's documentation, and answers of the API in published code",
        ),
        Format(
            "contacts and agents, JSON",
            "addresses and numbers of the ids in tickets",
            "everything else",
            "documentation",
            "the API's documentation, and a contact in published code",
        ),
    )
    lies = (
        "The description of a ticket is none of its conversations: the ticket stands for it.",
        "Spam is a ticket like any other: it counts as deleted.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on resources of the API."""
        told = _told(sample.head) if not sample.is_directory else None
        return Recognition(0.9, f"{told[0]}s of the API") if told is not None else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of facts. The file is gone through twice, for the people and tickets that it names.

        Raises:
            ConfigurationError: when it holds nothing of Freshdesk, there is a mapping, or an option is wrong.
            InvalidRecord: when a document is broken; what came before it is yielded first.
        """
        told = _told(head(path))
        if told is None:
            raise ConfigurationError(f"{context.file} holds nothing of Freshdesk; leave out format")
        if context.mapping:
            raise ConfigurationError(f"{context.file}: resources of Freshdesk have nothing to map; leave it out")
        contact_field = context.options.get("contact_field")
        if contact_field is not None and not isinstance(contact_field, str):
            raise ConfigurationError(
                "contact_field: expected the name of a field of contacts, such as unique_external_id"
            )
        form = told[1]
        around = _look_around(path, form, contact_field)
        if around.missing:
            note = (
                f"{context.file}: {around.missing:,} of the people that it names are in no list of contacts beside it, "
                "so their numbers and addresses are unknown; export contacts and agents too, into the same folder"
            )
            yield Batch({}, 0, warnings=(note,))

        def translate(value: Mapping[str, Any]) -> list[Fields]:
            return list(_tell(value, context.source, around, contact_field))

        yield from translated(json_records(path, form), translate, context, form.unit, path.stat().st_size)


class _Around(NamedTuple):
    """What records around those of a file say: people by id, and who asked, by ticket. `missing`: people unknown."""

    people: Mapping[str, _Person]
    requesters: Mapping[str, str]
    missing: int


def _told(start: bytes) -> tuple[Kind, JsonForm] | None:
    """Return what a file that begins like this holds, and how."""
    form = form_of(start, _LISTS)
    kind = _kind_of(first_members(start, form)) if form is not None else None
    return (kind, form) if form is not None and kind is not None else None


_told_beside = remembered(lambda path: _told(head(path)))


def _kind_of(value: Mapping[str, Any]) -> Kind | None:
    names = value.keys()
    # A department has those who ask within a company: the same maker's desk for its own people.
    if {"id", "requester_id", "responder_id", "source", "status"} <= names and "department_id" not in names:
        return "ticket"
    if {"id", "incoming", "private", "user_id"} <= names:
        return "conversation"
    if {"id", "email", "mobile", "phone"} <= names and _CONTACT_MARKS & names:
        return "contact"
    return "agent" if {"id", "occasional", "contact"} <= names else None


def _look_around(path: Path, form: JsonForm, contact_field: str | None) -> _Around:
    users, tickets = Ids(), Ids()
    own: dict[str, _Person] = {}
    with suppress(InvalidRecord):  # told when the records themselves are read
        for record in json_records(path, form):
            value, kind = record.value, _kind_of(record.value)
            if kind == "ticket" and isinstance(value.get("requester"), dict):
                continue  # it says itself who asked
            if kind == "ticket":
                users.add(_id(value.get("requester_id")))
            elif kind == "conversation":
                tickets.add(_id(value.get("ticket_id")))
                users.add(_id(value.get("user_id")) if value.get("incoming") is True else None)
    asked = look_beside(
        path, tickets.known, lambda other: _requesters(other, contact_field), ("freshdesk tickets", contact_field)
    )
    for requester_id, person in asked.values():
        if person is None:
            users.add(requester_id)
        else:
            own[requester_id] = person
    known = look_beside(
        path, users.known, lambda other: _people(other, contact_field), ("freshdesk people", contact_field)
    )
    people = {**known, **own}
    missing = len(users.known - people.keys()) + users.left_out_count
    return _Around(people, {ticket: requester for ticket, (requester, _) in asked.items()}, missing)


def _requesters(path: Path, contact_field: str | None) -> Iterator[tuple[str, tuple[str, _Person | None]]]:
    for value in _records(path, "ticket"):
        ticket_id, requester_id = _id(value.get("id")), _id(value.get("requester_id"))
        if ticket_id and requester_id:
            requester = value.get("requester")
            yield ticket_id, (requester_id, _person(requester, contact_field) if isinstance(requester, dict) else None)


def _people(path: Path, contact_field: str | None) -> Iterator[tuple[str, _Person]]:
    for value in _records(path, "contact"):
        if person_id := _id(value.get("id")):
            yield person_id, _person(value, contact_field)


def _records(path: Path, kind: Kind) -> Iterator[dict[str, Any]]:
    told = _told_beside(path)
    if told is not None and told[0] == kind:
        yield from (record.value for record in json_records(path, told[1]))


def _person(value: Mapping[str, Any], contact_field: str | None) -> _Person:
    custom = value.get("custom_fields")
    known = {**custom, **value} if isinstance(custom, dict) else value
    emails = [value.get("email"), *(others if isinstance(others := value.get("other_emails"), list) else ())]
    phones = [value.get("mobile"), value.get("phone")]
    return _Person(_texts(emails), _texts(phones), (_id(known.get(contact_field)) or "") if contact_field else "")


def _tell(value: Mapping[str, Any], source: str, around: _Around, contact_field: str | None) -> Iterator[Fields]:
    kind = _kind_of(value)
    if kind is None:
        raise InvalidRecord("expected a ticket, conversation, contact or agent as the API writes it")
    if kind == "agent":
        contact = value["contact"]
        email = contact.get("email") if isinstance(contact, dict) else None
        yield {"kind": "user", "user_id": _needed(value), "email": email if isinstance(email, str) else None}
    elif kind == "ticket":
        yield from _ticket(value, source, around, contact_field)
    elif kind == "conversation":
        asked = around.requesters.get(_id(value.get("ticket_id")) or "")
        requester = around.people.get(asked or "", _Person())
        yield _conversation(value, source, around.people.get(_id(value.get("user_id")) or "", requester), requester)


def _ticket(value: Mapping[str, Any], source: str, around: _Around, contact_field: str | None) -> Iterator[Fields]:
    """Yield a ticket and the conversations that may come with it."""
    asked = value.get("requester")
    if isinstance(asked, dict):
        requester = _person(asked, contact_field)
    else:
        requester = around.people.get(_id(value.get("requester_id")) or "", _Person())
    yield {
        "kind": "ticket",
        "ticket_id": f"{source}:{_needed(value)}",
        "logged_at": read_utc(value, "created_at"),
        "updated_at": utc_if_given(value, "updated_at"),
        "deleted": value.get("spam") is True or value.get("deleted") is True,
        "owner_id": _id(value.get("responder_id")),
        **_asked_by(requester, _texts([value.get("email")]), _texts([value.get("phone")])),
    }
    written = value.get("conversations")
    for part in written if isinstance(written, list) else ():
        if isinstance(part, dict) and _kind_of(part) == "conversation":
            yield _conversation(part, source, requester, requester)


def _conversation(value: Mapping[str, Any], source: str, writer: _Person, requester: _Person) -> Fields:
    """Return a reply or a note; what came in was written by a customer, who need not be the one who asked."""
    came_in = value.get("incoming") is True
    return {
        "kind": "ticket",
        "ticket_id": f"{source}:conversation:{_needed(value)}",
        "logged_at": read_utc(value, "created_at"),
        "updated_at": utc_if_given(value, "updated_at"),
        "creator_id": None if came_in else _id(value.get("user_id")),
        "direction": "inbound" if came_in else None if value.get("private") is True else "outbound",
        **_asked_by(writer if came_in else requester),
    }


def _asked_by(person: _Person, emails: tuple[str, ...] = (), phones: tuple[str, ...] = ()) -> Fields:
    return {
        "requester_phones": [*person.phones, *phones],
        "requester_emails": [*person.emails, *emails],
        "contact_ids": [person.contact_id] if person.contact_id else [],
    }


def _texts(values: list[Any]) -> tuple[str, ...]:
    return tuple(text for value in values if isinstance(value, str) and (text := value.strip()))


def _id(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value).strip() or None


def _needed(value: Mapping[str, Any]) -> str:
    found = _id(value.get("id"))
    if found is None:
        raise InvalidRecord("id: missing; expected an id of Freshdesk")
    return found


SOURCE: Final = Freshdesk()
