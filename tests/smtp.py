"""Copies of mail for tests: a server beside a broker in memory, a client, and messages."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Callable
from pathlib import Path

from agents.receivers.running import Receiver
from tests.receiving_broker import Broker, use_receiver

SETTINGS = '[[receiver]]\nkind = "smtp"\nsource = "mail"\nport = 0\naddresses = ["journal@flow.acme.fi"]\n'
HEADER = (
    "From: Maija <maija@customer.fi>\r\nTo: sales@acme.fi\r\nSubject: Offer\r\n"
    "Message-ID: <{}@customer.fi>\r\nDate: Mon, 4 Mar 2024 09:00:00 +0200\r\n"
)


def message(number: int = 1, body: str = "Hello\r\n") -> bytes:
    return f"{HEADER.format(number)}\r\n{body}".encode()


def client(port: int, host: str = "127.0.0.1") -> smtplib.SMTP:
    return smtplib.SMTP(host, port, local_hostname="sender", timeout=20)


def send(port: int, content: bytes, *recipients: str, sender: str = "bounce@customer.fi") -> int:
    """Return the code of the last reply."""
    with client(port) as session:
        try:
            session.sendmail(sender, recipients or ("journal@flow.acme.fi",), content)
        except smtplib.SMTPResponseException as error:
            return error.smtp_code
        return 250


def serve(folder: Path, test: Callable[[int, Broker], None], limits: str = "", **environment: str) -> Broker:
    """Run a test beside a server; it gets its port."""

    async def run(broker: Broker, receiver: Receiver) -> None:
        await asyncio.to_thread(test, int(receiver.name.rpartition(":")[2]), broker)

    return use_receiver(folder, SETTINGS + limits, run, **environment)
