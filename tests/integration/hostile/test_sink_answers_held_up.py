"""The sink's answers against clients that hold it up: each has a bounded time, and all have a bounded number."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sinks.listening import MOST_CONNECTIONS, Listener
from sinks.serving import Server
from sinks.store import Store
from tests.served import replayed_acme

PATIENCE = 30.0
QUESTION = b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replayed_acme(tmp_path_factory.mktemp("held-up"))


@pytest.fixture
def port(store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(Listener, "asking_seconds", 0.5)
    with Store.open(store) as opened, Server(opened, _running, "127.0.0.1", 0) as server:
        number = int(server.url.rpartition(":")[2])
        yield number
        assert ask(number, QUESTION).startswith(b"HTTP/1.0 200 ")


def _running() -> dict[str, object]:
    return {"state": "running", "applied": {}, "reason": ""}


def ask(port: int, *pieces: bytes) -> bytes:
    """Send pieces a tenth of a second apart; return all that comes."""
    parts = []
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection, suppress(ConnectionError):
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.1 if len(pieces) > 1 else 0)
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def test_a_question_that_drips_in_is_let_go(port: int) -> None:
    assert ask(port, *[bytes([letter]) for letter in QUESTION]) == b""


def test_a_client_that_says_nothing_is_let_go(port: int) -> None:
    assert ask(port, b"") == b""


def test_a_flood_of_fields_and_a_question_without_end_are_refused(port: int) -> None:
    assert ask(port, QUESTION[:-2] + b"A: b\r\n" * 200 + b"\r\n").startswith(b"HTTP/1.0 431 ")
    assert ask(port, b"GET /" + b"a" * 100_000 + b" HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 414 ")


def test_more_connections_than_there_is_room_for_are_turned_away(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Listener, "asking_seconds", PATIENCE)
    before = threading.active_count()
    held = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(MOST_CONNECTIONS)]
    try:
        assert ask(port, QUESTION).startswith(b"HTTP/1.0 503 ")
        assert threading.active_count() <= before + MOST_CONNECTIONS
    finally:
        for connection in held:
            connection.close()
    time.sleep(0.5)
