"""The server of pages and API against clients that mean ill, through bare sockets: each limit holds, it lives on."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dashboard.connections import LARGEST_BODY, LONGEST_HEADER, MOST_CONNECTIONS, MOST_FIELDS, Connection
from dashboard.web import Site, make_app
from sinks.annotations import beside
from sinks.asking import Asking
from sinks.store import Store
from tests.served import replayed_acme
from tests.stores import NOON

PATIENCE = 30.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replayed_acme(tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def port(store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server that waits half a second for slow clients."""
    monkeypatch.setattr(Connection, "request_seconds", 0.5)
    monkeypatch.setattr(Connection, "taking_seconds", 0.5)
    with Store.open(store) as opened:
        asking = Asking(opened)
        app = make_app(asking, annotations=beside(store), now=lambda: NOON)
        with Site(app, asking, "127.0.0.1", 0) as site:
            number = int(site.url.rpartition(":")[2])
            yield number
            assert status(ask(number, get("/v1/bypass-share", "Connection: close"))) == 200


def get(path: str, *fields: str, method: str = "GET", host: str = "127.0.0.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *fields, "", ""]).encode("latin-1")


def ask(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send pieces; return all that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        with suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
        return rest(connection)


def rest(connection: socket.socket) -> bytes:
    parts = []
    with suppress(ConnectionError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_flood_of_fields_is_refused(port: int) -> None:
    assert status(ask(port, get("/", *[f"A{number}: b" for number in range(MOST_FIELDS + 1)]))) == 431
    assert status(ask(port, get("/", *["a:"] * 200_000))) == 431


def test_a_header_without_end_is_refused(port: int) -> None:
    start = get("/", "A: ").rstrip(b"\r\n")
    assert status(ask(port, start, *[b"a" * 100_000] * (LONGEST_HEADER // 100_000 + 1))) == 431


def test_a_question_of_many_values_is_no_flood(port: int) -> None:
    values = "&".join(f"team=team-{number:05}-{'x' * 100}" for number in range(50))
    assert status(ask(port, get(f"/v1/bypass-share?{values}", "Connection: close"))) == 200


@pytest.mark.parametrize("start", [b"", b"GET / HT", get("/", "A: b").rstrip(b"\r\n")])
def test_a_client_that_never_ends_its_header_is_let_go(port: int, start: bytes) -> None:
    assert status(ask(port, start)) == 408


def test_a_client_that_drips_its_header_is_let_go(port: int) -> None:
    assert status(ask(port, *[b"G", b"E", b"T", b" ", b"/", b"a", b"b", b"c"] * 5, pause=0.05)) == 408


def test_a_client_that_never_sends_its_body_is_let_go(port: int) -> None:
    header = get("/measures", "Content-Length: 50", "Content-Type: application/x-www-form-urlencoded", method="POST")
    assert status(ask(port, header, b"name=")) == 408


def test_a_client_that_never_reads_its_answer_is_let_go(port: int) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", port))
        connection.settimeout(PATIENCE)
        with suppress(ConnectionError):
            connection.sendall(get("/static/vendor/echarts.min.js") * 20)
        time.sleep(3)
        # A few answers fit between the two ends; the others were never made.
        assert len(rest(connection)) < 12_000_000


def test_a_body_that_is_larger_than_any_form_is_refused(port: int) -> None:
    form = "Content-Type: application/x-www-form-urlencoded"
    body = b"name=" + b"x" * LARGEST_BODY
    announced = get("/measures", form, f"Content-Length: {len(body)}", "Connection: close", method="POST")
    assert status(ask(port, announced, body)) == 413
    chunked = get("/measures", form, "Transfer-Encoding: chunked", "Connection: close", method="POST")
    chunk = b"%x\r\n%s\r\n" % (50_000, b"x" * 50_000)
    assert status(ask(port, chunked, *[chunk] * 200)) == 413


def test_more_connections_than_there_is_room_for_are_turned_away(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_CONNECTIONS == 256
    monkeypatch.setattr(Connection, "most_connections", 3)
    monkeypatch.setattr(Connection, "request_seconds", PATIENCE)
    held = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(3)]
    try:
        time.sleep(0.2)
        answer = ask(port, get("/"))
        assert status(answer) == 503
        assert b"Retry-After: 5" in answer
    finally:
        for connection in held:
            connection.close()
    time.sleep(0.2)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1e9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA\x00: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ],
    ids=["two lengths", "negative length", "no length", "zero byte", "blank in a name", "no host", "TLS", "zero path"],
)
def test_what_is_no_request_is_refused(port: int, request_: bytes) -> None:
    assert status(ask(port, request_)) == 400


def test_a_request_behind_a_request_is_not_smuggled(port: int) -> None:
    inner = b"GET /measures HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    both = get("/", f"Content-Length: {len(inner)}", "Transfer-Encoding: chunked", "Connection: close", method="POST")
    answer = ask(port, both, b"0\r\n\r\n", inner)
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../schemas/topics.py",
        "/static/..%2f..%2fschemas/topics.py",
        "/static/%2e%2e/%2e%2e/schemas/topics.py",
        "/static//etc/passwd",
        "/static/..\\..\\schemas\\topics.py",
        "/static/vendor/%00.js",
        "/interactions/..%2f..%2fetc%2fpasswd",
        "/customers/../../etc/passwd",
        "/days/..%2f..%2fetc",
    ],
)
def test_a_path_that_leads_out_finds_nothing(port: int, path: str) -> None:
    answer = ask(port, get(path, "Connection: close"))
    assert status(answer) in (400, 404, 422)
    assert b"root:" not in answer
    assert b"partition_of" not in answer


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", ""])
def test_a_page_that_reaches_it_under_another_name_is_refused(port: int, host: str) -> None:
    assert status(ask(port, get("/", "Connection: close", host=host))) == 403


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1.evil.example"])
@pytest.mark.parametrize("path", ["/measures", "/measures/1/remove", "/interactions/x/labels"])
def test_a_form_of_another_site_is_refused(port: int, path: str, origin: str) -> None:
    form = "Content-Type: application/x-www-form-urlencoded"
    body = b"name=a&begins=2024-03-04"
    header = get(path, f"Origin: {origin}", form, f"Content-Length: {len(body)}", "Connection: close", method="POST")
    assert status(ask(port, header, body)) == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "OPTIONS", "BREW"])
def test_a_method_that_nothing_has_is_refused(port: int, method: str) -> None:
    assert status(ask(port, get("/v1/bypass-share", "Connection: close", method=method))) == 405
