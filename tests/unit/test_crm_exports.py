"""How a file of a CRM holds its records, and which files lie beside it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError
from pipeline.sources.crm_exports import Layout, layout_of, siblings, told_of
from pipeline.sources.reading import head
from tests.parsing import context


@pytest.mark.parametrize("text", [b'\xef\xbb\xbfId;Name\r\n1;"a;b"\r\n2;\r\n', b"Id\tName\n1\ta;b\n2\t\n"])
def test_a_table_has_columns_in_lower_case_and_first_records_without_empty_cells(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "table"
    path.write_bytes(text)

    layout = layout_of(text)

    assert (layout.form, layout.columns, layout.unit) == (None, ("id", "name"), "line")
    assert layout.first[0] == {"id": "1", "name": "a;b"}
    assert [(record.position, record.value) for record in layout.records(path)] == [
        (2, {"id": "1", "name": "a;b"}),
        (3, {"id": "2"}),
    ]


def test_a_document_has_the_records_of_its_list(tmp_path: Path) -> None:
    text = b'{"total": 2, "rows": [{"id": 1}, {"id": 2}]}'
    path = tmp_path / "pages.json.gz"
    path.write_bytes(gzip.compress(text))

    layout = layout_of(head(path), ["rows"])

    assert (layout.columns, layout.first, layout.unit) == ((), ({"id": 1},), "record")
    assert [record.value for record in layout.records(path)] == [{"id": 1}, {"id": 2}]


def test_what_is_no_text_has_no_columns() -> None:
    assert layout_of(b"a,b\0,c\n").columns == ()


def test_a_sibling_is_told_once_until_it_changes_and_one_that_is_gone_tells_nothing(tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def tell(layout: Layout, start: bytes) -> str | None:
        asked.append(layout.columns)
        return "ids" if "id" in layout.columns else None

    told, path = told_of((), tell), tmp_path / "a.csv"
    path.write_text("id,name\n")

    first, second = told(path), told(path)

    assert first is not None
    assert (first.found, first.layout.columns) == ("ids", ("id", "name"))
    assert second == first
    path.write_text("name,of,nothing\n")
    assert told(path) is None
    assert asked == [("id", "name"), ("name", "of", "nothing")]
    path.unlink()
    assert told(path) is None


def test_files_beside_are_those_of_the_folder_but_our_own_and_hidden_ones(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "bypassflow.toml", "store.duckdb", ".hidden"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder").mkdir()

    assert [path.name for path in siblings(tmp_path / "a.csv", context(tmp_path / "a.csv"))] == ["b.csv"]


def test_files_beside_that_are_named_must_exist(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    (tmp_path / "b.csv").write_text("x")

    given = context(path, options={"siblings": ["b.csv", "a.csv"]})
    path.write_text("x")

    assert [sibling.name for sibling in siblings(path, given)] == ["b.csv"]
    with pytest.raises(ConfigurationError, match=r"siblings names 'c\.csv', which is no file beside a\.csv"):
        list(siblings(path, context(path, options={"siblings": ["c.csv"]})))
    with pytest.raises(ConfigurationError, match="expected a list of paths"):
        list(siblings(path, context(path, options={"siblings": "b.csv"})))
