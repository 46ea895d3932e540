"""A live pipeline for tests: its processes as users start them, what they are sent, and what their store then holds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agents.log import KafkaLog
from agents.processes import die_with_parent
from agents.spool import Published
from agents.topics import create_topics
from pipeline.configuration import FILE_NAME
from schemas.kafka import KafkaSettings
from tests.integration.arrivals import send
from tests.integration.companies import rows_of

# Nothing here takes as long on a machine that is not lost; a test that waits longer has failed. Unit: seconds.
PATIENCE = 300.0
CLI = (sys.executable, "-m", "cli")
ROOT = Path(__file__).resolve().parents[2]
# What only a reader of files knows: their sizes, and records that gave no fact, which nobody publishes. The publisher
# adds marks of its own to how far a feed reaches.
NOT_COMPARED = ("files", "source_file", "feed_progress")
COLUMNS_NOT_COMPARED = ("record_count", "file_count")


@dataclass
class Pipeline:
    """The processes of one company on a broker. `folder` takes its configuration, store and logs."""

    settings: KafkaSettings
    company: Path
    folder: Path
    options: dict[str, list[str]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    log: KafkaLog = field(init=False)
    port: int = field(init=False)
    exit_codes: dict[str, int] = field(default_factory=dict)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (FILE_NAME, "bypassflow.key", "directory.csv"):
            if not (self.folder / name).exists():
                shutil.copy(self.company / name, self.folder)
        text = self.config.read_text(encoding="utf-8").partition("\n[kafka]")[0]
        kafka = f'\n[kafka]\nbootstrap = ["{self.settings.bootstrap[0]}"]\nprefix = "{self.settings.prefix}"\n'
        self.config.write_text(text + kafka, encoding="utf-8")
        self.port = free_port()
        self.log = KafkaLog(self.settings)

    def __enter__(self) -> Self:
        create_topics(self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._running):
            self.end(name, signal.SIGKILL)
        self.log.close()

    @property
    def config(self) -> Path:
        """A copy of the company's configuration, with the broker of this pipeline in it."""
        return self.folder / FILE_NAME

    @property
    def db(self) -> Path:
        return self.folder / "live.duckdb"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, name: str) -> None:
        """Start a process: sink, or ingest or correlate with anything behind, such as correlate-2."""
        role = name.partition("-")[0]
        arguments: list[str | Path]
        if role == "sink":
            arguments = ["sink", "--db", self.db, "--config", self.config, "--listen", f"127.0.0.1:{self.port}"]
        else:
            arguments = ["worker", "--only", role, "--config", self.config, "--name", name]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [*CLI, *map(str, arguments), *self.options.get(role, [])],
                cwd=ROOT,
                env=environment() | self.variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A test run that is killed leaves nothing behind.
                preexec_fn=die_with_parent,
            )

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> float:
        """Send a process a signal and wait for its end; return the seconds that it took."""
        process = self._running.pop(name)
        begun = time.monotonic()
        process.send_signal(number)
        try:
            self.exit_codes[name] = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            # A worker of Faust says on it where its threads are.
            process.send_signal(signal.SIGUSR1)
            time.sleep(2)
            process.kill()
            raise AssertionError(f"{name} did not end{self.logs()}") from None
        return time.monotonic() - begun

    def pid(self, name: str) -> int:
        """Return the process id of a process."""
        return self._running[name].pid

    def memory(self) -> dict[str, int]:
        """Return the resident memory of each running process, in MB (Linux)."""
        return {
            name: resident_megabytes(process.pid) for name, process in self._running.items() if self.is_running(name)
        }

    def revive(self) -> list[str]:
        """Start again what died by itself; return which."""
        dead = [name for name, process in self._running.items() if process.poll() is not None]
        for name in dead:
            self.start(name)
        return dead

    def is_running(self, name: str) -> bool:
        return name in self._running and self._running[name].poll() is None

    def publish(self, records: Sequence[Published]) -> None:
        """Publish records to the raw topics, in this order."""
        send(self.log, records, self.settings.partitions)

    def run(self, *arguments: str | Path) -> str:
        """Run a command to its end and return its output; one that fails fails the test."""
        done = run_cli(*arguments)
        assert done.returncode == 0, f"{arguments[0]}: {done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def status(self) -> dict[str, Any]:
        """Return what `bypassflow status` says."""
        done = run_cli("status", "--config", self.config, "--url", self.url, "--format", "json")
        assert done.stdout, f"{done.stderr}{self.logs()}"
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def wait(self, patience: float = PATIENCE) -> float:
        """Wait until everything published stands in the store; return the seconds that it took."""
        begun = time.monotonic()
        waiting = ("--wait", "--patience", f"{patience:.0f}s")
        self.run("status", "--config", self.config, "--url", self.url, *waiting)
        return time.monotonic() - begun

    def rows(self) -> dict[str, list[str]]:
        """Return all that the store shows, once the sink has let go of it."""
        if "sink" in self._running:
            self.end("sink")
        return live_rows(self.db)

    def logs(self) -> str:
        """Return the last lines that the processes wrote."""
        texts = [f"\n-- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in self.folder.glob("*.log")]
        return "".join(texts)


def run_cli(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line as people do, to its end; `variables` are further ones of its environment."""
    return subprocess.run(
        [*CLI, *map(str, arguments)],
        cwd=ROOT, env=environment() | variables, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip


def live_rows(db: Path) -> dict[str, list[str]]:
    """Return a store's rows without what only a reader of files can know."""
    return {name: rows for name, rows in rows_of(db, COLUMNS_NOT_COMPARED).items() if name not in NOT_COMPARED}


def resident_megabytes(pid: int) -> int:
    """Return the resident memory of a process; 0 when it has just ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000


def ask(url: str) -> Any:
    """Return the JSON that an address answers."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def live(settings: KafkaSettings, company: Path, folder: Path, *names: str) -> Iterator[Pipeline]:
    """Give a pipeline with these processes running."""
    with Pipeline(settings, company, folder) as pipeline:
        for name in names:
            pipeline.start(name)
        yield pipeline


def environment() -> dict[str, str]:
    """Return this process's environment, without what would choose another broker or store."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BYPASSFLOW_")}
