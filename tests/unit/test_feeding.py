"""Batches as a store takes them, and a look at files without a store."""

from __future__ import annotations

import gzip
from datetime import datetime
from pathlib import Path

from pipeline.configuration import load
from pipeline.identifiers import Identifiers
from pipeline.sources.discovery import Input, discover
from pipeline.sources.feeding import feed
from sinks.inspection import inspect
from tests.acme import CALLS, write_acme

READ_AT = datetime(2024, 4, 1)


def inputs(folder: Path) -> dict[str, Input]:
    configuration = load((folder / "bypassflow.toml").read_text(), "bypassflow.toml")
    return {item.file: item for item in discover([folder], configuration, folder)}


def identifiers() -> Identifiers:
    return Identifiers(bytes(32))


def test_a_batch_brings_the_identifiers_that_were_first_met_in_it(tmp_path: Path) -> None:
    known = identifiers()
    item = inputs(write_acme(tmp_path))["pbx/Master.csv"]
    first, again = (list(feed(item, known, READ_AT)) for _ in range(2))
    tokens = {token for batch in first for token in batch.facts["observation"]["from_token"].to_pylist()}
    met = {token for batch in first for token in batch.facts["identifier"]["token"].to_pylist()}
    assert tokens <= met
    assert all("identifier" not in batch.facts for batch in again)


def test_what_the_configuration_says_of_the_feeds_reach_takes_the_place_of_the_files_word(tmp_path: Path) -> None:
    item = inputs(write_acme(tmp_path))["crm/activities.jsonl"]
    said = datetime(2024, 3, 1)
    for complete_through, expected in ((None, datetime(2024, 3, 4, 7, 10)), (said, said)):
        batches = feed(item, identifiers(), READ_AT, complete_through)
        tables = [batch.facts["feed_progress"] for batch in batches if "feed_progress" in batch.facts]
        assert [instant for table in tables for instant in table["complete_through"].to_pylist()] == [expected]


def test_a_file_without_activities_gets_no_reach_from_the_configuration(tmp_path: Path) -> None:
    item = inputs(write_acme(tmp_path))["crm/contacts.jsonl"]
    batches = list(feed(item, identifiers(), READ_AT, datetime(2024, 3, 1)))
    assert sum(batch.facts["feed_progress"].num_rows for batch in batches if "feed_progress" in batch.facts) == 0


def test_an_inspection_counts_and_keeps_the_first_problems(tmp_path: Path) -> None:
    folder = write_acme(tmp_path)
    with (folder / "pbx" / "Master.csv").open("a") as stream:
        stream.write("too,few\n" * 4)
    heard: list[int] = []
    (found,) = inspect(
        [inputs(folder)["pbx/Master.csv"]],
        identifiers(),
        READ_AT,
        most_letters=3,
        advance=lambda _, record_count: heard.append(record_count),
    )
    assert (found.summary["record_count"], found.summary["rejected_count"]) == (len(CALLS) + 4, 4)
    assert [problem.split(":")[0] for problem in found.problems] == [f"pbx/Master.csv, line {n}" for n in (7, 8, 9)]
    assert (found.is_fine, sum(heard)) == (False, len(CALLS) + 4)


def test_an_inspection_goes_on_after_a_file_that_cannot_be_read_to_its_end(tmp_path: Path) -> None:
    folder = write_acme(tmp_path)
    (folder / "pbx" / "Master.csv").rename(folder / "pbx" / "whole.csv")
    packed = gzip.compress((folder / "pbx" / "whole.csv").read_bytes())
    (folder / "pbx" / "cut.csv.gz").write_bytes(packed[:-40])
    found = {findings.item.file: findings for findings in inspect(inputs(folder).values(), identifiers(), READ_AT)}
    assert found["pbx/cut.csv.gz"].failure is not None
    assert found["pbx/whole.csv"].is_fine
