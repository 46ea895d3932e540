"""Who in a store was forgotten: their tokens, and the contacts and accounts in the CRM that are theirs alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import duckdb
import pyarrow as pa

from pipeline.forgetting import Forgotten

# Every column of the attached old store that holds tokens, also those of domains.
_TOKENS: Final = """
    SELECT token FROM old.identifier
    UNION SELECT from_token FROM old.observation_base
    UNION SELECT to_token FROM old.observation_base
    UNION SELECT from_domain FROM old.observation_base
    UNION SELECT to_domain FROM old.observation_base
    UNION SELECT party.token FROM (SELECT unnest(parties) AS party FROM old.observation_base WHERE len(parties) > 0)
    UNION SELECT party.domain FROM (SELECT unnest(parties) AS party FROM old.observation_base WHERE len(parties) > 0)
    UNION SELECT unnest(tokens) FROM old.contact
    UNION SELECT unnest(tokens) FROM old.account
    UNION SELECT unnest(domains) FROM old.account
    UNION SELECT unnest(tokens) FROM old.activity WHERE len(tokens) > 0
    UNION SELECT token FROM old.interaction_base
    UNION SELECT token FROM old.interaction_delta
"""
_IDS: Final = """
    SELECT contact_id FROM old.contact
    UNION SELECT account_id FROM old.contact
    UNION SELECT account_id FROM old.account
    UNION SELECT unnest(contact_ids) FROM old.activity WHERE len(contact_ids) > 0
    UNION SELECT unnest(account_ids) FROM old.activity WHERE len(account_ids) > 0
"""
# To be asked of a store in use.
OWN_TOKENS: Final = """
    SELECT email_token AS token FROM directory_entry
    UNION SELECT direct_token FROM directory_entry
    UNION SELECT mobile_token FROM directory_entry
"""


@dataclass(frozen=True)
class People:
    """Tokens, and ids of contacts and accounts, of those who were forgotten and occur in a store."""

    tokens: frozenset[str]
    contact_ids: frozenset[str]
    account_ids: frozenset[str]

    @property
    def ids(self) -> frozenset[str]:
        """Ids of contacts and accounts."""
        return self.contact_ids | self.account_ids

    def __bool__(self) -> bool:
        return bool(self.tokens or self.contact_ids or self.account_ids)


def find_people(db: duckdb.DuckDBPyConnection, forgotten: Forgotten) -> People:
    """Return who of the forgotten occurs in the attached old store.

    A contact is theirs when it alone holds one of their tokens; then so are the other tokens that it alone holds. An
    account is theirs when all that it has is theirs.
    """
    if not forgotten:
        return People(frozenset(), frozenset(), frozenset())
    tokens = forgotten.among("token", _column(db, _TOKENS))
    ids = forgotten.among("id", _column(db, _IDS))
    tokens -= set(_column(db, OWN_TOKENS))
    register(db, "forgotten_token", tokens)
    register(db, "forgotten_id", ids)
    db.execute(
        """
        CREATE OR REPLACE TEMP TABLE token_holder AS
        SELECT DISTINCT unnest(tokens) AS token, contact_id FROM old.contact;
        CREATE OR REPLACE TEMP TABLE sole_holder AS
        SELECT token, min(contact_id) AS contact_id FROM token_holder GROUP BY token HAVING count(*) = 1;
        CREATE OR REPLACE TEMP TABLE forgotten_contact AS
        SELECT contact_id AS id FROM sole_holder SEMI JOIN forgotten_token USING (token)
        UNION SELECT contact_id FROM old.contact WHERE contact_id IN (SELECT id FROM forgotten_id)
        """
    )
    more = _column(
        db,
        f"""
        SELECT token FROM sole_holder
        WHERE contact_id IN (SELECT id FROM forgotten_contact)
            AND token NOT IN (SELECT unnest(tokens) FROM old.account)
            AND token NOT IN (SELECT token FROM ({OWN_TOKENS}) WHERE token IS NOT NULL)
        """,
    )
    tokens |= set(more)
    register(db, "forgotten_token", tokens)
    accounts = _column(
        db,
        """
        WITH concerned AS (
            SELECT account_id FROM old.contact WHERE contact_id IN (SELECT id FROM forgotten_contact)
            UNION
            SELECT account_id FROM old.account WHERE list_has_any(tokens, (SELECT list(token) FROM forgotten_token))
            UNION SELECT id FROM forgotten_id
        ),
        others AS (
            SELECT account_id FROM old.contact
            WHERE account_id IS NOT NULL AND contact_id NOT IN (SELECT id FROM forgotten_contact)
            UNION SELECT account_id FROM old.account WHERE account_id IS NOT NULL AND len(domains) > 0
            UNION SELECT account_id FROM (SELECT account_id, unnest(tokens) AS token FROM old.account)
                WHERE account_id IS NOT NULL AND token NOT IN (SELECT token FROM forgotten_token)
        )
        SELECT account_id FROM concerned
        WHERE account_id IS NOT NULL AND account_id NOT IN (SELECT account_id FROM others)
            AND (
                account_id IN (SELECT account_id FROM old.account)
                OR account_id IN (SELECT account_id FROM old.contact WHERE account_id IS NOT NULL)
                OR account_id IN (SELECT id FROM forgotten_id)
            )
        """,
    )
    contacts = _column(
        db,
        """
        SELECT id FROM forgotten_contact
        UNION
        SELECT id FROM (SELECT unnest(contact_ids) AS id FROM old.activity WHERE len(contact_ids) > 0)
        SEMI JOIN forgotten_id USING (id)
        """,
    )
    return People(frozenset(tokens), frozenset(contacts), frozenset(accounts))


def register(db: duckdb.DuckDBPyConnection, name: str, values: Collection[str]) -> None:
    """Make a temporary table of one column of texts: `id`, or `token` for tables named so."""
    column = "token" if name.endswith("token") else "id"
    db.register("incoming_text", pa.table({column: pa.array(sorted(values), pa.string())}))
    db.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM incoming_text")
    db.unregister("incoming_text")


def _column(db: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    return [value for (value,) in db.execute(query).fetchall() if value is not None]
