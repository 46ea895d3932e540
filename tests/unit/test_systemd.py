"""The units of compose/systemd: systemd takes them, our program takes their commands, and little is open to them."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from tests.command_lines import refusal

FOLDER = Path(__file__).resolve().parents[2] / "compose" / "systemd"
UNITS = sorted([*FOLDER.glob("*.service"), *FOLDER.glob("*.timer")])
SERVICES = [path for path in UNITS if path.suffix == ".service"]
PROGRAM = "/opt/bypassflow/bin/bypassflow"
HARDENING = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "CapabilityBoundingSet": "",
    "UMask": "0077",
    "User": "bypassflow",
}
every_service = pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(path, encoding="utf-8")
    return parser


def command(path: Path) -> list[str]:
    program, *arguments = shlex.split(unit(path)["Service"]["ExecStart"])
    assert program == PROGRAM
    return arguments


def verified(folder: Path) -> str:
    """Return what systemd has to say of the units in a folder, beside that our program is not installed."""
    for path in folder.iterdir():
        path.write_text(path.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true"), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", *sorted(map(str, folder.iterdir()))], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and not os.environ.get("CI"), reason="systemd-analyze is not installed"
)
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in UNITS:
        shutil.copy(path, tmp_path)
    assert verified(tmp_path) == ""
    sink = tmp_path / "bypassflow-sink.service"
    sink.write_text(sink.read_text(encoding="utf-8").replace("NoNewPrivileges", "NoNewPriviliges"), encoding="utf-8")
    assert "Unknown key 'NoNewPriviliges'" in verified(tmp_path)


@every_service
def test_our_program_takes_the_command(path: Path) -> None:
    assert refusal(command(path)) is None


@every_service
def test_a_process_can_do_no_more_than_it_must(path: Path) -> None:
    told = unit(path)["Service"]
    assert {name: told.get(name) for name in HARDENING} == HARDENING
    assert "MemoryMax" in told


@every_service
def test_what_a_process_writes_lies_in_a_folder_that_systemd_makes(path: Path) -> None:
    told, arguments = unit(path)["Service"], command(path)
    owned = {f"/var/lib/{name}" for name in told.get("StateDirectory", "").split()}
    options = dict(pairwise(arguments))
    writing = {"notify": ("--state",), "sink": ("--db", "--snapshot-dir")}.get(arguments[0], ())
    assert [options[name] for name in writing if not any(options[name].startswith(folder) for folder in owned)] == []


@every_service
def test_a_process_comes_back_unless_only_a_person_can_help(path: Path) -> None:
    told = unit(path)["Service"]
    if told["Type"] == "oneshot":
        assert unit(path.with_suffix(".timer"))["Timer"]["OnCalendar"]
    else:
        assert (told["Restart"], told["RestartPreventExitStatus"]) == ("always", "78")
        assert unit(path)["Install"]["WantedBy"] == "multi-user.target"


def test_only_the_machine_itself_reaches_the_pages() -> None:
    arguments = command(FOLDER / "bypassflow-sink.service")
    assert arguments[arguments.index("--serve") + 1].startswith("127.0.0.1:")
