"""Receivers that listen or fetch, killed at random moments: nothing that was acknowledged is lost or counted twice."""

from __future__ import annotations

import random
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.kafka import KafkaSettings
from tests.ami_server import SECRET, AmiServer, record
from tests.dovecot import PASSWORD, SENT, Dovecot, running_dovecot
from tests.integration.live import free_port
from tests.integration.receiving import wait_for
from tests.integration.test_receiving_killed import KILLS, Sender, kill_and_check

BEGUN = datetime(2024, 3, 4, 9, tzinfo=UTC)


@pytest.fixture
def dovecot() -> Iterator[Dovecot]:
    with running_dovecot() as found:
        yield found


class Known:
    """A sender that knows by their event ids what has to arrive, and what may."""

    source: str

    def expected(self) -> list[str]:
        """Return the event ids of all that has to be there."""
        raise NotImplementedError

    def possible(self) -> list[str]:
        """Return the event ids of all that may be there."""
        return self.expected()

    def is_complete(self, rows: list[dict[str, Any]]) -> bool:
        return {row["event_id"] for row in rows} >= set(self.expected())

    def check(self, rows: list[dict[str, Any]]) -> None:
        identities = {row["raw_id"]: row["event_id"] for row in rows}
        found = Counter(identities.values())
        assert set(found.values()) == {1}
        assert set(self.expected()) <= set(found) <= set(self.possible())
        print(
            f"{self.source}: {len(self.expected())} have to be there, {len(self.possible())} may be, {KILLS} kills; "
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
class Switchboard(Known):
    """Tells of each call once to whoever listens, and keeps nothing: what nobody heard of is lost."""

    server: AmiServer
    source: str = "switchboard"
    variables: dict[str, str] = field(default_factory=lambda: {"AMI_SECRET": SECRET})
    told: list[int] = field(default_factory=list)

    @property
    def configuration(self) -> str:
        return (
            f'[[receiver]]\nkind = "ami"\nsource = "{self.source}"\nport = {self.server.port}\n'
            'format = "asterisk_cdr"\nusername = "bypassflow"\nsecret_env = "AMI_SECRET"\n'
        )

    def call(self, number: int) -> dict[str, str]:
        return record(number, f"{datetime.fromtimestamp(1709539200 + number, UTC):%Y-%m-%d %H:%M:%S}")

    def send(self, chance: random.Random, stop: threading.Event) -> None:
        number = 0
        while not stop.is_set():
            self.told.append(number)
            self.server.tell(self.call(number))
            if chance.random() < 0.2 and number:
                self.server.tell(self.call(number - 1))
            number += 1
            time.sleep(chance.random() / 50)
        # The last ones are told while nobody is killed, and have to arrive.
        wait_for(lambda: bool(self.server.tell(self.call(10**6))))

    def expected(self) -> list[str]:
        return ["1709539200.1000000"]

    def possible(self) -> list[str]:
        return [*self.expected(), *(f"1709539200.{number}" for number in self.told)]


def test_nothing_that_was_acknowledged_is_lost_or_there_twice_whenever_the_process_is_killed(
    kafka_settings: KafkaSettings, tmp_path: Path, dovecot: Dovecot
) -> None:
    asterisk = AmiServer(chance=random.Random(3))
    try:
        senders: list[Sender] = [MailServer(free_port()), Correspondent(dovecot), Switchboard(asterisk)]
        kill_and_check(senders, free_port(), kafka_settings, tmp_path)
    finally:
        asterisk.close()
