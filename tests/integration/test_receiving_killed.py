"""The receiving process killed at random moments while all its senders send: nothing that it took is lost or twice."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from schemas.kafka import KafkaSettings
from tests.acme import AALTO, cdr
from tests.integration.receiving import Receiving, receiving, wait_for

KILLS = 20


class Sender(Protocol):
    """A system that sends, and knows what it was told."""

    source: str
    variables: dict[str, str]

    @property
    def configuration(self) -> str: ...

    def send(self, chance: random.Random, stop: threading.Event) -> None:
        """Send until told to stop, and then until all is acknowledged that has to be."""
        ...

    def is_complete(self, rows: list[dict[str, Any]]) -> bool:
        """Return whether all that was acknowledged is among these observations."""
        ...

    def check(self, rows: list[dict[str, Any]]) -> None:
        """Assert that each event is there once, under one raw id."""
        ...


@dataclass
class FileWriter:
    """Appends lines in pieces, and rotates the file."""

    folder: Path
    source: str = "followed"
    variables: dict[str, str] = field(default_factory=dict)
    count: int = 0

    @property
    def configuration(self) -> str:
        return (
            f'[[receiver]]\nkind = "file"\nsource = "{self.source}"\npath = "Master.csv"\nformat = "asterisk_cdr"\n'
            "lookback = 1000\n"
        )

    def send(self, chance: random.Random, stop: threading.Event) -> None:
        path, rotation = self.folder / "Master.csv", 0
        begun = datetime(2024, 3, 4, 9)
        while not stop.is_set():
            line = f"{cdr(str(begun + timedelta(seconds=self.count)), AALTO, '201', 60, self.count)}\n".encode()
            cut = chance.randrange(len(line))
            for piece in (line[:cut], line[cut:]):
                with path.open("ab") as stream:
                    stream.write(piece)
                time.sleep(0.02)
            self.count += 1
            if self.count % 200 == 100:
                rotation += 1
                path.rename(path.with_name(f"Master.csv.{rotation}"))

    def is_complete(self, rows: list[dict[str, Any]]) -> bool:
        return len({row["raw_id"] for row in rows}) >= self.count

    def check(self, rows: list[dict[str, Any]]) -> None:
        assert Counter({row["raw_id"]: row["session_id"] for row in rows}.values()) == Counter(
            f"{int(datetime(2024, 3, 4, 7).timestamp()) + number}.{number}" for number in range(self.count)
        )


def observations(process: Receiving) -> list[dict[str, Any]]:
    facts = process.taken().facts
    return list(facts["observation"].to_pylist()) if "observation" in facts else []


def test_nothing_that_was_taken_is_lost_or_there_twice_whenever_the_process_is_killed(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    chance = random.Random(7)
    senders: list[Sender] = [FileWriter(tmp_path)]
    text = "[receive]\n" + "".join(sender.configuration for sender in senders)
    variables = {name: value for sender in senders for name, value in sender.variables.items()}
    stop = threading.Event()
    with receiving(tmp_path, kafka_settings, text, **variables) as process:
        threads = [
            threading.Thread(target=sender.send, args=(random.Random(number), stop))
            for number, sender in enumerate(senders)
        ]
        for thread in threads:
            thread.start()
        try:
            for _ in range(KILLS):
                time.sleep(chance.random())
                process.kill()
                process.start()
        finally:
            stop.set()
            for thread in threads:
                thread.join()

        def rows(sender: Sender) -> list[dict[str, Any]]:
            return [row for row in observations(process) if row["source"] == sender.source]

        for sender in senders:
            wait_for(lambda: sender.is_complete(rows(sender)))  # noqa: B023
        assert process.end()[0] == 0
        assert process.taken().letters == []
        for sender in senders:
            sender.check(rows(sender))
