"""Who stands on each side of a call or message, as far as one record tells.

A record names its parties in many ways: a number, an extension, an address, a device, a person's name.
Numbers and addresses become tokens. Extensions stay as endpoints, for the directory. A word stays as an
endpoint only on our side: on the other side it may be a customer's name, and that is not kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from pipeline.errors import InvalidRecord
from pipeline.identifiers import WITHHELD_WORDS, Identifiers
from schemas.raw import Direction

# Distinct texts remembered; forgotten all at once, because the identifiers behind have a cache of their own.
MEMORY = 100_000

_DIALLED = re.compile(r"^(?:sips?|tel|callto|whatsapp|sms|smsto):|^[+\d][\d\s().-]*@", re.IGNORECASE)
_NAMED_EXTENSION = re.compile(r"^(?:ext(?:ension)?|alanumero|anknytning)[\s.:]*(\d{2,6})$", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"^\+|\d(?:[\s().-]{0,3}\d){6,}")
_GUID = re.compile(r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)
_LONGEST_WORD = 64


@dataclass(frozen=True, slots=True)
class Party:
    """One side. `word` is a text that is no number: a device or a person's name. Nothing at all: withheld."""

    endpoint: str | None = None
    token: str | None = None
    domain: str | None = None
    word: str | None = None
    is_emergency: bool = False


NOBODY = Party()


# Both sides as the columns of an observation: from_endpoint, from_token, from_domain, to_endpoint, to_token,
# to_domain, via_endpoint, emergency.
Sides = tuple[str | None, str | None, str | None, str | None, str | None, str | None, str | None, bool]


def is_long_number(text: str) -> bool:
    """Return whether a text could be a customer's number, so that it must not be kept as an endpoint.

    >>> is_long_number("201"), is_long_number("trunk-7"), is_long_number("0401234567")
    (False, False, True)
    """
    return _LONG_NUMBER.search(text) is not None


@lru_cache(maxsize=10_000)
def endpoint_of(text: str | None) -> str | None:
    """Return a device, queue or representative as the source names it, or None when it could be a customer."""
    if not text:
        return None
    text = text.strip()
    if _GUID.match(text):
        return text
    return text[:_LONGEST_WORD] if text and "@" not in text and not is_long_number(text) else None


def _placed_word(party: Party, direction: Direction | None, ours_when: Direction) -> Party:
    """Return the party with its word as endpoint where the direction says that this side is ours."""
    if party.word is None or party.endpoint is not None or direction not in (ours_when, "internal"):
        return party
    return replace(party, endpoint=endpoint_of(party.word))


def _is_caller_ours(caller: Party, called: Party) -> bool:
    if (caller.endpoint is None) != (called.endpoint is None):
        return caller.endpoint is not None
    if caller.token is not None and called is NOBODY:
        return False
    raise InvalidRecord("cannot tell on which side the representative is; give direction, or customer in place of from")


