"""How Salesforce writes what it exports: ids with a check, and tables as its Data Loader makes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

FOLDER: Final = "salesforce"
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

TASK: Final = (
    "Id", "WhoId", "WhatId", "AccountId", "Subject", "ActivityDate", "Status", "Priority", "IsClosed", "OwnerId",
    "Description", "Type", "TaskSubtype", "CallType", "CallDurationInSeconds", "CallDisposition", "CallObject",
    "CompletedDateTime", "CreatedDate", "CreatedById", "LastModifiedDate", "IsDeleted", "IsArchived",
)  # fmt: skip
EMAIL_MESSAGE: Final = (
    "Id", "ParentId", "ActivityId", "RelatedToId", "MessageIdentifier", "ThreadIdentifier", "FromAddress", "ToAddress",
    "CcAddress", "BccAddress", "Subject", "MessageDate", "Incoming", "Status", "CreatedDate", "CreatedById",
    "LastModifiedDate", "IsDeleted",
)  # fmt: skip
RELATION: Final = (
    "Id", "EmailMessageId", "RelationId", "RelationType", "RelationObjectType", "RelationAddress", "CreatedDate",
    "IsDeleted",
)  # fmt: skip
CASE: Final = (
    "Id", "CaseNumber", "ContactId", "AccountId", "SuppliedName", "SuppliedEmail", "SuppliedPhone", "Origin", "Subject",
    "Status", "Priority", "OwnerId", "CreatedDate", "CreatedById", "ClosedDate", "LastModifiedDate", "IsDeleted",
)  # fmt: skip
CONTACT: Final = (
    "Id", "AccountId", "FirstName", "LastName", "Name", "Phone", "MobilePhone", "HomePhone", "OtherPhone",
    "AssistantPhone", "Fax", "Email", "OwnerId", "CreatedDate", "LastModifiedDate", "IsDeleted",
)  # fmt: skip
LEAD: Final = (
    "Id", "FirstName", "LastName", "Name", "Company", "Phone", "MobilePhone", "Email", "Status", "IsConverted",
    "ConvertedAccountId", "ConvertedContactId", "OwnerId", "CreatedDate", "LastModifiedDate", "IsDeleted",
)  # fmt: skip
ACCOUNT: Final = (
    "Id", "Name", "Phone", "Fax", "Website", "Type", "OwnerId", "CreatedDate", "LastModifiedDate", "IsDeleted",
)  # fmt: skip
USER: Final = (
    "Id", "Username", "Alias", "FirstName", "LastName", "Name", "Email", "Department", "IsActive", "UserType",
    "CreatedDate", "LastModifiedDate",
)  # fmt: skip


class SalesforceIds:
    """Hands out ids: 15 letters and digits that begin with the object's prefix, and three that check them."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def new(self, prefix: str) -> str:
        count = self._counts[prefix] = self._counts.get(prefix, 0) + 1
        digits = ""
        for _ in range(7):
            count, digit = divmod(count, 62)
            digits = _DIGITS[digit] + digits
        body = f"{prefix}5i000{digits}"
        return body + _checksum(body)


def _checksum(body: str) -> str:
    """Return the three letters that tell which of the fifteen are capitals."""
    check = ""
    for start in (0, 5, 10):
        bits = sum(1 << place for place, letter in enumerate(body[start : start + 5]) if letter.isupper())
        check += _CHECK[bits]
    return check


def export(header: Sequence[str], rows: Iterable[Mapping[str, str]]) -> bytes:
    """Return a table as the Data Loader writes it: a byte order mark, every cell in quotation marks.

    Raises:
        ValueError: when a row has a cell that the header does not name.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, header, restval="", quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return b"\xef\xbb\xbf" + buffer.getvalue().encode()
