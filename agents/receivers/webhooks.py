"""Webhooks, as a configuration names them: taken in, read, and acknowledged once the broker keeps what they brought."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from agents.receivers.graph_hook import GraphHook
from agents.receivers.outbox import Busy, Outbox
from agents.receivers.reading import Reader
from agents.receivers.web_server import Endpoint, Read, WebServer
from pipeline.errors import ConfigurationError, TransientError
from pipeline.received import Feed
from pipeline.webhooks.exchange import Answer, Refused, Request, Sender
from schemas.receive import ReceiveSettings

# How long a sender may wait for the broker: Graph wants its answer within ten seconds, Twilio within fifteen.
_PATIENCE: Final = 5.0
# An answer to whether we are ready holds for so long, so that asking costs the broker nothing. Unit: seconds.
_READY_HOLDS: Final = 1.0
_READY_PATIENCE: Final = 2.0
# The same refusal is told of again after so long. Unit: seconds.
_QUIET: Final = 60.0
_MOST_COMPLAINTS: Final = 1_000
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch


# Most senders bring what they tell; Graph only points at it, and has to be asked.
AnySender = Sender | GraphHook


@dataclass(frozen=True)
class Hook:
    """One webhook: who sends, and where its records belong."""

    path: str
    feed: Feed
    sender: AnySender


class Webhooks:
    """All webhooks, behind one server."""

    def __init__(
        self,
        hooks: Sequence[Hook],
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
        """Answer requests as they come, and keep the subscriptions of those who want that."""
        keeping = [hook.sender.run() for hook in self._hooks if isinstance(hook.sender, GraphHook)]
        await asyncio.gather(asyncio.Event().wait(), *keeping)

    async def close(self, patience: float) -> None:
        """Finish what was begun."""
        await self._server.close(patience)
        for hook in self._hooks:
            if isinstance(hook.sender, GraphHook):
                await hook.sender.close()

    async def _answer(self, hook: Hook, request: Request, read: Read) -> Answer:
        try:
            return hook.sender.greet(request) or await self._take(hook, await read())
        except Refused as refused:
            self._complaints.tell(hook.path, f"answered {refused.answer.status}: {refused}")
            raise

    async def _take(self, hook: Hook, request: Request) -> Answer:
        """Publish what a request brings, and thank for it once the broker keeps it.

        Raises:
            Refused: when it is not its sender's, is nothing that the parser reads, or cannot be kept now.
        """
        sender = hook.sender
        content = await sender.take(request) if isinstance(sender, GraphHook) else sender.take(request)
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
        if content.rest is not None:
            raise content.rest
        return hook.sender.thanks

    def _warn(self, sentence: str) -> None:
        """Say a sentence once: the same comes with every request."""
        if sentence not in self._warned and len(self._warned) < _MOST_COMPLAINTS:
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
        if len(self._told) >= _MOST_COMPLAINTS:
            self._told.clear()
        self._told[path, sentence] = (now, 0)
        self._tell(f"{path}: {sentence}" + (f" ({more:,} more like this)" if more else ""))
