"""No clear identifier of a customer leaves the raw topics: the marked company goes the live way, and is looked for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from commands.logs import LogFormat
from schemas.packing import unpack
from schemas.topics import CHECKPOINTS, DEAD_LETTERS, FACTS, OUTCOMES, RAW_TOPICS
from sinks.store import Store
from tests.integration.companies import assert_same_rows, bypassflow, place, replay, rows_of
from tests.integration.live import live_rows
from tests.integration.marked import MARKS, company, every_row, found_in
from tests.integration.marked_live import OUR_TOPICS, LiveRun, live_run
from tests.served import served

# What only shows an identifier, and never decides.
SHOWN = ("identifier", "from_identifier", "to_identifier", "display")


@cache
def run() -> LiveRun:
    """Return a default run of the live path; the key was made by a replay, as in life."""
    replayed()
    return live_run(place("marked-live"))


@cache
def replayed() -> Path:
    """Return the store of a replay of the same files."""
    return replay(place("marked-replayed.duckdb"), company())


def told(topic: str) -> Iterator[tuple[str, str]]:
    """Yield what stands on one of our topics, bytes and what they hold."""
    for value, rest in run().messages(topic):
        yield "bytes", (value + b"\n" + rest).decode("latin-1")
        if topic in (FACTS, OUTCOMES):
            content = unpack(value)
            yield "head", str(content.head)
            for name, table in content.tables.items():
                for row in table.to_pylist():
                    yield name, str(row)


def leaks(texts: Iterator[tuple[str, str]]) -> str:
    """Return what was found where it must not be."""
    return "\n".join(f"{name}: {sorted(found)}: {text[:500]}" for name, text in texts if (found := found_in(text)))


def test_the_marks_stand_on_the_raw_topics_and_what_holds_them_was_read() -> None:
    raw = b"\n".join(value for topic in RAW_TOPICS for value, _ in run().messages(topic)).decode()
    # Bodies, encoded subjects, and names in records that were read are not even published.
    assert {name for name in MARKS if "number" in name or "domain" in name or "handle" in name} <= found_in(raw)
    with duckdb.connect(str(run().db), read_only=True) as store:
        channels = {row[0] for row in store.execute("SELECT DISTINCT channel::VARCHAR FROM interactions").fetchall()}
        outcomes = {row[0] for row in store.execute("SELECT DISTINCT outcome::VARCHAR FROM interactions").fetchall()}
        (letters,) = store.execute("SELECT count(*) FROM dead_letters").fetchall()[0]
    assert channels == {"call", "email", "sms", "social", "chat"}
    assert {"traced", "bypassed"} <= outcomes
    assert letters == sum(1 for _ in run().messages(DEAD_LETTERS)) >= 15
    assert all(any(run().messages(topic)) for topic in OUR_TOPICS)


@pytest.mark.parametrize("topic", [FACTS, OUTCOMES, DEAD_LETTERS, CHECKPOINTS])
def test_no_mark_stands_on_a_topic_of_ours(topic: str) -> None:
    assert not leaks(told(topic))


def test_the_records_that_were_refused_can_still_be_read_with_the_key() -> None:
    opened = b"\n".join(letter.value for letter in run().letters.find()).decode()

    assert {"broken number", "broken last name", "broken domain"} <= found_in(opened)


def test_no_mark_stands_in_the_store_or_its_bytes() -> None:
    assert not leaks(every_row(run().db))
    assert not found_in(run().db.read_bytes().decode("latin-1"))


def test_no_mark_stands_in_a_snapshot() -> None:
    files = sorted((run().folder / "snapshots" / "current").iterdir())
    assert {path.suffix for path in files} == {".duckdb", ".parquet"}
    for path in files:
        assert not found_in(path.read_bytes().decode("latin-1")), path.name
        if path.suffix == ".parquet":
            assert not leaks((path.name, str(row)) for row in pq.read_table(path).to_pylist())
        else:
            assert not leaks(every_row(path))


def test_no_mark_stands_in_what_the_processes_said() -> None:
    assert run().said
    assert not found_in("\n".join(run().said))


def test_no_mark_stands_in_a_log_of_either_form() -> None:
    assert "engine rebuilt" in run().logs[LogFormat.JSON]
    assert "folded again" in run().logs[LogFormat.CONSOLE]
    for text in run().logs.values():
        assert not found_in(text)


def test_no_mark_stands_in_a_trace() -> None:
    assert {"ingest batch", "engine rebuild", "correlate batch", "write", "fold"} <= run().spans
    assert not found_in(b"\n".join(run().traces).decode("latin-1"))


def test_no_mark_stands_in_any_answer_of_the_api_or_the_pages_or_in_the_figures() -> None:
    with Store.open(run().db) as store:
        known = {
            "interaction_id": _column(store, "interaction_id", "current_interaction"),
            "customer_id": _column(store, "unnest(customer_ids)", "current_interaction"),
            "token": _column(store, "token", "current_interaction WHERE token IS NOT NULL"),
            "day": _column(store, "strftime(started_at, '%Y-%m-%d')", "current_interaction"),
        }
    asked = 0
    with served(run().db) as client:
        for path in paths_of(client):
            for address in filled(path, known):
                for accepted in ("text/html", "application/json", "text/csv", "application/vnd.apache.parquet"):
                    answer = client.get(address, headers={"accept": accepted})
                    asked += answer.status_code == 200
                    text = answer.content.decode("latin-1") + str(answer.headers)
                    assert not found_in(text), f"{address} as {accepted}: {sorted(found_in(text))}"
        # What is refused says nothing of what was asked for.
        for asked_for in ("0407712345", "zorvika@quillmark-oy.fi"):
            for address in (
                f"/v1/customers/{asked_for}/timeline",
                f"/v1/identifiers/{asked_for}/timeline",
                "/v1/nothing",
            ):
                assert not found_in(client.get(address).text)
    assert asked > 60


def _column(store: Store, expression: str, source: str) -> list[str]:
    return [row["value"] for row in store.rows(f"SELECT DISTINCT {expression} AS value FROM {source}")]


def paths_of(client: TestClient) -> list[str]:
    """Return every path that the application answers to a GET."""
    app: Any = client.app
    return sorted(route.path for route in app.routes if "GET" in (getattr(route, "methods", None) or ()))


def filled(path: str, known: dict[str, list[str]]) -> Iterator[str]:
    """Yield addresses of a path with what the store has in its places; all of it for a path with one place."""
    name = next((name for name in known if f"{{{name}" in path), None)
    if name is None:
        yield path.partition("{")[0] + ("1" + path.partition("}")[2] if "{" in path else "")
        return
    for value in known[name]:
        yield path[: path.index("{")] + value + path[path.index("}") + 1 :]


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "--by", "channel,team,source,segment,reason,day", "--format", "json"),
        ("interactions", "--format", "csv"),
        ("audit", "--format", "json"),
    ],
    ids=" ".join,
)
def test_no_mark_stands_in_what_a_command_says_of_a_live_store(arguments: tuple[str, ...]) -> None:
    ran = bypassflow(*arguments, "--db", run().db)

    assert ran.exit_code == 0, ran.error
    assert not found_in(ran.written)


def test_the_live_path_gives_row_by_row_the_same_outcomes_masked_and_in_clear(tmp_path: Path) -> None:
    run()
    clear = live_run(tmp_path, '\n[privacy]\nidentifiers = "clear"\n')

    shown = "\n".join(text for name, text in every_row(clear.db) if name == "interactions")
    assert {"known number", "known domain", "unknown domain"} <= found_in(shown)
    assert_same_rows(rows_of(clear.db, SHOWN), rows_of(run().db, SHOWN))


def test_a_live_store_of_masked_identifiers_holds_what_a_replay_of_the_same_files_holds(tmp_path: Path) -> None:
    run()
    files_alone = live_run(tmp_path, sent=())

    assert_same_rows(live_rows(files_alone.db), live_rows(replayed()))
