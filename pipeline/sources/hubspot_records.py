"""One record of HubSpot, told in the fields of a canonical record: who it is, or what was logged on whom, and when."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from pipeline.errors import InvalidRecord
from pipeline.sources.beside import Beside, on_customers
from pipeline.sources.crm_activities import as_ticket, keys_of, version_of
from pipeline.sources.crm_values import Clock, addresses_in, flag_of, id_of, named_fields, text_of, texts_of
from pipeline.sources.hubspot_associations import ACTIVITIES_CUSTOMERS, CUSTOMERS, TICKETS_CUSTOMERS, associated, is_cut
from pipeline.sources.hubspot_objects import (
    ACTIVITIES,
    CHANNELS,
    ENGAGEMENT,
    TYPES,
    Kind,
    fields_of,
    plain_name,
    tell_record,
)
from pipeline.sources.registry import ReadContext
from pipeline.sources.translation import Fields, renaming

FIELDS: Final = (
    "id", "hs_createdate", "hs_lastmodifieddate", "hs_timestamp", "hubspot_owner_id", "hs_created_by_user_id", "type",
    "hs_call_status", "hs_call_disposition", "hs_call_direction", "hs_call_external_id", "hs_call_from_number",
    "hs_call_to_number", "hs_email_message_id", "hs_email_direction", "hs_email_status", "hs_email_from_email",
    "hs_email_to_email", "hs_email_cc_email", "hs_meeting_start_time", "hs_communication_channel_type",
    "email", "hs_additional_emails", "phone", "mobilephone", "fax", "hs_whatsapp_phone_number",
    "hs_calculated_phone_number", "hs_calculated_mobile_number", "associatedcompanyid", "hs_merged_object_ids",
    "hs_calculated_merged_vids", "domain", "website", "hs_additional_domains", "industry", "userId", "archived",
    "archivedAt", "is_deleted", "_fivetran_deleted", "_fivetran_active", "_fivetran_synced",
)  # fmt: skip
"""The fields that are read, and those that a mapping may name."""

_PHONES: Final = (
    "phone", "mobilephone", "fax", "hs_whatsapp_phone_number", "hs_calculated_phone_number",
    "hs_calculated_mobile_number",
)  # fmt: skip
# Nobody talked: such a call is an attempt, and no trace of a conversation.
_NO_TALK: Final = frozenset({"BUSY", "CANCELED", "FAILED", "MISSED", "NO_ANSWER"})
# HubSpot's own outcomes of calls have the same ids in every account. Source: its guide to the calls interface.
_NOBODY_REACHED: Final = frozenset(
    {
        "9d9162e7-6cf3-4944-bf63-4dff82258764",  # busy
        "73a0d17f-1163-4015-bdd5-ec830791da20",  # no answer
        "b2cf5968-551e-4856-9783-52b3da59a7d0",  # left voicemail
    }
)
_SOMEBODY_REACHED: Final = frozenset(
    {
        "f240bbac-87c9-4f6e-bf70-924b57d47db7",  # connected
        "a4c4c377-d246-4b32-a13b-75a56a4cd0ff",  # left live message
        "17b47fee-58de-441e-a44c-c6300d46f273",  # wrong number
    }
)
_UNSENT: Final = frozenset({"SCHEDULED", "SENDING", "FAILED"})
_CALL_DIRECTIONS: Final = {"INBOUND": "inbound", "OUTBOUND": "outbound"}
_EMAIL_DIRECTIONS: Final = {"EMAIL": "outbound", "INCOMING_EMAIL": "inbound"}
_MOST_MERGED: Final = 1_000
_PRIMARY: Final = "contact_to_company"
_A_THOUSAND_YEARS: Final = timedelta(days=365_242)


class RecordReader:
    """Tells the records of one file.

    `object_name` is what the file holds; with `is_mixed` each record may be another object. `told_beside` are the
    objects of the files beside it. Afterwards `untied_count` of the `activity_count` activities were tied to nobody,
    `void_count` more came to nothing, and `cut_count` times a record had more associations than the export holds.
    `has_ties` is whether anything said whom an activity is tied to.
    """

    def __init__(
        self, object_name: str, is_mixed: bool, context: ReadContext, beside: Beside, told_beside: Collection[str]
    ) -> None:
        mapping = {name: plain_name(column) for name, column in context.mapping.items()}
        self._rename = renaming(replace(context, mapping=mapping), FIELDS, {})
        self._object = object_name
        self._is_mixed = is_mixed
        self._beside = beside
        self._told_beside = frozenset(told_beside)
        self._clock = Clock(context)
        self._phones = (*_PHONES, *map(plain_name, named_fields("phone_fields", context)))
        self._emails = ("email", *map(plain_name, named_fields("email_fields", context)))
        self._segments = tuple(map(plain_name, named_fields("segment_field", context))) or ("industry",)
        self.activity_count = self.untied_count = self.void_count = self.cut_count = 0
        self.has_ties = ACTIVITIES_CUSTOMERS in told_beside
        self._tellers: Mapping[str, Callable[[Fields, Mapping[str, Any]], Fields | Sequence[Fields]]] = {
            **dict.fromkeys(ACTIVITIES, self._activity), ENGAGEMENT: self._activity, "contact": self._contact,
            "company": self._company, "ticket": self._ticket, "owner": self._owner, "user": self._user,
        }  # fmt: skip

    def tell(self, record: Mapping[str, Any]) -> Fields | Sequence[Fields]:
        """Return what a record tells: nothing, a canonical record or several.

        Raises:
            InvalidRecord: when it has no id, or no time that can be read.
        """
        name = (tell_record(record) if self._is_mixed else None) or self._object
        teller = self._tellers.get(name)
        if teller is None:
            return ()
        whole = fields_of(record, name)
        values = self._rename(whole)
        if "_fivetran_active" in values and not flag_of(values["_fivetran_active"]):
            return ()  # a version that the warehouse itself superseded
        values["object"] = name
        if id_of(values.get("id")) is None:
            raise InvalidRecord(f"id: missing; every {name} of HubSpot has one")
        return teller(values, whole)

    # Who

    def _contact(self, values: Fields, whole: Mapping[str, Any]) -> Sequence[Fields]:
        contact_id = f"contact:{id_of(values['id'])}"
        account = self._account_of(values, whole)
        state = self._state(values, "_fivetran_synced")
        contact = {
            "kind": "contact",
            "contact_id": contact_id,
            "account_id": account,
            "phones": texts_of(whole, self._phones),
            "emails": [*texts_of(whole, self._emails), *_parts(values.get("hs_additional_emails"))],
            **state,
        }
        if state["deleted"]:
            return [contact]
        # What was logged on a contact that was merged into this one belongs to this one's customer. The deletion of the
        # other may be noticed after the merger, so this must count as the later of its versions.
        last = (state["updated_at"] or datetime(1970, 1, 1, tzinfo=UTC)) + _A_THOUSAND_YEARS
        merged = [
            {
                "kind": "contact",
                "contact_id": f"contact:{other}",
                "account_id": account or contact_id,
                "updated_at": last,
            }
            for other in _merged(values)
            if f"contact:{other}" != contact_id
        ]
        return [contact, *merged]

    def _account_of(self, values: Fields, whole: Mapping[str, Any]) -> str | None:
        """Return a contact's company: the primary one, or the only one."""
        company = id_of(values.get("associatedcompanyid"))
        if company is None:
            ties = associated(whole, "companies")
            primary = [other for other, label in ties if label == _PRIMARY]
            others = primary or [other for other, _ in ties]
            company = others[0] if len(set(others)) == 1 else None
        return f"company:{company}" if company else None

    def _company(self, values: Fields, whole: Mapping[str, Any]) -> Fields:
        return {
            "kind": "account",
            "account_id": f"company:{id_of(values['id'])}",
            "phones": texts_of(whole, self._phones),
            "emails": texts_of(whole, self._emails[1:]),
            "domains": [*texts_of(values, ("domain", "website")), *_parts(values.get("hs_additional_domains"))],
            "segment": next(iter(texts_of(whole, self._segments)), None),
            **self._state(values, "_fivetran_synced"),
        }

    def _owner(self, values: Fields, whole: Mapping[str, Any]) -> Sequence[Fields]:
        """Return an owner, and the user who it is: a record names its owner by one id and its creator by the other."""
        email = text_of(values.get("email")) or None
        user = id_of(values.get("userId")) or id_of(whole.get("userIdIncludingInactive"))
        owner = {"kind": "user", "user_id": f"owner:{id_of(values['id'])}", "email": email}
        return [owner, {**owner, "user_id": f"user:{user}"}] if user else [owner]

    def _user(self, values: Fields, whole: Mapping[str, Any]) -> Fields:
        return {
            "kind": "user", "user_id": f"user:{id_of(values['id'])}", "email": text_of(values.get("email")) or None,
        }  # fmt: skip

    # What was logged

    def _activity(self, values: Fields, whole: Mapping[str, Any]) -> Sequence[Fields]:
        self._complete(values)
        kind = self._kind(values)
        if kind is None:
            return ()
        record_id = str(id_of(values["id"]))
        owners: tuple[str, ...] = (f"{kind.object_name}:{record_id}", f"{ENGAGEMENT}:{record_id}")
        activity = {
            "kind": "activity",
            "activity_id": f"{kind.object_name}:{record_id}",
            "activity_kind": kind.activity_kind,
            **self._logged(values),
            **self._people(values),
            "keys": _keys(values),
            "direction": _direction(values, kind),
            **self._state(values),
        }
        if _is_no_conversation(values):
            # It may have been planned, or on its way, when an earlier export told of it: that is taken back.
            self.void_count += 1
            return [{**activity, "deleted": True}]
        self.activity_count += 1
        contacts, companies, tickets = (self._tied(owners, whole, name) for name in CUSTOMERS)
        if not contacts and not companies and tickets:
            owners = tuple(f"ticket:{ticket}" for ticket in tickets)
            contacts, companies = self._told_of(owners, "contacts"), self._told_of(owners, "companies")
            if not contacts and not companies and TICKETS_CUSTOMERS in self._told_beside:
                return [_part_of_a_ticket(activity, values)]
        self.untied_count += not contacts and not companies
        return on_customers(
            activity, [f"contact:{other}" for other in contacts], [f"company:{other}" for other in companies]
        )

    def _ticket(self, values: Fields, whole: Mapping[str, Any]) -> Sequence[Fields]:
        ticket_id = str(id_of(values["id"]))
        owners: tuple[str, ...] = (f"ticket:{ticket_id}",)
        contacts, companies = (self._tied(owners, whole, name) for name in ("contacts", "companies"))
        logged = self._clock.logged(values, "hs_createdate")
        if logged is None:
            raise InvalidRecord("createdate: missing; nothing says when the ticket was opened")
        ticket = {
            "kind": "ticket", "ticket_id": f"ticket:{ticket_id}", **logged, **self._people(values),
            **self._state(values),
        }  # fmt: skip
        return on_customers(ticket, [f"contact:{each}" for each in contacts], [f"company:{each}" for each in companies])

    def _kind(self, values: Fields) -> Kind | None:
        """Return what an activity is; None where the table of its kind lies beside and tells more of it."""
        told = TYPES.get(text_of(values.get("type")).upper())
        if values["object"] == ENGAGEMENT:
            if told is None or "hs_createdate" not in values:
                return None  # it has no time of its own: the table of its kind says when it was
            return None if told.object_name in self._told_beside else told
        if values["object"] == "communication":
            channel = CHANNELS.get(text_of(values.get("hs_communication_channel_type")).upper())
            typed = told.activity_kind if told is not None and told.object_name == "communication" else "other"
            return Kind("communication", channel or typed)
        return Kind(values["object"], values["object"])

    def _complete(self, values: Fields) -> None:
        """Take what an older table of one kind lacks from the table of all engagements beside it."""
        if "hs_createdate" in values or values["object"] not in ACTIVITIES:
            return
        noted = self._beside.noted(str(id_of(values["id"])))
        for name, value in (orjson.loads(noted) if noted else {}).items():
            values.setdefault(name, value)

    def _tied(self, owners: Collection[str], whole: Mapping[str, Any], name: str) -> tuple[str, ...]:
        """Return the ids that a record says it is tied to, or else that the files beside it say."""
        own = associated(whole, name)
        self.has_ties = self.has_ties or bool(own)
        self.cut_count += is_cut(whole, name)
        return tuple(dict.fromkeys(other for other, _ in own)) or self._told_of(owners, name)

    def _told_of(self, owners: Collection[str], name: str) -> tuple[str, ...]:
        found = [other for owner in owners for other in self._beside.tied(owner, CUSTOMERS[name])]
        return tuple(dict.fromkeys(found))

    # When and by whom

    def _logged(self, values: Fields) -> Fields:
        """Return when an activity was logged: when it was created, but for a message that was read from a mailbox."""
        if text_of(values.get("hs_email_message_id")):
            sent = self._clock.logged(values, "hs_timestamp")
            if sent is not None and self._clock.is_past(sent):  # a sender's clock may run wild
                return sent
        logged = self._clock.logged(values, "hs_createdate") or self._clock.day(
            values, "hs_timestamp", "hs_meeting_start_time"
        )
        if logged is None:
            raise InvalidRecord(
                "hs_createdate: missing; nothing says when it was logged. An older warehouse keeps it in the table of "
                "all engagements: put that beside this file"
            )
        return logged

    def _people(self, values: Fields) -> Fields:
        owner, creator = id_of(values.get("hubspot_owner_id")), id_of(values.get("hs_created_by_user_id"))
        return {
            "owner_id": f"owner:{owner}" if owner else None,
            "creator_id": f"user:{creator}" if creator else None,
        }

    def _state(self, values: Fields, *also: str) -> Fields:
        return version_of(
            self._clock,
            values,
            changed=("hs_lastmodifieddate", *also, "hs_createdate"),
            deleted=("archived", "is_deleted", "_fivetran_deleted"),
            noticed=("archivedAt", "_fivetran_synced"),
        )


