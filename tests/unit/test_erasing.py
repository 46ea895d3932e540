"""Whoever is forgotten is gone from the rows and the bytes of a store; what is counted stays as it was."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine import Engine
from pipeline.forgetting import Forgotten
from pipeline.replay import fold_all
from sinks.erasure.erasing import Erased, erase
from sinks.store import Store
from tests.forgotten_person import ANNA, GIVEN, HERS, KEY, SECRET, SHARED, files, texts
from tests.live import SETTINGS, replayed
from tests.records import call, contact, person, progress
from tests.stores import RUN


def forgotten(*tokens: str) -> Forgotten:
    return Forgotten(KEY, Forgotten(KEY).with_more(tokens or GIVEN))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replayed(tmp_path_factory.mktemp("erasing") / "bypass.duckdb", files())


@pytest.fixture(scope="module")
def erased(before: Path) -> tuple[Path, Erased]:
    after = before.with_name("after.duckdb")
    return after, erase(before, after, forgotten(), SECRET)


def counts(path: Path) -> Counter[Any]:
    """Return how many interactions there are of each kind that a report may count by."""
    with Store.open(path) as store:
        return Counter(
            tuple(str(value) for value in row.values())
            for row in store.rows(
                "SELECT channel, line, direction, outcome, reason, tier, team, function, representative_id, "
                "participants, segment, started_at, ended_at, talk_seconds, trace_delay_seconds, sources "
                "FROM interactions"
            )
        )


def test_nothing_of_them_is_found_in_rows_or_bytes(before: Path, erased: tuple[Path, Erased]) -> None:
    marks = [*ANNA, *HERS, "masked-Tok-anna"]
    assert [mark for mark in marks if mark not in texts(before)] == []

    found = texts(erased[0])

    assert [mark for mark in marks if mark in found] == []


def test_places_in_their_files_are_gone_and_still_count_by_source(before: Path, erased: tuple[Path, Erased]) -> None:
    with Store.open(before) as old, Store.open(erased[0]) as new:
        accounts = "SELECT * FROM accounts ORDER BY source"
        assert new.rows(accounts) == old.rows(accounts)
        (anonymous,) = new.rows("SELECT count(*) AS n FROM evidence WHERE file = 'erased' AND source = 'pbx'")
        assert anonymous == {"n": 5}
        assert not new.rows("SELECT raw_id FROM evidence WHERE raw_id IN ('pbx:cdr.csv:1', 'pbx:cdr.csv:2')")


def test_every_count_stays(before: Path, erased: tuple[Path, Erased]) -> None:
    assert counts(erased[0]) == counts(before)
    assert erased[1].interaction_count == 8
    with Store.open(before) as old, Store.open(erased[0]) as new:
        query = "SELECT status, tier, count(*) AS n FROM crm_activities GROUP BY ALL ORDER BY ALL"
        assert new.rows(query) == old.rows(query)


def test_rows_of_others_stay_as_they_were(before: Path, erased: tuple[Path, Erased]) -> None:
    queries = (
        "FROM interactions WHERE token NOT LIKE 'Tok-anna%' OR token IS NULL",
        "FROM evidence WHERE raw_id IN ('pbx:cdr.csv:5', 'pbx:cdr.csv:6', 'pbx:cdr.csv:7', 'mail:inbox:4')",
        "FROM crm_activities WHERE activity_id LIKE '%bob'",
        "FROM contact WHERE contact_id = 'contact-of-bob'",
        "FROM account WHERE account_id = 'account-of-bob'",
        "FROM source_file", "FROM feeds", "FROM directory_entry", "FROM crm_user",
        "FROM shown_identifier WHERE token = 'Tok-bob-number'",
    )  # fmt: skip
    with Store.open(before) as old, Store.open(erased[0]) as new:
        for query in queries:
            rows = {str(row) for row in old.rows(query)}
            assert rows, query
            assert rows <= {str(row) for row in new.rows(query)}, query


def test_a_message_to_somebody_else_too_keeps_its_names(erased: tuple[Path, Erased]) -> None:
    with Store.open(erased[0]) as store:
        (row,) = store.rows("SELECT event_id, recipient_tokens FROM evidence WHERE raw_id = 'mail:inbox:3'")
    assert row["event_id"] == SHARED
    assert row["recipient_tokens"][1] == "Tok-bob-address"


def test_nothing_tells_that_two_interactions_were_with_the_same_person(erased: tuple[Path, Erased]) -> None:
    with Store.open(erased[0]) as store:
        rows = store.rows("SELECT token, customer_ids, contact_id FROM interactions WHERE identifier = 'erased'")
    assert len(rows) == 8
    assert len({row["token"] for row in rows}) == 8
    assert len({row["contact_id"] for row in rows}) == 8
    assert len({customer for row in rows for customer in row["customer_ids"]}) == 8


def test_a_new_fold_of_what_is_left_counts_the_same(before: Path, erased: tuple[Path, Erased], tmp_path: Path) -> None:
    again = tmp_path / "again.duckdb"
    with Store.create(again) as store:
        store.copy_facts_from(erased[0], [])
        fold_all(store, Engine(SETTINGS))
        store.record_run(RUN)
        store.publish(again)

    assert counts(again) == counts(before)
    with Store.open(before) as old, Store.open(again) as new:
        accounts = "SELECT * FROM accounts ORDER BY source"
        assert new.rows(accounts) == old.rows(accounts)


def test_other_identifiers_of_the_same_contact_are_forgotten_with_it(before: Path, tmp_path: Path) -> None:
    erase(before, tmp_path / "after.duckdb", forgotten(ANNA[0]), SECRET)

    assert [token for token in ANNA if token in texts(tmp_path / "after.duckdb")] == []


def test_an_identifier_that_several_contacts_hold_takes_no_contact_with_it(tmp_path: Path) -> None:
    store = replayed(
        tmp_path / "bypass.duckdb",
        {
            ("pbx", "cdr.csv"): [call("pbx:cdr.csv:1", "09:00", customer="Tok-switchboard", ours="201")],
            ("crm", "export"): [
                contact("c1", "Tok-switchboard", "Tok-one", account="k1"),
                contact("c2", "Tok-switchboard", "Tok-two", account="k1"),
                progress("12:00", day=9),
            ],
            ("directory", "directory.csv"): [person("r1", extension="201")],
        },
    )

    erase(store, tmp_path / "after.duckdb", forgotten("Tok-switchboard"), SECRET)

    with Store.open(tmp_path / "after.duckdb") as after:
        tokens = {row["contact_id"]: row["tokens"] for row in after.rows("FROM contact")}
    assert tokens == {"c1": ["Tok-one"], "c2": ["Tok-two"]}
    assert counts(tmp_path / "after.duckdb") == counts(store)


def test_a_store_without_them_is_copied_as_it_is(before: Path, tmp_path: Path) -> None:
    found = erase(before, tmp_path / "after.duckdb", forgotten("Tok-unheard-of"), SECRET)

    assert found == Erased()
    assert counts(tmp_path / "after.duckdb") == counts(before)
    with Store.open(before) as old, Store.open(tmp_path / "after.duckdb") as new:
        for table in ("observation_base", "interaction_base", "activity", "contact", "identifier"):
            rows = [sorted(str(row) for row in store.rows(f"FROM {table}")) for store in (old, new)]
            assert rows[0] == rows[1]
