"""Copies of mail between a mail server and the broker: acknowledged when the broker keeps them, within limits."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from agents.receivers import smtp_server
from agents.receivers.running import Receiver
from pipeline.errors import TransientError
from tests.receiving_broker import Broker, use_receiver
from tests.smtp import HEADER, SETTINGS, client, message, send, serve


def test_a_copy_is_acknowledged_when_the_broker_keeps_it_and_not_before(tmp_path: Path) -> None:
    def test(port: int, broker: Broker) -> None:
        broker.opened.clear()
        with client(port) as session:
            session.ehlo()
            session.mail("<>")
            session.rcpt("hidden@partner.fi")
            session.rcpt("journal@flow.acme.fi")
            session.putcmd("data")
            assert session.getreply()[0] == 354
            session.send(message() + b".\r\n")
            assert session.sock is not None
            session.sock.settimeout(0.3)
            with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
                session.getreply()
            assert broker.rows() == []
        broker.opened.set()

    broker = serve(tmp_path, test)
    assert len(broker.rows()) <= 1

    def again(port: int, broker: Broker) -> None:
        for _ in range(2):
            assert send(port, message(), "hidden@partner.fi", "journal@flow.acme.fi") == 250

    first, second = serve(tmp_path, again).rows()
    assert first == second
    assert first["from_token"] == "email:maija@customer.fi"
    assert [(party["role"], party["token"]) for party in first["parties"]] == [
        ("to", "email:sales@acme.fi"),
        ("bcc", "email:hidden@partner.fi"),
    ]


def test_nothing_of_a_body_or_a_subject_reaches_the_broker(tmp_path: Path) -> None:
    def test(port: int, broker: Broker) -> None:
        assert send(port, message(body="A secret\r\n")) == 250

    assert not {"Offer", "secret"} & set(str(serve(tmp_path, test).messages()).replace("'", " ").split())


@pytest.mark.parametrize(
    "body",
    [
        "",
        "\r\n",
        ".",
        "..\r\n.\r\n..",
        "\r\n\r\n.x\r\n",
        "a" * 300_000,
        "a\r\n" * 50_000,
        "\r\r\n",
        "\rb\n.\r",
        "\n.\n",
    ],
)
def test_any_body_ends_where_the_sender_ends_it(tmp_path: Path, body: str) -> None:
    def test(port: int, broker: Broker) -> None:
        with client(port) as session:
            session.ehlo()
            for number in (1, 2):
                session.mail("maija@customer.fi")
                session.rcpt("sales@acme.fi")
                session.putcmd("data")
                assert session.getreply()[0] == 354
                # As it is: smtplib would write other line breaks.
                content = f"{HEADER.format(number)}\r\n{body}".replace("\r\n.", "\r\n..")
                session.send(content.encode() + b"\r\n.\r\n")
                assert session.getreply()[0] == 250
            assert session.noop()[0] == 250

    assert [row["event_id"] for row in serve(tmp_path, test).rows()] == ["1@customer.fi", "2@customer.fi"]


def test_a_message_without_a_body_or_even_a_header_is_answered(tmp_path: Path) -> None:
    def test(port: int, broker: Broker) -> None:
        for content in (HEADER.format(1).encode(), b""):
            with client(port) as session:
                session.ehlo()
                session.mail("maija@customer.fi")
                session.rcpt("sales@acme.fi")
                session.putcmd("data")
                assert session.getreply()[0] == 354
                session.send(content + b".\r\n")
                assert session.getreply()[0] == 250

    broker = serve(tmp_path, test)
    assert [found["kind"] for found in broker.messages()].count("rejected") == 1
    assert len(broker.rows()) == 1


def test_a_sender_comes_again_while_the_broker_is_away(tmp_path: Path) -> None:
    def test(port: int, broker: Broker) -> None:
        broker.error = TransientError("away")
        assert [send(port, message()), send(port, message())] == [451, 451]
        broker.error = None
        time.sleep(1.1)
        assert send(port, message()) == 250

    assert len(serve(tmp_path, test).rows()) == 1


def test_what_is_too_large_is_refused_before_and_after_it_came(tmp_path: Path) -> None:
    def test(port: int, broker: Broker) -> None:
        large = message(body="a" * 70_000 + "\r\n")
        assert send(port, large) == 552  # as it says its size first
        with client(port) as session:
            session.helo()
            session.mail("maija@customer.fi")
            session.rcpt("sales@acme.fi")
            assert session.data(large)[0] == 552
            assert session.noop()[0] == 250

    assert serve(tmp_path, test, "largest_message = 65536\n").messages() == []


def test_recipients_and_messages_are_counted(tmp_path: Path) -> None:
    def test(port: int, broker: Broker) -> None:
        with client(port) as session:
            session.ehlo()
            session.mail("maija@customer.fi")
            assert [session.rcpt(f"{name}@acme.fi")[0] for name in "abc"] == [250, 250, 452]
        # Two seconds' worth may come at once: two, and one of them has begun already.
        assert [send(port, message(1)), send(port, message(2))] == [250, 451]

    assert len(serve(tmp_path, test, "recipients = 2\nmessages_per_minute = 60\n").rows()) == 1


def test_connections_are_counted_and_come_from_allowed_networks(tmp_path: Path) -> None:
    def test(port: int, broker: Broker) -> None:
        with client(port), pytest.raises(smtplib.SMTPConnectError) as caught:
            client(port)
        assert caught.value.smtp_code == 421
        time.sleep(0.2)
        with client(port):
            pass

    serve(tmp_path, test, "connections = 1\n")

    def foreign(port: int, broker: Broker) -> None:
        with pytest.raises(smtplib.SMTPConnectError) as caught:
            client(port)
        assert caught.value.smtp_code == 554

    serve(tmp_path, foreign, 'allowed_networks = ["192.0.2.0/24"]\n')


def test_whoever_says_nothing_or_takes_too_long_is_asked_to_come_again(tmp_path: Path) -> None:
    def silent(port: int, broker: Broker) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            stream = connection.makefile("rb")
            assert stream.readline().startswith(b"220")
            assert stream.readline().startswith(b"421")
            assert stream.readline() == b""

    serve(tmp_path, silent, 'idle_timeout = "1s"\n')

    def slow(port: int, broker: Broker) -> None:
        with client(port) as session:
            session.ehlo()
            session.mail("maija@customer.fi")
            session.rcpt("sales@acme.fi")
            session.putcmd("data")
            session.getreply()
            begun = time.monotonic()
            with contextlib.suppress(OSError):  # the connection is closed
                while time.monotonic() < begun + 10:
                    session.send(b"X-Slow: 1\r\n")
                    time.sleep(0.1)
            assert 0.9 < time.monotonic() - begun < 5

    assert serve(tmp_path, slow, 'data_timeout = "1s"\n').messages() == []


def test_no_sign_in_is_offered_where_none_is_wanted(tmp_path: Path) -> None:
    def test(port: int, broker: Broker) -> None:
        with client(port) as session:
            session.ehlo()
            assert not session.has_extn("auth")
            assert session.has_extn("size")
            assert session.docmd("AUTH PLAIN AGEAYg==")[0] >= 500

    serve(tmp_path, test)


def test_senders_sign_in_over_tls(tmp_path: Path) -> None:
    certificate = tmp_path / "mail.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", tmp_path / "mail.key", "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip

    def test(port: int, broker: Broker) -> None:
        assert send(port, message()) == 530
        context = ssl.create_default_context(cafile=str(certificate))
        with client(port, "localhost") as session:
            session.starttls(context=context)
            session.ehlo()
            assert session.mail("maija@customer.fi")[0] == 530
            with pytest.raises(smtplib.SMTPAuthenticationError):
                session.login("journal", "guess")
            session.login("journal", "right one")
            assert session.sendmail("maija@customer.fi", ["sales@acme.fi"], message()) == {}

    limits = 'certificate_file = "mail.pem"\nkey_file = "mail.key"\nusername = "journal"\nsecret_env = "PASSWORD"\n'
    broker = serve(tmp_path, test, limits, PASSWORD="right one")
    assert len(broker.rows()) == 1


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
def test_a_password_alone_is_enough_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("right one\n")

    def test(port: int, broker: Broker) -> None:
        with client(port) as session:
            session.login("journal", "right one")
            session.sendmail("maija@customer.fi", ["sales@acme.fi"], message())

    assert len(serve(tmp_path, test, 'username = "journal"\nsecret_file = "secret"\n').rows()) == 1


def test_an_end_waits_for_whoever_sends_and_sends_the_others_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_server, "_PATIENCE", 5.0)
    replies: list[int] = []

    async def test(broker: Broker, receiver: Receiver) -> None:
        port = int(receiver.name.rpartition(":")[2])
        idle = await asyncio.to_thread(client, port)
        broker.opened.clear()
        sending = asyncio.create_task(asyncio.to_thread(send, port, message()))
        await asyncio.sleep(0.3)
        closing = asyncio.create_task(receiver.close(4))
        await asyncio.sleep(0.1)
        assert (await asyncio.to_thread(idle.noop))[0] == 421
        broker.opened.set()
        replies.append(await sending)
        await closing

    broker = use_receiver(tmp_path, SETTINGS, test)
    assert replies == [250]
    assert len(broker.rows()) == 1


def test_the_library_writes_nothing_to_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def test(port: int, broker: Broker) -> None:
        with client(port) as session:
            session.docmd("GIBBERISH maija@customer.fi")
            session.docmd("MAIL FROM:maija@customer.fi XX")
        assert send(port, message()) == 250

    assert serve(tmp_path, test).said == []
    assert "maija" not in "".join(capfd.readouterr())
