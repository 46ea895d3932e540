"""What a receiving process logs names nobody, whatever is sent to it, at the most talkative level."""

from __future__ import annotations

import json
import smtplib
import time
from contextlib import suppress
from pathlib import Path

import pytest

from commands.logs import LogFormat
from schemas.kafka import KafkaSettings
from tests import webhooks
from tests.integration.live import free_port
from tests.integration.receiving import receiving, wait_for
from tests.webhooks import Post

# What stands in nothing that we write ourselves: a number, a name, a domain, and a text.
MARKS = ("407712345", "zorvika", "quillmark", "wqxzk")
NUMBER, ADDRESS = "+358407712345", "zorvika@quillmark-oy.fi"
CALL = {"kind": "call", "call_id": "wqxzk-1", "started_at": "2026-03-03T10:00:00Z", "talk_seconds": 60, "from": NUMBER}
MAIL = (
    f"From: Zorvika <{ADDRESS}>\r\nTo: sales@acme.fi\r\nSubject: wqxzk\r\nMessage-ID: <wqxzk.{ADDRESS}>\r\n"
    "Date: Mon, 4 Mar 2024 09:00:00 +0200\r\nX-wqxzk: \xff\r\n\r\nwqxzk\r\n"
).encode("latin-1")


def bodies() -> list[bytes]:
    """Return a record that is right, and what is wrong in several ways."""
    right = json.dumps(CALL).encode()
    return [
        right, right[:-9], json.dumps({**CALL, "started_at": f"when {ADDRESS} called"}).encode(),
        json.dumps({**CALL, "kind": "zorvika", NUMBER: ADDRESS}).encode(), f"{ADDRESS} \0 wqxzk".encode(), b"",
        json.dumps({**CALL, "started_at": "2999-01-01T00:00:00Z"}).encode(), right * 20_000,
    ]  # fmt: skip


def post_all(port: int) -> set[int]:
    """Send everything with a right proof and with wrong ones; return the answers."""
    codes = set()
    for body in bodies():
        codes.add(webhooks.send(webhooks.bearer(body), port)[0])
        codes.add(webhooks.send(webhooks.bearer(body, token=ADDRESS), port)[0])
        codes.add(webhooks.send(webhooks.signed(body, time.time(), key=b"zorvika"), port)[0])
    marked = {"Authorization": f"Bearer {NUMBER}", "User-Agent": ADDRESS, "X-Forwarded-For": "wqxzk"}
    for path in (f"/bearer/{ADDRESS}", f"/bearer?from={NUMBER}", "/wqxzk%0azorvika"):
        codes.add(webhooks.send(Post(path, b"{}", marked), port)[0])
        codes.add(webhooks.send(Post(path, b"", marked), port, method="DELETE")[0])
    return codes


def mail_all(port: int) -> None:
    """Send mail that is right, and what is no mail."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="zorvika.quillmark-oy.fi", timeout=20) as session:
        session.sendmail(ADDRESS, ["journal@flow.acme.fi"], MAIL)
        session.sendmail(ADDRESS, ["journal@flow.acme.fi"], b"no header of wqxzk\r\n")
        session.docmd("WQXZK", ADDRESS)
        session.docmd("VRFY", ADDRESS)
        session.docmd("MAIL", f"FROM:<{ADDRESS}> WQXZK=1")
        session.docmd("AUTH", "PLAIN d3F4ems=")
        session.docmd("RCPT", "TO:<wqxzk")


@pytest.mark.parametrize("shape", LogFormat)
def test_no_mark_stands_in_the_log_of_a_receiving_process(
    shape: LogFormat, kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    port, mail_port = free_port(), free_port()
    text = (
        f"[receive]\nport = {port}\nlargest_body = 1000000\n{webhooks.CONFIGURATION}"
        f'[[receiver]]\nkind = "smtp"\nsource = "mail"\nport = {mail_port}\naddresses = ["journal@flow.acme.fi"]\n'
    )
    variables = {
        **webhooks.VARIABLES, "BYPASSFLOW_LOG_FORMAT": shape, "BYPASSFLOW_LOG_LEVEL": "debug",
        "PYTHONASYNCIODEBUG": "1",
    }  # fmt: skip
    with receiving(tmp_path, kafka_settings, text, **variables) as process:
        codes = post_all(port)
        with suppress(smtplib.SMTPServerDisconnected):
            mail_all(mail_port)
        wait_for(lambda: len(process.messages()) >= 3)
        published = b"".join(message.entry.value or b"" for message in process.messages()).decode("utf-8", "replace")
        process.end()

    assert {200, 401, 404, 413} <= codes
    assert 500 not in codes
    assert {NUMBER, ADDRESS} <= {mark for mark in (NUMBER, ADDRESS) if mark in published}
    said = process.said.lower()
    assert "receiving" in said
    assert [mark for mark in MARKS if mark in said] == []
    if shape is LogFormat.JSON:
        assert all("event" in json.loads(line) for line in process.said.splitlines())
