"""Amazon Connect: contact records, as the service streams them into files.

A contact is delivered at least once, and again whenever something about it changed: of the versions in a file the one
that was updated last counts. A transfer begins a new contact, which names the first one of its chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pipeline.columns import digest
from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.json_outline import first_members
from pipeline.sources.json_records import JsonForm, JsonRecord, form_of, json_records
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.side_tables import Ids
from pipeline.sources.translation import Fields, translated
from pipeline.sources.utc_instants import read_utc, utc_if_given

# A number of eight bytes is kept of each; what lies beyond is read as it comes, and never becomes two interactions.
MOST_CONTACTS: Final = 1_000_000

_MARKS: Final = frozenset({"ContactId", "Channel", "InitiationMethod", "InitiationTimestamp"})
# How a contact began, in calls and emails; a transfer goes the way of the contact that it continues.
_DIRECTIONS: Final = {
    "INBOUND": "inbound", "WEBRTC_API": "inbound", "OUTBOUND": "outbound", "CALLBACK": "outbound", "API": "outbound",
    "AGENT_REPLY": "outbound",
}  # fmt: skip
_CONTINUED: Final = ("TRANSFER", "QUEUE_TRANSFER", "DISCONNECT", "FLOW")
# A supervisor who listens, and a third party that an agent calls in: no contacts of a customer.
_NO_CONTACTS: Final = ("MONITOR", "EXTERNAL_OUTBOUND")
_MACHINES: Final = ("VOICEMAIL_BEEP", "VOICEMAIL_NO_BEEP", "FAX_MACHINE_DETECTED")
_NOT_REACHED: Final = ("AMD_UNANSWERED", "SIT_TONE_DETECTED", "SIT_TONE_BUSY", "SIT_TONE_INVALID_NUMBER")
_SUBTYPE: Final = "connect:Subtype"


class AmazonConnect:
    """Contact records as JSON: one a line, one after the other, or a list."""

    name = "amazon_connect"
    title = "Amazon Connect"
    description = (
        "Contact records as JSON: one a line, one directly after the other as Firehose writes them, or a list. Calls "
        "are legs of the chain of contacts that transfers make; chats are one interaction a chain; emails are "
        "emails; tasks give nothing. Of several versions of a contact in one file the latest counts. A contact that "
        "reached no agent is no talk. Agents are known by their user names. There is nothing to map."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "contact records, JSON: calls",
            "parties, agent, queue, times, talk, how it began, what answered, versions, transfers",
            "attributes, recordings, media streams, holds",
            "records",
            "five published records, three of them versions of one contact, and the service's documentation",
        ),
        Format(
            "contact records, JSON: chats and emails",
            "addresses, agent, queue, times, network, versions, transfers",
            "attributes, transcripts",
            "documentation",
            "the service's documentation of contact records and of how contacts begin",
        ),
    )
    lies = (
        "A contact that was transferred to a number outside ends when the customer hangs up there: an agent's leg ends "
        "when the work after it begins.",
        "An outgoing contact has an agent before anybody answers: it is talk only when the customer's side connected.",
        "A callback and the call that it was asked for in are one chain of contacts, and so one interaction.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on contact records."""
        form = _form(sample.head) if not sample.is_directory else None
        return (
            Recognition(0.95, "contact records with their ids, channels and beginnings") if form is not None else None
        )

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations. The file is gone through twice, three times when contacts stand in it again.

        Raises:
            ConfigurationError: when it holds no contact records, or there is a mapping.
            InvalidRecord: when a document is broken; what came before it is yielded first.
        """
        form = _form(head(path))
        if form is None:
            raise ConfigurationError(f"{context.file} holds no contact records of Amazon Connect; leave out format")
        if context.mapping:
            raise ConfigurationError(
                f"{context.file}: contact records of Amazon Connect have nothing to map; leave it out"
            )
        known = _survey(path, form)
        if known.older_count:
            note = f"{context.file}: {known.older_count:,} earlier versions of its contacts were passed over"
            yield Batch({}, 0, warnings=(note,))

        def translate(value: Mapping[str, Any]) -> Fields | list[Fields]:
            return _contact(value, known)

        latest = (record for record in json_records(path, form) if known.is_latest(record))
        yield from translated(latest, translate, context, form.unit, path.stat().st_size)


@dataclass
class _Known:
    """What a file as a whole tells: which contacts stand in it again, and where the latest version of each is.

    `served` are the chains of chats in which an agent took part.
    """

    latest: dict[int, tuple[str, int]] = field(default_factory=dict)
    older_count: int = 0
    served: Ids = field(default_factory=Ids)

    def is_latest(self, record: JsonRecord) -> bool:
        """Return whether no later version of a contact stands in the file."""
        known = self.latest.get(_key(record.value)) if self.latest and record.problem is None else None
        return known is None or known[1] == record.position


def _form(start: bytes) -> JsonForm | None:
    form = form_of(start)
    return form if form is not None and first_members(start, form).keys() >= _MARKS else None


def _key(value: Mapping[str, Any]) -> int:
    return digest(str(value.get("ContactId")).encode("utf-8", "replace"))


def _survey(path: Path, form: JsonForm) -> _Known:
    known = _Known()
    seen: set[int] = set()
    repeated: set[int] = set()
    with suppress(InvalidRecord):  # told when the records themselves are read
        for record in json_records(path, form):
            key, value = _key(record.value), record.value
            if key in seen:
                repeated.add(key)
                known.older_count += 1
            elif len(seen) < MOST_CONTACTS and isinstance(value.get("ContactId"), str):
                seen.add(key)
            if value.get("Channel") == "CHAT" and _member(value, "Agent").get("ConnectedToAgentTimestamp"):
                known.served.add(_chain(value))
    del seen
    with suppress(InvalidRecord):
        for record in json_records(path, form) if repeated else ():
            key = _key(record.value)
            if key in repeated and record.problem is None:
                version = (str(record.value.get("LastUpdateTimestamp") or ""), record.position)
                known.latest[key] = max(version, known.latest.get(key, version))
    return known


def _contact(value: Mapping[str, Any], known: _Known) -> Fields | list[Fields]:
    contact_id, channel, began = value.get("ContactId"), value.get("Channel"), value.get("InitiationMethod")
    if not isinstance(contact_id, str) or not contact_id:
        raise InvalidRecord("ContactId: missing; expected the id of a contact")
    if not isinstance(began, str) or began not in (*_DIRECTIONS, *_CONTINUED, *_NO_CONTACTS):
        raise InvalidRecord(
            f"InitiationMethod: expected one of {', '.join((*_DIRECTIONS, *_CONTINUED, *_NO_CONTACTS))}"
        )
    if channel == "TASK" or began in _NO_CONTACTS:
        return []
    if channel == "VOICE":
        return _leg(contact_id, value, began)
    if channel == "CHAT":
        return _chat(contact_id, value, began, known)
    if channel == "EMAIL":
        return [] if began in _CONTINUED else _email(value, began)
    raise InvalidRecord("Channel: expected one of VOICE, CHAT, TASK, EMAIL")


def _leg(contact_id: str, value: Mapping[str, Any], began: str) -> Fields:
    ended_at = utc_if_given(value, "DisconnectTimestamp")
    if ended_at is None:
        raise InvalidRecord("DisconnectTimestamp: missing; the call had not ended when its record was written")
    started_at = read_utc(value, "InitiationTimestamp")
    direction = _DIRECTIONS.get(began)
    status = _status(value, direction)
    connected_at = _connected_at(value) if status == "answered" else None
    worked_at = utc_if_given(_member(value, "Agent"), "AfterContactWorkStartTimestamp")
    if connected_at is not None and worked_at is not None:
        ended_at = min(ended_at, worked_at)
    own = "from" if direction == "outbound" else "to"
    username = _username(value)
    return {
        "kind": "pbx_leg",
        "call_id": _chain(value),
        "leg_id": contact_id,
        "started_at": started_at,
        "ended_at": ended_at,
        "talk_seconds": _talk(value, connected_at, ended_at),
        "status": status,
        "direction": direction,
        "customer": _address(value, "CustomerEndpoint"),
        # Who signs in with an address is known by it; of anybody else the company's number stands beside the name.
        own: username if username and "@" in username else _address(value, "SystemEndpoint"),
        f"{own}_device": username,
        "queue": _text(_member(value, "Queue"), "Name"),
        "line": "contact_center",
    }


def _status(value: Mapping[str, Any], direction: str | None) -> str:
    """Return what became of a call."""
    detected = value.get("AnsweringMachineDetectionStatus")
    if detected in _MACHINES:
        return "voicemail"
    if detected in _NOT_REACHED or (direction == "outbound" and not value.get("ConnectedToSystemTimestamp")):
        return "unanswered"
    if _connected_at(value) is not None:
        return "answered"
    return "unanswered" if direction == "outbound" or _member(value, "Queue") else "ivr"


def _talk(value: Mapping[str, Any], connected_at: datetime | None, ended_at: datetime) -> float | None:
    if connected_at is None:
        return None
    written = _member(value, "Agent").get("AgentInteractionDuration")
    if isinstance(written, (int, float)) and not isinstance(written, bool) and written >= 0:
        return float(written)
    return max(0.0, (ended_at - connected_at).total_seconds())


def _chat(contact_id: str, value: Mapping[str, Any], began: str, known: _Known) -> Fields | list[Fields]:
    """Return one agent's part of a chat; what no agent took part in only where it is the first of its chain."""
    chain, is_served = _chain(value), _connected_at(value) is not None
    if not is_served and (chain != contact_id or chain in known.served.known):
        return []
    subtype = (_text(_member(_member(value, "SegmentAttributes"), _SUBTYPE), "ValueString") or "").casefold()
    started_at = read_utc(value, "InitiationTimestamp")
    return {
        "kind": "message",
        "channel": "sms" if subtype == "connect:sms" else "chat",
        "message_id": contact_id,
        "conversation_id": chain,
        "started_at": started_at,
        "ended_at": utc_if_given(value, "DisconnectTimestamp"),
        # A customer's chat begins through the API, as does what a business sends; only the latter says so.
        "direction": "outbound" if began == "OUTBOUND" else "inbound",
        "customer": _address(value, "CustomerEndpoint"),
        "representative": _username(value),
        "queue": _text(_member(value, "Queue"), "Name"),
        "namespace": subtype.partition(":")[2] or None,
        "automated": not is_served,
    }


