"""The server of webhooks against hostile senders, who speak through bare sockets: each limit holds, and it lives on."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from agents.receivers import web_server
from agents.receivers.pacing import Pace
from agents.receivers.web_server import Endpoint, Read, WebServer
from pipeline.errors import ConfigurationError
from pipeline.webhooks.exchange import Answer, Refused, Request
from schemas.webhooks import WebSettings

QUICK = {"port": 0, "header_timeout": "0.5s", "body_timeout": "0.5s", "largest_body": 2_000}
PATIENCE = 10.0


@dataclass
class Site:
    """A running server, and what it met."""

    port: int
    bodies: list[bytes]
    said: list[str]
    queries: list[str] = field(default_factory=list)

    async def ask(self, written: bytes, *, then: bytes = b"", after: float = 0) -> bytes:
        """Write, wait, write more; return all that comes until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(written)
            if then:
                await asyncio.sleep(after)
                writer.write(then)
            return await asyncio.wait_for(_rest(reader), PATIENCE)
        finally:
            writer.close()

    async def is_well(self) -> bool:
        return (await self.ask(post(b"well"))).startswith(b"HTTP/1.1 200 ")


async def _rest(reader: asyncio.StreamReader) -> bytes:
    parts = []
    try:
        while part := await reader.read(65_536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def post(body: bytes, *fields: str, path: str = "/hook", is_last: bool = True, length: int | None = None) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: hooks",
        f"Content-Length: {len(body) if length is None else length}",
        *fields,
        *(["Connection: close"] if is_last else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def serve(test: Callable[[Site], Awaitable[None]], **settings: object) -> None:
    async def run() -> None:
        site = Site(0, [], [])

        async def answer(request: Request, read: Read) -> Answer:
            whole = await read()
            site.bodies.append(whole.body)
            site.queries.append(whole.query)
            if whole.body == b"fail":
                raise ValueError("words of a customer")
            if whole.body == b"refuse":
                raise Refused(403, "no")
            return Answer(200, "taken")

        server = WebServer(
            WebSettings.model_validate({**QUICK, **settings}),
            {"/hook": Endpoint(("POST",), answer)},
            lambda: datetime.now(UTC),
            site.said.append,
        )
        site.port = await server.open()
        try:
            await test(site)
        finally:
            await server.close(1)

    asyncio.run(run())


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def test_a_request_is_answered_and_its_query_and_body_are_as_they_were_written() -> None:
    async def test(site: Site) -> None:
        found = await site.ask(post(b"a%20b", path="/hook?x=%2B1&y"))
        assert found.startswith(b"HTTP/1.1 200 ")
        assert found.endswith(b"\r\n\r\ntaken")
        assert b"X-Content-Type-Options: nosniff" in found
        assert (site.bodies, site.queries) == ([b"a%20b"], ["x=%2B1&y"])

    serve(test)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (post(b"", path="/other"), 404),
        (b"GET /hook HTTP/1.1\r\nHost: hooks\r\nConnection: close\r\n\r\n", 405),
        (b"POST /hook HTTP/1.1\r\nHost: hooks\r\nConnection: close\r\n\r\n", 411),
        (post(b"x" * 2_001), 413),
        (post(b"", length=10**12), 413),
        (post(gzip.compress(b"x" * 10**6), "Content-Encoding: gzip"), 415),
        (post(b"x", "Content-Encoding: br"), 415),
        (post(b"refuse"), 403),
        (post(b"fail"), 500),
        (post(b"x", length=-1), 400),
        (b"POST /hook HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (b"POST /hook HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"no http at all\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # TLS
        (b"POST /" + b"x" * 9_000 + b" HTTP/1.1\r\n\r\n", 400),
        (post(b"x", "X-Long: " + "y" * 9_000), 400),
        (post(b"x", *(f"X-{number}: y" for number in range(70))), 400),
    ],
)
def test_what_is_wrong_is_refused_and_the_server_lives_on(written: bytes, wanted: int) -> None:
    async def test(site: Site) -> None:
        assert status(await site.ask(written)) == wanted
        assert await site.is_well()

    serve(test)


def test_a_failure_of_our_own_is_told_without_its_words_and_may_be_tried_again() -> None:
    async def test(site: Site) -> None:
        assert b"Retry-After: " in await site.ask(post(b"fail"))
        assert len(site.said) == 1
        assert site.said[0].startswith("/hook: ValueError at ")
        assert "customer" not in site.said[0]

    serve(test)


def test_a_header_that_drips_in_is_cut_off() -> None:
    async def test(site: Site) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"POST /hook HTTP/1.1\r\n")
        begun = time.monotonic()

        async def drip() -> None:
            while True:
                writer.write(b"X: y\r\n")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert await asyncio.wait_for(_rest(reader), PATIENCE) == b""
        dripping.cancel()
        writer.close()
        assert 0.2 < time.monotonic() - begun < 5
        assert site.bodies == []

    serve(test)


