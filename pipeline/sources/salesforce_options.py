"""What a company says about its own Salesforce, and what its activities are by that: calls, emails, meetings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pipeline.errors import ConfigurationError
from pipeline.sources.salesforce_dialect import Row
from pipeline.sources.subjects import SubjectRules

_SUBTYPES: Final = {"call": "call", "email": "email", "listemail": "email", "linkedin": "social"}
_TYPES: Final = {
    "call": "call", "phone": "call", "puhelin": "call", "telefon": "call",
    "email": "email", "e-mail": "email", "mail": "email", "sähköposti": "email", "e-post": "email",
    "meeting": "meeting", "visit": "meeting", "tapaaminen": "meeting", "palaveri": "meeting", "möte": "meeting",
    "besprechung": "meeting", "termin": "meeting",
    "sms": "sms", "text message": "sms", "tekstiviesti": "sms",
    "chat": "chat", "fax": "fax", "note": "note", "linkedin": "social",
}  # fmt: skip
_KINDS: Final = frozenset({"call", "email", "sms", "chat", "social", "fax", "meeting", "note", "task", "other"})


@dataclass(frozen=True)
class RecordOptions:
    """What a company may say about its own Salesforce.

    `types` adds values of the Type field and the kinds they stand for; `phone_fields` and `email_fields`
    name further columns of contacts, leads and accounts; `segment_field` is the column of an account's segment.
    """

    rules: SubjectRules
    types: Mapping[str, str]
    segment_field: str | None
    phone_fields: tuple[str, ...]
    email_fields: tuple[str, ...]

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> RecordOptions:
        """Return the options of a source.

        Raises:
            ConfigurationError: when one has the wrong form.
        """
        types = options.get("types") or {}
        if not isinstance(types, Mapping) or not _KINDS.issuperset(types.values()):
            raise ConfigurationError(
                f"types is {types!r}; expected values of Type with one of {', '.join(sorted(_KINDS))}"
            )
        segment_field = options.get("segment_field")
        if segment_field is not None and not isinstance(segment_field, str):
            raise ConfigurationError(f"segment_field is {segment_field!r}; expected the name of a column")
        return cls(
            SubjectRules.from_options(options),
            _TYPES | {str(name).strip().lower(): str(kind) for name, kind in types.items()},
            segment_field,
            _names("phone_fields", options),
            _names("email_fields", options),
        )

    def extra_fields(self, object_name: str) -> tuple[str, ...]:
        """Return the columns to read beside Salesforce's own fields, where the file has them."""
        if object_name not in ("Contact", "Lead", "Account"):
            return ()
        segment = (self.segment_field,) if self.segment_field and object_name == "Account" else ()
        return (*self.phone_fields, *self.email_fields, *segment)


def _names(option: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    value = options.get(option) or ()
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{option} is {value!r}; expected the name of a column or a list of them")
    return tuple(names)


def task_kind(row: Row, options: RecordOptions) -> str:
    """Return what a task logs; 'task' when nothing says it.

    An EmailMessageId is kept by the weekly export, which has no TaskSubtype. A duration of 0 says nothing: it
    stands on list emails too.
    """
    subtype = subtype_kind(row.text("TaskSubtype"))
    if subtype:
        return subtype
    if row.id("EmailMessageId"):
        return "email"
    if row.text("CallType") or row.text("CallObject") or row.text("CallDurationInSeconds").strip("0."):
        return "call"
    type_name = row.text("Type")
    kind = type_kind(type_name, options) or options.rules.kind(row.text("Subject"))
    return kind or ("other" if type_name.lower() == "other" else "task")


def event_kind(row: Row, options: RecordOptions) -> str:
    """Return 'call' for an event that says it is one, else 'meeting'."""
    is_call = (
        row.text("EventSubtype").lower() == "call"
        or row.text("CallType")
        or row.text("CallObject")
        or type_kind(row.text("Type"), options) == "call"
        or options.rules.kind(row.text("Subject")) == "call"
    )
    return "call" if is_call else "meeting"


def subtype_kind(subtype: str) -> str | None:
    """Return what a TaskSubtype says; None for a plain task."""
    return _SUBTYPES.get(subtype.lower().replace(" ", ""))


def type_kind(type_name: str, options: RecordOptions) -> str | None:
    """Return what a value of the field Type says; None when nothing."""
    return options.types.get(type_name.lower()) or options.rules.kind(type_name) if type_name else None
