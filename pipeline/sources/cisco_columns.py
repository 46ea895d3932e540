"""The columns of the call records of Cisco Unified Communications Manager, and which file has which of them.

Every release adds columns at the end. A file begins with their names and then their SQL types, unless somebody took
those lines away, or put several files into one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.sources.asterisk_layout import Layout, by_shape
from pipeline.sources.json_records import JsonRecord
from pipeline.sources.reading import group_records, lines, split_fields

# The fields that are read, by the names of the documentation.
FIELDS: Final = (
    "globalCallID_callManagerId", "globalCallID_callId", "globalCallId_ClusterID", "pkid",
    "dateTimeOrigination", "dateTimeConnect", "dateTimeDisconnect", "duration", "callingPartyNumber",
    "callingPartyUnicodeLoginUserID", "origDeviceName", "originalCalledPartyNumber", "finalCalledPartyNumber",
    "finalCalledPartyUnicodeLoginUserID", "destDeviceName", "outpulsedCalledPartyNumber", "origCause_value",
    "destCause_value", "origCalledPartyRedirectOnBehalfOf", "lastRedirectRedirectOnBehalfOf", "joinOnBehalfOf",
    "huntPilotDN", "calledPartyPatternUsage", "comment",
)  # fmt: skip
NEEDED: Final = (
    "globalCallID_callManagerId", "globalCallID_callId", "dateTimeOrigination", "dateTimeConnect",
    "dateTimeDisconnect", "callingPartyNumber", "finalCalledPartyNumber",
)  # fmt: skip
OTHER_NAMES: Final = {name: name.casefold() for name in FIELDS}
# Where the fields stand in every file of release 9 or later, counted from 0.
_PLACES: Final = {
    "globalCallID_callManagerId": 1, "globalCallID_callId": 2, "dateTimeOrigination": 4,
    "callingPartyNumber": 8, "callingPartyUnicodeLoginUserID": 9, "origCause_value": 11,
    "originalCalledPartyNumber": 29, "finalCalledPartyNumber": 30, "finalCalledPartyUnicodeLoginUserID": 31,
    "destCause_value": 33, "dateTimeConnect": 47, "dateTimeDisconnect": 48, "pkid": 50, "duration": 55,
    "origDeviceName": 56, "destDeviceName": 57, "origCalledPartyRedirectOnBehalfOf": 60,
    "lastRedirectRedirectOnBehalfOf": 61, "globalCallId_ClusterID": 65, "joinOnBehalfOf": 66, "comment": 67,
    "outpulsedCalledPartyNumber": 79, "huntPilotDN": 102, "calledPartyPatternUsage": 103,
}  # fmt: skip
_WIDTHS: Final = range(118, 161)
_TYPE, _QUALITY_RECORD = "cdrrecordtype", "2"
_SQL_TYPE: Final = re.compile(r"INTEGER|VARCHAR|UNIQUEIDENTIFIER", re.IGNORECASE).match
_EPOCH: Final = re.compile(r"[12]\d{8,9}").fullmatch
_EPOCH_OR_NEVER: Final = re.compile(r"0|[12]\d{8,9}").fullmatch
_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE).fullmatch


def names_of(line: str, delimiter: str) -> list[str]:
    """Return the columns that a header line names, in lower case; none when it is no header of such a file."""
    names = [cell.strip().casefold() for cell in split_fields(line, delimiter)[0]]
    return names if _TYPE in names else []


def is_quality_table(names: Collection[str]) -> bool:
    """Return whether columns are those of the records of quality (CMR), which tell of no calls."""
    return _TYPE in names and "callingpartynumber" not in names and "directorynum" in names


def shape_of(first_lines: Sequence[str]) -> Layout | None:
    """Return the layout of lines without a header, told by what stands where."""
    return by_shape(first_lines, _headerless, _WIDTHS)


def _headerless(cells: Sequence[str]) -> Layout | None:
    fits = (
        len(cells) in _WIDTHS
        and cells[0] == "1"
        and all(cells[place].isdigit() for place in (1, 2, 3, 55))
        and _EPOCH(cells[4])
        and _EPOCH_OR_NEVER(cells[47])
        and _EPOCH(cells[48])
        and _GUID(cells[50])
    )
    if not fits:
        return None
    columns = [""] * len(cells)
    for name, place in _PLACES.items():
        columns[place] = name.casefold()
    return Layout(tuple(columns), "lines of call records without their header")


def cisco_records(
    path: Path, delimiter: str, columns: Sequence[str], check: Callable[[Sequence[str]], None]
) -> Iterator[JsonRecord]:
    """Yield the rows of a file by the names of their columns, in lower case; empty cells are left out.

    A header may stand anywhere, as when files are joined; `check` is asked whether its columns do. `columns` are
    those of the rows before the first header. Of records of quality nothing but their type is kept.
    """
    names = list(columns)
    for record in group_records(lines(path), lambda count: count > 1, _describe, delimiter):
        first = record.fields[0].strip().casefold() if record.fields else ""
        if record.problem:
            yield JsonRecord(record.line, {}, record.problem, record.text)
        elif first == _TYPE:
            names = [name.strip().casefold() for name in record.fields]
            check(names)
        elif _SQL_TYPE(first):
            continue
        elif first == _QUALITY_RECORD:
            yield JsonRecord(record.line, {_TYPE: _QUALITY_RECORD})
        elif len(record.fields) != len(names):
            yield JsonRecord(record.line, {}, f"has {len(record.fields)} columns, expected {len(names)}", record.text)
        else:
            yield JsonRecord(record.line, _row(names, record.fields))


def _row(names: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    return {name: cell.strip() for name, cell in zip(names, cells, strict=True) if name and cell.strip()}


def _describe(count: int) -> str:
    return "has no columns; expected a line with commas" if count < 2 else f"has {count} columns"
