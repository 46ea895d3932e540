"""Channel event logs of Asterisk: the only log that knows how long two people really talked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns import fact_table
from pipeline.errors import ConfigurationError
from pipeline.identifiers import Identifiers
from pipeline.json_text import load_json
from pipeline.sources.asterisk import direction_of_context, epoch_of, party
from pipeline.sources.asterisk_bridges import Bridges, Member, Talk
from pipeline.sources.asterisk_layout import Layout, Names, by_header, by_mapping, by_shape, first_lines
from pipeline.sources.asterisk_table import TEXT, WORDS, Columns, Form, read_table
from pipeline.sources.local_time import column_to_utc, to_utc
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample
from schemas.facts import INSTANT

FIELDS: Final[Mapping[str, pa.DataType]] = {
    "eventtype": WORDS,
    "eventtime": TEXT,
    "num": TEXT,
    "exten": TEXT,
    "context": WORDS,
    "channame": TEXT,
    "appname": TEXT,
    "uniqueid": TEXT,
    "linkedid": TEXT,
    "bridgepeer": TEXT,
    "extra": TEXT,
}
_COLUMNS: Final = (
    "eventtype", "eventtime", "name", "num", "ani", "rdnis", "dnid", "exten", "context", "channame", "appname",
    "appdata", "amaflags", "accountcode", "uniqueid", "linkedid", "bridgepeer", "userfield", "userdeftype", "extra",
)  # fmt: skip
_WIDTHS: Final = range(20, 21)
NAMES: Final = Names(
    known=tuple(FIELDS),
    required=frozenset({"eventtype", "eventtime", "channame", "uniqueid", "linkedid"}),
    aliases={
        "cidnum": "num",
        "calleridnum": "num",
        "channelname": "channame",
        "applicationname": "appname",
        "eventextra": "extra",
        "peer": "bridgepeer",
        "eventname": "eventtype",
    },
)
_EVENTS: Final = frozenset(
    """
    CHAN_START CHAN_END ANSWER HANGUP APP_START APP_END PARK_START PARK_END BRIDGE_START BRIDGE_END BRIDGE_ENTER
    BRIDGE_EXIT BRIDGE_UPDATE BRIDGE_TO_CONF CONF_START CONF_ENTER CONF_EXIT CONF_END BLINDTRANSFER ATTENDEDTRANSFER
    TRANSFER HOOKFLASH 3WAY_START 3WAY_END USER_DEFINED PICKUP FORWARD LINKEDID_END LOCAL_OPTIMIZE LOCAL_OPTIMIZE_BEGIN
    STREAM_BEGIN STREAM_END DTMF
    """.split()  # noqa: SIM905
)
_EPOCH: Final = re.compile(r"\d{9,10}(?:\.\d{1,9})?").fullmatch
_BRIDGE_ID: Final = re.compile(r'"bridge_id"\s*:\s*"([^"]+)"')
_UNIQUE_ID: Final = re.compile(r"\S*\d{9,10}\.\d+").fullmatch
_FOLLOWED: Final = frozenset({"CHAN_START", "BRIDGE_ENTER", "BRIDGE_EXIT", "ATTENDEDTRANSFER"})


class AsteriskCel:
    """Asterisk's channel event log: one observation per event; leaving a bridge carries the talk that ended."""

    name = "asterisk_cel"
    title = "Asterisk channel event log"
    description = (
        "cel-custom/Master.csv with the 20 columns of the sample configuration, or the cel table as CSV with a header. "
        "Gives the true length of talk per person; configure it with the same source name as the call detail records. "
        "Times are local to `timezone`, or epochs. May be packed with gzip or zstd."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "cel-custom/Master.csv, 20 columns",
            "channels, bridges, transfers, the end of a call",
            "application data, userdefined events",
            "records",
            "94 events of an Asterisk 16",
        ),
        Format(
            "cel table, as CSV with a header",
            "the same by name",
            "",
            "documentation",
            "the columns of the sample configuration",
        ),
    )
    lies = ("Debian makes no folder cel-custom: without it events are lost and nobody says so.",)

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a text whose records have the shape of channel events."""
        if sample.is_directory:
            return None
        layout = _first_layout(first_lines(sample.head))
        return Recognition(0.95, layout.title) if layout else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of observations, one per block of the file. The position of a record is its first line.

        Raises:
            ConfigurationError: when the file has no known layout, or the mapping does not fit it.
            InvalidRecord: when an archive ends in the middle.
        """
        start = head(path)
        if not start.strip():
            return
        lines = first_lines(start)
        if context.mapping:
            layout: Layout | None = by_mapping(
                context.mapping, lines[0], NAMES, "Asterisk CEL by mapping", context.file
            )
        else:
            layout = _first_layout(lines)
        if layout is None:
            raise ConfigurationError(
                f"{context.file}: its columns are not those of a channel event log; say which is which, for example "
                "mapping = { eventtype = 1, eventtime = 2, channame = 10, uniqueid = 15, linkedid = 16 }"
            )
        form = Form(FIELDS, frozenset(), _headerless, _WIDTHS, _Observer().observe)
        yield from read_table(path, layout, form, context)


