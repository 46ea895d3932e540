"""What an engine said is kept, newest version first, through merges and crashes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError
from sinks import results
from sinks.store import Store
from tests.stores import NOON, Row, interaction_row, outcomes, published, said

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bypass.duckdb"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with nothing in it, to be copied."""
    return published(tmp_path_factory.mktemp("empty") / "empty.duckdb")


@pytest.fixture
def live(path: Path, empty_store: Path) -> Iterator[Store]:
    """A store that is open for live changes."""
    shutil.copy(empty_store, path)
    with Store.open(path, read_only=False) as store:
        yield store


def test_what_was_said_is_shown(live: Store) -> None:
    live.apply(said([interaction_row("i1"), interaction_row("i2", "bypassed", reason="not_logged")]), 1)

    assert outcomes(live) == {"i1": "traced", "i2": "bypassed"}


@pytest.mark.parametrize("merged", [False, True], ids=["in the view", "after a merge"])
class TestVersions:
    def test_the_newest_version_counts(self, live: Store, merged: bool) -> None:
        live.apply(said([interaction_row("i1", "pending")]), 1)
        live.apply(said([interaction_row("i1", "traced")]), 2)

        self.merge(live, merged)
        assert outcomes(live) == {"i1": "traced"}

    def test_a_stale_version_loses_against_the_delta(self, live: Store, merged: bool) -> None:
        live.apply(said([interaction_row("i1", "traced")]), 2)
        live.apply(said([interaction_row("i1", "pending")]), 1)

        self.merge(live, merged)
        assert outcomes(live) == {"i1": "traced"}

    def test_a_stale_version_loses_against_the_base(self, live: Store, merged: bool) -> None:
        live.apply(said([interaction_row("i1", "traced"), interaction_row("i2", "pending")]), 5)
        live.fold()
        live.apply(said([interaction_row("i1", "pending")]), 4)
        live.apply(said([interaction_row("i2", "traced")]), 6)

        self.merge(live, merged)
        assert outcomes(live) == {"i1": "traced", "i2": "traced"}

    def test_a_retracted_interaction_is_gone(self, live: Store, merged: bool) -> None:
        live.apply(said([interaction_row("i1"), interaction_row("i2")]), 1)
        live.fold()
        live.apply(said(retracted=["i1", "never-said"]), 2)

        self.merge(live, merged)
        assert outcomes(live) == {"i2": "traced"}

    def test_a_stale_retraction_loses(self, live: Store, merged: bool) -> None:
        live.apply(said([interaction_row("i1")]), 2)
        live.fold()
        live.apply(said(retracted=["i1"]), 1)

        self.merge(live, merged)
        assert outcomes(live) == {"i1": "traced"}

    def test_older_news_of_a_retracted_interaction_loses_even_after_the_merge(self, live: Store, merged: bool) -> None:
        live.apply(said([interaction_row("i1")]), 1)
        live.apply(said(retracted=["i1"]), 3)
        live.fold()
        live.apply(said([interaction_row("i1")]), 2)

        self.merge(live, merged)
        assert outcomes(live) == {}

    def test_an_interaction_may_come_back(self, live: Store, merged: bool) -> None:
        live.apply(said([interaction_row("i1")]), 1)
        live.apply(said(retracted=["i1"]), 2)
        live.fold()
        live.apply(said([interaction_row("i1", "bypassed")]), 3)

        self.merge(live, merged)
        assert outcomes(live) == {"i1": "bypassed"}

    def test_applying_twice_is_applying_once(self, live: Store, merged: bool) -> None:
        changes = said(
            [interaction_row("i1")],
            retracted=["i2"],
            dispositions=[{"raw_id": "pbx:f:1", "disposition": "interaction", "evidence_id": "i1"}],
            activities=[{"activity_id": "a1", "status": "trace", "tier": "exact", "interaction_id": "i1"}],
        )
        for _ in range(2):
            live.apply(changes, 1)
            self.merge(live, merged)

        counts = "SELECT count(*) AS n FROM current_"
        assert [live.rows(counts + result.name)[0]["n"] for result in results.RESULTS] == [1, 1, 1]

    def test_of_two_versions_in_one_batch_the_highest_counts(self, live: Store, merged: bool) -> None:
        rows = [interaction_row("i1", "traced"), interaction_row("i1", "pending"), interaction_row("i2", "pending")]
        live.apply(said(rows, versions=[7, 3, 3]), 0)

        self.merge(live, merged)
        assert outcomes(live) == {"i1": "traced", "i2": "pending"}

    def test_of_equal_versions_in_one_batch_the_last_counts(self, live: Store, merged: bool) -> None:
        live.apply(said([interaction_row("i1", "pending"), interaction_row("i1", "bypassed")]), 1)

        self.merge(live, merged)
        assert outcomes(live) == {"i1": "bypassed"}

    def test_a_deleted_activity_is_gone(self, live: Store, merged: bool) -> None:
        live.apply(said(activities=[{"activity_id": key, "status": "unexplained"} for key in ("a1", "a2")]), 1)
        live.fold()
        live.apply(said(activities=[{"activity_id": "a1", "status": "deleted"}]), 2)

        self.merge(live, merged)
        assert [row["activity_id"] for row in live.rows("SELECT activity_id FROM current_activity_outcome")] == ["a2"]

    @staticmethod
    def merge(store: Store, merged: bool) -> None:
        if merged:
            store.fold()


