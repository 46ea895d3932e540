"""The raw events of people who were forgotten: which are theirs alone, and what stands in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from sinks.erasure.names import Names
from sinks.erasure.people import People, register

Row = dict[str, Any]

_TOKEN_COLUMNS = {"from_token": "from_domain", "to_token": "to_domain"}


@dataclass
class Evidence:
    """Rows to be replaced, by their rowid, and what of their names is replaced elsewhere too.

    `evidence_ids` are of conversations that are theirs alone, `keys` names of conversations and messages, `raw_ids` old
    and new places. `domains` are tokens of domains that nobody else has.
    """

    rows: dict[int, Row] = field(default_factory=dict)
    evidence_ids: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    raw_ids: dict[str, str] = field(default_factory=dict)
    domains: set[str] = field(default_factory=set)


def replace_evidence(db: duckdb.DuckDBPyConnection, people: People, names: Names) -> Evidence:
    """Return what becomes of the raw events that name forgotten people.

    A raw event that is evidence of somebody else's interaction too, such as an email to several, keeps its names, for
    it is theirs as well; only the tokens go.
    """
    _find(db)
    found = _rows(db, "SELECT * FROM concerned_event")
    theirs = {row["evidence_id"] for row in found if row["is_alone"] and row["evidence_id"] is not None}
    alone = [row for row in found if row["is_alone"]]
    keys = {key for row in alone for key in _keys_of(row)}
    # Legs, marks and copies of the same conversations that name nobody.
    register(db, "their_key_id", keys)
    db.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE other_event AS
        SELECT {_COLUMNS} FROM old.observation_base AS event
        WHERE raw_id NOT IN (SELECT raw_id FROM concerned_event) AND (
            {_WHOLE_KEY} IN (SELECT id FROM their_key_id) OR event_id IN (SELECT id FROM their_key_id)
            OR session_id IN (SELECT id FROM their_key_id)
            OR (len(other_keys) > 0 AND list_has_any(other_keys, (SELECT list(id) FROM their_key_id)))
        )
        """
    )
    others = _rows(
        db,
        """
        SELECT event.*, said.evidence_id FROM other_event AS event
        LEFT JOIN (SELECT raw_id, evidence_id FROM old.current_disposition SEMI JOIN other_event USING (raw_id)) AS said
            USING (raw_id)
        """,
    )
    kept = [row for row in others if row["evidence_id"] is not None and row["evidence_id"] not in theirs]
    kept += [row for row in found if not row["is_alone"]]
    keys -= {key for row in kept for key in _keys_of(row)}
    spoken_for = {row["rowid"] for row in kept}
    more = [row for row in others if row["rowid"] not in spoken_for and keys & set(_keys_of(row))]
    evidence = Evidence(evidence_ids=theirs, keys=keys)
    conversations = {key: row["evidence_id"] for row in alone for key in _keys_of(row) if row["evidence_id"]}
    met = _domains_of(found, people)
    domains = _kept_domains(db, people, met)
    evidence.domains = met - domains
    for row in [*alone, *more]:
        conversation = next((conversations[key] for key in _keys_of(row) if key in conversations), row["raw_id"])
        evidence.raw_ids[row["raw_id"]] = names.place(row["source"], row["raw_id"])
        new = _without_tokens(row, row["evidence_id"] or conversation, people, names, domains)
        evidence.rows[row["rowid"]] = _without_names(new, keys, names)
    for row in found:
        if not row["is_alone"]:
            evidence.rows[row["rowid"]] = _without_tokens(row, row["evidence_id"], people, names, domains)
    return evidence


_WHOLE_KEY = "coalesce(nullif(key, ''), CASE WHEN key IS NULL THEN source || ':' || coalesce(session_id, event_id) END)"
_COLUMNS = f"event.rowid AS rowid, event.* , {_WHOLE_KEY} AS whole_key"


