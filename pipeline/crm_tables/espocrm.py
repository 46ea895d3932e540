"""EspoCRM 5 to 9. Times are UTC; a name such as createdAt of its definitions is the column created_at.

Source: EspoCRM's entityDefs of Account, Call, Case, Contact, Email, Lead, Meeting, Task and User.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pipeline.crm_tables.tables import Layout, Link, Related, Row, Table, column, flag, own_time, text, texts
from pipeline.sources.beside import on_customers
from pipeline.sources.crm_values import Clock
from pipeline.sources.translation import Fields

_STATE: Final = ("created_at", "deleted")
_PEOPLE: Final = ("assigned_user_id", "created_by_id")
_PARENT: Final = ("parent_type", "parent_id")
_UPDATED: Final = "modified_at"
_TIMES: Final = ("created_at",)
_UNSENT: Final = frozenset({"draft", "sending", "failed"})

_Rows = Mapping[str, Sequence[Row]]


def _names(entity: str, name: str, singular: str) -> Related:
    """Return the addresses or numbers of an entity; a change of theirs changes the entity's own time too."""
    return Related(
        name, f"entity_{singular}", "entity_id", (), deleted="deleted", where=(("entity_type", (entity,)),),
        link=Link(singular, f"{singular}_id", "id", ("name",), deleted="deleted"),
    )  # fmt: skip


def _known_by(entity: str) -> tuple[Related, ...]:
    return _names(entity, "addresses", "email_address"), _names(entity, "numbers", "phone_number")


def _linked(name: str, table: str, key: str, other: str) -> Related:
    return Related(name, table, key, (other,), deleted="deleted", is_optional=True)


def _behind(*entities: str) -> tuple[Related, ...]:
    return tuple(Related(entity, entity, "id", ("account_id",), of="parent_id") for entity in entities)


# What was logged on a case or an opportunity was logged on its account's customer.
_BEHIND: Final = _behind("case", "opportunity")


