"""The documents are true: generated pages are fresh, links lead somewhere, and examples give what they show.

In a page, a fenced block with title="NAME" is a file to write, one with append="NAME" goes to the end of it, and a
`console` block holds commands after `$ ` with what they print; `...` stands for anything.
"""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "compose").rglob("*.md")])
TRIED_PAGES = [path for path in PAGES if "```console\n$ bypassflow" in path.read_text(encoding="utf-8")]
DOCTESTED = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("schemas", "pipeline", "agents", "sinks", "dashboard")
    for path in (ROOT / folder).rglob("*.py")
    if "    >>> " in path.read_text(encoding="utf-8")
)
FENCE = re.compile(
    r"^```(?P<language>\w*)(?: (?P<verb>title|append)=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^```$", re.M | re.S
)
LINK = re.compile(r"\[[^\]]*\]\((?!https?://|#|mailto:)([^)#\s]+)[^)]*\)")
TWO_SENTENCES = re.compile(r"[a-zåäö)`*\"]{2}[.?!] +[A-ZÅÄÖ`*]")


@dataclass(frozen=True)
class Command:
    """One command of a page, where it stands and what it should print."""

    line: int
    text: str
    expected: str


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands(body: str, first_line: int) -> Iterator[Command]:
    """Yield the commands of a console block."""
    line = first_line
    for part in re.split(r"^\$ ", body, flags=re.M)[1:]:
        text, _, expected = part.partition("\n")
        yield Command(line, text, expected)
        line += part.count("\n")


def run(text: str, folder: Path) -> str:
    """Return what a user at a terminal would see of a command, without progress and colours."""
    program, *arguments = shlex.split(text)
    assert program == "bypassflow"
    environment = {**os.environ, "COLUMNS": "120", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *arguments],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("page", TRIED_PAGES, ids=name)
def test_the_examples_of_a_page_give_what_it_shows(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    checker = doctest.OutputChecker()
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for block in FENCE.finditer(text):
        if block["title"]:
            target = tmp_path / block["title"]
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("a" if block["verb"] == "append" else "w", encoding="utf-8") as stream:
                stream.write(block["body"])
        elif block["language"] == "console":
            for command in commands(block["body"], text.count("\n", 0, block.start("body")) + 1):
                shown = run(command.text, tmp_path)
                if command.expected.strip():
                    matches = checker.check_output(command.expected, shown, flags)
                    assert matches, f"{name(page)}, line {command.line}: $ {command.text}\n{shown}"


def test_there_is_a_tutorial_that_is_tried() -> None:
    assert any("tutorial" in path.parts for path in TRIED_PAGES)


def test_the_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", DOCTESTED)
def test_examples_in_docstrings_give_what_they_show(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_line_of_prose_holds_one_sentence(page: Path) -> None:
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    lines = [line for line in prose.splitlines() if line and line[0].isalpha()]
    assert [line for line in lines if TWO_SENTENCES.search(line)] == []
