"""Subscriptions of Microsoft Graph, which last for days: made, renewed in time, and made anew when they are lost."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agents.receivers.graph_client import GraphClient, GraphError
from agents.receivers.positions import Positions

# Call records allow for 4,230 minutes, messages for more.
_LASTING: Final = timedelta(minutes=4_200)
_RENEWED_BEFORE: Final = _LASTING / 2
# How often it is looked at, and how soon again after a failure. Unit: seconds.
_BEAT: Final = 600.0
_PAUSE: Final = 30.0
# What Graph takes as clientState at most. Unit: letters.
MOST_STATE: Final = 128


class Subscriptions:
    """The subscriptions of one receiver, one for each resource."""

    def __init__(
        self,
        name: str,
        client: GraphClient,
        public_url: str,
        resources: Sequence[str],
        client_state: str,
        secret: str,
        positions: Positions,
        now: Callable[[], datetime],
        tell: Callable[[str], None],
    ) -> None:
        """`name` of the receiver; `positions` keep under it what was subscribed to, and `now` tells the time, aware."""
        self._name = name
        self._client = client
        self._public_url = public_url
        self._resources = resources
        self._client_state = client_state
        # Graph does not tell the text that a subscription was made with.
        self._mark = hmac.new(secret.encode(), client_state.encode(), hashlib.sha256).hexdigest()[:32]
        self._positions = positions
        self._now = now
        self._tell = tell
        self._looking = asyncio.Event()
        self._are_renewed = False
        self._said = ""

    def look(self) -> None:
        """Renew them now: Graph said that it wants that, or that it dropped one."""
        self._are_renewed = True
        self._looking.set()

    async def run(self) -> None:
        """Keep them for ever."""
        while True:
            try:
                await self.keep()
                self._said = ""
                wait = _BEAT
            except GraphError as error:
                sentence = f"{self._name}: {error}; subscriptions are tried again"
                if sentence != self._said:
                    self._tell(sentence)
                self._said, wait = sentence, max(_PAUSE, error.retry_after)
            try:
                async with asyncio.timeout(wait):
                    await self._looking.wait()
            except TimeoutError:
                pass
            self._looking.clear()

    async def keep(self) -> None:
        """Make, renew and remove what has to be.

        Raises:
            GraphError: when Graph does not do it.
        """
        is_renewing, self._are_renewed = self._are_renewed, False
        try:
            listed = await self._client.listed("subscriptions")
            existing = [each for each in listed if each.get("notificationUrl") == self._public_url]
            kept = self._positions.load(self._name) or {}
            is_same = kept.get("mark") == self._mark
            for resource in self._resources:
                own = [each for each in existing if _same(str(each.get("resource")), resource)]
                used = next((each for each in own if is_same and each["id"] in kept.get("ids", ())), None)
                if used is None:
                    # The new one first, so that nothing is missed; what both tell of counts once.
                    used = await self._create(resource)
                elif is_renewing or _expires_at(used) - self._now() < _RENEWED_BEFORE:
                    await self._client.ask(
                        "PATCH", f"subscriptions/{used['id']}", {"expirationDateTime": self._until()}
                    )
                for other in own:
                    if other["id"] != used["id"]:
                        await self._client.ask("DELETE", f"subscriptions/{other['id']}")
        except GraphError:
            self._are_renewed = self._are_renewed or is_renewing
            raise

    async def _create(self, resource: str) -> dict[str, Any]:
        created = await self._client.ask(
            "POST",
            "subscriptions",
            {
                "changeType": "created",
                "notificationUrl": self._public_url,
                "lifecycleNotificationUrl": self._public_url,
                "resource": resource,
                "expirationDateTime": self._until(),
                "clientState": self._client_state,
            },
        )
        if created is None or "id" not in created:
            raise GraphError(f"Graph knows no {resource}", 404)
        kept = self._positions.load(self._name) or {}
        ids = kept.get("ids", []) if kept.get("mark") == self._mark else []
        ids = [*ids, created["id"]][-10 * len(self._resources) :]
        await asyncio.to_thread(self._positions.save, self._name, {"mark": self._mark, "ids": ids})
        self._tell(f"{self._name}: subscribed to {resource}")
        return created

    def _until(self) -> str:
        return (self._now() + _LASTING).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _expires_at(subscription: dict[str, Any]) -> datetime:
    try:
        found = datetime.fromisoformat(str(subscription.get("expirationDateTime")))
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _same(resource: str, other: str) -> bool:
    return resource.strip("/").lower() == other.strip("/").lower()
