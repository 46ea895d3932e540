"""An engine that is made ahead explains as a new one does, and never from facts that have changed since."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from pipeline.engine import Engine
from pipeline.errors import TransientError
from sinks.asking import Asking
from sinks.explanations import Explanation, explain
from sinks.prepared import PreparedEngines
from sinks.store import Store
from tests.integration.companies import two_weeks_store

ONE_OF_EACH = """
    SELECT min(interaction_id) AS id FROM current_interaction GROUP BY channel, outcome, reason, tier ORDER BY id
"""


def made_ahead(engines: PreparedEngines, store: Store) -> Engine:
    """Return an engine after the one that is being made ahead is there."""
    engines.take(store)
    for thread in threading.enumerate():
        if thread.name == "next-engine":
            thread.join()
    return engines.take(store)


def test_an_explanation_is_the_same_from_an_engine_that_was_made_ahead() -> None:
    with Store.open(two_weeks_store()) as store:
        asking = Asking(store)
        engines = PreparedEngines(asking)
        ids = [row["id"] for row in store.rows(ONE_OF_EACH)]
        assert len(ids) > 10

        def told(ahead: bool, interaction_id: str) -> Explanation:
            return explain(store, interaction_id, *([lambda held: made_ahead(engines, held)] if ahead else []))

        assert [told(True, each) for each in ids] == [told(False, each) for each in ids]
        asking.close()


def test_an_engine_that_was_made_ahead_is_given_once() -> None:
    with Store.open(two_weeks_store()) as store:
        asking = Asking(store)
        engines = PreparedEngines(asking)

        given = [made_ahead(engines, store) for _ in range(3)]

        assert len({id(each) for each in given}) == 3
        asking.close()


def test_what_was_made_of_fewer_facts_is_not_given(tmp_path: Path) -> None:
    copy = tmp_path / "bypass.duckdb"
    shutil.copy(two_weeks_store(), copy)
    with Store.open(copy, read_only=False) as store:
        asking = Asking(store)
        engines = PreparedEngines(asking)
        before = made_ahead(engines, store)
        for thread in threading.enumerate():
            if thread.name == "next-engine":
                thread.join()
        ready = engines.ready

        store.connection.execute(
            "INSERT INTO crm_user (raw_id, source, user_id, file_number) SELECT 'x:1', 'x', 'x', 1"
        )

        assert ready is not None
        assert engines.take(store) not in (before, ready)
        asking.close()


def test_engines_of_a_process_that_ends_are_not_made_ahead_any_more() -> None:
    with Store.open(two_weeks_store()) as store:
        asking = Asking(store)
        engines = PreparedEngines(asking)

        asking.close()
        made_ahead(engines, store)

        assert engines.ready is None


def test_whoever_asks_after_the_end_is_told_so() -> None:
    with Store.open(two_weeks_store()) as store:
        asking = Asking(store)
        asking.close()
        asking.close()

        with pytest.raises(TransientError, match="the process is ending"):
            asking.ask(lambda held: held.path)
