"""From columns of call detail records to observations.

Everything is decided on columns: what needs thought (who sits at a channel, what a number stands for, what a
context says) is decided once per distinct text, and a few hundred distinct texts stand behind a hundred
thousand records. That is what makes a replay of years take minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns import fact_table
from pipeline.sources.asterisk import (
    dialled_number,
    direction_of_context,
    epoch_of,
    interface_party,
    named_endpoint,
    same_tail,
    short_number,
)
from pipeline.sources.asterisk_table import Columns
from pipeline.sources.local_time import column_to_utc
from pipeline.sources.registry import ReadContext
from schemas.facts import INSTANT

# Applications in which no person talks even where a device is named: it had rung before, or the row is a copy. Others
# (Playback, Hangup) may simply be what the dialplan did after the talk.
_MACHINES: Final = frozenset({"voicemail", "voicemailmain", "minivmrecord", "forkcdr"})
_STATED_DIRECTIONS: Final = frozenset({"inbound", "outbound", "internal"})
_LONGEST_SECONDS: Final = 7 * 86_400
_TEXT: Final = pa.string()


def observe(columns: Columns, context: ReadContext) -> tuple[pa.Table, list[tuple[int, str]]]:
    """Return one observation per usable record, in order, and row and reason of each other one."""
    course = _course(columns, context)
    caller, called = _End(columns.values["channel"]), _End(columns.values["dstchannel"])
    table = _table(columns, context, course, caller, called)
    problems = _problems(columns, course, context)
    if problems:
        bad = pa.array([row for row, _ in problems])
        keep = pc.invert(pc.is_in(pa.array(range(len(columns))), value_set=bad))
        table = table.filter(keep)
    return table, problems


@dataclass(frozen=True)
class _Course:
    started: pa.Array
    answered: pa.Array
    ended: pa.Array
    talk_seconds: pa.Array  # billed seconds, whoever talked


class _End:
    """The parties at one side's channels, by column."""

    def __init__(self, channels: pa.Array) -> None:
        # "PJSIP/201-0000001a" is one of a million names; "PJSIP/201" one of a hundred.
        heads = pc.list_element(pc.split_pattern(channels, "-", max_splits=1, reverse=True), 0)
        names = heads.dictionary_encode()
        parties = [interface_party(name or "") for name in names.dictionary.to_pylist()]

        def column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
            return pa.array(values, kind).take(names.indices)

        self.channels = channels
        self.endpoint = column([p.endpoint for p in parties], _TEXT)
        self.is_device = column([p.is_device for p in parties], pa.bool_())
        self.is_real = column([p.is_real for p in parties], pa.bool_())
        self.extension = column([p.extension for p in parties], _TEXT)
        self.has_plumbing = not all(p.is_real for p in parties)
        self.is_plumbing = pc.and_not(pc.not_equal(channels, ""), self.is_real)


def _course(columns: Columns, context: ReadContext) -> _Course:
    values = columns.values
    unique_ids = values["uniqueid"]
    started = column_to_utc(
        values["start"], context.zone, lambda rows: [epoch_of(unique_ids[row].as_py() or "") for row in rows]
    )

    def after_start(rows: Sequence[int]) -> list[datetime | None]:
        return [started[row].as_py() for row in rows]

    ended = column_to_utc(values["end"], context.zone, after_start)
    answered = column_to_utc(values["answer"], context.zone, after_start)
    billed = values["billsec"]
    if billed.null_count:
        ringing = pc.subtract(pc.cast(ended, pa.int64()), pc.cast(answered, pa.int64()))
        billed = pc.coalesce(billed, pc.divide(ringing, 1_000_000), pa.scalar(0, pa.int64()))
    if ended.null_count:
        ended = pc.coalesce(ended, pc.add(started, _seconds(values["duration"])), started)
    ended = pc.max_element_wise(ended, started, skip_nulls=False)
    if answered.null_count:
        answered = pc.coalesce(answered, pc.subtract(ended, _seconds(billed)))
    return _Course(started, answered, ended, billed)


def _seconds(column: pa.Array) -> pa.Array:
    bounded = pc.min_element_wise(pc.max_element_wise(column, -_LONGEST_SECONDS), _LONGEST_SECONDS * 100)
    return pc.cast(pc.multiply(bounded, 1_000_000), pa.duration("us"))


def _problems(columns: Columns, course: _Course, context: ReadContext) -> list[tuple[int, str]]:
    found: dict[int, str] = {}

    def note(is_bad: pa.Array, reason: str) -> None:
        if pc.any(is_bad).as_py():
            for row in pc.indices_nonzero(pc.fill_null(is_bad, False)).to_pylist():
                found.setdefault(row, reason)

    read_at = context.read_at if context.read_at.tzinfo is None else context.read_at.astimezone(UTC)
    latest = pa.scalar(read_at.replace(tzinfo=None) + timedelta(days=1), INSTANT)
    if course.started.null_count:
        note(pc.is_null(course.started), "the start is empty; expected YYYY-MM-DD HH:MM:SS")
    note(pc.greater(course.started, latest), "dated in the future: it starts more than a day after the file was read")
    note(pc.less(course.talk_seconds, 0), "billsec is negative")
    note(pc.less(columns.values["duration"], 0), "duration is negative")
    note(pc.greater(course.talk_seconds, _LONGEST_SECONDS), "billsec is more than a week; are these milliseconds?")
    return sorted(found.items())


