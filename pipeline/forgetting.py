"""Who was forgotten: digests by which a token, or an id in the CRM, is known again without being told.

A digest is made with the company's key, so the list of them says nothing to anybody else. What comes again of somebody
who was forgotten is taken in as of nobody: it counts, and names no one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, Literal

import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.identifiers import Identifiers, Identity
from pipeline.keys import digester

# Stands for everybody who was forgotten. It has a token's form, and no identifier gives it.
NOBODY: Final = "forgottenOne"
_CACHE_SIZE: Final = 500_000
_TOKENS: Final = ("from_token", "to_token", "token")
_ID_LISTS: Final = ("contact_ids", "account_ids", "customer_ids")
# Of an engine's state: groups are named by a customer.
_GROUPS: Final = ("node", "a", "b")
# The company's own people.
_OWN_KINDS: Final = frozenset({"directory_entry", "token_row", "representative_row", "person_row", "crm_user"})
_DOMAIN_OF: Final = {"from_token": "from_domain", "to_token": "to_domain", "token": "domain"}


def token_of(identifiers: Identifiers, text: str) -> Identity:
    """Return who an identifier stands for: a number, an address, or a handle as network:name.

    Raises:
        InvalidRecord: when it is none of these; the message does not hold it.
    """
    text = text.strip()
    network, colon, name = text.partition(":")
    if "@" in text.lstrip("@"):
        identity = identifiers.email(text)
    elif colon and network.isalpha() and not name.lstrip(" +").replace(" ", "").isdigit():
        identity = identifiers.handle(name, network)
    else:
        identity = identifiers.phone(text)
    if identity.token is None:
        raise InvalidRecord(
            f"a text of {len(text)} characters that is no number, address or handle; expected one such as "
            "+358 40 123 4567, anna@example.fi or whatsapp:anna"
        )
    return identity


def identities(texts: Iterable[str], identifiers: Identifiers) -> list[Identity]:
    """Return who identifiers stand for, one a text; empty ones and those that begin with # are passed over.

    Raises:
        ConfigurationError: when one cannot be read, or there is none; it is named by its place.
    """
    found = []
    for number, text in enumerate(texts, start=1):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        try:
            found.append(token_of(identifiers, text))
        except InvalidRecord as error:
            raise ConfigurationError(f"identifier {number}: {error}") from None
    if not found:
        raise ConfigurationError(
            "no identifier was given; name numbers, addresses or handles, or give them one a line with --file"
        )
    return found


def significant_digits(e164: str) -> str | None:
    """Return the digits of a number without its country code; None when it has none.

    >>> significant_digits("+358401234567")
    '401234567'
    """
    try:
        return str(phonenumbers.parse(e164).national_number)
    except phonenumbers.NumberParseException:
        return None


class Forgotten:
    """The digests of one company, and what they mean for facts and results. For one thread at a time."""

    def __init__(self, key: bytes, digests: Collection[str] = ()) -> None:
        self.digest = digester(key)
        self.digests = frozenset(digests)
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self.digests)

    def row_number(self, row_id: str) -> int:
        """Return the digest of a row's id as a number of 64 bits, as a store keeps it."""
        return int(self.digest("row", row_id)[:16], 16)

    def with_more(self, tokens: Iterable[str], ids: Iterable[str] = ()) -> frozenset[str]:
        """Return the digests, and those of further tokens and ids."""
        return self.digests | {self.digest("token", token) for token in tokens} | {self.digest("id", id) for id in ids}

    def holds(self, kind: Literal["token", "id"], text: str) -> bool:
        """Return whether somebody with this token or id was forgotten."""
        if not self.digests:
            return False
        name = f"{kind}\0{text}"
        found = self._known.get(name)
        if found is None:
            if len(self._known) >= _CACHE_SIZE:
                self._known.clear()
            found = self._known[name] = self.digest(kind, text) in self.digests
        return found

    def among(self, kind: Literal["token", "id"], texts: Iterable[str | None]) -> set[str]:
        """Return those of some tokens or ids that are of somebody who was forgotten."""
        return {text for text in texts if text is not None and self.holds(kind, text)}

    def blanked(self, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
        """Return facts, results or an engine's state that name nobody who was forgotten, by kind.

        Their tokens become NOBODY, whom no contact holds; their contacts and accounts are left out, and so is how they
        may be shown; activities lose their ties to them.
        """
        return {kind: self._blanked(kind, table) for kind, table in tables.items()} if self else dict(tables)

    def _blanked(self, kind: str, table: pa.Table) -> pa.Table:
        names = set(table.column_names)
        if kind in _OWN_KINDS:
            return table
        if kind in ("identifier", "token_customer"):
            table = self._without(table, "token", "token")
        if kind in ("contact", "contact_fact"):
            table = self._without(table, "contact_id", "id")
            table = _replaced(table, "account_id", self._mask(table.column("account_id"), "id"), None)
        if kind in ("account", "account_fact"):
            table = self._without(table, "account_id", "id")
        for name in _TOKENS:
            if name in names:
                table = self._tokens(table, name)
        if "tokens" in names:
            table = self._lists(table, "tokens", "token")
        if "parties" in names:
            table = self._parties(table)
        for name in _ID_LISTS:
            if name in names:
                table = self._lists(table, name, "id")
        for name in _GROUPS:
            if name in names:
                table = _replaced(table, name, self._mask(table.column(name), "id"), NOBODY)
        if "contact_id" in names:
            mask = self._mask(table.column("contact_id"), "id")
            table = _replaced(table, "contact_id", mask, None)
        return table

    def _mask(self, column: pa.ChunkedArray, kind: Literal["token", "id"]) -> pa.ChunkedArray:
        found = self.among(kind, pc.unique(column.cast(pa.string())).to_pylist())
        return pc.is_in(column.cast(pa.string()), pa.array(sorted(found), pa.string()))

    def _without(self, table: pa.Table, name: str, kind: Literal["token", "id"]) -> pa.Table:
        """Return the rows of others."""
        mask = self._mask(table.column(name), kind)
        return table.filter(pc.invert(mask)) if pc.any(mask).as_py() else table

    def _tokens(self, table: pa.Table, name: str) -> pa.Table:
        mask = self._mask(table.column(name), "token")
        domain = _DOMAIN_OF.get(name, "")
        if domain in table.column_names:
            table = _replaced(table, domain, mask, None)
        return _replaced(table, name, mask, NOBODY)

    def _lists(self, table: pa.Table, name: str, kind: Literal["token", "id"]) -> pa.Table:
        column = table.column(name)
        found = self.among(kind, pc.unique(pc.list_flatten(column).cast(pa.string())).to_pylist())
        if not found:
            return table
        values = [None if row is None else [each for each in row if each not in found] for row in column.to_pylist()]
        return _with(table, name, values)

    def _parties(self, table: pa.Table) -> pa.Table:
        column = table.column("parties")
        tokens = pc.struct_field(pc.list_flatten(column), "token")
        found = self.among("token", pc.unique(tokens).to_pylist())
        if not found:
            return table
        values = [
            None
            if row is None
            else [{**each, "token": NOBODY, "domain": None} if each["token"] in found else each for each in row]
            for row in column.to_pylist()
        ]
        return _with(table, "parties", values)


def _replaced(table: pa.Table, name: str, mask: pa.ChunkedArray, value: str | None) -> pa.Table:
    if not pc.any(mask).as_py():
        return table
    index = table.schema.get_field_index(name)
    column = table.column(index)
    return table.set_column(index, table.schema.field(index), pc.if_else(mask, pa.scalar(value, column.type), column))


def _with(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    index = table.schema.get_field_index(name)
    field = table.schema.field(index)
    return table.set_column(index, field, pa.chunked_array([pa.array(values, field.type)]))
