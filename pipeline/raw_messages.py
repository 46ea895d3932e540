"""Messages of raw topics taken apart: which records each holds, and under which source, file and place each counts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipeline.errors import InvalidRecord
from schemas.log import Entry
from schemas.settings import SOURCE_NAME_PATTERN

# As long as a line of a file may be. An array may be as long as a message.
LONGEST_RECORD: Final = 1 << 20
DEFAULT_FORMAT: Final = "canonical_json"

_SOURCE: Final = re.compile(SOURCE_NAME_PATTERN).fullmatch
_POSITION: Final = re.compile(r"[0-9]{1,18}(?:#[0-9]{1,9})?").fullmatch
_LONGEST: Final[dict[str, int]] = {"source": 200, "file": 4_000, "position": 30, "format": 200}
_MOST_ORIGINS: Final = 10_000


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message of a raw topic; `topic` is named without the deployment's prefix."""

    topic: str
    partition: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Origin:
    """The source, file and format under which a record counts."""

    source: str
    file: str
    format: str


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record: `value` as JSON gives it, `data` as written; `place` is its position, with #i for a part of an array.

    `problem` says why it cannot be read at all; the value is then null.
    """

    origin: Origin
    place: str
    value: Any
    data: bytes
    topic: str
    problem: str | None = None

    @property
    def kind(self) -> str | None:
        """What the record says that it is; None when it is no object or does not say."""
        kind = self.value.get("kind") if type(self.value) is dict else None
        return kind if type(kind) is str else None

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
        self._origins: dict[tuple[str, int, bytes | None, bytes | None, bytes | None], Origin] = {}

    def records(self, message: RawMessage) -> Iterator[RawRecord]:
        """Yield the records of a message, one or those of an array; none when it is a tombstone.

        What cannot be read is one record with a problem.
        """
        entry = message.entry
        data = entry.value
        if data is None:
            return
        headers = entry.headers
        try:
            origin = self._origin(message)
            position = headers.get("position")
            place = str(entry.offset) if position is None else _text("position", position)
        except InvalidRecord as error:
            yield RawRecord(_default(message), str(entry.offset), None, data, message.topic, str(error))
            return
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            yield RawRecord(origin, place, None, data, message.topic, _syntax(error))
            return
        if type(value) is not list:
            problem = _too_long(len(data)) if len(data) > LONGEST_RECORD else None
            yield RawRecord(origin, place, value, data, message.topic, problem)
            return
        for number, part in enumerate(value):
            written = orjson.dumps(part)
            problem = _too_long(len(written)) if len(written) > LONGEST_RECORD else None
            yield RawRecord(origin, f"{place}#{number}", part, written, message.topic, problem)

    def _origin(self, message: RawMessage) -> Origin:
        headers = message.entry.headers
        key = (
            message.topic,
            message.partition,
            headers.get("source"),
            headers.get("file"),
            headers.get("format"),
        )
        origin = self._origins.get(key)
        if origin is None:
            default = _default(message)
            origin = Origin(*(_header(headers, name, getattr(default, name)) for name in ("source", "file", "format")))
            if len(self._origins) >= _MOST_ORIGINS:
                self._origins.clear()
            self._origins[key] = origin
        return origin


def _default(message: RawMessage) -> Origin:
    return Origin(message.topic.removeprefix("raw."), f"{message.topic}/{message.partition}", DEFAULT_FORMAT)


def _header(headers: Mapping[str, bytes], name: str, default: str) -> str:
    data = headers.get(name)
    return default if data is None else _text(name, data)


def _text(name: str, data: bytes) -> str:
    """Return what a header says.

    Raises:
        InvalidRecord: when it cannot be a source, file, position or format.
    """
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
    if "depth" in words or "recursion" in words.lower():
        return "nested too deeply; expected an object or an array of objects"
    return "no valid JSON; expected an object or an array of objects"


def _too_long(length: int) -> str:
    return f"record of {length:,} bytes is too long; expected at most {LONGEST_RECORD:,}"
