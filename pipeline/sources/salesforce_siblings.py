"""What other files of the same export say about an email: whom it relates to, its task, its case.

Salesforce keeps the parties of an email in EmailMessageRelation, the customer that a person chose in the Task
that shows the email, and the customer of a case in Case. Files are read one by one, so the reader of
EmailMessage looks these up itself. Only ids are kept: memory grows with the relations, never with their texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.errors import InvalidRecord
from pipeline.sources.salesforce_dialect import Row

_ROLES: Final = {"fromaddress": "0from", "toaddress": "1to", "ccaddress": "2cc", "bccaddress": "3bcc"}
_PREFIX_OBJECTS: Final = {"003": "contact", "00Q": "lead", "001": "account", "005": "user"}


class Relation(NamedTuple):
    """One party of an email: `role` sorts from, to, cc, bcc; `object_name` is contact, lead, account or user."""

    id: str
    role: str
    object_name: str

    @property
    def is_contact(self) -> bool:
        return self.object_name in ("contact", "lead")

    @property
    def is_account(self) -> bool:
        return self.object_name == "account"

    @property
    def is_user(self) -> bool:
        return self.object_name == "user"

    @property
    def is_sender(self) -> bool:
        return self.role == "0from"


class Tie(NamedTuple):
    """The customer and owner that a task or case knows; `changed_at` decides between versions."""

    contact_id: str | None
    account_id: str | None
    owner_id: str | None
    changed_at: datetime | None


RowsOf = Callable[[Path, str], Iterable[Row]]
"""Returns the rows of a file if it holds the named object, else nothing."""


class EmailSiblings:
    """Answers what the files beside an EmailMessage file know, reading each kind of file once, when first asked.

    `rows_of` opens a file; `is_email_task` tells whether a task shows an email.
    """

    def __init__(self, paths: Sequence[Path], rows_of: RowsOf, is_email_task: Callable[[Row], bool]) -> None:
        self._paths = sorted(paths)
        self._rows_of = rows_of
        self._is_email_task = is_email_task
        self.warnings: list[str] = []

    def relations(self, email_id: str) -> Sequence[Relation]:
        """Return the parties of an email that Salesforce knows, each once."""
        return self._relations.get(email_id, ())

    def task(self, task_id: str) -> Tie | None:
        """Return what the task that shows an email is tied to."""
        return self._tasks.get(task_id)

    def case(self, case_id: str) -> Tie | None:
        """Return what a case is tied to; None when it is unknown or tied to nobody."""
        return self._cases.get(case_id)

    @cached_property
    def _relations(self) -> dict[str, tuple[Relation, ...]]:
        found: dict[str, tuple[Relation, ...]] = {}
        gone: set[tuple[str, Relation]] = set()
        for row in self._rows("EmailMessageRelation"):
            email_id, related = row.id("EmailMessageId"), row.id("RelationId")
            object_name = row.text("RelationObjectType").lower() or _PREFIX_OBJECTS.get((related or "")[:3], "")
            if not email_id or not related or not object_name:
                continue
            relation = Relation(related, _ROLES.get(row.text("RelationType").lower(), "4other"), object_name)
            if row.flag("IsDeleted"):
                gone.add((email_id, relation))
            elif relation not in found.get(email_id, ()):
                found[email_id] = (*found.get(email_id, ()), relation)
        for email_id, relation in gone:
            found[email_id] = tuple(r for r in found.get(email_id, ()) if r != relation)
        return found

    @cached_property
    def _tasks(self) -> dict[str, Tie]:
        return self._ties("Task", "WhoId", self._is_email_task)

    @cached_property
    def _cases(self) -> dict[str, Tie]:
        return self._ties("Case", "ContactId", lambda row: True)

    def _ties(self, object_name: str, contact_field: str, is_wanted: Callable[[Row], bool]) -> dict[str, Tie]:
        ties: dict[str, Tie] = {}
        for row in self._rows(object_name):
            record_id = row.id("Id") or row.id("Guid")
            if record_id is None or not is_wanted(row):
                continue
            what = row.id("WhatId")
            account = row.id("AccountId") or (what if what and what[:3] == "001" else None)
            tie = Tie(row.id(contact_field), account, row.id("OwnerId"), row.changed_at())
            known = ties.get(record_id)
            if known is None or (tie.changed_at or datetime.min) >= (known.changed_at or datetime.min):
                ties[record_id] = tie
        return ties

    def _rows(self, object_name: str) -> Iterator[Row]:
        for path in self._paths:
            try:
                yield from self._rows_of(path, object_name)
            except InvalidRecord as error:  # its own reading tells the whole story; here it only knows less
                self.warnings.append(
                    f"{path.name} could not be read to its end, so some emails lack their customers: {error}"
                )