class Parties:
    """Reads the texts that stand for parties. Bounded in memory."""

    def __init__(self, identifiers: Identifiers) -> None:
        self._identifiers = identifiers
        self._numbers: dict[str, Party] = {}
        self._handles: dict[tuple[str, str], Party] = {}

    def number(self, raw: str | None) -> Party:
        """Return who a text stands for where numbers are expected."""
        if not raw:
            return NOBODY
        party = self._numbers.get(raw)
        if party is None:
            party = self._read_number(raw)
            if len(self._numbers) >= MEMORY:
                self._numbers.clear()
            self._numbers[raw] = party
        return party

    def handle(self, raw: str | None, namespace: str) -> Party:
        """Return who a text stands for where user names are expected; numbers with + and addresses count as such."""
        if not raw:
            return NOBODY
        party = self._handles.get((raw, namespace))
        if party is None:
            party = self._read_handle(raw.strip(), namespace)
            if len(self._handles) >= MEMORY:
                self._handles.clear()
            self._handles[raw, namespace] = party
        return party

    @staticmethod
    def plain_sides(caller: Party, called: Party, direction: Direction | None) -> Sides:
        """Return what `sides` does for a record that names no more than its two parties; faster."""
        if caller.word is not None or called.word is not None:
            caller, called = _placed_word(caller, direction, "outbound"), _placed_word(called, direction, "inbound")
        return (
            caller.endpoint,
            caller.token,
            caller.domain,
            called.endpoint,
            called.token,
            called.domain,
            None,
            caller.is_emergency or called.is_emergency,
        )

    def sides(
        self,
        caller: Party,
        called: Party,
        direction: Direction | None,
        customer: Party = NOBODY,
        representative: str | None = None,
        queue: str | None = None,
        caller_device: str | None = None,
        called_device: str | None = None,
    ) -> Sides:
        """Return both sides, with the customer and the representative put where the direction says.

        Without a direction the customer is taken for the caller, which is also how the engine reads
        a record of which neither side is known.

        Raises:
            InvalidRecord: when nothing tells on which side the representative is.
        """
        we_call = direction == "outbound"
        if direction is None and customer is NOBODY and representative:
            we_call = _is_caller_ours(caller, called)
        if customer is not NOBODY:
            if we_call:
                called = customer
            else:
                caller = customer
        caller, called = _placed_word(caller, direction, "outbound"), _placed_word(called, direction, "inbound")
        from_endpoint = endpoint_of(caller_device) or caller.endpoint
        to_endpoint = endpoint_of(called_device) or called.endpoint
        from_token, from_domain, to_token, to_domain = caller.token, caller.domain, called.token, called.domain
        if representative and not (direction == "internal" and (from_endpoint or to_endpoint)):
            ours = self.number(representative)
            name = ours.endpoint or endpoint_of(ours.word)
            if we_call or direction == "internal":
                from_endpoint = name or from_endpoint
                if ours.token:
                    from_token, from_domain = ours.token, ours.domain
            else:
                to_endpoint = name or to_endpoint
                if ours.token:
                    to_token, to_domain = ours.token, ours.domain
        is_emergency = caller.is_emergency or called.is_emergency
        via = endpoint_of(queue) if queue else None
        return from_endpoint, from_token, from_domain, to_endpoint, to_token, to_domain, via, is_emergency

    def _read_number(self, raw: str) -> Party:
        text = raw.strip()
        if _GUID.match(text):  # its digits are no number, however many stand in a row
            return Party(word=text)
        if "@" in text and not _DIALLED.match(text):
            address = self._identifiers.email(text)
            return Party(token=address.token, domain=address.domain) if address.token else NOBODY
        identity = self._identifiers.phone(text)
        if identity.token is not None:
            return Party(token=identity.token, is_emergency=identity.is_emergency)
        has_letters = any(letter.isalpha() for letter in text)
        named = _NAMED_EXTENSION.match(text)
        if named:
            return Party(endpoint=named[1])
        if identity.kind == "extension" and (not has_letters or _DIALLED.match(text)):
            return Party(endpoint=identity.display or None, is_emergency=identity.is_emergency)
        # "r017" and "queue 3" are names with digits in them, no extensions.
        is_word = has_letters and text.casefold() not in WITHHELD_WORDS and not is_long_number(text)
        return Party(word=text) if is_word else NOBODY

    def _read_handle(self, text: str, namespace: str) -> Party:
        if text.startswith("+") or _DIALLED.match(text):
            identity = self._identifiers.phone(text)
            if identity.token is not None:
                return Party(token=identity.token, word=text)
        if "@" in text.lstrip("@"):
            address = self._identifiers.email(text)
            if address.token is not None:
                return Party(token=address.token, domain=address.domain)
        identity = self._identifiers.handle(text, namespace)
        return Party(token=identity.token, word=text) if identity.token else NOBODY
