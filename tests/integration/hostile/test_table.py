"""The table of `docs/explanation/security.md`: each row names a test that there is, and no test is left out."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
PAGE = TESTS.parent / "docs" / "explanation" / "security.md"
FEWEST_ROWS = 40


def rows() -> list[list[str]]:
    """Return the cells of the table of what was tried."""
    table = PAGE.read_text(encoding="utf-8").partition("## What was tried")[2]
    lines = [line for line in table.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_each_row_has_an_entry_an_attack_an_answer_and_a_test_that_there_is() -> None:
    found = rows()
    assert len(found) >= FEWEST_ROWS
    for row in found:
        assert len(row) == 4, row
        assert all(row), row
        file, _, name = row[3].strip("` ").partition("::")
        paths = [path for path in TESTS.rglob(Path(file).name) if path.as_posix().endswith(f"/{file}")]
        assert len(paths) == 1, file
        assert name in functions_of(paths[0]), row[3]


def test_no_attack_is_told_twice() -> None:
    told = [(row[0], row[1]) for row in rows()]
    assert len(told) == len(set(told))