def _contact(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    is_gone = flag(row.get("deleted"))
    accounts = texts(row, "account_id", "created_account_id")
    return [
        {
            "kind": "contact",
            "contact_id": text(row["id"]),
            "account_id": accounts[0] if accounts else None,
            "phones": [] if is_gone else column(related["numbers"], "name"),
            "emails": [] if is_gone else column(related["addresses"], "name"),
            "deleted": is_gone,
        }
    ]


def _account(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    is_gone = flag(row.get("deleted"))
    return [
        {
            "kind": "account",
            "account_id": text(row["id"]),
            "phones": [] if is_gone else column(related["numbers"], "name"),
            "emails": [] if is_gone else column(related["addresses"], "name"),
            "domains": [] if is_gone else texts(row, "website"),
            "segment": next(iter(texts(row, "industry")), None),
            "deleted": is_gone,
        }
    ]


def _user(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    addresses = column(related["addresses"], "name") or [name for name in texts(row, "user_name") if "@" in name]
    return [{"kind": "user", "user_id": text(row["id"]), "email": addresses[0] if addresses else None}]


def _logged(row: Row, kind: str, *, at: object, is_void: bool = False) -> Fields:
    return {
        "kind": "activity",
        "activity_id": text(row["id"]),
        "activity_kind": kind,
        "logged_at": at,
        "owner_id": text(row.get("assigned_user_id")) or None,
        "creator_id": text(row.get("created_by_id")) or None,
        "deleted": flag(row.get("deleted")) or is_void,
    }


def _customers(row: Row, related: _Rows) -> tuple[list[str], list[str]]:
    contacts = column(related.get("contacts", ()), "contact_id") + column(related.get("leads", ()), "lead_id")
    accounts: list[str] = []
    for party in (*related.get("sender", ()), *related.get("parties", ())):
        entity, other = text(party.get("entity_type")), text(party.get("entity_id"))
        if entity in ("Contact", "Lead"):
            contacts.append(other)
        elif entity == "Account":
            accounts.append(other)
    parent_type, parent = text(row.get("parent_type")), text(row.get("parent_id"))
    if parent_type == "Account" and parent:
        accounts.append(parent)
    elif parent_type in ("Contact", "Lead") and parent and not contacts:
        contacts.append(parent)
    elif parent_type in ("Case", "Opportunity"):
        accounts += column(related.get(parent_type.lower(), ()), "account_id")
    return sorted(set(contacts)), sorted({*accounts, *texts(row, "account_id")})


def _meeting(kind: str, row: Row, related: _Rows) -> Sequence[Fields]:
    """Tell a call or meeting. One that was not held came to nothing; one that is planned may have been held."""
    is_void = text(row.get("status")).casefold() == "not held"
    direction = text(row.get("direction")).casefold()
    activity = {
        **_logged(row, kind, at=row.get("created_at"), is_void=is_void),
        "direction": direction if direction in ("inbound", "outbound") else None,
    }
    return on_customers(activity, *_customers(row, related))


def _call(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    return _meeting("call", row, related)


def _held(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    return _meeting("meeting", row, related)


def _email(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    status, message_id = text(row.get("status")).casefold(), texts(row, "message_id")
    created = row.get("created_at")
    activity = {
        **_logged(
            row, "email", at=own_time(row.get("date_sent"), created) if message_id else created,
            is_void=status in _UNSENT,
        ),
        "keys": message_id,
        # What EspoCRM sent itself is Sent; what it fetched is Archived, whoever sent it.
        "direction": "outbound" if status == "sent" else None,
    }  # fmt: skip
    return on_customers(activity, *_customers(row, related))


def _task(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    is_void = text(row.get("status")).casefold() == "canceled"
    activity = _logged(row, "task", at=row.get("created_at"), is_void=is_void)
    return on_customers(activity, *_customers(row, related))


def _case(row: Row, related: _Rows, clock: Clock) -> Sequence[Fields]:
    logged = _logged(row, "other", at=row.get("created_at"))
    ticket = {name: value for name, value in logged.items() if not name.startswith("activity_")}
    contacts = column(related.get("contacts", ()), "contact_id") or texts(row, "contact_id", "lead_id")[:1]
    return on_customers({**ticket, "kind": "ticket", "ticket_id": text(row["id"])}, contacts, texts(row, "account_id"))


def _talked(name: str) -> tuple[Related, ...]:
    return (
        _linked("contacts", f"{name}_contact", f"{name}_id", "contact_id"),
        _linked("leads", f"{name}_lead", f"{name}_id", "lead_id"),
        *_BEHIND,
    )


# Whose the addresses of an email are.
_OWNERS: Final = Link(
    "entity_email_address", "email_address_id", "email_address_id", ("entity_type", "entity_id"), deleted="deleted",
    where=(("entity_type", ("Contact", "Lead", "Account")),),
)  # fmt: skip
_SENDER: Final = Related(
    "sender", "entity_email_address", "email_address_id", ("entity_type", "entity_id"), of="from_email_address_id",
    deleted="deleted", where=(("entity_type", ("Contact", "Lead", "Account")),),
)  # fmt: skip

LAYOUT: Final = Layout(
    "espocrm",
    (
        Table(
            "account", "account", "account", (*_STATE, "website", "industry"), _account, updated=_UPDATED,
            times=_TIMES, related=_known_by("Account"),
        ),
        Table(
            "contact", "contact", "contact", (*_STATE, "account_id"), _contact, updated=_UPDATED, times=_TIMES,
            related=_known_by("Contact"),
        ),
        Table(
            "lead", "contact", "lead", _STATE, _contact, updated=_UPDATED, times=_TIMES,
            optional=("created_account_id",), related=_known_by("Lead"), is_optional=True,
        ),
        Table(
            "user", "user", "user", ("user_name",), _user, updated=_UPDATED,
            related=(_names("User", "addresses", "email_address"),),
        ),
        Table(
            "call", "activity", "call", (*_STATE, *_PEOPLE, *_PARENT, "status", "direction"), _call,
            updated=_UPDATED, times=_TIMES, optional=("account_id",), related=_talked("call"),
        ),
        Table(
            "meeting", "activity", "meeting", (*_STATE, *_PEOPLE, *_PARENT, "status"), _held, updated=_UPDATED,
            times=_TIMES, optional=("account_id",), related=_talked("meeting"), is_optional=True,
        ),
        Table(
            "email", "activity", "email",
            (*_STATE, *_PEOPLE, *_PARENT, "status", "message_id", "date_sent", "from_email_address_id"), _email,
            updated=_UPDATED, times=("created_at", "date_sent"), optional=("account_id",), is_optional=True,
            related=(
                Related("parties", "email_email_address", "email_id", (), deleted="deleted", link=_OWNERS),
                _SENDER,
                *_BEHIND,
            ),
        ),
        Table(
            "task", "activity", "task", (*_STATE, *_PEOPLE, *_PARENT, "status"), _task, updated=_UPDATED,
            times=_TIMES, optional=("account_id", "contact_id"), related=_BEHIND, is_optional=True,
        ),
        Table(
            "case", "ticket", "case", (*_STATE, *_PEOPLE, "account_id"), _case, updated=_UPDATED, times=_TIMES,
            optional=("contact_id", "lead_id"), is_optional=True,
            related=(_linked("contacts", "case_contact", "case_id", "contact_id"),),
        ),
    ),
    zone="UTC",
)  # fmt: skip
