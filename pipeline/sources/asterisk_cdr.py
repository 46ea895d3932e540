"""Call detail records of Asterisk and of what is built on it: FreePBX tables, Grandstream switchboards."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa

from pipeline.errors import ConfigurationError
from pipeline.sources.asterisk import epoch_of, offset_name
from pipeline.sources.asterisk_cdr_facts import observe
from pipeline.sources.asterisk_cdr_layouts import FIELDS, NAMES, NULLABLE, WIDTHS, first_layout, headerless
from pipeline.sources.asterisk_layout import Layout, by_mapping, first_lines
from pipeline.sources.asterisk_table import Columns, Form, read_table
from pipeline.sources.local_time import offset_at
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, Format, ReadContext, Recognition, Sample

_CLOCK_ROWS: Final = 5_000
_CLOCK_STEP: Final = 900


class AsteriskCdr:
    """Asterisk's call detail records in every layout that is met."""

    name = "asterisk_cdr"
    title = "Asterisk call detail records"
    description = (
        "Master.csv as Asterisk writes it (16 to 21 columns, no header), the cdr table of FreePBX as CSV, and the "
        "export of Grandstream switchboards. Columns of cdr_custom are told by mapping = { src = 2, dst = 3, ... }, "
        "counted from 1. Times are local to `timezone`. May be packed with gzip or zstd."
    )
    carries = frozenset({"observation"})
    formats = (
        Format(
            "Master.csv, 16 to 21 columns",
            "all but accountcode, amaflags and userfield",
            "rows of local channels that another row tells",
            "records",
            "calls of an Asterisk 16 driven by a load generator",
        ),
        Format(
            "cdr table of FreePBX, as CSV with a header",
            "the same columns by name",
            "did, recordingfile, names of callers",
            "documentation",
            "its list of columns in an open-source reader",
        ),
        Format(
            "Grandstream UCM export",
            "session, action type, direction and who answered",
            "premier caller",
            "documentation",
            "its header, as exported",
        ),
    )
    lies = (
        "ANSWERED does not mean that a person answered: a call counts when a device of somebody did.",
        "One call has up to seven rows; they are joined by linkedid, and by uniqueid only where there is none.",
        "billsec of a queue call counts the waiting; the queue log or the channel event log beside it gives the talk.",
        "NO ANSWER rows may carry an answer time; the disposition decides.",
        "Times have no zone; the epoch in uniqueid shows it, and a warning says when another one is configured.",
    )

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a text whose records have the shape of call detail records."""
        if sample.is_directory:
            return None
        layout = first_layout(first_lines(sample.head))
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
        is_clock_checked = False

        def observe_with_clock(
            columns: Columns, context: ReadContext
        ) -> tuple[pa.Table, list[tuple[int, str]], list[str]]:
            nonlocal is_clock_checked
            table, problems = observe(columns, context)
            warnings = [] if is_clock_checked else _clock_warning(columns, context)
            is_clock_checked = is_clock_checked or table.num_rows > 0
            return table, problems, warnings

        form = Form(FIELDS, NULLABLE, headerless, WIDTHS, observe_with_clock)
        yield from read_table(path, _layout_of(start, context), form, context)


SOURCE: Final = AsteriskCdr()


def _layout_of(start: bytes, context: ReadContext) -> Layout:
    lines = first_lines(start)
    if context.mapping:
        return by_mapping(context.mapping, lines[0], NAMES, "Asterisk CDR by mapping", context.file)
    layout = first_layout(lines)
    if layout is None:
        raise ConfigurationError(
            f"{context.file}: its columns are none of Asterisk's; say which is which, for example "
            "mapping = { src = 2, dst = 3, channel = 6, dstchannel = 7, start = 10, disposition = 15 }"
        )
    return layout


def _clock_warning(columns: Columns, context: ReadContext) -> list[str]:
    """Return a sentence when the log's clock is not that of the zone: unique ids hold the true time."""
    starts = columns.values["start"].slice(0, _CLOCK_ROWS).to_pylist()
    unique_ids = columns.values["uniqueid"].slice(0, _CLOCK_ROWS).to_pylist()
    ahead: dict[int, int] = {}
    seen = 0
    usual = timedelta(0)
    for start, unique_id in zip(starts, unique_ids, strict=True):
        epoch = epoch_of(unique_id)
        if start is None or epoch is None:
            continue
        offset = offset_at(context.zone, epoch)
        steps = round(((start - epoch) - offset).total_seconds() / _CLOCK_STEP)
        ahead[steps] = ahead.get(steps, 0) + 1
        seen += 1
        usual = offset
    if not seen:
        return []
    steps, count = max(ahead.items(), key=lambda item: item[1])
    if steps == 0 or count < 0.9 * seen:
        return []
    found = usual + timedelta(seconds=steps * _CLOCK_STEP)
    whose = "of [[source]]" if context.zone_is_given else "of the company, as none is set,"
    name = offset_name(found)
    return [
        f"{context.file}: its times are at {name} by the log's own call ids, but the time zone {whose} "
        f"{context.zone.key} is at {offset_name(usual)} then; set timezone = the switchboard's zone in [[source]]"
    ]
