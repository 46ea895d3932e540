"""Genesys Cloud: conversations of a contact centre, as the analytics of its API tell of them in detail.

A conversation holds participants, each with sessions of one medium, each with segments of what went on. Whoever of ours
talked, or was rung, has a session; what the customer's own session does not overlap was no talk with the customer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.genesys_conversations import dicts_in, read_conversation
from pipeline.sources.json_outline import first_members
from pipeline.sources.json_records import JsonForm, form_of, json_records
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.side_tables import Ids, look_beside, remembered
from pipeline.sources.translation import Fields, translated

_LISTS: Final = ("conversations", "entities")
_USERS: Final = "/api/v2/users/"


class Genesys:
    """Conversations of the analytics API as JSON, and the users behind their ids."""

    name = "genesys"
    title = "Genesys Cloud"
    description = (
        "Conversation details of the analytics API as JSON (answers of a query or of a job, a list, or one a line). "
        "Each of yours who was rung or talked is a leg of the call; talk counts as far as the customer was on the line "
        "too. Chats and messages are one interaction each. Of an email conversation the first email counts. IVR, "
        "queues and voicemail are no talk. Users stand in the conversations as ids: put the answers of /api/v2/users "
        "into the same folder, or the ids into the directory as extension. There is nothing to map."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "conversation details, JSON: calls",
            "parties, who was rung, who talked and how long, queues, voicemail, IVR",
            "wrap-up codes and notes, metrics, flows",
            "records",
            "three conversations in published code, and the client library's documentation",
        ),
        Format(
            "conversation details, JSON: chats, messages and emails",
            "addresses, kind of message, who took part, start and end",
            "subjects (hashed only), wrap-up, metrics",
            "documentation",
            "the client library's documentation, and a chat in a published blueprint",
        ),
        Format(
            "users, JSON",
            "addresses of the ids in conversations",
            "everything else",
            "records",
            "published answers of the API",
        ),
    )
    lies = (
        "A queue and an IVR have segments of the type interact too: only those of agents and users are people.",
        "An agent who was rung has a session with after-call work, though nobody talked: segments tell talk.",
        "A colleague who is only consulted talks while the customer is connected, and counts as having taken part.",
        "A callback and the call that it was asked for in are one conversation, and so one interaction.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on conversation details, or on users."""
        told = _told(sample.head) if not sample.is_directory else None
        return Recognition(0.95, f"{told[0]} of the API") if told is not None else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations. The file is gone through twice, for the users that it names.

        Raises:
            ConfigurationError: when it is not of Genesys Cloud, or there is a mapping.
            InvalidRecord: when a document is broken; what came before it is yielded first.
        """
        told = _told(head(path))
        if told is None:
            raise ConfigurationError(f"{context.file} holds no conversations of Genesys Cloud; leave out format")
        if context.mapping:
            raise ConfigurationError(
                f"{context.file}: conversations of Genesys Cloud have nothing to map; leave it out"
            )
        what, form = told
        if what == "users":
            note = f"{context.file}: users give no events; they say whose ids stand in the conversations beside them"
            yield Batch({}, 0, path.stat().st_size, warnings=(note,))
            return
        named = _user_ids(path, form)
        addresses = look_beside(path, named.known, _addresses, "genesys users")
        missing = len(named.known) - len(addresses) + named.left_out_count
        if missing:
            note = (
                f"{context.file}: {missing:,} of the users that it names are in no list of users beside it; put the "
                "answers of /api/v2/users into the same folder, or their ids into the directory, as extension"
            )
            yield Batch({}, 0, warnings=(note,))

        def translate(value: Any) -> list[Fields]:
            return read_conversation(value, addresses)

        yield from translated(json_records(path, form), translate, context, form.unit, path.stat().st_size)


def _told(start: bytes) -> tuple[str, JsonForm] | None:
    """Return what a file that begins like this holds, conversations or users, and how."""
    form = form_of(start, _LISTS)
    if form is None:
        return None
    members = first_members(start, form)
    if {"conversationId", "conversationStart", "participants"} <= members.keys():
        return "conversations", form
    if {"id", "name", "selfUri"} <= members.keys() and str(members["selfUri"]).startswith(_USERS):
        return "users", form
    return None


def _user_ids(path: Path, form: JsonForm) -> Ids:
    ids = Ids()
    with suppress(InvalidRecord):  # told when the conversations themselves are read
        for value in _records(path, form):
            for participant in dicts_in(value, "participants"):
                user_id = participant.get("userId")
                ids.add(user_id if isinstance(user_id, str) else None)
    return ids


_told_beside = remembered(lambda path: _told(head(path)))


def _addresses(path: Path) -> Iterator[tuple[str, str]]:
    told = _told_beside(path)
    for user in _records(path, told[1]) if told is not None and told[0] == "users" else ():
        user_id, email = user.get("id"), user.get("email")
        if isinstance(user_id, str) and isinstance(email, str):
            yield user_id, email


def _records(path: Path, form: JsonForm) -> Iterator[dict[str, Any]]:
    return (record.value for record in json_records(path, form))


SOURCE: Final = Genesys()
