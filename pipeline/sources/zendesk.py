"""Zendesk: tickets with their comments, chats and users, as its REST API gives them and as warehouses store them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.errors import ConfigurationError
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.translation import renaming, require_columns, translated
from pipeline.sources.zendesk_objects import Kind, records, tell_table
from pipeline.sources.zendesk_people import surroundings
from pipeline.sources.zendesk_records import FIELDS, OTHER_NAMES, Teller

_NEEDED: Final[dict[Kind, tuple[str, ...]]] = {
    "ticket": ("id", "created_at", "requester_id"),
    "user": ("id", "email", "role"),
    "comment": ("id", "created_at", "user_id"),
    "chat_event": ("chat_id", "created_at", "actor_id", "type"),
}
_WHAT: Final[dict[Kind, str]] = {
    "ticket": "tickets",
    "user": "users",
    "comment": "comments of tickets",
    "audit": "audits of tickets",
    "chat": "chats",
    "ticket_chat": "which chats became which tickets",
    "chat_event": "events of chats",
    "other": "organisations, which give nothing",
}


class Zendesk:
    """Objects of the REST API as JSON, and the tables that warehouses make of them."""

    name = "zendesk"
    title = "Zendesk"
    description = (
        "Tickets, comments, audits, users and chats of the REST APIs as JSON (one object, an answer about one, pages "
        "of a list, or one a line), and the tables that Fivetran writes of them, as CSV. A ticket and each later "
        "comment is a record in a ticket system: it shows what is siloed, and counts as a trace only when "
        "contact_field ties its requester to a contact of the CRM. A chat is one interaction, whoever of yours took "
        "part. Who a requester is stands in the users: put them into the same folder. Mapping: field = column. "
        "Options: contact_field, the field of a user that holds the id of a contact in the CRM, such as external_id "
        "or user_fields_crm_id. Times without a zone are UTC."
    )
    carries = frozenset({"activity", "crm_user", "observation", "feed_progress"})
    formats = (
        Format(
            "ticket, comment, audit and user resources, JSON",
            "times, requester, assignee, author, channel, addresses and numbers, Message-ID",
            "subjects, texts, tags, custom fields",
            "records",
            "answers recorded for a client library's tests; a Message-ID in published code; calls in documentation",
        ),
        Format(
            "chat resource, JSON",
            "visitor, agents, times, whether anybody answered",
            "texts, pages visited, ratings",
            "records",
            "a resource of a client library",
        ),
        Format(
            "warehouse tables of tickets, comments and users, CSV",
            "as the resources",
            "the same",
            "records",
            "seeds of a published data model",
        ),
        Format(
            "warehouse tables of chats and their events, CSV",
            "who wrote when in which chat",
            "texts, events that are no messages, what programs wrote",
            "records",
            "seeds of a published data model, in which only programs write",
        ),
    )
    lies = (
        "The first comment of a ticket is its description: it is not counted beside the ticket.",
        "Comments that the API lists name no ticket; audits of the same ticket do.",
        "Messages of a chat that were written by a bot name a person as their author: the original message tells.",
        "Only some messages of agents are marked as such: whoever is an agent among the users is one in every chat.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a resource, a page of them, or a warehouse table."""
        table = tell_table(sample.head) if not sample.is_directory else None
        if table is None:
            return None
        form = "resources of the API" if table.form is not None else "a warehouse table"
        return Recognition(0.95, f"{form}: {_WHAT[table.kind]}")

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of facts. The file is gone through twice, and the files beside it are looked through.

        Raises:
            ConfigurationError: when the mapping names no field, a table lacks a column, or an option is wrong.
            InvalidRecord: when a document is broken; what came before it is yielded first.
        """
        table = tell_table(head(path))
        if table is None:
            raise ConfigurationError(f"{context.file} holds nothing of Zendesk; leave out format")
        contact_field = context.options.get("contact_field")
        if contact_field is not None and not isinstance(contact_field, str):
            raise ConfigurationError("contact_field: expected the name of a field of users, such as external_id")
        rename = renaming(context, FIELDS, OTHER_NAMES)
        if table.form is None:
            require_columns(context, table.columns, _NEEDED.get(table.kind, ()), OTHER_NAMES)
        field = contact_field.casefold() if contact_field else None
        around = surroundings(path, table, rename, context.file, field, context.mapping)
        if around.warnings:
            yield Batch({}, 0, warnings=around.warnings)
        teller = Teller(context.source, table, rename, around)
        yield from translated(records(path, table), teller.tell, context, table.unit, path.stat().st_size)


SOURCE: Final = Zendesk()
