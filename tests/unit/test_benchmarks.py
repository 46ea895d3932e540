"""The benchmarks work, at sizes too small to mean anything: no figure is asserted here."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import duckdb_only, plain_mail, plain_script
from benchmarks.company import write_calls, write_mail
from benchmarks.dashboard_store import make, repeat
from benchmarks.fold import hot_seconds, seconds_beside
from benchmarks.live import delays
from benchmarks.live_company import Spent, spent_by
from benchmarks.measuring import BenchmarkFailed, Usage, run_python, spread, typical
from benchmarks.replay import PLAIN, READING, REPLAY, Measurement
from benchmarks.stages import Stopwatch
from sinks import measures, paging
from sinks.store import Store

TINY = command.Sizes(
    [(100, 1), (200, 1)],
    messages=20,
    mail_repetitions=1,
    open_interactions=40,
    folds=2,
    hot=(40,),
    parsed_megabytes=0.01,
    dashboard=(400, 1),
)

# Parts that need a broker, see tests/integration/test_live_benchmarks.py.
LIVE = ("live", "latency")


def test_one_run_measures_everything_and_prints_ratios(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "QUICK", TINY)

    parts = [word for part in command.PARTS if part not in LIVE for word in ("--only", part)]
    assert command.main(["--quick", "--folder", str(tmp_path), *parts]) == 0

    printed = capsys.readouterr().out
    for name in (REPLAY, PLAIN, READING):
        assert len(re.findall(rf"^\| [\d,]+ call records +\| {name} ", printed, re.MULTILINE)) == len(TINY.calls)
    assert re.search(
        r"^100 call records: a replay is [\d.]+ times as fast as the plain script, ", printed, re.MULTILINE
    )
    assert re.search(r"^2 times the records, .* times the peak memory\.$", printed, re.MULTILINE)
    assert re.search(r"^20 emails: [\d,]+ emails a second\.$", printed, re.MULTILINE)
    assert re.search(r"^\| 40 +\| 2 ", printed, re.MULTILINE)
    assert re.search(r"^\| 40 +\| 10 ", printed, re.MULTILINE)
    assert re.search(r"^\| twilio +\| 0\.0 +\| [\d,]+ +\| [\d,]+ +\| csv, json ", printed, re.MULTILINE)
    assert re.search(r"^\| missed calls, listed +\| four weeks \| \d+ +\| \d+ +\| [\d.]+ +\| ", printed, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_a_repeated_store_is_as_one_that_was_replayed(tmp_path: Path) -> None:
    path, once = make(tmp_path, 500)
    count = repeat(path, once + 1, days=7)

    with Store.open(path) as store:
        rows = store.rows("SELECT * FROM interactions")
        evidence = {
            row["evidence_id"] for row in store.rows("SELECT evidence_id FROM evidence WHERE evidence_id <> ''")
        }
        times = [row["started_at"] for row in rows]
        accounts = measures.audit(store)
        page = paging.activities(store, limit=count)
    assert len({row["interaction_id"] for row in rows}) == len(rows) == count == 2 * once >= 1_000
    assert {row["evidence_id"] for row in rows} == evidence
    assert max(times) - min(times) > timedelta(days=7)
    assert [account["unaccounted_count"] for account in accounts] == [0] * len(accounts)
    assert {row["activity_id"] for row in page} >= {row["activity_id"] for row in rows if row["activity_id"]}


def test_a_process_that_fails_ends_the_run_with_what_it_said() -> None:
    with pytest.raises(BenchmarkFailed, match="no such luck"):
        run_python("-c", "import sys; sys.exit('no such luck')")


def test_the_peak_memory_of_a_process_is_its_own_when_a_small_one_starts_it() -> None:
    measured = """
from benchmarks.measuring import run_python
for size in (0, 200_000_000):
    print(run_python("-c", f"held = bytearray({size})").usage.peak_bytes)
"""

    small, large = map(int, run_python("-c", measured).output.split())

    assert large - small > 150_000_000


def test_the_median_of_repetitions_counts() -> None:
    usages = [Usage(3, 1, 10), Usage(1, 2, 30), Usage(2, 9, 20)]

    assert typical(usages) == Usage(2, 2, 20)
    assert spread([1, 2, 3]) == 1


def test_ratios_compare_with_the_replay_of_the_same_run() -> None:
    measurement = Measurement(
        "1,000 call records",
        1_000,
        {REPLAY: [Usage(2, 4, 1 << 20)], PLAIN: [Usage(5, 5, 1 << 20)], READING: [Usage(1, 1, 1 << 20)]},
    )

    replay, plain, _ = measurement.rows()

    assert replay[1:6] == [REPLAY, "2.0", "4.0", "1", "500"]
    assert plain[6:8] == ["2.50", "1.25"]


def test_the_plain_script_and_the_floor_read_the_files_of_a_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_calls(tmp_path, 80_000)

    plain_script.main(tmp_path)
    teams = capsys.readouterr().out.splitlines()
    duckdb_only.main(tmp_path)
    files = capsys.readouterr().out

    assert [line.split()[0] for line in teams] == ["Service", "Team", "Team", "Team", "all"]
    interactions, bypassed = (int(text.replace(",", "")) for text in teams[-1].split()[1:3])
    assert 0 < bypassed < interactions
    assert re.search(r"^asterisk/Master\.csv +80,000$", files, re.MULTILINE)
    assert re.search(r"^salesforce/Task\.csv +20,000$", files, re.MULTILINE)


def test_the_plain_mail_script_counts_a_copy_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mail(tmp_path, 80)

    plain_mail.main(tmp_path)

    assert capsys.readouterr().out.startswith("80 messages, 70 different, ")


def test_folds_are_counted_from_the_first_that_is_warm() -> None:
    begun = []

    found = seconds_beside(40, folds=2, begin_counting=lambda: begun.append("now"))

    assert begun == ["now"]
    assert isinstance(found["wall"], list)
    assert len(found["wall"]) == 2


def test_a_hot_customer_is_folded_at_once() -> None:
    assert hot_seconds(40)["wall"] > 0


def test_a_stopwatch_names_the_costliest_stage_first() -> None:
    watch = Stopwatch()
    with watch.stage("all", busy=iter([0.0, 5.0]).__next__), watch.stage("half", busy=iter([0.0, 2.5]).__next__):
        pass

    _, first, second = watch.lines()

    assert first.split() == ["5.000s", first.split()[1], "1", "all"]
    assert second.endswith("half")


def test_each_call_is_delayed_until_so_many_are_stored() -> None:
    published = [10.0, 10.0, 10.5]
    stored = [(10.2, 0), (11.0, 2), (11.1, 1), (12.0, 3)]

    assert delays(published, stored) == [1.0, 1.0, 1.5]


def test_calls_that_are_never_stored_fail_the_measurement() -> None:
    with pytest.raises(BenchmarkFailed, match="1 of 2 calls"):
        delays([10.0, 10.0], [(11.0, 1)])


def test_a_process_that_is_gone_has_spent_nothing() -> None:
    assert spent_by(os.getpid()).peak_bytes > 0
    assert spent_by(1 << 30) == Spent(0.0, 0, 0)
