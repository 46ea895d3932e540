"""Retention: what is old leaves a store, and is counted, so that the accounts still add up."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from schemas.retention import RetentionSettings
from sinks.connection import quoted
from sinks.erasure.erasing import alone
from sinks.rewriting import OLD, rewriting
from sinks.store import Store

# A dead letter tells no time: that of the record before it in its file is near.
_OLD_LETTERS = """
    WITH placed AS (
        SELECT
            file_number, started_at AS at,
            try_cast(regexp_extract(raw_id, ':([0-9]+)(#[0-9]+)?$', 1) AS BIGINT) AS position
        FROM observation_base
        WHERE started_at IS NOT NULL AND file_number IN (SELECT file_number FROM dead_letter)
    )
    SELECT letter.rowid AS number
    FROM dead_letter AS letter
    ASOF LEFT JOIN placed ON letter.file_number = placed.file_number AND letter.position >= placed.position
    LEFT JOIN source_file AS file ON file.file_number = letter.file_number
    WHERE coalesce(placed.at, file.first_at) < $through
"""


@dataclass(frozen=True)
class Retained:
    """How many rows left a store. Raw events and interactions of earlier times stay counted in it."""

    event_count: int = 0
    activity_count: int = 0
    interaction_count: int = 0
    letter_count: int = 0

    @property
    def is_nothing(self) -> bool:
        return self == Retained()


def retain(path: Path, settings: RetentionSettings, now: datetime) -> Retained:
    """Let what is too old leave a store; return how much that was. The file is written anew.

    Raises:
        TransientError: when a sink or a replay writes the store, or the disk is full. Nothing has changed then.
        ConfigurationError: when the store cannot be read.
    """
    Store.open(path, read_only=False).close()  # merges the log of its writes, and brings it up to date
    with alone(path) as placement:
        retained = _retain(path, placement.draft, settings, now)
        if not retained.is_nothing:
            placement.settle()
    return retained


def retain_draft(draft: Path, target: Path, settings: RetentionSettings, now: datetime) -> None:
    """Do the same to a store that a replay has finished, before it takes the place of the one at `target`.

    Interactions whose raw events have left the old store cannot be folded again: they are taken over.
    """
    before = target if target.exists() and _has_left(target) else None
    if before is None and not settings.is_set:
        return
    new = draft.with_name(f"{draft.name}.retained")
    _retain(draft, new, settings, now, before)
    os.replace(new, draft)


def _has_left(path: Path) -> bool:
    with Store.open(path) as store:
        return bool(store.rows("SELECT count(*) AS n FROM expired_event")[0]["n"])


def _retain(old: Path, new: Path, settings: RetentionSettings, now: datetime, before: Path | None = None) -> Retained:
    interactions = None if settings.interactions is None else now - settings.interactions
    evidence = None if settings.evidence is None else now - settings.evidence
    letters = None if settings.dead_letters is None else now - settings.dead_letters
    with rewriting(old, new) as both:
        db = both.connection
        db.execute(f"USE {OLD}")
        _find(db, max([through for through in (evidence, interactions) if through], default=None), interactions)
        parameters = {"through": letters or datetime.min}
        db.execute(f"CREATE OR REPLACE TEMP TABLE gone_letter AS {_OLD_LETTERS}", parameters)
        counts = [
            int(db.execute(f"SELECT count(*) FROM gone_{name}").fetchall()[0][0])
            for name in ("event", "activity", "interaction", "letter")
        ]
        db.execute("USE memory")
        both.copy(_queries())
        _count(db)
        if before is not None:
            _take_over(db, before, interactions)
        # Nobody is known any more whom nothing tells of.
        db.execute(
            """
            DELETE FROM new.identifier WHERE token NOT IN (
                SELECT from_token FROM new.observation_base WHERE from_token IS NOT NULL
                UNION SELECT to_token FROM new.observation_base WHERE to_token IS NOT NULL
                UNION SELECT from_domain FROM new.observation_base WHERE from_domain IS NOT NULL
                UNION SELECT to_domain FROM new.observation_base WHERE to_domain IS NOT NULL
                UNION SELECT unnest(list_concat(
                    list_transform(parties, lambda party: coalesce(party.token, '')),
                    list_transform(parties, lambda party: coalesce(party.domain, ''))
                )) FROM new.observation_base WHERE len(parties) > 0
                UNION SELECT unnest(tokens) FROM new.contact
                UNION SELECT unnest(list_concat(tokens, domains)) FROM new.account
                UNION SELECT unnest(tokens) FROM new.activity WHERE len(tokens) > 0
                UNION SELECT token FROM new.interaction_base WHERE token IS NOT NULL
                UNION SELECT token FROM new.interaction_delta WHERE token IS NOT NULL
                UNION SELECT email_token FROM new.directory_entry WHERE email_token IS NOT NULL
                UNION SELECT direct_token FROM new.directory_entry WHERE direct_token IS NOT NULL
                UNION SELECT mobile_token FROM new.directory_entry WHERE mobile_token IS NOT NULL
                UNION SELECT email_token FROM new.crm_user WHERE email_token IS NOT NULL
            )
            """
        )
    return Retained(*counts)


def _find(db: duckdb.DuckDBPyConnection, evidence: datetime | None, interactions: datetime | None) -> None:
    """Find what leaves. What was not folded yet stays, for it stands in no account."""
    least = datetime.min
    db.execute(
        """
        CREATE OR REPLACE TEMP TABLE gone_event AS
        SELECT raw_id, event.file_number, event.source, said.disposition::VARCHAR AS disposition,
            said.reason::VARCHAR AS reason
        FROM observation_base AS event JOIN current_disposition AS said USING (raw_id)
        WHERE event.started_at < $through
        """,
        {"through": evidence or least},
    )
    db.execute(
        """
        CREATE OR REPLACE TEMP TABLE gone_interaction AS
        SELECT interaction_id, date_trunc('month', started_at)::DATE AS month, channel::VARCHAR AS channel,
            outcome::VARCHAR AS outcome
        FROM current_interaction WHERE started_at < $through
        """,
        {"through": interactions or least},
    )
    db.execute(
        """
        CREATE OR REPLACE TEMP TABLE gone_activity AS
        WITH said AS (SELECT activity_id, interaction_id FROM current_activity_outcome)
        SELECT activity_id FROM activity SEMI JOIN said USING (activity_id)
        GROUP BY activity_id HAVING max(coalesce(logged_to, logged_from)) < $through
        UNION
        SELECT said.activity_id FROM said JOIN current_interaction AS told USING (interaction_id)
        WHERE told.started_at < $through
        """,
        {"through": evidence or least},
    )


def _queries() -> dict[str, str]:
    """Return for each table that loses rows the query of those that stay."""
    queries = {
        "observation_base": f"FROM {OLD}.observation_base ANTI JOIN gone_event USING (raw_id)",
        "late_fact": f"FROM {OLD}.late_fact ANTI JOIN gone_event USING (raw_id)",
        "activity": f"FROM {OLD}.activity ANTI JOIN gone_activity USING (activity_id)",
        "dead_letter": f"FROM {OLD}.dead_letter WHERE rowid NOT IN (SELECT number FROM gone_letter)",
    }
    for kind, gone, key in (
        ("disposition", "event", "raw_id"),
        ("interaction", "interaction", "interaction_id"),
        ("activity_outcome", "activity", "activity_id"),
    ):
        for part in ("base", "delta", "retracted"):
            queries[f"{kind}_{part}"] = f"FROM {OLD}.{kind}_{part} ANTI JOIN gone_{gone} USING ({key})"
    return queries


def _count(db: duckdb.DuckDBPyConnection) -> None:
    """Add what leaves to what left before."""
    for table, keys, gone, count in (
        ("expired_event", "file_number, source, disposition, reason", "gone_event", "raw_count"),
        ("expired_interaction", "month, channel, outcome", "gone_interaction", "interaction_count"),
    ):
        db.execute(f"DELETE FROM new.{table}")
        db.execute(
            f"""
            INSERT INTO new.{table} BY NAME
            SELECT {keys}, sum({count})::BIGINT AS {count} FROM (
                SELECT {keys}, {count} FROM {OLD}.{table}
                UNION ALL SELECT {keys}, count(*) FROM {gone} GROUP BY ALL
            ) GROUP BY ALL
            """
        )


def _take_over(db: duckdb.DuckDBPyConnection, before: Path, interactions: datetime | None) -> None:
    """Take over the interactions of times of which the new store has no raw events of their sources."""
    db.execute(f"ATTACH {quoted(before.resolve())} AS before (READ_ONLY); USE before")
    db.execute(
        """
        CREATE OR REPLACE TEMP TABLE first_event AS
        SELECT source, min(started_at) AS started_at FROM new.observation_base GROUP BY source
        """
    )
    db.execute(
        """
        INSERT INTO new.interaction_base BY NAME
        WITH known AS (
            SELECT interaction_id FROM new.interaction_base UNION SELECT interaction_id FROM gone_interaction
        )
        SELECT * FROM current_interaction AS was
        ANTI JOIN known USING (interaction_id)
        WHERE was.started_at >= $through AND NOT EXISTS (
            SELECT 1 FROM first_event
            WHERE list_contains(string_split(was.sources, '+'), first_event.source)
                AND first_event.started_at <= was.started_at
        )
        """,
        {"through": interactions or datetime.min},
    )
    db.execute(
        """
        INSERT INTO new.expired_interaction BY NAME
        SELECT * FROM expired_interaction ANTI JOIN (SELECT month FROM gone_interaction) AS again USING (month)
        """
    )
    db.execute("USE memory; DETACH before")
