"""CRM records and the directory, in bypassflow's own JSON, into facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Final

from pipeline.columns import SECOND, tick
from pipeline.errors import InvalidRecord
from pipeline.sources.message_headers import masked_key, message_key
from pipeline.sources.registry import ReadContext
from schemas.crm import Account, Activity, Contact, FeedProgress, Ticket, User
from schemas.directory import Representative
from schemas.facts import FactKind
from schemas.raw import Record

MINUTE: Final = 60 * SECOND

Row = dict[str, object]


def crm_facts(record: Record, position: int | str, context: ReadContext, latest: int) -> Iterator[tuple[FactKind, Row]]:
    """Yield the facts of one record of the CRM or the directory, one but for an activity on several accounts.

    Raises:
        InvalidRecord: when the record contradicts itself or is dated after `latest` (microseconds since 1970).
    """
    match record:
        case Contact():
            yield (
                "contact",
                _place(position, context)
                | _version(record, context)
                | {
                    "contact_id": record.contact_id,
                    "account_id": record.account_id or None,
                    "tokens": tokens(record.phones, record.emails, context, record.handles),
                },
            )
        case Account():
            domains = {context.identifiers.domain_token(domain) for domain in record.domains}
            yield (
                "account",
                _place(position, context)
                | _version(record, context)
                | {
                    "account_id": record.account_id,
                    "tokens": tokens(record.phones, record.emails, context),
                    "domains": sorted(domain for domain in domains if domain),
                    "segment": record.segment or None,
                },
            )
        case Activity():
            yield from _activities(record, record.activity_id, record.activity_kind, [], position, context, latest)
        case Ticket():
            requester = tokens(record.requester_phones, record.requester_emails, context)
            yield from _activities(record, record.ticket_id, "ticket", requester, position, context, latest)
        case User():
            yield (
                "crm_user",
                _place(position, context)
                | {
                    "user_id": record.user_id,
                    "email_token": context.identifiers.email(record.email).token,
                },
            )
        case FeedProgress():
            through = tick(record.complete_through, context.zone)
            if through > latest:
                raise InvalidRecord("dated in the future: complete_through is more than a day after the file was read")
            yield "feed_progress", {"source": context.source, "complete_through": through}
        case Representative():
            yield "directory_entry", directory_entry(record, context)
        case _:
            raise TypeError(f"no record of a CRM: {type(record).__name__}")


def directory_entry(record: Representative, context: ReadContext) -> Row:
    """Return the directory's fact of one representative or shared line.

    Raises:
        InvalidRecord: when the row has no team or its validity ends before it begins.
    """
    phone, email = context.identifiers.phone, context.identifiers.email
    valid_from = _day_begins("valid_from", record.valid_from, context)
    valid_to = _day_begins("valid_to", record.valid_to, context)
    if not record.team.strip():
        raise InvalidRecord("team is empty; every row belongs to a team")
    if valid_from is not None and valid_to is not None and valid_to <= valid_from:
        raise InvalidRecord("valid_to is not after valid_from; valid_to is the first day that no longer counts")
    for name, value in (("direct_number", record.direct_number), ("mobile_number", record.mobile_number)):
        if value and phone(value).token is None:
            raise InvalidRecord(f"{name} is not a whole telephone number; short numbers belong in extension")
    if record.email and email(record.email).token is None:
        raise InvalidRecord("email is not an address such as name@company.example")
    return {
        "representative_id": _word(record.representative_id),
        "name": _word(record.name),
        "team": _word(record.team),
        "function": record.function,
        "extension": _word(record.extension),
        "email_token": email(record.email).token if record.email else None,
        "direct_token": phone(record.direct_number).token if record.direct_number else None,
        "mobile_token": phone(record.mobile_number).token if record.mobile_number else None,
        "valid_from": valid_from,
        "valid_to": valid_to,
    }


def tokens(
    phones: Iterable[str], emails: Iterable[str], context: ReadContext, handles: Iterable[str] = ()
) -> list[str]:
    """Return the distinct tokens of a customer's identifiers, sorted; what cannot be read gives none."""
    identifiers = context.identifiers
    found = {identifiers.phone(phone).token for phone in phones}
    found |= {identifiers.email(email).token for email in emails}
    for handle in handles:
        namespace, separator, name = handle.partition(":")
        if separator:
            found.add(identifiers.handle(name, namespace.strip()).token)
    return sorted(token for token in found if token)


