"""Webhooks as a configuration names them: who sends, how he proves it, and where the records belong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from agents.receivers.graph_client import GraphClient
from agents.receivers.graph_hook import GraphHook
from agents.receivers.graph_subscriptions import MOST_STATE, Subscriptions
from agents.receivers.outbox import Outbox
from agents.receivers.positions import Positions
from agents.receivers.reading import Reader
from agents.receivers.running import Receiver
from agents.receivers.site import Entry, Make, Site
from agents.receivers.webhooks import AnySender, Hook, Webhooks
from pipeline.errors import ConfigurationError
from pipeline.received import Feed
from pipeline.webhooks import freeswitch, meta, proofs, signed, twilio
from pipeline.webhooks.exchange import Sender
from pipeline.webhooks.graph import Graph
from schemas.graph_webhook import GraphWebhook
from schemas.webhooks import FreeswitchWebhook, MetaWebhook, SignedWebhook, TwilioWebhook, Webhook

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch
_MakeSender = Callable[[Positions], AnySender]


def prepare_webhooks(site: Site, entries: Sequence[Entry[Webhook]]) -> Sequence[Make]:
    """Return what makes the server of all webhooks.

    Raises:
        ConfigurationError: when two have the same path, a secret lacks, or there is no such format.
    """
    prepared: list[tuple[str, Feed, _MakeSender]] = []
    seen: dict[str, str] = {}
    for entry in entries:
        path = entry.settings.path
        if path in seen:
            raise ConfigurationError(f"{entry.where} has the path {path}, as {seen[path]} does; give it another")
        seen[path] = entry.where
        feed = site.feed(entry, f"webhook{path}", tells_progress=False)  # type: ignore[arg-type]
        if isinstance(entry.settings, GraphWebhook):
            feed = replace(feed, options=_graph_options(entry.settings))
        prepared.append((path, feed, _SENDERS[type(entry.settings)](site, entry)))
    return [partial(_make, site, prepared)] if prepared else []


def _make(
    site: Site,
    prepared: Sequence[tuple[str, Feed, _MakeSender]],
    positions: Positions,
    outbox: Outbox,
    reader: Reader,
) -> Receiver:
    hooks = [Hook(path, feed, make(positions)) for path, feed, make in prepared]
    return Webhooks(hooks, site.receive, outbox, reader, _now, site.tell)


def _now() -> datetime:
    return datetime.now(UTC)


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


def _graph(site: Site, entry: Entry[GraphWebhook]) -> _MakeSender:
    settings, secret = entry.settings, site.secret(entry)
    client_state = site.secret(entry, "client_state")
    if len(client_state) > MOST_STATE:
        raise ConfigurationError(f"{entry.where}: client_state has more than {MOST_STATE} letters, which Graph refuses")

    def make(positions: Positions) -> GraphHook:
        client = GraphClient(settings.sign_in_url, settings.graph_url, settings.tenant, settings.client_id, secret)
        subscriptions = Subscriptions(
            f"graph {settings.path}", client, settings.public_url, settings.resources, client_state, secret,
            positions, _now, site.tell,
        )  # fmt: skip
        graph = Graph(settings.format, client_state)
        return GraphHook(settings.path, settings.format, graph, client, subscriptions, site.tell)

    return make


def _graph_options(settings: GraphWebhook) -> Mapping[str, Any]:
    """Return the parser's options: call records are understood by the tenant, which is known."""
    if settings.format == "teams" and _UUID(settings.tenant):
        return {"tenant": settings.tenant, **settings.options}
    return settings.options


def _at_once(sender_of: Callable[[Site, Entry[Any]], Sender]) -> Callable[[Site, Entry[Any]], _MakeSender]:
    """Return what makes a sender that keeps nothing beside the configuration."""

    def make_of(site: Site, entry: Entry[Any]) -> _MakeSender:
        sender = sender_of(site, entry)
        return lambda positions: sender

    return make_of


_SENDERS: Final[Mapping[type[Webhook], Callable[[Site, Entry[Any]], _MakeSender]]] = {
    SignedWebhook: _at_once(_signed),
    FreeswitchWebhook: _at_once(_freeswitch),
    TwilioWebhook: _at_once(_twilio),
    MetaWebhook: _at_once(_meta),
    GraphWebhook: _graph,
}
