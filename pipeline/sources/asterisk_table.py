"""Tables of an Asterisk log, read block by block into columns.

A block that is what it should be is read column by column at once; one that is not is halved until the bad record is
found, which is then read by itself. So every record becomes exactly one observation or dead letter, and a damaged
line costs milliseconds, not the speed of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from pipeline.columns import count_from, digests, fact_table
from pipeline.errors import InvalidRecord
from pipeline.sources.asterisk_layout import Layout
from pipeline.sources.reading import UNFINISHED, Block, CsvRecord, LongLine, blocks, group_records, numbered_lines
from pipeline.sources.registry import Batch, DeadLetter, ReadContext
from schemas.facts import INSTANT

BLOCK_SIZE: Final = 32 << 20
SECONDS: Final = pa.int64()
TEXT: Final = pa.string()
WORDS: Final = pa.dictionary(pa.int32(), pa.string())  # texts that repeat: decided once per distinct one

_SMALL: Final = 64 << 10
_TEXT_KEPT: Final = 2_000
# Words that Asterisk writes itself, and that a dead letter may show.
_VOCABULARY = frozenset(
    [
        "ANSWERED",
        "NO",
        "ANSWER",
        "BUSY",
        "FAILED",
        "CONGESTION",
        "OMIT",
        "BILLING",
        "DOCUMENTATION",
        "PJSIP",
        "SIP",
        "IAX",
        "DAHDI",
        "Local",
        "NONE",
        "QUEUESTART",
        "ENTERQUEUE",
        "CONNECT",
        "COMPLETECALLER",
        "COMPLETEAGENT",
        "ABANDON",
        "RINGNOANSWER",
        "EXITWITHTIMEOUT",
        "EXITWITHKEY",
        "TRANSFER",
        "CHAN",
        "START",
        "END",
        "HANGUP",
        "BRIDGE",
        "ENTER",
        "EXIT",
        "LINKEDID",
    ]
)


@dataclass(frozen=True)
class Columns:
    """Records by column: every field of the format, with the number of each record's first line and its digest.

    Times are as written: local and without zone. A text that a layout lacks is empty, or null where the format says so.
    """

    values: Mapping[str, pa.Array]
    lines: pa.Array
    digests: pa.Array

    def __len__(self) -> int:
        return len(self.lines)


Observe = Callable[[Columns, ReadContext], tuple[pa.Table, list[tuple[int, str]], list[str]]]


@dataclass(frozen=True)
class Form:
    """What a format's records are made of.

    `fields` gives each field's type: INSTANT, SECONDS, TEXT or WORDS; those in `nullable` are null where a layout
    lacks them. `headerless` tells the layout of a record by its shape, `widths` words what it may be. `observe`
    turns columns into observations; rows and reasons of those it cannot use; and warnings.
    """

    fields: Mapping[str, pa.DataType]
    nullable: frozenset[str]
    headerless: Callable[[Sequence[str]], Layout | None]
    widths: range
    observe: Observe


def read_table(path: Path, layout: Layout, form: Form, context: ReadContext) -> Iterator[Batch]:
    """Yield the observations of a file, one batch per block.

    Raises:
        InvalidRecord: when an archive ends in the middle.
    """
    reader = _Reader(layout, form, context)
    stored, carried = 0, b""
    units = blocks(path, BLOCK_SIZE)
    failure: InvalidRecord | None = None
    unit = next(units, None)
    while unit is not None:
        try:
            following = next(units, None)
        except InvalidRecord as error:
            failure, following = error, None
        batch, carried = reader.batch(unit, carried, is_last=following is None, stored=unit.stored - stored)
        stored = unit.stored
        yield batch
        unit = following
    if failure is not None:
        raise failure


class _Reader:
    """Reads the blocks of one file; the layout may change within it, as after a change of configuration."""

    def __init__(self, layout: Layout, form: Form, context: ReadContext) -> None:
        self._layout = layout
        self._form = form
        self._context = context
        self._is_free = layout.header is None and not context.mapping

    def batch(self, unit: Block | LongLine, carried: bytes, is_last: bool, stored: int) -> tuple[Batch, bytes]:
        """Return the batch of a block, and the beginning of a record that goes on in the next one.

        `carried` is what the block before left over.
        """
        first_line = unit.first_line - carried.count(b"\n")
        letters: list[DeadLetter] = []
        if isinstance(unit, LongLine):
            data, is_last = carried, True
            reason = f"line of {unit.length:,} bytes at byte {unit.offset:,} is too long to be a record"
            letters.append(self._letter(unit.first_line, reason, unit.start))
        else:
            data = carried + unit.data if carried else unit.data
        if first_line == 1 and data and self._layout.header is not None:
            data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
            first_line = 2
        tables: list[pa.Table] = []
        warnings: list[str] = []
        left = b""
        for columns, texts, refused, rest in self._stretches(data, first_line, is_last):
            letters += refused
            left = rest
            if len(columns):
                observed, problems, noted = self._form.observe(columns, self._context)
                tables.append(observed)
                warnings += noted
                letters += [
                    self._letter(columns.lines[row].as_py(), reason, texts[row].as_py()) for row, reason in problems
                ]
        table = pa.concat_tables(tables) if tables else fact_table("observation", {}, 0)
        letters.sort(key=lambda letter: letter.position)
        return Batch({"observation": table}, table.num_rows + len(letters), stored, letters, warnings), left

    def _stretches(
        self, data: bytes, first_line: int, is_last: bool
    ) -> Iterator[tuple[Columns, pa.Array, list[DeadLetter], bytes]]:
        """Yield the records of a stretch: columns, the text of each, dead letters, and what is left over."""
        if not data:
            return
        found = self._at_once(data, first_line)
        if found is not None:
            yield *found, [], b""
            return
        middle = data.rfind(b"\n", 0, len(data) // 2) + 1 or data.find(b"\n", len(data) // 2) + 1
        if len(data) <= _SMALL or not 0 < middle < len(data):
            yield self._one_by_one(data, first_line, is_last)
            return
        rest = b""
        for stretch in self._stretches(data[:middle], first_line, False):
            yield *stretch[:3], b""
            rest = stretch[3]
        second, second_line = rest + data[middle:], first_line + data.count(b"\n", 0, middle) - rest.count(b"\n")
        if len(rest) * 2 > middle:  # nearly all of it hangs on what follows: halving would not end
            yield self._one_by_one(second, second_line, is_last)
        else:
            yield from self._stretches(second, second_line, is_last)

    def _at_once(self, data: bytes, first_line: int) -> tuple[Columns, pa.Array] | None:
        """Return the columns, and the texts, of a stretch in which every line is one record of one layout, else None."""
        lines = _lines(data)
        first = lines[0].as_py()
        for layout in self._likely_layouts(first):
            try:
                table = _parsed(data, layout, self._form)
            except pa.ArrowInvalid:
                continue
            if table.num_rows == len(lines):
                self._layout = layout
                if "\r" in first:
                    lines = pc.replace_substring_regex(lines, "\r$", "")
                numbers = count_from(first_line, len(lines))
                return Columns(_fields(table, layout, self._form), numbers, digests(lines)), lines
        return None

    def _likely_layouts(self, line: str) -> Iterator[Layout]:
        yield self._layout
        if self._is_free:
            records = group_records([(1, line)], lambda _: True, str)
            own = next((self._form.headerless(record.fields) for record in records), None)
            if own is not None and own != self._layout:
                yield own

    def _one_by_one(
        self, data: bytes, first_line: int, is_last: bool
    ) -> tuple[Columns, pa.Array, list[DeadLetter], bytes]:
        """Read a stretch with something wrong in it, record by record."""
        rows: list[tuple[CsvRecord, dict[str, Any]]] = []
        letters: list[DeadLetter] = []
        expected, widths = len(self._layout.columns), self._form.widths
        several = self._is_free and len(widths) > 1

        def accepts(count: int) -> bool:
            return count == expected or (several and count in widths)

        def describe(count: int) -> str:
            wanted = f"{widths.start} to {widths.stop - 1}" if several else expected
            return f"has {count} column{'' if count == 1 else 's'}, expected {wanted}"

        left = b""
        numbered = numbered_lines(Block(data, first_line, 0, 0))
        for record in group_records(numbered, accepts, describe, self._layout.delimiter, more_follows=not is_last):
            if record.problem == UNFINISHED:
                left = b"\n".join(data.split(b"\n")[record.line - first_line :])
                break
            if self._layout.header is not None and tuple(record.fields) == self._layout.header:
                continue  # files put together by hand repeat it
            if record.problem:
                letters.append(self._letter(record.line, record.problem, record.text))
                continue
            layout = (self._form.headerless(record.fields) if several else None) or self._layout
            try:
                rows.append((record, _converted(record.fields, layout, self._form)))
            except ValueError as error:
                letters.append(self._letter(record.line, str(error), record.text))
        return *_gathered(rows, self._form), letters, left

    def _letter(self, line: int, reason: str, text: str) -> DeadLetter:
        return dead_letter(self._context, line, reason, text)


def dead_letter(context: ReadContext, line: int, reason: str, text: str) -> DeadLetter:
    """Return the dead letter of a record of a text file, in outline."""
    shown = context.identifiers.outline(text[: 2 * _TEXT_KEPT], _VOCABULARY)[:_TEXT_KEPT]
    return DeadLetter(context.raw_id(line), context.source, context.file, line, "line", reason, shown)


def _parsed(data: bytes, layout: Layout, form: Form) -> pa.Table:
    """Return a table of the fields that the layout has.

    Raises:
        pyarrow.ArrowInvalid: when some record has another number of columns, or a value that is not of its kind.
    """
    names = [name if name in form.fields else f"{place}" for place, name in enumerate(layout.columns)]
    wanted = [name for name in names if name in form.fields]
    table = pv.read_csv(
        pa.BufferReader(data),
        read_options=pv.ReadOptions(column_names=names),
        parse_options=pv.ParseOptions(delimiter=layout.delimiter),
        convert_options=pv.ConvertOptions(
            column_types={name: form.fields[name] for name in wanted},
            include_columns=wanted,
            null_values=[""],
            strings_can_be_null=False,
            quoted_strings_can_be_null=True,
            check_utf8=False,
        ),
    )
    return table.unify_dictionaries()


def _fields(table: pa.Table, layout: Layout, form: Form) -> dict[str, pa.Array]:
    """Return every field of the format as one array."""
    found = {name: table.column(name).combine_chunks() for name in table.column_names}
    for name in form.fields:
        if name not in found:
            found[name] = _absent(name, layout.constants.get(name), table.num_rows, form)
    return found


def _absent(name: str, constant: str | None, count: int, form: Form) -> pa.Array:
    kind = form.fields[name]
    if kind in (INSTANT, SECONDS):
        return pa.nulls(count, kind)
    if constant is None and name in form.nullable:
        return pa.nulls(count, TEXT)
    return pa.repeat(constant or "", count)


def _converted(fields: Sequence[str], layout: Layout, form: Form) -> dict[str, Any]:
    """Return the fields of one record by name, as `_parsed` would.

    Raises:
        ValueError: when a value is not of its kind; the message holds no value.
    """
    values: dict[str, Any] = {}
    for name, kind in form.fields.items():
        is_text = kind not in (INSTANT, SECONDS)
        values[name] = layout.constants.get(name, "" if name not in form.nullable else None) if is_text else None
    for name, text in zip(layout.columns, fields, strict=True):
        kind = form.fields.get(name)
        if kind == INSTANT:
            values[name] = _time(text, name)
        elif kind == SECONDS:
            values[name] = _whole_seconds(text, name)
        elif kind is not None:
            values[name] = text
    return values


def _time(text: str, name: str) -> datetime | None:
    text = text.strip()
    if not text or text.startswith("0000-00-00"):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"the {name} is no time; expected YYYY-MM-DD HH:MM:SS") from None
    if time.tzinfo is not None:
        raise ValueError(f"the {name} has an offset from UTC; expected local time, YYYY-MM-DD HH:MM:SS")
    return time


def _whole_seconds(text: str, name: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    try:
        parts = [int(part) for part in text.split(":")]
    except ValueError:
        raise ValueError(f"the {name} is no number of seconds") from None
    if len(parts) not in (1, 3) or abs(parts[0]) > 10**12:
        raise ValueError(f"the {name} is no number of seconds")
    return parts[0] if len(parts) == 1 else parts[0] * 3600 + parts[1] * 60 + parts[2]


def _lines(data: bytes) -> pa.Array:
    """Return the lines of a text in UTF-8; one that ends the text needs no line feed."""
    ends = len(data) - data.endswith(b"\n")
    offsets = pa.array([0, ends], pa.int32())
    whole = pa.Array.from_buffers(TEXT, 1, [None, offsets.buffers()[1], pa.py_buffer(data)])
    return pc.split_pattern(whole, "\n").flatten()


def _gathered(rows: Sequence[tuple[CsvRecord, Mapping[str, Any]]], form: Form) -> tuple[Columns, pa.Array]:
    values = {
        name: pa.array([fields[name] for _, fields in rows], TEXT if kind == WORDS else kind)
        for name, kind in form.fields.items()
    }
    texts = pa.array([record.text for record, _ in rows], TEXT)
    return Columns(values, pa.array([record.line for record, _ in rows], pa.int64()), digests(texts)), texts
