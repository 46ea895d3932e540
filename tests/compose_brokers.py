"""The brokers of compose/, started as their image starts them, with this machine's ports in place of the network's.

The image's own program turns the environment into settings and formats the folder; it ships with Apache Kafka.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agents.broker import resolve_jars
from tests.compose_files import FOLDER, environment_of, secrets_of

_START_SECONDS: Final = 90
_LOGGING: Final = """\
Configuration:
  Appenders:
    Console: {name: OUT, PatternLayout: {pattern: "%d %p %m%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: [{ref: OUT}]}
"""


@dataclass
class Node:
    """One broker. `port` is where clients reach it."""

    name: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Start it; it listens when this returns."""
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                 f"-Dlog4j2.configurationFile={self.folder / 'final' / 'log4j2.yaml'}",
                 "-cp", f"{resolve_jars()}/*", "kafka.Kafka", str(self.folder / "final" / "server.properties")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def wait(self) -> None:
        """Wait until it listens."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "broker.log").read_text(encoding="utf-8")[-3000:]
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            assert time.monotonic() < deadline, f"{self.name} does not listen"
            time.sleep(0.2)

    def end(self, number: signal.Signals) -> None:
        """End it by a signal, when it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)


@contextlib.contextmanager
def running(project: Mapping[str, Any], folder: Path, secrets: Path) -> Iterator[dict[str, Node]]:
    """Give the brokers of a project, by name; their files lie in `folder`, what secrets.sh made in `secrets`."""
    services = {
        name: service for name, service in project["services"].items() if service["image"].startswith("apache/kafka")
    }
    ports = _ports(services)
    nodes: dict[str, Node] = {}
    try:
        for name, service in services.items():
            nodes[name] = _prepare(name, service, project["secrets"], ports, folder / name, secrets)
            nodes[name].start()
        for node in nodes.values():
            node.wait()
        yield nodes
    finally:
        for node in nodes.values():
            node.end(signal.SIGKILL)


def _ports(services: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """Return a free port for each port of each broker."""
    with contextlib.ExitStack() as held:
        found: dict[tuple[str, str], int] = {}
        for name, service in services.items():
            for port in re.findall(r"//[^:]+:(\d+)", environment_of(service)["KAFKA_LISTENERS"]):
                probe = held.enter_context(socket.socket())
                probe.bind(("127.0.0.1", 0))
                found[name, port] = probe.getsockname()[1]
        return found


def _prepare(
    name: str, service: Mapping[str, Any], known: Mapping[str, Any], ports: Mapping[tuple[str, str], int],
    folder: Path, secrets: Path,
) -> Node:  # fmt: skip
    """Return a broker of which everything but the process is there."""
    for part in ("default", "mounted", "secrets"):
        (folder / part).mkdir(parents=True)
    for file in ("log4j2.yaml", "tools-log4j2.yaml"):
        (folder / "default" / file).write_text(_LOGGING, encoding="utf-8")
    (folder / "default" / "server.properties").write_text("", encoding="utf-8")
    for target, source in secrets_of(service).items():
        shutil.copy(secrets / Path(known[source]["file"]).name, folder / "secrets" / target)

    def here(found: re.Match[str]) -> str:
        host, port = found.groups()
        own = name if host in ("0.0.0.0", "127.0.0.1") else host
        # The certificates hold this name too.
        return f"localhost:{ports[own, port]}"

    told = {
        key: re.sub(r"\b([a-z0-9.-]+):(\d{4})\b", here, value)
        .replace("/run/secrets", str(folder / "secrets"))
        .replace("/var/lib/kafka/data", str(folder / "data"))
        for key, value in environment_of(service).items()
    }
    done = subprocess.run(
        ["java", "-cp", f"{resolve_jars()}/*", "kafka.docker.KafkaDockerWrapper", "setup",
         "-D", str(folder / "default"), "-M", str(folder / "mounted"), "-F", str(folder / "final")],
        env={**os.environ, **told}, cwd=_made(folder / "final"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Node(name, folder, ports[name, "9092"])


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def make_secrets(folder: Path) -> Path:
    """Return a folder with what secrets.sh makes."""
    subprocess.run(["bash", str(FOLDER / "secrets.sh"), "--cluster", str(folder)], check=True, capture_output=True)
    return folder
