"""Who took part in the activities of Dataverse, and whose its cases are: told by a record, or by files beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.sources.beside import Beside, Tie
from pipeline.sources.crm_reader import as_far_as_it_goes, told_beside
from pipeline.sources.crm_values import flag_of, text_of
from pipeline.sources.dynamics_objects import PARTY, columns_of, guid_of, lookup, tell_layout
from pipeline.sources.registry import ReadContext

LISTS: Final = ("value",)
"""Members of the Web API's answers that hold records."""

TYPELESS: Final = "typeless"
"""Stands for the table of a party of which nothing says what it is."""

_CUSTOMERS: Final = {"contact": "contact", "lead": "contact", "account": "account", "": TYPELESS}
# Source: the guide to activityparty. Its other values are sides of a conversation.
_NO_SIDES: Final = frozenset({"8", "9", "regarding", "owner"})


def look_beside(path: Path, context: ReadContext, beside: Beside) -> tuple[frozenset[str], list[str]]:
    """Put what the files beside one of activities say of who took part, and of whose a case is, into an index.

    Return the tables that they hold, and warnings of those that could not be read to their end.
    """
    told: set[str] = set()
    warnings: list[str] = []
    for sibling, layout, found in told_beside(path, context, LISTS, tell_layout):
        told.add(found.name)
        if found.name not in (PARTY, "incident"):
            continue
        rows = (columns_of(record.value) for record in layout.records(sibling) if record.problem is None)
        with as_far_as_it_goes(sibling, warnings):
            beside.tie(_party_rows(rows) if found.name == PARTY else _case_rows(rows))
    return frozenset(told), warnings


def parties_in(record: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
    """Return the parties that were expanded in an activity; None where they were not."""
    for column, value in record.items():
        if column.endswith("_activity_parties") and isinstance(value, list):
            return [columns_of(party) for party in value if isinstance(party, dict)]
    return None


def party_ties(parties: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield what each party is (contact, account or TYPELESS) and its id; our users, teams and queues are left out."""
    for party in parties:
        found = lookup(party, "partyid")
        role = text_of(party.get("participationtypemask")).casefold()
        if found is not None and found.table in _CUSTOMERS and role not in _NO_SIDES:
            yield _CUSTOMERS[found.table], found.id


def case_ties(values: Mapping[str, Any]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the contacts and accounts of a case: its customer, and the contact that it names first."""
    customer, contact = lookup(values, "customerid"), lookup(values, "primarycontactid")
    is_account = customer is not None and customer.table == "account"
    found = [each.id for each in (None if is_account else customer, contact) if each is not None]
    return tuple(dict.fromkeys(found)), (customer.id,) if customer is not None and is_account else ()


def _party_rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[Tie]:
    for row in rows:
        activity = guid_of(row.get("activityid"))
        if activity is not None and not any(flag_of(row.get(name)) for name in ("isdelete", "_fivetran_deleted")):
            yield from ((f"activity {activity}", table, other) for table, other in party_ties((row,)))


def _case_rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[Tie]:
    for row in rows:
        case = guid_of(row.get("incidentid"))
        contacts, accounts = case_ties(row)
        if case is not None:
            yield from ((f"incident {case}", "contact", each) for each in contacts)
            yield from ((f"incident {case}", "account", each) for each in accounts)
