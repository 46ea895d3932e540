"""The wheel holds what runs, our plain import names are ours alone, and the core stays a core."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agents", "commands", "dashboard", "pipeline", "schemas", "sinks")
TOP_LEVEL = (*PACKAGES, "cli")

# What would let the outside world into the core: a result must depend on the facts alone.
FORBIDDEN_CALLS = {
    "date.today", "datetime.date.today", "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.now",
    "datetime.today", "datetime.utcnow", "os.getenv", "os.putenv", "time.time", "time.time_ns",
}  # fmt: skip
FORBIDDEN_NAMES = {"os.environ", "os.environb", "sys.argv", "sys.stderr", "sys.stdout", "time.localtime"}
FORBIDDEN_MODULES = {"logging", "random.SystemRandom", "secrets", "socket", "subprocess", "uuid"}
OPENING_CALLS = {"open", "io.open", "gzip.open", "bz2.open", "lzma.open"}
OPENING_METHODS = {"read_bytes", "read_text", "write_bytes", "write_text"}
# Parsers open what they are given; SQL steps are read as resources of the package.
MAY_OPEN = ("pipeline/sources/",)


def core_modules() -> list[Path]:
    return sorted(path for folder in ("schemas", "pipeline") for path in (ROOT / folder).rglob("*.py"))


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def outside_world(path: Path) -> list[str]:
    """Return what a core module asks of the clock, the environment, a log or the file system, with lines."""
    found: list[str] = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    may_open = path.relative_to(ROOT).as_posix().startswith(MAY_OPEN)
    for node in ast.walk(tree):
        for module in imported(node):
            if module in FORBIDDEN_MODULES | FORBIDDEN_CALLS | FORBIDDEN_NAMES:
                found.append(f"{path.name}: imports {module}")
        if isinstance(node, ast.Attribute) and dotted(node) in FORBIDDEN_NAMES:
            found.append(f"{path.name}:{node.lineno}: {dotted(node)}")
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in FORBIDDEN_CALLS or name == "print":
            found.append(f"{path.name}:{node.lineno}: {name}()")
        if _opens_a_file(node.func, name) and not may_open:
            found.append(f"{path.name}:{node.lineno}: {ast.unparse(node.func)}() opens a file")
    return found


def _opens_a_file(function: ast.expr, name: str) -> bool:
    if name in OPENING_CALLS:
        return True
    if not isinstance(function, ast.Attribute) or "files(" in ast.unparse(function):  # a resource of the package
        return False
    # Other things are opened too: an exchange opens a call.
    is_path = "path" in ast.unparse(function.value).lower()
    return function.attr in OPENING_METHODS or (function.attr == "open" and is_path)


@pytest.mark.parametrize("path", core_modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_core_asks_nothing_of_clock_environment_log_or_file_system(path: Path) -> None:
    assert outside_world(path) == []


def test_the_check_of_the_core_finds_what_it_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    module = tmp_path / "clock.py"
    module.write_text(
        "import logging\nimport os\nfrom datetime import datetime\n"
        "now = datetime.now()\nhome = os.environ['HOME']\ntext = open('x').read()\n",
        encoding="utf-8",
    )
    assert len(outside_world(module)) == 4


@pytest.mark.parametrize("name", TOP_LEVEL)
def test_no_other_distribution_owns_a_top_level_name_of_ours(name: str) -> None:
    assert set(packages_distributions().get(name, [])) <= {"bypassflow"}


@pytest.mark.parametrize("name", TOP_LEVEL)
def test_every_top_level_name_is_imported_from_this_tree(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert ROOT in Path(spec.origin).resolve().parents


def test_test_folders_are_no_packages_and_their_file_names_are_unique() -> None:
    tests = ROOT / "tests"
    assert list(tests.rglob("__init__.py")) == []
    names = [path.name for path in tests.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_every_module_and_every_sql_file(wheel_names: set[str]) -> None:
    shipped = {
        path.relative_to(ROOT).as_posix()
        for folder in PACKAGES
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".sql"}
    }
    assert shipped | {"cli.py", "compose/kafka/pom.xml"} <= wheel_names


def test_the_wheel_holds_no_tests_documents_or_benchmarks(wheel_names: set[str]) -> None:
    first_parts = {name.split("/")[0] for name in wheel_names}
    assert {part for part in first_parts if not part.endswith(".dist-info")} == {*PACKAGES, "compose", "cli.py"}


def test_the_wheel_carries_the_licence_and_the_command(wheel_names: set[str]) -> None:
    assert any(name.endswith("licenses/LICENSE") for name in wheel_names)
    assert any(name.endswith("entry_points.txt") for name in wheel_names)