def test_a_merge_leaves_neither_a_delta_nor_a_retracted_row(live: Store) -> None:
    live.apply(said([interaction_row("i1"), interaction_row("i2")]), 1)
    live.apply(said(retracted=["i1"]), 2)

    assert live.fold()
    assert live.rows("SELECT count(*) AS n FROM interaction_delta") == [{"n": 0}]
    assert live.rows("SELECT interaction_id FROM interaction_base") == [{"interaction_id": "i2"}]
    assert not live.fold()


def test_a_large_delta_is_merged_by_itself(live: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_merge_from", 10)
    live.apply(said([interaction_row(f"i{n}") for n in range(9)]), 1)
    assert live.rows("SELECT count(*) AS n FROM interaction_base") == [{"n": 0}]

    live.apply(said([interaction_row("i9")]), 2)
    assert live.rows("SELECT count(*) AS n FROM interaction_base") == [{"n": 10}]


def test_dispositions_of_one_writing_lie_by_their_reason_or_the_digits_of_their_interaction(path: Path) -> None:
    places = ["unanswered", "c0ffee", "internal", "unanswered", "1dea", "bulk"]
    rows = [
        {"raw_id": f"pbx:f:{n}", "disposition": "interaction", "evidence_id": place}
        if place[:2] in ("c0", "1d")
        else {"raw_id": f"pbx:f:{n}", "disposition": "excluded", "reason": place}
        for n, place in enumerate(places)
    ]
    lies = "SELECT coalesce(reason::VARCHAR, evidence_id) AS place, raw_id FROM disposition_base ORDER BY rowid"

    with Store.open(published(path, changes=said(dispositions=rows)), read_only=False) as store:
        built = [row["place"] for row in store.rows(lies)]
        again = {"disposition": "excluded", "reason": "no_human", "evidence_id": None}
        store.apply(said(dispositions=[{**row, **again} for row in rows[:2]]), 2)
        store.apply(said(dispositions=[{**rows[n], "raw_id": f"new{n}"} for n in range(6)]), 3)
        store.fold()
        merged = [row["place"] for row in store.rows(lies)]
        said_now = store.rows(
            "SELECT raw_id, coalesce(reason::VARCHAR, evidence_id) AS place FROM current_disposition ORDER BY raw_id"
        )

    assert built == ["1dea", "bulk", "c0ffee", "internal", "unanswered", "unanswered"]
    # What stays keeps its place; the rest lies behind it.
    assert merged[:4] == ["1dea", "bulk", "internal", "unanswered"]
    assert merged[4:] == ["1dea", "bulk", "c0ffee", "internal", "no_human", "no_human", "unanswered", "unanswered"]
    assert [row["place"] for row in said_now] == [*places, "no_human", "no_human", *places[2:]]


def test_positions_are_written_with_the_rows_or_not_at_all(live: Store) -> None:
    live.apply(said([interaction_row("i1")]), 1, {"facts-0": "17"})
    live.apply(said([interaction_row("i2")]), 2, {"facts-0": "18", "facts-1": "3"})
    assert live.positions() == {"facts-0": "18", "facts-1": "3"}

    with pytest.raises(ConfigurationError, match="unknown outcome"):
        live.apply(
            said([interaction_row("i3", "lost")], dispositions=[{"raw_id": "r", "disposition": "duplicate"}]),
            3,
            {"facts-0": "19"},
        )
    assert live.positions()["facts-0"] == "18"
    assert outcomes(live) == {"i1": "traced", "i2": "traced"}


def test_changes_without_rows_are_applied(live: Store) -> None:
    live.apply(said(), 1)
    live.apply(said().__class__(), 2)

    assert outcomes(live) == {}


def rows_of(path: Path) -> list[list[Row]]:
    with Store.open(path) as store:
        return [store.rows(f"SELECT * FROM current_{result.name} ORDER BY ALL") for result in results.RESULTS]


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("tells", [True, False], ids=["tells what was said before", "does not tell"])
def test_a_build_in_windows_ends_as_one_that_knows_the_end(tmp_path: Path, fresh: bool, tells: bool) -> None:
    member = {"disposition": "interaction", "evidence_id": "i1"}
    first = said(
        [interaction_row("i1", "pending"), interaction_row("i2"), interaction_row("i3")],
        dispositions=[{"raw_id": "pbx:f:1", **member}, {"raw_id": "pbx:f:2", **member}],
        activities=[{"activity_id": "a1", "status": "unexplained"}, {"activity_id": "a2", "status": "unexplained"}],
    )
    second = said(
        [interaction_row("i1", "traced", said_before=True), interaction_row("i4")],
        retracted=["i3"],
        dispositions=[{"raw_id": "pbx:f:2", "disposition": "duplicate", "said_before": True}],
        activities=[{"activity_id": "a1", "status": "deleted", "said_before": True}],
    )
    whole = said(
        [interaction_row("i1", "traced"), interaction_row("i2"), interaction_row("i4")],
        dispositions=[{"raw_id": "pbx:f:1", **member}, {"raw_id": "pbx:f:2", "disposition": "duplicate"}],
        activities=[{"activity_id": "a2", "status": "unexplained"}],
    )
    if not tells:
        for changes in (first, second):
            for name in ("interaction", "disposition", "activity_outcome"):
                changes.tables[name] = changes.tables[name].drop_columns("said_before")  # type: ignore[index]
    with Store.create(tmp_path / "windows.duckdb") as store:
        store.apply(first, 0, fresh=fresh)
        store.apply(second, 1, fresh=fresh)
        store.publish()
    published(tmp_path / "whole.duckdb", changes=whole)

    found, expected = rows_of(tmp_path / "windows.duckdb"), rows_of(tmp_path / "whole.duckdb")
    for row in [row for rows in (*found, *expected) for row in rows]:
        row.pop("version")
    assert found == expected


def test_an_interaction_that_two_windows_say_is_counted_once(path: Path) -> None:
    with Store.create(path) as store:
        store.apply(said([interaction_row("i1", "pending")]), 0, fresh=True)
        store.apply(said([interaction_row("i1", "traced")]), 1, fresh=True)
        store.publish()

    with Store.open(path) as store:
        assert outcomes(store) == {"i1": "traced"}


def test_an_interaction_is_stored_whole(path: Path) -> None:
    row = interaction_row(
        "i1",
        evidence_id="e1",
        channel="email",
        direction="outbound",
        line="mobile",
        representative_id="r1",
        participants=["r1", "r2"],
        team="Sales",
        function="other",
        sources=["mobile", "pbx"],
        token="T-anna",
        customer_ids=["k1", "k2"],
        contact_id="c1",
        segment="big",
        tier="exact",
        activity_id="a1",
        trace_delay_seconds=-3.5,
        window_ends_at=NOON,
    )
    with Store.open(published(path, changes=said([row]))) as store:
        (found,) = store.rows("SELECT * FROM interactions")

    stored = {name: value for name, value in row.items() if name != "said_before"}
    assert found == {**stored, "identifier": None, "reason": None, "ticket_id": None}


def test_a_kill_loses_nothing_that_was_applied(path: Path) -> None:
    code = """
        import os, signal, sys
        from pathlib import Path
        from sinks.store import Store
        from tests.stores import interaction_row, said
        store = Store.open(Path(sys.argv[1]), read_only=False)
        store._merge_from = 8
        for n in range(30):
            store.apply(said([interaction_row(f"i{n:02}")]), n, {"facts-0": str(n)})
            print(n, flush=True)
            if n == 20:
                os.kill(os.getpid(), signal.SIGKILL)
    """
    published(path)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "20", done.stderr

    with Store.open(path, read_only=False) as store:
        assert len(outcomes(store)) == 21
        assert store.positions() == {"facts-0": "20"}
