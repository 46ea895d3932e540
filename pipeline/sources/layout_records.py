"""Lines of a log as records by the names of its columns, where nothing quotes a comma in a name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.sources.asterisk_layout import Layout
from pipeline.sources.json_records import JsonRecord
from pipeline.sources.reading import group_records, lines


def layout_records(
    path: Path, layout: Layout, most_needed: int, mend: Callable[[list[str]], Sequence[str]] = list
) -> Iterator[JsonRecord]:
    """Yield the lines of a file by the names of the layout; empty cells are left out.

    A line needs the columns that are named among the first `most_needed`; more cells than columns do no harm. `mend`
    puts the cells of a line right before they are named.

    Raises:
        InvalidRecord: when an archive ends in the middle.
    """
    is_header = layout.header is not None
    fewest = max((place for place, name in enumerate(layout.columns[:most_needed], 1) if name), default=1)
    for record in group_records(lines(path), lambda count: count >= fewest, _describe(fewest), layout.delimiter):
        if is_header:
            is_header = False
        elif record.problem:
            yield JsonRecord(record.line, {}, record.problem, record.text)
        else:
            value = {
                name: cell.strip()
                for name, cell in zip(layout.columns, mend(record.fields), strict=False)
                if name and cell.strip()
            }
            yield JsonRecord(record.line, {**layout.constants, **value})


def _describe(fewest: int) -> Callable[[int], str]:
    return lambda count: f"has {count} fields, expected {fewest} or more"
