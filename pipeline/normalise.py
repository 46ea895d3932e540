"""Canonical records, already validated, into facts.

The same function serves files and topics. Records are taken in batches, because a fact is a row of an
Arrow table and columns are cheaper to build than rows. A record that says too little to be counted, or
contradicts itself, is rejected with the reason: never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from zoneinfo import ZoneInfo

import pyarrow as pa

from pipeline.columns import DAY, fact_table, tick
from pipeline.customers import Row, crm_facts
from pipeline.errors import InvalidRecord
from pipeline.messages import observe_emails, observe_messages
from pipeline.parties import Parties
from pipeline.sources.registry import ReadContext
from pipeline.telephony import observe_calls
from schemas.facts import FactKind
from schemas.raw import Call, Email, Message, PbxLeg, Record


@dataclass(frozen=True)
class Normalised:
    """Facts of a batch by kind, and the records that gave none: index in the batch and reason, ordered."""

    facts: Mapping[str, pa.Table]
    rejections: Sequence[tuple[int, str]]


class Normaliser:
    """Turns the canonical records of one file or topic into facts. Bounded in memory; for one thread."""

    def __init__(self, context: ReadContext, parties: Parties | None = None) -> None:
        """`parties` that were read before with the same identifiers spare reading them again."""
        self._context = context
        self._parties = parties or Parties(context.identifiers)
        self._latest = tick(context.read_at, ZoneInfo("UTC")) + DAY

    def normalise(self, records: Sequence[Record], positions: Sequence[int | str]) -> Normalised:
        """Return what records mean that stand at these positions: of each one a fact or a rejection.

        Only an activity on several accounts gives several facts, one for each.
        """
        try:
            return self._normalise(records, positions)
        except (ArithmeticError, ValueError, pa.ArrowException) as error:
            # A date before the year 1, a number that no column holds: found alone, by halves.
            if len(records) == 1:
                return Normalised({}, [(0, f"a value is out of range ({type(error).__name__})")])
        middle = len(records) // 2
        return _joined(
            self.normalise(records[:middle], positions[:middle]),
            self.normalise(records[middle:], positions[middle:]),
            middle,
        )

    def _normalise(self, records: Sequence[Record], positions: Sequence[int | str]) -> Normalised:
        by_model: dict[type[Record], list[int]] = {}
        for index, record in enumerate(records):
            by_model.setdefault(type(record), []).append(index)
        observations: list[pa.Table] = []
        rejections: list[tuple[int, str]] = []
        rows: dict[FactKind, list[Row]] = {}
        for model, indexes in by_model.items():
            batch: list[Any] = [records[index] for index in indexes]
            places = [positions[index] for index in indexes]
            if model in (Call, PbxLeg, Email, Message):
                table, rejected = self._observe(model, batch, places)
                observations.append(table)
                rejections.extend((indexes[index], reason) for index, reason in rejected)
                continue
            for index, record, position in zip(indexes, batch, places, strict=True):
                try:
                    for kind, row in crm_facts(record, position, self._context, self._latest):
                        rows.setdefault(kind, []).append(row)
                except InvalidRecord as error:
                    rejections.append((index, str(error)))
        facts: dict[str, pa.Table] = {kind: _table(kind, found) for kind, found in rows.items()}
        if observations:
            facts["observation"] = pa.concat_tables(observations)
        return Normalised(facts, sorted(rejections))

    def _observe(
        self, model: type[Record], batch: list[Any], places: list[int | str]
    ) -> tuple[pa.Table, list[tuple[int, str]]]:
        if model is Email:
            return observe_emails(cast(list[Email], batch), places, self._context, self._latest)
        if model is Message:
            return observe_messages(batch, places, self._context, self._parties, self._latest)
        return observe_calls(batch, places, self._context, self._parties, self._latest)


def _joined(first: Normalised, second: Normalised, first_count: int) -> Normalised:
    """Return what two halves of a batch mean, the first of so many records, as of one."""
    facts = {
        kind: pa.concat_tables([part.facts[kind] for part in (first, second) if kind in part.facts])
        for kind in dict.fromkeys([*first.facts, *second.facts])
    }
    return Normalised(
        facts, [*first.rejections, *((first_count + index, reason) for index, reason in second.rejections)]
    )


def _table(kind: FactKind, rows: Sequence[Row]) -> pa.Table:
    return fact_table(kind, {name: [row.get(name) for row in rows] for name in rows[0]}, len(rows))
