"""On a simulated company the effect of a measure and the corrected share are found as they truly are, end to end."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from pipeline.simulate import truth_path
from tests.integration.companies import bypassflow, place, replay, simulated

TEAM = "Inside sales"
BEGIN = datetime(2025, 10, 17)
EXPORTS = {"Task.csv": "Id", "EmailMessage.csv": "Id", "EmailMessageRelation.csv": "EmailMessageId"}


@cache
def company() -> Path:
    """Return a company of four weeks. To be read only."""
    return simulated(place("effect"), days=28, representatives=12, seed=4)


def truths() -> Iterator[dict[str, Any]]:
    with truth_path(company()).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def started(truth: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(truth["started_at"]).replace(tzinfo=None)


def lazier(directory: Path) -> tuple[Path, set[str]]:
    """Return the company as if one team had stopped to log half of its work at BEGIN, and the records that are gone."""
    members = {row["email"] for row in _rows(company() / "directory.csv") if row["team"] == TEAM}
    users = {row["Id"] for row in _rows(company() / "salesforce" / "User.csv") if row["Email"] in members}
    made = {
        row["Id"]
        for name in ("Task.csv", "EmailMessage.csv")
        for row in _rows(company() / "salesforce" / name)
        if row["CreatedById"] in users and datetime.fromisoformat(row["CreatedDate"][:19]) >= BEGIN
    }
    gone = set(sorted(made)[::2])
    for path in sorted(company().rglob("*")):
        target = directory / path.relative_to(company())
        if path.is_file() and path.name in EXPORTS:
            _write_rows(target, [row for row in _rows(path) if row[EXPORTS[path.name]] not in gone])
        elif path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            target.chmod(path.stat().st_mode)
    return directory, gone


def test_the_effect_of_a_measure_is_as_large_as_it_truly_is(tmp_path: Path) -> None:
    changed, gone = lazier(tmp_path / "lazier")
    db = replay(tmp_path / "bypass.duckdb", changed)
    noted = bypassflow("measure", "add", "lazier", "--begins", f"{BEGIN}Z", "--team", TEAM, "--db", db)
    assert noted.exit_code == 0, noted.error

    told = json.loads(bypassflow("measure", "effect", "lazier", "--db", db, "--format", "json").out)

    until = datetime.fromisoformat(told["spans"]["until"])
    after = [each for each in truths() if each["team"] == TEAM and BEGIN <= started(each) < until]
    lost = sum(bool(each["activity_ids"]) and set(each["activity_ids"]) <= gone for each in after)
    true_effect = lost / len(after)
    difference = told["comparison"]["difference"]
    assert true_effect > 0.2
    assert difference["low"] < true_effect < difference["high"]
    assert difference["low"] > 0
    assert TEAM not in told["comparison_teams"]
    assert len(told["comparison_teams"]) == 7


def test_the_share_of_a_matcher_that_misses_much_is_corrected_to_the_true_one(tmp_path: Path) -> None:
    poor = Path(shutil.copytree(company(), tmp_path / "poor"))
    with (poor / "bypassflow.toml").open("a", encoding="utf-8") as configuration:
        configuration.write(
            '\n[match]\ntiers = ["exact", "same_representative"]\nsame_representative_after = "20min"\n'
        )
    db = replay(tmp_path / "bypass.duckdb", poor)
    drawn = bypassflow("label", "sample", "--size", "400", "--seed", "5", "--db", db)
    judged = tmp_path / "judged.csv"
    judge(db, drawn.out, judged)
    taken = bypassflow("label", "import", judged, "--db", db, "--author", "truth")
    assert taken.exit_code == 0, taken.error

    (found,) = json.loads(bypassflow("report", "--corrected", "--db", db, "--format", "json").out)

    outcomes = [each["outcome"] for each in truths() if each["outcome"] != "pending"]
    true_share = 1 - outcomes.count("traced") / len(outcomes)
    assert found["measured_share"] > true_share + 0.03
    assert found["corrected_share_low"] < true_share < found["corrected_share_high"]
    assert found["corrected_share_high"] < found["measured_share"] + 0.02
    assert found["judged_count"] >= 390


def judge(db: Path, sample: str, target: Path) -> None:
    """Fill in the verdicts as somebody who knows the truth would."""
    by_record: dict[str, list[str]] = {}
    for truth in truths():
        for record in truth["evidence"]:
            by_record.setdefault(record, []).append(truth["outcome"])
    with duckdb.connect(str(db), read_only=True) as connection:
        found = connection.execute(
            "SELECT interaction_id, raw_id FROM interactions JOIN evidence USING (evidence_id)"
        ).fetchall()
    records: dict[str, list[str]] = {}
    for interaction_id, raw_id in found:
        records.setdefault(interaction_id, []).append(raw_id.partition(":")[2])
    rows = list(csv.DictReader(io.StringIO(sample)))
    for row in rows:
        outcomes = [each for record in records[row["interaction_id"]] for each in by_record.get(record, [])]
        row["verdict"] = verdict(row["outcome"] == "traced", outcomes)
    _write_rows(target, rows)


def verdict(is_traced: bool, outcomes: list[str]) -> str:
    """Return what the truth says of a measured interaction, from the outcomes of the true ones it was made of."""
    if not outcomes:
        return "no_customer"
    # Parties of one email share their records: the one that fits is meant.
    if is_traced:
        return "correct" if "traced" in outcomes else "wrong_contact"
    return "correct" if set(outcomes) != {"traced"} else "logged_elsewhere"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def _write_rows(target: Path, rows: list[dict[str, str]]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
