"""Queue logs of Asterisk: how long callers waited, which member took the call, and for how long they talked."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa

from pipeline.columns import SECOND, digest, fact_table
from pipeline.identifiers import Identifiers, Identity
from pipeline.sources.asterisk import interface_party, named_endpoint
from pipeline.sources.asterisk_layout import first_lines
from pipeline.sources.asterisk_table import dead_letter
from pipeline.sources.reading import LongLine, blocks, numbered_lines
from pipeline.sources.registry import Batch, DeadLetter, Format, ReadContext, Recognition, Sample

BLOCK_SIZE: Final = 4 << 20
_REMEMBERED: Final = 100_000

_LINE: Final = re.compile(r"\d{9,10}(?:\.\d+)?\|[^|]*\|[^|]*\|[^|]*\|[A-Z_]+(?:\||$)").match
_EPOCH: Final = re.compile(r"\d{9,10}(?:\.\d+)?").fullmatch
_UNIQUE_ID: Final = re.compile(r"\S*\d{9,10}\.\d+").fullmatch

# Where hold time and call time stand among the parameters of the events that end a member's talk.
_TALKS: Final = {
    "COMPLETECALLER": 0,
    "COMPLETEAGENT": 0,
    "BLINDTRANSFER": 2,
    "ATTENDEDTRANSFER": 2,
    "TRANSFER": 2,
}
_GIVEN_UP: Final = frozenset({"ABANDON", "EXITWITHTIMEOUT", "EXITWITHKEY", "EXITEMPTY", "JOINEMPTY", "FULL"})
# What members and administrators do is no call, even where a channel's id stands beside it.
_NO_CALL: Final = re.compile(
    r"QUEUESTART|CONFIGRELOAD|(?:ADD|REMOVE)MEMBER|(?:UN)?PAUSE(?:ALL)?|PENALTY|RINGINUSE|AGENT(?:CALLBACK)?LOG.*"
).fullmatch


class AsteriskQueueLog:
    """Asterisk's queue_log: one observation per line; the line that ends a member's talk carries it."""

    name = "asterisk_queue_log"
    title = "Asterisk queue log"
    description = (
        "queue_log, fields between bars. Gives the talk of queue calls without the waiting; configure it with the same "
        "source name as the call detail records. Times are epochs, in UTC. May be packed with gzip or zstd."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "queue_log",
            "ENTERQUEUE, CONNECT, COMPLETECALLER, COMPLETEAGENT, ABANDON, transfers, timeouts",
            "members that join, leave and pause",
            "records",
            "calls of an Asterisk 16 driven by a load generator",
        ),
    )
    lies = ("It names the wrong member when a colleague picks the call up; the call detail records say who talked.",)

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a text whose lines are those of a queue log."""
        if sample.is_directory:
            return None
        lines = first_lines(sample.head)[:50]
        fitting = sum(1 for line in lines if _LINE(line))
        return Recognition(0.95, "lines of a queue log") if lines and fitting * 2 >= len(lines) else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations. The position of a record is its line.

        Raises:
            InvalidRecord: when an archive ends in the middle.
        """
        observer = _Observer(context)
        stored = 0
        for block in blocks(path, BLOCK_SIZE):
            if isinstance(block, LongLine):
                reason = f"line of {block.length:,} bytes at byte {block.offset:,} is too long to be a record"
                letters = [dead_letter(context, block.first_line, reason, block.start)]
                yield Batch({"observation": _table([], context)}, 1, block.stored - stored, letters)
            else:
                yield observer.batch(numbered_lines(block), block.stored - stored)
            stored = block.stored


SOURCE: Final = AsteriskQueueLog()


class _Caller(NamedTuple):
    endpoint: str | None
    token: str | None
    has_rung: bool


_UNKNOWN: Final = _Caller(None, None, False)


class _Observer:
    """Turns lines into observations; remembers callers, whom only the first line of a call names."""

    def __init__(self, context: ReadContext) -> None:
        self._context = context
        self._callers: OrderedDict[str, _Caller] = OrderedDict()
        read_at = context.read_at.replace(tzinfo=UTC) if context.read_at.tzinfo is None else context.read_at
        self._latest = round((read_at + timedelta(days=1)).timestamp() * SECOND)

    def batch(self, lines: Iterator[tuple[int, str]], stored: int) -> Batch:
        """Return the batch of some lines."""
        rows: list[tuple[Any, ...]] = []
        letters: list[DeadLetter] = []
        for number, line in lines:
            if not line.strip():
                continue
            row = self._row(number, line)
            if isinstance(row, str):
                letters.append(dead_letter(self._context, number, row, line))
            else:
                rows.append(row)
        return Batch({"observation": _table(rows, self._context)}, len(rows) + len(letters), stored, letters)

    def _row(self, number: int, line: str) -> tuple[Any, ...] | str:
        """Return the values of an observation, or why there is none."""
        fields = line.split("|")
        if len(fields) < 5:
            return f"has {len(fields)} field{'' if len(fields) == 1 else 's'} between bars, expected at least 5"
        epoch, call, queue, agent, event = fields[:5]
        if not _EPOCH(epoch):
            return "the time is no epoch"
        at = round(float(epoch) * SECOND)
        if at > self._latest:
            return "dated in the future: the event is more than a day after the file was read"
        raw_id = self._context.raw_id(number)
        content = digest(line.encode("utf-8", "replace"))
        if not _UNIQUE_ID(call) or _NO_CALL(event):
            return (raw_id, content, at, None, at, 0.0, 0, "no_human", raw_id, None, None, None, None, None)
        caller = self._caller(call, event, fields[5:])
        attempt: str | None = None
        talk = waited = 0
        if event in _TALKS:
            found = _hold_and_talk(fields[5 + _TALKS[event] :])
            if found is None:
                return f"{event} without hold time and call time"
            waited, talk = found
            attempt = "talk" if talk else None
        elif event in _GIVEN_UP:
            attempt = "unanswered" if caller.has_rung else "no_human"
        answered = at - talk * SECOND
        return (
            raw_id,
            content,
            answered - waited * SECOND,
            answered if talk else None,
            at,
            float(talk),
            2 if talk else 0,
            attempt,
            f"{self._context.source}:{call}",
            call,
            caller.endpoint if attempt else None,
            caller.token if attempt else None,
            _member(agent) if attempt == "talk" else None,
            named_endpoint(queue) if attempt else None,
        )

    def _caller(self, call: str, event: str, parameters: Sequence[str]) -> _Caller:
        caller = self._callers.get(call, _UNKNOWN)
        if event == "ENTERQUEUE" and len(parameters) > 1:
            caller = _who(self._context.identifiers, parameters[1])._replace(has_rung=caller.has_rung)
        elif event == "RINGNOANSWER":
            caller = caller._replace(has_rung=True)
        else:
            return caller
        self._callers[call] = caller
        self._callers.move_to_end(call)
        if len(self._callers) > _REMEMBERED:
            self._callers.popitem(last=False)
        return caller


def _who(identifiers: Identifiers, number: str) -> _Caller:
    identity: Identity = identifiers.phone(number)
    is_short = identity.kind == "extension" and identity.display.isdigit()
    return _Caller(identity.display if is_short else None, identity.token, False)


def _hold_and_talk(parameters: Sequence[str]) -> tuple[int, int] | None:
    try:
        hold, talk = int(parameters[0]), int(parameters[1])
    except (IndexError, ValueError):
        return None
    is_sane = 0 <= hold <= 7 * 86_400 and 0 <= talk <= 7 * 86_400
    return (hold, talk) if is_sane else None


def _member(agent: str) -> str | None:
    """Return a queue member as an endpoint: the device of an interface, or the member's name.

    >>> _member("PJSIP/201"), _member("Local/204@from-internal/n"), _member("Agent 202"), _member("NONE")
    ('201', '204', 'Agent 202', None)
    """
    if agent in ("", "NONE"):
        return None
    if "/" not in agent:
        return named_endpoint(agent)
    who = interface_party(agent.removesuffix("/n"))
    return who.endpoint or who.extension


_COLUMNS: Final = (
    "raw_id", "record_digest", "started_at", "answered_at", "ended_at", "talk_seconds", "talk_basis", "attempt", "key",
    "event_id", "from_endpoint", "from_token", "to_endpoint", "via_endpoint",
)  # fmt: skip


def _table(rows: Sequence[tuple[Any, ...]], context: ReadContext) -> pa.Table:
    count = len(rows)
    columns: dict[str, Any] = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True)) if rows else {}
    fixed = {"source": context.source, "channel": "call", "line": "pbx", "automated": False, "bulk": False}
    columns |= {name: [value] * count for name, value in (fixed | {"emergency": False}).items()}
    return fact_table("observation", columns, count)
