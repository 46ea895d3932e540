"""Intercom: conversations, as its API gives them, with the contacts and admins behind their ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.intercom_conversations import Person, nameless, read_conversation
from pipeline.sources.json_outline import first_members
from pipeline.sources.json_records import JsonForm, form_of, json_records
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.side_tables import Ids, look_beside, remembered
from pipeline.sources.translation import Fields, translated

_LISTS: Final = ("conversations", "data", "admins")

Kind = Literal["conversation", "contact", "admin"]
_MARKS: Final[dict[Kind, tuple[frozenset[str], ...]]] = {
    "conversation": (frozenset({"id", "created_at", "source"}), frozenset({"id", "conversation_parts"})),
    "contact": (frozenset({"id", "role", "email"}),),
    "admin": (frozenset({"id", "name", "email"}),),
}


class Intercom:
    """Conversations as JSON."""

    name = "intercom"
    title = "Intercom"
    description = (
        "Conversations of the API (version 2.0 or later) as JSON: one retrieved with its parts, pages of a list, or "
        "one a line. A conversation is one interaction of the channel that it came over, with all who wrote. What "
        "bots and campaigns sent without an answer is automated. Conversations by email and calls give nothing here: "
        "read the mailbox. Put contacts and admins into the same folder where conversations show no addresses. There "
        "is nothing to map."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "conversations with their parts, JSON",
            "who wrote when, channel, how it began",
            "texts, notes, tags, ratings, attachments",
            "records",
            "a recorded conversation in a published test, and the API's documentation",
        ),
        Format(
            "lists of conversations, JSON",
            "channel, how it began, times of replies, teammates",
            "the same",
            "documentation",
            "the API's documentation and published client libraries",
        ),
        Format(
            "contacts and admins, JSON",
            "addresses and numbers of the ids in conversations",
            "everything else",
            "documentation",
            "the API's documentation",
        ),
    )
    lies = (
        "A part that assigns or closes a conversation may bring a message along: what has a text is one, but a note.",
        "A list of conversations leaves the parts out: who wrote is told by times of replies and by teammates.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on conversations, contacts or admins."""
        told = _told(sample.head) if not sample.is_directory else None
        return Recognition(0.95, f"{told[0]}s of the API") if told is not None else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations. The file is gone through twice, for the people that it names.

        Raises:
            ConfigurationError: when it holds nothing of Intercom, or there is a mapping.
            InvalidRecord: when a document is broken; what came before it is yielded first.
        """
        told = _told(head(path))
        if told is None:
            raise ConfigurationError(f"{context.file} holds no conversations of Intercom; leave out format")
        if context.mapping:
            raise ConfigurationError(f"{context.file}: conversations of Intercom have nothing to map; leave it out")
        kind, form = told
        if kind != "conversation":
            note = f"{context.file}: {kind}s give no events; they say whose ids stand in the conversations beside them"
            yield Batch({}, 0, path.stat().st_size, warnings=(note,))
            return
        named = Ids()
        with suppress(InvalidRecord):  # told when the conversations themselves are read
            for record in json_records(path, form):
                for person_id in nameless(record.value):
                    named.add(person_id)
        people = look_beside(path, named.known, _people, "intercom people")
        missing = len(named.known) - len(people) + named.left_out_count
        if missing:
            note = (
                f"{context.file}: {missing:,} of the people that it names show no address, and are in no list of "
                "contacts or admins beside it; put these into the same folder"
            )
            yield Batch({}, 0, warnings=(note,))

        def translate(value: Mapping[str, Any]) -> list[Fields]:
            return read_conversation(value, people)

        yield from translated(json_records(path, form), translate, context, form.unit, path.stat().st_size)


def _told(start: bytes) -> tuple[Kind, JsonForm] | None:
    """Return what a file that begins like this holds, and how."""
    form = form_of(start, _LISTS)
    members = first_members(start, form) if form is not None else {}
    for kind, marks in _MARKS.items():
        if form is not None and members.get("type") == kind and any(mark <= members.keys() for mark in marks):
            return kind, form
    return None


_told_beside = remembered(lambda path: _told(head(path)))


def _people(path: Path) -> Iterator[tuple[str, Person]]:
    told = _told_beside(path)
    if told is None or told[0] == "conversation":
        return
    for record in json_records(path, told[1]):
        person_id, email, phone = (record.value.get(name) for name in ("id", "email", "phone"))
        if isinstance(person_id, (str, int)):
            yield (
                str(person_id),
                Person(email if isinstance(email, str) else "", phone if isinstance(phone, str) else ""),
            )


SOURCE: Final = Intercom()
