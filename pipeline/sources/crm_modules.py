"""CRMs whose modules are told by their columns: one description a system, one function from a row to its records.

The function from a row is pure, and knows neither files nor options: what reads a system's database gives it the same
rows by the same names.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from pipeline.sources.beside import Beside, Tie
from pipeline.sources.crm_columns import Columns, told_by
from pipeline.sources.crm_exports import Layout
from pipeline.sources.crm_reader import CrmExport, Opened, RecognisedObject, as_far_as_it_goes, told_beside
from pipeline.sources.crm_values import Clock
from pipeline.sources.json_outline import first_members
from pipeline.sources.registry import ReadContext
from pipeline.sources.side_tables import FolderStamp, file_state
from pipeline.sources.translation import Fields

MOST_KEPT: Final = 4
"""Indexes of what lies beside files that are kept: pages of calls, of contacts and of emails may take turns."""

OTHER: Final = "other"
"""A module that says nothing of interactions."""

Tied = Callable[[str, str], Sequence[str]]
"""From a record's id and an object to the ids of that object that other tables tie the record to."""


class RowTranslation(Protocol):
    """A pure function from a row of a module, by documented names, to canonical records.

    Raises InvalidRecord, naming the field and never its value.
    """

    def __call__(self, module: str, row: Mapping[str, Any], clock: Clock, tied: Tied) -> Sequence[Fields]:
        """Return what the row tells."""
        ...


def untied(record: str, object_name: str) -> Sequence[str]:
    """Return nothing: no other table says whom a record is tied to."""
    return ()


class ModuleExport(CrmExport):
    """A CRM's files, each told by its columns to hold one module."""

    name: str

    fields: ClassVar[Sequence[str]]
    """Documented names of what is read."""
    others: ClassVar[Mapping[str, Sequence[str]]]
    """Other names of fields, as `Columns` takes them."""
    modules: ClassVar[Mapping[str, tuple[frozenset[str], ...]]]
    """Fields that tell modules, the first that fits; see `told_by`."""
    signs: ClassVar[tuple[frozenset[str], ...]]
    """Groups of fields, one of which every module of this system has."""
    tables: ClassVar[frozenset[str]]
    """Modules that are tables of pairs, or else are only looked up when those beside them are read."""
    needs: ClassVar[Mapping[str, frozenset[str]]]
    """Of modules whose records are tied by rows of others, those others; never a module by itself."""
    told: ClassVar[RowTranslation]

    @abstractmethod
    def is_local(self, layout: Layout) -> bool:
        """Return whether times without an offset are in the zone of whoever exported the file; else they are UTC."""

    @abstractmethod
    def ties(self, module: str, row: Mapping[str, Any]) -> Iterator[Tie]:
        """Yield what a row of a file beside another one says of the other one's records."""

    @abstractmethod
    def advice(self) -> str:
        """Return what to export so that activities are tied to customers."""

    def columns(self, module: str | None, context: ReadContext | None = None) -> Columns:
        """Return what gives the values of a record of a module, None where it is not told yet."""
        return Columns(self.fields, self.others, context)

    def tell(self, layout: Layout, start: bytes) -> RecognisedObject | None:
        """Return the module that a file holds, by its columns or by the members of its first record."""
        if layout.form is None:
            columns, what = layout.columns, "its columns are those of"
        else:
            record = layout.first[0] if layout.first else first_members(start, layout.form)
            columns, what = tuple(record), "records of the interface:"
        module = self._module(columns)
        return None if module is None else RecognisedObject(module, 0.9, f"{what} {module}")

    def require(self, told: RecognisedObject, layout: Layout, context: ReadContext) -> None:
        """Make sure that a table has ids."""
        if told.name not in self.tables and told.name != OTHER:
            self.columns(told.name, context).require("id", layout.columns, context.file)

    def open(self, path: Path, told: RecognisedObject, layout: Layout, context: ReadContext, beside: Beside) -> Opened:
        """Return what reads the records of a file, with what lies beside it."""
        if told.name in self.tables or told.name == OTHER:
            return Opened(lambda _: (), lambda: (self._passed_over(told, context),))
        looked = self._looked(path, self.needs.get(told.name, frozenset()), context)
        clock = Clock(context, context.zone if self.is_local(layout) else None)
        reader = _Rows(self, told.name, context, beside if looked is None else looked.beside, clock)
        said = () if looked is None else looked.warnings
        return Opened(reader.tell, lambda: (*said, *reader.warnings(context.file, self.advice())))

    def _looked(self, path: Path, needed: frozenset[str], context: ReadContext) -> _Looked | None:
        """Return what the files beside one say of its records; the same for all pages of an export."""
        if not needed:
            return None
        given = context.options.get("siblings")
        key = (self.name, needed, path.parent, repr(given))
        kept = _LOOKED.pop(key, None)
        if kept is None or not kept.stamp.is_fresh():
            kept = _Looked(path, self, needed, context)
        _LOOKED[key] = kept
        while len(_LOOKED) > MOST_KEPT:
            _LOOKED.popitem(last=False)
        return kept

    def _module(self, columns: Sequence[str]) -> str | None:
        names = self.columns(None).names(columns)
        return told_by(names, self.modules) if any(sign <= names for sign in self.signs) else None

    def _passed_over(self, told: RecognisedObject, context: ReadContext) -> str:
        if told.name == OTHER:
            return f"{context.file}: {told.evidence}; it says nothing of interactions and gives nothing"
        return (
            f"{context.file}: the table {told.name}; it is looked up when the files beside it are read, and gives "
            "nothing of its own"
        )


