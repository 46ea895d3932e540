"""The tables of EspoCRM 5 to 9; its interface and its exports say the same. Times are UTC.

An attribute such as createdAt of EspoCRM's definitions is the column created_at. Source: EspoCRM's entityDefs of
Account, Call, Case, Contact, Email, Lead, Meeting, Note, Task and User.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.crm_tables.tables import Condition, Layout, Link, Related, Row, Table, Tell, by_ties, written
from pipeline.sources.beside import Tie
from pipeline.sources.crm_values import Clock
from pipeline.sources.espocrm_records import LINKS, told
from pipeline.sources.espocrm_records import ties as ties_of
from pipeline.sources.translation import Fields
from schemas.crm_database import CrmKind

_UPDATED: Final = "modified_at"
_STATE: Final = ("created_at", "deleted")
_PEOPLE: Final = ("assigned_user_id", "created_by_id")
_PARENT: Final = ("parent_type", "parent_id")
_LOGGED: Final = (*_STATE, *_PEOPLE, *_PARENT)
_TIMES: Final = frozenset({"created_at", "date_sent", "date_start", "date_end"})
_BOUNDARY: Final = re.compile(r"_([a-z])")
# Rows that lead to a name, and what the name is.
_NAMES: Final = {"emailAddressId": "address", "phoneNumberId": "phone"}


def _attributes(row: Row) -> dict[str, Any]:
    return {_BOUNDARY.sub(lambda found: found[1].upper(), name): value for name, value in written(row).items()}


def _ties(related: Mapping[str, Sequence[Row]]) -> Iterator[Tie]:
    for name, rows in related.items():
        table = name.partition(":")[0]
        for row in map(_attributes, rows):
            yield from ties_of(table, row)
            if table == "email_email_address":
                yield from ties_of("entity_email_address", row)  # its linked columns
            for end, what in _NAMES.items():
                if row.get("name") and row.get(end):
                    yield str(row[end]), what, str(row["name"])


def _teller(entity: str) -> Tell:
    def tell(row: Row, related: Mapping[str, Sequence[Row]], clock: Clock) -> Sequence[Fields]:
        return told(entity, _attributes(row), clock, by_ties(_ties(related)))

    return tell


def _names(entity: str, singular: str) -> Related:
    """Return the addresses or numbers of an entity; a change of theirs changes the entity's own time too."""
    table, other = f"entity_{singular}", f"{singular}_id"
    return Related(
        table, table, "entity_id", ("entity_id", other, "entity_type"), deleted="deleted",
        where=(("entity_type", (entity,)),), link=Link(singular, other, "id", ("name",), deleted="deleted"),
    )  # fmt: skip


def _known_by(entity: str) -> tuple[Related, ...]:
    return _names(entity, "email_address"), _names(entity, "phone_number")


def _pairs(table: str, key: str, other: str) -> Related:
    return Related(table, table, key, (key, other), deleted="deleted", is_optional=True)


def _attended(name: str) -> tuple[Related, ...]:
    pairs = (_pairs(f"{name}_contact", f"{name}_id", "contact_id"), _pairs(f"{name}_lead", f"{name}_id", "lead_id"))
    assert all(each.table in LINKS for each in pairs)
    return (*pairs, *_CASE)


# The case on which something was logged, and its contacts.
_CASE: Final = (
    Related(
        "Case", "case", "id", ("id", "account_id"), ("contact_id", "lead_id"), of="parent_id", deleted="deleted",
        is_optional=True,
    ),
    Related(
        "case_contact:parent_id", "case_contact", "case_id", ("case_id", "contact_id"), of="parent_id",
        deleted="deleted", is_optional=True,
    ),
)  # fmt: skip
# Whose the addresses of an email are.
_OWNERS: Final = Link(
    "entity_email_address", "email_address_id", "email_address_id", ("entity_id", "entity_type"), deleted="deleted",
    where=(("entity_type", ("Contact", "Lead")),),
)  # fmt: skip


def _table(
    entity: str,
    kind: CrmKind,
    columns: Iterable[str],
    *related: Related,
    optional: Sequence[str] = (),
    where: tuple[Condition, ...] = (),
    must: bool = False,
) -> Table:
    name = entity.lower()
    return Table(
        name, kind, name, tuple(columns), _teller(entity), updated=_UPDATED, optional=tuple(optional), where=where,
        times=tuple(column for column in (*columns, *optional) if column in _TIMES), related=related,
        is_optional=not must,
    )  # fmt: skip


LAYOUT: Final = Layout(
    "espocrm",
    (
        _table(
            "Account", "account", (*_STATE, "website", "industry"), *_known_by("Account"), optional=("type",), must=True
        ),
        _table("Contact", "contact", (*_STATE, "account_id"), *_known_by("Contact"), must=True),
        _table(
            "Lead", "contact", _STATE, *_known_by("Lead"), optional=("created_account_id", "created_contact_id")
        ),
        _table("User", "user", ("user_name",), _names("User", "email_address"), must=True),
        _table(
            "Call", "activity", (*_LOGGED, "status", "direction", "date_start", "date_end"), *_attended("call"),
            optional=("account_id",), must=True,
        ),
        _table(
            "Meeting", "activity", (*_LOGGED, "status", "date_start", "date_end"), *_attended("meeting"),
            optional=("account_id",),
        ),
        _table(
            "Email", "activity", (*_LOGGED, "status", "message_id", "date_sent"),
            Related(
                "email_email_address", "email_email_address", "email_id", ("email_id", "email_address_id"),
                deleted="deleted", link=_OWNERS,
            ),
            *_CASE, optional=("account_id", "sent_by_id", "from_string"),
        ),
        _table("Task", "activity", (*_LOGGED, "status"), *_CASE, optional=("account_id", "contact_id")),
        _table("Note", "activity", (*_STATE, "created_by_id", *_PARENT, "type"), *_CASE, where=(("type", ("Post",)),)),
        _table(
            "Case", "ticket", (*_STATE, *_PEOPLE, "account_id"), _pairs("case_contact", "case_id", "contact_id"),
            optional=("contact_id", "lead_id"),
        ),
    ),
    zone="UTC",
)  # fmt: skip
