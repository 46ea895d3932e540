"""Messages of raw topics taken apart: which records each holds, and under which source, file and place each counts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from pipeline.errors import InvalidRecord
from pipeline.json_text import TOO_DEEP, load_json
from schemas.log import Entry
from schemas.settings import SOURCE_NAME_PATTERN

# As long as a line of a file may be. An array may be as long as a message.
LONGEST_RECORD: Final = 1 << 20
# Each becomes an object of ours, or a letter, whatever little it says: three million zeros took 15 GB.
MOST_RECORDS: Final = 20_000
DEFAULT_FORMAT: Final = "canonical_json"

_SOURCE: Final = re.compile(SOURCE_NAME_PATTERN).fullmatch
_POSITION: Final = re.compile(r"[0-9]{1,18}(?:#[0-9]{1,9})?").fullmatch
_LONGEST: Final[dict[str, int]] = {"source": 200, "file": 4_000, "position": 30, "format": 200}
_MOST_ORIGINS: Final = 10_000


class RawMessage(NamedTuple):
    """A message of a raw topic; `topic` is named without the deployment's prefix."""

    topic: str
    partition: int
    entry: Entry

    @property
    def lane(self) -> str:
        """Where the message stands, such as "raw.calls/0": see `pipeline.lanes`."""
        return f"{self.topic}/{self.partition}"


@dataclass(frozen=True, slots=True)
class Origin:
    """The source, file and format under which a record counts."""

    source: str
    file: str
    format: str


class RawRecord(NamedTuple):
    """One record: `value` as JSON gives it, `data` as written; `place` is its position, with #i for a part of an array.

    `kind` is what it says that it is, null when it does not say. `problem` says why it cannot be read at all. A plain
    tuple, because there is one for each record.
    """

    origin: Origin
    place: str
    value: Any
    data: bytes
    lane: str
    kind: str | None = None
    problem: str | None = None

    @property
    def topic(self) -> str:
        """Topic of the message, without the deployment's prefix."""
        return self.lane.rpartition("/")[0]

    @property
    def raw_id(self) -> str:
        """Identity of the record."""
        return f"{self.origin.source}:{self.origin.file}:{self.place}"

    @property
    def position(self) -> int:
        """Position of the record, or of the array that it is a part of."""
        return int(self.place.partition("#")[0])


class RawReader:
    """Takes messages apart. Bounded in memory."""

    def __init__(self) -> None:
        self._origins: dict[tuple[str, int, bytes | None, bytes | None, bytes | None], tuple[Origin, str]] = {}

    def whole(self, message: RawMessage) -> RawRecord | None:
        """Return a message as one record that nobody has read: without value and kind; None when it can be none.

        For who reads it at once where it stands, which spares reading it twice; else ask for `records`.
        """
        data = message.entry.value
        if data is None or len(data) > LONGEST_RECORD:
            return None
        try:
            origin, lane = self._origin(message)
            return RawRecord(origin, _place(message.entry), None, data, lane)
        except InvalidRecord:
            return None

    def records(self, message: RawMessage) -> Sequence[RawRecord]:
        """Return the records of a message, one or those of an array; none when it is a tombstone.

        What cannot be read is one record with a problem.
        """
        entry = message.entry
        data = entry.value
        if data is None:
            return ()
        try:
            origin, lane = self._origin(message)
            place = _place(entry)
        except InvalidRecord as error:
            return (RawRecord(_default(message), str(entry.offset), None, data, message.lane, problem=str(error)),)
        try:
            value = load_json(data)
        except orjson.JSONDecodeError as error:
            return (RawRecord(origin, place, None, data, lane, problem=_syntax(error)),)
        if type(value) is not list:
            return (RawRecord(origin, place, value, data, lane, _kind(value), _length_problem(data)),)
        if len(value) > MOST_RECORDS:
            problem = f"an array of {len(value):,} records; expected at most {MOST_RECORDS:,} in a message"
            return (RawRecord(origin, place, None, data, lane, problem=problem),)
        parts = [(f"{place}#{number}", part, orjson.dumps(part)) for number, part in enumerate(value)]
        return [
            RawRecord(origin, part_place, part, written, lane, _kind(part), _length_problem(written))
            for part_place, part, written in parts
        ]

    def _origin(self, message: RawMessage) -> tuple[Origin, str]:
        """Return the origin and the lane of a message; as long as they are known, the same objects."""
        headers = message.entry.headers
        key = (
            message.topic,
            message.partition,
            headers.get("source"),
            headers.get("file"),
            headers.get("format"),
        )
        found = self._origins.get(key)
        if found is None:
            default = _default(message)
            origin = Origin(*(_header(headers, name, getattr(default, name)) for name in ("source", "file", "format")))
            if len(self._origins) >= _MOST_ORIGINS:
                self._origins.clear()
            found = self._origins[key] = origin, message.lane
        return found


def with_value(record: RawRecord) -> RawRecord:
    """Return a record with its value and kind, which one of `RawReader.whole` has not."""
    if record.kind is not None:
        return record
    value = orjson.loads(record.data)
    return record._replace(value=value, kind=_kind(value))


def _place(entry: Entry) -> str:
    position = entry.headers.get("position")
    return str(entry.offset) if position is None else _text("position", position)


def _kind(value: Any) -> str | None:
    kind = value.get("kind") if type(value) is dict else None
    return kind if type(kind) is str else None


def _default(message: RawMessage) -> Origin:
    return Origin(message.topic.removeprefix("raw."), message.lane, DEFAULT_FORMAT)


def _header(headers: Mapping[str, bytes], name: str, default: str) -> str:
    data = headers.get(name)
    return default if data is None else _text(name, data)


def _text(name: str, data: bytes) -> str:
    """Return what a header says.

    Raises:
        InvalidRecord: when it cannot be a source, file, position or format.
    """
    if name == "position" and data.isdigit() and len(data) < _LONGEST["position"] // 2:
        return data.decode()
    text = data.decode("utf-8", "replace")
    if not text or len(text) > _LONGEST[name] or not text.isprintable() or "\ufffd" in text:
        raise InvalidRecord(f"header {name}: expected a printable text of at most {_LONGEST[name]:,} characters, UTF-8")
    if name == "source" and not _SOURCE(text):
        raise InvalidRecord("header source: expected small letters, digits, hyphens and underscores")
    if name == "position" and not _POSITION(text):
        raise InvalidRecord("header position: expected a whole number")
    return text


def _syntax(error: orjson.JSONDecodeError) -> str:
    words = str(error)
    if "UTF-8" in words:
        return "no valid JSON; expected an object or an array of objects, in UTF-8"
    if error.msg == TOO_DEEP or "depth" in words or "recursion" in words.lower():
        return "nested too deeply; expected an object or an array of objects"
    return "no valid JSON; expected an object or an array of objects"


def _length_problem(data: bytes) -> str | None:
    if len(data) <= LONGEST_RECORD:
        return None
    return f"record of {len(data):,} bytes is too long; expected at most {LONGEST_RECORD:,}"
