"""Whom HubSpot's records are tied to: by their own associations, or by tables and tickets that lie beside them.

The interface gives associations with each object when it is asked to. Warehouses keep them in tables of pairs, and
the older ones keep the times of an activity in a table of all engagements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import orjson

from pipeline.json_text import load_json
from pipeline.sources.beside import Beside, Tie
from pipeline.sources.crm_exports import Layout
from pipeline.sources.crm_reader import as_far_as_it_goes, told_beside
from pipeline.sources.crm_values import flag_of, id_of, text_of
from pipeline.sources.hubspot_objects import ACTIVITIES, ENGAGEMENT, TIES, TYPES, fields_of, tell_layout
from pipeline.sources.registry import ReadContext

LISTS: Final = ("results",)
"""Members of the interface's answers that hold objects."""

CUSTOMERS: Final[Mapping[str, str]] = {"contacts": "contact", "companies": "company", "tickets": "ticket"}
"""What the interface calls the associations that are read, and the objects that they lead to."""

TICKETS_CUSTOMERS: Final = "tickets' customers"
"""Stands among the objects that were told beside a file when something said whom tickets are tied to."""

ACTIVITIES_CUSTOMERS: Final = "activities' customers"
"""The same of activities."""

_OF_ACTIVITIES: Final = "engagement_id"
_READ: Final = {"contact_id": "contact", "company_id": "company", "ticket_id": "ticket"}
_NOTED: Final = ("hs_lastmodifieddate", "hs_createdate", "hs_timestamp", "hubspot_owner_id", "type")


def look_beside(path: Path, object_name: str, context: ReadContext, beside: Beside) -> tuple[frozenset[str], list[str]]:
    """Put what the files beside a file say of its activities or tickets into an index.

    Return the objects that they tell, and warnings of those that could not be read to their end.
    """
    told: set[str] = set()
    warnings: list[str] = []
    for sibling, layout, found in told_beside(path, context, LISTS, tell_layout):
        told.add(found.name)
        is_of_tickets = found.name == "ticket" and layout.form is not None
        if is_of_tickets or found.ties in (("contact_id", "ticket_id"), ("company_id", "ticket_id")):
            told.add(TICKETS_CUSTOMERS)
        if found.ties in (("contact_id", _OF_ACTIVITIES), ("company_id", _OF_ACTIVITIES)):
            told.add(ACTIVITIES_CUSTOMERS)
        with as_far_as_it_goes(sibling, warnings):
            if found.name == TIES:
                beside.tie(_pairs(_values(sibling, layout), found.ties, object_name))
            elif is_of_tickets and object_name != "ticket":
                beside.tie(tie for value in _values(sibling, layout) for tie in _ties_of_ticket(value))
            elif found.name == ENGAGEMENT and object_name in ACTIVITIES:
                beside.note(note for value in _values(sibling, layout) if (note := _note(value)) is not None)
    return frozenset(told), warnings


def associated(record: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    """Return ids and labels of what a record says it is associated with: the interface's lists, or lists of ids."""
    held = record.get("associations")
    listed = held.get(name) if isinstance(held, dict) else record.get(name)
    if isinstance(listed, dict):
        listed = listed.get("results")
    if isinstance(listed, str) and listed.startswith("["):  # a table that a connector wrote
        with suppress(orjson.JSONDecodeError):
            listed = load_json(listed)
    found = []
    for each in listed if isinstance(listed, list) else ():
        other = id_of(each.get("id") if isinstance(each, dict) else each)
        if other is not None:
            found.append((other, text_of(each.get("type")) if isinstance(each, dict) else ""))
    return found


def is_cut(record: Mapping[str, Any], name: str) -> bool:
    """Return whether the interface says that a record has more associations than it gave."""
    held = record.get("associations")
    listed = held.get(name) if isinstance(held, dict) else None
    return isinstance(listed, dict) and isinstance(listed.get("paging"), dict)


def _values(path: Path, layout: Layout) -> Iterator[Mapping[str, Any]]:
    return (record.value for record in layout.records(path) if record.problem is None)


def _pairs(rows: Iterable[Mapping[str, Any]], columns: Collection[str], object_name: str) -> Iterator[Tie]:
    """Yield the ties of a table of pairs that say something of activities of one kind, or of tickets."""
    is_of_activities = _OF_ACTIVITIES in columns
    column = _OF_ACTIVITIES if is_of_activities else "ticket_id"
    others = set(columns) - {column}
    if column not in columns or not others <= _READ.keys() or (is_of_activities and object_name == "ticket"):
        return
    (other,) = others
    for row in rows:
        record, tied = id_of(row.get(column)), id_of(row.get(other))
        if record is None or tied is None or flag_of(row.get("_fivetran_deleted")):
            continue
        owner = _owner(row) if is_of_activities else "ticket"
        if owner in (object_name, ENGAGEMENT, "ticket") or object_name == ENGAGEMENT:
            yield f"{owner}:{record}", _READ[other], tied


def _owner(row: Mapping[str, Any]) -> str:
    """Return what the activity of a pair is, as far as the table says it."""
    kind = TYPES.get(text_of(row.get("engagement_type")).upper())
    return kind.object_name if kind is not None else ENGAGEMENT


def _ties_of_ticket(record: Mapping[str, Any]) -> Iterator[Tie]:
    fields = fields_of(record, "ticket")
    ticket = id_of(fields.get("id"))
    if ticket is not None:
        for name in ("contacts", "companies"):
            yield from ((f"ticket:{ticket}", CUSTOMERS[name], other) for other, _ in associated(fields, name))


def _note(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the id of an engagement and what the older tables of one kind lack; None where it says nothing."""
    values = fields_of(record, ENGAGEMENT)
    record_id = id_of(values.get("id"))
    note = {name: text_of(values[name]) for name in _NOTED if name in values}
    if record_id is None or "hs_createdate" not in note:
        return None
    return record_id, orjson.dumps(note).decode()
