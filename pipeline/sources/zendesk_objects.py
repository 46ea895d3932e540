"""Which object of Zendesk a record is, whoever wrote it, and its fields under the names of a warehouse's columns.

The REST API nests what a warehouse writes flat; both are told by their fields, never by a file's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from pipeline.errors import InvalidRecord
from pipeline.sources.headers import first_line, folded_names, sniff_delimiter
from pipeline.sources.json_outline import first_members
from pipeline.sources.json_records import JsonForm, JsonRecord, form_of, json_records
from pipeline.sources.reading import csv_records, open_bytes
from pipeline.sources.translation import table_records

Kind = Literal["ticket", "user", "comment", "audit", "chat", "ticket_chat", "chat_event", "other"]

# Members of an answer of the API that hold records, and those that hold one.
_LISTS: Final = ("tickets", "users", "comments", "audits", "chats", "results")
_SAYING_NOTHING: Final = ("organizations",)
_SINGLES: Final = ("ticket", "user", "comment", "audit", "chat")
_API: Final = "/api/v2/"
_COMMENT_TYPES: Final = ("Comment", "VoiceComment", "TpeVoiceComment")
_USER_MARKS: Final = frozenset(
    ("ticket_restriction", "moderator", "restricted_agent", "only_private_comments", "shared_agent", "chat_only")
)
_ORGANISATION_MARKS: Final = frozenset({"shared_tickets", "shared_comments"})
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Table:
    """How a file holds records of Zendesk: rows of a delimited text, or JSON. `kind` is that of the first record."""

    kind: Kind
    delimiter: str | None = None
    form: JsonForm | None = None
    columns: frozenset[str] = frozenset()

    @property
    def unit(self) -> Literal["line", "record"]:
        """What a record's position counts."""
        return "record" if self.form is not None and self.form.unit == "record" else "line"


def tell_table(start: bytes) -> Table | None:
    """Return what a file that begins like this holds; None when it is not of Zendesk."""
    whole = form_of(start)
    if whole is None:
        columns = frozenset(folded_names(start))
        kind = object_of(dict.fromkeys(columns))
        return Table(kind, sniff_delimiter(first_line(start)), columns=columns) if kind is not None else None
    members = first_members(start, whole)
    kind = object_of(members)
    if kind is None and any(isinstance(members.get(name), dict) for name in _SINGLES) and _API.encode() in start:
        return Table(_first_single(members), form=whole)
    if kind is not None:
        return Table(kind, form=whole)
    page = form_of(start, (*_LISTS, *_SAYING_NOTHING))
    if page is None or not page.place:
        return None
    kind = object_of(first_members(start, page))
    return Table(kind, form=page) if kind is not None else None


def object_of(record: Mapping[str, Any]) -> Kind | None:
    """Return which object a record is by its fields, or a table by its columns; None when it is none of Zendesk."""
    names = record.keys()
    if {"requester_id", "submitter_id"} <= names and ("via" in names or "via_channel" in names):
        return "ticket"
    if {"visitor", "session", "type"} <= names:
        return "chat"
    if {"chat_id", "ticket_id", "visitor_id"} <= names:
        return "ticket_chat"
    if {"chat_id", "actor_id", "created_at", "type"} <= names:
        return "chat_event"
    if {"ticket_id", "author_id", "events", "via"} <= names:
        return "audit"
    if _is_comment(record):
        return "comment"
    if {"id", "email", "role"} <= names and len(_USER_MARKS & names) > 1:
        return "user"
    return "other" if {"id", *_ORGANISATION_MARKS} <= names else None


def records(path: Path, table: Table) -> Iterator[JsonRecord]:
    """Yield the records of a file in its order; of a page of the API also the users that came with the tickets.

    Raises:
        InvalidRecord: when a document is broken; what came before it is yielded first.
    """
    if table.form is None:
        yield from table_records(csv_records(path, table.delimiter or ","))
    elif table.form.place not in _LISTS:
        yield from json_records(path, table.form)
    else:
        position = 0
        for name in lists_in(path):
            before = position
            for record in json_records(path, JsonForm("record", name)):
                position = before + record.position
                yield replace(record, position=position)


def lists_in(path: Path) -> list[str]:
    """Return which lists of an answer a file may hold: those whose name stands in it between quotation marks."""
    marks = {name: f'"{name}"'.encode() for name in _LISTS}
    found: set[str] = set()
    tail = b""
    with open_bytes(path) as stream:
        try:
            while len(found) < len(marks) and (piece := stream.read(_PIECE_BYTES)):
                seen = tail + piece
                found.update(name for name, mark in marks.items() if mark in seen)
                tail = seen[-20:]
        except InvalidRecord:
            pass
    return [name for name in _LISTS if name in found]


def parts_of(value: Mapping[str, Any], table: Table) -> list[tuple[Kind, Mapping[str, Any]]]:
    """Return the objects that a record holds: itself, or what is in an answer of the API about one object.

    A row, and a record that lacks what would tell it, is what the first one of its file is.
    """
    if table.form is None:
        return [(table.kind, value)]
    own = object_of(value)
    if own is not None:
        return [(own, value)]
    singles = [value[name] for name in _SINGLES if isinstance(value.get(name), dict)]
    lists = [member for name in _LISTS if isinstance(value.get(name), list) for member in value[name]]
    parts = [part for part in (*singles, *lists) if isinstance(part, dict)]
    return [(kind, part) for part in parts if (kind := object_of(part)) is not None] or [(table.kind, value)]


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's fields under the names of a warehouse's columns: what is nested gets the path as its name."""
    fields = {name: value for name, value in record.items() if isinstance(value, (str, int, float))}
    via = _member(record, "via")
    source = _member(via, "source")
    nested = {
        "via": via,
        "via_source": source,
        "via_source_from": _member(source, "from"),
        "via_source_to": _member(source, "to"),
        "system": _member(_member(record, "metadata"), "system"),
        "data": _member(record, "data"),
        "user_fields": _member(record, "user_fields"),
    }
    for prefix, members in nested.items():
        for name, value in members.items():
            if isinstance(value, (str, int, float)):
                fields.setdefault(f"{prefix}_{name}", value)
    return fields


def identity(value: object) -> str | None:
    """Return an id as a text: JSON writes a number, a table digits, and a spreadsheet digits with a decimal point."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    text = str(value).strip()
    return text.removesuffix(".0") or None


def _is_comment(record: Mapping[str, Any]) -> bool:
    names = record.keys()
    is_row = {"ticket_id", "public"} <= names and bool({"user_id", "author_id"} & names)
    if is_row and {"created", "created_at"} & names:
        return "events" not in names
    return {"author_id", "public", "created_at"} <= names and record.get("type") in _COMMENT_TYPES


def _first_single(members: Mapping[str, Any]) -> Kind:
    for name, kind in _KIND_OF_SINGLE.items():
        if isinstance(members.get(name), dict):
            return kind
    return "other"


_KIND_OF_SINGLE: Final[dict[str, Kind]] = {
    "ticket": "ticket", "user": "user", "comment": "comment", "audit": "audit", "chat": "chat",
}  # fmt: skip


def _member(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}
