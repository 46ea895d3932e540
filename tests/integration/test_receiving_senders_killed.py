"""Receivers that listen or fetch, killed at random moments: nothing that was acknowledged is lost or counted twice."""

from __future__ import annotations

import random
import smtplib
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.kafka import KafkaSettings
from tests.ami_server import SECRET, AmiServer, call, record
from tests.dovecot import PASSWORD, SENT, Dovecot, running_dovecot
from tests.integration.live import free_port
from tests.integration.test_receiving_killed import KILLS, Sender, kill_and_check

# Longer than a process is away between two kills.
KEPT_SECONDS = 30.0
BEGUN = datetime(2024, 3, 4, 9, tzinfo=UTC)


@pytest.fixture
def dovecot() -> Iterator[Dovecot]:
    with running_dovecot() as found:
        yield found


class Known(ABC):
    """A sender that knows by their event ids what has to arrive."""

    source: str

    @abstractmethod
    def expected(self) -> list[str]:
        """Return the event ids of all that has to be there."""

    def is_complete(self, rows: list[dict[str, Any]]) -> bool:
        return {row["event_id"] for row in rows} >= set(self.expected())

    def check(self, rows: list[dict[str, Any]]) -> None:
        identities = {row["raw_id"]: row["event_id"] for row in rows}
        found = Counter(identities.values())
        assert set(found.values()) == {1}
        assert set(found) == set(self.expected())
        print(
            f"{self.source}: {len(self.expected())} to be there, {KILLS} kills; "
            f"{len(rows)} records on the topics under {len(identities)} identities"
        )


def header(source: str, number: int) -> str:
    """Return the header of a message that is known by its number."""
    return (
        f"From: Maija <maija{number % 7}@customer.fi>\r\nTo: sales@acme.fi\r\nSubject: Offer {number}\r\n"
        f"Message-ID: <{number}.{source}@customer.fi>\r\n"
        f"Date: {format_datetime(BEGUN + timedelta(seconds=number))}\r\n"
    )


@dataclass
class MailServer(Known):
    """Sends each copy until it is acknowledged, and some of them again; every fourth is a report of Exchange."""

    port: int
    source: str = "journal"
    variables: dict[str, str] = field(default_factory=dict)
    acknowledged: list[int] = field(default_factory=list)

    @property
    def configuration(self) -> str:
        return (
            f'[[receiver]]\nkind = "smtp"\nsource = "{self.source}"\nport = {self.port}\n'
            'addresses = ["journal@flow.acme.fi"]\njournal_reports = true\n'
        )

    def message(self, number: int) -> bytes:
        message = f"{header(self.source, number)}\r\n{'A body that nobody keeps.'}\r\n"
        if number % 4:
            return message.encode()
        return (
            "From: <journal@acme.fi>\r\nX-MS-Journal-Report:\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            "--b\r\nContent-Type: text/plain\r\n\r\n"
            f"Sender: maija{number % 7}@customer.fi\r\nRecipient: sales@acme.fi\r\n"
            f"--b\r\nContent-Type: message/rfc822\r\n\r\n{message}--b--\r\n"
        ).encode()

    def send(self, chance: random.Random, stop: threading.Event) -> None:
        number = 0
        while not stop.is_set():
            # Some are sent again: the one before, as if its answer had been lost.
            for each in (number, number - 1) if number and chance.random() < 0.2 else (number,):
                while not self._is_taken(each):
                    time.sleep(0.05)
            self.acknowledged.append(number)
            number += 1
            time.sleep(chance.random() / 50)

    def _is_taken(self, number: int) -> bool:
        try:
            with smtplib.SMTP("127.0.0.1", self.port, local_hostname="mail", timeout=30) as session:
                session.sendmail("bounce@customer.fi", ["journal@flow.acme.fi"], self.message(number))
        except smtplib.SMTPResponseException as error:
            if error.smtp_code in (421, 451):
                return False
            raise
        except OSError:  # also smtplib's own errors
            return False
        return True

    def expected(self) -> list[str]:
        return [f"{number}.{self.source}@customer.fi" for number in self.acknowledged]


