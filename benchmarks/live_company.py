"""A company's live pipeline for measurements: its topics, what is published, its processes and what each of them cost.

Everything is as users have it: the processes are those of the command line, on a broker of their own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from agents.broker import Broker, start_broker
from agents.lag import readers
from agents.log import KafkaLog
from agents.topics import create_topics
from benchmarks.live_events import configuration
from benchmarks.measuring import BenchmarkFailed, environment
from dashboard.progress import progress
from pipeline.errors import TransientError
from schemas.kafka import NO_SECRETS, KafkaSettings, client_options
from schemas.log import Draft
from sinks.keyfile import load_or_create_key
from sinks.remote import RemoteAnswers

COMPANY_ID: Final = "live"
NO_OPTIONS: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})
ROLES: Final = ("ingest", "correlate", "sink")
PREFIX: Final = "bench."
_ROOT: Final = Path(__file__).resolve().parent.parent
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_CHUNK: Final = 5_000
# An answer costs the sink as much as thousands of events. The time that counts is the one that it gives itself.
_CHECK_EVERY: Final = 2.0

Message = tuple[str, bytes, bytes]


@dataclass(frozen=True)
class Spent:
    """What a process has used so far: seconds of processor time, resident bytes now and at their peak."""

    processor_seconds: float
    resident_bytes: int
    peak_bytes: int


def spent_by(pid: int) -> Spent:
    """Return what a process has used, as Linux tells it; nothing when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return Spent(0.0, 0, 0)
    kibibytes = {line.partition(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Vm")}
    return Spent((int(fields[11]) + int(fields[12])) / _TICKS, kibibytes["VmRSS"] << 10, kibibytes["VmHWM"] << 10)


class LiveCompany:
    """The pipeline of one company in a folder. `stop` ends its processes."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.folder = folder
        self.broker = broker
        self.bootstrap = bootstrap = broker.bootstrap
        self.config = folder / "bypassflow.toml"
        self.db = folder / "live.duckdb"
        folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(configuration(PREFIX, bootstrap), encoding="utf-8")
        load_or_create_key(folder / "bypassflow.key", secrets.token_bytes)
        self.settings = KafkaSettings.model_validate({"bootstrap": bootstrap, "prefix": PREFIX})
        create_topics(self.settings)
        self.log = KafkaLog(self.settings)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.listen = f"127.0.0.1:{probe.getsockname()[1]}"
        self.answers = RemoteAnswers(f"http://{self.listen}")
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def publish(self, messages: Iterable[Message]) -> int:
        """Publish records to the raw topics as fast as the broker takes them; return how many."""
        iterator, count = iter(messages), 0
        while chunk := list(islice(iterator, _CHUNK)):
            self.append(chunk)
            count += len(chunk)
        return count

    def make_topics(self, topics: Sequence[NewTopic]) -> None:
        """Make topics that are none of the pipeline's."""
        admin = KafkaAdminClient(**client_options(self.settings))
        try:
            admin.create_topics(topics)
        finally:
            admin.close()

    def append(self, messages: Sequence[Message]) -> None:
        """Publish records at once; return when the broker keeps them."""
        partitions = self.settings.partitions
        self.log.append([Draft(topic, zlib.crc32(key) % partitions, value, key) for topic, key, value in messages])

    def start(self, roles: Iterable[str] = ROLES, options: Mapping[str, Sequence[str]] = NO_OPTIONS) -> None:
        """Start processes, each with further options of its command."""
        for role in roles:
            arguments = ["--config", str(self.config), *options.get(role, ())]
            if role == "sink":
                arguments = ["sink", "--db", str(self.db), "--listen", self.listen, *arguments]
            else:
                arguments = ["worker", "--only", role, "--name", f"bench-{role}", *arguments]
            with (self.folder / f"{role}.log").open("ab") as log:
                self._running[role] = subprocess.Popen(
                    [*self.command(role), "-m", "cli", *arguments],
                    cwd=_ROOT, env=environment(os.environ),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                )  # fmt: skip

    def kill(self, role: str) -> None:
        """End a process as a crash would."""
        process = self._running.pop(role)
        process.kill()
        process.wait()

    def has_ended(self, role: str) -> bool:
        """Return whether a process that was started has ended by itself."""
        return role in self._running and self._running[role].poll() is not None

    def renew_log(self) -> None:
        """Connect to the broker anew."""
        self.log.close()
        self.log = KafkaLog(self.settings)

    def is_done(self) -> bool:
        """Return whether all that was published is stored."""
        status = self.status()
        return status is not None and self._is_done(status)

    def command(self, role: str) -> list[str]:
        """Return what runs a process: this interpreter, and before it what BENCH_<ROLE> says, such as a profiler.

        It ends with the thread that started it, where the system can see to that.
        """
        program = shutil.which("setpriv")
        dying_with_us = [program, "--pdeathsig", "KILL"] if program else []
        return [*dying_with_us, *os.environ.get(f"BENCH_{role.upper()}", "").split(), sys.executable]

    def spent(self) -> dict[str, Spent]:
        """Return what the processes and the broker have used so far."""
        pids = {role: process.pid for role, process in self._running.items()}
        return {role: spent_by(pid) for role, pid in (pids | {"broker": self.broker.pid or 0}).items()}

    def status(self) -> dict[str, Any] | None:
        """Return what the sink says; None while it does not answer."""
        self.require_running()
        try:
            return self.answers.status()
        except TransientError:
            return None

    def wait(self, fact_count: int, patience: float) -> dict[str, Any]:
        """Wait until so many facts are stored, and all that was published; return the sink's status then.

        Raises:
            BenchmarkFailed: when that takes longer than `patience`, in seconds, or a process dies.
        """
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            # A status costs the sink a pass over its store, and how far all are costs the broker more than that.
            if self.fact_count() >= fact_count and (status := self.status()) and self._is_done(status):
                return status
            time.sleep(_CHECK_EVERY)
        raise BenchmarkFailed(f"after {patience:.0f} s not everything is stored: {self.status()}{self._last_words()}")

    def fact_count(self) -> int:
        """Return how many facts the sink has stored since it started; 0 while it does not answer."""
        self.require_running()
        try:
            return int(self.answers.health()["applied"]["fact_count"])
        except TransientError:
            return 0

    def _is_done(self, status: dict[str, Any]) -> bool:
        return progress(readers(self.settings, NO_SECRETS, COMPANY_ID), status).is_done

    def first_fact_at(self) -> float:
        """Return when the first message of the facts topic was written, in seconds since 1970."""
        (entry,) = self.log.read("facts", 0, 0, 1)
        return entry.written_at_ms / 1000

    def message_count(self, topic: str) -> int:
        """Return how many messages stand in a topic of ours."""
        return self.log.end(topic, 0)

    def require_running(self) -> None:
        """Raise BenchmarkFailed when a process has died."""
        for role, process in self._running.items():
            if process.poll() is not None:
                raise BenchmarkFailed(f"{role} ended with {process.returncode}{self._last_words()}")

    def stop(self) -> None:
        """End everything."""
        self.log.close()
        self.end()

    def end(self) -> None:
        """End the processes in order; the log stays."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def _last_words(self) -> str:
        return "".join(
            f"\n-- {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in self.folder.glob("*.log")
        )


@contextmanager
def live_company(folder: Path) -> Iterator[LiveCompany]:
    """Give a company on an Apache Kafka of its own, with nothing running but that.

    Raises:
        ConfigurationError: when this machine has no Java or Maven.
    """
    with start_broker(folder / "broker", kind="kafka") as broker:
        company = LiveCompany(folder / "company", broker)
        try:
            yield company
        finally:
            company.stop()
