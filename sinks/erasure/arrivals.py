"""What a log still brings of people who were forgotten, kept out of a live store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.forgetting import Forgotten
from sinks.store import Store

# By which ids a row is known to have been erased.
_IDS: Final[Mapping[str, tuple[str, ...]]] = {
    "observation": ("raw_id",),
    "contact": ("raw_id",),
    "account": ("raw_id",),
    "activity": ("activity_id",),
    "interaction": ("interaction_id", "evidence_id"),
    "retracted": ("interaction_id",),
    "disposition": ("raw_id",),
    "activity_outcome": ("activity_id",),
}


class ErasedArrivals:
    """Leaves out news of rows that were erased, and names nobody who was forgotten. Costs nothing where nobody was."""

    def __init__(self, store: Store, forgotten: Forgotten) -> None:
        self._forgotten = forgotten
        rows = store.rows("SELECT digest FROM erased_row") if forgotten else []
        self._numbers = frozenset(row["digest"] for row in rows)

    def cleaned(self, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
        """Return facts or results as they may be written."""
        if not self._forgotten:
            return dict(tables)
        return self._forgotten.blanked({kind: self._others(kind, table) for kind, table in tables.items()})

    def _others(self, kind: str, table: pa.Table) -> pa.Table:
        for name in _IDS.get(kind, ()):
            if not (self._numbers and table.num_rows and name in table.column_names):
                continue
            texts = table.column(name).cast(pa.string())
            gone = [
                text
                for text in pc.unique(texts).to_pylist()
                if text is not None and self._forgotten.row_number(text) in self._numbers
            ]
            if gone:
                table = table.filter(pc.invert(pc.is_in(texts, pa.array(gone, pa.string()))))
        return table