def activity_keys(key: str, kind: str) -> set[str]:
    """Return the forms under which a key of an activity of a kind meets interactions' own: Message-IDs are masked.

    A telephone's id of a call may be written like a Message-ID. A call carries that one, an email a Message-ID, and of
    other kinds nobody knows: they get both forms.

    >>> activity_keys(" <1275447987.2063@pony.example> ", "email"), activity_keys("1714630504.17", "note")
    ({'x:c1efa7d4183173572d948a02'}, {'1714630504.17'})
    """
    key = key.strip()
    if kind == "call" or not ("@" in key or key.startswith("<")):
        return {key}
    return {masked_key(key)} if kind == "email" else {message_key(key), masked_key(key)}


def _activities(
    record: Activity | Ticket,
    record_id: str,
    kind: str,
    requester: list[str],
    position: int | str,
    context: ReadContext,
    latest: int,
) -> Iterator[tuple[FactKind, Row]]:
    logged_from, logged_to, precision = _logged(record, context)
    if logged_from > latest:
        raise InvalidRecord("dated in the future: it was logged more than a day after the file was read")
    accounts = sorted({account for account in record.account_ids if account})
    row: Row = (
        _place(position, context)
        | _version(record, context)
        | {
            "activity_id": record_id,
            "kind": kind,
            "logged_from": logged_from,
            "logged_to": logged_to,
            "precision": precision,
            "owner_id": record.owner_id or None,
            "creator_id": record.creator_id or None,
            "contact_ids": sorted({contact for contact in record.contact_ids if contact}),
            "account_ids": accounts,
            "keys": sorted({form for key in record.keys if key.strip() for form in activity_keys(key, kind)} - {""}),
            "tokens": requester,
            "direction": record.direction if record.direction != "internal" else None,
        }
    )
    if len(accounts) < 2:
        yield "activity", row
        return
    # Which contact belongs to which account is not said, so each account gets the activity without contacts.
    for account in accounts:
        yield "activity", row | {"activity_id": f"{record_id}:{account}", "account_ids": [account], "contact_ids": []}


def _logged(record: Activity | Ticket, context: ReadContext) -> tuple[int, int, str]:
    """Return first and last instant of when a record was logged, and the precision."""
    if (record.logged_at is None) == (record.logged_on is None):
        raise InvalidRecord("give exactly one of logged_at and logged_on")
    if record.logged_at is None or record.precision == "day":
        day = record.logged_on or _local_day(record.logged_at, context)
        first = tick(day, context.zone)
        return first, tick(day + timedelta(days=1), context.zone) - 1, "day"
    moment = tick(record.logged_at, context.zone)
    if record.precision == "minute":
        first = moment - moment % MINUTE
        return first, first + MINUTE - 1, "minute"
    return moment, moment, "second"


def _local_day(moment: datetime | None, context: ReadContext) -> date:
    assert moment is not None  # the caller has checked
    return (moment.astimezone(context.zone) if moment.tzinfo else moment).date()


def _place(position: int | str, context: ReadContext) -> Row:
    return {"raw_id": context.raw_id(position), "source": context.source}


def _version(record: Contact | Account | Activity | Ticket, context: ReadContext) -> Row:
    updated = tick(record.updated_at, context.zone) if record.updated_at is not None else None
    return {"updated_at": updated, "deleted": record.deleted}


def _day_begins(name: str, day: date | None, context: ReadContext) -> int | None:
    try:
        return None if day is None else tick(day, context.zone)
    except OverflowError:
        raise InvalidRecord(f"{name} is out of range; leave it empty where there is no such day") from None


def _word(text: str | None) -> str | None:
    return (text or "").strip() or None
