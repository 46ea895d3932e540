"""Records in JSON files, however they are put, and what is no JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InvalidRecord
from pipeline.json_text import DEEPEST
from pipeline.sources.json_records import JsonForm, first_record, form_of, json_records

LISTS = ("calls", "messages")


def records(tmp_path: Path, text: str) -> list[tuple[int, dict[str, Any], str | None]]:
    path = tmp_path / "export.json"
    path.write_text(text, encoding="utf-8")
    form = form_of(text.encode(), LISTS)
    assert form is not None
    return [(record.position, record.value, record.problem) for record in json_records(path, form)]


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}\n{"a": 2}\n',
        '{"a": 1}\n\n{"a": 2}',
        '[{"a": 1}, {"a": 2}]',
        '{\n  "a": 1\n}\n{\n  "a": 2\n}\n',
        '{"page": 0, "of": {"calls": [7]}, "calls": [{"a": 1}, {"a": 2}], "rest": [{"a": 3}]}',
        '{"calls": [{"a": 1}]}\n{"calls": [{"a": 2}]}\n',
        '{"calls": [\n{"a": 1},\n{"a": 2}\n]}',
    ],
)
def test_records_are_found_however_they_are_put(tmp_path: Path, text: str) -> None:
    assert [value for _, value, _ in records(tmp_path, text)] == [{"a": 1}, {"a": 2}]


def test_what_is_inside_a_record_stays_as_it_is(tmp_path: Path) -> None:
    inside = {"list": [1, [2.5, None], {}], "text": "a\u00e4\u20ac", "flag": True, "calls": [{"a": 9}]}
    text = '[{"list": [1, [2.5, null], {}], "text": "aä€", "flag": true, "calls": [{"a": 9}]}]'

    assert records(tmp_path, text) == [(1, inside, None)]


def test_a_broken_line_costs_itself_only(tmp_path: Path) -> None:
    found = records(tmp_path, '{"a": 1}\n{"a": \n[1]\n{"a": 4}\n')

    assert [(position, value) for position, value, problem in found if not problem] == [(1, {"a": 1}), (4, {"a": 4})]
    assert [(position, problem) for position, _, problem in found if problem] == [
        (2, "no valid JSON; expected one object a line"),
        (3, "expected a JSON object"),
    ]


def test_a_line_too_long_to_be_a_record_is_told(tmp_path: Path) -> None:
    found = records(tmp_path, '{"a": 1}\n{"b": "' + "x" * (1 << 20) + '"}\n{"a": 3}\n')

    assert [(position, bool(problem)) for position, _, problem in found] == [(1, False), (2, True), (3, False)]


def test_a_document_may_be_longer_than_any_line(tmp_path: Path) -> None:
    found = records(tmp_path, '[{"b": "' + "x" * (2 << 20) + '"}, {"a": 2}]')

    assert [position for position, _, _ in found] == [1, 2]


@pytest.mark.parametrize("text", ['[{"a": 1}, {"a": 2', '{"calls": [{"a": 1}, {"a": NaN}]}', '[{"a": 1}, x'])
def test_a_broken_document_ends_the_file_with_its_place_and_the_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(text)
    form = form_of(text.encode(), LISTS)
    assert form is not None
    reader = json_records(path, form)

    assert next(reader).value == {"a": 1}
    with pytest.raises(InvalidRecord, match=r"export\.json: no valid JSON after record 1; export it again"):
        next(reader)


@pytest.mark.parametrize("broken", [b'"\xc0\x80"', b'"\xff"', b"1" * 5_000, b"1e999", b"NaN", b'"\\ud800"x'])
def test_values_that_nobody_can_read_end_a_document(tmp_path: Path, broken: bytes) -> None:
    path = tmp_path / "export.json"
    path.write_bytes(b'[{"a": 1}, {"b": ' + broken)
    form = form_of(path.read_bytes(), LISTS)
    assert form is not None

    assert first_record(path.read_bytes(), form) in ({"a": 1}, None)
    with pytest.raises(InvalidRecord, match="no valid JSON"):
        list(json_records(path, form))


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, '[{"a": ' + "[" * (DEEPEST + 1)])
def test_what_is_nested_to_cost_memory_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidRecord, match="nested more than"):
        records(tmp_path, text)


@pytest.mark.parametrize("text", ["", "hello", "a,b\n1,2\n", "\n\n"])
def test_what_is_no_json_has_no_form(text: str) -> None:
    assert form_of(text.encode(), LISTS) is None


@pytest.mark.parametrize(
    ("text", "form", "value"),
    [
        ('{"calls": [{"a": 1}, {"a"', JsonForm("record", "calls"), {"a": 1}),
        ('{"calls": [{"a": 1', JsonForm("record", "calls"), None),
        ('{"calls": []}', JsonForm("record", "calls"), None),
        ('{"calls": 3}', JsonForm("record"), {"calls": 3}),
        ("[3]", JsonForm("record", "item"), None),
    ],
)
def test_the_first_record_is_seen_in_the_beginning_of_a_file(
    text: str, form: JsonForm, value: dict[str, Any] | None
) -> None:
    assert form_of(text.encode(), LISTS) == form
    assert first_record(text.encode(), form) == value
