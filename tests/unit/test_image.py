"""The image is small, its process is nobody's root, and what it is built of is locked and in the tree."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from platform import machine

import pytest
from packaging.requirements import Requirement

import cli
from release.extras import extra_packages
from release.locked import packages

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "compose" / "Dockerfile"


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile with their arguments, each on one line."""
    joined = re.sub(r"\s*\\\n\s*", " ", "".join(line for line in text.splitlines(True) if not line.startswith("#")))
    return [(verb, rest.strip()) for verb, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


BUILT = instructions(DOCKERFILE.read_text(encoding="utf-8"))
LAST = BUILT[max(index for index, (verb, _) in enumerate(BUILT) if verb == "FROM") :]


def values(stage: list[tuple[str, str]], verb: str) -> list[str]:
    return [rest for found, rest in stage if found == verb]


def is_left_out(path: str, patterns: list[str]) -> bool:
    """Return whether .dockerignore keeps a path out of the build: the last pattern that fits decides."""
    left_out = False
    for pattern in patterns:
        bare = pattern.removeprefix("!").removeprefix("**/")
        parents = ["/".join(path.split("/")[:count]) for count in range(1, path.count("/") + 2)]
        names = path.split("/") if "**/" in pattern else parents
        if any(fnmatch.fnmatch(name, bare) for name in names):
            left_out = not pattern.startswith("!")
    return left_out


def ignored() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.skipif((sys.platform, machine()) != ("linux", "x86_64"), reason="hadolint is published for Linux alone")
def test_hadolint_finds_nothing_to_complain_about() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_stage_begins_from_a_version_that_the_package_supports() -> None:
    (floor,) = re.findall(r'requires-python = ">=(\d+\.\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    bases = [image.split(" ")[0] for image in values(BUILT, "FROM")]
    assert bases == [bases[0]] * 2
    assert re.fullmatch(rf"python:{re.escape(floor)}\.\d+-slim-\w+", bases[0])


def test_the_process_is_a_user_with_a_number_of_its_own() -> None:
    (user,) = values(LAST, "USER")
    assert user == "10001:10001"
    verbs = [verb for verb, _ in LAST]
    assert "RUN" not in verbs[verbs.index("USER") :]


def test_the_process_gets_signals_itself_and_says_how_it_is() -> None:
    assert values(LAST, "ENTRYPOINT") == ['["bypassflow"]']
    (health,) = values(LAST, "HEALTHCHECK")
    assert 'CMD ["python", "-c", "' in health
    program = re.search(r'"-c", "(.*)"\]$', health)
    assert program is not None
    compile(program[1], "health", "exec")


def test_nothing_is_installed_without_a_hash() -> None:
    installs = [part for rest in values(BUILT, "RUN") for part in rest.split(" && ") if " install " in part]
    from_index = [part for part in installs if ("pip install" in part) and "--no-index" not in part]
    assert len(from_index) == 2
    assert all("--require-hashes" in part for part in from_index)
    (build,) = [part for rest in values(BUILT, "RUN") for part in rest.split(" && ") if part.startswith("uv build")]
    assert "--build-constraints requirements/development.txt --require-hashes" in build


def test_the_image_can_send_traces_with_packages_that_are_all_pinned() -> None:
    (written,) = re.findall(r"(sed -n(?: -e '[^']+')+\s+\S+) > telemetry.txt", " ".join(values(BUILT, "RUN")))
    taken = subprocess.run(["bash", "-c", written], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(each).name for each in project["optional-dependencies"]["telemetry"]]
    assert [package.name for package in packages(taken)] == sorted(wanted)
    assert taken.count("--hash=sha256:") >= len(wanted)

    (install,) = [part for rest in values(BUILT, "RUN") for part in rest.split(" && ") if "telemetry.txt --c" in part]
    assert "--requirements telemetry.txt --constraints requirements/development.txt" in install
    locked = {package.name for package in packages((ROOT / "requirements" / "development.txt").read_text("utf-8"))}
    assert set(extra_packages(ROOT / "pyproject.toml", ())["telemetry"]) <= locked


def test_the_last_stage_has_no_tools_that_install() -> None:
    assert not any("pip install" in rest or "apt-get" in rest for rest in values(LAST, "RUN"))
    assert any("pip uninstall --yes pip setuptools wheel" in rest for rest in values(LAST, "RUN"))


def test_the_image_tells_the_version_of_the_package() -> None:
    assert f'org.opencontainers.image.version="{cli.__version__}"' in values(LAST, "LABEL")[0]


def test_what_is_copied_stands_in_the_tree_and_reaches_the_build() -> None:
    copied = [name.rstrip("/") for rest in values(BUILT, "COPY") if "--from" not in rest for name in rest.split()[:-1]]
    assert {"requirements", "cli.py", "agents", "dashboard", "pipeline", "schemas", "sinks"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    patterns = ignored()
    assert [name for name in copied if is_left_out(name, patterns)] == []


def test_whatever_the_wheel_ships_is_copied() -> None:
    (listed,) = re.findall(
        r"\[tool\.hatch\.build\.targets\.wheel\]\nonly-include = \[([^\]]+)\]",
        (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
    )
    shipped = set(re.findall(r'"([^"]+)"', listed))
    copied = {name.rstrip("/") for rest in values(BUILT, "COPY") for name in rest.split()}
    assert shipped <= copied


@pytest.mark.parametrize(
    "path", [".git/config", "bypassflow.key", "sinks/company.key", "compose/secrets/bypassflow.key", "demo/x.duckdb"]
)
def test_no_key_and_no_store_can_get_into_the_build(path: str) -> None:
    assert is_left_out(path, ignored())
