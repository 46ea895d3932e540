"""A file put before every parser, those of other packages among them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from pipeline.errors import ConfigurationError
from pipeline.sources.trial import Trial, try_path
from tests.parsing import IDENTIFIERS, READ_AT, context

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "howto" / "write-a-source.md"
RECORD = {
    "kind": "call", "started_at": "2024-03-05T09:00:00Z", "direction": "inbound", "from": "+358401234567", "to": "201",
    "status": "answered", "duration_seconds": 60,
}  # fmt: skip


def tried(path: Path) -> Trial:
    return try_path(path, IDENTIFIERS, context(path).zone, READ_AT)


def test_the_surest_parser_comes_first_and_shows_what_it_reads_without_the_customers_number(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(orjson.dumps(RECORD) + b"\n" + b'{"kind": "call"}\n')

    trial = tried(path)

    assert (trial.chosen, trial.judgements[0].format) == ("canonical_jsonl", "canonical_jsonl")
    assert [each.confidence for each in trial.judgements[1:]] == [None] * (len(trial.judgements) - 1)
    assert (trial.record_count, trial.fact_counts, trial.rejected_count) == (2, {"observation": 1}, 1)
    assert trial.reasons == ["line 2: started_at: missing; every call needs it"]
    assert (trial.facts[0]["from_token"], trial.facts[0]["talk_seconds"]) == ("known", 60)
    assert "401234567" not in repr(trial)


def test_what_nobody_knows_is_described(tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("a;b;c\n1;2;3\n")

    trial = tried(path)

    assert trial.chosen is None
    assert trial.appearance == "seems to be text with 3 columns between semicolons"
    assert not any(each.confidence for each in trial.judgements)


def test_a_folder_is_tried_as_a_whole_and_a_missing_path_is_said(tmp_path: Path) -> None:
    for name in ("cur", "new", "tmp"):
        (tmp_path / "box" / name).mkdir(parents=True)

    assert tried(tmp_path / "box").chosen == "maildir"
    with pytest.raises(ConfigurationError, match="cannot be read: no such file"):
        tried(tmp_path / "gone")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "COLUMNS": "200"},
    )  # fmt: skip


def test_the_parser_of_the_page_reads_its_table_once_it_is_announced(tmp_path: Path) -> None:
    found = re.search(r'```python title="my_pbx.py"\n(.*?)```', PAGE.read_text(encoding="utf-8"), re.S)
    assert found is not None
    assert found[1].count("\n") <= 48
    (tmp_path / "my_pbx.py").write_text(found[1])
    announced = tmp_path / "my_pbx-1.0.dist-info"
    announced.mkdir()
    (announced / "METADATA").write_text("Metadata-Version: 2.1\nName: my-pbx\nVersion: 1.0\n")
    (announced / "entry_points.txt").write_text("[bypassflow.sources]\nmy_pbx = my_pbx:SOURCE\n")
    path = tmp_path / "calls.txt"
    path.write_text(
        "begin;seconds;way;caller;called;talked\n"
        "2024-03-05 09:00:00;60;in;040 1234567;201;yes\n"
        "2024-03-05 10:00:00;60;round;040 1234567;201;yes\n"
    )

    done = run(tmp_path, "sources", "--try", "calls.txt", "--format", "json")

    trial = orjson.loads(done.stdout)
    assert trial["chosen"] == "my_pbx", done.stderr
    assert trial["facts"][0] | {"channel": "call", "direction": "inbound", "to_endpoint": "201"} == trial["facts"][0]
    assert trial["reasons"] == ["line 3: way: expected in or out"]
    shown = run(tmp_path, "sources", "--try", "calls.txt").stdout
    assert "its header" in shown
    assert "read as my_pbx: of its first 2 records 1 observation; 1 cannot be used" in shown


def test_a_file_that_nobody_knows_is_a_failure_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("hello\n")

    done = run(tmp_path, "sources", "--try", "words.txt")

    assert done.returncode == 1
    assert "no parser recognises words.txt; it seems to be text without columns" in done.stderr