class _Looked:
    """An index of what some files beside another one say, and how they were when they said it.

    Whoever reads a file by it keeps it alive; it is closed when nobody does.
    """

    def __init__(self, path: Path, system: ModuleExport, needed: frozenset[str], context: ReadContext) -> None:
        self.stamp = FolderStamp(path.parent)
        self.warnings: list[str] = []
        self.beside = Beside()
        for sibling, layout, other in told_beside(path, context, system.lists, system.tell):
            if other.name in needed:
                columns = system.columns(other.name)
                self.stamp.files[sibling] = file_state(sibling)
                with as_far_as_it_goes(sibling, self.warnings):
                    rows = (columns.values(each.value) for each in layout.records(sibling) if each.problem is None)
                    self.beside.tie(tie for row in rows for tie in system.ties(other.name, row))


_LOOKED: Final[OrderedDict[tuple[str, frozenset[str], Path, str], _Looked]] = OrderedDict()


class _Rows:
    """Tells the rows of one file, and counts what came of them."""

    def __init__(self, system: ModuleExport, module: str, context: ReadContext, beside: Beside, clock: Clock) -> None:
        self._system = system
        self._module = module
        self._columns = system.columns(module, context)
        self._beside = beside
        self._clock = clock
        self._activity_count = self._untied_count = self._void_count = 0

    def tell(self, record: Mapping[str, Any]) -> Sequence[Fields]:
        records = type(self._system).told(self._module, self._columns.values(record), self._clock, self._beside.tied)
        for each in records[:1]:
            if each["kind"] == "activity":
                is_void = each.get("deleted", False) and len(records) == 1
                self._void_count += is_void
                self._activity_count += not is_void
                is_tied = any(part.get("contact_ids") or part.get("account_ids") for part in records)
                self._untied_count += not is_void and not is_tied
        return records

    def warnings(self, file: str, advice: str) -> Iterator[str]:
        if self._void_count:
            yield (
                f"{file}: {self._void_count:,} of its records were deleted, canceled, not sent or reached nobody: they "
                "are no traces and were passed over"
            )
        if self._untied_count:
            yield (
                f"{file}: {self._untied_count:,} of its {self._activity_count:,} activities are tied to no customer; "
                f"{advice}"
            )
