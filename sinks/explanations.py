"""The explanation of one interaction: its raw events, whom it was with, and every activity that was weighed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa

from pipeline.engine import Engine
from pipeline.errors import ConfigurationError
from pipeline.explain import Verdict, prepare, summary, weigh
from schemas.facts import SCHEMAS
from schemas.settings import EngineSettings
from sinks import measures
from sinks.store import Store

# How far around an interaction activities are shown that are outside of its window.
SHOWN_BEFORE = timedelta(days=2)
SHOWN_AFTER = timedelta(days=14)
MOST_ACTIVITIES = 200
_FEW = 4
# Facts that every interaction shares; the same few thousand rows for all.
SHARED = ("account", "directory_entry", "crm_user")


@dataclass(frozen=True)
class Explanation:
    """Everything that decided about one interaction. Rows are dictionaries with the columns of the store's views."""

    interaction: dict[str, Any]
    evidence: list[dict[str, Any]]
    holders: list[dict[str, Any]]
    verdicts: list[Verdict]
    summary: str


# Gives an engine that knows the shared facts of a store already.
EngineMaker = Callable[[Store], Engine]


def engine_of(store: Store) -> Engine:
    """Return an engine that knows the facts which every interaction of the store shares; it explains one of them."""
    return prepare(settings_of(store), {kind: _facts(store, kind, "", {}) for kind in SHARED})


def explain(store: Store, interaction_id: str, engine_of: EngineMaker = engine_of) -> Explanation:
    """Return the explanation of the interaction with this id, or with the only id that begins so.

    Raises:
        ConfigurationError: when no interaction, or more than one, has such an id.
    """
    interaction, evidence = measures.interaction_with_evidence(store, interaction_id)
    settings = settings_of(store)
    facts, fates = _surroundings(store, interaction, evidence, settings.window_after)
    verdicts = weigh(settings, facts, interaction, fates, engine_of(store))
    return Explanation(interaction, evidence, _holders(store, interaction), verdicts, summary(interaction, verdicts))


def settings_of(store: Store) -> EngineSettings:
    """Return the settings that the store's interactions were folded with, those of the last run.

    Raises:
        ConfigurationError: when there was no run.
    """
    run = store.last_run()
    if run is None:
        raise ConfigurationError(f"the store {store.path} holds no run; make one: bypassflow replay PATH --db FILE")
    return EngineSettings.model_validate_json(run.settings)


