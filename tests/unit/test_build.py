"""A build ends in the new store, whole, or leaves the old one as it was: after errors, kills and full disks too."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.registry import Batch
from sinks.build import InputInfo, Progress, RunSummary, build
from sinks.store import RunRecord, Store
from tests.records import Fact, call, contact
from tests.stores import NOON, RUN, batch, interaction_row, letter, outcomes, said

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bypass.duckdb"


def leftovers(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir() if entry.name != path.name)


def one_interaction_per_call(store: Store) -> None:
    """Stand in for the engine: every observation is an interaction of its own."""
    for version, window in enumerate(store.fold_windows(1000)):
        ids = store.fold_facts(window)["observation"].column("raw_id").to_pylist()
        rows = [interaction_row(raw_id) for raw_id in ids]
        members = [{"raw_id": raw_id, "disposition": "interaction", "evidence_id": raw_id} for raw_id in ids]
        store.apply(said(rows, dispositions=members), version, fresh=True)


def given(*files: tuple[str, str, Iterable[Fact] | list[Batch]]) -> list[tuple[InputInfo, list[Batch]]]:
    return [
        (
            InputInfo(source, file, "canonical", 100),
            [part if isinstance(part, Batch) else batch([part]) for part in content],
        )
        for source, file, content in files
    ]


def built(path: Path, *files: tuple[str, str, Iterable[Fact] | list[Batch]], run: RunRecord = RUN) -> RunSummary:
    return build(path, given(*files), one_interaction_per_call, run)


def shown(path: Path) -> list[str]:
    with Store.open(path) as store:
        return sorted(outcomes(store))


A1, A2 = call("pbx:a.csv:1", "10:00"), call("pbx:a.csv:2", "11:00")
B1 = call("pbx:b.csv:1", "12:00")


def test_a_build_makes_a_store(path: Path) -> None:
    summary = build(
        path,
        given(
            ("pbx", "a.csv", [batch([A1, A2], [letter("pbx:a.csv:3")])]), ("crm", "c.csv", [contact("c1", "T-anna")])
        ),
        one_interaction_per_call,
        RUN,
        now=lambda: NOON + timedelta(minutes=5),
    )

    assert shown(path) == ["pbx:a.csv:1", "pbx:a.csv:2"]
    assert leftovers(path) == []
    assert [(file.info.file, file.record_count, file.rejected_count) for file in summary.files] == [
        ("a.csv", 3, 1), ("c.csv", 1, 0),
    ]  # fmt: skip
    assert summary.record_count == 4
    with Store.open(path) as store:
        assert store.last_run() == summary.run == replace(RUN, finished_at=NOON + timedelta(minutes=5))


def test_the_same_files_again_change_nothing_but_the_runs(path: Path) -> None:
    built(path, ("pbx", "a.csv", [A1, A2]))
    before = content(path)

    built(path, ("pbx", "a.csv", [A1, A2]))

    assert content(path) == before
    with Store.open(path) as store:
        assert [row["run_number"] for row in store.rows("SELECT run_number FROM runs ORDER BY 1")] == [1, 2]


def content(path: Path) -> dict[str, list[dict[str, object]]]:
    """Return all rows of all tables but the runs."""
    with Store.open(path) as store:
        names = [
            row["n"] for row in store.rows("SELECT table_name AS n FROM duckdb_tables() WHERE table_name <> 'run'")
        ]
        return {name: store.rows(f"SELECT * FROM {name} ORDER BY ALL") for name in names}


def test_a_file_given_again_is_replaced_and_others_stay(path: Path) -> None:
    built(path, ("pbx", "a.csv", [A1, A2]), ("pbx", "b.csv", [B1]))

    summary = built(path, ("pbx", "a.csv", [A2]))

    assert shown(path) == ["pbx:a.csv:2", "pbx:b.csv:1"]
    assert summary.kept_file_count == 1


def test_progress_counts_bytes_and_records_of_all_files(path: Path) -> None:
    steps: list[Progress] = []
    parts = [Batch(batch([A1]).facts, 1, byte_count=60), Batch(batch([A2]).facts, 1, byte_count=60)]
    build(
        path,
        given(("pbx", "a.csv", parts), ("pbx", "b.csv", [B1])),
        one_interaction_per_call,
        RUN,
        progress=steps.append,
    )

    assert [(step.phase, step.byte_count, step.record_count) for step in steps] == [
        ("read", 0, 0), ("read", 60, 1), ("read", 100, 2), ("read", 100, 2), ("read", 100, 3),
        ("fold", 200, 3), ("publish", 200, 3),
    ]  # fmt: skip
    assert {step.byte_total for step in steps} == {200}


def test_warnings_are_told_once_each(path: Path) -> None:
    parts = [Batch({}, 0, warnings=["odd", "odder"]), Batch({}, 0, warnings=["odd"])]

    assert built(path, ("pbx", "a.csv", parts)).files[0].warnings == ("odd", "odder")


# What must not be mixed


def test_another_companys_store_is_not_overwritten(path: Path) -> None:
    built(path, ("pbx", "a.csv", [A1]))

    with pytest.raises(ConfigurationError, match="is of company 'acme', not of 'rival'"):
        built(path, ("pbx", "a.csv", [A2]), run=replace(RUN, company_id="rival"))
    assert shown(path) == ["pbx:a.csv:1"]
    assert leftovers(path) == []


def test_tokens_of_two_keys_are_not_mixed(path: Path) -> None:
    built(path, ("pbx", "a.csv", [A1]), ("pbx", "b.csv", [B1]))
    other = replace(RUN, key_digest="k2")

    with pytest.raises(ConfigurationError, match="tokens made by another key; restore the key file"):
        built(path, ("pbx", "a.csv", [A2]), run=other)
    built(path, ("pbx", "a.csv", [A2]), ("pbx", "b.csv", [B1]), run=other)


@pytest.mark.parametrize("text", ["", "started_at,from\n"])
def test_a_file_that_is_no_store_is_not_overwritten(path: Path, text: str) -> None:
    path.write_text(text)

    with pytest.raises(ConfigurationError, match="not a DuckDB file"):
        built(path, ("pbx", "a.csv", [A1]))
    assert path.read_text() == text
    assert leftovers(path) == []


def test_a_file_given_twice_is_refused(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="given twice"):
        built(path, ("pbx", "a.csv", [A1]), ("pbx", "a.csv", [A1]))


# What goes wrong


@pytest.mark.parametrize("error", [InvalidRecord, KeyboardInterrupt, MemoryError])
def test_an_error_while_reading_leaves_the_old_store(path: Path, error: type[BaseException]) -> None:
    built(path, ("pbx", "a.csv", [A1]))

    def broken() -> Iterator[Batch]:
        yield batch([A2])
        raise error("cut off")

    with pytest.raises(error, match="cut off"):
        build(path, [(InputInfo("pbx", "a.csv", "canonical", 9), broken())], one_interaction_per_call, RUN)
    assert shown(path) == ["pbx:a.csv:1"]
    assert leftovers(path) == []


def test_an_error_in_the_fold_leaves_the_old_store(path: Path) -> None:
    built(path, ("pbx", "a.csv", [A1]))

    def broken(store: Store) -> None:
        one_interaction_per_call(store)
        raise RuntimeError("defect")

    with pytest.raises(RuntimeError, match="defect"):
        build(path, given(("pbx", "a.csv", [A2])), broken, RUN)
    assert shown(path) == ["pbx:a.csv:1"]
    assert leftovers(path) == []


def test_a_reader_goes_on_reading_the_old_store_while_the_new_one_takes_its_place(path: Path) -> None:
    built(path, ("pbx", "a.csv", [A1]))

    with Store.open(path) as reader:
        process = run_child(path, "build(path, given(('pbx', 'a.csv', [A2])), one_interaction_per_call, RUN)")
        assert process.returncode == 0, process.stderr
        assert sorted(outcomes(reader)) == ["pbx:a.csv:1"]
    assert shown(path) == ["pbx:a.csv:2"]


def test_changes_that_a_killed_writer_logged_are_kept(path: Path) -> None:
    built(path, ("pbx", "a.csv", [A1]))
    process = run_child(
        path,
        """
        store = Store.open(path, read_only=False)
        store.begin_file("pbx", "live", "canonical", 1)
        store.add(batch([B1]), "pbx", "live")
        store.finish_files()
        store.apply(said([interaction_row("live")]), 1)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert path.with_name(path.name + ".wal").exists()

    summary = built(path, ("pbx", "c.csv", [A2]))

    assert summary.kept_file_count == 2
    assert shown(path) == ["pbx:a.csv:1", "pbx:a.csv:2", "pbx:b.csv:1"]
    assert leftovers(path) == []


