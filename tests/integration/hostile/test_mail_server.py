"""Mail servers that mean ill, or have gone mad: what they answer takes bounded memory and time, and nothing is lost."""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agents.receivers import imap_client, imap_mailbox
from agents.receivers.imap_mailbox import Mailbox
from agents.receivers.running import Receiver
from pipeline.errors import TransientError
from tests.receiving_broker import Broker, use_receiver

HEADER = (
    b"From: maija@customer.fi\r\nTo: list@acme.fi\r\nMessage-ID: <1@customer.fi>\r\n"
    b"Date: Mon, 4 Mar 2024 09:00:00 +0200\r\n\r\n"
)
GREETING = b"* OK ready\r\n"
Answer = Callable[[socket.socket, bytes, bytes], bool]


def usual(connection: socket.socket, tag: bytes, command: bytes) -> bool:
    """Answer as a server with one folder of one message does; return whether it goes on."""
    name = command.split()[1] if command.startswith(b"UID") else command.split()[0]
    said = {
        b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n",
        b"LIST": b'* LIST () "/" "INBOX"\r\n',
        b"STATUS": b'* STATUS "INBOX" (UIDVALIDITY 1 UIDNEXT 2)\r\n',
        b"EXAMINE": b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 2] x\r\n",
        b"SEARCH": b"* SEARCH 1\r\n",
        b"FETCH": b"* 1 FETCH (UID 1 BODY[HEADER]<0> {%d}\r\n%s)\r\n" % (len(HEADER), HEADER),
    }.get(name.upper(), b"")
    connection.sendall(said + tag + b" OK done\r\n")
    return name.upper() != b"LOGOUT"


def instead(command: bytes, answer: bytes | Callable[[socket.socket], None]) -> Answer:
    """Answer one command in this way, and all others as is usual. {tag} stands for the question's."""

    def answering(connection: socket.socket, tag: bytes, asked: bytes) -> bool:
        if command not in asked.upper():
            return usual(connection, tag, asked)
        if callable(answer):
            answer(connection)
            return False
        connection.sendall(answer.replace(b"{tag}", tag))
        return True

    return answering