def _table(columns: Columns, context: ReadContext, course: _Course, caller: _End, called: _End) -> pa.Table:
    values, count = columns.values, len(columns)
    source, phones = context.source, _Phones(values, context)
    is_machine = _by_text(values["lastapp"], lambda text: text.lower() in _MACHINES, pa.bool_())
    is_talk = _all(
        _by_text(values["disposition"], lambda text: text.upper() == "ANSWERED", pa.bool_()),
        pc.greater(course.talk_seconds, 0),
        called.is_real,
        pc.invert(is_machine),
    )
    if values["answered_by"].null_count < count:
        is_talk = pc.and_(is_talk, pc.not_equal(pc.fill_null(values["answered_by"], ""), ""))
    attempt = pc.if_else(is_talk, "talk", pc.if_else(pc.and_not(called.is_real, is_machine), "unanswered", "no_human"))
    short_destination = _by_text(values["dst"], short_number, _TEXT)
    from_endpoint, is_own_caller = _from_endpoint(caller, values["src"])
    to_endpoint = pc.if_else(called.is_real, called.endpoint, pc.coalesce(called.extension, short_destination))
    to_token = _to_token(values, caller, called, phones, context)
    is_internal_exten = pc.fill_null(pc.and_(called.is_real, pc.equal(short_destination, to_endpoint)), False)
    linked, unique = _or_null(values["linkedid"]), _or_null(values["uniqueid"])
    return fact_table(
        "observation",
        {
            "raw_id": _joined(context.raw_id(0)[:-1], pc.cast(columns.lines, _TEXT)),
            "source": pa.repeat(source, count),
            "record_digest": columns.digests,
            "channel": pa.repeat("call", count),
            "line": pa.repeat("pbx", count),
            "direction": _direction(values, caller),
            "started_at": course.started,
            "answered_at": pc.if_else(is_talk, course.answered, pa.scalar(None, INSTANT)),
            "ended_at": course.ended,
            "talk_seconds": pc.cast(pc.if_else(is_talk, course.talk_seconds, 0), pa.float64()),
            "talk_basis": pc.cast(is_talk, pa.int8()),
            "attempt": attempt,
            "key": _joined(f"{source}:", _call_identity(linked, unique, columns.digests)),
            "other_keys": _other_keys(source, linked, unique, caller),
            "event_id": unique,
            "session_id": linked,
            "from_endpoint": from_endpoint,
            "from_token": pc.if_else(is_own_caller, pa.scalar(None, _TEXT), phones.src_token),
            "to_endpoint": to_endpoint,
            "to_token": to_token,
            "via_endpoint": _via_endpoint(values, short_destination, to_endpoint),
            "automated": pa.repeat(False, count),
            "bulk": pa.repeat(False, count),
            "emergency": pc.and_not(phones.is_emergency, is_internal_exten),
        },
        count,
    )


class _Phones:
    """What the numbers of caller and dialled stand for, by column."""

    def __init__(self, values: Mapping[str, pa.Array], context: ReadContext) -> None:
        src, dst = _encoded(values["src"]), _encoded(values["dst"])
        texts = pa.concat_arrays([src.dictionary, dst.dictionary]).dictionary_encode()
        table = context.identifiers.phone_table(texts.dictionary)
        src_rows = texts.indices.slice(0, len(src.dictionary)).take(src.indices)
        dst_rows = texts.indices.slice(len(src.dictionary)).take(dst.indices)
        tokens = table.column("token").combine_chunks()
        self.src_token, self.dst_token = tokens.take(src_rows), tokens.take(dst_rows)
        self.is_emergency = table.column("is_emergency").combine_chunks().take(dst_rows)


