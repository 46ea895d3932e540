"""Notifications of Microsoft Graph taken in: what they point at is fetched before they are acknowledged."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from agents.receivers.graph_client import GraphClient, GraphError
from agents.receivers.graph_subscriptions import Subscriptions
from pipeline.webhooks.exchange import Answer, Content, Refused, Request
from pipeline.webhooks.graph import Format, Graph, Pointer, content

# Graph wants its answer within ten seconds, of which the broker may take five.
_PATIENCE: Final = 4.0
_AT_ONCE: Final = 8
# What was fetched for a request that could not be acknowledged is kept for when it comes again.
_MOST_KEPT: Final = 200


class GraphHook:
    """The sender of one receiver of kind graph."""

    def __init__(
        self,
        name: str,
        format: Format,
        graph: Graph,
        client: GraphClient,
        subscriptions: Subscriptions,
        tell: Callable[[str], None],
    ) -> None:
        self.methods = graph.methods
        self.thanks = graph.thanks
        self._name = name
        self._format: Format = format
        self._graph = graph
        self._client = client
        self._subscriptions = subscriptions
        self._tell = tell
        self._kept: OrderedDict[Pointer, Mapping[str, Any]] = OrderedDict()
        self._said = ""
        self._room = asyncio.Semaphore(_AT_ONCE)

    def greet(self, request: Request) -> Answer | None:
        """Answer the request with which Graph sees whether anybody is here."""
        return self._graph.greet(request)

    async def take(self, request: Request) -> Content | None:
        """Return what a request points at.

        Raises:
            Refused: when it is not ours, or Graph does not give all of it now; it sends it again for some hours.
        """
        notices = self._graph.notices(request)
        if notices.events:
            self._subscriptions.look()
        if "missed" in notices.events:
            self._tell(f"{self._name}: Graph could not deliver some notifications; replay an export of that time")
        found = await self._fetch_all(notices.pointers)
        told = content(self._format, [(pointer, value) for pointer, value in found.items() if value is not None])
        if len(found) == len(notices.pointers):
            return told
        # What one request tells of may come again with it: it must not wait for the others.
        rest = Refused(503, "Graph does not give all of it now", {"Retry-After": "30"})
        if told is None:
            raise rest
        return replace(told, rest=rest)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._client.close()

    async def run(self) -> None:
        """Keep the subscriptions."""
        await self._subscriptions.run()

    async def _fetch_all(self, pointers: Sequence[Pointer]) -> dict[Pointer, Mapping[str, Any] | None]:
        """Return what Graph gives in time; None for what is not there any more."""
        fetching = {pointer: asyncio.create_task(self._fetch(pointer)) for pointer in pointers}
        if fetching:
            await asyncio.wait(fetching.values(), timeout=_PATIENCE)
        found: dict[Pointer, Mapping[str, Any] | None] = {}
        for pointer, task in fetching.items():
            if not task.done():
                task.cancel()
            elif isinstance(error := task.exception(), GraphError):
                self._say(str(error))
            else:
                found[pointer] = task.result()
        return found

    async def _fetch(self, pointer: Pointer) -> Mapping[str, Any] | None:
        if pointer not in self._kept:
            async with self._room:
                found = await self._client.resource(pointer.address)
            if found is None:
                # A message may be deleted at once; a call record is there for a month.
                if self._format == "teams":
                    raise GraphError("Graph told of a call record that is not there", 404)
                return None
            self._kept[pointer] = found
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return self._kept[pointer]

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._tell(f"{self._name}: {sentence}")
        self._said = sentence
