"""Rows leave the store in formats that other programs read, and that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.export import safe_cell, to_json, write_csv, write_json, write_markdown, write_parquet

FORMULA_STARTS = "=+-@\t\r\uff1d\uff0b\uff0d\uff20"


def as_csv(rows: list[dict[str, Any]], columns: list[str]) -> str:
    stream = io.StringIO()
    write_csv(rows, columns, stream)
    return stream.getvalue()


def as_json(rows: list[dict[str, Any]]) -> str:
    stream = io.StringIO()
    write_json(rows, stream)
    return stream.getvalue()


def as_markdown(rows: list[dict[str, Any]], columns: list[str]) -> str:
    stream = io.StringIO()
    write_markdown(rows, columns, stream)
    return stream.getvalue()


# CSV


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+358401234567",
        "-5",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "  =1",
        "\u00a0=1",
        "\ufeff=1",
        "\u200b=1",
        "\uff1d1",
        "\uff0b358",
    ],
)
def test_a_text_that_looks_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert safe_cell(text).startswith("'")
    assert safe_cell(text).replace("'", "") == text


@pytest.mark.parametrize("text", ["sales", "", "a=b", "x-1", "9", "jo@x.fi", "'=1", "m…@….fi", "2024-05-02"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert safe_cell(text) == text


@given(st.text())
def test_no_cell_begins_like_a_formula_and_nothing_is_lost(text: str) -> None:
    (header, row) = csv.reader(io.StringIO(as_csv([{"a": text}], ["a"]), newline=""))
    cell = row[0]

    assert header == ["a"]
    assert cell.replace("'", "") == text.replace("'", "")
    blanks = "".join(chr(code) for code in (*range(32), 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF))
    assert cell[:1] == "" or cell[0] not in FORMULA_STARTS
    stripped = cell.strip().lstrip(blanks).strip()
    assert stripped[:1] == "" or stripped[0] not in FORMULA_STARTS


@given(st.lists(st.sampled_from([";", "\t", "\n", " ", "=", "+", "a"]), max_size=8).map("".join))
def test_a_program_with_other_separators_finds_no_formula_either(text: str) -> None:
    for piece in safe_cell(text).replace("\n", ";").replace("\t", ";").split(";"):
        assert piece.strip()[:1] not in ("=", "+")


def test_numbers_stay_numbers_and_null_is_no_empty_text() -> None:
    rows: list[dict[str, Any]] = [{"n": -5, "x": -0.25, "nothing": None, "text": "", "yes": True}]

    assert as_csv(rows, ["n", "x", "nothing", "text", "yes"]).splitlines()[1] == '-5,-0.25,,"","true"'


def test_lists_and_instants_are_written_so_that_they_can_be_read_back() -> None:
    row = {"at": datetime(2024, 5, 2, 6, 15, 4), "who": ["r1", 'r"2'], "what": [{"line": 7}], "day": date(2024, 5, 2)}
    (_, cells) = csv.reader(io.StringIO(as_csv([row], ["at", "who", "what", "day"])))

    assert cells[0] == "2024-05-02T06:15:04Z"
    assert [json.loads(cell) for cell in cells[1:3]] == [["r1", 'r"2'], [{"line": 7}]]
    assert cells[3] == "2024-05-02"


def test_a_header_is_written_even_without_rows() -> None:
    assert as_csv([], ["channel", "team"]) == '"channel","team"\n'


# JSON


def test_json_is_a_list_of_objects_one_a_line() -> None:
    text = as_json([{"at": datetime(2024, 5, 2), "team": "Myyntï", "share": None}, {"at": None}])

    assert json.loads(text) == [{"at": "2024-05-02T00:00:00Z", "team": "Myyntï", "share": None}, {"at": None}]
    assert len(text.splitlines()) == 4


def test_no_rows_are_an_empty_list() -> None:
    assert json.loads(as_json([])) == []


def test_json_holds_no_value_that_json_does_not_know() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(float("nan"))


# Markdown


def test_markdown_is_a_table_with_numbers_to_the_right() -> None:
    rows: list[dict[str, Any]] = [{"team": "a|b\nc <x>", "share": 0.65237, "n": 1200}, {"team": None, "share": None}]

    assert as_markdown(rows, ["team", "share", "n"]).splitlines() == [
        "| team | share | n |",
        "| --- | ---: | ---: |",
        "| a\\|b c &lt;x> | 0.6524 | 1200 |",
        "|  |  |  |",
    ]


# Parquet


class Pipe(io.RawIOBase):
    """A stream that cannot go back, as standard output."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.content += bytes(data)
        return len(bytes(data))


def test_parquet_is_written_to_a_pipe_with_instants_in_utc() -> None:
    table = pa.table(
        {
            "at": pa.array([datetime(2024, 5, 2, 6)], pa.timestamp("us")),
            "who": [["r1"]],
            "evidence": [[{"raw_id": "pbx:f:1", "position": 1}]],
        }
    )
    pipe = Pipe()
    write_parquet(table, pipe)  # type: ignore[arg-type]

    back = pq.read_table(pa.BufferReader(bytes(pipe.content)))
    assert back.schema.field("at").type == pa.timestamp("us", "UTC")
    assert back.column("evidence").to_pylist() == [[{"raw_id": "pbx:f:1", "position": 1}]]