def test_a_connection_that_says_nothing_is_closed_also_after_a_request() -> None:
    async def test(site: Site) -> None:
        assert await site.ask(b"") == b""
        assert (await site.ask(post(b"x", is_last=False))).endswith(b"taken")
        assert status(await site.ask(post(b"x", is_last=False), then=b"POST /hook HT", after=0.1)) == 200

    serve(test)


def test_a_body_that_drips_in_or_stops_is_cut_off() -> None:
    async def test(site: Site) -> None:
        begun = time.monotonic()
        found = await asyncio.gather(
            site.ask(post(b"begun", length=1_000)),
            *(site.ask(post(b"begun", length=1_000), then=b"more", after=0.2) for _ in range(3)),
            site.ask(b"POST /hook HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n"),
        )
        assert {status(each) for each in found} == {408}
        assert time.monotonic() - begun < 5
        assert site.bodies == []
        assert await site.is_well()

    serve(test)


def test_chunks_without_end_are_bounded_by_size_and_by_time() -> None:
    head = b"POST /hook HTTP/1.1\r\nHost: hooks\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def test(site: Site) -> None:
        assert status(await site.ask(head + b"7d0\r\n" + b"x" * 2_000 + b"\r\n0\r\n\r\n")) == 200
        assert status(await site.ask(head + b"7d1\r\n" + b"x" * 2_001 + b"\r\n0\r\n\r\n")) == 413
        # Single bytes, each with an extension that says nothing.
        assert status(await site.ask(head + (b"1;" + b"e" * 500 + b"\r\nx\r\n") * 3_000)) == 413
        assert status(await site.ask(head + b"ffffffffffffffff\r\n" + b"x" * 5_000)) in (400, 413)
        assert status(await site.ask(head + b"zz\r\n")) == 400
        assert max(map(len, site.bodies)) <= 2_000
        assert await site.is_well()

    serve(test)


