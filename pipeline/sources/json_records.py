"""Records in JSON files: one a line, one document each, a list of them, or lists in the pages of an API's answers.

A file of lines is read on behind a broken one. A document is read as a stream, so that its size does not matter; what
is broken in it ends the file.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import ijson
import orjson

from pipeline.errors import InvalidRecord
from pipeline.json_text import DEEPEST, TOO_DEEP, load_json
from pipeline.sources.reading import Block, LongLine, blocks, open_bytes

BLOCK_BYTES: Final = 4 << 20
# What one record of a document may take, as no system writes it; in memory it takes up to thirty times as much.
# Unit: bytes.
LARGEST_RECORD: Final = 16 << 20
# Besides its own error ijson lets through what Python says of bytes that are no UTF-8 and of endless numbers.
_BROKEN: Final = (ijson.JSONError, ValueError, OverflowError)
_OPENS: Final = ("start_map", "start_array")
_CLOSES: Final = ("end_map", "end_array")


@dataclass(frozen=True, slots=True)
class JsonRecord:
    """One record and its place: the number of its line or, in a document, its own, from 1. `problem`: what is wrong.

    `text` is how a record is written that could not be read.
    """

    position: int
    value: dict[str, Any]
    problem: str | None = None
    text: str = ""


@dataclass(frozen=True)
class JsonForm:
    """How a file holds records.

    `unit`: one a line, or in documents that are read as a stream. There `place` says where: "" a document each,
    "item" the members of a list, another name those of the list that a member of an object holds.
    """

    unit: Literal["line", "record"]
    place: str = ""


def form_of(start: bytes, lists: Collection[str] = ()) -> JsonForm | None:
    """Return how a file that begins like this holds records, or None when it is no JSON.

    `lists` names members of an object that hold records, as the pages of an API's answers do.

    >>> form_of(b'{"page": 0, "calls": [{"sid"', ["calls"])
    JsonForm(unit='record', place='calls')
    """
    text = start.lstrip()
    if text.startswith(b"["):
        return JsonForm("record", "item")
    if not text.startswith(b"{"):
        return None
    if (name := _list_in(text, lists)) is not None:
        return JsonForm("record", name)
    line, end, _ = text.partition(b"\n")
    try:
        load_json(line)
    except orjson.JSONDecodeError:
        return JsonForm("record")
    return JsonForm("line" if end else "record")


def first_record(start: bytes, form: JsonForm) -> dict[str, Any] | None:
    """Return the first record of a file that begins like this; None when it is cut off there, or is no object."""
    try:
        value = next(_values(io.BytesIO(start), form.place), None)
    except InvalidRecord:
        return None
    return value if isinstance(value, dict) else None


def json_records(path: Path, form: JsonForm) -> Iterator[JsonRecord]:
    """Yield the records of a file, in its order.

    Raises:
        InvalidRecord: when a document is broken, or an archive is damaged; what is before that comes first.
    """
    if form.unit == "line":
        yield from _lines(path)
        return
    number = 0
    with open_bytes(path) as stream:
        try:
            for number, value in enumerate(_values(stream, form.place), 1):
                if isinstance(value, dict):
                    yield JsonRecord(number, value)
                else:
                    yield JsonRecord(number, {}, "expected a JSON object")
        except InvalidRecord as error:
            raise InvalidRecord(f"{path.name}: {error} after record {number:,}; export it again") from None


def _list_in(text: bytes, names: Collection[str]) -> str | None:
    """Return which of these members of the outermost object is a list, as far as the text goes."""
    depth, key = 0, None
    try:
        for event, value in ijson.basic_parse(io.BytesIO(text), use_float=True):
            if depth == 1 and event == "map_key":
                key = str(value)
            elif depth == 1 and event == "start_array" and key in names:
                return key
            depth += (event in _OPENS) - (event in _CLOSES)
            if depth in (0, DEEPEST):
                return None
    except _BROKEN:
        pass
    return None


def _values(stream: BinaryIO, place: str) -> Iterator[Any]:
    """Yield what stands at a place in the documents of a stream.

    Raises:
        InvalidRecord: when it is no JSON from there on, nested too deeply, or a record or value has no end.
    """
    level = {"": 0, "item": 1}.get(place, 2)
    is_inside, depth, key, builder = level < 2, 0, None, None
    gauge = _Gauge(stream)
    try:
        for event, value in ijson.basic_parse(gauge, use_float=True, multiple_values=True):
            if builder is None:
                gauge.begin()
            opens, closes = event in _OPENS, event in _CLOSES
            depth -= closes
            if builder is None and is_inside and depth == level and not closes:
                builder = ijson.ObjectBuilder()
            if builder is not None:
                builder.event(event, value)
                if depth == level and not opens:
                    yield builder.value
                    builder = None
            elif level == 2 and depth == 1:
                key = value if event == "map_key" else key
                is_inside = event == "start_array" and key == place
            depth += opens
            if depth > DEEPEST:
                raise InvalidRecord(TOO_DEEP)
    except _BROKEN:
        raise InvalidRecord("no valid JSON") from None


class _Gauge:
    """A stream that is read for one record or value at a time, and ends with an error when that is too large."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = 0

    def begin(self) -> None:
        """Count anew."""
        self._size = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes.

        Raises:
            InvalidRecord: when there were too many since the beginning.
        """
        data = self._stream.read(size)
        self._size += len(data)
        if self._size > LARGEST_RECORD:
            raise InvalidRecord(f"a record or value of more than {LARGEST_RECORD >> 20} MiB")
        return data


def _lines(path: Path) -> Iterator[JsonRecord]:
    for block in blocks(path, BLOCK_BYTES):
        if isinstance(block, LongLine):
            problem = f"line of {block.length:,} bytes is too long to be a record"
            yield JsonRecord(block.first_line, {}, problem, block.start)
        else:
            yield from _lines_of(block)


def _lines_of(block: Block) -> Iterator[JsonRecord]:
    for number, line in enumerate(block.data.split(b"\n"), block.first_line):
        if not line.strip():
            continue
        try:
            value = load_json(line)
        except orjson.JSONDecodeError as error:
            problem = TOO_DEEP if error.msg == TOO_DEEP else "no valid JSON"
            text = line.decode("utf-8", "replace")
            yield JsonRecord(number, {}, f"{problem}; expected one object a line", text)
            continue
        if isinstance(value, dict):
            yield JsonRecord(number, value)
        else:
            yield JsonRecord(number, {}, "expected a JSON object", line.decode("utf-8", "replace"))
