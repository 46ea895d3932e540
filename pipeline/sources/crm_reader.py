"""The frame in which exports of CRMs are read: an object told by its columns, what lies beside it, its records.

A CRM exports one object a file: contacts in one, calls in another, and often whom a call is tied to in a third. Each
system says how its objects are told and what one record of them tells; all else is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from pipeline.errors import ConfigurationError, InvalidRecord
from pipeline.sources.beside import Beside
from pipeline.sources.crm_exports import Layout, RecognisedTable, layout_of, siblings, told_of, without_progress
from pipeline.sources.reading import head
from pipeline.sources.registry import Batch, ReadContext, Recognition, Sample
from pipeline.sources.translation import Translate, translated


@dataclass(frozen=True)
class RecognisedObject:
    """An object that a file was told to hold, how surely (0-1), and by what; `ties` are the columns of a table of them.

    >>> RecognisedObject("call", 0.9, "its columns are those of calls").name
    'call'
    """

    name: str
    confidence: float
    evidence: str
    ties: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opened:
    """What reads the records of one file: a function from one of them, and what is to be said when all are read."""

    tell: Translate
    warnings: Callable[[], Iterable[str]]


class CrmExport(ABC):
    """One CRM's files. A system names its objects and gives `tell`, `require` and `open`."""

    lists: ClassVar[tuple[str, ...]]
    """Members of the interface's answers that hold records."""
    objects: ClassVar[tuple[str, ...]]
    """The objects that are read, and that the option `object` may name."""
    unreadable: ClassVar[Mapping[str, str]]
    """What an unreadable record of an object counts as, where it is no activity: none of them is a raw event."""
    ticket: ClassVar[str]
    """The object that is no activity, though it has a time: a fresh file of them says nothing of the activities."""
    holds: ClassVar[str]
    """What a file of this system is told to hold, in errors."""
    remedy: ClassVar[str]
    """How to export a file so that it can be told, in errors."""

    @abstractmethod
    def tell(self, layout: Layout, start: bytes) -> RecognisedObject | None:
        """Return the object that a file of this layout holds, None where it is none of this system's."""

    @abstractmethod
    def require(self, told: RecognisedObject, layout: Layout, context: ReadContext) -> None:
        """Make sure that a table has the columns without which nothing can be read.

        Raises:
            ConfigurationError: when it has not.
        """

    @abstractmethod
    def open(self, path: Path, told: RecognisedObject, layout: Layout, context: ReadContext, beside: Beside) -> Opened:
        """Return what reads the records of a file; what lies beside it is put into `beside` first."""

    def recognise(self, sample: Sample) -> Recognition | None:
        """Return a claim on a file whose columns or keys are those of an object of this system."""
        if sample.is_directory:
            return None
        told = self.tell(layout_of(sample.head, self.lists), sample.head)
        return Recognition(told.confidence, told.evidence) if told is not None else None

    def read(self, path: Path, context: ReadContext) -> Iterator[Batch]:
        """Yield batches of facts. A file that bears activities ends with how far it reaches.

        The files beside one of activities are read first, for whom those are tied to; see `Beside`.

        Raises:
            ConfigurationError: when the object cannot be told, or an option or the mapping does not fit.
            InvalidRecord: when a document is broken or an archive damaged; what came before it is yielded first.
        """
        start, size = head(path), path.stat().st_size
        layout = layout_of(start, self.lists)
        told = self._object(layout, start, context)
        if layout.form is None:
            self.require(told, layout, context)
        with Beside() as beside:
            opened = self.open(path, told, layout, context, beside)
            kind = self.unreadable.get(told.name, "activity")
            batches = translated(layout.records(path), opened.tell, context, layout.unit, size, kind)
            yield from batches if told.name != self.ticket else without_progress(batches)
            warnings = tuple(opened.warnings())
            if warnings:
                yield Batch({}, 0, warnings=warnings)

    def _object(self, layout: Layout, start: bytes, context: ReadContext) -> RecognisedObject:
        wanted = context.options.get("object")
        if wanted is not None:
            if wanted not in self.objects:
                raise ConfigurationError(f"object is {wanted!r}; expected one of {', '.join(self.objects)}")
            return RecognisedObject(str(wanted), 1.0, "the configuration names it")
        told = self.tell(layout, start)
        if told is None:
            raise ConfigurationError(
                f"{context.file} cannot be told to hold {self.holds}; {self.remedy}, or set object to one of "
                f"{', '.join(self.objects)}"
            )
        return told


def told_beside(
    path: Path, context: ReadContext, lists: Sequence[str], tell: Callable[[Layout, bytes], RecognisedObject | None]
) -> Iterator[tuple[Path, Layout, RecognisedObject]]:
    """Yield the files that may say more of a file's records, how they hold theirs, and what they were told to hold.

    Raises:
        ConfigurationError: when the option that names them does not fit.
    """
    ask = _asked(tuple(lists), tell)
    for sibling in siblings(path, context):
        if (told := ask(sibling)) is not None:
            yield sibling, told.layout, told.found


@lru_cache(maxsize=32)
def _asked(
    lists: tuple[str, ...], tell: Callable[[Layout, bytes], RecognisedObject | None]
) -> Callable[[Path], RecognisedTable[RecognisedObject] | None]:
    """Return what tells of the siblings in one system's exports, the same for all files: it remembers them."""
    return told_of(lists, tell)


@contextmanager
def as_far_as_it_goes(sibling: Path, warnings: list[str]) -> Iterator[None]:
    """Take what a damaged file beside another one says before the damage, and add a warning.

    Its own reading tells the whole story; here it only knows less.
    """
    try:
        yield
    except InvalidRecord as error:
        warnings.append(f"{sibling.name} could not be read to its end, so some records lack their customers: {error}")
