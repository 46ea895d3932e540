"""A look at files without a store: what each holds, and the first things that are wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from pipeline.coverage import Coverage
from pipeline.errors import InvalidRecord
from pipeline.identifiers import Identifiers
from pipeline.sources.discovery import Input
from pipeline.sources.feeding import feed
from pipeline.sources.registry import DeadLetter
from sinks.tally import Tally


@dataclass(frozen=True)
class Findings:
    """What one input holds. `letters` are the first records that cannot be used; `failure` is why reading ended."""

    item: Input
    tally: Tally
    letters: tuple[DeadLetter, ...] = ()
    warnings: tuple[str, ...] = ()
    failure: str | None = None

    @property
    def is_fine(self) -> bool:
        """Whether every record can be used."""
        tally = self.tally
        return self.failure is None and not (tally.rejected_event_count or tally.rejected_record_count)

    @property
    def summary(self) -> dict[str, object]:
        """Return the input in one row: source, file, format, counts, and the time that it covers."""
        tally = self.tally
        return {
            "source": self.item.source,
            "file": self.item.file,
            "format": self.item.parser.name,
            "record_count": tally.record_count,
            "rejected_count": tally.rejected_event_count + tally.rejected_record_count,
            "first_at": tally.first_at,
            "last_at": tally.last_at,
        }

    @property
    def problems(self) -> list[str]:
        """Return what is wrong, one sentence each, with file and line."""
        sentences = [f"{letter.file}, {letter.unit} {letter.position}: {letter.reason}" for letter in self.letters]
        return sentences + ([] if self.failure is None else [self.failure])


def inspect(
    inputs: Iterable[Input],
    identifiers: Identifiers,
    read_at: datetime,
    most_letters: int = 5,
    advance: Callable[[int, int], None] = lambda byte_count, record_count: None,
    coverage: Coverage | None = None,
) -> Iterator[Findings]:
    """Yield what each input holds, those first that may hold the directory.

    `advance` hears how many bytes and records were read since it was last called. `coverage` gathers what all cover.

    Raises:
        ConfigurationError: when a mapping does not fit its file.
    """
    for number, item in enumerate(sorted(inputs, key=_without_directory), start=1):
        tally = Tally(number, item.source, item.file, item.parser.name, item.size_bytes, item.parser.carries)
        letters: list[DeadLetter] = []
        warnings: dict[str, None] = {}
        failure: str | None = None
        try:
            for batch in feed(item, identifiers, read_at):
                tally.count(batch)
                if coverage is not None:
                    coverage.add(batch.facts)
                letters.extend(batch.dead_letters[: max(0, most_letters - len(letters))])
                warnings |= dict.fromkeys(batch.warnings)
                advance(batch.byte_count, batch.record_count)
        except InvalidRecord as error:
            failure = str(error)
        yield Findings(item, tally, tuple(letters), tuple(warnings), failure)


def _without_directory(item: Input) -> bool:
    return "directory_entry" not in item.parser.carries
