"""One record of Dataverse, told in the fields of a canonical one: who it is, or what was logged on whom, and when."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pipeline.errors import InvalidRecord
from pipeline.sources.beside import Beside, on_customers
from pipeline.sources.crm_activities import as_ticket, keys_of, time_logged, version_of
from pipeline.sources.crm_values import Clock, addresses_in, flag_of, named_fields, text_of, texts_of
from pipeline.sources.dynamics_objects import (
    ACTIVITIES,
    KEYS,
    KINDS,
    NOTE,
    PARTY,
    POINTER,
    Lookup,
    columns_of,
    guid_of,
    logical_name,
    lookup,
    tell_record,
)
from pipeline.sources.dynamics_parties import TYPELESS, case_ties, parties_in, party_ties
from pipeline.sources.registry import ReadContext
from pipeline.sources.translation import Fields, renaming

FIELDS: Final = (
    "activityid", "activitytypecode", "statecode", "statuscode", "createdon", "modifiedon", "actualend", "senton",
    "ownerid", "createdby", "regardingobjectid", "directioncode", "leftvoicemail", "messageid", "sender",
    "torecipients", "phonenumber", "call_id", "annotationid", "objectid", "contactid", "leadid", "accountid",
    "parentcustomerid", "parentaccountid", "parentcontactid", "merged", "masterid", "emailaddress1", "emailaddress2",
    "emailaddress3", "telephone1", "telephone2", "telephone3", "mobilephone", "home2", "business2", "company",
    "assistantphone", "callback", "fax", "address1_telephone1", "websiteurl", "industrycode", "incidentid",
    "customerid", "primarycontactid", "systemuserid", "internalemailaddress", "domainname", "isdelete",
    "sinkmodifiedon", "_fivetran_deleted", "_fivetran_active", "_fivetran_synced",
)  # fmt: skip
"""The columns that are read, and those that a mapping may name; call_id has no column until a mapping gives it one."""

_LOOKUPS: Final = (
    "ownerid", "createdby", "regardingobjectid", "objectid", "parentcustomerid", "accountid", "parentaccountid",
    "parentcontactid", "masterid", "customerid", "primarycontactid",
)  # fmt: skip
_PHONES: Final = (
    "telephone1", "telephone2", "telephone3", "mobilephone", "home2", "business2", "company", "assistantphone",
    "callback", "fax", "address1_telephone1",
)  # fmt: skip
_EMAILS: Final = ("emailaddress1", "emailaddress2", "emailaddress3")
_STATES: Final = {"0": "open", "1": "completed", "2": "canceled", "3": "scheduled", "cancelled": "canceled"}
# When a warehouse noticed that a record was gone: nothing else may be left of it.
_NOTICED: Final = ("sinkmodifiedon", "_fivetran_synced")
# Source: the reference of the table email. Draft, canceled, failed; and what is completed, yet on its way.
_UNSENT: Final = frozenset(
    ("1", "5", "6", "7", "8", "draft", "canceled", "cancelled", "pending send", "sending", "failed")
)
_OUTGOING: Final = frozenset({"true", "1", "yes", "outgoing"})
_INCOMING: Final = frozenset({"false", "0", "no", "incoming"})


class RecordReader:
    """Tells the records of one file. `table` is what the file holds; a record may say that it is of another one.

    `told_beside` are the tables of the files beside it. Afterwards `untied_count` of the `activity_count` activities
    were tied to nobody, `void_count` more came to nothing, and `typeless_count` lookups did not say what they lead to.
    `has_parties` is whether anything
    said who took part in an activity.
    """

    def __init__(
        self, table: str, is_table: bool, context: ReadContext, beside: Beside, told_beside: Collection[str]
    ) -> None:
        mapping = {name: logical_name(column) for name, column in context.mapping.items()}
        self._rename = renaming(replace(context, mapping=mapping), FIELDS, {})
        self._table = table
        self._is_table = is_table
        self._is_fixed = "object" in context.options
        self._beside = beside
        self._told_beside = frozenset(told_beside)
        self._clock = Clock(context)
        self._phones = (*_PHONES, *named_fields("phone_fields", context))
        self._emails = (*_EMAILS, *named_fields("email_fields", context))
        self._segments = named_fields("segment_field", context) or ("industrycode",)
        self.activity_count = self.untied_count = self.typeless_count = self.void_count = 0
        self.has_parties = PARTY in told_beside
        self._tellers: Mapping[str, Callable[[str, Fields, Mapping[str, Any]], Fields | Sequence[Fields]]] = {
            **dict.fromkeys(ACTIVITIES, self._activity), NOTE: self._activity, "contact": self._contact,
            "lead": self._contact, "account": self._account, "incident": self._incident, "systemuser": self._user,
        }  # fmt: skip

    def tell(self, record: Mapping[str, Any]) -> Fields | Sequence[Fields]:
        """Return what a record tells: nothing, a canonical record or several.

        Raises:
            InvalidRecord: when it has no id, or no time that can be read.
        """
        whole = columns_of(record)
        name = (None if self._is_fixed else tell_record(record, self._is_table)) or self._table
        teller = self._tellers.get(name)
        if teller is None:
            return ()
        values = self._rename(whole)
        for each in _LOOKUPS:
            if f"{each}@type" in whole:
                values[f"{each}@type"] = whole[f"{each}@type"]
        if "_fivetran_active" in values and not flag_of(values["_fivetran_active"]):
            return ()  # a version that the warehouse itself superseded
        key = KEYS.get(name, "activityid")
        record_id = guid_of(values.get(key))
        if record_id is None:
            raise InvalidRecord(f"{key}: missing; every record of the table {name} has one")
        values["table"], values["id"] = name, record_id
        return teller(record_id, values, whole)

    # Who

    def _contact(self, record_id: str, values: Fields, whole: Mapping[str, Any]) -> Fields:
        is_merged = flag_of(values.get("merged"))
        return {
            "kind": "contact",
            "contact_id": record_id,
            "account_id": self._account_of(record_id, values),
            # What was merged into another record keeps its numbers; they are the other one's.
            "phones": () if is_merged else texts_of(whole, self._phones),
            "emails": () if is_merged else texts_of(whole, self._emails),
            **self._state(values, "_fivetran_synced"),
        }

    def _account_of(self, record_id: str, values: Fields) -> str | None:
        """Return whose customer somebody is: an account's; a lead that became a contact, that one's; else nobody's."""
        parent = self._lookup(values, "parentcustomerid")
        if parent is not None and parent.table in ("account", ""):
            return parent.id
        others = ("accountid", "parentaccountid", "parentcontactid")
        found = [lookup(values, name) for name in others]
        if flag_of(values.get("merged")):
            found.append(lookup(values, "masterid"))
        return next((other.id for other in found if other is not None and other.id != record_id), None)

    def _account(self, record_id: str, values: Fields, whole: Mapping[str, Any]) -> Fields:
        is_merged = flag_of(values.get("merged"))
        labels = [whole.get(f"{name}@label") or whole.get(name) for name in self._segments]
        return {
            "kind": "account",
            "account_id": record_id,
            "phones": () if is_merged else texts_of(whole, self._phones),
            "emails": () if is_merged else texts_of(whole, self._emails),
            "domains": () if is_merged else texts_of(values, ("websiteurl",)),
            "segment": next((text[:1_000] for label in labels if (text := text_of(label))), None),
            **self._state(values, "_fivetran_synced"),
        }

    def _user(self, record_id: str, values: Fields, whole: Mapping[str, Any]) -> Fields:
        address = text_of(values.get("internalemailaddress")) or text_of(values.get("domainname"))
        return {"kind": "user", "user_id": record_id, "email": address[:1_000] if "@" in address else None}

    # What was logged

    def _activity(self, record_id: str, values: Fields, whole: Mapping[str, Any]) -> Sequence[Fields]:
        table = values["table"]
        if self._table == POINTER and table in self._told_beside:
            return ()  # the table of its kind lies beside and tells more of it
        state = self._state(values)
        activity = {
            "kind": "activity",
            "activity_id": record_id,
            "activity_kind": "note" if table == NOTE else KINDS.get(table, "other"),
            **self._logged(values, state["deleted"]),
            **self._people(values),
            "keys": _keys(values),
            "direction": _direction(values),
            **state,
        }
        if _is_no_conversation(values):
            # It may have been planned, or a draft, when an earlier export told of it: that is taken back.
            self.void_count += 1
            return [{**activity, "deleted": True}]
        self.activity_count += 1
        regarding = self._lookup(values, "objectid" if table == NOTE else "regardingobjectid")
        contacts, accounts = self._customers(record_id, values, whole, regarding)
        if regarding is not None and regarding.table == "incident" and not contacts and not accounts:
            contacts, accounts = self._told_of(f"incident {regarding.id}")
            if not contacts and not accounts and "incident" in self._told_beside:
                return [_part_of_a_case(activity, values)]
        self.untied_count += not contacts and not accounts
        return on_customers(activity, contacts, accounts)

    def _customers(
        self, record_id: str, values: Fields, whole: Mapping[str, Any], regarding: Lookup | None
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Return the contacts and accounts that took part, or else the one that an activity is regarding."""
        ours = {found.id for name in ("ownerid", "createdby") if (found := lookup(values, name)) is not None}
        parties = parties_in(whole)
        if parties is None:
            contacts, accounts = self._told_of(f"activity {record_id}")
            typeless = self._beside.tied(f"activity {record_id}", TYPELESS)
        else:
            self.has_parties = True
            ties = list(party_ties(parties))
            contacts = [other for table, other in ties if table == "contact"]
            accounts = [other for table, other in ties if table == "account"]
            typeless = tuple(other for table, other in ties if table == TYPELESS)
        self.typeless_count += len(typeless)
        # Ids are unique in all tables: what nobody says to be an account is found as one, when it is one.
        contacts = [*contacts, *(other for other in typeless if other not in ours)]
        if regarding is not None and regarding.table == "account":
            accounts = [*accounts, regarding.id]
        if regarding is not None and not contacts and not accounts and regarding.table in ("contact", "lead", ""):
            contacts = [regarding.id]
        return contacts, accounts

    def _told_of(self, record: str) -> tuple[Sequence[str], Sequence[str]]:
        return self._beside.tied(record, "contact"), self._beside.tied(record, "account")

    def _incident(self, record_id: str, values: Fields, whole: Mapping[str, Any]) -> Sequence[Fields]:
        state = self._state(values)
        logged = self._clock.logged(values, "createdon", *(_NOTICED if state["deleted"] else ()))
        if logged is None:
            raise InvalidRecord("createdon: missing; nothing says when the case was opened")
        contacts, accounts = case_ties(values)
        ticket = {"kind": "ticket", "ticket_id": record_id, **logged, **self._people(values), **state}
        return on_customers(ticket, contacts, accounts)

    # When and by whom

    def _logged(self, values: Fields, is_deleted: bool) -> Fields:
        """Return when an activity was logged: an email from a mailbox when it was sent, anything else when it was
        created; a call or meeting that had been planned, when it was completed.

        Dataverse puts the time of completion into actualend unless somebody writes something else there.
        """
        is_talk = KINDS.get(values["table"]) in ("call", "meeting")
        return time_logged(
            self._clock,
            values,
            created=("createdon", *(_NOTICED if is_deleted else ())),
            sent=("senton",) if text_of(values.get("messageid")) else (),
            ended=("actualend",) if is_talk and _state_of(values) == "completed" else (),
        )

    def _people(self, values: Fields) -> Fields:
        owner, creator = lookup(values, "ownerid"), lookup(values, "createdby")
        return {"owner_id": owner.id if owner else None, "creator_id": creator.id if creator else None}

    def _state(self, values: Fields, *also: str) -> Fields:
        return version_of(
            self._clock,
            values,
            changed=("modifiedon", *also, "createdon"),
            deleted=("isdelete", "_fivetran_deleted"),
            noticed=_NOTICED,
        )

    def _lookup(self, values: Fields, name: str) -> Lookup | None:
        found = lookup(values, name)
        if found is not None and not found.table:
            self.typeless_count += 1
        return found


def _state_of(values: Mapping[str, Any]) -> str:
    written = text_of(values.get("statecode")).casefold()
    return _STATES.get(written, written)


def _is_no_conversation(values: Mapping[str, Any]) -> bool:
    """Return whether an activity tells that nothing came of it: canceled, nobody reached, or not sent."""
    state, table = _state_of(values), values["table"]
    if table != NOTE and state == "canceled":
        return True
    if table == "phonecall":
        return flag_of(values.get("leftvoicemail"))
    if table == "email":
        return state == "open" or text_of(values.get("statuscode")).casefold() in _UNSENT
    return False


def _keys(values: Mapping[str, Any]) -> list[str]:
    return keys_of(values.get("call_id"), values.get("messageid"))


def _direction(values: Mapping[str, Any]) -> str | None:
    written = text_of(values.get("directioncode")).casefold()
    return "outbound" if written in _OUTGOING else "inbound" if written in _INCOMING else None


def _part_of_a_case(activity: Fields, values: Mapping[str, Any]) -> Fields:
    """Return an activity on a case that no customer is known for: it may show a silo, it is no trace."""
    side = "torecipients" if activity["direction"] == "outbound" else "sender"
    return as_ticket(activity, [values.get("phonenumber")], addresses_in(values.get(side)))
