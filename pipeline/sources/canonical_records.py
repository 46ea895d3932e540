"""Gathers validated canonical records into batches, and words what is wrong with the others.

A dead letter shows its record with everything masked that could tell a customer: numbers, addresses, and
every text in a field that holds parties. Its reason names fields and kinds of values, never a value.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from pipeline.identifiers import Identifiers
from pipeline.json_text import load_json
from pipeline.normalise import Normaliser
from pipeline.sources.column_mapping import ColumnMapping, field_names
from pipeline.sources.registry import Batch, DeadLetter, ReadContext
from schemas.facts import SCHEMAS
from schemas.raw import Record
from schemas.record import RAW_EVENT_KINDS, RECORD_MODELS

TEXT_LENGTH: Final = 2_000

# Fields whose texts are shown in a dead letter, with numbers and addresses masked; all others are hidden.
SHOWN_FIELDS: Final = frozenset(
    """
    kind version started_at answered_at ended_at duration_seconds talk_seconds status direction line queue channel
    call_id leg_id message_id conversation_id from_device to_device sent_at auto_submitted precedence automated bulk
    updated_at deleted contact_id account_id activity_id activity_kind ticket_id user_id logged_at logged_on precision
    owner_id creator_id contact_ids account_ids complete_through representative representative_id team function
    valid_from valid_to extension segment namespace
    """.split()  # noqa: SIM905 - a word list reads better than fifty quotation marks
)
# Words of our own contracts: shown also where a record cannot be taken apart.
OWN_WORDS: Final = frozenset(word for name in (*SHOWN_FIELDS, *RECORD_MODELS) for word in name.split("_"))
# Several words are somebody's own, whatever field they stand in: a name, a subject.
_FREE_WORDS: Final = re.compile(r"[^\W\d_]{2,}[\W_]*[^\S\r\n]+[\W_]*[^\W\d_]{2,}")


class RecordOutline:
    """What a dead letter shows of a record: everything masked that could tell a customer."""

    def __init__(self, identifiers: Identifiers) -> None:
        self._identifiers = identifiers

    def shown_text(self, text: str) -> str:
        """Return a line that could not be taken apart: its signs and digits, identifiers masked, and our own words."""
        return self._identifiers.outline(text[: 2 * TEXT_LENGTH], OWN_WORDS)[:TEXT_LENGTH]

    def shown_json(self, line: bytes) -> str:
        """Return a line of JSON with the values of parties masked."""
        try:
            values = load_json(line) if len(line) <= 100_000 else None
        except orjson.JSONDecodeError:
            values = None
        if isinstance(values, dict):
            return self.shown_values(values)
        return self.shown_text(line[: 4 * TEXT_LENGTH].decode("utf-8", "replace"))

    def shown_cells(self, cells: Sequence[Any], mapping: ColumnMapping) -> str:
        """Return a row with the values of parties, and of columns that no field is taken from, masked."""
        shown = [
            self._masked(cell, mapping.fields_of(index) <= SHOWN_FIELDS and bool(mapping.fields_of(index)))
            for index, cell in enumerate(cells)
        ]
        return " | ".join("" if cell is None else str(cell) for cell in shown)[:TEXT_LENGTH]

    def shown_values(self, values: Mapping[str, Any]) -> str:
        """Return a record with the values of parties masked."""
        shown = {str(name)[:50]: self._masked(value, _is_shown(name, value)) for name, value in values.items()}
        return self._identifiers.redact(orjson.dumps(shown, default=str).decode())[:TEXT_LENGTH]

    def _masked(self, value: Any, is_shown: bool) -> Any:
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, (list, tuple)):
            return [self._masked(member, is_shown) for member in value[:20]]
        if isinstance(value, dict):
            return "…"
        text = str(value)
        redacted = self._identifiers.redact(text[:TEXT_LENGTH])
        if not text or (is_shown and not _FREE_WORDS.search(text)):
            return redacted
        return redacted if redacted != text and not any(letter.isalpha() for letter in text.split("@")[0]) else "…"


def _is_shown(name: object, value: object) -> bool:
    return name in SHOWN_FIELDS and (name != "kind" or (isinstance(value, str) and value in RECORD_MODELS))


class RecordGatherer:
    """Turns records and dead letters of one file into batches; keeps the counts and the feed's progress."""

    def __init__(self, context: ReadContext, unit: Literal["line", "record"]) -> None:
        self._context = context
        self._unit = unit
        self._normaliser = Normaliser(context)
        outline = RecordOutline(context.identifiers)
        self.shown_text, self.shown_json, self.shown_cells = outline.shown_text, outline.shown_json, outline.shown_cells
        self.shown_values = outline.shown_values
        self._stored = 0
        self._progress: int | None = None
        self._is_progress_said = False
        self._broken_text_count = 0
        self._begin()

    def _begin(self) -> None:
        self._records: list[Record] = []
        self._positions: list[int | str] = []
        self._dead_letters: list[DeadLetter] = []
        self._warnings: list[str] = []

    @property
    def record_count(self) -> int:
        """Records gathered since the last batch, dead letters included."""
        return len(self._records) + len(self._dead_letters)

    def add(self, records: Sequence[Record], positions: Sequence[int | str]) -> None:
        """Add validated records."""
        self._records.extend(records)
        self._positions.extend(positions)

    def reject(self, position: int | str, reason: str, shown: str, kind: str | None = None) -> None:
        """Add a dead letter. Without a kind it counts as a raw event: nobody can tell that it is none."""
        self._dead_letters.append(
            DeadLetter(
                raw_id=self._context.raw_id(position),
                source=self._context.source,
                file=self._context.file,
                position=int(str(position).partition("#")[0]),
                unit=self._unit,
                reason=reason,
                raw_text=shown[:TEXT_LENGTH],
                is_raw_event=kind is None or kind in RAW_EVENT_KINDS,
            )
        )

    def warn(self, *warnings: str) -> None:
        """Add warnings to the next batch."""
        self._warnings.extend(warnings)

    def note_broken_text(self) -> None:
        """Remember that a record has characters that are no UTF-8."""
        self._broken_text_count += 1

    def take(self, stored: int | None = None) -> Batch:
        """Return what was gathered as a batch; `stored` is how far the file has been read, in bytes."""
        count = self.record_count
        result = self._normaliser.normalise(self._records, self._positions)
        for index, reason in result.rejections:
            record = self._records[index]
            shown = self.shown_values(record.model_dump(mode="json", by_alias=True, exclude_defaults=True))
            self.reject(self._positions[index], reason, shown, kind=str(getattr(record, "kind", "")))
        for kind, table in result.facts.items():
            self._note_progress(kind, table)
        byte_count = 0 if stored is None else max(0, stored - self._stored)
        self._stored += byte_count
        letters = tuple(sorted(self._dead_letters, key=lambda letter: letter.position))
        batch = Batch(result.facts, count, byte_count, letters, tuple(self._warnings))
        self._begin()
        return batch

    def finish(self) -> Iterator[Batch]:
        """Yield what the file as a whole tells: how far a feed of activities reaches, unless it said so itself."""
        warnings = []
        if self._broken_text_count:
            warnings.append(
                f"{self._context.file}: {self._broken_text_count:,} records have characters that are no UTF-8; "
                "names in them will not match the directory; save the file as UTF-8, or a table with the encoding "
                'that it has: options = { encoding = "latin-1" }'
            )
        facts: dict[str, pa.Table] = {}
        if self._progress is not None and not self._is_progress_said:
            schema = SCHEMAS["feed_progress"]
            through = pa.array([self._progress], pa.int64()).cast(schema.field("complete_through").type)
            facts["feed_progress"] = pa.Table.from_arrays([pa.array([self._context.source]), through], schema=schema)
        if facts or warnings:
            yield Batch(facts, 0, warnings=tuple(warnings))

    def _note_progress(self, kind: str, table: pa.Table) -> None:
        if kind == "feed_progress":
            self._is_progress_said = True
        if kind == "activity":
            for column in ("logged_from", "updated_at"):
                latest = pc.max(table[column]).cast(pa.int64()).as_py()
                if latest is not None and (self._progress is None or latest > self._progress):
                    self._progress = latest