def test_bodies_of_all_senders_together_have_a_bound_and_make_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "_MOST_HELD", 4_000)

    async def test(site: Site) -> None:
        # Two take most of what there is, and say no more; a third one is told to come again.
        held = [asyncio.create_task(site.ask(post(b"x" * 1_900, length=2_000))) for _ in range(2)]
        await asyncio.sleep(0.1)
        found = await site.ask(post(b"x" * 1_000))
        assert status(found) == 503
        assert b"Retry-After: 5" in found
        assert [status(each) for each in await asyncio.gather(*held)] == [408, 408]
        assert [status(await site.ask(post(b"x" * 1_900))) for _ in range(5)] == [200] * 5

    serve(test, body_timeout="1s")


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass for the pace of senders, however slow this machine is."""
    monkeypatch.setattr(web_server, "Pace", lambda per_second, clock: Pace(per_second, lambda: 0.0))


@pytest.mark.usefixtures("stopped_clock")
def test_requests_in_a_row_on_one_connection_are_each_answered_and_paced() -> None:
    async def test(site: Site) -> None:
        found = await site.ask(post(b"x", is_last=False) * 50 + post(b"x"))
        assert found.count(b"HTTP/1.1 200 ") == 20
        assert found.count(b"HTTP/1.1 429 ") == 31
        assert found.count(b"Retry-After: 1") == 31
        assert len(site.bodies) == 20

    serve(test, requests_per_second=10)


def test_one_who_never_reads_the_answers_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "_ANSWERING", 0.3)

    async def test(site: Site) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1)

        async def write() -> None:
            # The server reads no more when its answers are not taken.
            while True:
                writer.write(post(b"x", path="/nowhere", is_last=False) * 100)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(write(), PATIENCE)
        assert await site.is_well()

    serve(test, requests_per_second=100_000)


def test_one_sender_has_some_connections_and_all_have_no_more_than_there_are() -> None:
    async def test(site: Site) -> None:
        held = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(3)]
        turned_away = await site.ask(b"")
        assert status(turned_away) == 503
        assert b"Retry-After: " in turned_away
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.1)
        assert await site.is_well()

    serve(test, connections_per_sender=3, header_timeout="5s")
    serve(test, connections=3, connections_per_sender=100, header_timeout="5s")
    serve(test, connections=3, behind_proxy=True, header_timeout="5s")


@pytest.mark.usefixtures("stopped_clock")
def test_senders_behind_a_proxy_are_told_apart_by_what_the_proxy_wrote_last() -> None:
    def forwarded(*addresses: str) -> bytes:
        return post(b"x", *(f"X-Forwarded-For: {address}" for address in addresses))

    async def test(site: Site) -> None:
        assert [status(await site.ask(forwarded("192.0.2.1"))) for _ in range(3)] == [200, 200, 429]
        # What a sender itself writes there changes nothing.
        assert status(await site.ask(forwarded("198.51.100.9, 192.0.2.1"))) == 429
        assert status(await site.ask(forwarded("198.51.100.9", "192.0.2.1"))) == 429
        assert status(await site.ask(forwarded("192.0.2.2"))) == 200
        # One customer of a provider has a whole network of IPv6.
        assert [status(await site.ask(forwarded(f"2001:db8::{number}"))) for number in (1, 2, 3)] == [200, 200, 429]

    async def direct(site: Site) -> None:
        assert [status(await site.ask(forwarded(f"192.0.2.{number}"))) for number in range(3)] == [200, 200, 429]

    serve(test, behind_proxy=True, requests_per_second=1)
    serve(direct, requests_per_second=1)


def test_a_sender_who_asks_whether_to_go_on_is_told_so_only_when_the_body_is_wanted() -> None:
    async def test(site: Site) -> None:
        head, body = post(b"body", "Expect: 100-continue")[:-4], b"body"
        found = await site.ask(head, then=body, after=0.1)
        assert found.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")
        large = post(b"", "Expect: 100-continue", length=5_000)
        assert status(await site.ask(large)) == 413

    serve(test)


def test_a_request_that_was_begun_is_finished_when_the_server_closes() -> None:
    async def run() -> None:
        release, begun = asyncio.Event(), asyncio.Event()

        async def answer(request: Request, read: Read) -> Answer:
            await read()
            begun.set()
            await release.wait()
            return Answer(200, "kept")

        endpoints = {"/hook": Endpoint(("POST",), answer)}
        settings = WebSettings.model_validate({**QUICK, "header_timeout": "5s"})
        server = WebServer(settings, endpoints, lambda: datetime.now(UTC), print)
        port = await server.open()
        site = Site(port, [], [])
        asking = asyncio.create_task(site.ask(post(b"x", is_last=False)))
        idle = asyncio.create_task(site.ask(b""))
        await begun.wait()
        closing = asyncio.create_task(server.close(5))
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionRefusedError):
            await site.ask(b"")
        release.set()
        assert (await asking).endswith(b"kept")
        assert await idle == b""
        await asyncio.wait_for(closing, 5)

    asyncio.run(run())


def test_a_port_that_is_taken_is_told_of() -> None:
    async def test(site: Site) -> None:
        settings = WebSettings(port=site.port)
        with pytest.raises(ConfigurationError, match="name others in \\[receive\\] host and port"):
            await WebServer(settings, {}, lambda: datetime.now(UTC), print).open()

    serve(test)
