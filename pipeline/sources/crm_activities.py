"""What records of CRMs have in common, whoever keeps them: keys of emails, versions, parts of tickets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from pipeline.errors import InvalidRecord
from pipeline.sources.beside import Tie
from pipeline.sources.crm_values import Clock, flag_of, text_of
from pipeline.sources.message_headers import masked_key
from pipeline.sources.translation import Fields


def keys_of(call_id: object, message_id: object) -> list[str]:
    """Return the keys that an activity carries: a telephone system's own id of a call, and an email's Message-ID.

    The latter is masked, see `masked_key`.

    >>> keys_of("77-1", "<1275447987.2063@pony.example>")
    ['77-1', 'x:c1efa7d4183173572d948a02']
    """
    keys = [text_of(call_id)[:1_000]]
    if written := text_of(message_id):
        keys.append(masked_key(written[:1_000]))
    return [key for key in keys if key]


def contacts_by_address(addresses: Iterable[str], tied: Callable[[str, str], Sequence[str]]) -> list[str]:
    """Return the contacts that have one of these addresses, as `address_ties` told of them; each once."""
    found = [contact for address in addresses for contact in tied(f"mail {address.lower()}", "contact")]
    return list(dict.fromkeys(found))


def address_ties(contact_id: str, addresses: Iterable[str]) -> Iterator[Tie]:
    """Yield ties from the addresses of a contact to it: an email may name nobody but by address."""
    return ((f"mail {address.lower()}", "contact", contact_id) for address in addresses)


def time_logged(
    clock: Clock,
    values: Mapping[str, Any],
    created: Sequence[str],
    sent: Sequence[str] = (),
    ended: Sequence[str] = (),
) -> Fields:
    """Return when an activity was logged, each time by the first of these fields that says it.

    `sent` is given for an email that was read from a mailbox: it counts at its own time. `ended` is given for a call or
    meeting that was done: one that had been planned was logged when it ended, or was marked as done. Times that have
    not come yet are not believed.

    Raises:
        InvalidRecord: when nothing says it, or the time that counts cannot be read.
    """
    mailed = clock.logged(values, *sent)
    if mailed is not None and clock.is_past(mailed):  # a sender's clock may run wild
        return mailed
    made = clock.logged(values, *created)
    if made is None:
        raise InvalidRecord(f"{created[0]}: missing; nothing says when it was logged")
    done: Fields | None = None
    with suppress(InvalidRecord):  # a wrong time of its end does not undo that it was created
        done = clock.logged(values, *ended)
    return done if done is not None and clock.is_past(done) and _is_later(done, made) else made


def version_of(
    clock: Clock, values: Mapping[str, Any], changed: Sequence[str], deleted: Sequence[str], noticed: Sequence[str]
) -> Fields:
    """Return when a record was last changed and whether it is deleted, by the first of these fields that say it.

    A deletion may not change the record itself: it is as late as it was `noticed`.
    """
    is_deleted = any(flag_of(values.get(name)) for name in deleted)
    last = clock.changed(values, *changed)
    if is_deleted:
        last = max((at for at in (last, clock.changed(values, *noticed)) if at is not None), default=None)
    return {"updated_at": last, "deleted": is_deleted}


def _is_later(one: Fields, other: Fields) -> bool:
    first, second = one.get("logged_at"), other.get("logged_at")
    return isinstance(first, datetime) and isinstance(second, datetime) and first > second


def as_ticket(activity: Fields, phones: Sequence[object], emails: Sequence[str]) -> Fields:
    """Return an activity on a ticket that no customer is known for: it may show a silo, it is no trace.

    `phones` and `emails` are those of the customer's side.
    """
    ticket = {name: value for name, value in activity.items() if name not in ("activity_id", "activity_kind")}
    return {
        **ticket,
        "kind": "ticket",
        "ticket_id": activity["activity_id"],
        "requester_phones": [text for phone in phones if (text := text_of(phone)[:1_000])],
        "requester_emails": list(emails),
    }
