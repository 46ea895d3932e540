"""The sources of a store: what was read of each, and how far it reaches."""

from __future__ import annotations

from typing import Any, Final

from sinks.store import Store

_SOURCES: Final = """
    SELECT
        source,
        count(*) AS file_count,
        coalesce(sum(byte_count), 0)::BIGINT AS byte_count,
        coalesce(sum(files.record_count), 0)::BIGINT AS record_count,
        coalesce(sum(observation_count), 0)::BIGINT AS observation_count,
        coalesce(sum(crm_record_count), 0)::BIGINT AS crm_record_count,
        coalesce(sum(files.rejected_count), 0)::BIGINT AS rejected_count,
        min(first_at) AS first_at,
        max(last_at) AS last_at,
        any_value(feeds.complete_through) AS complete_through,
        coalesce(any_value(feeds.is_slowest), false) AS is_slowest
    FROM files
    LEFT JOIN feeds USING (source)
    GROUP BY source
    ORDER BY source
"""


def sources(store: Store) -> list[dict[str, Any]]:
    """Return the sources in order of their names: one row each.

    Columns: `source`, `file_count`, `byte_count`, `record_count`, of them `observation_count` raw events and
    `crm_record_count` records of the CRM or the directory that could be used, `rejected_count` that could not;
    `first_at`, `last_at`; of a CRM source `complete_through` and whether it is the slowest, `is_slowest`. Instants are
    UTC without a zone.
    """
    return store.rows(_SOURCES)