SOURCE: Final = AsteriskCel()


def _headerless(fields: Sequence[str]) -> Layout | None:
    if len(fields) != len(_COLUMNS) or fields[0] not in _EVENTS:
        return None
    if not all(_UNIQUE_ID(fields[place]) or not fields[place] for place in (14, 15)):
        return None
    return Layout(_COLUMNS, "Asterisk CEL, 20 columns")


def _first_layout(lines: Sequence[str]) -> Layout | None:
    return (
        by_header(lines[0], NAMES, "table of Asterisk CEL") or by_shape(lines, _headerless, _WIDTHS) if lines else None
    )


class _Observer:
    """Turns events into observations; keeps the open bridges from one block of the file to the next."""

    def __init__(self) -> None:
        self._bridges = Bridges()

    def observe(self, columns: Columns, context: ReadContext) -> tuple[pa.Table, list[tuple[int, str]], list[str]]:
        """Return one observation per usable event, in order, and row and reason of each other one."""
        values, count = columns.values, len(columns)
        instants = _instants(values["eventtime"], values["uniqueid"], context)
        problems = _problems(instants, context)
        legs = self._follow(values, instants.to_pylist(), context)
        source = context.source
        linked, unique = _or_null(values["linkedid"]), _or_null(values["uniqueid"])
        raw_ids = pc.binary_join_element_wise(pa.scalar(context.raw_id(0)[:-1]), pc.cast(columns.lines, TEXT), "")
        keys = pc.coalesce(pc.binary_join_element_wise(pa.scalar(f"{source}:"), linked, ""), raw_ids)
        attempts = pc.coalesce(
            pa.array(legs.attempt, TEXT), pc.if_else(pc.is_null(linked), "no_human", pa.scalar(None, TEXT))
        )
        table = fact_table(
            "observation",
            {
                "raw_id": raw_ids,
                "source": pa.repeat(source, count),
                "record_digest": columns.digests,
                "channel": pa.repeat("call", count),
                "line": pa.repeat("pbx", count),
                "direction": pa.array(legs.direction, TEXT),
                "started_at": pc.coalesce(pa.array(legs.since, INSTANT), instants),
                "answered_at": pa.array(legs.since, INSTANT),
                "ended_at": instants,
                "talk_seconds": pa.array(legs.seconds, pa.float64()),
                "talk_basis": pa.array([3 if attempt else 0 for attempt in legs.attempt], pa.int8()),
                "attempt": attempts,
                "key": keys,
                "other_keys": pa.array(legs.other_keys, pa.list_(TEXT)),
                "event_id": unique,
                "session_id": linked,
                "from_endpoint": pa.array(legs.from_endpoint, TEXT),
                "from_token": pa.array(legs.from_token, TEXT),
                "to_endpoint": pa.array(legs.to_endpoint, TEXT),
                "to_token": pa.array(legs.to_token, TEXT),
                "automated": pa.repeat(False, count),
                "bulk": pa.repeat(False, count),
                "emergency": pa.array(legs.emergency, pa.bool_()),
            },
            count,
        )
        if problems:
            bad = pa.array([row for row, _ in problems])
            table = table.filter(pc.invert(pc.is_in(pa.array(range(count)), value_set=bad)))
        return table, problems, []

    def _follow(
        self, values: Mapping[str, pa.Array], instants: Sequence[datetime | None], context: ReadContext
    ) -> _Legs:
        events = values["eventtype"]
        words = events if pa.types.is_dictionary(events.type) else events.dictionary_encode()
        is_followed = pa.array([word in _FOLLOWED for word in words.dictionary.to_pylist()], pa.bool_())
        rows = pc.indices_nonzero(is_followed.take(words.indices))
        legs = _Legs(len(instants))
        names = ("eventtype", "channame", "num", "exten", "context", "appname", "uniqueid", "linkedid", "extra")
        cells = [pc.cast(values[name], TEXT).take(rows).to_pylist() for name in names]
        for row, event, channel, number, exten, where, application, unique, linked, extra in zip(
            rows.to_pylist(), *cells, strict=True
        ):
            instant = instants[row]
            if instant is None:
                continue
            if event == "CHAN_START":
                self._bridges.note_call(unique, linked)
                device = party(channel)
                if device.is_device and exten != device.endpoint:
                    legs.emergency[row] = context.identifiers.phone(exten).is_emergency
            elif event == "ATTENDEDTRANSFER":
                legs.other_keys[row] = self._joined_calls(extra, linked, context.source)
            elif '"holding_bridge"' not in extra:
                found = _BRIDGE_ID.search(extra)
                bridge = found[1] if found else linked
                if event == "BRIDGE_ENTER":
                    member = Member(channel, instant, number, exten, where, application, unique, linked)
                    self._bridges.enter(bridge, member)
                    continue
                talk = self._bridges.leave(bridge, channel)
                if talk is not None and instant > talk.since:
                    legs.note(row, talk, instant, context.identifiers)
        return legs

    def _joined_calls(self, extra: str, linked: str, source: str) -> list[str] | None:
        """Return the other calls that an attended transfer makes one with this."""
        try:
            details = load_json(extra)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(details, dict):
            return None
        ids = {value for name, value in details.items() if name.endswith("_uniqueid") and isinstance(value, str)}
        calls = {self._bridges.call_of(unique_id) for unique_id in ids if unique_id} - {linked}
        return [f"{source}:{call}" for call in sorted(calls)] or None


