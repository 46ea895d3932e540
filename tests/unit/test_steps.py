"""Steps are files of SQL; a statement that has nothing to do is not run."""

from __future__ import annotations

from importlib.resources import files

import duckdb
import pytest

from pipeline import steps
from pipeline.steps import Statement, Steps, statements

STEP_NAMES = sorted(
    entry.name.removesuffix(".sql")
    for entry in files("pipeline").joinpath("sql").iterdir()
    if entry.name != "__pycache__"
)


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    """A database with a table of three rows."""
    made = duckdb.connect(":memory:")
    made.execute("CREATE TABLE given AS SELECT unnest([1, 2, 3]) AS n")
    return made


def written(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every step be this text."""
    parts = [part for part in text.split(";\n") if part.strip()]
    monkeypatch.setattr(steps, "statements", lambda step: tuple(steps._statement(part) for part in parts))


def rows(connection: duckdb.DuckDBPyConnection, table: str) -> list[int]:
    return [row[0] for row in connection.execute(f"SELECT n FROM {table} ORDER BY n").fetchall()]


@pytest.mark.parametrize("step", STEP_NAMES)
def test_each_step_begins_with_what_it_establishes(step: str) -> None:
    text = files("pipeline").joinpath("sql", f"{step}.sql").read_text(encoding="utf-8")

    assert text.startswith("-- ")
    assert statements(step)


@pytest.mark.parametrize("step", STEP_NAMES)
def test_what_a_statement_needs_is_known_to_some_step(step: str) -> None:
    known = {
        name
        for other in STEP_NAMES
        for s in statements(other)
        for name in (s.makes, s.shows, s.grows, s.changes)
        if name
    }
    # These are filled or counted by the engine itself.
    known |= {name for name in _needed(step) if name.startswith("incoming_")} | ENGINE_TABLES

    assert _needed(step) <= known


ENGINE_TABLES = {
    "conversation", "interaction", "activity", "leg", "mail_copy", "everybody", "fresh_leg", "relabelled", "merged",
    "best_pair", "many_pairs", "restated_activity", "has_ticket", "tied_to_several", "scope_activity",
    "scope_interaction",
}  # fmt: skip


def _needed(step: str) -> set[str]:
    return {name for statement in statements(step) for name in statement.needs}


def test_a_step_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        statements("no_such_step")


@pytest.mark.parametrize(
    ("text", "makes", "grows", "changes"),
    [
        ("CREATE OR REPLACE TEMP TABLE made AS SELECT 1", "made", None, None),
        ("CREATE OR REPLACE TABLE made AS SELECT 1", "made", None, None),
        ("INSERT INTO grown SELECT 1", None, "grown", None),
        ("DELETE FROM shrunk WHERE false", None, None, "shrunk"),
        ("UPDATE changed SET n = 1", None, None, "changed"),
        ("SELECT 1", None, None, None),
    ],
)
def test_a_statement_is_told_by_its_first_words(
    text: str, makes: str | None, grows: str | None, changes: str | None
) -> None:
    found: Statement = steps._statement(f"-- Establishes something.\n-- needs: a, b\n{text};\n")

    assert (found.makes, found.grows, found.changes, found.needs) == (makes, grows, changes, ("a", "b"))


def test_a_view_is_made_once_and_counts_as_a_row_while_it_has_something_to_show(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    written("-- needs: news\nCREATE OR REPLACE TEMP VIEW shown AS SELECT n FROM given;\n", monkeypatch)
    executor = Steps(connection)
    executor.run("any")
    assert executor.rows["shown"] == 0

    executor.rows["news"] = 1
    executor.run("any")
    connection.execute("INSERT INTO given SELECT 4")

    assert executor.rows["shown"] == 1
    assert rows(connection, "shown") == [1, 2, 3, 4]


def test_rows_are_counted_as_tables_are_made_and_grow(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(
        "CREATE OR REPLACE TEMP TABLE made AS SELECT n FROM given;\nINSERT INTO made SELECT 9;\n", monkeypatch
    )  # fmt: skip
    executor = Steps(connection)

    executor.run("any")

    assert executor.rows["made"] == 4
    assert rows(connection, "made") == [1, 2, 3, 9]


def test_a_table_is_made_even_when_idle_so_that_later_steps_find_it(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    written("-- needs: news\nCREATE OR REPLACE TEMP TABLE made AS SELECT n FROM given LIMIT 0;\n", monkeypatch)
    executor = Steps(connection)

    executor.run("any")

    assert rows(connection, "made") == []
    assert executor.rows["made"] == 0


def test_a_made_table_is_emptied_when_its_statement_is_idle(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    written("-- needs: news\nCREATE OR REPLACE TEMP TABLE made AS SELECT n FROM given;\n", monkeypatch)
    executor = Steps(connection)
    executor.rows["news"] = 1
    executor.run("any")
    assert executor.rows["made"] == 3

    executor.rows["news"] = 0
    executor.run("any")

    assert rows(connection, "made") == []
    assert executor.rows["made"] == 0


def test_one_filled_table_of_those_needed_is_enough(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    written("-- needs: news, more_news\nINSERT INTO given SELECT 4;\n", monkeypatch)
    executor = Steps(connection)
    executor.run("any")
    assert rows(connection, "given") == [1, 2, 3]

    executor.rows["more_news"] = 7
    executor.run("any")

    assert rows(connection, "given") == [1, 2, 3, 4]


def test_nothing_is_taken_out_of_a_table_that_is_known_to_be_empty(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    written("DELETE FROM given WHERE n = 1;\n", monkeypatch)
    executor = Steps(connection)
    executor.run("any")
    assert rows(connection, "given") == [1, 2, 3]

    executor.rows["given"] = 3
    executor.run("any")

    assert rows(connection, "given") == [2, 3]


def test_releasing_empties_large_tables_that_steps_made_and_keeps_the_others(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(
        "CREATE OR REPLACE TEMP TABLE large AS SELECT n FROM given;\n"
        "CREATE OR REPLACE TEMP TABLE small AS SELECT 1 AS n;\n"
        "CREATE OR REPLACE TABLE state AS SELECT n FROM given;\n",
        monkeypatch,
    )
    executor = Steps(connection)
    executor.run("any")

    executor.release(2)

    assert [rows(connection, name) for name in ("large", "small", "state")] == [[], [1], [1, 2, 3]]
    assert (executor.rows["large"], executor.rows["small"]) == (0, 1)


def test_a_table_is_written_anew_once_most_of_its_rows_were_taken_out(connection: duckdb.DuckDBPyConnection) -> None:
    steps_run = Steps(connection)
    for _ in range(5):
        connection.execute("INSERT INTO given SELECT range FROM range(100)")
        steps_run.empty("given")
    connection.execute("INSERT INTO given VALUES (7)")
    held = "SELECT estimated_size FROM duckdb_tables() WHERE table_name = 'given'"
    assert connection.execute(held).fetchall()[0][0] > 500
    steps_run.renew(1_000)
    assert connection.execute(held).fetchall()[0][0] > 500
    steps_run.renew(500)
    assert connection.execute(held).fetchall()[0][0] == 1
    assert rows(connection, "given") == [7]
