"""Meta: messages of WhatsApp, Messenger and Instagram, as their webhooks deliver them and whoever receives keeps them.

A webhook brings messages one by one and says nothing of conversations. What a company and one customer write to each
other on one local day is taken for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.json_outline import first_members
from pipeline.sources.json_records import JsonForm, form_of, json_records
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.translation import Fields, translated
from pipeline.sources.utc_instants import utc_if_given

NETWORKS: Final = {"whatsapp_business_account": "whatsapp", "page": "messenger", "instagram": "instagram"}
# What stands among WhatsApp's messages and says nothing to anybody: a thumb, and news of the customer's number.
_NO_MESSAGES: Final = ("reaction", "system")


class Meta:
    """Payloads of webhooks as JSON."""

    name = "meta"
    title = "WhatsApp, Messenger and Instagram (Meta)"
    description = (
        "Payloads of Meta's webhooks as JSON (one a line, one after the other, or a list). Messages of WhatsApp are of "
        "the channel chat, those of Messenger and Instagram of social. What one customer and one number, page or "
        "account write to each other on a local day is one interaction. WhatsApp tells of outgoing messages only by "
        "their statuses, of which failures alone are read, as automated; those written in the WhatsApp Business app "
        "are delivered as echoes and read. There is nothing to map."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "webhooks of the WhatsApp Business Platform",
            "customer, business number, time, kind, echoes of the app, failures",
            "texts, names, media, prices, deliveries, reactions",
            "records",
            "payloads in a client library's tests, and Meta's documentation of statuses",
        ),
        Format(
            "webhooks of Messenger and Instagram",
            "customer, page or account, time, echoes",
            "texts, attachments, deliveries, reads, reactions, postbacks",
            "records",
            "payloads in published tests",
        ),
    )
    lies = (
        "WhatsApp may leave out the number of a customer with a user name: the id that it gives then is another "
        "identifier, which the CRM does not know.",
        "The id of a message of WhatsApp holds the customer's number, so that it is not kept.",
        "Nothing says whether a person or a program wrote what went out.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on payloads of webhooks."""
        told = _told(sample.head) if not sample.is_directory else None
        return Recognition(0.95, f"webhooks of {told[0]}") if told is not None else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each message.

        Raises:
            ConfigurationError: when it holds no webhooks of Meta, or there is a mapping.
            InvalidRecord: when a document is broken; what came before it is yielded first.
        """
        told = _told(head(path))
        if told is None:
            raise ConfigurationError(f"{context.file} holds no webhooks of Meta; leave out format")
        if context.mapping:
            raise ConfigurationError(f"{context.file}: webhooks of Meta have nothing to map; leave it out")
        form, teller = told[1], _Teller(context)
        yield from translated(json_records(path, form), teller.tell, context, form.unit, path.stat().st_size)


def _told(start: bytes) -> tuple[str, JsonForm] | None:
    """Return of which network a file that begins like this holds webhooks, and how."""
    form = form_of(start)
    members = first_members(start, form) if form is not None else {}
    network = NETWORKS.get(str(members.get("object")))
    return (network, form) if form is not None and network and isinstance(members.get("entry"), list) else None


class _Teller:
    def __init__(self, context: ReadContext) -> None:
        self._zone = context.zone
        self._identifiers = context.identifiers

    def tell(self, value: Mapping[str, Any]) -> list[Fields]:
        """Return the messages in a webhook.

        Raises:
            InvalidRecord: when it is of no network that is known.
        """
        network = NETWORKS.get(str(value.get("object")))
        if network is None:
            raise InvalidRecord(f"object: expected one of {', '.join(NETWORKS)}")
        return [told for entry in _objects(value, "entry") for told in self._entry(entry, network)]

    def _entry(self, entry: Mapping[str, Any], network: str) -> Iterator[Fields]:
        for event in _objects(entry, "messaging"):
            yield from self._event(event, network)
        for change in _objects(entry, "changes"):
            news = change.get("value")
            if not isinstance(news, dict):
                continue
            if network == "whatsapp":
                yield from self._news(news)
            elif change.get("field") == "messages":
                yield from self._event(news, network)

    def _news(self, news: Mapping[str, Any]) -> Iterator[Fields]:
        """Yield what a change brings of WhatsApp: messages, echoes of what the app sent, and failures."""
        metadata = news.get("metadata")
        number = metadata.get("display_phone_number") if isinstance(metadata, dict) else None
        ours = _plus(number)
        for message in _objects(news, "messages"):
            if message.get("type") not in _NO_MESSAGES:
                customer = _plus(message.get("from")) or _word(message.get("from_user_id"))
                yield self._message(message, "whatsapp", customer, ours, is_ours=False)
        for message in _objects(news, "message_echoes"):
            if message.get("type") not in _NO_MESSAGES:
                yield self._message(message, "whatsapp", _plus(message.get("to")), ours, is_ours=True)
        for status in _objects(news, "statuses"):
            if status.get("status") == "failed":
                told = self._message(status, "whatsapp", _plus(status.get("recipient_id")), ours, is_ours=True)
                # No conversation came of it, and what fails is mostly what programs send to many.
                yield {**told, "conversation_id": None, "status": "failed", "automated": True}

    def _event(self, event: Mapping[str, Any], network: str) -> Iterator[Fields]:
        """Yield the message of an event of Messenger or Instagram, if it is one."""
        message = event.get("message")
        if not isinstance(message, dict) or message.get("is_deleted") is True:
            return
        is_ours = message.get("is_echo") is True
        sender, recipient = _party(event, "sender"), _party(event, "recipient")
        customer, ours = (recipient, sender) if is_ours else (sender, recipient)
        timed = {"id": message.get("mid"), "timestamp": event.get("timestamp")}
        yield self._message(timed, network, customer, ours, is_ours)

    def _message(
        self, message: Mapping[str, Any], network: str, customer: str | None, ours: str | None, is_ours: bool
    ) -> Fields:
        try:
            sent_at = utc_if_given(message, "timestamp")
        except InvalidRecord:
            sent_at = None  # a dead letter of its own: the other messages of the webhook are none
        sender, recipient = (ours, customer) if is_ours else (customer, ours)
        return {
            "kind": "message",
            "channel": "chat" if network == "whatsapp" else "social",
            # An id of WhatsApp spells the customer's number in base64.
            "message_id": _word(message.get("id")) if network != "whatsapp" else None,
            "conversation_id": self._conversation(network, customer, ours, sent_at),
            "started_at": sent_at,
            "direction": "outbound" if is_ours else "inbound",
            "from": sender,
            "to": recipient,
            "namespace": network,
        }

    def _conversation(
        self, network: str, customer: str | None, ours: str | None, sent_at: datetime | None
    ) -> str | None:
        """Return what a customer, one of our numbers or pages and a local day share; it does not tell the customer."""
        if customer is None or sent_at is None:
            return None
        theirs, own = self._token(customer, network), self._token(ours or "", network)
        return f"{own}:{theirs}:{sent_at.astimezone(self._zone).date().isoformat()}"

    def _token(self, party: str, network: str) -> str:
        read = self._identifiers.phone(party) if party.startswith("+") else self._identifiers.handle(party, network)
        return read.token or "unknown"


def _objects(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    members = value.get(name)
    return [member for member in members if isinstance(member, dict)] if isinstance(members, list) else []


def _party(event: Mapping[str, Any], name: str) -> str | None:
    member = event.get(name)
    return _word(member.get("id")) if isinstance(member, dict) else None


def _word(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value).strip() or None


def _plus(value: object) -> str | None:
    """Return a number of WhatsApp, which is written without its plus sign."""
    digits = "".join(character for character in _word(value) or "" if character.isascii() and character.isdigit())
    return f"+{digits}" if digits else None


SOURCE: Final = Meta()
