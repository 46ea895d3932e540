"""The layouts of call detail records.

Asterisk writes no header, and options of `cdr.conf` add columns: 16 to 21 of them, told apart by number and shape.
Tables exported from a database have a header. What administrators defined themselves is told by a mapping.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import pyarrow as pa

from pipeline.sources.asterisk_layout import Layout, Names, by_header, by_shape
from pipeline.sources.asterisk_table import SECONDS, TEXT, WORDS
from schemas.facts import INSTANT

_BASE: Final = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer",
    "end", "duration", "billsec", "disposition", "amaflags",
)  # fmt: skip
_LINKED: Final = ("peeraccount", "linkedid", "sequence")

# What observations are made of; the rest of a record counts in its digest alone.
FIELDS: Final[Mapping[str, pa.DataType]] = {
    "src": WORDS,
    "dst": WORDS,
    "dcontext": WORDS,
    "channel": TEXT,
    "dstchannel": TEXT,
    "lastapp": WORDS,
    "lastdata": TEXT,
    "start": INSTANT,
    "answer": INSTANT,
    "end": INSTANT,
    "duration": SECONDS,
    "billsec": SECONDS,
    "disposition": WORDS,
    "uniqueid": TEXT,
    "linkedid": TEXT,
    "direction": WORDS,
    "answered_by": TEXT,
}
NULLABLE: Final = frozenset({"direction", "answered_by"})
WIDTHS: Final = range(16, 22)

NAMES: Final = Names(
    known=tuple(FIELDS),
    required=frozenset({"src", "dst", "channel", "dstchannel", "start", "disposition"}),
    aliases={
        "calldate": "start",
        "starttime": "start",
        "answertime": "answer",
        "endtime": "end",
        "calltime": "duration",
        "talktime": "billsec",
        "callernumber": "src",
        "calleenumber": "dst",
        "context": "dcontext",
        "sourcechannel": "channel",
        "destchannel": "dstchannel",
        "destinationchannel": "dstchannel",
        "lastdate": "lastdata",  # Grandstream's own spelling
        "session": "linkedid",
        "answeredby": "answered_by",
        "loguserfield": "userfield",
    },
)
_UNIQUE_ID: Final = re.compile(r"\S*\d{9,10}\.\d+").fullmatch
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?").fullmatch
_NUMBER: Final = re.compile(r"\d{1,9}").fullmatch
_WORD: Final = re.compile(r"[A-Z][A-Z ]{2,15}").fullmatch


def headerless(fields: Sequence[str]) -> Layout | None:
    """Return the layout of a record that Asterisk wrote itself; None when its shape is none of them."""
    count = len(fields)
    if count not in WIDTHS or not _is_base(fields):
        return None
    extra = count - 16
    linked: tuple[str, ...] = ()
    if extra >= 3:
        linked, extra = _LINKED, extra - 3
        if not (_UNIQUE_ID(fields[-2]) or not fields[-2]) or not (_NUMBER(fields[-1]) or not fields[-1]):
            return None
    optional: tuple[str, ...] = ("uniqueid", "userfield")
    if extra == 1:
        optional = ("uniqueid",) if _UNIQUE_ID(fields[16]) else ("userfield",)
    return Layout((*_BASE, *optional[:extra], *linked), f"Asterisk CDR, {count} columns")


def _is_base(fields: Sequence[str]) -> bool:
    start, answer, end, duration, billsec, disposition = fields[9:15]
    return bool(
        _TIME(start)
        and all(not text or _TIME(text) for text in (answer, end))
        and _NUMBER(duration)
        and _NUMBER(billsec)
        and (not disposition or _WORD(disposition))
    )


def with_header(line: str) -> Layout | None:
    """Return the layout that a header line names; None when it names no call detail record."""
    layout = by_header(line, NAMES, "table of Asterisk CDR")
    if layout is not None and layout.header is not None and "Action Type" in layout.header:
        # Grandstream writes there whether a call came in or went out; Asterisk leaves it to the dialplan.
        columns = tuple("direction" if name == "userfield" else name for name in layout.columns)
        return replace(layout, columns=columns, title="Grandstream CDR")
    return layout


def first_layout(lines: Sequence[str]) -> Layout | None:
    """Return the layout of a text, given its first lines; None when they are no call detail records.

    Some of the lines may be damaged; half of them must be records.
    """
    return with_header(lines[0]) or by_shape(lines, headerless, WIDTHS) if lines else None