def _from_endpoint(caller: _End, src: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the calling endpoint, and whether the caller is a device of ours, so that src says nothing about it."""
    if not caller.has_plumbing:
        return caller.endpoint, caller.is_device
    # The first half of a Local channel calls on behalf of the number it leads to (click-to-dial); the second half
    # passes on whoever called (queue members, ring groups), and there alone the caller's own number must do.
    is_first_half = pc.and_(caller.is_plumbing, pc.ends_with(caller.channels, ";1"))
    own_number = pc.if_else(is_first_half, caller.extension, _by_text(src, short_number, _TEXT))
    endpoint = pc.if_else(caller.is_plumbing, own_number, caller.endpoint)
    is_own = pc.or_(caller.is_device, pc.and_(is_first_half, pc.is_valid(caller.extension)))
    return endpoint, is_own


def _to_token(
    values: Mapping[str, pa.Array], caller: _End, called: _End, phones: _Phones, context: ReadContext
) -> pa.Array:
    """Return the token of the number that was reached.

    It is the dialled number, except where a call was sent on to the outside: then Dial's arguments hold it, while
    dst is the number that the caller had dialled, or the colleague's to whom the call was transferred later.
    """
    is_outward = _all(called.is_real, pc.invert(called.is_device), pc.equal(_plain(values["lastapp"]), "Dial"))
    is_doubtful = pc.or_(pc.is_null(phones.dst_token), pc.invert(caller.is_device))
    rows = pc.indices_nonzero(pc.and_(is_outward, is_doubtful))
    if not len(rows):
        return phones.dst_token
    arguments = values["lastdata"].take(rows).to_pylist()
    numbers = [dialled_number(text) for text in arguments]
    if not any(numbers):
        return phones.dst_token
    destinations = _plain(values["dst"].take(rows)).to_pylist()
    tokens = phones.dst_token.to_pylist()
    for row, number, destination in zip(rows.to_pylist(), numbers, destinations, strict=True):
        if number and (tokens[row] is None or not same_tail(number, destination)):
            tokens[row] = context.identifiers.phone(number).token
    return pa.array(tokens, _TEXT)


def _via_endpoint(values: Mapping[str, pa.Array], short_destination: pa.Array, to_endpoint: pa.Array) -> pa.Array:
    is_other = pc.fill_null(pc.not_equal(short_destination, to_endpoint), True)
    via = pc.if_else(is_other, short_destination, pa.scalar(None, _TEXT))
    is_queue = pc.equal(_plain(values["lastapp"]), "Queue")
    if not pc.any(is_queue).as_py():
        return via
    arguments = values["lastdata"].filter(is_queue)
    queues = _by_text(arguments, lambda text: named_endpoint(text.partition(",")[0]), _TEXT)
    return pc.replace_with_mask(via, is_queue, queues)


def _direction(values: Mapping[str, pa.Array], caller: _End) -> pa.Array:
    by_context = _by_text(values["dcontext"], direction_of_context, _TEXT)
    # A Local channel runs in an inner context whoever called.
    is_misleading = pc.and_(caller.is_plumbing, pc.fill_null(pc.equal(by_context, "outbound"), False))
    by_context = pc.if_else(is_misleading, pa.scalar(None, _TEXT), by_context)
    stated = values["direction"]
    if stated.null_count == len(stated):
        return by_context

    def word(text: str) -> str | None:
        return text.strip().lower() if text.strip().lower() in _STATED_DIRECTIONS else None

    return pc.coalesce(_by_text(stated, word, _TEXT), by_context)


def _call_identity(linked: pa.Array, unique: pa.Array, digests: pa.Array) -> pa.Array:
    identity = pc.coalesce(linked, unique) if linked.null_count else linked
    if identity.null_count:
        own = pa.array([f"x{digest:016x}" for digest in digests.to_pylist()], _TEXT)
        identity = pc.coalesce(identity, own)
    return identity


def _other_keys(source: str, linked: pa.Array, unique: pa.Array, caller: _End) -> pa.Array:
    """Return the caller's own unique id where it is not the call's: a queue log knows the call by that alone."""
    is_other = pc.fill_null(pc.and_(pc.not_equal(linked, unique), caller.is_real), False)
    rows = pc.indices_nonzero(is_other).to_pylist()
    if not rows:
        return pa.nulls(len(linked), pa.list_(_TEXT))
    keys: list[list[str] | None] = [None] * len(linked)
    for row, text in zip(rows, unique.take(pa.array(rows)).to_pylist(), strict=True):
        keys[row] = [f"{source}:{text}"]
    return pa.array(keys, pa.list_(_TEXT))


def _encoded(column: pa.Array) -> pa.DictionaryArray:
    return column if pa.types.is_dictionary(column.type) else pc.fill_null(column, "").dictionary_encode()


def _by_text(column: pa.Array, decide: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    """Return what `decide` says of each text; it is asked once per distinct one."""
    encoded = _encoded(column)
    return pa.array([decide(text) for text in encoded.dictionary.to_pylist()], kind).take(encoded.indices)


def _plain(column: pa.Array) -> pa.Array:
    return column.cast(_TEXT) if pa.types.is_dictionary(column.type) else pc.fill_null(column, "")


def _or_null(column: pa.Array) -> pa.Array:
    is_empty = pc.equal(column, "")
    return pc.if_else(is_empty, pa.scalar(None, _TEXT), column) if pc.any(is_empty).as_py() else column


def _joined(prefix: str, column: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(pa.scalar(prefix), column, "")


def _all(first: pa.Array, *others: pa.Array) -> pa.Array:
    for other in others:
        first = pc.and_(first, other)
    return pc.fill_null(first, False)
