"""A receiving process for tests, as users start it, and what it brought to the raw topics."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agents.log import KafkaLog
from agents.processes import die_with_parent
from pipeline.configuration import load
from pipeline.identifiers import Identifiers
from pipeline.intake import Intake, Intaken
from pipeline.raw_messages import RawMessage
from schemas.kafka import KafkaSettings
from schemas.receive import RECEIVERS
from schemas.topics import RAW_TOPICS
from schemas.webhooks import Webhook
from tests.brokers import make_topics
from tests.integration.live import CLI, ROOT, environment

# Nothing here takes as long on a machine that is not lost. Unit: seconds.
PATIENCE = 60.0


@dataclass
class Receiving:
    """One receiving process, that may be killed and started again; `text` is its configuration without the broker."""

    folder: Path
    settings: KafkaSettings
    text: str
    variables: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        kafka = f'\n[kafka]\nbootstrap = ["{self.settings.bootstrap[0]}"]\nprefix = "{self.settings.prefix}"\n'
        self.config.write_text(f"{self.text}{kafka}partitions = {self.settings.partitions}\n", encoding="utf-8")
        self.log_path.touch()
        self._log = KafkaLog(self.settings)
        self._messages: dict[tuple[str, int], list[RawMessage]] = {
            (topic, partition): [] for topic in RAW_TOPICS for partition in range(self.settings.partitions)
        }

    @property
    def config(self) -> Path:
        return self.folder / "bypassflow.toml"

    @property
    def log_path(self) -> Path:
        return self.folder / "receive.log"

    @property
    def said(self) -> str:
        """All that the process wrote."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def start(self, *, is_ready: bool = True) -> None:
        """Start it; wait until its receivers are open."""
        before = len(self.said)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*CLI, "receive", "--config", str(self.config)],
                cwd=ROOT,
                env=environment() | self.variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )
        kinds = re.findall(r'^kind = "(\w+)"', self.text, re.M)
        hook_count = sum(issubclass(RECEIVERS[kind], Webhook) for kind in kinds)
        # All webhooks are one receiver.
        count = len(kinds) - hook_count + bool(hook_count)
        if is_ready:
            wait_for(lambda: self.said[before:].count("receiving: ") == count or self.has_ended)
            assert not self.has_ended, self.said

    @property
    def has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send it a signal; return its exit code, and the seconds that its end took."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.process = None
        return code, time.monotonic() - begun

    def kill(self) -> None:
        """Kill it as a power cut would."""
        self.end(signal.SIGKILL)

    def messages(self) -> list[RawMessage]:
        """Return all that stands on the raw topics."""
        for (topic, partition), known in self._messages.items():
            end = self._log.end(topic, partition)
            known += [
                RawMessage(topic, partition, entry) for entry in self._log.read(topic, partition, len(known), end)
            ]
        return [message for known in self._messages.values() for message in known]

    def close(self) -> None:
        """Kill the process if it runs still."""
        if not self.has_ended:
            self.kill()
        self._log.close()

    def taken(self) -> Intaken:
        """Return what ingest makes of all that stands on the raw topics."""
        configuration = load(self.config.read_text(encoding="utf-8"), "bypassflow.toml")
        return Intake(Identifiers(bytes(32)), configuration).take(self.messages(), datetime.now(UTC))


@contextmanager
def receiving(folder: Path, settings: KafkaSettings, text: str, **variables: str) -> Iterator[Receiving]:
    """Give a running process on a broker with topics."""
    # One partition: a test reads all of them again and again.
    found = Receiving(folder, make_topics(settings.model_copy(update={"partitions": 1})), text, variables)
    try:
        found.start()
        yield found
    finally:
        found.close()


def wait_for(is_so: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait until something is so; a test that waits longer has failed."""
    deadline = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
