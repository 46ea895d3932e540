"""The live measurements work, at sizes too small to mean anything: no figure is asserted here."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import pytest

from benchmarks import __main__ as command


def test_the_live_path_is_measured_with_its_references(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "QUICK", replace(command.QUICK, live_events=200, latency=(50, 1, 100)))

    assert command.main(["--quick", "--only", "live", "--only", "latency"]) == 0

    printed = capsys.readouterr().out
    if "not measured; " in printed and not os.environ.get("CI"):
        pytest.skip("no broker")
    for title in ("bypassflow live: ingest, correlate, sink", "a bare Faust agent", "a bare kafka-python consumer"):
        assert re.search(rf"^\| {title} +\| [\d,]+ +\|$", printed, re.MULTILINE)
    assert re.search(r"^\| \d+ +\| 50 +\| 90 ", printed, re.MULTILINE)
    for role in ("ingest", "correlate", "sink", "broker"):
        assert len(re.findall(rf"^\| {role} ", printed, re.MULTILINE)) == 2


def test_the_sink_is_measured_with_people_who_look_at_its_pages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "QUICK", replace(command.QUICK, users=(500, 1)))

    assert command.main(["--quick", "--only", "users"]) == 0

    printed = capsys.readouterr().out
    if "not measured; " in printed and not os.environ.get("CI"):
        pytest.skip("no broker")
    for title in ("nobody looks", "5 users look"):
        assert re.search(rf"^\| {title} +\| [\d,]+ +\|", printed, re.MULTILINE)
    assert re.search(r"^With users it stores -?\d+ % less\.", printed, re.MULTILINE)