def _find(db: duckdb.DuckDBPyConnection) -> None:
    """Find the events of forgotten tokens, and of the conversations with them, into `concerned_event`."""
    db.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE named_event AS
        SELECT raw_id FROM old.observation_base
        WHERE from_token IN (SELECT token FROM forgotten_token) OR to_token IN (SELECT token FROM forgotten_token)
            OR (len(parties) > 0 AND list_has_any(
                list_transform(parties, lambda party: party.token), (SELECT list(token) FROM forgotten_token)
            ));
        CREATE OR REPLACE TEMP TABLE erased_interaction AS
        SELECT DISTINCT interaction_id, coalesce(evidence_id, interaction_id) AS evidence_id, token
        FROM (
            SELECT interaction_id, evidence_id, token FROM old.interaction_base SEMI JOIN forgotten_token USING (token)
            UNION ALL
            SELECT interaction_id, evidence_id, token FROM old.interaction_delta SEMI JOIN forgotten_token USING (token)
        );
        CREATE OR REPLACE TEMP TABLE concerned_evidence AS
        SELECT evidence_id FROM erased_interaction
        UNION
        SELECT evidence_id FROM old.current_disposition SEMI JOIN named_event USING (raw_id)
        WHERE evidence_id IS NOT NULL;
        CREATE OR REPLACE TEMP TABLE shared_evidence AS
        SELECT DISTINCT coalesce(evidence_id, interaction_id) AS evidence_id FROM old.current_interaction
        WHERE coalesce(evidence_id, interaction_id) IN (SELECT evidence_id FROM concerned_evidence)
            AND (token IS NULL OR token NOT IN (SELECT token FROM forgotten_token));
        CREATE OR REPLACE TEMP TABLE concerned_said AS
        SELECT raw_id, evidence_id FROM old.current_disposition
        WHERE raw_id IN (SELECT raw_id FROM named_event)
            OR evidence_id IN (SELECT evidence_id FROM concerned_evidence);
        CREATE OR REPLACE TEMP TABLE concerned_event AS
        SELECT
            {_COLUMNS}, said.evidence_id,
            said.evidence_id IS NULL OR said.evidence_id NOT IN (SELECT evidence_id FROM shared_evidence) AS is_alone
        FROM old.observation_base AS event
        LEFT JOIN concerned_said AS said USING (raw_id)
        WHERE raw_id IN (SELECT raw_id FROM named_event UNION SELECT raw_id FROM concerned_said)
        """
    )


def _without_tokens(row: Row, conversation: str, people: People, names: Names, domains: set[str]) -> Row:
    new = {name: value for name, value in row.items() if name not in ("rowid", "whole_key", "evidence_id", "is_alone")}

    def domain(value: str | None) -> str | None:
        return value if value in domains else None

    for token, of in _TOKEN_COLUMNS.items():
        if new[token] in people.tokens:
            new[token], new[of] = names.token(conversation, new[token]), domain(new[of])
    if new["parties"]:
        new["parties"] = [
            {**party, "token": names.token(conversation, party["token"]), "domain": domain(party["domain"])}
            if party["token"] in people.tokens
            else party
            for party in new["parties"]
        ]
    return new


def _without_names(row: Row, keys: set[str], names: Names) -> Row:
    """Return a row of which nothing leads to the record that it was made from."""
    source = row["source"]
    new = dict(row)
    new["raw_id"] = names.place(source, row["raw_id"])
    if row["record_digest"] is not None:
        new["record_digest"] = names.number(row["record_digest"])
    for name in ("key", "event_id", "session_id"):
        if row[name]:
            new[name] = renamed(row[name], source, keys, names)
    if row["other_keys"]:
        new["other_keys"] = [renamed(key, source, keys, names) for key in row["other_keys"]]
    return new


def renamed(key: str, source: str, keys: set[str], names: Names) -> str:
    """Return what stands for a key: one made of a source and an id stays so, since the store leaves out such keys."""
    prefix = f"{source}:"
    if key not in keys and not (key.startswith(prefix) and key[len(prefix) :] in keys):
        return key
    return prefix + names.text(key[len(prefix) :]) if key.startswith(prefix) else names.text(key)


def _keys_of(row: Mapping[str, Any]) -> list[str]:
    keys = [row["whole_key"], row["event_id"], row["session_id"], *(row["other_keys"] or ())]
    return [key for key in keys if key]


def _domains_of(rows: Iterable[Row], people: People) -> set[str]:
    """Return the domains of forgotten addresses in these rows."""
    met: set[str | None] = set()
    for row in rows:
        met |= {row[domain] for token, domain in _TOKEN_COLUMNS.items() if row[token] in people.tokens}
        met |= {party["domain"] for party in row["parties"] or () if party["token"] in people.tokens}
    return {domain for domain in met if domain}


def _kept_domains(db: duckdb.DuckDBPyConnection, people: People, met: Iterable[str]) -> set[str]:
    """Return those of some domains that others have too: they say nothing of one person."""
    register(db, "met_id", {domain for domain in met if domain not in people.tokens})
    register(db, "forgotten_account_id", people.account_ids)
    found = db.execute(
        """
        WITH seen AS (
            SELECT from_token AS token, from_domain AS domain FROM old.observation_base WHERE from_domain IS NOT NULL
            UNION ALL SELECT to_token, to_domain FROM old.observation_base WHERE to_domain IS NOT NULL
            UNION ALL
            SELECT party.token, party.domain
            FROM (SELECT unnest(parties) AS party FROM old.observation_base WHERE len(parties) > 0)
        )
        SELECT domain FROM seen
        WHERE domain IN (SELECT id FROM met_id) AND token NOT IN (SELECT token FROM forgotten_token)
        UNION
        SELECT domain FROM (
            SELECT unnest(domains) AS domain FROM old.account
            WHERE account_id NOT IN (SELECT id FROM forgotten_account_id)
        )
        WHERE domain IN (SELECT id FROM met_id)
        """
    ).fetchall()
    return {domain for (domain,) in found}


def _rows(db: duckdb.DuckDBPyConnection, query: str) -> list[Row]:
    found: list[Row] = db.sql(query).to_arrow_table().to_pylist()
    return found
