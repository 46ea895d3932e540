"""Finished calls and legs of calls, in bypassflow's own JSON, into observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import orjson
import pyarrow as pa

from pipeline.columns import DAY, SECOND, digest, fact_table, ticks
from pipeline.errors import InvalidRecord
from pipeline.parties import Parties
from pipeline.sources.registry import ReadContext
from schemas.raw import Call, PbxLeg

# A longer talk is a mistake of units (milliseconds for seconds), not a conversation.
LONGEST_TALK_SECONDS: Final = 7 * 86_400

_TOO_LONG: Final = "a call of more than 7 days; check the unit: seconds are expected"
_UNANSWERED: Final = frozenset({"unanswered", "busy", "failed"})

_CALL: Final = (
    "call_id", "duration_seconds", "talk_seconds", "status", "direction", "from_", "to", "customer", "representative",
    "queue", "line",
)  # fmt: skip
_CALL_VALUES: Final = attrgetter(*_CALL)
_LEG_VALUES: Final = attrgetter(*_CALL, "leg_id", "from_device", "to_device")

_COLUMNS: Final = (
    "raw_id", "record_digest", "line", "direction", "started_at", "key", "event_id", "session_id", "attempt",
    "answered_at", "ended_at", "talk_seconds", "from_endpoint", "from_token", "from_domain", "to_endpoint", "to_token",
    "to_domain", "via_endpoint", "emergency",
)  # fmt: skip


def observe_calls(
    records: Sequence[Call | PbxLeg],
    positions: Sequence[int | str],
    context: ReadContext,
    parties: Parties,
    latest: int,
) -> tuple[pa.Table, list[tuple[int, str]]]:
    """Return one observation of each usable record, and index and reason of each other one.

    All records are calls or all are legs. `latest` is the last instant, in microseconds since 1970, at which
    a call may have begun.
    """
    are_legs = bool(records) and isinstance(records[0], PbxLeg)
    values = map(_LEG_VALUES if are_legs else _CALL_VALUES, records)
    started = ticks((record.started_at for record in records), context.zone)
    answered = ticks((record.answered_at for record in records), context.zone)
    ended = ticks((record.ended_at for record in records), context.zone)
    rejections: list[tuple[int, str]] = []
    rows: list[tuple[Any, ...]] = []
    source_prefix = f"{context.source}:"
    file_prefix = f"{context.source}:{context.file}:"
    leg_id: str | None = None
    caller_device: str | None = None
    called_device: str | None = None
    number = parties.number
    for index, (said, start, answer, end) in enumerate(zip(values, started, answered, ended, strict=True)):
        call_id, duration, talk, status, direction, caller, called, customer, representative, queue, line = said[:11]
        if are_legs:
            leg_id, caller_device, called_device = said[11:]
            line = line or "pbx"
        assert start is not None  # the contract asks for it
        try:
            if start > latest:
                raise InvalidRecord("dated in the future: started_at is more than a day after the file was read")
            course = _course(start, answer, end, duration, talk, status, records[index])
            if customer or representative or queue or are_legs:
                sides = parties.sides(
                    number(caller),
                    number(called),
                    direction,
                    number(customer),
                    representative,
                    queue,
                    caller_device,
                    called_device,
                )
            else:
                sides = parties.plain_sides(number(caller), number(called), direction)
        except InvalidRecord as error:
            rejections.append((index, str(error)))
            continue
        content = digest(orjson.dumps((start, answer, end, said)))
        rows.append(
            (
                f"{file_prefix}{positions[index]}",
                content,
                line,
                direction,
                start,
                # A record without an id is known by what it says: the same record in two exports is one call.
                source_prefix + call_id if call_id else f"{source_prefix}x{content:016x}",
                leg_id or call_id or None,
                call_id or None,
                *course,
                *sides,
            )
        )
    return _table(rows, context.source), rejections


def _table(rows: Sequence[tuple[Any, ...]], source: str) -> pa.Table:
    count = len(rows)
    columns: dict[str, Sequence[Any] | pa.Array] = {}
    if rows:
        columns |= dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
        columns |= _constants({"source": source, "channel": "call", "automated": False, "bulk": False}, count)
        columns["talk_basis"] = [1 if attempt == "talk" else 0 for attempt in columns["attempt"]]
    return fact_table("observation", columns, count)


def _constants(values: Mapping[str, str | bool], count: int) -> dict[str, pa.Array]:
    return {name: pa.repeat(pa.scalar(value), count) for name, value in values.items()}


def _course(
    start: int,
    answered: int | None,
    ended: int | None,
    duration: float | None,
    talk: float | None,
    status: str | None,
    record: Call | PbxLeg,
) -> tuple[str, int | None, int, float]:
    """Return how a call went: attempt, when it was answered, when it ended, and the seconds of talk.

    Raises:
        InvalidRecord: when the record contradicts itself, or does not say whether anybody talked.
    """
    if ended is None and duration is not None:
        ended = start + round(duration * SECOND)
    if ended is not None and ended < start:
        raise InvalidRecord("ended_at is before started_at")
    if ended is not None and ended - start > 7 * DAY:
        raise InvalidRecord(_TOO_LONG)
    if answered is not None and (answered < start or (ended is not None and answered > ended)):
        raise InvalidRecord("answered_at is not between started_at and ended_at")
    if status is not None and status != "answered":
        end = ended if ended is not None else (answered if answered is not None else start)
        return "unanswered" if status in _UNANSWERED else "no_human", None, end, 0.0
    if talk is None:
        talk = _talk_seconds(record, start, answered, ended)
    if talk > LONGEST_TALK_SECONDS:
        raise InvalidRecord(_TOO_LONG)
    if talk <= 0:
        return "unanswered", None, ended if ended is not None else start, 0.0
    length = round(talk * SECOND)
    if answered is None:
        answered = start if ended is None else max(start, ended - length)
    return "talk", answered, ended if ended is not None else answered + length, talk


def _talk_seconds(record: Call | PbxLeg, start: int, answered: int | None, ended: int | None) -> float:
    if answered is not None and ended is not None:
        return (ended - answered) / SECOND
    if record.status == "answered" and ended is not None:
        return (ended - start) / SECOND
    if record.status == "answered" or answered is not None:
        raise InvalidRecord("an answered call without its length; give talk_seconds, duration_seconds or ended_at")
    if "answered_at" in record.model_fields_set:
        return 0.0  # the system says when calls are answered, and this one was not
    raise InvalidRecord("cannot tell whether anybody talked; give talk_seconds, answered_at or status")
