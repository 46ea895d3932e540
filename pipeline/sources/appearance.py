"""What a file that nobody recognises looks like, in words that help its owner; nothing of its content."""

from __future__ import annotations

import re
from typing import Final

from pipeline.sources.headers import sniff_delimiter

_DELIMITER_NAMES: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_MAGIC: Final = {
    b"PK\x03\x04": "an Excel workbook or ZIP archive; save the sheet as CSV, or unpack it",
    b"\xd0\xcf\x11\xe0": "an Excel workbook or Outlook file of the old kind; export it as CSV or mbox",
    b"%PDF": "a PDF document",
    b"SQLite format 3": "an SQLite database; `bypassflow crm pull` reads that of a CRM, else export its tables as CSV",
    b"!BDN": "an Outlook data file (PST); export it as mbox or .eml files",
    b"PAR1": "Parquet whose columns are no fields of a canonical record; give it a mapping with a kind",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it",
    b"BZh": "a bzip2 archive; unpack it, or pack it with gzip",
    b"\xfd7zXZ": "an xz archive; unpack it, or pack it with gzip",
}


def describe(start: bytes) -> str:
    """Return what a file seems to be, told by its beginning, with the way out where there is one.

    >>> describe(b"a;b;c\\n1;2;3")
    'text with 3 columns between semicolons'
    """
    for magic, words in _MAGIC.items():
        if start.startswith(magic):
            return words
    text = start.lstrip()
    if b"\0" in start[:4096]:
        return "binary data"
    if re.match(rb"\[\s*[\[{\"]", text):
        return "JSON that begins with a list; one object per line is expected"
    if text.startswith(b"{"):
        return "JSON whose first line is no canonical record: it has no kind that is known"
    if re.match(rb"(?:[;#].*\n|\s)*\[[\w .-]+\]", text):
        return "settings of some program"
    if text.startswith(b"<"):
        return "XML or HTML"
    line = text.split(b"\n", 1)[0].decode("utf-8", "replace")
    delimiter = sniff_delimiter(line)
    columns = line.count(delimiter) + 1
    if columns < 2:
        return "text without columns"
    return f"text with {columns} columns between {_DELIMITER_NAMES.get(delimiter, delimiter)}"
