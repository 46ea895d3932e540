"""Webhooks, as a configuration names them: taken in, read, and acknowledged once the broker keeps what they brought."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from agents.receivers.outbox import Busy, Outbox
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from agents.receivers.running import Receiver
from agents.receivers.site import Entry, Make, Site
from agents.receivers.web_server import Endpoint, Read, WebServer
from pipeline.errors import ConfigurationError, TransientError
from pipeline.received import Feed
from pipeline.webhooks import freeswitch, meta, proofs, signed, twilio
from pipeline.webhooks.exchange import Answer, Refused, Request, Sender
from schemas.receive import ReceiveSettings
from schemas.webhooks import FreeswitchWebhook, MetaWebhook, SignedWebhook, TwilioWebhook, Webhook

# How long a sender may wait for the broker: Graph wants its answer within ten seconds, Twilio within fifteen.
_PATIENCE: Final = 5.0
# An answer to whether we are ready holds for so long, so that asking costs the broker nothing. Unit: seconds.
_READY_HOLDS: Final = 1.0
_READY_PATIENCE: Final = 2.0
# The same refusal is told of again after so long. Unit: seconds.
_QUIET: Final = 60.0


@dataclass(frozen=True)
class _Hook:
    """One webhook: who sends, and where its records belong."""

    path: str
    feed: Feed
    sender: Sender


def prepare_webhooks(site: Site, entries: Sequence[Entry[Webhook]]) -> Sequence[Make]:
    """Return what makes the server of all webhooks.

    Raises:
        ConfigurationError: when two have the same path, a secret lacks, or there is no such format.
    """
    hooks: list[_Hook] = []
    seen: dict[str, str] = {}
    for entry in entries:
        path = entry.settings.path
        if path in seen:
            raise ConfigurationError(f"{entry.where} has the path {path}, as {seen[path]} does; give it another")
        seen[path] = entry.where
        feed = site.feed(entry, f"webhook{path}", tells_progress=False)  # type: ignore[arg-type]
        hooks.append(_Hook(path, feed, _SENDERS[type(entry.settings)](site, entry)))
    return [partial(_make, site, hooks)] if hooks else []


def _make(site: Site, hooks: Sequence[_Hook], positions: Positions, outbox: Outbox, reader: Reader) -> Receiver:
    return Webhooks(hooks, site.receive, outbox, reader, lambda: datetime.now(UTC), site.tell)


def _signed(site: Site, entry: Entry[SignedWebhook]) -> Sender:
    settings, secret = entry.settings, site.secret(entry)
    format = site.parser(entry).name
    if settings.authentication == "bearer":
        return signed.bearer(format, secret)
    if settings.username is not None:
        return signed.basic(format, settings.username, secret)
    try:
        key = proofs.standard_key(secret)
    except ValueError:
        raise ConfigurationError(f"{entry.where}: the secret begins with whsec_ and is no base64 behind it") from None
    return signed.signing(format, key, settings.replay_window)


def _freeswitch(site: Site, entry: Entry[FreeswitchWebhook]) -> Sender:
    return freeswitch.Freeswitch(entry.settings.username, site.secret(entry))


def _twilio(site: Site, entry: Entry[TwilioWebhook]) -> Sender:
    return twilio.Twilio(entry.settings.public_url, site.secret(entry))


def _meta(site: Site, entry: Entry[MetaWebhook]) -> Sender:
    return meta.Meta(site.secret(entry), site.secret(entry, "verify_token"))


_SENDERS: Final[Mapping[type[Webhook], Callable[[Site, Entry[Any]], Sender]]] = {
    SignedWebhook: _signed,
    FreeswitchWebhook: _freeswitch,
    TwilioWebhook: _twilio,
    MetaWebhook: _meta,
}


class Webhooks:
    """All webhooks, behind one server."""

    def __init__(
        self,
        hooks: Sequence[_Hook],
        settings: ReceiveSettings,
        outbox: Outbox,
        reader: Reader,
        now: Callable[[], datetime],
        tell: Callable[[str], None],
    ) -> None:
        """`now` tells the time, aware."""
        self.name = "webhooks"
        self._hooks = hooks
        self._settings = settings
        self._outbox = outbox
        self._reader = reader
        self._tell = tell
        self._complaints = _Complaints(time.monotonic, tell)
        self._warned: set[str] = set()
        self._ready = (False, -_READY_HOLDS)
        self._asking = asyncio.Lock()
        endpoints = {hook.path: Endpoint(hook.sender.methods, partial(self._answer, hook)) for hook in hooks}
        endpoints["/healthz"] = Endpoint(("GET", "HEAD"), self._health)
        endpoints["/readyz"] = Endpoint(("GET", "HEAD"), self._readiness)
        self._server = WebServer(settings, endpoints, now, tell)

    async def open(self) -> None:
        """Listen."""
        port = await self._server.open()
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        self.name = f"webhooks at http://{host}:{port}: {', '.join(hook.path for hook in self._hooks)}"

    async def run(self) -> None:
        """Wait: requests are answered as they come."""
        await asyncio.Event().wait()

    async def close(self, patience: float) -> None:
        """Finish what was begun."""
        await self._server.close(patience)

    async def _answer(self, hook: _Hook, request: Request, read: Read) -> Answer:
        try:
            return hook.sender.greet(request) or await self._take(hook, await read())
        except Refused as refused:
            self._complaints.tell(hook.path, f"answered {refused.answer.status}: {refused}")
            raise

    async def _take(self, hook: _Hook, request: Request) -> Answer:
        """Publish what a request brings, and thank for it once the broker keeps it.

        Raises:
            Refused: when it is not its sender's, is nothing that the parser reads, or cannot be kept now.
        """
        content = hook.sender.take(request)
        if content is None:
            return hook.sender.thanks
        try:
            received = await self._reader.read(hook.feed, content.data, content.place)
        except ConfigurationError as error:
            self._complaints.tell(hook.path, f"answered 422: {error}")
            return Answer(422, f"this is nothing that the format {hook.feed.parser.name} reads\n")
        for warning in received.warnings:
            self._warn(warning)
        try:
            await self._outbox.deliver(received.publications, _PATIENCE)
        except Busy as busy:
            raise Refused(503, "cannot be kept now", {"Retry-After": str(busy.retry_after)}) from None
        except TransientError:
            raise Refused(503, "cannot be kept now", {"Retry-After": "5"}) from None
        return hook.sender.thanks

    def _warn(self, sentence: str) -> None:
        """Say a sentence once: the same comes with every request."""
        if sentence not in self._warned and len(self._warned) < 1_000:
            self._warned.add(sentence)
            self._tell(sentence)

    async def _health(self, request: Request, read: Read) -> Answer:
        return Answer(200, "ok\n")

    async def _readiness(self, request: Request, read: Read) -> Answer:
        async with self._asking:
            is_ready, asked_at = self._ready
            if time.monotonic() - asked_at >= _READY_HOLDS:
                is_ready = await self._outbox.is_ready(_READY_PATIENCE)
                self._ready = (is_ready, time.monotonic())
        return Answer(200, "ready\n") if is_ready else Answer(503, "the broker is away, or too much waits for it\n")


class _Complaints:
    """Tells of what was refused, for whoever set it up; not each time, since anybody can ask to be refused."""

    def __init__(self, clock: Callable[[], float], tell: Callable[[str], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def tell(self, path: str, sentence: str) -> None:
        """Tell a sentence about a path, unless it was told a short time ago."""
        now = self._clock()
        told_at, more = self._told.get((path, sentence), (now - _QUIET, 0))
        if now - told_at < _QUIET:
            self._told[path, sentence] = (told_at, more + 1)
            return
        self._told[path, sentence] = (now, 0)
        self._tell(f"{path}: {sentence}" + (f" ({more:,} more like this)" if more else ""))
