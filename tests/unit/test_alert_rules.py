"""What Prometheus and Grafana are given: rules that hold what they say, about figures that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "compose" / "prometheus"
DASHBOARD = ROOT / "compose" / "grafana" / "dashboards" / "bypassflow.json"


def known_figures() -> set[str]:
    """Return the names that the processes tell, as the page of the reference has them; a test keeps that fresh."""
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    names = set()
    for name, kind in re.findall(r"^\| `(\w+)` \| (\w+) \|", text, re.MULTILINE):
        names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


def rules() -> list[dict[str, Any]]:
    found = yaml.safe_load((PROMETHEUS / "rules.yaml").read_text(encoding="utf-8"))
    return [rule for group in found["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [each for each in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"] if each["type"] != "row"]


@pytest.mark.parametrize("name", ["rules.yaml", "rules.test.yaml"])
def test_rules_name_figures_that_exist(name: str) -> None:
    named = set(re.findall(r"\bbypassflow_\w+", (PROMETHEUS / name).read_text(encoding="utf-8")))

    assert named
    assert named - known_figures() == set()


def test_the_dashboard_names_figures_that_exist() -> None:
    named = {
        name
        for panel in panels()
        for target in panel["targets"]
        for name in re.findall(r"\bbypassflow_\w+", target["expr"])
    }

    assert len(named) > 20
    assert named - known_figures() == set()


def test_every_panel_says_what_it_shows_and_none_lies_on_another() -> None:
    places: set[tuple[int, int]] = set()
    for panel in panels():
        assert panel["title"]
        assert panel["description"].endswith(".")
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & places
        places |= cells


def test_every_alert_is_tried_and_says_what_is_so_and_what_to_do() -> None:
    tried = (PROMETHEUS / "rules.test.yaml").read_text(encoding="utf-8")

    for rule in rules():
        assert rule["alert"] in tried
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yaml"),
        ("check", "rules", "rules.yaml"),
        ("test", "rules", "rules.test.yaml"),
    ],
)
def test_prometheus_takes_them_and_the_rules_fire_when_they_should(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing; it comes with Debian's package prometheus"

    done = subprocess.run([promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
