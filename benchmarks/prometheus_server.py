"""A Prometheus that asks a live pipeline's processes, with the alert rules that users get."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.measuring import BenchmarkFailed

RULES: Final = Path(__file__).resolve().parent.parent / "compose" / "prometheus" / "rules.yaml"
SCRAPE_SECONDS: Final = 5
_PATIENCE: Final = 30.0

# Times, in seconds since 1970, and values.
Series = list[tuple[float, float]]


class Prometheus:
    """A server that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def series(self, query: str, begin: float, end: float, label: str) -> dict[str, Series]:
        """Return what a query gives over a time, by the value of a label."""
        step = max(SCRAPE_SECONDS, int((end - begin) / 5_000))
        values = {"query": query, "start": f"{begin:.3f}", "end": f"{end:.3f}", "step": f"{step}s"}
        with urllib.request.urlopen(f"{self.url}/api/v1/query_range?{urllib.parse.urlencode(values)}") as answer:
            found = json.load(answer)["data"]["result"]
        return {
            each["metric"].get(label, ""): [(float(at), float(value)) for at, value in each["values"]] for each in found
        }


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str]) -> Iterator[Prometheus]:
    """Give a server that asks these targets, addresses by job, until it is left.

    Raises:
        BenchmarkFailed: when it does not start, or is not installed.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise BenchmarkFailed("prometheus is missing; it comes with Debian's package prometheus")
    folder.mkdir(parents=True)
    configuration: dict[str, Any] = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program, f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}", "--log.level=warn",
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _wait(f"http://{address}/-/ready", process)
        yield Prometheus(f"http://{address}")
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise BenchmarkFailed("prometheus did not start; see prometheus.log in its folder")
