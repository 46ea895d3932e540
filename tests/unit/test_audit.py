"""Known weaknesses of what bypassflow runs with: none, some, or nobody could be asked.

A service on loopback answers, with advisories that are made up.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from release.audit import main

ADVISORY = {
    "id": "OSV-2026-1",
    "summary": "made up",
    "affected": [
        {
            "package": {"name": "anyio", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "4.1.1"}]}],
        }
    ],
}


class Advisories(HTTPServer):
    """Answers as OSV does; `status` makes it fail."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.by_package: dict[str, list[Any]] = {}
        self.status = 200
        self.asked: list[str] = []

    @property
    def options(self) -> list[str]:
        return ["--vulnerability-service", "osv", "--osv-url", f"http://127.0.0.1:{self.server_port}/v1/query"]


class _Answering(BaseHTTPRequestHandler):
    server: Advisories

    def do_POST(self) -> None:
        package = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
        self.server.asked.append(package)
        known = self.server.by_package.get(package)
        body = json.dumps({"vulns": known} if known else {}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def advisories() -> Iterator[Advisories]:
    with Advisories() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> str:
    lines = (f"{each} \\\n    --hash=sha256:{'0' * 64}\n" for each in ("anyio==4.1.0", "idna==3.20"))
    (tmp_path / "runtime.txt").write_text("".join(lines), encoding="utf-8")
    return str(tmp_path / "runtime.txt")


def test_an_audit_asks_for_every_package_and_passes_when_no_weakness_is_known(
    lock: str, advisories: Advisories, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([lock, *advisories.options]) == 0
    assert sorted(advisories.asked) == ["anyio", "idna"]
    assert capsys.readouterr().out == "no weakness is known of what runtime.txt installs\n"


def test_a_known_weakness_is_told_with_the_version_that_mends_it(
    lock: str, advisories: Advisories, capsys: pytest.CaptureFixture[str]
) -> None:
    advisories.by_package["anyio"] = [ADVISORY]

    assert main([lock, *advisories.options]) == 1
    assert capsys.readouterr().out == "anyio 4.1.0: OSV-2026-1, mended in 4.1.1\n"


def test_a_weakness_that_no_version_mends_is_told_too(
    lock: str, advisories: Advisories, capsys: pytest.CaptureFixture[str]
) -> None:
    advisories.by_package["anyio"] = [ADVISORY | {"affected": []}]

    assert main([lock, *advisories.options]) == 1
    assert "mended in no version yet" in capsys.readouterr().out


def test_an_audit_without_an_answer_does_not_pass_and_says_what_to_do(
    lock: str, advisories: Advisories, capsys: pytest.CaptureFixture[str]
) -> None:
    advisories.status = 503

    assert main([lock, *advisories.options]) == 75
    told = capsys.readouterr()
    assert told.out == ""
    assert "did not answer for all packages in runtime.txt" in told.err
    assert "ask again where it can be reached" in told.err


def test_an_audit_that_reaches_nobody_does_not_pass(lock: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Advisories() as server:
        closed = server.options

    assert main([lock, *closed]) == 75
    assert "nothing is known of their weaknesses" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["absent.txt"]])
def test_an_audit_of_no_lock_says_how_to_name_one(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "python -m release.audit requirements/runtime.txt" in capsys.readouterr().err
