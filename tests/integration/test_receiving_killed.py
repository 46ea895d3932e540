"""The receiving process killed at random moments while all its senders send: nothing that it took is lost or twice."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Protocol

import orjson

from schemas.kafka import KafkaSettings
from tests import fake_graph, webhooks
from tests.acme import AALTO, cdr
from tests.fake_graph import FakeGraph
from tests.integration.live import free_port
from tests.integration.receiving import Receiving, receiving, wait_for

KILLS = 20
BEGUN = datetime(2024, 3, 4, 9, tzinfo=UTC)


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


@dataclass
class HookClient:
    """Posts an event after the other, each until it is acknowledged, and some of them again."""

    port: int
    source: str
    variables: dict[str, str] = field(default_factory=lambda: dict(webhooks.VARIABLES))
    acknowledged: set[int] = field(default_factory=set)
    try_count: int = 0

    @property
    def configuration(self) -> str:
        return next(
            f"[[receiver]]{part}"
            for part in webhooks.CONFIGURATION.split("[[receiver]]")
            if f'source = "{self.source}"' in part
        )

    def post(self, number: int) -> webhooks.Post:
        """Return what tells of an event that began so many seconds after the first one."""
        start = BEGUN + timedelta(seconds=number)
        at = int(start.timestamp())
        call = {
            "kind": "call", "started_at": start.isoformat(), "talk_seconds": 60, "from": webhooks.AALTO, "to": "201",
            "direction": "inbound",
        }  # fmt: skip
        match self.source:
            case "signed":
                return webhooks.signed(orjson.dumps(call), time.time())
            case "bearer":
                return webhooks.bearer(orjson.dumps(call))
            case "switch":
                return webhooks.switch(webhooks.channel(number, at))
            case "twilio":
                ended = format_datetime(start + timedelta(seconds=120))
                return webhooks.twilio(webhooks.call_status(f"CA{number}", "completed", at=ended))
        return webhooks.meta(webhooks.whatsapp(webhooks.wrote(number, at)))

    def send(self, chance: random.Random, stop: threading.Event) -> None:
        number = 0
        while not stop.is_set():
            # Some are sent again: the one before, as if its answer had been lost.
            for each in (number, number - 1) if chance.random() < 0.2 and number else (number,):
                while not self._is_taken(each):
                    time.sleep(0.05)
            number += 1
            time.sleep(chance.random() / 50)

    def _is_taken(self, number: int) -> bool:
        self.try_count += 1
        try:
            status, _, _ = webhooks.send(self.post(number), self.port)
        except OSError:
            return False
        assert status in (200, 202, 503), status
        if status != 503:
            self.acknowledged.add(number)
        return status != 503

    def is_complete(self, rows: list[dict[str, Any]]) -> bool:
        return len({row["raw_id"] for row in rows}) >= len(self.acknowledged)

    def check(self, rows: list[dict[str, Any]]) -> None:
        # All that was sent was acknowledged in the end.
        assert Counter({row["raw_id"]: row["started_at"] for row in rows}.values()) == Counter(
            (BEGUN + timedelta(seconds=number)).replace(tzinfo=None) for number in self.acknowledged
        )
        print(
            f"{self.source}: {len(self.acknowledged)} acknowledged in {self.try_count} tries over {KILLS} kills; "
            f"{len(rows)} records on the topics, {len({row['raw_id'] for row in rows})} identities"
        )


@dataclass
class GraphNotices(HookClient):
    """Tells of a call record after the other, which is fetched."""

    source: str = "teams"
    graph: FakeGraph = field(default_factory=FakeGraph)

    def __post_init__(self) -> None:
        self.variables = self.graph.variables

    @property
    def configuration(self) -> str:
        return fake_graph.receiver(self.graph, "/teams", self.source, "teams")

    def post(self, number: int) -> webhooks.Post:
        """Put a call of a minute there, and return what tells of it."""
        start = BEGUN + timedelta(seconds=number)
        times = {"startDateTime": start.isoformat(), "endDateTime": (start + timedelta(minutes=1)).isoformat()}
        name = f"communications/callRecords/call-{number}"
        self.graph.resources[f"{name}?$expand=sessions"] = {
            "id": f"call-{number}", "type": "groupCall", "modalities": ["audio"], **times,
            "sessions": [{**fake_graph.session(0), **times}],
        }  # fmt: skip
        body = orjson.dumps({"value": [fake_graph.notice(name)]})
        return webhooks.Post("/teams", body, {"Content-Type": "application/json"})


def observations(process: Receiving) -> list[dict[str, Any]]:
    facts = process.taken().facts
    return list(facts["observation"].to_pylist()) if "observation" in facts else []


def test_nothing_that_was_taken_is_lost_or_there_twice_whenever_the_process_is_killed(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    port = free_port()
    hooks = ("signed", "bearer", "switch", "twilio", "meta")
    with fake_graph.fake_graph(tmp_path / "graph", port) as graph:
        clients = [*(HookClient(port, source) for source in hooks), GraphNotices(port, graph=graph)]
        kill_and_check([FileWriter(tmp_path), *clients], port, kafka_settings, tmp_path)


def kill_and_check(senders: list[Sender], port: int, kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    """Kill the process while these send, and see what is on the topics in the end."""
    chance = random.Random(7)
    text = f"[receive]\nport = {port}\n" + "".join(sender.configuration for sender in senders)
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
                time.sleep(chance.random() * 1.5)
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