def _email(value: Mapping[str, Any], began: str) -> Fields:
    direction: Literal["inbound", "outbound"] = "inbound" if _DIRECTIONS[began] == "inbound" else "outbound"
    theirs, ours = _address(value, "CustomerEndpoint"), _address(value, "SystemEndpoint")
    sender, recipient = (theirs, ours) if direction == "inbound" else (ours, theirs)
    return {
        "kind": "email",
        "sent_at": read_utc(value, "InitiationTimestamp"),
        "from": sender,
        "to": [recipient] if recipient else [],
    }


def _chain(value: Mapping[str, Any]) -> str:
    """Return the id of the contact that a contact's chain of transfers began with."""
    return str(value.get("InitialContactId") or value.get("ContactId"))


def _connected_at(value: Mapping[str, Any]) -> datetime | None:
    return utc_if_given(_member(value, "Agent"), "ConnectedToAgentTimestamp")


def _username(value: Mapping[str, Any]) -> str | None:
    return _text(_member(value, "Agent"), "Username")


def _address(value: Mapping[str, Any], name: str) -> str | None:
    return _text(_member(value, name), "Address")


def _text(value: Mapping[str, Any], name: str) -> str | None:
    text = value.get(name)
    return text.strip() or None if isinstance(text, str) else None


def _member(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    member = value.get(name)
    return member if isinstance(member, dict) else {}


SOURCE: Final = AmazonConnect()
