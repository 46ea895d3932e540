"""Which table of Dataverse a file or a record holds, and its columns under their logical names.

The Web API writes a lookup as _name_value and says in annotations what it leads to; tables of a data lake or a
warehouse write the logical name and, beside it, the type as a name or as a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeline.sources.crm_exports import Layout
from pipeline.sources.crm_reader import RecognisedObject
from pipeline.sources.crm_values import id_of, text_of

POINTER: Final = "activitypointer"
"""The table of all activities, beside one for each kind."""
PARTY: Final = "activityparty"
OTHER: Final = "other"
"""A table that says nothing of interactions."""

KINDS: Final[Mapping[str, str]] = {
    "phonecall": "call", "email": "email", "appointment": "meeting", "serviceappointment": "meeting",
    "recurringappointmentmaster": "meeting", "task": "task", "fax": "fax", "letter": "other", "chat": "chat",
    "socialactivity": "social",
}  # fmt: skip
"""Tables of activities, and what their records are."""

ACTIVITIES: Final = (*KINDS, POINTER)
NOTE: Final = "annotation"

KEYS: Final[Mapping[str, str]] = {
    "contact": "contactid", "lead": "leadid", "account": "accountid", "incident": "incidentid",
    "systemuser": "systemuserid", NOTE: "annotationid",
}  # fmt: skip
"""Columns of the ids of tables; that of activities is activityid."""

_ENTITY_SETS: Final = {
    "phonecalls": "phonecall", "emails": "email", "appointments": "appointment", "tasks": "task", "faxes": "fax",
    "letters": "letter", "serviceappointments": "serviceappointment", "chats": "chat", "activitypointers": POINTER,
    "socialactivities": "socialactivity", "recurringappointmentmasters": "recurringappointmentmaster",
    "activityparties": PARTY,
    "annotations": NOTE, "contacts": "contact", "leads": "lead", "accounts": "account", "incidents": "incident",
    "systemusers": "systemuser",
}  # fmt: skip
# What the tables of a database write for the type of a record. Source: the list of entity type codes.
_TYPE_CODES: Final = {
    "1": "account", "2": "contact", "3": "opportunity", "4": "lead", "5": NOTE, "8": "systemuser", "9": "team",
    "112": "incident", "2020": "queue", "4200": POINTER, "4201": "appointment", "4202": "email", "4204": "fax",
    "4207": "letter", "4210": "phonecall", "4212": "task", "4214": "serviceappointment", "4216": "socialactivity",
    "4251": "recurringappointmentmaster",
}  # fmt: skip

_CONTEXT: Final = re.compile(rb'"@odata\.context"\s*:\s*"[^"]{0,300}/api/data/v[0-9.]+/\$metadata#(\w{1,100})')
_TYPE: Final = ".lookuplogicalname"
_LABEL: Final = ".FormattedValue"
_LOOKUP: Final = re.compile(r"_(\w+)_value")
# A warehouse that cannot have signs in a name writes underscores.
_FLAT_ANNOTATIONS: Final = (
    (re.compile(r"_?(\w+?)_value_microsoft_dynamics_crm_lookuplogicalname"), "type"),
    (re.compile(r"(\w+?)_entitytype"), "type"),
    (re.compile(r"(regardingobject|partyobject|object)typecode"), "type"),
    (re.compile(r"(\w+?)idtype"), "type"),
)
_TYPED: Final = {"regardingobject": "regardingobjectid", "partyobject": "partyid", "object": "objectid"}

# One of these groups of columns tells a table; the first that fits.
_MARKS: Final[Mapping[str, tuple[frozenset[str], ...]]] = {
    name: tuple(frozenset(group.split()) for group in groups)
    for name, groups in {
        PARTY: ("activityid participationtypemask", "activitypartyid partyid"),
        "phonecall": ("activityid phonenumber", "activityid leftvoicemail"),
        "email": (
            "activityid messageid", "activityid torecipients", "activityid sender", "activityid trackingtoken",
            "activityid submittedby", "activityid senton directioncode",
        ),
        "appointment": (
            "activityid isalldayevent", "activityid requiredattendees", "activityid globalobjectid",
            "activityid isonlinemeeting", "activityid location",
        ),
        "task": ("activityid percentcomplete", "activityid crmtaskassigneduniqueid"),
        POINTER: ("activityid activitytypecode",),
        NOTE: ("annotationid objectid", "annotationid notetext"),
        "incident": ("incidentid ticketnumber", "incidentid customerid", "incidentid title"),
        "lead": ("leadid emailaddress1", "leadid telephone1", "leadid companyname", "leadid lastname"),
        "contact": (
            "contactid emailaddress1", "contactid telephone1", "contactid mobilephone", "contactid lastname",
            "contactid parentcustomerid",
        ),
        "systemuser": ("systemuserid internalemailaddress", "systemuserid domainname"),
        "account": (
            "accountid accountnumber", "accountid telephone1", "accountid websiteurl", "accountid primarycontactid",
            "accountid emailaddress1",
        ),
    }.items()
}  # fmt: skip
_OF_DATAVERSE: Final = frozenset(
    "statecode statuscode createdon modifiedon ownerid versionnumber owningbusinessunit".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Lookup:
    """What a lookup leads to; `table` is empty when nothing says it."""

    id: str
    table: str = ""


def logical_name(column: str) -> str:
    """Return the logical name of a column.

    >>> logical_name("_ownerid_value"), logical_name("statecode")
    ('ownerid', 'statecode')
    """
    match = _LOOKUP.fullmatch(column)
    return match[1] if match is not None else column


def columns_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's values by logical names; beside a lookup NAME stands what it leads to as NAME@type.

    Labels stand as NAME@label; all other annotations, and nulls, are left out.
    """
    found: dict[str, Any] = {}
    for column, value in record.items():
        if value is None:
            continue
        name, at, annotation = column.partition("@")
        if at:
            kind = "type" if annotation.endswith(_TYPE) else "label" if annotation.endswith(_LABEL) else ""
            if kind and name:
                found[f"{logical_name(name)}@{kind}"] = value
            continue
        for pattern, kind in _FLAT_ANNOTATIONS:
            match = pattern.fullmatch(column)
            if match is not None:
                found.setdefault(f"{_typed(match[1], column)}@{kind}", value)
                break
        found.setdefault(logical_name(column), value)
    return found


