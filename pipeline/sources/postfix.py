"""Postfix's log: what its queue manager, its cleanup and its delivery agents say of one message, joined by queue id.

A line that tells of a delivery names the recipient only. Who sent the message, and its Message-ID, stand in earlier
lines with the same queue id. So many messages are remembered at a time; one that was removed from the queue, a little
longer, because a content filter hands a message back under a new queue id before its own delivery is told.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.json_records import JsonRecord
from pipeline.sources.message_headers import addresses_of
from pipeline.sources.reading import LongLine, blocks, lines, numbered_lines
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from pipeline.sources.source_options import check_options
from pipeline.sources.syslog_time import FirstYear, SyslogClock, first_year, split_stamp
from pipeline.sources.translation import translated

BLOCK_SIZE: Final = 4 << 20
REMEMBERED: Final = 100_000
REMEMBERED_GONE: Final = 10_000

_OPTIONS: Final = ("year",)
_LOOKED_AT: Final = 200
_STAMPED_SHARE: Final = 0.8
# Whatever `syslog_name` says stands before the last slash: "postfix/smtp", "postfix-out/relay/smtp".
_PROGRAM: Final = re.compile(r"(?P<host>\S+) \S*/(?P<agent>[a-z]+)\[\d+\]: (?P<text>.*)", re.DOTALL).match
_QUEUE_MANAGERS: Final = frozenset({"qmgr", "nqmgr", "oqmgr"})
_RECEIVERS: Final = frozenset({"smtpd", "pickup"})
# What delivers to a mailbox or sends on; `discard` and `error` tell of status too, but deliver nothing.
_DELIVERERS: Final = frozenset({"smtp", "lmtp", "local", "virtual", "pipe"})
_AGENTS: Final = _QUEUE_MANAGERS | _RECEIVERS | _DELIVERERS | {"cleanup", "bounce", "anvil", "postscreen", "master"}

_ID: Final = r"(?P<id>[0-9A-Za-z]{5,20}): "
_RECEIVED: Final = re.compile(_ID + r"(?:client|uid)=").match
_MESSAGE_ID: Final = re.compile(_ID + r"message-id=(?P<value>.*)", re.DOTALL).match
_SENDER: Final = re.compile(_ID + r"from=<(?P<value>[^>]*)>,").match
_REMOVED: Final = re.compile(_ID + r"removed$").match
_DELIVERY: Final = re.compile(_ID + r"to=<(?P<to>[^>]*)>, (?:orig_to=<(?P<original>[^>]*)>, )?relay=").match
_STATUS: Final = ", status="
_HANDED_ON: Final = re.compile(r"(?P<how>queued|forwarded) as (?P<id>[0-9A-Za-z]{5,20})\b").search

# A queue id is one machine's own.
_Key = tuple[str, str]


@dataclass(slots=True)
class _Queued:
    """What is known of a message in the queue. `sender` is null until it is told, and empty for the null sender."""

    message_id: str = ""
    sender: str | None = None


class PostfixLog:
    """mail.log of Postfix: one observation of each delivery, to one recipient."""

    name = "postfix"
    title = "Postfix log"
    description = (
        "mail.log or maillog with the lines of Postfix, among others. Deliveries (`status=sent`) count, one for each "
        "recipient; all other lines are passed over and counted. Put rotated logs into one file, the oldest first: a "
        "delivery whose sender stands in another file is a dead letter. Lines in the older form name no year; when "
        "the log is older than a year, give that of its first line: `options = { year = 2022 }`."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "syslog lines, ISO 8601 or without year and zone",
            "message-id of cleanup; from of qmgr; to, orig_to and status of smtp, lmtp, local, virtual and pipe",
            "all other lines, of Postfix and of other programs; status deferred, bounced and expired",
            "documentation",
            "the program that writes the delivery lines, and logs that readers of it keep for their tests",
        ),
    )
    lies = (
        "The sender is the envelope's: newsletters and forwarders put addresses of their own there.",
        "A log knows no Auto-Submitted, List-Id or Precedence: of automatic mail only null senders are told.",
        "A content filter doubles a message; handing it on to one's own queue is no delivery.",
        "It does not tell To from Cc and Bcc.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on syslog lines of which some are Postfix's."""
        if sample.is_directory:
            return None
        text = sample.head.decode("utf-8", "replace").splitlines()[:_LOOKED_AT]
        stamped = [found[1] for line in text if (found := split_stamp(line)) is not None]
        is_log = bool(stamped) and len(stamped) >= _STAMPED_SHARE * sum(bool(line.strip()) for line in text)
        told = sum(program["agent"] in _AGENTS for rest in stamped if (program := _PROGRAM(rest)) is not None)
        return Recognition(0.9, f"{told} of its first lines are Postfix's") if is_log and told else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one of each delivery. A log without years is gone through twice.

        Raises:
            ConfigurationError: when an option is unknown or no year.
            InvalidRecord: when an archive is damaged; what came before it is yielded first.
        """
        check_options(context, _OPTIONS)
        first = _first_year(path, context)
        queue = _Queue(SyslogClock(first.year, context.zone))
        yield from translated(_records(path, queue), _told, context, "line", path.stat().st_size)
        if first.latest is not None:
            warning = (
                f"{context.file}: its lines name no year; the latest was taken to be of {first.latest}; if it is not, "
                "give the year of the first one: options = { year = ... }"
            )
            yield Batch({}, 0, warnings=(warning,))


def _first_year(path: Path, context: ReadContext) -> FirstYear:
    given = context.options.get("year")
    if given is None:
        with suppress(InvalidRecord):  # told when the lines themselves are read
            return first_year(lines(path), context.zone, context.read_at)
        return FirstYear(context.read_at.year)
    if not isinstance(given, int) or not 1980 <= given <= context.read_at.year + 1:
        raise ConfigurationError(f"{context.file}: options.year is {given!r}; expected a year such as 2022")
    return FirstYear(given)


def _told(value: Any) -> Any:
    """Return the fields of a delivery; a line that tells of none has none."""
    return dict(value) if value else ()


def _records(path: Path, queue: _Queue) -> Iterator[JsonRecord]:
    for block in blocks(path, BLOCK_SIZE):
        if isinstance(block, LongLine):
            problem = f"line of {block.length:,} bytes is too long to be a record"
            yield JsonRecord(block.first_line, {}, problem, block.start)
            continue
        for number, line in numbered_lines(block):
            if line.strip():
                try:
                    yield JsonRecord(number, queue.read(line))
                except InvalidRecord as error:
                    yield JsonRecord(number, {}, str(error), line)


class _Queue:
    """The messages that a log is about, as far as it has been read."""

    def __init__(self, clock: SyslogClock) -> None:
        self._clock = clock
        self._messages: OrderedDict[_Key, _Queued] = OrderedDict()
        self._gone: OrderedDict[_Key, _Queued] = OrderedDict()

    def read(self, line: str) -> dict[str, Any]:
        """Return the fields of an email where the next line tells of a delivery, else none.

        Raises:
            InvalidRecord: when it is no line of a log, or tells of a delivery of which the rest is not known.
        """
        found = split_stamp(line)
        if found is None:
            raise InvalidRecord("no time at the beginning of the line, such as Nov 21 20:35:10 or 2024-11-21T20:35:10")
        stamp, rest = found
        instant = self._clock.instant(stamp)
        program = _PROGRAM(rest)
        if program is None:
            return {}
        host, agent, text = program["host"], program["agent"], program["text"]
        if agent in _DELIVERERS:
            return {**told, "sent_at": instant} if (told := self._delivery(host, text)) else {}
        if agent in _QUEUE_MANAGERS:
            self._note_sender(host, text)
        elif agent == "cleanup" and (named := _MESSAGE_ID(text)):
            self._begin((host, named["id"]), _Queued(named["value"].strip()))
        elif agent in _RECEIVERS and (received := _RECEIVED(text)):
            self._begin((host, received["id"]), _Queued())
        return {}

    def _begin(self, key: _Key, message: _Queued) -> None:
        """Remember a new message. Queue ids come again: whatever had this one before is forgotten."""
        self._gone.pop(key, None)
        self._remember(key, message)

    def _note_sender(self, host: str, text: str) -> None:
        if sent := _SENDER(text):
            key = (host, sent["id"])
            message = self._messages.get(key) or _Queued()
            message.sender = sent["value"]
            self._remember(key, message)
        elif removed := _REMOVED(text):
            key = (host, removed["id"])
            if key in self._messages:
                self._gone[key] = self._messages.pop(key)
                if len(self._gone) > REMEMBERED_GONE:
                    self._gone.popitem(last=False)

    def _remember(self, key: _Key, message: _Queued) -> None:
        self._messages[key] = message
        self._messages.move_to_end(key)
        if len(self._messages) > REMEMBERED:
            self._messages.popitem(last=False)

    def _known(self, key: _Key) -> _Queued | None:
        return self._messages.get(key) or self._gone.get(key)

    def _delivery(self, host: str, text: str) -> dict[str, Any]:
        delivered = _DELIVERY(text)
        if delivered is None:
            return {}
        at = text.find(_STATUS, delivered.end())
        status, _, reply = text[at + len(_STATUS) :].partition(" ") if at >= 0 else ("", "", "")
        if not status:
            raise InvalidRecord("status: missing behind a recipient")
        if status != "sent":
            return {}
        message = self._known((host, delivered["id"]))
        if message is None or message.sender is None:
            raise InvalidRecord(
                "from: who sent this stands in an earlier log, at the same queue id; put rotated logs into one file, "
                "the oldest first"
            )
        if self._is_handed_on(host, message, reply):
            return {}
        if message.sender and not addresses_of(message.sender.encode()):
            raise InvalidRecord("from: expected an address")
        return {
            "kind": "email",
            "message_id": message.message_id,
            "from": message.sender or None,
            "to": [delivered["to"]],
            "delivered_to": [delivered["original"]] if delivered["original"] else [],
            "return_path": None if message.sender else "<>",
        }

    def _is_handed_on(self, host: str, message: _Queued, reply: str) -> bool:
        """Return whether a message only went on to another queue id of this log: what becomes of it is told there."""
        handed_on = _HANDED_ON(reply)
        if handed_on is None:
            return False
        following = self._known((host, handed_on["id"]))
        return following is not None and following.message_id == message.message_id


SOURCE: Final = PostfixLog()
