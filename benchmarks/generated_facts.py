"""Facts of a plain company, made by DuckDB from their numbers alone: what the engine's own benchmarks fold."""

from __future__ import annotations

from typing import Final

import duckdb
import pyarrow as pa

from pipeline.columns import fact_table
from schemas.facts import FactKind

_FIRST: Final = "TIMESTAMP '2024-01-01 08:00:00'"
# The account and the number that everybody has in a company of one customer.
_SWITCHBOARD: Final = "switchboard!"


class Company:
    """Facts by number: calls one after the other, activities on the customers of calls. Same arguments, same facts."""

    def __init__(
        self, customers: int, *, representatives: int = 400, seconds_apart: float = 3, switchboard: bool = False
    ) -> None:
        """Make a company of so many contacts; with `switchboard` all of them share one account and one number."""
        self._customers = customers
        self._representatives = representatives
        self._account = f"'{_SWITCHBOARD}'" if switchboard else "NULL::VARCHAR"
        token = f"'{_SWITCHBOARD}'" if switchboard else "lpad(customer::VARCHAR, 12, 't')"
        self._db = duckdb.connect()
        self._db.execute(f"""
            SET enable_progress_bar = false;
            CREATE MACRO bits(number) AS md5_number_lower(concat('facts/', number));
            CREATE MACRO customer_of(number) AS (bits(number) % {customers})::BIGINT;
            CREATE MACRO representative_of(number) AS ((bits(number) >> 20) % {representatives})::BIGINT;
            CREATE MACRO started_at(number) AS {_FIRST} + to_microseconds(({seconds_apart} * 1000000 * number)::BIGINT);
            CREATE MACRO length_of(number) AS to_seconds(20 + ((bits(number) >> 40) % 240)::BIGINT);
            CREATE MACRO ended_at(number) AS started_at(number) + length_of(number);
            CREATE MACRO token_of(customer) AS {token};
        """)

    def standing(self) -> dict[str, pa.Table]:
        """Return who is who: directory, users, contacts, and a feed that has reached nothing yet."""
        return {
            "directory_entry": self._table(
                "directory_entry",
                f"""SELECT 'r' || i AS representative_id, 'Team ' || i % 8 AS team, 'other' AS function,
                    (2000 + i)::VARCHAR AS extension FROM range({self._representatives}) AS numbers(i)""",
            ),
            "contact": self._table(
                "contact",
                f"""SELECT 'crm:contact:' || i AS raw_id, 'crm' AS source, 'c' || i AS contact_id,
                    {self._account} AS account_id, [token_of(i)] AS tokens, {_FIRST} AS updated_at, false AS deleted
                    FROM range({self._customers}) AS numbers(i)""",
            ),
            "feed_progress": self._table("feed_progress", f"SELECT 'crm' AS source, {_FIRST} AS complete_through"),
        }

    def calls(self, first: int, count: int) -> pa.Table:
        """Return observations of so many answered calls, one leg each."""
        return self._table(
            "observation",
            f"""SELECT 'pbx:log:' || i AS raw_id, 'pbx' AS source, md5_number_lower(i::VARCHAR) AS record_digest,
                'call' AS channel, 'pbx' AS line, 'inbound' AS direction, started_at(i) AS started_at,
                started_at(i) + to_seconds(5) AS answered_at, ended_at(i) AS ended_at,
                epoch(ended_at(i) - started_at(i)) - 5 AS talk_seconds, 1 AS talk_basis, 'talk' AS attempt,
                'pbx:' || i AS key, i::VARCHAR AS event_id, i::VARCHAR AS session_id, 'trunk' AS from_endpoint,
                token_of(customer_of(i)) AS from_token, (2000 + representative_of(i))::VARCHAR AS to_endpoint
                FROM range({first}, {first + count}) AS numbers(i)""",
        )

    def activities(self, first: int, count: int, every: int = 4) -> pa.Table:
        """Return so many activities: of every so-manieth call, by who answered it, minutes after its end."""
        return self._table(
            "activity",
            f"""SELECT 'crm:task:' || i AS raw_id, 'crm' AS source, 'a' || i AS activity_id, 'call' AS kind,
                logged AS logged_from, logged AS logged_to, 'second' AS precision,
                'r' || representative_of(call) AS owner_id, 'r' || representative_of(call) AS creator_id,
                ['c' || customer_of(call)] AS contact_ids, logged AS updated_at, false AS deleted
                FROM (
                    SELECT i, i * {every} AS call,
                        ended_at(i * {every}) + to_seconds(((bits(i) >> 50) % 3600)::BIGINT) AS logged
                    FROM range({first}, {first + count}) AS numbers(i)
                )""",
        )

    def _table(self, kind: FactKind, query: str) -> pa.Table:
        found = self._db.sql(query).to_arrow_table()
        return fact_table(
            kind, {name: found.column(name).combine_chunks() for name in found.column_names}, found.num_rows
        )
