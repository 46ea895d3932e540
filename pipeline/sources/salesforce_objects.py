"""Which object of Salesforce a table holds, told by its columns and by the ids in it, never by the file's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.sources.salesforce_dialect import column_key, is_record_id

OTHER: Final = "other"
"""An object of Salesforce that says nothing about interactions: its records are counted and yield no facts."""

_TIMES: Final = ("CreatedDate", "LastModifiedDate", "SystemModstamp")
_STATE: Final = ("Id", "Guid", *_TIMES, "IsDeleted", "_fivetran_deleted", "_fivetran_active")
_PHONES: Final = ("Phone", "MobilePhone", "HomePhone", "OtherPhone", "AssistantPhone", "Fax")
_ACTIVITY: Final = (
    *_STATE, "WhoId", "WhatId", "AccountId", "Subject", "Type", "ActivityDate", "OwnerId", "CreatedById", "CallType",
    "CallDurationInSeconds", "CallObject", "MessageIdentifier",
)  # fmt: skip

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "Task": (*_ACTIVITY, "TaskSubtype", "CompletedDateTime", "EmailMessageId"),
    "Event": (*_ACTIVITY, "EventSubtype", "ActivityDateTime", "StartDateTime"),
    "EmailMessage": (
        *_STATE, "ParentId", "ActivityId", "RelatedToId", "MessageIdentifier", "MessageDate", "Incoming", "Status",
        "FromAddress", "ToAddress", "CcAddress", "CreatedById",
    ),
    "EmailMessageRelation": ("Id", "EmailMessageId", "RelationId", "RelationType", "RelationObjectType", "IsDeleted"),
    "Contact": (*_STATE, *_PHONES, "Email", "AccountId"),
    "Lead": (*_STATE, *_PHONES, "Email", "IsConverted", "ConvertedAccountId", "ConvertedContactId"),
    "Account": (
        *_STATE, "Phone", "Fax", "PersonMobilePhone", "PersonHomePhone", "PersonOtherPhone", "PersonAssistantPhone",
        "PersonEmail", "Website", "Industry", "Type",
    ),
    "Case": (
        *_STATE, "ContactId", "AccountId", "OwnerId", "CreatedById", "SuppliedEmail", "SuppliedPhone", "ContactEmail",
        "ContactPhone", "ContactMobile", "ContactFax",
    ),
    "User": (*_STATE, "Email", "Username"),
    OTHER: (),
}  # fmt: skip
"""The fields that are read, per object; a file may lack any of them but the key."""

KNOWN_FIELDS: Final = frozenset(column_key(field) for fields in FIELDS.values() for field in fields)

_PREFIXES: Final = {
    "00T": "Task", "00U": "Event", "02s": "EmailMessage", "003": "Contact", "00Q": "Lead", "001": "Account",
    "500": "Case", "005": "User",
}  # fmt: skip


@dataclass(frozen=True)
class _Marks:
    """Columns of an object: `own` ones no other object has, `shared` ones some others have too."""

    own: frozenset[str]
    shared: frozenset[str]

    def score(self, columns: Mapping[str, int]) -> int:
        own = len(self.own & columns.keys())
        return 3 * own + len(self.shared & columns.keys()) if own else 0

    def count(self, columns: Mapping[str, int]) -> int:
        return len((self.own | self.shared) & columns.keys())


def _marks(own: str, shared: str) -> _Marks:
    return _Marks(frozenset(map(column_key, own.split())), frozenset(map(column_key, shared.split())))


_MARKS: Final = {
    "Task": _marks(
        "TaskSubtype IsHighPriority CompletedDateTime CallDurationInSeconds CallObject CallDisposition CallType "
        "RecurrenceRegeneratedType RecurrenceStartDateOnly ActivityOriginType",
        "WhoId WhatId WhoCount WhatCount ActivityDate Priority IsClosed Subject AccountId",
    ),
    "Event": _marks(
        "EventSubtype ActivityDateTime IsAllDayEvent ShowAs IsGroupEvent GroupEventType IsChild "
        "RecurrenceStartDateTime ProposedEventTimeframe",
        "StartDateTime EndDateTime DurationInMinutes Location IsPrivate WhoId WhatId WhoCount WhatCount ActivityDate "
        "Subject AccountId",
    ),
    "EmailMessage": _marks(
        "MessageIdentifier ThreadIdentifier MessageDate ReplyToEmailMessageId MessageSize IsClientManaged "
        "IsExternallyVisible IsPrivateDraft FirstOpenedDate ValidatedFromAddress",
        "FromAddress FromName ToAddress CcAddress BccAddress TextBody HtmlBody Incoming Headers RelatedToId ActivityId "
        "Subject Status",
    ),
    "EmailMessageRelation": _marks("EmailMessageId RelationAddress", "RelationId RelationType RelationObjectType"),
    "Contact": _marks(
        "ReportsToId AssistantPhone AssistantName OtherPhone MailingStreet MailingCity MailingPostalCode "
        "MailingCountry OtherStreet OtherCity LastCURequestDate IsEmailBounced JigsawContactId",
        "AccountId LastName FirstName Email Phone MobilePhone HomePhone Fax Title Department Birthdate LeadSource",
    ),
    "Lead": _marks(
        "IsConverted ConvertedDate ConvertedAccountId ConvertedContactId ConvertedOpportunityId IsUnreadByOwner",
        "Company LastName FirstName Email Phone MobilePhone Status LeadSource Rating Industry Website "
        "NumberOfEmployees AnnualRevenue Street City",
    ),
    "Account": _marks(
        "AccountNumber AccountSource TickerSymbol SicDesc JigsawCompanyId BillingStreet BillingCity BillingCountry "
        "BillingPostalCode ShippingStreet ShippingCity CleanStatus IsPersonAccount",
        "Name Industry AnnualRevenue NumberOfEmployees Website Phone Fax Type Rating Ownership ParentId Site",
    ),
    "Case": _marks(
        "CaseNumber SuppliedEmail SuppliedName SuppliedPhone SuppliedCompany IsEscalated IsClosedOnCreate",
        "ContactId AccountId Origin Reason Priority Status Subject ClosedDate Comments",
    ),
    "User": _marks(
        "ProfileId UserRoleId TimeZoneSidKey LocaleSidKey LanguageLocaleKey EmailEncodingKey CommunityNickname "
        "FederationIdentifier UserType ReceivesAdminInfoEmails",
        "Username Alias Email IsActive LastName FirstName Division Department",
    ),
    OTHER: _marks(
        "SystemModstamp LastModifiedById CreatedById LastReferencedDate LastViewedDate ForecastUserId PortalType "
        "MayForecastManagerShare CaseAccessForAccountOwner OpportunityAccessForAccountOwner "
        "ContactAccessForAccountOwner",
        "CreatedDate LastModifiedDate IsDeleted ParentRoleId RollupDescription DeveloperName",
    ),
}  # fmt: skip

_LEAST_SCORE: Final = 5


@dataclass(frozen=True)
class RecognisedObject:
    """An object that a table was told to hold, how surely (0-1), and by what."""

    name: str
    confidence: float
    evidence: str


def tell_object(columns: Mapping[str, int], records: Iterable[Sequence[str]]) -> RecognisedObject | None:
    """Return the object that a table with these columns and first records holds; None when it is not Salesforce's.

    `columns` as from `find_columns`. An id that Salesforce gave decides; without one (no record, a Guid for
    a key, ids made unreadable) the columns must be an object's own.
    """
    objects = [name for name in _MARKS if name != OTHER]
    best = max(objects, key=lambda name: _MARKS[name].score(columns))
    found = _commonest_id(columns, records)
    told = _told_by_id(found, best, columns) if found is not None else None
    if told is not None:
        return told
    score = _MARKS[best].score(columns)
    if score < _LEAST_SCORE:
        best, score = OTHER, _MARKS[OTHER].score(columns) if "id" in columns else 0
    if score < _LEAST_SCORE:
        return None
    own = sorted(_MARKS[best].own & columns.keys())
    return RecognisedObject(
        best, 0.6 if best == OTHER else min(0.9, 0.5 + 0.03 * score), f"columns {', '.join(own[:3])}"
    )


def _told_by_id(record_id: str, best: str, columns: Mapping[str, int]) -> RecognisedObject | None:
    name = _PREFIXES.get(record_id[:3])
    if name is None:  # relations of emails have no prefix that is published
        name = best if best == "EmailMessageRelation" and _MARKS[best].score(columns) >= _LEAST_SCORE else OTHER
    # 15 letters and digits may be anybody's; 18 carry a checksum.
    needed = 0 if len(record_id) == 18 else 2
    count = _MARKS[name].count(columns)
    if count < needed:
        return None
    confidence = (0.6 if name == OTHER else 0.75) if not count else 0.9 if name == OTHER else 0.98
    return RecognisedObject(name, confidence, f"ids begin with {record_id[:3]}")


def _commonest_id(columns: Mapping[str, int], records: Iterable[Sequence[str]]) -> str | None:
    """Return an id with the prefix that most of the first records have; 18 characters count before 15."""
    place = columns.get("id")
    if place is None:
        return None
    ids = [cells[place].strip() for cells in records if place < len(cells)]
    counts = Counter((len(text), text[:3]) for text in ids if is_record_id(text) and text.strip("0"))
    if not counts:
        return None
    length, prefix = max(counts, key=lambda found: (found[0], counts[found], found[1]))
    return next(text for text in ids if len(text) == length and text.startswith(prefix))
