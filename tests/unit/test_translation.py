"""What one record of a system tells: one event, several, none, or nothing that can be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InvalidRecord
from pipeline.sources import registry
from pipeline.sources.json_records import JsonRecord
from pipeline.sources.reading import csv_records
from pipeline.sources.registry import Batch, DocumentedSource
from pipeline.sources.translation import table_records, translated
from tests.parsing import context, letters, rows

SESSION = {"kind": "message", "channel": "chat", "started_at": "2024-03-05T09:00:00Z", "direction": "inbound"}


def read(path: Path, told: Sequence[Any], kind: str | None = None) -> list[Batch]:
    """Return what comes of a file of which each record tells this."""

    def translate(value: Mapping[str, Any]) -> Any:
        if isinstance(value["told"], str):
            raise InvalidRecord(value["told"])
        return value["told"]

    records = (JsonRecord(number, {"told": each}) for number, each in enumerate(told, 1))
    return list(translated(records, translate, context(path), "record", 100, kind))


def test_each_part_of_a_record_is_an_event_of_its_own(tmp_path: Path) -> None:
    parts = [{**SESSION, "customer": "a"}, {**SESSION, "customer": "b"}, {**SESSION, "channel": "smoke"}]

    found = read(tmp_path / "file", [{**SESSION, "customer": "c"}, parts])

    assert [row["raw_id"] for row in rows(found)] == ["tried:file:1", "tried:file:2", "tried:file:2#2"]
    assert [(letter.raw_id, letter.position) for letter in letters(found)] == [("tried:file:2#3", 2)]
    assert sum(batch.record_count for batch in found) == 4


def test_what_tells_of_no_conversation_is_counted_in_a_warning_only(tmp_path: Path) -> None:
    found = read(tmp_path / "file", [(), {**SESSION, "customer": "c"}, (), "sid: missing"])

    assert sum(batch.record_count for batch in found) == 2
    assert [letter.reason for letter in letters(found)] == ["sid: missing"]
    warnings = [warning for batch in found for warning in batch.warnings]
    assert warnings == ["file: 2 of its records tell of no conversation and were passed over"]


def test_what_cannot_be_read_is_a_raw_event_unless_the_file_holds_none(tmp_path: Path) -> None:
    (unknown,) = letters(read(tmp_path / "file", ["id: missing"]))
    (of_a_crm,) = letters(read(tmp_path / "file", ["id: missing"], "activity"))

    assert (unknown.is_raw_event, of_a_crm.is_raw_event) == (True, False)


def test_a_table_whose_header_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('name,"time\nMaija,1\n')

    with pytest.raises(
        InvalidRecord, match=r"the header, in line 1: a quotation mark opens .*; export the table again"
    ):
        list(table_records(csv_records(path)))


def test_every_parser_here_says_what_it_reads_and_on_what_that_was_tried() -> None:
    for source in registry.sources():
        documented: DocumentedSource = source  # type: ignore[assignment]
        for each in documented.formats:
            assert all((each.name, each.read, each.verified_on)), source.name
        assert documented.formats, source.name
        assert all(lie.endswith(".") for lie in documented.lies), source.name