def _holders(store: Store, interaction: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the contacts and accounts that hold the interaction's identifier, in their latest versions."""
    contacts, accounts = (_latest_with(kind, "list_contains(tokens, $token)") for kind in ("contact", "account"))
    return store.rows(
        f"""
        SELECT 'contact' AS kind, contact_id AS id, account_id, source
        FROM ({contacts}) WHERE list_contains(tokens, $token) AND deleted IS NOT TRUE
        UNION
        SELECT 'account', account_id, account_id, source
        FROM ({accounts}) WHERE list_contains(tokens, $token) AND deleted IS NOT TRUE
        ORDER BY ALL
        """,
        {"token": interaction["token"]},
    )


def _latest_with(kind: str, condition: str) -> str:
    """Return a query of the latest versions of those contacts or accounts of which any version fits."""
    return f"""
        SELECT * FROM {kind} SEMI JOIN (SELECT {kind}_id FROM {kind} WHERE {condition}) AS fitting USING ({kind}_id)
        QUALIFY row_number() OVER (PARTITION BY {kind}_id ORDER BY updated_at DESC NULLS LAST, raw_id DESC) = 1
    """


def _surroundings(
    store: Store, interaction: dict[str, Any], evidence: Sequence[dict[str, Any]], window: timedelta
) -> tuple[dict[str, pa.Table], dict[str, dict[str, Any]]]:
    """Return the facts that the interaction's match depends on, and what became of the activities among them."""
    keys = sorted({key for row in evidence for key in (row["event_id"], row["session_id"]) if key})
    parameters: dict[str, Any] = {
        "keys": keys,
        "since": interaction["started_at"] - SHOWN_BEFORE,
        "until": interaction["ended_at"] + max(SHOWN_AFTER, window),
        "ended_at": interaction["ended_at"],
        "customers": interaction["customer_ids"],
        "people": interaction["participants"],
        "channel": interaction["channel"],
        "ticket": interaction["ticket_id"],
    }
    starts = [row["started_at"] for row in evidence]
    # Whom an activity must be about, or who must have logged it, to be shown for its time.
    about = ("customer_ids", interaction["customer_ids"]) if interaction["customer_ids"] else (
        "representative_ids", interaction["participants"]
    )  # fmt: skip
    fates = store.rows(
        f"""
        WITH named AS MATERIALIZED (
            SELECT activity_id FROM activity WHERE {_any_of("keys", "key", keys, parameters)}
            UNION ALL SELECT $ticket::VARCHAR WHERE $ticket IS NOT NULL
        ),
        -- Any version brings an activity here; the latest decides.
        said AS MATERIALIZED (
            SELECT * FROM current_activity_outcome WHERE {_any_of(about[0], "about", about[1], parameters)}
            UNION
            SELECT outcome.* FROM current_activity_outcome AS outcome SEMI JOIN named USING (activity_id)
        ),
        latest AS (
            SELECT activity_id, rowid AS fact_row, kind, logged_from, logged_to, keys
            FROM activity
            -- Found by their numbers, rows cost nothing where they are not.
            WHERE rowid IN (SELECT activity.rowid FROM activity SEMI JOIN said USING (activity_id))
            QUALIFY row_number() OVER (PARTITION BY activity_id ORDER BY updated_at DESC NULLS LAST, raw_id DESC) = 1
        ),
        weighed AS (
            SELECT
                said.*, fact_row, logged_from,
                activity_id = $ticket OR list_has_any(keys, $keys::VARCHAR[]) AS is_named,
                logged_to >= $since AND logged_from <= $until AND (
                    list_has_any(customer_ids, $customers::VARCHAR[])
                    OR (len($customers::VARCHAR[]) = 0 AND kind = $channel
                        AND list_has_any(representative_ids, $people::VARCHAR[]))) AS is_near
            FROM said JOIN latest USING (activity_id)
        )
        SELECT activity_id, status::VARCHAR AS status, tier::VARCHAR AS tier, interaction_id, customer_ids,
            representative_ids, fact_row
        FROM weighed
        WHERE is_named OR is_near
        ORDER BY coalesce(is_named, false) DESC, abs(epoch_us(logged_from) - epoch_us($ended_at::TIMESTAMP)),
            activity_id
        LIMIT {MOST_ACTIVITIES}
        """,
        parameters,
    )
    activities = _facts(
        store,
        "activity",
        "WHERE rowid IN (SELECT unnest($rows::BIGINT[]))",
        {"rows": [fate.pop("fact_row") for fate in fates]},
    )
    named = {contact for ids in activities.column("contact_ids").to_pylist() for contact in ids or ()}
    facts = {
        "observation": _facts(
            store,
            "observation",
            "WHERE list_contains($raw_ids::VARCHAR[], raw_id) "
            "AND started_at >= $first_at::TIMESTAMP AND started_at <= $last_at::TIMESTAMP",
            {
                "raw_ids": [row["raw_id"] for row in evidence],
                "first_at": min(starts, default=None),
                "last_at": max(starts, default=None),
            },
        ),
        "activity": activities,
        # Every version: an older one may hold what the latest does not.
        "contact": _facts(
            store,
            "contact",
            "SEMI JOIN (SELECT contact_id FROM contact WHERE list_contains(tokens, $token) UNION "
            "SELECT unnest($named::VARCHAR[])) AS asked USING (contact_id)",
            {"token": interaction["token"], "named": sorted(named)},
        ),
        "feed_progress": _facts(store, "feed_progress", "", {}),
    }
    return facts, {fate["activity_id"]: fate for fate in fates}


def _any_of(column: str, name: str, values: Sequence[str], parameters: dict[str, Any]) -> str:
    """Return the condition that a list holds one of the values, which become parameters of this name.

    A few values, looked for one by one, take half the time that a list of values takes.
    """
    if len(values) > _FEW:
        parameters[name] = values
        return f"list_has_any({column}, ${name}::VARCHAR[])"
    places = [f"{name}{place}" for place, _ in enumerate(values)]
    parameters.update(zip(places, values, strict=True))
    return f"({' OR '.join(f'list_contains({column}, ${place})' for place in places) or 'false'})"


def _facts(store: Store, table: str, tail: str, parameters: dict[str, Any]) -> pa.Table:
    """Return facts of a table with their own schema."""
    schema = SCHEMAS[table]
    columns = ", ".join(
        f"{field.name}::VARCHAR AS {field.name}" if pa.types.is_string(field.type) else field.name for field in schema
    )
    return store.query(f"SELECT {columns} FROM {table} {tail}", parameters).cast(schema)
