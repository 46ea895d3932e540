"""One company, exported by different systems, has one number: what its systems are called makes no difference."""

from __future__ import annotations

from datetime import UTC
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from typer.testing import CliRunner

from cli import app
from sinks.measures import audit, report
from sinks.store import Store
from tests.integration.crm_ways import CRM_WAYS
from tests.integration.exports import (
    KNOWS_NO_AUTOMATED_MAIL,
    WAYS,
    World,
    interactions_of,
    make_world,
    write_company,
)

SEEDS = (1, 2)
KEY = "0123456789abcdef" * 4
ALL_WAYS = {**WAYS, **CRM_WAYS}
FIRST, *OTHERS = ALL_WAYS


@cache
def told(way: str, seed: int) -> tuple[World, list[tuple[Any, ...]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what happened, the interactions as a way tells them, the report by channel and team, and the accounts."""
    folder = write_company(world := make_world(seed), Path(mkdtemp()) / "company", ALL_WAYS[way])
    key = folder / "bypassflow.key"
    key.write_text(KEY)
    key.chmod(0o600)
    db = folder / "flow.duckdb"
    done = CliRunner().invoke(app, ["replay", str(folder), "--db", str(db)])
    assert done.exit_code == 0, done.output
    with Store.open(db) as store:
        rows = store.rows(
            "SELECT started_at, channel::VARCHAR AS channel, direction::VARCHAR AS direction, token, team, "
            "representative_id, talk_seconds, outcome::VARCHAR AS outcome, reason::VARCHAR AS reason, "
            "len(customer_ids) AS customer_count, trace_delay_seconds FROM current_interaction ORDER BY ALL"
        )
        return world, [tuple(row.values()) for row in rows], report(store, ["channel", "team"]), audit(store)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("way", ALL_WAYS)
def test_each_way_has_the_interactions_that_there_were(way: str, seed: int) -> None:
    world, rows, _, accounts = told(way, seed)

    assert [(row[0], row[1]) for row in rows] == sorted(interactions_of(world, way in KNOWS_NO_AUTOMATED_MAIL))
    assert {row[7] for row in rows} == {"traced", "bypassed"}
    assert all(account["unaccounted_count"] == 0 for account in accounts)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("way", OTHERS)
def test_another_way_has_the_same_interactions_but_for_what_it_cannot_say(way: str, seed: int) -> None:
    world, rows, shares, _ = told(way, seed)
    _, expected, expected_shares, _ = told(FIRST, seed)

    if way in KNOWS_NO_AUTOMATED_MAIL:
        automated = {mail.at.astimezone(UTC).replace(tzinfo=None) for mail in world.mails if mail.is_automated}
        assert automated
        rows = [row for row in rows if row[1] != "email" or row[0] not in automated]
        shares = [share for share in shares if share["channel"] != "email"]
        expected_shares = [share for share in expected_shares if share["channel"] != "email"]
    assert rows == expected
    assert shares == expected_shares
