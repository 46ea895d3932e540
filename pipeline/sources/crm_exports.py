"""Exports of CRMs: how a file holds its records, JSON in any form or a table, and what lies beside it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeVar

from pipeline.errors import ConfigurationError
from pipeline.sources.headers import sniff_delimiter
from pipeline.sources.json_records import JsonForm, JsonRecord, first_record, form_of, json_records
from pipeline.sources.reading import csv_records, head, split_fields
from pipeline.sources.registry import Batch, ReadContext, is_own_name
from pipeline.sources.side_tables import folder_state, remembered
from pipeline.sources.translation import table_records

V = TypeVar("V")

_FIRST_ROWS: Final = 20
# A header and the first rows of a table; of JSON, the beginning of the first page.
_GLANCE: Final = 16_384


@dataclass(frozen=True)
class Layout:
    """How a file holds records, told by its beginning.

    `form` is that of JSON, None for a table. `columns` are those of a table, in lower case and in their order. `first`
    holds the first records as far as the beginning shows them whole.
    """

    form: JsonForm | None
    columns: tuple[str, ...] = ()
    delimiter: str = ","
    first: tuple[Mapping[str, Any], ...] = ()

    @property
    def unit(self) -> Literal["line", "record"]:
        return "line" if self.form is None else self.form.unit

    def records(self, path: Path) -> Iterator[JsonRecord]:
        """Yield the records of a file of this layout; those of a table by the names of its header, in lower case.

        Raises:
            InvalidRecord: when a document is broken or an archive damaged; what is before that comes first.
        """
        if self.form is not None:
            return json_records(path, self.form)
        return table_records(csv_records(path, self.delimiter))


@dataclass(frozen=True)
class RecognisedTable(Generic[V]):
    """How a file holds records, and what they are."""

    layout: Layout
    found: V


def layout_of(start: bytes, lists: Collection[str] = ()) -> Layout:
    """Return how a file that begins like this holds records; `lists` as in `form_of`."""
    form = form_of(start, lists)
    if form is not None:
        record = first_record(start, form)
        return Layout(form, first=() if record is None else (record,))
    if b"\0" in start[:4096]:
        return Layout(None)
    header, _, rest = start.decode("utf-8", "replace").lstrip("\ufeff\r\n").partition("\n")
    delimiter = sniff_delimiter(header)
    columns = tuple(name.strip().casefold() for name in split_fields(header.rstrip("\r"), delimiter)[0])
    return Layout(None, columns, delimiter, tuple(_rows(columns, rest, delimiter)))


def siblings(path: Path, context: ReadContext) -> Iterator[Path]:
    """Yield the files that may say more of a file's records: those that the option names, else those beside it.

    Raises:
        ConfigurationError: when the option is no list of paths, or a file that it names does not exist.
    """
    given = context.options.get("siblings")
    if given is None:
        yield from (beside for beside in _exported(path.parent, *folder_state(path.parent)) if beside != path)
        return
    if not isinstance(given, (list, tuple)) or not all(isinstance(name, str) for name in given):
        raise ConfigurationError(f"siblings is {given!r}; expected a list of paths, relative to the file that asks")
    for name in given:
        sibling = path.parent / name
        if not sibling.is_file():
            raise ConfigurationError(f"siblings names {name!r}, which is no file beside {context.file}")
        if sibling != path:
            yield sibling


@lru_cache(maxsize=4)
def _exported(folder: Path, changed_ns: int, count: int) -> Sequence[Path]:
    """Return the files in a folder that may belong to an export, by name, as long as the folder stays as it is."""
    files = [
        file
        for file in folder.iterdir()
        if not file.name.startswith(".") and not is_own_name(file.name) and file.is_file()
    ]
    return tuple(sorted(files))


def told_of(
    lists: Collection[str], tell: Callable[[Layout, bytes], V | None]
) -> Callable[[Path], RecognisedTable[V] | None]:
    """Return what tells how a sibling holds records and of what; once for each, as long as it stays as it is.

    Null for a file that tells nothing, or that cannot be opened.
    """

    def read(path: Path) -> RecognisedTable[V] | None:
        start = head(path, _GLANCE)
        layout = layout_of(start, lists)
        found = tell(layout, start)
        return None if found is None else RecognisedTable(layout, found)

    known = remembered(read)

    def ask(path: Path) -> RecognisedTable[V] | None:
        with suppress(OSError):
            return known(path)
        return None

    return ask


def without_progress(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield batches without what they tell of the feed's reach.

    A fresh file of tickets says nothing of how far the activities have been exported.
    """
    for batch in batches:
        facts = {kind: table for kind, table in batch.facts.items() if kind != "feed_progress"}
        yield replace(batch, facts=facts)


def _rows(columns: Collection[str], text: str, delimiter: str) -> Iterator[dict[str, str]]:
    """Yield the first rows of a table that are as wide as its header. The last one may be cut off."""
    reader = csv.reader((f"{line}\n" for line in text.split("\n")), delimiter=delimiter)
    with suppress(csv.Error):
        for cells in islice(reader, _FIRST_ROWS):
            if len(cells) == len(columns):
                yield {name: cell.strip("\r\n") for name, cell in zip(columns, cells, strict=True) if cell}