def lookup(columns: Mapping[str, Any], name: str) -> Lookup | None:
    """Return what a lookup leads to, None where it is empty."""
    record_id = guid_of(columns.get(name))
    if record_id is None:
        return None
    written = text_of(columns.get(f"{name}@type")).casefold()
    return Lookup(record_id, _TYPE_CODES.get(written, written))


def guid_of(value: object) -> str | None:
    """Return an id as the Web API writes it, whoever wrote it.

    >>> guid_of("{1C4095E5-60C6-EA11-A812-000D3A3E1AF1}")
    '1c4095e5-60c6-ea11-a812-000d3a3e1af1'
    """
    found = id_of(text_of(value).strip("{}"))
    return found.lower() if found is not None else None


def tell_record(record: Mapping[str, Any], is_row: bool) -> str | None:
    """Return the table that a record is of; None when its columns do not say it.

    `is_row`: it is one of a table, whose header says what all of them are, unless it holds all activities.
    """
    written = text_of(record.get("activitytypecode")).casefold()
    kind = _TYPE_CODES.get(written, written)
    if kind in KINDS and "activityid" in record:
        return kind
    return None if is_row else _tell(logical_name(column) for column in record if "@" not in column)


def tell_layout(layout: Layout, start: bytes) -> RecognisedObject | None:
    """Return the table that a file of this layout and beginning holds; None when it is not Dataverse's."""
    if layout.form is not None:
        context = _CONTEXT.search(start)
        if context is not None:
            name = _ENTITY_SETS.get(context[1].decode(), OTHER)
            return RecognisedObject(name, 0.95, f"an answer of the Web API: {context[1].decode()}")
        record = layout.first[0] if layout.first else {}
        told = _tell(logical_name(column) for column in record if "@" not in column)
        has_marks = "@odata.etag" in record or any(_LOOKUP.fullmatch(column) for column in record)
        return (
            RecognisedObject(told, 0.9, f"records of the Web API: {told}") if told is not None and has_marks else None
        )
    columns = {logical_name(column) for column in layout.columns}
    told = _tell(columns)
    if told is None or (told != PARTY and not columns & _OF_DATAVERSE):
        return None
    return RecognisedObject(told, 0.9, f"its columns are those of Dataverse's table {told}")


def _tell(names: Iterable[str]) -> str | None:
    found = frozenset(names)
    return next((name for name, groups in _MARKS.items() if any(group <= found for group in groups)), None)


def _typed(name: str, column: str) -> str:
    """Return the lookup whose type stands in a column of another name."""
    if column.endswith("typecode"):
        return _TYPED[name]
    return f"{name}id" if column.endswith("idtype") else logical_name(name)
