"""What tests of CRMs' exports share: their files, read as the run reads them, and what comes of a company's calls."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from hypothesis import strategies as st

from pipeline.sources.registry import Batch, Source
from tests import parsing
from tests.fuzz import CORPUS
from tests.parsing import address, rows
from tests.records import Fact, person

MAIJA, MATTI, NUMBER = "maija@customer.example", "matti@acme.example", "+358401234567"
"""A customer, a representative of ours, and the customer's number."""


def table(folder: Path, name: str, *records: Mapping[str, str], delimiter: str = ",") -> Path:
    """Write a table with all columns that any record has."""
    path = folder / name
    columns = list(dict.fromkeys(column for values in records for column in values))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(records)
    return path


def document(folder: Path, name: str, value: Any) -> Path:
    """Write a JSON document."""
    path = folder / name
    path.write_bytes(orjson.dumps(value))
    return path


def corpus(name: str, folder: Path) -> dict[str, Path]:
    """Return a copy of the files of a format's corpus, by name: one company's whole export."""
    shutil.copytree(CORPUS / name, folder, dirs_exist_ok=True)
    return {path.name: path for path in sorted(folder.iterdir())}


def read(source: Source, paths: Iterable[Path], **given: Mapping[str, Any]) -> list[Batch]:
    """Return what a parser makes of files; `given` are a mapping and options."""
    return [batch for path in paths for batch in parsing.batches(source, path, **given)]


def warnings(batches: Sequence[Batch]) -> list[str]:
    """Return the warnings, in their order."""
    return [warning for batch in batches for warning in batch.warnings]


def activity(batches: Sequence[Batch], **wanted: Any) -> dict[str, Any]:
    """Return the one activity or ticket that is as wanted."""
    found = [row for row in rows(batches, "activity") if all(row[name] == value for name, value in wanted.items())]
    assert len(found) == 1, found
    return found[0]


def outcomes(batches: Sequence[Batch], *observed: Fact) -> list[tuple[Any, ...]]:
    """Return outcome, reason and tier of each interaction, in a company where Matti has the extension 201."""
    directory = person("r1", extension="201", email_token=address(MATTI))
    found = parsing.interactions(batches, [directory, *observed])
    return [(row["outcome"], row["reason"], row["tier"]) for row in sorted(found, key=lambda row: row["started_at"])]


def assert_survives_damage(source: Source, folder: Path, data: st.DataObject) -> None:
    """Assert that a parser reads damaged files of its corpus, others beside them, with nothing but plain errors."""
    paths = corpus(source.name, folder)
    path = paths[data.draw(st.sampled_from(sorted(paths)))]
    path.write_bytes(parsing.damaged(path.read_bytes(), data))
    parsing.assert_survives(source, path, ("contact", "account", "crm_user", "activity"))