def _is_no_conversation(values: Mapping[str, Any]) -> bool:
    """Return whether an activity tells that nobody was reached, or that nothing was sent.

    Of a call, what a person said came of it goes before what the telephone said.
    """
    if values["object"] == "email":
        return text_of(values.get("hs_email_status")).upper() in _UNSENT
    outcome = text_of(values.get("hs_call_disposition")).casefold()
    if outcome in _NOBODY_REACHED or outcome in _SOMEBODY_REACHED:
        return outcome in _NOBODY_REACHED
    return text_of(values.get("hs_call_status")).upper() in _NO_TALK


def _keys(values: Mapping[str, Any]) -> list[str]:
    return keys_of(values.get("hs_call_external_id"), values.get("hs_email_message_id"))


def _direction(values: Mapping[str, Any], kind: Kind) -> str | None:
    if kind.activity_kind == "email":
        written = text_of(values.get("hs_email_direction")) or text_of(values.get("type"))
        return _EMAIL_DIRECTIONS.get(written.upper())
    return _CALL_DIRECTIONS.get(text_of(values.get("hs_call_direction")).upper())


def _part_of_a_ticket(activity: Fields, values: Mapping[str, Any]) -> Fields:
    """Return an activity on a ticket that no customer is known for: it may show a silo, it is no trace."""
    inbound, outbound = activity["direction"] != "outbound", activity["direction"] != "inbound"
    sides = (("from_number", "from_email") if inbound else (), ("to_number", "to_email") if outbound else ())
    phones = [values.get(f"hs_call_{side[0]}") for side in sides if side]
    emails = [values.get(f"hs_email_{side[1]}") for side in sides if side]
    return as_ticket(activity, phones, [address for email in emails for address in addresses_in(email)])


def _merged(values: Mapping[str, Any]) -> Sequence[str]:
    """Return the ids of contacts that were merged into one; some accounts note the time behind a colon."""
    parts = [*_parts(values.get("hs_merged_object_ids")), *_parts(values.get("hs_calculated_merged_vids"))]
    found = dict.fromkeys(id_of(part.partition(":")[0]) for part in parts)
    return [other for other in found if other is not None][:_MOST_MERGED]


def _parts(value: object) -> list[str]:
    return [part.strip()[:1_000] for part in text_of(value).split(";") if part.strip()]