# Kills. The names say what the build was about to do.

POINTS = {
    "begin": "kill_before(catalog, 'create')",
    "write facts": "kill_before(Store, 'add', call=2)",
    "fold": "kill_before(Store, 'apply')",
    "publish": "kill_before(Store, 'publish')",
    "merge": "kill_before(Store, 'fold')",
    "sync the file": "kill_before(placement, 'sync')",
    "move it into place": "kill_before(os, 'replace')",
    "sync the folder": "kill_before(placement, 'sync', call=2)",
    "let the lock go": "kill_before(Placement, 'release', call=1)",
}

PREAMBLE = """
import os, signal, sys
sys.path[:0] = [os.getcwd(), os.path.join(os.getcwd(), "tests", "unit")]
from pathlib import Path
from sinks import catalog, placement
from sinks.placement import Placement
from test_build import *
path = Path(sys.argv[1])

def kill_before(owner, name, call=1):
    real, calls = getattr(owner, name), []
    def killed(*arguments, **options):
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    setattr(owner, name, killed)

"""


def run_child(path: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), str(path), *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


# Forked from one process that has imported everything, because imports take longest.
FORKS = """
import json
import pyarrow
pyarrow.array([1])  # pyarrow imports more at its first conversion
for folder, code in json.loads(sys.argv[2]):
    path = Path(folder) / "bypass.duckdb"
    child = os.fork()
    if child == 0:
        exec(code)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
REBUILD = "\nbuild(path, given(('pbx', 'a.csv', [A2]), ('pbx', 'b.csv', [B1])), fold, RUN)"
# The lock is let go by what looks at the old store first, too: this kill is prepared by the fold.
PREPARED_LATE = {"let the lock go"}


def test_a_kill_at_any_point_leaves_the_old_store_or_the_new_one(path: Path) -> None:
    old, new = ["pbx:a.csv:1"], ["pbx:a.csv:2", "pbx:b.csv:1"]
    built(path, ("pbx", "a.csv", [A1]))
    folders = {point: path.parent / f"{number}" for number, point in enumerate(POINTS)}
    programs = []
    for point, folder in folders.items():
        folder.mkdir()
        shutil.copy(path, folder)
        kill = POINTS[point]
        fold = f"def fold(store):\n    {kill}\n    one_interaction_per_call(store)\n"
        if point not in PREPARED_LATE:
            fold = f"fold = one_interaction_per_call\n{kill}\n"
        programs.append((str(folder), fold + REBUILD))

    process = run_child(path, FORKS, json.dumps(programs))

    assert process.stdout.split() == [str(-signal.SIGKILL)] * len(POINTS), process.stderr
    for point, folder in folders.items():
        store = folder / path.name
        assert shown(store) == (new if point in {"sync the folder", "let the lock go"} else old), point
        built(store, ("pbx", "a.csv", [A2]), ("pbx", "b.csv", [B1]))
        assert shown(store) == new, point
        assert leftovers(store) == [], point


def test_a_kill_while_there_was_no_store_leaves_none(path: Path) -> None:
    process = run_child(path, "fold = one_interaction_per_call\nkill_before(os, 'replace')" + REBUILD)

    assert process.returncode == -signal.SIGKILL, process.stderr
    assert not path.exists()
    built(path, ("pbx", "a.csv", [A2]))
    assert leftovers(path) == []


# Full disks

FILL = """
    import pyarrow as pa
    from tests.records import tables
    many = tables([A1])["observation"].take(pa.array([0] * 100_000))
    keys = [os.urandom(60).hex() for _ in range(100_000)]
    many = many.set_column(0, "raw_id", pa.array(keys))
    parts = [Batch({"observation": many}, 100_000) for _ in range(3)]
    try:
        build(path, given(("pbx", "a.csv", parts)), lambda store: store.fold_windows(10), RUN)
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_a_write_that_finds_no_room_leaves_the_old_store(path: Path) -> None:
    built(path, ("pbx", "a.csv", [A1]))
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))\n"

    process = run_child(path, limit + textwrap.dedent(FILL))

    assert process.returncode == 0, process.stderr
    assert f"TransientError no space left to write {path.name}" in process.stdout
    assert "the store is as it was before" in process.stdout
    assert shown(path) == ["pbx:a.csv:1"]
    assert leftovers(path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_leaves_the_old_store(small_disk: Path) -> None:
    path = small_disk / "bypass.duckdb"
    built(path, ("pbx", "a.csv", [A1]))

    process = run_child(path, FILL)

    assert process.returncode == 0, process.stderr
    assert "MB free" in process.stdout
    assert shown(path) == ["pbx:a.csv:1"]
    assert leftovers(path) == []