@dataclass
class Correspondent(Known):
    """Writes into a mailbox of a Dovecot while it is looked into."""

    server: Dovecot
    source: str = "mailbox"
    variables: dict[str, str] = field(default_factory=lambda: {"MAILBOX_SECRET": PASSWORD})
    count: int = 0

    @property
    def configuration(self) -> str:
        return (
            f'[[receiver]]\nkind = "imap"\nsource = "{self.source}"\nhost = "localhost"\nport = {self.server.port}\n'
            'tls = "none"\nusername = "sales@acme.fi"\nsecret_env = "MAILBOX_SECRET"\npoll_interval = "1s"\n'
        )

    def send(self, chance: random.Random, stop: threading.Event) -> None:
        while not stop.is_set():
            for _ in range(chance.randrange(1, 30)):
                content = f"{header(self.source, self.count)}\r\nA body that nobody keeps.\r\n".encode()
                self.server.deliver("sales@acme.fi", content, chance.choice(("", SENT)))
                self.count += 1
            time.sleep(chance.random())

    def expected(self) -> list[str]:
        return [f"{number}.{self.source}@customer.fi" for number in range(self.count)]


@dataclass
class Switchboard:
    """Tells records or channel events of calls, two calls among each other, and the last seconds again."""

    server: AmiServer
    source: str
    format: str
    variables: dict[str, str] = field(default_factory=lambda: {"AMI_SECRET": SECRET})
    told: list[str] = field(default_factory=list)

    @property
    def configuration(self) -> str:
        return (
            f'[[receiver]]\nkind = "ami"\nsource = "{self.source}"\nport = {self.server.port}\n'
            f'format = "{self.format}"\nusername = "bypassflow"\nsecret_env = "AMI_SECRET"\n'
        )

    def events(self, number: int) -> list[dict[str, str]]:
        start = BEGUN + timedelta(minutes=number)
        return call(number, start) if self.format == "asterisk_cel" else [record(number, f"{start:%Y-%m-%d %H:%M:%S}")]

    def send(self, chance: random.Random, stop: threading.Event) -> None:
        number = 0
        while not stop.is_set():
            both = [event for pair in zip(self.events(number), self.events(number + 1), strict=True) for event in pair]
            self.server.tell(*both)
            self.told += [event["UniqueID"] for event in both]
            number += 2
            time.sleep(chance.random() / 2)

    def is_complete(self, rows: list[dict[str, Any]]) -> bool:
        return len({row["raw_id"] for row in rows}) >= len(self.told)

    def check(self, rows: list[dict[str, Any]]) -> None:
        # A channel tells of several events, each with an identity of its own.
        identities = {row["raw_id"]: row["event_id"] for row in rows}
        assert Counter(identities.values()) == Counter(self.told)
        print(
            f"{self.source}: {len(self.told)} to be there, {KILLS} kills; "
            f"{len(rows)} records on the topics under {len(identities)} identities"
        )
        if self.format == "asterisk_cel":
            # No call is handed on by halves: who leaves the bridge first has the whole talk, however often it is told.
            leaving = [row for row in rows if row["attempt"] == "talk"]
            assert {row["talk_seconds"] for row in leaving} == {60.0}
            assert len({row["raw_id"] for row in leaving}) * 9 == len(self.told)
            assert len({(row["raw_id"], row["attempt"]) for row in rows}) == len(self.told)


def test_nothing_that_was_acknowledged_is_lost_or_there_twice_whenever_the_process_is_killed(
    kafka_settings: KafkaSettings, tmp_path: Path, dovecot: Dovecot
) -> None:
    records = AmiServer(chance=random.Random(3), keeps=KEPT_SECONDS)
    events = AmiServer(chance=random.Random(4), keeps=KEPT_SECONDS)
    try:
        senders: list[Sender] = [
            MailServer(free_port()),
            Correspondent(dovecot),
            Switchboard(records, "switchboard", "asterisk_cdr"),
            Switchboard(events, "channels", "asterisk_cel"),
        ]
        kill_and_check(senders, free_port(), kafka_settings, tmp_path)
    finally:
        records.close()
        events.close()