def endless(connection: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection.sendall(b'* LIST () "/" "x"\r\n' * 1_000)


def dripping(connection: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)


def half_a_literal(connection: socket.socket) -> None:
    connection.sendall(b"* 1 FETCH (UID 1 BODY[HEADER]<0> {1000}\r\nFrom: maija@cust")


@contextmanager
def serving(answer: Answer, greet: bytes | Callable[[socket.socket], None] = GREETING) -> Iterator[int]:
    """Serve one connection after the other; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError, ValueError):
                        talk(connection)

        def talk(connection: socket.socket) -> None:
            if callable(greet):
                greet(connection)
                return
            connection.sendall(greet)
            for line in connection.makefile("rb"):
                tag, command = line.split(maxsplit=1)
                if not answer(connection, tag, command):
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def look(port: int) -> list[bytes]:
    """Read what is in the first folder, as the watcher does."""
    mailbox = Mailbox("127.0.0.1", port, None, False, "sales@acme.fi", lambda: "s3cret-Zv", False)
    try:
        mailbox.connect()
        (folder,) = mailbox.folders(["INBOX"])
        state = mailbox.examine(folder)
        uids, _ = mailbox.uids(0, state)
        return mailbox.headers(uids)
    finally:
        mailbox.close()


def test_a_server_that_means_well_is_read() -> None:
    with serving(usual) as port:
        assert look(port) == [HEADER]


ATTACKS: dict[str, tuple[Answer, str]] = {
    "a literal of two gigabytes": (instead(b"FETCH", b"* 1 FETCH (UID 1 BODY[HEADER]<0> {2000000000}\r\nx"), "longer"),
    "a literal beyond all numbers": (instead(b"FETCH", b"* 1 FETCH (BODY[HEADER]<0> {%d}\r\nx" % 10**40), "longer"),
    "lines without end": (instead(b"LIST", endless), "longer"),
    "a line without end": (instead(b"SEARCH", b"* SEARCH " + b"1 " * 600_000), "of no use|failed"),
    "half a literal": (instead(b"FETCH", half_a_literal), "failed"),
    "an answer that is no IMAP": (instead(b"FETCH", b"HTTP/1.1 200 OK\r\n\r\n"), "failed"),
    "the answer to somebody else": (instead(b"FETCH", b"zzzz OK done\r\n"), "failed"),
    "a folder without a name": (instead(b"LIST", b"* LIST () NIL\r\n{tag} OK done\r\n"), "of no use"),
    "a UID beyond all UIDs": (
        instead(b"EXAMINE", b"* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 99999999999] x\r\n{tag} OK done\r\n"),
        "is no UID",
    ),
    "no word": (instead(b"FETCH", lambda connection: None), "failed"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_answer_that_is_none_is_given_up_in_a_sentence_and_in_little_memory(
    attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imap_mailbox, "_MOST_BYTES", 4_000_000)
    answer, sentence = ATTACKS[attack]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with serving(answer) as port, pytest.raises(TransientError, match=sentence) as refused:
        look(port)

    assert "s3cret" not in str(refused.value)
    assert "maija" not in str(refused.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


@pytest.mark.parametrize("command", [b"LOGIN", b"LIST", b"FETCH"])
def test_an_answer_that_comes_byte_by_byte_is_given_up(command: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_client.BoundedClient.__init__, "__defaults__", (0.3,))

    with serving(instead(command, dripping)) as port, pytest.raises(TransientError, match="took more than"):
        look(port)


def test_a_greeting_that_comes_byte_by_byte_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_client.BoundedClient.__init__, "__defaults__", (0.3,))

    with serving(usual, dripping) as port, pytest.raises(TransientError, match="took more than"):
        look(port)


@pytest.mark.parametrize("greeting", [b"* BYE go away\r\n", b"220 smtp.example ESMTP\r\n", b""])
def test_a_greeting_that_is_none_is_said(greeting: bytes) -> None:
    def greet(connection: socket.socket) -> None:
        connection.sendall(greeting)

    with serving(usual, greet) as port, pytest.raises(TransientError, match="cannot be reached"):
        look(port)


def test_headers_that_nobody_asked_for_are_not_taken() -> None:
    unasked = b"* %d FETCH (UID %d BODY[HEADER]<0> {6}\r\nX: y\r\n)\r\n"
    answer = unasked % (7, 7) + unasked % (1, 1) + unasked % (1, 1) + b"{tag} OK done\r\n"

    with serving(instead(b"FETCH", answer)) as port:
        assert look(port) == [b"X: y\r\n"]


@pytest.mark.parametrize("name", [b"&bad", b"&AAAA", b"&", b"\xff\xfe", b"{3}\r\na\rb"])
def test_a_folder_whose_name_cannot_be_read_hides_no_other(name: bytes) -> None:
    named = name if name.startswith(b"{") else b'"' + name + b'"'
    listed = b'* LIST () "/" ' + named + b'\r\n* LIST () "/" "INBOX"\r\n{tag} OK done\r\n'

    with serving(instead(b"LIST", listed)) as port:
        assert look(port) == [HEADER]


def test_a_watcher_goes_on_when_its_server_has_come_to_its_senses(tmp_path: Path) -> None:
    attacks = iter([*(answer for answer, _ in ATTACKS.values())][:2])

    def mad_at_first(connection: socket.socket, tag: bytes, command: bytes) -> bool:
        if b"FETCH" in command.upper() and (attack := next(attacks, None)) is not None:
            return attack(connection, tag, command)
        return usual(connection, tag, command)

    async def test(broker: Broker, receiver: Receiver) -> None:
        async with asyncio.timeout(30):
            while not broker.rows():
                await asyncio.sleep(0.05)

    with serving(mad_at_first) as port:
        text = (
            f'[[receiver]]\nkind = "imap"\nsource = "mail"\nhost = "127.0.0.1"\nport = {port}\ntls = "none"\n'
            'username = "sales@acme.fi"\nsecret_env = "PASSWORD"\npoll_interval = "1s"\n'
        )
        broker = use_receiver(tmp_path, text, test, PASSWORD="s3cret-Zv")

    assert [row["event_id"] for row in broker.rows()] == ["1@customer.fi"]
    assert "longer than" in broker.said[0]