def explain(error: ValidationError) -> str:
    """Return in one sentence what is wrong with a record: which field, what kind of value, what is expected."""
    detail = error.errors(include_url=False, include_context=True)[0]
    kind = detail["type"]
    path = [part for part in detail["loc"] if isinstance(part, str)]
    # The first part of a path inside a union is the kind of record.
    known_kind = path.pop(0) if path and path[0] in RECORD_MODELS else None
    field = path[-1] if path else ""
    if kind == "json_invalid":
        return "no valid JSON; expected one object per line, in UTF-8"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        problem = "missing" if kind == "union_tag_not_found" else "unknown"
        return f"kind: {problem}; expected one of {', '.join(RECORD_MODELS)}"
    if kind == "extra_forbidden":
        known = list(field_names(known_kind)) if known_kind else []
        near = difflib.get_close_matches(field, known, n=1, cutoff=0.6)
        name = f"'{field}'" if re.fullmatch(r"[A-Za-z_][A-Za-z_-]{0,40}", field) else "name"
        return f"unknown field {name}" + (f"; did you mean '{near[0]}'?" if near else "; remove it")
    if kind == "missing":
        return f"{field}: missing; every {known_kind or 'record of this kind'} needs it"
    if not field:
        return f"found {_general(detail['input'])}; expected a JSON object"
    expected = detail["msg"].removeprefix("Input should be ").split(", ", 1)[0] if "datetime" in kind else detail["msg"]
    expected = expected.removeprefix("Input should be ")
    remedy = "; name other words in options.values" if kind == "literal_error" and field != "version" else ""
    return f"{field}: found {_general(detail['input'])}; expected {expected}{remedy}"


def _general(value: Any) -> str:
    """Return what a value is without saying it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return f"text of {len(value):,} characters" if value else "empty text"
    if isinstance(value, (int, float)):
        return "a negative number" if value < 0 else "a number"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "an object" if isinstance(value, dict) else type(value).__name__
