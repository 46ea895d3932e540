"""From an input to batches that a store takes: facts, the identifiers met in them, and the feed's progress."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pyarrow as pa

from pipeline.identifiers import Identifiers
from pipeline.sources.discovery import Input
from pipeline.sources.registry import Batch, ReadContext
from schemas.facts import INSTANT


def feed(
    item: Input, identifiers: Identifiers, read_at: datetime, complete_through: datetime | None = None
) -> Iterator[Batch]:
    """Yield the batches of an input, each with the identifiers that were first met in it.

    `complete_through` takes the place of what the files tell of the CRM export's reach.

    Raises:
        ConfigurationError: when a mapping does not fit its file.
        InvalidRecord: when the input cannot be read to its end.
    """
    context = ReadContext(
        source=item.source,
        file=item.file,
        zone=item.zone,
        identifiers=identifiers,
        read_at=read_at,
        mapping=item.mapping,
        options=item.options,
        zone_is_given=item.zone_is_given,
    )
    for batch in item.parser.read(item.path, context):
        facts = dict(batch.facts)
        met = identifiers.drain()
        if met.num_rows:
            facts["identifier"] = met
        if complete_through is not None and "feed_progress" in facts:
            facts["feed_progress"] = _reaching(facts["feed_progress"], complete_through)
        yield replace(batch, facts=facts)


def _reaching(progress: pa.Table, complete_through: datetime) -> pa.Table:
    index = progress.schema.get_field_index("complete_through")
    reach = pa.array([complete_through] * progress.num_rows, INSTANT)
    return progress.set_column(index, progress.schema.field(index), reach)