class _Legs:
    """What the rows that carry talk say; null for all others."""

    def __init__(self, count: int) -> None:
        self.attempt: list[str | None] = [None] * count
        self.direction: list[str | None] = [None] * count
        self.since: list[datetime | None] = [None] * count
        self.seconds: list[float] = [0.0] * count
        self.other_keys: list[list[str] | None] = [None] * count
        self.from_endpoint: list[str | None] = [None] * count
        self.from_token: list[str | None] = [None] * count
        self.to_endpoint: list[str | None] = [None] * count
        self.to_token: list[str | None] = [None] * count
        self.emergency: list[bool] = [False] * count

    def note(self, row: int, talk: Talk, until: datetime, identifiers: Identifiers) -> None:
        """Write down a talk that ended at a row."""
        caller, called = party(talk.caller.channel), party(talk.called.channel)
        self.attempt[row] = "talk"
        self.direction[row] = direction_of_context(talk.caller.context) if caller.is_real else None
        self.since[row] = talk.since
        self.seconds[row] = (until - talk.since).total_seconds()
        self.from_endpoint[row] = caller.endpoint
        self.to_endpoint[row] = called.endpoint
        if not caller.is_device:
            self.from_token[row] = identifiers.phone(talk.caller.number).token
        if not called.is_device:
            dialled = identifiers.phone(talk.caller.dialled).token if caller.is_device else None
            self.to_token[row] = dialled or identifiers.phone(talk.called.number).token


def _instants(times: pa.Array, unique_ids: pa.Array, context: ReadContext) -> pa.Array:
    """Return event times in UTC; null where the text is no time."""

    def bound(row: int) -> datetime | None:
        return epoch_of(unique_ids[row].as_py() or "")

    try:
        local = pc.cast(times, INSTANT)
    except pa.ArrowInvalid:  # epochs, or something wrong somewhere
        texts = times.to_pylist()
        return pa.array([_instant(text, context, partial(bound, row)) for row, text in enumerate(texts)], INSTANT)
    return column_to_utc(local, context.zone, lambda rows: [bound(row) for row in rows])


def _instant(text: str, context: ReadContext, bound: Callable[[], datetime | None]) -> datetime | None:
    if _EPOCH(text):
        seconds, _, fraction = text.partition(".")
        microseconds = int(f"{fraction:0<6}"[:6]) if fraction else 0
        return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None, microsecond=microseconds)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    if time.tzinfo is not None:
        return time.astimezone(UTC).replace(tzinfo=None)
    return to_utc(time, context.zone, bound())


def _problems(instants: pa.Array, context: ReadContext) -> list[tuple[int, str]]:
    read_at = context.read_at if context.read_at.tzinfo is None else context.read_at.astimezone(UTC)
    latest = pa.scalar(read_at.replace(tzinfo=None) + timedelta(days=1), INSTANT)
    is_late = pc.fill_null(pc.greater(instants, latest), False)
    found = [
        (row, "the event time is no time; expected YYYY-MM-DD HH:MM:SS or an epoch")
        for row in pc.indices_nonzero(pc.is_null(instants)).to_pylist()
    ]
    found += [
        (row, "dated in the future: the event is more than a day after the file was read")
        for row in pc.indices_nonzero(is_late).to_pylist()
    ]
    return sorted(found)


def _or_null(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, TEXT), column)
