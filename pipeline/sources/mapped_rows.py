"""Rows of somebody's table or JSON, read through a mapping and validated many at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import InvalidRecord
from pipeline.sources.canonical_records import RecordGatherer, explain
from pipeline.sources.column_mapping import ColumnMapping, field_names
from schemas.record import RECORD_MODELS, CanonicalRecord

BATCH_RECORDS: Final = 5_000
RECORDS: Final[TypeAdapter[Any]] = TypeAdapter(list[CanonicalRecord])
ALL_FIELDS: Final = frozenset(name for kind in RECORD_MODELS for name in field_names(kind))


class Rows:
    """Rows read through a mapping, validated many at a time."""

    def __init__(self, mapping: ColumnMapping, gatherer: RecordGatherer) -> None:
        self._mapping = mapping
        self._gatherer = gatherer
        self._waiting: list[tuple[int, dict[str, Any], Sequence[Any]]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, position: int, cells: Sequence[Any]) -> None:
        """Read a row."""
        try:
            self._waiting.append((position, self._mapping.record(cells), cells))
        except InvalidRecord as error:
            shown = self._gatherer.shown_cells(cells, self._mapping)
            self._gatherer.reject(position, str(error), shown, kind=self._mapping.kind)

    def flush(self) -> None:
        """Hand all rows that wait to the gatherer."""
        waiting, self._waiting = self._waiting, []
        try:
            records = RECORDS.validate_python([values for _, values, _ in waiting])
            self._gatherer.add(records, [position for position, _, _ in waiting])
            return
        except ValidationError:
            pass  # one by one, to learn which
        for position, values, cells in waiting:
            try:
                self._gatherer.add([RECORD_MODELS[values["kind"]].model_validate(values)], [position])
            except ValidationError as error:
                shown = self._gatherer.shown_cells(cells, self._mapping)
                self._gatherer.reject(position, explain(error), shown, kind=values["kind"])


def columns_named(mapping: Mapping[str, str]) -> Iterator[str]:
    """Yield the columns that a mapping names."""
    for field, column in mapping.items():
        if not column.startswith("=") and not (field == "kind" and column in RECORD_MODELS):
            yield from column.split("+")
