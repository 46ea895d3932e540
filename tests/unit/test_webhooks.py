"""Webhooks between a sender and the broker: nothing is acknowledged before the broker keeps it, and what is said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from agents.receivers import webhooks as receivers
from agents.receivers.assembly import Assembly
from agents.receivers.outbox import Outbox
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from pipeline.configuration import load
from pipeline.errors import TransientError
from pipeline.identifiers import Identifiers
from pipeline.received import Translator
from tests import webhooks
from tests.receiving_broker import Broker
from tests.webhooks import Post

CALL = orjson.dumps(
    {"kind": "call", "started_at": "2024-03-05T09:00:00Z", "talk_seconds": 60, "from": webhooks.AALTO, "to": "201",
     "direction": "inbound"}
)  # fmt: skip


@dataclass
class Site:
    """Running webhooks, and all that was said."""

    broker: Broker
    outbox: Outbox
    port: int = 0
    said: list[str] = field(default_factory=list)

    async def send(self, post: Post, method: str = "POST") -> tuple[int, dict[str, str], str]:
        return await asyncio.to_thread(webhooks.send, post, self.port, method=method)

    async def status(self, post: Post, method: str = "POST") -> int:
        return (await self.send(post, method))[0]


def serve(
    folder: Path, test: Callable[[Site], Awaitable[None]], text: str = webhooks.CONFIGURATION, limits: str = ""
) -> None:
    async def run() -> None:
        broker, said = Broker(), list[str]()
        configuration = load(f"[receive]\nport = 0\n{limits}\n{text}", "bypassflow.toml")
        assembly = Assembly(configuration, folder, webhooks.VARIABLES, said.append)
        outbox = Outbox(broker, 1, configuration.receive.waiting_records, configuration.receive.waiting_bytes)
        reader = Reader(Translator(lambda: Identifiers(b"any", clear=True)), lambda: datetime.now(UTC))
        with Positions(folder / "positions") as positions:
            (receiver,) = assembly.make(positions, outbox, reader)
            await receiver.open()
            site = Site(broker, outbox, int(receiver.name.split(":")[2]), said)
            try:
                await test(site)
            finally:
                broker.opened.set()
                await receiver.close(2)
                await outbox.close(2)
                reader.close()

    asyncio.run(run())


def now() -> float:
    return datetime.now(UTC).timestamp()


def test_all_kinds_share_one_server_and_what_they_bring_is_kept(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        start = int(now()) - 600
        posts = [
            webhooks.signed(CALL, now()),
            webhooks.bearer(CALL),
            webhooks.switch(webhooks.channel(1, start)),
            webhooks.twilio(webhooks.call_status("CA1", "completed")),
            webhooks.meta(webhooks.whatsapp(webhooks.wrote(1, start))),
        ]
        answers = [await site.send(post) for post in posts]
        assert [status for status, _, _ in answers] == [200] * 5
        # Any text would be sent to Twilio's caller as a message.
        assert [text for _, _, text in answers] == ["", "", "", "<Response/>", ""]
        assert answers[3][1]["content-type"].startswith("text/xml")
        rows = [value["row"] for value in site.broker.messages() if value["fact"] == "observation"]
        assert {row["source"] for row in rows} == {"signed", "bearer", "switch", "twilio", "meta"}
        assert {row["raw_id"].split(":")[1] for row in rows} == {
            "webhook/signed", "webhook/bearer", "webhook/switch", "webhook/twilio", "webhook/meta"
        }  # fmt: skip
        shown = Post(f"/meta?hub.mode=subscribe&hub.verify_token={webhooks.VERIFY_TOKEN}&hub.challenge=77", b"")
        assert (await site.send(shown, "GET"))[::2] == (200, "77")

    serve(tmp_path, test)


def test_nothing_is_acknowledged_before_the_broker_keeps_it(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        site.broker.opened.clear()
        sending = asyncio.create_task(site.status(webhooks.bearer(CALL)))
        await asyncio.sleep(0.3)
        assert not sending.done()
        site.broker.opened.set()
        assert await sending == 200
        assert len(site.broker.messages()) == 1

    serve(tmp_path, test)


def test_a_broker_that_is_away_or_slow_makes_senders_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receivers, "_PATIENCE", 0.2)
    monkeypatch.setattr(receivers, "_READY_HOLDS", 0.0)
    ready = Post("/readyz", b"")

    async def test(site: Site) -> None:
        assert await site.status(ready, "GET") == 200
        site.broker.error = TransientError("the broker is silent")
        for _ in range(2):
            status, headers, _ = await site.send(webhooks.bearer(CALL))
            assert (status, int(headers["retry-after"]) > 0) == (503, True)
        assert await site.status(ready, "GET") == 503
        assert await site.status(Post("/healthz", b""), "GET") == 200
        site.broker.error = None
        await asyncio.sleep(1.1)
        assert await site.status(ready, "GET") == 200
        site.broker.opened.clear()
        assert await site.status(webhooks.bearer(CALL)) == 503
        site.broker.opened.set()
        assert await site.status(webhooks.bearer(CALL)) == 200

    serve(tmp_path, test)


def test_it_is_not_ready_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "_READY_HOLDS", 0.0)

    async def test(site: Site) -> None:
        site.broker.opened.clear()
        lines = b"\n".join(CALL.replace(b"60", str(60 + number).encode()) for number in range(1_000))
        sending = asyncio.create_task(site.status(webhooks.bearer(lines)))
        while not site.outbox.waiting_count:
            await asyncio.sleep(0.05)
        assert await site.status(Post("/readyz", b""), "GET") == 503
        assert await site.status(webhooks.bearer(CALL)) == 503
        site.broker.opened.set()
        assert await sending == 200
        assert await site.status(Post("/readyz", b""), "GET") == 200

    serve(tmp_path, test, limits="waiting_records = 1000")


def test_what_cannot_be_read_is_a_dead_letter_and_is_not_sent_again(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        for body in (b"{", b'{"kind": "call"}', b'{"kind": "other"}', b"\x00\xff" * 100, b"[1, 2]"):
            assert await site.status(webhooks.bearer(body)) == 200
        kept = site.broker.messages()
        assert {value["kind"] for value in kept} == {"rejected"}
        assert len({value["raw_id"] for value in kept}) >= 5
        before = len(kept)
        assert await site.status(webhooks.bearer(b"{")) == 200
        again = site.broker.messages()[before:]
        assert {value["raw_id"] for value in again} <= {value["raw_id"] for value in kept}

    serve(tmp_path, test)


def test_content_of_another_format_is_refused_and_told_of(tmp_path: Path) -> None:
    text = (
        '[[receiver]]\nkind = "webhook"\nsource = "crm"\npath = "/crm"\nformat = "hubspot"\nsecret_env = "HOOK_TOKEN"\n'
        'authentication = "bearer"\n'
    )

    async def test(site: Site) -> None:
        assert await site.status(replace(webhooks.bearer(b"Secret;Words\n1;2\n"), path="/crm")) == 422
        assert len(site.said) == 1
        assert site.said[0].startswith("/crm: answered 422: ")
        assert site.broker.messages() == []

    serve(tmp_path, test, text)


def test_refusals_are_told_of_once_and_hold_nothing_of_the_request(tmp_path: Path) -> None:
    async def test(site: Site) -> None:
        for _ in range(3):
            assert await site.status(webhooks.bearer(CALL, token="guessed")) == 401
        assert await site.status(webhooks.switch({}, password="guessed")) == 401
        assert await site.status(webhooks.meta({}, secret="guessed")) == 403
        assert await site.status(webhooks.twilio({"CallSid": "CA1"}, token="guessed")) == 403
        assert await site.status(webhooks.signed(CALL, now() - 3_600)) == 401
        assert [sentence.partition(":")[0] for sentence in site.said] == [
            "/bearer", "/switch", "/meta", "/twilio", "/signed"
        ]  # fmt: skip
        assert not any(word in sentence for sentence in site.said for word in ("guessed", webhooks.AALTO, "CA1"))
        assert site.broker.messages() == []

    serve(tmp_path, test)


def test_a_complaint_is_told_again_after_a_while_with_how_many_there_were() -> None:
    now, said = 0.0, list[str]()
    complaints = receivers._Complaints(lambda: now, said.append)
    for _ in range(5):
        complaints.tell("/crm", "answered 401: no")
    complaints.tell("/pbx", "answered 401: no")
    now = 61.0
    complaints.tell("/crm", "answered 401: no")
    assert said == ["/crm: answered 401: no", "/pbx: answered 401: no", "/crm: answered 401: no (4 more like this)"]
    for number in range(3_000):
        complaints.tell("/crm", str(number))
    assert len(complaints._told) <= 1_000


def test_a_failure_of_ours_is_answered_so_that_the_sender_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError(webhooks.AALTO)

    async def test(site: Site) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Translator, "translate", fail)
            assert await site.status(webhooks.bearer(CALL)) == 500
        assert site.said[0].startswith("/bearer: ZeroDivisionError at ")
        assert webhooks.AALTO not in site.said[0]
        assert await site.status(webhooks.bearer(CALL)) == 200

    serve(tmp_path, test)


def test_what_is_repeated_has_the_same_identity(tmp_path: Path) -> None:
    start = int(now()) - 600
    posts = [
        webhooks.bearer(CALL),
        webhooks.switch(webhooks.channel(1, start)),
        webhooks.twilio(webhooks.call_status("CA1", "completed")),
        webhooks.twilio(webhooks.message_status("SM1", "delivered")),
        webhooks.meta(webhooks.whatsapp(webhooks.wrote(1, start))),
    ]

    async def test(site: Site) -> None:
        for _ in range(3):
            assert {await site.status(post) for post in posts} == {200}
        raw_ids = [value["row"]["raw_id"] for value in site.broker.messages() if value["fact"] == "observation"]
        assert (len(raw_ids), len(set(raw_ids))) == (15, 5)

    serve(tmp_path, test)
